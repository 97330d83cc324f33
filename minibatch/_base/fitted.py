"""Fitted attributes, which anybody may change and any file may hold: what compiled code goes by must fit together."""

from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from minibatch._base.persistence import OptimizerMemory

__all__ = ["check_fitted", "check_shape", "fitted_attribute", "not_fitting", "refuse_unfitted"]


def refuse_unfitted(model: Any) -> None:
    """scikit-learn's look at all attributes and tags only where the one that every fit leaves is missing."""
    if "history_" not in vars(model):
        check_is_fitted(model)


def not_fitting(model: Any, what: str) -> ValueError:
    return ValueError(f"This {type(model).__name__} has attributes that do not fit together: {what}. Fit again.")


def fitted_attribute(model: Any, name: str) -> Any:
    try:
        return getattr(model, name)
    except AttributeError:
        raise not_fitting(model, f"{name} is missing") from None


def check_shape(model: Any, name: str, array: Any, shape: tuple[int, ...], why: str) -> None:
    """Refuse what is not an array of that shape; ``why`` says where the shape comes from."""
    if not isinstance(array, np.ndarray):
        raise not_fitting(model, f"{name} is {type(array).__name__}, not an array of shape {shape}")
    if array.shape != shape:
        raise not_fitting(model, f"{name} has shape {array.shape}, but {why} ask for {shape}")


def check_fitted(model: Any) -> None:
    """Refuse arrays that do not fit together, or a memory of the optimizer that does not fit them."""
    n_remembered = model._check_arrays()
    memory = fitted_attribute(model, "_optimizer")
    if not isinstance(memory, OptimizerMemory):
        raise not_fitting(model, f"_optimizer is {type(memory).__name__}, not {OptimizerMemory.__name__}")
    slots, total = memory.slots, memory.total
    why = f"{n_remembered} parameters"
    check_shape(model, "_optimizer.slots", slots, (np.shape(slots)[0] if np.ndim(slots) else 0, n_remembered), why)
    if slots.dtype not in (np.float32, np.float64):
        raise not_fitting(model, f"_optimizer.slots has the type {slots.dtype}, not float32 or float64")
    if not isinstance(memory.scalars, np.ndarray) or memory.scalars.dtype != np.float64:
        raise not_fitting(model, "_optimizer.scalars is not an array of float64")
    if hasattr(model, "_n_averaged"):
        check_shape(model, "_optimizer.total", total, (n_remembered,), why)
        if total.dtype != np.float64:
            raise not_fitting(model, f"_optimizer.total has the type {total.dtype}, not float64")
