"""The rows of an epoch in their order, as far as a worker needs them: windows of pieces, read one ahead."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np

from minibatch.distributed._sources import Piece, Source, joined, shuffled

__all__ = ["ROWS_OF_WINDOW", "Stream"]

# Rows that are shuffled together: pieces in random order, until there are so many.
ROWS_OF_WINDOW = 65_536


class Stream:
    """Rows from any place of an epoch on. With ``shuffle``, pieces come in random order, and the rows of a window of
    them are shuffled: a function of seed and epoch, whoever reads."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._sizes = np.array(source.rows_of_pieces)
        self._pool = ThreadPoolExecutor(1)
        self._asked: Any = None
        self._windows: list[Any] = []
        self._next, self._position = 0, 0
        self._rest: list[Piece] = []
        self._ahead: Future[Piece] | None = None

    def take(self, asked: tuple[Any, ...], first: int, n_rows: int) -> Piece:
        """So many rows of an epoch, from row ``first``. ``asked`` is what its order depends on."""
        if asked != self._asked or first != self._position:
            self._seek(asked, first)
        found, missing = [], n_rows
        while True:
            piece = self._rest.pop() if self._rest else self._following()
            n_here = len(_lengths(piece))
            if n_here > missing:
                self._rest.append(piece.at(slice(missing, None)))
                piece, n_here = piece.at(slice(0, missing)), missing
            found.append(piece)
            missing -= n_here
            if missing == 0:
                break
        self._position += n_rows
        return joined(found)

    def close(self) -> None:
        """Nobody reads on."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _seek(self, asked: tuple[Any, ...], first: int) -> None:
        shuffle, seed, number = asked
        if asked != self._asked:
            random = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(number,)))
            order = random.permutation(len(self._sizes)) if shuffle else np.arange(len(self._sizes))
            self._windows = list(self._cut(order))
        self._asked, self._position, self._rest, self._ahead = asked, first, [], None
        ends = np.cumsum([self._sizes[window].sum() for window in self._windows])
        self._next = min(int(np.searchsorted(ends, first, side="right")), len(ends) - 1)
        before = ends[self._next - 1] if self._next else 0
        if first > before:
            self._rest.append(self._following().at(slice(first - before, None)))

    def _cut(self, order: Any) -> Iterator[Any]:
        begin, n_rows = 0, 0
        for i, number in enumerate(order):
            n_rows += self._sizes[number]
            if n_rows >= ROWS_OF_WINDOW or i == len(order) - 1:
                yield order[begin : i + 1]
                begin, n_rows = i + 1, 0

    def _following(self) -> Piece:
        window = self._read(self._next) if self._ahead is None else self._ahead.result()
        self._next += 1
        more = self._next < len(self._windows)
        self._ahead = self._pool.submit(self._read, self._next) if more else None
        return window

    def _read(self, number: int) -> Piece:
        for windows in self._windows[number : number + 2]:  # the next is read while this one is shuffled
            for piece in windows:
                self._source.expect(piece)
        pieces = [self._source.read(piece) for piece in self._windows[number]]
        shuffle, seed, epoch = self._asked
        if not shuffle:
            return joined(pieces)
        random = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(epoch, number)))
        return shuffled(pieces, random.permutation(sum(len(_lengths(piece)) for piece in pieces)))


def _lengths(piece: Piece) -> Any:
    """Something as long as the piece."""
    return piece.X.indptr[1:] if hasattr(piece.X, "indptr") else piece.X
