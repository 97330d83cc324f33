"""Threads that train one model in step: they meet in compiled code, many times a batch."""

from collections.abc import Callable, Iterator

from minibatch._problems.blas import one_blas_thread
from minibatch._problems.pieces import Threads, share_out
from minibatch._problems.state import Vector
from minibatch.engine.barrier import abandon, new_barrier

__all__ = ["on_threads_that_meet"]


def on_threads_that_meet(train: Callable[[int, int, int, Vector], None], n_shares: int, threads: Threads) -> None:
    """Call ``train(thread, first_share, last_share, barrier)`` on all threads."""
    barrier = new_barrier()

    def on_thread(thread: int) -> Iterator[None]:
        first_share, last_share = (i * n_shares // threads.number for i in (thread, thread + 1))
        with one_blas_thread():
            train(thread, first_share, last_share, barrier)
        yield

    # a thread that does not come to the barrier must not be waited for
    share_out(threads, on_thread, threads.number, give_up=lambda: abandon(barrier))
