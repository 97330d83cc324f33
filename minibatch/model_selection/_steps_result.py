"""What `steps_to_target` found, from its trials."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minibatch._tables import frame_of, html_list, html_table, text_table
from minibatch.model_selection._steps_fit import StepsFit, fit_steps_to_target
from minibatch.model_selection._steps_regimes import log_error, regimes_of, slopes_of
from minibatch.model_selection._steps_trials import Found, middle
from minibatch.model_selection._steps_watch import Task
from minibatch.model_selection._summary import Target

__all__ = ["StepsToTargetResult", "result_of"]

_Array = NDArray[np.float64]


@dataclass(frozen=True, repr=False, eq=False)
class StepsToTargetResult:
    """What :func:`steps_to_target` found; arrays have an entry for every batch size, the smallest first.

    Attributes
    ----------
    batch_sizes : ndarray of int
        Rows in a batch.

    updates : ndarray of float
        Fewest updates to the target over all learning rates; NaN where no trial reached it. This is the first look at
        which the target was reached, so up to 4 % too many; 0 where the first parameters meet it.

    samples, epochs : ndarray of float
        The rows and the passes over the data of these updates.

    learning_rates : ndarray of float
        The rate that needs the fewest updates. Of several, the one that is furthest beyond the target by then. NaN
        where no trial reached the target, or none had to begin, and where the estimator finds its own
        (``learning_rate="auto"``).

    momenta : ndarray of float or None
        The momentum that goes with it, where several were tried.

    at_edge : ndarray of bool
        Whether that rate is the lowest or the highest tried: one beyond may be better.

    slopes : ndarray of float
        ``d log updates / d log batch_size``, between the neighbours that reached the target.

    slope_intervals : ndarray of shape (n_sizes, 2)
        Their confidence intervals: from the scatter of the repeats at the best rates, or, where there is one repeat,
        from that around the fit (which takes the fit's formula for true); with the 4 % of the looks. NaN where there is
        neither.

    regimes : list of str
        In words: ``'perfect scaling'`` (slope up to -0.8: twice the batch, half the updates), ``'diminishing
        returns'``, ``'plateau'`` (from -0.2 on), ``'not reached'``; ``'-'`` for a size alone. Where an interval does
        not tell one from the next, both: ``'perfect scaling or diminishing returns'``. ``'unsure'`` may be any (MB240).

    trials : dict {str: ndarray}
        One entry a trial: ``batch_size``, ``learning_rate``, ``momentum`` (where several were tried), ``repeat``,
        ``status``, ``updates`` to the target or NaN, ``n_updates`` done, and the ``value`` then. The status is
        ``'reached'``, ``'diverged'``, ``'pruned'`` (stopped where another rate needed no more updates, or as soon as it
        was too slow to need as few), ``'stalled'`` (too slow to reach the target within ``max_updates``), or
        ``'censored'`` (not reached within ``max_updates``): MB114.

    target : Target
        ``name`` and ``value`` of what was to be reached.

    max_updates : int
        Of a trial.

    fit : StepsFit or None
        ``S_min (1 + B_c / B)`` fitted to ``updates``; None where ``warnings`` say why.

    warnings : tuple of str
        What to be careful about, and what to do (MB231 to MB239).
    """

    batch_sizes: NDArray[np.int64]
    updates: _Array
    samples: _Array
    epochs: _Array
    learning_rates: _Array
    momenta: _Array | None
    at_edge: NDArray[np.bool_]
    slopes: _Array
    slope_intervals: _Array
    regimes: list[str]
    trials: dict[str, NDArray[Any]]
    target: Target
    max_updates: int
    fit: StepsFit | None
    warnings: tuple[str, ...]

    @property
    def critical_batch_size(self) -> float:
        """``B_c`` of the fit; NaN without one."""
        return np.nan if self.fit is None else self.fit.critical_batch_size

    @property
    def interval(self) -> tuple[float, float]:
        """The confidence interval of ``critical_batch_size``."""
        return (np.nan, np.nan) if self.fit is None else self.fit.interval

    @property
    def finds_rates(self) -> bool:
        """Whether the estimator finds its learning rates, and none were tried."""
        return bool(np.isnan(self.trials["learning_rate"]).all())

    def to_frame(self, what: str = "summary") -> Any:
        """A data frame with one row a batch size (``"summary"``) or one row a trial (``"trials"``)."""
        if what == "summary":
            low, high = self.slope_intervals.T
            return frame_of(self._columns() | {"slope_low": low, "slope_high": high})
        if what == "trials":
            return frame_of(self.trials)
        raise ValueError(f"what must be 'summary' or 'trials'; got {what!r}.")

    def _columns(self) -> dict[str, Any]:
        momenta = {} if self.momenta is None else {"momentum": self.momenta}
        return {
            "batch_size": self.batch_sizes,
            "updates": self.updates,
            "samples": self.samples,
            "epochs": self.epochs,
            "learning_rate": self.learning_rates,
            **momenta,
            "at_edge": self.at_edge,
            "slope": self.slopes,
            "regime": self.regimes,
        }

    def _title(self) -> str:
        rates = " at the rates that the estimator finds" if self.finds_rates else ""
        n_sizes, n_trials = len(self.batch_sizes), len(self.trials["status"])
        fit = "no fit" if self.fit is None else f"critical batch size {self._critical_size()}"
        return (
            f"Steps to {self.target}: {n_sizes} batch size{'s' * (n_sizes > 1)}{rates}, {n_trials} "
            f"trial{'s' * (n_trials > 1)} of up to {self.max_updates} updates; {fit}"
        )

    def _critical_size(self) -> str:
        """Beyond the sizes that reached the target, only that it is there: digits would be the formula's alone."""
        reached = self.batch_sizes[np.isfinite(self.updates)]
        smallest, largest, (low, high) = reached.min(), reached.max(), self.interval
        if self.critical_batch_size < smallest:
            return f"below {smallest}" + (f", at most {high:.3g}" if high >= smallest else "")
        if self.critical_batch_size > largest:
            return f"above {largest}" + (f", at least {low:.3g}" if low <= largest else "")
        return f"{self.critical_batch_size:.3g} [{low:.3g}, {high:.3g}]"

    def _table(self) -> tuple[list[str], list[tuple[Any, ...]]]:
        columns = self._columns() | {"at_edge": ["edge" if at_edge else "" for at_edge in self.at_edge]}
        if self.finds_rates:
            del columns["learning_rate"], columns["at_edge"]
        return list(columns), list(zip(*columns.values(), strict=True))

    def __repr__(self) -> str:
        return "\n".join([self._title(), text_table(*self._table()), *self.warnings])

    def _repr_html_(self) -> str:
        return f"<div>{html_table(self._title(), *self._table())}{html_list(self.warnings)}</div>"


def result_of(
    sizes: NDArray[np.int64], found: list[Found], task: Task, rates: list[float], confidence: float
) -> StepsToTargetResult:
    """From the trials to what they say."""
    repeats = [[] if one.best is None else one.runs[one.best] for one in found]
    medians = [middle(runs) if runs else None for runs in repeats]
    updates, samples, epochs = (
        np.array([np.nan if run is None else float(getattr(run, name)) for run in medians])
        for name in ("updates", "n_samples", "epoch")
    )
    # where there is nothing to train, no rate is the best
    chosen = [
        task.candidates[one.best] if one.best is not None and count > 0 else (np.nan, np.nan)
        for one, count in zip(found, updates, strict=True)
    ]
    best_rates, momenta = (np.array(values, dtype=float) for values in zip(*chosen, strict=True))
    fit, why = _fit(sizes, updates, confidence)
    counts = [np.array([float(run.n_updates) for run in runs]) for runs in repeats]
    slopes = slopes_of(sizes, updates, *log_error(counts, updates, fit), confidence)
    return StepsToTargetResult(
        batch_sizes=sizes,
        updates=updates,
        samples=samples,
        epochs=epochs,
        learning_rates=best_rates,
        momenta=None if task.candidates[0][1] is None else momenta,
        at_edge=np.isin(best_rates, rates[:1] + rates[-1:]),
        slopes=slopes[0],
        slope_intervals=slopes[1:].T,
        regimes=regimes_of(updates, slopes),
        trials=_trials(sizes, found, task),
        target=task.target,
        max_updates=int(task.looks[-1]),
        fit=fit,
        warnings=(*_about_rates(sizes, best_rates, rates), *_about_missing(sizes, found, task), *why),
    )


def _trials(sizes: NDArray[np.int64], found: list[Found], task: Task) -> dict[str, NDArray[Any]]:
    rows = [
        (size, *candidate, repeat, run)
        for size, one in zip(sizes, found, strict=True)
        for candidate, repeats in zip(task.candidates, one.runs, strict=True)
        for repeat, run in enumerate(repeats)
    ]
    batch_size, rate, momentum, repeat, run = zip(*rows, strict=True)
    return {
        "batch_size": np.array(batch_size),
        "learning_rate": np.array(rate),
        **({} if momentum[0] is None else {"momentum": np.array(momentum)}),
        "repeat": np.array(repeat),
        "status": np.array([one.status for one in run]),
        "updates": np.array([one.updates if one.status == "reached" else np.nan for one in run]),
        "n_updates": np.array([one.n_updates for one in run]),
        "value": np.array([one.value for one in run]),
    }


def _fit(sizes: NDArray[np.int64], updates: _Array, confidence: float) -> tuple[StepsFit | None, tuple[str, ...]]:
    """The fit and its warnings, or why there is none."""
    if (updates == 0).any():
        return None, ("No fit: the target is met before the first update. Choose one that is harder to reach. [MB234]",)
    reached = int(np.isfinite(updates).sum())
    if reached < 3:
        return None, (f"No fit: it needs three batch sizes that reach the target; {reached} did. [MB235]",)
    fit = fit_steps_to_target(sizes, updates, confidence=confidence)
    return fit, fit.warnings


def _about_rates(sizes: NDArray[np.int64], best: _Array, rates: list[float]) -> list[str]:
    """Where another rate may be better."""
    if len(rates) == 1:
        return ["There is one learning rate: no batch size is at its own, so they cannot be compared. [MB236]"]
    if not rates:
        return []
    said = []
    for rate, name, side in ((min(rates), "lowest", "lower"), (max(rates), "highest", "higher")):
        here = best == rate
        if here.any():
            said.append(
                f"The best rate is the {name}, {rate:g}, at {_named_sizes(sizes[here])}: add {side} ones, for fewer "
                "updates. [MB237]"
            )
    return said


def _about_missing(sizes: NDArray[np.int64], found: list[Found], task: Task) -> list[str]:
    """Where the target was not reached."""
    missed = np.array([one.best is None for one in found])
    diverged = np.array([all(run.status == "diverged" for repeats in one.runs for run in repeats) for one in found])
    remedy = "scale X" if np.isnan(task.candidates[0][0]) else "add lower learning_rates"
    said = []
    if diverged.any():
        said.append(f"Every trial diverged at {_named_sizes(sizes[diverged])}: {remedy}. [MB238]")
    slow = missed & ~diverged
    if slow.any():
        said.append(
            f"{task.target} was not reached within max_updates={task.looks[-1]} at {_named_sizes(sizes[slow])}: "
            "allow more, or choose an easier target. [MB239]"
        )
    return said


def _named_sizes(sizes: NDArray[np.int64]) -> str:
    return f"batch size{'s' * (len(sizes) > 1)} {', '.join(map(str, sizes))}"
