"""convergence_curve: budgets, targets, sizes of the training set, divergence, the progress bar."""

import builtins
import warnings
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from joblib import parallel_config
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import KFold, LeaveOneOut, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler, scale

from minibatch import MiniBatchMLPClassifier, MiniBatchMLPRegressor, MiniBatchSGDClassifier, MiniBatchSGDRegressor
from minibatch._training import together
from minibatch.model_selection import batch_size_grid, convergence_curve
from minibatch.model_selection._folds import Recorder

rng = np.random.default_rng(0)
X = rng.standard_normal((60, 4))
y = X @ [1.0, -2.0, 0.5, 0.0] + 0.5 * rng.standard_normal(60) + 1.0
two = np.where(y > 1.0, "yes", "no")
PLAIN = {"random_state": 0, "tol": None, "max_iter": 3, "batch_size": 7}
pytestmark = pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")
sgd = MiniBatchSGDRegressor(**PLAIN, learning_rate="constant", eta0=0.01)
mlp = MiniBatchMLPClassifier((5,), **PLAIN)
net = MiniBatchMLPRegressor(hidden_layer_sizes=(5,), **PLAIN)
HALVES = KFold(2)  # 30 rows to train on


def curve_of(estimator=sgd, y=y, **arguments):
    return convergence_curve(estimator, X, y, **{"param_range": [7], "cv": HALVES, **arguments})


# ---------------------------------------------------------------------- budgets


@pytest.mark.parametrize(
    ("budget", "spent"),
    [
        ({"epochs": 2}, {"n_epochs": [2, 2, 2], "n_updates": [60, 10, 2], "n_samples_seen": [60, 60, 60]}),
        ({"updates": 7}, {"n_epochs": [7 / 30, 1.4, 7], "n_updates": [7, 7, 7], "n_samples_seen": [7, 44, 210]}),
        ({"samples": 40}, {"n_epochs": [40 / 30, 1.4, 2], "n_updates": [40, 7, 2], "n_samples_seen": [40, 44, 60]}),
        (None, {"n_epochs": [3, 3, 3], "n_updates": [90, 15, 3], "n_samples_seen": [90, 90, 90]}),
    ],
)
def test_what_a_budget_allows(budget, spent):
    curve = curve_of(param_range=[1, 7, "full"], budget=budget)
    for name, values in spent.items():
        assert_allclose(curve.summary_[name], values)
    status = {"epochs": "max_iter", "updates": "max_updates", "samples": "max_samples"}
    assert curve.summary_["status"] == [status[next(iter(budget))] if budget else "max_iter"] * 3


@pytest.mark.parametrize("budget", [{"epochs": 5}, {"updates": 12}, {"samples": 100}])
def test_a_budget_stands_in_for_both_limits_of_the_estimator(budget):
    one, other = (curve_of(sgd.__class__(**(sgd.get_params() | more)), budget=budget) for more in
                  ({"max_iter": 1, "max_updates": 2}, {"max_iter": 99}))  # fmt: skip
    assert_array_equal(one.curves_["test_loss"], other.curves_["test_loss"])
    assert repr(one).startswith("ConvergenceCurve of 1 value of batch_size, 2 folds; score: r2; budget: ")
    (unit, amount), *_ = budget.items()
    assert f"budget: {amount} {unit} a fit\n" in repr(one)


def test_a_budget_of_seconds_is_reached_once():
    curve = curve_of(param_range=[1], budget={"seconds": 0.002}, evaluations_per_epoch=3)
    seconds = curve.curves_["seconds"][0]
    for path in seconds:
        path = path[np.isfinite(path)]
        assert path[-1] >= 0.002
        assert (path[:-1] < 0.002).all()
    assert curve.summary_["status"] == ["max_seconds"]


def test_the_limits_of_the_estimator_are_in_the_table():
    model = MiniBatchSGDRegressor(**PLAIN, max_updates=12)
    assert "budget: 3 epochs or 12 updates a fit" in repr(curve_of(model))


def test_a_stopping_rule_ends_a_fit_before_its_budget():
    model = MiniBatchSGDRegressor(**{**PLAIN, "tol": 0.5, "n_iter_no_change": 2})
    stopped = MiniBatchMLPClassifier((5,), **{**PLAIN, "tol": 0.5, "n_iter_no_change": 2}, early_stopping=True)
    for estimator, target, status in ((model, y, "converged"), (stopped, two, "early_stopped")):
        curve = curve_of(estimator, target, budget={"epochs": 500})
        assert curve.summary_["status"] == [status]
        assert curve.summary_["n_epochs"][0] < 50


# ---------------------------------------------------------------------- evaluations within an epoch


@pytest.mark.parametrize("model", [sgd, clone(net).set_params(dropout=0.1)], ids=["linear", "network"])
@pytest.mark.parametrize("number", [2, 3, 1000])
def test_more_evaluations_change_nothing_but_their_number(model, number):
    once, often = (curve_of(model, param_range=[7, "full"], evaluations_per_epoch=k) for k in (1, number))
    for v, batches in enumerate((5, 1)):
        k = min(number, batches)
        for name in set(once.curves_) - {"seconds"}:
            at_ends = often.curves_[name][v, :, k - 1 :: k][:, :3]
            assert_allclose(at_ends, once.curves_[name][v], rtol=1e-12, err_msg=name)
        assert_array_equal(np.isfinite(often.curves_["n_updates"][v]).sum(axis=1), 3 * k)
    for name in ("train_loss", "test_loss", "train_score", "test_score", "n_epochs", "n_updates", "n_samples_seen"):
        assert_allclose(often.folds_[name], once.folds_[name], rtol=1e-12, err_msg=name)


# ---------------------------------------------------------------------- targets


@pytest.mark.parametrize("name", ["test_score", "train_score", "test_loss", "train_loss", "gradient_norm"])
def test_the_target_is_reached_at_the_first_evaluation_beyond_it(name):
    free = curve_of(param_range=[1, 7, "full"], budget={"epochs": 8}, evaluations_per_epoch=2)
    goal = float(np.nanmedian(free.curves_[name]))
    curve = curve_of(param_range=[1, 7, "full"], budget={"epochs": 8}, evaluations_per_epoch=2, target={name: goal})
    beyond = curve.curves_[name] >= goal if name.endswith("score") else curve.curves_[name] <= goal
    assert 0 < beyond.any(axis=2).mean() < 1  # a test of both
    units = {"epochs": "epoch", "updates": "n_updates", "samples": "n_samples_seen", "seconds": "seconds"}
    for unit, quantity in units.items():
        for v, f in np.ndindex(3, 2):
            there = [x for x, good in zip(curve.curves_[quantity][v, f], beyond[v, f], strict=True) if good]
            assert_allclose(curve.folds_[f"{unit}_to_target"][v, f], there[0] if there else np.nan)
    assert_array_equal(curve.summary_["reached"], beyond.any(axis=2).mean(axis=1))
    assert f"target: {name} {'>=' if name.endswith('score') else '<='} {goal:g}" in repr(curve)


def test_a_bare_number_is_a_test_score():
    one, other = (curve_of(target=goal) for goal in (0.5, {"test_score": 0.5}))
    assert one.target == other.target == ("test_score", 0.5)


@pytest.mark.parametrize("number", [float, int, np.float32, np.float64, np.int64])
def test_targets_and_seconds_may_be_numbers_of_numpy(number):
    curve = curve_of(target=number(-5), budget={"seconds": number(1)}, estimator=sgd.__class__(tol=0.1, random_state=0))
    assert curve.summary_["reached"] == [1.0]


def test_no_target_no_columns():
    curve = curve_of()
    assert not [name for name in (*curve.summary_, *curve.folds_) if "target" in name or name == "reached"]


# ---------------------------------------------------------------------- train_size


class Noted(MiniBatchSGDClassifier):
    """Remembers the rows it is trained on."""

    noted: list = []

    def _training(self, X, y, sample_weight, **more):
        if isinstance(more["watch"], Recorder):  # not the throw-away update before
            self.noted.append((np.round(X[:, 0], 12).tolist(), y.tolist()))
        return super()._training(X, y, sample_weight, **more)


def rows_used(sizes, labels, random_state=0, cv=2):
    Noted.noted.clear()
    model = Noted(**PLAIN)
    rows = np.column_stack([np.arange(len(labels)), rng.standard_normal(len(labels))]) / 100
    curve = convergence_curve(
        model, rows, labels, param_name="train_size", param_range=sizes, cv=cv, random_state=random_state
    )
    n_folds = curve.folds_["n_samples"].shape[1]
    numbers = [np.round(np.multiply(first, 100)).astype(int).tolist() for first, _ in Noted.noted]
    return curve, [numbers[i : i + n_folds] for i in range(0, len(numbers), n_folds)]


def test_training_rows_are_nested_and_keep_the_shares_of_classes():
    labels = np.array(["u"] * 20 + ["v"] * 60 + ["w"] * 120)
    sizes = [10, 25, 0.4, 77, 1.0]
    curve, used = rows_used(sizes, labels)
    assert_array_equal(curve.folds_["n_samples"], np.repeat([[10], [25], [40], [77], [100]], 2, axis=1))
    splits = list(StratifiedKFold(2).split(np.zeros((200, 1)), labels))
    for fold, (train, _) in enumerate(splits):
        assert used[-1][fold] == train.tolist()
        for smaller, larger in pairwise(used):
            assert set(smaller[fold]) < set(larger[fold])
        for rows, size in zip(used, (10, 25, 40, 77, 100), strict=True):
            assert rows[fold] == sorted(rows[fold])
            for label, share in (("u", 0.1), ("v", 0.3), ("w", 0.6)):
                assert abs((labels[rows[fold]] == label).sum() - share * size) <= 1


@given(st.lists(st.integers(0, 2), min_size=12, max_size=60), st.integers(0, 100), st.floats(0.01, 1.0))
def test_a_subset_keeps_shares_to_one_row(classes, seed, size):
    from minibatch.model_selection._arguments import subset

    labels, train = np.array(classes), np.arange(5, 5 + len(classes))
    rows = subset(train, size, np.concatenate([np.zeros(5, int), labels]), mlp, seed)
    number = max(1, round(size * len(labels)))
    assert len(set(rows.tolist())) == len(rows) == number
    for label in range(3):
        share = (labels == label).mean() * number
        assert abs((labels[rows - 5] == label).sum() - share) <= 1.5


def test_the_seed_chooses_the_rows():
    labels = np.array(["u", "v"] * 30)
    (_, one), (_, same), (_, other) = (rows_used([10], labels, random_state=s) for s in (0, 0, 1))
    assert one == same != other


def test_without_a_range_sizes_go_up_to_all_rows():
    curve = curve_of(param_name="train_size", param_range=None)
    assert curve.param_range == [0.1, 0.2, 0.4, 0.7, 1.0]
    assert_array_equal(curve.folds_["n_samples"][:, 0], [3, 6, 12, 21, 30])
    assert curve.param_name == "train_size"
    assert len(curve_of(param_range=None).param_range) == len(batch_size_grid(30))
    pipeline = make_pipeline(StandardScaler(), sgd)
    assert curve_of(pipeline, param_range=None).param_range == batch_size_grid(30)


def test_integers_are_rows_and_floats_are_shares():
    curve = curve_of(param_name="train_size", param_range=[2, 1.0, np.int32(3), np.float32(0.5)])
    assert_array_equal(curve.folds_["n_samples"][:, 0], [2, 30, 3, 15])


def test_weights_follow_the_rows_of_a_smaller_training_set():
    """Rows of weight 0 are as good as none: with 30 of them, half the training set is what counts."""
    weight = np.where(np.arange(60) % 2, 1.0, 0.0)
    full = MiniBatchSGDRegressor(**{**PLAIN, "batch_size": "full"})
    arguments = {"param_name": "train_size", "param_range": [0.5], "random_state": 0, "sample_weight": weight}
    one = curve_of(full, **arguments)
    other = convergence_curve(full, np.where(weight[:, None] > 0, X, 99.0), y, cv=HALVES, **arguments)
    assert_allclose(one.curves_["test_loss"], other.curves_["test_loss"])


# ---------------------------------------------------------------------- divergence


@pytest.mark.parametrize(("rate", "how"), [(1e8, "finite"), (1e200, "infinite")])
def test_one_value_that_diverges_leaves_the_others_alone(rate, how):
    with pytest.warns(ConvergenceWarning) as caught:
        curve = curve_of(param_name="eta0", param_range=[0.01, rate, 0.02])
    assert len([warning for warning in caught if warning.category is ConvergenceWarning]) == 1
    assert f"2 of 6 fits diverged, at eta0 {rate!r};" in str(caught[-1].message)
    assert caught[-1].filename == __file__ or "test_convergence_curve_choices" in caught[-1].filename
    without = curve_of(param_name="eta0", param_range=[0.01, 0.02])
    for name in set(curve.curves_) - {"seconds"}:
        assert_array_equal(curve.curves_[name][[0, 2], :, :3], without.curves_[name], err_msg=name)
    assert curve.summary_["status"] == ["max_iter", "diverged", "max_iter"]
    assert curve.summary_["rank_test_score"].tolist()[1] == 3
    assert "diverged" in repr(curve)


@pytest.mark.compiled
@pytest.mark.parametrize("model", [sgd, clone(net).set_params(solver="sgd")], ids=["linear", "network"])
def test_divergence_is_told_once_and_nothing_else_is(model):
    name = "eta0" if model is sgd else "learning_rate_init"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        curve = curve_of(model, param_name=name, param_range=[1e3, 1e8, 1e200, 0.01], budget={"epochs": 8})
        repr(curve), curve._repr_html_(), curve.to_frame("curves")
    assert {warning.category.__name__ for warning in caught} == {"ConvergenceWarning"}
    assert len(caught) == 1


def test_curves_are_nan_from_the_divergence_on():
    with pytest.warns(ConvergenceWarning, match="2 of 2 fits"):
        curve = curve_of(param_name="eta0", param_range=[1e200], evaluations_per_epoch=5)
    for f in range(2):
        n_updates = curve.curves_["n_updates"][0, f]
        assert np.isfinite(n_updates).sum() >= 1
        gone = np.isnan(curve.curves_["test_loss"][0, f])
        assert gone.any()
        assert gone[np.argmax(gone) :].all()


def test_divergence_in_one_fold_is_counted():
    rows = X.copy()
    rows[:30] *= 1e7  # trained on in the second fold
    with pytest.warns(ConvergenceWarning, match="1 of 2 fits diverged, at batch_size 7;"):
        curve = convergence_curve(sgd, rows, y, param_range=[7], cv=HALVES, budget={"epochs": 10}, target=-1e99)
    assert curve.summary_["status"] == ["max_iter (1 of 2), diverged (1 of 2)"]
    assert curve.folds_["status"].tolist() == [["max_iter", "diverged"]]


def test_one_test_row_has_no_r2_but_a_loss():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        curve = convergence_curve(sgd, X[:6], y[:6], param_range=[2], cv=LeaveOneOut())
        assert np.isnan(curve.folds_["test_score"]).all()
    assert np.isfinite(curve.folds_["test_loss"]).all()
    assert curve.folds_["status"].shape == (1, 6)


# ---------------------------------------------------------------------- what L-BFGS may do


@pytest.mark.parametrize("scale", [1.0, 1e200], ids=["at the optimum", "not finite"])
def test_lbfgs_may_end_before_its_first_iteration(scale):
    model = MiniBatchMLPRegressor(
        hidden_layer_sizes=(5,), solver="lbfgs", tol=1e9 if scale == 1.0 else 1e-4, random_state=0
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        curve = convergence_curve(model, scale * X, y, param_name="alpha", param_range=[1.0], cv=HALVES, target=0.5)
    assert curve.summary_["status"] == ["converged" if scale == 1.0 else "diverged"]
    assert_array_equal(curve.summary_["n_updates"], 0)


# ---------------------------------------------------------------------- progress


@pytest.mark.parametrize("backend", ["sequential", "loky", "threading", "multiprocessing"])
def test_a_progress_bar_counts_all_fits(backend, capsys):
    with parallel_config(backend):
        curve = curve_of(param_range=[7, 9], progress_bar=True, n_jobs=1 if backend == "sequential" else 2)
    assert "4/4" in capsys.readouterr().out
    assert_array_equal(curve.curves_["test_loss"], curve_of(param_range=[7, 9]).curves_["test_loss"])


def test_a_progress_bar_without_rich_says_what_to_do(monkeypatch):
    real_import = builtins.__import__

    def no_rich(name, *args, **kwargs):
        if name.split(".")[0] == "rich":
            raise ImportError(name)
        return real_import(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", no_rich)
    monkeypatch.setattr(MiniBatchSGDRegressor, "_training", lambda *a, **k: pytest.fail("a fit was made"))
    with pytest.raises(ImportError, match="progress_bar=True needs rich: pip install rich"):
        curve_of(progress_bar=True)


@pytest.mark.parametrize("learning_rate", ["constant", "auto"])
def test_values_that_share_batches_are_what_they_are_alone(learning_rate, monkeypatch):
    """And share their passes: of 12 values, all are asked for at a time."""
    asked = []
    original = together.run_together

    def counting(requests):
        asked.append(len(requests))
        return original(requests)

    monkeypatch.setattr(together, "run_together", counting)
    model = MiniBatchSGDClassifier(
        "log_loss", learning_rate=learning_rate, eta0=0.01, batch_size=16, tol=None, random_state=0
    )
    X, y = load_breast_cancer(return_X_y=True)
    values = np.geomspace(1e-5, 1.0, 12).tolist()
    options = {"param_name": "alpha", "cv": 2, "budget": {"epochs": 3}, "evaluations_per_epoch": 2}
    curve = convergence_curve(model, scale(X), y, param_range=values, **options)
    assert set(asked) == {12}
    for number in (0, 7, 11):
        alone = convergence_curve(model, scale(X), y, param_range=[values[number]], **options)
        for name, expected in alone.curves_.items():
            if name != "seconds":
                assert_allclose(curve.curves_[name][number], expected[0], rtol=1e-7, err_msg=name)
