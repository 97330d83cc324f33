"""Displays of convergence curves and searches: what the artists show, and that it can be read."""

import dataclasses
import subprocess
import sys
import warnings
from itertools import combinations

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import make_classification, make_regression
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from minibatch import (
    MiniBatchMLPClassifier,
    MiniBatchMLPRegressor,
    MiniBatchSGDClassifier,
    MiniBatchSGDRegressor,
)
from minibatch.model_selection import ConvergenceScorer, convergence_curve
from minibatch.plotting import (
    BatchSizeLearningRateDisplay,
    BatchSizeScalingDisplay,
    ConvergenceDisplay,
    GeneralizationGapDisplay,
)

X, Y = make_classification(120, 6, n_informative=4, flip_y=0.1, random_state=0)
SGD = MiniBatchSGDClassifier("log_loss", learning_rate="constant", eta0=0.1, tol=None, random_state=0)
SIZES = [1, 8, 0.5, "full"]
FOLDS, EPOCHS = 3, 6


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def curve():
    return convergence_curve(
        SGD, X, Y, param_range=SIZES, cv=FOLDS, budget={"epochs": EPOCHS}, target={"test_loss": 0.5}
    )


@pytest.fixture(scope="module")
def many():
    sizes = [1, 2, 3, 4, 6, 8, 11, 16, 22, 32, 45, "full"]
    return convergence_curve(SGD, X, Y, param_range=sizes, cv=2, budget={"epochs": 4}, target=0.7)


@pytest.fixture(scope="module")
def diverging():
    Xr, yr = make_regression(90, 4, random_state=0)
    regressor = MiniBatchSGDRegressor(learning_rate="constant", tol=None, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return convergence_curve(
            regressor, Xr, yr, param_name="eta0", param_range=[0.01, 1e8], cv=2, budget={"epochs": 8}
        )


def changed(curve, *, status=(), ends=(), **folds):
    """The curve with other statuses and ends of fits, {(value, fold): ...}, and other numbers a fold."""
    new_folds = {name: values.copy() for name, values in curve.folds_.items()} | folds
    new_folds["status"] = new_folds["status"].astype(object)
    curves = {name: values.copy() for name, values in curve.curves_.items()}
    for place, word in dict(status).items():
        new_folds["status"][place] = word
    for place, end in dict(ends).items():
        for values in curves.values():
            values[place][end:] = np.nan
    return dataclasses.replace(curve, folds_=new_folds, curves_=curves)


def legend_words(display):
    return [text.get_text() for text in display.ax_.get_legend().get_texts()]


def assert_legible(figure):
    """Labels of ticks and axes, title and legend: nothing on one another, nothing outside the figure."""
    figure.canvas.draw()
    for ax in figure.axes:
        boxes = {f"{name} tick {i}": box for name in "xy" for i, box in enumerate(tick_boxes(ax, name))}
        for name, artist in {
            "x label": ax.xaxis.label, "y label": ax.yaxis.label, "title": ax._left_title, "legend": ax.get_legend()
        }.items():  # fmt: skip
            if artist is not None and not (hasattr(artist, "get_text") and not artist.get_text()):
                boxes[name] = artist.get_window_extent()
        for (one, first), (other, second) in combinations(boxes.items(), 2):
            assert not first.overlaps(second), f"{one} lies on {other}"
        for name, box in boxes.items():
            assert min(box.x0, box.y0) >= -1, name
            assert max(box.x1 - figure.bbox.x1, box.y1 - figure.bbox.y1) <= 1, name


def tick_boxes(ax, name):
    axis = getattr(ax, f"{name}axis")
    low, high = sorted(axis.get_view_interval())
    ticks = [tick for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
    return [tick.label1.get_window_extent() for tick in ticks if tick.label1.get_visible() and tick.label1.get_text()]


class TestConvergence:
    @pytest.mark.parametrize("x", ["epoch", "n_updates", "n_samples_seen", "seconds"])
    @pytest.mark.parametrize("y", ["train_loss", "test_score", "gradient_norm"])
    def test_lines_are_means_over_folds(self, curve, x, y):
        display = ConvergenceDisplay.from_curve(curve, x=x, y=y)
        assert len(display.lines_) == len(SIZES)
        for value, line in enumerate(display.lines_):
            np.testing.assert_allclose(line.get_xdata(), curve.curves_[x][value].mean(axis=0))
            np.testing.assert_allclose(line.get_ydata(), curve.curves_[y][value].mean(axis=0))

    def test_bands_are_one_standard_deviation_over_folds(self, curve):
        display = ConvergenceDisplay.from_curve(curve)
        for value, band in enumerate(display.fill_between_):
            losses = curve.curves_["test_loss"][value]
            heights = band.get_paths()[0].vertices[:, 1]
            np.testing.assert_allclose(heights.max(), (losses.mean(axis=0) + losses.std(axis=0)).max())
            np.testing.assert_allclose(heights.min(), (losses.mean(axis=0) - losses.std(axis=0)).min())
        assert ConvergenceDisplay.from_curve(curve, std_display_style=None).fill_between_ == []

    @pytest.mark.parametrize("quantity", ["loss", "score"])
    def test_training_is_dashed_and_test_is_solid(self, curve, quantity):
        display = ConvergenceDisplay.from_curve(curve, y=quantity)
        assert [line.get_linestyle() for line in display.lines_] == ["--", "-"] * len(SIZES)
        train, test = (curve.curves_[f"{part}_{quantity}"][1].mean(axis=0) for part in ("train", "test"))
        np.testing.assert_allclose(display.lines_[2].get_ydata(), train)
        np.testing.assert_allclose(display.lines_[3].get_ydata(), test)
        assert display.lines_[2].get_color() == display.lines_[3].get_color()
        assert legend_words(display)[len(SIZES) : len(SIZES) + 2] == ["training", "test"]

    def test_axes_are_labelled(self, curve):
        label = {
            (x, y): ConvergenceDisplay.from_curve(curve, x=x, y=y).ax_
            for x, y in [("seconds", "test_score"), ("n_updates", "score"), ("epoch", "train_loss")]
        }
        assert [(ax.get_xlabel(), ax.get_ylabel()) for ax in label.values()] == [
            ("Seconds of training", "Test accuracy"),
            ("Updates", "Accuracy"),
            ("Epochs (passes over the training rows)", "Training loss"),
        ]

    def test_title_names_the_budget(self, curve):
        title = ConvergenceDisplay.from_curve(curve).ax_.get_title(loc="left")
        assert "6 epochs a fit" in title
        assert "3 folds" in title

    def test_legend_says_how_many_rows_a_word_or_fraction_is(self, curve):
        display = ConvergenceDisplay.from_curve(curve)
        assert legend_words(display) == ["1", "8", "0.5 (40)", "full (80)", "target 0.5"]
        assert display.ax_.get_legend().get_title().get_text() == "Batch size"

    def test_values_that_go_together_are_named_together(self):
        paired = {"eta0": [0.01, 0.5]}
        display = ConvergenceDisplay.from_estimator(SGD, X, Y, param_range=[1, "full"], paired_params=paired, cv=2)
        assert legend_words(display) == ["1 eta0=0.01", "full (60) eta0=0.5"]

    def test_target_line_is_at_the_target_of_the_quantity_shown(self, curve):
        display = ConvergenceDisplay.from_curve(curve, y="loss")
        np.testing.assert_array_equal(display.target_line_.get_ydata(), [0.5, 0.5])
        for y in ("train_loss", "test_score"):
            assert ConvergenceDisplay.from_curve(curve, y=y).target_line_ is None

    def test_values_differ_without_colour(self, many):
        lines = ConvergenceDisplay.from_curve(many).lines_
        assert len({line.get_marker() for line in lines}) == 12
        rgb = np.array([mpl.colors.to_rgb(line.get_color()) for line in lines])
        assert (np.diff(rgb @ [0.299, 0.587, 0.114]) > 0).all()

    def test_colours_follow_the_order_of_values(self, curve):
        order = [3, 0, 2, 1]
        turned = dataclasses.replace(
            curve,
            param_range=[SIZES[i] for i in order],
            curves_={name: values[order] for name, values in curve.curves_.items()},
            folds_={name: values[order] for name, values in curve.folds_.items()},
        )
        colors = [line.get_color() for line in ConvergenceDisplay.from_curve(curve).lines_]
        assert [line.get_color() for line in ConvergenceDisplay.from_curve(turned).lines_] == [colors[i] for i in order]

    def test_axis_of_updates_is_logarithmic_where_their_numbers_differ(self, curve):
        assert ConvergenceDisplay.from_curve(curve, x="n_updates").ax_.get_xscale() == "log"
        assert ConvergenceDisplay.from_curve(curve, x="epoch").ax_.get_xscale() == "linear"
        display = ConvergenceDisplay.from_curve(curve, x="n_updates", log_x=False, log_y=True)
        assert (display.ax_.get_xscale(), display.ax_.get_yscale()) == ("linear", "log")

    def test_axis_of_losses_is_logarithmic_where_they_differ_much(self, curve):
        losses = curve.curves_["test_loss"] * 10.0 ** -np.arange(EPOCHS)
        steep = dataclasses.replace(curve, curves_={**curve.curves_, "test_loss": losses})
        assert ConvergenceDisplay.from_curve(steep).ax_.get_yscale() == "log"
        assert ConvergenceDisplay.from_curve(curve).ax_.get_yscale() == "linear"

    def test_logarithmic_axis_keeps_to_the_means_where_a_band_reaches_zero(self, curve):
        losses = np.full_like(curve.curves_["test_loss"], 0.1)
        losses[:, 0] = 1e-9
        losses[:, 1] = 0.5
        display = ConvergenceDisplay.from_curve(
            dataclasses.replace(curve, curves_={**curve.curves_, "test_loss": losses}), log_y=True
        )
        assert display.ax_.get_ylim()[0] == pytest.approx(losses[0].mean(axis=0)[0] / 3)

    def test_a_diverged_fold_is_left_out_and_marked(self, curve):
        partly = changed(curve, status={(1, 0): "diverged"}, ends={(1, 0): 3})
        display = ConvergenceDisplay.from_curve(partly)
        losses, epochs = curve.curves_["test_loss"], curve.curves_["epoch"]
        np.testing.assert_allclose(display.lines_[1].get_ydata(), losses[1, 1:].mean(axis=0))
        (cross,) = display.diverged_
        assert cross.get_marker() == "x"
        assert cross.get_color() == display.lines_[1].get_color()
        np.testing.assert_allclose(cross.get_xydata(), [[epochs[1, 0, 2], losses[1, 0, 2]]])
        assert legend_words(display) == [
            "1", "8: 1 of 3 diverged", "0.5 (40)", "full (80)", "target 0.5", "diverged here"
        ]  # fmt: skip

    @pytest.mark.parametrize("y", ["test_loss", "score", "gradient_norm"])
    def test_divergence_does_not_spoil_the_scale(self, diverging, y):
        display = ConvergenceDisplay.from_curve(diverging, y=y)
        assert len(display.lines_[-1].get_xdata()) == 0
        means = np.concatenate([line.get_ydata() for line in display.lines_])
        low, high = display.ax_.get_ylim()
        assert high - low < 3 * np.ptp(means)
        (crosses,) = display.diverged_
        # on the edge, whole
        edge = 0.025 if y == "score" else 0.975
        np.testing.assert_allclose((crosses.get_ydata() - low) / (high - low), edge)

    def test_all_diverged(self, diverging):
        everything = changed(diverging, status={(0, 0): "diverged", (0, 1): "diverged"})
        display = ConvergenceDisplay.from_curve(everything, x="n_updates")
        assert [len(line.get_xdata()) for line in display.lines_] == [0, 0]
        assert len(display.diverged_) == 2
        assert_legible(display.figure_)

    def test_mean_ends_where_the_first_fold_ended(self, curve):
        short = changed(curve, status={(2, 1): "converged"}, ends={(2, 1): 4})
        line = ConvergenceDisplay.from_curve(short).lines_[2]
        np.testing.assert_allclose(line.get_ydata(), curve.curves_["test_loss"][2, :, :4].mean(axis=0))

    def test_keywords_reach_the_artists(self, curve):
        _, (_, ax) = plt.subplots(1, 2)
        display = ConvergenceDisplay.from_curve(curve, ax=ax, line_kw={"lw": 4.5}, fill_between_kw={"alpha": 0.5})
        assert display.ax_ is ax
        assert display.figure_ is ax.figure
        assert {line.get_linewidth() for line in display.lines_} == {4.5}
        assert {band.get_alpha() for band in display.fill_between_} == {0.5}

    def test_from_estimator_is_the_curve_and_its_picture(self, curve):
        display = ConvergenceDisplay.from_estimator(
            SGD, X, Y, param_range=SIZES, cv=FOLDS, budget={"epochs": EPOCHS}, target={"test_loss": 0.5},
            x="n_updates", quantity="train_score",
        )  # fmt: skip
        np.testing.assert_array_equal(display.curve.curves_["train_score"], curve.curves_["train_score"])
        assert (display.ax_.get_xlabel(), display.ax_.get_ylabel()) == ("Updates", "Training accuracy")
        # once made, it can be drawn again in another way
        assert display.plot(x="seconds") is display
        assert display.ax_.get_xlabel() == "Seconds of training"

    def test_pipeline_network_and_train_size(self):
        model = make_pipeline(StandardScaler(), MiniBatchMLPClassifier((4,), max_iter=3, tol=None, random_state=0))
        display = ConvergenceDisplay.from_estimator(model, X, Y, param_name="train_size", param_range=[0.5, 1.0], cv=2)
        assert legend_words(display) == ["0.5 (30)", "1 (60)"]
        assert display.ax_.get_legend().get_title().get_text() == "Training rows"

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"x": "updates"}, r"x must be one of 'epoch', 'n_updates'.*got 'updates'"),
            ({"y": "accuracy"}, r"y .* must be one of 'train_loss'.*got 'accuracy'"),
            ({"std_display_style": "bars"}, r"std_display_style must be one of 'fill_between', None; got 'bars'"),
        ],
    )
    def test_wrong_options(self, curve, options, message):
        with pytest.raises(ValueError, match=message):
            ConvergenceDisplay.from_curve(curve, **options)

    def test_wrong_options_are_found_before_training(self):
        with pytest.raises(ValueError, match="quantity"):
            ConvergenceDisplay.from_estimator("not fitted, as it comes later", X, Y, quantity="accuracy")


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


def to_target(curve, updates):
    """The curve with these numbers of updates to the target."""
    costs = np.array(updates, dtype=float)
    return changed(curve, updates_to_target=costs, epochs_to_target=costs / 10)


class TestScaling:
    costs = ((np.nan,) * 3, (64, 80, 100), (20, 30, np.nan), (9, 10, 11))

    def test_points_are_medians_and_bars_go_from_first_to_last(self, curve):
        display = BatchSizeScalingDisplay.from_curve(to_target(curve, self.costs))
        np.testing.assert_allclose(display.lines_[0].get_xydata(), [[8, 80], [40, 25], [80, 10]])
        bars = [segment[:, 1] for segment in display.errorbar_.lines[2][0].get_segments()]
        np.testing.assert_allclose(bars, [[64, 100], [20, 30], [9, 11]])
        assert (display.ax_.get_xscale(), display.ax_.get_yscale()) == ("log", "log")
        assert (display.ax_.get_xlabel(), display.ax_.get_ylabel()) == ("Batch size", "Updates to test loss ≤ 0.5")

    @pytest.mark.parametrize(("y", "slope"), [("updates_to_target", -1), ("epochs_to_target", 0)])
    def test_perfect_scaling_starts_at_the_smallest_size_that_reached_the_target(self, curve, y, slope):
        display = BatchSizeScalingDisplay.from_curve(to_target(curve, self.costs), y=y)
        x, height = np.log(display.perfect_scaling_line_.get_xydata()).T
        assert np.diff(height) / np.diff(x) == pytest.approx(slope)
        np.testing.assert_allclose(display.perfect_scaling_line_.get_xydata()[0], display.lines_[0].get_xydata()[0])
        assert np.exp(x) == pytest.approx([8, 80])

    def test_seconds_have_no_perfect_scaling(self, curve):
        display = BatchSizeScalingDisplay.from_curve(curve, y="seconds_to_target")
        assert display.perfect_scaling_line_ is None
        assert display.ax_.get_ylabel() == "Seconds of training to test loss ≤ 0.5"

    def test_sizes_that_did_not_reach_the_target_stand_at_the_upper_edge(self, curve):
        costs = (self.costs[0], (64, 80, np.nan), self.costs[2], (2, 2, 2))
        display = BatchSizeScalingDisplay.from_curve(to_target(curve, costs))
        assert display.not_reached_.get_xdata().tolist() == [1.0]
        assert "not reached" in legend_words(display)
        display.figure_.canvas.draw()
        edge, axes = display.not_reached_.get_window_extent(), display.ax_.get_window_extent()
        boxes = [text.get_window_extent() for text in display.ax_.texts]
        assert edge.y0 > max(box.y1 for box in boxes)
        for box in boxes:
            assert axes.y0 < box.y0
            assert box.y1 < axes.y1
        for one, other in combinations(boxes, 2):
            assert not one.overlaps(other)

    def test_shares_below_one_are_written(self, curve):
        display = BatchSizeScalingDisplay.from_curve(to_target(curve, self.costs))
        assert sorted(text.get_text() for text in display.ax_.texts) == ["0.5", "2/3", "full"]
        assert "folds that reached it" in legend_words(display)
        display = BatchSizeScalingDisplay.from_curve(to_target(curve, [[3, 4, 5]] * 4))
        assert sorted(text.get_text() for text in display.ax_.texts) == ["0.5", "full"]
        assert display.not_reached_ is None

    def test_never_reached(self, curve):
        display = BatchSizeScalingDisplay.from_curve(to_target(curve, np.full((4, 3), np.nan)))
        assert display.errorbar_ is None
        assert display.lines_ == []
        assert len(display.not_reached_.get_xdata()) == 4
        assert_legible(display.figure_)

    def test_sizes_are_joined_in_their_order(self, curve):
        order = [3, 1, 0, 2]
        given = to_target(curve, self.costs)
        turned = dataclasses.replace(
            given,
            param_range=[SIZES[i] for i in order],
            folds_={name: values[order] for name, values in given.folds_.items()},
        )
        lines = [BatchSizeScalingDisplay.from_curve(one).lines_[0].get_xydata() for one in (given, turned)]
        np.testing.assert_array_equal(*lines)

    def test_keywords_reach_the_artists(self, curve):
        _, (_, ax) = plt.subplots(1, 2)
        styles = {"errorbar_kw": {"lw": 5}, "line_kw": {"ls": ":"}}
        display = BatchSizeScalingDisplay.from_curve(to_target(curve, self.costs), ax=ax, **styles)
        assert display.ax_ is ax
        assert display.lines_[0].get_linewidth() == 5
        assert display.perfect_scaling_line_.get_linestyle() == ":"

    def test_from_estimator(self):
        display = BatchSizeScalingDisplay.from_estimator(
            SGD, X, Y, target=0.6, param_range=[4, "full"], cv=2, quantity="epochs_to_target"
        )
        assert display.ax_.get_ylabel() == "Epochs to test accuracy ≥ 0.6"
        assert "100" in display.ax_.get_title(loc="left") or "1000" in display.ax_.get_title(loc="left")

    def test_errors(self, curve, diverging):
        with pytest.raises(ValueError, match=r"this curve has none; make it with target="):
            BatchSizeScalingDisplay.from_curve(dataclasses.replace(curve, target=None))
        with pytest.raises(ValueError, match=r"needs a curve over batch_size; .*param_name='eta0'"):
            BatchSizeScalingDisplay.from_curve(diverging)
        with pytest.raises(ValueError, match=r"y .* must be one of 'updates_to_target'.*got 'updates'"):
            BatchSizeScalingDisplay.from_curve(curve, y="updates")
        with pytest.raises(ValueError, match="target="):
            BatchSizeScalingDisplay.from_estimator(SGD, X, Y, target=None)


def rate_map(**options):
    """Nine cells: the score is a known function of size and rate; the largest rate diverges at size 1."""
    sizes, rates = (grid.ravel() for grid in np.meshgrid([1, 8, 64], [0.01, 0.1, 1.0], indexing="ij"))
    diverged = (sizes == 1) & (rates == 1.0)
    scores = 0.9 - 0.01 * np.abs(np.log10(rates) + 1) - 0.001 * sizes
    given = {"batch_sizes": sizes.tolist(), "learning_rates": rates, "scores": np.where(diverged, 7.0, scores)}
    return BatchSizeLearningRateDisplay(**{**given, "diverged": diverged, "scoring": "accuracy", **options})


class TestRateMap:
    def test_one_cell_a_candidate_with_its_score(self):
        display = rate_map().plot()
        shown = display.image_.get_array()
        assert shown.mask.nonzero()[0].tolist() == [2]
        np.testing.assert_allclose(shown.compressed(), np.delete(display.scores, 2))
        for path, size, rate in zip(
            display.image_.get_paths(), display.batch_sizes, display.learning_rates, strict=True
        ):
            (left, bottom), (right, top) = path.get_extents().get_points()
            assert round((left + right) / 2) == [1, 8, 64].index(size)
            assert np.sqrt(bottom * top) == pytest.approx(rate)
        assert display.ax_.get_yscale() == "log"
        assert [text.get_text() for text in display.ax_.get_xticklabels()] == ["1", "8", "64"]
        assert [text.get_text() for text in display.ax_.get_yticklabels()] == ["0.01", "0.1", "1"]
        assert display.colorbar_.ax.get_ylabel() == "Mean test accuracy"

    def test_diverged_cells_are_hatched_and_never_the_best(self):
        display = rate_map().plot()
        (cell,) = display.diverged_.get_paths()
        np.testing.assert_allclose(cell.vertices, display.image_.get_paths()[2].vertices)
        assert display.diverged_.get_hatch()
        np.testing.assert_allclose(display.best_.get_xy()[:4], display.image_.get_paths()[1].vertices[:4])
        assert legend_words(display) == ["best", "diverged"]
        assert display.text_[2] is None
        assert rate_map(diverged=None).plot().diverged_ is None

    def test_base_rates_are_divided_by_the_batch_size(self):
        display = rate_map().plot(rate="base")
        for path, size, rate in zip(
            display.image_.get_paths(), display.batch_sizes, display.learning_rates, strict=True
        ):
            (_, bottom), (_, top) = path.get_extents().get_points()
            assert np.sqrt(bottom * top) == pytest.approx(rate / size)
        assert display.ax_.get_ylabel() == "Base learning rate η / B"

    def test_cells_of_a_column_touch(self):
        paths = rate_map(learning_rates=np.array([0.1, 0.01, 3, 1, 0.2, 7, 0.5, 0.001, 2])).plot().image_.get_paths()
        for column in range(3):
            extents = sorted(
                path.get_extents().get_points()[:, 1].tolist() for path in paths[3 * column : 3 * column + 3]
            )
            assert [low for low, _ in extents[1:]] == pytest.approx([high for _, high in extents[:-1]])

    def test_a_rate_that_is_alone_gets_a_decade(self):
        display = BatchSizeLearningRateDisplay(batch_sizes=[1, 8], learning_rates=[0.1, 0.2], scores=[0.5, 0.6]).plot()
        for path, rate in zip(display.image_.get_paths(), [0.1, 0.2], strict=True):
            (_, bottom), (_, top) = path.get_extents().get_points()
            assert [bottom, top] == pytest.approx([rate / np.sqrt(10), rate * np.sqrt(10)])

    def test_numbers_stand_out_from_their_cells(self):
        display = rate_map().plot()
        for text, rgba in zip(display.text_, display.image_.to_rgba(display.image_.get_array()), strict=True):
            if text is not None:
                dark = rgba[:3] @ [0.2126, 0.7152, 0.0722] < 0.3
                assert text.get_color() == ("white" if dark else "black")
        assert display.text_[0].get_text() == "0.889"

    def test_numbers_are_left_out_where_they_do_not_fit(self):
        _, axes = plt.subplots(1, 8)
        assert rate_map().plot(axes[0]).text_ == [None] * 9
        assert len(axes[0].texts) == 0

    def test_bad_candidates_do_not_hide_the_differences_of_good_ones(self):
        scores = np.array([0.8, 0.85, 0.9, 0.82, 0.84, 0.86, 0.83, 0.81, -1e9])
        display = rate_map(scores=scores, diverged=None).plot()
        assert display.image_.norm.vmax == 0.9
        assert display.image_.norm.vmin == pytest.approx(0.9 - 3 * (0.9 - np.median(scores)))
        assert display.colorbar_.extend == "min"
        norm = rate_map(scores=np.linspace(0, 1, 9), diverged=None).plot().image_.norm
        assert (norm.vmin, norm.vmax) == (0, 1)

    def test_all_diverged(self):
        display = rate_map(diverged=np.ones(9)).plot()
        assert display.best_ is None
        assert display.colorbar_ is None
        assert len(display.diverged_.get_paths()) == 9

    def test_keywords_reach_the_artists(self):
        _, (_, ax) = plt.subplots(1, 2)
        display = rate_map().plot(ax, cmap="cividis", image_kw={"ec": "red", "norm": mpl.colors.Normalize(0, 1)})
        assert display.ax_ is ax
        assert display.image_.get_cmap().name == "cividis"
        assert display.image_.get_edgecolor().tolist() == [[1, 0, 0, 1]]
        assert (display.image_.norm.vmin, display.image_.norm.vmax) == (0, 1)
        assert rate_map().plot(text_kw={"size": 5}).text_[0].get_fontsize() == 5

    def test_from_estimator_scores_as_cross_validation_does(self):
        model = make_pipeline(StandardScaler(), MiniBatchSGDClassifier("log_loss", learning_rate="constant", tol=None))
        given = {"batch_sizes": [4, "full"], "learning_rates": [0.01, 0.1]}
        display = BatchSizeLearningRateDisplay.from_estimator(
            model, X, Y, **given, cv=3, budget={"updates": 7}, random_state=3
        )
        grid = {"minibatchsgdclassifier__batch_size": [4, "full"], "minibatchsgdclassifier__eta0": [0.01, 0.1]}
        seed = np.random.RandomState(3)
        assert "7 updates a fit" in display.ax_.get_title(loc="left")
        assert display.batch_sizes == [4, 4, "full", "full"]
        assert display.learning_rates.tolist() == [0.01, 0.1] * 2
        assert display.resolved_batch_sizes.tolist() == [4, 4, 80, 80]
        again = BatchSizeLearningRateDisplay.from_estimator(
            model, X, Y, **given, cv=3, budget={"updates": 7}, random_state=seed
        )
        np.testing.assert_array_equal(display.scores, again.scores)
        model.set_params(
            minibatchsgdclassifier__random_state=np.random.RandomState(3).randint(np.iinfo(np.int32).max),
            minibatchsgdclassifier__max_updates=7,
        )
        search = GridSearchCV(model, grid, cv=3, refit=False).fit(X, Y)
        np.testing.assert_allclose(display.scores, search.cv_results_["mean_test_score"])
        assert display.diverged.tolist() == [0, 0, 0, 0]

    def test_a_network_is_searched_over_its_own_learning_rate(self):
        mlp = MiniBatchMLPClassifier((3,), max_iter=2, tol=None, random_state=0)
        display = BatchSizeLearningRateDisplay.from_estimator(
            mlp, X, Y, batch_sizes=[8], learning_rates=[1e-3, 1e-2], cv=2
        )
        assert display.learning_rates.tolist() == [1e-3, 1e-2]

    def test_divergence_is_seen_and_does_not_warn(self):
        Xr, yr = make_regression(60, 3, random_state=0)
        regressor = MiniBatchSGDRegressor(learning_rate="constant", tol=None, random_state=0, max_iter=8)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            display = BatchSizeLearningRateDisplay.from_estimator(
                regressor, Xr, yr, batch_sizes=[1, "full"], learning_rates=[0.01, 1e8], cv=2
            )
        assert display.diverged.tolist() == [0, 1, 0, 1]

    @pytest.mark.parametrize("scoring", [None, ConvergenceScorer("accuracy")])
    def test_from_search(self, scoring):
        grid = {"batch_size": [1, "full"], "eta0": [0.01, 0.1]}
        search = GridSearchCV(SGD, grid, cv=2, scoring=scoring, refit=False).fit(X, Y)
        display = BatchSizeLearningRateDisplay.from_search(search)
        np.testing.assert_array_equal(display.scores, search.cv_results_["mean_test_score"])
        assert (display.diverged is None) == (scoring is None)
        assert "1000 epochs a fit" in display.ax_.get_title(loc="left")
        if scoring is None:
            with pytest.raises(ValueError, match=r"batch_size='full'; search with scoring=ConvergenceScorer"):
                display.plot(rate="base")
        else:
            heights = [path.get_extents().get_points()[:, 1] for path in display.plot(rate="base").image_.get_paths()]
            np.testing.assert_allclose(np.sqrt(np.prod(heights, axis=1)), [0.01, 0.1, 0.01 / 60, 0.1 / 60])

    def test_from_random_search(self):
        space = {"batch_size": [1, 16], "eta0": np.geomspace(1e-3, 1, 20)}
        search = RandomizedSearchCV(SGD, space, n_iter=6, cv=2, random_state=0, refit=False).fit(X, Y)
        display = BatchSizeLearningRateDisplay.from_search(search)
        assert len(display.image_.get_paths()) == 6

    @pytest.mark.parametrize(
        ("grid", "message"),
        [
            ({"batch_size": [1, 2]}, "must vary batch_size and eta0, and nothing else; it varied batch_size"),
            ({"batch_size": [1], "eta0": [0.1], "alpha": [0.1, 1.0]}, "it varied alpha, batch_size, eta0"),
            ({"batch_size": [1, 1], "eta0": [0.1]}, "tried some pairs of batch_size and eta0 more than once"),
        ],
    )
    def test_other_searches(self, grid, message):
        search = GridSearchCV(clone(SGD).set_params(max_iter=1), grid, cv=2, refit=False).fit(X, Y)
        with pytest.raises(ValueError, match=message):
            BatchSizeLearningRateDisplay.from_search(search)

    def test_search_with_several_scores(self):
        grid = {"batch_size": [1], "eta0": [0.01, 0.1]}
        search = GridSearchCV(SGD, grid, cv=2, scoring=["accuracy", "neg_log_loss"], refit="neg_log_loss").fit(X, Y)
        display = BatchSizeLearningRateDisplay.from_search(search)
        np.testing.assert_array_equal(display.scores, search.cv_results_["mean_test_neg_log_loss"])
        assert display.colorbar_.ax.get_ylabel() == "Mean test negative log loss"
        with pytest.raises(ValueError, match="several scores; name the one to show with refit="):
            BatchSizeLearningRateDisplay.from_search(search.set_params(refit=False))

    @pytest.mark.parametrize(
        ("estimator", "options", "message"),
        [
            (SGD, {"rate": "log"}, "rate must be one of 'eta', 'base'; got 'log'"),
            (SGD, {"budget": {"seconds": 1}}, "budget must be in epochs or updates here; got"),
            (SGD, {"learning_rates": [0.1, -1.0]}, "eta0"),
            (SGD, {"batch_sizes": [0]}, "batch_size"),
            (MiniBatchSGDClassifier(learning_rate="optimal"), {}, "does not use eta0, .* use learning_rate='constant'"),
            (MiniBatchMLPRegressor(solver="lbfgs"), {}, "solver='lbfgs' has neither learning_rate_init"),
        ],
    )
    def test_wrong_arguments(self, estimator, options, message):
        given = {"batch_sizes": [1], "learning_rates": [0.1], "cv": 2, **options}
        with pytest.raises(ValueError, match=message):
            BatchSizeLearningRateDisplay.from_estimator(estimator, X, Y, **given)


class TestLegibility:
    @pytest.mark.parametrize(
        "draw",
        [
            lambda curve: ConvergenceDisplay.from_curve(curve, x="n_updates", y="score"),
            lambda curve: ConvergenceDisplay.from_curve(curve, x="seconds", y="gradient_norm"),
            GeneralizationGapDisplay.from_curve,
            lambda curve: GeneralizationGapDisplay.from_curve(curve, x="epoch"),
            BatchSizeScalingDisplay.from_curve,
        ],
        ids=["convergence", "gradient", "gap", "gap along training", "scaling"],
    )
    def test_two_to_twelve_values(self, draw, curve, many):
        assert_legible(draw(curve).figure_)
        assert_legible(draw(many).figure_)

    @pytest.mark.parametrize("rate", ["eta", "base"])
    @pytest.mark.parametrize("n_sizes", [2, 12])
    def test_rate_map(self, rate, n_sizes):
        sizes = [2**k for k in range(n_sizes)] * 9
        rates = np.repeat(np.geomspace(1e-4, 10, 9), n_sizes)
        display = BatchSizeLearningRateDisplay(
            batch_sizes=sizes, learning_rates=rates, scores=np.linspace(0, 1, len(sizes)), diverged=rates > 5
        ).plot(rate=rate)
        assert_legible(display.figure_)
        for text, path in zip(display.text_, display.image_.get_paths(), strict=True):
            if text is not None:
                words = text.get_window_extent()
                (left, bottom), (right, top) = display.ax_.transData.transform(path.get_extents().get_points())
                assert words.x0 >= left
                assert words.x1 <= right
                assert words.y0 >= bottom
                assert words.y1 <= top

    def test_legend_is_inside_where_no_layout_makes_room(self, many):
        _, (ax, _) = plt.subplots(1, 2, figsize=(11, 4.5))
        display = ConvergenceDisplay.from_curve(many, ax=ax, x="n_updates")
        display.figure_.canvas.draw()
        legend, inside = ax.get_legend().get_window_extent(), ax.get_window_extent()
        assert inside.x0 <= legend.x0
        assert legend.x1 <= inside.x1
        assert inside.y0 <= legend.y0

    def test_long_labels_are_turned(self, curve):
        layers = [(100, 50, 25 * i) for i in range(len(SIZES))]
        named = dataclasses.replace(curve, param_name="hidden_layer_sizes", param_range=layers)
        _, (ax, _) = plt.subplots(1, 2)
        GeneralizationGapDisplay.from_curve(named, ax=ax)
        assert {label.get_rotation() for label in ax.get_xticklabels()} == {40}


class TestWithoutMatplotlib:
    def test_import_works(self):
        code = "import sys; sys.modules['matplotlib'] = None; import minibatch.plotting"
        subprocess.run([sys.executable, "-c", code], check=True)

    def test_drawing_names_the_remedy(self, curve, monkeypatch):
        monkeypatch.setitem(sys.modules, "matplotlib", None)
        calls = [
            lambda: ConvergenceDisplay.from_curve(curve),
            lambda: GeneralizationGapDisplay.from_curve(curve),
            lambda: BatchSizeScalingDisplay.from_curve(curve),
            lambda: rate_map().plot(),
            lambda: ConvergenceDisplay.from_estimator(None, X, Y),
            lambda: GeneralizationGapDisplay.from_estimator(None, X, Y),
            lambda: BatchSizeScalingDisplay.from_estimator(None, X, Y, target=0.5),
            lambda: BatchSizeLearningRateDisplay.from_estimator(None, X, Y, batch_sizes=[1], learning_rates=[1.0]),
        ]
        for call in calls:
            with pytest.raises(ImportError, match=r"Display\.\w+ requires matplotlib.*pip install matplotlib"):
                call()
