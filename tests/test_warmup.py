"""``python -m minibatch warmup``: later fits compile nothing."""

import subprocess
import sys
from itertools import product

import numpy as np
import pytest
import scipy.sparse as sp

from minibatch import MiniBatchMLPClassifier, MiniBatchMLPRegressor, MiniBatchSGDClassifier, MiniBatchSGDRegressor
from minibatch.__main__ import main
from minibatch.engine import linear, mlp, mlp_by_inputs, sgd, sparse_sgd
from minibatch.engine.compile import COMPILED

pytestmark = pytest.mark.skipif(not COMPILED, reason="nothing is compiled with NUMBA_DISABLE_JIT=1")

LINEAR = [
    {},
    {"batch_size": 1},
    {"batch_size": "full", "evaluate_every": 1},
    {"penalty": "elasticnet", "average": True},
    {"solver": "momentum", "early_stopping": True},
    {"batch_size": 1, "average": 3},
]
NETWORK = [
    {},
    {"batch_size": 1, "solver": "sgd"},
    {"batch_size": 4, "hidden_layer_sizes": (250, 200)},
    {"early_stopping": True, "evaluate_every": 1},
    {"solver": "lbfgs"},
]
KINDS = [
    *product([MiniBatchSGDClassifier, MiniBatchSGDRegressor], LINEAR),
    *product([MiniBatchMLPClassifier, MiniBatchMLPRegressor], NETWORK),
]


ENGINES = (linear, mlp, mlp_by_inputs, sgd, sparse_sgd)


def compiled():
    entries = [entry for module in ENGINES for entry in vars(module).values()]
    return {entry: len(entry.signatures) for entry in entries if hasattr(entry, "signatures")}


def rows_of(dtype, sparse, n=60):
    X = np.random.default_rng(0).standard_normal((n, 4)).astype(dtype)
    return sp.csr_array(X) if sparse else X


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("sparse", [False, True])
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
            kind(max_iter=2, random_state=0, **parameters).fit(X, y, sample_weight=weight).predict(X)
    assert compiled() == before


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
