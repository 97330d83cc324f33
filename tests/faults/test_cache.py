"""engine.cache: whatever is wrong with the disk cache, a call gives its number, and a damaged cache is mended."""

import builtins
import errno
import os
import pickle
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import numba
import pytest

import minibatch
from minibatch.engine import cache
from minibatch.engine.compile import entry

pytestmark = pytest.mark.skipif(numba.config.DISABLE_JIT, reason="nothing is compiled with NUMBA_DISABLE_JIT=1")

PACKAGE = Path(minibatch.__file__).parent


def build(stamp):
    def add_one(x):
        _ = stamp
        return x + 1.0

    return add_one


def build_another(stamp):
    def add_two(x):
        _ = stamp
        return x + 2.0

    return add_two


def hits(value=1.0):
    """How often what a new process would call finds its code; it gives the right number in any case."""
    function = entry(build)
    assert function(value) == value + 1.0
    return sum(function.stats.cache_hits.values())


def file_of(folder, ending):
    (path,) = Path(folder).rglob(f"*.{ending}")
    return path


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty cache, and no warning said before."""
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    monkeypatch.delenv("MINIBATCH_NUMBA_CACHE", raising=False)
    cache._say_that_nothing_is_kept.cache_clear()
    return tmp_path


# ---------------------------------------------------------------------------------------------- damaged files


def half(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path):
    path.write_bytes(b"")


def zeros(path):
    """The length is right: a file system may have written no more when the power went."""
    path.write_bytes(bytes(path.stat().st_size))


def text(path):
    path.write_text("garbage\n")


def not_a_dictionary(path):
    """Pickles that can be read, but are not what Numba wrote."""
    path.write_bytes(pickle.dumps(numba.__version__) + pickle.dumps(("stamp", 3)))


def hole_in_the_code(path):
    """A pickle that can be read, around machine code that cannot be linked."""
    contents = bytearray(path.read_bytes())
    middle = len(contents) // 2
    contents[middle : middle + 512] = bytes(512)
    path.write_bytes(contents)


DAMAGES = [half, empty, zeros, text]


@pytest.mark.parametrize(
    ("ending", "damage"),
    [(ending, damage) for ending in ("nbi", "nbc") for damage in DAMAGES]
    + [("nbi", not_a_dictionary), ("nbc", not_a_dictionary), ("nbc", hole_in_the_code)],
)
def test_a_damaged_file_is_compiled_anew_and_mended(folder, ending, damage):
    assert [hits(), hits()] == [0, 1]
    damage(file_of(folder, ending))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert [hits(), hits()] == [0, 1]


def test_a_damaged_data_file_leaves_the_others(folder):
    assert [hits(1.0), hits(1), hits(1)] == [0, 0, 1]
    first, _ = sorted(folder.rglob("*.nbc"))
    half(first)
    assert [hits(1), hits(1.0), hits(1.0)] == [1, 0, 1]


def test_a_lost_data_file_is_written_again(folder):
    hits()
    file_of(folder, "nbc").unlink()
    assert [hits(), hits()] == [0, 1]


def test_code_under_the_number_of_another_signature_is_not_taken(folder):
    """Two processes that begin with an empty index number their files alike; the later index wins."""
    hits(1.0), hits(1)
    first, second = sorted(folder.rglob("*.nbc"))
    shutil.copy(first, second)
    assert [hits(1), hits(1.0)] == [0, 1]
    assert hits(1) == 1


def test_the_contents_of_a_file_belong_to_one_key():
    contents, key = {"code": b"1"}, ("signature", "processor")
    assert cache.opened(cache.sealed(contents, key), key) == contents
    assert cache.opened(cache.sealed(contents, key), ("signature", "another processor")) is None
    assert cache.opened(None, key) is None


def test_contents_with_another_checksum_are_not_opened():
    """A pickle may well be read with a wrong number in it, or a hole in the machine code."""
    key = ("signature", "processor")
    own_key, checksum, contents = cache.sealed({"code": b"1234"}, key)
    assert pickle.loads(contents.replace(b"1234", b"1034")) == {"code": b"1034"}
    assert cache.opened((own_key, checksum, contents.replace(b"1234", b"1034")), key) is None


# ---------------------------------------------------------------------------------------------- nothing can be written


def said(function, value):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        function(value)
    return [str(warning.message) for warning in caught]


def fails_with(code):
    def fail(*args, **kwargs):
        raise OSError(code, os.strerror(code))

    return fail


def test_what_cannot_be_written_is_said_once_with_a_remedy(folder, monkeypatch):
    monkeypatch.setattr(os, "replace", fails_with(errno.ENOSPC))
    function = entry(build)
    (message,) = said(function, 1.0)
    for part in (str(folder), os.strerror(errno.ENOSPC), "NUMBA_CACHE_DIR", "MINIBATCH_NUMBA_CACHE=0"):
        assert part in message
    assert said(function, 1) == said(entry(build_another), 1.0) == []
    monkeypatch.undo()
    assert not list(folder.rglob("*.tmp.*"))


def test_a_full_disk_leaves_what_was_there(folder, monkeypatch):
    hits(1.0)
    real = os.replace

    def no_room_for_code(source, target):  # the index would still fit
        return fails_with(errno.ENOSPC)() if target.endswith(".nbc") else real(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", no_room_for_code)
        with pytest.warns(RuntimeWarning, match="not kept"):
            hits(1)
    assert [hits(1.0), hits(1), hits(1)] == [1, 0, 1]


def test_files_that_cannot_be_read_are_no_error(folder, monkeypatch):
    hits()
    real = open

    def unreadable(path, mode="r", *args, **kwargs):
        if str(path).endswith(".nbi") and mode == "rb":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return real(path, mode, *args, **kwargs)

    monkeypatch.setattr(builtins, "open", unreadable)
    with pytest.warns(RuntimeWarning, match=os.strerror(errno.EACCES)):
        assert hits() == 0


@pytest.mark.parametrize("error", [RuntimeError("no locator"), MemoryError()])
def test_any_other_failure_to_save_is_no_error(folder, monkeypatch, error):
    def fails(*args):
        raise error

    monkeypatch.setattr(cache, "sealed", fails)
    with pytest.warns(RuntimeWarning, match=type(error).__name__):
        assert hits() == 0


def test_a_place_that_numba_does_not_know_is_no_error(folder, monkeypatch):
    monkeypatch.setattr(numba.config, "CACHE_LOCATOR_CLASSES", "IPythonCacheLocator")
    assert hits() == 0
    assert list(folder.iterdir()) == []


# ---------------------------------------------------------------------------------------------- whole processes

FIT = """
import os, subprocess, sys, warnings
import numpy as np
from minibatch import MiniBatchSGDRegressor
from minibatch.engine.sgd import four_row_epoch as kernel

folder = os.environ.get("NUMBA_CACHE_DIR")

def fit():
    X = np.random.default_rng(0).standard_normal((20, 3))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        constant = {"learning_rate": "constant", "batch_size": 1}
        model = MiniBatchSGDRegressor(**constant, max_iter=2, tol=None, random_state=0).fit(X, X[:, 0])
    print(sum(kernel.stats.cache_hits.values()), len(caught), model.coef_[0].hex())
"""


def process(code, before="true", prefix=(), **environment):
    """What a new process prints, after a shell command in its mount namespace if ``prefix`` begins one."""
    environment = {name: value for name, value in {**os.environ, **environment}.items() if value is not None}
    environment.pop("MINIBATCH_NUMBA_CACHE", None)
    done = subprocess.run(
        [*prefix, "sh", "-c", before + ' && exec "$0" -c "$1"', sys.executable, FIT + code],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """A cache that knows the fit, and the number that the fit gives."""
    path = tmp_path_factory.mktemp("filled")
    found, n_warnings, number = process("fit()", NUMBA_CACHE_DIR=str(path))
    assert (found, n_warnings) == ("0", "0")
    return path, number


@pytest.fixture(scope="module")
def namespace(tmp_path_factory):
    """A command that begins a mount namespace, whose mounts end with it and are seen by nobody else."""
    place = tmp_path_factory.mktemp("mounted")
    for options in ("-m", "-rm"):
        prefix = ("unshare", options)
        try:
            done = subprocess.run([*prefix, "mount", "-t", "tmpfs", "tmpfs", place], capture_output=True, check=False)
        except OSError:
            break
        if done.returncode == 0:
            return prefix
    return pytest.skip("no mount namespaces here, and permissions do not stop every user")


def read_only(path):
    return f"mount --bind '{path}' '{path}' && mount -o remount,bind,ro '{path}'"


@pytest.mark.slow
def test_nowhere_to_write(namespace, filled, tmp_path):
    """No home, and the package is not the user's. What a cache was filled with is found even so."""
    beside = PACKAGE / "engine" / "__pycache__"
    beside.mkdir(exist_ok=True)
    before, nowhere = read_only(PACKAGE), {"HOME": str(PACKAGE), "XDG_CACHE_HOME": None}
    before += f" && mount -t tmpfs -o ro tmpfs '{beside}'"  # it may be filled
    path, number = filled
    assert process("fit(); fit()", before, namespace, NUMBA_CACHE_DIR=None, **nowhere)[1:3] == ["1", number]
    before = f"{before} && {read_only(path)}"
    assert process("fit()", before, namespace, NUMBA_CACHE_DIR=str(path), **nowhere) == ["1", "0", number]


@pytest.mark.slow
def test_a_cache_that_becomes_read_only_after_the_import(namespace, filled, tmp_path):
    code = 'subprocess.run(["mount", "-o", "remount,bind,ro", folder], check=True); fit()'
    before = f"mount --bind '{tmp_path}' '{tmp_path}'"
    assert process(code, before, namespace, NUMBA_CACHE_DIR=str(tmp_path)) == ["0", "1", filled[1]]


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_cache_without_permission_to_write(filled, tmp_path):
    assert process("os.chmod(folder, 0o555); fit()", NUMBA_CACHE_DIR=str(tmp_path))[1:] == ["1", filled[1]]


@pytest.mark.slow
def test_a_full_disk(namespace, filled, tmp_path):
    """The index still fits."""
    before = f"mount -t tmpfs -o size=16k tmpfs '{tmp_path}'"
    assert process("fit()", before, namespace, NUMBA_CACHE_DIR=str(tmp_path)) == ["0", "1", filled[1]]


@pytest.mark.slow
def test_a_limit_on_the_size_of_files(filled, tmp_path):
    code = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192)); fit()"
    pytest.importorskip("resource")
    assert process(code, NUMBA_CACHE_DIR=str(tmp_path)) == ["0", "1", filled[1]]
    assert not list(tmp_path.rglob("*.nbc"))


@pytest.mark.slow
def test_a_fit_mends_a_damaged_cache(filled, tmp_path):
    whole, number = filled
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    for ending in ("nbi", "nbc"):
        (path,) = tmp_path.rglob(f"*four_row_epoch*.{ending}")
        half(path)
    assert process("fit()", NUMBA_CACHE_DIR=str(tmp_path)) == ["0", "0", number]
    assert process("fit()", NUMBA_CACHE_DIR=str(tmp_path)) == ["1", "0", number]


EIGHT = """
import multiprocessing
sys.path.insert(0, {tests!r})
from test_cache import build, entry, numba

def call(values, barrier):
    barrier.wait()
    function = entry(build)
    for value in values:
        assert function(value) == value + 1.0
    os._exit(10 + sum(function.stats.cache_hits.values()))

context = multiprocessing.get_context("fork")
for kinds in ([(1.0,)], [(1.0, 1), (1, 1.0)]):
    numba.config.CACHE_DIR = os.path.join(folder, str(len(kinds)))
    barrier = context.Barrier(8)
    eight = [context.Process(target=call, args=(kinds[i % len(kinds)], barrier)) for i in range(8)]
    for each in eight: each.start()
    for each in eight: each.join()
    ninth = context.Process(target=call, args=((1.0,), context.Barrier(1)))
    ninth.start(); ninth.join()
    print(sum(each.exitcode >= 10 for each in eight), ninth.exitcode)
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_eight_processes_that_compile_at_once(tmp_path):
    """All compile into an empty cache; in a second round two signatures, in both orders."""
    code = EIGHT.format(tests=str(Path(__file__).parent))
    found = process(code, NUMBA_CACHE_DIR=str(tmp_path))
    assert found[:3] == ["8", "11", "8"]
    assert found[3] in ("10", "11")  # an index written by two may have lost one of the entries, not mixed them up
