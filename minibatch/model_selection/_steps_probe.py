"""A quantity of all rows, asked only where a sample of them says that the target is near."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from minibatch._base.rows import Rows
from minibatch._base.watch import Evaluation, Measures
from minibatch._problems.state import Vector
from minibatch.model_selection._summary import Target

__all__ = ["Probe", "blocks_of"]

# Rows of the sample, in so many blocks, whose scatter is the error of its mean; only where there are so many times as
# many rows. 4,096 rows cost as little as looking at all costs overhead, and their error is 1 or 2 % of a loss.
_ROWS, _BLOCKS, _WORTH_IT = 4096, 8, 4
_ERRORS = 5.0  # within so many standard errors of the target, all rows are looked at; t with 7 degrees: once in 1,300


class Probe:
    """Looks at all rows where it must, else adds to the last such look by how much the sample has moved since.

    The answer is an estimate only if that is further from the target than ``_ERRORS`` standard errors.
    """

    def __init__(self, target: Target, whole: Callable[[Vector], float], blocks: list[Callable[[Vector], float]]):
        self.target, self.whole, self.blocks = target, whole, blocks

    def look(self, theta: Vector) -> float:
        """At all rows."""
        self.last = self.whole(theta)
        self.last_of_blocks = self._of_blocks(theta)
        return self.last

    def estimate(self, theta: Vector) -> float:
        """Of all rows, or what they are where the target is near."""
        if not self.blocks:
            return self.look(theta)
        moved = self._of_blocks(theta) - self.last_of_blocks
        value, error = self.last + moved.mean(), moved.std(ddof=1) / np.sqrt(len(moved))
        away = (value - self.target.value) * (1.0 if self.target.lower_is_better else -1.0)
        return float(value) if away > _ERRORS * error else self.look(theta)  # a NaN is looked at

    def _of_blocks(self, theta: Vector) -> NDArray[np.float64]:
        return np.array([block(theta) for block in self.blocks])


def blocks_of(measures: Measures, theta: Vector, evaluation: Evaluation, seed: int) -> list[Evaluation]:
    """Evaluations on equal parts of a random sample of the rows; none where all rows are few."""
    rows = evaluation.rows
    counted = np.arange(len(rows.target)) if rows.weight is None else np.flatnonzero(rows.weight)
    if len(counted) < _WORTH_IT * _ROWS:
        return []
    sample = np.random.RandomState(seed).choice(counted, _ROWS, replace=False)
    model = measures.fitted(theta)
    parts = [
        Rows(rows.X[part], rows.target[part], None if rows.weight is None else rows.weight[part])
        for part in np.sort(sample.reshape(_BLOCKS, -1), axis=1)
    ]
    return [model._evaluation(part, threads=evaluation.problem.threads) for part in parts]
