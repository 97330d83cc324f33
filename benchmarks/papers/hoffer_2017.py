"""Hoffer et al. 2017: train longer, generalize better. The gap of large batches is one of too few updates.

Keskar's network F1, narrower, on images of MNIST: momentum 0.9, a rate of 0.1 that falls to a tenth after each fifth of
the epochs, small batches and 32 times as large ones. These are adapted step by step: a rate times the root of 32, batch
normalization over as many rows as a small batch has ("ghost"), and 32 times the epochs, which are as many updates.

And at a rate that stays: how far weights are from the first ones, against the logarithm of the updates.

    MINIBATCH_DATA=folder python benchmarks/papers/hoffer_2017.py
"""

import numpy as np
from reproduction import Claim, Found, mean_and_spread, mnist, reproduce

from minibatch import MiniBatchMLPClassifier
from minibatch.diagnostics import loss_interpolation
from minibatch.plotting import LossInterpolationDisplay

SMALL, RATIO, RATE = 16, 32, 0.1
ADAPTED = {
    "small batch": {"batch_size": SMALL},
    "large batch": {},
    "and root of the rate": {"learning_rate_scaling": "sqrt"},
    "and ghost normalization": {"learning_rate_scaling": "sqrt", "ghost_batch_size": SMALL},
    "and as many updates": {"learning_rate_scaling": "sqrt", "ghost_batch_size": SMALL},
}
LONG = "and as many updates"


WALKS = ("small batch", "and ghost normalization")  # and with as many updates


def model_of(case, seed, epochs):
    epochs *= RATIO if case == LONG else 1
    model = MiniBatchMLPClassifier(
        (64,) * 5, batch_normalization=True, solver="momentum", momentum=0.9, learning_rate_init=RATE,
        learning_rate="step", cycle_length=epochs / 5, cycle_decay=0.1, batch_size=RATIO * SMALL,
        reference_batch_size=SMALL, max_iter=epochs, tol=None, random_state=seed,
    )  # fmt: skip
    return model.set_params(**ADAPTED[case])


def walk(case, seed, X, y, looks):
    """How far weights are from the first ones after so many updates, at a rate that stays."""

    def weights_after(n_updates, **more):
        model = model_of(case, seed, 1).set_params(learning_rate="constant", max_iter=10**6, max_updates=n_updates)
        return np.concatenate([layer.ravel() for layer in model.set_params(**more).fit(X, y).coefs_])

    first = weights_after(1, learning_rate_init=1e-9)
    return np.array([np.linalg.norm(weights_after(int(look)) - first) for look in looks])


def by_logarithm(updates, distances):
    """The slope of distances in the logarithm of the updates, and the share of their variance that it explains."""
    slope, _ = np.polyfit(np.log(updates), distances, 1)
    return slope, np.corrcoef(np.log(updates), distances)[0, 1] ** 2


def measure(quick):
    n_rows, epochs, seeds = (1_100, 1, range(1)) if quick else (4_000, 15, range(5))
    looks = 2 ** np.arange(5 if quick else 12)  # updates
    X, y, X_test, y_test = mnist(n_rows, 10_000)
    accuracy, updates, walks = {case: [] for case in ADAPTED}, {}, []
    for seed in seeds:
        models = {case: model_of(case, seed, epochs).fit(X, y) for case in ADAPTED}
        walks.append([walk(case, seed, X, y, looks) for case in WALKS])
        for case, model in models.items():
            accuracy[case].append(100 * model.score(X_test, y_test))
            updates[case] = model.n_updates_
    rows = [[case, f"{updates[case]:,}", mean_and_spread(accuracy[case])] for case in ADAPTED]
    ends = (models["small batch"], models[LONG])
    path = loss_interpolation(*ends, X, y, X_test=X_test, y_test=y_test, alphas=np.linspace(-0.5, 1.5, 25))
    return Found(
        claims({case: np.array(of) for case, of in accuracy.items()}) + claims_of_walks(looks, walks),
        {"cases": (["case", "updates", "test accuracy, %"], rows)},
        draw(path, looks, walks[0]),
    )


def draw(path, looks, walks):
    import matplotlib.pyplot as plt

    figure, (line, distance) = plt.subplots(1, 2, figsize=(12, 4.2), layout="constrained")
    LossInterpolationDisplay.from_result(path, ax=line)
    for distances, label in zip(walks, ("small batch", "large batch, root of the rate, ghosts"), strict=True):
        distance.semilogx(looks, distances, "o-", ms=4, label=label)
    distance.set(xlabel="updates, at a rate that stays", ylabel="distance from the first weights")
    distance.legend()
    return figure


def claims_of_walks(looks, walks):
    slopes, shares = np.moveaxis([[by_logarithm(looks, distances) for distances in of_seed] for of_seed in walks], 2, 0)
    return [
        Claim(
            "distance from the first weights against the logarithm of updates, small batches: R squared",
            "a straight line", shares[:, 0], (0.95, 1.0), 0.0,
        ),
        Claim(
            "its slope: large batches at the root of the rate over small ones", "about 1", slopes[:, 1] / slopes[:, 0],
            (0.5, 2.0), np.nan,
        ),
    ]  # fmt: skip


def claims(accuracy):
    small, large, _, ghost, long = accuracy.values()
    return [
        Claim(
            "test accuracy: small batches above large ones", "1.22 points (98.27 and 97.05 %)", small - large,
            (0.3, 5.0), 0.0, "points",
        ),
        Claim(
            "test accuracy: large batches, adapted, above small ones", "0.26 points (98.53 and 98.27 %)", long - small,
            (-0.3, 1.0), -np.median(small - large), "points",
        ),
        Claim(
            "test accuracy: as many updates above as many epochs, both adapted", "most of the gap", long - ghost,
            (0.3, 5.0), 0.0, "points",
        ),
    ]  # fmt: skip


if __name__ == "__main__":
    reproduce(__file__, measure)
