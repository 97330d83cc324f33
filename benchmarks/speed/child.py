"""One measurement in a process of its own: python child.py {memory,first_fit} {linear,network} RIVAL BATCH_SIZE

Prints it as JSON. Nothing is imported before the clock runs.
"""

import json
import sys
import time

N_CLASSES = {"linear": 2, "network": 10}
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


def memory(rival, task):
    """How much more memory a fit takes than is there, in units of X."""
    rival.fit(task.first(WARM_UP))
    forget_peak()
    before = peak_bytes()
    rival.fit(task)
    return (peak_bytes() - before) / task.X.nbytes


def task_of(measured, kind, batch_size):
    from data import dense_rows
    from task import Task

    return Task(kind, *dense_rows(*(MEMORY if measured == "memory" else FIRST_FIT), N_CLASSES[kind]), batch_size, RATE)


def main(measured, kind, name, batch_size):
    start = time.perf_counter()
    from rivals import every

    rival, task = every()[name], task_of(measured, kind, batch_size if batch_size == "full" else int(batch_size))
    if measured == "memory":
        value = memory(rival, task)
    else:
        rival.fit(task)
        value = time.perf_counter() - start
    from machine import pass_over

    print(json.dumps({"value": value, "pass_ms": pass_over(task.X)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
