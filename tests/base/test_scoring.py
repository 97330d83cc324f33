"""``scoring``: what early stopping looks at, and what the column ``validation_score`` says."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import sklearn
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris, make_multilabel_classification
from sklearn.metrics import fbeta_score, get_scorer, log_loss, make_scorer, mean_absolute_error
from sklearn.model_selection import StratifiedKFold
from sklearn.preprocessing import scale
from sklearn.utils._param_validation import InvalidParameterError

from minibatch import (
    MiniBatchMLPClassifier,
    MiniBatchMLPRegressor,
    MiniBatchSGDClassifier,
    MiniBatchSGDOneClassSVM,
    MiniBatchSGDRegressor,
)
from minibatch.model_selection import MiniBatchGridSearchCV, convergence_curve, memory_required

CLASSIFIERS = (MiniBatchSGDClassifier, MiniBatchMLPClassifier)
EVERY = (*CLASSIFIERS, MiniBatchSGDRegressor, MiniBatchMLPRegressor)
ESTIMATORS = pytest.mark.parametrize("kind", EVERY, ids=lambda kind: kind.__name__)


def model_of(kind, **parameters):
    """A small model of its kind, with rates that are too high for a smooth path."""
    own = {"hidden_layer_sizes": (4,), "learning_rate_init": 0.02} if "MLP" in kind.__name__ else {"eta0": 0.05}
    if kind is MiniBatchSGDClassifier:
        own["loss"] = "log_loss"
    common = {"learning_rate": "constant", "batch_size": 16, "max_iter": 8, "random_state": 0}
    return kind(**own | common | parameters)


def data_of(kind, n=200):
    if kind in CLASSIFIERS:
        X, y = load_breast_cancer(return_X_y=True)
        return scale(X)[:n, :8], np.array(["benign", "malignant"])[y[:n]]
    X, y = load_diabetes(return_X_y=True)
    return scale(X)[:n], scale(y)[:n]


def split(X, y, n_out=60):
    return (X[n_out:], y[n_out:]), (X[:n_out], y[:n_out])


def after(model, n_epochs, X, y):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return clone(model).set_params(max_iter=n_epochs, tol=None, early_stopping=False, scoring=None).fit(X, y)


# ------------------------------------------------------------------------- what the score is


@ESTIMATORS
@pytest.mark.parametrize("weighted", [False, True])
def test_none_is_accuracy_or_r_squared(kind, weighted):
    X, y = data_of(kind)
    weight = np.random.default_rng(0).uniform(0.5, 2, len(y)) if weighted else None
    name = "accuracy" if kind in CLASSIFIERS else "r2"
    own, named = (
        model_of(kind, early_stopping=True, scoring=scoring).fit(X, y, sample_weight=weight) for scoring in (None, name)
    )
    assert_allclose(named.history_["validation_score"], own.history_["validation_score"], rtol=1e-12)
    assert (named.status_, named.n_iter_) == (own.status_, own.n_iter_)
    assert_array_equal(named.predict(X), own.predict(X))


@ESTIMATORS
def test_the_column_has_the_scores_of_the_models_that_epochs_left(kind):
    (X, y), (X_val, y_val) = split(*data_of(kind))
    name = "neg_log_loss" if kind in CLASSIFIERS else "neg_mean_absolute_error"
    model = model_of(kind, scoring=name, tol=None, max_iter=4).fit(X, y, X_val=X_val, y_val=y_val)
    expected = [get_scorer(name)(after(model, n, X, y), X_val, y_val) for n in range(1, 5)]
    assert_allclose(model.history_["validation_score"], expected, rtol=1e-10)


@pytest.mark.parametrize("kind", CLASSIFIERS)
@pytest.mark.parametrize("name", ["roc_auc_ovr", "f1_macro", "neg_log_loss"])
def test_several_classes(kind, name):
    X, y = load_iris(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(y))
    (X, y), (X_val, y_val) = split(scale(X)[order], np.array(["c", "a", "b"])[y[order]])
    model = model_of(kind, scoring=name, tol=None, max_iter=3).fit(X, y, X_val=X_val, y_val=y_val)
    assert_allclose(model.history_["validation_score"][-1], get_scorer(name)(model, X_val, y_val), rtol=1e-10)


@pytest.mark.parametrize("sparse", [False, True])
def test_several_labels_a_row(sparse):
    X, y = make_multilabel_classification(150, 6, n_classes=3, random_state=0)
    model = model_of(MiniBatchMLPClassifier, early_stopping=True, scoring="f1_micro", validation_fraction=0.3)
    model.fit(scale(X), sp.csr_array(y) if sparse else y)
    assert 0 < model.history_["validation_score"][-1] <= 1
    plain = model_of(MiniBatchMLPClassifier, early_stopping=True, validation_fraction=0.3).fit(scale(X), y)
    named = clone(plain).set_params(scoring="accuracy").fit(scale(X), y)
    assert_allclose(named.history_["validation_score"], plain.history_["validation_score"])


def test_several_outputs():
    X, y = data_of(MiniBatchSGDRegressor)
    model = model_of(MiniBatchSGDRegressor, early_stopping=True, scoring="neg_mean_absolute_error", tol=None)
    model.fit(X, np.c_[y, -y])
    assert (model.history_["validation_score"] < 0).all()


@ESTIMATORS
def test_the_loss_with_its_sign_changed(kind):
    X, y = data_of(kind)
    model = model_of(kind, early_stopping=True, scoring="loss", max_iter=30, n_iter_no_change=2).fit(X, y)
    assert_array_equal(model.history_["validation_score"], -model.history_["validation_loss"])


@pytest.mark.parametrize("scale_of_y", [1.0, 1e4])
def test_tol_counts_a_loss_in_that_of_the_best_constant(scale_of_y):
    """The rule by hand, on the losses that were seen: the first epoch after which ``n_iter_no_change`` in a row were
    not a thousandth of the variance below the lowest before."""
    (X, y), (X_val, y_val) = split(*data_of(MiniBatchSGDRegressor))
    model = model_of(
        MiniBatchSGDRegressor, early_stopping=True, scoring="loss", eta0=0.002, max_iter=300, n_iter_no_change=3,
        tol=1e-3,
    ).fit(X, scale_of_y * y, X_val=X_val, y_val=scale_of_y * y_val)  # fmt: skip
    losses = model.history_["validation_loss"]
    step = 1e-3 * np.var(scale_of_y * y) / 2
    best, unimproved = np.inf, 0
    n_epochs = 0
    while unimproved < 3:
        unimproved = 0 if losses[n_epochs] <= best - step else unimproved + 1
        best = min(best, losses[n_epochs])
        n_epochs += 1
    assert (model.n_iter_, model.status_) == (n_epochs, "early_stopped")
    assert 5 < n_epochs < 300
    found = model.predict(X_val) - scale_of_y * y_val
    assert_allclose(np.mean(found**2) / 2, losses.min(), rtol=1e-10)


def worst_error(model, X, y):
    """Of the regressor: a score that no scorer of scikit-learn has."""
    return -np.max(np.abs(model.predict(X) - y) ** 3)


def test_the_best_score_is_kept():
    (X, y), (X_val, y_val) = split(*data_of(MiniBatchSGDRegressor))
    model = model_of(MiniBatchSGDRegressor, early_stopping=True, scoring=worst_error, max_iter=20, tol=1e-6)
    model.fit(X, y, X_val=X_val, y_val=y_val)
    scores = model.history_["validation_score"]
    assert_allclose(worst_error(model, X_val, y_val), scores.max(), rtol=1e-12)
    assert scores.argmax() != len(scores) - 1
    assert scores.argmax() != model.history_["validation_loss"].argmin()  # another model than the loss would keep


def test_made_scorers_with_arguments():
    (X, y), (X_val, y_val) = split(*data_of(MiniBatchSGDClassifier))
    scorer = make_scorer(fbeta_score, beta=2, pos_label="malignant")
    model = model_of(MiniBatchSGDClassifier, scoring=scorer, tol=None).fit(X, y, X_val=X_val, y_val=y_val)
    expected = fbeta_score(y_val, model.predict(X_val), beta=2, pos_label="malignant")
    assert_allclose(model.history_["validation_score"][-1], expected)


# ------------------------------------------------------------------------- what a scorer is given


class Spy:
    """A scorer that keeps what it is given."""

    def __init__(self):
        self.calls = []

    def __call__(self, model, X, y):
        self.calls.append((model, X, y))
        return 0.5

    def __deepcopy__(self, memo):
        return self


class WeightedSpy(Spy):
    def __call__(self, model, X, y, sample_weight=None):
        self.calls.append((model, X, y, sample_weight))
        return 0.5


@ESTIMATORS
@pytest.mark.parametrize("layout", [np.asarray, sp.csr_array], ids=["dense", "sparse"])
def test_rows_held_out_and_targets_as_they_were(kind, layout):
    X, y = data_of(kind)
    spy = Spy()
    model = model_of(kind, early_stopping=True, scoring=spy, max_iter=2, tol=None).fit(layout(X), y)
    fitted, rows, target = spy.calls[-1]
    rows = rows.toarray() if sp.issparse(rows) else rows
    assert len(rows) == len(target) == 20
    known = {tuple(row): label for row, label in zip(X, y, strict=True)}
    assert [known[tuple(row)] for row in rows] == target.tolist()
    assert_array_equal(fitted.predict(rows), model.predict(rows))
    assert type(fitted) is kind
    assert len(spy.calls) == 3  # before training, and after each epoch


@ESTIMATORS
def test_weights_where_a_scorer_takes_them(kind):
    (X, y), (X_val, y_val) = split(*data_of(kind))
    weight = np.random.default_rng(0).uniform(0.5, 2, len(y_val))
    spy, plain = WeightedSpy(), Spy()
    for scorer in (spy, plain):
        model_of(kind, scoring=scorer, max_iter=1, tol=None).fit(
            X, y, X_val=X_val, y_val=y_val, sample_weight_val=weight
        )
    assert_allclose(spy.calls[-1][3], weight / weight.mean())
    assert len(plain.calls[-1]) == 3


def test_metrics_of_scikit_learn_get_weights():
    (X, y), (X_val, y_val) = split(*data_of(MiniBatchSGDClassifier))
    weight = np.random.default_rng(0).uniform(0, 2, len(y_val))
    validation = {"X_val": X_val, "y_val": y_val, "sample_weight_val": weight}
    with_routing = []
    for routing in (False, True):
        with sklearn.config_context(enable_metadata_routing=routing):
            model = model_of(MiniBatchSGDClassifier, scoring="neg_log_loss", tol=None).fit(X, y, **validation)
        expected = -log_loss(y_val, model.predict_proba(X_val), sample_weight=weight)
        assert_allclose(model.history_["validation_score"][-1], expected)
        with_routing.append(model.history_["validation_score"])
    assert_array_equal(*with_routing)
    without = model_of(MiniBatchSGDRegressor, scoring="neg_max_error", tol=None, max_iter=2)  # which takes none
    (X, y), (X_val, y_val) = split(*data_of(MiniBatchSGDRegressor))
    without.fit(X, y, X_val=X_val, y_val=y_val, sample_weight_val=weight)
    assert_allclose(without.history_["validation_score"][-1], -np.max(np.abs(without.predict(X_val) - y_val)))


def test_frames_leave_no_warning_and_models_keep_their_names():
    X, y = data_of(MiniBatchSGDClassifier)
    frame = pd.DataFrame(X, columns=[f"c{i}" for i in range(X.shape[1])])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = model_of(MiniBatchSGDClassifier, early_stopping=True, scoring="roc_auc", tol=None).fit(frame, y)
    assert list(model.feature_names_in_) == list(frame.columns)


def test_a_fit_after_an_average_on_other_columns():
    X, y = data_of(MiniBatchSGDClassifier)
    model = model_of(MiniBatchSGDClassifier, early_stopping=True, scoring="roc_auc", average=True).fit(X, y)
    model.fit(X[:, :3], y)
    assert model.coef_.shape == (1, 3)


# ------------------------------------------------------------------------- what is wrong


@ESTIMATORS
def test_names_that_nobody_knows_are_refused_before_any_work(kind):
    X, y = data_of(kind)
    model = model_of(kind, early_stopping=True).fit(X, y)
    before = pickle.dumps(model)
    with pytest.raises(ValueError, match=r"scoring must be 'loss', .*got 'acuracy'\. Did you mean 'accuracy'\?"):
        model.set_params(scoring="acuracy").fit(X, y)
    with pytest.raises(ValueError, match=r"got '!'\. sklearn\.metrics\.get_scorer_names\(\) lists the names"):
        model.set_params(scoring="!").fit(X, y)
    with pytest.raises(InvalidParameterError, match="'scoring' parameter"):
        model.set_params(scoring=3).fit(X, y)
    with pytest.raises(ValueError, match="scoring must be 'loss'"):
        model.set_params(scoring="acuracy", early_stopping=False).partial_fit(X, y)
    assert pickle.dumps(model.set_params(scoring=None, early_stopping=True)) == before


@pytest.mark.parametrize(
    ("parameters", "name", "words"),
    [({"loss": "hinge"}, "neg_log_loss", "predict_proba"), ({}, "r2", "convert|string|could not|dtype")],
)
def test_scorers_that_cannot_score_the_model_are_refused_before_training(parameters, name, words):
    X, y = data_of(MiniBatchSGDClassifier)
    model = model_of(MiniBatchSGDClassifier, early_stopping=True, scoring=name, **parameters)
    with pytest.raises(ValueError, match=f"scoring='{name}' cannot score this MiniBatchSGDClassifier.*({words})"):
        model.fit(X, y)
    assert not hasattr(model, "coef_")


def raises(model, X, y):
    raise KeyError("mine")


def gives_words(model, X, y):
    return {"accuracy": 1.0}


def test_errors_of_a_function_reach_the_caller():
    X, y = data_of(MiniBatchSGDClassifier)
    model = model_of(MiniBatchSGDClassifier, early_stopping=True)
    with pytest.raises(KeyError, match="mine"):
        clone(model).set_params(scoring=raises).fit(X, y)
    with pytest.raises(TypeError, match=r"scoring=.* must give one number; it gave \{'accuracy'"):
        clone(model).set_params(scoring=gives_words).fit(X, y)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("parameters", [{"eta0": 1e6}, {"loss": "poisson", "eta0": 50.0, "alpha": 0.0}])
def test_a_run_that_diverges_has_no_score(parameters):
    """scikit-learn's metrics raise where predictions are infinite."""
    X, y = data_of(MiniBatchSGDRegressor)
    model = model_of(
        MiniBatchSGDRegressor, early_stopping=True, scoring="neg_mean_absolute_error", tol=None, max_iter=40,
        **parameters,
    ).fit(X, y - y.min())  # fmt: skip
    assert np.isneginf(model.history_["validation_score"]).any() or model.status_ == "diverged"


def not_a_number(model, X, y):
    return np.nan


def test_what_is_not_a_number_is_never_the_best():
    X, y = data_of(MiniBatchSGDRegressor)
    model = model_of(MiniBatchSGDRegressor, early_stopping=True, scoring=not_a_number).fit(X, y)
    assert np.isneginf(model.history_["validation_score"]).all()
    assert model.status_ == "early_stopped"


def test_one_row_has_a_loss_but_no_r_squared():
    (X, y), (X_val, y_val) = split(*data_of(MiniBatchSGDRegressor), n_out=1)
    model = model_of(MiniBatchSGDRegressor, early_stopping=True)
    with pytest.raises(ValueError, match="R squared"):
        model.fit(X, y, X_val=X_val, y_val=y_val)
    model.set_params(scoring="loss").fit(X, y, X_val=X_val, y_val=y_val)
    assert model.n_iter_ > 0


# ------------------------------------------------------------------------- with everything else


def test_models_with_a_function_are_cloned_and_pickled():
    X, y = data_of(MiniBatchSGDRegressor)
    model = model_of(MiniBatchSGDRegressor, early_stopping=True, scoring=worst_error).fit(X, y)
    assert clone(model).scoring is worst_error
    loaded = pickle.loads(pickle.dumps(model))
    assert_array_equal(loaded.predict(X), model.predict(X))
    assert_array_equal(loaded.fit(X, y).coef_, model.coef_)


def test_a_search_over_scorings_is_the_fits_alone():
    X, y = data_of(MiniBatchSGDClassifier)
    model = model_of(MiniBatchSGDClassifier, early_stopping=True, tol=1e-2)
    grid = {"scoring": [None, "loss", "roc_auc"], "alpha": [1e-4, 1e-2]}
    folds = StratifiedKFold(2)
    search = MiniBatchGridSearchCV(model, grid, cv=folds, refit=False).fit(X, y)
    for number, parameters in enumerate(search.cv_results_["params"]):
        for fold, (train, _) in enumerate(folds.split(X, y)):
            alone = clone(model).set_params(**parameters).fit(X[train], y[train])
            history = search.history_of(number, fold)
            assert_allclose(history["validation_score"], alone.history_["validation_score"], rtol=1e-7)


def test_curves_have_their_own_score():
    """What early stopping looks at ends the runs; the curve has accuracy, as without."""
    X, y = data_of(MiniBatchSGDClassifier)
    model = model_of(MiniBatchSGDClassifier, early_stopping=True, scoring="loss", tol=0.05, n_iter_no_change=2)
    curve = convergence_curve(model, X, y, param_range=[16], cv=2)
    scores = curve.curves_["test_score"][0]
    assert ((scores >= 0.8) & (scores <= 1.0))[np.isfinite(scores)].all()
    assert set(curve.folds_["status"].ravel()) == {"early_stopped"}


def test_memory_knows_that_a_scorer_predicts():
    model = model_of(MiniBatchSGDClassifier, early_stopping=True, validation_fraction=0.9)
    plain, scored = (
        memory_required(clone(model).set_params(scoring=scoring), 10, n_samples=100_000, n_outputs=50).moments
        for scoring in ("loss", "neg_log_loss")
    )
    name = "while validation rows are measured"
    assert scored[name] >= plain[name] + 90_000 * 50 * 8


def test_the_one_class_machine_has_no_early_stopping_and_no_scoring():
    assert "scoring" not in MiniBatchSGDOneClassSVM().get_params()


def test_absolute_errors_agree_with_scikit_learn():
    (X, y), (X_val, y_val) = split(*data_of(MiniBatchSGDRegressor))
    model = model_of(MiniBatchMLPRegressor, scoring="neg_mean_absolute_error", tol=None, max_iter=3)
    model.fit(X, y, X_val=X_val, y_val=y_val)
    assert_allclose(-model.validation_scores_[-1], mean_absolute_error(y_val, model.predict(X_val)))
