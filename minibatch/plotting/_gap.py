"""GeneralizationGapDisplay: train minus test score of every value, at the end or along training."""

from typing import Any, Self

import numpy as np
from sklearn.utils._param_validation import StrOptions

from minibatch.model_selection import ConvergenceCurve
from minibatch.plotting._display import CurveDisplay
from minibatch.plotting._lines import Quantity, cross_in_legend, draw_crosses, draw_paths, marked, mean_paths
from minibatch.plotting._outside import draw_arrow, farthest_shown, show_up_to, sizes_of
from minibatch.plotting._style import (
    X_LABELS,
    Array,
    counted,
    ended,
    folds_and_budget,
    label_axes,
    merged,
    parameter_words,
    score_words,
    value_labels,
    write_categories,
)

__all__ = ["GeneralizationGapDisplay"]

_JITTER = 0.16  # half the width that the points of a value's folds are spread over
_ONSET = {"color": "none", "marker": "o", "markersize": 12.0, "markeredgecolor": "black", "markeredgewidth": 1.8}


class GeneralizationGapDisplay(CurveDisplay):
    """By how much the training score is above the test score, for every value of a parameter.

    Make one with `from_estimator`, which takes the parameters of `convergence_curve`, or with `from_curve`.

    It shows the gap of the models kept at the end of training, or with ``x`` the gap along training. Fits that diverged
    or failed are left out of means, other than in ``curve.summary_``. Along training an x shows where the training and
    test loss of such a fit were last finite, as `ConvergenceDisplay` does; its scores may have been finite for longer.

    A gap that is far larger than the others, as that of a fit that almost diverged, is left outside the axis: beyond 30
    times the smallest and three times the best score. An arrow stands for it, with its number at its tail or in the
    legend, and it has no bar or band.

    Parameters
    ----------
    curve : ConvergenceCurve
        What to draw.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Where it is drawn.

    figure_ : matplotlib Figure
        Its figure.

    lines_ : list of matplotlib Line2D
        At the end: the means, NaN where all folds diverged. Along training: one line a value, NaN where it is left out.

    errorbar_ : matplotlib ErrorbarContainer or None
        At the end: means and standard deviations over folds.

    fold_points_ : matplotlib Line2D or None
        At the end: one point a fold.

    fill_between_ : list of matplotlib PolyCollection
        Along training: the bands.

    diverged_ : list of matplotlib Line2D
        Crosses for values of which folds diverged.

    failed_ : list of matplotlib Line2D
        At the end: plus signs for values of which folds failed.

    outside_ : list of matplotlib Line2D
        Arrows for values with a gap outside the axis.

    onsets_ : list of matplotlib Line2D
        Along training: a ring where the test loss begins to rise, one a value for which
        ``curve.summary_["overfitting_onset"]`` is a number and whose line is inside the axis there.

    See Also
    --------
    minibatch.model_selection.convergence_curve : Makes the curve.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.preprocessing import scale
    >>> from minibatch import MiniBatchSGDClassifier
    >>> from minibatch.plotting import GeneralizationGapDisplay
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> sgd = MiniBatchSGDClassifier(
    ...     "log_loss", learning_rate="constant", tol=None, random_state=0
    ... )
    >>> display = GeneralizationGapDisplay.from_estimator(
    ...     sgd, scale(X), y, param_range=[8, 64, "full"], cv=3, budget={"epochs": 5}
    ... )
    >>> display.ax_.get_xlabel(), display.ax_.get_ylabel()
    ('Batch size', 'Training minus test accuracy')
    """

    _options = {
        "x": [StrOptions(set(X_LABELS)), None],
        "log_x": ["boolean", None],
        "std_display_style": [StrOptions({"fill_between"}), None],
        "line_kw": [dict, None],
        "fill_between_kw": [dict, None],
        "errorbar_kw": [dict, None],
    }
    curve: ConvergenceCurve

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any,
        *,
        ax: Any = None,
        x: str | None = None,
        log_x: bool | None = None,
        std_display_style: str | None = "fill_between",
        line_kw: dict[str, Any] | None = None,
        fill_between_kw: dict[str, Any] | None = None,
        errorbar_kw: dict[str, Any] | None = None,
        **curve_params: Any,
    ) -> Self:
        """Train every value on every fold, and draw.

        Parameters
        ----------
        estimator, X, y, **curve_params
            As in `convergence_curve`.

        ax, x, log_x, std_display_style, line_kw, fill_between_kw, errorbar_kw
            As in `plot`.

        Returns
        -------
        GeneralizationGapDisplay
        """
        return cls._from_estimator(
            estimator, X, y, curve_params, ax=ax, x=x, log_x=log_x, std_display_style=std_display_style,
            line_kw=line_kw, fill_between_kw=fill_between_kw, errorbar_kw=errorbar_kw,
        )  # fmt: skip

    def plot(
        self,
        ax: Any = None,
        *,
        x: str | None = None,
        log_x: bool | None = None,
        std_display_style: str | None = "fill_between",
        line_kw: dict[str, Any] | None = None,
        fill_between_kw: dict[str, Any] | None = None,
        errorbar_kw: dict[str, Any] | None = None,
    ) -> Self:
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure. The legend stands beside the axes if the figure has a layout engine
            (``layout="constrained"``), else inside.

        x : {"epoch", "n_updates", "n_samples_seen", "seconds"} or None, default=None
            None: the gap at the end of training, value by value. Else the gap along training, in this unit.

        log_x : bool or None, default=None
            Along training: a logarithmic axis. None: where lines end at costs that differ by a factor of 10 or more.

        std_display_style : {"fill_between"} or None, default="fill_between"
            Along training: bands of one standard deviation over folds, or none.

        line_kw, fill_between_kw : dict, default=None
            Along training: for every line (``ax.plot``) and every band (``ax.fill_between``).

        errorbar_kw : dict, default=None
            At the end: for means and bars (``ax.errorbar``).

        Returns
        -------
        GeneralizationGapDisplay
            The display itself.
        """
        return self._plot(
            ax, x=x, log_x=log_x, std_display_style=std_display_style, line_kw=line_kw,
            fill_between_kw=fill_between_kw, errorbar_kw=errorbar_kw,
        )  # fmt: skip

    def _draw(self, ax: Any, *, x: str | None, errorbar_kw: dict[str, Any] | None, **options: Any) -> None:
        self.errorbar_: Any = None
        self.fold_points_: Any = None
        self.fill_between_: list[Any] = []
        self.failed_: list[Any] = []
        self.outside_: list[Any] = []
        self.onsets_: list[Any] = []
        ax.axhline(0.0, color="0.6", linewidth=0.8, zorder=1)
        if x is None:
            self._draw_final(ax, errorbar_kw)
        else:
            self._draw_along(ax, x, **options)

    def _label(self, ax: Any, x_label: str, statistic: str, keys: list[Any], keys_title: str | None = None) -> None:
        y_label = f"Training minus test {score_words(self.curve.scoring)}"
        label_axes(ax, x_label, y_label, folds_and_budget(self.curve, statistic), keys, keys_title)

    def _draw_final(self, ax: Any, errorbar_kw: dict[str, Any] | None) -> None:
        curve, alive = self.curve, counted(self.curve)
        gaps = np.where(alive, curve.folds_["train_score"] - curve.folds_["test_score"], np.nan)
        n_values, n_folds = gaps.shape
        places = np.arange(n_values)
        (self.fold_points_,) = ax.plot(
            (places[:, None] + _jitter(n_folds))[alive], gaps[alive], "o", color="0.55", markersize=3.5,
            label="one fold",
        )  # fmt: skip
        means, spreads = (np.full(n_values, np.nan) for _ in range(2))
        for value in np.flatnonzero(np.isfinite(gaps).any(axis=1)):
            means[value], spreads[value] = np.nanmean(gaps[value]), np.nanstd(gaps[value])
        farthest, rows = farthest_shown(curve, list(gaps)), np.column_stack([gaps, means - spreads, means + spreads])
        far = sizes_of(rows).max(axis=1) > farthest
        spreads[far] = np.nan  # a bar through the whole picture would say nothing
        style = {"fmt": "D", "color": "black", "markersize": 5.5, "capsize": 4.0, "zorder": 4}
        style |= {"label": "mean ± std" if n_folds > 1 else "the fold"}
        self.errorbar_ = ax.errorbar(places, means, spreads if n_folds > 1 else None, **merged(style, errorbar_kw))
        self.lines_ = [self.errorbar_.lines[0]]
        self.diverged_ = self._mark_values(ax, "diverged", "x")
        self.failed_ = self._mark_values(ax, "failed", "+")
        if far.any():
            show_up_to(ax, list(rows), farthest)
            self._point_outside(ax, np.flatnonzero(far), means, gaps, farthest)
        keys = [self.errorbar_, *([self.fold_points_] if n_folds > 1 else []), *self.diverged_, *self.failed_]
        keys += self.outside_[:1]
        self._label(ax, parameter_words(curve.param_name), "mean ± std", keys)
        write_categories(ax, value_labels(curve, "\n"))

    def _point_outside(self, ax: Any, values: Array, means: Array, gaps: Array, farthest: float) -> None:
        """Arrows with the mean, or with the farthest fold where the mean is inside."""
        for value in values:
            outside = abs(means[value]) > farthest
            gap = means[value] if outside else gaps[value, sizes_of(gaps[value]).argmax()]
            (arrow,) = draw_arrow(ax, float(value), gap)
            self.outside_.append(arrow)
            # further inside than the arrow: beside it a neighbour or the edge may be near
            within = {"xytext": (0, -8), "va": "top"} if gap > 0.0 else {"xytext": (0, 8), "va": "bottom"}
            within |= {"xycoords": ax.get_xaxis_transform(), "textcoords": "offset points", "ha": "center"}
            ax.annotate(f"{gap:.2g}", (value, arrow.get_ydata()[0]), fontsize="x-small", **within)

    def _mark_values(self, ax: Any, status: str, marker: str) -> list[Any]:
        """A mark on the lower edge for every fold that ended so."""
        there = ended(self.curve, status)
        values, folds = np.nonzero(there)
        if not len(values):
            return []
        places = values + _jitter(there.shape[1])[folds]
        style: dict[str, Any] = {"linestyle": "none", "marker": marker, "markersize": 6.0, "markeredgewidth": 1.6}
        style |= {"color": "0.2", "label": f"{status} fold", "transform": ax.get_xaxis_transform()}
        return list(ax.plot(places, np.full(len(values), 0.03), **style))

    def _draw_along(self, ax: Any, x: str, **options: Any) -> None:
        curve = self.curve
        gap = Quantity(curve.curves_["train_score"] - curve.curves_["test_score"])
        drawn = draw_paths(ax, curve, x, [gap], log_y=False, **options)
        self.lines_, self.fill_between_ = drawn.lines, drawn.bands
        self._limit_along(ax)
        self._mark_onsets(ax, x)
        self.diverged_ = draw_crosses(ax, curve, x, [gap])
        keys = [*drawn.legend, *self.outside_[:1], *self.onsets_[:1]]
        keys += [cross_in_legend()] if self.diverged_ else []
        self._label(ax, X_LABELS[x], drawn.statistic, keys, parameter_words(curve.param_name))

    def _limit_along(self, ax: Any) -> None:
        """Leave out gaps that would hide all others. An arrow stands where a line is farthest outside, and the legend
        says how far."""
        heights = [np.asarray(line.get_ydata(), dtype=float) for line in self.lines_]
        farthest = farthest_shown(self.curve, heights)
        if max(sizes_of(gaps).max(initial=0.0) for gaps in heights) <= farthest:
            return
        reach = [np.concatenate([path.vertices[:, 1] for path in band.get_paths()]) for band in self.fill_between_]
        show_up_to(ax, heights + reach, farthest)
        for band, ends in zip(list(self.fill_between_), reach, strict=True):
            if sizes_of(ends).max() > farthest:  # it would cover the whole picture
                band.remove()
                self.fill_between_.remove(band)
        for line, gaps in zip(self.lines_, heights, strict=True):
            where, number = int(sizes_of(gaps).argmax()) if len(gaps) else 0, len(self.outside_)
            if len(gaps) and sizes_of(gaps)[where] > farthest:
                self.outside_ += draw_arrow(
                    ax, line.get_xdata()[where], gaps[where], number=number, color=line.get_color()
                )
                line.set_label(f"{line.get_label()}: {'up' if gaps[where] > 0 else 'down'} to {gaps[where]:.2g}")
                inside = np.where(sizes_of(gaps) <= farthest, gaps, np.nan)
                line.set(ydata=inside, markevery=marked(int(np.isfinite(inside).sum())))

    def _mark_onsets(self, ax: Any, x: str) -> None:
        """A ring at the evaluation whose epoch is nearest to the median onset of the value."""
        curve = self.curve
        epochs = mean_paths(curve, "epoch", curve.curves_["epoch"])
        for line, path, onset in zip(self.lines_, epochs, curve.summary_["overfitting_onset"], strict=True):
            if len(path.x) and len(line.get_xdata()) and np.isfinite(onset):
                where = int(np.argmin(np.abs(path.x - onset)))
                ring = (line.get_xdata()[where], line.get_ydata()[where])
                low, high = ax.get_ylim()
                if not low <= ring[1] <= high:
                    continue
                self.onsets_ += ax.plot(*ring, **_ONSET, linestyle="none", zorder=4, label="test loss begins to rise")


def _jitter(n_folds: int) -> Array:
    """Where the points of a value's folds stand beside one another."""
    return np.linspace(-_JITTER, _JITTER, n_folds) if n_folds > 1 else np.zeros(1)
