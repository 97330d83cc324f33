"""engine.compile: what is compiled when, and the disk cache."""

import ast
import gc
import os
import platform
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest

from minibatch.engine import (
    candidates_auto,
    candidates_auto_rows,
    candidates_gradient,
    candidates_sgd,
    candidates_sgd_rows,
    columns,
    dual_averaging,
    dual_averaging_one_row,
    dual_averaging_rows,
    dual_averaging_softmax,
    dual_averaging_sparse,
    dual_averaging_sparse_batches,
    dual_averaging_sparse_outputs,
    linear,
    mlp,
    mlp_by_inputs,
    sgd,
    shuffle,
    sparse_sgd,
    updates,
    variance_reduced,
    variance_reduced_sparse,
)
from minibatch.engine import compile as compile_options
from minibatch.engine.inlined import X86

pytestmark = pytest.mark.skipif(numba.config.DISABLE_JIT, reason="nothing is compiled with NUMBA_DISABLE_JIT=1")

ENTRIES = [
    candidates_auto.candidates_auto_epoch,
    candidates_auto_rows.candidates_auto_rows_epoch,
    candidates_gradient.candidates_gradient_epoch,
    candidates_sgd.candidates_sgd_epoch,
    candidates_sgd_rows.candidates_sgd_rows_epoch,
    columns.column_moments,
    columns.squares_of_sparse_rows,
    dual_averaging.dual_averaging_epoch,
    dual_averaging.dual_averaging_step,
    dual_averaging.gradient_point,
    dual_averaging_one_row.dual_averaging_one_row_epoch,
    dual_averaging_rows.dual_averaging_rows_epoch,
    dual_averaging_softmax.dual_averaging_softmax_epoch,
    dual_averaging_sparse.dual_averaging_sparse_row_epoch,
    dual_averaging_sparse_batches.dual_averaging_sparse_epoch,
    dual_averaging_sparse_outputs.dual_averaging_sparse_outputs_epoch,
    dual_averaging_sparse_outputs.dual_averaging_sparse_outputs_row_epoch,
    linear.gradient_epoch,
    linear.chunk_gradient,
    linear.losses_of_scores,
    updates.apply_step,
    mlp.mlp_epoch,
    mlp_by_inputs.mlp_epoch_by_inputs,
    mlp.mlp_gradient,
    mlp.mlp_row_gradients,
    mlp.mlp_scores,
    mlp.mlp_update,
    sgd.sgd_epoch,
    sgd.one_row_epoch,
    sgd.four_row_epoch,
    shuffle.shuffle_rows,
    sparse_sgd.lazy_sgd_epoch,
    variance_reduced.memory_of_slopes,
    variance_reduced.variance_reduced_epoch,
    variance_reduced_sparse.sparse_variance_reduced_epoch,
]

FIT = """
import numpy as np
from minibatch import MiniBatchSGDRegressor
from minibatch.engine.sgd import four_row_epoch as kernel

def fit():
    X = np.random.default_rng(0).standard_normal((20, 3))
    model = MiniBatchSGDRegressor(learning_rate="constant", batch_size=1, max_iter=2, tol=None, random_state=0)
    return model.fit(X, X[:, 0])
"""


def run(code, cache, before="", **environment):
    """The numbers that a fresh process prints."""
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(cache), **environment}
    done = subprocess.run(
        [sys.executable, "-c", before + FIT + code],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [int(number) for number in done.stdout.split()]


def files_in(cache):
    return [path for path in Path(cache).rglob("*") if path.is_file()]


COUNTS = "fit(); print(sum(kernel.stats.cache_hits.values()), sum(kernel.stats.cache_misses.values()))"


@compile_options.entry
def products(stamp):
    def products(x, out):
        _ = stamp
        for i in range(out.shape[0]):
            out[i] = x[i] * x[i + 1]

    return products


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.skipif(platform.machine() not in X86, reason="the processor's mode is not set")
def test_what_is_too_small_for_normal_numbers_is_0_in_an_entry_and_stays_what_it_is_elsewhere(dtype):
    """A processor takes a hundred times longer for such numbers, which averages of gradients come to be in float32."""
    tiny = np.finfo(dtype).tiny
    x, out = np.array([1.0, tiny, 0.25, 8.0 * tiny, 0.25], dtype), np.empty(4, dtype)
    for _ in range(2):
        products(x, out)
        assert out.tolist() == [tiny, 0.0, 2.0 * tiny, 2.0 * tiny]
        assert x[1] * x[2] == tiny / 4 > 0.0


@pytest.mark.slow
def test_a_second_process_loads_what_the_first_compiled(tmp_path):
    assert run(COUNTS, tmp_path) == [0, 1]
    files = {path: path.stat().st_mtime_ns for path in files_in(tmp_path)}
    assert run(COUNTS, tmp_path) == [1, 0]
    assert {path: path.stat().st_mtime_ns for path in files_in(tmp_path)} == files


@pytest.mark.slow
def test_without_the_disk_cache_no_file_is_written(tmp_path):
    code = "fit(); print(len(kernel.signatures))"
    assert run(code, tmp_path, MINIBATCH_NUMBA_CACHE="0") == [1]
    assert files_in(tmp_path) == []


@pytest.mark.slow
def test_an_unwritable_cache_is_no_error(tmp_path):
    """Numba refuses at decoration, which is at import."""
    file = tmp_path / "file"
    file.write_text("")
    assert run("print(fit().n_iter_)", file / "below") == [2]


@pytest.mark.slow
def test_an_edit_of_a_helper_misses_the_cache(tmp_path):
    """The stamp, which each kernel closes over, stands for the sources of all engine files."""
    run("fit()", tmp_path)
    edit = """
import pathlib
real = pathlib.Path.read_bytes
pathlib.Path.read_bytes = lambda path: real(path) + b"#" * (path.name == "losses.py")
"""
    assert run(COUNTS, tmp_path, before=edit) == [0, 1]


def test_importing_compiles_nothing(tmp_path):
    code = """
from numba.core.dispatcher import Dispatcher
import minibatch.engine as e, pkgutil, importlib
modules = [importlib.import_module(f"minibatch.engine.{m.name}") for m in pkgutil.iter_modules(e.__path__)]
found = [d for m in modules for d in vars(m).values() if isinstance(d, Dispatcher)]
print(int(len(found) > 10), sum(len(d.signatures) for d in found))
"""
    assert run(code, tmp_path) == [1, 0]
    assert files_in(tmp_path) == []


@pytest.mark.slow
def test_later_fits_compile_nothing(tmp_path):
    """Other losses, penalties, rates, weights, numbers of rows and of threads are the same machine code."""
    code = """
fit(); first = len(kernel.signatures)
X = np.asfortranarray(np.random.default_rng(1).standard_normal((31, 7))); X.flags.writeable = False
for loss in ("huber", "poisson"):
    model = MiniBatchSGDRegressor(loss, penalty=None, batch_size=1, n_jobs=2, max_iter=2, tol=None)
    model.fit(X, X[:, 0] ** 2, sample_weight=np.ones(31))
print(first, len(kernel.signatures))
"""
    assert run(code, tmp_path) == [1, 1]


@pytest.mark.parametrize("kernel", ENTRIES, ids=lambda kernel: kernel.__name__)
def test_entries_release_the_gil_and_keep_nan(kernel):
    options = kernel.targetoptions
    assert options["nogil"] is True
    assert not {"nnan", "ninf", "fast"} & set(options["fastmath"])
    assert not options.get("parallel", False)


def test_every_entry_is_listed_and_closes_over_the_stamp():
    engine = Path(compile_options.__file__).parent
    decorated = {
        f.name
        for path in engine.glob("*.py")
        for f in ast.walk(ast.parse(path.read_text()))
        if isinstance(f, ast.FunctionDef) and any(getattr(d, "id", "") == "entry" for d in f.decorator_list)
    }
    assert decorated == {kernel.__name__ for kernel in ENTRIES}
    for kernel in ENTRIES:
        closed_over = [cell.cell_contents for cell in kernel.py_func.__closure__ or ()]
        assert compile_options.SOURCE_STAMP in closed_over, kernel.__name__


FIRST_FITS = """
import numpy as np
from minibatch import MiniBatchMLPClassifier, MiniBatchSGDClassifier
from minibatch.engine import columns, dual_averaging, linear, mlp, sgd, shuffle
X = np.random.default_rng(0).standard_normal((40, 3))
for model in (
    MiniBatchSGDClassifier("log_loss", max_iter=20), MiniBatchMLPClassifier((4,), max_iter=2),
    MiniBatchSGDClassifier("log_loss", learning_rate="constant", max_iter=20),
):
    model.fit(X, X[:, 0] > 0).predict_proba(X)
modules = columns, dual_averaging, linear, mlp, sgd, shuffle
entries = {id(d): d for module in modules for d in vars(module).values() if hasattr(d, "_cache")}
print(*(len(d.signatures) for d in entries.values() if "stamp" in d.py_func.__code__.co_freevars and d.signatures))
"""


def test_first_fits_compile_little():
    """One entry of each linear model, two of a network, two of all; none of them twice, not even to predict."""
    command = [sys.executable, "-W", "ignore", "-c", FIRST_FITS]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == 6 * ["1"]


KERNELS_OF_FIRST_FITS = """
import numpy as np
from minibatch import MiniBatchMLPClassifier, MiniBatchSGDClassifier, MiniBatchSGDRegressor
from minibatch.engine import batch_normalization, linear, losses, row_blocks
X = np.random.default_rng(0).standard_normal((40, 3))
{}.fit(X, np.arange(40) % 3)
kernels = (
    linear.one_vs_rest_slopes, linear.softmax_slopes, row_blocks.add_rows_to_two, losses.bounded,
    batch_normalization.standardize,
)
print(*(kernel.__name__ for kernel in kernels if kernel.signatures))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("MiniBatchSGDClassifier('log_loss')", "one_vs_rest_slopes add_rows_to_two"),
        ("MiniBatchSGDClassifier('hinge')", "one_vs_rest_slopes add_rows_to_two bounded"),
        ("MiniBatchSGDClassifier('log_loss', multi_class='multinomial')", "softmax_slopes add_rows_to_two"),
        ("MiniBatchSGDRegressor()", "bounded"),
        ("MiniBatchSGDRegressor(learning_rate='constant')", "bounded"),
        ("MiniBatchMLPClassifier((4,))", "softmax_slopes"),
        ("MiniBatchMLPClassifier((4,), batch_normalization=True)", "softmax_slopes standardize"),
    ],
)
def test_branches_that_types_rule_out_are_not_compiled(model, expected, tmp_path):
    """Losses beside the log loss, a softmax, pairs of outputs that mostly are one, batch normalization."""
    command = [sys.executable, "-W", "ignore", "-c", KERNELS_OF_FIRST_FITS.format(model)]
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == expected.split()


def test_a_number_in_a_call_is_no_other_kernel():
    """Numba would compile ``twice`` for an integer, and for the number 3."""

    @compile_options.kernel
    def twice(x):
        return 2 * x

    @numba.njit(**compile_options.OPTIONS)
    def sum_of_both(x):
        return twice(3) + twice(x) + twice(x=5)

    assert sum_of_both(4) == 24
    assert len(twice.signatures) == 1


@pytest.mark.parametrize("enabled", [True, False])
def test_compiling_does_without_the_garbage_collector(enabled):
    """Which is afterwards as it was, whatever happens."""
    before = gc.isenabled()
    (gc.enable if enabled else gc.disable)()
    try:
        assert compile_options.alone(lambda signature: gc.isenabled())("int64") is False
        with pytest.raises(ZeroDivisionError):
            compile_options.alone(lambda signature: 1 / 0)("int64")
        assert gc.isenabled() == enabled
    finally:
        (gc.enable if before else gc.disable)()
