"""Learning curves as power laws."""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, stats

from minibatch._base.ranges import floats_of
from minibatch._tables import frame_of, html_table

__all__ = ["PowerLaw", "fit_power_law"]

_Array = NDArray[np.float64]
_EXPONENTS = (0.01, 5.0)
_COLUMNS = ("parameter", "value", "low", "high")


@dataclass(frozen=True)
class PowerLaw:
    """``a n^-b + c``, fitted by `fit_power_law`.

    Attributes
    ----------
    a, b, c : float
        Size of the part that more rows remove, its exponent, and what is left with infinitely many rows.

    a_interval, b_interval, c_interval : tuple of float
        Lower and upper end of the confidence intervals; NaN where the data do not determine them.

    confidence : float
        Their level.
    """

    a: float
    b: float
    c: float
    a_interval: tuple[float, float]
    b_interval: tuple[float, float]
    c_interval: tuple[float, float]
    confidence: float

    def predict(self, n: ArrayLike) -> NDArray[np.float64]:
        """``a n^-b + c``."""
        return self.a * np.asarray(n, np.float64) ** -self.b + self.c

    def _rows(self) -> list[tuple[str, float, float, float]]:
        intervals = (self.a_interval, self.b_interval, self.c_interval)
        return [(name, getattr(self, name), *interval) for name, interval in zip("abc", intervals, strict=True)]

    def to_frame(self) -> Any:
        """One row a number: its value and both ends of its interval."""
        return frame_of(dict(zip(_COLUMNS, map(list, zip(*self._rows(), strict=True)), strict=True)))

    def __repr__(self) -> str:
        numbers = (f"{name} = {value:.3g} [{low:.3g}, {high:.3g}]" for name, value, low, high in self._rows())
        return f"{self._headline()}: {', '.join(numbers)}"

    def _repr_html_(self) -> str:
        return html_table(self._headline(), _COLUMNS, self._rows())

    def _headline(self) -> str:
        return f"PowerLaw a n^-b + c, {self.confidence:.0%} intervals"


def fit_power_law(
    n: ArrayLike, values: ArrayLike, errors: ArrayLike | None = None, *, confidence: float = 0.95
) -> PowerLaw:
    """Fit ``a n^-b + c`` to a loss (or a score: ``a`` is negative then) at several numbers of rows.

    Weighted least squares, with ``b`` between 0.01 and 5. Intervals are those of the model linearised at the optimum,
    with Student's t.

    Parameters
    ----------
    n : array-like of shape (n_sizes,)
        Numbers of training rows, four different ones at least.

    values : array-like of shape (n_sizes,)
        Loss, error or score at each.

    errors : array-like of shape (n_sizes,) or None, default=None
        Standard errors of ``values``, of which only the ratios matter; those below a tenth of their median count as
        that. None: all alike.

    confidence : float in (0, 1), default=0.95
        Level of the intervals.

    Returns
    -------
    PowerLaw
        With ``a``, ``b``, ``c``, an interval for each, and ``predict(n)``.

    Raises
    ------
    ValueError
        If there are fewer than four different sizes, shapes differ, or a number is not finite, a size not positive
        or an error negative.

    Notes
    -----
    Where ``b`` ends at a bound or the three numbers cannot be told apart (a curve that is not yet flat has no ``c``),
    the intervals are NaN or wide: the data do not say.

    Examples
    --------
    >>> import numpy as np
    >>> from minibatch.model_selection import fit_power_law
    >>> n = np.array([50, 100, 200, 400, 800])
    >>> law = fit_power_law(n, 3.0 * n**-0.5 + 0.2)
    >>> round(law.a, 6), round(law.b, 6), round(law.c, 6)
    (3.0, 0.5, 0.2)
    """
    n, values, errors = _checked(n, values, errors, confidence)
    # in units of the geometric mean size, so that a and b are not one and the same direction
    unit = float(np.exp(np.mean(np.log(n))))
    x = n / unit
    (a, b, c), covariance = _polished(_best_of_all_exponents(x, values, errors), x, values, errors)
    if not _determined(a, b, x):
        covariance = np.full((3, 3), np.nan)
    scale = unit**b
    by_unit = np.array([scale, a * scale * np.log(unit), 0.0])  # derivative of a in rows by (a, b, c) in units
    deviations = np.sqrt([by_unit @ covariance @ by_unit, covariance[1, 1], covariance[2, 2]])
    half_widths = stats.t.ppf(0.5 + confidence / 2, len(n) - 3) * deviations
    a_half, b_half, c_half = half_widths
    return PowerLaw(
        float(a * scale), float(b), float(c), _around(a * scale, a_half), _around(b, b_half), _around(c, c_half),
        confidence,
    )  # fmt: skip


def _best_of_all_exponents(x: _Array, values: _Array, errors: _Array) -> _Array:
    """``a``, ``b``, ``c`` with the least weighted squares, to some digits. The law is linear in ``a`` and ``c``, so
    only ``b`` is searched for, and any values have a fit."""

    def law(b: float) -> _Array:
        design = np.stack([x**-b, np.ones_like(x)], axis=1)
        scale = design.max(axis=0)
        a, c = np.linalg.lstsq(design / scale / errors[:, None], values / errors, rcond=None)[0] / scale
        return np.array([a, b, c])

    def squares(b: float) -> float:
        a, _, c = law(b)
        return float(np.sum(((a * x**-b + c - values) / errors) ** 2))

    exponents = np.geomspace(*_EXPONENTS, 40)
    best = int(np.argmin([squares(b) for b in exponents]))
    around = exponents[max(best - 1, 0)], exponents[min(best + 1, len(exponents) - 1)]
    between = optimize.minimize_scalar(squares, bounds=around, method="bounded").x
    return law(min(exponents[best], between, key=squares))


def _polished(start: _Array, x: _Array, values: _Array, errors: _Array) -> tuple[_Array, _Array]:
    """The parameters to all digits, and their covariance; NaN where the search for it does not end."""
    bounds = ([-np.inf, _EXPONENTS[0], -np.inf], [np.inf, _EXPONENTS[1], np.inf])
    unknown = np.full((3, 3), np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optimize.OptimizeWarning)  # then the covariance is infinite: no interval
        try:
            found, covariance = optimize.curve_fit(
                lambda x, a, b, c: a * x**-b + c, x, values, start, errors, bounds=bounds,
                x_scale="jac", ftol=1e-12, xtol=1e-12, gtol=1e-12, max_nfev=2000,
            )  # fmt: skip
        except RuntimeError:  # too many steps
            return start, unknown
    return found, np.where(np.isfinite(covariance), covariance, unknown)


def _determined(a: float, b: float, x: _Array) -> bool:
    """Whether the linearised model has intervals: not at a bound, nor where a flat curve has no exponent."""
    by_number = np.stack([x**-b, a * x**-b * np.log(x), np.ones_like(x)], axis=1)
    inside = _EXPONENTS[0] * 1.01 < b < _EXPONENTS[1] * 0.99
    sizes = np.linalg.svd(by_number, compute_uv=False)  # NumPy 1 has no matrix_rank(..., rtol=)
    return inside and bool(sizes[-1] > 1e-9 * sizes[0])


def _checked(n: Any, values: Any, errors: Any, confidence: float) -> tuple[_Array, _Array, _Array]:
    n, values = floats_of("n", n), floats_of("values", values)
    errors = np.ones_like(values) if errors is None else floats_of("errors", errors)
    if n.ndim != 1 or not n.shape == values.shape == errors.shape:
        raise ValueError(
            f"n, values and errors must be one-dimensional and of one length; got shapes {n.shape}, {values.shape}, "
            f"{errors.shape}."
        )
    if not (np.isfinite(n) & np.isfinite(values) & np.isfinite(errors) & (n > 0) & (errors >= 0)).all():
        raise ValueError("n, values and errors must be finite, n positive and errors not negative.")
    if len(np.unique(n)) < 4:
        raise ValueError(f"A power law has three numbers: give four different sizes n or more; got {np.unique(n)}.")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must be between 0 and 1; got {confidence!r}.")
    # folds that agree by chance must not weigh infinitely
    positive = np.maximum(errors, 0.1 * np.median(errors))
    return n, values, positive if (positive > 0).all() else np.ones_like(values)


def _around(value: float, half_width: float) -> tuple[float, float]:
    return float(value - half_width), float(value + half_width)
