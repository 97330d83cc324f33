"""Goyal et al. 2017: with warm-up and a rate in proportion, 32 times the batch ends where the small one does.

A network with one hidden layer on Fashion-MNIST, momentum 0.9, rates that fall to a tenth after each third of the
epochs. The rate of the small batch is the best of some, on rows of its own.

    MINIBATCH_DATA=folder python benchmarks/papers/goyal_2017.py
"""

import numpy as np
from reproduction import Claim, Found, mean_and_spread, mnist, reproduce
from sklearn.model_selection import ShuffleSplit

from minibatch import MiniBatchMLPClassifier
from minibatch.model_selection import convergence_curve
from minibatch.plotting import ConvergenceDisplay

SMALL, EPOCHS, WARMUP = 8, 90, 5 / 90  # the share of the epochs that they warm up for
CASES = {
    "small batch": (SMALL, None),
    "8 times, linear": (8 * SMALL, "linear"),
    "32 times, rate as it is": (32 * SMALL, None),
    "32 times, square root": (32 * SMALL, "sqrt"),
    "32 times, linear": (32 * SMALL, "linear"),
    "256 times, linear": (256 * SMALL, "linear"),
}
RATES = 2.0 ** np.arange(-11, -3)


def measure(quick):
    n_rows, epochs, n_seeds = (400, 3, 1) if quick else (6_000, EPOCHS, 5)
    X, y, *held_out = mnist(n_rows + 4_000, 4_000, "fashion_mnist")
    model = MiniBatchMLPClassifier(
        (64,), solver="momentum", momentum=0.9, learning_rate="step", cycle_length=epochs / 3, cycle_decay=0.1,
        warmup=WARMUP * epochs, reference_batch_size=SMALL, max_iter=epochs, tol=None, random_state=0,
    )  # fmt: skip
    model.set_params(learning_rate_init=best_rate(model, X[:n_rows], y[:n_rows], *held_out))
    sizes, rules = zip(*CASES.values(), strict=True)
    curve = convergence_curve(
        model, X, y, param_range=sizes, paired_params={"learning_rate_scaling": rules},
        cv=ShuffleSplit(n_seeds, train_size=n_rows, test_size=4_000, random_state=0),
    )  # fmt: skip
    errors = dict(zip(CASES, 100 * (1 - curve.folds_["test_score"]), strict=True))
    rows = [[case, str(CASES[case][0]), mean_and_spread(of)] for case, of in errors.items()]
    display = ConvergenceDisplay.from_curve(curve, y="test_score", log_x=False, std_display_style=None)
    return Found(claims(errors), {"errors": (["case", "batch size", "test error, %"], rows)}, display.figure_)


def best_rate(model, X, y, X_held_out, y_held_out):
    """Of small batches, which have no rule."""
    model.set_params(batch_size=SMALL)
    scores = [model.set_params(learning_rate_init=rate).fit(X, y).score(X_held_out, y_held_out) for rate in RATES]
    return float(RATES[np.argmax(scores)])


def claims(errors):
    small, near, none, root, linear, far = errors.values()
    return [
        Claim(
            "test error, linear: 32 times the batch over the small one", "1.006 (23.74 and 23.60 %)", linear / small,
            (0.9, 1.1), np.nan,
        ),
        Claim(
            "test error, linear: 8 times the batch over the small one", "level up to 32 times", near / small,
            (0.9, 1.1), np.nan,
        ),
        Claim("test error, 32 times: square root over linear", "1.10 (26.22 %)", root / linear, (1.0, 1.5), 1.0),
        Claim("test error, 32 times: rate as it is over linear", "1.76 (41.67 %)", none / linear, (1.1, 4.0), 1.0),
        Claim(
            "test error, linear: 256 times the batch over the small one", "rises beyond 32 times", far / small,
            (1.1, 10.0), 1.0,
        ),
    ]  # fmt: skip


if __name__ == "__main__":
    reproduce(__file__, measure)
