"""What the scripts of this folder share: claims beside what is found, verdicts, what is saved, and tables of the pages.

A script has a function ``measure(quick)``, which returns what it `Found`. `reproduce` times it and writes, into
docs/papers, ``NAME.json``, ``NAME.png``, and the tables of ``NAME.md`` and ``index.md``. A table stands between
``<!-- table: NAME WHICH -->`` and ``<!-- end -->``; ``<!-- table: all claims -->`` has the claims of all papers.

    python benchmarks/papers/keskar_2016.py             # one paper
    python benchmarks/papers/keskar_2016.py --quick     # a look whether it runs: prints, and writes nothing
    python benchmarks/papers/reproduction.py            # the tables of all pages anew, from the figures saved
"""

import argparse
import json
import os
import re
import sys
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

sys.path.append(str(Path(__file__).parents[1] / "speed"))
from markdown_table import markdown_table

FOLDER = Path(__file__).parents[2] / "docs" / "papers"
BLOCK = re.compile(r"(<!-- table: (\w+) (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
# In the order of the table over all of them.
PAPERS = {
    "bottou_2010": "Bottou 2010",
    "keskar_2016": "Keskar et al. 2016",
    "smith_2017": "Smith 2017",
    "goyal_2017": "Goyal et al. 2017",
    "hoffer_2017": "Hoffer et al. 2017",
    "masters_2018": "Masters and Luschi 2018",
    "mccandlish_2018": "McCandlish et al. 2018",
    "shallue_2019": "Shallue et al. 2019",
}
COLUMNS = ["claim", "published", "ours", "band", "agrees", "seconds"]


class Claim(NamedTuple):
    """What was published, what is found, and where that counts as the same.

    ``ours`` has a value of every seed, of which the median counts. ``nothing`` is the value that would say that there
    is no effect: 0 for a difference, 1 for a ratio, what there was before; NaN where there is no such value.
    """

    claim: str
    published: str
    ours: Sequence[float]
    band: tuple[float, float]
    nothing: float
    unit: str = ""

    @property
    def median(self) -> float:
        return float(np.median(self.ours))

    @property
    def verdict(self) -> str:
        """``'yes'`` inside the band; ``'in sign'`` where all of the band lies on the same side of ``nothing``."""
        low, high = self.band
        if low <= self.median <= high:
            return "yes"
        above, below = low >= self.nothing < self.median, high <= self.nothing > self.median
        return "in sign" if above or below else "no"

    def saved(self) -> dict[str, Any]:
        """As text and numbers."""
        low, high = min(self.ours), max(self.ours)
        spread = f" ({number(low)} to {number(high)})" if len(self.ours) > 1 else ""
        unit = f" {self.unit}" if self.unit else ""
        return {
            "claim": self.claim,
            "published": self.published,
            "ours": f"{number(self.median)}{spread}{unit}",
            "band": f"{number(self.band[0])} to {number(self.band[1])}{unit}",
            "agrees": self.verdict,
            "values": [float(value) for value in self.ours],
        }


class Found(NamedTuple):
    """What a script found: claims, tables ``{name: (columns, rows)}`` of text, and a figure of matplotlib."""

    claims: Sequence[Claim]
    tables: Mapping[str, tuple[list[str], list[list[str]]]]
    figure: Any


def number(value: float) -> str:
    """Three digits, and thousands apart; sizes of batches as they are."""
    if value == 2 ** np.round(np.log2(max(value, 1.0))):
        return f"{value:,.0f}"
    return f"{float(f'{value:.3g}'):,.0f}" if 1e6 > abs(value) >= 100 else f"{value:.3g}"


def mean_and_spread(values: Sequence[float], digits: int = 2) -> str:
    """Mean and standard deviation over seeds, as papers have them."""
    return f"{np.mean(values):.{digits}f} ± {np.std(values, ddof=min(1, len(values) - 1)):.{digits}f}"


def mnist(n_train: int, n_test: int, name: str = "mnist") -> tuple[Any, Any, Any, Any]:
    """The first rows of the training part and of the test part, in [0, 1]: X, y, X_test, y_test."""
    folder = os.environ.get("MINIBATCH_DATA")
    path = Path(folder or ".") / f"{name}.npz"
    if not folder or not path.exists():
        raise SystemExit(
            f"This paper is about images: it needs {name}.npz, with X of shape (70000, 784), y and n_train=60000, in "
            "the folder that MINIBATCH_DATA names."
        )
    archive = np.load(path)
    X, y, start = archive["X"], archive["y"], int(archive["n_train"])
    parts = slice(n_train), slice(start, start + n_test)
    (train, test) = ((X[part].astype(np.float32) / 255, y[part]) for part in parts)
    return *train, *test


def reproduce(script: str, measure: Callable[[bool], Found]) -> None:
    """Measure and save; with ``--quick`` only print."""
    parser = argparse.ArgumentParser(description=sys.modules["__main__"].__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="little data, to see whether it runs; writes nothing")
    quick, name = parser.parse_args().quick, Path(script).stem
    warnings.simplefilter("ignore")  # runs that do not converge, or diverge, are among what is measured
    start = time.process_time()  # of this process: others may have most of the machine
    found = measure(quick)
    saved = {
        "seconds": round(time.process_time() - start),
        "claims": [claim.saved() for claim in found.claims],
        "tables": {key: {"columns": columns, "rows": rows} for key, (columns, rows) in found.tables.items()},
    }
    if not quick:
        FOLDER.mkdir(parents=True, exist_ok=True)
        (FOLDER / f"{name}.json").write_text(json.dumps(saved, indent=1, ensure_ascii=False) + "\n")
        found.figure.savefig(FOLDER / f"{name}.png", dpi=100)
        shrink(FOLDER / f"{name}.png")
        write_pages()
    for each in ("claims", *found.tables):
        print(_table(name, each, {name: saved}))


def shrink(picture: Path) -> None:
    """A picture in 256 colours, which look the same and take half of the room."""
    from PIL import Image  # matplotlib needs it too

    Image.open(picture).convert("RGB").quantize(256).save(picture, optimize=True)


def write_pages(folder: Path = FOLDER) -> None:
    """The tables of all pages, from the figures saved."""
    files = {name: folder / f"{name}.json" for name in PAPERS}
    saved = {name: json.loads(path.read_text()) for name, path in files.items() if path.exists()}
    for page in folder.glob("*.md"):
        page.write_text(filled(page.read_text(), saved))


def filled(text: str, saved: Mapping[str, Any]) -> str:
    """A page with its tables as the saved figures have them; tables of scripts that never ran stay."""

    def anew(block: re.Match[str]) -> str:
        begin, name, which, end = block.groups()
        return begin + _table(name, which, saved) + end if name == "all" or name in saved else block[0]

    return BLOCK.sub(anew, text)


def _table(name: str, which: str, saved: Mapping[str, Any]) -> str:
    if name == "all":
        links = {each: f"[{title}]({each}.md)" for each, title in PAPERS.items() if each in saved}
        rows = [[link, *row] for each, link in links.items() for row in _lines(saved[each])]
        return markdown_table(["paper", *COLUMNS], rows)
    if which == "claims":
        return markdown_table(COLUMNS, _lines(saved[name]))
    return markdown_table(**saved[name]["tables"][which])


def _lines(paper: Mapping[str, Any]) -> list[list[str]]:
    """The claims of a paper; the seconds of its script stand at the first."""
    seconds = [str(paper["seconds"]), *[""] * (len(paper["claims"]) - 1)]
    return [[*(claim[key] for key in COLUMNS[:-1]), took] for claim, took in zip(paper["claims"], seconds, strict=True)]


if __name__ == "__main__":
    write_pages()
