"""Display of the largest eigenvalues of a Hessian."""

from typing import Any, Self

import numpy as np

from minibatch.diagnostics import HessianSpectrumResult, hessian_spectrum
from minibatch.plotting._display import EstimatorResultDisplay
from minibatch.plotting._style import label_axes, merged, plain_ticks, spans_decades

__all__ = ["HessianSpectrumDisplay"]

_LIMITS = {"sgd": "2/η", "momentum": "2(1 + β)/η", "nesterov": "2(1 + β)/((1 + 2β)η)"}
# On a linear axis an edge beyond this many times the largest eigenvalue would press them all onto the line of zero.
_FARTHEST_EDGE = 3.0
_VISIBLE = 0.01  # of the height of the axes; shorter bars would hide behind the markers


class HessianSpectrumDisplay(EstimatorResultDisplay[HessianSpectrumResult]):
    """The largest eigenvalues of the Hessian by rank, and the edge of stability of the solver that trained the model.

    Make one with :meth:`from_estimator`, of a fitted estimator, or with :meth:`from_result`. Eigenvalues above the edge
    are directions along which a full-batch update at the last learning rate overshoots. The axis is logarithmic where
    eigenvalues and edge are positive and differ by a factor of 50 or more.

    Parameters
    ----------
    result : HessianSpectrumResult
        What to draw.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Where it is drawn.

    figure_ : matplotlib Figure
        Its figure.

    line_ : matplotlib Line2D
        The eigenvalues.

    not_converged_ : matplotlib Line2D or None
        Those among them that did not converge, with open markers.

    residual_bars_ : matplotlib LineCollection or None
        From ``lambda - residual`` to ``lambda + residual``; None where no bar is long enough to be seen.

    edge_line_ : matplotlib Line2D or None
        The edge of stability; None where there is none, or where it is so far above the eigenvalues that the legend
        alone names it.

    See Also
    --------
    minibatch.diagnostics.hessian_spectrum : What the eigenvalues and the edge are.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.preprocessing import scale
    >>> from minibatch import MiniBatchSGDClassifier
    >>> from minibatch.plotting import HessianSpectrumDisplay
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> model = MiniBatchSGDClassifier("log_loss", batch_size="full", random_state=0).fit(
    ...     scale(X), y
    ... )
    >>> display = HessianSpectrumDisplay.from_estimator(model, scale(X), y, k=10)
    >>> plt.show()
    """

    _make, _drawn = staticmethod(hessian_spectrum), HessianSpectrumResult

    @classmethod
    def from_estimator(cls, estimator: Any, X: Any, y: Any, *, ax: Any = None, **params: Any) -> Self:
        """Compute the spectrum and draw it.

        Parameters
        ----------
        estimator : fitted estimator of this package, or fitted Pipeline that ends in one
            It stays as it is.

        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows that the objective is made of, as a rule the training rows.

        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Their labels or targets.

        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.

        **params
            Of :func:`minibatch.diagnostics.hessian_spectrum`.

        Returns
        -------
        HessianSpectrumDisplay
        """
        return cls._from_estimator(estimator, X, y, params, ax=ax)

    def _draw(self, ax: Any, **kwargs: Any) -> None:
        from matplotlib.ticker import MaxNLocator

        result = self.result
        ranks = np.arange(1, len(result.eigenvalues) + 1)
        style = {"color": "C0", "marker": "o", "markersize": 6, "linewidth": 1.0, "label": "eigenvalue", "zorder": 3}
        (self.line_,) = ax.plot(ranks, result.eigenvalues, **merged(style, kwargs))
        keys = [self.line_, *self._draw_not_converged(ax, ranks), *self._draw_edge(ax)]
        self._scale(ax)
        keys += self._draw_residuals(ax, ranks)
        keys += ax.plot([], [], " ", label=f"smallest eigenvalue {result.smallest:.3g}")
        ax.set_xlim(0.5, len(ranks) + 0.5)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        error = f" ± {result.trace_error:.2g}" if result.trace_error > 0.0 else ""
        found = f"{len(ranks)} largest of {result.n_parameters} eigenvalues; trace {result.trace:.4g}{error}"
        label_axes(ax, "Rank of the eigenvalue", "Eigenvalue of the Hessian", f"Hessian spectrum: {found}", keys)

    def _draw_not_converged(self, ax: Any, ranks: Any) -> list[Any]:
        # one that was not found at all has no place
        here = ~self.result.converged & np.isfinite(self.result.eigenvalues)
        self.not_converged_ = None
        if not here.any():
            return []
        (self.not_converged_,) = ax.plot(
            ranks[here], self.result.eigenvalues[here], "o", color=self.line_.get_color(), markerfacecolor="white",
            markersize=6, zorder=4, label="not converged",
        )  # fmt: skip
        return [self.not_converged_]

    def _draw_edge(self, ax: Any) -> list[Any]:
        """The line, and its key; the key alone where the line would be far outside."""
        result, self.edge_line_ = self.result, None
        edge = result.edge_of_stability
        if np.isnan(edge):
            return ax.plot([], [], " ", label=f"{result.solver}: no edge of stability")
        words = f"edge of stability of full\nbatches, {_LIMITS[result.solver]} = {edge:.3g}"
        highest = np.nanmax(result.eigenvalues, initial=0.0)
        if edge > _FARTHEST_EDGE * highest and not self._is_logarithmic():
            return ax.plot([], [], " ", label=f"{words}\n(above the picture)")
        self.edge_line_ = ax.axhline(edge, color="C3", linestyle=(0, (5, 1.5)), linewidth=1.6, zorder=2, label=words)
        return [self.edge_line_]

    def _is_logarithmic(self) -> bool:
        heights = np.append(self.result.eigenvalues, self.result.edge_of_stability)
        return spans_decades(heights, "y")

    def _scale(self, ax: Any) -> None:
        if self._is_logarithmic():
            ax.set_yscale("log")
            plain_ticks(ax.yaxis)
        else:
            ax.axhline(0.0, color="0.6", linewidth=0.8, zorder=1)

    def _draw_residuals(self, ax: Any, ranks: Any) -> list[Any]:
        """Bars where one at least can be seen; they do not move the axis."""
        values, residuals = self.result.eigenvalues, self.result.residuals
        limits, self.residual_bars_ = ax.get_ylim(), None
        if ax.get_yscale() == "log":
            lengths = np.log1p(residuals / values) / np.log(limits[1] / limits[0])
        else:
            lengths = residuals / (limits[1] - limits[0])
        if not np.nanmax(lengths, initial=0.0) > _VISIBLE:
            return []
        lowest = np.maximum(values - residuals, limits[0]) if ax.get_yscale() == "log" else values - residuals
        self.residual_bars_ = ax.vlines(
            ranks, lowest, values + residuals, color=self.line_.get_color(), linewidth=1.2, zorder=2, label="residual"
        )
        ax.set_ylim(limits)
        return [self.residual_bars_]
