"""The display of a Hessian's spectrum: what it draws, on which axis, and that it can be read."""

import dataclasses

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_breast_cancer
from sklearn.preprocessing import scale

from minibatch import MiniBatchSGDClassifier
from minibatch.diagnostics import HessianSpectrumResult, hessian_spectrum
from minibatch.plotting import HessianSpectrumDisplay
from references.plots import assert_legible, legend_words

pytest.importorskip("matplotlib")
pytestmark = pytest.mark.usefixtures("close_figures")


def spectrum(values, **changes):
    """A result with these eigenvalues, of plain SGD with the edge at 4."""
    n = len(values)
    result = HessianSpectrumResult(
        eigenvalues=np.array(values, dtype=float),
        eigenvectors=np.eye(n),
        residuals=np.zeros(n),
        converged=np.ones(n, dtype=bool),
        smallest=-0.25,
        trace=7.5,
        trace_error=0.0,
        n_parameters=40,
        method="dense",
        solver="sgd",
        learning_rate=0.5,
        edge_of_stability=4.0,
    )
    return dataclasses.replace(result, **changes)


def words_of(display):
    return " ".join(" ".join(legend_words(display)).split())


class TestEigenvalues:
    def test_they_stand_over_their_ranks(self):
        display = HessianSpectrumDisplay.from_result(spectrum([3.0, 2.0, 1.5]))
        assert_array_equal(display.line_.get_xdata(), [1, 2, 3])
        assert_array_equal(display.line_.get_ydata(), [3.0, 2.0, 1.5])
        assert display.ax_.get_xlabel() == "Rank of the eigenvalue"
        assert display.ax_.get_ylabel() == "Eigenvalue of the Hessian"
        assert display.ax_._left_title.get_text() == "Hessian spectrum: 3 largest of 40 eigenvalues; trace 7.5"
        assert "smallest eigenvalue -0.25" in words_of(display)
        assert_legible(display.figure_)

    @pytest.mark.parametrize(
        ("values", "edge", "scale_name"),
        [
            ([3.0, 2.0, 1.0], 4.0, "linear"),
            ([3.0, 2.0, 0.01], 4.0, "log"),
            ([3.0, 2.0, 1.0], 400.0, "log"),
            ([3.0, 2.0, -0.01], 4.0, "linear"),
            ([3.0, 0.01, 0.0], 400.0, "linear"),
        ],
    )
    def test_over_decades_and_above_zero_the_axis_is_logarithmic(self, values, edge, scale_name):
        display = HessianSpectrumDisplay.from_result(spectrum(values, edge_of_stability=edge))
        assert display.ax_.get_yscale() == scale_name
        assert_legible(display.figure_)

    def test_ranks_are_whole_numbers(self):
        display = HessianSpectrumDisplay.from_result(spectrum([3.0]))
        display.figure_.canvas.draw()
        low, high = display.ax_.get_xlim()
        assert [tick for tick in display.ax_.get_xticks() if low <= tick <= high] == [1.0]

    def test_the_error_of_the_trace_is_named(self):
        display = HessianSpectrumDisplay.from_result(spectrum([3.0], trace_error=0.12))
        assert "trace 7.5 ± 0.12" in display.ax_._left_title.get_text()


class TestEdge:
    @pytest.mark.parametrize(
        ("solver", "formula"),
        [("sgd", "2/η"), ("momentum", "2(1 + β)/η"), ("nesterov", "2(1 + β)/((1 + 2β)η)")],
    )
    def test_it_is_a_line_with_the_formula_of_the_solver(self, solver, formula):
        display = HessianSpectrumDisplay.from_result(spectrum([5.0, 2.0], solver=solver))
        assert_array_equal(display.edge_line_.get_ydata(), [4.0, 4.0])
        assert f"edge of stability of full batches, {formula} = 4" in words_of(display)
        low, high = display.ax_.get_ylim()
        assert low < 4.0 < high
        assert_legible(display.figure_)

    def test_far_above_on_a_linear_axis_the_legend_alone_names_it(self):
        display = HessianSpectrumDisplay.from_result(spectrum([3.0, -1.0], edge_of_stability=200.0))
        assert display.edge_line_ is None
        assert "2/η = 200 (above the picture)" in words_of(display)
        assert display.ax_.get_ylim()[1] < 10

    def test_a_solver_without_one_is_said_so(self):
        display = HessianSpectrumDisplay.from_result(spectrum([3.0, 1.0], solver="adam", edge_of_stability=np.nan))
        assert display.edge_line_ is None
        assert "adam: no edge of stability" in words_of(display)


class TestTrust:
    def test_residuals_that_can_be_seen_are_bars(self):
        result = spectrum([3.0, 2.0], residuals=np.array([0.5, 0.25]))
        display = HessianSpectrumDisplay.from_result(result)
        ends = [segment[:, 1] for segment in display.residual_bars_.get_segments()]
        assert_allclose(ends, [[2.5, 3.5], [1.75, 2.25]])
        assert "residual" in legend_words(display)

    def test_on_a_logarithmic_axis_a_bar_that_reaches_zero_ends_at_the_edge_of_the_picture(self):
        result = spectrum([3.0, 0.01], residuals=np.array([0.0, 0.5]))
        display = HessianSpectrumDisplay.from_result(result)
        low, high = display.residual_bars_.get_segments()[1][:, 1]
        assert low == pytest.approx(display.ax_.get_ylim()[0])
        assert high == pytest.approx(0.51)

    def test_those_too_short_are_not_drawn(self):
        display = HessianSpectrumDisplay.from_result(spectrum([3.0, 2.0], residuals=np.array([1e-6, 1e-3])))
        assert display.residual_bars_ is None
        assert "residual" not in legend_words(display)

    def test_what_did_not_converge_has_an_open_marker_and_what_was_not_found_none(self):
        converged = np.array([True, False, False])
        result = spectrum([3.0, 2.0, np.nan], converged=converged, residuals=np.array([0.0, 0.4, np.nan]))
        display = HessianSpectrumDisplay.from_result(result)
        assert_array_equal(display.not_converged_.get_xdata(), [2])
        assert display.not_converged_.get_markerfacecolor() == "white"
        assert "not converged" in legend_words(display)
        assert HessianSpectrumDisplay.from_result(spectrum([3.0])).not_converged_ is None

    def test_nothing_found_is_drawn_as_nothing(self):
        nothing = np.full(2, np.nan)
        result = spectrum(nothing, residuals=nothing, converged=np.zeros(2, dtype=bool), smallest=np.nan)
        assert_legible(HessianSpectrumDisplay.from_result(result).figure_)


class TestUse:
    def test_from_a_fitted_estimator(self):
        X, y = load_breast_cancer(return_X_y=True)
        model = MiniBatchSGDClassifier("log_loss", batch_size="full", random_state=0).fit(scale(X), y)
        display = HessianSpectrumDisplay.from_estimator(model, scale(X), y, k=7)
        expected = hessian_spectrum(model, scale(X), y, k=7)
        assert_array_equal(display.line_.get_ydata(), expected.eigenvalues)
        assert display.result.edge_of_stability == expected.edge_of_stability

    def test_axes_and_styles_are_taken(self):
        import matplotlib.pyplot as plt

        _, ax = plt.subplots()
        display = HessianSpectrumDisplay.from_result(spectrum([3.0, 1.0]), ax=ax, lw=3, color="C5")
        assert display.ax_ is ax
        assert display.figure_ is ax.figure
        assert (display.line_.get_linewidth(), display.line_.get_color()) == (3, "C5")
        ax.figure.canvas.draw()
        legend, inside = ax.get_legend().get_window_extent(), ax.get_window_extent()
        assert inside.x0 <= legend.x0
        assert legend.x1 <= inside.x1

    def test_something_else_is_refused(self):
        with pytest.raises(TypeError, match="result must be a HessianSpectrumResult, as hessian_spectrum returns"):
            HessianSpectrumDisplay([1.0]).plot()

    def test_without_matplotlib_the_message_says_what_is_missing(self, monkeypatch):
        monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
        with pytest.raises(ImportError, match=r"HessianSpectrumDisplay\.plot requires matplotlib"):
            HessianSpectrumDisplay.from_result(spectrum([1.0]))
