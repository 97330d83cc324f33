"""What checks do with an estimator: give it parameters that it has, data of its kind, and compare what it learnt."""

import re
import warnings
from numbers import Integral, Real
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.exceptions import ConvergenceWarning

__all__ = [
    "FIRST_RATE", "LEARNT", "ONE_RATE", "ROW_BY_ROW", "TO_THE_END", "adjusted", "assert_same_model", "data_for",
    "difference", "fitted", "learnt", "rounding", "short_repr", "suited",
]  # fmt: skip

# What a check does not want to hear about, where an estimator has it.
FIRST_RATE: dict[str, Any] = {"eta0": 0.01, "learning_rate_init": 0.01}  # not calibrated: a tie may go either way
ONE_RATE: dict[str, Any] = {**FIRST_RATE, "learning_rate": "constant", "learning_rate_scaling": None, "warmup": 0.0}
TO_THE_END: dict[str, Any] = {
    "tol": 0.0,  # where None is not allowed, this and the patience say the same
    "n_iter_no_change": 10_000,
    "early_stopping": False,
    "max_updates": None,
    "batch_growth": None,
    "warm_start": False,
    "verbose": 0,
}
ROW_BY_ROW: dict[str, Any] = {"dropout": 0.0, "batch_normalization": False, "class_weight": None}
LEARNT = ("coef_", "intercept_", "coefs_", "intercepts_")


def adjusted(estimator: Any, **parameters: Any) -> Any:
    """A clone with those of the parameters that the estimator has, and a seed.

    They are understood as in scikit-learn; a ``learning_rate`` that is a number, as elsewhere, stays.
    """
    known = estimator.get_params(deep=False)
    if not isinstance(known.get("random_state", 0), Integral):
        parameters = {"random_state": 0, **parameters}
    if isinstance(known.get("learning_rate"), Real):
        parameters = {name: value for name, value in parameters.items() if name != "learning_rate"}
    if known.get("learning_rate") == "auto" and parameters.keys() & {"learning_rate_init"} & known.keys():
        parameters = {"learning_rate": "constant", **parameters}  # what such a rate means there, said without a warning
    return clone(estimator).set_params(**{name: value for name, value in parameters.items() if name in known})


def short_repr(estimator: Any) -> str:
    """On one line, and the same in every process."""
    return re.sub(r" at 0x\w+", "", " ".join(repr(estimator).split()))


def fitted(model: Any, X: Any, y: Any, method: str = "fit", **more: Any) -> Any:
    """The model, trained; that it cannot be is a failed check, which says with what parameters.

    A few epochs need not converge.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            return getattr(model, method)(X, y, **more)
    except Exception as error:
        raise AssertionError(f"{short_repr(model)} cannot be trained on {len(y)} rows by {method}: {error}") from error


def data_for(estimator: Any, X: Any = None, y: Any = None) -> tuple[Any, Any]:
    """The data given, or a few rows that suit any loss."""
    if (X is None) != (y is None):
        raise ValueError(f"X and y go together, but {'X' if X is None else 'y'} is missing.")
    if X is not None:
        return X.tocsr() if sp.issparse(X) else np.asarray(X), np.asarray(y)
    random = np.random.default_rng(0)
    X = random.standard_normal((24, 3))
    score = X @ [1.0, -2.0, 0.5] + 0.3 * random.standard_normal(24)
    return X, np.digitize(score, [-1.0, 1.0]) if is_classifier(estimator) else suited(estimator, np.exp(score / 2))


def suited(estimator: Any, y: NDArray[Any]) -> NDArray[Any]:
    """Positive targets; of the log loss shares, none of which is a half, at which a model of zeros has no slope."""
    of_shares = is_regressor(estimator) and getattr(estimator, "loss", None) == "log_loss"
    return y / (2.0 + y.max()) if of_shares else y


def learnt(model: Any, X: Any) -> NDArray[Any]:
    """All parameters that a fitted model shows, and what it predicts, as one vector."""
    parts = [getattr(model, name) for name in LEARNT if hasattr(model, name)]
    methods = [name for name in ("decision_function", "predict_proba") if hasattr(model, name)]
    predicted = getattr(model, (methods or ["predict"])[0])(X)
    if not methods and is_classifier(model):
        predicted = predicted == model.predict(X[:1])  # labels may be words
    arrays = [array for part in parts for array in (part if isinstance(part, list) else [part])]
    arrays = [np.ravel(a.toarray() if sp.issparse(a) else a) for a in [*arrays, predicted]]
    coarsest = min(
        (a.dtype for a in arrays if a.dtype.kind == "f"), key=lambda dtype: dtype.itemsize, default=np.dtype(float)
    )
    return np.concatenate(arrays).astype(coarsest)


def difference(one: NDArray[Any], other: NDArray[Any]) -> float:
    """The largest difference, as a part of the largest number, or of 1e-6 where that is less: parameters that would be
    0 but for rounding are the same."""
    if one.shape != other.shape:
        return np.inf
    return float(np.abs(one - other).max(initial=0.0) / np.abs(one).max(initial=1e-6))


def rounding(vector: NDArray[Any]) -> float:
    """What differences in rounding may grow to along a few epochs: the root of the machine's precision."""
    return float(np.sqrt(np.finfo(np.result_type(vector.dtype, np.float32)).eps))


def assert_same_model(one: NDArray[Any], other: NDArray[Any], what: str) -> None:
    """That two vectors of ``learnt`` are the same, to rounding."""
    found = difference(one, other)
    assert found <= rounding(one), f"{what}: the models differ by {found:.2g} of the largest parameter."
