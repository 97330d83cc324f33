"""What happened during training: one row an epoch, one named column a quantity."""

from array import array
from collections.abc import Iterable, Iterator, Mapping
from numbers import Integral, Real
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
_TYPES = {"q": int, "d": float}  # of the values in a typed array
_STREAM_ROWS = 10_000  # that are kept of the calls of partial_fit since the last fit, at most


class History(Mapping[str, NDArray[Any]]):
    """Record of a training run: a mapping from column names to arrays with one value an epoch.

    Of a stream, the calls of ``partial_fit`` since the last ``fit``, at most 10,000 rows are kept: beyond that every
    second, then every fourth and so on, evenly over the stream, with the first and the last, and the counts of all.
    Rows of ``fit`` stay.

    Notes
    -----
    The columns:

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
        (Where that rule is scikit-learn's, see ``tol``, the penalty is the mean of all before an update.)
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
    >>> history = (
    ...     MiniBatchSGDRegressor(max_iter=3, tol=None, random_state=0).fit(X, y).history_
    ... )
    >>> history["n_updates"]
    array([14, 28, 42])
    >>> history
    History of 3 epochs, 42 updates: progressive_loss 4006 -> 1516
    """

    def __init__(self) -> None:
        self._columns: dict[str, Any] = {}
        self._n_rows = 0
        self._stream_from: int | None = None  # the first row of partial_fit since the last fit

    def __getstate__(self) -> dict[str, Any]:
        return {
            FORMAT_KEY: FORMAT,
            "n_epochs": self._n_rows,
            "stream_from": self._stream_from,
            "columns": {name: _saved(values) for name, values in self._columns.items()},
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        check_format(state, "History")
        self._columns = {
            name: _column(column.tolist() if isinstance(column, np.ndarray) else column)
            for name, column in state["columns"].items()
        }
        self._n_rows = state["n_epochs"]
        self._stream_from = state.get("stream_from")  # files from before have none

    def append(self, **row: Any) -> None:
        """Add an epoch. Values of columns that a row does not name are NaN."""
        if self._n_rows == 0:
            self._columns = {name: _column([value]) for name, value in row.items()}
            self._n_rows = 1
            return
        self._begin_columns(row)
        for name, values in self._columns.items():
            value = row.get(name, np.nan)
            if type(value) is _TYPES.get(getattr(values, "typecode", "")):
                values.append(value)
            else:
                self._columns[name] = _joined(values, _column([value]))
        self._n_rows += 1

    def add(self, columns: Mapping[str, list[Any]]) -> None:
        """Add as many epochs as the columns have values."""
        n_rows = len(next(iter(columns.values())))
        if n_rows == 1:
            self.append(**{name: values[0] for name, values in columns.items()})
            return
        self._begin_columns(columns)
        for name, values in self._columns.items():
            more = _column(columns[name]) if name in columns else _missing(n_rows)
            self._columns[name] = _joined(values, more)
        self._n_rows += n_rows

    def put(self, columns: Mapping[str, list[Any]]) -> None:
        """Set columns of the latest epochs, as many as the columns have values."""
        for name, values in columns.items():
            before = self._columns.get(name, _missing(self._n_rows))[: self._n_rows - len(values)]
            self._columns[name] = _joined(before, _column(values))

    def copy(self) -> "History":
        """A history of its own with the same rows."""
        new = History()
        new._columns = {name: values[:] for name, values in self._columns.items()}
        new._n_rows, new._stream_from = self._n_rows, self._stream_from
        return new

    def extend(self, other: "History") -> None:
        """Add the epochs of ``other``."""
        self._begin_columns(other._columns)
        missing = _missing(other._n_rows)
        for name, values in self._columns.items():
            self._columns[name] = _joined(values, other._columns.get(name, missing))
        self._n_rows += other._n_rows
        if self._stream_from is not None and self._n_rows - self._stream_from > _STREAM_ROWS:
            self._thin(self._stream_from)

    def _begin_columns(self, names: Iterable[str]) -> None:
        for name in names:
            if name not in self._columns:
                self._columns[name] = _missing(self._n_rows)

    def _stream(self, goes_on: bool) -> None:
        """Rows to come are those of ``partial_fit``, of which a bounded number is kept, or of ``fit``."""
        if not goes_on:
            self._stream_from = None
        elif self._stream_from is None:
            self._stream_from = self._n_rows

    def _thin(self, first: int) -> None:
        """Keep every so many calls from row ``first`` on, a power of two: all of them are still there, whatever was
        kept before."""
        calls = _values(self._columns["epoch"][first:])
        calls -= calls[0]
        stride = 2
        while calls[-1] // stride >= _STREAM_ROWS // 2:
            stride *= 2
        kept = [*range(first), *(first + np.flatnonzero(calls % stride == 0)).tolist()]
        if kept[-1] != self._n_rows - 1:  # it has the counts
            kept.append(self._n_rows - 1)
        columns = {name: _column([values[i] for i in kept]) for name, values in self._columns.items()}
        self._columns, self._n_rows = columns, len(kept)

    def _mark(self) -> tuple[dict[str, Any], int, int | None]:
        """What ``_back_to`` needs to take back later rows, whole or half done."""
        return dict(self._columns), self._n_rows, self._stream_from

    def _back_to(self, mark: tuple[dict[str, Any], int, int | None]) -> None:
        self._columns, self._n_rows, self._stream_from = mark
        for values in self._columns.values():
            del values[self._n_rows :]

    @property
    def n_epochs(self) -> int:
        """Number of rows: of epochs, but for those of a long stream that are not kept."""
        return self._n_rows

    def last(self, name: str, default: Any = 0) -> Any:
        """The latest value of a column, or ``default`` before the first epoch."""
        return self._columns[name][-1] if self._n_rows and name in self._columns else default

    def __getitem__(self, name: str) -> NDArray[Any]:
        if name not in self._columns:
            raise KeyError(f"{name!r} was not recorded; columns: {', '.join(self._columns) or 'none yet'}")
        return _values(self._columns[name])

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
        epochs, updates = self.last("epoch", self._n_rows), self.last("n_updates")
        return f"History of {epochs} epochs, {updates} updates: {name} {short(first)} -> {short(last)}"

    def _repr_html_(self) -> str:
        shown: list[int | None] = [*range(self._n_rows)]
        if self._n_rows > _SHOWN_ROWS:
            shown[_SHOWN_ROWS // 2 : -_SHOWN_ROWS // 2] = [None]
        columns = self._columns.values()
        rows = [None if i is None else [values[i] for values in columns] for i in shown]
        return html_table(repr(self), list(self._columns), rows)


def _saved(values: Any) -> Any:
    """A column in a file: numbers as an array, which is small and read at once, in skops too."""
    column = _values(values)
    return column if column.dtype.kind in "biuf" else [*values]


def _column(values: list[Any]) -> Any:
    """Numbers in eight bytes each, anything else as a list."""
    kinds = {*map(type, values)}
    if kinds == {int} or kinds == {float}:  # as nearly always; the checks below are slow
        return array("q" if int in kinds else "d", values)
    if any(isinstance(value, bool) for value in values):
        return [*values]
    if all(isinstance(value, Integral) for value in values):
        return array("q", values)
    return array("d", values) if all(isinstance(value, Real) for value in values) else [*values]


def _values(column: Any) -> NDArray[Any]:
    """A column as an array of NumPy's, of its own."""
    return np.array(column, np.int64 if getattr(column, "typecode", "") == "q" else None)


def _missing(n_rows: int) -> Any:
    return array("d", [np.nan]) * n_rows


def _joined(first: Any, second: Any) -> Any:
    """A column with more rows: longer in place, where the type of its values stays."""
    if len(first) == 0:
        return second[:]
    types = getattr(first, "typecode", ""), getattr(second, "typecode", "")
    if types[0] == types[1]:
        first.extend(second)
    elif types == ("d", "q"):
        first.extend(array("d", second))
    elif types == ("q", "d"):
        return array("d", [*first, *second])
    else:
        return [*first, *second]
    return first


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
