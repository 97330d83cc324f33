"""What the scripts of this folder share: rows, verdicts on what people say, and the files that a page includes.

A script measures what one page of docs/questions tells: python benchmarks/questions/NAME.py writes NAME.svg and
NAME.fragment.md there, so that no figure of a page is typed by hand. Data are NPZ files with X and y in the folder
MINIBATCH_DATA.
"""

import os
import time
from pathlib import Path

import numpy as np
from sklearn.preprocessing import StandardScaler

FOLDER = Path(__file__).parents[2] / "docs" / "questions"
# What is said in a script, and how the page shows it: a word, and its class in docs/_static/site.css.
VERDICTS = {True: ("holds", "holds"), None: ("under conditions", "depends"), False: ("does not hold", "fails")}
STYLE = {"svg.hashsalt": "minibatch", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False}


def rows(name, most=None):
    """X with columns of mean 0 and variance 1, in float32, and y: at most so many rows, drawn with seed 0."""
    folder = os.environ.get("MINIBATCH_DATA")
    if not folder:
        raise SystemExit(f"Set MINIBATCH_DATA to the folder of {name}.npz, an archive with arrays X and y.")
    archive = np.load(Path(folder) / f"{name}.npz")
    X, y = archive["X"], archive["y"]
    drawn = np.random.default_rng(0).permutation(len(X))[:most]
    return StandardScaler().fit_transform(X[drawn].reshape(len(drawn), -1).astype(np.float32)), y[drawn]


def listed(values, digits=".4g"):
    """Numbers of a row of a table, none as 1e+03; what was not reached is a dash."""
    texts = ["-" if np.isnan(value) else f"{value:{digits}}" for value in np.asarray(values, float)]
    return ", ".join(f"{float(text):,g}" if "e+" in text else text for text in texts)


def among(cases):
    """The verdict on a claim that holds in all of several cases, in some, or in none."""
    held = [bool(case) for case in cases]
    return all(held) if all(held) or not any(held) else None


def write(name, figure, claims, about):
    """The picture, and the table of claims: (what people say, True, None or False, what was measured)."""
    figure.savefig(FOLDER / f"{name}.svg", metadata={"Date": None})
    lines = ["| what people say | in our measurements | what was measured |", "|---|---|---|"]
    for said, holds, measured in claims:
        word, style = VERDICTS[holds]
        lines.append(f"| {said} | [{word}]{{.{style}}} | {measured} |")
    took = f"The script took {time.process_time():.0f} s of processor time."
    text = "\n".join(lines) + f"\n\n{about} {took}\n"
    (FOLDER / f"{name}.fragment.md").write_text(text)
    print(text)
