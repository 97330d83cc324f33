"""X and y in whatever holds them: one model for all, the names of the columns, and nothing changed or kept."""

import joblib
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from references.fits import (
    BATCH_SIZES,
    CLASSIFIERS,
    FOUR,
    LINEAR,
    REGRESSORS,
    model_of,
    parameters_of,
    target_of,
)

pytestmark = [pytest.mark.filterwarnings(f"error::{kind}") for kind in ("RuntimeWarning", "UserWarning")]

rng = np.random.default_rng(0)
X = np.where(rng.random((30, 4)) < 0.5, rng.integers(-4, 5, (30, 4)), 0.0)  # exact in every type of number
X[4], X[:, 2] = 0.0, 0.0  # an empty row, an empty column
y = X @ [1.0, 2.0, 0.0, -1.0] / 8 + 0.125
ALL_FOUR = pytest.mark.parametrize("estimator", FOUR)
EVERY_SIZE = pytest.mark.parametrize("batch_size", BATCH_SIZES)


def fitted(estimator, rows=X, target=None, **parameters):
    return model_of(estimator, **parameters).fit(rows, target_of(estimator, y) if target is None else target)


# ---------------------------------------------------------------------- sparse matrices


def with_duplicates(matrix):
    """Every entry in two halves, in the order of decreasing columns, with a zero that is there."""
    indptr, indices, data = [0], [], []
    for i in range(matrix.shape[0]):
        row = slice(matrix.indptr[i], matrix.indptr[i + 1])
        indices += [*matrix.indices[row][::-1], 3, *matrix.indices[row]]
        data += [*matrix.data[row][::-1] / 2, 0.0, *matrix.data[row] / 2]
        indptr.append(len(indices))
    return np.array(data), np.array(indices), np.array(indptr)


def unusual(container, index):
    data, indices, indptr = with_duplicates(sp.csr_array(X))
    return container((data, indices.astype(index), indptr.astype(index)), X.shape)


SPARSE = {
    "int32, duplicates": lambda: unusual(sp.csr_array, np.int32),
    "int64, duplicates": lambda: unusual(sp.csr_array, np.int64),
    "spmatrix, duplicates": lambda: unusual(sp.csr_matrix, np.int64),
    **{name: lambda name=name: getattr(sp, name)(X) for name in ("csc_array", "coo_matrix", "lil_array", "dok_array")},
    "bsr_matrix": lambda: sp.bsr_matrix(X, blocksize=(2, 2)),
    "dia_array": lambda: sp.dia_array(X),
}


@ALL_FOUR
@EVERY_SIZE
@pytest.mark.parametrize("kind", SPARSE)
def test_any_sparse_matrix_is_the_dense_one(estimator, batch_size, kind):
    rows, dense = SPARSE[kind](), fitted(estimator, batch_size=batch_size)
    model = fitted(estimator, rows, batch_size=batch_size)
    assert_allclose(parameters_of(model), parameters_of(dense), rtol=1e-9, atol=1e-13)
    assert_allclose(model.predict(rows), dense.predict(X), rtol=1e-9)
    assert "duplicates" not in kind or len(rows.data) == len(rows.indices) == 2 * np.count_nonzero(X) + len(X)


@pytest.mark.parametrize("estimator", LINEAR)
@EVERY_SIZE
@pytest.mark.parametrize(
    "parameters",
    [{"penalty": "l1", "alpha": 0.01}, {"average": True}, {"average": 40, "penalty": "elasticnet"}, {"solver": "adam"}],
    ids=str,
)
def test_duplicates_in_the_lazy_loops(estimator, batch_size, parameters):
    """A column that a row names twice catches up once."""
    plain = fitted(estimator, batch_size=batch_size, **parameters)
    model = fitted(estimator, unusual(sp.csr_array, np.int32), batch_size=batch_size, **parameters)
    assert_allclose(parameters_of(model), parameters_of(plain), rtol=1e-9, atol=1e-13)


@ALL_FOUR
def test_duplicates_where_rows_are_looked_at_alone(estimator):
    """The noise of gradients decides how batches grow."""
    parameters = {"batch_growth": "adaptive", "batch_size": 2, "max_iter": 6, "evaluate_every": 1}
    plain, model = (fitted(estimator, rows, **parameters) for rows in (X, unusual(sp.csr_array, np.int32)))
    assert plain.batch_size_ > 2
    for name in ("batch_size", "gradient_norm"):
        assert_allclose(model.history_[name], plain.history_[name], rtol=1e-9)


# ---------------------------------------------------------------------- dense arrays


def memory_mapped(folder):
    joblib.dump(X, folder / "x.joblib")
    return joblib.load(folder / "x.joblib", mmap_mode="r")


def raw_memory(folder):
    np.save(folder / "x.npy", X)
    return np.load(folder / "x.npy", mmap_mode="r")


def strided(_):
    wide = np.full((60, 4), 9.0)
    wide[::2, ::-1] = X
    return wide[::2, ::-1]


DENSE = {
    "joblib": memory_mapped,
    "memmap": raw_memory,
    "strided": strided,
    "Fortran": lambda _: np.asfortranarray(X),
    "other byte order": lambda _: X.astype(X.dtype.newbyteorder()),
    "objects": lambda _: X.astype(object),
    **{name: lambda _, name=name: X.astype(name) for name in ("int8", "int64", "float16", "longdouble")},
    "matrix of strings": lambda _: pd.DataFrame(X.astype(str)).astype(float),
}


@ALL_FOUR
@EVERY_SIZE
@pytest.mark.parametrize("kind", DENSE)
def test_any_dense_array_is_the_plain_one(estimator, batch_size, kind, tmp_path):
    rows, plain = DENSE[kind](tmp_path), fitted(estimator, batch_size=batch_size)
    model = fitted(estimator, rows, batch_size=batch_size)
    assert_array_equal(parameters_of(model), parameters_of(plain))
    assert_allclose(model.predict(rows), plain.predict(X), rtol=1e-12, atol=1e-15)  # a long double is not cut


@ALL_FOUR
@pytest.mark.parametrize("dtype", [np.uint8, bool, np.uint64])
def test_numbers_without_a_sign(estimator, dtype):
    rows = np.abs(X).astype(dtype)
    assert_array_equal(parameters_of(fitted(estimator, rows)), parameters_of(fitted(estimator, rows.astype(float))))


@ALL_FOUR
def test_y_and_weights_in_any_array(estimator, tmp_path):
    target, weight = target_of(estimator, y), np.arange(30.0) % 3 + 1
    expected = parameters_of(model_of(estimator).fit(X, target, sample_weight=weight))
    joblib.dump((target, weight), tmp_path / "y.joblib")
    twice = np.repeat(target, 2), np.repeat(weight, 2)
    for same in (
        joblib.load(tmp_path / "y.joblib", mmap_mode="r"),
        tuple(array[::2] for array in twice),
        tuple(array.astype(array.dtype.newbyteorder()) for array in (target, weight)),
        (target.tolist(), weight.tolist()),
        (pd.Series(target, index=range(30, 0, -1)), pd.Series(weight, index=range(30))),  # by place, not by index
        (target.astype(np.float32), weight.astype(np.float16)),
    ):
        assert_array_equal(parameters_of(model_of(estimator).fit(X, same[0], sample_weight=same[1])), expected)


@ALL_FOUR
def test_numbers_that_are_none(estimator):
    target, model = target_of(estimator, y), fitted(estimator)
    before = parameters_of(model)
    words = np.char.add(X.astype(str), "x")
    for bad, message in ((X + 1j, "omplex"), (words, "could not convert|dtype"), (X[None], "dim")):
        with pytest.raises(ValueError, match=message):
            model.fit(bad, target)
    assert_array_equal(parameters_of(model), before)


# ---------------------------------------------------------------------- nothing changed, nothing kept


def arrays_in(value):
    """All arrays that an attribute holds."""
    if isinstance(value, np.ndarray):
        return [value]
    if isinstance(value, dict):
        value = value.values()
    if hasattr(value, "__dict__") and not isinstance(value, type):
        value = vars(value).values()
    return [a for part in value for a in arrays_in(part)] if isinstance(value, list | tuple | type({}.values())) else []


@ALL_FOUR
@EVERY_SIZE
@pytest.mark.parametrize("layout", [np.array, lambda _: unusual(sp.csr_array, np.int32)], ids=["dense", "csr"])
@pytest.mark.parametrize("more", [{}, {"warm_start": True, "evaluate_every": 1}], ids=["plain", "warm"])
def test_what_is_given_is_neither_changed_nor_kept(estimator, batch_size, layout, more):
    rows, target, weight = layout(X), target_of(estimator, y), np.arange(1.0, 31.0)
    given = [*([rows] if isinstance(rows, np.ndarray) else [rows.data, rows.indices, rows.indptr]), target, weight]
    model = model_of(estimator, batch_size=batch_size, **more)
    if estimator in LINEAR and not more:
        shape = (3, 4) if estimator in CLASSIFIERS else (4,)
        start = {"coef_init": np.ones(shape), "intercept_init": np.ones(shape[:-1] or 1)}
        given += start.values()
    else:
        start = {}
    before = [array.tobytes() for array in given]
    model.fit(rows, target, sample_weight=weight, **start, X_val=rows, y_val=target, sample_weight_val=weight)
    model.partial_fit(rows, target, sample_weight=weight)
    predicted = model.predict(rows)
    model.score(rows, target)
    assert [array.tobytes() for array in given] == before
    kept = [array for value in vars(model).values() for array in arrays_in(value)]
    assert len(kept) >= 4
    assert not any(np.shares_memory(array, own) for array in (*given, predicted) for own in kept)


# ---------------------------------------------------------------------- frames


FRAMES = {
    "pandas": lambda: pd.DataFrame(X, columns=list("abcd")),
    "nullable": lambda: pd.DataFrame(X.astype(int), columns=list("abcd")).convert_dtypes(),
    "mixed": lambda: pd.DataFrame(X, columns=list("abcd")).astype({"a": "int8", "b": "Float64", "c": bool}),
    "sparse": lambda: pd.DataFrame(X, columns=list("abcd")).astype(pd.SparseDtype(float, 0.0)),
}


@ALL_FOUR
@pytest.mark.parametrize("kind", FRAMES)
def test_frames_have_the_model_of_their_numbers_and_names(estimator, kind):
    frame, plain = FRAMES[kind](), fitted(estimator)
    model = fitted(estimator, frame)
    assert list(model.feature_names_in_) == list("abcd")
    assert_allclose(parameters_of(model), parameters_of(plain), rtol=1e-9, atol=1e-13)
    assert_allclose(model.predict(frame), plain.predict(X), rtol=1e-9)
    for method in (model.predict, lambda rows: model.partial_fit(rows, target_of(estimator, y))):
        with pytest.raises(ValueError, match="must be in the same order"):
            method(frame[["b", "a", "c", "d"]])
        with pytest.raises(ValueError, match=r"unseen at fit time:\n- e"):
            method(frame.rename(columns={"a": "e"}))
        with pytest.warns(UserWarning, match="does not have valid feature names"):
            method(X)
    with pytest.warns(UserWarning, match="was fitted without feature names"):
        plain.predict(frame)
    with pytest.raises(ValueError, match=r"Validation set.*feature names"):
        model.fit(frame, target_of(estimator, y), X_val=frame[["b", "a", "c", "d"]], y_val=target_of(estimator, y))


@ALL_FOUR
def test_frames_inside_a_pipeline(estimator):
    model = model_of(estimator)
    pipeline = make_pipeline(StandardScaler(), model).set_output(transform="pandas")
    pipeline.fit(FRAMES["pandas"](), target_of(estimator, y))
    assert list(model.feature_names_in_) == list("abcd")
    arrays = make_pipeline(StandardScaler(), model_of(estimator)).fit(X, target_of(estimator, y))
    assert_allclose(pipeline.predict(FRAMES["pandas"]()), arrays.predict(X), rtol=1e-9)


@ALL_FOUR
def test_missing_values_in_frames(estimator):
    frame, target = FRAMES["nullable"](), target_of(estimator, y)
    model = fitted(estimator, frame)
    before, history = parameters_of(model), model.history_.copy()
    frame.iloc[3, 1] = pd.NA
    for method in (model.fit, model.partial_fit, lambda rows, _: model.predict(rows)):
        with pytest.raises(ValueError, match="Input X contains NaN"):
            method(frame, target)
    holes = pd.Series(target).convert_dtypes()
    holes[2] = pd.NA
    with pytest.raises(ValueError, match="y contains NaN"):
        model.fit(FRAMES["nullable"](), holes)
    assert_array_equal(parameters_of(model), before)
    assert model.history_ == history


@pytest.mark.parametrize("estimator", REGRESSORS)
def test_targets_in_frames(estimator):
    two = np.c_[y, -y]
    expected = parameters_of(model_of(estimator).fit(X, two))
    model = model_of(estimator).fit(X, pd.DataFrame(two, columns=["p", "q"]))
    assert_array_equal(parameters_of(model), expected)
    assert isinstance(model.predict(X), np.ndarray)
    assert model_of(estimator).fit(X, y[:, None]).predict(X).shape == (30, 1)
