"""BatchSizeScalingDisplay: what it takes to reach the target, against the batch size."""

from collections.abc import Mapping
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.utils._param_validation import StrOptions

from minibatch.model_selection import ConvergenceCurve, StepsToTargetResult, convergence_curve
from minibatch.plotting._display import CurveDisplay, check_type
from minibatch.plotting._notes import Note, Point, write_notes
from minibatch.plotting._style import (
    Array,
    folds_and_budget,
    label_axes,
    merged,
    plain_ticks,
    quantity_words,
    value_words,
)

__all__ = ["BatchSizeScalingDisplay"]

_LABELS = {
    "updates_to_target": "Updates",
    "epochs_to_target": "Epochs",
    "samples_to_target": "Rows trained on",
    "seconds_to_target": "Seconds of training",
}
# With perfect scaling, twice the batch needs half the updates, and so as many rows as before. What that is in seconds
# depends on the machine.
_PERFECT_SLOPES = {"updates_to_target": -1.0, "epochs_to_target": 0.0, "samples_to_target": 0.0}

_NO_TARGET = (
    "BatchSizeScalingDisplay shows what it takes to reach a target, and this curve has none; make it with target=, for "
    "example convergence_curve(..., target=0.9)."
)
_EDGE = 0.96  # height of values that did not reach the target, as a share of the axes'


class BatchSizeScalingDisplay(CurveDisplay):
    """Updates (or epochs, rows, seconds) to the target against the batch size, with the line of perfect scaling.

    Make one with `from_estimator`, which takes the parameters of `convergence_curve` without ``param_name`` and needs a
    ``target``, with `from_curve` or, where each batch size has its own learning rate, with `from_steps`.

    A point is the median over the folds that reached the target, its bar goes from the first of them to the last. A
    small fraction at a point is the share of folds that reached it, where some did not. Values of which none did stand
    at the upper edge. A value that is not a number of rows, as ``"full"``, is named where there is room next to its
    point.

    Parameters
    ----------
    curve : ConvergenceCurve or StepsToTargetResult
        The former over ``batch_size``, with a target.

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

    fit_line_ : matplotlib Line2D or None
        ``S_min (1 + B_c / B)``, for updates or rows of a `StepsToTargetResult` that has a fit.

    not_reached_ : matplotlib Line2D or None
        Batch sizes that never reached the target.

    See Also
    --------
    minibatch.model_selection.convergence_curve : Makes the curve.
    minibatch.model_selection.steps_to_target : Measures every batch size at its own learning rate.

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
    >>> sgd = MiniBatchSGDClassifier(
    ...     "log_loss", learning_rate="constant", tol=None, random_state=0
    ... )
    >>> display = BatchSizeScalingDisplay.from_estimator(
    ...     sgd,
    ...     scale(X),
    ...     y,
    ...     param_range=[8, 64, "full"],
    ...     cv=3,
    ...     budget={"epochs": 10},
    ...     target=0.92,
    ... )
    >>> display.ax_.get_ylabel()
    'Updates to test accuracy ≥ 0.92'
    """

    _options = {"y": [StrOptions(set(_LABELS))], "errorbar_kw": [dict, None], "line_kw": [dict, None]}

    curve: ConvergenceCurve | StepsToTargetResult

    def __init__(self, curve: ConvergenceCurve | StepsToTargetResult) -> None:
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
    ) -> Self:
        """Train every batch size on every fold, and draw.

        Parameters
        ----------
        estimator, X, y, target, **curve_params
            As in `convergence_curve`; ``param_name`` is ``"batch_size"``.

        quantity : str, default="updates_to_target"
            What `plot` calls ``y``, which here are the targets of the estimator.

        ax, errorbar_kw, line_kw
            As in `plot`.

        Returns
        -------
        BatchSizeScalingDisplay
        """
        params = {"target": target, **curve_params}
        return cls._from_estimator(
            estimator, X, y, params, ax=ax, quantity=quantity, errorbar_kw=errorbar_kw, line_kw=line_kw
        )

    @classmethod
    def from_curve(cls, curve: ConvergenceCurve, *, ax: Any = None, **plot_params: Any) -> Self:
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
        return super().from_curve(curve, ax=ax, **plot_params)

    @staticmethod
    def _make(estimator: Any, X: Any, y: Any = None, *, target: Any = None, **curve_params: Any) -> ConvergenceCurve:
        if target is None:
            raise ValueError(_NO_TARGET)
        return convergence_curve(estimator, X, y, param_name="batch_size", target=target, **curve_params)

    @classmethod
    def from_steps(cls, result: StepsToTargetResult, *, ax: Any = None, **plot_params: Any) -> Self:
        """Draw the fewest updates of every batch size, with the curve fitted to them.

        Parameters
        ----------
        result : StepsToTargetResult
            Of `steps_to_target`. It has no seconds.

        ax, **plot_params
            As in `plot`.

        Returns
        -------
        BatchSizeScalingDisplay
        """
        check_type("result", result, StepsToTargetResult, "steps_to_target")
        return cls(result).plot(ax, **plot_params)

    def plot(
        self,
        ax: Any = None,
        *,
        y: str = "updates_to_target",
        errorbar_kw: dict[str, Any] | None = None,
        line_kw: dict[str, Any] | None = None,
    ) -> Self:
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
        return self._plot(ax, y=y, errorbar_kw=errorbar_kw, line_kw=line_kw)

    def _check(self, **options: Any) -> None:
        if not isinstance(self.curve, StepsToTargetResult):
            super()._check()
            _check_curve(self.curve)
        elif options["y"] == "seconds_to_target":
            raise ValueError("y='seconds_to_target' is not in a StepsToTargetResult; use updates, epochs or samples.")
        elif (self.curve.updates == 0).any():
            raise ValueError(
                "The target is met before the first update: there is no number to draw on a logarithmic axis."
            )

    def _draw(self, ax: Any, *, y: str, errorbar_kw: dict[str, Any] | None, line_kw: dict[str, Any] | None) -> None:
        drawn = _drawn_steps(self.curve, y) if isinstance(self.curve, StepsToTargetResult) else _drawn(self.curve, y)
        ax.set_xscale("log", base=2)
        ax.margins(x=0.09)  # for names beside the outermost points
        ax.set_yscale("log")
        plain_ticks(ax.yaxis)
        sizes, costs = drawn.sizes, drawn.costs
        reached = np.asarray(np.isfinite(costs).any(axis=1))
        self.errorbar_: Any = None
        self.perfect_scaling_line_, self.fit_line_, self.not_reached_ = None, None, None
        self.lines_: list[Any] = []
        if reached.any():
            self._draw_points(ax, sizes[reached], costs[reached], drawn.point, errorbar_kw)
            self._draw_perfect_scaling(ax, sizes, y, line_kw)
            self._draw_fit(ax, sizes, y)
        self._make_room(ax, ~reached)
        self._draw_not_reached(ax, sizes[~reached])
        self._finish(ax, y, drawn)
        self._name_values(ax, drawn)

    def _draw_points(self, ax: Any, sizes: Array, costs: Array, label: str, errorbar_kw: dict[str, Any] | None) -> None:
        medians = np.nanmedian(costs, axis=1)
        bars = [medians - np.nanmin(costs, axis=1), np.nanmax(costs, axis=1) - medians]
        style = {"fmt": "o-", "color": "C0", "capsize": 3.0, "linewidth": 1.6, "markersize": 5.5, "zorder": 3}
        style |= {"label": label}
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

    def _draw_fit(self, ax: Any, sizes: Array, y: str) -> None:
        fit = getattr(self.curve, "fit", None)
        if fit is None or y not in ("updates_to_target", "samples_to_target"):
            return
        at = np.geomspace(sizes[0], sizes[-1], 200)
        costs = fit.predict(at) * (at if y == "samples_to_target" else 1.0)
        critical = fit.critical_batch_size
        bends = sizes[0] <= critical <= sizes[-1]
        label = f"fit, critical batch size {critical:.3g}" if bends else "fit, without a bend between these sizes"
        (self.fit_line_,) = ax.plot(at, costs, color="C1", linewidth=1.6, zorder=2.5, label=label)

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

    def _name_values(self, ax: Any, drawn: "_Drawn") -> None:
        """Next to a point: the value, where it is not the number of rows, and the share of folds that reached it."""
        points, shares, names = [], [], []
        for value, size, cost in zip(drawn.values, drawn.sizes, drawn.costs, strict=True):
            done = np.isfinite(cost)
            if done.any():
                point = Point(size, np.nanmin(cost), np.nanmedian(cost), np.nanmax(cost))
            else:
                point = Point(size, _EDGE, _EDGE, _EDGE, on_edge=True)
            points.append(point)
            if not isinstance(value, int):
                names.append(Note(value_words(value), point))
            if done.any() and not done.all():
                shares.append(Note(f"{done.sum()}/{len(done)}", point, "above"))
        # shares first: the legend speaks of them, and the axis says about where a value stands that has no name
        write_notes(ax, points, shares + names)

    def _finish(self, ax: Any, y: str, drawn: "_Drawn") -> None:
        from matplotlib.ticker import FuncFormatter, NullFormatter

        ax.xaxis.set_major_formatter(FuncFormatter(lambda size, _: f"{size:g}" if size < 1 else f"{size:.0f}"))
        ax.xaxis.set_minor_formatter(NullFormatter())
        keys = [self.errorbar_, self.fit_line_, self.perfect_scaling_line_, self.not_reached_]
        keys = [key for key in [*keys, self._share_in_legend(drawn.costs)] if key is not None]
        label_axes(ax, "Batch size", f"{_LABELS[y]} to {drawn.goal}", drawn.title, keys)

    def _share_in_legend(self, costs: Array) -> Any:
        from matplotlib.lines import Line2D

        done = np.isfinite(costs)
        partly = done[done.any(axis=1) & ~done.all(axis=1)]
        if not len(partly):
            return None
        share = f"${partly[0].sum()}/{partly.shape[1]}$"
        key = Line2D([], [], linestyle="none", marker=share, color="black", label="folds that reached it")
        key.set(markersize=13.0, markeredgewidth=0.0)
        return key


class _Drawn(NamedTuple):
    """What is drawn, the smallest batch first, and the words for it."""

    sizes: Array
    values: list[Any]
    costs: Array  # values x folds
    goal: str
    title: str
    point: str


def _drawn(curve: ConvergenceCurve, y: str) -> _Drawn:
    sizes, costs = curve.folds_["resolved_batch_size"].mean(axis=1), curve.folds_[y]
    order = np.argsort(sizes, kind="stable")
    values = [curve.param_range[number] for number in order]
    own = "".join(f"; each size at its own {name}" for name in curve.paired_params)
    title = folds_and_budget(curve, "median") + own
    point = "median, first to last fold" if costs.shape[1] > 1 else "the fold"
    return _Drawn(sizes[order], values, costs[order], _goal_words(curve.target, curve.scoring), title, point)


def _drawn_steps(result: StepsToTargetResult, y: str) -> _Drawn:
    costs = getattr(result, y.removesuffix("_to_target"))[:, None]
    rate = "the rate that the estimator finds" if result.finds_rates else "its best learning rate"
    title = f"each size at {rate}; up to {result.max_updates} updates a trial"
    sizes = result.batch_sizes.astype(float)
    return _Drawn(sizes, result.batch_sizes.tolist(), costs, _goal_words(result.target, "score"), title, "fewest")


def _goal_words(target: Any, scoring: str) -> str:
    return f"{quantity_words(target.name, scoring)} {'≤' if target.lower_is_better else '≥'} {target.value:g}"


def _check_curve(curve: ConvergenceCurve) -> None:
    if curve.param_name != "batch_size":
        raise ValueError(
            f"BatchSizeScalingDisplay needs a curve over batch_size; this one has param_name={curve.param_name!r}."
        )
    if curve.target is None:
        raise ValueError(_NO_TARGET)
