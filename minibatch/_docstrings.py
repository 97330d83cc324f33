def documented(cls): return cls
