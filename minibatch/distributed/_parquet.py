"""Rows in Parquet files, read row group by row group."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from minibatch.distributed._sources import Piece

__all__ = ["ParquetRows"]

# Of X, that are written at a time.
_BYTES_AT_ONCE, _FEWEST_ROWS = 2**17, 128


class ParquetRows:
    """Rows in Parquet files, of which only a few row groups are in memory at a time. Needs pyarrow (extra ``arrow``).

    Parameters
    ----------
    path : path-like or pyarrow.dataset.Dataset
        A file, a folder of ``*.parquet`` files, which are taken in the order of their names, or a data set of files.

    target : str or list of str
        The column of targets, or several.

    weight : str, default=None
        The column of sample weights.

    columns : list of str, default=None
        The columns of X, in their order. None: all others.

    Notes
    -----
    Files are looked at when training begins: then a column that is missing, or has something else than numbers, raises
    ``ValueError``, and ``ImportError`` says that pyarrow is not installed.

    X is float32 where all columns are of that type or narrower integers (16 bits), else float64. A row group is read
    whole: files with groups of some ten thousand rows keep memory low and shuffle well.
    """

    def __init__(self, path: Any, target: Any, weight: str | None = None, columns: list[str] | None = None) -> None:
        self.path, self.target, self.weight, self.columns = path, target, weight, columns

    @cached_property
    def _found(self) -> "_Found":
        """Looked up when it is needed: files may be written after the object is made."""
        parquet, known = _pyarrow_parquet(), {*self._targets, self.weight}
        places, sizes, names, kind = [], [], self.columns, np.dtype(np.float32)
        for path in _files_at(self.path):
            with _readable(path):
                file = _File(path, _mark_of(path), parquet.read_metadata(path))
            schema = file.footer.schema.to_arrow_schema()
            names = [name for name in schema.names if name not in known] if names is None else names
            kind = np.result_type(kind, _checked_type(path, schema, names, [*self._targets, self.weight]))
            for number in range(file.footer.num_row_groups):
                if file.footer.row_group(number).num_rows:
                    places.append((file, number))
                    sizes.append(file.footer.row_group(number).num_rows)
        return _Found(places, sizes, names or [], kind)

    @property
    def _targets(self) -> list[str]:
        return [self.target] if isinstance(self.target, str) else list(self.target)

    def __repr__(self) -> str:
        return f"ParquetRows({str(self.path)!r}, target={self.target!r})"

    @property
    def rows_of_pieces(self) -> list[int]:
        """Of the row groups."""
        return self._found.sizes

    @property
    def feature_names(self) -> NDArray[Any]:
        return np.array(self._found.columns, dtype=object)

    def read(self, number: int) -> Piece:
        """A row group."""
        (places, _, columns, kind), weight = self._found, self.weight
        file, group = places[number]
        names = [*columns, *self._targets, *([] if weight is None else [weight])]
        table = file.read(group, names)
        for name in names:
            if table.column(name).null_count:
                raise ValueError(f"Column {name!r} of {file.path} has missing values; fill them, or drop these rows.")
        X = _beside_each_other([table.column(name).to_numpy() for name in columns], table.num_rows, kind)
        targets = [table.column(name).to_numpy() for name in self._targets]
        y = targets[0] if isinstance(self.target, str) else np.stack(targets, axis=1)
        return Piece(X, y, None if weight is None else table.column(weight).to_numpy())

    def expect(self, number: int) -> None:
        """The system reads a row group into its own memory."""
        file, group = self._found.places[number]
        file.expect(group, {*self._found.columns, *self._targets, self.weight})


class _File(NamedTuple):
    """A file with its footer, which says where all row groups lie: reading it takes longer than a row group."""

    path: Path
    mark: tuple[int, int]
    footer: Any

    def read(self, group: int, names: list[str]) -> Any:
        with _readable(self.path):
            is_as_before = _mark_of(self.path) == self.mark
        if not is_as_before:
            raise ValueError(
                f"{self.path} has been written anew since training began; leave it as it is, and fit again."
            )
        with _readable(self.path), _pyarrow_parquet().ParquetFile(self.path, metadata=self.footer) as opened:
            return opened.read_row_group(group, columns=names, use_threads=False)

    def expect(self, group: int, names: set[str | None]) -> None:
        """By itself the system reads little ahead, and pyarrow waits for the disk with every column."""
        if not hasattr(os, "posix_fadvise"):
            return
        columns = self.footer.row_group(group)
        with suppress(OSError), self.path.open("rb", buffering=0) as file:
            for column in map(columns.column, range(columns.num_columns)):
                if column.path_in_schema in names:
                    begin = column.dictionary_page_offset or column.data_page_offset
                    os.posix_fadvise(file.fileno(), begin, column.total_compressed_size, os.POSIX_FADV_WILLNEED)


class _Found(NamedTuple):
    """What files have."""

    places: list[tuple[_File, int]]  # file and row group of each piece
    sizes: list[int]
    columns: list[str]
    kind: np.dtype[Any]  # of X


def _checked_type(file: Path, schema: Any, columns: list[str], others: list[str | None]) -> Any:
    """The type of X, of one file's columns."""
    kinds = []
    for name in [*others, *columns]:
        if name is not None and name not in schema.names:
            raise ValueError(f"{file} has no column {name!r}; its columns are {', '.join(schema.names)}.")
    for name in columns:
        kind = np.dtype(schema.field(name).type.to_pandas_dtype())
        if kind.kind not in "biuf":
            raise ValueError(
                f"Column {name!r} of {file} has values of type {schema.field(name).type}, not numbers; encode it, or "
                "leave it out (columns=)."
            )
        kinds.append(kind)
    return np.result_type(*kinds) if kinds else np.dtype(np.float32)


def _beside_each_other(columns: list[NDArray[Any]], n_rows: int, kind: Any) -> NDArray[Any]:
    """Columns as the columns of an array. So many rows at a time as a processor's cache holds: a third of the time."""
    X = np.empty((n_rows, len(columns)), kind)
    at_once = max(_FEWEST_ROWS, _BYTES_AT_ONCE // max(1, X.itemsize * len(columns)))
    for begin in range(0, n_rows, at_once):
        part = X[begin : begin + at_once]
        for j, column in enumerate(columns):
            part[:, j] = column[begin : begin + at_once]
    return X


def _mark_of(path: Path) -> tuple[int, int]:
    """By which a file that was written anew is told."""
    found = path.stat()
    return found.st_size, found.st_mtime_ns


@contextmanager
def _readable(file: Path) -> Iterator[None]:
    """Name the file that is not what it should be."""
    try:
        yield
    except FileNotFoundError as error:
        raise ValueError(f"{file} is gone; it must stay where it is until training is over.") from error
    except (OSError, ValueError) as error:  # pyarrow's own are such
        raise ValueError(f"{file} cannot be read as Parquet, it may be cut off or damaged: {error}") from error


def _files_at(path: Any) -> list[Path]:
    if hasattr(path, "files"):  # a data set of pyarrow
        return [Path(file) for file in path.files]
    path = Path(path)
    if not path.exists():
        raise ValueError(f"path={str(path)!r} does not exist.")
    files = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
    if not files:
        raise ValueError(f"path={str(path)!r} has no *.parquet files.")
    return files


def _pyarrow_parquet() -> Any:
    try:
        from pyarrow import parquet
    except ImportError as error:
        raise ImportError("ParquetRows needs pyarrow: pip install 'scikit-minibatch[arrow]'") from error
    return parquet
