"""Ranges of parameters, for scikit-learn's checks: numbers that a float holds, and shares in any type of float."""

import sys
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils._param_validation import Interval, RealNotInt, StrOptions

__all__ = ["AnyFloat", "ScheduleNames", "countable", "floats_of", "is_number", "number_above", "number_from", "share"]

_LARGEST = float(np.finfo(np.float64).max)  # an int may be larger, and then is in no computation


class AnyFloat(Interval):
    """An interval that takes NumPy's floats for the numbers they are: scikit-learn says that those but for float64 may
    be integers, and compares them in their own type."""

    def __str__(self) -> str:
        """scikit-learn's words, with two digits of the largest float."""
        return super().__str__().replace(str(_LARGEST), f"{_LARGEST:.1e}")

    def is_satisfied_by(self, val: Any) -> bool:
        return bool(super().is_satisfied_by(float(val) if isinstance(val, np.floating) else val))


class ScheduleNames(StrOptions):
    """Values of ``learning_rate``, which other libraries make a number: it says where that goes.

    >>> print(ScheduleNames({"constant", "auto"}, "eta0"))
    a str among {'auto', 'constant'} (a number goes into eta0)
    """

    def __init__(self, names: set[str], rate_parameter: str) -> None:
        super().__init__(names)
        self.rate_parameter = rate_parameter

    def __str__(self) -> str:
        names = ", ".join(map(repr, sorted(self.options)))
        return f"a str among {{{names}}} (a number goes into {self.rate_parameter})"


def number_from(least: float) -> AnyFloat:
    """A finite number, at least this.

    >>> [
    ...     number_from(0).is_satisfied_by(value)
    ...     for value in (0, 1e308, -1e-9, np.inf, np.nan, 10**400)
    ... ]
    [True, True, False, False, False, False]
    """
    return AnyFloat(Real, least, _LARGEST, closed="both")


def number_above(bound: float) -> AnyFloat:
    """A finite number above this.

    >>> [
    ...     number_above(0).is_satisfied_by(value)
    ...     for value in (0, 1, np.float32(0.5), 10**400)
    ... ]
    [False, True, True, False]
    >>> print(number_above(0))
    a float in the range (0.0, 1.8e+308]
    """
    return AnyFloat(Real, bound, _LARGEST, closed="right")


def share() -> AnyFloat:
    """A share in (0, 1]; an int is none.

    >>> [
    ...     share().is_satisfied_by(value)
    ...     for value in (0.5, np.float32(0.5), 1.0, 1, 0.0, np.float16(1.5), True)
    ... ]
    [True, True, True, False, False, False, False]
    """
    return AnyFloat(RealNotInt, 0, 1, closed="right")


def is_number(value: Any) -> bool:
    """Whether this is a number that a float holds, NaN and infinity among them.

    >>> [
    ...     is_number(value)
    ...     for value in (1, np.float32(0.5), np.inf, True, "1", None, 10**400)
    ... ]
    [True, True, True, False, False, False, False]
    """
    if isinstance(value, bool | np.bool_) or not isinstance(value, Real):
        return False
    return not isinstance(value, Integral) or abs(int(value)) <= _LARGEST


def floats_of(name: str, values: Any) -> NDArray[np.float64]:
    """An array of numbers that floats hold."""
    try:
        return np.asarray(values, np.float64)
    except OverflowError as error:
        raise ValueError(f"{name} must be finite; one of these numbers is larger than any float.") from error


def countable(number: Any) -> int:
    """An integer of any size, as one that counters and quotients hold; nobody counts further.

    >>> countable(np.int32(5)), countable(10**400) == sys.maxsize
    (5, True)
    """
    return min(int(number), sys.maxsize)
