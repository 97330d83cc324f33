"""What the tests of several displays draw, and how they read a figure."""

import dataclasses
from itertools import combinations

import numpy as np
from sklearn.datasets import make_classification

from minibatch import MiniBatchSGDClassifier
from minibatch.plotting import BatchSizeLearningRateDisplay

X, Y = make_classification(120, 6, n_informative=4, flip_y=0.1, random_state=0)
SGD = MiniBatchSGDClassifier("log_loss", learning_rate="constant", eta0=0.03, tol=None, random_state=0)
SIZES = [1, 8, 0.5, "full"]
FOLDS, EPOCHS = 3, 6


def changed(curve, *, status=(), ends=(), **folds):
    """The curve with other statuses and ends of fits, {(value, fold): ...}, and other numbers a fold."""
    new_folds = {name: values.copy() for name, values in curve.folds_.items()} | folds
    new_folds["status"] = new_folds["status"].astype(object)
    curves = {name: values.copy() for name, values in curve.curves_.items()}
    for place, word in dict(status).items():
        new_folds["status"][place] = word
    for place, end in dict(ends).items():
        for values in curves.values():
            values[place][end:] = np.nan
    return dataclasses.replace(curve, folds_=new_folds, curves_=curves)


def legend_words(display):
    return [text.get_text() for text in display.ax_.get_legend().get_texts()]


def assert_legible(figure):
    """Labels of ticks and axes, title and legend: nothing on one another, nothing outside the figure."""
    figure.canvas.draw()
    for ax in figure.axes:
        boxes = {f"{name} tick {i}": box for name in "xy" for i, box in enumerate(tick_boxes(ax, name))}
        for name, artist in {
            "x label": ax.xaxis.label, "y label": ax.yaxis.label, "title": ax._left_title, "legend": ax.get_legend()
        }.items():  # fmt: skip
            if artist is not None and not (hasattr(artist, "get_text") and not artist.get_text()):
                boxes[name] = artist.get_window_extent()
        for (one, first), (other, second) in combinations(boxes.items(), 2):
            assert not first.overlaps(second), f"{one} lies on {other}"
        for name, box in boxes.items():
            assert min(box.x0, box.y0) >= -1, name
            assert max(box.x1 - figure.bbox.x1, box.y1 - figure.bbox.y1) <= 1, name


def tick_boxes(ax, name):
    axis = getattr(ax, f"{name}axis")
    low, high = sorted(axis.get_view_interval())
    ticks = [tick for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
    return [tick.label1.get_window_extent() for tick in ticks if tick.label1.get_visible() and tick.label1.get_text()]


def rate_map(**options):
    """Nine cells: the score is a known function of size and rate; the largest rate diverges at size 1."""
    sizes, rates = (grid.ravel() for grid in np.meshgrid([1, 8, 64], [0.01, 0.1, 1.0], indexing="ij"))
    diverged = (sizes == 1) & (rates == 1.0)
    scores = 0.9 - 0.01 * np.abs(np.log10(rates) + 1) - 0.001 * sizes
    given = {"batch_sizes": sizes.tolist(), "learning_rates": rates, "scores": np.where(diverged, 7.0, scores)}
    return BatchSizeLearningRateDisplay(**{**given, "diverged": diverged, "scoring": "accuracy", **options})
