"""How the engine is compiled: two decorators and the stamp that keeps the disk cache fresh.

Nothing compiles at import. An *entry* is a function that Python calls: compiled at its first call for each set of
argument types, without the GIL, and kept on disk (``engine.cache``). A *kernel* is a helper that becomes part of the
entries that call it.

``MINIBATCH_NUMBA_CACHE=0`` turns the disk cache off; ``NUMBA_CACHE_DIR`` moves it (containers, read-only installs).
"""

import gc
import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import current_thread, main_thread

import numba
from numba import types
from numba.core.compiler_lock import global_compiler_lock

from minibatch.engine.cache import DiskCache, released
from minibatch.engine.inlined import EntryCompiler, InlinedCompiler, JoiningCompiler
from minibatch.engine.notice import announced

__all__ = [
    "COMPILED", "FASTMATH", "INLINED", "OPTIONS", "SOURCE_STAMP", "alone", "aside", "entry", "joining", "kernel",
    "kernel_in_order",
]  # fmt: skip

# Sums may be reordered (SIMD) and fused, but NaN and infinity keep their meaning: divergence is detected by them.
FASTMATH = {"reassoc", "contract", "nsz", "arcp"}
# Without Numba's runtime there is no allocation and no reference count in compiled code. A view or an unpacked tuple in
# a loop would cost an atomic count each: measured, a third of an epoch at batch size 1, four fifths of it on CSR rows.
# So every buffer comes from the caller.
OPTIONS = {"error_model": "numpy", "fastmath": FASTMATH, "_nrt": False}

# Of kernels, and in the ``jit_options`` of overloads.
INLINED = {
    "forceinline": True, "pipeline_class": InlinedCompiler, "no_cpython_wrapper": True, "no_cfunc_wrapper": True,
}  # fmt: skip

COMPILED = not numba.config.DISABLE_JIT  # else everything runs as plain Python, for tests

# A thread that compiles does not live on in a forked child, but the lock that it holds does: forks wait for its end.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=global_compiler_lock.acquire,
        after_in_parent=global_compiler_lock.release,
        after_in_child=global_compiler_lock.release,
    )

# Numba's disk cache notices edits of the file that defines an entry, not of the files whose helpers it calls. Every
# entry closes over this stamp, which is part of its cache key, so that an edit of any engine file is a miss.
SOURCE_STAMP = hashlib.sha256(b"".join(p.read_bytes() for p in sorted(Path(__file__).parent.glob("*.py")))).hexdigest()


def kernel(func, options=OPTIONS):
    """Compile a helper that is always inlined into the function that calls it."""
    compiled = numba.njit(**{**INLINED, **options})(func)
    if COMPILED:
        compiled.get_call_template = _for_all_numbers(compiled.get_call_template)
    return compiled


def joining(func):
    """A kernel whose time is spent in those that it calls. It is optimized where it becomes part of an entry."""
    return kernel(func, {**OPTIONS, "pipeline_class": JoiningCompiler})


def _for_all_numbers(get_call_template):
    """Numba compiles a function anew for a number that is written in its call. A kernel knows it where it is inlined:
    the second compilation, and that of all that it calls, was a quarter of a network's first fit."""

    def of_types(args, kws):
        return get_call_template(
            tuple(map(types.unliteral, args)), {name: types.unliteral(kind) for name, kind in kws.items()}
        )

    return of_types


def kernel_in_order(func):
    """A kernel whose sums are those that are written, for what relies on how they are rounded."""
    return kernel(func, {**OPTIONS, "fastmath": {"contract"}})


def alone(compile_signature):
    """Compile without the garbage collector, which finds nothing among millions of new objects and takes a tenth of the
    time."""

    def compile_alone(signature):
        with global_compiler_lock:
            enabled = gc.isenabled()
            gc.disable()
            try:
                return compile_signature(signature)
            finally:
                if enabled:
                    gc.enable()

    return compile_alone


def aside(compile_signature):
    """Compile on a thread of its own, which Ctrl-C does not reach.

    Interrupted halfway, Numba may be left with half of its tables: no later call compiles (measured: one interrupt in
    twenty). Or LLVM's callback drops the exception. So only the caller, who waits, is interrupted; the compilation goes
    on to its end, where the next call finds it.
    """

    def compile_aside(signature):
        if current_thread() is not main_thread():  # signals go to the main thread
            return compile_signature(signature)
        pool = ThreadPoolExecutor(1)
        try:
            compilation = pool.submit(compile_signature, signature)
        except RuntimeError:  # there are no new threads any more: the interpreter ends
            return compile_signature(signature)
        pool.shutdown(wait=False)
        return compilation.result()

    return compile_aside


def entry(build):
    """Compile what ``build(SOURCE_STAMP)`` returns: a function that Python calls."""
    func = build(SOURCE_STAMP)
    compiled = numba.njit(nogil=True, no_cfunc_wrapper=True, pipeline_class=EntryCompiler, **OPTIONS)(func)
    if not COMPILED:
        return compiled
    if os.environ.get("MINIBATCH_NUMBA_CACHE", "1") != "0":
        with suppress(RuntimeError):  # NUMBA_CACHE_LOCATOR_CLASSES knows no place for this file
            compiled._cache = DiskCache(func)  # as njit(cache=True) does, with its own class
    compiled.compile = announced(aside(alone(released(compiled))))
    return compiled
