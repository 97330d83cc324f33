"""Epochs of the main kernels: pytest benchmarks/kernels --benchmark-only

``--benchmark-autosave`` keeps what was measured, ``--benchmark-compare`` compares with it on the same machine;
`gate.py` compares two versions by turns.
"""

import warnings

import pytest
from sklearn.exceptions import ConvergenceWarning
from tasks import N_EPOCHS, TASKS, rows

import minibatch


@pytest.mark.parametrize("name", TASKS)
def test_epochs(benchmark, name):
    kind, parameters, of = TASKS[name]
    model = getattr(minibatch, kind)(**parameters)
    benchmark.extra_info["epochs"] = N_EPOCHS
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        benchmark.pedantic(model.fit, rows(of), rounds=10, warmup_rounds=1)
