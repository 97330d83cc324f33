"""What needs a new process: memory of a fit, and the wait for the first one."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import linear_peers
import network_peers
from measure import compared
from tables import Table
from training import installed

CHILD = Path(__file__).with_name("child.py")
PEERS = {"linear": linear_peers.PEERS, "network": network_peers.PEERS}
MEMORY_BATCH_SIZES, FIRST_BATCH_SIZE = (32, 4096, "full"), 32


def measured(what, model, peer, batch_size, cache=None):
    """What child.py prints, with Numba's cache in a folder."""
    command = [sys.executable, "-W", "ignore", CHILD, what, model, peer, str(batch_size)]
    environment = os.environ | ({} if cache is None else {"NUMBA_CACHE_DIR": str(cache)})
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout)


def first_fits(model, peer):
    """The first fit of a process on a machine that has never done one, and the next one's."""
    with tempfile.TemporaryDirectory() as cache:
        return [measured("first_fit", model, peer, FIRST_BATCH_SIZE, cache) for _ in range(2)]


def _row(data, at, found):
    """``found``: what the children printed, by peer."""
    floor = min(each["pass_ms"] for rounds in found.values() for each in rounds)
    values = {peer: [each["value"] for each in rounds] for peer, rounds in found.items()}
    return {"data": data, "at": at, "yardsticks": {"pass over X, ms": floor}, **compared(values)}


def memory(pace):
    for model, peers in PEERS.items():
        for batch_size in [size for size in MEMORY_BATCH_SIZES if size in pace.batch_sizes]:
            rounds = [
                {peer: measured("memory", model, peer, batch_size) for peer in installed(peers)}
                for _ in range(pace.processes)
            ]
            yield _row(model, batch_size, {peer: [each[peer] for each in rounds] for peer in rounds[0]})


def first_fit(pace):
    for model, peers in PEERS.items():
        rounds = [{peer: first_fits(model, peer) for peer in installed(peers)} for _ in range(pace.processes)]
        for number, at in enumerate(("empty", "filled")):
            yield _row(model, at, {peer: [each[peer][number] for each in rounds] for peer in rounds[0]})


TABLES = [
    Table("memory", "Peak memory of a fit beyond X, in units of X", "X", memory, ratios=False),
    Table("first_fit", "Import and first fit in a new process", "s", first_fit, over="Numba's cache", ratios=False),
]
