"""Scales of columns: what one unit of a weight does to the scores."""

import sys
from functools import cached_property
from operator import add
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from minibatch._problems.pieces import at_once, cut
from minibatch._problems.state import ROWS_AT_ONCE, ProblemOnRows, values_of_row
from minibatch.engine.columns import column_moments
from minibatch.engine.rows import CSR

__all__ = [
    "ALIKE", "FEW_VALUES", "LEAST_SCALE", "RARITY", "ROWS_GROWN", "SQUARES_GROWN", "ColumnMoments", "Scales",
    "moments_of", "squared_scales", "still_scales",
]  # fmt: skip

# The power of the share of rows that have a value in ``squared_scales``.
RARITY = 0.25
# A column whose values are smaller than this share of the largest has no scale of its own.
LEAST_SCALE = 1e-7
# Columns whose scales differ by no more than this factor count as alike: one scale for all is faster.
ALIKE = 2.0
# Along a stream scales are looked at anew when its rows have grown by this factor, as distances are, or the sum of
# squares of a column by the other: one that has values for the first time, or much larger ones, does not wait.
ROWS_GROWN, SQUARES_GROWN = 17 / 16, 2.0

# Of so many values NumPy finds the moments, in 50 microseconds at most, so that nothing is compiled for them.
FEW_VALUES = 16_384


class Scales(NamedTuple):
    """Columns are in bands, whose squared scales are powers of four apart; in one where they are alike."""

    bands: NDArray[np.uint8]  # of the columns; none where there is one band
    of_bands: NDArray[np.floating[Any]]
    of_columns: NDArray[np.floating[Any]]  # one number where they are alike


class _Sums(NamedTuple):
    squares: NDArray[np.float64]  # of the values of each column
    present: NDArray[np.float64]  # of 1 where a column has a value
    weight: float


class ColumnMoments(_Sums):
    """Weighted sums over rows, which add up along a stream. They stay as they are: so do their scales."""

    def scales(self, dtype: Any) -> Scales:
        """``squared_scales``, found once: a stream needs those of the call before to go on."""
        if dtype not in self._scales:
            self._scales[dtype] = squared_scales(self, dtype)
        return self._scales[dtype]

    @cached_property
    def _scales(self) -> dict[Any, Scales]:
        return {}


def moments_of(problem: ProblemOnRows, before: ColumnMoments | None = None) -> ColumnMoments:
    """Of the rows trained on, added to those of earlier ones."""
    are_few = not isinstance(problem.data.X, CSR) and problem.n_samples * problem.n_features <= FEW_VALUES
    found = _moments_of_few(problem) if are_few else _moments_of_many(problem)
    return found if before is None else ColumnMoments(*map(add, before, found))


def _moments_of_many(problem: ProblemOnRows) -> ColumnMoments:
    sums, total = np.zeros((problem.n_features, 2)).T, 0.0
    if not isinstance(problem.data.X, CSR):  # else the two of a column lie together, and memory is waited for once
        sums = sums.copy()
    step = max(1, min(ROWS_AT_ONCE, at_once(values_of_row(problem.data.X))))
    for begin, end in cut(0, problem.n_samples, step):
        rows = np.arange(begin, end) if problem.rows is None else problem.rows[begin:end]
        total += column_moments(problem.data.X, rows, problem.data.weight, *sums)
    return ColumnMoments(sums[0].copy(), sums[1].copy(), total)


def _moments_of_few(problem: ProblemOnRows) -> ColumnMoments:
    """By ``np.einsum``, which does not warn of squares that overflow."""
    (X, _, weight, _), rows = problem.data, slice(None) if problem.rows is None else problem.rows
    values = X[rows]
    if len(weight):
        weights = weight[rows].astype(np.float64)
        squares = np.einsum("i,ij,ij->j", weights, values, values, dtype=np.float64)
        present = np.einsum("i,ij->j", weights, values != 0.0)
        return ColumnMoments(squares, present, float(weights.sum()))
    squares, n_rows = np.einsum("ij,ij->j", values, values, dtype=np.float64), float(len(values))
    are_there = np.count_nonzero(values) == values.size  # as of most dense data
    present = np.full(len(squares), n_rows) if are_there else np.add.reduce(values != 0.0, dtype=np.float64)
    return ColumnMoments(squares, present, n_rows)


def still_scales(earlier: ColumnMoments, moments: ColumnMoments) -> bool:
    """Whether the scales of earlier rows of a stream still do: a short chunk of a long one changes nothing that is
    worth the time of finding scales, and of rewriting what was made with others."""
    if moments.weight > ROWS_GROWN * earlier.weight:
        return False
    return not np.count_nonzero(moments.squares > SQUARES_GROWN * earlier.squares)


def squared_scales(moments: ColumnMoments, dtype: Any) -> Scales:
    """``q_j = s_j^2`` with ``s_j = u_j f_j^(1/4)``: ``u_j`` is the root mean square of the values that are not 0, and
    ``f_j`` the share of rows that have one; but for a factor up to the root of two.

    So weights are found as fast whatever the units of the columns, and those of rare columns are not held back as
    much as they would be without, nor let loose as with the root mean square over all rows, ``u_j f_j^(1/2)``.
    """
    share = moments.present / max(moments.weight, sys.float_info.min)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        unit = np.sqrt(moments.squares / moments.present)
        scale = unit * share**RARITY
        least, largest = np.minimum.reduce(unit, initial=np.inf), np.maximum.reduce(unit, initial=0.0)
        if not LEAST_SCALE * largest < least <= largest < np.inf:  # nor where there is no number
            finite = unit < np.inf
            own = (unit > LEAST_SCALE * np.maximum.reduce(unit, initial=0.0, where=finite)) & finite
            scale = np.where(own, scale, np.maximum.reduce(scale, initial=0.0, where=own))
    largest = np.maximum.reduce(scale, initial=0.0)
    if not largest > 0.0:
        return _one_scale(1.0, dtype)
    if largest <= ALIKE * np.minimum.reduce(scale):
        return _one_scale(np.add.reduce(scale * scale) / len(scale), dtype)
    halvings = np.rint(np.log2(largest / scale)).astype(np.int64)
    present = np.bincount(halvings) > 0
    bands, halvings = (np.cumsum(present) - 1)[halvings], np.flatnonzero(present)
    smallest, most = (float(limit) ** 0.5 for limit in (np.finfo(dtype).tiny, np.finfo(dtype).max))
    of_bands = np.minimum(np.maximum((largest * 0.5**halvings) ** 2, smallest), most).astype(dtype)
    return Scales(bands.astype(np.uint8), of_bands, of_bands[bands])


def _one_scale(squared: float, dtype: Any) -> Scales:
    scale = np.array([squared], dtype)
    return Scales(np.empty(0, np.uint8), scale, scale)
