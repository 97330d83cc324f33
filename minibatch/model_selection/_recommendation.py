"""What `recommend_batch_size` says."""

from dataclasses import dataclass
from html import escape
from textwrap import fill
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minibatch._tables import frame_of, html_list, html_table, text_table
from minibatch.diagnostics import GradientNoiseCurve
from minibatch.model_selection._full_batch_solver import FullBatchSolver

__all__ = ["BatchSizeRecommendation", "Table"]

Table = dict[str, NDArray[Any]]

_LEGEND = "Updates and ms until 1% of the fall of the objective is left; % of it left when a run ended; MB of a fit:"
_LINE = 88  # characters of the reasons' lines


@dataclass(frozen=True, repr=False, eq=False)
class BatchSizeRecommendation:
    """What :func:`recommend_batch_size` found.

    Attributes
    ----------
    batch_size : int
        The recommended number of rows: of those that took at most 20 % more time than the fastest in the runs, the one
        in the middle by ratios.

    learning_rate : float or None
        The first rate for this batch size, found as ``eta0="auto"`` finds it; None where training finds its rates by
        itself (``learning_rate="auto"`` and ``"dowg"``).

    flat : (int, int)
        The lowest and the highest size that take at most 20 % more time than the fastest: as measured, and between and
        beyond measured sizes by the law, corrected by what was measured beside them.

    estimator : estimator
        A clone of what was given, not fitted, with batch size, rate and schedule set; the whole pipeline, if one was
        given. With ``learning_rate="optimal"`` its schedule is ``"inverse_time"``, the same formula from a first rate.

    critical_batch_size : float
        ``B_c``, in rows: the gradient noise scale along the short run. A batch of so many rows needs twice the updates
        of a very large one, and twice the rows of a very small one.

    interval : (float, float)
        The same from the lower and from the upper ends of the intervals of the noise.

    seconds_per_update : (float, float)
        ``a`` and ``b``, in seconds: ``a + b B`` is nearest to the times of updates on ``B`` rows, by ratios. With
        several workers it is ``a + b B / n_workers``, and the exchange beside it.

    table : dict {str: ndarray}
        ``batch_size``; ``predicted_updates`` and ``predicted_seconds`` by the law, to where ``measured_updates`` and
        ``measured_seconds`` lead: 1 % of the fall of the objective is left (NaN where a size did not run, or did not
        get there in its time); ``left``, the share of the fall that was left at the end of a run (``nan``: no run);
        ``learning_rate`` of the run; ``memory`` in bytes that a fit of the estimator takes, with its stopping rules and
        so on; ``signal_to_noise`` of the batch's gradient, ``sqrt(B / B_c)``.

    reason : str
        Why this batch size.

    unsure : tuple of str
        What to doubt (MB201 to MB213).

    seconds : float
        What this advice took, by the clock on the wall.

    full_batch_solver : FullBatchSolver or None
        ``name``, ``seconds``, and ``n_rows`` that it was timed on, of scikit-learn's ``LogisticRegression`` or
        ``Ridge`` with the same objective; None where neither has it.

    noise : GradientNoiseCurve
        The noise scale along the short run.

    n_workers : int
        The workers that share the batch.

    seconds_per_exchange : float
        Of the exchange of a gradient between them, in every update; 0 of one worker.
    """

    batch_size: int
    learning_rate: float | None
    flat: tuple[int, int]
    estimator: Any
    critical_batch_size: float
    interval: tuple[float, float]
    seconds_per_update: tuple[float, float]
    table: Table
    reason: str
    unsure: tuple[str, ...]
    seconds: float
    full_batch_solver: FullBatchSolver | None
    noise: GradientNoiseCurve
    n_workers: int = 1
    seconds_per_exchange: float = 0.0

    def to_frame(self) -> Any:
        """The table, one row a batch size."""
        return frame_of(self.table)

    def _title(self) -> str:
        rate = "" if self.learning_rate is None else f", learning rate {self.learning_rate:.2g}"
        workers = "" if self.n_workers == 1 else f" over {self.n_workers} workers"
        return f"Recommended batch size: {self.batch_size}{workers}{rate}"

    def _costs(self) -> str:
        solver = "" if self.full_batch_solver is None else f" {self.full_batch_solver}."
        return f"This advice took {self.seconds:.2g} s.{solver}"

    def _columns(self) -> dict[str, tuple[str, float]]:
        """Headings and units of the columns that are shown."""
        columns = {
            "batch_size": ("batch size", 1), "learning_rate": ("rate", 1),
            "predicted_updates": ("predicted updates", 1), "predicted_seconds": ("predicted ms", 1e-3),
            "measured_updates": ("measured updates", 1), "measured_seconds": ("measured ms", 1e-3),
            "left": ("% left", 1e-2), "memory": ("MB", 1e6), "signal_to_noise": ("signal/noise", 1),
        }  # fmt: skip
        return {name: of for name, of in columns.items() if not np.isnan(self.table[name]).all()}

    def _header(self) -> list[str]:
        return ["", *(heading for heading, _ in self._columns().values())]

    def _rows(self) -> list[list[Any]]:
        shown = [
            self.table[name] if unit == 1 else self.table[name] / unit for name, (_, unit) in self._columns().items()
        ]
        return [["->" if row[0] == self.batch_size else "", *row] for row in zip(*shown, strict=True)]

    def __repr__(self) -> str:
        doubts = [f"Unsure: {doubt}" for doubt in self.unsure]
        words = [fill(said, _LINE) for said in (self._title(), self.reason, self._costs(), *doubts, _LEGEND)]
        return "\n".join([*words, text_table(self._header(), self._rows())])

    def _repr_html_(self) -> str:
        words = f"<p><strong>{self._title()}</strong></p><p>{escape(self.reason)}</p><p>{escape(self._costs())}</p>"
        words += f"<p>Unsure:</p>{html_list(self.unsure)}" if self.unsure else ""
        return f"<div>{words}{html_table(_LEGEND, self._header(), self._rows())}</div>"
