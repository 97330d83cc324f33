"""_training.loop: several epochs in one call of compiled code are the same epochs, one by one."""

from unittest.mock import patch

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.datasets import load_iris

from minibatch import MiniBatchSGDClassifier, MiniBatchSGDRegressor
from minibatch._training import loop
from minibatch.history import History
from minibatch.schedules._named import SCHEDULES

X, LABELS = load_iris(return_X_y=True)
X = (X - X.mean(axis=0)) / X.std(axis=0)
TARGET = X @ [1.0, -2.0, 0.5, 0.1] + np.random.default_rng(0).standard_normal(150)
CONSTANT = {"learning_rate": "constant", "tol": None}

RUNS = {
    "default": {},
    "default, to the end": {"tol": None},
    "single rows": {"batch_size": 1},
    "single rows, softmax or l1": {"batch_size": 1, "penalty": "l1"},
    "single rows, as scikit-learn ends": {"batch_size": 1, "learning_rate": "constant"},
    "adaptive": {"batch_size": 1, "learning_rate": "adaptive"},
    "single rows, averaged": {"batch_size": 1, "average": True, **CONSTANT},
    "batches, averaged from the third epoch": {"average": 400, **CONSTANT},
    "full batch": {"batch_size": "full", "learning_rate": "constant"},
    "the last batch dropped": {"batch_size": 40, "last_batch": "drop", **CONSTANT},
    "in blocks": {"shuffle": "block", **CONSTANT},
    "elastic net": {"penalty": "elasticnet", "l1_ratio": 0.3, **CONSTANT},
    "adam, a budget of updates": {"solver": "adam", "max_updates": 333, **CONSTANT},
    "schedule-free": {"solver": "schedule_free_sgd", **CONSTANT},
    "evaluated": {"evaluate_every": 7, **CONSTANT},
    "warm-up": {"warmup": 2.5, **CONSTANT},
    "diverging": {"eta0": 1e3, "batch_size": 3, **CONSTANT},
    "leaving float32": {
        "learning_rate": "triangular",
        "max_eta": 1e27,
        "cycle_length": 20,
        "n_iter_no_change": 60,
        "tol": None,
    },
    **{name: {"learning_rate": name, "tol": None} for name in sorted({*SCHEDULES} - {"constant", "adaptive", "dowg"})},
}


def fitted(model, X, y, *, one_by_one):
    """The model, and how many epochs were asked for at a time."""
    asked, choose = [], loop._n_unwatched

    def n_unwatched(*args):
        asked.append(1 if one_by_one else choose(*args))
        return asked[-1]

    with patch.object(loop, "_n_unwatched", n_unwatched):
        return model.fit(X, y), asked


def assert_same(model, other):
    assert (model.status_, model.n_iter_, model.n_updates_) == (other.status_, other.n_iter_, other.n_updates_)
    assert_array_equal(model.coef_, other.coef_)
    assert_array_equal(model.intercept_, other.intercept_)
    assert list(model.history_) == list(other.history_)
    for name in model.history_:
        if name != "seconds":
            assert_array_equal(model.history_[name], other.history_[name], err_msg=name)
    assert (np.diff(model.history_["seconds"]) > 0).all()


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(
    ("make", "y"), [(MiniBatchSGDClassifier, LABELS), (MiniBatchSGDRegressor, TARGET)], ids=["classes", "target"]
)
@pytest.mark.parametrize("options", RUNS.values(), ids=RUNS)
def test_models_histories_and_ends_are_the_same_to_the_last_digit(options, make, y, dtype):
    model, other = (make(random_state=0, **{"max_iter": 60, **options}) for _ in range(2))
    fitted(other, X.astype(dtype), y, one_by_one=True)
    assert max(fitted(model, X.astype(dtype), y, one_by_one=False)[1]) > 1
    assert_same(model, other)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_weights_several_outputs_and_a_second_fit():
    weight, y = np.random.default_rng(1).uniform(0.5, 2.0, 150), np.stack([TARGET, X[:, 0]], axis=1)
    model, other = (
        MiniBatchSGDRegressor(max_iter=30, warm_start=True, penalty=None, random_state=0, **CONSTANT) for _ in range(2)
    )
    for _ in range(2):
        model.fit(X, y, sample_weight=weight)
        with patch.object(loop, "_n_unwatched", lambda *args: 1):
            other.fit(X, y, sample_weight=weight)
    assert_same(model, other)


@pytest.mark.parametrize(
    "options",
    [{"early_stopping": True}, {"batch_growth": 2.0, "batch_growth_interval": 3}, {"verbose": 1}],
    ids=lambda options: next(iter(options)),
)
def test_one_epoch_at_a_time_where_something_looks(options, capsys):
    model = MiniBatchSGDRegressor(max_iter=5, random_state=0, **CONSTANT, **options)
    _, asked = fitted(model, X, TARGET, one_by_one=False)
    assert set(asked) <= {1}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_large_data_are_trained_epoch_by_epoch():
    rows = np.random.default_rng(0).standard_normal((20_000, 20))
    model = MiniBatchSGDRegressor(max_iter=3, tol=None, random_state=0)
    _, asked = fitted(model, rows, rows[:, 0], one_by_one=False)
    assert asked == [1, 1, 1]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_an_epoch_that_is_not_finite_is_the_last_and_leaves_the_parameters_before_it():
    model = MiniBatchSGDRegressor(max_iter=60, random_state=0, **RUNS["leaving float32"])
    _, asked = fitted(model, X.astype(np.float32), TARGET, one_by_one=False)
    objectives = model.history_["progressive_objective"]
    assert model.status_ == "diverged"
    assert 1 < model.n_iter_ == len(objectives) < asked[0]
    assert np.isnan(objectives[-1])
    assert not np.isnan(objectives[:-1]).any()
    before = MiniBatchSGDRegressor(max_iter=model.n_iter_ - 1, random_state=0, **RUNS["leaving float32"])
    assert_array_equal(before.fit(X.astype(np.float32), TARGET).coef_, model.coef_)


def test_columns_are_added_as_rows_are():
    whole, rows = History(), History()
    columns = {"epoch": [1, 2, 3], "loss": [0.5, np.nan, 0.25], "mixed": [1, 2.5, 3]}
    for history in (whole, rows):
        history.append(epoch=0, score=1.0)
    whole.add(columns)
    for i in range(3):
        rows.append(**{name: values[i] for name, values in columns.items()})
    assert whole == rows
    assert whole.n_epochs == 4
