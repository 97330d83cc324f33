"""One measurement in a process of its own: python child.py {memory,first_fit} {linear,network} PEER BATCH_SIZE

Prints it as JSON. Nothing is imported before the clock runs.
"""

import json
import sys
import time
from importlib import import_module

MODELS = {"linear": ("linear_peers", 2), "network": ("network_peers", 10)}
FIRST_FIT, MEMORY, WARM_UP = (1_000, 20), (50_000, 400), 10_000
RATE = 1e-4


def peak_bytes():
    """The highest resident memory. On Linux not ru_maxrss, which begins at what the parent had."""
    try:
        with open("/proc/self/status") as lines:
            return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    except OSError:
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def forget_peak():
    """Where the system can: what came before, such as compiling, is no longer in it."""
    try:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
    except OSError:
        pass


def memory(make, X, y):
    """How much more memory a fit takes than is there, in units of X."""
    make(X[:WARM_UP], y[:WARM_UP]).fit(1)
    forget_peak()
    before = peak_bytes()
    make(X, y).fit(1)
    return (peak_bytes() - before) / X.nbytes


def main(measured, model, peer, batch_size):
    start = time.perf_counter()
    from data import dense_rows

    module, n_classes = MODELS[model]
    peers = import_module(module).PEERS
    size = batch_size if batch_size == "full" else int(batch_size)
    X, y = dense_rows(*(MEMORY if measured == "memory" else FIRST_FIT), n_classes)

    def make(X, y):
        return peers[peer](X, y, size, RATE)

    if measured == "memory":
        value = memory(make, X, y)
    else:
        make(X, y).fit(1)
        value = time.perf_counter() - start
    from machine import pass_over

    print(json.dumps({"value": value, "pass_ms": pass_over(X)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
