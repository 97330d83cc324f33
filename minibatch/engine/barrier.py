"""Threads inside compiled code meet here, several times for every batch.

Waking a sleeping Python thread takes tens of microseconds, as long as a small batch. So the threads of an epoch stay in
the compiled loop and wait for each other awake, giving way to whoever else wants the core.
"""

import sys

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload
from numba.np.arrayobj import make_array

from minibatch.engine.compile import INLINED, OPTIONS

__all__ = ["PATIENCE", "abandon", "new_barrier", "wait_for_others"]

# Looks at the barrier before a thread offers its core to others: some microseconds.
PATIENCE = 2000
_ARRIVED, _ROUND, _ABANDONED = 0, 8, 16  # far apart, for a cache line each

_give_way = types.ExternalFunction("SwitchToThread" if sys.platform == "win32" else "sched_yield", types.int32())


def new_barrier():
    """Shared by the threads of an epoch."""
    return np.zeros(24, np.int64)


def abandon(barrier):
    """Send all threads home that wait, or ever will."""
    barrier[_ABANDONED] = 1


def _address(context, builder, signature, args):
    data = make_array(signature.args[0])(context, builder, args[0]).data
    return builder.gep(data, [context.cast(builder, args[1], signature.args[1], types.intp)])


@intrinsic
def _fetch_and_add(typing_context, array, index, value):
    """The old value."""

    def codegen(context, builder, signature, args):
        value = context.cast(builder, args[2], signature.args[2], types.int64)
        return builder.atomic_rmw("add", _address(context, builder, signature, args), value, "seq_cst")

    return types.int64(array, index, value), codegen


@intrinsic
def _pause(typing_context):
    """No more than a compiler barrier: what is read next is read anew."""

    def codegen(context, builder, signature, args):
        builder.asm(ir.FunctionType(ir.VoidType(), []), "", "~{memory}", [], True)
        return context.get_dummy_value()

    return types.void(), codegen


def wait_for_others(barrier, n_threads):
    """Wait until all threads have come here; false if the epoch was abandoned."""
    assert n_threads == 1, "threads need the compiler"
    return True


@overload(wait_for_others, jit_options={**OPTIONS, **INLINED})
def _wait_for_others(barrier, n_threads):
    def wait(barrier, n_threads):
        if n_threads == 1:
            return True
        this_round = _fetch_and_add(barrier, _ROUND, 0)
        if _fetch_and_add(barrier, _ARRIVED, 1) == n_threads - 1:
            _fetch_and_add(barrier, _ARRIVED, -n_threads)
            _fetch_and_add(barrier, _ROUND, 1)
            return True
        looks = 0
        while barrier[_ROUND] == this_round:
            if barrier[_ABANDONED] != 0:
                return False
            looks += 1
            if looks > PATIENCE:
                _give_way()
            _pause()
        _fetch_and_add(barrier, _ROUND, 0)  # what the others wrote before is seen from here on
        return True

    return wait
