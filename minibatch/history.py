"""What happened during training: one row an epoch, one named column a quantity."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minibatch._tables import frame_of, html_table, short

__all__ = ["History"]

# The number of the format in which models and histories are saved. Raise it where earlier versions could not make sense
# of what is saved from now on, and go on reading what they saved (tests/saved). What only comes in addition needs no
# new number: they leave it out, parts of the model with a warning.
FORMAT = 1
FORMAT_KEY = "_minibatch_format"

_SHOWN_ROWS = 10


class History(Mapping[str, NDArray[Any]]):
    """Record of a training run: a mapping from column names to arrays with one value an epoch.

    Columns
    -------
    epoch, n_updates, n_samples_seen : int
        Counted from the first ``fit``; a warm start and ``partial_fit`` go on counting.
    seconds : float
        Training time up to the end of the epoch, evaluation left out.
    learning_rate : float
        Rate of the last update of the epoch.
    batch_size : int
        Rows in a batch.
    progressive_loss : float
        Mean loss of the epoch's rows, each predicted before it was trained on. It costs nothing, and in the first
        epoch it is an unbiased estimate of the test loss along the way.
    progressive_objective : float
        The same with the penalty, between its values before and after the epoch: what the stopping rule looks at.
    train_loss, objective, gradient_norm, distance_from_init : float
        With ``evaluate_every``: mean loss over all training rows, the same with the penalty, the norm of the
        objective's gradient (for L1 of its shortest subgradient), and the distance of the parameters from where this
        fit began. NaN in the epochs between.
    validation_loss, validation_score : float
        With a validation set.

    With several outputs, losses, objective and gradient are those of the sum over the outputs.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from minibatch import MiniBatchSGDRegressor
    >>> X, y = load_diabetes(return_X_y=True)
    >>> history = MiniBatchSGDRegressor(max_iter=3, tol=None, random_state=0).fit(X, y).history_
    >>> history["n_updates"]
    array([14, 28, 42])
    >>> history
    History of 3 epochs, 42 updates: progressive_loss 13520 -> 10983
    """

    def __init__(self) -> None:
        self._columns: dict[str, list[Any]] = {}
        self._n_rows = 0

    def __getstate__(self) -> dict[str, Any]:
        return {
            FORMAT_KEY: FORMAT,
            "n_epochs": self._n_rows,
            "columns": {name: _saved(values) for name, values in self._columns.items()},
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        check_format(state, "History")
        self._columns = {
            name: [*(column.tolist() if isinstance(column, np.ndarray) else column)]
            for name, column in state["columns"].items()
        }
        self._n_rows = state["n_epochs"]

    def append(self, **row: Any) -> None:
        """Add an epoch. Values of columns that a row does not name are NaN."""
        for name in row:
            if name not in self._columns:
                self._columns[name] = [np.nan] * self._n_rows
        for name, values in self._columns.items():
            values.append(row.get(name, np.nan))
        self._n_rows += 1

    def copy(self) -> "History":
        """A history of its own with the same rows."""
        new = History()
        new._columns = {name: [*values] for name, values in self._columns.items()}
        new._n_rows = self._n_rows
        return new

    def extend(self, other: "History") -> None:
        """Add the epochs of ``other``."""
        n_rows = self._n_rows + other._n_rows
        for name, values in other._columns.items():
            self._columns.setdefault(name, [np.nan] * self._n_rows).extend(values)
        for values in self._columns.values():
            values.extend([np.nan] * (n_rows - len(values)))
        self._n_rows = n_rows

    def _mark(self) -> tuple[int, int]:
        """What ``_back_to`` needs to take back later rows, whole or half done."""
        return self._n_rows, len(self._columns)

    def _back_to(self, mark: tuple[int, int]) -> None:
        self._n_rows, n_columns = mark
        for name in [*self._columns][n_columns:]:
            del self._columns[name]
        for values in self._columns.values():
            del values[self._n_rows :]

    @property
    def n_epochs(self) -> int:
        """Number of rows."""
        return self._n_rows

    def last(self, name: str, default: Any = 0) -> Any:
        """The latest value of a column, or ``default`` before the first epoch."""
        return self._columns[name][-1] if self._n_rows and name in self._columns else default

    def __getitem__(self, name: str) -> NDArray[Any]:
        if name not in self._columns:
            raise KeyError(f"{name!r} was not recorded; columns: {', '.join(self._columns) or 'none yet'}")
        return np.array(self._columns[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, History) or list(self) != list(other):
            return False
        return all(np.array_equal(self[name], other[name], equal_nan=True) for name in self)

    __hash__ = None  # type: ignore[assignment]  # it changes

    def to_frame(self) -> Any:
        """The history as a data frame, one row an epoch: of pandas, or of polars where only that is installed."""
        return frame_of(self)

    def __repr__(self) -> str:
        if not self._n_rows:
            return "History of 0 epochs"
        name = "objective" if np.isfinite(self.last("objective", np.nan)) else "progressive_loss"
        values = self._columns[name]
        first, last = next((value for value in values if np.isfinite(value)), values[0]), values[-1]
        updates = self.last("n_updates")
        return f"History of {self._n_rows} epochs, {updates} updates: {name} {short(first)} -> {short(last)}"

    def _repr_html_(self) -> str:
        shown: list[int | None] = [*range(self._n_rows)]
        if self._n_rows > _SHOWN_ROWS:
            shown[_SHOWN_ROWS // 2 : -_SHOWN_ROWS // 2] = [None]
        columns = self._columns.values()
        rows = [None if i is None else [values[i] for values in columns] for i in shown]
        return html_table(repr(self), list(self._columns), rows)


def _saved(values: list[Any]) -> Any:
    """A column in a file: numbers as an array, which is small and read at once, in skops too."""
    array = np.array(values)
    return array if array.dtype.kind in "biuf" else [*values]


def check_format(state: dict[str, Any], name: str) -> None:
    """Refuse a state that this version cannot read."""
    found = state.get(FORMAT_KEY)
    if found is None:
        raise ValueError(
            f"This {name} was saved without the number of a format, by a development version before formats had one: "
            "load it with that version, or fit again."
        )
    if found > FORMAT:
        raise ValueError(
            f"This {name} was saved by a newer version of minibatch, in format {found}; this version reads formats up "
            f"to {FORMAT}. Update it (pip install -U scikit-minibatch), or fit again with this version."
        )
