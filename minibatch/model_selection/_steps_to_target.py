"""`steps_to_target`: the fewest updates to a target, for every batch size at its own learning rate."""

import warnings
from collections.abc import Mapping, Sequence
from itertools import product
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.utils import _safe_indexing, indexable
from sklearn.utils._param_validation import Interval, validate_parameter_constraints
from sklearn.utils.validation import _check_sample_weight, _num_samples

from minibatch._base.estimator import MiniBatchEstimator
from minibatch._base.pipelines import fit_transform, parameter_path, split_pipeline, transform
from minibatch._base.ranges import countable, is_number
from minibatch._base.seeds import SEEDS
from minibatch._base.sparse import refuse_damaged
from minibatch.model_selection._arguments import seed_of, target_of
from minibatch.model_selection._folds import Part, run_all, unknown_classes
from minibatch.model_selection._steps_result import StepsToTargetResult, result_of
from minibatch.model_selection._steps_trials import search
from minibatch.model_selection._steps_watch import Task, looks_up_to
from minibatch.model_selection._summary import Target
from minibatch.model_selection._varied import check_candidate, plain_values

__all__ = ["steps_to_target"]

_CONSTRAINTS: dict[str, list[Any]] = {
    "max_updates": [Interval(Integral, 1, None, closed="left")],
    "n_repeats": [Interval(Integral, 1, 10**6, closed="both")],
    "n_jobs": [Integral, None],
    "random_state": ["random_state"],
    "confidence": [Interval(Real, 0, 1, closed="neither")],
    "progress_bar": ["boolean"],
}


def steps_to_target(
    estimator: Any,
    X: Any,
    y: Any,
    *,
    batch_sizes: Sequence[Any],
    learning_rates: Sequence[float] | None = None,
    momenta: Sequence[float] | None = None,
    target: float | Mapping[str, float] | tuple[str, float],
    max_updates: int,
    X_test: Any = None,
    y_test: Any = None,
    n_repeats: int = 1,
    n_jobs: int | None = None,
    random_state: Any = None,
    sample_weight: Any = None,
    confidence: float = 0.95,
    progress_bar: bool = False,
) -> StepsToTargetResult:
    """The fewest updates in which every batch size reaches a target, and the size beyond which larger ones gain little.

    For each batch size ``B``, ``S(B)`` is the number of updates after which the target is first reached, least over
    constant learning rates (and momenta): batch sizes can only be compared when each has its own rate [1]_. Without
    ``learning_rates``, an estimator with ``learning_rate="auto"`` finds that itself. The curve ``S_min (1 + B_c / B)``
    is fitted to these numbers [2]_.

    Parameters
    ----------
    estimator : estimator of minibatch, or Pipeline that ends in one
        Cloned, never changed. Transformers are fitted once, on X. Its solver, penalty and so on are used. Without
        ``learning_rates`` every batch size runs at the rate that the estimator finds, by ``learning_rate="auto"`` or
        ``"dowg"``: one trial a batch size and repeat. With them, trials are at constant rates in the place of any
        schedule. Warm-up, scaling of rates, batch growth, stopping rules, averaging and callbacks are not used.

    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Training rows.

    y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        Labels or targets.

    batch_sizes : sequence
        Values of ``batch_size``: numbers of rows, fractions, ``"full"``. Three at least for a fit; a factor of four
        from one to the next is close enough. Those that come to the same number of rows count as one.

    learning_rates : sequence of float, default=None
        Constant rates to try at every batch size; None for those that the estimator finds itself. Let them span all
        that the batch sizes may need, as with ``numpy.geomspace(0.001, 10, 13)``; a result says where its best rate is
        at an end.

    momenta : sequence of float, default=None
        Values of ``momentum`` to try with every rate. None: that of the estimator.

    target : float, dict or tuple
        A test score to reach, or another quantity: ``{"train_loss": 0.1}`` or ``("train_loss", 0.1)``; also
        ``test_loss``, ``train_score`` and ``gradient_norm``. Fix it before you look at results.

    max_updates : int
        Of a trial. Generous is fine: trials stop where one of their batch size has reached the target, or when they
        have become too slow.

    X_test, y_test : array-like, default=None
        Rows for a target about test rows. To choose a batch size for a model that is judged on other rows yet, give
        validation rows here.

    n_repeats : int, default=1
        Trials at every rate, of which the median counts (of an even number, the slower one in the middle). Five or more
        tell a trend from chance: their scatter says which ``regimes`` are told apart.

    n_jobs : int or None, default=None
        Batch sizes at the same time, on the joblib backend in use. Results do not depend on it.

    random_state : int, RandomState or None, default=None
        Seeds of the repeats: one for each, shared by all batch sizes and rates, so that they begin alike and see the
        rows in the same order. None: the first is the estimator's seed if that is an integer, else a new one.

    sample_weight : array-like of shape (n_samples,), default=None
        For training and the training loss; transformers do not get it.

    confidence : float in (0, 1), default=0.95
        Level of the intervals of the fit and of the slopes.

    progress_bar : bool, default=False
        Show how many batch sizes are done (needs rich).

    Returns
    -------
    StepsToTargetResult
        Updates, samples and best rate of every batch size, all trials, ``critical_batch_size`` and its ``interval``.

    Raises
    ------
    TypeError
        If the estimator is none of this package.
    ValueError
        Before any training, if an argument is out of range, the target needs test rows that are missing or is the loss
        of rows whose classes y lacks, or the solver has no learning rate or no momentum; at the first trial, if the
        target's quantity is not finite at the start.

    Warns
    -----
    UserWarning
        If ``y_test`` has classes that y lacks: the test score is what ``score`` says, which counts such rows as errors
        (MB401).

    See Also
    --------
    fit_steps_to_target : The fit alone, for numbers from elsewhere.
    optimal_batch_size : The size that takes the fewest seconds.
    convergence_curve : What batch sizes do with the same budget, cross-validated.
    minibatch.plotting.BatchSizeScalingDisplay.from_steps : The picture.

    Notes
    -----
    Trials are looked at after every update at first, then each time 4 % more have been done. A count is that of the
    first look at which the target was reached: a noisy quantity that crosses it between two looks is missed. Of 16,384
    rows and more, a fixed random sample of 4,096 is looked at, in eight blocks, and tells how far all rows have come
    since these were looked at; all are, as soon as that is within five standard errors of the target. So a count is
    always about all rows. Gradient norms are, too: that of a sample is longer.

    Trials of a batch size climb together, each from its beginning to 4, 16, ... times as many updates, the nearest to
    the target first, until one arrives. The others stop there, or sooner: losses of linear models fall ever more slowly
    [3]_, so that a trial that would be above the target at twice its pace (and some standard errors of the noise) is
    given up. A network, which may rest on a plateau, is given up so only where another rate has arrived.

    On digits, letter, spambase, adult, protein and power plant data (7 batch sizes, 5 or 9 rates) the best rates and
    their updates were those without giving up and samples. Small data take as long as without, 20,000 to 50,000 rows
    a fifth to two thirds of the time.

    With ``learning_rate="auto"`` updates are those of the fit; the few that a network spends on choosing its rate are
    not counted. ``max_updates`` are then all spent where the target is out of reach.

    This answers how many updates it takes, not how good the model becomes, nor how many seconds pass. At a constant
    rate small batches may never get below their noise floor, where a decaying rate would. Another target, or a rate or
    momentum that was not tried, may give another ``B_c``; take it as an order of magnitude. Where it takes a handful of
    updates, their number is coarse. Test rows that choose a batch size are no longer a test.

    References
    ----------
    .. [1] C. J. Shallue et al.,
       "Measuring the Effects of Data Parallelism on Neural Network Training", JMLR 20 (2019).
    .. [2] S. McCandlish et al., "An Empirical Model of Large-Batch Training",
       2018. arXiv:1812.06162
    .. [3] G. Barzilai et al., "Are Convex Optimization Curves Convex?",
       2025. arXiv:2503.10138

    Examples
    --------
    >>> import numpy as np
    >>> from minibatch import MiniBatchSGDRegressor
    >>> from minibatch.model_selection import steps_to_target
    >>> X = np.random.default_rng(0).standard_normal((2000, 15))
    >>> y = X @ np.ones(15)
    >>> result = steps_to_target(
    ...     MiniBatchSGDRegressor(alpha=0, learning_rate="constant"),
    ...     X,
    ...     y,
    ...     batch_sizes=[1, 8, 64, 512],
    ...     learning_rates=np.geomspace(0.02, 1, 9),
    ...     target=("train_loss", 0.01),
    ...     max_updates=5000,
    ...     n_repeats=5,
    ...     random_state=0,
    ... )
    >>> result.regimes[1:]
    ['perfect scaling or diminishing returns', 'diminishing returns', 'diminishing returns']
    >>> 16 < result.critical_batch_size < 128
    True
    """
    given = {"max_updates": max_updates, "n_repeats": n_repeats, "n_jobs": n_jobs, "random_state": random_state}
    given |= {"confidence": confidence, "progress_bar": progress_bar}
    validate_parameter_constraints(_CONSTRAINTS, given, caller_name="steps_to_target")
    transformers, final = split_pipeline(estimator)
    goal = _goal(target, X_test, y_test)
    refuse_damaged(X)
    rates, momentum_values = _rates(final, learning_rates), _checked_momenta(estimator, final, momenta)
    X, y = indexable(X, y)
    weight = None if sample_weight is None else _check_sample_weight(sample_weight, X, ensure_non_negative=True)
    models = _models(estimator, final, batch_sizes, _num_samples(X))
    transformers = [clone(part) for part in transformers]
    X, y = indexable(fit_transform(transformers, X, y), y)
    # a target about training rows needs no test part, but a watched fit has one
    test = (transform(transformers, X_test), y_test) if goal.name.startswith("test") else _first_row(X, y)
    unknown = unknown_classes(final, y, test[1])
    if unknown:
        _speak_of_unknown_classes(unknown, goal)
    seed = seed_of(random_state, final)
    seeds = [seed, *np.random.RandomState(seed).randint(SEEDS, size=n_repeats - 1).tolist()]
    candidates = list(product(rates[::-1] or [np.nan], momentum_values))
    looks = looks_up_to(countable(max_updates))
    task = Task(Part(X, y, weight), Part(*test, None), not unknown, candidates, seeds, goal, looks)
    jobs = [(model, task) for model in models.values()]
    found = run_all(search, jobs, n_jobs, progress_bar, "Batch sizes")
    return result_of(np.array(list(models)), found, task, rates, confidence)


def _goal(target: Any, X_test: Any, y_test: Any) -> Target:
    goal = target_of(target)
    if goal is None:
        raise ValueError("target is None; give a test score to reach, or a quantity: target=('train_loss', 0.1).")
    if (X_test is None) != (y_test is None):
        raise ValueError(f"X_test and y_test go together, but {'X' if X_test is None else 'y'}_test is missing.")
    if goal.name.startswith("test") and X_test is None:
        raise ValueError(
            f"target={target!r} is about test rows; give X_test and y_test, or a target of the training rows: "
            f"{{{goal.name.replace('test', 'train')!r}: {goal.value:g}}}."
        )
    return goal


def _rates(final: MiniBatchEstimator, learning_rates: Any) -> list[float]:
    """In rising order; none where the estimator is to find its own."""
    if final.solver == "lbfgs":
        raise ValueError("solver='lbfgs' has no learning rate; choose 'sgd' or another stochastic solver.")
    if learning_rates is None:
        if final.learning_rate in ("auto", "dowg"):
            return []
        raise ValueError(
            "learning_rates is None; give the rates to try at every batch size, such as numpy.geomspace(0.001, 10, "
            "13), or set learning_rate='auto', which finds its own."
        )
    rates = plain_values("learning_rates", learning_rates)
    for rate in rates:
        if not is_number(rate) or not 0 < rate < np.inf:
            raise ValueError(f"learning_rates must be positive and finite; got {rate!r}.")
    return sorted({float(rate) for rate in rates})


def _checked_momenta(estimator: Any, final: MiniBatchEstimator, momenta: Any) -> list[Any]:
    """Values to set, or None for that of the estimator."""
    if momenta is None:
        return [None]
    # the networks' 'sgd' has one, as in scikit-learn
    with_momentum = {"momentum", "nesterov"} | ({"sgd"} if hasattr(final, "nesterovs_momentum") else set())
    if final.solver not in with_momentum:
        names = ", ".join(repr(name) for name in sorted(with_momentum))
        raise ValueError(f"momenta are of a solver that has one ({names}); solver={final.solver!r} has none.")
    values = plain_values("momenta", momenta)
    for value in values:
        check_candidate(estimator, {parameter_path(estimator, "momentum"): value})
    return sorted(set(values))


def _models(
    estimator: Any, final: MiniBatchEstimator, batch_sizes: Any, n_samples: int
) -> dict[int, MiniBatchEstimator]:
    """The final estimator at every batch size, by the number of rows; every value is checked."""
    models: dict[int, MiniBatchEstimator] = {}
    for value in plain_values("batch_sizes", batch_sizes):
        check_candidate(estimator, {parameter_path(estimator, "batch_size"): value})
        model = clone(final).set_params(batch_size=value)
        models.setdefault(model._resolved_batch_size(n_samples), model)
    return dict(sorted(models.items()))


def _speak_of_unknown_classes(unknown: list[Any], goal: Target) -> None:
    """A test loss is refused, a test score comes with a warning."""
    lacking = f"y_test has classes that y lacks ({', '.join(map(repr, unknown))})"
    if goal.name == "test_loss":
        raise ValueError(
            f"{lacking}, whose rows have no loss. Leave these rows out, train on rows of these classes too, or give a "
            "target that counts them as errors: ('test_score', ...)."
        )
    warnings.warn(f"{lacking}: the test score counts their rows as errors. [MB401]", UserWarning, stacklevel=3)


def _first_row(X: Any, y: Any) -> tuple[Any, Any]:
    return _safe_indexing(X, [0]), _safe_indexing(y, [0])
