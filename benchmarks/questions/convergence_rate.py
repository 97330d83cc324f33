"""Updates by batch size, and how an objective falls: python benchmarks/questions/convergence_rate.py"""

import matplotlib.pyplot as plt
import numpy as np
from answers import STYLE, among, listed, rows, write
from sklearn.base import clone
from targets import loss_to_reach

from minibatch import MiniBatchMLPClassifier, MiniBatchSGDClassifier, MiniBatchSGDRegressor
from minibatch.diagnostics import stability_limit
from minibatch.model_selection import fit_steps_to_target, steps_to_target

ROWS, SEEDS, EPOCHS, ALPHA = 8000, 3, 100, 0.1
SIZES = 4 ** np.arange(7)
MODELS = {
    "adult (log loss)": ("adult", MiniBatchSGDClassifier("log_loss")),
    "bike_hour (Poisson loss)": ("bike_hour", MiniBatchSGDRegressor("poisson")),
    "letter (network)": ("letter", MiniBatchMLPClassifier((32,))),
}


def updates_to_target(name, model):
    """Until 5 % of the fall of the training loss are left, by batch size: medians of the seeds; and their law."""
    X, y = rows(name, ROWS)
    target = loss_to_reach(model, X, y, 0.05)
    updates = [
        steps_to_target(
            model, X, y, batch_sizes=[int(size)], target={"train_loss": target}, max_updates=int(200 * len(y) / size),
            n_repeats=SEEDS, random_state=0,
        ).updates[0]
        for size in SIZES
    ]  # fmt: skip
    return np.array(updates), fit_steps_to_target(SIZES, updates)


class Ridge:
    """Least squares with a penalty on bike_hour: strongly convex, with an optimum and curvatures that are known."""

    def __init__(self):
        X, y = rows("bike_hour", ROWS)
        self.X, self.y = X.astype(float), (y - y.mean()) / y.std()
        hessian = self.X.T @ self.X / len(y) + ALPHA * np.eye(X.shape[1])
        weights = np.linalg.solve(hessian, self.X.T @ self.y / len(y))
        self.least = self.objective(weights)
        curvatures = np.linalg.eigvalsh(hessian)
        self.model = MiniBatchSGDRegressor(alpha=ALPHA, fit_intercept=False, batch_size=1, shuffle="replacement")
        self.stable_rate = float(stability_limit(self.model, self.X, self.y))
        self.lowest, self.highest = curvatures[curvatures > 1.001 * ALPHA].min(), curvatures.max()

    def objective(self, weights):
        return 0.5 * np.mean((self.X @ weights - self.y) ** 2) + 0.5 * ALPHA * weights @ weights

    def excess(self, size, **parameters):
        """Of the objective over the least, epoch by epoch: means over the seeds."""
        model = clone(self.model).set_params(batch_size=size, max_iter=EPOCHS, tol=None, evaluate_every=1, **parameters)
        runs = [model.set_params(random_state=seed).fit(self.X, self.y).history_["objective"] for seed in range(SEEDS)]
        return np.mean(runs, axis=0) - self.least


def runs_of(ridge):
    """What runs are called, and what they are."""
    high, low = 0.5 * ridge.stable_rate, 0.25 * ridge.stable_rate
    constant = {"learning_rate": "constant"}
    return {
        "full batches, constant rate": ridge.excess("full", eta0=2 / (ridge.lowest + ridge.highest), **constant),
        "single rows, constant rate": ridge.excess(1, eta0=high, **constant),
        "single rows, half that rate": ridge.excess(1, eta0=low, **constant),
        "single rows, falling rate": ridge.excess(1, eta0=high, learning_rate="inverse_time"),
        "each row once an epoch, constant rate": ridge.excess(1, eta0=high, shuffle=True, **constant),
        "32 rows, SVRG": ridge.excess(32, solver="svrg", shuffle=True),
    }


def claims_about_updates(found):
    updates, names = np.array([of for of, _ in found.values()]), ", ".join(found)
    slopes = np.diff(np.log(updates), axis=1) / np.diff(np.log(SIZES))
    by_name = "; ".join(f"{name} {listed(of, '.2f')}" for name, of in zip(found, slopes, strict=True))
    critical = listed([law.critical_batch_size for _, law in found.values()], ".2g")
    passes = updates * SIZES
    more = passes[:, -1] / np.nanmin(passes, axis=1)
    return [
        (
            "Twice the batch, half the updates.",
            among(slopes.ravel() <= -0.8),
            f"slopes of updates on logarithmic axes, of which -1 is half the updates, from 1 row to {SIZES[-1]} by "
            f"fours: {by_name}; critical batch sizes {critical}",
        ),
        (
            "A larger batch converges in fewer passes over the rows.",
            among(more <= 1),
            f"{SIZES[-1]} rows need {listed(more, '.2g')} times the passes of the size with the fewest ({names})",
        ),
    ]


def claims_about_rates(ridge, runs):
    full, high, low, falling, once, svrg = runs.values()
    half = EPOCHS // 2
    contraction = (full[-1] / full[half]) ** (1 / (EPOCHS - 1 - half))
    of_theory = ((ridge.highest - ridge.lowest) / (ridge.highest + ridge.lowest)) ** 2
    floors = [run[half:].mean() for run in (high, low)]
    late = np.arange(EPOCHS // 10, EPOCHS)
    power = np.polyfit(np.log(late + 1), np.log(falling[late]), 1)[0]
    return [
        (
            "Full batches converge linearly: every update leaves the same share.",
            bool(abs(contraction / of_theory - 1) < 0.01),
            f"an update leaves {contraction:.4f} of the excess; theory: {of_theory:.4f} at 2 / (m + L)",
        ),
        (
            "Single rows converge sublinearly.",
            among([power < -0.8, floors[0] < falling[-1]]),
            f"at a falling rate the excess goes as time to the power of {power:.2f}; at a constant one it ends at a "
            f"floor, {floors[0] / floors[1]:.2g} times as high at twice the rate",
        ),
        (
            "How rows are drawn makes no difference.",
            bool(0.5 < once[half:].mean() / floors[0] < 2),
            f"with every row once an epoch the floor is {once[half:].mean() / floors[0]:.2g} times as high as with "
            "rows drawn anew for every batch",
        ),
        (
            "Small batches cannot converge linearly.",
            bool(svrg[-1] > 1e-12),
            f"with SVRG, at a constant rate, batches of 32 rows come below an excess of 1e-12 in "
            f"{np.argmax(svrg < 1e-12) + 1} epochs; full batches come to {full[-1]:.0e} in {EPOCHS}, single rows at a "
            f"falling rate to {falling[-1]:.0e}",
        ),
    ]


def main():
    found = {title: updates_to_target(*of) for title, of in MODELS.items()}
    ridge = Ridge()
    runs = runs_of(ridge)
    with plt.rc_context(STYLE):
        figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
        for number, (title, (updates, law)) in enumerate(found.items()):
            left.loglog(SIZES, updates, "o", color=f"C{number}", label=title)
            left.loglog(SIZES, law.min_steps * (1 + law.critical_batch_size / SIZES), color=f"C{number}", lw=0.8)
            left.loglog(SIZES, updates[0] / SIZES, ":", color=f"C{number}")
        left.set(title="Updates until 5 % of the fall are left", xlabel="batch size", ylabel="updates", ylim=(1, None))
        left.legend()
        for title, excess in runs.items():
            right.semilogy(np.arange(1, EPOCHS + 1), np.maximum(excess, 1e-16), label=title)
        right.set(title="Strongly convex: excess of the objective", xlabel="epochs", ylim=(1e-13, None))
        right.legend(fontsize=7, loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=2)
    about = (
        f'{ROWS:,} rows at most, {SEEDS} seeds. Updates with `learning_rate="auto"`; the strongly convex objective is '
        f"that of least squares with `alpha={ALPHA}` on bike_hour, rows drawn with replacement."
    )
    write("convergence_rate", figure, claims_about_updates(found) + claims_about_rates(ridge, runs), about)


if __name__ == "__main__":
    main()
