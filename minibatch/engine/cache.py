"""The disk cache of compiled code: Numba's, which here never makes a call fail.

Numba raises what it meets there: a full disk, a directory that became read-only, a file that a crash left half written.
Here, what cannot be loaded is compiled anew and written again; what cannot be written is not kept, and one warning says
so.
"""

import hashlib
import os
import pickle
import time
import warnings
from functools import cache as once

from numba.core import config
from numba.core.caching import (
    CacheImpl,
    CompileResultCacheImpl,
    FunctionCache,
    InTreeCacheLocator,
    UserProvidedCacheLocator,
)
from numba.core.serialize import dumps

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

__all__ = ["PATIENCE", "PAUSE", "DiskCache", "Turn", "opened", "released", "sealed"]

# Seconds to wait for another process that compiles the same function, and between two looks.
PATIENCE, PAUSE = 60.0, 0.05


class _GivenDirectory(UserProvidedCacheLocator):
    """``NUMBA_CACHE_DIR``, writable or not: it may have been filled when a container was built."""

    @classmethod
    def from_function(cls, py_func, py_file):
        return cls(py_func, py_file) if config.CACHE_DIR else None


class _BesideTheModule(InTreeCacheLocator):
    """``__pycache__``, writable or not."""

    @classmethod
    def from_function(cls, py_func, py_file):
        return cls(py_func, py_file) if os.path.exists(py_file) else None


class _Files(CompileResultCacheImpl):
    # Numba's, which must be writable, come first.
    _locator_classes = [*CacheImpl._locator_classes, _GivenDirectory, _BesideTheModule]


class DiskCache(FunctionCache):
    """What ``njit(cache=True)`` uses, with ``sealed`` contents, and without its exceptions."""

    _impl_class = _Files

    def __init__(self, py_func):
        super().__init__(py_func)
        self._turn = Turn()

    def release(self):
        """Others may compile this function."""
        self._turn.release()

    def load_overload(self, sig, target_context):
        """The compiled function; None where there is none, or none that can be used."""
        target_context.refresh()
        found = self._found(sig, target_context)
        if found is None and self._turn.wait(os.path.join(self.cache_path, f"{self._impl.filename_base}.lock")):
            found = self._found(sig, target_context)
        return found

    def _found(self, sig, target_context):
        try:
            key = self._index_key(sig, target_context.codegen())
            contents = opened(self._cache_file.load(key), key)
            return None if contents is None else self._impl.rebuild(target_context, contents)
        except Exception:  # a damaged pickle may raise anything
            return None

    def save_overload(self, sig, data):
        """Keep a compiled function, if possible."""
        if not self._impl.check_cachable(data):
            return
        try:
            self._impl.locator.ensure_cache_path()
            key = self._index_key(sig, data.codegen)
            with self._guard_against_spurious_io_errors():
                self._save(key, sealed(self._impl.reduce(data), key))
        except Exception as error:
            _say_that_nothing_is_kept(self.cache_path, getattr(error, "strerror", None) or repr(error))

    def _save(self, key, contents):
        try:
            self._cache_file.save(key, contents)
        except OSError:
            raise
        except Exception:  # the index is damaged: begin a new one
            self.flush()
            self._cache_file.save(key, contents)


class Turn:
    """Of a process to compile a function: those that begin with it wait, and find it on disk.

    The system takes the lock of a process that ends, however it does. Where files cannot be locked, all compile.
    """

    def __init__(self):
        self._file = None

    def wait(self, path):
        """Whether another process had its turn meanwhile. One that takes longer than ``PATIENCE`` is passed by."""
        if fcntl is None or self._file is not None:
            return False
        waited, until = False, time.monotonic() + PATIENCE
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            self._file = open(path, "a")
            while not _locks(self._file) and time.monotonic() < until:
                waited = True
                time.sleep(PAUSE)
        except OSError:  # nothing can be written or locked here
            self.release()
        return waited

    def release(self):
        file, self._file = self._file, None
        if file is not None:
            file.close()  # and with it the lock


def released(compiled):
    """``compiled.compile``, after which others may."""

    def compile_released(signature):
        try:
            return compile_signature(signature)
        finally:
            release()

    compile_signature, release = compiled.compile, getattr(compiled._cache, "release", None)
    return compile_signature if release is None else compile_released


def _locks(file):
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def sealed(contents, key):
    """What a data file holds: contents with their key and a checksum.

    Machine code with a hole in it, which a crash of the system may leave, ends the process when it is linked. And Numba
    numbers its files: of two processes that compile at once, one may find the other's code under its own number.
    """
    contents = dumps(contents)
    return key, hashlib.sha256(contents).digest(), contents


def opened(found, key):
    """The contents; None where they are not those of the key, or damaged."""
    if found is None:
        return None
    own_key, checksum, contents = found
    if own_key != key or hashlib.sha256(contents).digest() != checksum:
        return None
    return pickle.loads(contents)


@once  # a process; Python forgets what it has warned of whenever a filter changes, which scikit-learn does in every fit
def _say_that_nothing_is_kept(directory, reason):
    warnings.warn(
        f"Compiled code is not kept in {directory}: {reason}. Every new process will compile for some seconds. Set the "
        "environment variable NUMBA_CACHE_DIR to a directory that can be written, or MINIBATCH_NUMBA_CACHE=0 to do "
        "without the cache. [MB501]",
        RuntimeWarning,
        stacklevel=2,
    )
