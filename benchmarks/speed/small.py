"""Small data, where what Python does around an epoch takes longer than the epoch: scikit-learn's own data sets, its
classes beside ours. Fits of ``EPOCHS``; and calls on a few rows, of a model that is trained.

SGDClassifier and SGDRegressor go row by row: their time is the same beside every batch size. "Default rates" are
``learning_rate="auto"`` here; there "optimal", "invscaling", and Adam's for networks.
"""

import time
import warnings
from functools import partial

import numpy as np
from measure import compared, in_turns
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris, load_wine
from sklearn.linear_model import SGDClassifier, SGDRegressor
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import scale
from tables import Table

EPOCHS, BATCH_SIZES, N_FEW, N_UNITS, RATE = 200, (1, 32), 32, 100, 1e-3
ROUNDS, SECONDS_OF_A_TURN = 9, 0.05
DATA = {"iris": load_iris, "wine": load_wine, "breast cancer": load_breast_cancer, "diabetes": load_diabetes}
CONSTANT = {"learning_rate": "constant", "eta0": RATE}
RATES = {"constant rate": CONSTANT, "default rates": {}}


def mean_seconds(call):
    """Of as many calls as take a moment."""
    start, n = time.perf_counter(), 0
    while n == 0 or time.perf_counter() - start < SECONDS_OF_A_TURN:
        call()
        n += 1
    return (time.perf_counter() - start) / n


def _row(data, at, ours, theirs):
    """``ours`` and ``theirs`` are called."""
    calls = {"ours": ours, "scikit-learn": theirs}
    for call in calls.values():
        call()  # compiles
    seconds = in_turns({name: partial(mean_seconds, call) for name, call in calls.items()}, 0, least=ROUNDS)
    return {"data": data, "at": at, "yardsticks": {}, **compared(seconds, 1e3), "not installed": []}


def _fits(data, X, y):
    from minibatch import MiniBatchSGDClassifier, MiniBatchSGDRegressor

    classes = (MiniBatchSGDClassifier, SGDClassifier), (MiniBatchSGDRegressor, SGDRegressor)
    ours, theirs = classes[data == "diabetes"]
    common = {"max_iter": EPOCHS, "tol": None, "random_state": 0}
    for name, rate in RATES.items():
        for batch_size in BATCH_SIZES:
            models = ours(batch_size=batch_size, **rate, **common), theirs(**rate, **common)
            yield _row(f"{data}, {EPOCHS} epochs, {name}", batch_size, *(partial(model.fit, X, y) for model in models))


def _few_rows(X, y):
    """One row predicted, and a few trained on."""
    from minibatch import MiniBatchMLPClassifier, MiniBatchSGDClassifier

    linear, networks = (MiniBatchSGDClassifier, SGDClassifier), (MiniBatchMLPClassifier, MLPClassifier)
    units = {"hidden_layer_sizes": (N_UNITS,)}
    for data, kinds, options in (
        ("linear, constant rate", linear, CONSTANT),
        ("linear, default rates", linear, {}),
        ("linear, default rates, random_state=None", linear, {"random_state": None}),
        ("network, constant rate", networks, units | {"learning_rate": "constant"}),
        ("network, default rates", networks, units),
    ):
        ours, theirs = (kind(**{"random_state": 0} | options).partial_fit(X, y, classes=np.unique(y)) for kind in kinds)
        row, few = X[:1], (X[:N_FEW], y[:N_FEW])
        yield _row(data, "predict, 1 row", partial(ours.predict, row), partial(theirs.predict, row))
        yield _row(
            data, f"partial_fit, {N_FEW} rows", partial(ours.partial_fit, *few), partial(theirs.partial_fit, *few)
        )


def small(pace):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # rates that are as they come
        for name, load in list(DATA.items())[: pace.sources]:
            X, y = load(return_X_y=True)
            yield from _fits(name, scale(X), y)
        X, y = load_breast_cancer(return_X_y=True)
        yield from _few_rows(scale(X), y)


TABLES = [
    Table("small", "Small data: fits, and calls on a few rows", "ms", small, over="batch size, or call", draw=None)
]
