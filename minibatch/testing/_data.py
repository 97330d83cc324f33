"""Strategies for batch sizes and data sets.

Values are multiples of 1/8, so that a failure shrinks to numbers that can be read; what is drawn first (well-scaled,
dense, float64, all rows their own) is what it shrinks to.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

__all__ = ["EIGHTHS", "LABELS", "LETTERS", "SCALES", "batch_sizes", "classification_data", "regression_data"]

LETTERS = "abcdefghij"
LABELS: dict[str, Callable[[int], Any]] = {
    "int": int,
    "str": lambda number: LETTERS[number],
    "bool": bool,
}
# Of an ill-scaled column; their squares are far from the limits of float32.
SCALES = [1.0, 1e-8, 1e-4, 1e4, 1e8]
EIGHTHS = st.integers(-24, 24).map(lambda number: number / 8)


def batch_sizes(max_size: int | None = None) -> st.SearchStrategy[int | float | str]:
    """Strategy for every kind of ``batch_size``.

    Parameters
    ----------
    max_size : int or None, default=None
        The largest number of rows to draw. None draws numbers up to 1000, more than the rows of the data sets of this
        module: they are clipped.

    Returns
    -------
    strategy of int >= 1, float in (0, 1], ``'full'`` or ``'auto'``
        Shrinks to 1.

    Examples
    --------
    >>> from hypothesis import find
    >>> from minibatch.testing import batch_sizes
    >>> [
    ...     find(batch_sizes(), lambda size: type(size) is kind and size != 1)
    ...     for kind in (int, float, str)
    ... ]
    [2, 0.5, 'full']
    """
    if max_size is not None and max_size < 1:
        raise ValueError(f"max_size must be at least 1, the smallest batch; got {max_size!r}.")
    numbers = st.integers(1, 1000 if max_size is None else max_size)
    shares = st.one_of(st.sampled_from([1.0, 0.5, 0.25, 0.1]), st.floats(0, 1, exclude_min=True))
    return st.one_of(numbers, st.sampled_from(["full", "auto"]), shares)


@st.composite
def _matrices(
    draw: Any, n_samples: int, max_features: int, sparse: bool | None, dtype: Any, well_scaled: bool | None
) -> Any:
    """X of so many rows."""
    shape = n_samples, draw(st.integers(1, max_features))
    X = draw(hnp.arrays(np.float64, shape, elements=EIGHTHS, fill=st.just(0.0)))
    if draw(st.booleans(), label="duplicated rows"):
        X = X[draw(st.lists(st.integers(0, n_samples - 1), min_size=n_samples, max_size=n_samples))]
    if draw(st.booleans(), label="a constant column"):
        X[:, draw(st.integers(0, shape[1] - 1))] = draw(EIGHTHS)
    if well_scaled is None:
        well_scaled = not draw(st.booleans(), label="ill-scaled columns")
    if not well_scaled:
        X = X * draw(st.lists(st.sampled_from(SCALES), min_size=shape[1], max_size=shape[1]))
    if dtype is None:
        dtype = draw(st.sampled_from([np.float64, np.float32]))
    if sparse is None:
        sparse = draw(st.booleans(), label="sparse")
    X = X.astype(dtype)
    return sp.csr_array(X) if sparse else X


@st.composite
def _weights(draw: Any, n_samples: int) -> NDArray[np.float64]:
    """Numbers of times that a row counts, none for some, fractions for others; not all zero."""
    several = st.lists(st.sampled_from([1.0, 2.0, 0.0, 3.0, 0.5]), min_size=n_samples, max_size=n_samples)
    return np.array(draw(several.filter(any)))


def _data_set(X: Any, y: NDArray[Any], draw: Any, weighted: bool) -> tuple[Any, ...]:
    return (X, y, draw(_weights(len(y)))) if weighted else (X, y)


def _check_bounds(least: int, min_samples: int, max_samples: int, **others: tuple[int, int, float]) -> None:
    """``others``: value, smallest and largest one, by name."""
    if not least <= min_samples <= max_samples:
        raise ValueError(
            f"min_samples must be at least {least} and at most max_samples; got min_samples={min_samples!r} and "
            f"max_samples={max_samples!r}."
        )
    for name, (value, smallest, largest) in others.items():
        if not smallest <= value <= largest:
            raise ValueError(f"{name} must be between {smallest} and {largest}; got {value!r}.")


@st.composite
def classification_data(
    draw: Any,
    *,
    min_samples: int = 2,
    max_samples: int = 24,
    max_features: int = 4,
    max_classes: int = 4,
    labels: str | None = None,
    sparse: bool | None = None,
    dtype: Any = None,
    well_scaled: bool | None = None,
    weighted: bool = False,
) -> tuple[Any, ...]:
    """Strategy for the data of a classifier: ``(X, y)``, or ``(X, y, sample_weight)``.

    Rows may be few or the same, columns constant or of scales from 1e-8 to 1e8; labels need not have to do with X.

    Parameters
    ----------
    min_samples, max_samples : int, default=2, 24
        Bounds of the number of rows.

    max_features : int, default=4
        Largest number of columns; there is at least one.

    max_classes : int, default=4
        Largest number of classes, 2 to 10.

    labels : {'int', 'str', 'bool'} or None, default=None
        Type of the labels. None draws it; bools are for two classes.

    sparse : bool or None, default=None
        Whether X is a CSR array; None draws it.

    dtype : dtype or None, default=None
        Of X. None draws float64 or float32.

    well_scaled : bool or None, default=None
        Whether all columns are between -3 and 3. None draws it.

    weighted : bool, default=False
        Whether there are weights of the rows too: 0, 0.5, 1, 2 or 3, not all of them 0.

    Returns
    -------
    strategy of tuples
        X of shape (n_samples, n_features), y of shape (n_samples,) and, if ``weighted``, weights (n_samples,).

    Raises
    ------
    ValueError
        For bounds that nothing can keep, or unknown ``labels``, when it is drawn from.

    Examples
    --------
    >>> from hypothesis import find
    >>> from minibatch.testing import classification_data
    >>> find(classification_data(), lambda data: data[0].shape[0] > 2)
    (array([[0.],
           [0.],
           [0.]]), array([0, 1, 0]))
    """
    features, classes = (max_features, 1, np.inf), (max_classes, 2, len(LETTERS))
    _check_bounds(2, min_samples, max_samples, max_features=features, max_classes=classes)
    if labels is not None and labels not in LABELS:
        raise ValueError(f"labels must be one of {list(LABELS)} or None; got {labels!r}.")
    n_samples = draw(st.integers(min_samples, max_samples))
    X = draw(_matrices(n_samples, max_features, sparse, dtype, well_scaled))
    kinds = ["int", "str", "bool"] if labels is None else [labels]
    kind = draw(st.sampled_from(kinds))
    number = st.integers(0, 1 if kind == "bool" else max_classes - 1)
    rest = draw(st.lists(number, min_size=n_samples - 2, max_size=n_samples - 2))
    numbers = draw(st.permutations([0, 1, *rest])) if draw(st.booleans(), label="another order") else [0, 1, *rest]
    return _data_set(X, np.array([LABELS[kind](number) for number in numbers]), draw, weighted)


@st.composite
def regression_data(
    draw: Any,
    *,
    min_samples: int = 1,
    max_samples: int = 24,
    max_features: int = 4,
    max_outputs: int = 1,
    positive: bool = False,
    shares: bool = False,
    sparse: bool | None = None,
    dtype: Any = None,
    well_scaled: bool | None = None,
    weighted: bool = False,
) -> tuple[Any, ...]:
    """Strategy for the data of a regressor: ``(X, y)``, or ``(X, y, sample_weight)``.

    Rows may be few or the same, columns constant or of scales from 1e-8 to 1e8; targets need not have to do with X.

    Parameters
    ----------
    min_samples, max_samples : int, default=1, 24
        Bounds of the number of rows.

    max_features : int, default=4
        Largest number of columns; there is at least one.

    max_outputs : int, default=1
        Largest number of targets. Above 1, y may have two dimensions.

    positive : bool, default=False
        Whether all targets are positive, as ``loss='poisson'`` and ``'gamma'`` ask for.

    shares : bool, default=False
        Whether all targets are in [0, 1], as ``loss='log_loss'`` of regressors asks for.

    sparse : bool or None, default=None
        Whether X is a CSR array; None draws it.

    dtype : dtype or None, default=None
        Of X. None draws float64 or float32.

    well_scaled : bool or None, default=None
        Whether all columns of X are between -3 and 3. None draws it.

    weighted : bool, default=False
        Whether there are weights of the rows too: 0, 0.5, 1, 2 or 3, not all of them 0.

    Returns
    -------
    strategy of tuples
        X of shape (n_samples, n_features), y of shape (n_samples,) or (n_samples, n_outputs) with values between -3 and
        3 (1/8 and 6 if ``positive``, 0 and 1 if ``shares``) and, if ``weighted``, weights (n_samples,).

    Raises
    ------
    ValueError
        For bounds that nothing can keep, when it is drawn from.

    Examples
    --------
    >>> from hypothesis import find
    >>> from minibatch.testing import regression_data
    >>> find(regression_data(), lambda data: data[1].max() > 0.5)
    (array([[0.]]), array([0.625]))
    """
    _check_bounds(
        1, min_samples, max_samples, max_features=(max_features, 1, np.inf), max_outputs=(max_outputs, 1, np.inf)
    )
    n_samples = draw(st.integers(min_samples, max_samples))
    X = draw(_matrices(n_samples, max_features, sparse, dtype, well_scaled))
    n_outputs = draw(st.integers(1, max_outputs))
    shape = (n_samples,) if n_outputs == 1 else (n_samples, n_outputs)
    low, high = (0, 8) if shares else (1, 48) if positive else (-24, 24)
    values = st.integers(low, high).map(lambda number: number / 8)
    return _data_set(X, draw(hnp.arrays(np.float64, shape, elements=values)), draw, weighted)
