"""Linear models trained by gradient descent with a chosen batch size."""

from minibatch.linear_model._classifier import MiniBatchSGDClassifier
from minibatch.linear_model._one_class_svm import MiniBatchSGDOneClassSVM
from minibatch.linear_model._regressor import MiniBatchSGDRegressor

__all__ = ["MiniBatchSGDClassifier", "MiniBatchSGDOneClassSVM", "MiniBatchSGDRegressor"]
