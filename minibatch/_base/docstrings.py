"""Documentation of the parameters that several estimators share, written once.

A docstring says ``$name`` on a line of its own; ``documented`` puts the entry in its place.
"""

import inspect
from string import Template
from typing import Any

# The one schedule that networks do not have.
OPTIMAL = """\
    * ``'optimal'``: ``1 / (alpha (t0 + t - 1))`` at batch size 1, and a lower, faster falling rate for batches (see
      :func:`minibatch.schedules.optimal`).
"""

ENTRIES = {
    "regularization": """\
penalty : {'l2', 'l1', 'elasticnet'} or None, default='l2'
    The penalty ``R``: ``1/2 ||w||^2``, ``||w||_1``, or their mixture by ``l1_ratio``. L1 is a proximal step that
    sets weights to exactly 0; batches smaller than the data take it cumulatively [1]_, as scikit-learn does.

alpha : float, default=0.0001
    Strength of the penalty. It means the same for every ``batch_size``.

l1_ratio : float in [0, 1] or None, default=0.15
    Share of L1 in ``penalty='elasticnet'``; not used by the others.

fit_intercept : bool, default=True
    Whether to train an intercept. It is not penalised.""",
    "epochs": """\
max_iter : int, default=1000
    Largest number of epochs (passes over the training rows) of ``fit``.

tol : float or None, default=1e-3
    Training stops when the mean objective of the last ``n_iter_no_change`` epochs is less than ``tol`` below that
    of the ``n_iter_no_change`` epochs before. The objective of an epoch is its progressive loss (every row before
    it was trained on) plus the penalty. With ``early_stopping`` the validation score is compared instead. None
    trains for ``max_iter`` epochs and keeps the last parameters.

shuffle : bool or 'block', default=True
    Whether to draw a new order of the rows for every epoch. The order depends on ``random_state`` and the number
    of the epoch, not on the batch size. A full batch is not shuffled: its order does not matter. ``'block'`` draws an
    order of blocks of 256 rows, then mixes the rows of every 32 blocks: nearly sequential reading, for rows that are
    memory-mapped (``numpy.load(..., mmap_mode="r")``) or too many for the memory's caches. Batches are then more alike
    than chance within 8192 rows; rows sorted by ``y`` converge more slowly, rows in any other order as with True.

verbose : int, default=0
    Whether to print a line for every epoch.""",
    "n_jobs": """\
n_jobs : int or None, default=None
    Threads. They share the rows of batches of 8192 rows or more, and the outputs otherwise; the model does not
    depend on their number. None means 1 unless a ``joblib.parallel_backend`` says otherwise.""",
    "random_state": """\
random_state : int, RandomState instance or None, default=None
    Seed of the sample order and of the validation split. Pass an int for reproducible models.""",
    "schedules": """\
How the learning rate changes from the first one, ``eta0``; :mod:`minibatch.schedules` has the formulas.

    * ``'constant'``: ``eta0``. ``'adaptive'``: ``eta0``, divided by 5 whenever the stopping rule is met.
    * ``'invscaling'``: ``eta0 / t ** power_t`` in update ``t``. ``'inverse_time'``: ``eta0 / (1 + alpha eta0 (t - 1))``
      [3]_.
    * ``'step'``: ``eta0``, times ``cycle_decay`` after every ``cycle_length``.
    * ``'cosine'``: from ``eta0`` down to 0 along a ``cycle_length``, then again.
    * ``'triangular'``, ``'triangular2'``, ``'exp_range'``: up from ``eta0`` to ``max_eta`` and down again along a
      ``cycle_length``, over and over; the second halves the rise after every cycle, the third multiplies it by
      ``cycle_decay`` along a cycle, little by little.
    * ``'one_cycle'``: up from ``eta0`` to ``max_eta`` in a quarter of ``cycle_length``, down to almost 0 in the rest.
"""
    + OPTIMAL
    + """
    The stopping rule does not wait for the end of a cycle; ``tol=None`` does.""",
    "eta0": """\
eta0 : float or 'auto', default=0.01
    First learning rate; not used by ``learning_rate='optimal'``. The best one depends on ``batch_size``: tune
    them together. ``'auto'`` trains on up to 1000 of the rows at rates that differ by factors of two, and takes the
    best, or the next below, as Bottou's programs do; see ``eta0_``. ``partial_fit`` does so on its first chunk, which
    should be a large one.""",
    "cycles": """\
max_eta : float or None, default=None
    The top of ``'triangular'``, ``'triangular2'``, ``'exp_range'`` and ``'one_cycle'``. None means four times the
    first rate; a calibrated rate is at most a quarter of it. A range test finds it:
    :func:`minibatch.diagnostics.learning_rate_range_test`.

cycle_length : float or None, default=None
    Epochs (calls of ``partial_fit``) of a cycle, up and down, or of a step. None means 8, for ``'cosine'`` and
    ``'one_cycle'`` the whole run: ``max_iter`` epochs (calls), or fewer where ``max_updates`` or the budget of a curve
    allows fewer.

cycle_decay : float in (0, 1], default=0.5
    What ``'step'`` and ``'exp_range'`` multiply by for every ``cycle_length``.

decay_base : bool, default=False
    Whether in ``'exp_range'`` the lower bound decays too, not only the rise above it.

warmup : float, default=0
    Epochs (calls of ``partial_fit``) in which the rate rises from 0 to that of the schedule. Large batches with large
    rates may need some.""",
    "scaling": """\
learning_rate_scaling : {'linear', 'sqrt'} or None, default=None
    Whether the rates given are those of ``reference_batch_size``, to be multiplied by ``batch_size /
    reference_batch_size`` or its root: for a search over batch sizes that does not search the rate. A start, not a law:
    ``'linear'`` holds for batches well below the noise scale of the gradient; see
    :func:`minibatch.schedules.scale_learning_rate`.

reference_batch_size : int, default=32
    The batch size that the rates given are for.""",
    "growth": """\
batch_growth : float > 1, 'adaptive' or None, default=None
    What the batch size is multiplied by, time and again: early updates need less precision than late ones, and a
    growing batch does what a falling rate does, in fewer updates [4]_. ``'adaptive'`` looks at up to 1024 rows, or four
    batches, after every epoch, and lets the batch grow, to twice its size at most, while the standard error of its
    gradient is more than 0.9 times the norm of the gradient (norm test [5]_). Every ``fit`` begins with ``batch_size``
    again; ``partial_fit`` does not grow.

batch_growth_interval : int or None, default=None
    Epochs from one growth to the next, or from one look to the next. None means 10, and 1 for ``'adaptive'``.

max_batch_size : int, float in (0, 1], 'full' or None, default=None
    Where the growth ends, said in the manner of ``batch_size``. None means all rows. A ``batch_size`` above it
    stays.""",
    "stopping": """\
early_stopping : bool, default=False
    Whether to hold out ``validation_fraction`` of the rows (or to use ``X_val`` of ``fit``), to stop when the
    validation score has not improved by ``tol`` for ``n_iter_no_change`` epochs, and to restore the parameters of
    the best score.

validation_fraction : float in (0, 1), default=0.1
    Share of the rows that ``early_stopping`` holds out.

n_iter_no_change : int, default=5
    How many epochs the stopping rule looks at; see ``tol``.""",
    "memory": """\
warm_start : bool, default=False
    Whether ``fit`` goes on from the parameters, the optimizer's memory and the average of the last call. The
    learning-rate schedule begins anew, as in scikit-learn.

average : bool or int, default=False
    Whether ``coef_`` is the average of the parameters after every update; an int is the number of rows after which
    averaging begins. Averaging takes the noise out of small batches: try it before a smaller rate.""",
    "batches": """\
batch_size : int, float in (0, 1], 'full' or 'auto', default=32
    Rows per update. An int is clipped to the number of training rows, a float is a fraction of them, ``'full'`` is
    all of them (gradient descent), 1 gives what scikit-learn's class gives. ``'auto'`` is the largest power of
    two up to the root of their number, between 8 and 256. It is resolved in ``fit``, on the rows trained on.

last_batch : {'keep', 'drop'}, default='keep'
    Whether a short last batch makes an update (with the mean over its own rows) or is left out of the epoch.

solver : {'sgd', 'momentum', 'nesterov', 'adagrad', 'rmsprop', 'adam', 'adamw'}, default='sgd'
    How a batch's gradient becomes an update. All but ``'adamw'``, which decays the weights beside its step [2]_,
    lead to the same optimum. On sparse rows ``'sgd'`` costs the stored values, the others all weights, per update.

momentum : float in [0, 1), default=0.9
    Of ``'momentum'`` and ``'nesterov'``: ``v = momentum v + g; w -= eta v``. The effective rate is
    ``eta / (1 - momentum)``.

beta_1 : float in [0, 1), default=0.9
    Decay of the mean gradient of ``'adam'`` and ``'adamw'``.

beta_2 : float in [0, 1), default=0.999
    Decay of the mean squared gradient of ``'adam'``, ``'adamw'`` and ``'rmsprop'``.

adam_epsilon : float, default=1e-8
    Added to the root of the (mean) squared gradient in ``'adam'``, ``'adamw'``, ``'adagrad'`` and ``'rmsprop'``.""",
    "budget": """\
max_updates : int or None, default=None
    Stops ``fit`` after so many updates, in the middle of an epoch if need be: a budget for comparing batch sizes.
    ``max_iter`` holds all the same: set it high enough.

evaluate_every : int or None, default=None
    Evaluate loss, objective and gradient norm over all training rows after every so many epochs, for
    ``history_``. Each evaluation costs about as much as a full-batch epoch.""",
    "fitted": """\
n_iter_ : int
    Epochs of the last call.

n_updates_ : int
    Updates done, those of earlier calls included where training went on.

batch_size_ : int
    Rows of a batch, resolved; after growth, of the last epoch. ``history_`` has that of every epoch.

eta0_ : float
    Learning rate that the schedule begins with, before ``warmup``: given, scaled, calibrated, or that of ``'optimal'``;
    NaN for ``'lbfgs'``.

status_ : str
    Why training stopped: ``'converged'``, ``'max_iter'``, ``'max_updates'``, ``'early_stopped'``,
    ``'stopped_by_callback'`` or ``'diverged'``.

history_ : History
    What happened, epoch by epoch.

n_features_in_ : int
    Number of columns of X.

feature_names_in_ : ndarray of shape (n_features_in_,)
    Names of the columns, where X has any.""",
    "references": """\
.. [1] Tsuruoka, Tsujii & Ananiadou, "Stochastic gradient descent training for L1-regularized log-linear models
   with cumulative penalty", ACL 2009.
.. [2] Loshchilov & Hutter, "Decoupled weight decay regularization", arXiv 1711.05101.
.. [3] Bottou, "Large-scale machine learning with stochastic gradient descent", COMPSTAT 2010.
.. [4] Smith et al., "Don't decay the learning rate, increase the batch size", arXiv 1711.00489.
.. [5] Byrd et al., "Sample size selection in optimization methods for machine learning", Math. Program. 134, 2012.""",
    "X": """\
X : {array-like, sparse matrix} of shape (n_samples, n_features)
    Training rows. C-ordered float32 and float64 arrays and CSR matrices are used as they are, others are
    converted once. The parameters have the type of X. Scale the columns: see ``StandardScaler``.""",
    "linear_fitted": """\
t_ : float
    Number of the next update for the learning-rate schedule.""",
    "init": """\
coef_init : array-like, default=None
    Weights to begin with, of the shape of ``coef_``. Zeros if None.

intercept_init : array-like, default=None
    Intercepts to begin with, of the shape of ``intercept_``.""",
    "weights_and_validation": """\
sample_weight : array-like of shape (n_samples,), default=None
    Weights of the rows, not negative; only their ratios matter.

X_val, y_val, sample_weight_val : array-like, default=None
    A validation set of your own: its loss and score are recorded after every epoch, and ``early_stopping`` uses
    it instead of holding out rows.""",
    "partial": """\
sample_weight : array-like of shape (n_samples,), default=None
    Weights of the rows, used as they are: a chunk does not know the others, so give weights of mean 1 overall.""",
    "fit_raises": """\
Raises
------
ValueError, TypeError
    For wrong parameters or data, before any work; the estimator stays as it was.

Warns
-----
ConvergenceWarning
    If training diverged (the last finite parameters are kept) or reached ``max_iter`` first; the message says
    whether the objective was still descending or had reached the noise of the batch size.""",
}


def documented(obj: Any, entries: dict[str, str] = ENTRIES) -> Any:
    """Class decorator: fill in the docstrings of the class and of its methods."""
    methods = [getattr(member, "fn", member) for member in vars(obj).values()]  # ``fn`` is what available_if wraps
    for target in (obj, *filter(inspect.isfunction, methods)):
        if target.__doc__ and "$" in target.__doc__:
            target.__doc__ = Template(inspect.cleandoc(target.__doc__)).substitute(entries)
    return obj
