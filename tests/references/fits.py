"""The four estimators, small and quick, for tests that all of them must pass."""

import threading

import numpy as np
import scipy.sparse as sp
from sklearn.base import is_classifier
from threadpoolctl import ThreadpoolController

from minibatch import MiniBatchMLPClassifier, MiniBatchMLPRegressor, MiniBatchSGDClassifier, MiniBatchSGDRegressor
from minibatch._problems.blas import n_blas_threads

LINEAR, NETWORKS = (MiniBatchSGDClassifier, MiniBatchSGDRegressor), (MiniBatchMLPClassifier, MiniBatchMLPRegressor)
FOUR = (*LINEAR, *NETWORKS)
CLASSIFIERS, REGRESSORS = FOUR[::2], FOUR[1::2]
PLAIN = {"tol": None, "max_iter": 3, "random_state": 0, "learning_rate": "constant"}
LAYOUTS = (np.asarray, sp.csr_array)
BATCH_SIZES = (1, 8, "full")


def model_of(estimator, **parameters):
    """Not fitted. ``rate`` is the learning rate."""
    network = issubclass(estimator, NETWORKS)
    name = "learning_rate_init" if network else "eta0"
    own = {"hidden_layer_sizes": (4,)} if network else {}
    return estimator(**{**PLAIN, **own, name: parameters.pop("rate", 0.03), **parameters})


def target_of(estimator, y):
    """``y``, or three classes of its values."""
    return np.digitize(y, np.quantile(y, [0.3, 0.7])) if is_classifier(estimator()) else y


def parameters_of(model):
    """All of them, as one vector."""
    if hasattr(model, "coefs_"):
        return np.concatenate([np.ravel(part) for part in (*model.coefs_, *model.intercepts_)])
    return np.append(np.ravel(model.coef_), model.intercept_)


# ---------------------------------------------------------------------- batches that are worth two threads

X_LARGE = np.random.default_rng(0).standard_normal((600, 40))
Y_LARGE = X_LARGE[:, :5].sum(axis=1)


def large_model_of(estimator, **parameters):
    """A batch of 300 rows has over four million products in a network of 40-340-3, which two threads share."""
    network = issubclass(estimator, NETWORKS)
    own = {"hidden_layer_sizes": (340,)} if network else {"loss": "log_loss"}
    if issubclass(estimator, REGRESSORS):
        own.pop("loss", None)
    return model_of(estimator, **{"batch_size": 300, "rate": 0.003, **own, **parameters})


def parameters_of_all_four():
    models = (large_model_of(estimator).fit(X_LARGE, target_of(estimator, Y_LARGE)) for estimator in FOUR)
    return [parameters_of(model) for model in models]


def blas_settings():
    return [library["num_threads"] for library in ThreadpoolController().select(user_api="blas").info()]


def helpers_now():
    """Threads of pools, of this process."""
    return sum(thread.name.startswith("ThreadPoolExecutor") for thread in threading.enumerate())


class _CountsHelpers:
    """Keeps how many threads of pools there were at the end of the fit, when its own still live."""

    def _publish(self, *arguments):
        super()._publish(*arguments)
        self.n_helpers_ = helpers_now()


class CountedSGDClassifier(_CountsHelpers, MiniBatchSGDClassifier):
    pass


class CountedSGDRegressor(_CountsHelpers, MiniBatchSGDRegressor):
    pass


class CountedMLPClassifier(_CountsHelpers, MiniBatchMLPClassifier):
    pass


class CountedMLPRegressor(_CountsHelpers, MiniBatchMLPRegressor):
    pass


Counted = dict(
    zip(FOUR, (CountedSGDClassifier, CountedSGDRegressor, CountedMLPClassifier, CountedMLPRegressor), strict=True)
)


def n_helpers(model, X, y):
    """A scorer."""
    return {"helpers": model.n_helpers_, "blas": n_blas_threads()}
