"""Rows that are read a piece at a time: from arrays here; see ``_parquet`` for files."""

from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple, Protocol

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

__all__ = ["ROWS_OF_PIECE", "ArrayShards", "Piece", "Source", "Transformed", "joined", "pieces_of", "shuffled"]

ROWS_OF_PIECE = 32_768  # of arrays, at most


class Piece(NamedTuple):
    """Rows as ``fit`` takes them."""

    X: Any
    y: NDArray[Any] | None
    weight: NDArray[Any] | None

    def at(self, rows: Any) -> "Piece":
        """Some of them."""
        return Piece(*(part if part is None else part[rows] for part in self))


class Source(Protocol):
    """Pieces of rows, each of which can be read at any time, by any worker."""

    @property
    def rows_of_pieces(self) -> list[int]: ...
    @property
    def feature_names(self) -> NDArray[Any] | None: ...
    def read(self, number: int) -> Piece: ...
    def expect(self, number: int) -> None: ...  # that it is read soon


class ArrayShards:
    """Rows that lie in several arrays, memory maps or sparse matrices.

    Parameters
    ----------
    X : sequence of {array-like, sparse matrix} of shape (n_rows, n_features)
        The parts, of any number of rows each.

    y : sequence of array-like of shape (n_rows,) or (n_rows, n_outputs), default=None
        Their targets.

    sample_weight : sequence of array-like of shape (n_rows,), default=None
        Their weights.

    Raises
    ------
    ValueError
        If the parts do not go together.

    Examples
    --------
    >>> import numpy as np
    >>> from minibatch.distributed import ArrayShards
    >>> ArrayShards([np.zeros((3, 2)), np.ones((2, 2))], [np.zeros(3), np.ones(2)])
    ArrayShards of 5 rows in 2 parts
    """

    def __init__(
        self, X: Sequence[Any], y: Sequence[Any] | None = None, sample_weight: Sequence[Any] | None = None
    ) -> None:
        self._X = [part.tocsr() if sp.issparse(part) else np.asanyarray(part) for part in X]
        if not self._X or any(part.ndim != 2 for part in self._X):
            raise ValueError("X must be a sequence of two-dimensional arrays, at least one.")
        widths = [part.shape[1] for part in self._X]
        if len({*widths}) > 1:
            raise ValueError(f"X has parts with different numbers of features: {widths}; all need the same columns.")
        self._y, self._weight = (
            self._checked(name, parts) for name, parts in (("y", y), ("sample_weight", sample_weight))
        )
        self._places = [
            (number, begin, min(begin + ROWS_OF_PIECE, part.shape[0]))
            for number, part in enumerate(self._X)
            for begin in range(0, part.shape[0], ROWS_OF_PIECE)
        ]

    def __repr__(self) -> str:
        return f"ArrayShards of {sum(self.rows_of_pieces)} rows in {len(self._X)} parts"

    @property
    def rows_of_pieces(self) -> list[int]:
        return [end - begin for _, begin, end in self._places]

    @property
    def n_bytes(self) -> int:
        """What workers in other processes are given of it."""
        values = [part.data if sp.issparse(part) else part for part in self._X]
        return 2 * sum(int(part.nbytes) for part in [*values, *(self._y or []), *(self._weight or [])])

    @property
    def feature_names(self) -> None:
        return None

    def read(self, number: int) -> Piece:
        part, begin, end = self._places[number]
        y, weight = (None if parts is None else parts[part][begin:end] for parts in (self._y, self._weight))
        return Piece(self._X[part][begin:end], y, weight)

    def expect(self, number: int) -> None: ...

    def _checked(self, name: str, parts: Sequence[Any] | None) -> list[NDArray[Any]] | None:
        if parts is None:
            return None
        arrays, lengths = [np.asanyarray(part) for part in parts], [part.shape[0] for part in self._X]
        if [len(array) for array in arrays] != lengths:
            raise ValueError(f"{name} must have parts of the lengths of those of X, {lengths}.")
        return arrays


class Transformed:
    """A source whose rows go through fitted transformers: arrays, which have no names."""

    feature_names = None

    def __init__(self, source: Source, transformers: Sequence[Any]) -> None:
        self._source, self._transformers = source, list(transformers)
        self.rows_of_pieces, self.n_bytes = source.rows_of_pieces, getattr(source, "n_bytes", 0)

    def read(self, number: int) -> Piece:
        piece = self._source.read(number)
        X: Any = piece.X
        for transformer in self._transformers:
            X = transformer.transform(X)
        return piece._replace(X=X)

    def expect(self, number: int) -> None:
        self._source.expect(number)


def joined(pieces: Sequence[Piece]) -> Piece:
    """One after the other."""
    if len(pieces) == 1:
        return pieces[0]
    return Piece(*(_stacked([piece[i] for piece in pieces]) for i in range(3)))


def _stacked(parts: Sequence[Any]) -> Any:
    if parts[0] is None:
        return None
    return sp.vstack(parts, format="csr") if sp.issparse(parts[0]) else np.concatenate(parts)


def shuffled(pieces: Sequence[Piece], order: NDArray[np.int64]) -> Piece:
    """As ``joined(pieces).at(order)``, of dense rows without a copy of all of them between."""
    if len(pieces) == 1 or sp.issparse(pieces[0].X):
        return joined(pieces).at(order)
    places = np.empty_like(order)
    places[order] = np.arange(len(order))
    return Piece(*(_placed([piece[i] for piece in pieces], places) for i in range(3)))


def _placed(parts: Sequence[Any], places: NDArray[np.int64]) -> Any:
    if parts[0] is None:
        return None
    found, begin = np.empty((len(places), *parts[0].shape[1:]), np.result_type(*parts)), 0
    for part in parts:
        found[places[begin : begin + len(part)]] = part
        begin += len(part)
    return found


def pieces_of(source: Source) -> Generator[Piece, None, None]:
    """In their order, read one ahead."""
    with ThreadPoolExecutor(1) as pool:
        ahead = deque[Future[Piece]]()
        for number in range(len(source.rows_of_pieces)):
            ahead.append(pool.submit(source.read, number))
            source.expect(number)
            if number:
                yield ahead.popleft().result()
        if ahead:
            yield ahead.popleft().result()
