"""ConvergenceDisplay: loss, score or gradient along training, for every value of a parameter."""

from collections.abc import Sequence
from typing import Any, Self

from sklearn.utils._param_validation import StrOptions

from minibatch.model_selection import ConvergenceCurve, MiniBatchGridSearchCV
from minibatch.plotting._display import CurveDisplay, check_type
from minibatch.plotting._lines import Quantity, cross_in_legend, draw_crosses, draw_paths
from minibatch.plotting._style import (
    X_LABELS,
    capital,
    folds_and_budget,
    label_axes,
    parameter_words,
    quantity_words,
)

__all__ = ["ConvergenceDisplay"]

# Two quantities in one picture: training dashed, test solid.
_PAIRS = {"loss": ("train_loss", "test_loss"), "score": ("train_score", "test_score")}
_QUANTITIES = ("train_loss", "test_loss", "train_score", "test_score", "gradient_norm", *_PAIRS)


class ConvergenceDisplay(CurveDisplay):
    """How every value of a parameter converges: one line a value, the mean over folds.

    Make one with `from_estimator`, which takes the parameters of `convergence_curve`, with `from_curve`, or from a
    search with `from_search`.

    The x of a line is the mean over folds as well. It ends where the first fold ended. A fit that diverged or failed is
    left out of the mean, and so is a fold where the quantity is not defined, as the test loss of a class that the
    training part lacks; the legend says of how many. For one that diverged, an x shows where its training and test loss
    were last finite, whatever quantity is shown, on the edge of the picture if that is far outside. Training may have
    gone on from there.

    On a logarithmic axis lines are geometric means over folds, and bands are one geometric standard deviation around
    them, ``exp(mean(log y) ± std(log y))``: the mean minus the standard deviation may be below 0, where such an axis
    ends. The title says which of the two is shown. A line has a gap where a fold is not positive.

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
        One a value in the order of ``curve.param_range``, without data where every fold diverged. With ``y="loss"`` or
        ``y="score"`` two a value, training before test.

    fill_between_ : list of matplotlib PolyCollection
        The bands, in the same order, of values with at least two folds that did not diverge.

    diverged_ : list of matplotlib Line2D
        The crosses, one line of them for every value that diverged.

    target_line_ : matplotlib Line2D or None
        The curve's target, where it is on the quantity shown.

    See Also
    --------
    minibatch.model_selection.convergence_curve : Makes the curve.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.preprocessing import scale
    >>> from minibatch import MiniBatchSGDClassifier
    >>> from minibatch.plotting import ConvergenceDisplay
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> sgd = MiniBatchSGDClassifier(
    ...     "log_loss", learning_rate="constant", tol=None, random_state=0
    ... )
    >>> display = ConvergenceDisplay.from_estimator(
    ...     sgd,
    ...     scale(X),
    ...     y,
    ...     param_range=[8, 64, "full"],
    ...     cv=3,
    ...     budget={"epochs": 5},
    ...     x="n_updates",
    ... )
    >>> display.ax_.get_xlabel(), display.ax_.get_ylabel()
    ('Updates', 'Test loss')
    """

    _options = {
        "x": [StrOptions(set(X_LABELS))],
        "y": [StrOptions({*_QUANTITIES})],
        "log_x": ["boolean", None],
        "log_y": ["boolean", None],
        "std_display_style": [StrOptions({"fill_between"}), None],
        "line_kw": [dict, None],
        "fill_between_kw": [dict, None],
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
        x: str = "epoch",
        quantity: str = "test_loss",
        log_x: bool | None = None,
        log_y: bool | None = None,
        std_display_style: str | None = "fill_between",
        line_kw: dict[str, Any] | None = None,
        fill_between_kw: dict[str, Any] | None = None,
        **curve_params: Any,
    ) -> Self:
        """Train every value on every fold, and draw.

        Parameters
        ----------
        estimator, X, y, **curve_params
            As in `convergence_curve`.

        quantity : str, default="test_loss"
            What `plot` calls ``y``, which here are the targets.

        ax, x, log_x, log_y, std_display_style, line_kw, fill_between_kw
            As in `plot`.

        Returns
        -------
        ConvergenceDisplay
        """
        return cls._from_estimator(
            estimator, X, y, curve_params, ax=ax, x=x, quantity=quantity, log_x=log_x, log_y=log_y,
            std_display_style=std_display_style, line_kw=line_kw, fill_between_kw=fill_between_kw,
        )  # fmt: skip

    @classmethod
    def from_search(
        cls, search: MiniBatchGridSearchCV, candidates: Sequence[int] | None = None, *, ax: Any = None,
        y: str = "train_loss", **plot_params: Any,
    ) -> Self:  # fmt: skip
        """Draw candidates of a search.

        Parameters
        ----------
        search : MiniBatchGridSearchCV
            Fitted.

        candidates : sequence of int, default=None
            Their numbers, as of ``cv_results_``. None: the best 8.

        ax, **plot_params
            As in `plot`.

        y : {"train_loss", "gradient_norm"}, default="train_loss"
            What a search records on the way, see `MiniBatchGridSearchCV.to_curve`; the latter with ``evaluate_every``.

        Returns
        -------
        ConvergenceDisplay
        """
        check_type("search", search, MiniBatchGridSearchCV, "MiniBatchGridSearchCV(...).fit")
        return cls(search.to_curve(candidates)).plot(ax, y=y, **plot_params)

    def plot(
        self,
        ax: Any = None,
        *,
        x: str = "epoch",
        y: str = "test_loss",
        log_x: bool | None = None,
        log_y: bool | None = None,
        std_display_style: str | None = "fill_between",
        line_kw: dict[str, Any] | None = None,
        fill_between_kw: dict[str, Any] | None = None,
    ) -> Self:
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure. The legend stands beside the axes if the figure has a layout engine
            (``layout="constrained"``), else inside.

        x : {"epoch", "n_updates", "n_samples_seen", "seconds"}, default="epoch"
            The cost that convergence is measured in.

        y : {"train_loss", "test_loss", "train_score", "test_score", "gradient_norm", "loss", "score"}, \
default="test_loss"
            What to draw. ``"loss"`` and ``"score"``: training dashed and test solid.

        log_x, log_y : bool or None, default=None
            Logarithmic axes. None: x where lines end at costs that differ by a factor of 10 or more, y where values
            are positive and differ by a factor of 50 or more.

        std_display_style : {"fill_between"} or None, default="fill_between"
            Bands of one standard deviation over folds, geometric on a logarithmic axis, or none.

        line_kw : dict, default=None
            For every line (``ax.plot``).

        fill_between_kw : dict, default=None
            For every band (``ax.fill_between``).

        Returns
        -------
        ConvergenceDisplay
            The display itself.
        """
        return self._plot(
            ax, x=x, y=y, log_x=log_x, log_y=log_y, std_display_style=std_display_style, line_kw=line_kw,
            fill_between_kw=fill_between_kw,
        )  # fmt: skip

    def _draw(self, ax: Any, *, x: str, y: str, **options: Any) -> None:
        curve, names = self.curve, _PAIRS.get(y, (y,))
        styles = ("--", "-") if len(names) == 2 else ("-",)
        shown = [Quantity(curve.curves_[name], style) for name, style in zip(names, styles, strict=True)]
        drawn = draw_paths(ax, curve, x, shown, **options)
        self.lines_, self.fill_between_ = drawn.lines, drawn.bands
        self.target_line_ = self._draw_target(ax, names)
        self.diverged_ = draw_crosses(ax, curve, x, shown)
        label_axes(
            ax, X_LABELS[x], capital(quantity_words(y, curve.scoring)), folds_and_budget(curve, drawn.statistic),
            [*drawn.legend, *self._keys(names)], parameter_words(curve.param_name),
        )  # fmt: skip

    def _draw_target(self, ax: Any, names: tuple[str, ...]) -> Any:
        target = self.curve.target
        if target is None or target.name not in names:
            return None
        return ax.axhline(target.value, color="0.25", linestyle=":", linewidth=1.4, label=f"target {target.value:g}")

    def _keys(self, names: tuple[str, ...]) -> list[Any]:
        """The rest of the legend: what line styles and crosses mean."""
        from matplotlib.lines import Line2D

        keys = []
        if len(names) == 2:
            keys.append(Line2D([], [], color="0.25", linestyle="--", label="training"))
            keys.append(Line2D([], [], color="0.25", linestyle="-", label="test"))
        keys += [] if self.target_line_ is None else [self.target_line_]
        return keys + ([cross_in_legend()] if self.diverged_ else [])
