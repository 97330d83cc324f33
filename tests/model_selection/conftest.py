"""Data that several tests of steps_to_target share."""

import pytest

from references.steps import cancer_rows, digit_rows, quadratic_rows


@pytest.fixture(scope="module")
def quadratic():
    return quadratic_rows()


@pytest.fixture(scope="module")
def cancer():
    return cancer_rows()


@pytest.fixture(scope="module")
def digits():
    return digit_rows()
