"""BatchSizeScalingDisplay: what it takes to reach the target, against the batch size."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils._optional_dependencies import check_matplotlib_support

from minibatch.model_selection import ConvergenceCurve, convergence_curve
from minibatch.plotting._notes import Note, Point, write_notes
from minibatch.plotting._style import (
    axes_of,
    check_type,
    draw_legend,
    folds_and_budget,
    merged,
    one_of,
    plain_ticks,
    quantity_words,
    small_title,
    value_words,
)

Array = NDArray[Any]
_LABELS = {
    "updates_to_target": "Updates",
    "epochs_to_target": "Epochs",
    "samples_to_target": "Rows trained on",
    "seconds_to_target": "Seconds of training",
}
# With perfect scaling, twice the batch needs half the updates, and so as many rows as before. What that is in seconds
# depends on the machine.
_PERFECT_SLOPES = {"updates_to_target": -1.0, "epochs_to_target": 0.0, "samples_to_target": 0.0}

_EDGE = 0.96  # height of values that did not reach the target, as a share of the axes'


class BatchSizeScalingDisplay:
    """Updates (or epochs, rows, seconds) to the target against the batch size, with the line of perfect scaling.

    Make one with `from_estimator` or `from_curve`.

    A point is the median over the folds that reached the target, its bar goes from the first of them to the last. A
    small fraction at a point is the share of folds that reached it, where some did not. Values of which none did stand
    at the upper edge. A value that is not a number of rows, as ``"full"``, is named where there is room next to its
    point.

    Parameters
    ----------
    curve : ConvergenceCurve
        Over ``batch_size``, with a target.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Where it is drawn.

    figure_ : matplotlib Figure
        Its figure.

    errorbar_ : matplotlib ErrorbarContainer or None
        The points and their bars; None where no value reached the target.

    lines_ : list of matplotlib Line2D
        The line through the points, if there are any.

    perfect_scaling_line_ : matplotlib Line2D or None
        Through the smallest batch size that reached the target: twice the batch, half the updates, as many epochs and
        rows. None for seconds, which depend on the machine.

    not_reached_ : matplotlib Line2D or None
        Batch sizes that never reached the target.

    See Also
    --------
    minibatch.model_selection.convergence_curve : Makes the curve.

    References
    ----------
    Shallue et al., "Measuring the effects of data parallelism on neural network training", JMLR 20 (2019).

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.preprocessing import scale
    >>> from minibatch import MiniBatchSGDClassifier
    >>> from minibatch.plotting import BatchSizeScalingDisplay
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> sgd = MiniBatchSGDClassifier("log_loss", learning_rate="constant", tol=None, random_state=0)
    >>> display = BatchSizeScalingDisplay.from_estimator(
    ...     sgd, scale(X), y, param_range=[8, 64, "full"], cv=3, budget={"epochs": 10}, target=0.92
    ... )
    >>> display.ax_.get_ylabel()
    'Updates to test accuracy ≥ 0.92'
    """

    def __init__(self, curve: ConvergenceCurve) -> None:
        self.curve = curve

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any,
        *,
        target: float | Mapping[str, float],
        ax: Any = None,
        quantity: str = "updates_to_target",
        errorbar_kw: dict[str, Any] | None = None,
        line_kw: dict[str, Any] | None = None,
        **curve_params: Any,
    ) -> "BatchSizeScalingDisplay":
        """Train every batch size on every fold, and draw.

        Parameters
        ----------
        estimator, X, y, target
            As in `convergence_curve`.

        quantity : str, default="updates_to_target"
            What `plot` calls ``y``, which here is the target of the estimator.

        ax, errorbar_kw, line_kw
            As in `plot`.

        **curve_params
            As in `convergence_curve`: ``param_range``, ``paired_params``, ``cv``, ``budget`` and so on.

        Returns
        -------
        BatchSizeScalingDisplay
        """
        check_matplotlib_support(f"{cls.__name__}.from_estimator")
        _check_quantity(quantity)
        if target is None:
            raise ValueError(_NO_TARGET)
        curve = convergence_curve(estimator, X, y, param_name="batch_size", target=target, **curve_params)
        return cls(curve).plot(ax, y=quantity, errorbar_kw=errorbar_kw, line_kw=line_kw)

    @classmethod
    def from_curve(cls, curve: ConvergenceCurve, *, ax: Any = None, **plot_params: Any) -> "BatchSizeScalingDisplay":
        """Draw a curve that has been made.

        Parameters
        ----------
        curve : ConvergenceCurve
            Over ``batch_size``, with a target.

        ax, **plot_params
            As in `plot`.

        Returns
        -------
        BatchSizeScalingDisplay
        """
        return cls(curve).plot(ax, **plot_params)

    def plot(
        self,
        ax: Any = None,
        *,
        y: str = "updates_to_target",
        errorbar_kw: dict[str, Any] | None = None,
        line_kw: dict[str, Any] | None = None,
    ) -> "BatchSizeScalingDisplay":
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure. The legend stands beside the axes if the figure has a layout engine
            (``layout="constrained"``), else inside.

        y : {"updates_to_target", "epochs_to_target", "samples_to_target", "seconds_to_target"}, \
default="updates_to_target"
            The cost of reaching the target.

        errorbar_kw : dict, default=None
            For points and bars (``ax.errorbar``).

        line_kw : dict, default=None
            For the line of perfect scaling (``ax.plot``).

        Returns
        -------
        BatchSizeScalingDisplay
            The display itself.

        Raises
        ------
        ValueError
            If the curve has no target or is not over ``batch_size``.
        """
        check_matplotlib_support(f"{type(self).__name__}.plot")
        check_type("curve", self.curve, ConvergenceCurve, "convergence_curve")
        _check_quantity(y)
        _check_curve(self.curve)
        ax = axes_of(ax)
        ax.set_xscale("log", base=2)
        ax.margins(x=0.09)  # for names beside the outermost points
        ax.set_yscale("log")
        plain_ticks(ax.yaxis)
        sizes = self.curve.folds_["resolved_batch_size"].mean(axis=1)
        order = np.argsort(sizes, kind="stable")
        sizes, costs = sizes[order], self.curve.folds_[y][order]
        reached = np.isfinite(costs).any(axis=1)
        self.errorbar_: Any = None
        self.perfect_scaling_line_, self.not_reached_ = None, None
        self.lines_: list[Any] = []
        if reached.any():
            self._draw_points(ax, sizes[reached], costs[reached], errorbar_kw)
            self._draw_perfect_scaling(ax, sizes, y, line_kw)
        self._make_room(ax, ~reached)
        self._draw_not_reached(ax, sizes[~reached])
        self._finish(ax, y)
        self._name_values(ax, order, sizes, costs)
        return self

    def _draw_points(self, ax: Any, sizes: Array, costs: Array, errorbar_kw: dict[str, Any] | None) -> None:
        medians = np.nanmedian(costs, axis=1)
        bars = [medians - np.nanmin(costs, axis=1), np.nanmax(costs, axis=1) - medians]
        n_folds = costs.shape[1]
        style = {"fmt": "o-", "color": "C0", "capsize": 3.0, "linewidth": 1.6, "markersize": 5.5, "zorder": 3}
        style |= {"label": "median, first to last fold" if n_folds > 1 else "the fold"}
        self.errorbar_ = bar = ax.errorbar(sizes, medians, bars, **merged(style, errorbar_kw))
        self.lines_ = [bar.lines[0]]

    def _draw_perfect_scaling(self, ax: Any, sizes: Array, y: str, line_kw: dict[str, Any] | None) -> None:
        if y not in _PERFECT_SLOPES:
            return
        (line,) = self.lines_
        first_size, first_cost = line.get_xdata()[0], line.get_ydata()[0]
        ends = np.array([first_size, sizes[-1]])
        costs = first_cost * (ends / first_size) ** _PERFECT_SLOPES[y]
        style = {"color": "0.15", "linestyle": "--", "linewidth": 1.3, "zorder": 3.5, "label": "perfect scaling"}
        (self.perfect_scaling_line_,) = ax.plot(ends, costs, **merged(style, line_kw))

    def _make_room(self, ax: Any, missed: NDArray[np.bool_]) -> None:
        """Below for the names of values, above for those that did not reach the target."""
        if missed.all():
            ax.set_yticks([])  # there is nothing to read off
            ax.set_yticks([], minor=True)
        bottom, top = ax.get_ylim()
        ax.set_ylim(bottom * (bottom / top) ** 0.06, top * (top / bottom) ** (0.12 if missed.any() else 0.05))

    def _draw_not_reached(self, ax: Any, sizes: Array) -> None:
        if not len(sizes):
            return
        style = {"color": "C3", "marker": "^", "markerfacecolor": "white", "markersize": 8.0, "linestyle": "none"}
        (self.not_reached_,) = ax.plot(
            sizes, np.full(len(sizes), _EDGE), transform=ax.get_xaxis_transform(), label="not reached", **style
        )

    def _name_values(self, ax: Any, order: Array, sizes: Array, costs: Array) -> None:
        """Next to a point: the value, where it is not the number of rows, and the share of folds that reached it."""
        points, shares, names = [], [], []
        for number, size, cost in zip(order, sizes, costs, strict=True):
            done = np.isfinite(cost)
            if done.any():
                point = Point(size, np.nanmin(cost), np.nanmedian(cost), np.nanmax(cost))
            else:
                point = Point(size, _EDGE, _EDGE, _EDGE, on_edge=True)
            points.append(point)
            value = self.curve.param_range[number]
            if not isinstance(value, int):
                names.append(Note(value_words(value), point))
            if done.any() and not done.all():
                shares.append(Note(f"{done.sum()}/{len(done)}", point, "above"))
        # shares first: the legend speaks of them, and the axis says about where a value stands that has no name
        write_notes(ax, points, shares + names)

    def _finish(self, ax: Any, y: str) -> None:
        from matplotlib.ticker import FuncFormatter, NullFormatter

        target = self.curve.target
        assert target is not None  # plot has checked
        ax.xaxis.set_major_formatter(FuncFormatter(lambda size, _: f"{size:g}" if size < 1 else f"{size:.0f}"))
        ax.xaxis.set_minor_formatter(NullFormatter())
        goal = f"{quantity_words(target.name, self.curve.scoring)} {'≤' if target.lower_is_better else '≥'}"
        ax.set(xlabel="Batch size", ylabel=f"{_LABELS[y]} to {goal} {target.value:g}")
        own = "".join(f"; each size at its own {name}" for name in self.curve.paired_params)
        small_title(ax, folds_and_budget(self.curve, "median") + own)
        keys = [self.errorbar_, self.perfect_scaling_line_, self.not_reached_, self._share_in_legend(y)]
        draw_legend(ax, [key for key in keys if key is not None])
        self.ax_, self.figure_ = ax, ax.figure

    def _share_in_legend(self, y: str) -> Any:
        from matplotlib.lines import Line2D

        done = np.isfinite(self.curve.folds_[y])
        partly = done[done.any(axis=1) & ~done.all(axis=1)]
        if not len(partly):
            return None
        share = f"${partly[0].sum()}/{partly.shape[1]}$"
        key = Line2D([], [], linestyle="none", marker=share, color="black", label="folds that reached it")
        key.set(markersize=13.0, markeredgewidth=0.0)
        return key


_NO_TARGET = (
    "BatchSizeScalingDisplay shows what it takes to reach a target, and this curve has none; make it with target=, for "
    "example convergence_curve(..., target=0.9)."
)


def _check_quantity(y: str) -> None:
    one_of("y (quantity in from_estimator)", y, list(_LABELS))


def _check_curve(curve: ConvergenceCurve) -> None:
    if curve.param_name != "batch_size":
        raise ValueError(
            f"BatchSizeScalingDisplay needs a curve over batch_size; this one has param_name={curve.param_name!r}."
        )
    if curve.target is None:
        raise ValueError(_NO_TARGET)
