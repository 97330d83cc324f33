"""From which batch size more workers stop helping: the time of a training by the law of updates and their seconds."""

from collections.abc import Callable
from functools import partial
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils._param_validation import validate_parameter_constraints

from minibatch._base.ranges import number_above, number_from
from minibatch.distributed._network import NUMBER_BYTES, Network, allreduce_seconds, check_network
from minibatch.distributed._simulation_result import WorkersSimulation

__all__ = ["MOST_WORKERS", "SAVED", "limits_of", "simulate_workers"]

MOST_WORKERS = 10_000
SAVED = 0.1  # of the time, by twice as many workers: what is worth having them
_MOST_ROWS = 10**15


def simulate_workers(
    seconds_per_update: tuple[float, float],
    critical_batch_size: float,
    n_parameters: int,
    network: Network,
    *,
    n_workers: ArrayLike | None = None,
    batch_sizes: ArrayLike | None = None,
) -> WorkersSimulation:
    """What 1 to 10,000 workers gain at several batch sizes, where they share every gradient.

    An update on ``B`` rows by ``K`` workers takes ``a + b ceil(B / K) + e(K)`` seconds, where ``e(K)`` is an all-reduce
    of the gradient, and a training takes ``S_min (1 + B_c / B)`` updates [1]_. Their product is the time to the target.
    Nothing is run: it is the arithmetic that ``recommend_batch_size`` does for one number of workers.

    Parameters
    ----------
    seconds_per_update : (float, float)
        ``a`` and ``b`` of one worker. ``seconds_per_update`` of a :class:`BatchSizeRecommendation` that was made with
        ``n_workers`` has those of the loop that workers run; made without, those of the faster loops of ``fit``.

    critical_batch_size : float
        ``B_c`` in rows, as ``recommend_batch_size``, ``steps_to_target`` or ``gradient_noise_scale`` find it.

    n_parameters : int
        Numbers in a gradient, 8 bytes each: of a linear model ``coef_.size + intercept_.size``.

    network : (float, float)
        Latency in seconds and bandwidth in bytes per second between two workers. An exchange is the cheaper of
        recursive doubling, ``r (l + n / w)``, and Rabenseifner's, ``2 r l + 2 (K - 1) / K n / w``, with
        ``r = ceil(log2 K)`` rounds [2]_; of one worker it is nothing.

    n_workers : array-like of int, default=None
        Numbers of workers, 1 to 10,000. None: the powers of two, and 10,000.

    batch_sizes : array-like of int, default=None
        Rows of a batch over all workers. None: the powers of four from 1 to 1,048,576.

    Returns
    -------
    WorkersSimulation
        Times, speed-ups, efficiencies and shares of the exchange for every pair; the best batch size for every number
        of workers; and for every batch size the workers from which more stop helping.

    Raises
    ------
    ValueError
        If an argument is out of range.

    See Also
    --------
    minibatch.model_selection.recommend_batch_size : Where its numbers come from.
    minibatch.plotting.WorkersSimulationDisplay : Draws it.

    Notes
    -----
    The law is about the rows of a batch, however many workers share them: the rate must suit each batch size. Workers
    are alike and never wait for a slow one, reading rows costs nothing, and the network is as fast for all at once as
    for two: real ones do worse. Batches have at most as many rows as there are; leave larger ones out.

    References
    ----------
    .. [1] S. McCandlish, J. Kaplan, D. Amodei et al., "An Empirical Model of Large-Batch Training", 2018.
       arXiv:1812.06162
    .. [2] R. Thakur, R. Rabenseifner, W. Gropp, "Optimization of Collective Communication Operations in MPICH",
       International Journal of High Performance Computing Applications 19, 2005

    Examples
    --------
    Updates of 50 us and 1 us a row, 10,000 parameters, 10 Gbit/s and 20 us:

    >>> from minibatch.distributed import simulate_workers
    >>> found = simulate_workers(
    ...     (5e-5, 1e-6), 5000, 10_000, (2e-5, 1.25e9), batch_sizes=[256, 4096, 65536]
    ... )
    >>> found.best_batch_sizes[[0, 4, 8]].tolist()  # of 1, 16 and 256 workers
    [256, 4096, 65536]
    >>> found.speedups[[0, 4, 8]].max(axis=1).round(1).tolist()
    [1.0, 4.8, 7.7]
    >>> found.worthwhile_n_workers.tolist(), found.fastest_n_workers.tolist()
    ([2, 21, 279], [2, 64, 1024])
    """
    given = {"critical_batch_size": critical_batch_size, "n_parameters": n_parameters}
    validate_parameter_constraints(
        {"critical_batch_size": [number_from(0)], "n_parameters": [Integral]}, given, caller_name="simulate_workers"
    )
    if isinstance(n_parameters, bool) or n_parameters < 1:
        raise ValueError(f"n_parameters must be a positive integer; got {n_parameters!r}.")
    a, b = _checked_seconds(seconds_per_update)
    network = check_network(network)
    powers = [*2 ** np.arange(14), MOST_WORKERS]
    workers = _checked_numbers("n_workers", powers if n_workers is None else n_workers, MOST_WORKERS)
    sizes = _checked_numbers("batch_sizes", 4 ** np.arange(11) if batch_sizes is None else batch_sizes, _MOST_ROWS)
    n_bytes, updates = float(NUMBER_BYTES * n_parameters), 1.0 + critical_batch_size / sizes

    def seconds(workers: NDArray[np.int64], sizes: NDArray[np.int64] = sizes) -> NDArray[np.float64]:
        of_rows = a + b * np.ceil(sizes / workers[:, None])
        return np.asarray(of_rows + allreduce_seconds(n_bytes, workers, network)[:, None])

    most = int(workers.max())
    limits = [limits_of(partial(seconds, sizes=size), most) for size in sizes[:, None]]
    of_update = seconds(workers)
    best_of_one = (updates * seconds(np.ones(1, np.int64))).min()
    return WorkersSimulation(
        n_workers=workers,
        batch_sizes=sizes,
        relative_seconds=updates * of_update / best_of_one,
        seconds_per_update=of_update,
        seconds_per_exchange=allreduce_seconds(n_bytes, workers, network),
        fastest_n_workers=np.array([fastest for fastest, _ in limits]),
        worthwhile_n_workers=np.array([worthwhile for _, worthwhile in limits]),
    )


def limits_of(seconds: Callable[[NDArray[np.int64]], NDArray[np.float64]], most: int) -> tuple[int, int]:
    """The number of workers, up to ``most``, with which an update is fastest, and the one from which twice as many save
    less than a tenth of its time.

    >>> limits_of(lambda workers: 1.0 + 64.0 / workers + 2.0 * np.log2(workers), 100)
    (22, 10)
    """
    workers = np.arange(1, most + 1)
    here, twice = np.ravel(seconds(workers)), np.ravel(seconds(2 * workers))
    little = np.append(twice > (1.0 - SAVED) * here, True)
    return int(workers[np.argmin(here)]), min(int(np.argmax(little)) + 1, most)


def _checked_seconds(seconds_per_update: Any) -> tuple[float, float]:
    try:
        a, b = seconds_per_update
    except (TypeError, ValueError):
        a = b = None
    fits = number_from(0).is_satisfied_by(a) and number_above(0).is_satisfied_by(b)
    if not fits or isinstance(a, bool) or isinstance(b, bool):
        raise ValueError(
            "seconds_per_update must be a pair of finite numbers: seconds of an update, 0 or more, and of each of its "
            f"rows, above 0; got {seconds_per_update!r}."
        )
    return float(a), float(b)


def _checked_numbers(name: str, values: Any, most: int) -> NDArray[np.int64]:
    """In order, each once."""
    found = np.asarray(values)
    if found.ndim != 1 or not found.size or found.dtype.kind not in "iu" or found.min() < 1 or found.max() > most:
        raise ValueError(f"{name} must be a list of integers from 1 to {most:,}; got {values!r}.")
    return np.unique(found).astype(np.int64)
