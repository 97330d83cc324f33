"""Wrong input: an error that names the culprit, before any work, and a model that stays as it was."""

import numpy as np
import pytest
import scipy.sparse as sp

from minibatch import MiniBatchSGDClassifier, MiniBatchSGDRegressor
from references.refusals import assert_refuses

rng = np.random.default_rng(0)
X = rng.standard_normal((30, 3))
y = rng.standard_normal(30)
labels = np.arange(30) % 3
BOTH = pytest.mark.parametrize("estimator", [MiniBatchSGDClassifier, MiniBatchSGDRegressor])

WRONG_PARAMETERS = [
    *(("batch_size", value) for value in (0, -1, 1.5, 0.0, None, "all", np.nan)),
    *((name, "nonsense") for name in ("loss", "penalty", "solver", "learning_rate", "last_batch")),
    ("alpha", -1e-3),
    ("alpha", np.nan),
    ("eta0", 0.0),
    ("eta0", -0.1),
    ("eta0", np.nan),
    ("momentum", 1.0),
    ("beta_1", 1.0),
    ("beta_2", -0.1),
    ("adam_epsilon", 0.0),
    ("l1_ratio", 1.5),
    ("max_iter", 0),
    ("max_updates", 0),
    ("evaluate_every", 0),
    ("n_iter_no_change", 0),
    ("tol", -1.0),
    ("average", -1),
    ("validation_fraction", 1.0),
    ("shuffle", "no"),
    ("random_state", "seed"),
]
WRONG_OF_ONE = [
    (MiniBatchSGDClassifier, "multi_class", "all"),
    (MiniBatchSGDClassifier, "class_weight", "fair"),
    (MiniBatchSGDClassifier, "loss", "poisson"),
    (MiniBatchSGDRegressor, "loss", "hinge"),
    (MiniBatchSGDRegressor, "quantile", 1.0),
]


def fitted(estimator, **parameters):
    model = estimator(tol=None, max_iter=2, random_state=0, **parameters)
    return model.fit(X, target_of(estimator))


def target_of(estimator):
    return labels if estimator is MiniBatchSGDClassifier else y


@BOTH
@pytest.mark.parametrize(("name", "value"), WRONG_PARAMETERS)
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_wrong_parameter(estimator, name, value, method):
    model = fitted(estimator).set_params(**{name: value})
    assert_refuses(model, lambda: getattr(model, method)(X, target_of(estimator)), repr(name), repr(value))


@BOTH
def test_a_number_in_the_place_of_a_schedule_is_told_where_it_goes(estimator):
    model = fitted(estimator).set_params(learning_rate=0.1)
    assert_refuses(model, lambda: model.fit(X, target_of(estimator)), "learning_rate", "0.1", "a number goes into eta0")


@pytest.mark.parametrize(("estimator", "name", "value"), WRONG_OF_ONE)
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_wrong_parameter_of_one_estimator(estimator, name, value, method):
    model = fitted(estimator).set_params(**{name: value})
    assert_refuses(model, lambda: getattr(model, method)(X, target_of(estimator)), repr(name), repr(value))


@pytest.mark.parametrize("estimator", [MiniBatchSGDClassifier(), MiniBatchSGDRegressor()], ids=str)
def test_nothing_is_set_by_a_first_fit_that_fails(estimator):
    before = set(vars(estimator))
    with pytest.raises(ValueError, match="NaN"):
        estimator.fit(np.full((4, 2), np.nan), [0, 1, 0, 1])
    assert set(vars(estimator)) == before


@BOTH
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize("layout", [np.array, sp.csr_array])
def test_nan_and_infinity_in_x(estimator, bad, method, layout):
    model, wrong = fitted(estimator), X.copy()
    wrong[3, 1] = bad
    word = "NaN" if np.isnan(bad) else "infinity"
    assert_refuses(model, lambda: getattr(model, method)(layout(wrong), target_of(estimator)), "X", word)


@BOTH
@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_nan_and_infinity_in_y(estimator, bad, method):
    model, wrong = fitted(estimator), target_of(estimator).astype(float)
    wrong[3] = bad
    assert_refuses(model, lambda: getattr(model, method)(X, wrong), "y")


WRONG_WEIGHTS = [
    (np.r_[-1.0, np.ones(29)], "egative"),
    (np.zeros(30), "zero"),
    (np.r_[np.nan, np.ones(29)], "NaN"),
    (np.r_[np.inf, np.ones(29)], "infinity"),
    (np.ones(29), "29"),
    (np.ones((30, 2)), "1D"),
]


@BOTH
@pytest.mark.parametrize(("weight", "word"), WRONG_WEIGHTS, ids=[word for _, word in WRONG_WEIGHTS])
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_wrong_sample_weight(estimator, weight, word, method):
    model = fitted(estimator)
    call = getattr(model, method)
    assert_refuses(model, lambda: call(X, target_of(estimator), sample_weight=weight), word, "weight")


@pytest.mark.parametrize(
    "X_bad", [X[:, :2], X[:29], X[0], X[:, :0], X[:0]], ids=["width", "length", "1d", "no columns", "no rows"]
)
@BOTH
def test_wrong_shape_of_x(estimator, X_bad):
    model = fitted(estimator)
    assert_refuses(model, lambda: model.partial_fit(X_bad, target_of(estimator)))


def test_one_class():
    model = fitted(MiniBatchSGDClassifier)
    assert_refuses(model, lambda: model.fit(X, np.zeros(30)), "greater than one", "got 1 class")


def test_partial_fit_without_classes():
    with pytest.raises(ValueError, match="classes"):
        MiniBatchSGDClassifier().partial_fit(X, labels)


def test_unseen_classes_in_partial_fit():
    model = fitted(MiniBatchSGDClassifier)
    assert_refuses(model, lambda: model.partial_fit(X, labels + 1), "labels", "[3]")
    assert_refuses(model, lambda: model.partial_fit(X, labels, classes=[0, 1, 2, 3]), "classes")


def test_continuous_labels():
    model = fitted(MiniBatchSGDClassifier)
    assert_refuses(model, lambda: model.fit(X, y), "continuous")


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize("wrong", [-1e-9, 1.5])
def test_shares_outside_of_0_and_1(wrong, method):
    good = np.linspace(0, 1, len(y))
    model = MiniBatchSGDRegressor("log_loss", max_iter=2, tol=None, random_state=0).fit(X, good)
    bad = good.copy()
    bad[7] = wrong
    assert_refuses(model, lambda: getattr(model, method)(X, bad), "loss='log_loss'", r"[0, 1]", str(wrong), "Divide")
    assert_refuses(model, lambda: model.fit(X, good, X_val=X, y_val=bad), "Validation set", "loss='log_loss'")


@pytest.mark.parametrize(("loss", "wrong"), [("poisson", -0.5), ("gamma", 0.0), ("gamma", -1.0)])
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_targets_outside_the_domain_of_the_loss(loss, wrong, method):
    good = np.abs(y) + 0.1
    model = MiniBatchSGDRegressor(loss, max_iter=2, tol=None, random_state=0).fit(X, good)
    bad = good.copy()
    bad[7] = wrong
    assert_refuses(model, lambda: getattr(model, method)(X, bad), f"loss='{loss}'", "y >", str(wrong))


def test_zero_is_a_count():
    assert MiniBatchSGDRegressor("poisson", max_iter=2, tol=None).fit(X, np.zeros(30)).status_ == "max_iter"


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
    ):
        assert_refuses(model, lambda v=validation: model.fit(X, target, **v), *named)


def test_weights_without_a_validation_set():
    model = fitted(MiniBatchSGDRegressor)
    assert_refuses(model, lambda: model.fit(X, y, sample_weight_val=np.ones(3)), "sample_weight_val")


def test_validation_labels_unseen_in_training():
    model = fitted(MiniBatchSGDClassifier)
    assert_refuses(model, lambda: model.fit(X, labels, X_val=X, y_val=labels + 1), "Validation set", "labels", "3")


@BOTH
def test_early_stopping_in_partial_fit(estimator):
    model = fitted(estimator).set_params(early_stopping=True)
    assert_refuses(model, lambda: model.partial_fit(X, target_of(estimator)), "early_stopping", "partial_fit")


def test_combinations_of_parameters():
    for parameters, named in (
        ({"multi_class": "multinomial", "loss": "hinge"}, ("multinomial", "log_loss", "'hinge'")),
        ({"learning_rate": "optimal", "alpha": 0}, ("alpha", "optimal")),
        ({"penalty": "elasticnet", "l1_ratio": None}, ("l1_ratio", "elasticnet", "None")),
    ):
        model = fitted(MiniBatchSGDClassifier).set_params(**parameters)
        assert_refuses(model, lambda m=model: m.fit(X, labels), *named)


def test_balanced_classes_in_partial_fit():
    model = fitted(MiniBatchSGDClassifier, class_weight="balanced")
    assert_refuses(model, lambda: model.partial_fit(X, labels), "class_weight", "balanced")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("coef_init", np.ones(4)),
        ("coef_init", np.full(3, np.nan)),
        ("intercept_init", np.ones(2)),
        ("intercept_init", [np.inf]),
    ],
)
def test_wrong_start(name, value):
    model = fitted(MiniBatchSGDRegressor)
    assert_refuses(model, lambda: model.fit(X, y, **{name: value}), name)


def test_number_of_outputs_changes_between_chunks():
    model = fitted(MiniBatchSGDRegressor)
    assert_refuses(model, lambda: model.partial_fit(X, np.c_[y, y]), "y", "(2,)")


class Failing:
    """A callback that raises at the end of the second epoch."""

    torn_down = 0

    def setup(self, estimator, context): ...

    def teardown(self, estimator, context):
        Failing.torn_down += 1

    def on_fit_task_begin(self, estimator, context): ...

    def on_fit_task_end(self, estimator, context):
        if context.task_id == 1:
            raise RuntimeError("callback failed")


def test_a_callback_that_raises():
    model = fitted(MiniBatchSGDRegressor, warm_start=True)
    coef, attributes = model.coef_.copy(), {name for name in vars(model) if name.endswith("_")}
    model.set_callbacks(Failing())
    with pytest.raises(RuntimeError, match="callback failed"):
        model.fit(X, y)
    assert np.array_equal(model.coef_, coef)
    assert {name for name in vars(model) if name.endswith("_")} == attributes
    assert model.history_.n_epochs == 2
    assert Failing.torn_down == 1


@pytest.mark.parametrize("method", ["predict", "score"])
@BOTH
def test_predicting_before_fitting(estimator, method):
    with pytest.raises(ValueError, match="not fitted"):
        getattr(estimator(), method)(*((X,) if method == "predict" else (X, target_of(estimator))))


def test_probabilities_of_a_loss_without_any():
    model = fitted(MiniBatchSGDClassifier)
    assert not hasattr(model, "predict_proba")
    with pytest.raises(AttributeError, match="predict_proba"):
        model.predict_proba(X)
