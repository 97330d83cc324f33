"""What the tests of steps_to_target share: data, a plain estimator, the looks, and the trials of a result."""

import numpy as np
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.preprocessing import scale

from minibatch import MiniBatchSGDRegressor

__all__ = ["PLAIN", "RATES", "cancer_rows", "digit_rows", "looks", "losses_of", "quadratic_rows", "trials"]

PLAIN = MiniBatchSGDRegressor(alpha=0, fit_intercept=False, shuffle=False, learning_rate="constant")
RATES = (0.01, 0.03, 0.1, 0.3, 1.0)


def quadratic_rows():
    """Least squares without noise, curvatures from 0.2 to 2."""
    random = np.random.default_rng(0)
    X = random.standard_normal((53, 6)) * np.sqrt(np.linspace(0.2, 2, 6))
    return X, X @ np.ones(6)


def cancer_rows():
    X, y = load_breast_cancer(return_X_y=True)
    return scale(X), y


def digit_rows():
    X, y = load_digits(return_X_y=True)
    return X[:400] / 16, y[:400]


def losses_of(X, y, batch_size, rate, momentum, n_updates):
    """The training loss before the first and after every update of gradient descent, rows in their order; infinite
    from where it is ten thousand times the first."""
    w, v, losses, start = np.zeros(X.shape[1]), 0.0, np.full(n_updates + 1, np.inf), 0
    for update in range(n_updates + 1):
        losses[update] = 0.5 * np.mean((X @ w - y) ** 2)
        if losses[update] > 1e4 * losses[0]:
            break
        rows = slice(start, start + batch_size)
        v = momentum * v + X[rows].T @ (X[rows] @ w - y[rows]) / len(y[rows])
        w = w - rate * v
        start = 0 if start + batch_size >= len(y) else start + batch_size
    return losses


def looks(n_updates):
    """When the training is looked at: each look is at most 4 % after the last one, or the next update."""
    number, found = 0, []
    while number < n_updates:
        number = min(n_updates, max(number + 1, int(number * 1.04 + 1e-9)))
        found.append(number)
    return np.array(found)


def trials(result, **where):
    """Status, updates and updates done of the trials with these values."""
    here = np.all([result.trials[name] == value for name, value in where.items()], axis=0)
    return [result.trials[name][here] for name in ("status", "updates", "n_updates")]
