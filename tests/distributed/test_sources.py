"""Rows that are read in pieces: the model of the array, every row once an epoch, clear words about bad files."""

import signal

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.datasets import make_classification
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from minibatch import MiniBatchMLPClassifier, MiniBatchMLPRegressor, MiniBatchSGDClassifier, MiniBatchSGDRegressor
from minibatch.distributed import ArrayShards, ParquetRows, _look, _stream, _streamed, fit
from minibatch.distributed import _processes as processes
from minibatch.distributed._communicator import part_of

X, y = make_classification(600, 6, n_informative=4, n_classes=3, random_state=0)
WEIGHT = np.random.default_rng(0).uniform(0.5, 2.0, len(y))
CUTS = [150, 400, 401]
PLAIN = {
    "learning_rate": "constant", "batch_size": 50, "max_iter": 3, "tol": None, "random_state": 0, "shuffle": False,
}  # fmt: skip
AUTO = {**PLAIN, "learning_rate": "auto"}


def shards(*arrays):
    return [
        None if array is None else [array[i:j] for i, j in zip([0, *CUTS], [*CUTS, None], strict=True)]
        for array in arrays
    ]


def parameters(model):
    parts = [model.coef_, model.intercept_] if hasattr(model, "coef_") else model.coefs_ + model.intercepts_
    return np.concatenate([np.ravel(part) for part in parts])


def write(folder, columns, rows_of_group=100):
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    parquet.write_table(pa.table(columns), folder / "rows.parquet", row_group_size=rows_of_group)
    return folder / "rows.parquet"


def columns_of(rows, **more):
    return {f"x{j}": rows[:, j] for j in range(rows.shape[1])} | more


@pytest.fixture
def small_windows(monkeypatch):
    monkeypatch.setattr(_stream, "ROWS_OF_WINDOW", 120)


SAME = {
    "linear": (MiniBatchSGDClassifier("log_loss", eta0=0.1, **PLAIN), X, y, WEIGHT),
    "auto": (MiniBatchSGDClassifier("log_loss", **AUTO), X, y, WEIGHT),
    "sparse": (MiniBatchSGDClassifier("log_loss", solver="adam", eta0=0.01, **PLAIN), sp.csr_array(X), y, None),
    "averaged": (MiniBatchSGDClassifier(eta0=0.1, average=100, **PLAIN), X, y, None),
    "poisson": (MiniBatchSGDRegressor("poisson", eta0=0.01, **PLAIN), X, np.exp(X[:, 0]), None),
    "two outputs": (MiniBatchSGDRegressor(eta0=0.01, **PLAIN), X, X[:, :2], None),
    "network": (MiniBatchMLPClassifier((4,), **PLAIN), X, y, WEIGHT),
    "network, auto": (
        MiniBatchMLPRegressor(hidden_layer_sizes=(4,), **AUTO),
        X,
        X[:, 0],
        None,
    ),
}


@pytest.mark.parametrize("name", SAME)
def test_shards_give_the_model_of_the_array(name, small_windows):
    model, rows, targets, weight = SAME[name]
    alone = clone(model).fit(rows, targets, sample_weight=weight)
    read = fit(clone(model), ArrayShards(*shards(rows, targets, weight)))
    assert_allclose(parameters(read), parameters(alone), rtol=1e-9, atol=1e-12)
    assert_allclose(read.history_["progressive_loss"], alone.history_["progressive_loss"], rtol=1e-9)
    assert read.n_updates_ == alone.n_updates_


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_parquet_gives_the_model_of_the_array(dtype, tmp_path, small_windows):
    rows = X.astype(dtype)
    source = ParquetRows(write(tmp_path, columns_of(rows, label=y, w=WEIGHT)), "label", weight="w")
    model, *_ = SAME["linear"]
    alone, read = clone(model).fit(rows, y, sample_weight=WEIGHT), fit(clone(model), source)
    assert read.coef_.dtype == dtype
    assert_allclose(parameters(read), parameters(alone), rtol=1e-9 if dtype == np.float64 else 1e-4, atol=1e-6)
    assert read.feature_names_in_.tolist() == [f"x{j}" for j in range(6)]
    chosen = fit(clone(model), ParquetRows(tmp_path, "label", columns=["x3", "x1"]))
    assert_allclose(parameters(chosen), parameters(clone(model).fit(rows[:, [3, 1]], y)), rtol=1e-4, atol=1e-6)


def test_transformers_learn_in_a_pass_of_their_own(small_windows):
    pipeline = make_pipeline(FunctionTransformer(np.arctan), StandardScaler(), SAME["linear"][0])
    whole = clone(pipeline).fit(X, y)
    for source in ((ArrayShards(*shards(X, y)),), (X, y)):
        read = fit(clone(pipeline), *source)
        assert_allclose(parameters(read[-1]), parameters(whole[-1]), rtol=1e-7)
        assert_array_equal(read.predict(X), whole.predict(X))


@pytest.mark.parametrize(
    ("name", "sync"),
    [
        ("auto", "gradients"),
        ("network", "parameters"),
        pytest.param("auto", "parameters", marks=pytest.mark.slow),
        pytest.param("network", "gradients", marks=pytest.mark.slow),
    ],
)
def test_two_workers_read_what_they_need(sync, name, small_windows, monkeypatch):
    model, rows, targets, weight = SAME[name]
    model = clone(model).set_params(max_iter=8, shuffle=True)
    least = clone(model).fit(rows, targets).score(rows, targets) - 0.05
    source, period = ArrayShards(*shards(rows, targets, weight)), 3 if sync == "parameters" else None
    if sync == "parameters":  # as many updates
        model.set_params(batch_size=25)
    expected = fit(clone(model), source, n_workers=2, sync=sync, period=period)
    assert expected.score(rows, targets) > least
    train, count = processes.Processes.train, [0]

    def and_lose(self, *job):
        count[0] += 1
        if count[0] == 3:
            self._workers[0].process.send_signal(signal.SIGKILL)
        return train(self, *job)

    monkeypatch.setattr(processes.Processes, "train", and_lose)
    again = fit(clone(model), source, n_workers=2, sync=sync, period=period)
    assert_allclose(parameters(again), parameters(expected), rtol=1e-6 if period is None else 1e-12)


def test_with_gradients_shared_and_rows_in_order_any_number_of_workers_sees_all_rows(small_windows):
    """Full batches: whoever reads what, the gradient is the same."""
    model = clone(SAME["linear"][0]).set_params(batch_size="full")
    read = fit(clone(model), ArrayShards(*shards(X, y)), n_workers=2)
    assert_allclose(parameters(read), parameters(clone(model).fit(X, y)), rtol=1e-9)


def test_a_class_that_the_sample_lacks_is_known(monkeypatch):
    monkeypatch.setattr(_look, "ROWS_OF_SAMPLE", 5)
    rare = np.where(np.arange(600) == 599, 7, y % 2)
    model = fit(clone(SAME["linear"][0]), ArrayShards(*shards(X, rare)))
    assert model.classes_.tolist() == [0, 1, 7]


@pytest.mark.parametrize("shuffle", [False, True])
def test_an_epoch_has_every_row_once_from_whatever_place_it_is_read(shuffle, small_windows):
    numbers = np.arange(600.0)
    source = ArrayShards(*shards(numbers[:, None], numbers))
    asked = shuffle, 3, 5
    whole = _stream.Stream(source).take(asked, 0, 600).y
    assert_array_equal(np.sort(whole), numbers)
    assert (whole == numbers).all() == (not shuffle)
    stream = _stream.Stream(source)
    for first, n_rows in ((0, 1), (1, 99), (100, 200), (590, 10), (130, 45), (175, 400)):
        piece = stream.take(asked, first, n_rows)
        assert_array_equal(piece.y, whole[first : first + n_rows])
        assert_array_equal(piece.X[:, 0], piece.y)
    if shuffle:
        assert (_stream.Stream(source).take((True, 3, 6), 0, 600).y != whole).any()


@settings(deadline=None)
@given(st.integers(1, 200), st.integers(1, 60), st.integers(1, 4), st.booleans(), st.data())
def test_workers_share_out_all_rows_of_all_batches(n_rows, size, n_workers, by_gradients, data):
    n_batches = -(-n_rows // size)
    cut = data.draw(st.integers(0, n_batches))
    found = []
    for rank in range(n_workers):
        worker = object.__new__(_streamed.StreamWorker)
        worker._by_gradients = by_gradients
        worker._workers = type("One", (), {"rank": rank, "size": n_workers})()
        worker._look = type("Look", (), {"n_rows": n_rows})()
        for first, last in ((0, cut), (cut, n_batches)):
            begin, n_own = worker._own_rows(first, last, size)
            found += range(begin, begin + n_own)
            if by_gradients:
                of_batches = [min(size, n_rows - batch * size) for batch in range(first, last)]
                assert n_own == sum(np.diff(part_of(rows, rank, n_workers))[0] for rows in of_batches)
    assert sorted(found) == list(range(n_rows))


def test_what_is_wrong_with_a_file_is_said_with_its_column(tmp_path):
    model = SAME["linear"][0]
    file = write(tmp_path, columns_of(X, label=y, word=["a"] * 600, gap=[None, *[1.0] * 599]))
    with pytest.raises(ValueError, match="no column 'nothing'; its columns are x0"):
        fit(clone(model), ParquetRows(file, "nothing"))
    with pytest.raises(ValueError, match=r"Column 'word' .* of type string, not numbers"):
        fit(clone(model), ParquetRows(file, "label"))
    with pytest.raises(ValueError, match=r"Column 'gap' .* missing values"):
        fit(clone(model), ParquetRows(file, "label", columns=["x0", "gap"]))
    with pytest.raises(ValueError, match="does not exist"):
        fit(clone(model), ParquetRows(tmp_path / "other", "label"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"no \*\.parquet files"):
        fit(clone(model), ParquetRows(tmp_path / "empty", "label"))


def test_a_damaged_file_is_named(tmp_path):
    file = write(tmp_path, columns_of(X, label=y))
    whole = file.read_bytes()
    for damaged in (whole[: len(whole) // 2], whole[:500] + bytes(len(whole) // 2) + whole[500 + len(whole) // 2 :]):
        file.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"rows.parquet cannot be read as Parquet, it may be cut off or damaged"):
            fit(clone(SAME["linear"][0]), ParquetRows(file, "label"))


def test_what_cannot_be_read_in_pieces_is_refused():
    model, source = clone(SAME["linear"][0]), ArrayShards(*shards(X, y))
    cases = [
        ("features", lambda: fit(model, ArrayShards([X[:5], X[5:9, :3]], [y[:5], y[5:9]]))),
        ("lengths", lambda: ArrayShards([X[:5]], [y[:4]])),
        ("no rows", lambda: fit(model, ArrayShards([X[:0]], [y[:0]]))),
        ("no targets", lambda: fit(model, ArrayShards([X]))),
        ("belong into ArrayShards", lambda: fit(model, source, y)),
        ("class_weight", lambda: fit(clone(model).set_params(class_weight="balanced"), source)),
        ("X_val", lambda: fit(clone(model).set_params(early_stopping=True), source)),
        ("NaN", lambda: fit(model, ArrayShards([np.full((4, 2), np.nan)], [y[:4]]))),
    ]
    for words, call in cases:
        with pytest.raises(ValueError, match=words):
            call()
    with pytest.raises(TypeError, match="PCA has no partial_fit"):
        fit(make_pipeline(PCA(2), model), source)
    assert not hasattr(model, "coef_")


def test_early_stopping_takes_a_validation_set_through_the_transformers(small_windows):
    pipeline = make_pipeline(
        StandardScaler(), clone(SAME["linear"][0]).set_params(early_stopping=True, max_iter=50, tol=1e-3)
    )
    model = fit(pipeline, ArrayShards(*shards(X, y)), X_val=100.0 + X[:100], y_val=y[:100])[-1]
    assert model.status_ == "early_stopped"
    assert len(model.history_["validation_score"]) == model.n_iter_
