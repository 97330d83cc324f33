"""The progress bar of what takes many fits: rich's."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["progress_bar_of"]


@contextmanager
def progress_bar_of(what: str, total: float) -> Iterator[Callable[[float], None]]:
    """A function that is told how many of all are done, and tells the user."""
    try:
        from rich.progress import MofNCompleteColumn, Progress
    except ImportError as error:
        raise ImportError("progress_bar=True needs rich: pip install rich") from error

    with Progress(*Progress.get_default_columns(), MofNCompleteColumn()) as progress:
        task = progress.add_task(what, total=total)
        yield lambda done: progress.update(task, completed=done)
