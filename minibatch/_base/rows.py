"""Checked rows: those to train on with their weights, and those that early stopping holds out."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import ShuffleSplit, StratifiedShuffleSplit

__all__ = ["Rows", "relative_weights", "split_off"]


class Rows(NamedTuple):
    """Checked input: X (C order or CSR), the encoded target, sample weights (None: all 1)."""

    X: Any
    target: NDArray[Any]
    weight: NDArray[np.float64] | None


def split_off(rows: Rows, fraction: float, stratified: bool, random_state: Any) -> tuple[NDArray[np.int64], Rows]:
    """Numbers of the rows to train on, and the rows held out to validate the model."""
    splitter = StratifiedShuffleSplit if stratified else ShuffleSplit
    split = splitter(test_size=fraction, random_state=random_state)
    # bools as strings, for the message of the splitter about a class with one row: scikit-learn's tests look at it
    labels = rows.target.astype(str) if rows.target.dtype == bool else rows.target
    kept, out = (np.sort(part) for part in next(split.split(np.zeros((len(labels), 1)), labels)))
    if len(out) < 2:
        raise ValueError(
            f"The validation set is too small: {len(out)} row. Increase validation_fraction={fraction:g}, or give "
            f"more rows than {len(rows.target)}."
        )
    weight = None if rows.weight is None else rows.weight[out]
    if weight is not None and not weight.any():
        raise ValueError("The sample weights for validation set are all zero, consider using a different random state.")
    return kept, Rows(rows.X[out], rows.target[out], weight)


def relative_weights(weight: NDArray[np.float64], kept: NDArray[np.int64] | None) -> NDArray[np.float64]:
    """The weights of all rows, with mean 1 over those trained on (None: all)."""
    with np.errstate(over="ignore"):
        mean = np.mean(weight if kept is None else weight[kept])
    if mean == 0.0:
        raise ValueError("The weights of all rows to train on are zero; give some row a positive sample_weight.")
    if not np.isfinite(mean):
        raise ValueError("The sum of sample_weight overflows; only ratios matter, so divide all by the largest.")
    return weight / mean
