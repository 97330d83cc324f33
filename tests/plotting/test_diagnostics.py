"""Displays of the diagnostics: what they draw, and that nothing covers anything else."""

import io

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.datasets import load_breast_cancer
from sklearn.preprocessing import scale

from minibatch import MiniBatchSGDClassifier, MiniBatchSGDRegressor
from minibatch.diagnostics import LossInterpolationResult, learning_rate_range_test, loss_interpolation
from minibatch.plotting import LearningRateRangeDisplay, LossInterpolationDisplay

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")
plt = pytest.importorskip("matplotlib.pyplot")

pytestmark = pytest.mark.usefixtures("close_figures")


@pytest.fixture(scope="module")
def cancer():
    X, y = load_breast_cancer(return_X_y=True)
    return scale(X), y


@pytest.fixture(scope="module")
def sweep(cancer):
    """With all suggestions."""
    estimator = MiniBatchSGDClassifier(batch_size=8)
    return learning_rate_range_test(estimator, *cancer, max_rate=100, random_state=0)


@pytest.fixture(scope="module")
def models(cancer):
    return [MiniBatchSGDClassifier("log_loss", batch_size=b, max_iter=3, tol=None).fit(*cancer) for b in (8, 64)]


def is_drawn(display):
    file = io.BytesIO()
    display.figure_.savefig(file, format="png")
    return file.tell() > 5000


def boxes_of(display):
    """The axes and the legends, in pixels."""
    display.figure_.canvas.draw()
    axes = np.atleast_1d(display.ax_).ravel()
    legends = [ax.get_legend() for ax in axes if ax.get_legend() is not None]
    return [ax.get_window_extent() for ax in axes], [legend.get_window_extent() for legend in legends]


def nothing_is_covered(display):
    axes, legends = boxes_of(display)
    figure = display.figure_.bbox
    inside = all(figure.x0 <= box.x0 and box.x1 <= figure.x1 and figure.y0 <= box.y0 for box in legends)
    return legends and inside and not any(legend.overlaps(ax) for legend in legends for ax in axes)


def legend_is_inside(display, ax):
    display.figure_.canvas.draw()
    legend, inside = ax.get_legend().get_window_extent(), ax.get_window_extent()
    return inside.x0 <= legend.x0 and legend.x1 <= inside.x1 and inside.y0 <= legend.y0 and legend.y1 <= inside.y1


class TestLearningRateRange:
    def test_the_curves_are_those_of_the_result(self, sweep):
        display = LearningRateRangeDisplay.from_result(sweep)
        assert is_drawn(display)
        assert_array_equal(display.lines_[0].get_ydata(), sweep.smoothed)
        for line, losses in zip(display.lines_[1:], sweep.losses, strict=True):
            assert_array_equal(line.get_xdata(), sweep.rates)
            assert_array_equal(line.get_ydata(), losses)
            assert line.get_linewidth() < display.lines_[0].get_linewidth()

    def test_suggestions_are_marked_where_they_are_and_each_in_its_own_way(self, sweep):
        display = LearningRateRangeDisplay(sweep).plot()
        lines = display.suggestion_lines_
        assert not sweep.missing
        assert set(lines) == set(sweep.suggestions)
        for name, line in lines.items():
            assert set(line.get_xdata()) == {sweep.suggestions[name]}
        assert len({line.get_marker() for line in lines.values()}) == 4
        heights = sorted(line.get_ydata()[1] for line in lines.values())
        assert np.diff(heights).min() > 0.05  # more than a marker

    def test_the_legend_names_all_and_covers_nothing(self, sweep):
        display = LearningRateRangeDisplay.from_result(sweep)
        texts = [text.get_text() for text in display.ax_.get_legend().get_texts()]
        for name, rate in sweep.suggestions.items():
            assert f"{name}: {rate:.3g}" in texts
        assert "each of 3 repeats" in texts
        assert nothing_is_covered(display)

    def test_a_suggestion_that_there_is_not_is_said_so(self, cancer):
        display = LearningRateRangeDisplay.from_estimator(
            MiniBatchSGDClassifier("log_loss"), *cancer, max_rate=0.5, n_repeats=1, random_state=0
        )
        assert "stable_max" not in display.suggestion_lines_
        texts = [text.get_text() for text in display.ax_.get_legend().get_texts()]
        assert "stable_max: none" in texts
        assert "the repeat" in texts

    @pytest.mark.parametrize(("sweep", "scale_name"), [("exponential", "log"), ("linear", "linear")])
    def test_axes_have_labels_and_the_scale_of_the_sweep(self, sweep, scale_name, cancer):
        display = LearningRateRangeDisplay.from_estimator(
            MiniBatchSGDClassifier("log_loss", batch_size=16), *cancer, sweep=sweep, n_rates=20
        )
        ax = display.ax_
        assert ax.get_xscale() == scale_name
        assert ax.get_xlabel() == "Learning rate of the update"
        assert ax.get_ylabel() == "Mean loss on the probe rows"
        assert "batch size 16" in ax.get_title(loc="left")

    def test_a_divergence_does_not_squeeze_the_rest(self):
        X, y = np.full((4, 1), 2.0), np.zeros(4)
        estimator = MiniBatchSGDRegressor(batch_size="full", fit_intercept=False)
        display = LearningRateRangeDisplay.from_estimator(
            estimator, X, y, min_rate=0.02, max_rate=2e4, n_rates=7, coef_init=np.ones(1)
        )
        assert np.nanmax(display.result.losses) > 100
        assert display.ax_.get_ylim()[1] < 4  # the first loss is 2

    def test_it_draws_on_given_axes_and_passes_style_on(self, sweep):
        _, ax = plt.subplots()
        display = LearningRateRangeDisplay.from_result(sweep, ax=ax, linewidth=5, label="mine")
        assert display.ax_ is ax
        assert display.figure_ is ax.figure
        assert display.lines_[0].get_linewidth() == 5
        assert "mine" in [text.get_text() for text in ax.get_legend().get_texts()]

    def test_in_a_figure_without_layout_the_legend_is_inside(self, sweep):
        _, (ax, _) = plt.subplots(1, 2, figsize=(11, 4.5))
        assert legend_is_inside(LearningRateRangeDisplay.from_result(sweep, ax=ax), ax)

    def test_short_names_of_matplotlib_are_taken(self, sweep):
        display = LearningRateRangeDisplay.from_result(sweep, lw=1, c="r")
        assert (display.lines_[0].get_linewidth(), display.lines_[0].get_color()) == (1, "r")


class TestLossInterpolation:
    def test_panels_for_loss_and_score_training_solid_and_test_dashed(self, models, cancer):
        X, y = cancer
        display = LossInterpolationDisplay.from_estimators(*models, X, y, X_test=X[:50], y_test=y[:50])
        result = display.result
        assert is_drawn(display)
        curves = [result.losses, result.test_losses, result.scores, result.test_scores]
        for line, curve in zip(display.lines_, curves, strict=True):
            assert_array_equal(line.get_xdata(), result.alphas)
            assert_array_equal(line.get_ydata(), curve)
        assert [line.get_linestyle() for line in display.lines_] == ["-", "--", "-", "--"]
        assert [ax.get_ylabel() for ax in display.ax_] == ["Mean loss", "Accuracy"]
        assert all("first" in ax.get_xlabel() for ax in display.ax_)
        assert nothing_is_covered(display)

    def test_both_models_are_marked_by_their_batch_size(self, models, cancer):
        display = LossInterpolationDisplay.from_estimators(*models, *cancer)
        marks = [line for line in display.ax_[0].lines if line.get_marker() in ("o", "s")]
        assert [float(np.squeeze(line.get_xdata())) for line in marks] == [0, 1]
        assert [float(np.squeeze(line.get_ydata())) for line in marks] == list(display.result.end_losses)
        assert [line.get_label() for line in marks] == ["first, batch size 8", "second, batch size 64"]

    def test_one_axes_gets_the_loss_alone(self, models, cancer):
        _, ax = plt.subplots()
        result = loss_interpolation(*models, *cancer, path="curved")
        display = LossInterpolationDisplay.from_result(result, ax=ax, color="k")
        assert display.ax_ is ax
        assert len(display.lines_) == 1
        assert display.lines_[0].get_color() == "k"
        assert "sin" in ax.get_xlabel()

    def test_in_a_figure_without_layout_the_legend_is_inside(self, models, cancer):
        _, axes = plt.subplots(1, 2, figsize=(11, 4.5))
        assert legend_is_inside(LossInterpolationDisplay.from_estimators(*models, *cancer, ax=axes), axes[1])

    def test_short_names_of_matplotlib_are_taken(self, models, cancer):
        result = loss_interpolation(*models, *cancer, X_test=cancer[0], y_test=cancer[1])
        display = LossInterpolationDisplay.from_result(result, lw=1, ls=":")
        assert {(line.get_linewidth(), line.get_linestyle()) for line in display.lines_} == {(1, ":")}

    def test_more_than_two_axes_are_refused(self, models, cancer):
        result = loss_interpolation(*models, *cancer)
        with pytest.raises(ValueError, match="ax must be one Axes or two"):
            LossInterpolationDisplay(result).plot(plt.subplots(1, 3)[1])

    @pytest.mark.parametrize(
        ("losses", "scale_name"), [([1, 2, 3], "linear"), ([1, 2, 99], "log"), ([-1, 2, 99], "linear")]
    )
    def test_losses_over_decades_have_a_logarithmic_axis(self, losses, scale_name):
        values = np.array([*losses, np.inf], float)
        result = LossInterpolationResult(
            np.linspace(0, 1, 4), values, -values, None, None, values[:2], values[:2], (1, 2), "straight", "R squared"
        )
        display = LossInterpolationDisplay.from_result(result)
        assert display.ax_[0].get_yscale() == scale_name
        assert np.isnan(display.lines_[0].get_ydata()[-1])
        assert is_drawn(display)


def test_without_matplotlib_the_message_says_what_is_missing(sweep, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"LearningRateRangeDisplay\.plot requires matplotlib"):
        LearningRateRangeDisplay.from_result(sweep)
