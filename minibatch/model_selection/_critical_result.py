"""What `critical_batch_size` says, from its branches."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import _num_samples

from minibatch._tables import frame_of, html_list, html_table, short, text_table
from minibatch.model_selection._branches import Branches, Goal, OfSize
from minibatch.model_selection._steps_fit import StepsFit, fit_steps_to_target

__all__ = ["CriticalBatchSize", "Point", "point_of", "result_of"]

_Array = NDArray[np.float64]


class Point(NamedTuple):
    """What branches from one model found."""

    n_updates: int
    own_size: int  # rows in a batch of the run; 0 before the first update
    objective: float
    target: float
    n_rows: float  # that branches trained on
    n_samples: int
    remembers: bool  # the optimizer has a memory of its own batch size
    sizes: NDArray[np.int64]
    rates: _Array
    rows: _Array  # to the target, NaN where it was not reached
    spreads: _Array  # standard deviation of their logarithms over repeats
    fit: StepsFit | None


def point_of(branches: Branches, found: list[OfSize], goal: Goal | None, confidence: float) -> Point:
    model: Any = branches.model
    logs = [np.log(one.rows_to(goal.target)) for one in found] if goal is not None else []
    rows = np.array([np.exp(log.mean()) if np.isfinite(log).all() else np.nan for log in logs])
    spreads = np.array([log.std(ddof=1) if len(log) > 1 and np.isfinite(log).all() else np.nan for log in logs])
    sizes = np.array([one.batch_size for one in found], dtype=np.int64)
    fit = None
    if np.isfinite(rows).sum() >= 3:
        fit = fit_steps_to_target(sizes, rows / sizes, confidence=confidence)
    fitted = hasattr(model, "history_")
    firsts = [branch.objectives[0] for runs in branches.done.values() for branch in runs]
    return Point(
        int(model.n_updates_) if fitted else 0, int(model.batch_size_) if fitted else 0,
        float(np.mean(firsts)) if firsts else np.nan, np.nan if goal is None else goal.target, branches.n_rows,
        _num_samples(branches.rows[0]), fitted and model._optimizer.slots.size > 0, sizes,
        np.array([one.learning_rate for one in found]), rows, spreads, fit,
    )  # fmt: skip


@dataclass(frozen=True, repr=False, eq=False)
class CriticalBatchSize:
    """What :func:`critical_batch_size` found.

    Attributes
    ----------
    batch_size : float
        ``overhead * B_c`` at the last point, the rows of a batch that takes ``1 + overhead`` times as many rows to the
        target as the smallest batches; a whole number, at least 1. Infinite or 1 where it is beyond the sizes measured,
        NaN where it was not found; ``unsure`` says so.

    interval : (float, float)
        Its confidence interval, from the scatter of the branches around the law.

    overhead : float
        What was asked for.

    course : dict {str: ndarray}
        An entry a point along the run: ``epoch`` after which it branched (NaN where the estimator was fitted already),
        ``n_updates`` until then, the ``objective`` there and the ``target`` of the branches; ``batch_size`` and the
        ends of its interval, ``lower`` and ``upper``; ``noise_scale``, the ``B_c`` of the law.

    table : dict {str: ndarray}
        An entry a point and batch size: ``n_updates`` of the point, ``batch_size``, the best ``learning_rate``, the
        ``rows`` to the target (NaN where it was not reached within six times those of the smallest batches), their
        ``spread`` (the standard deviation of their logarithm over repeats), and the ``overhead`` of these rows over
        ``E_min``.

    unsure : tuple of str
        What to doubt (MB221 to MB225, MB231 to MB233).

    n_rows : int
        Rows that all branches trained on: what the answer cost.

    window : int
        Rows in which the smallest batches set the target, at most.

    confidence : float
        Of the intervals.
    """

    batch_size: float
    interval: tuple[float, float]
    overhead: float
    course: dict[str, NDArray[Any]]
    table: dict[str, NDArray[Any]]
    unsure: tuple[str, ...]
    n_rows: int
    window: int
    confidence: float

    def to_frame(self, what: str = "table") -> Any:
        """A data frame with one row a batch size (``"table"``) or one row a point along the run (``"course"``)."""
        if what not in ("table", "course"):
            raise ValueError(f"what must be 'table' or 'course'; got {what!r}.")
        return frame_of(getattr(self, what))

    def _title(self) -> str:
        more, n_updates = 100 * self.overhead, self.course["n_updates"][-1]
        what = f"Critical batch size after {n_updates} updates ({more:g} % more rows than the smallest)"
        if np.isnan(self.batch_size):
            return f"{what}: not found"
        low, high = (short(end) for end in self.interval)
        size = "beyond the sizes measured" if np.isinf(self.batch_size) else f"{self.batch_size:.0f} rows"
        return f"{what}: {size}, between {low} and {high} ({self.confidence:g} confidence)"

    def _cost(self) -> str:
        return f"From branches on {self.n_rows} rows in all."

    def _shown(self) -> dict[str, NDArray[Any]]:
        return self.table if len(self.course["n_updates"]) == 1 else self.course

    def _rows(self) -> list[list[Any]]:
        return [list(row) for row in zip(*self._shown().values(), strict=True)]

    def __repr__(self) -> str:
        doubts = [f"Unsure: {doubt}" for doubt in self.unsure]
        return "\n".join([self._title(), self._cost(), *doubts, text_table(list(self._shown()), self._rows())])

    def _repr_html_(self) -> str:
        table = html_table(f"{self._title()}. {self._cost()}", list(self._shown()), self._rows())
        return f"<div>{table}{html_list(self.unsure)}</div>"


def result_of(
    points: list[Point], epochs: list[float] | None, overhead: float, window: int, confidence: float
) -> CriticalBatchSize:
    sizes, intervals = zip(*(_size_of(point, overhead) for point in points), strict=True)
    n_sizes = [len(point.sizes) for point in points]
    updates = np.array([point.n_updates for point in points])
    fits = [point.fit for point in points]
    least = np.repeat([np.nan if fit is None else fit.min_samples for fit in fits], n_sizes)
    rows = np.concatenate([point.rows for point in points])
    course = {
        "epoch": np.full(len(points), np.nan) if epochs is None else np.array(epochs),
        "n_updates": updates,
        "objective": np.array([point.objective for point in points]),
        "target": np.array([point.target for point in points]),
        "batch_size": np.array(sizes),
        "lower": np.array([low for low, _ in intervals]),
        "upper": np.array([high for _, high in intervals]),
        "noise_scale": np.array([np.nan if fit is None else fit.critical_batch_size for fit in fits]),
    }
    table = {
        "n_updates": np.repeat(updates, n_sizes),
        "batch_size": np.concatenate([point.sizes for point in points]),
        "learning_rate": np.concatenate([point.rates for point in points]),
        "rows": rows,
        "spread": np.concatenate([point.spreads for point in points]),
        "overhead": rows / np.where(least > 0.0, least, np.nan) - 1.0,
    }
    return CriticalBatchSize(
        sizes[-1], intervals[-1], overhead, course, table, _doubts(points[-1], window),
        round(sum(point.n_rows for point in points)), window, confidence,
    )  # fmt: skip


def _size_of(point: Point, overhead: float) -> tuple[float, tuple[float, float]]:
    if point.fit is None:
        return np.nan, (np.nan, np.nan)
    low, high = point.fit.interval
    size = overhead * point.fit.critical_batch_size
    return (float(max(1, round(size))) if np.isfinite(size) else np.inf), (overhead * low, overhead * high)


def _doubts(point: Point, window: int) -> tuple[str, ...]:
    """About the last point."""
    said = []
    if len(point.sizes) == 0:
        said.append(
            f"the objective does not fall within {window} rows in the smallest batches: training has come to rest "
            "here, or needs a larger window [MB221]"
        )
    elif point.fit is None:
        said.append(
            f"{np.isfinite(point.rows).sum()} batch sizes reached the target, and the law needs three: give "
            "batch_sizes that are closer to each other, or smaller [MB222]"
        )
    else:
        said += [warning[0].lower() + warning[1:].replace(". [", " [") for warning in point.fit.warnings]
    if point.n_updates == 0:
        said.append("measured where training begins; it grows as training goes on (after=...) [MB223]")
    if point.remembers and len(point.sizes) > 0:
        said.append(
            f"branches begin with the optimizer's memory of batches of {point.own_size}, which favours sizes near it "
            "[MB224]"
        )
    if window > point.n_samples:
        said.append(f"a branch goes through the {point.n_samples} rows more than once [MB225]")
    return tuple(said)
