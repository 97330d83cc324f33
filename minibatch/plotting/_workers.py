"""The display of a simulation of workers."""

from typing import Any

import numpy as np

from minibatch.distributed import WorkersSimulation, simulate_workers
from minibatch.plotting._display import ResultDisplay
from minibatch.plotting._style import MARKERS, label_axes, merged, plain_ticks

__all__ = ["WorkersSimulationDisplay"]


class WorkersSimulationDisplay(ResultDisplay[WorkersSimulation]):
    """How many times as fast several workers are as one, for every batch size.

    The one is a worker with the best of the batch sizes, so that lines of different sizes can be compared: where they
    cross, a larger batch becomes the better one. A line is thick as far as twice as many workers save 10 % of the time
    or more. Make one with :meth:`from_result`.

    Parameters
    ----------
    result : WorkersSimulation
        What to draw.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Where it is drawn.

    figure_ : matplotlib Figure
        Its figure.

    lines_ : list of matplotlib Line2D
        Speed-ups of the batch sizes, the smallest first.

    worthwhile_lines_ : list of matplotlib Line2D
        The thick parts of these.

    perfect_scaling_line_ : matplotlib Line2D
        As many times as fast as there are workers.

    See Also
    --------
    minibatch.distributed.simulate_workers : What is drawn.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from minibatch.distributed import simulate_workers
    >>> from minibatch.plotting import WorkersSimulationDisplay
    >>> found = simulate_workers(
    ...     (5e-5, 1e-6), 5000, 10_000, (2e-5, 1.25e9), batch_sizes=[256, 4096, 65536]
    ... )
    >>> display = WorkersSimulationDisplay.from_result(found)
    >>> plt.show()
    """

    _make, _drawn = staticmethod(simulate_workers), WorkersSimulation

    def _draw(self, ax: Any, **kwargs: Any) -> None:
        from matplotlib import colormaps

        result = self.result
        ax.set(xscale="log", yscale="log")
        self.lines_: list[Any] = []
        self.worthwhile_lines_: list[Any] = []
        sizes, speedups = result.batch_sizes, result.speedups.T
        for number, (size, speedup) in enumerate(zip(sizes, speedups, strict=True)):
            # the last part of the map is too light for a line on white
            color = colormaps["viridis"](0.85 * number / max(1, len(sizes) - 1))
            style = {"color": color, "marker": MARKERS[number % len(MARKERS)], "markersize": 5, "linewidth": 1.2}
            (line,) = ax.plot(result.n_workers, speedup, **merged(style | {"label": f"{size:,}"}, kwargs))
            worthwhile = result.n_workers <= result.worthwhile_n_workers[number]
            thick = {"color": line.get_color(), "linewidth": 4 * line.get_linewidth(), "alpha": 0.4}
            self.lines_.append(line)
            self.worthwhile_lines_ += ax.plot(result.n_workers[worthwhile], speedup[worthwhile], **thick)
        self._draw_perfect_scaling(ax)
        plain_ticks(ax.xaxis)
        plain_ticks(ax.yaxis)
        keys = [*self.lines_, self.perfect_scaling_line_, self._thick_in_legend()]
        title = "Speed-up over one worker with the best batch size"
        label_axes(ax, "Workers", "Times as fast", title, keys, "Rows of a batch")

    def _draw_perfect_scaling(self, ax: Any) -> None:
        """As far as there is something to compare with it."""
        workers, limits = self.result.n_workers, ax.get_ylim()
        ends = np.array([workers[0], max(workers[0], min(workers[-1], limits[1]))])
        style = {"color": "black", "linestyle": "--", "linewidth": 1.2, "zorder": 1, "label": "perfect scaling"}
        (self.perfect_scaling_line_,) = ax.plot(ends, ends, **style)
        ax.set_ylim(limits)

    def _thick_in_legend(self) -> Any:
        from matplotlib.lines import Line2D

        return Line2D([], [], color="0.3", linewidth=4.8, alpha=0.4, label="twice as many save 10 %")
