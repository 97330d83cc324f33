"""Keskar et al. 2016: large batches end in sharper minima, and generalize worse.

Their network F1, narrower, on a tenth of MNIST. Batches are the same shares of the rows as theirs: 10 % and 256 of
60,000. Both begin at the same weights, and train at the default rate of Adam until the loss no longer falls.

    MINIBATCH_DATA=folder python benchmarks/papers/keskar_2016.py
"""

import numpy as np
from reproduction import Claim, Found, mean_and_spread, mnist, reproduce

from minibatch import MiniBatchMLPClassifier
from minibatch.diagnostics import loss_interpolation, sharpness
from minibatch.plotting import LossInterpolationDisplay

SMALL, LARGE = 256 / 60_000, 0.1  # shares of the rows
LOOKS = {  # the box, and in how many random directions
    "sharpness, all parameters, ε = 1e-3": (1e-3, None),
    "sharpness, all parameters, ε = 5e-4": (5e-4, None),
    "sharpness, 100 random directions, ε = 1e-3": (1e-3, 100),
}
WHOLE, HALF, FEW = LOOKS
TABLE = ("epochs", "training accuracy", "test accuracy", *LOOKS)
ROWS = slice(1_500)  # of the training rows, for the sharpness


def fitted(share, seed, X, y, most_epochs):
    model = MiniBatchMLPClassifier(
        (128,) * 5, batch_normalization=True, solver="adam", alpha=0.0, learning_rate="constant", batch_size=share,
        max_iter=most_epochs, tol=1e-4, n_iter_no_change=5, random_state=seed,
    )  # fmt: skip
    return model.fit(X, y)


def looked_at(model, X, y, X_test, y_test):
    """Accuracies in percent, and sharpness by ten steps from one start, as published."""
    found = {
        "epochs": model.n_iter_,
        "training accuracy": 100 * model.score(X, y),
        "test accuracy": 100 * model.score(X_test, y_test),
    }
    for name, (epsilon, n_directions) in LOOKS.items():
        box = {"epsilon": epsilon, "n_directions": n_directions, "n_starts": 1, "random_state": 0}
        found[name] = sharpness(model, X[ROWS], y[ROWS], **box).value
    return found


def measure(quick):
    n_rows, most_epochs, seeds = (600, 1, range(1)) if quick else (6_000, 100, range(5))
    data = mnist(n_rows, 10_000)
    found = {SMALL: [], LARGE: []}
    for seed in seeds:
        models = [fitted(share, seed, *data[:2], most_epochs) for share in found]
        for share, model in zip(found, models, strict=True):
            found[share].append(looked_at(model, *data))
    small, large = ({name: [one[name] for one in of] for name in TABLE} for of in found.values())
    path = loss_interpolation(*models, *data[:2], X_test=data[2], y_test=data[3], alphas=np.linspace(-1, 2, 25))
    rows = [[name, mean_and_spread(small[name]), mean_and_spread(large[name])] for name in TABLE]
    return Found(
        claims(small, large),
        {"batches": (["mean ± standard deviation over seeds", *(f"B = {m.batch_size_}" for m in models)], rows)},
        LossInterpolationDisplay.from_result(path).figure_,
    )


def claims(small, large):
    def ratios(name):
        return np.divide(large[name], small[name])

    return [
        Claim(
            "test accuracy: small batches above large ones", "0.22 points (98.03 and 97.81 %)",
            np.subtract(small["test accuracy"], large["test accuracy"]), (0.1, 0.5), 0.0, "points",
        ),
        Claim(
            "sharpness in all parameters: large batches over small ones", "167 (205 and 1.23)", ratios(WHOLE),
            (10.0, 200.0), 1.0,
        ),
        Claim(
            "sharpness in 100 random directions: the same", "84 (9.22 and 0.11)", ratios(FEW), (10.0, 200.0), 1.0
        ),
        Claim(
            "sharpness of large batches: a box of twice the size", "4.8 (205 and 42.9)",
            np.divide(large[WHOLE], large[HALF]), (3.0, 5.0), 1.0,
        ),
    ]  # fmt: skip


if __name__ == "__main__":
    reproduce(__file__, measure)
