"""A batch size for this model, these data and this machine: predicted, run, and compared."""

import time
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, TypeVar

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn.base import clone, is_classifier
from sklearn.utils import check_random_state, indexable
from sklearn.utils._param_validation import validate_parameter_constraints

from minibatch._base.estimator import MiniBatchEstimator
from minibatch._base.pipelines import fit_transform, split_pipeline
from minibatch._base.ranges import number_above
from minibatch._base.seeds import SEEDS
from minibatch._base.sparse import refuse_damaged
from minibatch._base.trials import check_parameters
from minibatch.model_selection._advice import SIMILAR, Findings, advice_of, middle
from minibatch.model_selection._candidates import Candidates, compile_kernels
from minibatch.model_selection._full_batch_solver import time_full_batch_solver
from minibatch.model_selection._memory import memory_required
from minibatch.model_selection._noise_law import RUN_ROWS, critical_batch_size, noise_along_a_run, relative_updates
from minibatch.model_selection._progress import progress_bar_of
from minibatch.model_selection._race import Race
from minibatch.model_selection._recommendation import BatchSizeRecommendation
from minibatch.model_selection._step_time import LARGEST, StepTimes, step_times
from minibatch.model_selection._worker_advice import Team, checked_team, compared
from minibatch.model_selection._worker_times import TimedWorkers, WorkerTimes

__all__ = ["RACED_BY", "RACE_ROWS", "SOLVED_BY", "TIMED_BY", "recommend_batch_size"]

# Sizes race on so many rows at most: what an update gains depends on them little, and what it takes is timed on all.
RACE_ROWS = 20_000
_T = TypeVar("_T")
# Shares of the seconds: until the updates are timed, until the solver of all rows is, until the race is over.
TIMED_BY, SOLVED_BY, RACED_BY = 0.3, 0.4, 0.95

_CONSTRAINTS: dict[str, list[Any]] = {
    "max_memory": [number_above(0), None],
    "max_seconds": [number_above(0)],
    "progress_bar": ["boolean"],
    "random_state": ["random_state"],
}


def recommend_batch_size(
    estimator: Any,
    X: Any,
    y: Any,
    *,
    max_memory: float | None = None,
    max_seconds: float = 30.0,
    n_workers: int = 1,
    network: tuple[float, float] | None = None,
    progress_bar: bool = False,
    random_state: Any = None,
    sample_weight: Any = None,
) -> BatchSizeRecommendation:
    """The batch size that brings the objective down in the least time: predicted, then run, and the runs decide.

    1. *Times.* Updates of batches of 1, 4, 16, ... rows are timed in runs of several lengths, by the processor's clock
       where one thread does the work, until the two fastest runs of every size agree.
    2. *The law.* With batches of ``B`` rows, a training takes ``S_min (1 + B_c / B)`` updates [1]_, where ``B_c`` is
       the gradient noise scale along a short run with batches of 32 rows. Times an update's time it is the prediction.
    3. *Runs.* From the first parameters the sizes ``B / 4``, ``B`` and ``4 B`` train for the same time, each at its
       own rates; then those beside the best, until nothing beside it is better. Sizes are compared by the time until
       4 % and 1 % of the fall of the objective are left, the lowest value of any run being all of it. With a schedule
       that has a first rate, each size begins at that of ``eta0="auto"``, and thirds and threefolds of it run as well;
       sizes within 20 % of the best then get the rate between these at which a parabola through their times is least.

    With ``learning_rate="auto"`` there is no rate to advise, and the question is the size alone. The estimator stays as
    it is: clones are trained.

    Parameters
    ----------
    estimator : estimator of this package, or Pipeline that ends in one
        Fitted or not. Its batch size, first rate, growth of the batch and stopping rules are not used, but for the
        memory that they take. Transformers are fitted on X.

    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Training rows.

    y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        Labels or targets.

    max_memory : float, default=None
        Bytes that a fit of the estimator may take beyond X and y, as :func:`memory_required` counts them. Larger
        batches are not recommended. None: no bound.

    max_seconds : float, default=30
        What all of it may take, by the clock on the wall, the compilation of kernels not counted. Most data need a few
        seconds. What is cut off is said in ``unsure``; a single fit's checks of the data are not cut off.

    n_workers : int, default=1
        Workers that share every gradient, as ``minibatch.distributed.fit`` does with ``sync="gradients"``. The batch
        size is then that of all together, and an update takes ``a + b B / n_workers`` and the exchange of a gradient.
        Runs are made in this process all the same, so that larger batches want more ``max_seconds``.

    network : (float, float), default=None
        Latency in seconds and bandwidth in bytes per second between workers on machines of their own, from which the
        exchange is computed (see :func:`minibatch.distributed.simulate_workers`). None: updates and exchanges of so
        many processes of this machine are timed; to start them is not counted in ``max_seconds``.

    progress_bar : bool, default=False
        Show how much of ``max_seconds`` has gone (needs rich).

    random_state : int, RandomState instance or None, default=None
        Seed of what is random. Times differ from call to call all the same, and the recommendation may with them,
        between sizes that are about as good.

    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the rows.

    Returns
    -------
    BatchSizeRecommendation
        The batch size, a rate for it (or None), an estimator with both set, the sizes that are about as good, the
        reason in words, what is unsure, a table of predictions and measurements, what the advice took, and how long
        ``LogisticRegression`` or ``Ridge`` would take where they have the same objective.

    Raises
    ------
    TypeError
        If the estimator is none of this package.
    ValueError
        Before any training, if a parameter or the data are out of range, the solver makes no updates with batches, the
        model normalises batches (no row has a gradient of its own then), ``max_memory`` is too small for one row, there
        are fewer rows than workers, or a network is given for one worker.
    ImportError
        If a progress bar is asked for, and rich is not installed.

    See Also
    --------
    steps_to_target : The updates that batch sizes take to a target, each with its own rates: slower, and surer.
    minibatch.diagnostics.gradient_noise_curve : The noise scale along training.
    minibatch.diagnostics.learning_rate_range_test : How the loss takes a rate that rises.

    Notes
    -----
    ``B_c`` is an average over ideal, noiseless steps: an update with batches of ``B`` at a noise scale ``N`` counts as
    ``1 / (1 + N / B)`` of one, and each look at the noise stands for the updates since the last. The law is about plain
    gradient descent near its best rate; trust its order of magnitude. It decides where the runs begin, no more.

    Runs see 20,000 rows at most, three seeds where there is time, and 10,000 rows judge them; updates are timed on all
    rows. They begin where training begins. Branches from a state in the middle would favour sizes near that of the
    state, whose memory they go on with: on the adult data, branches from batches of 32 under ``learning_rate="auto"``
    left 13 % of the fall with one row and 2 % with 64, though from the start the two are within a factor of 1.2.

    Training objectives are compared, not test scores; :func:`convergence_curve` does that. Schedules that last as long
    as the run (``"cosine"``, ``"one_cycle"``), cycles, ``"step"`` and ``"adaptive"`` are compared at constant rates,
    and the rate is that of ``eta0="auto"`` for the schedule. A constant rate that is first at 1 % is higher than the
    one that ``eta0="auto"`` finds for 20 epochs, and ends higher. ``docs/recommendation.md`` has the advice beside
    sweeps over batch sizes and rates.

    References
    ----------
    .. [1] S. McCandlish, J. Kaplan, D. Amodei et al., "An Empirical Model of Large-Batch Training", 2018.
           arXiv:1812.06162

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from minibatch import MiniBatchSGDClassifier
    >>> from minibatch.model_selection import recommend_batch_size
    >>> X, y = load_digits(return_X_y=True)
    >>> advice = recommend_batch_size(
    ...     MiniBatchSGDClassifier("log_loss", random_state=0), X / 16, y, random_state=0
    ... )
    >>> advice.flat[0] <= advice.batch_size <= advice.flat[1]
    True
    >>> model = advice.estimator.fit(X / 16, y)
    >>> model.batch_size == advice.batch_size, round(model.score(X / 16, y), 1)
    (True, 1.0)
    """
    given = {"max_memory": max_memory, "max_seconds": max_seconds, "progress_bar": progress_bar}
    given |= {"random_state": random_state}
    validate_parameter_constraints(_CONSTRAINTS, given, caller_name="recommend_batch_size")
    if isinstance(max_memory, bool):  # a number to Python
        raise ValueError(f"max_memory must be a number of bytes or None; got {max_memory}.")
    transformers, final = split_pipeline(estimator)
    check_parameters(final)
    _refuse_without_noise(final)
    team = checked_team(n_workers, network)
    refuse_damaged(X)
    X, y = indexable(X, y)
    random = np.random.RandomState() if random_state is None else check_random_state(random_state)
    seed = int(random.randint(SEEDS))
    show = progress_bar_of("Seconds at most", max_seconds) if progress_bar else nullcontext(_not_shown)
    with show as told:
        clock = _Clock(max_seconds, told)
        X = fit_transform([clone(part) for part in transformers], X, y)
        X, _, weight = clone(final)._checked_rows(X, y, sample_weight, reset=True)
        y = np.asarray(y)
        if len(y) < 2:
            raise ValueError(f"X must have at least two rows; got {len(y)}.")
        team.refuse_rows(len(y))
        sizes, memory = _sizes_in_memory(final, X, y, max_memory, team.n_workers)
        advice = _advised(estimator, final, (X, y, weight), (sizes, memory), team, seed, clock)
        told(max_seconds)
    return advice


def _not_shown(seconds: float) -> None: ...


class _Clock:
    """What of the seconds has gone."""

    def __init__(self, max_seconds: float, told: Callable[[float], None]) -> None:
        self.began, self.max_seconds, self.told = time.perf_counter(), max_seconds, told

    def seconds(self) -> float:
        return time.perf_counter() - self.began

    def end_of(self, share: float) -> float:
        return self.began + share * self.max_seconds

    def without(self, work: Callable[[], _T]) -> _T:
        """Work that is not counted."""
        began = time.perf_counter()
        done = work()
        self.began += time.perf_counter() - began
        return done

    def tell(self) -> None:
        self.told(min(self.seconds(), self.max_seconds))


def _refuse_without_noise(final: MiniBatchEstimator) -> None:
    if getattr(final, "solver", None) == "lbfgs":
        raise ValueError("solver='lbfgs' makes no updates with batches; choose 'sgd' or another stochastic solver.")
    if getattr(final, "batch_normalization", False):
        raise ValueError(
            "With batch normalization a row has no gradient of its own, so there is no noise scale to go by; compare "
            "batch sizes with steps_to_target or convergence_curve."
        )


def _sizes_in_memory(
    final: MiniBatchEstimator, X: Any, y: NDArray[Any], max_memory: float | None, n_workers: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Powers of two, and all rows, as far as the memory allows; and the bytes that each takes."""
    n_samples, n_features = X.shape
    density = X.nnz / (n_samples * n_features) if sp.issparse(X) else None
    n_outputs = len(np.unique(y)) if is_classifier(final) and y.ndim == 1 else y.size // n_samples
    sizes = np.unique([*2 ** np.arange(int(np.log2(n_samples)) + 1), n_samples])
    memory = np.array([
        memory_required(
            final, n_features, int(size), n_samples=n_samples, n_outputs=n_outputs, dtype=X.dtype, density=density,
            n_workers=n_workers,
        ).total
        for size in sizes
    ])  # fmt: skip
    fits = memory <= (np.inf if max_memory is None else max_memory)
    if not fits.any():
        raise ValueError(
            f"max_memory={max_memory:g} bytes is too little for batches of any size: a fit takes {memory.min():,} or "
            "more."
        )
    return sizes[fits], memory[fits]


def _advised(
    estimator: Any,
    final: MiniBatchEstimator,
    rows: tuple[Any, Any, Any],
    sizes_and_memory: tuple[NDArray[np.int64], NDArray[np.int64]],
    team: Team,
    seed: int,
    clock: _Clock,
) -> BatchSizeRecommendation:
    raced_rows, (sizes, memory) = _rows_to_race(final, rows, seed), sizes_and_memory
    n_samples, n_raced = len(rows[1]), len(raced_rows[1])
    candidates = Candidates(final, seed, raced_rows)
    alone = _times_of_one(candidates, rows, sizes, team, clock)
    times: Any = alone if team.n_workers == 1 else _times_of_team(candidates, rows, sizes, team, clock)
    clock.tell()
    noise = noise_along_a_run(candidates.to_race(min(RUN_ROWS, n_raced))[0], raced_rows, seed)
    clock.tell()
    solver_seconds = clock.end_of(SOLVED_BY) - time.perf_counter()
    solver = time_full_batch_solver(final, *rows, solver_seconds, seed)
    clock.tell()
    critical = critical_batch_size(noise.noise_scales, noise.n_updates, int(noise.batch_sizes[-1]))
    updates = relative_updates(sizes, critical)
    by_law = updates * times.of(sizes)
    race = Race(candidates.to_race, raced_rows, times.of, clock.end_of(RACED_BY), clock.tell)
    in_race = sizes[sizes <= n_raced]
    race.run(_powers_of_four(in_race, in_race[-1]), middle(sizes[by_law <= SIMILAR * by_law.min()]))
    race.refine(SIMILAR)
    shared = compared(team, times, sizes, by_law, updates * alone.of(sizes)) if team.n_workers > 1 else None
    found = Findings(
        sizes, memory, by_law, critical, times, noise, race, candidates, solver, n_samples, n_raced, shared
    )
    return advice_of(found, estimator, clock.seconds)


def _times_of_one(
    candidates: Candidates, rows: tuple[Any, Any, Any], sizes: NDArray[np.int64], team: Team, clock: _Clock
) -> StepTimes:
    """Of ``fit``, whether it is that or several workers that there is advice for."""
    timed = _powers_of_four(sizes[sizes <= LARGEST], min(sizes[-1], LARGEST))
    clock.without(lambda: compile_kernels(candidates, timed))
    by = TIMED_BY if team.n_workers == 1 else TIMED_BY / 2
    return step_times([candidates.to_time(int(size)) for size in timed], *rows, clock.end_of(by))


def _times_of_team(
    candidates: Candidates, rows: tuple[Any, Any, Any], sizes: NDArray[np.int64], team: Team, clock: _Clock
) -> WorkerTimes:
    # rows of a worker; one in place of all can have those of all
    largest = int(min(LARGEST, sizes[-1] if team.network is not None else max(1, sizes[-1] // team.n_workers)))
    model = candidates.to_time(min(int(sizes[-1]), RUN_ROWS))
    workers = clock.without(lambda: TimedWorkers(model, rows, team.n_workers, team.network))
    try:
        powers = 2 ** np.arange(largest.bit_length())
        return workers.times(_powers_of_four(powers, largest), clock.end_of(TIMED_BY))
    finally:
        workers.close()


def _powers_of_four(sizes: NDArray[np.int64], last: int) -> NDArray[np.int64]:
    """Those among the sizes, and the last."""
    return np.unique([*sizes[np.log2(sizes) % 2 == 0], last])


def _rows_to_race(final: MiniBatchEstimator, rows: tuple[Any, Any, Any], seed: int) -> tuple[Any, Any, Any]:
    """A sample, with a row of every class."""
    X, y, weight = rows
    if len(y) <= RACE_ROWS:
        return rows
    drawn = np.random.default_rng(seed).permutation(len(y))[:RACE_ROWS]
    if is_classifier(final) and y.ndim == 1:
        drawn = np.union1d(drawn, np.unique(y, return_index=True)[1])
    drawn = np.sort(drawn)
    return X[drawn], y[drawn], None if weight is None else weight[drawn]
