"""Checked rows: those to train on with their weights, and those that early stopping holds out."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import ShuffleSplit, StratifiedShuffleSplit

__all__ = ["Rows", "relative_weights", "split_off", "times_class_weights", "with_relative_weights", "within_type"]


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
    """The weights with mean 1 over the rows trained on (None: all), however large or small; 0 for all other rows."""
    own = weight if kept is None else weight[kept]
    if not own.any():
        raise ValueError(
            "The weights of all rows to train on are zero; give some row a positive sample_weight, and its class a "
            "positive class_weight."
        )
    own = _below_one(own)
    own /= np.mean(own)
    if kept is None:
        return own
    relative = np.zeros_like(weight)
    relative[kept] = own
    return relative


def with_relative_weights(rows: Rows) -> Rows:
    return rows if rows.weight is None else rows._replace(weight=relative_weights(rows.weight, None))


def times_class_weights(
    weight: NDArray[np.float64] | None, by_class: NDArray[np.float64], relative: bool
) -> NDArray[np.float64]:
    """Sample times class weights of all rows; where they are only ``relative``, of a size that does not overflow."""
    if weight is None:
        return by_class
    if relative:
        return _below_one(weight) * _below_one(by_class)
    with np.errstate(over="ignore"):
        product = weight * by_class
    if not np.isfinite(product).all():
        raise ValueError("sample_weight times class_weight overflows; divide them by a constant.")
    return product


def within_type(weight: NDArray[np.float64], dtype: Any) -> NDArray[np.float64]:
    """Weights that are used as they are, if the type of X has them."""
    with np.errstate(over="ignore", under="ignore"):
        cast = weight.astype(dtype)
    for words, lost in (("large", ~np.isfinite(cast)), ("small", (cast == 0.0) & (weight > 0.0))):
        if lost.any():
            raise ValueError(
                f"sample_weight has values too {words} for {dtype}, the type of X and of the model: "
                f"{weight[lost][0]:g}. partial_fit takes weights as they are; divide all by a constant, so that their "
                "mean is near 1."
            )
    return weight


def _below_one(weight: NDArray[np.float64]) -> NDArray[np.float64]:
    """In the same ratios, from 1/2 up to below 1 at the most. Over a power of two, so nothing is rounded."""
    return np.ldexp(weight, -np.frexp(weight.max(initial=0.0))[1])
