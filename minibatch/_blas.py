"""BLAS on one thread while the engine uses it.

Threads of BLAS cut a product as they like, which changes its rounding with their number, and cost more than they give
for small products. The engine shares out rows instead, on Python threads; their number is the one BLAS was set to, so
that ``threadpoolctl``, ``OMP_NUM_THREADS`` and joblib's limits on its workers hold.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from threading import Lock
from typing import Any

import scipy.linalg.cython_blas  # noqa: F401  # the BLAS that Numba calls; loaded, it is there to be limited
from threadpoolctl import ThreadpoolController


class _Limit:
    """The limit that all threads of a process share: BLAS has one setting for all of them, which the first of
    concurrent users lowers and the last restores."""

    def __init__(self) -> None:
        self._lock, self._n_users = Lock(), 0
        self._limiter: Any = None
        self._controller: Any = ThreadpoolController().select(user_api="blas")

    def n_threads(self) -> int:
        with self._lock:
            if self._n_users == 0:
                self._n_threads = max((library["num_threads"] for library in self._controller.info()), default=1)
            return self._n_threads

    @contextmanager
    def one_thread(self) -> Iterator[None]:
        n_threads = self.n_threads()
        with self._lock:
            self._n_users += 1
            if self._n_users == 1 and n_threads > 1:
                self._limiter = self._controller.limit(limits=1)
        try:
            yield
        finally:
            with self._lock:
                self._n_users -= 1
                if self._n_users == 0 and self._limiter is not None:
                    self._limiter.restore_original_limits()
                    self._limiter = None


@cache
def _limit() -> _Limit:
    return _Limit()


def n_blas_threads() -> int:
    """The number of threads that BLAS is set to use, our own limit left out."""
    return _limit().n_threads()


def one_blas_thread() -> Any:
    """Context manager: BLAS uses one thread, in this process. May be nested, and used on several threads at once."""
    return _limit().one_thread()
