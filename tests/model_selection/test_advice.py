"""From predicted and measured times to an answer: the middle, the corrected law, flat sizes."""

import numpy as np
from numpy.testing import assert_allclose

from minibatch.model_selection._advice import corrected, flat_around, middle


def test_the_middle_of_sizes_about_as_fast_is_the_optimum_where_it_is_inside():
    """a B_c / B + b B is symmetric in log B around sqrt(a B_c / b)."""
    sizes = 2 ** np.arange(25)
    for best in (4, 64, 1024):
        seconds = (1 + best**2 / sizes) * (1 + sizes)  # a = b
        assert middle(sizes[seconds <= 1.2 * seconds.min()]) == best


def test_the_corrected_law_goes_through_what_was_measured():
    sizes, by_law = 2 ** np.arange(8), 1.0 + np.abs(np.arange(8) - 3.0)
    raced, costs = sizes[[0, 2, 5]], np.array([7.0, 1.0, 3.0])
    found = corrected(sizes, by_law, raced, costs)
    assert_allclose(found[[0, 2, 5]], costs)
    assert_allclose(found[6:] / by_law[6:], costs[-1] / by_law[5])  # beyond them the ratio to the law stays
    assert_allclose(found[1] / by_law[1], np.sqrt(found[0] / by_law[0] * found[2] / by_law[2]))


def test_flat_sizes_have_no_gap():
    sizes, fast = np.array([1, 2, 4, 8]), np.array([True, False, True, True])
    assert [flat_around(size, sizes, fast) for size in (1, 4, 8)] == [(1, 1), (4, 8), (4, 8)]
