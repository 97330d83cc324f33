"""The network for regression."""

from functools import partial as partially
from typing import Any

from sklearn.base import _fit_context
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.metaestimators import available_if

from minibatch._base.docstrings import documented
from minibatch._base.targets import RegressionTarget
from minibatch._problems.mlp import MLPProblem
from minibatch.engine.losses import POISSON, SQUARED_ERROR
from minibatch.neural_network._base import MultiLayerPerceptron, takes_chunks
from minibatch.neural_network._docstrings import ENTRIES

LOSSES = {"squared_error": SQUARED_ERROR, "poisson": POISSON}


@partially(documented, entries=ENTRIES)
class MiniBatchMLPRegressor(RegressionTarget, MultiLayerPerceptron):
    """Multi-layer perceptron for regression, trained by gradient descent with a chosen batch size.

    ``MLPRegressor`` of scikit-learn with an honest ``batch_size``: change the class, keep the parameters. It minimises

        ``F = sum_i s_i loss(y_i, f(x_i)) / sum_i s_i + alpha/2 sum_layers ||W||^2``

    with weights ``s_i``, for every batch size alike: an update follows the mean gradient of its batch plus the whole
    gradient of the penalty. With several columns in y, the loss is the sum over them.

    Parameters
    ----------
    loss : {'squared_error', 'poisson'}, default='squared_error'
        ``(f(x) - y)^2 / 2``, or, with a log link (the prediction is ``mu = exp(f(x))``), ``mu - y log(mu)`` for
        y >= 0.

    $layers

    $training

    $regularization_of_networks

    $cycles

    $scaling

    $growth

    $budget

    Attributes
    ----------
    $network_fitted

    $fitted

    See Also
    --------
    MiniBatchMLPClassifier : The same for classification.
    MiniBatchSGDRegressor : Without hidden layers.
    sklearn.neural_network.MLPRegressor : A Python loop over batches; the penalty depends on their size.

    Notes
    -----
    The first weights are uniform with the bounds of Glorot & Bengio [6]_, as in scikit-learn. Scale y to a variance
    near 1 (``TransformedTargetRegressor``): the rate that suits the weights does not suit an output of thousands.
    Batches that are worth it (rows times weights from 300,000 on) are shared by as many threads as BLAS is set to use;
    results do not depend on their number.

    References
    ----------
    $references

    Examples
    --------
    >>> from sklearn.compose import TransformedTargetRegressor
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from minibatch import MiniBatchMLPRegressor
    >>> X, y = load_diabetes(return_X_y=True)
    >>> net = MiniBatchMLPRegressor(hidden_layer_sizes=(16,), batch_size=16, max_iter=50, tol=None, random_state=0)
    >>> model = TransformedTargetRegressor(make_pipeline(StandardScaler(), net), transformer=StandardScaler())
    >>> round(model.fit(X, y).score(X, y), 1)
    0.6
    """

    _parameter_constraints: dict = {
        **MultiLayerPerceptron._parameter_constraints,
        "loss": [StrOptions(set(LOSSES))],
    }

    def __init__(
        self,
        loss="squared_error",
        hidden_layer_sizes=(100,),
        activation="relu",
        *,
        solver="adam",
        alpha=0.0001,
        batch_size="auto",
        learning_rate="constant",
        learning_rate_init=0.001,
        power_t=0.5,
        max_iter=200,
        shuffle=True,
        random_state=None,
        tol=1e-4,
        verbose=False,
        warm_start=False,
        momentum=0.9,
        nesterovs_momentum=True,
        early_stopping=False,
        validation_fraction=0.1,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-8,
        n_iter_no_change=10,
        max_fun=15000,
        dropout=0.0,
        batch_normalization=False,
        last_batch="keep",
        max_updates=None,
        evaluate_every=None,
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
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change
        self.max_fun = max_fun
        self.dropout = dropout
        self.batch_normalization = batch_normalization
        self.last_batch = last_batch
        self.max_updates = max_updates
        self.evaluate_every = evaluate_every
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
    def fit(self, X, y, sample_weight=None, *, X_val=None, y_val=None, sample_weight_val=None):
        """Train on all rows.

        Parameters
        ----------
        $X

        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Targets.

        $weights_and_validation

        Returns
        -------
        self : MiniBatchMLPRegressor

        $fit_raises
        """
        return self._train(X, y, sample_weight, validation=(X_val, y_val, sample_weight_val))

    @available_if(takes_chunks)
    def partial_fit(self, X, y, sample_weight=None):
        """Train for one epoch on a chunk of rows, going on from the last call. Not with ``solver='lbfgs'``.

        $chunks

        Parameters
        ----------
        $X

        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Targets of the chunk.

        $partial

        Returns
        -------
        self : MiniBatchMLPRegressor
        """
        return self._train(X, y, sample_weight, partial=True)

    def predict(self, X):
        """Predicted targets: the scores of the last layer, or their exponential for ``loss='poisson'``.

        Parameters
        ----------
        $X_predict

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs)
        """
        scores = self._scores(X)
        return self._link_inverse(scores if self._target_shape else scores[:, 0])

    def _new_problem(self, X: Any, target: Any, weight: Any, **more: Any) -> MLPProblem:
        n_outputs = 1 if target.ndim == 1 else target.shape[1]
        return self._mlp_problem(X, target, weight, self._objective(LOSSES[self.loss]), n_outputs, **more)

    def _out_activation(self) -> str:
        return "exp" if self.loss == "poisson" else "identity"
