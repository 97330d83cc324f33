"""Displays of a search: what they draw is what it found."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import GridSearchCV
from sklearn.preprocessing import scale

from minibatch import MiniBatchSGDClassifier
from minibatch.model_selection import MiniBatchGridSearchCV
from minibatch.plotting import BatchSizeLearningRateDisplay, ConvergenceDisplay

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.usefixtures("close_figures"),
]
X, y = load_breast_cancer(return_X_y=True)
GRID = {"batch_size": [8, "full"], "eta0": [0.001, 0.01, 1e9]}


@pytest.fixture(scope="module")
def search():
    model = MiniBatchSGDClassifier("squared_error", learning_rate="constant", max_iter=4, tol=None, random_state=0)
    return MiniBatchGridSearchCV(model, GRID, cv=2, return_train_score=True).fit(scale(X), y)


def test_lines_are_mean_losses_of_candidates(search):
    display = ConvergenceDisplay.from_search(search, [4, 0], x="n_updates", log_x=False, log_y=False)
    assert display.ax_.get_ylabel() == "Training loss"
    for line, number in zip(display.lines_, [4, 0], strict=True):
        histories = [search.history_of(number, split) for split in range(2)]
        for name, drawn in (("n_updates", line.get_xdata()), ("progressive_loss", line.get_ydata())):
            assert_allclose(drawn, np.mean([history[name] for history in histories], axis=0))
    assert display.lines_[0].get_label().startswith("full")
    assert "eta0=0.01" in display.lines_[0].get_label()


def test_the_best_are_drawn_where_nobody_says_which(search):
    display = ConvergenceDisplay.from_search(search)
    assert len(display.lines_) == 6
    best = search.best_params_
    assert display.curve.param_range[0] == best["batch_size"]
    assert display.curve.paired_params["eta0"][0] == best["eta0"]
    assert np.isfinite(display.curve.summary_["mean_train_score"][0])


def test_a_map_says_which_diverged(search):
    display = BatchSizeLearningRateDisplay.from_search(search)
    assert_allclose(display.scores, search.cv_results_["mean_test_score"])
    assert_allclose(display.diverged, [0, 0, 1, 0, 0, 1])
    assert_allclose(display.resolved_batch_sizes, [8, 8, 8, 284.5, 284.5, 284.5])


def test_other_searches_are_refused(search):
    with pytest.raises(TypeError, match=r"search must be a MiniBatchGridSearchCV, .*; got GridSearchCV"):
        ConvergenceDisplay.from_search(GridSearchCV(search.estimator, GRID))
