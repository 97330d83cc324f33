"""The display of the gradient noise scale along a training run."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from minibatch.diagnostics import GradientNoiseCurve, gradient_noise_curve
from minibatch.plotting._display import EstimatorResultDisplay
from minibatch.plotting._style import X_LABELS, label_axes, merged, plain_ticks

__all__ = ["NoiseScaleDisplay"]

# An interval that is nearly open would squeeze all else: its end is cut off so far above the highest estimate.
_HEADROOM = 5.0


class NoiseScaleDisplay(EstimatorResultDisplay[GradientNoiseCurve]):
    """The gradient noise scale along a training run, next to the batch size that was trained with.

    Where the rows that were looked at do not resolve it, an arrow stands at the lower bound. Make one with
    :meth:`from_estimator` or :meth:`from_result`.

    Parameters
    ----------
    result : GradientNoiseCurve
        What to draw.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Where it is drawn.

    figure_ : matplotlib Figure
        Its figure.

    line_ : matplotlib Line2D
        The noise scale where it is resolved.

    band_ : matplotlib PolyCollection or None
        The intervals, open towards the top where they have no upper end; None where all are exact.

    bounds_ : matplotlib Line2D or None
        Lower bounds where the noise scale is not resolved.

    carried_ : matplotlib Line2D or None
        Hollow marks where a few of the rows looked at carry the noise, so that intervals are too narrow.

    batch_size_line_ : matplotlib Line2D
        The batch size.

    See Also
    --------
    minibatch.diagnostics.gradient_noise_curve : What the curve is.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.preprocessing import scale
    >>> from minibatch import MiniBatchSGDClassifier
    >>> from minibatch.plotting import NoiseScaleDisplay
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> display = NoiseScaleDisplay.from_estimator(
    ...     MiniBatchSGDClassifier("log_loss"), scale(X), y, max_updates=200
    ... )
    >>> plt.show()
    """

    _make, _drawn = staticmethod(gradient_noise_curve), GradientNoiseCurve

    def _draw(self, ax: Any, **kwargs: Any) -> None:
        result = self.result
        ax.set(xscale="log", yscale="log")
        low, high = _limits(result)
        style = {"color": "C0", "linewidth": 2, "marker": "o", "markersize": 4, "label": "noise scale", "zorder": 3}
        scales = np.where(result.resolved, result.noise_scales, np.nan)
        (self.line_,) = ax.plot(result.n_updates, scales, **merged(style, kwargs))
        keys = [self.line_, *self._draw_intervals(ax, low, high), *self._draw_carried(ax, scales)]
        (self.batch_size_line_,) = ax.step(
            result.n_updates, result.batch_sizes, where="post", color="black", linestyle="--", linewidth=1.2, zorder=2,
            label=_batch_size_words(result.batch_sizes),
        )  # fmt: skip
        ax.set_ylim(low, high)
        plain_ticks(ax.xaxis)
        plain_ticks(ax.yaxis)
        keys.append(self.batch_size_line_)
        label_axes(ax, X_LABELS["n_updates"], "Rows in a batch", "Gradient noise scale in training", keys)

    def _draw_intervals(self, ax: Any, low: float, high: float) -> list[Any]:
        """The band and the arrows, as far as there are any."""
        result, keys = self.result, []
        lower, upper = np.clip(result.intervals, low, 2.0 * high).T  # beyond the axes is open enough
        self.band_ = self.bounds_ = None
        if np.any(upper > lower * (1.0 + 1e-9)):
            words = f"interval, {100 * result.confidence:g} %"
            style = {"color": self.line_.get_color(), "alpha": 0.2, "linewidth": 0, "zorder": 1, "label": words}
            self.band_ = ax.fill_between(result.n_updates, lower, upper, **style)
            keys.append(self.band_)
        bounded = ~result.resolved & (result.intervals[:, 0] > 0.0) & np.isfinite(result.intervals[:, 0])
        if bounded.any():
            style = {"color": self.line_.get_color(), "marker": "^", "markersize": 7, "linestyle": "none", "zorder": 3}
            words = "lower bound: not resolved"
            (self.bounds_,) = ax.plot(result.n_updates[bounded], lower[bounded], label=words, **style)
            keys.append(self.bounds_)
        return keys

    def _draw_carried(self, ax: Any, scales: Any) -> list[Any]:
        """Marks of intervals to be doubted, if there are any."""
        self.carried_ = None
        doubted = self.result.carried_by_few & np.isfinite(scales)
        if not doubted.any():
            return []
        style = {"color": self.line_.get_color(), "marker": "o", "markersize": 6, "markerfacecolor": "white"}
        words = "a few rows carry it: interval too narrow"
        x, y = self.result.n_updates[doubted], scales[doubted]
        (self.carried_,) = ax.plot(x, y, linestyle="none", zorder=4, label=words, **style)
        return [self.carried_]


def _limits(result: GradientNoiseCurve) -> tuple[float, float]:
    """Heights that hold estimates, lower ends and batch sizes, and upper ends unless they are far away."""
    scales, (lower, upper) = result.noise_scales[result.resolved], result.intervals.T
    middle = _positive(np.concatenate([scales, lower, result.batch_sizes]))
    low, high = middle.min(), middle.max()
    upper = _positive(upper)
    high = max(high, upper[upper <= _HEADROOM * high].max(initial=0.0))
    return float(low / 1.5), float(1.5 * high)


def _positive(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return values[np.isfinite(values) & (values > 0.0)]


def _batch_size_words(sizes: NDArray[np.int64]) -> str:
    return f"batch size {sizes[0]}" if np.all(sizes == sizes[0]) else "batch size"
