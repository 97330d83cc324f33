"""Property tests for estimators with a batch size: hypothesis strategies, and checks of what must hold.

Strategies draw batch sizes, data sets and estimators that fit together; what they draw shrinks to a few small numbers.
Checks are plain functions of an estimator, for anyone's estimators, that raise ``AssertionError`` and say why::

    from hypothesis import given, settings
    from minibatch.testing import (
        classification_data,
        estimators,
        parametrize_with_batch_checks,
    )


    @settings(
        deadline=None
    )  # the first example waits for kernels to be compiled, or loaded
    @given(classification_data(sparse=False), estimators("classifier"))
    def test_my_pipeline(data, estimator): ...


    @parametrize_with_batch_checks([MyClassifier(), MyRegressor()])
    def test_batch_sizes_are_honest(estimator, check):
        check(estimator)

For scikit-learn's own checks, ``expected_failed_checks`` says what the estimators of this package fail, and why.
Needs ``hypothesis``, the decorator also ``pytest``: ``pip install 'scikit-minibatch[testing]'``.
"""

try:
    import hypothesis  # noqa: F401
except ImportError as error:
    raise ImportError("minibatch.testing needs hypothesis: pip install 'scikit-minibatch[testing]'") from error

from minibatch.testing._checks import (
    check_all_rows_are_a_full_batch,
    check_clone_pickle_and_refit_give_the_same_model,
    check_dense_equals_sparse,
    check_full_batch_ignores_the_order_of_rows,
    check_partial_fits_over_slices_are_an_epoch,
    check_penalty_does_not_depend_on_batch_size,
    check_seed_alone_orders_the_rows,
    check_updates_are_counted,
    check_weights_are_repetitions,
)
from minibatch.testing._data import batch_sizes, classification_data, regression_data
from minibatch.testing._estimators import estimators
from minibatch.testing._suite import batch_checks, expected_failed_checks, parametrize_with_batch_checks

__all__ = [
    "batch_checks",
    "batch_sizes",
    "check_all_rows_are_a_full_batch",
    "check_clone_pickle_and_refit_give_the_same_model",
    "check_dense_equals_sparse",
    "check_full_batch_ignores_the_order_of_rows",
    "check_partial_fits_over_slices_are_an_epoch",
    "check_penalty_does_not_depend_on_batch_size",
    "check_seed_alone_orders_the_rows",
    "check_updates_are_counted",
    "check_weights_are_repetitions",
    "classification_data",
    "estimators",
    "expected_failed_checks",
    "parametrize_with_batch_checks",
    "regression_data",
]
