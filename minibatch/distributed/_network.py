"""What it costs that all workers get the sum of their vectors, on a network that is known by two numbers."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from minibatch._base.ranges import number_above, number_from

__all__ = ["NUMBER_BYTES", "Network", "allreduce_seconds", "check_network"]

Network = tuple[float, float]  # latency in seconds, bandwidth in bytes a second

NUMBER_BYTES = 8  # gradients are summed in float64, whatever the type of X


def allreduce_seconds(n_bytes: float, n_workers: Any, network: Network) -> NDArray[np.float64]:
    """Seconds until each of so many workers has the sum of vectors of so many bytes.

    With latency ``l``, bandwidth ``w`` and ``r = ceil(log2 K)`` rounds, the cheaper of

    * recursive doubling, ``r (l + n / w)``: in every round a worker swaps the whole sum so far with another;
    * Rabenseifner's, ``2 r l + 2 (K - 1) / K n / w``: parts are summed, each at one worker, and then gathered.

    A ring has the bytes of the second and ``2 (K - 1)`` latencies, so it is never the cheaper one here. Not counted are
    the additions, other traffic on the network, and one more round that libraries take where ``K`` is no power of two.
    Workers on one machine (``SharedFile``) do otherwise: each reads the vectors of all, ``K n`` bytes from memory.

    References
    ----------
    .. [1] R. Thakur, R. Rabenseifner, W. Gropp, "Optimization of Collective Communication Operations in MPICH",
       International Journal of High Performance Computing Applications 19, 2005
    .. [2] P. Patarasuk, X. Yuan, "Bandwidth Optimal All-reduce Algorithms for Clusters of Workstations", Journal of
       Parallel and Distributed Computing 69, 2009

    Examples
    --------
    >>> allreduce_seconds(1e6, [1, 2, 4], (1e-5, 1e9)).round(
    ...     6
    ... ).tolist()  # the first, then the second is cheaper
    [0.0, 0.00101, 0.00154]
    """
    latency, bandwidth = network
    workers = np.asarray(n_workers, np.float64)
    rounds, transfer = np.ceil(np.log2(workers)), n_bytes / bandwidth
    doubling = rounds * (latency + transfer)
    halving = 2.0 * rounds * latency + 2.0 * (workers - 1.0) / workers * transfer
    return np.asarray(np.minimum(doubling, halving))


def check_network(network: Any) -> Network:
    """Refuse what is not a latency and a bandwidth."""
    try:
        latency, bandwidth = network
    except (TypeError, ValueError):
        latency = bandwidth = None
    fits = number_from(0).is_satisfied_by(latency) and number_above(0).is_satisfied_by(bandwidth)
    if not fits or isinstance(latency, bool) or isinstance(bandwidth, bool):
        raise ValueError(
            "network must be a pair of finite numbers: the latency in seconds, 0 or more, and the bandwidth in bytes "
            f"per second, above 0, for example (1e-5, 1.25e9); got {network!r}."
        )
    return float(latency), float(bandwidth)
