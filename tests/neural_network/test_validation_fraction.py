"""``validation_fraction=0``, as scikit-learn's networks take it."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.neural_network import MLPRegressor

from minibatch import MiniBatchMLPClassifier, MiniBatchMLPRegressor, MiniBatchSGDRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X = np.random.default_rng(0).standard_normal((20, 3))


@pytest.mark.parametrize("kind", [MiniBatchMLPClassifier, MiniBatchMLPRegressor])
def test_it_changes_nothing_without_early_stopping(kind):
    y = X[:, 0] > 0
    models = [kind(validation_fraction=share, max_iter=2, random_state=0).fit(X, y) for share in (0, 0.1)]
    assert_array_equal(models[0].coefs_[0], models[1].coefs_[0])


def test_with_early_stopping_it_leaves_nothing_to_look_at():
    with pytest.raises(ValueError, match="test_size=0"):
        MLPRegressor(validation_fraction=0, early_stopping=True).fit(X, X[:, 0])
    with pytest.raises(ValueError, match="Increase validation_fraction=0"):
        MiniBatchMLPRegressor(validation_fraction=0, early_stopping=True).fit(X, X[:, 0])


def test_linear_models_refuse_it_as_scikit_learns_do():
    with pytest.raises(ValueError, match="The 'validation_fraction' parameter"):
        MiniBatchSGDRegressor(validation_fraction=0).fit(X, X[:, 0])
