"""Multi-layer perceptrons trained by gradient descent with a chosen batch size."""

from minibatch.neural_network._classifier import MiniBatchMLPClassifier
from minibatch.neural_network._regressor import MiniBatchMLPRegressor

__all__ = ["MiniBatchMLPClassifier", "MiniBatchMLPRegressor"]
