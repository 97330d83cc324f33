"""The rivals of benchmarks/speed: each keeps the interface, all minimise the same. Not installed: skipped."""

import warnings
from pathlib import Path

import numpy as np
import pytest

data = pytest.importorskip("data", reason="without benchmarks/speed")
rivals, report, solvers, tables = map(pytest.importorskip, ("rivals", "report", "solvers", "tables"))
task_module = pytest.importorskip("task")

BATCH_SIZES = {"linear": (1, 32, "full"), "network": (32, "full"), "objective": (32, None)}
RIVALS = rivals.every()


def task_of(kind, n_classes, batch_size=32, **more):
    dtype = np.float64 if kind == "objective" else np.float32
    rows = data.dense_rows(200, 10, n_classes, dtype)
    return task_module.Task(kind, *rows, batch_size, 0.1, **more)


def installed(name):
    if not rivals.is_installed(RIVALS[name]):
        pytest.skip("not installed")
    return RIVALS[name]


def names(slow):
    return [pytest.param(name, marks=pytest.mark.slow if name in slow else ()) for name in RIVALS]


def test_a_file_is_a_rival_and_ours_is_the_first():
    assert len(RIVALS) == len(list(Path(rivals.__file__).parent.glob("*.py"))) - 1
    assert next(iter(RIVALS)) == "ours"


@pytest.mark.parametrize("name", RIVALS)
def test_can_needs_nothing_installed(name):
    tasks = [
        task_of(kind, n_classes, size) for kind in BATCH_SIZES for n_classes in (2, 3) for size in BATCH_SIZES[kind]
    ]
    answers = [RIVALS[name].can(task) for task in tasks]
    assert set(answers) <= {True, False}
    assert any(answers)


@pytest.mark.parametrize("name", names(slow=("torch.compile", "skorch")))
@pytest.mark.parametrize("kind", ["linear", "network"])
def test_trains_and_goes_on(name, kind):
    rival = installed(name)
    for task in (task_of(kind, 2, length=3), task_of(kind, 3, length=3)):
        if rival.can(task):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                model = rival.fit(task._replace(length=1))
                for _ in range(9):
                    model = rival.fit(task, model)
            assert np.mean(rival.predict(model, task.X) == task.y) > 0.75


@pytest.mark.parametrize("name", RIVALS)
@pytest.mark.parametrize("n_classes", [2, 3])
def test_the_same_optimum(name, n_classes):
    rival, task = installed(name), task_of("objective", n_classes, None, alpha=1e-2, length=1000)
    if not rival.can(task):
        pytest.skip("it does not do that")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        lowest, model = solvers.optimum(task), rival.fit(task)
    assert solvers.objective(model, task) == pytest.approx(lowest, rel=1e-6)
    assert np.mean(rival.predict(model, task.X) == task.y) > 0.8


@pytest.mark.parametrize("name", ["ours", "ours, tuned", "jax.lax.scan"])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_comes_near_the_optimum_in_batches(name, n_classes):
    rival, task = installed(name), task_of("objective", n_classes, alpha=1e-2, length=1000)
    model = rival.fit(task)
    assert solvers.objective(model, task) == pytest.approx(solvers.optimum(task), rel=1e-4)
    assert np.mean(rival.predict(model, task.X) == task.y) > 0.8


def test_a_goal_that_is_nearer_takes_at_least_as_long():
    task = task_of("objective", 2, alpha=1e-2)
    goals = [solvers.optimum(task) * (1 + above) for above in (0.1, 1e-2, 1e-3)]
    found = solvers.quickest(RIVALS["ours, tuned"], task, goals, longest=10.0)
    lengths = [found[goal].length for goal in goals]
    assert lengths == sorted(lengths)
    for goal in goals:  # and one less of the lengths is too few at every rate
        assert solvers.objective(RIVALS["ours, tuned"].fit(found[goal]), task) <= goal
        below = solvers.LENGTHS[solvers.LENGTHS < found[goal].length][-1:]
        fits = [found[goal]._replace(rate=rate, length=int(length)) for rate in solvers.RATES for length in below]
        assert all(solvers.objective(RIVALS["ours, tuned"].fit(fit), task) > goal for fit in fits)


def test_ours_takes_no_rate_to_an_objective():
    task = task_of("objective", 2, alpha=1e-2)
    goal = 1.01 * solvers.optimum(task)
    assert solvers.quickest(RIVALS["ours"], task, [goal], longest=10.0)[goal].rate is None


def test_absent_ones_are_marked(monkeypatch):
    monkeypatch.setattr(RIVALS["river"], "requires", "no-such-distribution")
    present, absent = rivals.able(task_of("linear", 2), tables.QUICK)
    assert "river" not in present
    assert "river" in absent
    table = tables.Table("linear", "Epoch", "ms", rows=None)
    row = {"data": "rows", "at": 1, "yardsticks": {}, "values": {"ours": [1.0] * 3}, "ratios": {}}
    assert report.cells(table, row | {"not installed": absent})["river"] == "not installed"


@pytest.mark.parametrize("path", [None, "/usr/bin/c++"])
def test_without_a_program_that_it_needs_it_is_absent(monkeypatch, path):
    name, task = "torch.compile", task_of("linear", 2)
    monkeypatch.setattr(RIVALS[name], "requires", "numpy")  # which is there
    monkeypatch.setattr(rivals, "which", lambda program: path)
    present, absent = rivals.able(task, tables.QUICK)
    assert RIVALS[name].can(task)
    assert (name in absent, name in present) == (path is None, path is not None)
    assert "ours" in present
