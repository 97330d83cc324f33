"""scikit-learn's own checks."""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from minibatch import MiniBatchMLPClassifier, MiniBatchMLPRegressor, MiniBatchSGDClassifier, MiniBatchSGDRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

ESTIMATORS = [MiniBatchSGDClassifier, MiniBatchSGDRegressor, MiniBatchMLPClassifier, MiniBatchMLPRegressor]
DECLARED = {
    f"check_sample_weight_equivalence_on_{kind}_data": "a row of weight 2 is in one batch, a repeated row in two"
    for kind in ("dense", "sparse")
}


@parametrize_with_checks([estimator(batch_size="full") for estimator in ESTIMATORS])
def test_full_batches_pass_every_check(estimator, check):
    check(estimator)


# The weight checks have fewer rows than the default batch: nothing to declare.
@parametrize_with_checks([estimator() for estimator in ESTIMATORS])
def test_default_batches_pass_every_check(estimator, check):
    check(estimator)


@parametrize_with_checks(
    [estimator(batch_size=4) for estimator in ESTIMATORS], expected_failed_checks=lambda _: DECLARED
)
def test_small_batches_pass_all_but_the_declared_checks(estimator, check):
    check(estimator)
