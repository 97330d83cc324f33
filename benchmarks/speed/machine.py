"""What the machine can do: yardsticks for the tables."""

import os
import platform

import numpy as np
from measure import seconds_of
from rivals import every, version_of


def pass_over(X):
    """Milliseconds of ``X.sum()``: all of X comes from memory once, on one thread."""
    values = X.data if hasattr(X, "indptr") else X
    return 1e3 * min(seconds_of(values.sum) for _ in range(5))


def gemm_rate(dtype, size=2048):
    """Billions of floating-point operations a second in a product of square matrices, by BLAS as it comes."""
    a, b = np.random.default_rng(0).standard_normal((2, size, size)).astype(dtype)
    a @ b  # wakes its threads
    return 2 * size**3 / min(seconds_of(np.matmul, a, b) for _ in range(5)) / 1e9


def description():
    """The machine, its yardsticks, and the versions of what is compared."""
    from importlib.metadata import version

    versions = {name: version(name) for name in ("numpy", "numba")}
    distributions = [rival.requires for rival in every().values()] + ["dask-ml"]
    versions |= {name: version_of(name) for name in distributions if name != "scikit-minibatch"}
    rates = {np.dtype(dtype).name: round(gemm_rate(dtype), 1) for dtype in (np.float32, np.float64)}
    processor = next((line.split(":")[1].strip() for line in _cpu_lines() if line.startswith("model name")), "unknown")
    return {
        "processor": processor,
        "cores": os.cpu_count(),
        "system": platform.system(),
        "python": platform.python_version(),
        "gemm_gflops": rates,
        "versions": versions,
    }


def _cpu_lines():
    try:
        with open("/proc/cpuinfo") as lines:
            return lines.readlines()
    except OSError:
        return []
