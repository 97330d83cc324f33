"""convergence_curve: wrong arguments are named before any fit, wrong data by the fold that cannot use them."""

import re

import numpy as np
import pytest
from sklearn.linear_model import SGDRegressor
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from minibatch import MiniBatchMLPRegressor, MiniBatchSGDRegressor
from minibatch.model_selection import ConvergenceScorer, convergence_curve

rng = np.random.default_rng(0)
X = rng.standard_normal((24, 3))
y = X @ [1.0, -2.0, 0.5]
labels = np.array(["u", "v"] * 12)
sgd = MiniBatchSGDRegressor(max_iter=2, tol=None, random_state=0)
scaled = make_pipeline(StandardScaler(), sgd)


@pytest.fixture
def no_fit(monkeypatch):
    for method in ("fit", "_train", "_training"):
        monkeypatch.setattr(MiniBatchSGDRegressor, method, lambda *a, **k: pytest.fail("a fit was made"))
    monkeypatch.setattr(StandardScaler, "fit_transform", lambda *a, **k: pytest.fail("a transformer was fitted"))


@pytest.mark.usefixtures("no_fit")
@pytest.mark.parametrize("estimator", [sgd, scaled], ids=["alone", "pipeline"])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        # which parameter, which values
        ({"param_name": "nope"}, "param_name='nope' is not a parameter of .*batch_size"),
        ({"param_name": ""}, "param_name=''"),
        ({"param_name": 5}, "param_name=5"),
        ({"param_name": None}, "param_name=None"),
        ({"param_name": ["batch_size"]}, "param_name="),
        ({"param_name": "alpha"}, "param_range is needed for param_name="),
        ({"param_range": []}, "param_range is empty"),
        ({"param_range": np.array([])}, "param_range is empty"),
        ({"param_range": 5}, "param_range"),
        ({"param_range": "full"}, "param_range.*'full'"),
        ({"param_range": [8, 16, 0]}, "'batch_size' parameter.*Got 0"),
        ({"param_range": [8, "none"]}, "'batch_size' parameter.*Got 'none'"),
        ({"param_range": [8, np.nan]}, "'batch_size' parameter.*Got nan"),
        ({"param_range": [[8]]}, "'batch_size' parameter"),
        ({"param_name": "eta0", "param_range": [0.1, -1.0]}, "'?eta0"),
        ({"param_name": "loss", "param_range": ["squared_error", "hinge"]}, "'loss' parameter.*'hinge'"),
        ({"param_name": "train_size", "param_range": [0.5, 0.0]}, r"train_size must .*got 0\.0 in param_range"),
        ({"param_name": "train_size", "param_range": [1.5]}, r"train_size must .*got 1\.5"),
        ({"param_name": "train_size", "param_range": [16, 17]}, "train_size must .*16; got 17"),
        ({"param_name": "train_size", "param_range": [0]}, "train_size must .*got 0"),
        ({"param_name": "train_size", "param_range": [-3]}, "train_size must .*got -3"),
        ({"param_name": "train_size", "param_range": [True]}, "train_size must .*got True"),
        ({"param_name": "train_size", "param_range": ["full"]}, "train_size must .*got 'full'"),
        ({"param_name": "train_size", "param_range": [np.nan]}, "train_size must .*got nan"),
        ({"param_name": "train_size", "param_range": [None]}, "train_size must .*got None"),
        # folds and scores
        ({"cv": "three"}, "Expected `cv`"),
        ({"cv": 1}, "k-fold cross-validation requires at least one train/test split|n_splits=2 or more"),
        ({"cv": 100}, "n_splits=100|number of splits"),
        ({"cv": []}, "cv"),
        ({"cv": KFold(3), "groups": [1, 2]}, "inconsistent numbers of samples"),
        ({"scoring": "nope"}, "'scoring'"),
        ({"scoring": 5}, "'scoring'"),
        ({"scoring": ["r2", "neg_mean_squared_error"]}, "scoring"),
        ({"scoring": {"a": "r2"}}, "scoring"),
        # budget, target, evaluations
        *[
            ({"budget": budget}, "budget must be a dict with one of the keys epochs, updates, samples, seconds; got")
            for budget in (5, "epochs", {}, {"hours": 1}, {"epochs": 1, "updates": 1}, [("epochs", 1)])
        ],
        *[
            ({"budget": {unit: amount}}, f"budget of {unit} must be an integer of at least 1; got {amount!r}")
            for unit in ("epochs", "updates", "samples")
            for amount in (0, -1, 2.0, True, None, "3")
        ],
        *[
            ({"budget": {"seconds": amount}}, f"budget of seconds must be a positive number; got {amount!r}")
            for amount in (0, -1.0, np.inf, float("nan"), None, "3", True)
        ],
        *[
            ({"target": target}, f"target must be a finite number; got {re.escape(repr(target))}")
            for target in ("high", float("nan"), np.inf, [0.5], True)
        ],
        *[
            ({"target": target}, "target must be a number .* or a dict .* one of the names test_score, train_score")
            for target in ({}, {"score": 1.0}, {"test_loss": 1.0, "train_loss": 1.0})
        ],
        ({"target": {"test_loss": "low"}}, "target must be a finite number; got 'low'"),
        *[
            ({"evaluations_per_epoch": number}, "evaluations_per_epoch must be an integer of at least 1; got")
            for number in (0, -1, 1.0, True, None, "all")
        ],
        # the rest
        ({"sample_weight": np.ones(23)}, "sample_weight.shape"),
        ({"sample_weight": -np.ones(24)}, "Negative values in data passed to `sample_weight`"),
        ({"sample_weight": np.full(24, np.nan)}, "sample_weight.*NaN"),
        ({"random_state": "lucky"}, "cannot be used to seed"),
        ({"n_jobs": 0}, "n_jobs == 0"),
    ],
    ids=lambda value: str(value)[:60] if isinstance(value, dict) else "",
)
def test_a_wrong_argument_is_named_before_any_fit(estimator, arguments, message):
    with pytest.raises((ValueError, TypeError), match=f"(?s){message}"):
        convergence_curve(estimator, X, y, **{"cv": KFold(3), **arguments})


@pytest.mark.usefixtures("no_fit")
@pytest.mark.parametrize(
    ("estimator", "what"),
    [
        (SGDRegressor(), "SGDRegressor"),
        (MiniBatchSGDRegressor, r"the class MiniBatchSGDRegressor instead of MiniBatchSGDRegressor\(\.\.\.\)"),
        ("sgd", "'sgd'"),
        (None, "NoneType"),
        (GridSearchCV(sgd, {}), "GridSearchCV"),
        (make_pipeline(StandardScaler(), SGDRegressor()), "SGDRegressor at the end of the Pipeline"),
        (make_pipeline(sgd, StandardScaler()), "StandardScaler at the end of the Pipeline"),
        (make_pipeline(StandardScaler(), "passthrough"), "'passthrough' at the end of the Pipeline"),
        (Pipeline([("all", make_pipeline(SGDRegressor()))]), "SGDRegressor at the end of the Pipeline"),
    ],
)
def test_estimators_that_cannot_be_watched(estimator, what):
    with pytest.raises(TypeError, match=rf"estimator must be an estimator of minibatch.*; got {what}\."):
        convergence_curve(estimator, X, y)


@pytest.mark.usefixtures("no_fit")
def test_parameters_that_do_not_go_together_are_found_on_the_last_value_too():
    model = MiniBatchSGDRegressor(learning_rate="constant", eta0=0.0)
    with pytest.raises(ValueError, match="eta0"):
        convergence_curve(model, X, y, param_range=[8])
    with pytest.raises(ValueError, match="eta0"):
        convergence_curve(sgd.set_params(), X, y, param_name="eta0", param_range=[0.1, 0.2, 0.0])


@pytest.mark.usefixtures("no_fit")
@pytest.mark.parametrize(("rows", "target"), [(X, None), (X[:20], y), (X, y[:20])])
def test_x_and_y_go_together(rows, target):
    with pytest.raises(ValueError, match=r"inconsistent numbers of samples|requires y|y.* None"):
        convergence_curve(sgd, rows, target, param_range=[8], cv=KFold(3))


@pytest.mark.parametrize("backend_jobs", [1, 2])
def test_nan_in_x(backend_jobs):
    with pytest.raises(ValueError, match="Input X contains NaN"):
        convergence_curve(sgd, np.where(X > 1.0, np.nan, X), y, param_range=[8], cv=3, n_jobs=backend_jobs)


def test_what_is_wrong_with_the_test_part_alone_is_said_so():
    rows, folds = X.copy(), [(np.arange(16), np.arange(16, 24))]
    rows[20, 1] = np.inf
    with pytest.raises(ValueError, match="Test part: Input X contains infinity"):
        convergence_curve(sgd, rows, y, param_range=[8], cv=folds)


@pytest.mark.parametrize("fold", [([], [1, 2]), ([1, 2], []), (np.arange(16), [])])
def test_a_part_without_rows(fold):
    with pytest.raises(ValueError, match=r"(?i)0 sample|empty"):
        convergence_curve(sgd, X, y, param_range=[8], cv=[fold])


def test_training_rows_without_weight():
    weight = np.repeat([0.0, 1.0], 12)
    with pytest.raises(ValueError, match="weight"):
        convergence_curve(sgd, X, y, param_range=[8], cv=KFold(2), sample_weight=weight)


def test_a_score_that_is_not_a_number():
    with pytest.raises((ValueError, TypeError), match="scoring"):
        convergence_curve(sgd, X, y, param_range=[8], cv=3, scoring=lambda model, X, y: "good")


@pytest.mark.usefixtures("no_fit")
def test_a_scorer_for_searches_is_none_for_curves():
    with pytest.raises((ValueError, TypeError), match="scoring"):
        convergence_curve(sgd, X, y, param_range=[8], cv=3, scoring=ConvergenceScorer("r2"))


def test_an_error_of_the_score_is_not_taken_for_a_divergence():
    def refuses(model, X, y):
        raise ValueError("I want more rows")

    with pytest.raises(ValueError, match="I want more rows"):
        convergence_curve(sgd, X, y, param_range=[8], cv=3, scoring=refuses)


def test_the_result_refuses_what_it_has_not():
    curve = convergence_curve(sgd, X, y, param_range=[8], cv=2)
    with pytest.raises(ValueError, match="what must be 'summary', 'folds' or 'curves'; got 'all'"):
        curve.to_frame("all")
    with pytest.raises(ValueError, match="A power law needs param_name='train_size'; this curve is over 'batch_size'"):
        curve.power_law()
    sizes = convergence_curve(sgd, X, y, param_name="train_size", param_range=[4, 6, 8], cv=2)
    with pytest.raises(ValueError, match="quantity must be one of train_score, test_score, train_loss, test_loss; got"):
        sizes.power_law("seconds")
    with pytest.raises(ValueError, match="four different sizes"):
        sizes.power_law()


def test_batch_normalization_refuses_a_batch_of_one_row():
    model = MiniBatchMLPRegressor(hidden_layer_sizes=(3,), batch_normalization=True)
    with pytest.raises(ValueError, match="batch_size=1"):
        convergence_curve(model, X, y, param_range=[8, 1], cv=3, error_score="raise")
