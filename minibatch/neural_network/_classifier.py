"""The network that classifies."""

from minibatch._base.keywords import says_what_was_meant
from minibatch._base.types import (
    Activation,
    BatchGrowth,
    BatchNormalization,
    BatchSize,
    FirstRate,
    Flag,
    Integer,
    Integers,
    LargestBatchSize,
    LastBatch,
    NetworkAverage,
    NetworkClassWeight,
    NetworkSchedule,
    NetworkSolver,
    Number,
    RandomState,
    RateScaling,
    Scoring,
    Shuffle,
)
from minibatch.neural_network._classification import ClassifyingNetwork

__all__ = ["MiniBatchMLPClassifier"]


class MiniBatchMLPClassifier(ClassifyingNetwork):
    """Multi-layer perceptron for classification, trained by gradient descent with a chosen batch size.

    ``batch_size`` is the number of rows per update:

    * an int: so many rows, at most all of them;
    * a float in (0, 1]: that share of the training rows;
    * ``'full'``: all training rows, which is gradient descent;
    * ``'auto'``: 200, or all training rows where there are fewer.

    ``solver='lbfgs'`` knows no batches: it takes all training rows, whatever ``batch_size`` is.

    Otherwise this is ``MLPClassifier`` of scikit-learn: change the class, keep the parameters. It minimises

        ``F = sum_i s_i loss(y_i, f(x_i)) / sum_i s_i + alpha/2 sum_layers ||W||^2``

    with weights ``s_i``, for every batch size alike: an update follows the mean gradient of its batch plus the whole
    gradient of the penalty. The loss is the cross-entropy of the softmax of the last layer; for two classes the log
    loss of its one output; for several labels a row (y an indicator matrix) the sum of the log losses of the labels.

    Parameters
    ----------
    hidden_layer_sizes : int or array-like of int, default=(100,)
        Units of each hidden layer.
    activation : {'identity', 'logistic', 'tanh', 'relu', 'gelu'}, default='relu'
        Of the hidden units, of ``z = inputs @ W + b``: ``z``; ``1 / (1 + exp(-z))``; ``tanh(z)``; ``max(0, z)``;
        ``z Phi(z)`` with the normal distribution function ``Phi`` [Hendrycks2016]_.
    solver : str, default='adam'
        How a batch's gradient becomes an update: ``'adam'``, ``'sgd'``, ``'momentum'``, ``'nesterov'``, ``'adagrad'``,
        ``'rmsprop'``, ``'adamw'``, ``'schedule_free_sgd'``, ``'schedule_free_adamw'`` or ``'lbfgs'``. ``'sgd'`` has the
        ``momentum`` of the parameter, by default Nesterov's, as in scikit-learn; ``momentum=0`` makes it plain. The two
        with ``'adamw'`` decay the weights beside their steps [Loshchilov2017]_, all others descend on the same
        objective. ``'lbfgs'`` hands the objective of all rows to :func:`scipy.optimize.minimize`: good for small data;
        ``batch_size`` and its growth, rates and momenta are not used.

        The schedule-free solvers [Defazio2024]_ take gradients at ``y = (1 - b) z + b x``, step from ``z`` and average:
        ``x += eta_t^2 / (eta_1^2 + ... + eta_t^2) (z - x)``. The model is ``x``; progressive losses are those at ``y``.
        ``b`` is ``momentum`` (of the second: ``beta_1``) and above 0; a step is ``z -= eta (g + alpha y)``, in the
        second with ``g`` over the root of its mean square. The rate need not fall; the authors advise a ``warmup`` and
        10 to 50 times the rate of a momentum of 0.9, or 1 to 10 times that of ``'adamw'``.
        ``batch_normalization``, whose running statistics would be those of ``y``, does not go with them.
    alpha : float, default=0.0001
        Strength of the penalty. It means the same for every ``batch_size``. scikit-learn divides its ``alpha`` by the
        number of rows of a batch (``'lbfgs'``: of all rows): its model has ``alpha / batch_size`` here.
    batch_size : int, float in (0, 1], 'full' or 'auto', default='auto'
        Rows per update: a number, a share of the training rows, all of them, or a number that suits them; see above.
        It is resolved in ``fit``, on the rows trained on: see ``batch_size_``.
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

        Here ``eta0`` is ``learning_rate_init``, and ``t`` of ``'invscaling'`` the rows seen before the epoch plus 1, as
        in scikit-learn. Every solver but ``'lbfgs'`` has schedules (there only ``'sgd'``). The stopping rule does not
        wait for the end of a cycle; ``tol=None`` does.

        ``'auto'`` needs no number. Update ``t`` has the rate ``min(k, 0.3 / sqrt(t))``, with the best ``k`` of
        three (``eta0_``) in 20 updates or 512 rows, which warm starts and ``partial_fit`` keep. The model is an
        average of the parameters, ``average += 9 / (t + 8) (w - average)`` [Shamir2013]_. See
        ``docs/rates_networks.md``.
    learning_rate_init : float or 'auto', default=0.001
        First learning rate; with ``learning_rate='auto'`` any number but 0.001 is a constant one, with a warning, and
        so is any that is to be scaled (``learning_rate_scaling``).
        Tune it together with ``batch_size``. With other schedules ``'auto'`` finds one in some 20 short runs, as the
        linear models do (``eta0_``), ``partial_fit`` on its first chunk; see ``docs/rates_networks.md``.
    power_t : float, default=0.5
        Exponent of ``'invscaling'``.
    max_iter : int, default=200
        Largest number of epochs of ``fit`` (iterations of ``'lbfgs'``).
    shuffle : bool, 'block' or 'replacement', default=True
        Whether to draw a new order of the rows for every epoch, by ``random_state`` and the number of the epoch, not by
        the batch size. A full batch is gradient descent: all rows once, whatever ``shuffle`` is.
        ``'block'`` draws an order of blocks of 256 rows, then mixes the rows of every 32: nearly sequential reading,
        for rows that are memory-mapped (``numpy.load(..., mmap_mode="r")``) or too many for the memory's caches. Rows
        sorted by ``y`` then converge more slowly, rows in any other order as with True. ``'replacement'`` draws every
        row of an epoch from all rows, as theory has it (:func:`minibatch.diagnostics.stability_limit`): the gradient of
        a batch of ``B`` rows has the covariance of single rows' over ``B``, not ``1 - B / n_samples`` times that.
    random_state : int, RandomState instance or None, default=None
        Seed of the first weights (those of scikit-learn for the same seed), of the sample order, of dropout and of the
        validation split. Pass an int for reproducible models.
    tol : float or None, default=1e-4
        Training has converged when more than ``n_iter_no_change`` epochs in a row have not lowered the objective (the
        progressive loss, of every row before it was trained on, plus the penalty) below its lowest value before by
        ``tol`` times the loss of the best constant, which makes ``tol`` mean the same whatever the scale of y (of
        ``'poisson'`` and shares it counts from the least possible loss). It must not have risen either, by more than
        that and three standard errors, and be no higher than where the fit began, nor far above the loss of the best
        constant; otherwise training goes on for as many epochs again. Where the model is an average, that must have
        come to rest too. With ``early_stopping`` the validation score is compared instead. None trains for
        ``max_iter`` epochs and keeps the last parameters. For ``'lbfgs'``, ``tol`` times the root of that loss is the
        largest gradient to stop at.
    verbose : bool or int, default=False
        Whether to print a line for every epoch.
    warm_start : bool, default=False
        Whether ``fit`` goes on from the parameters, the optimizer's memory and the learning rate of the last call.
        Epochs without progress are counted anew; cycles and the warm-up begin anew.
    momentum : float in [0, 1], default=0.9
        Of ``'sgd'``, ``'momentum'`` and ``'nesterov'``: ``v = momentum v + g; w -= eta v``. The effective rate is
        ``eta / (1 - momentum)``. scikit-learn has the rate inside ``v``: the same at a constant rate.
    nesterovs_momentum : bool, default=True
        Whether the momentum of ``'sgd'`` is Nesterov's: ``w -= eta (g + momentum v)``.
    early_stopping : bool, default=False
        Whether to hold out ``validation_fraction`` of the rows (or to use ``X_val`` of ``fit``), to stop when the
        validation score has not improved by ``tol`` for more than ``n_iter_no_change`` epochs, and to restore the
        parameters of the best score (see ``scoring``). Of equal scores the one with the lowest validation loss is the
        best, and a loss that falls (by ``tol`` times that of the best constant) at an equal score of a classifier below
        1 is progress.
    validation_fraction : float in [0, 1), default=0.1
        Share of the rows that ``early_stopping`` holds out; without it 0 may stand here, as in scikit-learn.
    beta_1 : float in [0, 1), default=0.9
        Decay of the mean gradient of ``'adam'`` [Kingma2014]_ and ``'adamw'``; ``b`` of ``'schedule_free_adamw'``.
    beta_2 : float in [0, 1), default=0.999
        Decay of the mean squared gradient of ``'rmsprop'`` and the solvers with ``'adam'`` in their names.
    epsilon : float, default=1e-8
        Added to the root of the (mean) squared gradient in ``'adagrad'``, ``'rmsprop'`` and those with ``'adam'``.
    n_iter_no_change : int or inf, default=10
        Epochs without progress that are tolerated; see ``tol``.
    max_fun : int, default=15000
        Largest number of evaluations of the objective by ``'lbfgs'``.
    class_weight : dict, list of dict, 'balanced' or None, default=None
        Weights of the classes, multiplied with ``sample_weight``; ``'balanced'`` is ``n_samples / (n_classes *
        np.bincount(y))``. For several labels a row: ``'balanced'`` or a list with one dict a label, whose weights are
        multiplied.
    dropout : float in [0, 1), default=0.0
        Share of the hidden units that is left out of an update, drawn anew for every row [Srivastava2014]_; the others
        count ``1 / (1 - dropout)`` times, so that predictions use all of them as they are.
    batch_normalization : bool or 'input', default=False
        Whether ``z = inputs @ W`` of the hidden units is brought to mean 0 and variance 1 over the rows of a batch,
        before a trained scale and the intercept [Ioffe2015]_. Rows count by their weights. Predictions use running
        statistics, in which a batch weighs 0.1 (the first ten, equally), its variance made unbiased where it is not all
        there is to train on. Every batch needs two rows or more; one in which fewer have weight is normalized by the
        running statistics. The objective depends on ``batch_size`` then, or on ``ghost_batch_size`` alone.
        ``'input'`` does it to the columns of a dense X as well (without scale and intercept): a ``StandardScaler`` that
        learns along with ``partial_fit``.
    ghost_batch_size : int or None, default=None
        Rows of a batch that ``batch_normalization`` normalizes by themselves [Hoffer2017]_, a single last row with the
        others; running statistics go towards the mean over these chunks. Batches of 1, 2, 3, ... chunks have one
        objective. Small chunks are noise, which may regularize; 32 is a usual number. None: all rows of the batch.
    average : bool, int or 'ema', default=False
        Whether the model, which is evaluated, early-stopped on and predicted with, is an average of the parameters
        after every update: of all, with an int of those after so many rows, with ``'ema'`` an exponential one. It takes
        the noise out of small batches and high rates: try it before a smaller rate. Training goes on from the last
        parameters. False: these, and with ``learning_rate='auto'`` the average that it has. Running statistics are
        averaged too, which suits parameters that are near each other. Not with ``'lbfgs'`` and schedule-free solvers.
    average_half_life : float, default=1.0
        Of ``'ema'``, in epochs (calls of ``partial_fit``): of ``m`` updates an epoch each makes ``average +=
        (1 - 2^(-1 / (m average_half_life))) (w - average)``, the first ones the mean. An epoch forgets as much whatever
        the batch size, which is the scaling rule of [Busbridge2023]_. For the default see ``docs/rates_networks.md``.
    last_batch : {'keep', 'drop'}, default='keep'
        Whether a short last batch makes an update (with the mean over its own rows) or is left out of the epoch.
    max_updates : int or None, default=None
        Stops ``fit`` after so many updates, in the middle of an epoch if need be: a budget for comparing batch sizes.
        ``max_iter`` holds all the same: set it high enough. ``partial_fit`` trains on the whole chunk, whatever it is.
    evaluate_every : int or None, default=None
        Evaluate loss, objective and gradient norm over all training rows after every so many epochs, for ``history_``.
        Each evaluation costs about as much as a full-batch epoch.
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
    classes_ : ndarray of shape (n_classes,)
        Labels of the classes.
    coefs_ : list of ndarray of shape (inputs, units)
        Weights of each layer.
    intercepts_ : list of ndarray of shape (units,)
        Intercepts of each layer.
    scales_, running_means_, running_variances_ : list of ndarray of shape (units,)
        Of each hidden layer, with ``batch_normalization``, else empty; the statistics of the inputs, with ``'input'``,
        are last.
    loss_ : float
        The last entry of ``loss_curve_``.
    loss_curve_ : list of float
        The objective epoch by epoch, penalty included: ``history_["progressive_objective"]``, of ``'lbfgs'``
        ``history_["objective"]``.
    best_loss_ : float or None
        The lowest of ``loss_curve_``; None with ``early_stopping``.
    validation_scores_ : list of float or None
        The score on the validation set epoch by epoch (see ``scoring``); None without one.
    best_validation_score_ : float or None
        The highest.
    n_layers_ : int
        Number of layers, inputs and outputs included.
    n_outputs_ : int
        Number of outputs.
    out_activation_ : str
        What makes a prediction out of the last layer.
    t_ : int
        Rows seen.
    eta0_ : float
        Learning rate that the schedule begins with, before ``warmup``: given, scaled or found; NaN for ``'lbfgs'``.
    status_ : str
        Why training stopped: ``'converged'`` (MB101), ``'early_stopped'`` (MB102), ``'max_updates'`` (MB103),
        ``'stopped_by_callback'`` (MB104), ``'max_iter'`` (MB105); or, whatever ended it, ``'diverged'`` (MB109): the
        objective is no longer finite (all that is said of a call of ``partial_fit``); or it ended above where it began
        and above that of the best constant, and was not coming down. ``docs/warnings.md`` has a section a code.
    n_iter_ : int
        Epochs of the last call.
    n_updates_ : int
        Updates done, those of earlier calls included where training went on.
    batch_size_ : int
        Rows of a batch, resolved; after growth, of the last epoch. ``history_`` has that of every epoch.
    history_ : History
        What happened, epoch by epoch; of more than 10,000 calls of ``partial_fit``, so many as are kept.
    n_features_in_ : int
        Number of columns of X.
    feature_names_in_ : ndarray of shape (``n_features_in_``,)
        Names of the columns, where X has any.

    See Also
    --------
    MiniBatchMLPRegressor : The same for regression.
    MiniBatchSGDClassifier : Without hidden layers.
    sklearn.neural_network.MLPClassifier : A Python loop over batches; the penalty depends on their size.

    Notes
    -----
    The first weights are uniform with the bounds of Glorot & Bengio [Glorot2010]_, as in scikit-learn. Batches that
    are worth it (rows times weights from 300,000 on) are shared by as many threads as BLAS is set to use; results do
    not depend on their number.

    References
    ----------
    .. [Hendrycks2016] Hendrycks & Gimpel, "Gaussian error linear units", arXiv 1606.08415.
    .. [Loshchilov2017] Loshchilov & Hutter, "Decoupled weight decay regularization", arXiv 1711.05101.
    .. [Defazio2024] Defazio et al., "The road less scheduled", arXiv 2405.15682.
    .. [Bottou2010] Bottou, "Large-scale machine learning with stochastic gradient descent", COMPSTAT 2010.
    .. [Shamir2013] Shamir & Zhang, "Stochastic gradient descent for non-smooth optimization: convergence results and
       optimal averaging schemes", ICML 2013, arXiv 1212.1824.
    .. [Kingma2014] Kingma & Ba, "Adam: a method for stochastic optimization", arXiv 1412.6980.
    .. [Srivastava2014] Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", JMLR 15,
       2014.
    .. [Ioffe2015] Ioffe & Szegedy, "Batch normalization", arXiv 1502.03167.
    .. [Hoffer2017] Hoffer, Hubara & Soudry, "Train longer, generalize better", NeurIPS 2017, arXiv 1705.08741.
    .. [Busbridge2023] Busbridge et al., "How to scale your EMA", NeurIPS 2023, arXiv 2307.13813.
    .. [Smith2017] Smith et al., "Don't decay the learning rate, increase the batch size", arXiv 1711.00489.
    .. [Byrd2012] Byrd et al., "Sample size selection in optimization methods for machine learning", Math. Program. 134,
       2012.
    .. [Meterez2025] Meterez et al., "Seesaw: accelerating training by balancing learning rate and batch size
       scheduling", arXiv 2510.14717.
    .. [Glorot2010] Glorot & Bengio, "Understanding the difficulty of training deep feedforward neural networks",
       AISTATS 2010.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.model_selection import GridSearchCV
    >>> from minibatch import MiniBatchMLPClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> model = MiniBatchMLPClassifier((32,), max_iter=10, tol=None, random_state=0)
    >>> search = GridSearchCV(model, {"batch_size": [8, 64, "full"]}).fit(X / 16, y)
    >>> search.best_params_
    {'batch_size': 64}
    """

    @says_what_was_meant
    def __init__(
        self,
        hidden_layer_sizes: Integer | Integers = (100,),
        activation: Activation = "relu",
        *,
        solver: NetworkSolver = "adam",
        alpha: Number = 0.0001,
        batch_size: BatchSize = "auto",
        learning_rate: NetworkSchedule = "auto",
        learning_rate_init: FirstRate = 0.001,
        power_t: Number = 0.5,
        max_iter: Integer = 200,
        shuffle: Shuffle = True,
        random_state: RandomState = None,
        tol: Number | None = 1e-4,
        verbose: Flag | Integer = False,
        warm_start: Flag = False,
        momentum: Number = 0.9,
        nesterovs_momentum: Flag = True,
        early_stopping: Flag = False,
        validation_fraction: Number = 0.1,
        beta_1: Number = 0.9,
        beta_2: Number = 0.999,
        epsilon: Number = 1e-8,
        n_iter_no_change: Number = 10,
        max_fun: Integer = 15000,
        class_weight: NetworkClassWeight = None,
        dropout: Number = 0.0,
        batch_normalization: BatchNormalization = False,
        ghost_batch_size: Integer | None = None,
        average: NetworkAverage = False,
        average_half_life: Number = 1.0,
        last_batch: LastBatch = "keep",
        max_updates: Integer | None = None,
        evaluate_every: Integer | None = None,
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
        self.class_weight = class_weight
        self.dropout = dropout
        self.batch_normalization = batch_normalization
        self.ghost_batch_size = ghost_batch_size
        self.average = average
        self.average_half_life = average_half_life
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
        self.scoring = scoring
