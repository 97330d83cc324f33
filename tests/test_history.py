"""History: a mapping of columns that grows by rows."""

import builtins
import pickle
import re

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from minibatch import History


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
