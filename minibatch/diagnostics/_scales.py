"""Which columns of X, or y, are of a scale that learning rates fail for."""

from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn.utils import check_array
from sklearn.utils.sparsefuncs import mean_variance_axis

__all__ = ["FAR", "scale_in_words"]

# A root mean square as many times above (or below) 1, which is that of a standardized column, asks for a rate as many
# times squared below (or above) the usual ones.
FAR = 10.0


def scale_in_words(X: Any, y: Any, *, rose: bool, y_counts: bool) -> str:
    """What is wrong with the scale of X, or of y where it counts, and what to do; empty if nothing is.

    Large columns are a reason for a loss that rose, small ones (next to an intercept) for any.

    >>> X = np.array([[1.0, 2000.0], [3.0, 4000.0]])
    >>> scale_in_words(X, None, rose=True, y_counts=False)
    'column 1 of X has mean 3,000 and standard deviation 1,000: scale X with StandardScaler'
    >>> scale_in_words(X / 1e3, None, rose=True, y_counts=False)
    ''
    """
    names = getattr(X, "columns", None)
    X = check_array(X, accept_sparse=True, dtype=[np.float64, np.float32], ensure_all_finite=False)
    means, deviations = _moments(X)
    sizes = np.hypot(means, deviations)
    largest = int(sizes.argmax())
    too_small = sizes[largest] < 1.0 / FAR
    if too_small or (rose and sizes[largest] > FAR):
        name = f"column {largest}" if names is None else f"column {names[largest]!r}"
        most = ", the largest," if too_small else ""
        how = "scale X with MaxAbsScaler" if sp.issparse(X) else "scale X with StandardScaler"
        return f"{name} of X{most} has {_words(means[largest], deviations[largest])}: {how}"
    if y_counts:
        values = np.asarray(y, dtype=np.float64)
        if np.sqrt(np.mean(values**2)) > FAR:
            return f"y has {_words(values.mean(), values.std())}: scale y (TransformedTargetRegressor)"
    return ""


def _moments(X: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Means and standard deviations of the columns."""
    if sp.issparse(X):
        means, variances = mean_variance_axis(sp.csr_array(X), axis=0)
        return means, np.sqrt(variances)
    return X.mean(axis=0, dtype=np.float64), X.std(axis=0, dtype=np.float64)


def _words(mean: float, deviation: float) -> str:
    """

    >>> _words(654889.2, 351914.1), _words(1e-7, 0.0)
    ('mean 654,889 and standard deviation 351,914', 'mean 1e-07 and standard deviation 0')
    """
    return f"mean {_number(mean)} and standard deviation {_number(deviation)}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if 1e3 <= abs(value) < 1e12 else f"{value:.3g}"
