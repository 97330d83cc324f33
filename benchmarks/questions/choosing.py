"""A recommended batch size beside a sweep of sizes, and the time of a row: python benchmarks/questions/choosing.py"""

import matplotlib.pyplot as plt
import numpy as np
from answers import STYLE, among, listed, rows, write
from sklearn.base import clone
from targets import loss_to_reach

from minibatch import MiniBatchMLPClassifier, MiniBatchSGDClassifier, MiniBatchSGDRegressor
from minibatch.model_selection import recommend_batch_size, steps_to_target

ROWS, SEEDS, SECONDS = 8000, 3, 3.0  # the last: of a run
SIZES = [1, 4, 16, 32, 64, 256, 1024, 4096]
BESIDE = np.array([[31, 32, 33], [63, 64, 65], [255, 256, 257]])
MODELS = {
    "adult (log loss)": ("adult", MiniBatchSGDClassifier("log_loss")),
    "bike_hour (Poisson loss)": ("bike_hour", MiniBatchSGDRegressor("poisson")),
    "letter (network)": ("letter", MiniBatchMLPClassifier((32,))),
}


def seconds_of_epoch(model, X, y, size):
    """The fastest of some, so that others on the machine count little."""
    once = clone(model).set_params(batch_size=size, max_iter=4, tol=None, random_state=0)
    return min(np.diff(once.fit(X, y).history_["seconds"]).min() for _ in range(3))


def seconds_to_target(model, X, y, size, target):
    """An update's time, times the updates until 2 % of the fall of the training loss are left: the median of seeds."""
    an_update = seconds_of_epoch(model, X, y, size) / np.ceil(len(y) / size)
    steps = steps_to_target(
        model, X, y, batch_sizes=[size], target={"train_loss": target}, max_updates=int(SECONDS / an_update) + 1,
        n_repeats=SEEDS, random_state=0,
    )  # fmt: skip
    return an_update * steps.updates[0]


def swept(name, model):
    """Recommendations by seed, and the seconds of every size, the recommended ones and all rows among them."""
    X, y = rows(name, ROWS)
    advice = [recommend_batch_size(model, X, y, random_state=seed) for seed in range(SEEDS)]
    target = loss_to_reach(model, X, y, 0.02)
    sizes = sorted({*SIZES, len(y), *(one.batch_size for one in advice)})
    return advice, {size: seconds_to_target(model, X, y, size, target) for size in sizes}


def nanoseconds_of_row(name, model):
    """At the sizes beside powers of two, in rounds, so that what goes on beside meets all sizes alike."""
    X, y = rows(name, ROWS)
    found = [[seconds_of_epoch(model, X, y, int(size)) for size in BESIDE.flat] for _ in range(4)]
    return 1e9 * np.min(found, axis=0).reshape(BESIDE.shape) / len(y)


def panel(ax, name, advice, seconds):
    sizes, found = np.array(list(seconds)), 1e3 * np.array(list(seconds.values()))
    ax.axvspan(*advice[0].flat, color="C2", alpha=0.15, lw=0, label="said to be about as good")
    ax.loglog(sizes, found, "o-", color="C0", label="sweep")
    here = np.isin(sizes, [one.batch_size for one in advice])
    ax.loglog(sizes[here], found[here], "C2D", ms=8, label="recommended")
    ax.loglog(sizes[sizes == 32], found[sizes == 32], "ks", ms=10, mfc="none", label="32")
    ax.set(title=name, xlabel="batch size")


def judged(found):
    """Times over that of the best size of a sweep: of all rows, of the recommendations."""
    of_all, advised = [], []
    for advice, seconds in found.values():
        least = np.nanmin(list(seconds.values()))
        of_all.append(seconds[max(seconds)] / least)
        advised += [seconds[one.batch_size] / least for one in advice]
    return of_all, advised


def claims_of(found, rates):
    of_all, advised = judged(found)
    names = ", ".join(found)
    missing = f"; a dash: not within {SECONDS:.0f} s" if np.isnan([*of_all, *advised]).any() else ""
    times = f"times the time of the fastest size ({names}{missing})"
    gains = np.array([of_row[:, [0, 2]].min(axis=1) / of_row[:, 1] - 1 for of_row in rates.values()])
    return [
        (
            "Take the largest batch that fits into memory.",
            among(np.array(of_all) <= 2),
            f"batches of all rows, which fit: {listed(of_all, '.2g')} {times}",
        ),
        (
            "A power of two is faster.",
            among(gains.mean(axis=1) > 0.05),
            f"in batches of one row more or less than {listed(BESIDE[:, 1])}, the faster of the two, a row takes % "
            "more: " + "; ".join(f"{name} {listed(100 * of, '+.1f')}" for name, of in zip(rates, gains, strict=True)),
        ),
        (
            "`recommend_batch_size` is within 2 times the best.",
            bool(np.all(np.array(advised) <= 2)),
            f"{SEEDS} seeds each: {listed(advised, '.2g')} {times}",
        ),
    ]


def main():
    found = {title: swept(*of) for title, of in MODELS.items()}
    timed = ("adult (log loss)", "letter (network)")
    rates = {title: nanoseconds_of_row(*MODELS[title]) for title in timed}
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(1, 3, figsize=(9, 3.6), layout="constrained")
        for ax, (title, (advice, seconds)) in zip(axes, found.items(), strict=True):
            panel(ax, title, advice, seconds)
        axes[0].set_ylabel("ms until 2 % of the fall are left")
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    advice = found["adult (log loss)"][0][0]
    about = (
        f"{ROWS:,} rows at most; medians of {SEEDS} seeds; `learning_rate=\"auto\"`. What the recommendation says of "
        f"adult, in {advice.seconds:.1f} s: {advice.reason}"
    )  # fmt: skip
    write("choosing", figure, claims_of(found, rates), about)


if __name__ == "__main__":
    main()
