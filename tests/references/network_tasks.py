"""A small problem of each kind for a network, and the fits on it that the tests compare."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from minibatch import MiniBatchMLPClassifier, MiniBatchMLPRegressor
from references.network import net_of, train

N, D = 24, 3
rng = np.random.default_rng(0)
X = rng.standard_normal((N, D))
y = X @ [1.0, -2.0, 0.5] + 0.5 * rng.standard_normal(N)
two = np.where(y > 0, "yes", "no")
three = np.array(["low", "middle", "top"])[np.digitize(y, [-1.0, 1.0])]
labels = np.c_[y > 0, X[:, 0] > 0, X.sum(axis=1) > 1].astype(int)
Y = np.c_[y, X[:, 0] ** 2]
counts = rng.poisson(np.exp(0.4 * y)) / 1.0
counts /= counts.mean()  # a log link begins at the mean: here, as in scikit-learn, at 0
weight = rng.random(N)
shares = 1 / (1 + np.exp(-Y + 0.5))
shares[:2] = [[0.0, 1.0], [1.0, 0.5]]
X_new = rng.standard_normal((12, D))

# estimator, further parameters, y, loss of the reference, y as the reference takes it
TASKS = {
    "binary": (MiniBatchMLPClassifier, {}, two, "log_loss", np.where(two == "yes", 1, -1)[:, None]),
    "classes": (MiniBatchMLPClassifier, {}, three, "softmax", np.unique(three, return_inverse=True)[1]),
    "labels": (MiniBatchMLPClassifier, {}, labels, "log_loss", 2 * labels - 1),
    "regression": (MiniBatchMLPRegressor, {}, y, "squared_error", y[:, None]),
    "outputs": (MiniBatchMLPRegressor, {}, Y, "squared_error", Y),
    "poisson": (MiniBatchMLPRegressor, {"loss": "poisson"}, counts, "poisson", counts[:, None]),
    "shares": (MiniBatchMLPRegressor, {"loss": "log_loss"}, shares, "cross_entropy", shares),
}
every_task = pytest.mark.parametrize("task", TASKS)
NET = {"hidden_layer_sizes": (4, 3), "activation": "tanh"}
PLAIN = {**NET, "solver": "sgd", "momentum": 0.0, "learning_rate": "constant", "learning_rate_init": 0.1, "alpha": 0.0}
PLAIN |= {"shuffle": False, "tol": None, "random_state": 0, "max_iter": 3}
NO_STEP = {"solver": "sgd", "learning_rate_init": 1e-300, "max_updates": 1}


def model_of(task, **parameters):
    estimator, more, *_ = TASKS[task]
    return estimator(**{**PLAIN, **more, **parameters})


def fitted(task, X=X, sample_weight=None, **parameters):
    return model_of(task, **parameters).fit(X, TASKS[task][2], sample_weight)


def start_of(task, weights=None, **parameters):
    """The first parameters; of a log link, they depend on the weighted mean."""
    return net_of(fitted(task, **{"sample_weight": weights, **parameters, **NO_STEP}))


def reference(
    task, *, weights=None, epochs=3, batch_size=5, etas=0.1, alpha=0.0, activation="tanh", solver="sgd", **more
):
    *_, loss, target = TASKS[task]
    start = start_of(
        task, weights, activation=activation, **{name: more.pop(name) for name in NORMALIZED if name in more}
    )
    return train(
        start, X, target, loss, activation, batch_size=batch_size, etas=etas, solver=solver, alpha=alpha,
        weights=weights, epochs=epochs, **more,
    )  # fmt: skip


NORMALIZED = ("batch_normalization",)


def theta(model):
    net = net_of(model) if hasattr(model, "coefs_") else model
    return np.concatenate([np.ravel(part) for parts in net for part in parts])


def assert_same_net(ours, theirs, rtol=1e-9, atol=1e-12):
    assert_allclose(theta(ours), theta(theirs), rtol=rtol, atol=atol)


def changed(model, start):
    """Whether training did something, without which equality says nothing."""
    return np.abs(theta(model) - theta(start)).max() > 1e-3


def forward_of(model, rows):
    return model.predict_proba(rows) if hasattr(model, "predict_proba") else model.predict(rows)
