"""neural_network, wrong input: an error that names the culprit, before any work, and a model that stays as it was."""

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.exceptions import ConvergenceWarning

from minibatch import MiniBatchMLPClassifier, MiniBatchMLPRegressor
from references.refusals import assert_refuses

rng = np.random.default_rng(0)
X = rng.standard_normal((31, 3))
y = rng.standard_normal(31)
labels = np.arange(31) % 3
BOTH = pytest.mark.parametrize("estimator", [MiniBatchMLPClassifier, MiniBatchMLPRegressor])
METHODS = pytest.mark.parametrize("method", ["fit", "partial_fit"])

WRONG_PARAMETERS = [
    *(("batch_size", value) for value in (0, -1, 1.5, 0.0, None, "all", np.nan)),
    *((name, "nonsense") for name in ("activation", "solver", "learning_rate", "last_batch", "batch_normalization")),
    *(("hidden_layer_sizes", value) for value in (0, -1, 2.5, (), [], (4, 0), (4, -2), (4.0,), (4, 2.5), ("4",))),
    ("hidden_layer_sizes", None),
    ("hidden_layer_sizes", ((4, 3), (2, 2))),
    ("learning_rate", "optimal"),
    ("learning_rate_init", 0.0),
    ("learning_rate_init", -0.1),
    ("learning_rate_init", np.nan),
    ("alpha", -1e-3),
    ("alpha", np.nan),
    ("momentum", 1.5),
    ("momentum", -0.1),
    ("nesterovs_momentum", "no"),
    ("beta_1", 1.0),
    ("beta_2", -0.1),
    ("epsilon", 0.0),
    ("power_t", -1.0),
    *(("ghost_batch_size", value) for value in (0, 1, -2, 2.5, "auto")),
    *(("average", value) for value in (-1, 0, 1.5, "mean", None)),
    *(("average_half_life", value) for value in (0.0, -1.0, np.inf, np.nan, "epoch")),
    ("dropout", 1.0),
    ("dropout", -0.1),
    ("dropout", np.nan),
    ("max_iter", 0),
    ("max_fun", 0),
    ("max_updates", 0),
    ("evaluate_every", 0),
    ("n_iter_no_change", 0),
    ("tol", -1.0),
    ("validation_fraction", 1.0),
    ("shuffle", "no"),
    ("random_state", "seed"),
]
WRONG_OF_ONE = [
    (MiniBatchMLPClassifier, "class_weight", "fair"),
    (MiniBatchMLPRegressor, "loss", "hinge"),
    (MiniBatchMLPRegressor, "loss", "gamma"),
]


def target_of(estimator):
    return labels if estimator is MiniBatchMLPClassifier else y


def new(estimator, **parameters):
    return estimator(**{"hidden_layer_sizes": (3,), "tol": None, "max_iter": 2, "random_state": 0, **parameters})


def fitted(estimator, **parameters):
    return new(estimator, **parameters).fit(X, target_of(estimator))


# ---------------------------------------------------------------------- parameters


@BOTH
@pytest.mark.parametrize(("name", "value"), WRONG_PARAMETERS)
@METHODS
def test_wrong_parameter(estimator, name, value, method):
    model = fitted(estimator).set_params(**{name: value})
    assert_refuses(model, lambda: getattr(model, method)(X, target_of(estimator)), name, repr(value))


@BOTH
def test_a_number_in_the_place_of_a_schedule_is_told_where_it_goes(estimator):
    model = fitted(estimator).set_params(learning_rate=0.1)
    named = ("learning_rate", "0.1", "a number goes into learning_rate_init")
    assert_refuses(model, lambda: model.fit(X, target_of(estimator)), *named)


@pytest.mark.parametrize(("estimator", "name", "value"), WRONG_OF_ONE)
@METHODS
def test_wrong_parameter_of_one_estimator(estimator, name, value, method):
    model = fitted(estimator).set_params(**{name: value})
    assert_refuses(model, lambda: getattr(model, method)(X, target_of(estimator)), name, repr(value))


@BOTH
@pytest.mark.parametrize(("name", "value"), [("dropout", 0.5), ("batch_normalization", True)])
def test_lbfgs_with_what_changes_the_objective(estimator, name, value):
    model = fitted(estimator, solver="lbfgs").set_params(**{name: value})
    assert_refuses(model, lambda: model.fit(X, target_of(estimator)), name, "lbfgs")


@BOTH
def test_lbfgs_has_no_partial_fit(estimator):
    model = fitted(estimator, solver="lbfgs")
    assert not hasattr(model, "partial_fit")
    assert_refuses(model, lambda: model.partial_fit(X, target_of(estimator)), "partial_fit", error=AttributeError)
    assert hasattr(model.set_params(solver="adam"), "partial_fit")


@BOTH
def test_early_stopping_in_partial_fit(estimator):
    model = fitted(estimator).set_params(early_stopping=True)
    assert_refuses(model, lambda: model.partial_fit(X, target_of(estimator)), "early_stopping", "partial_fit")


def test_balanced_classes_in_partial_fit():
    model = fitted(MiniBatchMLPClassifier, class_weight="balanced")
    assert_refuses(model, lambda: model.partial_fit(X, labels), "class_weight", "balanced")


@BOTH
@pytest.mark.parametrize(
    "changes", [{"hidden_layer_sizes": (4,)}, {"hidden_layer_sizes": (3, 3)}, {"batch_normalization": True}], ids=str
)
@METHODS
def test_going_on_with_other_layers(estimator, changes, method):
    model = fitted(estimator, warm_start=True).set_params(**changes)
    assert_refuses(model, lambda: getattr(model, method)(X, target_of(estimator)), *changes, "warm_start")


# ---------------------------------------------------------------------- batch normalization: batches of one row


@BOTH
@pytest.mark.parametrize("normalization", [True, "input"])
def test_batch_normalization_refuses_batches_of_one_row(estimator, normalization):
    """31 rows: batches of 1, and of 6, 10 or 15 with one row left."""
    target = target_of(estimator)
    for batch_size in (1, 6, 10, 15):
        model = fitted(estimator).set_params(batch_size=batch_size, batch_normalization=normalization)
        named = ("batch_normalization", "batch_size") if batch_size == 1 else ("batch_normalization", "31", "drop")
        assert_refuses(model, lambda m=model: m.fit(X, target), *named)
        if batch_size > 1:
            assert model.set_params(last_batch="drop").fit(X, target).t_ == 60
    one = fitted(estimator, batch_normalization=normalization)
    assert_refuses(one, lambda: one.partial_fit(X[:1], target[:1]), "batch_normalization", "row")
    one.set_params(batch_size="full", last_batch="drop")
    assert_refuses(one, lambda: one.partial_fit(X[:1], target[:1]), "batch_normalization", "row")


@BOTH
def test_batches_of_one_row_that_only_the_validation_split_makes(estimator):
    """22 rows to train on, and 21."""
    model = fitted(estimator).set_params(
        batch_normalization=True, early_stopping=True, batch_size=7, validation_fraction=9 / 31
    )
    assert_refuses(model, lambda: model.fit(X, target_of(estimator)), "batch_normalization", "22")
    assert model.set_params(validation_fraction=10 / 31).fit(X, target_of(estimator)).status_ == "max_iter"


def test_normalization_of_sparse_inputs():
    model = fitted(MiniBatchMLPRegressor).set_params(batch_normalization="input")
    assert_refuses(model, lambda: model.fit(sp.csr_array(X), y), "batch_normalization", "input", "sparse")


# ---------------------------------------------------------------------- data


@pytest.mark.parametrize("estimator", [MiniBatchMLPClassifier(), MiniBatchMLPRegressor()], ids=str)
def test_nothing_is_set_by_a_first_fit_that_fails(estimator):
    before = set(vars(estimator))
    with pytest.raises(ValueError, match="NaN"):
        estimator.fit(np.full((4, 2), np.nan), [0, 1, 0, 1])
    with pytest.raises(ValueError, match="hidden_layer_sizes"):
        estimator.set_params(hidden_layer_sizes=()).fit(X, target_of(type(estimator)))
    assert set(vars(estimator)) == before


@BOTH
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@METHODS
@pytest.mark.parametrize("layout", [np.array, sp.csr_array])
def test_nan_and_infinity_in_x(estimator, bad, method, layout):
    model, wrong = fitted(estimator), X.copy()
    wrong[3, 1] = bad
    word = "NaN" if np.isnan(bad) else "infinity"
    assert_refuses(model, lambda: getattr(model, method)(layout(wrong), target_of(estimator)), "X", word)
    assert_refuses(model, lambda: model.predict(layout(wrong)), "X", word)


@BOTH
@pytest.mark.parametrize("bad", [np.nan, np.inf])
@METHODS
def test_nan_and_infinity_in_y(estimator, bad, method):
    model, wrong = fitted(estimator), target_of(estimator).astype(float)
    wrong[3] = bad
    assert_refuses(model, lambda: getattr(model, method)(X, wrong), "y")


WRONG_WEIGHTS = [
    (np.r_[-1.0, np.ones(30)], "egative"),
    (np.zeros(31), "zero"),
    (np.r_[np.nan, np.ones(30)], "NaN"),
    (np.r_[np.inf, np.ones(30)], "infinity"),
    (np.ones(30), "30"),
    (np.ones((31, 2)), "1D"),
]


@BOTH
@pytest.mark.parametrize(("weight", "word"), WRONG_WEIGHTS, ids=[word for _, word in WRONG_WEIGHTS])
@METHODS
def test_wrong_sample_weight(estimator, weight, word, method):
    model = fitted(estimator)
    call = getattr(model, method)
    assert_refuses(model, lambda: call(X, target_of(estimator), sample_weight=weight), word, "weight")


def test_class_weights_that_leave_no_row():
    model = fitted(MiniBatchMLPClassifier).set_params(class_weight={0: 0.0, 1: 0.0, 2: 0.0})
    assert_refuses(model, lambda: model.fit(X, labels), "weight", "zero")


@pytest.mark.parametrize(
    "X_bad", [X[:, :2], X[:30], X[0], X[:, :0], X[:0]], ids=["width", "length", "1d", "no columns", "no rows"]
)
@BOTH
def test_wrong_shape_of_x(estimator, X_bad):
    model = fitted(estimator)
    assert_refuses(model, lambda: model.partial_fit(X_bad, target_of(estimator)))


@pytest.mark.parametrize("target", [y[:30], np.ones((31, 2, 2)), np.array([])], ids=["length", "3d", "no rows"])
@BOTH
@METHODS
def test_wrong_shape_of_y(estimator, target, method):
    model = fitted(estimator)
    assert_refuses(model, lambda: getattr(model, method)(X, target))


@pytest.mark.parametrize("target", [np.c_[y, y], y[:, None]], ids=["2", "1"])
def test_number_of_outputs_changes_between_chunks(target):
    model = fitted(MiniBatchMLPRegressor)
    assert_refuses(model, lambda: model.partial_fit(X, target), "y", str(target.shape[1:]))


@METHODS
def test_counts_below_zero(method):
    good = np.abs(y)
    model = new(MiniBatchMLPRegressor, loss="poisson").fit(X, good)
    bad = good.copy()
    bad[7] = -0.5
    assert_refuses(model, lambda: getattr(model, method)(X, bad), "loss='poisson'", "y >", "-0.5")
    assert_refuses(model, lambda: model.fit(X, good, X_val=X, y_val=bad), "Validation set", "loss='poisson'", "-0.5")
    assert model.fit(X, np.zeros(31)).status_ == "max_iter"


# ---------------------------------------------------------------------- validation sets


@BOTH
def test_wrong_validation_sets(estimator):
    model, target = fitted(estimator), target_of(estimator)
    for named, validation in (
        (("Validation set", "features"), {"X_val": X[:, :2], "y_val": target}),
        (("Validation set",), {"X_val": X[:5], "y_val": target[:4]}),
        (("Validation set", "NaN"), {"X_val": np.full((2, 3), np.nan), "y_val": target[:2]}),
        (("Validation set", "weight"), {"X_val": X, "y_val": target, "sample_weight_val": np.ones(3)}),
        (("y_val", "missing"), {"X_val": X}),
        (("X_val", "missing"), {"y_val": target}),
        (("sample_weight_val", "missing"), {"sample_weight_val": np.ones(31)}),
    ):
        assert_refuses(model, lambda v=validation: model.fit(X, target, **v), *named)


def test_validation_labels_unseen_in_training():
    model = fitted(MiniBatchMLPClassifier)
    assert_refuses(model, lambda: model.fit(X, labels, X_val=X, y_val=labels + 1), "Validation set", "labels", "3")


def test_a_warm_start_with_another_number_of_features():
    model = fitted(MiniBatchMLPRegressor, warm_start=True)
    assert_refuses(model, lambda: model.fit(np.c_[X, X], y), "features")


@BOTH
def test_a_validation_set_of_one_row(estimator):
    model = fitted(estimator).set_params(early_stopping=True, validation_fraction=0.01)
    assert_refuses(model, lambda: model.fit(X, target_of(estimator)))


# ---------------------------------------------------------------------- failures during training


class Failing:
    """A callback that raises at the end of the second epoch."""

    def setup(self, estimator, context): ...

    def teardown(self, estimator, context): ...

    def on_fit_task_begin(self, estimator, context): ...

    def on_fit_task_end(self, estimator, context):
        if context.task_id == 1:
            raise RuntimeError("callback failed")


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_a_callback_that_raises(solver):
    model = fitted(MiniBatchMLPRegressor, solver=solver, warm_start=True)
    predictions, attributes = model.predict(X), {name for name in vars(model) if name.endswith("_")}
    model.set_callbacks(Failing())
    with pytest.raises(RuntimeError, match="callback failed"):
        model.fit(X, y)
    assert np.array_equal(model.predict(X), predictions)
    assert {name for name in vars(model) if name.endswith("_")} == attributes
    assert model.history_.n_epochs == 2


@METHODS
def test_a_divergence_names_the_rate(method):
    model = fitted(MiniBatchMLPRegressor, solver="sgd", learning_rate="constant")
    model.set_params(learning_rate_init=1e6, activation="identity", batch_size=1, max_iter=100)
    with pytest.warns(ConvergenceWarning, match="learning_rate_init"):
        getattr(model, method)(100 * X, y)
    assert model.status_ == "diverged"
    assert all(np.isfinite(part).all() for part in (*model.coefs_, *model.intercepts_))
    assert np.isfinite(model.predict(X)).all()


def test_a_divergence_of_lbfgs_is_not_blamed_on_a_rate_that_it_has_not():
    model = fitted(MiniBatchMLPRegressor, activation="identity").set_params(solver="lbfgs", warm_start=True)
    predictions = model.predict(X)
    with pytest.warns(ConvergenceWarning, match=r"\|x\|") as caught:
        model.fit(1e200 * X, y)
    assert model.status_ == "diverged"
    assert np.array_equal(model.predict(X), predictions)
    assert "learning_rate_init" not in str(caught[0].message)


@BOTH
def test_sparse_rows_to_predict_where_the_inputs_are_normalized(estimator):
    model = estimator(batch_normalization="input", hidden_layer_sizes=(3,), max_iter=2, tol=None).fit(X, labels)
    with pytest.raises(ValueError, match=r"batch_normalization='input'.*sparse"):
        model.predict(sp.csr_array(X))
