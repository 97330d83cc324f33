"""McCandlish et al. 2018: the gradient noise scale grows in training, and is of the order of the critical batch size.

A network with one hidden layer on images of MNIST, plain SGD. The noise scale is tr(S) / |G|^2 of all rows; critical
batch sizes come from branches of the same run, whose batches have 1, 4, 16, ... rows, each at its own rate.

    MINIBATCH_DATA=folder python benchmarks/papers/mccandlish_2018.py
"""

import numpy as np
from reproduction import Claim, Found, mnist, number, reproduce

from minibatch import MiniBatchMLPClassifier
from minibatch.diagnostics import gradient_noise_curve
from minibatch.model_selection import critical_batch_size
from minibatch.plotting import NoiseScaleDisplay

POINTS = (0.02, 0.1, 0.5, 2.0, 8.0)  # epochs, where branches begin


def measure(quick):
    n_rows, points, n_looks, n_repeats = (300, POINTS[-1:], 4, 1) if quick else (6_000, POINTS, 25, 5)
    data = mnist(n_rows, 1)[:2]
    model = MiniBatchMLPClassifier(
        (32,), solver="sgd", momentum=0.0, alpha=0.0, learning_rate="constant", learning_rate_init=0.1, batch_size=16,
        max_iter=int(points[-1]), tol=None, random_state=0,
    )  # fmt: skip
    curve = gradient_noise_curve(model, *data, n_looks=n_looks, random_state=0)
    critical = critical_batch_size(model, *data, after=list(points), n_repeats=n_repeats, random_state=0)
    course = critical.course
    # the law's own B_c, at which batches take twice the rows: what the paper calls critical
    predicted = np.exp(np.interp(np.log(course["n_updates"]), np.log(curve.n_updates), np.log(curve.noise_scales)))
    return Found(claims(curve, course, predicted), {"course": table(critical, predicted)}, draw(curve, course))


def claims(curve, course, predicted):
    measured = course["noise_scale"]
    mean = np.trapezoid(curve.noise_scales, curve.n_updates) / np.ptp(curve.n_updates)  # over updates, not over looks
    return [
        Claim(
            "noise scale along training: mean over first", "18 (50 and 900)",
            [mean / curve.noise_scales[0]], (10.0, 1000.0), 1.0,
        ),
        Claim(
            "critical batch size along training: mean over first", "10 (20 and 200)",
            [np.nanmean(measured) / measured[0]], (3.0, 1000.0), 1.0,
        ),
        Claim(
            "noise scale over critical batch size, along the run", "4.5 (900 and 200, means)", predicted / measured,
            (0.1, 10.0), np.nan,
        ),
    ]  # fmt: skip


def table(critical, predicted):
    course = critical.course
    columns = ["epochs", "updates", "objective", "noise scale", "critical batch size", "interval"]
    names = ("epoch", "n_updates", "objective", "noise_scale")
    numbers = np.column_stack([course[name] for name in names])
    numbers = np.insert(numbers, 3, predicted, axis=1)
    # the interval is that of the size that takes a fifth more rows
    ends = np.column_stack([course["lower"], course["upper"]]) / critical.overhead
    rows = zip(numbers, ends, strict=True)
    return columns, [[*map(number, row), f"{number(low)} to {number(high)}"] for row, (low, high) in rows]


def draw(curve, course):
    display = NoiseScaleDisplay.from_result(curve)
    ax = display.ax_
    ax.plot(course["n_updates"], course["noise_scale"], "D", color="C3", markersize=8, label="critical, measured")
    high = max(ax.get_ylim()[1], 1.5 * np.nanmax(course["noise_scale"]))
    ax.set_ylim(min(ax.get_ylim()[0], np.nanmin(course["noise_scale"]) / 1.5), high)
    ax.get_legend().remove()
    ax.legend(loc="upper left")
    return display.figure_


if __name__ == "__main__":
    reproduce(__file__, measure)
