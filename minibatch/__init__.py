"""Mini-batch gradient descent with an honest batch size, for scikit-learn."""

from minibatch.history import History
from minibatch.linear_model import MiniBatchSGDClassifier, MiniBatchSGDOneClassSVM, MiniBatchSGDRegressor
from minibatch.neural_network import MiniBatchMLPClassifier, MiniBatchMLPRegressor

__version__ = "0.1.0"
__all__ = [
    "History",
    "MiniBatchMLPClassifier",
    "MiniBatchMLPRegressor",
    "MiniBatchSGDClassifier",
    "MiniBatchSGDOneClassSVM",
    "MiniBatchSGDRegressor",
    "__version__",
]
