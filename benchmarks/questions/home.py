"""The picture and the figures of the home page: python benchmarks/questions/home.py

The picture is measured here; the figures are those of docs/performance/*.json and of the table in docs/rates.md.
"""

import json
import re
from statistics import median

import matplotlib.pyplot as plt
from answers import FOLDER, STYLE, rows
from sklearn.model_selection import ShuffleSplit

from minibatch import MiniBatchMLPClassifier
from minibatch.model_selection import convergence_curve

DOCS = FOLDER.parent
SIZES, EPOCHS = [1, 8, 64, 512, "full"], 20
NETWORK = MiniBatchMLPClassifier((50,), solver="sgd", tol=None, random_state=0)
RATES = {"one rate for all": {"learning_rate": "constant"}, "rates of their own": {"learning_rate": "auto"}}


def picture():
    X, y = rows("letter", 12_000)
    folds = ShuffleSplit(3, test_size=0.25, random_state=0)
    figure, ax = plt.subplots(figsize=(5, 3.6), layout="constrained")
    for (name, parameters), style in zip(RATES.items(), ("s--", "o-"), strict=True):
        network = NETWORK.set_params(**parameters)
        curve = convergence_curve(network, X, y, param_range=SIZES, cv=folds, budget={"epochs": EPOCHS})
        ax.plot(curve.summary_["mean_test_score"], style, label=name)
    ax.set(xticks=range(len(SIZES)), xticklabels=SIZES, xlabel="batch size", ylabel="test accuracy", ylim=(0, 1))
    ax.set_title(f"A network on letter, {EPOCHS} epochs at each size", loc="left", fontsize="medium")
    ax.legend()
    figure.savefig(DOCS / "home.svg", metadata={"Date": None})


def saved(name):
    return json.loads((DOCS / "performance" / f"{name}.json").read_text())["rows"]


def times(ratios):
    """The median, and from where to where."""
    return f"{median(ratios):.1f} times", f"in the median, {min(ratios):.1f} to {max(ratios):.1f}"


def cards():
    """Figure, what it is of, and the page that has it."""
    epochs = times([row["ratios"]["scikit-learn"][0] for row in saved("linear") if "scikit-learn" in row["ratios"]])
    searches = times([row["yardsticks"]["times ours"] for row in saved("search") if row["at"] == "GridSearchCV"])
    line = r"auto, on (\d+) cells of data on which nothing was chosen \| \S+ \| (\S+) \|"
    cells = re.search(line, (DOCS / "rates.md").read_text())
    level = "at most 0.75 points behind the tuned rate that ends lowest"
    return [
        (epochs[0], f"as fast an epoch as scikit-learn's, linear models ({epochs[1]})", "performance"),
        (searches[0], f"as fast a search as `GridSearchCV` ({searches[1]})", "performance"),
        (cells[2], f"of {cells[1]} cells of data set and batch size {level}, untuned", "rates"),
    ]


def main():
    with plt.rc_context(STYLE):
        picture()
    items = "".join(
        f":::{{grid-item-card}} {figure}\n:link: {page}\n:link-type: doc\n:text-align: center\n{of}\n:::\n\n"
        for figure, of, page in cards()
    )
    (DOCS / "home.fragment.md").write_text(f"::::{{grid}} 1 3 3 3\n:gutter: 3\n\n{items}::::\n")


if __name__ == "__main__":
    main()
