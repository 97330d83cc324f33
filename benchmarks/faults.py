"""Faults, tried for real: python benchmarks/faults.py [part of a kind or of a name]

Each is tried in a process of its own, which fits an estimator that is fitted already while something goes wrong. Prints
a Markdown table: what became of the fit, in how many seconds, and what was left. Linux only. Faults of full disks mount
small file systems, and so need root (``unshare``); they are left out without.
"""

import argparse
import copy
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from pathlib import Path

import numpy as np
from faults_cases import CASES, CTRL_C, WORKERS, Scene
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from minibatch.distributed import _processes, fit

SMALL = {"small": "48k", "memory": "8m", "temporary": "8m"}


def parameters(model):
    final = model[-1] if hasattr(model, "steps") else model
    return np.concatenate(
        [np.ravel(part) for part in getattr(final, "coefs_", None) or [final.coef_, final.intercept_]]
    )


def state_of(model):
    return [copy.deepcopy(vars(part)) for _, part in getattr(model, "steps", [("", model)])]


def is_same(one, other):
    if isinstance(one, np.ndarray):
        return np.array_equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(is_same(one[name], other[name]) for name in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(is_same, one, other))
    if hasattr(one, "__dict__") and type(one) is type(other):
        return is_same(vars(one), vars(other))
    return one is other or one == other


def prepare(case, scene):
    """The fault happens where the case says."""
    if case.setting is not None:
        case.setting(scene)
    owner, name = case.where
    real, count = getattr(owner, name), [0]

    def wrapped(*args, **kwargs):
        count[0] += 1
        if args and hasattr(args[0], "number"):
            scene.workers = args[0]
        if count[0] == case.call:
            case.fault(scene)
        return real(*args, **kwargs)

    setattr(owner, name, wrapped)


def fitted(case, args):
    """Something that another fit has left: of a few rows."""
    scaled = case.model == "scaled"
    model = make_pipeline(StandardScaler(), clone(CASES[0].estimator())) if scaled else clone(case.estimator())
    rows = np.random.default_rng(1).standard_normal((400, 50)).astype(np.float32)
    short = clone(model).set_params(**{("minibatchsgdclassifier__" if scaled else "") + "max_iter": 1})
    short.fit(rows, (rows[:, 0] > 0).astype(int))
    return short.set_params(**{name: value for name, value in model.get_params().items() if name.endswith("max_iter")})


def try_it(case, folder):
    """In a process of its own."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell that runs this behind has Ctrl-C ignored
    _processes._MEMORY = folder / "memory" if "memory" in case.mounts else Path(os.environ["FAULTS_MEMORY"])
    scene = Scene(folder)
    args, how = case.arguments(scene)
    model, found = fitted(case, args), {}
    if case.kind == WORKERS or (case.mounts and "temporary" not in case.mounts):
        began = time.perf_counter()
        plain = fit(copy.deepcopy(model), *args, **{name: value for name, value in how.items() if name != "checkpoint"})
        found["seconds_without"] = time.perf_counter() - began
        found["trained"] = parameters(plain).tolist()
    before, n_threads = state_of(model), threading.active_count()
    prepare(case, scene)
    began = time.perf_counter()
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            fit(model, *args, **how)
            found["raised"] = ""
        except BaseException as error:
            found["raised"] = f"{type(error).__name__}: {error}".strip(": ")
    ended = time.perf_counter()
    found["warned"] = [str(one.message) for one in said if one.category is RuntimeWarning]
    found["seconds"], found["seconds_after"] = ended - began, ended - scene.sent
    found["as_before"] = is_same(before, state_of(model))
    if "trained" in found:
        found["difference"] = float(np.abs(parameters(model) - found.pop("trained")).max())
    time.sleep(0.1)
    found["threads"] = threading.active_count() - n_threads if case.engine == "processes" else 0  # Ray's stay
    print(json.dumps(found), flush=True)
    if "kept" in str(how.get("checkpoint")) and case.kind != CTRL_C:
        check_kept(how["checkpoint"])


def check_kept(folder):
    """What is there can be read."""
    import joblib

    for file in Path(folder).iterdir():
        joblib.load(file)


def processes_of(token):
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if token.encode() in (folder / "environ").read_bytes():
                found.append(int(folder.name))
        except OSError:
            pass
    return [pid for pid in found if pid != os.getpid()]


def left_by(token, memory, temporary, patience):
    """Until nothing is left, or for so long: what is left, and after how many seconds."""
    began = time.monotonic()
    while True:
        files = [path.name for folder in (memory, temporary) for path in folder.glob("*") if path.name != "ray"]
        processes = processes_of(token)
        if not (files or processes) or time.monotonic() - began > patience:
            return processes, files, time.monotonic() - began
        time.sleep(0.05)


def observe(number, case):
    """Start the process of a case; returns a row of the table."""
    token = secrets.token_hex(8)
    with tempfile.TemporaryDirectory() as name, tempfile.TemporaryDirectory(dir="/dev/shm", prefix="faults-") as shared:
        folder, memory = Path(name), Path(shared)
        for part in {"temporary", *case.mounts}:
            (folder / part).mkdir()
        environment = {
            **os.environ,
            "FAULTS_TOKEN": token,
            "FAULTS_MEMORY": shared,
            "TMPDIR": str(folder / "temporary"),
        }
        command = [sys.executable, __file__, "--case", str(number), name]
        if case.mounts:
            mounts = "".join(f"mount -t tmpfs -o size={SMALL[part]} tmpfs {folder / part} && " for part in case.mounts)
            command = ["unshare", "-m", "sh", "-c", f'{mounts} exec "$@"', "sh", *command]
        process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
        )
        try:
            out, err = process.communicate(timeout=300)
        except subprocess.TimeoutExpired:
            out, err = "", "HANGS"
            process.kill()
        processes, files, seconds = left_by(token, memory, folder / "temporary", 60.0 if case.engine == "ray" else 5.0)
        for pid in processes:
            print(Path(f"/proc/{pid}/cmdline").read_bytes()[:200], file=sys.stderr)
        for pid in processes:
            os.kill(pid, signal.SIGKILL)
        if "ray" in case.engine:
            shutil.rmtree(folder / "temporary" / "ray", ignore_errors=True)
        return row(case, out, err, process.returncode, (processes, files, seconds))


def row(case, out, err, status, left):
    lines = [line for line in out.splitlines() if line.startswith("{")]
    processes, files, seconds_left = left
    if not lines:
        found = {
            "raised": f"ended with status {status}",
            "seconds_after": float("nan"),
            "as_before": None,
            "threads": 0,
        }
        if status != -signal.SIGKILL:
            print(err[-3000:], file=sys.stderr)
    else:
        found = json.loads(lines[-1])
        if status:
            print(err[-3000:], file=sys.stderr)
    noise = [line for line in err.splitlines() if "Traceback" in line or "ignored in" in line]
    became = found["raised"] or "goes on" + (f", warns: {found['warned'][0]}" if found.get("warned") else "")
    if found.get("difference") is not None and not found["raised"]:
        took = f"{found['seconds'] - found['seconds_without']:+.1f}"
        model = "the same model" if found["difference"] < 1e-5 else f"another model, by {found['difference']:.1g}"
    else:
        took, model = (
            f"{found['seconds_after']:.2f}",
            {True: "as before", False: "CHANGED", None: ""}[found["as_before"]],
        )
    rest = (
        [f"{len(processes)} processes"] * bool(processes)
        + files
        + [f"{found['threads']} threads"] * (found["threads"] > 0)
    )
    after = f"nothing{f', after {seconds_left:.1f} s' if seconds_left > 0.5 else ''}" if not rest else ", ".join(rest)
    noisy = f" ({len(noise)} tracebacks)" if noise else ""
    return f"| {case.kind}: {case.name} | {case.engine} | {became[:230]}{noisy} | {took} | {model} | {after} |"


def main():
    parser = argparse.ArgumentParser(prog="python benchmarks/faults.py", description=__doc__)
    parser.add_argument("only", nargs="?", default="")
    parser.add_argument("folder", nargs="?", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--case", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        try_it(CASES[int(options.only)], options.folder)
        return
    print("| fault | engine | what happens | seconds lost, or until the end | model | left |")
    print("|---|---|---|---|---|---|")
    for number, case in enumerate(CASES):
        if case.mounts and os.geteuid() != 0:
            continue
        if options.only in f"{case.kind}: {case.name}, {case.engine}":
            print(observe(number, case), flush=True)


if __name__ == "__main__":
    main()
