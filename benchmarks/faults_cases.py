"""What ``faults.py`` tries, each in a process of its own: ``CASES`` has what is trained, what goes wrong, and when."""

import os
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path
from threading import Timer
from typing import Any

import numpy as np
from sklearn.preprocessing import StandardScaler

from minibatch import MiniBatchMLPClassifier, MiniBatchSGDClassifier
from minibatch.distributed import ArrayShards, ParquetRows, _checkpoint, _look, _processes, _ray, _streamed

__all__ = ["CASES", "CTRL_C", "DATA", "DRIVER", "WORKERS", "Case", "Scene"]

ROWS, COLUMNS = 200_000, 50
WORKERS, CTRL_C, DATA, DRIVER = "lost workers", "Ctrl-C", "data and disks", "driver"


@dataclass
class Scene:
    """Where a fault happens: the folder of the case, and what is known when it has happened."""

    folder: Path
    sent: float = 0.0
    workers: Any = None

    def now(self) -> None:
        self.sent = time.perf_counter()


@dataclass
class Case:
    """``fault`` is called with the scene before a call (of this number) of ``where``, which is (owner, name)."""

    kind: str
    name: str
    where: tuple[Any, str] | None
    fault: Any
    call: int = 1
    engine: str = "processes"
    how: dict[str, Any] = field(default_factory=dict)
    data: str = "arrays"
    model: Any = None
    mounts: tuple[str, ...] = ()  # folders that are small file systems
    setting: Any = None  # before all

    def arguments(self, scene: Scene) -> tuple[tuple[Any, ...], dict[str, Any]]:
        how = {"n_workers": 2, "backend": self.engine, **self.how}
        if how.get("checkpoint"):
            how["checkpoint"] = scene.folder / how["checkpoint"]
        return _data(self.data, scene.folder), how

    def estimator(self) -> Any:
        return MODEL if self.model is None else self.model


MODEL = MiniBatchSGDClassifier(
    "log_loss", learning_rate="constant", eta0=0.01, batch_size=1000, max_iter=20, tol=None, random_state=0
)
NETWORK = MiniBatchMLPClassifier((4000,), batch_size=1000, max_iter=3, tol=None, random_state=0)
PARAMETERS = {"sync": "parameters", "period": 10}


def _data(name: str, folder: Path) -> tuple[Any, ...]:
    random = np.random.default_rng(0)
    n_rows = {"many rows": 5 * ROWS, "few rows": ROWS // 20}.get(name, ROWS)
    X = random.standard_normal((n_rows, COLUMNS), dtype=np.float32)
    y = (X @ random.standard_normal(COLUMNS, dtype=np.float32) > 0).astype(int)
    if name == "shards":
        return (ArrayShards([X[: n_rows // 3], X[n_rows // 3 :]], [y[: n_rows // 3], y[n_rows // 3 :]]),)
    if name == "parquet":
        import pyarrow as pa
        from pyarrow import parquet

        columns = {f"x{j}": X[:, j] for j in range(COLUMNS)}
        parquet.write_table(pa.table({**columns, "label": y}), folder / "rows.parquet", row_group_size=20_000)
        return (ParquetRows(folder / "rows.parquet", "label"),)
    return X, y


def interrupted(delay: float) -> Any:
    """Ctrl-C after so many seconds, as a terminal sends it: to all processes of the group."""

    def send(scene: Scene) -> None:
        scene.now()
        os.killpg(os.getpgrp(), signal.SIGINT)

    def fault(scene: Scene) -> None:
        if delay == 0.0:
            send(scene)
        else:
            timer = Timer(delay, send, [scene])
            timer.daemon = True
            timer.start()

    return fault


def signalled(number: int, which: slice) -> Any:
    """A signal for some workers."""

    def fault(scene: Scene) -> None:
        scene.now()
        for pid in _pids(scene.workers)[which]:
            os.kill(pid, number)

    return fault


def _pids(workers: Any) -> list[int]:
    if isinstance(workers, _processes.Processes):
        return [worker.process.pid for worker in workers._workers]
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words, environment = (folder / "cmdline").read_bytes(), (folder / "environ").read_bytes()
        except OSError:
            continue
        if words.startswith(b"ray::_Actor") and os.environ["FAULTS_TOKEN"].encode() in environment:
            found.append(int(folder.name))
    return sorted(found)


def short_of_memory(scene: Scene) -> None:
    """The kernel refuses the last worker any more memory."""
    import resource

    scene.now()
    resource.prlimit(_pids(scene.workers)[-1], resource.RLIMIT_DATA, (2**20, 2**20))


def cut_off(scene: Scene) -> None:
    path = scene.folder / "rows.parquet"
    scene.now()
    os.truncate(path, path.stat().st_size // 2)


def overwritten(scene: Scene) -> None:
    """As a disk does it: in place, and with the same date."""
    path = scene.folder / "rows.parquet"
    before = path.stat()
    scene.now()
    with path.open("r+b") as file:
        file.seek(before.st_size // 4)
        file.write(bytes(before.st_size // 2))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def removed(scene: Scene) -> None:
    scene.now()
    (scene.folder / "rows.parquet").unlink()


def filled(scene: Scene) -> None:
    """The disk of the checkpoint."""
    scene.now()
    with (scene.folder / "small" / "filler").open("wb", buffering=0) as file:
        try:
            while file.write(bytes(512)):
                pass
        except OSError:
            pass


def another_fit(scene: Scene) -> None:
    """Of other rows, before."""
    from sklearn.base import clone

    from minibatch.distributed import fit

    X, y = _data("arrays", scene.folder)
    fit(clone(MODEL), 2 * X, y, n_workers=2, checkpoint=scene.folder / "kept")
    scene.now()


def no_fault(scene: Scene) -> None:
    scene.now()


def killed(scene: Scene) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def often(scene: Scene) -> None:
    _checkpoint.SECONDS_BETWEEN = 0.0


def believes_in_room(scene: Scene) -> None:
    _processes._has_room = lambda *_: True


def fresh_cache(scene: Scene) -> None:
    """Nothing is compiled yet, for workers."""
    os.environ["NUMBA_CACHE_DIR"] = str(scene.folder / "cache")


_P, _R = _processes.Processes, _ray.RayWorkers
_TRAIN, _RAY_TRAIN, _LOCAL = (_P, "train"), (_R, "train"), (_streamed.Local, "train")


def _lost(name: str, fault: Any, call: int = 5, **more: Any) -> Case:
    return Case(WORKERS, name, **{"where": _TRAIN, "fault": fault, "call": call, **more})


def _interrupted(name: str, where: tuple[Any, str], delay: float, call: int = 1, **more: Any) -> Case:
    return Case(CTRL_C, name, where, interrupted(delay), call, **more)


_KILL, _STOP = (signalled(number, slice(-1, None)) for number in (signal.SIGKILL, signal.SIGSTOP))
_WAYS = [
    (sync, how, data) for sync, how in (("gradients", {}), ("parameters", PARAMETERS)) for data in ("arrays", "parquet")
]
_SHARE, _SMALL = (
    {"where": (_P, "share"), "fault": no_fault},
    {"how": {"checkpoint": "small/kept"}, "mounts": ("small",)},
)

_KEEPING = (_checkpoint.Keeping, "__init__")

CASES = [
    *(_lost(f"a worker is killed, {sync}, {data}", _KILL, how=how, data=data) for sync, how, data in _WAYS),
    _lost("all workers are killed at once", signalled(signal.SIGKILL, slice(None)), how={"n_workers": 5}),
    _lost("a worker is killed as it is told its rows", _KILL, 1, where=(_P, "_gather")),
    _lost("a worker stands still (SIGSTOP), timeout=3", _STOP, how={"timeout": 3}),
    _lost("the same, with 2 MB to tell it", _STOP, 2, how={"timeout": 3}, model=NETWORK, data="few rows"),
    _lost("a worker has no more memory", short_of_memory, how=PARAMETERS, data="parquet"),
    _lost("a worker is killed", _KILL, where=_RAY_TRAIN, engine="ray", how=PARAMETERS),
    _lost(
        "a worker stands still (SIGSTOP), timeout=20",
        _STOP,
        where=_RAY_TRAIN,
        engine="ray",
        how={**PARAMETERS, "timeout": 20},
    ),
    _interrupted("transformers learn", (StandardScaler, "partial_fit"), 0.005, 3, data="shards", model="scaled"),
    _interrupted("the first look at a source", (_look._Found, "add"), 0.005, 3, data="parquet"),
    _interrupted("workers start", (_P, "_launch"), 0.0, 2),
    _interrupted("workers start, half a second later", (_P, "_launch"), 0.5, 2),
    _interrupted("rows are shared", (_processes.joblib, "dump"), 0.02, data="many rows"),
    _interrupted("workers compile", _TRAIN, 1.0, setting=fresh_cache),
    *(_interrupted(f"training, {sync}, {data}", _TRAIN, 0.05, 6, how=how, data=data) for sync, how, data in _WAYS),
    _interrupted("training, one worker", _LOCAL, 0.01, 6, how={"n_workers": 1}, data="parquet"),
    _interrupted(
        "a checkpoint is written",
        (_checkpoint.joblib, "dump"),
        0.003,
        3,
        how={"checkpoint": "kept"},
        model=NETWORK,
        setting=often,
    ),
    _interrupted("the last moments", (_checkpoint.Keeping, "finish"), 0.0),
    _interrupted("workers are ended", (_P, "_clear"), 0.0, 2),
    _interrupted("workers start", (_R, "share"), 0.3, engine="ray"),
    _interrupted("training", _RAY_TRAIN, 0.05, 6, engine="ray", how=PARAMETERS),
    Case(DRIVER, "the driver is killed", _TRAIN, killed, 6),
    Case(DRIVER, "the driver is killed", _RAY_TRAIN, killed, 6, "ray"),
    Case(DATA, "the disk of the checkpoint is full", (_P, "close"), filled, setting=often, **_SMALL),
    Case(DATA, "the disk of the checkpoint fills up in training", _TRAIN, filled, 3, setting=often, **_SMALL),
    Case(DATA, "/dev/shm is full", mounts=("memory",), **_SHARE),
    Case(DATA, "/dev/shm fills up as rows are shared", mounts=("memory",), setting=believes_in_room, **_SHARE),
    Case(DATA, "and so is the disk", mounts=("memory", "temporary"), **_SHARE),
    Case(DATA, "a Parquet file is cut off", _KEEPING, cut_off, data="parquet"),
    Case(DATA, "a Parquet file is cut off in the first look", (_look._Found, "add"), cut_off, 1, data="parquet"),
    Case(DATA, "a Parquet file is overwritten in training", _TRAIN, overwritten, 4, how=PARAMETERS, data="parquet"),
    Case(DATA, "a Parquet file vanishes in training", _TRAIN, removed, 4, how=PARAMETERS, data="parquet"),
    Case(DATA, "the same, one worker", _LOCAL, removed, 8, how={"n_workers": 1}, data="parquet"),
    Case(
        DATA,
        "the checkpoint is of other rows",
        (_checkpoint.Keeping, "__init__"),
        another_fit,
        how={"checkpoint": "kept"},
    ),
]
