"""Writes Markdown tables, for the scripts of this folder and of the one above."""


def markdown_table(columns, rows):
    """Lists of text as lines of a table, each column as wide as its widest cell."""
    lines = [columns, *rows]
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
    text = ["| " + " | ".join(map(str.ljust, line, widths)) + " |\n" for line in lines]
    text.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|\n")
    return "".join(text)


def number(value, digits=3):
    """So many digits, and thousands apart."""
    if not isinstance(value, float):
        return f"{value:,}" if isinstance(value, int) else value
    rounded = f"{value:.{digits}g}"
    return f"{float(rounded):,.0f}" if abs(value) >= 10 ** (digits - 1) else rounded
