"""Batch normalization: over how many rows, and what it asks of them."""

from typing import Any, NoReturn

import scipy.sparse as sp

from minibatch._base.ranges import countable
from minibatch._problems.layout import WHOLE_BATCH

__all__ = ["check_batches", "refuse_one_row", "refuse_sparse", "rows_of_chunk"]


def rows_of_chunk(estimator: Any) -> int:
    """How many rows of a batch are normalized by themselves."""
    size = estimator.ghost_batch_size
    return WHOLE_BATCH if size is None else countable(size)


def check_batches(estimator: Any, n_samples: int) -> None:
    """Refuse batches of one row, and batches that grow so that there may be one."""
    batch_size, keeps = estimator._resolved_batch_size(n_samples), estimator.last_batch == "keep"
    if batch_size == 1:
        refuse_one_row(estimator, f"batch_size={estimator.batch_size!r} gives", "Use a larger batch_size")
    if keeps and n_samples % batch_size == 1:
        cause = f"the last batch of {n_samples} rows is"
        refuse_one_row(estimator, cause, "Use last_batch='drop' or another batch_size")
    if estimator.batch_growth == "adaptive":
        raise ValueError(
            "batch_growth='adaptive' looks at the gradients of single rows, but with batch normalization the rows "
            "of a batch share them. Give a factor instead."
        )
    if estimator.batch_growth is not None and keeps:
        raise ValueError(
            f"batch_growth={estimator.batch_growth!r} with batch_normalization={estimator.batch_normalization!r} may "
            "leave a last batch of a single row, which batch normalization cannot use; set last_batch='drop'."
        )


def refuse_one_row(estimator: Any, cause: str, remedy: str) -> NoReturn:
    raise ValueError(
        f"batch_normalization={estimator.batch_normalization!r} needs batches of two rows or more, but {cause} one of "
        "a single row: a unit's deviation from the mean of one row is always 0, so nothing could be learnt. "
        f"{remedy}."
    )


def refuse_sparse(X: Any) -> None:
    """Where the inputs are normalized."""
    if sp.issparse(X):
        raise ValueError(
            "batch_normalization='input' subtracts the mean of every column, which leaves no zeros in a sparse X. Use "
            "batch_normalization=True, which normalizes only the hidden units, or a dense X."
        )
