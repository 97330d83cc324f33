"""Threads of a search, which live as long as it does.

joblib's come and go with every call, and it looks for results every hundredth of a second: in a search that takes few
tenths of a second, with its rounds, that is most of the time.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, NamedTuple

from joblib import effective_n_jobs
from sklearn import config_context, get_config

__all__ = ["Workers", "workers"]

_Call = tuple[Any, ...]  # the arguments


class Workers(NamedTuple):
    """So many at a time. ``call`` returns what a function returns for all arguments, in their order; the first calls
    begin while later arguments are made. Where one raises, those that have not begun do not begin."""

    number: int
    call: Callable[[Callable[..., Any], Iterable[_Call]], list[Any]]


@contextmanager
def workers(n_jobs: int | None) -> Iterator[Workers]:
    """As many as joblib would have for ``n_jobs``; they heed the caller's settings of scikit-learn."""
    number, config = effective_n_jobs(n_jobs), get_config()
    if number == 1:
        yield Workers(1, lambda function, calls: [function(*call) for call in calls])
        return

    def with_config(function: Callable[..., Any], call: _Call) -> Any:
        with config_context(**config):
            return function(*call)

    def on_threads(function: Callable[..., Any], calls: Iterable[_Call]) -> list[Any]:
        futures = []
        try:
            for call in calls:
                futures.append(pool.submit(with_config, function, call))
            return [future.result() for future in futures]
        except BaseException:
            for future in futures:
                future.cancel()
            raise

    with ThreadPoolExecutor(number) as pool:
        yield Workers(number, on_threads)
