"""NoiseScaleDisplay: what it draws of a curve, and where."""

import dataclasses

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from minibatch import MiniBatchSGDClassifier
from minibatch.diagnostics import gradient_noise_curve
from minibatch.plotting import NoiseScaleDisplay
from references.plots import X, Y

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")
plt = pytest.importorskip("matplotlib.pyplot")

ESTIMATOR = MiniBatchSGDClassifier("log_loss", batch_size=16, max_iter=4, tol=None, random_state=0)


@pytest.fixture(autouse=True)
def no_figures_left():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def exact():
    return gradient_noise_curve(ESTIMATOR, X, Y, n_looks=4)


@pytest.fixture(scope="module")
def partly_open(exact):
    """Two resolved looks, one with a lower bound, one with none."""
    return dataclasses.replace(
        exact,
        noise_scales=np.array([20.0, 40.0, np.inf, 90.0]),
        intervals=np.array([[10.0, 60.0], [20.0, 1e9], [30.0, np.inf], [0.0, np.inf]]),
        resolved=np.array([True, True, False, False]),
    )


def words_of(display):
    return [text.get_text() for text in display.ax_.get_legend().get_texts()]


def test_an_exact_curve_is_a_line_over_the_batch_size(exact):
    display = NoiseScaleDisplay.from_result(exact)
    assert_array_equal(display.line_.get_xydata(), np.column_stack([exact.n_updates, exact.noise_scales]))
    assert_array_equal(display.batch_size_line_.get_ydata(), 16)
    assert display.band_ is display.bounds_ is None
    assert words_of(display) == ["noise scale", "batch size 16"]
    assert display.ax_.get_xscale() == display.ax_.get_yscale() == "log"
    assert display.figure_ is display.ax_.figure


def test_looks_at_which_a_few_rows_carry_the_noise_are_hollow(exact, partly_open):
    assert NoiseScaleDisplay.from_result(exact).carried_ is None
    curve = dataclasses.replace(partly_open, carried_by_few=np.array([False, True, True, False]))
    display = NoiseScaleDisplay.from_result(curve)
    assert_array_equal(display.carried_.get_xydata(), [[curve.n_updates[1], 40.0]])  # the third is an arrow
    assert "a few rows carry it: interval too narrow" in words_of(display)


def test_what_is_not_resolved_is_an_arrow_at_its_lower_bound(partly_open):
    display = NoiseScaleDisplay.from_result(partly_open)
    assert_array_equal(display.line_.get_ydata(), [20.0, 40.0, np.nan, np.nan])
    assert_array_equal(display.bounds_.get_xydata(), [[partly_open.n_updates[2], 30.0]])
    assert display.bounds_.get_marker() == "^"
    assert words_of(display) == ["noise scale", "interval, 95 %", "lower bound: not resolved", "batch size 16"]


def test_the_band_is_open_towards_the_top_and_does_not_squeeze_the_rest(partly_open):
    display = NoiseScaleDisplay.from_result(partly_open)
    low, high = display.ax_.get_ylim()
    assert low < 10.0
    assert 60.0 < high < 500.0
    vertices = display.band_.get_paths()[0].vertices
    assert vertices[:, 1].max() > high
    assert vertices[:, 1].min() == pytest.approx(low)
    assert [10.0, 60.0] == sorted(set(vertices[vertices[:, 0] == partly_open.n_updates[0], 1]))


def test_a_batch_size_that_grows_is_a_staircase(exact):
    grown = dataclasses.replace(exact, batch_sizes=np.array([8, 8, 64, 64]))
    display = NoiseScaleDisplay.from_result(grown)
    assert set(display.batch_size_line_.get_ydata()) == {8, 64}
    assert words_of(display)[-1] == "batch size"
    low, high = display.ax_.get_ylim()
    assert low < 8
    assert high > 64


def test_nothing_known_leaves_the_batch_size(exact):
    unknown = dataclasses.replace(
        exact,
        noise_scales=np.full(4, np.nan),
        intervals=np.tile([0.0, np.inf], (4, 1)),
        resolved=np.zeros(4, bool),
    )
    display = NoiseScaleDisplay.from_result(unknown)
    assert display.bounds_ is None
    assert_allclose(display.ax_.get_ylim(), [16 / 1.5, 16 * 1.5])
    display.figure_.canvas.draw()


def test_it_draws_what_it_is_told_to_where_it_is_told_to():
    _, ax = plt.subplots()
    settings = {"n_looks": 3, "reference": "population", "ax": ax}
    display = NoiseScaleDisplay.from_estimator(ESTIMATOR, X, Y, **settings)
    assert display.ax_ is ax
    assert display.result.reference == "population"
    assert len(display.result.n_updates) == 3
    red = NoiseScaleDisplay.from_result(display.result, color="red", lw=5)
    assert (red.line_.get_color(), red.line_.get_linewidth()) == ("red", 5)
    assert_allclose(red.band_.get_facecolor()[0, :3], (1, 0, 0))


def test_something_else_is_refused():
    with pytest.raises(TypeError, match="result must be a GradientNoiseCurve, as gradient_noise_curve returns; got 3"):
        NoiseScaleDisplay.from_result(3)
