"""What a fit takes, as predicted and as it is, for every batch size: python benchmarks/questions/memory.py"""

import gc
import tracemalloc
import warnings

import matplotlib.pyplot as plt
import numpy as np
from answers import STYLE, among, listed, rows, write
from sklearn.base import clone
from sklearn.neural_network import MLPClassifier

from minibatch import MiniBatchMLPClassifier, MiniBatchSGDClassifier
from minibatch.model_selection import memory_required

ROWS, SIZES, MEGABYTE = 10_000, [4, 16, 64, 256, 1024, 4096, 10_000], 1e6
FEW = {"max_iter": 1, "tol": None, "random_state": 0}
MODELS = {
    "adult (linear model)": ("adult", MiniBatchSGDClassifier("log_loss", **FEW)),
    "mnist (100 hidden units)": ("mnist", MiniBatchMLPClassifier((100,), **FEW)),
}


def peak(model, X, y):
    """Megabytes at the peak of a fit beside X and y, when all code is loaded."""
    clone(model).fit(X, y)
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        clone(model).fit(X, y)
        return (tracemalloc.get_traced_memory()[1] - before) / MEGABYTE
    finally:
        tracemalloc.stop()


def said(model, X, y, size):
    return memory_required(model, X.shape[1], size, n_samples=len(y), n_outputs=len(np.unique(y)), dtype=X.dtype)


def measured(name, model):
    """Megabytes: of the rows; of fits by batch size, as said and as they are."""
    X, y = rows(name, ROWS)
    totals = np.array([said(model, X, y, size).total / MEGABYTE for size in SIZES])
    peaks = np.array([peak(clone(model).set_params(batch_size=size), X, y) for size in SIZES])
    return X.nbytes / MEGABYTE, totals, peaks


def of_scikit_learn():
    """The same network in scikit-learn, which computes a batch in one piece."""
    X, y = rows("mnist", ROWS)
    model = MLPClassifier((100,), max_iter=1, random_state=0)
    return np.array([peak(model.set_params(batch_size=size), X, y) for size in SIZES])


def of_solvers():
    """What the network takes with each solver, in batches of 64 rows."""
    X, y = rows("mnist", ROWS)
    _, model = MODELS["mnist (100 hidden units)"]
    return {name: said(clone(model).set_params(solver=name), X, y, 64) for name in ("sgd", "adam")}


def growth(peaks):
    """By what four times the batch multiplies the memory."""
    return peaks[1:-1] / peaks[:-2]


def claims_of(found, theirs, solvers):
    names = ", ".join(found)
    factors = {name: growth(peaks) for name, (_, _, peaks) in found.items()} | {
        "scikit-learn's network": growth(theirs)
    }
    in_proportion = np.concatenate([values > 3.5 for values in factors.values()])
    errors = [np.abs(totals - peaks).max() / peaks.max() for _, totals, peaks in found.values()]
    adds = np.array([peaks[-1] - peaks[0] for *_, peaks in found.values()] + [theirs[-1] - theirs[0]])
    of_rows = np.array([of_rows for of_rows, _, _ in found.values()] + [found["mnist (100 hidden units)"][0]])
    more = (solvers["adam"].total - solvers["sgd"].total) / MEGABYTE
    network = found["mnist (100 hidden units)"][2]
    rise = network[SIZES.index(64)] - network[0]
    return [
        (
            "Memory grows in proportion to the batch size.",
            among(in_proportion),
            f"four times the batch takes so many times the memory, from {SIZES[0]} to {SIZES[-2]} rows: "
            + "; ".join(f"{name} {listed(values, '.2f')}" for name, values in factors.items()),
        ),
        (
            "Memory limits the batch size.",
            among(adds > of_rows),
            f"all rows as one batch take {listed(adds, '.2g')} MB more than {SIZES[0]}, and the rows themselves are "
            f"{listed(of_rows, '.2g')} MB ({', '.join(factors)})",
        ),
        (
            "The solver counts more than a batch of some dozen rows.",
            bool(more > rise),
            f"the network with Adam takes {more:.2g} MB more than with plain SGD, and 64 rows {rise:+.2g} MB beside "
            f"{SIZES[0]}",
        ),
        (
            "What a fit takes can be known before.",
            bool(max(errors) < 0.2),
            f"`memory_required` is off by {listed(100 * np.array(errors), '.2g')} % of the peak at most ({names})",
        ),
    ]


def main():
    warnings.simplefilter("ignore")  # one epoch is not the end of training
    found, theirs = {title: measured(*of) for title, of in MODELS.items()}, of_scikit_learn()
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
        for ax, (title, (of_rows, totals, peaks)) in zip(axes, found.items(), strict=True):
            ax.semilogx(SIZES, totals, color="C0", label="memory_required")
            ax.semilogx(SIZES, peaks, "o", color="C0", label="measured")
            ax.axhline(of_rows, color="0.4", ls=":", label="the rows themselves")
            ax.set(title=title, xlabel="batch size")
        axes[1].semilogx(SIZES, theirs, "s--", color="C1", label="scikit-learn, measured")
        axes[0].set(ylabel="MB beside the rows")
        for ax in axes:
            ax.set_ylim(0, None)
            ax.legend()
    about = f"{ROWS:,} rows of float32; peaks by `tracemalloc`, of one epoch."
    write("memory", figure, claims_of(found, theirs, of_solvers()), about)


if __name__ == "__main__":
    main()
