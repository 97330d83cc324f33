"""``python -m minibatch warmup``: later fits compile nothing."""

import subprocess
import sys
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

from minibatch import (
    MiniBatchMLPClassifier,
    MiniBatchMLPRegressor,
    MiniBatchSGDClassifier,
    MiniBatchSGDOneClassSVM,
    MiniBatchSGDRegressor,
)
from minibatch.__main__ import main
from minibatch.engine import linear, mlp, mlp_by_inputs, sgd, sparse_sgd, variance_reduced, variance_reduced_sparse
from minibatch.engine.compile import COMPILED

pytestmark = pytest.mark.skipif(not COMPILED, reason="nothing is compiled with NUMBA_DISABLE_JIT=1")

LINEAR = [
    {},
    {"batch_size": 1},
    {"batch_size": "full", "evaluate_every": 1},
    {"penalty": "elasticnet", "average": True},
    {"solver": "momentum", "early_stopping": True},
    {"batch_size": 1, "average": 3},
    {"learning_rate": "constant", "batch_size": 8},
    {"solver": "saga", "batch_size": 4},
]
NETWORK = [
    {},
    {"batch_size": 1, "solver": "sgd"},
    {"batch_size": 4, "hidden_layer_sizes": (250, 200)},
    {"early_stopping": True, "evaluate_every": 1},
    {"solver": "lbfgs"},
    {"batch_normalization": True},
    {
        "batch_normalization": True,
        "batch_size": 8,
        "ghost_batch_size": 4,
        "learning_rate": "constant",
        "average": "ema",
    },
]
LOG_LOSS = [{"loss": "log_loss"} | parameters for parameters in LINEAR]
KINDS = [
    *product([MiniBatchSGDClassifier, MiniBatchSGDRegressor], LINEAR),
    *product([MiniBatchSGDClassifier], LOG_LOSS),
    *product([MiniBatchSGDClassifier], [{"multi_class": "multinomial"} | parameters for parameters in LOG_LOSS]),
    *product([MiniBatchMLPClassifier, MiniBatchMLPRegressor], NETWORK),
    (MiniBatchMLPRegressor, {"loss": "log_loss"}),
]


ENGINES = (linear, mlp, mlp_by_inputs, sgd, sparse_sgd, variance_reduced, variance_reduced_sparse)


def compiled():
    entries = [entry for module in ENGINES for entry in vars(module).values()]
    return {entry: len(entry.signatures) for entry in entries if hasattr(entry, "signatures")}


def rows_of(dtype, sparse, n=60):
    X = np.random.default_rng(0).standard_normal((n, 4)).astype(dtype)
    return sp.csr_array(X) if sparse else X


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("sparse", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_later_fits_compile_nothing(capsys, sparse):
    main(["warmup", *(["--sparse"] if sparse else [])])
    told, before = capsys.readouterr().out, compiled()
    assert told.startswith("float64, dense rows\n  linear, batches of one row")
    assert ("CSR" in told) == sparse
    assert sum(before.values()) > 0
    X, classes = rows_of("float64", sparse), np.arange(60) % 3
    for kind, parameters in KINDS:
        for y in (classes, classes > 0) if "Classifier" in kind.__name__ else (np.sin(classes), np.eye(3)[classes]):
            weight = np.linspace(0.5, 1, 60)
            use(kind(max_iter=2, random_state=0, **parameters).fit(X, y, sample_weight=weight), X, y)
    for parameters in ({}, {"batch_size": 1}, {"batch_size": 1, "average": True}, {"solver": "adam"}):
        MiniBatchSGDOneClassSVM(max_iter=2, random_state=0, **parameters).fit(X).predict(X)
        if "solver" not in parameters:
            passive = MiniBatchSGDClassifier("hinge", learning_rate="pa2", max_iter=2, **parameters)
            use(passive.fit(X, classes > 0), X, classes > 0)
    assert compiled() == before


def use(model, X, y):
    model.score(X, y)
    for name in ("predict", "predict_proba", "decision_function"):
        if hasattr(model, name):
            getattr(model, name)(X)


ROOT = Path(__file__).parents[1]
NEW_PROCESS = """
import sys, warnings
import numpy as np, scipy.sparse as sp
from tests.test_warmup import ENGINES, rows_of, use
from minibatch import MiniBatchMLPClassifier, MiniBatchMLPRegressor, MiniBatchSGDClassifier, MiniBatchSGDRegressor

warnings.simplefilter("ignore")
dtype, sparse = sys.argv[1], sys.argv[2] == "sparse"
X, y = rows_of(dtype, sparse), np.arange(60) % 3
for kind in (MiniBatchSGDClassifier, MiniBatchSGDRegressor, MiniBatchMLPClassifier, MiniBatchMLPRegressor):
    use(kind(random_state=0, max_iter=20).fit(X, y), X, y)
entries = [entry for module in ENGINES for entry in vars(module).values() if hasattr(entry, "stats")]
print(sum(len(entry.stats.cache_hits) for entry in entries), sum(len(entry.stats.cache_misses) for entry in entries))
"""


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("rows", ["dense", "sparse"])
def test_a_new_process_compiles_nothing_for_fits_of_defaults_and_predictions(capsys, dtype, rows):
    main(["warmup", "--dtype", dtype, *(["--sparse"] if rows == "sparse" else [])])
    capsys.readouterr()
    arguments = [sys.executable, "-c", NEW_PROCESS, dtype, rows]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True, cwd=ROOT)
    hits, misses = map(int, done.stdout.split())
    assert hits > 0
    assert misses == 0


def test_help_and_wrong_calls(capsys):
    for arguments, told in (([], "required: command"), (["warmup", "--dtype", "int8"], "invalid choice: 'int8'")):
        with pytest.raises(SystemExit, match="2"):
            main(arguments)
        assert told in capsys.readouterr().err
    with pytest.raises(SystemExit, match="0"):
        main(["warmup", "--help"])
    assert "NUMBA_CACHE_DIR" in capsys.readouterr().out


def test_without_a_cache_there_is_nothing_to_warm(monkeypatch):
    monkeypatch.setenv("MINIBATCH_NUMBA_CACHE", "0")
    done = subprocess.run([sys.executable, "-m", "minibatch", "warmup"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "nothing is kept: unset MINIBATCH_NUMBA_CACHE" in done.stderr
