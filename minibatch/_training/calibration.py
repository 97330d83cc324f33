"""A first learning rate from short runs on some of the rows, which are judged on others."""

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from minibatch._problems.curvature import largest_rate_of_rows, largest_stable_rate
from minibatch._problems.state import Vector
from minibatch._training.trials import Run, Trials, rates_of_trial, splits_of

__all__ = [
    "CURVATURE_ROWS", "DECAYS", "HARDLY", "LARGE", "LEVEL", "LITTLE", "MILD", "MOST_HALVINGS", "MOST_STEPS",
    "STABLE", "STAYS", "STEPS_OF_TWO", "best_in_trials", "calibrated_rate", "lower_by_length", "lowest",
    "says_little", "stays_ahead", "walk",
]  # fmt: skip

MOST_HALVINGS, MOST_STEPS = 400, 30  # until a rate is finite; from there to the best
CURVATURE_ROWS, LARGE = 20_000, 512
STABLE = 0.9  # of the rate at which full batches run away: the sample and a few power iterations miss some curvature
# The best rate falls with a power of the length of a run, the more the nearer its last rate is to its mean: a constant
# rate has to be low for the noise in which it ends. Exponents at a last rate of 0 and of the mean.
DECAYS, STAYS = 0.15, 0.45
# Without noise, what is level with the best in a short trial will be ahead of it in a long run if it is higher. Of the
# fall of the objective.
LEVEL = 0.05
HARDLY = 1e-5  # of the objective: less of a fall is none
# A fall that is less, of the objective, says little of a long run: of nearly collinear columns trials see the noise
# alone. A rise that is less may be that noise.
LITTLE, MILD = 0.02, 0.2
STEPS_OF_TWO = 4  # rates are rounded to so many in a factor of two, so that rounding errors leave them as they are


def calibrated_rate(problem: Any, theta: Vector, run: Run, usual: float, seed: int) -> float:
    """The rate from which short runs like ``run`` lower the objective of other rows most, made lower for its length.

    A walk by factors of 4, then 2, at three lengths. ``usual`` is the rate that it must not be worse than: one below it
    is chosen only where trials say enough. Batches of all rows get no rate beyond what their curvature allows.
    """
    random = np.random.default_rng(seed)
    trials = Trials(splits_of(problem, run, random), theta, run, problem.n_samples, seed)
    with np.errstate(over="ignore", invalid="ignore"):  # rates that are too high
        stable = largest_stable_rate(trials.few, theta, random)
        start = float(2.0 ** np.round(np.log2(0.5 * stable if 0.0 < stable < np.inf else usual)))
        rate = best_in_trials(trials, start, usual)
        if says_little(trials, rate, HARDLY):
            # nothing that holds for other rows: a rate that learns these
            own = splits_of(problem, run, random, held_out=False)
            trials = Trials(own, theta, run, problem.n_samples, seed)
            rate = best_in_trials(trials, start, usual)
        if says_little(trials, rate, HARDLY):
            lowered = rate = min(start, usual)
            _warn(rate)
        else:
            lowered = _for_whole_run(trials, rate, usual)
        return min(lowered, _highest(trials, problem, rate, random))


def _for_whole_run(trials: Trials, rate: float, usual: float) -> float:
    steps = np.round(STEPS_OF_TWO * np.log2(rate * lower_by_length(trials.run, trials, rate)))
    lowered = float(2.0 ** (steps / STEPS_OF_TWO))
    if lowered >= usual:
        return lowered
    if usual <= rate:
        keeps = stays_ahead(usual, lowered, trials)
    else:
        before = trials.cost(0.0, 0)
        keeps = says_little(trials, rate) and trials.cost(usual, trials.lengths[-1]) < before + MILD * abs(before)
    return usual if keeps else lowered


def says_little(trials: Trials, rate: float, share: float = LITTLE) -> bool:
    """Whether the longest trial falls by less than a share of the objective."""
    before = trials.cost(0.0, 0)
    return not trials.cost(rate, trials.lengths[-1]) < before - share * abs(before)


def stays_ahead(higher: float, lower: float, trials: Trials) -> bool:
    """Whether a higher rate is ahead of a lower one where the run ends, by the longest trials and half of them.

    Along fits as in ``lower_by_length`` the lead is ``a / t + b``.
    """
    end, length = trials.run.n_updates(trials.n_samples), trials.lengths[-1]
    half = max(1, length // 2)
    earlier, lead = (trials.cost(lower, t) - trials.cost(higher, t) for t in (half, length))
    if half < length < end:
        lead -= (earlier - lead) / (1 / half - 1 / length) * (1 / length - 1 / end)
    return lead > 0.0


def _highest(trials: Trials, problem: Any, rate: float, random: np.random.Generator) -> float:
    """The first rate beyond which a run like that from ``rate`` runs away: in large batches by the curvature of many
    rows where a trial ends, in others by that of the longest row."""
    run, theta = trials.run, trials.theta
    rates = rates_of_trial(run, problem.n_samples, rate, trials.lengths[-1])
    highest = np.inf
    if run.batch_size >= min(problem.n_samples, LARGE):
        (end,) = trials.path(trials.splits[0].learned, rates, np.array([len(rates)]))
        places = random.permutation(problem.n_samples)[:CURVATURE_ROWS]
        highest = STABLE * largest_stable_rate(problem.copied(np.sort(places)), end, random)
    if not run.is_full(problem.n_samples):
        highest = min(highest, run.batch_size * largest_rate_of_rows(problem, theta, random))
    return highest * rate / float(rates.max())


def _warn(rate: float) -> None:
    warnings.warn(
        f"The calibration found no learning rate that lowers the objective from where training begins; it goes on at "
        f"{rate:.2g}. Give a number where that is too low. [MB303]",
        ConvergenceWarning,
        stacklevel=2,
    )


def best_in_trials(trials: Trials, start: float, usual: float) -> float:
    """The rate of least cost on a walk from ``start``, and on one from ``usual`` where that may do better."""
    rate, factor = start, 4.0
    for length in trials.lengths:
        rate = walk(partial(trials.cost, n_updates=length), rate, factor)
        factor = 2.0

    def cost(eta: float) -> float:
        return trials.cost(eta, trials.lengths[-1])

    if cost(usual) < cost(rate) or says_little(trials, rate):  # a small fall may be the valley before the next
        rate = min(rate, walk(cost, usual, 2.0), key=cost)
    if not trials.run.is_full(trials.n_samples):
        return lowest(cost, rate, 2.0)
    level = cost(rate) + LEVEL * (trials.cost(0.0, 0) - cost(rate))
    step = 2.0**0.5
    for _ in range(MOST_STEPS):  # max_eta may make all of them alike
        if not cost(rate * step) <= level:
            break
        rate *= step
    return rate


def lower_by_length(run: Run, trials: Trials, rate: float) -> float:
    """What a rate that is best in the longest trials is multiplied by, for a run that is longer.

    Fits along which ``gap = b / (eta t) + c eta`` have their best rate at the root of ``1 / t``.
    """
    rates = rates_of_trial(run, trials.n_samples, rate, trials.lengths[-1])
    stays = min(1.0, float(rates[-1] / rates.mean()))
    if run.is_full(trials.n_samples):
        return 1.0
    ratio = max(1.0, run.n_updates(trials.n_samples) / trials.lengths[-1])
    return float(ratio ** -(DECAYS + (STAYS - DECAYS) * stays))


def walk(cost: Callable[[float], float], start: float, factor: float) -> float:
    """From ``start`` down or up by factors for as long as the cost falls; before that, down to where it is finite.

    >>> [walk(lambda eta: abs(np.log2(eta) - best), 1.0, 2.0) for best in (-3, 0, 4)]
    [0.125, 1.0, 16.0]
    """
    rate, steps = start, 0
    while cost(rate) == np.inf:
        if steps == MOST_HALVINGS:
            raise ValueError(
                "No learning rate gives a finite objective on a sample of the rows; scale X with StandardScaler."
            )
        rate, steps = rate / factor, steps + 1
    step = 1.0 / factor if cost(rate / factor) < cost(rate) else factor
    for _ in range(MOST_STEPS):
        if not cost(rate * step) < cost(rate):
            break
        rate *= step
    return rate


def lowest(cost: Callable[[float], float], rate: float, factor: float) -> float:
    """Where a parabola through the costs of ``rate`` and its neighbours, by logarithms, is lowest.

    >>> lowest(lambda eta: (np.log2(eta) - 0.25) ** 2, 1.0, 2.0) == 2.0**0.25
    True
    """
    below, here, above = (cost(eta) for eta in (rate / factor, rate, rate * factor))
    bend = below - 2.0 * here + above
    if not 0.0 < bend < np.inf:
        return rate
    return float(rate * factor ** np.clip(0.5 * (below - above) / bend, -0.5, 0.5))
