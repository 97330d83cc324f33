"""Lines along training: one a value, the mean over folds, with a band."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from minibatch.model_selection import ConvergenceCurve
from minibatch.plotting._style import (
    Array,
    counted,
    ended,
    merged,
    plain_ticks,
    spans_decades,
    value_labels,
    value_styles,
    with_outcomes,
)

__all__ = [
    "Drawn", "MeanPath", "Quantity", "cross_in_legend", "draw_crosses", "draw_paths", "marked", "mean_paths",
]  # fmt: skip


class MeanPath(NamedTuple):
    """Mean over folds of x and y, and the band one standard deviation of y around it, at the evaluations that all folds
    reached."""

    folds: NDArray[np.bool_]  # those that count
    x: Array
    mean: Array
    low: Array
    high: Array


class Quantity(NamedTuple):
    """What to draw: values x folds x evaluations, and the style of its lines."""

    values: Array
    linestyle: str = "-"


class Drawn(NamedTuple):
    """Artists, value by value and in a value quantity by quantity; for the legend the last line of each value. What
    lines and bands are of the folds, in words."""

    lines: list[Any]
    bands: list[Any]
    legend: list[Any]
    geometric: bool

    @property
    def statistic(self) -> str:
        """What lines and bands are, in words; a display may have taken bands away."""
        words, sign = ("geometric mean", "×/÷") if self.geometric else ("mean", "±")
        return f"{words} {sign} std" if self.bands else words


def mean_paths(curve: ConvergenceCurve, x: str, values: Array, *, geometric: bool = False) -> list[MeanPath]:
    """One path a value. Folds that diverged, failed or have no such quantity are left out; empty where all are.

    Geometric: the mean and the standard deviation are those of logarithms, for a logarithmic axis, where mean - std
    may be below 0. NaN where a fold is not positive.
    """
    paths = []
    every_folds = counted(curve) & np.isfinite(values).any(axis=2)
    for folds, xs, ys in zip(every_folds, curve.curves_[x], values, strict=True):
        if not folds.any():
            paths.append(MeanPath(folds, *np.empty((4, 0))))
            continue
        here = np.isfinite(xs[folds]).all(axis=0)
        y = np.where(np.isfinite(ys), ys, np.nan)[folds][:, here]
        y = np.log(np.where(y > 0.0, y, np.nan)) if geometric else y
        mean, std = y.mean(axis=0), y.std(axis=0)
        drawn = np.array([mean, mean - std, mean + std])
        paths.append(MeanPath(folds, xs[folds][:, here].mean(axis=0), *(np.exp(drawn) if geometric else drawn)))
    return paths


def draw_paths(
    ax: Any,
    curve: ConvergenceCurve,
    x: str,
    quantities: Sequence[Quantity],
    *,
    log_x: bool | None,
    log_y: bool | None,
    std_display_style: str | None,
    line_kw: dict[str, Any] | None,
    fill_between_kw: dict[str, Any] | None,
) -> Drawn:
    """Lines and bands of every value on axes whose scales suit them."""
    paths = [mean_paths(curve, x, quantity.values) for quantity in quantities]
    _scale_axes(ax, [path for drawn in paths for path in drawn], log_x, log_y)
    geometric = log_y is not False and ax.get_yscale() == "log"  # gaps are differences on any axis
    if geometric:
        paths = [mean_paths(curve, x, quantity.values, geometric=True) for quantity in quantities]
    lines, bands, legend = [], [], []
    styles, labels, statuses = value_styles(curve), value_labels(curve), curve.folds_["status"]
    alpha = 0.25 / np.sqrt(len(styles) * len(quantities))  # many bands on one another would hide the lines
    for value, style in enumerate(styles):
        for quantity, of_values in zip(quantities, paths, strict=True):
            path = of_values[value]
            shown = {**style, "linestyle": quantity.linestyle, "linewidth": 1.6}
            shown |= {"markevery": marked(int(np.isfinite(path.mean).sum()))}
            shown |= {"label": with_outcomes(labels[value], statuses[value], path.folds)}
            lines.extend(ax.plot(path.x, path.mean, **merged(shown, line_kw)))
            if std_display_style == "fill_between" and path.folds.sum() > 1:
                band = merged({"color": style["color"], "alpha": alpha, "linewidth": 0.0}, fill_between_kw)
                bands.append(ax.fill_between(path.x, path.low, path.high, **band))
        legend.append(lines[-1])
    return Drawn(lines, bands, legend, geometric)


def draw_crosses(ax: Any, curve: ConvergenceCurve, x: str, quantities: Sequence[Quantity]) -> list[Any]:
    """An x where the losses of a fit that diverged were last finite, on the edge where that is far outside.

    The losses, whatever is shown: scores can stay finite for epochs after them, and every picture of a fit should say
    the same. Call it last.
    """
    limits = ax.get_ylim()
    inside = (ax.transAxes + ax.transData.inverted()).transform([(0.0, 0.025), (0.0, 0.975)])[:, 1]
    crosses = []
    for value, style in enumerate(value_styles(curve)):
        diverged = ended(curve, "diverged")[value]
        ends = [
            _end(curve.curves_[x][value, fold], quantity.values[value, fold], last)
            for quantity in quantities
            for fold, last in zip(np.flatnonzero(diverged), _last_finite(curve, value)[diverged], strict=True)
        ]
        if ends:
            where, height = np.transpose(ends)
            style = {**style, "marker": "x", "markersize": 7.0, "markeredgewidth": 2.0, "linestyle": "none"}
            crosses.extend(ax.plot(where, np.clip(height, *inside), zorder=5, **style))
    ax.set_ylim(limits)
    return crosses


def cross_in_legend() -> Any:
    from matplotlib.lines import Line2D

    return Line2D([], [], color="0.2", marker="x", markeredgewidth=2.0, linestyle="none", label="diverged here")


def _last_finite(curve: ConvergenceCurve, value: int) -> Array:
    """Number of the last evaluation with finite losses, for every fold; of the first one where there is none."""
    finite = np.isfinite(curve.curves_["train_loss"][value]) & np.isfinite(curve.curves_["test_loss"][value])
    last = finite.shape[1] - 1 - np.argmax(finite[:, ::-1], axis=1)
    return np.where(finite.any(axis=1), last, 0)


def _end(x: Array, y: Array, last: int) -> tuple[float, float]:
    """Where the cross stands; what is not finite counts as infinite."""
    return float(x[last]), float(y[last]) if np.isfinite(y[last]) else np.inf


def marked(n_points: int) -> Any:
    """Markers at even distances on the picture; Matplotlib needs two points for that."""
    return (0.0, 0.14) if n_points > 1 else None


def _scale_axes(ax: Any, paths: list[MeanPath], log_x: bool | None, log_y: bool | None) -> None:
    from matplotlib.ticker import MaxNLocator, ScalarFormatter

    ends = np.array([path.x[-1] for path in paths if len(path.x)])
    heights = np.concatenate([path.mean[np.isfinite(path.mean)] for path in paths])
    if spans_decades(ends, "x") if log_x is None else log_x:
        ax.set_xscale("log")
        plain_ticks(ax.xaxis)
    else:
        if len(ends) and ends.max() > 5.0 and isinstance(ax.xaxis.get_major_locator(), MaxNLocator):
            ax.xaxis.get_major_locator().set_params(integer=True)  # there are no half epochs to read off
        if isinstance(ax.xaxis.get_major_formatter(), ScalarFormatter):
            ax.ticklabel_format(axis="x", scilimits=(-2, 6))  # seconds are often thousandths
    if spans_decades(heights, "y") if log_y is None else log_y:
        ax.set_yscale("log")
        plain_ticks(ax.yaxis)
