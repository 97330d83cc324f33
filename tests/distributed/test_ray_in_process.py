"""The driver's side of Ray, against as much of Ray as it uses, on threads of this process: ``test_ray`` has the real
one."""

import asyncio
from concurrent.futures import ALL_COMPLETED, FIRST_COMPLETED, CancelledError, Future, ThreadPoolExecutor, wait
from threading import Thread
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.base import clone

from minibatch import MiniBatchSGDRegressor
from minibatch.distributed import _ray, fit

X = np.random.default_rng(0).standard_normal((120, 3))
Y = X @ [1.0, -1.0, 2.0]
MODEL = MiniBatchSGDRegressor(
    learning_rate="constant", eta0=0.02, batch_size=12, max_iter=2, tol=None, random_state=0, shuffle=False
)


class ActorError(Exception):
    pass


class GetTimeoutError(TimeoutError):
    pass


class TaskError(Exception):
    def __init__(self, cause):
        super().__init__(str(cause))
        self.cause = cause


class Handle:
    """Of an actor: its methods run one after the other, or in a loop where they are coroutines."""

    def __init__(self, one):
        self._one, self._pool, self.is_dead = one, ThreadPoolExecutor(1), False
        self._loop, self.waiting = asyncio.new_event_loop(), []
        Thread(target=self._loop.run_forever, daemon=True).start()

    def __getattr__(self, name):
        return SimpleNamespace(remote=lambda *args: self._call(name, args))

    def _call(self, name, args):
        if self.is_dead:
            gone = Future()
            gone.set_exception(ActorError("gone"))
            return gone
        method, values = getattr(self._one, name), [arg.result() if isinstance(arg, Future) else arg for arg in args]
        if asyncio.iscoroutinefunction(method):
            call = asyncio.run_coroutine_threadsafe(method(*values), self._loop)
            self.waiting.append(call)
            if self.is_dead:  # since it was asked
                call.cancel()
            return call
        return self._pool.submit(method, *values)


class AsRay:
    exceptions = SimpleNamespace(RayActorError=ActorError, GetTimeoutError=GetTimeoutError, RayTaskError=TaskError)

    def __init__(self):
        self.is_there, self.killed = False, []

    def is_initialized(self):
        return self.is_there

    def init(self, **_):
        self.is_there = True

    def shutdown(self):
        self.is_there = False

    def remote(self, **_):
        return lambda what: SimpleNamespace(
            remote=(lambda *args: Handle(what(*args)))
            if isinstance(what, type)
            else lambda ref: self.put(what(ref.result()))
        )

    def put(self, value):
        found = Future()
        found.set_result(value)
        return found

    def get(self, refs, timeout=20.0):
        if isinstance(refs, list):
            return [self.get(ref, timeout) for ref in refs]
        try:
            return refs.result(timeout)
        except (ActorError, CancelledError) as error:
            raise ActorError("gone") from error
        except TimeoutError as error:
            raise GetTimeoutError from error
        except Exception as error:
            raise TaskError(error) from error

    def wait(self, refs, num_returns, timeout):
        done, _ = wait(refs, timeout, FIRST_COMPLETED if num_returns == 1 else ALL_COMPLETED)
        return [ref for ref in refs if ref in done], [ref for ref in refs if ref not in done]

    def kill(self, handle):
        handle.is_dead = True
        for call in handle.waiting:
            call.cancel()
        self.killed.append(handle)


class Dataset:
    """Blocks of columns."""

    def __init__(self, *blocks):
        self._blocks = blocks

    def materialize(self):
        return self

    def schema(self):
        return SimpleNamespace(names=list(self._blocks[0]))

    def to_numpy_refs(self):
        return [ray_of_tests.put(block) for block in self._blocks]


Dataset.__module__ = "ray.data.of_tests"
ray_of_tests = AsRay()


@pytest.fixture(autouse=True)
def ray(monkeypatch):
    ray_of_tests.killed.clear()
    monkeypatch.setattr(_ray, "_ray", lambda: ray_of_tests)
    yield ray_of_tests
    assert not ray_of_tests.is_there


def dataset(**more):
    def block(here):
        return {**{name: X[here, j] for j, name in enumerate("abc")}, "label": Y[here], **more}

    return Dataset(
        block(slice(0, 50)), {name: values[:0] for name, values in block(slice(0, 0)).items()}, block(slice(50, 120))
    )


def test_gradients_give_the_model_of_fit(ray):
    shared = fit(clone(MODEL), X, Y, n_workers=3, backend="ray")
    assert_allclose(shared.coef_, clone(MODEL).fit(X, Y).coef_, rtol=1e-10)
    assert len(ray.killed) == 4  # the workers, and who adds


def test_parameters_give_the_model_of_processes_whoever_dies_on_the_way(ray, monkeypatch):
    how = {"n_workers": 2, "sync": "parameters", "period": 2, "backend": "ray"}
    expected = fit(clone(MODEL), X, Y, **how)
    train, count = _ray.RayWorkers.train, [0]

    def and_lose(self, *job):
        count[0] += 1
        if count[0] in (2, 4):
            ray.kill(self._actors[count[0] % 2])
        return train(self, *job)

    monkeypatch.setattr(_ray.RayWorkers, "train", and_lose)
    assert_allclose(fit(clone(MODEL), X, Y, **how).coef_, expected.coef_, rtol=1e-12)
    monkeypatch.setattr(_ray, "MOST_LOST", 0)
    count[0] = 0
    with pytest.raises(RuntimeError, match="workers were lost"):
        fit(clone(MODEL), X, Y, **how)


def test_a_worker_that_is_gone_before_it_has_joined_is_started_anew(ray, monkeypatch):
    start, count = _ray.RayWorkers._start, [0]

    def and_lose_the_first(self):
        found = start(self)
        count[0] += 1
        if count[0] == 1:
            ray.kill(found)
        return found

    monkeypatch.setattr(_ray.RayWorkers, "_start", and_lose_the_first)
    shared = fit(clone(MODEL), X, Y, n_workers=2, backend="ray")
    assert_allclose(shared.coef_, clone(MODEL).fit(X, Y).coef_, rtol=1e-10)
    assert count == [3]


def test_rows_of_a_data_set_are_those_of_the_array():
    read = fit(clone(MODEL), dataset(), target="label")
    assert_allclose(read.coef_, clone(MODEL).fit(X, Y).coef_, rtol=1e-10)
    assert read.feature_names_in_.tolist() == list("abc")
    full = clone(MODEL).set_params(batch_size="full")
    shared = fit(clone(full), dataset(), target="label", n_workers=2, backend="ray")
    assert_allclose(shared.coef_, clone(full).fit(X, Y).coef_, rtol=1e-10)


def test_what_is_wrong_with_a_data_set_is_said():
    with pytest.raises(ValueError, match="no column 'nothing'"):
        fit(clone(MODEL), dataset(), target="nothing")
    with pytest.raises(ValueError, match="target must name"):
        fit(clone(MODEL), dataset())
    with pytest.raises(ValueError, match="Column 'word' has values of type"):
        fit(clone(MODEL), dataset(word=np.array(["a"] * 70)), target="label")
    with pytest.raises(ValueError, match="is for Ray Data sets"):
        fit(clone(MODEL), X, Y, target="label")


def test_an_error_of_a_worker_is_raised_where_it_was_asked_for(monkeypatch):
    def fails(*_):
        raise ArithmeticError("in a worker")

    monkeypatch.setattr(_ray._Actor, "train", fails)
    with pytest.raises(ArithmeticError, match="in a worker"):
        fit(clone(MODEL), X, Y, n_workers=2, backend="ray")


def test_an_adder_adds_in_the_order_of_ranks_and_waits_no_longer_than_it_may():
    async def talk():
        adder = _ray._Adder(3, 5.0)
        values = [np.array([1.0]), np.array([1e16]), np.array([-1e16])]  # another order gives another sum
        return await asyncio.gather(*(adder.added(1, rank, values[rank]) for rank in (2, 0, 1)))

    assert [total.tolist() for total in asyncio.run(talk())] == [[0.0]] * 3
    with pytest.raises(TimeoutError):
        asyncio.run(_ray._Adder(2, 0.05).added(1, 0, np.zeros(1)))


@pytest.mark.parametrize("at", ["join", "train"])
def test_a_worker_that_has_no_memory_or_dies_as_it_joins_costs_one_round(at, ray, monkeypatch):
    owner, name = (_ray._Actor, "train") if at == "train" else (_ray.RayWorkers, "_start")
    real, count = getattr(owner, name), [0]

    def fails_once(self, *args):
        count[0] += 1
        if count[0] == 2 and at == "train":
            raise MemoryError("no room")
        found = real(self, *args)
        if count[0] == 2 and at == "join":
            ray.kill(found)
        return found

    monkeypatch.setattr(owner, name, fails_once)
    said = "all are there, but one has no memory" if at == "train" else "worker 1 is gone"
    with pytest.warns(RuntimeWarning, match=f"Lost: {said}"):
        model = fit(clone(MODEL), X, Y, n_workers=2, backend="ray", timeout=20.0)
    assert_allclose(model.coef_, clone(MODEL).fit(X, Y).coef_, rtol=1e-10)
