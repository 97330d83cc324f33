"""Columns as a data frame, as text, as HTML: what histories and results show of themselves."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

__all__ = ["frame_of", "html_list", "html_table", "short", "text_table"]


def frame_of(columns: Mapping[str, Any]) -> Any:
    """The columns as a ``pandas.DataFrame``, or a ``polars.DataFrame`` where only polars is installed.

    polars has one type a column: values of several types, as batch sizes are, become strings there.
    """
    try:
        import pandas as pd
    except ImportError:
        try:
            import polars as pl
        except ImportError as error:
            raise ImportError("to_frame needs pandas or polars: pip install pandas") from error
        return pl.DataFrame({name: _of_one_type(values) for name, values in columns.items()})
    return pd.DataFrame(dict(columns))


def _of_one_type(values: Any) -> Any:
    if isinstance(values, np.ndarray) and values.dtype != object:
        return values
    return list(values) if len({type(value) for value in values}) == 1 else [str(value) for value in values]


def short(value: Any) -> str:
    """Three digits of a number; a dash for NaN.

    >>> [short(value) for value in (0.012345, 12345.6, 1e-9, 7, float("nan"), "full")]
    ['0.0123', '12346', '1e-09', '7', '-', 'full']
    """
    number = value.item() if isinstance(value, np.generic) else value
    if not isinstance(number, float):
        return " ".join(str(number).split())
    if number != number:
        return "-"
    return f"{number:.0f}" if 999.5 <= abs(number) < 1e7 else f"{number:.3g}"


def text_table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Right-justified columns, two spaces apart.

    >>> print(text_table(["batch_size", "loss"], [[1, 0.25], ["full", 0.5]]))
    batch_size  loss
             1  0.25
          full   0.5
    """
    cells = [list(header), *([short(value) for value in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in cells)


_CELL = "padding: 0.1em 0.5em; text-align: right"
_LONGEST_LINE = 24  # characters of a cell; a longer text goes over several lines


def html_table(caption: str, header: Sequence[str], rows: Iterable[Sequence[Any] | None]) -> str:
    """An HTML table for a page or a notebook 1,000 pixels wide; a row that is None stands for rows left out.

    Names of columns break at underscores and long texts at spaces. What is wider all the same can be scrolled.
    """
    head = "".join(f'<th scope="col" style="{_CELL}">{escape(name).replace("_", "_<wbr>")}</th>' for name in header)
    body = ""
    for row in rows:
        if row is None:
            body += f'<tr><td colspan="{len(header)}" style="text-align: center">&hellip;</td></tr>'
        else:
            body += f"<tr>{''.join(map(_html_cell, row))}</tr>"
    return (
        '<table style="display: block; max-width: min(100%, 1000px); overflow-x: auto; border-collapse: collapse; '
        f'font-size: 0.85em"><caption style="padding-bottom: 0.4em; text-align: left">{escape(caption)}</caption>'
        f'<thead style="border-bottom: 1px solid; vertical-align: bottom"><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table>"
    )


def html_list(words: Iterable[str]) -> str:
    """What there is to say beside a table, each on a line of its own; nothing if there is nothing.

    >>> html_list(["a < b"]), html_list([])
    ('<ul><li>a &lt; b</li></ul>', '')
    """
    entries = "".join(f"<li>{escape(said)}</li>" for said in words)
    return f"<ul>{entries}</ul>" if entries else ""


def _html_cell(value: Any) -> str:
    words = short(value)
    width = "white-space: nowrap" if len(words) <= _LONGEST_LINE else "min-width: 14em"
    return f'<td style="{_CELL}; {width}">{escape(words)}</td>'
