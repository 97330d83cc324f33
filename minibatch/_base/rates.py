"""What an estimator's parameters about learning rates and batch growth mean."""

import sys
from collections.abc import Callable
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.base import is_classifier
from sklearn.utils._param_validation import Interval, StrOptions

from minibatch._base.ranges import countable, number_above, number_from, share
from minibatch._base.solvers import WITH_SDE
from minibatch._problems.batching import resolve_batch_size, rows_in_batches
from minibatch._problems.passive import PASSIVE
from minibatch._training.growth import Growth, Trade, grown
from minibatch._training.trials import Run
from minibatch.schedules import optimal, scale_learning_rate
from minibatch.schedules._named import CYCLES, ONCE_A_RUN, Shape, schedule_of
from minibatch.schedules._progress import Schedule

__all__ = [
    "BY_SIZE", "CONSTRAINTS", "EPOCHS_A_CYCLE", "EPOCHS_A_GROWTH", "FIRST_RATE", "HORIZON", "HORIZON_UPDATES",
    "LARGEST_SHARE", "RISE", "at_most_below_top", "check_rates", "epochs_of_run", "first_rate", "growth_of",
    "is_passive", "lasts_the_run", "rate_is_calibrated", "run_to_calibrate", "schedule_for",
]  # fmt: skip

# Defaults. Smith: half a cycle takes 2 to 10 epochs, and its top is 3 or 4 times its bottom.
EPOCHS_A_CYCLE, RISE = 8, 4.0
EPOCHS_A_GROWTH = 10
# Of a larger share of the rows, the noise falls faster than 1 / B: Smith et al. let the rate fall there.
LARGEST_SHARE = 0.1
# Solvers whose steps have a size that does not depend on that of the gradients: there a rate goes with the root of B.
BY_SIZE = ("adagrad", "rmsprop", "adam", "adamw", "schedule_free_adamw")
# Epochs and updates that a calibrated rate is for, where the schedule does not depend on how long the run is.
HORIZON, HORIZON_UPDATES = 20, 128

CONSTRAINTS: dict[str, list[Any]] = {
    "power_t": [number_from(0)],
    "max_eta": [number_above(0), None],
    "cycle_length": [number_above(0), None],
    "cycle_decay": [Interval(Real, 0, 1, closed="right")],
    "decay_base": ["boolean"],
    "warmup": [number_from(0)],
    "learning_rate_scaling": [StrOptions({"linear", "sqrt", "sde"}), None],
    "reference_batch_size": [Interval(Integral, 1, None, closed="left")],
    "batch_growth": [number_above(1), StrOptions({"adaptive", "schedule"}), None],
    "batch_growth_interval": [Interval(Integral, 1, None, closed="left"), None],
    "max_batch_size": [
        Interval(Integral, 1, None, closed="left"),
        share(),
        StrOptions({"full"}),
        None,
    ],
}
FIRST_RATE = [number_above(0), StrOptions({"auto"})]


def check_rates(estimator: Any) -> None:
    """What the constraints of single parameters cannot say."""
    if estimator.solver == "lbfgs":  # has no rate
        return
    if estimator.batch_growth == "schedule":
        _check_trade(estimator)
    if estimator._is_auto:
        _check_auto(estimator)
        return
    name, schedule = estimator._rate_parameter, estimator.learning_rate
    eta0, scaling = getattr(estimator, name), estimator.learning_rate_scaling
    if schedule in ("optimal", "inverse_time") and estimator.alpha == 0:
        _refuse_no_alpha(estimator)
    if schedule == "optimal" and (eta0 == "auto" or scaling is not None):
        wrong = f"{name}='auto'" if eta0 == "auto" else f"learning_rate_scaling={scaling!r}"
        raise ValueError(
            f"{wrong} does nothing with learning_rate='optimal', which begins at a rate of its own, computed from "
            "alpha for single rows and found for larger batches; use another schedule, for instance "
            "learning_rate='inverse_time'."
        )
    if eta0 == "auto" and scaling is not None:
        raise ValueError(
            f"learning_rate_scaling={scaling!r} scales a rate from reference_batch_size, but {name}='auto' is found "
            "for batch_size itself; leave one of them out."
        )
    if schedule == "dowg":
        _check_dowg(estimator)
    if is_passive(estimator):
        _check_passive(estimator)
    if scaling == "sde" and estimator.solver not in WITH_SDE:
        raise ValueError(
            f"learning_rate_scaling='sde' is a rule for {', '.join(repr(name) for name in WITH_SDE)}; got "
            f"solver={estimator.solver!r}. Use 'linear' or 'sqrt'."
        )
    if schedule in CYCLES and estimator.max_eta is not None and eta0 != "auto" and not estimator.max_eta > eta0:
        raise ValueError(f"max_eta must be above {name}; got max_eta={estimator.max_eta!r} and {name}={eta0!r}.")


def _refuse_no_alpha(estimator: Any) -> None:
    without = " For a model without a penalty, set penalty=None, which leaves alpha to the rate alone."
    raise ValueError(
        f"alpha must be > 0 with learning_rate={estimator.learning_rate!r}, which is computed from it; got alpha=0. "
        f"Use another learning_rate, for instance 'constant' or 'invscaling' with a tuned {estimator._rate_parameter}."
        f"{without if hasattr(estimator, 'penalty') else ''}"
    )


def _check_trade(estimator: Any) -> None:
    if estimator.learning_rate in ("constant", "auto", "dowg", *PASSIVE):
        raise ValueError(
            "batch_growth='schedule' trades the decay of the rate for growth, which "
            f"learning_rate={estimator.learning_rate!r} does not have; use a schedule that falls, for instance 'step' "
            "or 'cosine', or give a factor."
        )


def _check_auto(estimator: Any) -> None:
    """Refuse what the rule of ``learning_rate='auto'`` leaves nothing to do."""
    for name, nothing in (("learning_rate_scaling", None), ("warmup", 0)):
        if getattr(estimator, name) != nothing:
            raise ValueError(
                f"{name}={getattr(estimator, name)!r} does nothing with learning_rate='auto', which finds its rates "
                f"for the batch size by itself; leave {name} out, or name a schedule, for instance "
                "learning_rate='constant'."
            )


def _check_dowg(estimator: Any) -> None:
    wrong = {
        "solver": (estimator.solver != "sgd", "'sgd'"),
        "eta0": (estimator.eta0 == "auto", "a number"),
        "learning_rate_scaling": (estimator.learning_rate_scaling is not None, "None"),
        "warmup": (estimator.warmup > 0, "0"),
    }
    for name, (is_wrong, right) in wrong.items():
        if is_wrong:
            raise ValueError(
                f"{name} must be {right} with learning_rate='dowg', which finds the rates of plain SGD from a first "
                f"distance, eta0; got {name}={getattr(estimator, name)!r}."
            )


def _check_passive(estimator: Any) -> None:
    """A passive-aggressive step is the exact answer to a row's loss: only of losses with slopes of one size, and with
    nothing that changes the step."""
    loss = "hinge" if is_classifier(estimator) else "epsilon_insensitive"
    wrong = {
        "loss": (estimator.loss != loss, repr(loss)),
        "solver": (estimator.solver != "sgd", "'sgd'"),
        "eta0": (estimator.eta0 == "auto", "a number"),
        "learning_rate_scaling": (estimator.learning_rate_scaling is not None, "None"),
    }
    for name, (is_wrong, right) in wrong.items():
        if is_wrong:
            raise ValueError(
                f"{name} must be {right} with learning_rate={estimator.learning_rate!r}, whose steps go as far as rows "
                f"ask for, at most by eta0; got {name}={getattr(estimator, name)!r}."
            )


def is_passive(estimator: Any) -> bool:
    """Whether steps are passive-aggressive. Schedules may be functions that nobody can hash."""
    return estimator.learning_rate in (*PASSIVE,)


def rate_is_calibrated(estimator: Any, batch_size: int) -> bool:
    if estimator._has_no_schedule():
        return False
    if estimator.learning_rate == "optimal":  # in batches of one row it is scikit-learn's
        return batch_size > 1
    return estimator._is_auto or getattr(estimator, estimator._rate_parameter) == "auto"


def first_rate(estimator: Any, batch_size: int) -> float:
    """Where the schedule begins, if the rate is not calibrated."""
    if estimator._has_no_schedule():
        return np.nan
    if estimator.learning_rate == "optimal":
        with np.errstate(all="ignore"):  # the schedule refuses a rate that is not finite
            return float(optimal(0, estimator.alpha))
    name = estimator._rate_parameter
    rate = float(getattr(estimator, name)) * _scale(estimator, batch_size)
    if not 0.0 < rate < np.inf:
        raise ValueError(
            f"{name}={getattr(estimator, name)!r} for batches of {countable(estimator.reference_batch_size)} becomes "
            f"{rate:g} by learning_rate_scaling={estimator.learning_rate_scaling!r} for batches of {batch_size}; use a "
            "reference_batch_size that is nearer."
        )
    return rate


def lasts_the_run(estimator: Any) -> bool:
    """Whether its schedule is as long as the run."""
    return estimator.learning_rate in ONCE_A_RUN and estimator.cycle_length is None


def run_to_calibrate(estimator: Any, n_samples: int, batch_size: int, last_batch: str, partial: bool) -> Run:
    """What a calibrated rate is for: the run that the parameters ask for where its schedule is as long. Else so many
    epochs, whatever the budget: a short fit is the beginning of a long one."""
    if lasts_the_run(estimator):
        growth = None if partial else growth_of(estimator, n_samples)
        max_iter, most = countable(estimator.max_iter), estimator.max_updates
        most = None if most is None else countable(most)
        epochs = epochs_of_run(n_samples, batch_size, last_batch, growth, max_iter, most, max_samples=None)
    else:
        _, whole = rows_in_batches(n_samples, batch_size, last_batch)
        epochs = max(float(HORIZON), HORIZON_UPDATES / whole)

    def schedule(eta0: float) -> Schedule:
        return schedule_for(estimator, at_most_below_top(estimator, eta0), batch_size, lambda: epochs)

    return Run(schedule, batch_size, last_batch, epochs, averaged=bool(getattr(estimator, "average", False)))


def at_most_below_top(estimator: Any, eta0: float) -> float:
    """A calibrated rate, no higher than where a rise to ``max_eta`` begins."""
    if estimator.learning_rate in CYCLES and estimator.max_eta is not None:
        return min(eta0, estimator.max_eta / RISE)
    return eta0


def _scale(estimator: Any, batch_size: int) -> float:
    """What the rates given are multiplied by."""
    rule = estimator.learning_rate_scaling
    if rule is None:
        return 1.0
    rule = "adam" if rule == "sde" else rule
    return scale_learning_rate(1.0, countable(estimator.reference_batch_size), batch_size, rule=rule)


def schedule_for(estimator: Any, eta0: float, batch_size: int, length: Callable[[], float]) -> Schedule:
    """The schedule from ``eta0``, which is scaled already. ``length`` tells the epochs of the run."""
    if estimator._has_no_schedule():
        return lambda now: np.full(now.number, np.nan)
    epochs = estimator.cycle_length
    if epochs is None:
        epochs = length() if estimator.learning_rate in ONCE_A_RUN else EPOCHS_A_CYCLE
    max_eta = RISE * eta0 if estimator.max_eta is None else estimator.max_eta * _scale(estimator, batch_size)
    shape = Shape(
        eta0=eta0,
        max_eta=max_eta,
        power_t=estimator.power_t,
        alpha=estimator.alpha,
        batch_size=batch_size,
        length=epochs,
        decay=estimator.cycle_decay,
        decay_base=estimator.decay_base,
        warmup=estimator.warmup,
        by_rows=estimator._invscaling_by_rows,
    )
    of_one_number = estimator.learning_rate == "auto" or is_passive(estimator)
    return schedule_of("constant" if of_one_number else estimator.learning_rate, shape)


def growth_of(estimator: Any, n_samples: int, batch_size: int | None = None) -> Growth | None:
    """How the batch grows along a fit, if it does, from the estimator's or another size."""
    if estimator.batch_growth is None:
        return None
    traded = estimator.batch_growth == "schedule"
    factor = None if isinstance(estimator.batch_growth, str) else float(estimator.batch_growth)
    interval = estimator.batch_growth_interval or (EPOCHS_A_GROWTH if factor else 1)
    largest = estimator.max_batch_size
    if largest is None:
        largest = LARGEST_SHARE if traded else "full"
    growth = Growth(factor, interval, resolve_batch_size(largest, n_samples, auto=0))
    if not traded:
        return growth
    first = estimator._resolved_batch_size(n_samples) if batch_size is None else batch_size
    _, whole = rows_in_batches(n_samples, first, estimator.last_batch)
    return growth._replace(trade=Trade(first, whole, 0.5 if estimator.solver in BY_SIZE else 1.0))


def epochs_of_run(
    n_samples: int,
    batch_size: int,
    last_batch: str,
    growth: Growth | None,
    max_iter: int,
    max_updates: int | None,
    max_samples: int | None,
    **others: Any,
) -> float:
    """How long a run is that no stopping rule ends, in epochs; the rest of a ``Plan`` does not matter.

    >>> epochs_of_run(100, 10, "keep", None, 20, max_updates=55, max_samples=None)
    5.5
    >>> epochs_of_run(
    ...     100, 10, "keep", Growth(2.0, 1, 100), 9, max_updates=16, max_samples=None
    ... )  # 10, 5 and 1 of 3
    2.3333333333333335
    """
    epochs = float(max_iter if max_samples is None else min(max_iter, max_samples / n_samples))
    if max_updates is not None and growth is not None and growth.factor is None:
        raise ValueError(
            "Without cycle_length, this learning_rate lasts the whole run, but with "
            f"batch_growth={'schedule' if growth.trade else 'adaptive'!r} max_updates does not tell how many epochs "
            "that is; give cycle_length."
        )
    done, updates_left = 0, np.inf if max_updates is None else float(max_updates)
    while done < epochs and updates_left < np.inf:
        _, updates = rows_in_batches(n_samples, batch_size, last_batch)
        if updates_left <= updates or growth is None or batch_size >= growth.largest:
            epochs, updates_left = min(epochs, done + updates_left / updates), np.inf
        else:
            done, updates_left = done + 1, updates_left - updates
            batch_size = grown(growth, batch_size, done)
    if epochs >= sys.maxsize:
        raise ValueError(
            "Without cycle_length, this learning_rate lasts the whole run, but neither a budget of seconds nor so "
            "large a max_iter tells how many epochs that is; give cycle_length."
        )
    return epochs
