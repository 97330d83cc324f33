"""WorkersSimulationDisplay: what it draws of a simulation."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from minibatch.distributed import simulate_workers
from minibatch.plotting import WorkersSimulationDisplay
from references.plots import assert_legible, legend_words

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")
plt = pytest.importorskip("matplotlib.pyplot")

pytestmark = pytest.mark.usefixtures("close_figures")
FOUND = simulate_workers((5e-5, 1e-6), 5000, 10_000, (2e-5, 1.25e9), batch_sizes=[64, 4096, 65536])


def test_lines_are_speedups_and_thick_as_far_as_more_workers_help():
    display = WorkersSimulationDisplay.from_result(FOUND)
    for line, speedups in zip(display.lines_, FOUND.speedups.T, strict=True):
        assert_allclose(line.get_xydata(), np.transpose([FOUND.n_workers, speedups]))
    for thick, most in zip(display.worthwhile_lines_, FOUND.worthwhile_n_workers, strict=True):
        assert thick.get_xdata().max() <= most
        assert thick.get_linewidth() > display.lines_[0].get_linewidth()
    ends = display.perfect_scaling_line_.get_xydata()
    assert_allclose(ends[:, 0], ends[:, 1])
    assert (display.ax_.get_xscale(), display.ax_.get_yscale()) == ("log", "log")
    assert display.ax_.get_ylim()[1] < 20
    assert legend_words(display)[:3] == ["64", "4,096", "65,536"]


def test_it_can_be_read_and_styled():
    display = WorkersSimulationDisplay.from_result(FOUND, lw=3.0)
    assert display.lines_[0].get_linewidth() == 3.0
    assert_legible(display.figure_)


def test_one_number_of_workers_and_axes_of_ones_own():
    _, ax = plt.subplots()
    found = simulate_workers((5e-5, 1e-6), 5000, 10, (0, 1e9), n_workers=[1], batch_sizes=[8])
    assert WorkersSimulationDisplay.from_result(found, ax=ax).ax_ is ax


def test_other_results_are_refused():
    with pytest.raises(TypeError, match="result must be a WorkersSimulation, as simulate_workers returns"):
        WorkersSimulationDisplay.from_result(None)
