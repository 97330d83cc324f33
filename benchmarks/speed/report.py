"""Tables as text, which is Markdown, and as JSON."""

import json

from markdown_table import markdown_table, number


def _cell(value):
    if isinstance(value, list):
        return f"{number(value[0], 4)} ({number(value[1])} to {number(value[2])})"
    return number(value) if isinstance(value, float) else str(value)


def cells(table, row):
    """A row by column: ours as it is, the others as multiples of it or as they are."""
    values = {name: value for name, value in row["values"].items() if name == "ours" or not table.ratios}
    shown = {f"{name}, {table.unit}": value for name, value in values.items()} | (row["ratios"] if table.ratios else {})
    absent = {name if table.ratios else f"{name}, {table.unit}": "not installed" for name in row["not installed"]}
    found = {"data": row["data"], table.over: row["at"], **row["yardsticks"], **shown, **absent}
    return {name: _cell(value) for name, value in found.items()}


def markdown(table, rows, machine):
    """The table as a page, with what it was measured on."""
    lines = [cells(table, row) for row in rows]
    columns = list(dict.fromkeys(name for line in lines for name in line))
    text = markdown_table(columns, [[line.get(name, "-") for name in columns] for line in lines])
    others = "; the others as multiples of ours: above 1, ours is faster" if table.ratios else ""
    installed = {name: version for name, version in machine["versions"].items() if version != "not installed"}
    versions = ", ".join(f"{name} {version}" for name, version in installed.items())
    rates = ", ".join(f"{rate:g} GFLOP/s in {dtype}" for dtype, rate in machine["gemm_gflops"].items())
    about = f"{machine['processor']}, {machine['cores']} cores, GEMM {rates}. {versions}."
    return f"# {table.title}\n\nMedian (lowest to highest){others}.\n\n{text}\n{about}\n"


def save(table, rows, machine, folder):
    folder.mkdir(parents=True, exist_ok=True)
    contents = {"title": table.title, "unit": table.unit, "over": table.over, "machine": machine, "rows": rows}
    (folder / f"{table.name}.json").write_text(json.dumps(contents, indent=1) + "\n")
    (folder / f"{table.name}.md").write_text(markdown(table, rows, machine))
