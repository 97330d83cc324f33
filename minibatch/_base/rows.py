"""Checked rows: those to train on with their weights, and those that early stopping holds out."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import ShuffleSplit, StratifiedShuffleSplit
from sklearn.utils import check_random_state

from minibatch._training.beginning import Findings

__all__ = [
    "Checked", "Rows", "relative_weights", "split_off", "times_class_weights", "with_relative_weights", "within_type",
]  # fmt: skip


class Rows(NamedTuple):
    """Checked input: X (C order or CSR), the encoded target, sample weights (None: all 1)."""

    X: Any
    target: NDArray[Any]
    weight: NDArray[np.float64] | None


class Checked(NamedTuple):
    """Rows that one model has checked for many of its kind, which differ in numbers; and what it learnt from them."""

    rows: Rows
    learnt: dict[str, Any]  # attributes
    findings: Findings  # of runs on these rows


def split_off(
    rows: Rows, fraction: float, classes: NDArray[Any] | None, random_state: Any
) -> tuple[NDArray[np.int64], Rows]:
    """Numbers of the rows to train on, and the rows held out to validate the model.

    With ``classes`` these keep their shares; if there are more of them than rows to hold out, each gives one at most.
    """
    n = len(rows.target)
    n_out = int(np.ceil(fraction * n))
    if classes is not None:
        _refuse_classes_of_one_row(rows.target, classes)
    _refuse_sizes(n, n_out, 1 if classes is None else len(np.unique(rows.target)), fraction)
    if classes is None:
        parts = next(ShuffleSplit(test_size=fraction, random_state=random_state).split(rows.target))
    elif n_out < len(np.unique(rows.target)):
        parts = _one_row_of_a_class(rows.target, n_out, random_state)
    else:
        splitter = StratifiedShuffleSplit(test_size=fraction, random_state=random_state)
        parts = next(splitter.split(np.zeros((n, 1)), rows.target))
    kept, out = (np.sort(part) for part in parts)
    weight = None if rows.weight is None else rows.weight[out]
    if weight is not None and not weight.any():
        raise ValueError("The sample weights for validation set are all zero, consider using a different random state.")
    return kept, Rows(rows.X[out], rows.target[out], weight)


def _refuse_classes_of_one_row(target: NDArray[Any], classes: NDArray[Any]) -> None:
    codes, counts = np.unique(target, return_counts=True)
    alone = codes[counts < 2]
    if len(alone):
        labels = ", ".join(repr(label) for label in classes[alone.astype(int)].tolist())
        # scikit-learn's tests look at the words of its splitter, and at bools as strings
        named = (alone.astype(str) if alone.dtype == bool else alone).tolist()
        raise ValueError(
            f"early_stopping=True holds out rows of every class, but there is only one row of {labels}. Give more rows "
            "of each class, or a validation set of your own (X_val and y_val), or set early_stopping=False. (The least "
            f"populated classes in y have only 1 member. Classes with too few members are: {named}.)"
        )


def _refuse_sizes(n: int, n_out: int, n_classes: int, fraction: float) -> None:
    """Too few rows to hold out, or to train on."""
    if n_out < 2:
        raise ValueError(
            f"The validation set is too small: {n_out} row of {n}. Increase validation_fraction={fraction:g}, give "
            "more rows or a validation set of your own (X_val and y_val), or set early_stopping=False."
        )
    if n - n_out < n_classes:
        few = f", fewer than the {n_classes} classes" if n_classes > 1 else ""
        raise ValueError(
            f"validation_fraction={fraction:g} leaves {n - n_out} of {n} rows to train on{few}; lower it, or give more "
            "rows."
        )


def _one_row_of_a_class(
    target: NDArray[Any], n_out: int, random_state: Any
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The first rows of as many classes, in a random order: none is lost to training."""
    order = check_random_state(random_state).permutation(len(target))
    _, firsts = np.unique(target[order], return_index=True)
    out = order[np.sort(firsts)[:n_out]]
    return np.setdiff1d(order, out), out


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
