"""The linear one-class machine."""

from numbers import Real

from sklearn.utils._param_validation import Interval, StrOptions

from minibatch._base.keywords import says_what_was_meant
from minibatch._base.ranges import ScheduleNames
from minibatch._base.types import (
    BatchGrowth,
    BatchSize,
    FirstRate,
    Flag,
    GradientSolver,
    Integer,
    LargestBatchSize,
    LastBatch,
    Number,
    OneClassSchedule,
    RandomState,
    RateScaling,
    Shuffle,
)
from minibatch.engine.optimizers import SOLVERS
from minibatch.linear_model._one_class import OneClassLinearModel
from minibatch.schedules._named import SCHEDULES

__all__ = ["MiniBatchSGDOneClassSVM"]

# Of the other linear models: the loss and the penalty are given here, and there are no targets to validate with.
_NOT_HERE = ("alpha", "early_stopping", "epsilon", "l1_ratio", "penalty", "scoring", "validation_fraction")


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
    gradient of the other two terms. A row is an outlier where ``x @ w < rho``. This is the objective of
    [Scholkopf2001]_ times ``nu``. At its optimum at most a share ``nu`` of the (weighted) rows are outliers.

    Rows are told from the origin. Where it lies among them, as after centring, ``w = 0`` is the optimum, and there is
    nothing to find: map the rows first, as ``sklearn.kernel_approximation.Nystroem`` does, and scale columns by
    ``StandardScaler(with_mean=False)``. ``progressive_loss`` and ``train_loss`` of ``history_`` are the mean of
    ``max(0, rho - x_i @ w)`` alone, ``objective`` is ``F``.

    Parameters
    ----------
    nu : float in (0, 1], default=0.5
        Strength of the penalty, and what the offset is pulled by: an upper bound on the share of outliers among the
        training rows.
    fit_intercept : bool, default=True
        Whether to train the offset. Without, it stays 0, or what it was.
    max_iter : int, default=1000
        Largest number of epochs (passes over the training rows) of ``fit``.
    tol : float or None, default=1e-3
        Training has converged when the mean objective of the last ``n_iter_no_change`` epochs is at most ``tol`` times
        ``nu / 2`` times the mean of ``||x||^2`` below that of the ``n_iter_no_change`` epochs before. It must not have
        risen either (by more than that and three standard errors, above its lowest mean of so many epochs), and it must
        be no higher than where the fit began; until then training goes on. The objective of an epoch is that of every
        row before it was trained on. No model gains more than ``nu / 2`` times the squared norm of the mean row, so
        ``tol`` means the same whatever the scale of X. None trains for ``max_iter`` epochs and keeps the last
        parameters.

        Batches of one row with a learning rate of scikit-learn (``'constant'``, ``'optimal'``, ``'invscaling'``,
        ``'adaptive'``), ``solver='sgd'`` and no weights stop where scikit-learn does: after ``n_iter_no_change`` epochs
        in a row whose objective is not ``tol`` below the lowest before, with ``tol`` as it is.
    shuffle : bool, 'block' or 'replacement', default=True
        Whether to draw a new order of the rows for every epoch, by ``random_state`` and the number of the epoch, not by
        the batch size. A full batch is gradient descent: all rows once, whatever ``shuffle`` is.
        ``'block'`` draws an order of blocks of 256 rows, then mixes the rows of every 32: nearly sequential reading,
        for rows that are memory-mapped (``numpy.load(..., mmap_mode="r")``) or too many for the memory's caches. Rows
        sorted by ``y`` then converge more slowly, rows in any other order as with True. ``'replacement'`` draws every
        row of an epoch from all rows, as theory has it (:func:`minibatch.diagnostics.stability_limit`): the gradient of
        a batch of ``B`` rows has the covariance of single rows' over ``B``, not ``1 - B / n_samples`` times that.
    verbose : int, default=0
        Whether to print a line for every epoch.
    random_state : int, RandomState instance or None, default=None
        Seed of the sample order. Pass an int for reproducible models.
    learning_rate : str or callable, default='auto'
        How the learning rate changes from the first one, ``eta0``; :mod:`minibatch.schedules` has the formulas.

        * ``'constant'``: ``eta0``. ``'adaptive'``: ``eta0``, divided by 5 whenever the stopping rule is met.
        * ``'invscaling'``: ``eta0 / t ** power_t`` in update ``t``. ``'inverse_time'``:
          ``eta0 / (1 + alpha eta0 (t - 1))`` [Bottou2010]_.
        * ``'step'``: ``eta0``, times ``cycle_decay`` after every ``cycle_length``.
        * ``'cosine'``: from ``eta0`` down to 0 along a ``cycle_length``, then again.
        * ``'triangular'``, ``'triangular2'``, ``'exp_range'``: up from ``eta0`` to ``max_eta`` and down again along a
          ``cycle_length``, over and over, with a rise that stays, halves after every cycle, or falls to ``cycle_decay``
          of itself along a cycle.
        * ``'one_cycle'``: up from ``eta0`` to ``max_eta`` in a quarter of ``cycle_length``, then down to almost 0.
        * A function of a :class:`minibatch.schedules.Progress`: ``eta0`` times what it gives.
        * ``'optimal'``: ``1 / (alpha (t0 + t - 1))`` at batch size 1 (:func:`minibatch.schedules.optimal`); for
          batches ``'inverse_time'`` from a first rate that is found as by ``eta0='auto'``.
        * ``'dowg'`` [Khaled2023]_, for ``solver='sgd'``: ``r^2 / sqrt(v)`` with the largest distance ``r`` from
          the first parameters, ``eta0`` at least, and ``v`` the sum of ``r^2 ||g||^2``, ``g`` with L2. Columns
          of y and classes against the rest have one each; ``history_`` has the largest. An update costs all
          weights.
        * ``'auto'``: no number to set, at any batch size; nothing in it depends on how long training lasts. With
          ``solver='sgd'`` it is dual averaging [Xiao2010]_ at the rate of DoWG, with gradients taken between the
          iterate and the average of all iterates [Defazio2024]_. The first distance is how far steepest descent goes
          until half of its slope is left, on up to 1000 rows; columns are scaled by their units, and by how rare they
          are. The model is that average, so ``average`` does nothing more. A short last batch is a part of an update.
          An update costs 1 to 2 times what it costs with ``'constant'``, and the memory of three models is kept. With
          other solvers it is a constant rate, found as by ``eta0='auto'``. See ``docs/rates.md``.

        ``alpha`` is ``nu`` here. The first distance of ``'auto'`` is half of the way to the best model along the mean
        row. With it an update costs all weights. Few updates an epoch need many epochs: a full batch takes hundreds to
        the precision that single rows have after 20. The stopping rule does not wait for the end of a cycle;
        ``tol=None`` does.
    eta0 : float or 'auto', default=0.01
        First learning rate; not used by ``learning_rate='auto'`` and ``'optimal'``, which find their own. The
        best one depends on ``batch_size``: tune them together. ``'auto'`` tries rates, with this solver,
        schedule and batch size, in short runs on up to 4000 of the rows, judges them on up to 2000 others,
        and lowers the best for the length of the whole run. It goes below 0.01 only where trials say enough,
        and is at most what curvature allows full batches. It costs a fifth to a half of 20 epochs of 6000 rows,
        no more for more rows. See ``eta0_``, and ``docs/rates.md`` for how near the best it comes.
        ``partial_fit`` does so on its first chunk, which should be a large one. Of ``'dowg'`` it is the length of
        the first step, well below what there is to go.
    power_t : float, default=0.5
        Exponent of ``'invscaling'``.
    warm_start : bool, default=False
        Whether ``fit`` goes on from the parameters, the optimizer's memory and the average of the last call. The
        learning-rate schedule begins anew, as in scikit-learn.
    average : bool or int, default=False
        Whether ``coef_`` is the average of the parameters after every update; an int is the number of rows after which
        averaging begins. Averaging takes the noise out of small batches: try it before a smaller rate.
    n_iter_no_change : int, default=5
        How many epochs the stopping rule looks at; see ``tol``.
    batch_size : int, float in (0, 1], 'full' or 'auto', default=32
        Rows per update: a number, a share of the training rows, all of them, or a number that suits them; see above.
        It is resolved in ``fit``, on the rows trained on: see ``batch_size_``.
    last_batch : {'keep', 'drop'}, default='keep'
        Whether a short last batch makes an update (with the mean over its own rows) or is left out of the epoch.
    solver : str, default='sgd'
        How a batch's gradient becomes an update: ``'sgd'``, ``'momentum'``, ``'nesterov'``, ``'adagrad'``,
        ``'rmsprop'``, ``'adam'``, ``'adamw'``, ``'schedule_free_sgd'`` or ``'schedule_free_adamw'``.
        All but the two with ``'adamw'``, which decay the weights beside the step [Loshchilov2017]_, lead to the same
        optimum. On sparse rows ``'sgd'`` and solvers that remember slopes cost the stored values, the others all
        weights, per update.
        The schedule-free solvers [Defazio2024]_ take gradients at ``y = (1 - b) z + b x``, step from ``z`` and average:
        ``x += eta_t^2 / (eta_1^2 + ... + eta_t^2) (z - x)``. The model is ``x``; progressive losses are those at ``y``.
        ``b`` is ``momentum`` (of the second: ``beta_1``) and above 0; a step is ``z -= eta (g + alpha y)``, in the
        second with ``g`` over the root of its mean square. The rate need not fall; the authors advise a ``warmup`` and
        10 to 50 times the rate of a momentum of 0.9, or 1 to 10 times that of ``'adamw'``.
        L1 is a proximal step of ``z``, so that weights of ``x`` only tend to 0. ``average`` does not go with them.
    momentum : float in [0, 1), default=0.9
        Of ``'momentum'`` and ``'nesterov'``: ``v = momentum v + g; w -= eta v``. The effective rate is
        ``eta / (1 - momentum)``. Of ``'schedule_free_sgd'``: ``b``.
    beta_1 : float in [0, 1), default=0.9
        Decay of the mean gradient of ``'adam'`` and ``'adamw'``; ``b`` of ``'schedule_free_adamw'``.
    beta_2 : float in [0, 1), default=0.999
        Decay of the mean squared gradient of ``'rmsprop'`` and the solvers with ``'adam'`` in their names.
    adam_epsilon : float, default=1e-8
        Added to the root of the (mean) squared gradient in ``'adagrad'``, ``'rmsprop'`` and those with ``'adam'``.
    max_updates : int or None, default=None
        Stops ``fit`` after so many updates, in the middle of an epoch if need be: a budget for comparing batch sizes.
        ``max_iter`` holds all the same: set it high enough. ``partial_fit`` trains on the whole chunk, whatever it is.
    evaluate_every : int or None, default=None
        Evaluate loss, objective and gradient norm over all training rows after every so many epochs, for ``history_``.
        Each evaluation costs about as much as a full-batch epoch.
    n_jobs : int or None, default=None
        Threads. They share the rows of batches of 8192 rows or more, and the outputs otherwise; the model does not
        depend on their number. None means 1 unless a ``joblib.parallel_backend`` says otherwise.
    max_eta : float or None, default=None
        The top of ``'triangular'``, ``'triangular2'``, ``'exp_range'`` and ``'one_cycle'``. None means four times the
        first rate; a calibrated rate is at most a quarter of it. See
        :func:`minibatch.diagnostics.learning_rate_range_test`.
    cycle_length : float or None, default=None
        Epochs (calls of ``partial_fit``) of a cycle, up and down, or of a step. None means 8; for ``'cosine'`` and
        ``'one_cycle'`` the whole run: ``max_iter`` epochs (calls), or fewer where a budget allows fewer.
    cycle_decay : float in (0, 1], default=0.5
        What ``'step'`` and ``'exp_range'`` multiply by for every ``cycle_length``.
    decay_base : bool, default=False
        Whether in ``'exp_range'`` the lower bound decays too, not only the rise above it.
    warmup : float, default=0.0
        Epochs (calls of ``partial_fit``) in which the rate rises to that of the schedule: for large batches and rates.
    learning_rate_scaling : {'linear', 'sqrt', 'sde'} or None, default=None
        Whether the rates given are those of ``reference_batch_size``, to be multiplied by
        ``batch_size / reference_batch_size`` or its root, for a search over batch sizes alone: a start, not a law, see
        :func:`minibatch.schedules.scale_learning_rate`. ``'sde'`` is the root for ``'adam'``, ``'adamw'`` and
        ``'rmsprop'``, with ``beta_1``, ``beta_2`` and epsilon scaled so that their memory is as many rows:
        :func:`minibatch.schedules.scale_adam`. A batch that grows keeps the numbers of its first size.
    reference_batch_size : int, default=32
        The batch size that the rates given are for; with ``'sde'``, betas and epsilon too.
    batch_growth : float > 1, 'adaptive', 'schedule' or None, default=None
        What the batch size is multiplied by, time and again: early updates need less precision than late ones, and a
        growing batch does what a falling rate does, in fewer updates [Smith2017]_. ``'adaptive'`` looks at the noise of
        the gradient after every epoch (norm test [Byrd2012]_), and lets the batch grow, to twice its size at most.
        ``'schedule'`` puts growth in place of the decay of ``learning_rate``. Where an epoch would begin at a rate
        ``1 / k`` of the highest before, its batches have ``k`` times ``batch_size`` rows; rates are those of the
        schedule times ``k`` [Smith2017]_ or, with solvers that divide by the size of gradients, ``sqrt(k)``: twice the
        batch and a rate over ``sqrt(2)`` for half the rate [Meterez2025]_. Every ``fit`` begins with ``batch_size``
        again; ``partial_fit`` does not grow.
    batch_growth_interval : int or None, default=None
        Epochs from one growth to the next, or from one look to the next. None means 10, and 1 for the two by name.
    max_batch_size : int, float in (0, 1], 'full' or None, default=None
        Where the growth ends, said in the manner of ``batch_size``; a ``batch_size`` above it stays. None means all
        rows, for ``'schedule'`` a tenth of them, as [Smith2017]_ has it; from there on the rate falls.

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,)
        Weights.
    offset_ : ndarray of shape (1,)
        The ``rho`` of the objective: ``decision_function(X) = score_samples(X) - offset_``.
    intercept_ : ndarray of shape (1,)
        ``-offset_``, by the name that the other linear models have for it.
    t_ : float
        Number of the next update for the learning-rate schedule.
    n_iter_ : int
        Epochs of the last call.
    n_updates_ : int
        Updates done, those of earlier calls included where training went on.
    batch_size_ : int
        Rows of a batch, resolved; after growth, of the last epoch. ``history_`` has that of every epoch.
    eta0_ : float
        First rate of the schedule, before ``warmup``: given, scaled, calibrated or ``'optimal'``; NaN if there is none.
    status_ : str
        Why training stopped: ``'converged'`` (MB101), ``'max_updates'`` (MB103), ``'stopped_by_callback'`` (MB104),
        ``'max_iter'`` (MB105); or, whatever ended it, ``'diverged'`` (MB109): the objective is no longer finite; or it
        ended clearly above where it began, and was not coming down; or, in batches of one row that end as in
        scikit-learn, above its lowest. Of a call of ``partial_fit`` only the first is said. ``docs/warnings.md`` has a
        section a code.
    history_ : History
        What happened, epoch by epoch; of more than 10,000 calls of ``partial_fit``, so many as are kept.
    n_features_in_ : int
        Number of columns of X.
    feature_names_in_ : ndarray of shape (``n_features_in_``,)
        Names of the columns, where X has any.

    See Also
    --------
    MiniBatchSGDClassifier : Where outliers are labelled.
    sklearn.linear_model.SGDOneClassSVM : Batch size 1 in Cython.
    sklearn.svm.OneClassSVM : The same with kernels, whose cost grows with the square of the number of rows.

    References
    ----------
    .. [Scholkopf2001] Schölkopf et al., "Estimating the support of a high-dimensional distribution", Neural Computation
       13, 2001.
    .. [Bottou2010] Bottou, "Large-scale machine learning with stochastic gradient descent", COMPSTAT 2010.
    .. [Khaled2023] Khaled, Mishchenko & Jin, "DoWG unleashed: an efficient universal parameter-free gradient descent
       method", arXiv 2305.16284.
    .. [Xiao2010] Xiao, "Dual averaging methods for regularized stochastic learning and online optimization", JMLR 11,
       2010.
    .. [Defazio2024] Defazio et al., "The road less scheduled", arXiv 2405.15682.
    .. [Loshchilov2017] Loshchilov & Hutter, "Decoupled weight decay regularization", arXiv 1711.05101.
    .. [Smith2017] Smith et al., "Don't decay the learning rate, increase the batch size", arXiv 1711.00489.
    .. [Byrd2012] Byrd et al., "Sample size selection in optimization methods for machine learning", Math. Program. 134,
       2012.
    .. [Meterez2025] Meterez et al., "Seesaw: accelerating training by balancing learning rate and batch size
       scheduling", arXiv 2510.14717.

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
        "learning_rate": [ScheduleNames({*SCHEDULES, "auto"}, "eta0"), callable],
        "solver": [StrOptions(set(SOLVERS))],
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
        solver: GradientSolver = "sgd",
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
