"""What fails while training goes on: workers, memory, disks, files, and whoever presses Ctrl-C."""

import errno
import os
import signal
import subprocess
import time
from multiprocessing import Pipe
from pathlib import Path
from threading import Timer

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.base import clone
from sklearn.decomposition import IncrementalPCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from minibatch import MiniBatchSGDRegressor
from minibatch.distributed import ArrayShards, ParquetRows, _driver, _processes, _streamed, _worker, fit
from minibatch.distributed._worker import Member

X = np.random.default_rng(0).standard_normal((300, 3))
Y = X @ [1.0, -2.0, 0.5]
MODEL = MiniBatchSGDRegressor(
    learning_rate="constant", eta0=0.02, batch_size=30, max_iter=3, tol=None, random_state=0, shuffle=False
)
posix = pytest.mark.skipif(os.name != "posix", reason="signals and sockets of POSIX")


def at_call(monkeypatch, owner, name, number, action):
    """Before a call."""
    real, count = getattr(owner, name), [0]

    def wrapped(*args, **kwargs):
        count[0] += 1
        if count[0] == number:
            action(args[0])
        return real(*args, **kwargs)

    monkeypatch.setattr(owner, name, wrapped)


def fails(error):
    def action(_):
        raise error

    return action


def shards():
    return ArrayShards([X[:100], X[100:]], [Y[:100], Y[100:]])


@pytest.fixture
def memory(tmp_path, monkeypatch):
    """What workers share is in here."""
    monkeypatch.setattr(_processes, "_MEMORY", tmp_path)
    return tmp_path


@pytest.fixture
def started(monkeypatch):
    """The processes that were started; none may be there when the test is over."""
    found, popen = [], subprocess.Popen

    def and_note(*args, **kwargs):
        found.append(popen(*args, **kwargs))
        return found[-1]

    monkeypatch.setattr(_processes.subprocess, "Popen", and_note)
    yield found
    assert all(process.poll() is not None for process in found)


@pytest.fixture
def ctrl_c():
    """It is heard, though a shell that runs the tests behind has it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


class OfTwoWords(Exception):
    def __init__(self, one, two):
        super().__init__(f"{one} and {two}")


def test_a_worker_without_memory_is_started_anew_and_the_model_stays_the_same(on_threads, monkeypatch):
    expected = fit(clone(MODEL), X, Y, n_workers=2)
    at_call(monkeypatch, Member, "train", 9, fails(MemoryError("no room for 8 bytes")))
    with pytest.warns(RuntimeWarning, match=r"Lost: worker . \(process 0\) ran out of memory \(no room for 8 bytes\)"):
        model = fit(clone(MODEL), X, Y, n_workers=2)
    assert_allclose(model.coef_, expected.coef_, rtol=1e-12)


def test_losses_that_training_goes_on_between_end_no_fit(on_threads, monkeypatch):
    monkeypatch.setattr(_processes, "MOST_LOST", 1)
    train, count = Member.train, [0]

    def often(self, job):
        count[0] += 1
        if count[0] % 6 == 0:
            raise MemoryError
        return train(self, job)

    monkeypatch.setattr(Member, "train", often)
    with pytest.warns(RuntimeWarning) as said:
        model = fit(clone(MODEL), X, Y, n_workers=2)
    assert len(said) > 1
    assert_allclose(model.coef_, clone(MODEL).fit(X, Y).coef_, rtol=1e-9)


@pytest.mark.parametrize("at", ["__init__", "train"])
def test_an_error_that_cannot_be_sent_is_told_all_the_same(at, on_threads, monkeypatch):
    at_call(monkeypatch, Member, at, 2, fails(OfTwoWords("salt", "pepper")))
    with pytest.raises(RuntimeError, match="OfTwoWords: salt and pepper"):
        fit(clone(MODEL), X, Y, n_workers=2)


@posix
def test_nobody_waits_for_ever_where_nobody_reads():
    here, there = Pipe()
    _processes._limit(here, 0.2)
    began = time.monotonic()
    with pytest.raises(OSError, match=os.strerror(errno.EAGAIN)):
        here.send(bytes(10**7))
    with pytest.raises(OSError, match=os.strerror(errno.EAGAIN)):
        here.recv()
    assert time.monotonic() - began < 5.0
    there.close()


@pytest.mark.parametrize("n_full", [1, 2])
def test_full_memory_is_not_written_to(n_full, on_threads, memory, monkeypatch):
    """Else the system kills whoever does so, halfway."""
    left, dump = [n_full], _processes.joblib.dump

    def full(*args):
        left[0] -= 1
        if left[0] >= 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return dump(*args)

    monkeypatch.setattr(_processes.joblib, "dump", full)
    if n_full == 1:
        assert_allclose(fit(clone(MODEL), X, Y, n_workers=2).coef_, clone(MODEL).fit(X, Y).coef_, rtol=1e-9)
    else:
        with pytest.raises(OSError, match=r"No room in .* for the 0 MiB that workers share; .* TMPDIR"):
            fit(clone(MODEL), X, Y, n_workers=2)
    assert not [*memory.iterdir()]


def test_room_for_rates_is_reserved_before_they_are_written(on_threads, memory, monkeypatch):
    monkeypatch.setattr(_processes, "reserve", lambda *_: fails(OSError(errno.ENOSPC, "full"))(None))
    with pytest.raises(OSError, match="No room in"):
        fit(clone(MODEL), X, Y, n_workers=2)
    assert not [*memory.iterdir()]


@pytest.mark.parametrize("change", ["gone", "written anew", "damaged"])
def test_a_file_that_changes_between_epochs_is_named_and_the_estimator_stays(change, tmp_path, monkeypatch):
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    path = tmp_path / "rows.parquet"
    parquet.write_table(pa.table({"a": X[:, 0], "b": X[:, 1], "label": Y}), path, row_group_size=100)

    def spoil(_):
        if change == "gone":
            path.unlink()
        elif change == "written anew":
            parquet.write_table(pa.table({"a": X[:9, 0], "b": X[:9, 1], "label": Y[:9]}), path)
        else:
            times = path.stat()
            path.write_bytes(b"\xff" * times.st_size)
            os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))

    model = clone(MODEL).fit(X[:, :2], Y)
    before = dict(vars(model))
    monkeypatch.setattr("minibatch.distributed._stream.ROWS_OF_WINDOW", 100)
    at_call(monkeypatch, _streamed.Local, "train", 3, spoil)
    words = "gone" if change == "gone" else "written anew|damaged"  # the file may be read in the middle of a change
    with pytest.raises(ValueError, match=rf"rows\.parquet.*({words})"):
        fit(model, ParquetRows(path, "label"))
    assert vars(model) == before


def test_transformers_begin_anew_and_stay_as_they_were_if_anything_fails():
    pipeline = make_pipeline(StandardScaler(), IncrementalPCA(2), clone(MODEL))
    first = fit(pipeline, shards())[:-1].transform(X)
    again = fit(pipeline, shards())
    assert_allclose(again[:-1].transform(X), first)
    before = [dict(vars(step)) for _, step in again.steps]
    damaged = ArrayShards([X[:100], np.full((9, 3), np.nan)], [Y[:100], Y[:9]])
    with pytest.raises(ValueError, match="NaN"):
        fit(again, damaged)
    assert all(vars(step).keys() == was.keys() for (_, step), was in zip(again.steps, before, strict=True))
    assert all(
        vars(step)[name] is was[name] for (_, step), was in zip(again.steps, before, strict=True) for name in was
    )


def test_a_period_that_is_found_on_a_source_is_one_that_memory_holds():
    record = _driver.Record(None, by_gradients=False, most_rows=1000)
    for _ in range(12):
        n_updates = record.next_updates(20)
        assert n_updates * 20 <= 1000
        record.add(_driver.Traffic(1, 0, 0.9), n_updates, 1.0)
    record.next_updates(20)
    assert record.period == 50


def test_a_worker_whose_driver_was_killed_leaves_no_folder(memory, monkeypatch):
    here, there = Pipe()
    for folder in ("shared", "lobby"):
        (memory / folder).mkdir()
    (memory / "lobby" / "driver").touch()
    monkeypatch.setattr(_worker, "Client", lambda *_, **__: there)
    monkeypatch.setattr(_worker, "Member", lambda team: here.close())
    monkeypatch.setattr(_worker.signal, "signal", lambda *_: None)
    monkeypatch.setenv(_worker.ADDRESS, str(memory / "lobby" / "driver"))
    monkeypatch.setenv(_worker.KEY, "00")
    here.send(_worker.Team(memory / "shared" / "team", *[None] * 10))
    _worker.main()
    assert not [*memory.iterdir()]


def test_a_worker_whose_driver_is_gone_before_it_comes_says_nothing(monkeypatch, tmp_path):
    monkeypatch.setenv(_worker.ADDRESS, str(tmp_path / "nobody"))
    monkeypatch.setenv(_worker.KEY, "00")
    monkeypatch.setattr(_worker.signal, "signal", lambda *_: None)
    _worker.main()


def interrupt_after(seconds, sent):
    def send():
        sent.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)

    timer = Timer(seconds, send)
    timer.start()
    return timer


@posix
def test_ctrl_c_and_lost_workers_with_real_processes(started, memory, monkeypatch, ctrl_c):
    model = clone(MODEL).set_params(max_iter=5000).fit(X[:9], Y[:9])
    before, sent = dict(vars(model)), []
    at_call(monkeypatch, _processes.Processes, "_gather", 1, lambda self: self._workers[0].process.kill())
    at_call(monkeypatch, _processes.Processes, "train", 3, lambda _: interrupt_after(0.2, sent))
    with (
        pytest.raises(KeyboardInterrupt),
        pytest.warns(RuntimeWarning, match=r"Lost: worker 0 .* ended with status -9"),
    ):
        fit(model, X, Y, n_workers=2)
    assert time.monotonic() - sent[0] < 2.0
    assert len(started) == 3
    assert vars(model) == before
    assert not [*memory.iterdir()]


@posix
@pytest.mark.slow
@pytest.mark.parametrize(("sync", "data"), [("gradients", "arrays"), ("parameters", "shards")])
def test_ctrl_c_at_any_moment_ends_all_and_changes_nothing(sync, data, started, memory, ctrl_c):
    """From before workers are started until after they are ended."""
    args = (X, Y) if data == "arrays" else (shards(),)
    model = fit(clone(MODEL).set_params(max_iter=50), *args, n_workers=2, sync=sync)
    began = time.monotonic()
    fit(clone(model), *args, n_workers=2, sync=sync)
    whole, before = time.monotonic() - began, dict(vars(model))
    for moment in np.linspace(0.0, 1.05 * whole, 12):
        sent = []
        try:
            timer = interrupt_after(moment, sent)
            fit(model, *args, n_workers=2, sync=sync)
            timer.join()
            time.sleep(0.1)
        except KeyboardInterrupt:
            assert time.monotonic() - sent[0] < 2.0
            assert vars(model) == before
        before = dict(vars(model))
        assert all(process.poll() is not None for process in started)
        assert not [*memory.iterdir()]


@posix
@pytest.mark.slow
def test_all_workers_may_be_lost_at_once(started):
    model, lost = clone(MODEL), pytest.MonkeyPatch()
    with lost.context() as patch:
        at_call(patch, _processes.Processes, "train", 3, lambda self: [one.process.kill() for one in self._workers])
        with pytest.warns(RuntimeWarning, match=r"worker 4 .* ended"):
            fit(model, X, Y, n_workers=5)
    assert_allclose(model.coef_, clone(MODEL).fit(X, Y).coef_, rtol=1e-9)


def test_a_worker_that_ends_as_it_is_started_is_told(monkeypatch, started, tmp_path):
    monkeypatch.setattr(_processes.sys, "executable", str(Path(os.devnull if os.name != "posix" else "/bin/false")))
    with pytest.raises(RuntimeError, match=r"worker process \d+ ended with status 1 as it was started"):
        fit(clone(MODEL), X, Y, n_workers=2)
