"""A call that raises leaves the estimator as it was."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from minibatch._base.callbacks import is_bookkeeping
from minibatch.history import History

__all__ = ["history_so_far", "unchanged_on_error"]


@contextmanager
def unchanged_on_error(estimator: Any) -> Iterator[None]:
    """Put back all attributes if the block raises (Ctrl-C included); scikit-learn's callback bookkeeping stays."""
    before = dict(vars(estimator))
    history = before.get("history_")  # partial_fit appends to it
    mark = None if history is None else history._mark()
    try:
        yield
    except BaseException:
        now = vars(estimator)
        bookkeeping = {name: now[name] for name in now if is_bookkeeping(name)}
        estimator.__dict__ = before | bookkeeping  # at once: a second Ctrl-C must not find it empty
        if history is not None:
            history._back_to(mark)
        raise


def history_so_far(estimator: Any, partial: bool, goes_on: bool) -> History:
    """``partial_fit`` appends to the history, at the very end; ``fit`` makes a new one, which may still fail."""
    history: History = History() if not goes_on else estimator.history_ if partial else estimator.history_.copy()
    history._stream(partial)
    return history
