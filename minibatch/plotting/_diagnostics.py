"""Displays of what ``minibatch.diagnostics`` finds."""

from typing import Any, Self

import numpy as np
from sklearn.utils._optional_dependencies import check_matplotlib_support

from minibatch.diagnostics import (
    LearningRateRangeResult,
    LossInterpolationResult,
    learning_rate_range_test,
    loss_interpolation,
)
from minibatch.plotting._display import EstimatorResultDisplay, ResultDisplay
from minibatch.plotting._style import capital, label_axes, merged, plain_ticks, spans_decades

__all__ = ["LearningRateRangeDisplay", "LossInterpolationDisplay"]

# A dash pattern and a marker for each suggestion, so that they can be told apart without colour.
_SUGGESTIONS = {
    "steepest": ("C1", (0, (5, 1.5)), "v"),
    "valley": ("C2", (0, (1, 1.2)), "o"),
    "minimum/10": ("C4", (0, (5, 1.5, 1, 1.5)), "s"),
    "stable_max": ("C3", "solid", "^"),
}
# Losses above the first one by more than this share of the fall are cut off: the last of a repeat may be 1e100.
_HEADROOM = 0.6


class LearningRateRangeDisplay(EstimatorResultDisplay[LearningRateRangeResult]):
    """The curve of a learning-rate range test: loss against rate, every repeat, and the suggested rates.

    Make one with :meth:`from_estimator` or :meth:`from_result`.

    Parameters
    ----------
    result : LearningRateRangeResult
        What to draw.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Where it is drawn.

    figure_ : matplotlib Figure
        Its figure.

    lines_ : list of matplotlib Line2D
        The smoothed curve, then one line a repeat.

    suggestion_lines_ : dict {str: matplotlib Line2D}
        A vertical line for each suggestion that there is, with a marker on the axis.

    See Also
    --------
    minibatch.diagnostics.learning_rate_range_test : What the curve and the suggestions are.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.preprocessing import scale
    >>> from minibatch import MiniBatchSGDClassifier
    >>> from minibatch.plotting import LearningRateRangeDisplay
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> display = LearningRateRangeDisplay.from_estimator(
    ...     MiniBatchSGDClassifier("log_loss"), scale(X), y
    ... )
    >>> plt.show()
    """

    _make, _drawn = staticmethod(learning_rate_range_test), LearningRateRangeResult

    def _draw(self, ax: Any, **kwargs: Any) -> None:
        result = self.result
        style = {"color": "C0", "linewidth": 2.5, "label": "median, smoothed", "zorder": 4}
        rates = result.rates
        self.lines_ = ax.plot(rates, result.smoothed, **merged(style, kwargs))
        for i, losses in enumerate(result.losses):
            label = None if i else f"each of {len(result.losses)} repeats" if len(result.losses) > 1 else "the repeat"
            self.lines_ += ax.plot(rates, losses, color="0.45", linewidth=0.8, label=label, zorder=2)
        first = float(np.median(result.first_losses))
        before = ax.axhline(
            first, color="0.3", linewidth=0.8, linestyle=(0, (1, 3)), label="loss before the first update"
        )
        self._limit_losses(ax, first)
        keys = [*self.lines_[:2], before, *self._draw_suggestions(ax)]
        ax.set(xscale="log" if result.sweep == "exponential" else "linear", xlim=(rates[0], rates[-1]))
        title = f"Learning-rate range test, batch size {result.batch_size}"
        # the curve starts high, and the markers of the suggestions are at the top
        label_axes(ax, "Learning rate of the update", "Mean loss on the probe rows", title, keys, place="lower left")

    def _limit_losses(self, ax: Any, first: float) -> None:
        """From the least loss to a little above the first one."""
        least = np.nanmin(self.result.losses, initial=first)
        span = (first - least) or abs(first) or 1.0
        highest = np.nanmax(self.result.losses, initial=first)
        ax.set_ylim(least - 0.06 * span, min(highest + 0.06 * span, first + _HEADROOM * span))

    def _draw_suggestions(self, ax: Any) -> list[Any]:
        """A line for each, and keys for the legend, of those that there are not as well."""
        self.suggestion_lines_, keys = {}, []
        for i, (name, rate) in enumerate(self.result.suggestions.items()):
            color, dashes, marker = _SUGGESTIONS[name]
            if np.isnan(rate):
                keys += ax.plot([], [], " ", label=f"{name}: none")
                continue
            # markers at heights of their own: two suggestions may be close
            (line,) = ax.plot(
                [rate, rate, rate], [0, 0.95 - 0.07 * i, 1], color=color, linestyle=dashes, linewidth=1.6,
                marker=marker, markevery=[1], markersize=8, zorder=3, transform=ax.get_xaxis_transform(),
                label=f"{name}: {rate:.3g}",
            )  # fmt: skip
            self.suggestion_lines_[name] = line
            keys.append(line)
        return keys


class LossInterpolationDisplay(ResultDisplay[LossInterpolationResult]):
    """Loss and score along a path from one fitted model to another, on training rows (solid) and test rows (dashed).

    Make one with :meth:`from_estimators` or :meth:`from_result`. Their ``ax``, as that of :meth:`plot`, is a sequence
    of two Axes for loss and score, or one that gets the loss alone; None makes a new figure with two. The axis of the
    losses is logarithmic where they are positive and differ by a factor of 50 or more.

    Parameters
    ----------
    result : LossInterpolationResult
        What to draw.

    Attributes
    ----------
    ax_ : ndarray of two matplotlib Axes, or one Axes
        The loss and the score; the loss alone where one Axes was given.

    figure_ : matplotlib Figure
        Their figure.

    lines_ : list of matplotlib Line2D
        Losses of training and test rows, then scores.

    See Also
    --------
    minibatch.diagnostics.loss_interpolation : What the path is.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.preprocessing import scale
    >>> from minibatch import MiniBatchSGDClassifier
    >>> from minibatch.plotting import LossInterpolationDisplay
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> X = scale(X)
    >>> small, large = (
    ...     MiniBatchSGDClassifier("log_loss", batch_size=size).fit(X, y)
    ...     for size in (8, 256)
    ... )
    >>> display = LossInterpolationDisplay.from_estimators(small, large, X, y)
    >>> plt.show()
    """

    _make, _drawn = staticmethod(loss_interpolation), LossInterpolationResult
    _size, _n_axes = (10.5, 4.6), 2

    @classmethod
    def from_estimators(cls, first: Any, second: Any, X: Any, y: Any, *, ax: Any = None, **parameters: Any) -> Self:
        """Compute the losses and draw them.

        Parameters
        ----------
        first, second : fitted estimators of this package, or fitted Pipelines that end in one
            The ends of the path.

        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training rows.

        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Their labels or targets.

        ax : matplotlib Axes, sequence of two, or None, default=None
            Where to draw loss and score; one Axes gets the loss alone; None makes a new figure with two.

        **parameters
            Of :func:`minibatch.diagnostics.loss_interpolation`.

        Returns
        -------
        LossInterpolationDisplay
        """
        check_matplotlib_support(f"{cls.__name__}.from_estimators")
        return cls.from_result(loss_interpolation(first, second, X, y, **parameters), ax=ax)

    def plot(self, ax: Any = None, **kwargs: Any) -> Self:
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, sequence of two, or None, default=None
            Where to draw loss and score; one Axes gets the loss alone; None makes a new figure with two. The legend
            stands beside the axes if the figure has a layout engine (``layout="constrained"``), else inside.

        **kwargs
            For the lines of losses and scores (``ax.plot``): ``color``, ``lw`` and so on.

        Returns
        -------
        LossInterpolationDisplay
            The display itself.
        """
        return super().plot(ax, **kwargs)

    def _draw(self, ax: Any, **kwargs: Any) -> None:
        result = self.result
        axes = np.atleast_1d(ax).ravel()
        if len(axes) > 2:
            raise ValueError(f"ax must be one Axes or two (loss and score); got {len(axes)}.")
        title = f"{capital(result.path)} path between two models"
        panels = [(title, "mean loss", result.losses, result.test_losses, result.end_losses)]
        if len(axes) == 2:
            panels.append(("", result.score_name, result.scores, result.test_scores, result.end_scores))
        self.lines_: list[Any] = []
        formulas = {"straight": "(1 − α) first + α second", "curved": "cos(απ/2) first + sin(απ/2) second"}
        for axis, (title, label, train, test, ends) in zip(axes, panels, strict=True):
            keys = self._draw_panel(axis, train, test, ends, kwargs)
            shown = keys if axis is axes[-1] else []
            label_axes(axis, f"Place α: {formulas[result.path]}", capital(label), title, shown)
        losses = [curve for curve in (result.losses, result.test_losses) if curve is not None]
        if spans_decades(np.concatenate(losses), "y"):
            axes[0].set_yscale("log")
            plain_ticks(axes[0].yaxis)

    def _draw_panel(self, ax: Any, train: Any, test: Any, ends: Any, style: dict[str, Any]) -> list[Any]:
        """Lines and marks; what belongs in the legend."""
        alphas = self.result.alphas
        solid = {"color": "C0", "linewidth": 2, "label": "training rows"}
        keys = ax.plot(alphas, _finite(train), **merged(solid, style))
        if test is not None:
            dashed = {"color": "C1", "linewidth": 2, "linestyle": "--", "label": "test rows"}
            keys += ax.plot(alphas, _finite(test), **merged(dashed, style))
        self.lines_ += keys
        for place, (marker, name) in enumerate((("o", "first"), ("s", "second"))):
            ax.axvline(place, color="0.6", linewidth=0.8, linestyle=":", zorder=1)
            of = f"{name}, batch size {self.result.batch_sizes[place]}"
            keys = keys + ax.plot(place, ends[place], marker, color="black", markersize=7, zorder=4, label=of)
        return keys


def _finite(values: Any) -> Any:
    """With gaps where a loss overflowed or a score is minus infinity."""
    return np.where(np.isfinite(values), values, np.nan)
