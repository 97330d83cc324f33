"""What is said of a compilation that takes long: without a word, a first fit looks like one that hangs."""

import logging
from collections.abc import Callable
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import cache as once
from threading import Timer

__all__ = ["MESSAGE", "PATIENCE", "announced", "told"]

# Seconds.
PATIENCE = 1.0
MESSAGE = (
    "Compiling, once on this machine: a first fit takes some seconds more than later ones. "
    "`python -m minibatch warmup` does this ahead of time."
)

# Who is told, beside the logger: the fit that waits.
_listener: ContextVar[Callable[[str], object] | None] = ContextVar("listener", default=None)


@contextmanager
def told(tell):
    """In here, ``tell(MESSAGE)`` is called once when a compilation takes longer than ``PATIENCE``."""
    before = _listener.set(once(tell))
    try:
        yield
    finally:
        _listener.reset(before)


def announced(compile_signature):
    """Say so where that takes longer than ``PATIENCE``: to the logger ``minibatch``, once a process, and to whoever
    listens."""

    def compile_announced(signature):
        timer = Timer(PATIENCE, _say, [_listener.get()])
        timer.daemon = True
        with suppress(RuntimeError):  # there are no new threads any more: the interpreter ends
            timer.start()
        try:
            return compile_signature(signature)
        finally:
            timer.cancel()
            if timer.ident is not None:
                timer.join()  # no thread is left behind

    return compile_announced


def _say(listener):
    _log(MESSAGE)
    if listener is not None:
        listener(MESSAGE)


@once
def _log(message):
    logging.getLogger("minibatch").info(message)
