"""Columns and targets that learning rates fail for are named with their sizes."""

import numpy as np
import pytest
import scipy.sparse as sp

from minibatch.diagnostics._scales import scale_in_words

RANDOM = np.random.default_rng(0)
X = RANDOM.standard_normal((50, 4))
BIG = X * [1, 1, 2e5, 1e3] + [0, 0, 0, 7e5]


def words(X, y=None, rose=True, y_counts=False):
    return scale_in_words(X, y, rose=rose, y_counts=y_counts)


def test_the_largest_column_by_its_mean_and_deviation():
    means, deviations = BIG.mean(axis=0), BIG.std(axis=0)
    expected = f"column 3 of X has mean {means[3]:,.0f} and standard deviation {deviations[3]:,.0f}"
    assert words(BIG) == f"{expected}: scale X with StandardScaler"
    assert words(BIG.tolist()) == words(BIG)


def test_a_column_of_a_frame_has_its_name():
    pd = pytest.importorskip("pandas")
    assert words(pd.DataFrame(BIG, columns=["a", "b", "c", "area"])).startswith("column 'area' of X has mean ")


def test_sparse_rows_stay_sparse():
    assert words(sp.csc_array(BIG)) == words(BIG).replace("StandardScaler", "MaxAbsScaler")


@pytest.mark.parametrize("rose", [True, False])
def test_standardized_columns_are_of_no_wrong_scale(rose):
    assert words(X, rose=rose) == ""


def test_columns_may_be_too_small():
    for rose in (True, False):
        assert words(1e-4 * X, rose=rose).startswith("column ")
        assert ", the largest," in words(1e-4 * X, rose=rose)


def test_large_columns_are_no_reason_for_a_loss_that_stays():
    assert words(BIG, rose=False) == ""


def test_targets_count_for_networks_where_no_column_does():
    y = 5000 + 100 * X[:, 0]
    assert words(X, y) == words(X, y / 5e3, y_counts=True) == ""
    assert "y has mean " in words(X, y, y_counts=True)
    assert "column 3" in words(BIG, y, y_counts=True)
