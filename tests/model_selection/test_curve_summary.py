"""What a curve says in numbers: of a path, of a fold, of a value; its tables, frames and pickle."""

import pickle
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.model_selection import KFold, RepeatedKFold, ShuffleSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from minibatch import MiniBatchMLPClassifier, MiniBatchSGDClassifier, MiniBatchSGDRegressor
from minibatch.model_selection import ConvergenceCurve, _paths, _summary, convergence_curve

rng = np.random.default_rng(0)
X = rng.standard_normal((60, 4))
y = X @ [1.0, -2.0, 0.5, 0.0] + 0.5 * rng.standard_normal(60) + 1.0
two = (y > 1.0).astype(int)
sgd = MiniBatchSGDRegressor(learning_rate="invscaling", max_iter=4, tol=None, random_state=0)
paths = st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=20).map(np.array)
with_gaps = st.lists(st.floats(1e-3, 1e3) | st.just(np.nan), min_size=1, max_size=20).map(np.array)


@pytest.fixture(scope="module")
def curve():
    return convergence_curve(
        sgd, X, y, param_range=[1, 8, "full"], cv=4, target={"train_loss": 1.0}, evaluations_per_epoch=2
    )


# ---------------------------------------------------------------------- a path


@given(with_gaps, st.floats(1e-3, 1e3), st.booleans())
def test_first_reached_is_the_first(values, target, lower):
    there = [i for i, value in enumerate(values) if (value <= target if lower else value >= target)]
    assert _paths.first_reached(values, target, lower) == (there[0] if there else None)


@given(st.floats(0.01, 3.0), st.integers(2, 30), st.floats(0.1, 10.0), st.floats(0.05, 1.0))
def test_the_rate_of_a_geometric_descent_is_its_rate(rate, n, scale, step):
    epoch = step * np.arange(1, n + 1)
    assert_allclose(_paths.convergence_rate(epoch, scale * np.exp(-rate * epoch)), rate, rtol=1e-7)


def test_the_rate_is_that_of_the_descent_alone():
    epoch = np.arange(1.0, 9.0)
    loss = np.array([8.0, 4.0, 2.0, 1.0, 3.0, 5.0, np.nan, np.nan])
    assert_allclose(_paths.convergence_rate(epoch, loss), np.log(2.0))
    slope = stats.linregress(epoch[:4], np.log([8.0, 3.0, 2.5, 1.0])).slope
    assert_allclose(_paths.convergence_rate(epoch[:5], np.array([8.0, 3.0, 2.5, 1.0, 2.0])), -slope)


@pytest.mark.parametrize(
    "loss", [[], [1.0], [1.0, 2.0, 3.0], [1.0, 0.0], [1.0, -2.0], [np.nan] * 3, [np.inf, 1.0, 0.5]]
)
def test_no_rate_without_a_descent(loss):
    assert np.isnan(_paths.convergence_rate(np.arange(1.0, len(loss) + 1), np.array(loss)))


@given(with_gaps)
def test_rises_are_counted_between_neighbours(loss):
    finite = loss[np.isfinite(loss)].tolist()
    share = _paths.share_of_rises(loss)
    if len(finite) < 2:
        assert np.isnan(share)
    else:
        assert_allclose(share, sum(b > a for a, b in pairwise(finite)) / (len(finite) - 1))


@given(paths, st.floats(1e-3, 1e3))
def test_roughness_does_not_depend_on_the_scale(loss, scale):
    assert_allclose(_paths.roughness(scale * loss), _paths.roughness(loss), atol=1e-9)


@pytest.mark.parametrize("sigma", [0.003, 0.1])
def test_roughness_is_the_noise_around_a_line(sigma):
    """Standard error of a median absolute deviation from n normal numbers that are correlated with their neighbours,
    by simulation: 1.6 / sqrt(n)."""
    n, random = 20_000, np.random.default_rng(3)
    loss = np.exp(-1e-4 * np.arange(n) + sigma * random.standard_normal(n))
    assert_allclose(_paths.roughness(loss), sigma, rtol=5 * 1.6 / np.sqrt(n))


@pytest.mark.parametrize("loss", [[], [1.0, 2.0], [1.0, 0.0, 1.0, 2.0], [np.nan, 1.0, np.nan, 2.0]])
def test_no_roughness_of_too_little(loss):
    assert np.isnan(_paths.roughness(np.array(loss)))


@given(with_gaps)
def test_the_best_evaluation_has_the_lowest_loss(loss):
    best = _paths.best_evaluation(loss)
    assert best is None if np.isnan(loss).all() else loss[best] == np.nanmin(loss)


@given(st.integers(1, 12), st.integers(3, 10))
def test_overfitting_begins_at_the_lowest_test_loss(before, after):
    train = np.exp(-0.1 * np.arange(before + after))
    test = np.concatenate(
        [np.exp(-0.3 * np.arange(before)), np.exp(-0.3 * (before - 1) + 0.3 * np.arange(1, after + 1))]
    )
    assert _paths.overfitting_onset(train, test) == before - 1
    assert _paths.overfitting_onset(train[::-1], test) is None  # the training loss rises too
    assert _paths.overfitting_onset(train[:before], test[:before]) is None


@given(st.integers(0, 1000))
def test_noise_alone_is_no_overfitting_but_once_in_a_while(seed):
    """A flat test loss with noise: its end is above the minimum, though seldom by three standard deviations more."""
    random = np.random.default_rng(seed)
    onsets = [
        _paths.overfitting_onset(np.exp(-0.01 * np.arange(30)), np.exp(0.01 * random.standard_normal(30)))
        for _ in range(20)
    ]
    assert sum(onset is not None for onset in onsets) <= 4


@pytest.mark.parametrize("n", [10, 30, 300])
@pytest.mark.compiled
def test_noise_is_taken_for_overfitting_in_one_path_of_twenty_at_most(n):
    """Of long paths too: the more noisy values, the lower the lowest of them."""
    random = np.random.default_rng(n)
    train = np.linspace(2.0, 1.0, n)
    onsets = [_paths.overfitting_onset(train, 1.0 + 0.02 * random.standard_normal(n)) for _ in range(400)]
    assert np.mean([onset is not None for onset in onsets]) < 0.05


def test_a_rise_of_half_a_percent_is_no_overfitting():
    test = np.concatenate([np.linspace(2.0, 1.0, 20), np.linspace(1.0, 1.005, 20)])
    assert _paths.overfitting_onset(np.linspace(2.0, 1.0, 40), test) is None


# ---------------------------------------------------------------------- whole fits


def test_the_rate_of_gradient_descent_on_a_quadratic():
    """X'X/n = 1, no intercept: every step takes the error times 1 - eta, the loss times its square."""
    rows = np.linalg.qr(np.random.default_rng(0).standard_normal((40, 3)))[0] * np.sqrt(40)
    model = MiniBatchSGDRegressor(
        batch_size="full", learning_rate="constant", eta0=0.3, alpha=0.0, fit_intercept=False, tol=None, max_iter=9
    )
    folds = [(np.arange(40), np.arange(40))]
    curve = convergence_curve(model, rows, rows @ [1.0, 2.0, 3.0], param_range=["full"], cv=folds)
    assert_allclose(curve.summary_["convergence_rate"], -2 * np.log(0.7), rtol=1e-6)
    assert_allclose(curve.summary_["roughness"], 0.0, atol=1e-6)
    assert_allclose(curve.summary_["share_of_rises"], 0.0)
    assert_array_equal(curve.summary_["best_epoch"], 9)


@pytest.mark.compiled
def test_a_network_overfits_noisy_labels_but_not_clear_ones():
    random = np.random.default_rng(0)
    rows = random.standard_normal((120, 10))
    noisy, clear = random.integers(0, 2, 120), (rows[:, 0] > 0).astype(int)
    network = MiniBatchMLPClassifier(
        (30,), batch_size=10, learning_rate="constant", learning_rate_init=0.01, tol=None, random_state=0
    )
    curve = convergence_curve(network, rows, noisy, param_range=[10], cv=3, budget={"epochs": 30})
    assert curve.summary_["overfitted"] == [1.0]
    assert 1 <= curve.summary_["overfitting_onset"][0] < 20
    for f in range(3):
        lowest = curve.curves_["epoch"][0, f, np.argmin(curve.curves_["test_loss"][0, f])]
        assert curve.folds_["overfitting_onset"][0, f] == curve.folds_["best_epoch"][0, f] == lowest
    linear = MiniBatchSGDClassifier("log_loss", learning_rate="constant", alpha=0.01, tol=None, random_state=0)
    curve = convergence_curve(linear, rows, clear, param_range=[40], cv=3, budget={"epochs": 30})
    assert curve.summary_["overfitted"] == [0.0]
    assert np.isnan(curve.summary_["overfitting_onset"][0])


# ---------------------------------------------------------------------- a value


def test_means_deviations_and_gaps_by_hand(curve):
    folds, summary = curve.folds_, curve.summary_
    for name in ("train_score", "test_score", "train_loss", "test_loss"):
        assert_allclose(summary[f"mean_{name}"], [np.mean(row) for row in folds[name]])
        assert_allclose(summary[f"std_{name}"], [np.std(row) for row in folds[name]])
    assert_allclose(summary["mean_generalization_gap"], np.mean(folds["train_score"] - folds["test_score"], axis=1))
    assert_allclose(summary["std_loss_gap"], np.std(folds["test_loss"] - folds["train_loss"], axis=1))
    assert_array_equal(summary["rank_test_score"], stats.rankdata(-summary["mean_test_score"]))
    assert_allclose(summary["best_epoch"], np.median(folds["best_epoch"], axis=1))


@pytest.mark.parametrize("cv", [KFold(4), RepeatedKFold(n_splits=3, n_repeats=2), ShuffleSplit(5, test_size=0.25)])
def test_the_interval_is_that_of_nadeau_and_bengio(cv):
    cv = list(cv.split(X))
    curve = convergence_curve(sgd, X, y, param_range=[1, 8, "full"], cv=cv)
    scores = curve.folds_["test_score"]
    best, k = int(np.argmax(scores.mean(axis=1))), len(cv)
    n_train, n_test = len(cv[0][0]), len(cv[0][1])
    for v in range(3):
        difference = scores[v] - scores[best]
        corrected = np.sqrt((1 / k + n_test / n_train) * np.sum((difference - difference.mean()) ** 2) / (k - 1))
        assert_allclose(curve.summary_["test_score_vs_best"][v], difference.mean(), atol=1e-15)
        assert_allclose(curve.summary_["test_score_vs_best_interval"][v], stats.t.ppf(0.975, k - 1) * corrected)
    assert curve.summary_["test_score_vs_best"][best] == curve.summary_["test_score_vs_best_interval"][best] == 0.0


def test_one_fold_has_no_interval():
    curve = convergence_curve(sgd, X, y, param_range=[1, 8], cv=ShuffleSplit(1))
    assert np.isnan(curve.summary_["test_score_vs_best_interval"]).all()
    assert np.isnan(curve.summary_["generalization_gap_vs_best_interval"]).all()
    assert "1 fold;" in repr(curve)


def test_ranks_with_ties_and_nan():
    scores = np.array([0.5, np.nan, 0.9, 0.5, -np.inf])
    assert _summary._ranks(scores, np.zeros(5, bool)).tolist() == [2, 5, 1, 2, 4]
    assert _summary._ranks(np.full(2, np.nan), np.zeros(2, bool)).tolist() == [1, 1]
    assert _summary._ranks(scores, scores == 0.9).tolist() == [1, 5, 4, 1, 3]


def test_medians_are_over_the_folds_that_reached_the_target(curve):
    for unit in ("epochs", "updates", "samples", "seconds"):
        folds = curve.folds_[f"{unit}_to_target"]
        for v, row in enumerate(folds):
            expected = np.median(row[np.isfinite(row)]) if np.isfinite(row).any() else np.nan
            assert_allclose(curve.summary_[f"{unit}_to_target"][v], expected)
    assert_array_equal(curve.summary_["reached"], np.isfinite(curve.folds_["epochs_to_target"]).mean(axis=1))
    assert len(set(curve.summary_["reached"])) > 1  # a test of more than one case


# ---------------------------------------------------------------------- parameters that go together


def test_paired_parameters_are_set_with_each_value():
    rates = np.array([0.001, 0.01, 0.1])
    model = make_pipeline(StandardScaler(), MiniBatchSGDRegressor(max_iter=2, tol=None, random_state=0))
    model.set_params(minibatchsgdregressor__learning_rate="constant")
    for name in ("eta0", "minibatchsgdregressor__eta0"):
        curve = convergence_curve(model, X, y, param_range=[4, 8, "full"], paired_params={name: rates}, cv=2)
        assert curve.summary_["eta0"] == rates.tolist()
        assert_allclose(curve.curves_["learning_rate"], np.broadcast_to(rates[:, None, None], (3, 2, 2)))
        assert "eta0" in repr(curve)
    for v, (size, rate) in enumerate(zip([4, 8, "full"], rates, strict=True)):
        model.set_params(minibatchsgdregressor__eta0=rate)
        alone = convergence_curve(model, X, y, param_range=[size], cv=2)
        assert_array_equal(alone.curves_["test_loss"][0], curve.curves_["test_loss"][v])


@pytest.mark.parametrize(
    ("paired", "message"),
    [
        ({"eta0": [0.1]}, r"paired_params\['eta0'\] must have a value for each of the 2 of param_range; it has 1"),
        ({"nope": [0.1, 0.2]}, "'nope' is not a parameter"),
        ({"eta0": [0.1, -0.2]}, "eta0"),
        ({"batch_size": [1, 2]}, "batch_size"),
        (["eta0"], "paired_params"),
        ({"eta0": 0.1}, "paired_params"),
    ],
)
def test_wrong_pairs_are_named(paired, message, monkeypatch):
    monkeypatch.setattr(MiniBatchSGDRegressor, "_train", lambda *a, **k: pytest.fail("a fit was made"))
    with pytest.raises((ValueError, TypeError), match=message):
        convergence_curve(sgd, X, y, param_range=[4, 8], paired_params=paired, cv=2)


# ---------------------------------------------------------------------- frames, tables, pickle


def test_three_frames(curve):
    summary, folds, curves = (curve.to_frame(what) for what in ("summary", "folds", "curves"))
    assert (summary.shape[0], folds.shape[0]) == (3, 12)
    assert summary["batch_size"].tolist() == [1, 8, "full"]
    assert_allclose(summary["mean_test_score"], curve.summary_["mean_test_score"])
    assert folds["batch_size"].tolist() == [1] * 4 + [8] * 4 + ["full"] * 4
    assert folds["fold"].tolist() == [0, 1, 2, 3] * 3
    assert_allclose(folds["test_loss"], curve.folds_["test_loss"].ravel())
    assert len(curves) == 4 * (4 * 2 + 4 * 2 + 4)
    for (size, fold), rows in curves.groupby(["batch_size", "fold"], sort=False):
        here = curve.curves_["test_loss"][curve.param_range.index(size), fold]
        assert_allclose(rows["test_loss"], here[np.isfinite(here)])
    pd.testing.assert_frame_equal(curve.to_frame(), summary)


@pytest.mark.parametrize(
    ("name", "values"),
    [("learning_rate", ["constant", "invscaling"]), ("loss", ["huber", "squared_error"]), ("max_iter", [1, 2])],
)
def test_frames_keep_the_values_of_the_parameter(name, values):
    """One of the recorded quantities has the name of a parameter."""
    curve = convergence_curve(sgd, X, y, param_name=name, param_range=values, cv=2)
    for what in ("summary", "folds", "curves"):
        frame = curve.to_frame(what)
        assert set(frame[name]) == set(values), what


def test_what_is_printed(curve):
    lines = repr(curve).splitlines()
    assert lines[0] == (
        "ConvergenceCurve of 3 values of batch_size, 4 folds; score: r2; "
        "budget: 4 epochs a fit; target: train_loss <= 1"
    )
    assert lines[1].split()[:3] == ["batch_size", "status", "epochs"]
    assert [line.split()[0] for line in lines[2:]] == ["1", "8", "full"]
    assert len({len(line) for line in lines[1:]}) == 1
    mean, std = curve.summary_["mean_test_score"][0], curve.summary_["std_test_score"][0]
    assert f"{mean:.3g} ± {std:.1g}" in lines[2]


def test_a_varied_limit_is_not_the_limit_of_the_estimator():
    assert "4 epochs a fit" not in repr(convergence_curve(sgd, X, y, param_name="max_iter", param_range=[1, 2], cv=2))


def test_a_budget_does_not_silence_the_limit_that_varies():
    with pytest.raises(ValueError, match=r"budget={'epochs': 3} replaces max_iter, which varies"):
        convergence_curve(sgd, X, y, param_name="max_iter", param_range=[1, 2], budget={"epochs": 3}, cv=2)


class Tagged(TransformerMixin, BaseEstimator):
    def __init__(self, tag=""):
        self.tag = tag

    def fit(self, X, y=None):
        return self

    def transform(self, X):
        return X

    def __sklearn_is_fitted__(self):
        return True


def test_html_escapes_what_a_user_has_written():
    pipeline = make_pipeline(Tagged(), sgd)
    tags = ["<b>", "a & b", '<script>"x"</script>']
    page = convergence_curve(pipeline, X, y, param_name="tagged__tag", param_range=tags, cv=2)._repr_html_()
    assert "&lt;b&gt;" in page
    assert "a &amp; b" in page
    assert "<b>" not in page
    assert "<script" not in page
    assert page.count("<tr") == 4


def test_pickle(curve):
    copy = pickle.loads(pickle.dumps(curve))
    assert isinstance(copy, ConvergenceCurve)
    assert repr(copy) == repr(curve)
    assert (copy.target, copy.param_range, copy.budget, copy.scoring) == (
        curve.target,
        curve.param_range,
        curve.budget,
        curve.scoring,
    )
    for mine, other in ((curve.curves_, copy.curves_), (curve.folds_, copy.folds_)):
        assert all(np.array_equal(mine[name], other[name], equal_nan=mine[name].dtype.kind == "f") for name in mine)


def test_a_result_cannot_be_rebound_and_compares_by_identity(curve):
    with pytest.raises(AttributeError):
        curve.budget = "more"
    assert curve == curve
    assert curve != pickle.loads(pickle.dumps(curve))
