"""What checks do with an estimator: give it parameters that it has, data of its kind, and compare what it learnt."""

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone, is_classifier
from sklearn.exceptions import ConvergenceWarning

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
    """A clone with those of the parameters that the estimator has, and a seed."""
    known = estimator.get_params(deep=False)
    if "random_state" in known and known["random_state"] is None:
        parameters = {"random_state": 0, **parameters}
    return clone(estimator).set_params(**{name: value for name, value in parameters.items() if name in known})


def fitted(model: Any, X: Any, y: Any, method: str = "fit", **more: Any) -> Any:
    """The model, trained; that it cannot be is a failed check, which says with what parameters.

    A few epochs need not converge.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            return getattr(model, method)(X, y, **more)
    except Exception as error:
        name = " ".join(repr(model).split())
        raise AssertionError(f"{name} cannot be trained on {len(y)} rows by {method}: {error}") from error


def data_for(estimator: Any, X: Any = None, y: Any = None) -> tuple[Any, Any]:
    """The data given, or a few rows that suit any loss."""
    if (X is None) != (y is None):
        raise ValueError(f"X and y go together, but {'X' if X is None else 'y'} is missing.")
    if X is not None:
        return X, np.asarray(y)
    random = np.random.default_rng(0)
    X = random.standard_normal((24, 3))
    score = X @ [1.0, -2.0, 0.5] + 0.3 * random.standard_normal(24)
    return X, np.digitize(score, [-1.0, 1.0]) if is_classifier(estimator) else np.exp(score / 2)


def learnt(model: Any, X: Any) -> NDArray[Any]:
    """All parameters of a fitted model as one vector, or its predictions where it does not show any."""
    parts = [getattr(model, name) for name in LEARNT if hasattr(model, name)]
    if not parts:
        parts = [model.decision_function(X) if hasattr(model, "decision_function") else model.predict(X)]
    arrays = [array for part in parts for array in (part if isinstance(part, list) else [part])]
    return np.concatenate([np.ravel(a.toarray() if hasattr(a, "toarray") else a) for a in arrays])


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
