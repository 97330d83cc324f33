"""BLAS on one thread while the engine uses it.

Threads of BLAS cut a product as they like, which changes its rounding with their number, and cost more than they give
for small products. The engine shares out rows instead, on Python threads; their number is the one BLAS was set to, so
that ``threadpoolctl``, ``OMP_NUM_THREADS`` and joblib's limits on its workers hold.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from threading import Lock, get_ident
from typing import Any

import scipy.linalg.cython_blas  # noqa: F401  # the BLAS that Numba calls; loaded, it is there to be limited
from threadpoolctl import ThreadpoolController

__all__ = ["Visit", "n_blas_threads", "one_blas_thread"]

Visit = tuple[int, object]  # of a thread; it may come in again before it goes

# Held while the limit is made, and while BLAS is set, which has a lock of its own then. Forks wait until it is free: in
# the child, both would be held for ever by a thread that is not there (measured: one child in 900).
_lock = Lock()


class _Limit:
    """The limit of a process. BLAS has one setting for all threads (one for each where it is built with OpenMP), so the
    first thread to come in remembers it and the last to go restores it."""

    def __init__(self) -> None:
        self._inside: set[Visit] = set()
        self._libraries: list[Any] = ThreadpoolController().select(user_api="blas").lib_controllers
        self._settings: list[int] = []

    def n_threads(self) -> int:
        with _lock:
            return max(self._settings if self._inside else self._current(), default=1)

    def _current(self) -> list[int]:
        return [library.get_num_threads() for library in self._libraries]

    def come_in(self, visit: Visit) -> int:
        """How many other threads are inside."""
        with _lock:
            if not self._inside:
                self._settings = self._current()
            self._inside.add(visit)
            for library in self._libraries:
                _set_threads(library, 1)
            return len({thread for thread, _ in self._inside}) - 1

    def go(self, visit: Visit) -> None:
        """End a visit, if it ever began; Ctrl-C may have come anywhere in between, and here too."""
        with _lock:
            if visit not in self._inside:
                return
            others = self._inside - {visit}
            if visit[0] not in {thread for thread, _ in others}:
                for library, setting in zip(self._libraries, self._settings, strict=True):
                    own_setting = getattr(library, "threading_layer", None) == "openmp"
                    if own_setting or not others:
                        _set_threads(library, setting)
            self._inside = others


def _set_threads(library: Any, n_threads: int) -> None:
    # From version 3.7 on, threadpoolctl heeds only the first thread that ever set OpenBLAS, so that threads do not
    # fight over it. Ours do not, and a fit may run on any of them.
    getattr(library, "_real_set_num_threads", library.set_num_threads)(n_threads)


@cache
def _only_limit() -> _Limit:
    return _Limit()


def _limit() -> _Limit:
    with _lock:  # a cache alone may call twice what several threads ask for at once
        return _only_limit()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release)
    os.register_at_fork(after_in_child=_only_limit.cache_clear)  # the threads inside do not live on in a child


def n_blas_threads() -> int:
    """The number of threads that BLAS is set to use, our own limit left out."""
    return _limit().n_threads()


@contextmanager
def one_blas_thread() -> Iterator[int]:
    """BLAS uses one thread. May be nested; every thread that calls BLAS comes in. Gives how many others are inside."""
    limit, visit = _limit(), (get_ident(), object())
    try:
        yield limit.come_in(visit)
    finally:
        try:
            limit.go(visit)
        except BaseException:  # Ctrl-C in there
            limit.go(visit)
            raise
