"""Shallue et al. 2019: twice the batch needs half the updates, up to a point, and then no fewer; momentum moves it.

A network with one hidden layer on images of MNIST, to a test accuracy that was fixed beforehand. Every batch size has
its own rate, the best of a grid; plain descent and momentum of 0.9 have grids of the same effective rates.

    MINIBATCH_DATA=folder python benchmarks/papers/shallue_2019.py
"""

import numpy as np
from reproduction import Claim, Found, mnist, number, reproduce

from minibatch import MiniBatchMLPClassifier
from minibatch.model_selection import steps_to_target
from minibatch.plotting import BatchSizeScalingDisplay

SIZES = (1, 4, 16, 64, 256, 1024)
EFFECTIVE_RATES = 2.0 ** np.arange(-7, 4)  # eta / (1 - momentum)
TARGET, SEEDS = 0.9, 3
MOMENTA = {"plain": 0.0, "momentum": 0.9}


def measure(quick):
    n_rows, sizes, rates, target = (300, SIZES[:3], EFFECTIVE_RATES[::3], 0.6) if quick else (
        6_000, SIZES, EFFECTIVE_RATES, TARGET
    )  # fmt: skip
    X, y, X_test, y_test = mnist(n_rows, 2_000)
    found = []
    for seed in range(1 if quick else SEEDS):
        of_seed = {}
        for name, momentum in MOMENTA.items():
            model = MiniBatchMLPClassifier((32,), solver="momentum", momentum=momentum, alpha=0.0, random_state=seed)
            of_seed[name] = steps_to_target(
                model, X, y, batch_sizes=sizes, learning_rates=(1.0 - momentum) * rates, target=("test_score", target),
                max_updates=30_000, X_test=X_test, y_test=y_test, random_state=seed,
            )  # fmt: skip
        found.append(of_seed)
    return Found(claims(found), {"updates": table(**found[0])}, draw(found[0]))


def claims(found):
    """``found`` has the two results of every seed."""
    plain, momentum = ([of_seed[name] for of_seed in found] for name in MOMENTA)
    smallest, largest = (
        [without.updates[at] / having.updates[at] for without, having in zip(plain, momentum, strict=True)]
        for at in (0, -1)
    )
    ends = [b.critical_batch_size / a.critical_batch_size for a, b in zip(plain, momentum, strict=True)]
    return [
        Claim("slope of log updates, smallest batches, plain", "-1", [of.slopes[0] for of in plain], (-1.2, -0.8), 0.0),
        Claim("slope of log updates, largest batches, plain", "0", [of.slopes[-1] for of in plain], (-0.3, 0.1), -1.0),
        Claim("updates at the smallest batch: plain over momentum", "1", smallest, (0.7, 1.4), np.nan),
        Claim(
            "updates at the largest batch: plain over momentum", "above 1 (perfect scaling goes on)", largest,
            (1.2, 16.0), 1.0,
        ),
        Claim("end of perfect scaling: momentum over plain", "16 (256 and 16, ResNet-8)", ends, (1.5, 32.0), 1.0),
    ]  # fmt: skip


def table(plain, momentum):
    """Fewest updates and the rate that they have; what to doubt is in the results."""
    rows = []
    for i, size in enumerate(plain.batch_sizes):
        of_size = [str(size)]
        for found in (plain, momentum):
            of_size += [number(found.updates[i]), number(found.learning_rates[i]), found.regimes[i]]
        rows.append(of_size)
    names = ("updates", "rate", "regime")
    return ["batch size", *(f"{name}, {solver}" for solver in MOMENTA for name in names)], rows


def draw(found):
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(12, 4.2), layout="constrained", sharey=True)
    for ax, (name, result) in zip(axes, found.items(), strict=True):
        BatchSizeScalingDisplay.from_steps(result, ax=ax)
        ax.set_title(name, loc="left")
    return figure


if __name__ == "__main__":
    reproduce(__file__, measure)
