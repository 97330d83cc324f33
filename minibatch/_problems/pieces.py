"""Work in pieces, on threads. Python handles Ctrl-C between two calls of compiled code: no call is longer than a piece.

What a piece is depends on the data and the parameters alone, never on time or threads, and so results do not either.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from typing import Any, NamedTuple

__all__ = ["ALONE", "WORK_AT_ONCE", "Threads", "at_once", "cut", "pool_of", "share_out"]

# Work is counted in nanoseconds of a slow core with slow memory, rounded up: most pieces take a third of these 0.2 s.
# The call of a piece costs some tens of microseconds.
WORK_AT_ONCE = 200_000_000


class Threads(NamedTuple):
    """The threads that work may be shared out to: the calling one and the helpers of a pool."""

    number: int
    helpers: Executor | None


ALONE = Threads(1, None)


def pool_of(n_threads: int, stack: ExitStack) -> Threads:
    """Threads that live as long as ``stack``."""
    if n_threads == 1:
        return ALONE
    return Threads(n_threads, stack.enter_context(ThreadPoolExecutor(n_threads - 1)))


def at_once(work: float) -> int:
    """How many units of so much work each are a piece; 0 if one is more than that."""
    return int(WORK_AT_ONCE / max(1.0, work))


def cut(start: int, stop: int, step: int) -> Iterator[tuple[int, int]]:
    """From ``start`` to ``stop`` in steps, at least one.

    >>> list(cut(3, 10, 4)), list(cut(3, 3, 4))
    ([(3, 7), (7, 10)], [(3, 3)])
    """
    for begin in range(start, max(stop, start + 1), step):
        yield begin, min(begin + step, stop)


def share_out(
    threads: Threads,
    function: Callable[[int], Iterable[Any]],
    n_tasks: int,
    give_up: Callable[[], None] = lambda: None,
) -> None:
    """Go through ``function(0)``, ..., ``function(n_tasks - 1)``, each a step at a time. The calling thread works too:
    handing over costs tens of microseconds.

    Where one thread raises (the calling one on Ctrl-C), the others stop after the step that they are in; ``give_up``
    is called if they may wait for each other in there.
    """
    if threads.helpers is None or n_tasks == 1:
        for task in range(n_tasks):
            for _ in function(task):
                pass
        return
    tasks, stopped = iter(range(n_tasks)), False

    def work() -> None:
        try:
            for task in tasks:
                for _ in function(task):
                    if stopped:
                        return
        except BaseException:
            stop()
            raise

    def stop() -> None:
        nonlocal stopped
        stopped = True
        give_up()

    helpers: list[Future[None]] = []
    try:
        for _ in range(min(threads.number, n_tasks) - 1):
            helpers.append(threads.helpers.submit(work))
        work()
        for helper in helpers:
            helper.result()
    except BaseException:
        stop()
        wait([helper for helper in helpers if not helper.cancel()])
        raise
