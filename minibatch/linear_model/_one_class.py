"""What the linear one-class machine does, whatever its parameters: training without targets, telling outliers."""

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import OutlierMixin
from sklearn.utils.validation import validate_data

from minibatch._base.plain import are_plain_rows, checked_weight
from minibatch._base.rows import Checked, Rows
from minibatch._base.sparse import refuse_damaged
from minibatch._base.types import Matrix, checks_parameters
from minibatch._problems.linear import LinearProblem
from minibatch._problems.state import Vector
from minibatch.engine.losses import PERCEPTRON
from minibatch.linear_model._base import LinearModel

__all__ = ["OneClassLinearModel"]


class OneClassLinearModel(OutlierMixin, LinearModel):
    """The linear one-class machine but for the list of its parameters. The loss of a row, ``max(0, offset - x @ w)``,
    is that of a perceptron whose rows are all of class 1; the offset is an intercept with its sign changed."""

    offset_: NDArray[Any]
    nu: Any

    penalty = "l2"
    l1_ratio = 0.0
    early_stopping = False
    scoring = None
    _names_of_init = ("coef_init", "offset_init")
    _shares_passes = False  # no loop over several models knows the term of the offset

    @property
    def alpha(self) -> float:
        """Strength of the penalty, in the words of the other linear models."""
        return float(self.nu)

    @property
    def intercept_(self) -> NDArray[Any]:  # type: ignore[override]
        """What the other linear models call so: ``-offset_``."""
        return 0.0 - self.offset_

    @checks_parameters
    def fit(
        self,
        X: Matrix,
        y: Any = None,
        coef_init: Matrix | None = None,
        offset_init: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Train on all rows.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training rows. C-ordered float32 and float64 arrays and CSR matrices are used as they are, others are
            converted once. The parameters have the type of X. Scale the columns: see ``StandardScaler``.
        y : object, default=None
            Ignored; there for pipelines.
        coef_init : array-like, default=None
            Weights to begin with, of the shape of ``coef_``. Zeros if None.
        offset_init : array-like, default=None
            Offset to begin with, of the shape of ``offset_``. Zero if None.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows, not negative; only their ratios matter.

        Returns
        -------
        self : object
            The estimator.

        Raises
        ------
        ValueError, TypeError
            For wrong parameters or data, before any work; the estimator stays as it was.

        Warns
        -----
        ConvergenceWarning
            If training diverged (MB109; the last finite parameters are kept) or reached ``max_iter`` first (MB105 to
            MB108); the message says whether the objective was still descending or had reached the noise of the batch
            size.
        """
        intercept_init = None if offset_init is None else -np.asarray(offset_init, dtype=np.float64)
        return self._train(X, None, sample_weight, init=(coef_init, intercept_init))

    def partial_fit(self, X: Matrix, y: Any = None, sample_weight: ArrayLike | None = None) -> Self:
        """Train for one epoch on a chunk of rows, going on from the last call.

        On the slices of an unshuffled epoch, one batch a call, this is that epoch, at any rate that does not count
        epochs: ``cycle_length`` and ``warmup`` count calls. The batch does not grow, and ``max_iter`` and
        ``max_updates`` end nothing: the whole chunk is trained on.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training rows. C-ordered float32 and float64 arrays and CSR matrices are used as they are, others are
            converted once. The parameters have the type of X. Scale the columns: see ``StandardScaler``.
        y : object, default=None
            Ignored; there for pipelines.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows, used as they are: a chunk does not know the others, so give weights of mean 1 overall.

        Returns
        -------
        self : object
            The estimator.
        """
        return self._train(X, None, sample_weight, partial=True)

    def decision_function(self, X: Matrix) -> NDArray[Any]:
        """``X @ coef_ - offset_``: positive for inliers, negative for outliers.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to predict.

        Returns
        -------
        ndarray of shape (n_samples,)
            One number a row.
        """
        return self._scores(X)

    def score_samples(self, X: Matrix) -> NDArray[Any]:
        """``X @ coef_``, which the offset is taken from.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to predict.

        Returns
        -------
        ndarray of shape (n_samples,)
            One number a row: the lower, the more of an outlier.
        """
        return self._scores(X) + self.offset_

    def predict(self, X: Matrix) -> NDArray[np.int64]:
        """1 for inliers, -1 for outliers.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to predict.

        Returns
        -------
        ndarray of shape (n_samples,)
            One label a row.
        """
        return np.where(self._scores(X) >= 0.0, 1, -1)

    def _checked_rows(
        self, X: Any, y: Any, sample_weight: Any, *, reset: bool, dtype: Any = None, all_zero: bool = False,
        **encoding: Any,
    ) -> Rows:  # fmt: skip
        """As for all estimators, whatever y is: all rows are of one class."""
        if isinstance(X, Checked):
            return super()._checked_rows(X, y, sample_weight, reset=reset)
        if dtype is None:
            dtype = [np.float64, np.float32] if reset else self._optimizer.slots.dtype
        if reset or not are_plain_rows(self, X, dtype):
            refuse_damaged(X)
            X = validate_data(self, X, reset=reset, accept_sparse="csr", dtype=dtype, order="C")
        return Rows(X, np.ones(X.shape[0]), checked_weight(sample_weight, X, all_zero))

    def _new_problem(self, X: Any, target: Any, weight: Any, **more: Any) -> LinearProblem:
        objective = self._objective(PERCEPTRON, 0.0, "separate")
        objective = objective._replace(tilt=(float(self.nu),) if self.fit_intercept else ())
        return LinearProblem.from_arrays(X, target, weight, objective, self._solver(), 1, **more)

    def _validation_score(self, scores: NDArray[Any], target: NDArray[Any], weight: Any) -> float:
        """The share of rows that are no outliers."""
        return float(np.average(np.ravel(scores) >= 0.0, weights=weight))

    def _fitted_attributes(self, problem: LinearProblem, theta: Vector) -> dict[str, Any]:
        coef, intercept = problem.parameters(theta)
        return {"coef_": self._as_coef(coef), "offset_": 0.0 - intercept}

    def _n_outputs(self) -> int:
        return 1

    def _as_coef(self, coef: NDArray[Any]) -> NDArray[Any]:
        return coef[0]
