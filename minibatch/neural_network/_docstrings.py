"""Documentation of the parameters that the two networks share, written once."""

from minibatch._base.docstrings import ENTRIES as SHARED
from minibatch._base.docstrings import OPTIMAL


def _of_networks(entry: str) -> str:
    """A shared entry with the numbers that its references have here."""
    for ours, here in (("[3]_", "[7]_"), ("[4]_", "[8]_"), ("[5]_", "[9]_")):
        entry = entry.replace(ours, here)
    return entry


ENTRIES = {
    **SHARED,
    "growth": _of_networks(SHARED["growth"]),
    "layers": """\
hidden_layer_sizes : int or array-like of int, default=(100,)
    Units of each hidden layer.

activation : {'identity', 'logistic', 'tanh', 'relu', 'gelu'}, default='relu'
    Of the hidden units, of ``z = inputs @ W + b``: ``z``; ``1 / (1 + exp(-z))``; ``tanh(z)``; ``max(0, z)``;
    ``z Phi(z)`` with the normal distribution function ``Phi`` [1]_.""",
    "training": """\
solver : {'adam', 'sgd', 'momentum', 'nesterov', 'adagrad', 'rmsprop', 'adamw', 'lbfgs'}, default='adam'
    How a batch's gradient becomes an update. ``'sgd'`` has the ``momentum`` of the parameter, by default Nesterov's,
    as in scikit-learn; ``momentum=0`` makes it plain. ``'adamw'`` decays the weights beside its step [3]_, all others
    descend on the same objective. ``'lbfgs'`` hands the objective of all rows to :func:`scipy.optimize.minimize`:
    good for small data; ``batch_size`` and its growth, rates and momenta are not used.

alpha : float, default=0.0001
    Strength of the penalty. It means the same for every ``batch_size``. scikit-learn divides its ``alpha`` by the
    number of rows of a batch (``'lbfgs'``: of all rows): its model has ``alpha / batch_size`` here.

batch_size : int, float in (0, 1], 'full' or 'auto', default='auto'
    Rows per update. An int is clipped to the number of training rows, a float is a fraction of them, ``'full'`` is
    all of them (gradient descent), ``'auto'`` is ``min(200, n_samples)``. It is resolved in ``fit``, on the rows
    trained on.

learning_rate : str, default='constant'
    """
    + _of_networks(SHARED["schedules"].replace(OPTIMAL, ""))
    + """

    Here ``eta0`` is ``learning_rate_init``, and ``t`` of ``'invscaling'`` the rows seen before the epoch plus 1, as in
    scikit-learn. Every solver but ``'lbfgs'`` has schedules (there only ``'sgd'``).

learning_rate_init : float or 'auto', default=0.001
    First learning rate. The best one depends on ``batch_size``: tune them together. ``'auto'`` trains on up to 1000 of
    the rows at rates that differ by factors of two, and takes the best, or the next below, as Bottou's programs do; see
    ``eta0_``. ``partial_fit`` does so on its first chunk, which should be a large one.

power_t : float, default=0.5
    Exponent of ``'invscaling'``.

max_iter : int, default=200
    Largest number of epochs of ``fit`` (iterations of ``'lbfgs'``).

shuffle : bool or 'block', default=True
    Whether to draw a new order of the rows for every epoch. The order depends on ``random_state`` and the number
    of the epoch, not on the batch size. A full batch is not shuffled: its order does not matter. ``'block'`` draws an
    order of blocks of 256 rows, then mixes the rows of every 32 blocks: nearly sequential reading, for rows that are
    memory-mapped (``numpy.load(..., mmap_mode="r")``) or too many for the memory's caches. Batches are then more alike
    than chance within 8192 rows; rows sorted by ``y`` converge more slowly, rows in any other order as with True.

random_state : int, RandomState instance or None, default=None
    Seed of the first weights (those of scikit-learn for the same seed), of the sample order, of dropout and of the
    validation split. Pass an int for reproducible models.

tol : float or None, default=1e-4
    Training stops when more than ``n_iter_no_change`` epochs in a row have not lowered the objective by ``tol``
    below its best value before. The objective of an epoch is its progressive loss (every row before it was trained
    on) plus the penalty. With ``early_stopping`` the validation score is compared instead. None trains for
    ``max_iter`` epochs and keeps the last parameters. For ``'lbfgs'``, the largest entry of the gradient to stop at
    (it also stops where the objective no longer falls, by the default of scipy).

verbose : bool or int, default=False
    Whether to print a line for every epoch.

warm_start : bool, default=False
    Whether ``fit`` goes on from the parameters, the optimizer's memory and the learning rate of the last call. Epochs
    without progress are counted anew; cycles and the warm-up begin anew.

momentum : float in [0, 1], default=0.9
    Of ``'sgd'``, ``'momentum'`` and ``'nesterov'``: ``v = momentum v + g; w -= eta v``. The effective rate is
    ``eta / (1 - momentum)``. (scikit-learn has the rate inside ``v``: the same at a constant rate.)

nesterovs_momentum : bool, default=True
    Whether the momentum of ``'sgd'`` is Nesterov's: ``w -= eta (g + momentum v)``.

early_stopping : bool, default=False
    Whether to hold out ``validation_fraction`` of the rows (or to use ``X_val`` of ``fit``), to stop when the
    validation score has not improved by ``tol`` for more than ``n_iter_no_change`` epochs, and to restore the
    parameters of the best score.

validation_fraction : float in (0, 1), default=0.1
    Share of the rows that ``early_stopping`` holds out.

beta_1 : float in [0, 1), default=0.9
    Decay of the mean gradient of ``'adam'`` [2]_ and ``'adamw'``.

beta_2 : float in [0, 1), default=0.999
    Decay of the mean squared gradient of ``'adam'``, ``'adamw'`` and ``'rmsprop'``.

epsilon : float, default=1e-8
    Added to the root of the (mean) squared gradient in ``'adam'``, ``'adamw'``, ``'adagrad'`` and ``'rmsprop'``.

n_iter_no_change : int or inf, default=10
    Epochs without progress that are tolerated; see ``tol``.

max_fun : int, default=15000
    Largest number of evaluations of the objective by ``'lbfgs'``.""",
    "regularization_of_networks": """\
dropout : float in [0, 1), default=0
    Share of the hidden units that is left out of an update, drawn anew for every row [4]_; the others count
    ``1 / (1 - dropout)`` times, so that predictions use all of them as they are.

batch_normalization : bool or 'input', default=False
    Whether ``z = inputs @ W`` of the hidden units is brought to mean 0 and variance 1 over the rows of a batch,
    before a trained scale and the intercept [5]_. Predictions use running statistics, in which a batch weighs 0.1
    (the first ten, equally). Every batch needs two rows or more. Batches then differ in more than noise: the
    objective depends on ``batch_size``. ``'input'`` does it to the columns of a dense X as well (without scale and
    intercept): a ``StandardScaler`` that learns along with ``partial_fit``.

last_batch : {'keep', 'drop'}, default='keep'
    Whether a short last batch makes an update (with the mean over its own rows) or is left out of the epoch.""",
    "network_fitted": """\
coefs_ : list of ndarray of shape (inputs, units)
    Weights of each layer.

intercepts_ : list of ndarray of shape (units,)
    Intercepts of each layer.

scales_, running_means_, running_variances_ : list of ndarray of shape (units,)
    Of each hidden layer, with ``batch_normalization``, else empty; the statistics of the inputs, with ``'input'``, are
    last.

loss_ : float
    The last entry of ``loss_curve_``.

loss_curve_ : list of float
    The objective epoch by epoch, penalty included: ``history_["progressive_objective"]``, of ``'lbfgs'``
    ``history_["objective"]``.

best_loss_ : float or None
    The lowest; None with ``early_stopping``.

validation_scores_ : list of float or None
    Accuracy or R squared on the validation set epoch by epoch; None without one.

best_validation_score_ : float or None
    The highest.

n_layers_ : int
    Number of layers, inputs and outputs included.

n_outputs_ : int
    Number of outputs.

out_activation_ : str
    What makes a prediction out of the last layer.

t_ : int
    Rows seen.""",
    "references": """\
.. [1] Hendrycks & Gimpel, "Gaussian error linear units", arXiv 1606.08415.
.. [2] Kingma & Ba, "Adam: a method for stochastic optimization", arXiv 1412.6980.
.. [3] Loshchilov & Hutter, "Decoupled weight decay regularization", arXiv 1711.05101.
.. [4] Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", JMLR 15, 2014.
.. [5] Ioffe & Szegedy, "Batch normalization", arXiv 1502.03167.
.. [6] Glorot & Bengio, "Understanding the difficulty of training deep feedforward neural networks", AISTATS 2010.
.. [7] Bottou, "Large-scale machine learning with stochastic gradient descent", COMPSTAT 2010.
.. [8] Smith et al., "Don't decay the learning rate, increase the batch size", arXiv 1711.00489.
.. [9] Byrd et al., "Sample size selection in optimization methods for machine learning", Math. Program. 134, 2012.""",
    "chunks": """\
On the slices of an unshuffled epoch, one batch a call, this is that epoch, at a constant rate and without dropout:
``'invscaling'`` changes the rate from call to call, ``cycle_length`` and ``warmup`` count calls, and dropout takes the
rows of a call by their number in it. ``'adaptive'`` keeps the rate.""",
    "X_predict": """\
X : {array-like, sparse matrix} of shape (n_samples, n_features)
    Rows to predict.""",
}
