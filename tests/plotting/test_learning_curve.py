"""`LearningCurveDisplay`."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.datasets import make_classification

from minibatch import MiniBatchSGDClassifier
from minibatch.model_selection import convergence_curve
from minibatch.plotting import LearningCurveDisplay

X, Y = make_classification(400, 5, random_state=0)
MODEL = MiniBatchSGDClassifier("log_loss", max_iter=3, tol=None, random_state=0)
SHARED = {"param_name": "train_size", "cv": 3}


@pytest.fixture(scope="module")
def curve():
    return convergence_curve(MODEL, X, Y, param_range=[30, 60, 120, 200, 260], **SHARED)


@pytest.mark.parametrize("y", ["loss", "score"])
def test_points_and_law_are_those_of_the_curve(curve, y):
    display = LearningCurveDisplay.from_curve(curve, y=y)
    for part, bars in zip(("train", "test"), display.errorbars_, strict=True):
        sizes, means = bars.lines[0].get_data()
        assert_allclose(sizes, [30, 60, 120, 200, 260])
        assert_allclose(means, curve.folds_[f"{part}_{y}"].mean(axis=1))
    tried, beyond = display.lines_
    law = curve.power_law(f"test_{y}")
    for line in (tried, beyond):
        n, values = line.get_data()
        assert_allclose(values, law.a * n**-law.b + law.c)
    assert_allclose(tried.get_xdata()[[0, -1]], [30, 260])
    assert_allclose(beyond.get_xdata()[[0, -1]], [260, 520])
    assert display.ax_.get_ylabel() == {"loss": "Loss", "score": "Accuracy"}[y]


def test_the_law_is_drawn_as_far_as_asked(curve):
    display = LearningCurveDisplay.from_curve(curve, extrapolate_to=10_000, line_kw={"color": "black"})
    assert display.lines_[-1].get_xdata()[-1] == pytest.approx(10_000)
    assert display.lines_[0].get_color() == "black"


def test_no_law_from_three_sizes_or_with_a_fit_that_diverged():
    three = convergence_curve(MODEL, X, Y, param_range=[60, 120, 260], **SHARED)
    assert LearningCurveDisplay.from_curve(three).law_ is None
    wild = MiniBatchSGDClassifier("squared_error", learning_rate="constant", eta0=1e3, max_iter=3, random_state=0)
    with pytest.warns(UserWarning, match="diverged"):
        diverged = convergence_curve(wild, X, Y, param_range=[60, 90, 120, 260], **SHARED)
    display = LearningCurveDisplay.from_curve(diverged)
    assert display.law_ is None
    assert not np.isfinite(display.errorbars_[0].lines[0].get_ydata()).any()


def test_what_cannot_be_drawn_is_named(curve):
    over_sizes = convergence_curve(MODEL, X, Y, param_range=[8, 64], cv=3)
    with pytest.raises(ValueError, match=r"over 'batch_size'.*param_name='train_size'"):
        LearningCurveDisplay.from_curve(over_sizes)
    with pytest.raises(ValueError, match="extrapolate_to"):
        LearningCurveDisplay.from_curve(curve, extrapolate_to=0)
    with pytest.raises(ValueError, match="quantity"):
        LearningCurveDisplay.from_estimator(MODEL, X, Y, quantity="gap")
