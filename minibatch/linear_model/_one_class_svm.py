"""The linear one-class machine."""

from numbers import Real

from sklearn.utils._param_validation import Interval

from minibatch._base.keywords import says_what_was_meant
from minibatch._base.ranges import ScheduleNames
from minibatch._base.types import (
    BatchGrowth,
    BatchSize,
    FirstRate,
    Flag,
    Integer,
    LargestBatchSize,
    LastBatch,
    LinearSolver,
    Number,
    OneClassSchedule,
    RandomState,
    RateScaling,
    Shuffle,
)
from minibatch.linear_model._one_class import OneClassLinearModel
from minibatch.schedules import SCHEDULES

__all__ = ["MiniBatchSGDOneClassSVM"]

# Of the other linear models: the loss and the penalty are given here, and there are no targets to validate with.
_NOT_HERE = ("alpha", "early_stopping", "epsilon", "l1_ratio", "penalty", "validation_fraction")


class MiniBatchSGDOneClassSVM(OneClassLinearModel):
    """Linear outlier detection (one-class SVM) by gradient descent with a chosen batch size.

    ``batch_size`` is the number of rows per update:

    * an int: so many rows, at most all of them; 1 gives what ``SGDOneClassSVM`` of scikit-learn gives;
    * a float in (0, 1]: that share of the training rows;
    * ``'full'``: all training rows, which is gradient descent;
    * ``'auto'``: the largest power of two up to the root of the number of training rows, between 8 and 256.

    Otherwise this is ``SGDOneClassSVM`` of scikit-learn: change the class, keep the parameters. It minimises

        ``F(w, rho) = nu / 2 ||w||^2 + sum_i s_i max(0, rho - x_i @ w) / sum_i s_i - nu rho``

    with weights ``s_i``, for every batch size alike: an update follows the mean gradient of its batch plus the whole
    gradient of the other two terms. A row is an outlier where ``x @ w < rho``. This is the objective of [Scholkopf2001]_
    times ``nu``. At its optimum at most a share ``nu`` of the (weighted) rows are outliers.

    Rows are told from the origin, so their columns should not have mean 0, at which ``w = 0`` is the optimum: map them
    first, as ``sklearn.kernel_approximation.Nystroem`` does, or leave ``StandardScaler(with_mean=False)`` to scale
    them. ``progressive_loss`` and ``train_loss`` of ``history_`` are the mean of ``max(0, rho - x_i @ w)`` alone,
    ``objective`` is ``F``.

    Parameters
    ----------
    nu : float in (0, 1], default=0.5
        Strength of the penalty, and what the offset is pulled by: an upper bound on the share of outliers among the
        training rows.

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,)
        Weights.
    offset_ : ndarray of shape (1,)
        The ``rho`` of the objective: ``decision_function(X) = score_samples(X) - offset_``.

    See Also
    --------
    MiniBatchSGDClassifier : Where outliers are labelled.
    sklearn.linear_model.SGDOneClassSVM : Batch size 1 in Cython.
    sklearn.svm.OneClassSVM : The same with kernels, whose cost grows with the square of the number of rows.

    References
    ----------
    .. [Scholkopf2001] x

    Examples
    --------
    >>> import numpy as np
    >>> from minibatch import MiniBatchSGDOneClassSVM
    >>> X = np.random.default_rng(0).normal([4.0, 2.0], 1.0, (500, 2))
    >>> model = MiniBatchSGDOneClassSVM(nu=0.1, random_state=0).fit(X)
    >>> model.predict([[4.0, 2.0], [-1.0, 0.0]])
    array([ 1, -1])
    """

    _parameter_constraints: dict = {
        **{name: of for name, of in OneClassLinearModel._parameter_constraints.items() if name not in _NOT_HERE},
        "nu": [Interval(Real, 0, 1, closed="right")],
        "learning_rate": [ScheduleNames({*SCHEDULES, "auto"}, "eta0")],
    }

    @says_what_was_meant
    def __init__(
        self,
        nu: Number = 0.5,
        fit_intercept: Flag = True,
        max_iter: Integer = 1000,
        tol: Number | None = 1e-3,
        shuffle: Shuffle = True,
        verbose: Flag | Integer = 0,
        random_state: RandomState = None,
        learning_rate: OneClassSchedule = "auto",
        eta0: FirstRate = 0.01,
        power_t: Number = 0.5,
        warm_start: Flag = False,
        average: Flag | Integer = False,
        *,
        n_iter_no_change: Integer = 5,
        batch_size: BatchSize = 32,
        last_batch: LastBatch = "keep",
        solver: LinearSolver = "sgd",
        momentum: Number = 0.9,
        beta_1: Number = 0.9,
        beta_2: Number = 0.999,
        adam_epsilon: Number = 1e-8,
        max_updates: Integer | None = None,
        evaluate_every: Integer | None = None,
        n_jobs: Integer | None = None,
        max_eta: Number | None = None,
        cycle_length: Number | None = None,
        cycle_decay: Number = 0.5,
        decay_base: Flag = False,
        warmup: Number = 0.0,
        learning_rate_scaling: RateScaling = None,
        reference_batch_size: Integer = 32,
        batch_growth: BatchGrowth = None,
        batch_growth_interval: Integer | None = None,
        max_batch_size: LargestBatchSize = None,
    ) -> None:
        self.nu = nu
        self.fit_intercept = fit_intercept
        self.max_iter = max_iter
        self.tol = tol
        self.shuffle = shuffle
        self.verbose = verbose
        self.random_state = random_state
        self.learning_rate = learning_rate
        self.eta0 = eta0
        self.power_t = power_t
        self.warm_start = warm_start
        self.average = average
        self.n_iter_no_change = n_iter_no_change
        self.batch_size = batch_size
        self.last_batch = last_batch
        self.solver = solver
        self.momentum = momentum
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.adam_epsilon = adam_epsilon
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
