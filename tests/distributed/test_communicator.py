"""What workers say to each other."""

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import pytest

from minibatch.distributed import _processes as processes
from minibatch.distributed._communicator import Abandoned, Lonely, SharedFile, part_of, that_can_be_sent


def team(path, size, timeout=10.0):
    SharedFile.create(path, size, 100)
    return [SharedFile(path, rank, size, 100, timeout) for rank in range(size)]


def test_all_get_the_same_sums_in_the_order_of_ranks(tmp_path):
    values = np.array([1.0, 1e16, -1e16])  # another order gives another sum

    def talk(one):
        sums = [one.added(np.full((2, 2), values[one.rank]), np.array([one.rank * k], np.float32)) for k in range(50)]
        return sums, one.traffic

    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(talk, team(tmp_path / "team", 3)))
    for sums, traffic in found:
        for k, (wide, short) in enumerate(sums):
            assert wide.tolist() == [[0.0, 0.0], [0.0, 0.0]]
            assert short.dtype == np.float32
            assert short.tolist() == [3.0 * k]
        assert traffic.n_rounds == 50
        assert traffic.n_bytes == 50 * 5 * 8


def test_who_waits_in_vain_says_for_whom(tmp_path):
    first, _ = team(tmp_path / "team", 2, timeout=0.1)
    with pytest.raises(Abandoned, match="worker 1"):
        first.added(np.zeros(3))


def test_who_waits_is_told_that_it_is_over(tmp_path):
    first, _ = team(tmp_path / "team", 2)
    with ThreadPoolExecutor(1) as pool:
        waits = pool.submit(first.added, np.zeros(3))
        SharedFile.abandon(tmp_path / "team")
        with pytest.raises(Abandoned):
            waits.result()


def test_parts_are_all_rows_once():
    for n_rows in (0, 1, 7, 100):
        for size in (1, 2, 3, 8):
            parts = [part_of(n_rows, rank, size) for rank in range(size)]
            assert parts[0][0] == 0
            assert parts[-1][1] == n_rows
            assert all(one[1] == other[0] for one, other in pairwise(parts))
            assert max(last - first for first, last in parts) <= -(-n_rows // size)


def test_one_worker_keeps_what_it_has():
    assert Lonely().part_of(5) == (0, 5)
    assert [value.tolist() for value in Lonely().added(np.ones(2))] == [[1.0, 1.0]]


def test_shared_files_are_in_memory_only_where_there_is_room(tmp_path):
    """In a container it often is 64 MB, and a process that writes more into a map of it is killed."""
    assert processes._has_room(tmp_path, 1)
    assert not processes._has_room(tmp_path, 10**18)
    assert not processes._has_room(tmp_path / "missing", 1)
    sizes = processes._n_bytes((np.zeros(3), (np.zeros(2), np.zeros(1))))
    assert sizes == 48


def test_an_error_that_cannot_be_sent_is_told_in_words():
    class Odd(Exception):
        def __init__(self, one, two):
            super().__init__(f"{one} and {two}")

    assert str(that_can_be_sent(Odd(1, 2))) == "Odd: 1 and 2"
    error = ValueError("wrong")
    assert that_can_be_sent(error) is error
