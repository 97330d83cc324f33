"""Batch sizes worth comparing."""

from math import sqrt
from numbers import Integral
from typing import Any

from minibatch._base.ranges import countable, is_number

__all__ = ["batch_size_grid"]

_MOST_VALUES = 13


def batch_size_grid(
    n_samples: Any, *, max_bytes: float | None = None, bytes_per_row: float | None = None
) -> list[int | str]:
    """Batch sizes from 1 to ``"full"``, evenly spaced in their logarithm.

    Powers of two up to about ``n_samples``, thinned out to at most 13 values (to powers of 4, 8, ...), and ``"full"``.

    Parameters
    ----------
    n_samples : int
        Rows trained on. In cross-validation these are the rows of a training part.

    max_bytes : float or None, default=None
        Memory that the rows of one batch may take. What does not fit is left out, ``"full"`` included. Needs
        ``bytes_per_row``.

    bytes_per_row : float or None, default=None
        Memory of one row: ``X[:1].nbytes`` of a dense X, and what a model keeps for every row of a batch (a network:
        the values of all its units).

    Returns
    -------
    list of int and str
        For ``param_range`` of `convergence_curve` or a grid search.

    Raises
    ------
    ValueError
        If there are no rows, if one of the two about memory comes without the other or is not positive, or if not even
        one row fits.

    Examples
    --------
    >>> from minibatch.model_selection import batch_size_grid
    >>> batch_size_grid(1437)
    [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 'full']
    >>> batch_size_grid(60_000)
    [1, 4, 16, 64, 256, 1024, 4096, 16384, 'full']
    >>> batch_size_grid(60_000, max_bytes=2e6, bytes_per_row=784 * 8)
    [1, 4, 16, 64, 256]
    """
    if n_samples is True or not isinstance(n_samples, Integral) or int(n_samples) < 1:
        raise ValueError(f"n_samples must be an integer of at least 1; got {n_samples!r}.")
    n_samples = countable(n_samples)
    largest = _rows_that_fit(n_samples, max_bytes, bytes_per_row)
    step = 1
    while True:
        # the last power stays well below all rows, or it would be no other value
        sizes = [1, *(2**k for k in range(step, n_samples.bit_length(), step) if 2**k * sqrt(2**step) <= n_samples)]
        if len(sizes) < _MOST_VALUES:
            break
        step += 1
    fitting: list[int | str] = [size for size in sizes if size <= largest]
    return [*fitting, "full"] if 1 < n_samples <= largest else fitting


def _rows_that_fit(n_samples: int, max_bytes: Any, bytes_per_row: Any) -> int:
    if max_bytes is None and bytes_per_row is None:
        return n_samples
    for name, value in {"max_bytes": max_bytes, "bytes_per_row": bytes_per_row}.items():
        if not is_number(value) or not float(value) > 0:
            raise ValueError(f"max_bytes and bytes_per_row go together and are positive; got {name}={value!r}.")
    rows = float(max_bytes) / float(bytes_per_row)
    if rows < 1:
        raise ValueError(f"Not one row of {bytes_per_row:g} bytes fits max_bytes={max_bytes:g}.")
    return int(min(n_samples, rows))
