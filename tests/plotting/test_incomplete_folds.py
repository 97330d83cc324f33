"""Displays of curves with fits that failed, or without a test loss: other folds are drawn, and the legend says so."""

import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.model_selection import KFold

from minibatch import MiniBatchSGDClassifier
from minibatch.model_selection import convergence_curve
from minibatch.plotting import BatchSizeScalingDisplay, ConvergenceDisplay, GeneralizationGapDisplay
from references.plots import SGD, X, Y, assert_legible, legend_words

pytestmark = pytest.mark.usefixtures("close_figures")
SIZES, FOLDS = [4, 16, "full"], 3
LABELS = np.array([*["a", "b"] * 40, *["a", "b", "c", "c"] * 10])  # without shuffling, all of c is in the last fold


class FailsOnSmall(MiniBatchSGDClassifier):
    """Raises in the second fold with batches of 4 rows, and wherever all rows are a batch."""

    def fails(self, n_samples):
        return self.batch_size == "full" or (self.batch_size == 4 and n_samples == 79)

    def _check_batches(self, n_samples):
        if self.fails(n_samples):
            raise ValueError("I do not like these rows")


def curve_of(model, y, cv, **more):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they tell of these folds
        budget = {"epochs": 4}
        return convergence_curve(model, X[: len(y)], y, param_range=SIZES, cv=cv, budget=budget, target=0.4, **more)


@pytest.fixture(scope="module")
def lacking():
    return curve_of(SGD, LABELS, KFold(FOLDS))


@pytest.fixture(scope="module", params=[np.nan, 1.0])
def failed(request):
    folds = np.arange(120)
    cv = [(np.setdiff1d(folds, test), test) for test in (folds[:40], folds[40:81], folds[81:])]
    model = FailsOnSmall(**SGD.get_params()).set_params(eta0=0.003)
    return curve_of(model, Y, cv, error_score=request.param)


class TestFoldsWithoutATestLoss:
    def test_the_line_is_the_mean_of_the_others(self, lacking):
        display = ConvergenceDisplay.from_curve(lacking)
        losses = lacking.curves_["test_loss"]
        assert np.isnan(losses[:, 2]).all()
        for value, (line, band) in enumerate(zip(display.lines_, display.fill_between_, strict=True)):
            assert_allclose(line.get_ydata(), losses[value, :2].mean(axis=0))
            highest = losses[value, :2].mean(axis=0) + losses[value, :2].std(axis=0)
            assert_allclose(band.get_paths()[0].vertices[:, 1].max(), highest.max())
        assert legend_words(display) == [f"{name}: 1 of 3 not defined" for name in ("4", "16", "full (80)")]
        assert display.diverged_ == []
        assert_legible(display.figure_)

    @pytest.mark.parametrize("y", ["train_loss", "test_score", "score"])
    def test_other_quantities_are_of_all_folds(self, lacking, y):
        display = ConvergenceDisplay.from_curve(lacking, y=y)
        assert legend_words(display)[:3] == ["4", "16", "full (80)"]
        assert_allclose(display.lines_[0].get_ydata(), lacking.curves_[y if "_" in y else f"train_{y}"][0].mean(axis=0))

    def test_both_losses(self, lacking):
        train, test = ConvergenceDisplay.from_curve(lacking, y="loss").lines_[:2]
        assert_allclose(train.get_ydata(), lacking.curves_["train_loss"][0].mean(axis=0))
        assert_allclose(test.get_ydata(), lacking.curves_["test_loss"][0, :2].mean(axis=0))

    def test_without_any_test_loss_the_axes_are_empty(self):
        display = ConvergenceDisplay.from_curve(curve_of(SGD, np.repeat(["a", "b", "c"], 40), KFold(FOLDS)))
        assert legend_words(display) == [f"{name}: not defined" for name in ("4", "16", "full (80)")]
        display.figure_.canvas.draw()


class TestFitsThatFailed:
    def test_lines_are_means_of_the_others(self, failed):
        display = ConvergenceDisplay.from_curve(failed, y="test_score")
        scores = failed.curves_["test_score"]
        assert_allclose(display.lines_[0].get_ydata(), scores[0, [0, 2]].mean(axis=0))
        assert_allclose(display.lines_[1].get_ydata(), scores[1].mean(axis=0))
        assert len(display.lines_[2].get_ydata()) == 0
        assert legend_words(display)[:3] == ["4: 1 of 3 failed", "16", "full (80): failed"]
        assert display.diverged_ == []
        assert_legible(display.figure_)

    def test_gaps_at_the_end(self, failed):
        display = GeneralizationGapDisplay.from_curve(failed)
        gaps = failed.folds_["train_score"] - failed.folds_["test_score"]
        assert_allclose(display.lines_[0].get_ydata(), [gaps[0, [0, 2]].mean(), gaps[1].mean(), np.nan])
        assert len(display.fold_points_.get_ydata()) == 5
        (marks,) = display.failed_
        assert np.rint(marks.get_xdata()).tolist() == [0, 2, 2, 2]
        assert legend_words(display) == ["mean ± std", "one fold", "failed fold"]

    def test_gaps_along_training(self, failed):
        display = GeneralizationGapDisplay.from_curve(failed, x="n_updates")
        gaps = (failed.curves_["train_score"] - failed.curves_["test_score"])[0, [0, 2]]
        assert_allclose(display.lines_[0].get_ydata(), gaps.mean(axis=0))
        assert legend_words(display)[:3] == ["4: 1 of 3 failed", "16", "full (80): failed"]

    def test_they_reach_no_target(self, failed):
        display = BatchSizeScalingDisplay.from_curve(failed)
        assert np.isnan(failed.folds_["updates_to_target"][failed.folds_["status"] == "failed"]).all()
        assert_allclose(display.lines_[0].get_xdata(), [4, 16])
        assert_allclose(display.not_reached_.get_xdata(), [failed.folds_["resolved_batch_size"][2].mean()])
        assert failed.folds_["resolved_batch_size"].tolist() == [[4] * 3, [16] * 3, [80, 79, 81]]
