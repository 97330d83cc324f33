"""The models that race, and the one that is advised."""

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler, scale

from minibatch import MiniBatchMLPClassifier, MiniBatchSGDClassifier
from minibatch.model_selection._candidates import Candidates, advised_schedule, finds_rates

X, Y = load_breast_cancer(return_X_y=True)
X = scale(X)


def candidates(**parameters):
    return Candidates(MiniBatchSGDClassifier("log_loss", **parameters), 0, (X, Y, None))


@pytest.mark.parametrize(
    ("model", "schedule", "own"),
    [
        (MiniBatchSGDClassifier(), "auto", True),
        (MiniBatchSGDClassifier(solver="adam"), "auto", True),
        (MiniBatchSGDClassifier(learning_rate="dowg"), "dowg", True),
        (MiniBatchSGDClassifier(learning_rate="optimal"), "inverse_time", False),
        (MiniBatchSGDClassifier(learning_rate="cosine"), "cosine", False),
        (MiniBatchMLPClassifier(), "auto", True),
        (MiniBatchMLPClassifier(learning_rate_init=0.01), "constant", False),  # as in scikit-learn
    ],
)
def test_which_schedule_is_advised(model, schedule, own):
    assert (advised_schedule(model), finds_rates(model)) == (schedule, own)


@pytest.mark.parametrize("schedule", ["constant", "inverse_time", "invscaling"])
def test_rates_are_multiples_of_that_of_eta0_auto(schedule):
    those = candidates(learning_rate=schedule)
    fitted = MiniBatchSGDClassifier(
        "log_loss", learning_rate=schedule, eta0="auto", batch_size=16, random_state=0, tol=None, max_iter=1
    ).fit(X, Y)
    model, rate = those.to_race(16)
    assert rate == model.eta0 == fitted.eta0_
    assert those.to_race(16, 9.0)[1] == pytest.approx(9.0 * rate)
    assert those.to_race(16, 1.0, seed=1)[0].random_state == 1
    assert those.to_race(16)[0].random_state == 0


def test_schedules_that_know_how_long_a_run_is_race_at_constant_rates_alone():
    those = candidates(learning_rate="cosine", max_iter=7)
    model, rate = those.to_race(16, 3.0)
    assert (model.learning_rate, model.eta0) == ("constant", those.rate(16, "constant"))
    assert np.isnan(rate)
    advised, rate = those.advised(those.final, 16, np.nan)
    assert (advised.learning_rate, advised.eta0, advised.max_iter) == ("cosine", rate, 7)
    assert rate == those.rate(16, "cosine")


def test_what_finds_its_rates_races_as_it_is():
    those = candidates()
    model, rate = those.to_race(64)
    assert np.isnan(rate)
    assert (model.learning_rate, model.batch_size, model.tol) == ("auto", 64, None)
    assert those.to_time(64).learning_rate == "auto"
    assert those.advised(those.final, 64, np.nan)[1] is None


def test_all_of_a_pipeline_is_advised_with_everything_set():
    final = MiniBatchSGDClassifier(
        "log_loss", learning_rate="optimal", alpha=1e-3, batch_size="full", average=True, max_iter=5
    )
    pipeline = make_pipeline(StandardScaler(), final)
    advised, rate = Candidates(final, 0, (X, Y, None)).advised(pipeline, 32, 0.5)
    changed = {"batch_size": 32, "eta0": 0.5, "learning_rate": "inverse_time", "learning_rate_scaling": None}
    assert advised[-1].get_params() == final.get_params() | changed
    assert rate == 0.5
    assert final.batch_size == "full"
    assert not hasattr(advised[0], "mean_")


def test_a_scaled_rate_is_given_for_the_size_itself():
    final = MiniBatchSGDClassifier(learning_rate="constant", learning_rate_scaling="linear", eta0=0.5)
    advised, rate = Candidates(final, 0, (X, Y, None)).advised(final, 32, 0.1)
    advised.set_params(max_iter=1, tol=None).fit(X, Y)
    assert advised.eta0_ == rate == 0.1


def test_sizes_without_a_rate_are_remembered():
    """Labels that the columns say nothing about."""
    those = Candidates(
        MiniBatchSGDClassifier("log_loss", learning_rate="constant", fit_intercept=False),
        0,
        (np.zeros((40, 2)), np.tile([0, 1], 20), None),
    )
    those.to_race(8)
    assert those.without_rate == [8]
