"""GeneralizationGapDisplay: the gap at the end and along training."""

import dataclasses

import matplotlib.pyplot as plt
import numpy as np
import pytest

from minibatch.plotting import GeneralizationGapDisplay
from references.plots import FOLDS, SGD, X, Y, changed, legend_words

pytestmark = pytest.mark.usefixtures("close_figures")


class TestGeneralizationGap:
    def test_final_gap_with_its_spread_and_folds(self, curve):
        display = GeneralizationGapDisplay.from_curve(curve)
        gaps = curve.folds_["train_score"] - curve.folds_["test_score"]
        np.testing.assert_allclose(display.lines_[0].get_ydata(), gaps.mean(axis=1))
        ends = np.array([segment[:, 1] for segment in display.errorbar_.lines[2][0].get_segments()])
        np.testing.assert_allclose(np.diff(ends)[:, 0] / 2, gaps.std(axis=1))
        np.testing.assert_allclose(display.fold_points_.get_ydata(), gaps.ravel())
        np.testing.assert_array_equal(np.round(display.fold_points_.get_xdata()), np.repeat(np.arange(4), FOLDS))
        assert display.ax_.get_ylabel() == "Training minus test accuracy"
        labels = [label.get_text() for label in display.ax_.get_xticklabels()]
        assert labels == ["1", "8", "0.5\n(40)", "full\n(80)"]

    def test_diverged_folds_are_left_out_and_marked(self, curve):
        dead = {(1, 0): "diverged", (2, 0): "diverged", (2, 1): "diverged", (2, 2): "diverged"}
        display = GeneralizationGapDisplay.from_curve(changed(curve, status=dead))
        gaps = curve.folds_["train_score"] - curve.folds_["test_score"]
        np.testing.assert_allclose(
            display.lines_[0].get_ydata(), [gaps[0].mean(), gaps[1, 1:].mean(), np.nan, gaps[3].mean()]
        )
        assert np.round(display.diverged_[0].get_xdata()).tolist() == [1, 2, 2, 2]
        assert "diverged fold" in legend_words(display)
        assert len(display.fold_points_.get_xdata()) == 8

    def test_gap_along_training(self, curve):
        display = GeneralizationGapDisplay.from_curve(curve, x="n_updates")
        gaps = curve.curves_["train_score"] - curve.curves_["test_score"]
        for value, line in enumerate(display.lines_):
            np.testing.assert_allclose(line.get_ydata(), gaps[value].mean(axis=0))
            np.testing.assert_allclose(line.get_xdata(), curve.curves_["n_updates"][value].mean(axis=0))
        assert display.ax_.get_xlabel() == "Updates"
        assert display.errorbar_ is None

    def test_rise_of_the_test_loss_is_marked(self, curve):
        onset = np.array([np.nan, 4.0, np.nan, 2.2])
        rising = dataclasses.replace(curve, summary_={**curve.summary_, "overfitting_onset": onset})
        display = GeneralizationGapDisplay.from_curve(rising, x="n_updates")
        gaps = (curve.curves_["train_score"] - curve.curves_["test_score"]).mean(axis=1)
        updates = curve.curves_["n_updates"].mean(axis=1)
        places = [ring.get_xydata()[0] for ring in display.onsets_]
        np.testing.assert_allclose(places, [[updates[1, 3], gaps[1, 3]], [updates[3, 1], gaps[3, 1]]])
        assert legend_words(display).count("test loss begins to rise") == 1

    def test_keywords_reach_the_artists(self, curve):
        _, (_, ax) = plt.subplots(1, 2)
        display = GeneralizationGapDisplay.from_curve(curve, ax=ax, errorbar_kw={"c": "red"})
        assert display.ax_ is ax
        assert display.lines_[0].get_color() == "red"
        display = GeneralizationGapDisplay.from_curve(curve, x="epoch", line_kw={"lw": 3}, fill_between_kw={"alpha": 1})
        assert display.lines_[0].get_linewidth() == 3
        assert display.fill_between_[0].get_alpha() == 1

    def test_one_fold(self):
        split = [(np.arange(80), np.arange(80, 120))]
        display = GeneralizationGapDisplay.from_estimator(SGD, X, Y, param_range=[8, "full"], cv=split)
        assert legend_words(display) == ["the fold"]
        assert "1 fold" in display.ax_.get_title(loc="left")

    def test_wrong_x(self, curve):
        with pytest.raises(ValueError, match=r"x must be one of None, 'epoch'.*got 'updates'"):
            GeneralizationGapDisplay.from_curve(curve, x="updates")
