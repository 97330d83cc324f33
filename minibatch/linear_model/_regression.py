"""What the linear regressor does, whatever its parameters: training, prediction, the layout of its weights."""

from typing import Any, Self

from numpy.typing import ArrayLike, NDArray

from minibatch._base.solvers import takes_chunks
from minibatch._base.targets import RegressionTarget
from minibatch._base.types import Matrix, available_if, checks_parameters
from minibatch._problems.linear import LinearProblem
from minibatch.engine.losses import REGRESSION
from minibatch.linear_model._base import LinearModel

__all__ = ["RegressingLinearModel"]


class RegressingLinearModel(RegressionTarget, LinearModel):
    """The linear regressor but for the list of its parameters."""

    @checks_parameters
    def fit(
        self,
        X: Matrix,
        y: ArrayLike,
        coef_init: Matrix | None = None,
        intercept_init: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        *,
        X_val: Matrix | None = None,
        y_val: ArrayLike | None = None,
        sample_weight_val: ArrayLike | None = None,
    ) -> Self:
        """Train on all rows.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training rows. C-ordered float32 and float64 arrays and CSR matrices are used as they are, others are
            converted once. The parameters have the type of X. Scale the columns: see ``StandardScaler``.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Targets, those of ``'log_loss'`` in [0, 1]. Scale them for ``'squared_error'``: the gradient grows with y.
        coef_init : array-like, default=None
            Weights to begin with, of the shape of ``coef_``. Zeros if None.
        intercept_init : array-like, default=None
            Intercepts to begin with, of the shape of ``intercept_``. Zeros if None; for ``'poisson'`` and ``'gamma'``
            the logarithm of the mean of y.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows, not negative; only their ratios matter.
        X_val, y_val, sample_weight_val : array-like, default=None
            A validation set of your own: its loss and score are recorded after every epoch, and ``early_stopping`` uses
            it instead of holding out rows. A search or cross-validation of scikit-learn cuts what it hands on to
            ``fit`` to its folds where that is as long as X: there, give a set of another length.

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
        init, validation = (coef_init, intercept_init), (X_val, y_val, sample_weight_val)
        return self._train(X, y, sample_weight, init=init, validation=validation)

    @available_if(takes_chunks)
    def partial_fit(self, X: Matrix, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Train for one epoch on a chunk of rows, going on from the last call.

        On the slices of an unshuffled epoch, one batch a call, this is that epoch, at any rate that does not count
        epochs: ``cycle_length`` and ``warmup`` count calls. The batch does not grow, and ``max_iter`` and
        ``max_updates`` end nothing: the whole chunk is trained on. For ``'poisson'`` and ``'gamma'`` the intercept
        begins with the logarithm of the mean of the first chunk.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training rows. C-ordered float32 and float64 arrays and CSR matrices are used as they are, others are
            converted once. The parameters have the type of X. Scale the columns: see ``StandardScaler``.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Targets of the chunk.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows, used as they are: a chunk does not know the others, so give weights of mean 1 overall.

        Returns
        -------
        self : object
            The estimator.
        """
        return self._train(X, y, sample_weight, partial=True)

    def predict(self, X: Matrix) -> NDArray[Any]:
        """Predicted targets: the scores, their exponential for ``loss='poisson'`` and ``'gamma'``, or their logistic
        function, a probability, for ``'log_loss'``.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to predict.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs)
            One prediction a row, or one for every output.
        """
        return self._link_inverse(self._scores(X))

    def _new_problem(self, X: Any, target: Any, weight: Any, **more: Any) -> LinearProblem:
        parameter = self.quantile if self.loss == "quantile" else self.epsilon
        n_outputs = 1 if target.ndim == 1 else target.shape[1]
        objective = self._objective(REGRESSION[self.loss], parameter, "separate")
        return LinearProblem.from_arrays(X, target, weight, objective, self._solver(), n_outputs, **more)

    def _n_outputs(self) -> int:
        return self._target_shape[0] if self._target_shape else 1

    def _as_coef(self, coef: NDArray[Any]) -> NDArray[Any]:
        return coef if self._target_shape else coef[0]
