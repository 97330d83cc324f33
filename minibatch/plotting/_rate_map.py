"""BatchSizeLearningRateDisplay: mean test score over batch size and learning rate."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils._param_validation import StrOptions

from minibatch.model_selection._rate_grid import RateGrid
from minibatch.plotting._cells import Cell, cells_of, draw_cells, draw_hatches, frame_cell, write_scores
from minibatch.plotting._display import Display
from minibatch.plotting._style import merged, score_words, value_words, write_categories, write_title

__all__ = ["BatchSizeLearningRateDisplay"]

_LABELS = {"eta": ("Batch size", "Learning rate η"), "base": ("Batch size B", "Base learning rate η / B")}
_TICKED_RATES = 12  # so many learning rates get a tick each


class BatchSizeLearningRateDisplay(Display):
    """Heat map of the mean test score over batch size and learning rate.

    Make one with `from_estimator` or `from_search`.

    Candidates of which a fit diverged are hatched, whatever they scored; the best of the others has a frame. The colour
    scale ends as far below the median as twice the distance from there to the best, so that a few bad candidates do
    not hide the differences between good ones; the bar then has a pointed end.

    Parameters
    ----------
    batch_sizes : sequence of int, float or str
        Of every candidate.

    learning_rates : array-like of shape (n_candidates,)
        Of every candidate, whatever the batch size: never divided by it.

    scores : array-like of shape (n_candidates,)
        Mean test scores.

    diverged : array-like of shape (n_candidates,) or None, default=None
        Shares of folds that diverged; None: not known.

    resolved_batch_sizes : array-like of shape (n_candidates,) or None, default=None
        Rows in a batch; needed for ``rate="base"`` where a batch size is not an integer.

    scoring : str, default="score"
        Name of the score.

    budget : str, default=""
        What every fit was allowed.

    n_folds : int, default=1
        How many folds the scores are means of.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Where it is drawn.

    figure_ : matplotlib Figure
        Its figure.

    image_ : matplotlib PolyCollection
        One cell a candidate, in their order; masked where one diverged or has no score.

    diverged_ : matplotlib PolyCollection or None
        The hatched cells.

    best_ : matplotlib Patch or None
        The frame around the best cell.

    text_ : list of matplotlib Text or None
        The scores in the cells, in the order of the candidates; None where there is no room.

    colorbar_ : matplotlib Colorbar or None
        The scale; None where no candidate has a score.

    References
    ----------
    Masters & Luschi, "Revisiting small batch training for deep neural networks", arXiv 1804.07612 (2018), draw such
    maps: the usable rates per sample, ``eta / B``, shrink as the batch grows.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.preprocessing import scale
    >>> from minibatch import MiniBatchSGDClassifier
    >>> from minibatch.plotting import BatchSizeLearningRateDisplay
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> sgd = MiniBatchSGDClassifier(
    ...     "log_loss", learning_rate="constant", tol=None, random_state=0
    ... )
    >>> display = BatchSizeLearningRateDisplay.from_estimator(
    ...     sgd,
    ...     scale(X),
    ...     y,
    ...     batch_sizes=[8, 64, "full"],
    ...     learning_rates=[0.01, 0.1, 1.0],
    ...     cv=3,
    ...     budget={"epochs": 5},
    ... )
    >>> display.ax_.get_xlabel(), display.ax_.get_ylabel()
    ('Batch size', 'Learning rate η')
    """

    _make = staticmethod(RateGrid.from_estimator)
    _options = {
        "rate": [StrOptions(set(_LABELS))],
        "cmap": [object],
        "image_kw": [dict, None],
        "text_kw": [dict, None],
    }

    def __init__(
        self,
        *,
        batch_sizes: Sequence[Any],
        learning_rates: ArrayLike,
        scores: ArrayLike,
        diverged: ArrayLike | None = None,
        resolved_batch_sizes: ArrayLike | None = None,
        scoring: str = "score",
        budget: str = "",
        n_folds: int = 1,
    ) -> None:
        self.batch_sizes = batch_sizes
        self.learning_rates = learning_rates
        self.scores = scores
        self.diverged = diverged
        self.resolved_batch_sizes = resolved_batch_sizes
        self.scoring = scoring
        self.budget = budget
        self.n_folds = n_folds

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any,
        *,
        batch_sizes: Sequence[Any],
        learning_rates: Sequence[float],
        cv: Any = None,
        scoring: Any = None,
        budget: Mapping[str, int] | None = None,
        groups: Any = None,
        random_state: Any = None,
        n_jobs: int | None = None,
        ax: Any = None,
        rate: str = "eta",
        cmap: Any = "viridis",
        image_kw: dict[str, Any] | None = None,
        text_kw: dict[str, Any] | None = None,
    ) -> Self:
        """Cross-validate every batch size with every learning rate, and draw.

        Parameters
        ----------
        estimator : estimator of minibatch, or Pipeline that ends in one
            Cloned, never changed. The learning rate is ``eta0`` of a linear model, ``learning_rate_init`` of a network.
            The picture is about one rate a fit, so ``learning_rate="constant"`` is what it should have.

        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            All rows.

        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Their targets.

        batch_sizes, learning_rates : sequence
            The values to combine. ``learning_rates`` are those of an update, with ``rate="base"`` too.

        cv : int, splitter or iterable, default=None
            As in scikit-learn: 5 folds, stratified for a classifier.

        scoring : str, callable or None, default=None
            As in scikit-learn: one score. None: the estimator's ``score``.

        budget : {"epochs": k}, {"updates": k} or None, default=None
            What every fit is allowed, in place of ``max_iter`` and ``max_updates``. None: these.

        groups : array-like of shape (n_samples,), default=None
            For a splitter that wants them.

        random_state : int, RandomState or None, default=None
            The seed of an estimator whose own ``random_state`` is None, the same for all fits.

        n_jobs : int or None, default=None
            Fits at the same time, on the joblib backend in use.

        ax, rate, cmap, image_kw, text_kw
            As in `plot`.

        Returns
        -------
        BatchSizeLearningRateDisplay

        Raises
        ------
        TypeError, ValueError
            For wrong values before any fit, and where the rate that is varied is none: with ``learning_rate="auto"``,
            ``"optimal"`` and ``"dowg"``, and with ``solver="lbfgs"``.
        """
        params = {
            "batch_sizes": batch_sizes, "learning_rates": learning_rates, "cv": cv, "scoring": scoring,
            "budget": budget, "groups": groups, "random_state": random_state, "n_jobs": n_jobs,
        }  # fmt: skip
        return cls._from_estimator(
            estimator, X, y, params, ax=ax, rate=rate, cmap=cmap, image_kw=image_kw, text_kw=text_kw
        )

    @classmethod
    def from_search(
        cls,
        search: Any,
        *,
        ax: Any = None,
        rate: str = "eta",
        cmap: Any = "viridis",
        image_kw: dict[str, Any] | None = None,
        text_kw: dict[str, Any] | None = None,
    ) -> Self:
        """Draw a search that has been fitted.

        Parameters
        ----------
        search : GridSearchCV, RandomizedSearchCV or alike, fitted
            Over the batch size and the learning rate, and nothing else. Which fits diverged is known with
            ``scoring=ConvergenceScorer(...)``. With several scores it is the one named by ``refit``.

        ax, rate, cmap, image_kw, text_kw
            As in `plot`.

        Returns
        -------
        BatchSizeLearningRateDisplay
        """
        return cls._of(RateGrid.from_search(search)).plot(ax, rate=rate, cmap=cmap, image_kw=image_kw, text_kw=text_kw)

    @classmethod
    def _of(cls, made: RateGrid) -> Self:
        return cls(**made._asdict())

    def plot(
        self,
        ax: Any = None,
        *,
        rate: str = "eta",
        cmap: Any = "viridis",
        image_kw: dict[str, Any] | None = None,
        text_kw: dict[str, Any] | None = None,
    ) -> Self:
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.

        rate : {"eta", "base"}, default="eta"
            Height of a cell: the learning rate, or the learning rate divided by the rows in a batch.

        cmap : str or matplotlib Colormap, default="viridis"
            Colours of the scores.

        image_kw : dict, default=None
            For the cells (``PolyCollection``), ``norm`` among others.

        text_kw : dict, default=None
            For the scores in the cells (``ax.text``).

        Returns
        -------
        BatchSizeLearningRateDisplay
            The display itself.
        """
        return self._plot(ax, rate=rate, cmap=cmap, image_kw=image_kw, text_kw=text_kw)

    def _check(self, **options: Any) -> None:
        self._divisors(options["rate"])

    def _draw(
        self, ax: Any, *, rate: str, cmap: Any, image_kw: dict[str, Any] | None, text_kw: dict[str, Any] | None
    ) -> None:
        scores, diverged = np.asarray(self.scores, dtype=float), self._diverged()
        columns = _columns(self.batch_sizes, self.resolved_batch_sizes)
        cells = cells_of(
            np.array([columns.index(size) for size in self.batch_sizes]),
            np.asarray(self.learning_rates, dtype=float) / self._divisors(rate),
        )
        usable = np.ma.masked_where(diverged | ~np.isfinite(scores), scores)
        self.image_ = draw_cells(ax, cells, usable, merged({"cmap": cmap}, image_kw))
        self.diverged_ = draw_hatches(ax, [cell for cell, bad in zip(cells, diverged, strict=True) if bad])
        self.best_ = frame_cell(ax, cells[int(usable.argmax())]) if usable.count() else None
        self._label(ax, rate, columns, cells)
        self.text_ = write_scores(ax, cells, self.image_, text_kw)

    def _diverged(self) -> NDArray[np.bool_]:
        """Candidates with a fold that diverged: their mean score says nothing."""
        if self.diverged is None:
            return np.zeros(len(self.batch_sizes), dtype=bool)
        diverged: NDArray[np.bool_] = np.asarray(self.diverged, dtype=float) > 0.0
        return diverged

    def _divisors(self, rate: str) -> Any:
        if rate == "eta":
            return 1.0
        if self.resolved_batch_sizes is not None:
            return np.asarray(self.resolved_batch_sizes, dtype=float)
        words = [size for size in self.batch_sizes if not isinstance(size, int)]
        if words:
            raise ValueError(
                f"rate='base' divides by the rows in a batch, which are not known for batch_size={words[0]!r}; search "
                "with scoring=ConvergenceScorer(...), which records them."
            )
        return np.asarray(self.batch_sizes, dtype=float)

    def _label(self, ax: Any, rate: str, columns: list[Any], cells: list[Cell]) -> None:
        from matplotlib.ticker import NullLocator

        ax.set_yscale("log")
        ax.set_ylim(min(cell.bottom for cell in cells), max(cell.top for cell in cells))
        rates = np.unique(np.asarray(self.learning_rates, dtype=float))
        if rate == "eta" and len(rates) <= _TICKED_RATES:
            ax.set_yticks(rates, [f"{value:.3g}" for value in rates])
            ax.yaxis.set_minor_locator(NullLocator())
        ax.set(**dict(zip(("xlabel", "ylabel"), _LABELS[rate], strict=True)))
        self.colorbar_ = self._draw_colorbar(ax)
        # the keys stand between the title and the cells, which leave no room for them
        keys = [key for key in (self.best_, self.diverged_) if key is not None]
        place = {"loc": "lower left", "bbox_to_anchor": (0.0, 1.0), "borderaxespad": 0.1, "borderpad": 0.2}
        ax.legend(handles=keys, ncols=len(keys) or 1, frameon=False, **place)
        folds = f"mean over {self.n_folds} folds" if self.n_folds > 1 else "1 fold"
        write_title(ax, f"{folds}; budget: {self.budget}" if self.budget else folds, pad=22.0)
        write_categories(ax, [value_words(size) for size in columns])

    def _draw_colorbar(self, ax: Any) -> Any:
        scores, lowest = self.image_.get_array(), self.image_.norm.vmin
        if not scores.count():
            return None
        cut = lowest is not None and scores.min() < lowest
        label = f"Mean test {score_words(self.scoring)}"
        return ax.figure.colorbar(self.image_, ax=ax, label=label, extend="min" if cut else "neither")


def _columns(batch_sizes: Sequence[Any], resolved: Any) -> list[Any]:
    """Every batch size once, from the smallest; without numbers of rows, integers before the rest."""
    distinct = list(dict.fromkeys(batch_sizes))
    if resolved is not None:
        rows = dict(zip(batch_sizes, np.asarray(resolved, dtype=float), strict=True))
        return sorted(distinct, key=rows.__getitem__)
    return sorted(distinct, key=lambda size: size if isinstance(size, int) else np.inf)
