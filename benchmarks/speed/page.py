"""The tables of docs/performance.md and docs/solvers.md, from the figures saved in docs/performance.

A table stands between ``<!-- table: linear data="adult|letter" at="1|full" columns="ours|passes=ours, passes" -->`` and
``<!-- end -->``: the saved file; what ``data`` has in it, in this order; values of the table's other column; columns.
Data and columns may be ``shown=saved``. What is not given is all there is. ``values`` are "ratios" to ours if not
given, or "values", or "iterations", which are values with the number of iterations behind. Medians only. Files of
other scripts (plain_table.py) are shown as they are.
"""

import json
import re
import shlex
from pathlib import Path

from markdown_table import markdown_table, number

FOLDER = Path(__file__).parents[2] / "docs"
PAGES = ("performance.md", "solvers.md")
BLOCK = re.compile(r"(<!-- table: (.*?) -->\n).*?(<!-- end -->)", re.DOTALL)


def write():
    for page in map(FOLDER.joinpath, PAGES):
        page.write_text(filled(page.read_text()))


def filled(text, folder=FOLDER / "performance"):
    """The page with each table as the saved figures have it."""
    return BLOCK.sub(lambda found: found[1] + _table(found[2], folder) + found[3], text)


def _table(asked, folder):
    name, *options = shlex.split(asked)
    options = {key: value.split("|") for key, _, value in (each.partition("=") for each in options)}
    saved = json.loads((folder / f"{name}.json").read_text())
    if "columns" in saved:
        return markdown_table(saved["columns"], saved["rows"])
    rows = [
        row | {"data": shown if part else row["data"]}
        for shown, _, part in (each.partition("=") for each in options.get("data", [""]))
        for row in saved["rows"]
        if (part or shown) in row["data"] and str(row["at"]) in options.get("at", [str(row["at"])])
    ]
    found = [_cells(row, *options.get("values", ["ratios"])) for row in rows]
    names = options.get("columns") or dict.fromkeys(key for cells in found for key in cells)
    columns = {shown: key or shown for shown, _, key in (each.partition("=") for each in names)}
    head = ["data", saved["over"], *(f"{each}, {saved['unit']}" if each == "ours" else each for each in columns)]
    lines = [
        [row["data"], number(row["at"]), *(cells.get(key, "-") for key in columns.values())]
        for row, cells in zip(rows, found, strict=True)
    ]
    return markdown_table(head, lines)


def _cells(row, which):
    """Text by column: yardsticks, ours as it is, the others as multiples of ours or as they are."""
    rivals = {"ours": row["values"]["ours"]} if "ours" in row["values"] else {}
    rivals |= row["ratios" if which == "ratios" else "values"]
    medians = {name: values[0] for name, values in rivals.items()}
    shown = {name: number(value) for name, value in (row["yardsticks"] | medians).items()}
    if which == "iterations":
        shown |= {name: f"{shown[name]} ({number(count)})" for name, count in row["iterations"].items()}
    return shown | dict.fromkeys(row.get("not installed", ()), "not installed")
