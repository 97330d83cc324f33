"""BatchSharpnessDisplay: what it draws of a curve, and where."""

import dataclasses

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from minibatch import MiniBatchSGDClassifier
from minibatch.diagnostics import batch_sharpness_curve
from minibatch.plotting import BatchSharpnessDisplay
from references.plots import X, Y, assert_legible, legend_words

matplotlib = pytest.importorskip("matplotlib")
plt = pytest.importorskip("matplotlib.pyplot")

pytestmark = pytest.mark.usefixtures("close_figures")
ESTIMATOR = MiniBatchSGDClassifier(
    "log_loss", learning_rate="constant", eta0=0.5, batch_size=16, max_iter=4, tol=None, random_state=0
)


@pytest.fixture(scope="module")
def curve():
    return batch_sharpness_curve(ESTIMATOR, X, Y, n_looks=4, random_state=0)


def test_the_curve_the_band_and_the_limit(curve):
    display = BatchSharpnessDisplay.from_result(curve)
    assert_array_equal(display.line_.get_xydata(), np.column_stack([curve.n_updates, curve.values]))
    (limit,) = display.limit_lines_
    assert_allclose(limit.get_ydata(), 4.0)
    assert legend_words(display) == ["batch sharpness", "interval, 95 %", "limit 2/η"]
    vertices = display.band_.get_paths()[0].vertices
    assert vertices[:, 1].max() == pytest.approx(curve.intervals.max())
    assert "batch size 16" in display.ax_.get_title(loc="left")
    assert display.figure_ is display.ax_.figure
    assert_legible(display.figure_)


def test_momentum_has_two_limits(curve):
    both = dataclasses.replace(
        curve, solver="nesterov", momentum=0.9, limits=np.tile([0.4, 2.7], (4, 1)), values=np.full(4, 0.3),
        intervals=np.full((4, 2), 0.3),
    )  # fmt: skip
    display = BatchSharpnessDisplay.from_result(both)
    assert [line.get_ydata()[0] for line in display.limit_lines_] == [0.4, 2.7]
    assert display.band_ is None
    assert legend_words(display) == [
        "batch sharpness", "small batches, 2(1−m)/η", "large batches,\n2(1+m)/((1+2m)η)"
    ]  # fmt: skip
    assert_legible(display.figure_)


def test_a_limit_far_above_is_named_and_not_drawn(curve):
    display = BatchSharpnessDisplay.from_result(dataclasses.replace(curve, limits=np.full((4, 2), 1e6)))
    assert display.limit_lines_ == []
    assert legend_words(display)[-1] == "limit 2/η\n(above the picture)"
    assert display.ax_.get_ylim()[1] < 100


def test_a_limit_that_goes_to_infinity_leaves_the_picture(curve):
    """As at the end of a rate that falls to 0."""
    falling = np.column_stack([[4.0, 5.0, 50.0, 1e6]] * 2)
    display = BatchSharpnessDisplay.from_result(dataclasses.replace(curve, limits=falling))
    assert_array_equal(display.limit_lines_[0].get_ydata(), falling[:, 0])
    assert display.ax_.get_ylim()[1] == pytest.approx(20 * curve.values.max())
    assert_legible(display.figure_)


def test_an_interval_that_is_nearly_open_does_not_squeeze_the_rest(curve):
    wide = curve.intervals.copy()
    wide[0] = [-1e6, 1e6]
    display = BatchSharpnessDisplay.from_result(dataclasses.replace(curve, intervals=wide))
    low, high = display.ax_.get_ylim()
    assert high <= max(4.5, 3 * curve.values.max())
    assert low > -10


def test_without_a_limit_it_is_said(curve):
    display = BatchSharpnessDisplay.from_result(
        dataclasses.replace(curve, solver="adam", missing="why", limits=np.full((4, 2), np.nan))
    )
    assert legend_words(display)[-1] == "no limit for adam\nat these rates"
    assert_legible(display.figure_)


def test_values_that_span_decades_are_on_a_logarithmic_axis(curve):
    steep = dataclasses.replace(curve, values=np.array([0.01, 0.1, 1.0, 3.0]), intervals=np.zeros((4, 2)))
    assert BatchSharpnessDisplay.from_result(steep).ax_.get_yscale() == "log"
    assert BatchSharpnessDisplay.from_result(curve).ax_.get_yscale() == "linear"


def test_batches_that_grow_are_in_the_title(curve):
    grown = dataclasses.replace(curve, batch_sizes=np.array([8, 8, 16, 32]))
    assert "batches of 8 to 32" in BatchSharpnessDisplay.from_result(grown).ax_.get_title(loc="left")


def test_it_draws_what_it_is_told_to_where_it_is_told_to():
    _, ax = plt.subplots()
    display = BatchSharpnessDisplay.from_estimator(ESTIMATOR, X, Y, n_looks=3, n_batches=4, random_state=0, ax=ax)
    assert display.ax_ is ax
    assert len(display.result.n_updates) == 3
    red = BatchSharpnessDisplay.from_result(display.result, color="red", lw=5)
    assert (red.line_.get_color(), red.line_.get_linewidth()) == ("red", 5)


def test_something_else_is_refused():
    with pytest.raises(TypeError, match="must be a BatchSharpnessCurve, as batch_sharpness_curve returns; got 3"):
        BatchSharpnessDisplay.from_result(3)
