"""The table of searches: what is compared trains what the others train, and finds what they find."""

import numpy as np
import pytest

search = pytest.importorskip("search", reason="without benchmarks/speed")
data, pictures = map(pytest.importorskip, ("data", "pictures"))


@pytest.fixture
def few(monkeypatch):
    """A small grid on few rows, without processes."""
    monkeypatch.setattr(search, "WORKERS", 1)
    monkeypatch.setattr(search, "EPOCHS", 3)
    monkeypatch.setattr(search, "BATCH_SIZES", [8, "full"])
    monkeypatch.setattr(search, "GRIDS", {"constant": {"eta0": [1e-3, 0.1], "alpha": [1e-4]}})
    X, y = data.dense_rows(160, 4, 2)
    return data.Data("few rows", X[:120], y[:120], X[120:], y[120:])


@pytest.fixture
def rows(few):
    with search.workers():
        return {row["at"]: row for row in search._rows(few, "constant", rounds=1)}


def test_a_grid_has_the_same_scores_side_by_side_and_one_by_one(rows):
    ours, theirs = rows["MiniBatchGridSearchCV"], rows["GridSearchCV"]
    assert ours["best"] == theirs["best"]
    assert ours["yardsticks"] | {"times ours": None} == theirs["yardsticks"] | {"times ours": None}
    assert ours["yardsticks"]["times ours"] == 1.0


def test_candidates_are_counted_once(rows):
    found = {name: row["yardsticks"]["candidates"] for name, row in rows.items() if "Hyperband" not in name}
    assert set(found.values()) == {2, 4}
    assert [name for name, number in found.items() if number == 2] == ["GridSearchCV, SGDClassifier"]


def test_nobody_trains_for_longer_than_the_others(few):
    for name, each in search.searches("constant").items():
        if "Hyperband" not in name:
            assert search.fit(each, few).best_estimator_.max_iter <= 3, name


def test_the_longest_of_hyperband_sees_as_many_epochs(few):
    pytest.importorskip("dask_ml", reason="not installed")
    with search.workers():
        each = search.fit(search.searches("constant")["HyperbandSearchCV, SGDClassifier"], few)
    calls = max(record["partial_fit_calls"] for record in each.history_)
    assert calls <= 3 * search._n_chunks(each.parameters)


def test_a_picture_has_a_point_a_search(rows, tmp_path):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    pictures.scatter(search.TABLES[0], list(rows.values()), tmp_path / "search.png")
    assert np.std(pyplot.imread(tmp_path / "search.png")) > 0
