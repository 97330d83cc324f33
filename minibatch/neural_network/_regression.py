"""What the network for regression does, whatever its parameters: training and prediction."""

from typing import Any, Self

from numpy.typing import ArrayLike, NDArray
from sklearn.utils._param_validation import StrOptions

from minibatch._base.solvers import takes_chunks
from minibatch._base.targets import RegressionTarget
from minibatch._base.types import Matrix, available_if, checks_parameters
from minibatch._problems.mlp import MLPProblem
from minibatch.engine.losses import CROSS_ENTROPY, POISSON, SQUARED_ERROR
from minibatch.neural_network._base import MultiLayerPerceptron

__all__ = ["LOSSES", "RegressingNetwork"]

LOSSES = {"squared_error": SQUARED_ERROR, "poisson": POISSON, "log_loss": CROSS_ENTROPY}
_OUT_ACTIVATIONS = {"squared_error": "identity", "poisson": "exp", "log_loss": "logistic"}


class RegressingNetwork(RegressionTarget, MultiLayerPerceptron):
    """The network for regression but for the list of its parameters."""

    _parameter_constraints: dict = {
        **MultiLayerPerceptron._parameter_constraints,
        "loss": [StrOptions(set(LOSSES))],
    }

    @checks_parameters
    def fit(
        self,
        X: Matrix,
        y: ArrayLike,
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
            Targets, those of ``'log_loss'`` in [0, 1].
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
        return self._train(X, y, sample_weight, validation=(X_val, y_val, sample_weight_val))

    @available_if(takes_chunks)
    def partial_fit(self, X: Matrix, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Train for one epoch on a chunk of rows, going on from the last call. Not with ``solver='lbfgs'``.

        On the slices of an unshuffled epoch, one batch a call, this is that epoch, at a constant rate and without
        dropout: ``'invscaling'`` changes the rate from call to call, ``cycle_length`` and ``warmup`` count calls, and
        dropout takes the rows of a call by their number in it. ``'adaptive'`` keeps the rate. ``max_iter`` and
        ``max_updates`` end nothing: the whole chunk is trained on. For ``'poisson'`` the last intercept begins with the
        logarithm of the mean of the first chunk.

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
        """Predicted targets: the scores of the last layer, for ``loss='poisson'`` their exponential, for ``'log_loss'``
        their logistic function, the probability.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to predict.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs)
            One prediction a row, or one for every output.
        """
        scores = self._scores(X)
        return self._link_inverse(scores if self._target_shape else scores[:, 0])

    def _new_problem(self, X: Any, target: Any, weight: Any, **more: Any) -> MLPProblem:
        n_outputs = 1 if target.ndim == 1 else target.shape[1]
        return self._mlp_problem(X, target, weight, self._objective(LOSSES[self.loss]), n_outputs, **more)

    def _n_outputs(self) -> int:
        return self._target_shape[0] if self._target_shape else 1

    def _out_activation(self) -> str:
        return _OUT_ACTIVATIONS[self.loss]
