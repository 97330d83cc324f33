"""Smith 2017: rates that go up and down between the ends of a range test reach the plateau of a fixed rate far earlier.

A network with one hidden layer on Fashion-MNIST, batches of 100 and momentum 0.9 as there. The run has his proportions:
cycles of 4,000 of 70,000 updates, the highest rate six times the lowest, the fixed rate the lowest, with a tenth of it
in the last seventh.

    MINIBATCH_DATA=folder python benchmarks/papers/smith_2017.py
"""

import numpy as np
from reproduction import Claim, Found, mean_and_spread, mnist, number, reproduce
from sklearn.model_selection import ShuffleSplit

from minibatch import MiniBatchMLPClassifier
from minibatch.diagnostics import learning_rate_range_test
from minibatch.model_selection import convergence_curve
from minibatch.plotting import ConvergenceDisplay, LearningRateRangeDisplay

EPOCHS, CYCLE, RISE = 70, 4, 6.0
SHARE = 25 / 70  # of the updates, after which he stops cycles


def decay(now):
    """From the highest rate to the lowest in half a cycle, where it stays; in units of the lowest."""
    return 1.0 + (RISE - 1.0) * np.maximum(0.0, 1.0 - now.epochs / (CYCLE / 2))


POLICIES = {  # their schedules, and the epochs of a cycle, or of a step
    "fixed": ("step", EPOCHS * 6 / 7),
    "triangular2": ("triangular2", CYCLE),
    "triangular": ("triangular", CYCLE),
    "decay": (decay, CYCLE),
}


def measure(quick):
    n_rows, epochs, n_seeds = (400, 12, 1) if quick else (6_000, EPOCHS, 5)
    X, y = mnist(n_rows + 4_000, 1, "fashion_mnist")[:2]
    model = MiniBatchMLPClassifier(
        (64,), solver="momentum", momentum=0.9, batch_size=100, max_iter=epochs, tol=None, cycle_decay=0.1,
        learning_rate="constant", random_state=0,
    )  # fmt: skip
    ranges = learning_rate_range_test(model, X[:n_rows], y[:n_rows], min_rate=1e-4, max_rate=10.0, random_state=0)
    highest = ranges.suggestions["stable_max"]
    schedules, lengths = zip(*POLICIES.values(), strict=True)
    curve = convergence_curve(
        model.set_params(learning_rate_init=highest / RISE, max_eta=highest), X, y, param_name="learning_rate",
        param_range=schedules, paired_params={"cycle_length": lengths},
        cv=ShuffleSplit(n_seeds, train_size=n_rows, test_size=4_000, random_state=0),
    )  # fmt: skip
    accuracy = dict(zip(POLICIES, 100 * curve.curves_["test_score"], strict=True))
    return Found(claims(accuracy), {"rates": suggestions(ranges), "policies": table(accuracy)}, draw(ranges, curve))


def at_ends_of_cycles(of_policy):
    """Where the rate is lowest, the only places to stop at; by seed and cycle."""
    return of_policy[:, CYCLE - 1 :: CYCLE]


def after_share(of_policy):
    """At the end of the cycle that comes nearest to his."""
    ends = at_ends_of_cycles(of_policy)
    return ends[:, round(SHARE * of_policy.shape[1] / CYCLE) - 1]


def plateau(accuracy):
    """Of the fixed rate, by seed: the median of the last five epochs."""
    return np.median(accuracy["fixed"][:, -5:], axis=1)


def share_to_plateau(accuracy, policy):
    """Of the updates, by seed; 1 where it is never reached."""
    reached = at_ends_of_cycles(accuracy[policy]) >= plateau(accuracy)[:, None]
    cycles = np.where(reached.any(axis=1), reached.argmax(axis=1) + 1, np.inf)
    return np.minimum(cycles * CYCLE / accuracy[policy].shape[1], 1.0)


def claims(accuracy):
    return [
        Claim(
            "share of the updates until triangular2 is where the fixed rate ends", "0.36 (25,000 of 70,000)",
            share_to_plateau(accuracy, "triangular2"), (0.0, 0.5), 1.0,
        ),
        Claim(
            "accuracy after that share: triangular2 above the fixed rate's end", "0 points (both 81.4 %)",
            after_share(accuracy["triangular2"]) - plateau(accuracy), (-0.5, 1.0), np.nan, "points",
        ),
        Claim(
            "accuracy after that share: triangular2 above decay alone", "2.9 points (81.4 and 78.5 %)",
            after_share(accuracy["triangular2"]) - after_share(accuracy["decay"]), (0.1, 5.0), 0.0, "points",
        ),
    ]  # fmt: skip


def suggestions(ranges):
    return ["suggestion", "rate"], [[name, number(rate)] for name, rate in ranges.suggestions.items()]


def table(accuracy):
    columns = ["policy", f"accuracy after {SHARE:.0%} of the updates, %", "at the end, %", "share to the plateau"]
    return columns, [
        [
            policy,
            mean_and_spread(after_share(of)),
            mean_and_spread(np.median(of[:, -5:], axis=1)),
            number(np.median(share_to_plateau(accuracy, policy))),
        ]
        for policy, of in accuracy.items()
    ]


def draw(ranges, curve):
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, 1, figsize=(10, 9), layout="constrained")
    LearningRateRangeDisplay.from_result(ranges, ax=axes[0])
    ConvergenceDisplay.from_curve(curve, ax=axes[1], y="test_score", std_display_style=None)
    return figure


if __name__ == "__main__":
    reproduce(__file__, measure)
