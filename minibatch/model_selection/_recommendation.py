"""What `recommend_batch_size` says."""

from dataclasses import dataclass
from html import escape
from typing import Any

from numpy.typing import NDArray

from minibatch._tables import frame_of, html_table, text_table
from minibatch.diagnostics import GradientNoiseCurve, LearningRateRangeResult

__all__ = ["BatchSizeRecommendation", "Table"]

Table = dict[str, NDArray[Any]]


@dataclass(frozen=True, repr=False, eq=False)
class BatchSizeRecommendation:
    """What :func:`recommend_batch_size` found.

    Attributes
    ----------
    batch_size : int
        The recommended number of rows: of those in ``table`` that are predicted to take at most 20 % more than the
        least time, the one in the middle by ratios.

    learning_rate : float
        A rate to begin with at this batch size, from ``range_test``.

    suggestion : str
        Which of its suggestions that is, or ``'max_rate/10'`` where the loss was still falling at the last rate.

    critical_batch_size : float
        ``B_c``, in rows: the gradient noise scale along the short run. A batch of so many rows needs twice the updates
        of a very large one, and twice the rows of a very small one.

    interval : (float, float)
        The same from the lower and from the upper ends of the intervals of the noise.

    seconds_per_update : (float, float)
        ``a`` and ``b``, in seconds: an update on ``B`` rows takes ``a + b B``.

    table : dict {str: ndarray}
        ``batch_size``; ``updates`` and ``seconds`` predicted for as much progress as the short run made; ``memory`` in
        bytes that a fit of the estimator takes, with its stopping rules and so on; ``signal_to_noise`` of the batch's
        gradient, ``sqrt(B / B_c)``.

    reason : str
        Why this batch size.

    unsure : tuple of str
        What to doubt.

    noise : GradientNoiseCurve
        The noise scale along the short run.

    range_test : LearningRateRangeResult
        At the recommended batch size.
    """

    batch_size: int
    learning_rate: float
    suggestion: str
    critical_batch_size: float
    interval: tuple[float, float]
    seconds_per_update: tuple[float, float]
    table: Table
    reason: str
    unsure: tuple[str, ...]
    noise: GradientNoiseCurve
    range_test: LearningRateRangeResult

    def to_frame(self) -> Any:
        """The table, one row a batch size."""
        return frame_of(self.table)

    def _title(self) -> str:
        return f"Recommended batch size: {self.batch_size}, learning rate {self.learning_rate:.2g}"

    def _header(self) -> list[str]:
        return ["", "batch size", "updates", "milliseconds", "megabytes", "signal/noise"]

    def _rows(self) -> list[list[Any]]:
        numbers = zip(*self.table.values(), strict=True)
        return [
            ["->" if size == self.batch_size else "", size, updates, 1e3 * seconds, memory / 1e6, signal]
            for size, updates, seconds, memory, signal in numbers
        ]

    def __repr__(self) -> str:
        doubts = "".join(f"\nUnsure: {doubt}" for doubt in self.unsure)
        return f"{self._title()}\n{self.reason}{doubts}\n{text_table(self._header(), self._rows())}"

    def _repr_html_(self) -> str:
        doubts = "".join(f"<li>{escape(doubt)}</li>" for doubt in self.unsure)
        words = f"<p>{escape(self.reason)}</p>" + (f"<p>Unsure:</p><ul>{doubts}</ul>" if doubts else "")
        return f"<div>{words}{html_table(self._title(), self._header(), self._rows())}</div>"
