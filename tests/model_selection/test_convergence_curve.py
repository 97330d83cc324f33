"""convergence_curve: every number against separate fits, made one by one through the public API."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from joblib import parallel_config
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.compose import make_column_transformer
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import get_scorer, hinge_loss, log_loss, mean_squared_error
from sklearn.model_selection import (
    GroupKFold,
    KFold,
    PredefinedSplit,
    ShuffleSplit,
    StratifiedKFold,
    cross_validate,
)
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from minibatch import (
    MiniBatchMLPClassifier,
    MiniBatchMLPRegressor,
    MiniBatchSGDClassifier,
    MiniBatchSGDRegressor,
)
from minibatch.model_selection import convergence_curve

rng = np.random.default_rng(0)
X = rng.standard_normal((60, 4))
y = X @ [1.0, -2.0, 0.5, 0.0] + 0.5 * rng.standard_normal(60) + 1.0
Y = np.column_stack([y, X[:, 0] - 0.3 * y])
three = np.array(["a", "b", "c"])[np.digitize(y, [0.0, 2.0])]
two = np.where(y > 1.0, "yes", "no")
ODD = {"random_state": 0, "tol": None, "max_iter": 3, "batch_size": 7}
NETWORK = {**ODD, "hidden_layer_sizes": (5,)}
LOG = {**ODD, "loss": "log_loss"}


def half_mse(model, X, y):
    return mean_squared_error(y, model.predict(X)) / 2


def sum_of_half_mse(model, X, y):
    """Over outputs, of which each has its own loss."""
    return y.shape[1] * half_mse(model, X, y)


def cross_entropy(model, X, y):
    return log_loss(y, model.predict_proba(X), labels=model.classes_)


def hinge(model, X, y):
    return hinge_loss(y, model.decision_function(X), labels=model.classes_)


def one_vs_rest(model, X, y):
    signs = np.where(np.asarray(y)[:, None] == model.classes_, 1.0, -1.0)
    return np.logaddexp(0.0, -signs * model.decision_function(X)).sum(axis=1).mean()


CASES = {
    "hinge": (MiniBatchSGDClassifier(**ODD), two, hinge),
    "binary": (MiniBatchSGDClassifier(**LOG), two, cross_entropy),
    "ovr": (MiniBatchSGDClassifier(**LOG), three, one_vs_rest),
    "multinomial": (
        MiniBatchSGDClassifier(**LOG, multi_class="multinomial", solver="adam", learning_rate="constant"),
        three,
        cross_entropy,
    ),
    "averaged": (MiniBatchSGDClassifier(**LOG, average=50), two, cross_entropy),
    "class weights": (MiniBatchSGDClassifier(**LOG, class_weight="balanced"), two, cross_entropy),
    "regression": (
        MiniBatchSGDRegressor(**ODD, penalty="l1", solver="momentum", learning_rate="invscaling"),
        y,
        half_mse,
    ),
    "outputs": (MiniBatchSGDRegressor(**ODD, average=True), Y, sum_of_half_mse),
    "mlp": (
        MiniBatchMLPClassifier(**NETWORK, solver="sgd", learning_rate="constant", learning_rate_init=0.1),
        three,
        cross_entropy,
    ),
    "mlp binary": (MiniBatchMLPClassifier(**NETWORK, dropout=0.2), two, cross_entropy),
    "mlp weights": (MiniBatchMLPClassifier(**NETWORK, class_weight={"a": 5.0}), three, cross_entropy),
    "mlp normalized": (MiniBatchMLPClassifier(**NETWORK, batch_normalization=True), three, cross_entropy),
    "mlp regression": (MiniBatchMLPRegressor(**NETWORK), y, half_mse),
    "mlp outputs": (MiniBatchMLPRegressor(**NETWORK), Y, sum_of_half_mse),
    "lbfgs": (MiniBatchMLPRegressor(**{**NETWORK, "solver": "lbfgs", "tol": 0.0}), y, half_mse),
    "pipeline": (make_pipeline(StandardScaler(), MiniBatchMLPClassifier(**NETWORK)), two, cross_entropy),
}
every_case = pytest.mark.parametrize("case", CASES)


def last(estimator):
    return estimator[-1] if isinstance(estimator, Pipeline) else estimator


def separate_fit(estimator, X, y, **parameters):
    model = clone(estimator)
    last(model).set_params(**parameters)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(X, y)


def same_but_seconds(one, other, rtol=0.0):
    for mine, theirs in ((one.curves_, other.curves_), (one.folds_, other.folds_)):
        assert list(mine) == list(theirs)
        for name in mine:
            if "seconds" in name:
                continue
            if mine[name].dtype.kind in "US":
                assert_array_equal(mine[name], theirs[name])
            else:
                assert_allclose(mine[name], theirs[name], rtol=rtol, err_msg=name)


# ---------------------------------------------------------------------- every evaluation is a fit of its own


@every_case
@pytest.mark.parametrize("layout", [np.asarray, sp.csr_array, np.float32], ids=["dense", "csr", "float32"])
def test_every_evaluation_is_what_a_separate_fit_to_there_gives(case, layout):
    estimator, target, loss = CASES[case]
    if case == "pipeline" and layout is sp.csr_array:
        estimator = make_pipeline(StandardScaler(with_mean=False), estimator[-1])
    rows, rtol = layout(X), 2e-5 if layout is np.float32 else 1e-8
    folds = list(ShuffleSplit(2, test_size=0.3, random_state=1).split(X))
    parameter, values = ("alpha", [0.01]) if case == "lbfgs" else ("batch_size", [7, "full"])
    curve = convergence_curve(estimator, rows, target, param_name=parameter, param_range=values, cv=folds)
    for v, value in enumerate(values):
        for f, (train, test) in enumerate(folds):
            for k in range(3):
                model = separate_fit(estimator, rows[train], target[train], **{parameter: value, "max_iter": k + 1})
                here = {name: array[v, f, k] for name, array in curve.curves_.items()}
                assert_allclose(here["train_loss"], loss(model, rows[train], target[train]), rtol=rtol)
                assert_allclose(here["test_loss"], loss(model, rows[test], target[test]), rtol=rtol)
                assert_allclose(here["train_score"], model.score(rows[train], target[train]), rtol=rtol, atol=1e-6)
                assert_allclose(here["test_score"], model.score(rows[test], target[test]), rtol=rtol, atol=1e-6)
                assert here["n_updates"] == last(model).n_updates_
                assert here["n_samples_seen"] == last(model).history_.last("n_samples_seen")
                assert here["epoch"] == k + 1
                if case != "lbfgs":
                    assert_allclose(here["learning_rate"], last(model).history_.last("learning_rate"))
            assert curve.folds_["status"][v, f] == "max_iter"
            for name in ("train_loss", "test_loss", "train_score", "test_score"):
                assert_allclose(curve.folds_[name][v, f], curve.curves_[name][v, f, 2], rtol=1e-12)


@every_case
def test_the_end_is_that_of_cross_validate(case):
    estimator, target, _ = CASES[case]
    cv = KFold(3, shuffle=True, random_state=0)
    parameter = "alpha" if case == "lbfgs" else "batch_size"
    values = [1e-3, 1.0] if case == "lbfgs" else [5, 0.5]
    curve = convergence_curve(estimator, X, target, param_name=parameter, param_range=values, cv=cv)
    for v, value in enumerate(values):
        model = clone(estimator)
        last(model).set_params(**{parameter: value})
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            scores = cross_validate(model, X, target, cv=cv, return_train_score=True)
        for side in ("train", "test"):
            assert_allclose(curve.folds_[f"{side}_score"][v], scores[f"{side}_score"], rtol=1e-9)
            assert_allclose(curve.summary_[f"mean_{side}_score"][v], scores[f"{side}_score"].mean(), rtol=1e-9)


@pytest.mark.parametrize("scoring", ["neg_log_loss", "balanced_accuracy", get_scorer("f1_macro"), "roc_auc_ovr"])
def test_any_score_is_that_of_cross_validate(scoring):
    estimator, target, _ = CASES["multinomial"]
    curve = convergence_curve(estimator, X, target, param_range=[7], cv=3, scoring=scoring)
    scores = cross_validate(estimator, X, target, cv=3, scoring=scoring, return_train_score=True)
    assert_allclose(curve.folds_["test_score"][0], scores["test_score"], rtol=1e-9)
    assert_allclose(curve.folds_["train_score"][0], scores["train_score"], rtol=1e-9)


def test_the_score_of_a_subclass_is_its_own():
    class Own(MiniBatchSGDClassifier):
        def score(self, X, y, sample_weight=None):
            return float(len(X))

    curve = convergence_curve(Own(**ODD), X, two, param_range=[7], cv=3)
    assert_array_equal(curve.folds_["train_score"], [[40.0] * 3])


@pytest.mark.parametrize("alpha", [0.0, 0.5])
def test_the_gradient_norm_is_that_of_the_training_objective(alpha):
    model = MiniBatchSGDRegressor(**ODD, alpha=alpha)
    curve = convergence_curve(model, X, y, param_range=[7], cv=KFold(2))
    for f, (train, _) in enumerate(KFold(2).split(X)):
        for k in range(3):
            fit = separate_fit(model, X[train], y[train], max_iter=k + 1)
            residual = fit.predict(X[train]) - y[train]
            gradient = X[train].T @ residual / len(train) + alpha * fit.coef_
            norm = np.sqrt(gradient @ gradient + residual.mean() ** 2)
            assert_allclose(curve.curves_["gradient_norm"][0, f, k], norm, rtol=1e-9)


def test_early_stopping_keeps_the_best_model_and_sees_no_test_row():
    """The test part with the largest errors must not change when training stops."""
    network = {**NETWORK, "tol": 1e-3, "max_iter": 60, "early_stopping": True, "validation_fraction": 0.3}
    model = MiniBatchMLPRegressor(**{**network, "learning_rate_init": 0.05, "n_iter_no_change": 3})
    folds = list(KFold(2).split(X))
    curve = convergence_curve(model, X, y, param_range=[7, 10], cv=folds)
    for v, size in enumerate((7, 10)):
        for f, (train, test) in enumerate(folds):
            fit = separate_fit(model, X[train], y[train], batch_size=size)
            assert curve.folds_["status"][v, f] == fit.status_ == "early_stopped"
            assert curve.folds_["n_epochs"][v, f] == fit.n_iter_ < 60
            assert_allclose(curve.folds_["test_score"][v, f], fit.score(X[test], y[test]), rtol=1e-12)
            assert_allclose(curve.folds_["test_loss"][v, f], half_mse(fit, X[test], y[test]), rtol=1e-12)
            # not the last one
            assert curve.folds_["test_loss"][v, f] != curve.curves_["test_loss"][v, f, fit.n_iter_ - 1]


# ---------------------------------------------------------------------- data and folds


class Spy(TransformerMixin, BaseEstimator):
    """Remembers the rows it was fitted on."""

    fitted_on: list = []

    def fit(self, X, y=None):
        self.fitted_on.append(np.asarray(X)[:, 0].tolist())
        self.n_features_in_ = X.shape[1]
        return self

    def transform(self, X):
        return X


def test_transformers_are_fitted_on_the_training_part_alone():
    Spy.fitted_on.clear()
    cv = KFold(3)
    pipeline = make_pipeline(make_pipeline(Spy(), StandardScaler()), MiniBatchSGDRegressor(**ODD))
    convergence_curve(pipeline, X, y, param_range=[7, 20], cv=cv, n_jobs=1)
    parts = [X[train, 0].tolist() for train, _ in cv.split(X)]
    assert Spy.fitted_on == 2 * parts
    Spy.fitted_on.clear()
    convergence_curve(pipeline, X, y, param_name="alpha", param_range=np.linspace(0.1, 1.0, 8), cv=cv, n_jobs=1)
    assert Spy.fitted_on == parts  # once for all that train side by side


def test_test_rows_have_no_influence_on_training():
    folds, other = [(np.arange(40), np.arange(40, 60))], X.copy()
    other[40:] *= 100.0
    pipeline = make_pipeline(StandardScaler(), MiniBatchSGDClassifier(**LOG))
    one, two_ = (convergence_curve(pipeline, rows, two, param_range=[7], cv=folds) for rows in (X, other))
    assert_array_equal(one.curves_["train_loss"], two_.curves_["train_loss"])
    assert not np.array_equal(one.curves_["test_loss"], two_.curves_["test_loss"])


@pytest.mark.parametrize("case", ["binary", "regression", "mlp", "mlp outputs"])
def test_weights_are_repetitions(case):
    """In a full batch, where the order of the rows does not matter."""
    estimator, target, _ = CASES[case]
    weight = rng.integers(1, 4, size=60)
    whose = np.repeat(np.arange(60), weight)
    folds = list(KFold(3).split(X))
    repeated = [tuple(np.flatnonzero(np.isin(whose, part)) for part in fold) for fold in folds]
    one = convergence_curve(estimator, X, target, param_range=["full"], cv=folds, sample_weight=weight)
    other = convergence_curve(estimator, X[whose], target[whose], param_range=["full"], cv=repeated)
    for name in ("train_loss", "test_loss", "train_score", "test_score", "gradient_norm"):
        assert_allclose(one.curves_[name], other.curves_[name], rtol=1e-7, atol=1e-9, err_msg=name)


def test_groups_stay_together():
    groups = np.arange(60) % 7
    curve = convergence_curve(CASES["binary"][0], X, two, param_range=[7], cv=GroupKFold(3), groups=groups)
    folds = list(GroupKFold(3).split(X, two, groups))
    assert_array_equal(curve.folds_["n_samples"], [[len(train) for train, _ in folds]])
    same_but_seconds(curve, convergence_curve(CASES["binary"][0], X, two, param_range=[7], cv=folds))


@pytest.mark.parametrize("kind", ["generator", "lists", "masks", "splitter", "predefined"])
@pytest.mark.parametrize("over", ["batch_size", "train_size"])
def test_any_kind_of_folds(kind, over):
    folds = list(KFold(2).split(X))
    cv = {
        "generator": (fold for fold in folds),
        "lists": [tuple(part.tolist() for part in fold) for fold in folds],
        "masks": [tuple(np.isin(np.arange(60), part) for part in fold) for fold in folds],
        "splitter": KFold(2),
        "predefined": PredefinedSplit(np.repeat([0, 1], 30)),
    }[kind]
    values = [7] if over == "batch_size" else [0.5, 1.0]
    arguments = {"param_name": over, "param_range": values, "random_state": 0}
    one, other = (convergence_curve(CASES["regression"][0], X, y, cv=c, **arguments) for c in (cv, folds))
    same_but_seconds(one, other)


def test_a_classifier_gets_stratified_folds_and_a_regressor_plain_ones():
    one, other = (
        convergence_curve(CASES["ovr"][0], X, three, param_range=[7], cv=cv) for cv in (3, StratifiedKFold(3))
    )
    same_but_seconds(one, other)
    one, other = (convergence_curve(CASES["regression"][0], X, y, param_range=[7], cv=cv) for cv in (None, KFold(5)))
    same_but_seconds(one, other)


def test_frames_go_through_column_transformers():
    frame = pd.DataFrame(X[:, :3], columns=["p", "q", "r"], index=np.arange(60)[::-1])
    frame["kind"] = pd.Categorical(np.array(["u", "v"])[(X[:, 3] > 0).astype(int)])
    columns = make_column_transformer((StandardScaler(), ["p", "q", "r"]), (OneHotEncoder(), ["kind"]))
    pipeline = make_pipeline(columns, MiniBatchMLPClassifier(**NETWORK))
    target = pd.Series(three, index=frame.index)
    curve = convergence_curve(pipeline, frame, target, param_range=[7], cv=3)
    assert_allclose(curve.folds_["test_score"][0], cross_validate(pipeline, frame, target, cv=3)["test_score"])


def test_a_frame_without_a_pipeline_warns_of_nothing():
    frame = pd.DataFrame(X, columns=list("pqrs"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        curve = convergence_curve(CASES["binary"][0], frame, pd.Series(two), param_range=[7], cv=3, scoring="f1_macro")
    same_but_seconds(curve, convergence_curve(CASES["binary"][0], X, two, param_range=[7], cv=3, scoring="f1_macro"))


# ---------------------------------------------------------------------- seeds, jobs, the estimator itself


@pytest.mark.parametrize("backend", ["loky", "threading", "multiprocessing"])
def test_results_do_not_depend_on_the_backend(backend):
    pipeline = make_pipeline(StandardScaler(), MiniBatchMLPClassifier(**{**NETWORK, "random_state": None}))
    arguments = {"param_name": "train_size", "param_range": [10, 0.6], "cv": 3, "random_state": 3}
    alone = convergence_curve(pipeline, X, two, **arguments)
    with parallel_config(backend):
        same_but_seconds(convergence_curve(pipeline, X, two, n_jobs=2, **arguments), alone)


def test_all_values_share_the_seed_of_an_estimator_that_has_none():
    model = MiniBatchMLPClassifier(**{**NETWORK, "random_state": None})
    curve = convergence_curve(model, X, two, param_range=[7, 7, 7], cv=2)
    for name, array in curve.curves_.items():
        if name != "seconds":
            assert_array_equal(array, array[[0, 0, 0]])


def test_the_seed_chooses():
    model = MiniBatchMLPClassifier(**{**NETWORK, "random_state": None})
    one, same, other = (convergence_curve(model, X, two, param_range=[7], cv=2, random_state=s) for s in (1, 1, 2))
    same_but_seconds(one, same)
    assert not np.array_equal(one.curves_["test_loss"], other.curves_["test_loss"])


@pytest.mark.parametrize("fitted", [False, True])
@pytest.mark.parametrize("seed", [None, 0])
def test_the_estimator_is_not_touched(fitted, seed):
    pipeline = make_pipeline(StandardScaler(), MiniBatchSGDClassifier(**{**LOG, "random_state": seed}))
    if fitted:
        separate_fit(pipeline, X, two)
        pipeline = pipeline.fit(X, two)
    before = pickle.dumps(pipeline)
    convergence_curve(pipeline, X, two, param_range=[7, 8], cv=2, evaluations_per_epoch=2, random_state=0)
    assert pickle.dumps(pipeline) == before


@pytest.mark.parametrize("backend", ["sequential", "threading"])
def test_transformers_given_as_values_are_not_fitted_themselves(backend):
    scalers = [StandardScaler(), StandardScaler(with_mean=False)]
    pipeline = make_pipeline(StandardScaler(), MiniBatchSGDRegressor(**ODD))
    with parallel_config(backend):
        curve = convergence_curve(pipeline, X, y, param_name="standardscaler", param_range=scalers, cv=3)
    assert [hasattr(scaler, "scale_") for scaler in scalers] == [False, False]
    for v, scaler in enumerate(scalers):
        model = clone(pipeline).set_params(standardscaler=clone(scaler))
        assert_allclose(curve.folds_["test_score"][v], cross_validate(model, X, y, cv=3)["test_score"])


def test_other_parameters_than_the_batch_size_can_be_varied():
    pipeline = Pipeline([("scale", StandardScaler()), ("model", MiniBatchMLPClassifier(**NETWORK))])
    sizes = [(3,), (4, 4)]
    for name in ("hidden_layer_sizes", "model__hidden_layer_sizes"):
        curve = convergence_curve(pipeline, X, two, param_name=name, param_range=sizes, cv=2)
        assert (curve.param_name, curve.summary_["hidden_layer_sizes"]) == ("hidden_layer_sizes", sizes)
        for v, size in enumerate(sizes):
            model = clone(pipeline).set_params(model__hidden_layer_sizes=size)
            assert_allclose(curve.folds_["test_score"][v], cross_validate(model, X, two, cv=2)["test_score"])
    curve = convergence_curve(pipeline, X, two, param_name="scale__with_mean", param_range=[True, False], cv=2)
    assert curve.summary_["with_mean"] == [True, False]
