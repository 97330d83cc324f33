"""Goyal et al. 2017: with warm-up and a rate in proportion, 32 times the batch ends where the small one does.

A network with one hidden layer on Fashion-MNIST, momentum 0.9, rates that fall to a tenth after each third of the
epochs. Batch normalization is over as many rows whatever the batch, as there (32, here the small batch). The rate of
the small batch is the best of some, on rows of its own. The same without normalization, for how far the rule goes then.

    MINIBATCH_DATA=folder python benchmarks/papers/goyal_2017.py
"""

import numpy as np
from reproduction import Claim, Found, mean_and_spread, mnist, number, reproduce
from sklearn.model_selection import ShuffleSplit

from minibatch import MiniBatchMLPClassifier
from minibatch.model_selection import convergence_curve
from minibatch.plotting import ConvergenceDisplay
from minibatch.schedules import scale_learning_rate

SMALL, EPOCHS, WARMUP = 8, 30, 5 / 90  # the share of the epochs that they warm up for
CASES = {
    "small batch": (SMALL, None),
    "8 times, linear": (8 * SMALL, "linear"),
    "32 times, linear": (32 * SMALL, "linear"),
    "32 times, square root": (32 * SMALL, "sqrt"),
    "32 times, rate as it is": (32 * SMALL, None),
    "256 times, linear": (256 * SMALL, "linear"),
}
PLAIN = "no normalization: "
FEW = list(CASES)[:3]  # those without normalization
RATES = 2.0 ** np.arange(-10, -2)


def network(epochs, **normalization):
    return MiniBatchMLPClassifier(
        (64,), solver="momentum", momentum=0.9, learning_rate="step", cycle_length=epochs / 3, cycle_decay=0.1,
        warmup=WARMUP * epochs, reference_batch_size=SMALL, max_iter=epochs, tol=None, random_state=0, **normalization,
    )  # fmt: skip


def curve_of(cases, model, X, y, n_rows, n_seeds):
    """The last of the rows are those that the rate of small batches is chosen on, and no test rows."""
    held_out = X[-4_000:], y[-4_000:]
    model.set_params(learning_rate_init=best_rate(model, X[:n_rows], y[:n_rows], *held_out))
    sizes, rules = zip(*(CASES[case] for case in cases), strict=True)
    splits = ShuffleSplit(n_seeds, train_size=n_rows, test_size=4_000, random_state=0)
    return convergence_curve(
        model, X[:-4_000], y[:-4_000], param_range=sizes, paired_params={"learning_rate_scaling": rules}, cv=splits
    )


def best_rate(model, X, y, X_held_out, y_held_out):
    """Of small batches, which have no rule."""
    model.set_params(batch_size=SMALL)
    scores = [model.set_params(learning_rate_init=rate).fit(X, y).score(X_held_out, y_held_out) for rate in RATES]
    return float(RATES[np.argmax(scores)])


def measure(quick):
    n_rows, epochs, n_seeds = (400, 3, 1) if quick else (6_000, EPOCHS, 5)
    X, y = mnist(n_rows + 8_000, 1, "fashion_mnist")[:2]
    errors, rows, curves = {}, [], []
    normalized = {"batch_normalization": True, "ghost_batch_size": SMALL}
    for prefix, cases, normalization in (("", CASES, normalized), (PLAIN, FEW, {})):
        model = network(epochs, **normalization)
        curves.append(curve_of(cases, model, X, y, n_rows, n_seeds))
        for case, of_case in zip(cases, 100 * (1 - curves[-1].folds_["test_score"]), strict=True):
            size, rule = CASES[case]
            rate = model.learning_rate_init
            rate = rate if rule is None else scale_learning_rate(rate, SMALL, size, rule=rule)
            errors[prefix + case] = of_case
            rows.append([prefix + case, f"{size:,}", number(rate), mean_and_spread(of_case)])
    display = ConvergenceDisplay.from_curve(curves[0], y="test_score", log_x=False, std_display_style=None)
    columns = ["case", "batch size", "rate", "test error, %"]
    return Found(claims(errors), {"errors": (columns, rows)}, display.figure_)


def claims(errors):
    small, near, linear, root, none, far, plain_small, plain_near, plain_linear = errors.values()
    same = (0.9, 1.1)
    return [
        Claim(
            "test error, linear: 32 times the batch over the small one", "1.006 (23.74 and 23.60 %)", linear / small,
            same, np.nan,
        ),
        Claim("test error, linear: 8 times over the small one", "level up to 32 times", near / small, same, np.nan),
        Claim("test error, 32 times: square root over linear", "1.10 (26.22 %)", root / linear, (1.0, 1.5), 1.0),
        Claim("test error, 32 times: rate as it is over linear", "1.76 (41.67 %)", none / linear, (1.1, 4.0), 1.0),
        Claim("test error, linear: 256 times over the small one", "rises beyond 32 times", far / small, (1.1, 10), 1.0),
        Claim(
            "without normalization, linear: 8 times over the small one", "not asked", plain_near / plain_small, same,
            np.nan,
        ),
        Claim(
            "without normalization, linear: 32 times over the small one", "not asked", plain_linear / plain_small, same,
            np.nan,
        ),
    ]  # fmt: skip


if __name__ == "__main__":
    reproduce(__file__, measure)
