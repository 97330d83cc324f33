"""What needs a new process: memory of a fit, and the wait for the first one."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from child import N_CLASSES, task_of
from measure import compared
from rivals import able
from tables import Table

CHILD = Path(__file__).with_name("child.py")
MEMORY_BATCH_SIZES, FIRST_BATCH_SIZE = (32, 4096, "full"), 32


def measured(what, kind, rival, batch_size, cache=None):
    """What child.py prints, with Numba's cache in a folder."""
    command = [sys.executable, "-W", "ignore", CHILD, what, kind, rival, str(batch_size)]
    environment = os.environ | ({} if cache is None else {"NUMBA_CACHE_DIR": str(cache)})
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout)


def first_fits(kind, rival):
    """The first fit of a process on a machine that has never done one, and the next one's."""
    with tempfile.TemporaryDirectory() as cache:
        return [measured("first_fit", kind, rival, FIRST_BATCH_SIZE, cache) for _ in range(2)]


def _row(data, at, found, absent):
    """``found``: what the children printed, by rival."""
    floor = min(each["pass_ms"] for rounds in found.values() for each in rounds)
    values = {name: [each["value"] for each in rounds] for name, rounds in found.items()}
    return {
        "data": data,
        "at": at,
        "yardsticks": {"pass over X, ms": floor},
        **compared(values),
        "not installed": absent,
    }


def memory(pace):
    for kind in N_CLASSES:
        for batch_size in [size for size in MEMORY_BATCH_SIZES if size in pace.batch_sizes]:
            rivals, absent = able(task_of("first_fit", kind, batch_size), pace)
            rounds = [
                {name: measured("memory", kind, name, batch_size) for name in rivals} for _ in range(pace.processes)
            ]
            yield _row(kind, batch_size, {name: [each[name] for each in rounds] for name in rivals}, absent)


def first_fit(pace):
    for kind in N_CLASSES:
        rivals, absent = able(task_of("first_fit", kind, FIRST_BATCH_SIZE), pace)
        rounds = [{name: first_fits(kind, name) for name in rivals} for _ in range(pace.processes)]
        for number, at in enumerate(("empty", "filled")):
            yield _row(kind, at, {name: [each[name][number] for each in rounds] for name in rivals}, absent)


TABLES = [
    Table("memory", "Peak memory of a fit beyond X, in units of X", "X", memory, ratios=False),
    Table("first_fit", "Import and first fit in a new process", "s", first_fit, over="Numba's cache", ratios=False),
]
