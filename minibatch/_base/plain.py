"""Arrays that scikit-learn's checks would hand on as they are, told at once: for a few rows these checks take longer
than all the rest. Whatever is not plain goes through them, and they say what is wrong with it."""

from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import _check_sample_weight, validate_data

from minibatch._base.sparse import refuse_damaged

__all__ = ["are_plain_rows", "checked_weight", "is_plain_target", "rows_to_predict"]


def rows_to_predict(model: Any, X: Any, *dtypes: Any, **checks: Any) -> Any:
    """X as ``validate_data`` with these checks gives it; an array of one of ``dtypes`` may be that already."""
    if not are_plain_rows(model, X, *dtypes):
        refuse_damaged(X)
        X = validate_data(model, X, accept_sparse="csr", reset=False, **checks)
    return X


def are_plain_rows(model: Any, X: Any, *dtypes: Any) -> bool:
    """Whether X is a finite array in C order, of one of these types, with the columns of a fitted model, none of them
    named."""
    known = vars(model)
    return (
        type(X) is np.ndarray
        and X.ndim == 2
        and X.dtype in dtypes
        and X.flags.c_contiguous
        and len(X) > 0
        and X.shape[1] == known.get("n_features_in_")
        and "feature_names_in_" not in known
        and _is_finite(X)
    )


def is_plain_target(y: Any, n_rows: int) -> bool:
    """Whether y is an array of one finite number a row."""
    return (
        type(y) is np.ndarray
        and y.shape == (n_rows,)
        and y.dtype.kind in "biuf"
        and y.flags.c_contiguous
        and (y.dtype.kind != "f" or _is_finite(y))
    )


def checked_weight(weight: Any, X: Any, all_zero: bool) -> NDArray[np.float64] | None:
    """Weights of the rows as they were given (None: all 1), none below 0."""
    if weight is None:
        return None
    found: NDArray[np.float64] = _check_sample_weight(
        weight, X, dtype=np.float64, ensure_non_negative=True, allow_all_zero_weights=all_zero
    )
    return found


def _is_finite(numbers: Any) -> bool:
    """As scikit-learn looks first. False too where a sum of finite numbers overflows."""
    with np.errstate(over="ignore", invalid="ignore"):
        return isfinite(np.add.reduce(numbers, axis=None))
