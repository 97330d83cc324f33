"""What a fit takes where several processes of this machine train."""

from dataclasses import replace
from typing import Any

from minibatch._base.solvers import WITHOUT_WORKERS
from minibatch._problems.mlp import MLPProblem
from minibatch._problems.pieces import ALONE
from minibatch.distributed._communicator import Lonely
from minibatch.model_selection._memory_fit import Fit
from minibatch.model_selection._memory_result import Parts

__all__ = ["PROCESS", "refuse_what_cannot_be_shared", "with_workers"]

# Of Python with its imports and loaded kernels: bytes that no other process shares, measured. Pages of libraries, 150
# MB more, are those of the calling process.
PROCESS = 160_000_000
# Vectors of float64 in an exchange, measured: what is put together, the sum, and with means of parameters each by rows.
_OF_GRADIENTS, _OF_PARAMETERS = 2, 4
# Copies of the state in a worker: the one that came, and the one that is trained.
_STATES = 2


def refuse_what_cannot_be_shared(final: Any, n_workers: int, sync: str) -> None:
    """As ``distributed.fit`` does."""
    if n_workers == 1:
        return
    if final.solver in WITHOUT_WORKERS:
        what = WITHOUT_WORKERS[final.solver]
        raise ValueError(f"solver={final.solver!r} has {what}; use n_workers=1, or another solver.")
    if sync == "gradients" and getattr(final, "batch_normalization", False):
        raise ValueError(
            "batch_normalization needs all rows of a batch in one place; use sync='parameters', or n_workers=1."
        )


def with_workers(fit: Fit, moments: dict[str, Parts], n_workers: int, sync: str) -> dict[str, Parts]:
    """The moments of a fit whose epochs are run by so many workers: from the first epoch on they hold what they need,
    and the driver has no buffers of batches."""
    by_gradients = sync == "gradients"
    processes = {"processes of the workers": n_workers * PROCESS}
    there = processes | _shared(fit, n_workers, by_gradients) | _of_workers(fit, n_workers, by_gradients)
    of_batches = {name for size in (fit.batch_size, fit.largest_batch) for name in _buffers(fit, size)}
    found = {}
    for name, parts in moments.items():
        if name.startswith("while") and "parameters to go back to" not in parts:
            found[name] = parts | processes  # before there is anything to train
            continue
        of_driver = {part: size for part, size in parts.items() if name != "in an epoch" or part not in of_batches}
        if by_gradients and "order of the rows" in of_driver and fit.final.shuffle:
            of_driver["order of the next epoch"] = 8 * fit.n_trained_on
        if not by_gradients:
            of_driver.pop("order of the rows", None)
        found[name] = of_driver | there
    return found


def _buffers(fit: Fit, batch_size: int) -> Parts:
    """Of an epoch in one process."""
    parts: Parts = fit.problem.epoch_bytes(batch_size, fit.state["average of the parameters"] > 0)
    return parts


def _shared(fit: Fit, n_workers: int, by_gradients: bool) -> Parts:
    """Files in memory: the rows, the plan of an epoch, and two places for what every worker has to say."""
    weights = fit.itemsize * fit.n_samples if getattr(fit.final, "class_weight", None) is not None else 0
    rows = fit.n_samples * (fit.row_bytes + fit.n_columns * fit.itemsize) + weights
    order = 8 * fit.n_trained_on if by_gradients else 0
    return {
        "shared rows": rows,
        "shared order and rates": order + 8 * fit.n_batches,
        "shared exchanges": 2 * n_workers * _exchanged(fit, by_gradients),
    }


def _exchanged(fit: Fit, by_gradients: bool) -> int:
    """Bytes of what a worker says: a gradient, or all that training changes, in float64."""
    return 8 * fit.n_parameters if by_gradients else 8 * sum(fit.state.values()) // fit.itemsize


def _of_workers(fit: Fit, n_workers: int, by_gradients: bool) -> Parts:
    """What each has for itself, of all together."""
    problem: Any = replace(fit.problem, threads=ALONE)
    rows_of_batch = fit.largest_batch
    if by_gradients:
        problem = replace(problem, partners=Lonely())
        # of a network the buffers are those of the whole batch
        rows_of_batch = rows_of_batch if isinstance(problem, MLPProblem) else -(-rows_of_batch // n_workers)
    buffers = sum(problem.epoch_bytes(rows_of_batch, fit.state["average of the parameters"] > 0).values())
    vectors = (_OF_GRADIENTS if by_gradients else _OF_PARAMETERS) * _exchanged(fit, by_gradients)
    own = {} if by_gradients else _own_rows(fit)
    return own | {
        "states of the workers": n_workers * _STATES * sum(fit.state.values()),
        "batch buffers of the workers": n_workers * buffers,
        "sums of the workers": n_workers * vectors,
    }


def _own_rows(fit: Fit) -> Parts:
    """Copies of the rows that each trains on, and their order."""
    of_row = fit.row_bytes + fit.n_columns * fit.itemsize
    return {"own rows of the workers": fit.n_trained_on * of_row, "own orders of the workers": 8 * fit.n_trained_on}
