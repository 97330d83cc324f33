"""Updates to a target as a function of the batch size: two numbers and what follows from them."""

from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, special, stats
from sklearn.utils._param_validation import Interval, validate_parameter_constraints

from minibatch._base.ranges import floats_of, number_above
from minibatch._tables import frame_of, html_list, html_table, text_table

__all__ = ["StepsFit", "fit_steps_to_target", "optimal_batch_size"]

_Array = NDArray[np.float64]

# log B_c is looked for this far beyond the sizes; from _LIMIT on the curve is that of B_c = 0 or infinity, to rounding
_BEYOND, _LIMIT, _STEP = 20.0, 40.0, 0.02
_ROUNDING = 1e-12  # of a logarithm
_NO_BETTER = 1e-10  # relative, of a sum of squares
_COLUMNS = ("quantity", "value", "low", "high")


@dataclass(frozen=True, repr=False, eq=False)
class StepsFit:
    """``S(B) = min_steps (1 + critical_batch_size / B)``, fitted by `fit_steps_to_target`.

    Attributes
    ----------
    min_steps : float
        Updates to the target however large the batch, ``S_min``; 0 where the data show no such floor.

    critical_batch_size : float
        ``B_c``, the size that needs twice the fewest updates and twice the fewest examples; 0 or infinity where the
        data show no bend.

    min_samples : float
        Examples to the target however small the batch, ``E_min = S_min B_c``.

    interval, min_steps_interval, min_samples_interval : (float, float)
        Confidence intervals of ``critical_batch_size``, ``min_steps`` and ``min_samples``. One that begins at 0 or ends
        at infinity is a bound on one side only.

    confidence : float
        Their level.

    spread : float
        Standard deviation of ``log S`` around the curve: the relative error of a single number of updates.

    n_sizes, n_censored : int
        Numbers of updates fitted to, and those left out because they are not finite.

    warnings : tuple of str
        What the data cannot tell, and what to do (MB231 to MB233).
    """

    min_steps: float
    critical_batch_size: float
    min_samples: float
    interval: tuple[float, float]
    min_steps_interval: tuple[float, float]
    min_samples_interval: tuple[float, float]
    confidence: float
    spread: float
    n_sizes: int
    n_censored: int
    warnings: tuple[str, ...]

    def predict(self, batch_sizes: ArrayLike) -> _Array:
        """Updates at these batch sizes, ``S_min + E_min / B``; times the size, the examples."""
        return self.min_steps + self.min_samples / np.asarray(batch_sizes, np.float64)

    def to_frame(self) -> Any:
        """One row a quantity: its value and both ends of its interval."""
        return frame_of(dict(zip(_COLUMNS, map(list, zip(*self._rows(), strict=True)), strict=True)))

    def _rows(self) -> list[tuple[str, float, float, float]]:
        return [
            ("critical_batch_size", self.critical_batch_size, *self.interval),
            ("min_steps", self.min_steps, *self.min_steps_interval),
            ("min_samples", self.min_samples, *self.min_samples_interval),
        ]

    def _title(self) -> str:
        left_out = f", {self.n_censored} left out" if self.n_censored else ""
        return (
            f"StepsFit S(B) = min_steps (1 + critical_batch_size / B) to {self.n_sizes} sizes{left_out}: spread "
            f"{100 * self.spread:.2g} %, {100 * self.confidence:g} % intervals"
        )

    def __repr__(self) -> str:
        return "\n".join([self._title(), text_table(_COLUMNS, self._rows()), *self.warnings])

    def _repr_html_(self) -> str:
        return f"<div>{html_table(self._title(), _COLUMNS, self._rows())}{html_list(self.warnings)}</div>"


def fit_steps_to_target(batch_sizes: ArrayLike, updates: ArrayLike, *, confidence: float = 0.95) -> StepsFit:
    """Fit ``S(B) = S_min (1 + B_c / B)`` to the updates that batch sizes need to reach a target.

    Least squares of ``log S``, as errors are relative. The examples follow: ``E(B) = B S(B) = E_min (1 + B / B_c)``
    with ``E_min = S_min B_c``, and so ``(S / S_min - 1) (E / E_min - 1) = 1`` [1]_. Much below the critical batch size
    ``B_c``, twice the batch needs half the updates; much above, as many, for twice the examples.

    Parameters
    ----------
    batch_sizes : array-like of shape (n_sizes,)
        Rows in a batch.

    updates : array-like of shape (n_sizes,)
        Updates to the target, each size at its own best learning rate. NaN or infinite where it was not reached: these
        are left out and counted.

    confidence : float in (0, 1), default=0.95
        Level of the intervals.

    Returns
    -------
    StepsFit
        With ``critical_batch_size``, ``min_steps``, ``min_samples``, their intervals, and ``predict(batch_sizes)``.

    Raises
    ------
    ValueError
        If fewer than three different sizes have a finite number of updates, shapes differ, or a number is not positive.

    See Also
    --------
    steps_to_target : Measures the updates.
    optimal_batch_size : The size at which the seconds are fewest.

    Notes
    -----
    An interval holds the values that Student's t does not reject: those whose best fit has at most
    ``1 + t^2 / (n - 2)`` times the least sum of squares, which is the usual interval where the model is linear. It is
    open where the curve without a bend is among these, and where ``B_c`` is outside the range of sizes: beyond it, only
    the formula speaks.

    The interval tells of the scatter around the curve, not of learning rates that were not tried, nor of other targets.
    The formula is a model of gradient noise: take ``B_c`` as an order of magnitude.

    References
    ----------
    .. [1] S. McCandlish, J. Kaplan, D. Amodei et al., "An Empirical Model of Large-Batch Training", 2018.
       arXiv:1812.06162

    Examples
    --------
    >>> import numpy as np
    >>> from minibatch.model_selection import fit_steps_to_target
    >>> sizes = np.array([1, 4, 16, 64, 256, 1024])
    >>> fit = fit_steps_to_target(sizes, [3260, 825, 210, 60, 25, 13.5])
    >>> print(
    ...     f"{fit.critical_batch_size:.0f}, from {fit.interval[0]:.0f} to {fit.interval[1]:.0f}"
    ... )
    301, from 258 to 353
    >>> fit.predict([1, 10_000]).round()
    array([3252.,   11.])
    """
    sizes, steps, n_censored = _checked(batch_sizes, updates, confidence)
    # in units of the geometric means, so that neither unit changes a digit
    size_unit, step_unit = np.exp(np.mean(np.log(sizes))), np.exp(np.mean(np.log(steps)))
    x, y = np.log(sizes / size_unit), np.log(steps / step_unit)
    n, freedom = len(x), len(x) - 2
    best = _best(x, y)
    log_steps, squares = (float(values[0]) for values in _profile(np.array([best]), x, y))
    limit = squares * (1 + stats.t.ppf(0.5 + confidence / 2, freedom) ** 2 / freedom) + n * _ROUNDING**2
    low, high = _interval(best, limit, x, y)
    warnings = _warnings(best, low, high, sizes, x)
    low, high = (-np.inf if best < x.min() else low), (np.inf if best > x.max() else high)
    none, endless = best < x.min() - _BEYOND, best > x.max() + _BEYOND
    steps_ends, samples_ends = _other_intervals(best, low, high, limit, x, y)
    sample_unit = size_unit * step_unit
    return StepsFit(
        min_steps=0.0 if endless else float(np.exp(log_steps) * step_unit),
        critical_batch_size=0.0 if none else np.inf if endless else float(np.exp(best) * size_unit),
        min_samples=0.0 if none else float(np.exp(log_steps + best) * sample_unit),
        interval=_scaled((low, high), size_unit),
        min_steps_interval=_scaled(steps_ends, step_unit),
        min_samples_interval=_scaled(samples_ends, sample_unit),
        confidence=float(confidence),
        spread=float(np.sqrt(squares / freedom)),
        n_sizes=n,
        n_censored=n_censored,
        warnings=warnings,
    )


def _checked(batch_sizes: Any, updates: Any, confidence: Any) -> tuple[_Array, _Array, int]:
    """Sizes and updates that are finite, and how many are not."""
    validate_parameter_constraints(
        {"confidence": [Interval(Real, 0, 1, closed="neither")]}, {"confidence": confidence}, "fit_steps_to_target"
    )
    sizes, steps = floats_of("batch_sizes", batch_sizes), floats_of("updates", updates)
    if sizes.ndim != 1 or sizes.shape != steps.shape:
        raise ValueError(
            "batch_sizes and updates must be one-dimensional and of one length; got shapes "
            f"{sizes.shape} and {steps.shape}."
        )
    if not (np.isfinite(sizes) & (sizes > 0)).all():
        raise ValueError(f"batch_sizes must be finite and positive; got {sizes}.")
    reached = np.isfinite(steps)
    if (steps[reached] <= 0).any():
        raise ValueError(f"updates must be positive, or NaN where the target was not reached; got {steps}.")
    if len(np.unique(sizes[reached])) < 3:
        raise ValueError(
            "Two numbers and their errors need three different batch_sizes with finite updates or more; got "
            f"{len(np.unique(sizes[reached]))}."
        )
    return sizes[reached], steps[reached], int((~reached).sum())


def _profile(log_size: _Array, x: _Array, y: _Array) -> tuple[_Array, _Array]:
    """The best ``log S_min`` for each ``log B_c``, and the sum of squares that is left."""
    residuals = y - np.logaddexp(0.0, log_size[:, None] - x)
    log_steps = residuals.mean(axis=1)
    return log_steps, ((residuals - log_steps[:, None]) ** 2).sum(axis=1)


def _squares(log_size: float, x: _Array, y: _Array) -> float:
    return float(_profile(np.array([log_size]), x, y)[1][0])


def _grid(x: _Array) -> _Array:
    """Values of ``log B_c``; at the first and the last the curve has no bend."""
    inner = np.arange(x.min() - _BEYOND, x.max() + _BEYOND, _STEP)
    return np.concatenate([[x.min() - _LIMIT], inner, [x.max() + _LIMIT]])


def _best(x: _Array, y: _Array) -> float:
    """The best ``log B_c``; an end of the grid if no bend is as good."""
    grid = _grid(x)
    squares = _profile(grid, x, y)[1]
    for end in (0, -1):
        if squares[end] <= squares.min() * (1 + _NO_BETTER) + len(x) * _ROUNDING**2:
            return float(grid[end])

    def slope(log_size: float) -> float:
        """Of the squares, by ``log B_c``, halved."""
        residuals = y - np.logaddexp(0.0, log_size - x)
        return float(-(residuals - residuals.mean()) @ special.expit(log_size - x))

    here = int(np.argmin(squares))
    return float(optimize.brentq(slope, grid[here - 1], grid[here + 1]))


def _interval(best: float, limit: float, x: _Array, y: _Array) -> tuple[float, float]:
    """The outermost ``log B_c`` whose squares are up to the limit; infinite where the curve without a bend is one."""
    grid = np.union1d(_grid(x), best)
    inside = np.flatnonzero(_profile(grid, x, y)[1] <= limit)

    def end(last: int, outer: int, at_end: float) -> float:
        if outer in (-1, len(grid)):
            return at_end
        return float(optimize.brentq(lambda u: _squares(u, x, y) - limit, grid[last], grid[outer]))

    return end(inside[0], inside[0] - 1, -np.inf), end(inside[-1], inside[-1] + 1, np.inf)


def _other_intervals(
    best: float, low: float, high: float, limit: float, x: _Array, y: _Array
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Intervals of ``log S_min`` and ``log E_min``: over all ``B_c`` of the interval, those up to the same limit."""
    ends = np.clip([low, high], x.min() - _LIMIT, x.max() + _LIMIT)
    log_size = np.append(np.linspace(ends[0], ends[1], 5001), best)
    log_steps, squares = _profile(log_size, x, y)
    half = np.sqrt(np.maximum(limit - squares, 0.0) / len(x))
    log_samples = log_steps + log_size
    steps = -np.inf if high == np.inf else float(np.min(log_steps - half)), float(np.max(log_steps + half))
    samples = -np.inf if low == -np.inf else float(np.min(log_samples - half)), float(np.max(log_samples + half))
    return steps, samples


def _warnings(best: float, low: float, high: float, sizes: _Array, x: _Array) -> tuple[str, ...]:
    if best < x.min():
        return (
            f"critical_batch_size is below the smallest size, {sizes.min():g}: only its upper bound is known. Add "
            "smaller sizes. [MB231]",
        )
    if best > x.max():
        return (
            f"critical_batch_size is above the largest size, {sizes.max():g}: only its lower bound is known. Add "
            "larger sizes. [MB232]",
        )
    sides = [side for side, is_open in (("lower", low == -np.inf), ("upper", high == np.inf)) if is_open]
    if not sides:
        return ()
    return (
        f"The scatter leaves critical_batch_size without {' and '.join(sides)} bound. Add sizes, or repeats. [MB233]",
    )


def _scaled(ends: tuple[float, float], unit: float) -> tuple[float, float]:
    low, high = np.exp(ends) * unit
    return float(low), float(high)


def optimal_batch_size(*, overhead: float, per_sample: float, critical_batch_size: float) -> float:
    """The batch size that reaches the target in the fewest seconds: ``sqrt(a B_c / b)``.

    An update of ``B`` rows takes ``a + b B`` seconds, and ``S_min (1 + B_c / B)`` of them are needed. The product is
    ``S_min (a + b B_c + b B + a B_c / B)``, whose derivative ``S_min (b - a B_c / B^2)`` is 0 there. It then takes
    ``S_min (sqrt(a) + sqrt(b B_c))^2`` seconds.

    Parameters
    ----------
    overhead : float
        ``a``, seconds of an update however small.

    per_sample : float
        ``b``, seconds that every row adds.

    critical_batch_size : float
        ``B_c``, of `fit_steps_to_target`.

    Returns
    -------
    float
        Not rounded; half or twice this size costs at most an eighth more.

    Raises
    ------
    ValueError
        If a number is not positive and finite.

    Notes
    -----
    Around the root the product is flat, and ``B_c`` is an order of magnitude: a power of two nearby is as good. Not
    good for memory that is full before, or seconds that do not grow linearly, as those of several cores.

    References
    ----------
    The time is the inverse of the goodput of A. Qiao et al., "Pollux: Co-adaptive Cluster Scheduling for
    Goodput-Optimized Deep Learning", OSDI 2021; the curve is that of McCandlish et al., arXiv:1812.06162.

    Examples
    --------
    >>> from minibatch.model_selection import optimal_batch_size
    >>> optimal_batch_size(overhead=3e-4, per_sample=1e-6, critical_batch_size=300)
    300.0
    """
    given = {"overhead": overhead, "per_sample": per_sample, "critical_batch_size": critical_batch_size}
    positive = [number_above(0)]
    validate_parameter_constraints(dict.fromkeys(given, positive), given, caller_name="optimal_batch_size")
    return float(np.sqrt(overhead * critical_batch_size / per_sample))
