"""_problems.candidates_auto: models that share passes and find their rates are those that they would be alone."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from minibatch._problems import candidates
from minibatch._problems.together import run_together
from references.shared_passes import (
    LOSSES,
    N,
    X,
    assert_as_alone,
    auto_request,
    autos_of_many_numbers,
    copy_of,
    refuse_to_train_alone,
)

SCALES = [pytest.param((0.49,), id="alike"), pytest.param((4.0, 4.0, 0.25, 16.0, 0.0625), id="differ")]


@pytest.fixture(autouse=True)
def shares_a_pass(monkeypatch):
    refuse_to_train_alone(monkeypatch)


@pytest.mark.parametrize("batch_size", [1, 2, 4, N])
@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_and_batch_size(loss, batch_size):
    assert_as_alone(autos_of_many_numbers(loss=loss, batch_size=batch_size, n_outputs=2))


@pytest.mark.parametrize("n_updates", [0, 250, 1001])  # four single rows are a pass from update 256 on
@pytest.mark.parametrize("l1", [0.0, 0.05])
@pytest.mark.parametrize("scales", SCALES)
@pytest.mark.parametrize("batch_size", [1, 4])
def test_scales_and_penalties(scales, l1, batch_size, n_updates):
    assert_as_alone(autos_of_many_numbers(scales=scales, l1=l1, batch_size=batch_size, n_updates=n_updates), epochs=4)


@pytest.mark.parametrize("batch_size", [1, 5])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_classes_and_weights(fit_intercept, batch_size):
    labels = (np.arange(N) % 3).astype(float)[:, None]
    weight = np.random.default_rng(3).integers(0, 3, N).astype(float)
    class_weight = np.array([[1.0, 0.5, 2.0], [0.3, 1.0, 4.0]])
    more = {"n_outputs": 3, "outputs": "ovr", "y": labels, "weight": weight, "class_weight": class_weight}
    assert_as_alone(
        autos_of_many_numbers(fit_intercept=fit_intercept, batch_size=batch_size, n_updates=300, **more), epochs=3
    )


@pytest.mark.parametrize("batch_size", [1, 20])
def test_some_of_the_rows_in_blocks(monkeypatch, batch_size):
    monkeypatch.setattr(candidates, "BLOCK_ROWS", 8)
    rows = np.arange(3, N)
    order = np.arange(len(rows))[::-1].copy()
    assert_as_alone(autos_of_many_numbers(batch_size=batch_size, order=order, rows=rows))


@pytest.mark.parametrize("batch_size", [1, 3, 20])
def test_calls_that_are_cut_anywhere(monkeypatch, batch_size):
    monkeypatch.setattr(candidates, "BLOCK_ROWS", 8)
    monkeypatch.setattr(candidates, "at_once", lambda work: 0)
    assert_as_alone(autos_of_many_numbers(batch_size=batch_size, n_updates=300))


@pytest.mark.parametrize("batch_size", [1, 8])
@pytest.mark.parametrize("scales", SCALES)
def test_float32(scales, batch_size):
    assert_as_alone(
        autos_of_many_numbers(matrix=X.astype(np.float32), batch_size=batch_size, scales=scales, n_updates=300), 1e-4
    )


@pytest.mark.parametrize("batch_size", [1, 4])
def test_one_that_explodes_leaves_the_others_as_they_are(batch_size):
    more = {"loss": "squared_error", "batch_size": batch_size, "n_updates": 300}
    fine = [auto_request(distance, **more) for distance in np.linspace(0.01, 0.2, 16)]
    with np.errstate(over="ignore"):
        with_another, shared = copy_of([*fine, auto_request(1e200, **more)]), copy_of(fine)
    run_together(shared)
    run_together(with_another)
    assert not np.isfinite(with_another[-1].state.theta).all()
    for one, other in zip(shared, with_another, strict=False):
        assert_allclose(one.state.theta, other.state.theta, rtol=1e-12)


def test_squares_that_overflow():
    """Of a row without weight: there is no norm of what it adds, and rows are taken as batches."""
    huge, weight = X.copy(), np.ones(N)
    huge[3], weight[3] = 1e160, 0.0
    assert_as_alone(autos_of_many_numbers(matrix=huge, weight=weight, batch_size=1))
