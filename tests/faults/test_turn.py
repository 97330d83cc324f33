"""engine.cache.Turn: of processes that begin together, one compiles and the others find what it kept."""

import subprocess
import sys
import threading
import time

import numba
import pytest

from minibatch.engine import cache
from minibatch.engine.cache import Turn

pytest.importorskip("fcntl")
pytestmark = pytest.mark.skipif(numba.config.DISABLE_JIT, reason="nothing is compiled with NUMBA_DISABLE_JIT=1")

TAKEN = """
import os, sys
from minibatch.engine.cache import Turn
turn = Turn()
assert not turn.wait(sys.argv[1])
print("mine", flush=True)
sys.stdin.read(1)
os._exit(1)
"""


def test_the_second_waits_until_the_first_is_done(tmp_path):
    first, second, waited = Turn(), Turn(), []
    path = tmp_path / "folder" / "lock"  # a first fit finds no folder
    assert not first.wait(path)
    other = threading.Thread(target=lambda: waited.append(second.wait(path)))
    other.start()
    time.sleep(4 * cache.PAUSE)
    assert waited == []
    first.release()
    other.join()
    assert waited == [True]
    second.release()
    second.release()
    assert not first.wait(path)
    first.release()


def test_a_process_that_takes_too_long_is_passed_by(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "PATIENCE", 0.1)
    first, second = Turn(), Turn()
    assert not first.wait(tmp_path / "lock")
    assert second.wait(tmp_path / "lock")
    for turn in (first, second):
        turn.release()


def test_a_process_that_dies_holds_nobody_up(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", TAKEN, str(tmp_path / "lock")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "mine\n"
        process.communicate("x")
    turn = Turn()
    assert not turn.wait(tmp_path / "lock")
    turn.release()


def test_where_no_file_can_be_locked_nobody_waits(tmp_path):
    (tmp_path / "file").write_text("")
    assert not Turn().wait(tmp_path / "file" / "lock")


FIRST_FIT = """
import sys
import numpy as np
from minibatch.engine.shuffle import shuffle_rows
print("ready", flush=True)
sys.stdin.readline()
shuffle_rows(np.arange(5)[None], np.empty(0, np.uint32), 0, np.ones(4, np.uint64), np.empty(4))
print(sum(shuffle_rows.stats.cache_misses.values()) - sum(shuffle_rows.stats.cache_hits.values()))
"""


def test_of_two_processes_one_compiles(tmp_path, monkeypatch):
    """The other looks again, and loads: a miss would be counted beside a hit."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    monkeypatch.delenv("MINIBATCH_NUMBA_CACHE", raising=False)
    processes = [
        subprocess.Popen([sys.executable, "-c", FIRST_FIT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    assert [process.stdout.readline() for process in processes] == 2 * ["ready\n"]
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    assert sorted(int(process.communicate()[0]) for process in processes) == [-1, 1]
