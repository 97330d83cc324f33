"""Tables of text, which scripts print as Markdown and save, where --out names a folder, for docs/performance.md."""

import argparse
import json
from pathlib import Path


def folder_of(description):
    """What --out says; None if nothing."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--out", type=Path, help="folder of results")
    return parser.parse_args().out


def markdown(columns, rows):
    lines = [columns, ["---"] * len(columns), *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def show(name, columns, rows, folder):
    print(markdown(columns, rows), flush=True)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"columns": columns, "rows": rows}, indent=1, ensure_ascii=False)
        (folder / f"{name}.json").write_text(text + "\n")
