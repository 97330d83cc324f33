"""Two workers beside one, and what many would gain, by batch size: python benchmarks/questions/distributed.py"""

import os
import warnings

import matplotlib.pyplot as plt
import numpy as np
from answers import STYLE, among, listed, rows, write
from sklearn.base import clone

from minibatch import MiniBatchMLPClassifier, MiniBatchSGDClassifier
from minibatch.distributed import fit, simulate_workers
from minibatch.model_selection import recommend_batch_size
from minibatch.plotting import WorkersSimulationDisplay

REPEATS, EPOCHS, ROWS = 2, 5, 20_000
NETWORK = (5e-5, 1.25e9)  # latency in seconds, bytes a second: 10 Gbit Ethernet with a round figure for TCP
WORKERS, SIZES = [1, 4, 16, 64, 256, 1024, 4096, 10_000], 4 ** np.arange(3, 9)
LINEAR_SIZES = [1024, 65_536], [1, 32]  # with shared gradients, with averaged parameters
MODELS = {
    "covtype_93k (linear)": ("covtype_93k", None, MiniBatchSGDClassifier("log_loss"), *LINEAR_SIZES),
    "mnist (network)": ("mnist", ROWS, MiniBatchMLPClassifier((100,)), [256, 4096], [32]),
}


def compared(model, X, y, sync, size):
    """Seconds of one worker over those of two, the fastest of alternating fits; and the fitted models."""
    model = clone(model).set_params(batch_size=size, max_iter=EPOCHS, tol=None, random_state=0)
    seconds, fitted = {1: [], 2: []}, {}
    for _ in range(REPEATS):
        for number in seconds:
            fitted[number] = fit(clone(model), X, y, n_workers=number, sync=sync, timeout=300)
            seconds[number].append(fitted[number].history_["seconds"][-1])
    return min(seconds[1]) / min(seconds[2]), fitted


def log_loss_of(model, X, y):
    return -np.log(model.predict_proba(X)[np.arange(len(y)), np.searchsorted(model.classes_, y)]).mean()


def accuracy_of(model, X, y):
    return model.score(X, y)


def measured(name, most, model, of_gradients, of_parameters):
    """By what is shared and batch size: the speed-up, and how far the loss or accuracy is from one's."""
    X, y = rows(name, most)
    found = {}
    for sync, sizes in (("gradients", of_gradients), ("parameters", of_parameters)):
        for size in sizes:
            speed_up, fitted = compared(model, X, y, sync, size)
            quantity = log_loss_of if sync == "gradients" else accuracy_of
            one, two = (quantity(fitted[number], X, y) for number in (1, 2))
            found[sync, size] = speed_up, two / one - 1
    return found


def simulated():
    """What 1 to 10,000 workers gain that share the gradients of the linear model."""
    X, y = rows("covtype_93k")
    advice = recommend_batch_size(
        MODELS["covtype_93k (linear)"][2], X, y, n_workers=16, network=NETWORK, random_state=0
    )
    n_parameters = len(np.unique(y)) * (X.shape[1] + 1)
    cost = (advice.seconds_per_update, advice.critical_batch_size, n_parameters, NETWORK)
    return advice, simulate_workers(*cost, n_workers=WORKERS, batch_sizes=SIZES)


def claims_about_two(found):
    cells = {(*key, title): of for title, by_key in found.items() for key, of in by_key.items()}
    faster = np.array([speed_up for speed_up, _ in cells.values()])
    by_cell = "; ".join(f"{title}, {sync}, {size} rows {of:.2f}" for (sync, size, title), (of, _) in cells.items())
    of_gradients, of_parameters = (
        np.array([of for key, (_, of) in cells.items() if key[0] == sync]) for sync in ("gradients", "parameters")
    )
    return [
        ("Twice the workers, half the time.", among(faster > 1.8), f"two are so many times as fast as one: {by_cell}"),
        (
            "Workers that share gradients train the model of one.",
            among(np.abs(of_gradients) < 1e-3),
            f"training losses after {EPOCHS} epochs differ by {listed(of_gradients, '.0e')} of them, which is rounding",
        ),
        (
            "To average parameters now and then costs accuracy.",
            among(of_parameters < -0.005),
            f"two workers end with an accuracy on the training rows that differs by "
            f"{listed(100 * of_parameters, '+.2f')} % from one's",
        ),
    ]


def claims_about_many(many):
    best, at_own = many.speedups.max(axis=1), many.speedups[:, SIZES.tolist().index(many.best_batch_sizes[0])].max()
    workers, sizes, of_workers, fastest = (
        listed(values, ",.0f") for values in (WORKERS, SIZES, many.best_batch_sizes, many.fastest_n_workers)
    )
    return [
        (
            "More workers need a larger batch.",
            bool((np.diff(many.best_batch_sizes) >= 0).all() and best.max() > 1.5 * at_own),
            f"with shared gradients {workers} workers do best with {of_workers} rows; at the size that is best for "
            f"one, the fastest is {at_own:.2g} times as fast as one",
        ),
        (
            "More workers are always faster.",
            among(many.fastest_n_workers == WORKERS[-1]),
            f"batches of {sizes} rows are fastest with {fastest} workers, and none is more than {best.max():.2g} times "
            "as fast as one worker",
        ),
    ]


def main():
    warnings.simplefilter("ignore")
    load = os.getloadavg()[0]
    found = {title: measured(*of) for title, of in MODELS.items()}
    advice, many = simulated()
    with plt.rc_context(STYLE):
        figure, (left, right) = plt.subplots(1, 2, figsize=(9.6, 3.8), layout="constrained")
        for title, cells in found.items():
            for sync, marker in (("gradients", "o-"), ("parameters", "s--")):
                points = [(size, of[0]) for (shared, size), of in cells.items() if shared == sync]
                left.semilogx(*zip(*points, strict=True), marker, label=f"{title}, {sync}")
        left.axhline(1, color="0.6", lw=0.8)
        left.set(
            title="Two workers beside one, measured", xlabel="batch size", ylabel="times as fast as one", ylim=(0, 2.1)
        )
        left.legend(fontsize=7)
        WorkersSimulationDisplay.from_result(many, ax=right)
    a, b = (1e6 * seconds for seconds in advice.seconds_per_update)
    about = (
        f"Two workers: {EPOCHS} epochs on a machine of two cores, on which other programs ran (load {load:.1f} before, "
        f"{os.getloadavg()[0]:.1f} after); the faster of {REPEATS} runs, {ROWS:,} rows of mnist. Many: computed for "
        f"the linear model, with {a:.2g} us for an update and {b:.2g} us for a row, a critical batch size of "
        f"{float(f'{advice.critical_batch_size:.2g}'):,.0f}, and 10 Gbit Ethernet."
    )
    write("distributed", figure, claims_about_two(found) + claims_about_many(many), about)


if __name__ == "__main__":
    main()
