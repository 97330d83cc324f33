"""History: a mapping of columns that grows by rows."""

import builtins
import pickle
import re

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from minibatch import History, MiniBatchMLPRegressor, MiniBatchSGDRegressor
from minibatch.history import _STREAM_ROWS


@pytest.fixture
def history():
    history = History()
    history.append(epoch=1, n_updates=4, progressive_loss=2.0)
    history.append(epoch=2, n_updates=8, progressive_loss=0.5, objective=0.25)
    return history


def test_columns_are_arrays(history):
    assert_array_equal(history["epoch"], [1, 2])
    assert history["epoch"].dtype == np.int64
    assert list(history) == ["epoch", "n_updates", "progressive_loss", "objective"]
    assert (len(history), history.n_epochs) == (4, 2)


def test_missing_values_are_nan_before_and_after(history):
    history.append(epoch=3)
    assert_array_equal(history["objective"], [np.nan, 0.25, np.nan])
    assert_array_equal(history["progressive_loss"], [2.0, 0.5, np.nan])


def test_an_array_is_a_copy(history):
    history["epoch"][:] = 0
    assert_array_equal(history["epoch"], [1, 2])


def test_an_unknown_column_names_those_that_exist(history):
    with pytest.raises(KeyError, match="'train_loss' was not recorded; columns: epoch, n_updates"):
        history["train_loss"]
    with pytest.raises(KeyError, match="none yet"):
        History()["epoch"]


def test_extend_appends_rows_and_leaves_the_other_alone(history):
    other = History()
    other.append(epoch=3, validation_loss=0.1)
    history.extend(other)
    assert_array_equal(history["epoch"], [1, 2, 3])
    assert_array_equal(history["validation_loss"], [np.nan, np.nan, 0.1])
    assert_array_equal(history["objective"], [np.nan, 0.25, np.nan])
    assert (other.n_epochs, list(other)) == (1, ["epoch", "validation_loss"])


def test_last(history):
    assert history.last("n_updates") == 8
    assert history.last("unknown", 1.5) == 1.5
    assert History().last("epoch") == 0


def test_frame(history):
    frame = history.to_frame()
    assert frame.shape == (2, 4)
    assert list(frame.columns) == list(history)
    assert frame["objective"].isna().tolist() == [True, False]


def test_without_pandas_and_polars_the_error_says_what_to_do(history, monkeypatch):
    real_import = builtins.__import__

    def neither(name, *args, **kwargs):
        if name in ("pandas", "polars"):
            raise ImportError(name)
        return real_import(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", neither)
    with pytest.raises(ImportError, match="pip install pandas"):
        history.to_frame()
    assert_array_equal(dict(history)["epoch"], [1, 2])


def test_pickle(history):
    copy = pickle.loads(pickle.dumps(history))
    assert list(copy) == list(history)
    assert all(np.array_equal(copy[name], history[name], equal_nan=True) for name in history)


def test_numbers_are_saved_as_arrays(history):
    """Of a list, skops writes a description of every number."""
    assert all(isinstance(column, np.ndarray) for column in history.__getstate__()["columns"].values())


def test_repr_shows_the_objective_where_it_was_last_recorded(history):
    assert repr(History()) == "History of 0 epochs"
    history.append(epoch=3, n_updates=12, progressive_loss=0.125)
    assert repr(history) == "History of 3 epochs, 12 updates: progressive_loss 2 -> 0.125"


def test_repr_with_the_objective_of_every_epoch():
    history = History()
    for objective in (1234.5, 0.5):
        history.append(n_updates=3, progressive_loss=9.0, objective=objective)
    assert repr(history) == "History of 2 epochs, 3 updates: objective 1234 -> 0.5"


def test_repr_with_an_objective_that_came_late(history):
    """Evaluation every second epoch: the first objective is not known, and NaN says nothing."""
    assert "nan" not in repr(history)


def test_html_shows_both_ends_of_a_long_history():
    history = History()
    for epoch in range(1, 101):
        history.append(epoch=epoch, n_updates=epoch, progressive_loss=1e-300 * epoch)
    page = history._repr_html_()
    first_cells = re.findall(r"<tr><td[^>]*>([^<]*)</td>", page)
    assert first_cells == ["1", "2", "3", "4", "5", "&hellip;", "96", "97", "98", "99", "100"]
    assert page.count("&hellip;") == 1


def test_html_of_a_short_history_is_a_table_of_its_own(history):
    page = history._repr_html_()
    assert page.startswith("<table")
    assert page.count("<tr>") == 3
    assert page.count("<td ") == 8
    assert "&hellip;" not in page
    assert page.count(">") == page.count("<")  # the arrow of the caption is escaped


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan, 0.0, 1e30])
def test_any_number_can_be_shown(value):
    history = History()
    history.append(n_updates=1, progressive_loss=value)
    assert "progressive_loss" in repr(history)
    assert history._repr_html_().count("<td ") == 2


# ---------------------------------------------------------------------- streams


def call_number(n):
    row = History()
    row.append(epoch=n, n_updates=3 * n, progressive_loss=1.0 / n)
    return row


def stream_of(n_calls, first=1):
    history = History()
    for n in range(1, first):
        history.extend(call_number(n))
    history._stream(True)
    for n in range(first, first + n_calls):
        history.extend(call_number(n))
    return history


@pytest.fixture
def few_rows(monkeypatch):
    monkeypatch.setattr("minibatch.history._STREAM_ROWS", 40)


@pytest.mark.parametrize("n_calls", [1, 39, 40, 41, 60, 500, 5000])
@pytest.mark.parametrize("first", [1, 8])
def test_rows_of_a_stream_are_few_and_evenly_spaced(few_rows, n_calls, first):
    """Beside the fit before it: all multiples of one stride since the last thinning, then every call."""
    history = stream_of(n_calls, first)
    epochs = history["epoch"]
    assert_array_equal(epochs[: first - 1], np.arange(1, first))
    calls = epochs[first - 1 :] - first
    assert len(calls) <= 40
    assert len(calls) >= min(n_calls, 10)
    assert (calls[0], calls[-1]) == (0, n_calls - 1)
    assert set(np.diff(np.diff(calls)[:9])) <= {0}
    stride = calls[1] if n_calls > 1 else 1
    assert np.diff(calls).max(initial=1) <= stride
    assert stride <= max(1, n_calls / 10)
    for row, epoch in enumerate(epochs):  # the columns stay beside each other
        assert (history["n_updates"][row], history["progressive_loss"][row]) == (3 * epoch, 1.0 / epoch)
    assert (history.last("epoch"), history.last("n_updates")) == (epochs[-1], 3 * epochs[-1])
    assert f"{epochs[-1]} epochs, {3 * epochs[-1]} updates: progressive_loss 1 ->" in repr(history)


def test_rows_of_a_fit_stay_whatever_came_before(few_rows):
    history = stream_of(100)
    kept = history.n_epochs
    history = history.copy()
    history._stream(False)
    for n in range(101, 301):
        history.extend(call_number(n))
    assert history.n_epochs == kept + 200
    history._stream(True)
    for n in range(301, 601):
        history.extend(call_number(n))
    assert_array_equal(history["epoch"][kept : kept + 200], np.arange(101, 301))
    assert history.n_epochs <= kept + 200 + 40


def test_a_stream_goes_on_after_pickling(few_rows):
    straight, halted = stream_of(500), stream_of(333)
    for n in range(334, 501):
        halted = pickle.loads(pickle.dumps(halted))
        halted.extend(call_number(n))
    assert straight == halted


@pytest.mark.parametrize("n_calls", [39, 40, 41, 45])
def test_rows_can_be_taken_back_where_they_were_thinned_too(few_rows, n_calls):
    history = stream_of(n_calls)
    mark, before = history._mark(), history.copy()
    late = History()
    late.append(epoch=n_calls + 1, n_updates=2.5, another=1)
    history.extend(late)
    history.extend(call_number(n_calls + 2))
    history._back_to(mark)
    assert history == before
    assert [history[name].dtype for name in history] == [before[name].dtype for name in before]


@pytest.mark.parametrize("kind", [MiniBatchSGDRegressor, MiniBatchMLPRegressor])
def test_a_long_stream_of_calls_is_bounded_and_counted(few_rows, kind):
    X, y = np.eye(4), np.arange(4.0)
    model = kind(batch_size=2, random_state=0)
    for _ in range(150):
        model.partial_fit(X, y)
    history = model.history_
    assert history.n_epochs <= 40
    assert (history.last("epoch"), model.n_updates_, history.last("n_samples_seen")) == (150, 300, 600)
    small = len(pickle.dumps(model))
    for _ in range(850):
        model.partial_fit(X, y)
    assert abs(len(pickle.dumps(model)) - small) < 4000  # 3 kB of columns, at most twice
    before = model.history_["epoch"]
    model.set_params(warm_start=True, max_iter=60, tol=None).fit(X, y)
    assert_array_equal(model.history_["epoch"], [*before, *range(1001, 1061)])


def test_a_row_takes_eight_bytes_a_column():
    history = stream_of(_STREAM_ROWS)
    assert history.n_epochs == _STREAM_ROWS
    assert sum(values.itemsize * len(values) for values in history._columns.values()) == 3 * 8 * _STREAM_ROWS
    assert len(pickle.dumps(history)) < 3 * 8 * _STREAM_ROWS + 2000


@pytest.mark.parametrize(
    ("values", "kind"),
    [([1, 2], "i"), ([1, 2.5], "f"), ([2.5, 1], "f"), (["a", "b"], "U"), ([1, "b"], "U"), ([True, False], "b")],
)
def test_a_column_has_the_type_of_its_values(values, kind):
    history, joined = History(), History()
    for value in values:
        history.append(column=value)
        row = History()
        row.append(column=value)
        joined.extend(row)
    for made in (history, joined, history.copy(), pickle.loads(pickle.dumps(history))):
        assert made["column"].dtype.kind == kind
        assert_array_equal(made["column"], values)
