"""benchmarks/speed/solvers.py: the least number of iterations."""

from types import SimpleNamespace

import pytest

solvers = pytest.importorskip("solvers", reason="without benchmarks/speed")
Task = pytest.importorskip("task").Task


@pytest.mark.parametrize("least", [1, 2, 3, 40, 66, 90, 1000, 1400])
def test_the_least_length_is_found_to_a_thirty_second(least, monkeypatch):
    monkeypatch.setattr(solvers, "objective", lambda model, task: 1.0 / model)
    rival = SimpleNamespace(fit=lambda task: task.length)
    coarse = min(int(length) for length in solvers.LENGTHS if length >= least)
    found = solvers.refined(rival, Task("objective", None, None, length=coarse), 1.0 / least).length
    assert least <= found <= least + max(0, found // 32)
