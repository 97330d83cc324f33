"""BatchSizeScalingDisplay.from_steps: the counts, the fit through them, sizes that did not arrive."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from minibatch import MiniBatchSGDRegressor
from minibatch.model_selection import steps_to_target
from minibatch.plotting import BatchSizeScalingDisplay
from references.plots import assert_legible, legend_words

pytestmark = pytest.mark.usefixtures("close_figures")


def steps(batch_sizes=(1, 4, 16, 64, 240), **arguments):
    X = np.random.default_rng(0).standard_normal((240, 12))
    given = {"learning_rates": np.geomspace(0.01, 1, 7), "target": ("train_loss", 0.01), "max_updates": 40}
    sgd = MiniBatchSGDRegressor(alpha=0, learning_rate="constant", random_state=0)
    return steps_to_target(sgd, X, X.sum(axis=1), batch_sizes=batch_sizes, **(given | arguments))


@pytest.fixture(scope="module")
def result():
    return steps()


def test_points_are_the_sizes_that_arrived(result):
    display = BatchSizeScalingDisplay.from_steps(result)
    assert np.isnan(result.updates[0])
    assert_allclose(display.lines_[0].get_xydata(), np.transpose([[4, 16, 64, 240], result.updates[1:]]))
    assert display.not_reached_.get_xdata().tolist() == [1.0]
    assert display.ax_.get_ylabel() == "Updates to training loss ≤ 0.01"
    assert legend_words(display) == [
        "fewest", f"fit, critical batch size {result.critical_batch_size:.3g}", "perfect scaling", "not reached",
    ]  # fmt: skip
    assert display.ax_.get_title(loc="left") == "Each size at its best learning rate; up to 40 updates a trial"
    assert_legible(display.figure_)


@pytest.mark.parametrize(("y", "power"), [("updates_to_target", 0), ("samples_to_target", 1)])
def test_the_line_of_the_fit(result, y, power):
    x, costs = BatchSizeScalingDisplay.from_steps(result, y=y).fit_line_.get_data()
    assert_allclose([x[0], x[-1]], [1, 240])
    assert_allclose(costs, result.fit.min_steps * (1 + result.critical_batch_size / x) * x**power)


def test_the_title_says_where_the_estimator_finds_its_rates():
    X = np.random.default_rng(0).standard_normal((60, 3))
    found = steps_to_target(
        MiniBatchSGDRegressor(random_state=0), X, X.sum(axis=1), batch_sizes=[4, 16], target=("train_loss", 0.1),
        max_updates=60,
    )  # fmt: skip
    title = BatchSizeScalingDisplay.from_steps(found).ax_.get_title(loc="left")
    assert title == "Each size at the rate that the estimator finds; up to 60 updates a trial"


def test_epochs_have_points_alone(result):
    display = BatchSizeScalingDisplay.from_steps(result, y="epochs_to_target")
    assert display.fit_line_ is None
    assert_allclose(display.lines_[0].get_ydata(), result.epochs[1:])


def test_without_a_fit_there_is_no_line():
    display = BatchSizeScalingDisplay.from_steps(steps([4, 16]))
    assert display.fit_line_ is None
    assert "fit" not in " ".join(legend_words(display))


def test_what_cannot_be_drawn(result):
    with pytest.raises(ValueError, match="y='seconds_to_target' is not in a StepsToTargetResult"):
        BatchSizeScalingDisplay.from_steps(result, y="seconds_to_target")
    with pytest.raises(TypeError, match="result must be a StepsToTargetResult, as steps_to_target returns"):
        BatchSizeScalingDisplay.from_steps([1, 2])
    with pytest.raises(ValueError, match="met before the first update"):
        BatchSizeScalingDisplay.from_steps(steps(target=("train_loss", 1e6)))
