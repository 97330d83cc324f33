"""Parameters that do not fit in memory are refused in words that name what asks for them."""

import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["refuse_unaddressable", "zeros_or_refused"]


def refuse_unaddressable(n_parameters: int, cause: str) -> None:
    """More parameters than can be numbered."""
    if n_parameters > sys.maxsize // 8:
        raise _refusal(n_parameters, np.float64, cause)


def zeros_or_refused(n_parameters: int, dtype: Any, cause: str) -> NDArray[Any]:
    """Room for all parameters."""
    try:
        return np.zeros(n_parameters, dtype)
    except MemoryError as error:
        raise _refusal(n_parameters, dtype, cause) from error


def _refusal(n_parameters: int, dtype: Any, cause: str) -> ValueError:
    n_bytes = n_parameters * np.dtype(dtype).itemsize
    return ValueError(
        f"{cause}: that makes {n_parameters:,} parameters, and {n_bytes // 10**9:,} GB, more than can be allocated."
    )
