"""The linear regressor."""

from numbers import Real

from sklearn.utils._param_validation import Interval, StrOptions

from minibatch._base.keywords import says_what_was_meant
from minibatch._base.types import (
    BatchGrowth,
    BatchSize,
    FirstRate,
    Flag,
    Integer,
    LargestBatchSize,
    LastBatch,
    LinearSchedule,
    LinearSolver,
    Number,
    Penalty,
    RandomState,
    RateScaling,
    RegressionLoss,
    Scoring,
    Shuffle,
)
from minibatch.engine.losses import REGRESSION
from minibatch.linear_model._regression import RegressingLinearModel

__all__ = ["MiniBatchSGDRegressor"]


class MiniBatchSGDRegressor(RegressingLinearModel):
    """Linear regression (least squares, robust, quantile, Poisson, ...) by gradient descent with a chosen batch size.

    ``batch_size`` is the number of rows per update:

    * an int: so many rows, at most all of them; 1 gives what ``SGDRegressor`` of scikit-learn gives;
    * a float in (0, 1]: that share of the training rows;
    * ``'full'``: all training rows, which is gradient descent;
    * ``'auto'``: the largest power of two up to the root of the number of training rows, between 8 and 256.

    Otherwise this is ``SGDRegressor`` of scikit-learn: change the class, keep the parameters. It minimises

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
        ``mu - y log(mu)`` for y >= 0, ``'gamma'`` ``log(mu) + y / mu`` for y > 0. ``'log_loss'`` is for shares and
        probabilities, y in [0, 1]: ``-y log(p) - (1 - y) log(1 - p)`` with ``p = 1 / (1 + exp(-x @ w - b))``, which is
        predicted; as a classifier that has each row twice, as 1 with weight y and as 0 with ``1 - y``.
    penalty : {'l2', 'l1', 'elasticnet'} or None, default='l2'
        The penalty ``R``: ``1/2 ||w||^2``, ``||w||_1``, or their mixture by ``l1_ratio``. L1 is a proximal step that
        sets weights to exactly 0; batches smaller than the data take it cumulatively [Tsuruoka2009]_, as scikit-learn
        does.
    alpha : float, default=0.0001
        Strength of the penalty. It means the same for every ``batch_size``.
    l1_ratio : float in [0, 1] or None, default=0.15
        Share of L1 in ``penalty='elasticnet'``; not used by the others.
    fit_intercept : bool, default=True
        Whether to train an intercept. It is not penalised.
    max_iter : int, default=1000
        Largest number of epochs (passes over the training rows) of ``fit``.
    tol : float or None, default=1e-3
        Training has converged when the mean objective of the last ``n_iter_no_change`` epochs is at most ``tol`` times
        the loss of the best constant below that of the ``n_iter_no_change`` epochs before. It must not have risen
        either (by more than that and three standard errors, above its lowest mean of so many epochs), and it must be no
        higher than where the fit began (in a warm start, by that much), nor far above the loss of the best constant;
        until then training goes on. The objective of an epoch is its progressive loss (every row before it was trained
        on) plus the penalty. The loss of the best constant, a model without columns, makes ``tol`` mean the same
        whatever the scale of y; of log links and shares it counts from the least possible loss. With
        ``early_stopping`` the validation score is compared instead. None trains for ``max_iter`` epochs and keeps the
        last parameters.

        Batches of one row with a learning rate of scikit-learn (``'constant'``, ``'optimal'``, ``'invscaling'``,
        ``'adaptive'``, ``'pa1'``, ``'pa2'``), ``solver='sgd'``, one output and no weights stop where scikit-learn does:
        after ``n_iter_no_change`` epochs in a row whose objective is not ``tol`` below the lowest before, with ``tol``
        as it is. Only where the objective is above its beginning then, and coming down, training goes on.
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
    epsilon : float, default=0.1
        Width of the flat (``'epsilon_insensitive'``) or quadratic (``'huber'``) part of the loss, in units of y.
    random_state : int, RandomState instance or None, default=None
        Seed of the sample order and of the validation split. Pass an int for reproducible models.
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
        * ``'pa1'``, ``'pa2'``: passive-aggressive steps [Crammer2006]_, for ``solver='sgd'`` and the losses ``'hinge'``
          (of the classifier) and ``'epsilon_insensitive'`` (of the regressor). A row asks for a step of
          ``min(eta0, loss / ||x||^2)``, or ``loss / (||x||^2 + 1 / (2 eta0))``, against its slope of -1 or +1; a
          batch takes the mean of them. The objective is the loss alone, as in scikit-learn.

        The stopping rule does not wait for the end of a cycle; ``tol=None`` does.
    eta0 : float or 'auto', default=0.01
        First learning rate; not used by ``learning_rate='auto'`` and ``'optimal'``, which find their own. The
        best one depends on ``batch_size``: tune them together. ``'auto'`` tries rates, with this solver,
        schedule and batch size, in short runs on up to 4000 of the rows, judges them on up to 2000 others,
        and lowers the best for the length of the whole run. It goes below 0.01 only where trials say enough,
        and is at most what curvature allows full batches. It costs a fifth to a half of 20 epochs of 6000 rows,
        no more for more rows. See ``eta0_``, and ``docs/rates.md`` for how near the best it comes.
        ``partial_fit`` does so on its first chunk, which should be a large one. Of ``'dowg'`` it is the length of
        the first step, well below what there is to go.
        Of ``'pa1'`` and ``'pa2'`` it is the ``C`` of [Crammer2006]_: make it small for noisy data.
    power_t : float, default=0.25
        Exponent of ``'invscaling'``.
    early_stopping : bool, default=False
        Whether to hold out ``validation_fraction`` of the rows (or to use ``X_val`` of ``fit``), to stop when the
        validation score has not improved by ``tol`` for ``n_iter_no_change`` epochs, and to restore the parameters of
        the best score (see ``scoring``). Of equal scores the one with the lowest validation loss is the best, and a
        loss that falls (by ``tol`` times that of the best constant) at an equal score of a classifier below 1 is
        progress.
    validation_fraction : float in (0, 1), default=0.1
        Share of the rows that ``early_stopping`` holds out.
    n_iter_no_change : int, default=5
        How many epochs the stopping rule looks at; see ``tol``.
    warm_start : bool, default=False
        Whether ``fit`` goes on from the parameters, the optimizer's memory and the average of the last call. The
        learning-rate schedule begins anew, as in scikit-learn.
    average : bool or int, default=False
        Whether ``coef_`` is the average of the parameters after every update; an int is the number of rows after which
        averaging begins. Averaging takes the noise out of small batches: try it before a smaller rate.
    batch_size : int, float in (0, 1], 'full' or 'auto', default=32
        Rows per update: a number, a share of the training rows, all of them, or a number that suits them; see above.
        It is resolved in ``fit``, on the rows trained on: see ``batch_size_``.
    last_batch : {'keep', 'drop'}, default='keep'
        Whether a short last batch makes an update (with the mean over its own rows) or is left out of the epoch.
    solver : str, default='sgd'
        How a batch's gradient becomes an update: ``'sgd'``, ``'momentum'``, ``'nesterov'``, ``'adagrad'``,
        ``'rmsprop'``, ``'adam'``, ``'adamw'``, ``'schedule_free_sgd'``, ``'schedule_free_adamw'``, ``'svrg'``,
        ``'saga'`` or ``'lbfgs'``.
        All but the two with ``'adamw'``, which decay the weights beside the step [Loshchilov2017]_, lead to the same
        optimum. On sparse rows ``'sgd'`` and solvers that remember slopes cost the stored values, the others all
        weights, per update.
        The schedule-free solvers [Defazio2024]_ take gradients at ``y = (1 - b) z + b x``, step from ``z`` and average:
        ``x += eta_t^2 / (eta_1^2 + ... + eta_t^2) (z - x)``. The model is ``x``; progressive losses are those at ``y``.
        ``b`` is ``momentum`` (of the second: ``beta_1``) and above 0; a step is ``z -= eta (g + alpha y)``, in the
        second with ``g`` over the root of its mean square. The rate need not fall; the authors advise a ``warmup`` and
        10 to 50 times the rate of a momentum of 0.9, or 1 to 10 times that of ``'adamw'``.
        L1 is a proximal step of ``z``, so that weights of ``x`` only tend to 0. ``average`` does not go with them.

        ``'svrg'`` [Johnson2013]_ and ``'saga'`` [Defazio2014]_ remember a slope ``r_i`` of every row and step along
        ``mean_B (s_i - r_i) x_i + mean_all r_i x_i``, whose noise ends at the optimum: a constant rate reaches it at
        every batch size. ``'svrg'`` takes all slopes anew before each epoch, in one more pass, ``'saga'`` those of the
        batch. With ``learning_rate='auto'`` the rate is ``1 / (a L + (1 - a) M)``, ``a = n (B - 1) / (B (n - 1))``,
        from the largest curvatures ``L`` of the objective and ``M`` of a row's (``'saga'``: three times that), and that
        of ``eta0='auto'`` for losses whose slopes grow without bound or jump. ``'lbfgs'`` hands the objective to
        :func:`scipy.optimize.minimize`, whatever ``batch_size`` is: without L1, for losses whose slopes do not jump.
        These three know neither ``partial_fit`` nor ``average``.
    momentum : float in [0, 1), default=0.9
        Of ``'momentum'`` and ``'nesterov'``: ``v = momentum v + g; w -= eta v``. The effective rate is
        ``eta / (1 - momentum)``. Of ``'schedule_free_sgd'``: ``b``.
    beta_1 : float in [0, 1), default=0.9
        Decay of the mean gradient of ``'adam'`` and ``'adamw'``; ``b`` of ``'schedule_free_adamw'``.
    beta_2 : float in [0, 1), default=0.999
        Decay of the mean squared gradient of ``'rmsprop'`` and the solvers with ``'adam'`` in their names.
    adam_epsilon : float, default=1e-8
        Added to the root of the (mean) squared gradient in ``'adagrad'``, ``'rmsprop'`` and those with ``'adam'``.
    quantile : float in (0, 1), default=0.5
        The quantile that ``loss='quantile'`` estimates.
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
        growing batch does what a falling rate does, in fewer updates [Smith2017]_. ``'adaptive'`` lets it grow, to
        twice its size at most, after epochs at whose end the standard error of its gradient,
        ``sqrt(tr(S) (1 / B - 1 / n))``, is more than 0.9 times its norm (norm test [Byrd2012]_, on up to 1024 rows or
        four batches). ``'schedule'`` puts growth in place of the decay of ``learning_rate``. Where an epoch would begin
        at a rate ``1 / k`` of the highest before, its batches have ``k`` times ``batch_size`` rows; rates are those of
        the schedule times ``k`` [Smith2017]_ or, with solvers that divide by the size of gradients, ``sqrt(k)``: twice
        the batch and a rate over ``sqrt(2)`` for half the rate [Meterez2025]_. Every ``fit`` begins with ``batch_size``
        again; ``partial_fit`` does not grow.
    batch_growth_interval : int or None, default=None
        Epochs from one growth to the next, or from one look to the next. None means 10, and 1 for the two by name.
    max_batch_size : int, float in (0, 1], 'full' or None, default=None
        Where the growth ends, said in the manner of ``batch_size``; a ``batch_size`` above it stays. None means all
        rows, for ``'schedule'`` a tenth of them, as [Smith2017]_ has it; from there on the rate falls.
    scoring : str, callable or None, default=None
        The score that ``early_stopping`` looks at, on the validation set: ``validation_score`` in ``history_``. None is
        accuracy or R squared; ``'loss'`` the mean loss, its sign changed, for which ``tol`` counts as for the
        objective; else a name of ``sklearn.metrics.get_scorer_names()`` or a function ``scorer(estimator, X, y)``,
        which gets ``sample_weight`` too where it has such an argument. Higher is better.

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,) or (n_outputs, n_features)
        Weights; two-dimensional where y is.
    intercept_ : ndarray of shape (n_outputs,)
        Intercepts.
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
        Why training stopped: ``'converged'`` (MB101), ``'early_stopped'`` (MB102), ``'max_updates'`` (MB103),
        ``'stopped_by_callback'`` (MB104), ``'max_iter'`` (MB105); or, whatever ended it, ``'diverged'`` (MB109): the
        objective is not finite, or ended above where it began and above that of the best constant and was not coming
        down, or, in batches of one row that end as in scikit-learn, above its lowest. Of ``partial_fit`` and of a
        perceptron, whose loss has no scale, only the first is said. ``docs/warnings.md`` has a section a code.
    history_ : History
        What happened, epoch by epoch; of more than 10,000 calls of ``partial_fit``, so many as are kept.
    n_features_in_ : int
        Number of columns of X.
    feature_names_in_ : ndarray of shape (``n_features_in_``,)
        Names of the columns, where X has any.

    See Also
    --------
    MiniBatchSGDClassifier : The same for classification.
    sklearn.linear_model.SGDRegressor : Batch size 1 in Cython.

    References
    ----------
    .. [Tsuruoka2009] Tsuruoka, Tsujii & Ananiadou, "Stochastic gradient descent training for L1-regularized log-linear
       models with cumulative penalty", ACL 2009.
    .. [Bottou2010] Bottou, "Large-scale machine learning with stochastic gradient descent", COMPSTAT 2010.
    .. [Khaled2023] Khaled, Mishchenko & Jin, "DoWG unleashed: an efficient universal parameter-free gradient descent
       method", arXiv 2305.16284.
    .. [Xiao2010] Xiao, "Dual averaging methods for regularized stochastic learning and online optimization", JMLR 11,
       2010.
    .. [Defazio2024] Defazio et al., "The road less scheduled", arXiv 2405.15682.
    .. [Crammer2006] Crammer et al., "Online passive-aggressive algorithms", JMLR 7, 2006.
    .. [Loshchilov2017] Loshchilov & Hutter, "Decoupled weight decay regularization", arXiv 1711.05101.
    .. [Johnson2013] Johnson & Zhang, "Accelerating stochastic gradient descent using predictive variance reduction",
       NIPS 2013.
    .. [Defazio2014] Defazio, Bach & Lacoste-Julien, "SAGA: a fast incremental gradient method", NIPS 2014,
       arXiv 1407.0202.
    .. [Smith2017] Smith et al., "Don't decay the learning rate, increase the batch size", arXiv 1711.00489.
    .. [Byrd2012] Byrd et al., "Sample size selection in optimization methods for machine learning", Math. Program. 134,
       2012.
    .. [Meterez2025] Meterez et al., "Seesaw: accelerating training by balancing learning rate and batch size
       scheduling", arXiv 2510.14717.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.model_selection import GridSearchCV
    >>> from minibatch import MiniBatchSGDRegressor
    >>> X, y = load_diabetes(return_X_y=True)
    >>> search = GridSearchCV(
    ...     MiniBatchSGDRegressor(random_state=0), {"batch_size": [1, 16, 128, "full"]}
    ... ).fit(X, y)
    >>> search.cv_results_["mean_test_score"].round(2)
    array([0.48, 0.48, 0.48, 0.48])
    >>> search.best_estimator_.status_
    'converged'
    """

    loss_functions = tuple(REGRESSION)
    _parameter_constraints: dict = {
        **RegressingLinearModel._parameter_constraints,
        "loss": [StrOptions(set(REGRESSION))],
        "quantile": [Interval(Real, 0, 1, closed="neither")],
    }

    @says_what_was_meant
    def __init__(
        self,
        loss: RegressionLoss = "squared_error",
        *,
        penalty: Penalty = "l2",
        alpha: Number = 0.0001,
        l1_ratio: Number | None = 0.15,
        fit_intercept: Flag = True,
        max_iter: Integer = 1000,
        tol: Number | None = 1e-3,
        shuffle: Shuffle = True,
        verbose: Flag | Integer = 0,
        epsilon: Number = 0.1,
        random_state: RandomState = None,
        learning_rate: LinearSchedule = "auto",
        eta0: FirstRate = 0.01,
        power_t: Number = 0.25,
        early_stopping: Flag = False,
        validation_fraction: Number = 0.1,
        n_iter_no_change: Integer = 5,
        warm_start: Flag = False,
        average: Flag | Integer = False,
        batch_size: BatchSize = 32,
        last_batch: LastBatch = "keep",
        solver: LinearSolver = "sgd",
        momentum: Number = 0.9,
        beta_1: Number = 0.9,
        beta_2: Number = 0.999,
        adam_epsilon: Number = 1e-8,
        quantile: Number = 0.5,
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
        scoring: Scoring = None,
    ) -> None:
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
        self.scoring = scoring
