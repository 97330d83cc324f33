"""GeneralizationGapDisplay: the gap at the end and along training."""

import dataclasses

import matplotlib.pyplot as plt
import numpy as np
import pytest

from minibatch.plotting import ConvergenceDisplay, GeneralizationGapDisplay
from minibatch.plotting._lines import Quantity, draw_paths
from references.plots import FOLDS, SGD, X, Y, assert_legible, changed, legend_words

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

    def test_a_gap_that_would_hide_the_others_is_left_outside_at_the_end(self, curve):
        gap = curve.folds_["train_score"] - curve.folds_["test_score"]
        gap[1] = [1e9, 3e9, 0.01]
        gap[2, 0] = -4.0
        far = changed(curve, train_score=curve.folds_["test_score"] + gap)
        display = GeneralizationGapDisplay.from_curve(far)
        low, high = display.ax_.get_ylim()
        others = gap[[0, 3]]
        assert low <= others.min()
        assert others.max() <= high
        assert high - low < 1
        assert [arrow.get_xdata()[0] for arrow in display.outside_] == [1, 2]
        assert [arrow.get_marker() for arrow in display.outside_] == [r"$\uparrow$", r"$\downarrow$"]
        # the mean of value 2 is inside by the rule, its fold is not
        assert [text.get_text() for text in display.ax_.texts] == ["1.3e+09", "-4"]
        bars = display.errorbar_.lines[2][0].get_paths()
        assert [np.isfinite(bar.vertices).all() for bar in bars] == [True, False, False, True]
        assert legend_words(display)[-1] == "outside the picture"
        assert_legible(display.figure_)

    @pytest.mark.parametrize("log_x", [False, True])
    def test_a_gap_that_would_hide_the_others_is_left_outside_along_training(self, curve, log_x):
        scores = curve.curves_["train_score"].copy()
        scores[3, :, 4:] = -1e9
        far = dataclasses.replace(
            curve,
            curves_={**curve.curves_, "train_score": scores},
            summary_={**curve.summary_, "overfitting_onset": np.array([2.0, np.nan, np.nan, 5.0])},
        )
        display = GeneralizationGapDisplay.from_curve(far, x="epoch", log_x=log_x)
        gaps = (scores - curve.curves_["test_score"]).mean(axis=1)[:3]
        low, high = display.ax_.get_ylim()
        assert low <= gaps.min()
        assert gaps.max() <= high
        assert high - low < 1
        assert len(display.fill_between_) == 3  # a fourth one would cover the picture
        assert np.isnan(display.lines_[3].get_ydata()).tolist() == [False] * 4 + [True] * 2
        (arrow,) = display.outside_
        assert arrow.get_color() == display.lines_[3].get_color()
        assert arrow.get_xdata()[0] == 5
        words = legend_words(display)
        assert words[3] == "full (80): down to -1e+09"
        assert "outside the picture" in words
        # a ring that nobody could see is not promised
        assert len(display.onsets_) == 1
        assert_legible(display.figure_)

    def test_ordinary_gaps_are_all_inside(self, curve, many):
        for one in (curve, many):
            for x in (None, "epoch"):
                display = GeneralizationGapDisplay.from_curve(one, x=x)
                assert display.outside_ == []
        # one value that fits perfectly is no reason to hide the others
        perfect = curve.folds_["train_score"].copy()
        perfect[0] = curve.folds_["test_score"][0]
        assert GeneralizationGapDisplay.from_curve(changed(curve, train_score=perfect)).outside_ == []

    @pytest.mark.parametrize("x", [None, "epoch"])
    def test_all_far_outside(self, curve, x):
        scores = -(10.0 ** np.arange(3, 3 + curve.curves_["train_score"].size)).reshape(
            curve.curves_["train_score"].shape
        )
        far = dataclasses.replace(
            changed(curve, train_score=scores[:, :, -1]), curves_={**curve.curves_, "train_score": scores}
        )
        display = GeneralizationGapDisplay.from_curve(far, x=x)
        assert np.isfinite(display.ax_.get_ylim()).all()
        assert_legible(display.figure_)
        if x == "epoch":  # a title names no bands where all were taken away
            assert display.fill_between_ == []
            assert display.ax_.get_title(loc="left").startswith("Mean over")

    def test_the_cross_stands_where_that_of_the_losses_stands(self, curve):
        dead = changed(curve, status={(1, 0): "diverged"})
        dead.curves_["test_loss"][1, 0, 2:] = np.nan  # scores stay finite up to the end
        for part in ("train", "test"):  # of all folds alike, so that the cross is within the axis
            dead.curves_[f"{part}_score"][1] = dead.curves_[f"{part}_score"][1, 0]
        gap = GeneralizationGapDisplay.from_curve(dead, x="epoch").diverged_[0].get_xydata()
        loss = ConvergenceDisplay.from_curve(dead).diverged_[0].get_xydata()
        assert gap[0, 0] == loss[0, 0] == 2
        scores = (dead.curves_[f"{part}_score"][1, 0, 1] for part in ("train", "test"))
        assert gap[0, 1] == pytest.approx(np.subtract(*scores))

    def test_keywords_reach_the_artists(self, curve):
        _, (_, ax) = plt.subplots(1, 2)
        display = GeneralizationGapDisplay.from_curve(curve, ax=ax, errorbar_kw={"c": "red"})
        assert display.ax_ is ax
        assert display.lines_[0].get_color() == "red"
        display = GeneralizationGapDisplay.from_curve(curve, x="epoch", line_kw={"lw": 3}, fill_between_kw={"alpha": 1})
        assert display.lines_[0].get_linewidth() == 3
        assert display.fill_between_[0].get_alpha() == 1

    @pytest.mark.compiled
    def test_one_fold(self):
        split = [(np.arange(80), np.arange(80, 120))]
        display = GeneralizationGapDisplay.from_estimator(SGD, X, Y, param_range=[8, "full"], cv=split)
        assert legend_words(display) == ["the fold"]
        assert "1 fold" in display.ax_.get_title(loc="left")

    def test_wrong_x(self, curve):
        with pytest.raises(ValueError, match=r"'x' .* must be a str among {.*'epoch'.*} or None. Got 'updates'"):
            GeneralizationGapDisplay.from_curve(curve, x="updates")


def test_gaps_are_means_on_axes_that_are_logarithmic_already(curve):
    """They may be negative: a geometric mean has no meaning for them."""
    _, (plain, logarithmic) = plt.subplots(1, 2)
    logarithmic.set_yscale("log")
    on_plain, on_logarithmic = (
        GeneralizationGapDisplay.from_curve(curve, x="epoch", ax=ax) for ax in (plain, logarithmic)
    )
    for expected, line in zip(on_plain.lines_, on_logarithmic.lines_, strict=True):
        np.testing.assert_array_equal(line.get_ydata(), expected.get_ydata())


def test_the_title_names_the_bands_only_where_there_are_some(curve):
    with_bands = GeneralizationGapDisplay.from_curve(curve, x="epoch")
    assert ("± std" in with_bands.ax_.get_title(loc="left")) == bool(with_bands.fill_between_)
    gap = curve.curves_["train_score"] - curve.curves_["test_score"]
    drawn = draw_paths(
        with_bands.ax_, curve, "epoch", [Quantity(gap)], log_x=None, log_y=False,
        std_display_style="fill_between", line_kw=None, fill_between_kw=None,
    )  # fmt: skip
    assert drawn.statistic == "mean ± std"
    drawn.bands.clear()
    assert drawn.statistic == "mean"
