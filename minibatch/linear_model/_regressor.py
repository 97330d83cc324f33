"""The linear regressor."""

from numbers import Real
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn.base import _fit_context
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.extmath import safe_sparse_dot
from sklearn.utils.validation import check_is_fitted, validate_data

from minibatch._base.docstrings import documented
from minibatch._base.targets import RegressionTarget
from minibatch._problems.linear import LinearProblem
from minibatch.engine.losses import REGRESSION
from minibatch.linear_model._base import LinearModel


@documented
class MiniBatchSGDRegressor(RegressionTarget, LinearModel):
    """Linear regression (least squares, robust, quantile, Poisson, ...) by gradient descent with a chosen batch size.

    ``SGDRegressor`` of scikit-learn with a ``batch_size``: change the class, keep the parameters. It minimises

        ``F(w, b) = sum_i s_i loss(y_i, x_i @ w + b) / sum_i s_i + alpha R(w)``

    with weights ``s_i``, for every batch size alike: an update follows the mean gradient of its batch plus the whole
    gradient of the penalty, ``w -= eta (mean_i s_i grad loss_i + alpha grad R(w))``. With several columns in y, each
    has such an objective.

    Parameters
    ----------
    loss : str, default='squared_error'
        With the residual ``r = x @ w + b - y``: ``'squared_error'`` ``r^2 / 2``; ``'huber'`` ``r^2 / 2`` up to
        ``epsilon``, linear beyond; ``'epsilon_insensitive'`` ``max(0, |r| - epsilon)`` and its square
        ``'squared_epsilon_insensitive'``; ``'absolute_error'`` ``|r|``; ``'quantile'`` (pinball loss of
        ``quantile``). With a log link, so that the prediction is ``mu = exp(x @ w + b)``: ``'poisson'``
        ``mu - y log(mu)`` for y >= 0, ``'gamma'`` ``log(mu) + y / mu`` for y > 0.

    $regularization

    $epochs

    epsilon : float, default=0.1
        Width of the flat (``'epsilon_insensitive'``) or quadratic (``'huber'``) part of the loss, in units of y.

    $random_state

    learning_rate : str, default='invscaling'
        $schedules

    $eta0

    power_t : float, default=0.25
        Exponent of ``'invscaling'``.

    $stopping

    $memory

    $batches

    quantile : float in (0, 1), default=0.5
        The quantile that ``loss='quantile'`` estimates.

    $cycles

    $scaling

    $growth

    $budget

    $n_jobs

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,) or (n_outputs, n_features)
        Weights; two-dimensional where y is.

    intercept_ : ndarray of shape (n_outputs,)
        Intercepts.

    $linear_fitted

    $fitted

    See Also
    --------
    MiniBatchSGDClassifier : The same for classification.
    sklearn.linear_model.SGDRegressor : Batch size 1 in Cython.

    References
    ----------
    $references

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from minibatch import MiniBatchSGDRegressor
    >>> X, y = load_diabetes(return_X_y=True)
    >>> model = make_pipeline(StandardScaler(), MiniBatchSGDRegressor(batch_size=16, random_state=0)).fit(X, y)
    >>> round(model.score(X, y), 2)
    0.51
    >>> model[-1].status_
    'converged'
    """

    loss_functions = tuple(REGRESSION)
    _parameter_constraints: dict = {
        **LinearModel._parameter_constraints,
        "loss": [StrOptions(set(REGRESSION))],
        "quantile": [Interval(Real, 0, 1, closed="neither")],
    }

    def __init__(
        self,
        loss="squared_error",
        *,
        penalty="l2",
        alpha=0.0001,
        l1_ratio=0.15,
        fit_intercept=True,
        max_iter=1000,
        tol=1e-3,
        shuffle=True,
        verbose=0,
        epsilon=0.1,
        random_state=None,
        learning_rate="invscaling",
        eta0=0.01,
        power_t=0.25,
        early_stopping=False,
        validation_fraction=0.1,
        n_iter_no_change=5,
        warm_start=False,
        average=False,
        batch_size=32,
        last_batch="keep",
        solver="sgd",
        momentum=0.9,
        beta_1=0.9,
        beta_2=0.999,
        adam_epsilon=1e-8,
        quantile=0.5,
        max_updates=None,
        evaluate_every=None,
        n_jobs=None,
        max_eta=None,
        cycle_length=None,
        cycle_decay=0.5,
        decay_base=False,
        warmup=0.0,
        learning_rate_scaling=None,
        reference_batch_size=32,
        batch_growth=None,
        batch_growth_interval=None,
        max_batch_size=None,
    ):
        self.loss = loss
        self.penalty = penalty
        self.alpha = alpha
        self.l1_ratio = l1_ratio
        self.fit_intercept = fit_intercept
        self.max_iter = max_iter
        self.tol = tol
        self.shuffle = shuffle
        self.verbose = verbose
        self.epsilon = epsilon
        self.random_state = random_state
        self.learning_rate = learning_rate
        self.eta0 = eta0
        self.power_t = power_t
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.warm_start = warm_start
        self.average = average
        self.batch_size = batch_size
        self.last_batch = last_batch
        self.solver = solver
        self.momentum = momentum
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.adam_epsilon = adam_epsilon
        self.quantile = quantile
        self.max_updates = max_updates
        self.evaluate_every = evaluate_every
        self.n_jobs = n_jobs
        self.max_eta = max_eta
        self.cycle_length = cycle_length
        self.cycle_decay = cycle_decay
        self.decay_base = decay_base
        self.warmup = warmup
        self.learning_rate_scaling = learning_rate_scaling
        self.reference_batch_size = reference_batch_size
        self.batch_growth = batch_growth
        self.batch_growth_interval = batch_growth_interval
        self.max_batch_size = max_batch_size

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X,
        y,
        coef_init=None,
        intercept_init=None,
        sample_weight=None,
        *,
        X_val=None,
        y_val=None,
        sample_weight_val=None,
    ):
        """Train on all rows.

        Parameters
        ----------
        $X

        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Targets. Scale them for ``'squared_error'``: the gradient grows with y.

        $init

        $weights_and_validation

        Returns
        -------
        self : MiniBatchSGDRegressor

        $fit_raises
        """
        return self._train(
            X,
            y,
            sample_weight,
            init=(coef_init, intercept_init),
            validation=(X_val, y_val, sample_weight_val),
        )

    def partial_fit(self, X, y, sample_weight=None):
        """Train for one epoch on a chunk of rows, going on from the last call.

        On the slices of an unshuffled epoch, one batch a call, this is that epoch, at any rate that does not count
        epochs: ``cycle_length`` and ``warmup`` count calls. The batch does not grow.

        Parameters
        ----------
        $X

        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Targets of the chunk.

        $partial

        Returns
        -------
        self : MiniBatchSGDRegressor
        """
        return self._train(X, y, sample_weight, partial=True)

    def predict(self, X):
        """Predicted targets: the scores, or their exponential for ``loss='poisson'`` and ``'gamma'``.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to predict.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs)
        """
        check_is_fitted(self)
        X = validate_data(self, X, accept_sparse="csr", accept_large_sparse=True, reset=False)
        coef = self.coef_
        if sp.issparse(coef) and coef.ndim == 1:  # sparsified: scipy has no product of it with sparse rows
            coef = coef.toarray()
        with np.errstate(over="ignore"):  # infinity is the right answer
            scores = safe_sparse_dot(X, coef.T, dense_output=True) + self.intercept_
        return self._link_inverse(scores)

    def _new_problem(self, X: Any, target: Any, weight: Any, **more: Any) -> LinearProblem:
        parameter = self.quantile if self.loss == "quantile" else self.epsilon
        n_outputs = 1 if target.ndim == 1 else target.shape[1]
        objective = self._objective(REGRESSION[self.loss], parameter, "separate")
        return LinearProblem.from_arrays(X, target, weight, objective, self._solver(), n_outputs, **more)

    def _as_coef(self, coef: NDArray[Any]) -> NDArray[Any]:
        return coef if self._target_shape else coef[0]
