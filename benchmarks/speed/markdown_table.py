"""Writes Markdown tables, for the scripts of this folder and of the one above."""


def markdown_table(columns, rows):
    """Lists of text as lines of a table, each column as wide as its widest cell."""
    lines = [columns, *rows]
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
    text = ["| " + " | ".join(map(str.ljust, line, widths)) + " |\n" for line in lines]
    text.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|\n")
    return "".join(text)
