"""Tables of text, which scripts print as Markdown and save, where --out names a folder, for docs/performance.md."""

import argparse
import json
from pathlib import Path

from speed.markdown_table import markdown_table


def folder_of(description):
    """What --out says; None if nothing."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--out", type=Path, help="folder of results")
    return parser.parse_args().out


def show(name, columns, rows, folder):
    print(markdown_table(columns, rows), flush=True)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"columns": columns, "rows": rows}, indent=1, ensure_ascii=False)
        (folder / f"{name}.json").write_text(text + "\n")
