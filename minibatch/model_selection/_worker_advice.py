"""What there is to say of several workers: which are asked for, and what they gain over one."""

from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from minibatch.distributed._network import Network, allreduce_seconds, check_network
from minibatch.distributed._simulation import MOST_WORKERS, SAVED, limits_of
from minibatch.model_selection._worker_times import WorkerTimes

__all__ = ["Shared", "Team", "checked_team", "compared", "doubts_about_workers", "words_about_workers"]


class Team(NamedTuple):
    """The workers that are asked for; without a network, on this machine."""

    n_workers: int
    network: Network | None

    def refuse_rows(self, n_rows: int) -> None:
        if n_rows < self.n_workers:
            raise ValueError(f"n_workers={self.n_workers} is more than the {n_rows} rows of X; give fewer workers.")


class Shared(NamedTuple):
    """Several workers beside one."""

    team: Team
    times: WorkerTimes
    ratio: float  # of the least predicted time to that of one worker
    of_one: int  # the size with which that is fastest

    def fields(self) -> dict[str, Any]:
        """Of the recommendation."""
        return {"n_workers": self.team.n_workers, "seconds_per_exchange": self.times.exchange}


def checked_team(n_workers: Any, network: Any) -> Team:
    is_number = isinstance(n_workers, Integral) and not isinstance(n_workers, bool)
    if not is_number or not 1 <= int(n_workers) <= MOST_WORKERS:
        raise ValueError(f"n_workers must be an integer from 1 to {MOST_WORKERS:,}; got {n_workers!r}.")
    if network is None:
        return Team(int(n_workers), None)
    network = check_network(network)
    if n_workers == 1:
        raise ValueError(f"network={network} goes with several workers; give n_workers, or leave network out.")
    return Team(int(n_workers), network)


def compared(
    team: Team, times: WorkerTimes, sizes: NDArray[np.int64], by_law: NDArray[np.float64], of_one: NDArray[np.float64]
) -> Shared:
    """By predicted times of the sizes, with all workers and with one."""
    return Shared(team, times, float(by_law.min() / of_one.min()), int(sizes[np.argmin(of_one)]))


def words_about_workers(shared: Shared, best: int) -> str:
    (n_workers, network), times = shared.team, shared.times
    words = (
        f"{n_workers} workers share a batch; {1e6 * times.exchange:.2g} us of an update are the exchange of "
        f"{times.n_bytes:,} bytes. They are predicted to take {shared.ratio:.2g} of the time of one worker, whose best "
        f"batches have {shared.of_one} rows. "
    )
    if network is None:
        return words

    def seconds(workers: NDArray[np.int64]) -> NDArray[np.float64]:
        exchanges = allreduce_seconds(times.n_bytes, workers, network)
        return np.asarray(times.part.of(np.ceil(best / workers)) + exchanges)

    fastest, worthwhile = limits_of(seconds, MOST_WORKERS)
    if fastest == 1:
        return f"{words}With batches of {best} an update is fastest with one worker on this network. "
    return (
        f"{words}With batches of {best} it saves {SAVED:.0%} of the time or more to double the workers, up to "
        f"{worthwhile} of them, and an update is fastest with {fastest}. "
    )


def doubts_about_workers(
    shared: Shared | None, sizes: NDArray[np.int64], expected: NDArray[np.float64], best: int, n_raced: int
) -> list[str]:
    """``expected`` are the times of the sizes: of those that are too large for the runs, by the law."""
    if shared is None:
        return []
    doubts = []
    if shared.ratio >= 1.0:
        doubts.append(f"{shared.team.n_workers} workers are predicted to be slower than one. [MB212]")
    fastest = int(sizes[np.argmin(expected)])
    if fastest > n_raced and expected.min() < (1.0 - SAVED) * expected[sizes == best][0]:
        doubts.append(
            f"By the law batches of {fastest} are faster still; runs see {n_raced:,} rows and do not tell. [MB213]"
        )
    return doubts
