"""The display of the gradient noise scale along a training run."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils._optional_dependencies import check_matplotlib_support

from minibatch.diagnostics import GradientNoiseCurve, gradient_noise_curve
from minibatch.plotting._style import X_LABELS, axes_of, check_type, draw_legend, merged, plain_ticks

# An interval that is nearly open would squeeze all else: its end is cut off so far above the highest estimate.
_HEADROOM = 5.0


class NoiseScaleDisplay:
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
    >>> display = NoiseScaleDisplay.from_estimator(MiniBatchSGDClassifier("log_loss"), scale(X), y, max_updates=200)
    >>> plt.show()
    """

    def __init__(self, result: GradientNoiseCurve) -> None:
        self.result = result

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Any, y: Any, *, ax: Any = None, **parameters: Any
    ) -> "NoiseScaleDisplay":
        """Train a clone, look at its noise scale along the way, and draw it.

        Parameters
        ----------
        estimator : estimator of this package, or Pipeline that ends in one
            It stays as it is.

        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training rows.

        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Labels or targets.

        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.

        **parameters
            Of :func:`minibatch.diagnostics.gradient_noise_curve`.

        Returns
        -------
        NoiseScaleDisplay
        """
        check_matplotlib_support(f"{cls.__name__}.from_estimator")
        return cls.from_result(gradient_noise_curve(estimator, X, y, **parameters), ax=ax)

    @classmethod
    def from_result(cls, result: GradientNoiseCurve, *, ax: Any = None, **kwargs: Any) -> "NoiseScaleDisplay":
        """Draw a curve that has been computed.

        Parameters
        ----------
        result : GradientNoiseCurve
            What to draw.

        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.

        **kwargs
            For the line of the noise scale.

        Returns
        -------
        NoiseScaleDisplay
        """
        return cls(result).plot(ax, **kwargs)

    def plot(self, ax: Any = None, **kwargs: Any) -> "NoiseScaleDisplay":
        """Draw. Both axes are logarithmic.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure. The legend stands beside the axes if the figure has a layout engine
            (``layout="constrained"``), else inside.

        **kwargs
            For the line of the noise scale.

        Returns
        -------
        NoiseScaleDisplay
            The display itself.
        """
        check_matplotlib_support(f"{type(self).__name__}.plot")
        result = self.result
        check_type("result", result, GradientNoiseCurve, "gradient_noise_curve")
        ax = axes_of(ax, width=8.5)
        ax.set(xscale="log", yscale="log")
        low, high = _limits(result)
        style = {"color": "C0", "linewidth": 2, "marker": "o", "markersize": 4, "label": "noise scale", "zorder": 3}
        scales = np.where(result.resolved, result.noise_scales, np.nan)
        (self.line_,) = ax.plot(result.n_updates, scales, **merged(style, kwargs))
        keys = [self.line_, *self._draw_intervals(ax, low, high)]
        (self.batch_size_line_,) = ax.step(
            result.n_updates, result.batch_sizes, where="post", color="black", linestyle="--", linewidth=1.2, zorder=2,
            label=_batch_size_words(result.batch_sizes),
        )  # fmt: skip
        ax.set(
            ylim=(low, high),
            xlabel=X_LABELS["n_updates"],
            ylabel="Rows in a batch",
            title="Gradient noise scale in training",
        )
        plain_ticks(ax.xaxis)
        plain_ticks(ax.yaxis)
        draw_legend(ax, [*keys, self.batch_size_line_])
        self.ax_, self.figure_ = ax, ax.figure
        return self

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
