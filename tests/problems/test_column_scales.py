"""Scales of columns: units, rarity, bands, sums along a stream."""

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal

from minibatch._problems.column_scales import (
    ALIKE,
    ROWS_GROWN,
    SQUARES_GROWN,
    ColumnMoments,
    moments_of,
    squared_scales,
    still_scales,
)
from minibatch._problems.linear import OUTPUTS, LinearProblem
from minibatch.engine.linear import Objective, Solver
from minibatch.engine.losses import REGRESSION

N, D = 5000, 6  # more rows than are looked at at once
rng = np.random.default_rng(0)
X = rng.standard_normal((N, D)) * (rng.random((N, D)) < [1.0, 1.0, 0.5, 0.1, 0.01, 0.0]) * [1, 8, 1, 1, 1, 1]


def problem_of(X, weight=None, rows=None):
    objective = Objective(REGRESSION["squared_error"], 0.0, OUTPUTS["separate"], 0, 0.0, 0.0, True)
    return LinearProblem.from_arrays(X, X[:, [0]] @ [1.0], weight, objective, Solver(0, 0, 0, 0, 1), 1, rows=rows)


def moments(squares, share):
    """Of a thousand rows of which a share has a value; ``squares`` is the mean of those."""
    share = np.asarray(share, float)
    return ColumnMoments(1000 * share * squares, 1000 * share, 1000.0)


@pytest.mark.parametrize("layout", [np.asarray, sp.csr_array])
@pytest.mark.parametrize("weighted", [False, True])
def test_moments_are_sums_over_the_rows_trained_on(layout, weighted):
    rows = np.flatnonzero(rng.random(N) < 0.9)
    weight = rng.integers(0, 3, N).astype(float) if weighted else None
    found = moments_of(problem_of(layout(X), weight, rows))
    w = np.ones(len(rows)) if weight is None else weight[rows]
    assert_allclose(found.squares, w @ X[rows] ** 2, rtol=1e-12)
    assert_allclose(found.present, w @ (X[rows] != 0), rtol=1e-12)
    assert_allclose(found.weight, w.sum(), rtol=1e-12)


def test_a_scale_is_the_unit_of_a_column_and_the_fourth_root_of_its_share():
    scales = squared_scales(moments([1.0, 64.0**2, 1.0], [1.0, 1.0, 1 / 16]), np.float64)
    assert_allclose(np.sqrt(scales.of_columns), [1.0, 64.0, 0.5])


def test_bands_are_powers_of_two_apart_and_near_the_scale():
    unit = 10.0 ** rng.uniform(-3, 3, 200)
    found = np.sqrt(squared_scales(moments(unit**2, np.ones(200)), np.float64).of_columns)
    assert (np.abs(np.log2(found / unit)) <= 0.5 + 1e-9).all()
    steps = np.log2(found / found.max())
    assert_allclose(steps, np.rint(steps), atol=1e-9)


@pytest.mark.parametrize("factor", [1.0, 3.7, 1e-5])
def test_scales_follow_the_unit_of_all_columns(factor):
    one = squared_scales(moments(np.array([1.0, 9.0, 100.0]), np.ones(3)), np.float64)
    other = squared_scales(moments(factor**2 * np.array([1.0, 9.0, 100.0]), np.ones(3)), np.float64)
    assert_allclose(other.of_columns, factor**2 * one.of_columns)


def test_columns_that_are_alike_have_one_scale():
    unit = np.array([1.0, 1.2, 0.99 * ALIKE])
    scales = squared_scales(moments(unit**2, np.ones(3)), np.float64)
    assert len(scales.bands) == 0
    assert_allclose(scales.of_columns, [np.mean(unit**2)])
    assert len(squared_scales(moments((1.02 * unit) ** 2 * [1, 1, 1.1], np.ones(3)), np.float64).bands) == 3


@pytest.mark.parametrize("square", [0.0, 1e-20, np.inf])
def test_a_column_without_a_scale_takes_the_largest(square):
    share = np.array([1.0, 1.0, 0.0 if square == 0.0 else 1.0])
    scales = squared_scales(moments(np.array([1.0, 100.0, square]), share), np.float64)
    assert_allclose(np.sqrt(scales.of_columns), [1.25, 10.0, 10.0])  # 1 is nearest to 10 / 2^3


@pytest.mark.parametrize("squares", [np.zeros(3), np.full(3, np.inf)])
def test_no_column_has_a_scale(squares):
    assert_array_equal(squared_scales(ColumnMoments(squares, np.zeros(3), 0.0), np.float32).of_columns, [1.0])


def test_scales_stay_within_the_type():
    found = squared_scales(moments(np.array([1e-80, 1e-70]), np.ones(2)), np.float32).of_columns
    assert (found > 0).all()
    assert np.isfinite(found).all()


@pytest.mark.parametrize("squares", [[1.0, 1.5, 1.2], [1.0, 64.0**2, 1.0]])
def test_moments_find_their_scales_once(squares):
    of = moments(squares, [1.0, 1.0, 1.0])
    assert of.scales(np.dtype("f8")) is of.scales(np.dtype("f8"))
    for dtype in np.dtype("f8"), np.dtype("f4"):
        for found, expected in zip(of.scales(dtype), squared_scales(of, dtype), strict=True):
            assert_array_equal(found, expected)
        assert of.scales(dtype).of_bands.dtype == dtype
    grown = of._replace(squares=4 * of.squares)
    assert_allclose(grown.scales(np.dtype("f8")).of_columns, 4 * of.scales(np.dtype("f8")).of_columns)


class TestAlongAStream:
    EARLIER = ColumnMoments(np.array([4.0, 0.0, 1e300]), np.array([100.0, 0.0, 50.0]), 100.0)

    def later(self, squares, weight):
        return ColumnMoments(np.asarray(squares), self.EARLIER.present, weight)

    def test_scales_still_do_after_a_short_chunk(self):
        assert still_scales(self.EARLIER, self.EARLIER)
        assert still_scales(self.EARLIER, self.later([4.2, 0.0, 1e300], 106.0))

    def test_they_do_not_when_rows_have_grown(self):
        assert not still_scales(self.EARLIER, self.later([4.2, 0.0, 1e300], np.nextafter(100.0 * ROWS_GROWN, 200.0)))

    @pytest.mark.parametrize("squares", [[4.01 * SQUARES_GROWN, 0.0, 1e300], [4.0, 1e-9, 1e300], [4.0, 0.0, np.inf]])
    def test_nor_when_a_column_has_larger_values_or_its_first(self, squares):
        assert not still_scales(self.EARLIER, self.later(squares, 100.0))
