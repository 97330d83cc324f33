"""Hoffer et al. 2017: train longer, generalize better. The gap of large batches is one of too few updates.

Keskar's network F1, narrower, on images of MNIST: momentum 0.9, a rate of 0.1 that falls to a tenth after each fifth of
the epochs, small batches and 32 times as large ones. These are adapted step by step: a rate times the root of 32, batch
normalization over as many rows as a small batch has ("ghost"), and 32 times the epochs, which are as many updates.

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


def fitted(case, seed, X, y, epochs):
    epochs *= RATIO if case == LONG else 1
    model = MiniBatchMLPClassifier(
        (64,) * 5, batch_normalization=True, solver="momentum", momentum=0.9, learning_rate_init=RATE,
        learning_rate="step", cycle_length=epochs / 5, cycle_decay=0.1, batch_size=RATIO * SMALL,
        reference_batch_size=SMALL, max_iter=epochs, tol=None, random_state=seed,
    )  # fmt: skip
    return model.set_params(**ADAPTED[case]).fit(X, y)


def measure(quick):
    n_rows, epochs, seeds = (1_100, 1, range(1)) if quick else (4_000, 15, range(5))
    X, y, X_test, y_test = mnist(n_rows, 10_000)
    accuracy, updates = {case: [] for case in ADAPTED}, {}
    for seed in seeds:
        models = {case: fitted(case, seed, X, y, epochs) for case in ADAPTED}
        for case, model in models.items():
            accuracy[case].append(100 * model.score(X_test, y_test))
            updates[case] = model.n_updates_
    rows = [[case, f"{updates[case]:,}", mean_and_spread(accuracy[case])] for case in ADAPTED]
    ends = (models["small batch"], models[LONG])
    path = loss_interpolation(*ends, X, y, X_test=X_test, y_test=y_test, alphas=np.linspace(-0.5, 1.5, 25))
    return Found(
        claims({case: np.array(of) for case, of in accuracy.items()}),
        {"cases": (["case", "updates", "test accuracy, %"], rows)},
        LossInterpolationDisplay.from_result(path).figure_,
    )


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
