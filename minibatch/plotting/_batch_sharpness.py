"""The display of batch sharpness along a training run."""

from typing import Any

import numpy as np

from minibatch.diagnostics import BatchSharpnessCurve, batch_sharpness_curve
from minibatch.plotting._display import EstimatorResultDisplay
from minibatch.plotting._style import X_LABELS, label_axes, merged, plain_ticks, spans_decades

__all__ = ["BatchSharpnessDisplay"]

# A limit that is farther above all values is named in the legend and not drawn: the values would lie on the axis.
_FARTHEST = 20.0
_HEADROOM = 3.0  # times the highest value; the end of an interval farther above is cut off


class BatchSharpnessDisplay(EstimatorResultDisplay[BatchSharpnessCurve]):
    """Batch sharpness along a training run, beside where it comes to rest at the learning rate of the moment.

    Make one with :meth:`from_estimator` or :meth:`from_result`. The vertical axis is logarithmic where values and
    limits are positive and differ by a factor of 50 or more.

    Parameters
    ----------
    result : BatchSharpnessCurve
        What to draw.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Where it is drawn.

    figure_ : matplotlib Figure
        Its figure.

    line_ : matplotlib Line2D
        The batch sharpness.

    band_ : matplotlib PolyCollection or None
        The intervals; None where all are exact.

    limit_lines_ : list of matplotlib Line2D
        The limit ``2 / learning_rate``, or those of small and of large batches with momentum; none where there are no
        limits, or they are far above the picture.

    See Also
    --------
    minibatch.diagnostics.batch_sharpness_curve : What the curve is.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn.datasets import load_digits
    >>> from minibatch import MiniBatchMLPClassifier
    >>> from minibatch.plotting import BatchSharpnessDisplay
    >>> X, y = load_digits(return_X_y=True)
    >>> network = MiniBatchMLPClassifier(
    ...     (16,),
    ...     activation="tanh",
    ...     solver="sgd",
    ...     momentum=0.0,
    ...     learning_rate="constant",
    ...     learning_rate_init=0.2,
    ...     batch_size=16,
    ...     random_state=0,
    ... )
    >>> display = BatchSharpnessDisplay.from_estimator(
    ...     network, X / 16, y, n_looks=5, max_updates=200
    ... )
    >>> plt.show()
    """

    _make, _drawn = staticmethod(batch_sharpness_curve), BatchSharpnessCurve

    def _draw(self, ax: Any, **kwargs: Any) -> None:
        result = self.result
        ax.set_xscale("log")
        style = {"color": "C0", "linewidth": 2, "marker": "o", "markersize": 4, "label": "batch sharpness", "zorder": 3}
        (self.line_,) = ax.plot(result.n_updates, result.values, **merged(style, kwargs))
        highest = float(np.nanmax(result.values, initial=0.0))
        keys = [self.line_, *self._draw_limits(ax, highest)]
        self._scale(ax, highest)
        keys[1:1] = self._draw_intervals(ax, highest)
        plain_ticks(ax.xaxis)
        sizes = result.batch_sizes
        batches = f"batch size {sizes[0]}" if np.all(sizes == sizes[0]) else f"batches of {sizes[0]} to {sizes[-1]}"
        title = f"Batch sharpness in training, {batches}"
        label_axes(ax, X_LABELS["n_updates"], "Curvature along a batch's gradient", title, keys)

    def _scale(self, ax: Any, highest: float) -> None:
        """By the values and the limits near them: at the end of a falling rate a limit goes to infinity."""
        limits = [line.get_ydata() for line in self.limit_lines_]
        drawn = np.concatenate([self.result.values, *limits])
        if spans_decades(drawn[~(drawn > _FARTHEST * highest)], "y"):
            ax.set_yscale("log")
            plain_ticks(ax.yaxis)
        ax.autoscale_view()
        ax.set_ylim(top=min(ax.get_ylim()[1], _FARTHEST * highest) if highest > 0.0 else None)

    def _draw_limits(self, ax: Any, highest: float) -> list[Any]:
        """A line for each, or its key alone."""
        result, self.limit_lines_, keys = self.result, [], []
        if result.missing:
            return ax.plot([], [], " ", label=f"no limit for {result.solver}\nat these rates")
        named = _names(result.solver, result.momentum)
        for words, limits, dashes in zip(named, result.limits.T, ("--", ":"), strict=False):
            if not np.nanmin(limits) <= _FARTHEST * highest:
                keys += ax.plot([], [], " ", label=f"{words}\n(above the picture)")
                continue
            style = {"color": "C3", "linestyle": dashes, "linewidth": 1.6, "zorder": 2, "label": words}
            (line,) = ax.plot(result.n_updates, limits, **style)
            self.limit_lines_.append(line)
            keys.append(line)
        return keys

    def _draw_intervals(self, ax: Any, highest: float) -> list[Any]:
        result, self.band_ = self.result, None
        lower, upper = result.intervals.T
        if not np.any(upper > lower):
            return []
        bottom, top = ax.get_ylim()
        top = max(top, min(float(np.nanmax(upper)), _HEADROOM * highest))
        words = f"interval, {100 * result.confidence:g} %"
        style = {"color": self.line_.get_color(), "alpha": 0.2, "linewidth": 0, "zorder": 1, "label": words}
        self.band_ = ax.fill_between(result.n_updates, np.maximum(lower, bottom), np.minimum(upper, top), **style)
        ax.set_ylim(bottom, top)
        return [self.band_]


def _names(solver: str, momentum: float) -> list[str]:
    """The limits in the words of a legend, with η for the rate.

    >>> _names("sgd", 0.0), _names("nesterov", 0.9)[1]
    (['limit 2/η'], 'large batches,\\n2(1+m)/((1+2m)η)')
    """
    if momentum == 0.0:
        return ["limit 2/η"]
    large = "large batches,\n2(1+m)/((1+2m)η)" if solver == "nesterov" else "large batches, 2(1+m)/η"
    return ["small batches, 2(1−m)/η", large]
