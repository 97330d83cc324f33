"""_problems.together: each of the models that share passes is the one that it would be alone."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from minibatch._problems import candidates, together
from minibatch._problems.together import run_together
from minibatch.engine.optimizers import ADAM, DOWG
from references.shared_passes import (
    LOSSES,
    ORDER,
    N,
    X,
    assert_as_alone,
    assert_same_states,
    auto_request,
    autos_of_many_numbers,
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


@pytest.mark.usefixtures("shares_a_pass")
@pytest.mark.parametrize("loss", ["log_loss", "hinge"])
def test_the_penalty_is_followed_along_single_rows(loss):
    followed = [
        one._replace(problem=replace(one.problem, squares=(X**2).sum(axis=1)))
        for one in of_many_numbers(batch_size=1, loss=loss)
    ]
    assert followed[-1].problem.objective.l2 > 0.0
    assert_as_alone(followed)
    run_together(followed)
    assert followed[-1].state.penalty_seen > 0.0


def of_epochs(one, number):
    """Several, which notice in which order they come."""
    order = np.stack([np.roll(ORDER, i) for i in range(number)])
    etas = np.stack([one.epoch.etas / (1 + i) for i in range(number)])
    return one._replace(epoch=one.epoch._replace(order=order, etas=etas))


@pytest.mark.usefixtures("shares_a_pass")
@pytest.mark.parametrize("batch_size", [1, 4])
@pytest.mark.parametrize("of_numbers", [of_many_numbers, autos_of_many_numbers])
def test_several_epochs(of_numbers, batch_size):
    requests = [of_epochs(one, 3) for one in of_numbers(batch_size=batch_size)]
    if batch_size == 1 and of_numbers is of_many_numbers:  # their penalty is followed
        squares = (X**2).sum(axis=1)
        requests = [one._replace(problem=replace(one.problem, squares=squares)) for one in requests]
    alone, shared = copy_of(requests), copy_of(requests)
    for one, other, found in zip(shared, alone, run_together(shared), strict=True):
        expected = other.problem.run_epochs(other.state, other.epoch)
        assert_allclose(found.left.losses, expected.losses, rtol=1e-10)
        assert_allclose(found.left.penalties, expected.penalties, rtol=1e-9)
        assert_allclose(found.left.notes.thetas, expected.notes.thetas, rtol=1e-9, atol=1e-12)
        assert_allclose(found.left.notes.paces, expected.notes.paces, rtol=1e-9)
        assert one.state.slot_updates == other.state.slot_updates
        assert one.state.schedule_updates == other.state.schedule_updates


@pytest.mark.compiled
@pytest.mark.usefixtures("shares_a_pass")
@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("matrix", [X, X.astype(np.float32)])
def test_nobody_warns_of_an_overflow(matrix):
    exploding = [request(1e300, loss="squared_error", matrix=matrix, seed=i) for i in range(8)]
    run_together(exploding)
    assert not np.isfinite(exploding[0].state.theta).all()


def test_one_that_explodes_leaves_the_others_as_they_are():
    fine = [request(eta, loss="squared_error") for eta in np.linspace(0.01, 0.2, 8)]
    with_another, shared = copy_of([*fine, request(1e300, loss="squared_error")]), copy_of(fine)
    run_together(shared)
    run_together(with_another)
    assert not np.isfinite(with_another[-1].state.theta).all()
    for one, other in zip(shared, with_another, strict=False):
        assert_allclose(one.state.theta, other.state.theta, rtol=1e-12)


def counted(monkeypatch, train):
    """How many requests each call gets, of what then trains nothing."""
    numbers = []

    def count(requests):
        numbers.append(len(requests))
        return [None] * len(requests)

    monkeypatch.setattr(together, train, count)
    return numbers


def averaged(batch_size):
    return request(0.1, batch_size=batch_size, first_averaged=3)


def softmax(kind, batch_size):
    labels = (np.arange(N) % 3).astype(float)[:, None]
    return kind(0.1, batch_size=batch_size, n_outputs=3, outputs="multinomial", y=labels)


ALONE = {
    "CSR": lambda: request(0.1, matrix=sp.csr_array(X)),
    "the rates of DoWG": lambda: request(0.1, solver=DOWG),
    "an average along single rows": lambda: averaged(1),
    "softmax with auto": lambda: softmax(auto_request, N),
    "softmax in small batches": lambda: softmax(request, 4),
}


@pytest.mark.parametrize("kind", ALONE)
def test_what_cannot_share_a_pass_trains_alone(kind):
    requests = [ALONE[kind]() for _ in range(16)]
    alone, shared = copy_of(requests), copy_of(requests)
    for one, other, found in zip(shared, alone, run_together(shared), strict=True):
        assert_array_equal(found.left, other.run().left)
        assert_same_states(one.state, other.state, 0.0)


DIFFERENT = {
    "order": {"order": ORDER[::-1].copy()},
    "copied rows": {"matrix": X.copy()},
    "batch size": {"batch_size": 5},
    "some rows": {"rows": np.arange(N)},
    "weights": {"weight": np.ones(N)},
    "targets": {"y": np.where(np.arange(N) % 2 == 0, 1.0, -1.0)[:, None]},
    "intercept": {"fit_intercept": False},
    "loss": {"loss": "hinge"},
    "L1": {"l1": 0.1},
    "solver": {"solver": ADAM},
    "outputs": {"n_outputs": 2},
    "average": {"first_averaged": 2},
}


@pytest.mark.parametrize("what", DIFFERENT)
def test_those_that_differ_in_more_than_numbers_share_no_pass(what, monkeypatch):
    passes = []
    monkeypatch.setattr(
        together, "_one_by_one", lambda requests: passes.append(len(requests)) or [None] * len(requests)
    )
    run_together([*of_many_numbers(), *[request(0.1, **DIFFERENT[what]) for _ in range(4)]])
    assert passes == [4]


def test_autos_share_a_pass_where_columns_have_the_same_scales(monkeypatch):
    passes = []
    monkeypatch.setattr(
        together, "_one_by_one", lambda requests: passes.append(len(requests)) or [None] * len(requests)
    )
    others = [auto_request(0.1, scales=(1.0, 1.0, 1.0, 4.0, 1.0)), auto_request(0.1, n_updates=3)]
    run_together([*autos_of_many_numbers(), *others])
    assert passes == [1, 1]


def test_as_many_in_a_pass_as_the_cache_holds(monkeypatch):
    numbers = counted(monkeypatch, "train_sgd")
    monkeypatch.setattr(together, "CACHED_BYTES", 12 * 8 * 6)
    run_together([request(eta) for eta in np.linspace(0.01, 0.1, 30)])
    assert numbers == [10, 10, 10]


@pytest.mark.usefixtures("shares_a_pass")
@pytest.mark.parametrize("matrix", [X, X.astype(np.float32)])
@pytest.mark.parametrize("number", [8, 9, 15, 16, 17])
def test_numbers_that_leave_lanes_empty(number, matrix):
    tolerance = 1e-10 if matrix is X else 1e-5
    assert_as_alone([request(eta, matrix=matrix, batch_size=1) for eta in np.logspace(-3, -1, number)], tolerance)


@given(st.permutations(range(8)), st.integers(1, 8))
def test_neither_their_order_nor_their_number_matters(places, number):
    requests = of_many_numbers()  # fewer train alone
    everyone, some = copy_of(requests), copy_of(requests)
    run_together(everyone)
    run_together([some[i] for i in places[:number]])
    for i in places[:number]:
        assert_allclose(some[i].state.theta, everyone[i].state.theta, rtol=1e-12)
