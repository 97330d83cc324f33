"""Loss and score along a path from one fitted model to another."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn.base import is_classifier
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from minibatch._base.estimator import MiniBatchEstimator
from minibatch._base.pipelines import split_pipeline, transform
from minibatch._base.watch import Evaluation
from minibatch._tables import frame_of, html_table, text_table

__all__ = ["LossInterpolationResult", "Theta", "loss_interpolation"]

_Curve = NDArray[np.float64]
Theta = NDArray[np.floating[Any]]


@dataclass(frozen=True, repr=False, eq=False)
class LossInterpolationResult:
    """What a :func:`loss_interpolation` found.

    Attributes
    ----------
    alphas : ndarray of shape (n_alphas,)
        Places on the path: 0 is the first model, 1 the second.

    losses : ndarray of shape (n_alphas,)
        Mean training loss there, without penalty and class weights. Not finite where it overflows.

    scores : ndarray of shape (n_alphas,)
        Score there: accuracy of a classifier, R squared of a regressor.

    test_losses, test_scores : ndarray of shape (n_alphas,) or None
        The same on the test rows, if there are any.

    end_losses, end_scores : ndarray of shape (2,)
        Training loss and score of the two models themselves, whether or not 0 and 1 are among ``alphas``.

    batch_sizes : (int, int)
        Rows in a batch of the first and the second model's training.

    path : str
        ``'straight'`` or ``'curved'``.

    score_name : str
        ``'accuracy'`` or ``'R squared'``.
    """

    alphas: _Curve
    losses: _Curve
    scores: _Curve
    test_losses: _Curve | None
    test_scores: _Curve | None
    end_losses: _Curve
    end_scores: _Curve
    batch_sizes: tuple[int, int]
    path: str
    score_name: str

    def _columns(self) -> dict[str, _Curve]:
        columns: dict[str, _Curve | None] = {
            "alpha": self.alphas,
            "loss": self.losses,
            "score": self.scores,
            "test_loss": self.test_losses,
            "test_score": self.test_scores,
        }
        return {name: values for name, values in columns.items() if values is not None}

    def to_frame(self) -> Any:
        """One row a place on the path: alpha, loss, score, and those of the test rows."""
        return frame_of(self._columns())

    def _title(self) -> str:
        return (
            f"Loss interpolation along a {self.path} path: {len(self.alphas)} places from alpha = "
            f"{self.alphas.min():g} to {self.alphas.max():g}; the score is {self.score_name}"
        )

    def _rows(self) -> list[list[Any]]:
        """The two models, and the places with the least losses."""
        rows: list[list[Any]] = [
            [f"{name}, batch size {self.batch_sizes[i]}", float(i), self.end_losses[i], self.end_scores[i]]
            for i, name in enumerate(("first", "second"))
        ]
        for name, losses, scores in (
            ("least loss", self.losses, self.scores),
            ("least test loss", self.test_losses, self.test_scores),
        ):
            if losses is not None and scores is not None and np.isfinite(losses).any():
                place = np.nanargmin(losses)
                rows.append([name, self.alphas[place], losses[place], scores[place]])
        return rows

    def __repr__(self) -> str:
        return f"{self._title()}\n{text_table(['', 'alpha', 'loss', 'score'], self._rows())}"

    def _repr_html_(self) -> str:
        return html_table(self._title(), ["", "alpha", "loss", "score"], self._rows())


def loss_interpolation(
    first: Any,
    second: Any,
    X: Any,
    y: Any,
    *,
    X_test: Any = None,
    y_test: Any = None,
    alphas: Any = None,
    path: str = "straight",
    sample_weight: Any = None,
) -> LossInterpolationResult:
    """Loss and score along a path through the parameters of two fitted models.

    The straight path [1]_ is ``theta(a) = (1 - a) theta_first + a theta_second``, the curved one [2]_ is
    ``theta(a) = cos(a pi / 2) theta_first + sin(a pi / 2) theta_second``. Both begin at the first model (``a = 0``) and
    pass through the second (``a = 1``). The picture shows how far apart two batch sizes ended, whether a barrier lies
    between them, and how steeply the loss rises around each. That one side is steeper is no proof that it generalizes
    worse: the width of a minimum depends on how the parameters are scaled [3]_.

    Parameters
    ----------
    first, second : fitted estimators of this package, or fitted Pipelines that end in one
        Of the same class, with the same loss and parameters of the same shapes. The transformers of two pipelines must
        give the same X: fit both on the same rows.

    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Training rows.

    y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        Their labels or targets.

    X_test, y_test : array-likes like X and y, default=None
        Rows that neither model was trained on.

    alphas : array-like of shape (n_alphas,), default=None
        Places on the path. None means 61 from -1 to 2, as far beyond either model as they are apart.

    path : {'straight', 'curved'}, default='straight'
        The straight path is the usual picture. Between networks it passes through smaller weights, and a barrier in the
        middle may be due to them; the curved path keeps the weights about as large.

    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the training rows.

    Returns
    -------
    LossInterpolationResult
        Losses and scores at all places.

    Raises
    ------
    TypeError
        If the models are none of this package, or of different classes.
    NotFittedError
        If one of the models is not fitted.
    ValueError
        If their losses, classes or shapes differ, if their transformers give different X, or if the rows do not fit.

    See Also
    --------
    minibatch.plotting.LossInterpolationDisplay : Both curves.

    Notes
    -----
    The units of a network can be permuted without changing what it computes. Two networks from different first weights
    are far apart for this reason alone, so train both from the same ``random_state``. With batch normalization, the
    running statistics are part of the parameters; beyond the models a variance may become negative, and the loss NaN.

    References
    ----------
    .. [1] I. J. Goodfellow, O. Vinyals and A. M. Saxe, "Qualitatively characterizing neural network optimization
       problems", ICLR 2015. arXiv:1412.6544
    .. [2] N. S. Keskar et al., "On Large-Batch Training for Deep Learning: Generalization Gap and Sharp Minima", ICLR
       2017. arXiv:1609.04836
    .. [3] L. Dinh et al., "Sharp Minima Can Generalize For Deep Nets",
       ICML 2017. arXiv:1703.04933

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from minibatch import MiniBatchSGDRegressor
    >>> from minibatch.diagnostics import loss_interpolation
    >>> X, y = load_diabetes(return_X_y=True)
    >>> small, large = (
    ...     MiniBatchSGDRegressor(
    ...         batch_size=size, max_iter=50, tol=None, random_state=0
    ...     ).fit(X, y)
    ...     for size in (8, 128)
    ... )
    >>> result = loss_interpolation(small, large, X, y)
    >>> bool(result.losses.min() <= result.end_losses.min())
    True
    """
    if path not in ("straight", "curved"):
        raise ValueError(f"path must be 'straight' or 'curved'; got {path!r}.")
    alphas = _checked_alphas(alphas)
    if (X_test is None) != (y_test is None):
        raise ValueError(f"X_test and y_test go together, but {'X' if X_test is None else 'y'}_test is missing.")
    transformers, final, other = _checked_models(first, second, X)
    X = transform(transformers, X)
    train = final._evaluation(final._checked_rows(X, y, sample_weight, reset=False))
    start, end = final._fitted_theta(train.problem), other._fitted_theta(train.problem)
    theta_at = _path(path, start, end)
    losses, scores = _curves(train, theta_at, alphas)
    end_losses, end_scores = _curves(train, lambda a: end if a else start, np.array([0.0, 1.0]))
    test: tuple[_Curve | None, _Curve | None] = (None, None)
    if X_test is not None:
        held_out = final._checked_rows(transform(transformers, X_test), y_test, None, reset=False)
        test = _curves(final._evaluation(held_out), theta_at, alphas)
    score_name = "accuracy" if is_classifier(final) else "R squared"
    batch_sizes = (final.batch_size_, other.batch_size_)
    return LossInterpolationResult(alphas, losses, scores, *test, end_losses, end_scores, batch_sizes, path, score_name)


def _curves(rows: Evaluation, theta_at: Callable[[float], Theta], alphas: _Curve) -> tuple[_Curve, _Curve]:
    """Losses and scores at the places ``alphas``."""
    with np.errstate(over="ignore", invalid="ignore"):
        both = np.array([rows.both(theta_at(alpha)) for alpha in alphas])
    return both[:, 0], both[:, 1]


def _path(path: str, start: Theta, end: Theta) -> Callable[[float], Theta]:
    """The parameters at a place, computed in float64; at the ends exactly those of the models."""

    def theta_at(alpha: float) -> Theta:
        if alpha in (0.0, 1.0):
            return end if alpha else start
        angle = alpha * np.pi / 2
        of_start, of_end = (1 - alpha, alpha) if path == "straight" else (np.cos(angle), np.sin(angle))
        return (of_start * start.astype(np.float64) + of_end * end.astype(np.float64)).astype(start.dtype)

    return theta_at


def _checked_alphas(alphas: Any) -> _Curve:
    if alphas is None:
        # -1 + i / 20 as a quotient, so that 0 and 1 are among them exactly
        return np.arange(-20, 41) / 20
    array = np.asarray(alphas, dtype=np.float64)
    if array.ndim != 1 or array.size == 0 or not np.isfinite(array).all():
        raise ValueError(f"alphas must be a sequence of finite numbers; got {alphas!r}. Try np.linspace(-1, 2, 61).")
    return array


def _checked_models(first: Any, second: Any, X: Any) -> tuple[list[Any], MiniBatchEstimator, MiniBatchEstimator]:
    """The transformers, and the two models, which have the same kind of parameters."""
    parts = []
    for name, model in (("first", first), ("second", second)):
        transformers, final = split_pipeline(model)
        try:
            check_is_fitted(final)
        except NotFittedError as error:
            raise NotFittedError(f"{name} ({type(final).__name__}) is not fitted; call its fit first.") from error
        parts.append((transformers, final))
    (transformers, final), (other_transformers, other) = parts
    if type(final) is not type(other):
        raise TypeError(
            f"first and second must be of the same class; got {type(final).__name__} and {type(other).__name__}."
        )
    of_loss = _LOSS_PARAMETER.get(getattr(final, "loss", ""))
    for name, what in {**_KIND, **({of_loss: of_loss} if of_loss else {})}.items():
        mine, theirs = (np.asarray(getattr(model, what, None)) for model in (final, other))
        if not np.array_equal(mine, theirs):
            raise ValueError(f"first and second must have the same {name}; got {mine} and {theirs}. Fit both alike.")
    shapes = [_shapes(model) for model in (final, other)]
    if shapes[0] != shapes[1]:
        raise ValueError(
            f"first and second must have parameters of the same shapes; got weights of {shapes[0]} and {shapes[1]}. "
            "Fit both on the same columns, with the same layers."
        )
    if not _same(transform(transformers, X), transform(other_transformers, X)):
        raise ValueError(
            "The transformers of first and second give different X, so their parameters do not mean the same. Fit both "
            "pipelines on the same rows, or transform X once and give the final estimators."
        )
    return transformers, final, other


# What decides, besides the parameters, what a model computes and how its loss is measured.
_KIND = {
    "loss": "loss",
    "multi_class": "multi_class",
    "activation": "_activation",
    "batch_normalization": "batch_normalization",
    "classes": "classes_",
}
_LOSS_PARAMETER = {
    "huber": "epsilon",
    "epsilon_insensitive": "epsilon",
    "squared_epsilon_insensitive": "epsilon",
    "quantile": "quantile",
}


def _shapes(model: Any) -> list[tuple[int, ...]]:
    """Of the weights of every layer."""
    return [np.shape(weights) for weights in getattr(model, "coefs_", None) or [model.coef_]]


def _same(A: Any, B: Any) -> bool:
    """Whether two matrices are the same to rounding."""
    if np.shape(A) != np.shape(B):
        return False
    if sp.issparse(A) or sp.issparse(B):
        difference = abs(sp.csr_array(A) - sp.csr_array(B))
        return bool(difference.max() <= 1e-9 * max(1.0, abs(sp.csr_array(A)).max()))
    return A is B or np.allclose(np.asarray(A, float), np.asarray(B, float), rtol=1e-6, atol=1e-9, equal_nan=True)
