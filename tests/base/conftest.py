"""What several files of tests need: BLAS, set to two threads, and looked at afterwards."""

import pytest
from threadpoolctl import threadpool_limits

from references.fits import blas_settings


@pytest.fixture
def blas_is_left_as_it_was():
    """And set to two threads in the meantime, whatever the machine has."""
    with threadpool_limits(2, user_api="blas"):
        before = blas_settings()
        yield
        assert blas_settings() == before
