"""LearningCurveDisplay: training and test loss or score against the number of training rows, with a power law."""

from numbers import Integral
from typing import Any, Self

import numpy as np
from sklearn.utils._param_validation import Interval, StrOptions

from minibatch.model_selection import ConvergenceCurve, PowerLaw
from minibatch.plotting._display import CurveDisplay
from minibatch.plotting._style import (
    capital,
    counted,
    folds_and_budget,
    label_axes,
    merged,
    parameter_words,
    plain_ticks,
    quantity_words,
)

__all__ = ["LearningCurveDisplay"]

_LEAST_SIZES = 4  # for the three numbers of a power law
_OVER_TRAIN_SIZE = (
    "LearningCurveDisplay draws a curve over the number of training rows, and this one is over {name!r}; make it with "
    "convergence_curve(..., param_name='train_size')."
)


class LearningCurveDisplay(CurveDisplay):
    """Loss or score of models trained on more and more rows, and the power law ``a n^-b + c`` of the test rows.

    Make one with `from_estimator`, which takes the parameters of `convergence_curve` without ``param_name``, or with
    `from_curve`.

    Points are means over folds, bars their standard deviations; fits that diverged or failed are left out. The law is
    fitted to the test rows where there are four sizes or more, and drawn up to ``extrapolate_to`` rows, dashed beyond
    those that were tried. Where it ends in a plateau within the picture, more rows will not help; where it falls on,
    its value there is what to expect, if the law holds on.

    Parameters
    ----------
    curve : ConvergenceCurve
        Over ``train_size``.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Where it is drawn.

    figure_ : matplotlib Figure
        Its figure.

    errorbars_ : list of matplotlib ErrorbarContainer
        Of the training rows and of the test rows.

    law_ : PowerLaw or None
        None with fewer than four sizes, or where a fit diverged or failed.

    lines_ : list of matplotlib Line2D
        The law on the sizes that were tried, and beyond.

    See Also
    --------
    minibatch.model_selection.convergence_curve : Makes the curve.
    minibatch.model_selection.fit_power_law : Fits the law.

    References
    ----------
    Cortes et al., "Learning curves: asymptotic values and rate of convergence", NIPS 1993; Hestness et al., arXiv
    1712.00409.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from minibatch import MiniBatchSGDClassifier
    >>> from minibatch.plotting import LearningCurveDisplay
    >>> X, y = load_digits(return_X_y=True)
    >>> sgd = MiniBatchSGDClassifier("log_loss", max_iter=20, tol=None, random_state=0)
    >>> display = LearningCurveDisplay.from_estimator(
    ...     sgd, X / 16, y, cv=3, extrapolate_to=10_000
    ... )
    >>> display.ax_.get_xlabel(), display.ax_.get_ylabel()
    ('Training rows', 'Loss')
    """

    _options = {
        "y": [StrOptions({"loss", "score"})],
        "extrapolate_to": [Interval(Integral, 1, None, closed="left"), None],
        "errorbar_kw": [dict, None],
        "line_kw": [dict, None],
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
        quantity: str = "loss",
        extrapolate_to: int | None = None,
        errorbar_kw: dict[str, Any] | None = None,
        line_kw: dict[str, Any] | None = None,
        **curve_params: Any,
    ) -> Self:
        """Train on every number of rows, on every fold, and draw.

        Parameters
        ----------
        estimator, X, y, **curve_params
            As in `convergence_curve`; ``param_name`` is ``"train_size"``.

        quantity : {"loss", "score"}, default="loss"
            What `plot` calls ``y``, which here are the targets of the estimator.

        ax, extrapolate_to, errorbar_kw, line_kw
            As in `plot`.

        Returns
        -------
        LearningCurveDisplay
        """
        return cls._from_estimator(
            estimator, X, y, {**curve_params, "param_name": "train_size"}, ax=ax, quantity=quantity,
            extrapolate_to=extrapolate_to, errorbar_kw=errorbar_kw, line_kw=line_kw,
        )  # fmt: skip

    def plot(
        self,
        ax: Any = None,
        *,
        y: str = "loss",
        extrapolate_to: int | None = None,
        errorbar_kw: dict[str, Any] | None = None,
        line_kw: dict[str, Any] | None = None,
    ) -> Self:
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure. The legend stands beside the axes if the figure has a layout engine
            (``layout="constrained"``), else inside.

        y : {"loss", "score"}, default="loss"
            What to draw, of training and test rows.

        extrapolate_to : int or None, default=None
            Draw the law up to so many rows. None: twice the most that were tried.

        errorbar_kw : dict, default=None
            For points and bars (``ax.errorbar``).

        line_kw : dict, default=None
            For the law (``ax.plot``).

        Returns
        -------
        LearningCurveDisplay
            The display itself.
        """
        return self._plot(ax, y=y, extrapolate_to=extrapolate_to, errorbar_kw=errorbar_kw, line_kw=line_kw)

    def _check(self, **options: Any) -> None:
        super()._check(**options)
        if self.curve.param_name != "train_size":
            raise ValueError(_OVER_TRAIN_SIZE.format(name=self.curve.param_name))

    def _draw(
        self,
        ax: Any,
        *,
        y: str,
        extrapolate_to: int | None,
        errorbar_kw: dict[str, Any] | None,
        line_kw: dict[str, Any] | None,
    ) -> None:
        curve = self.curve
        sizes, alive = curve.folds_["n_samples"].mean(axis=1), counted(curve)
        self.errorbars_: list[Any] = []
        for part, marker, color in (("train", "s", "C0"), ("test", "o", "C1")):
            values = np.ma.masked_array(curve.folds_[f"{part}_{y}"], ~alive)
            style = {"fmt": marker, "color": color, "markersize": 5.0, "capsize": 3.0}
            style["label"] = f"{'training' if part == 'train' else 'test'} rows"
            means, spread = (found.filled(np.nan) for found in (values.mean(axis=1), values.std(axis=1)))
            self.errorbars_.append(ax.errorbar(sizes, means, spread, **merged(style, errorbar_kw)))
        self.law_: PowerLaw | None = None
        self.lines_: list[Any] = []
        if len(sizes) >= _LEAST_SIZES and alive.all():
            self._draw_law(ax, sizes, y, extrapolate_to, line_kw)
        ax.set_xscale("log")
        plain_ticks(ax.xaxis)
        y_label = capital(quantity_words(y, curve.scoring))
        keys = [*self.errorbars_, *self.lines_]
        label_axes(ax, parameter_words("train_size"), y_label, folds_and_budget(curve, "mean ± std"), keys)

    def _draw_law(
        self, ax: Any, sizes: Any, y: str, extrapolate_to: int | None, line_kw: dict[str, Any] | None
    ) -> None:
        law = self.curve.power_law(f"test_{y}")
        end = max(2 * sizes.max() if extrapolate_to is None else extrapolate_to, sizes.max())
        style: dict[str, Any] = {"color": "C1", "linewidth": 1.2, "zorder": 1}
        label = f"{law.a:.3g} n^{-law.b:.2f} {'+' if law.c >= 0 else '−'} {abs(law.c):.3g}"
        for low, high, more in (
            (sizes.min(), sizes.max(), {"label": label}),
            (sizes.max(), end, {"linestyle": "--", "label": "the same, beyond what was tried"}),
        ):
            n = np.geomspace(low, high, 100)
            self.lines_ += ax.plot(n, law.predict(n), **merged(style | more, line_kw))
        self.law_ = law
