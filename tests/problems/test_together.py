"""_problems.together: each of the models that share passes is the one that it would be alone."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from minibatch._problems import candidates
from minibatch._problems.state import Request
from minibatch._problems.together import run_together
from minibatch.engine.optimizers import ADAM
from references.shared_passes import (
    LOSSES,
    ORDER,
    N,
    X,
    assert_as_alone,
    auto_request,
    copy_of,
    of_many_numbers,
    refuse_to_train_alone,
    request,
)


@pytest.fixture
def shares_a_pass(monkeypatch):
    refuse_to_train_alone(monkeypatch)


@pytest.mark.usefixtures("shares_a_pass")
@pytest.mark.parametrize("batch_size", [1, 2, 4, N])
@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_and_batch_size(loss, batch_size):
    assert_as_alone(of_many_numbers(loss=loss, batch_size=batch_size, n_outputs=2))


@pytest.mark.usefixtures("shares_a_pass")
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_classes_and_weights(fit_intercept):
    labels = (np.arange(N) % 3).astype(float)[:, None]
    weight = np.random.default_rng(3).integers(0, 3, N).astype(float)
    class_weight = np.array([[1.0, 0.5, 2.0], [0.3, 1.0, 4.0]])
    more = {"n_outputs": 3, "outputs": "ovr", "y": labels, "weight": weight, "class_weight": class_weight}
    assert_as_alone(of_many_numbers(fit_intercept=fit_intercept, **more))


@pytest.mark.usefixtures("shares_a_pass")
def test_some_of_the_rows_in_blocks(monkeypatch):
    monkeypatch.setattr(candidates, "BLOCK_ROWS", 8)
    rows = np.arange(3, N)
    assert_as_alone(of_many_numbers(batch_size=20, order=np.arange(len(rows))[::-1].copy(), rows=rows))


@pytest.mark.usefixtures("shares_a_pass")
@pytest.mark.parametrize("batch_size", [1, 8])
def test_float32(batch_size):
    assert_as_alone(of_many_numbers(matrix=X.astype(np.float32), batch_size=batch_size), 1e-5)


@pytest.mark.usefixtures("shares_a_pass")
@pytest.mark.parametrize("batch_size", [1, 8])
def test_l2_that_leaves_nothing_of_the_weights(batch_size):
    assert_as_alone(
        [request(eta, l2=l2, batch_size=batch_size) for eta in (0.1, 0.3) for l2 in (0.1, 9.99, 10.0, 50.0)]
    )


def test_one_that_explodes_leaves_the_others_as_they_are():
    fine = [request(eta, loss="squared_error") for eta in np.linspace(0.01, 0.2, 8)]
    with_another, shared = copy_of([*fine, request(1e300, loss="squared_error")]), copy_of(fine)
    run_together(shared)
    run_together(with_another)
    assert not np.isfinite(with_another[-1].state.theta).all()
    for one, other in zip(shared, with_another, strict=False):
        assert_allclose(one.state.theta, other.state.theta, rtol=1e-12)


def test_what_cannot_share_a_pass_trains_alone():
    adam, other_order = request(0.1, solver=ADAM), request(0.1, order=ORDER[::-1].copy())
    softmax = request(0.1, n_outputs=3, outputs="multinomial", y=(np.arange(N) % 3).astype(float)[:, None])
    sparse, copied = request(0.1, matrix=sp.csr_array(X)), request(0.1, matrix=X.copy())
    averaged = request(0.1)
    averaged = Request(
        averaged.problem,
        averaged.problem.new_state(averaged.state.theta, True),
        averaged.epoch._replace(first_averaged=3),
    )
    l1, sizes = request(0.1, l1=0.1), [request(0.1, batch_size=size) for size in (1, 5, N)]
    followed = request(0.1, batch_size=1)
    followed = followed._replace(problem=replace(followed.problem, squares=(X**2).sum(axis=1)))
    mixed = [adam, other_order, softmax, sparse, copied, averaged, l1, *sizes, followed]
    alone, shared = copy_of(mixed), copy_of(mixed)
    losses = [problem.run_epoch(state, epoch) for problem, state, epoch in alone]
    for one, other, found, expected in zip(shared, alone, run_together(shared), losses, strict=True):
        assert_array_equal(found, expected)
        assert_array_equal(one.state.theta, other.state.theta)
        assert one.state.n_averaged == other.state.n_averaged


@given(st.permutations(range(8)), st.integers(1, 8))
def test_neither_their_order_nor_their_number_matters(places, number):
    requests = of_many_numbers()  # fewer train alone
    everyone, some = copy_of(requests), copy_of(requests)
    run_together(everyone)
    run_together([some[i] for i in places[:number]])
    for i in places[:number]:
        assert_allclose(some[i].state.theta, everyone[i].state.theta, rtol=1e-12)
