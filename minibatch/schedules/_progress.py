"""What a schedule is asked with: where the next updates stand in a run."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Progress", "Rates", "Schedule", "UserSchedule"]

Rates = NDArray[np.float64]


class Progress(NamedTuple):
    """Where the next updates stand in a fit: what a schedule is asked for their rates with.

    The ``learning_rate`` of every estimator may be a function of it. What it gives, a number or one for every update,
    is multiplied by the first rate (``eta0``, ``learning_rate_init``; 1 for rates as they are), which may be scaled
    with the batch size or calibrated, and by ``warmup``. It is asked once an epoch. A function of a module and an
    object of a class are pickled with the estimator; a lambda cannot be.

    Attributes
    ----------
    number : int
        How many updates.
    updates_before : int
        Updates since the schedule began.
    epochs_before : float
        Epochs since then, in fractions; calls of ``partial_fit``.
    updates_an_epoch : int
        Updates in an epoch.
    rows_before : int
        Rows seen before the epoch, those of earlier fits included that this one goes on from.
    stride : float
        Updates from one to the next: above 1 in the trials of ``eta0="auto"``, which see all of a longer schedule.
    updates : ndarray of shape (number,)
        Updates made before each.
    epochs : ndarray of shape (number,)
        Epochs done before each, in fractions.
    rows : ndarray of shape (number,)
        ``rows_before``, for each.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from minibatch import MiniBatchSGDRegressor
    >>> from minibatch.schedules import Progress
    >>> def down_at_last(now):
    ...     return 10.0 ** -np.maximum(now.epochs - 2, 0)
    >>> down_at_last(
    ...     Progress(
    ...         4, updates_before=4, epochs_before=2.0, updates_an_epoch=2, rows_before=32
    ...     )
    ... ).round(3)
    array([1.   , 0.316, 0.1  , 0.032])
    >>> X, y = load_diabetes(return_X_y=True)
    >>> model = MiniBatchSGDRegressor(
    ...     learning_rate=down_at_last, eta0=0.1, batch_size="full", max_iter=5, tol=None
    ... )
    >>> model.fit(X, y).history_["learning_rate"]
    array([0.1  , 0.1  , 0.1  , 0.01 , 0.001])
    """

    # What was before may be columns of numbers: of several epochs, whose rates are the rows of a table. Arrays are made
    # where a schedule asks for them: at one row an update they are as long as the data.
    number: int
    updates_before: Any
    epochs_before: Any
    updates_an_epoch: int
    rows_before: Any
    stride: float = 1.0

    @property
    def updates(self) -> NDArray[np.int64]:
        """Updates made before each."""
        return self.updates_before + (np.arange(self.number) * self.stride).astype(np.int64)

    @property
    def epochs(self) -> NDArray[np.float64]:
        """Epochs done before each, in fractions."""
        return self.epochs_before + np.arange(self.number) * self.stride / self.updates_an_epoch

    @property
    def rows(self) -> NDArray[np.int64]:
        """Rows seen before the epoch, for each."""
        return self.rows_before + np.zeros(self.number, np.int64)


Schedule = Callable[[Progress], Rates]
UserSchedule = Callable[[Progress], ArrayLike]
