"""Mini-batch gradient descent in NumPy: dense X, rows in their own order.

Parameters are one array (n_features + 1, n_outputs); the last row holds the intercepts.
"""

import numpy as np

MARGIN_LOSSES = ("log_loss", "hinge", "squared_hinge", "modified_huber", "perceptron")


def slope(loss, z, y, parameter):
    """Derivative of the loss in the prediction ``z``; margin losses take ``y`` in {-1, +1}."""
    return _SLOPES[loss](z, y, parameter)


_SLOPES = {
    "log_loss": lambda z, y, _: -y / (1 + np.exp(y * z)),
    "hinge": lambda z, y, _: np.where(y * z <= 1, -y, 0.0),
    "squared_hinge": lambda z, y, _: np.where(y * z < 1, -2 * y * (1 - y * z), 0.0),
    "modified_huber": lambda z, y, _: np.select([y * z < -1, y * z < 1], [-4.0 * y, -2 * y * (1 - y * z)], 0.0),
    "perceptron": lambda z, y, _: np.where(y * z <= 0, -y, 0.0),
    "squared_error": lambda z, y, _: z - y,
    "huber": lambda z, y, epsilon: np.clip(z - y, -epsilon, epsilon),
    "epsilon_insensitive": lambda z, y, epsilon: np.where(np.abs(z - y) > epsilon, np.sign(z - y), 0.0),
    "squared_epsilon_insensitive": lambda z, y, epsilon: 2 * (z - np.clip(z, y - epsilon, y + epsilon)),
    "absolute_error": lambda z, y, _: np.sign(z - y),
    "quantile": lambda z, y, q: np.select([z > y, z < y], [1 - q, -q], 0.0),
    "poisson": lambda z, y, _: np.exp(z) - y,
    "gamma": lambda z, y, _: 1 - y * np.exp(-z),
    "cross_entropy": lambda z, y, _: 1 / (1 + np.exp(-z)) - y,
}


def softmax_slopes(z, labels):
    """Derivative of the cross-entropy in the scores ``z`` (n, n_classes)."""
    p = np.exp(z - z.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    p[np.arange(len(z)), labels] -= 1
    return p


def implicit_l1(w, rate, l1):
    """Solve ``w_new = w - rate * s`` with ``s`` a subgradient of ``l1 |w_new|``; returns both."""
    s = np.where(rate * l1 > 0, np.clip(w / np.where(rate > 0, rate, 1.0), -l1, l1), 0.0)
    inside = np.abs(w) <= rate * l1
    return np.where(inside, 0.0, w - rate * s), s


class Optimizer:
    """One solver and its memory. ``l1`` and ``l2`` are arrays like the parameters, 0 for intercepts. Columns of the
    parameters have distances of their own in DoWG, unless these are ``shared``."""

    def __init__(self, solver, *, momentum=0.9, beta_1=0.9, beta_2=0.999, epsilon=1e-8, noisy=True, shared=False):
        self.momentum, self.beta_1, self.beta_2, self.epsilon = momentum, beta_1, beta_2, epsilon
        self.noisy, self.axis = noisy, None if shared else 0
        self.step = getattr(self, f"_{solver}")
        self.t = 0
        self.v = self.m2 = self.due = self.received = self.squares = 0.0
        self.x = self.z = self.origin = None

    def model(self, w):
        """What the parameters predict with: of the schedule-free solvers, the average."""
        return w if self.x is None else self.x

    def _sgd(self, w, g, eta, l1, l2):
        """Cumulative L1 penalty (Tsuruoka et al. 2009), whose debts shrink with the weights; full batches keep none."""
        keep = np.maximum(0.0, 1 - eta * l2)
        z = keep * w - eta * g
        if not self.noisy:
            self.due = self.received = 0.0
            return np.sign(z) * np.maximum(np.abs(z) - eta * l1, 0.0)
        self.due, self.received = keep * self.due + eta * l1, keep * self.received
        new = np.where(
            z > 0, np.maximum(0, z - (self.due + self.received)), np.minimum(0, z + (self.due - self.received))
        )
        new = np.where(l1 > 0, new, z)
        self.received = self.received + new - z
        return new

    def _momentum(self, w, g, eta, l1, l2):
        g = g + l2 * w
        new, s = implicit_l1(w - eta * (self.momentum * self.v + g), eta * np.ones_like(w), l1)
        self.v = self.momentum * self.v + g + s
        return new

    def _nesterov(self, w, g, eta, l1, l2):
        g, mu = g + l2 * w, self.momentum
        without_l1 = w - eta * (g + mu * (mu * self.v + g))
        new, s = implicit_l1(without_l1, eta * (1 + mu) * np.ones_like(w), l1)
        self.v = mu * self.v + g + s
        return new

    def _adagrad(self, w, g, eta, l1, l2):
        g = g + l2 * w
        self.m2 = self.m2 + g**2
        rate = eta / (np.sqrt(self.m2) + self.epsilon)
        return implicit_l1(w - rate * g, rate, l1)[0]

    def _rmsprop(self, w, g, eta, l1, l2):
        g = g + l2 * w
        self.m2 = self.beta_2 * self.m2 + (1 - self.beta_2) * g**2
        rate = eta / (np.sqrt(self.m2) + self.epsilon)
        return implicit_l1(w - rate * g, rate, l1)[0]

    def _adam(self, w, g, eta, l1, l2, keep=1.0):
        g = g + l2 * w
        self.t += 1
        self.v = self.beta_1 * self.v + (1 - self.beta_1) * g
        self.m2 = self.beta_2 * self.m2 + (1 - self.beta_2) * g**2
        rate = eta / (np.sqrt(self.m2 / (1 - self.beta_2**self.t)) + self.epsilon)
        return implicit_l1(keep * w - rate * self.v / (1 - self.beta_1**self.t), rate, l1)[0]

    def _adamw(self, w, g, eta, l1, l2):
        return self._adam(w, g, eta, l1, 0.0 * l2, keep=np.maximum(0.0, 1 - eta * l2))

    def _schedule_free(self, y, direction, rate, eta, l1, beta):
        """Defazio et al. 2024, arXiv 2405.15682."""
        self.x, self.z = (y, y) if self.x is None else (self.x, self.z)
        self.z = implicit_l1(self.z - eta * direction, rate * np.ones_like(y), l1)[0]
        self.squares += np.square(eta)
        share = eta**2 / self.squares
        self.x = (1 - share) * self.x + share * self.z
        return (1 - beta) * self.z + beta * self.x

    def _schedule_free_sgd(self, y, g, eta, l1, l2):
        return self._schedule_free(y, g + l2 * y, eta, eta, l1, self.momentum)

    def _schedule_free_adamw(self, y, g, eta, l1, l2):
        self.t += 1
        self.m2 = self.beta_2 * self.m2 + (1 - self.beta_2) * g**2
        size = np.sqrt(self.m2 / (1 - self.beta_2**self.t)) + self.epsilon
        return self._schedule_free(y, g / size + l2 * y, eta / size, eta, l1, self.beta_1)

    def _dowg(self, w, g, first_distance, l1, l2):
        """Khaled, Mishchenko & Jin 2023, arXiv 2305.16284: SGD at a rate of its own."""
        if self.origin is None:
            self.origin, self.r = w, first_distance
        self.r = np.maximum(self.r, np.sqrt(((w - self.origin) ** 2).sum(axis=self.axis)))
        self.v = self.v + self.r**2 * ((g + l2 * w) ** 2).sum(axis=self.axis)
        self.eta = self.r**2 / np.sqrt(self.v)
        return self._sgd(w, g, self.eta, l1, l2)


def descend(
    X, y, loss, *, batch_size, etas, parameter=0.1, l1=0.0, l2=0.0, solver="sgd", weights=None, epochs=1,
    fit_intercept=True, average_from=None, theta=None, **solver_parameters,
):  # fmt: skip
    """Coefficients (n_outputs, n_features) and intercepts; ``y`` is (n, n_outputs), or labels where loss is "softmax".

    ``etas`` is a rate, or an array with one rate an update. ``average_from`` is the number of rows seen with which
    the average begins.
    """
    n, d = X.shape
    n_outputs = int(y.max()) + 1 if loss == "softmax" else y.shape[1]
    Z = np.hstack([X, np.ones((n, 1))])
    s = np.ones(n) if weights is None else weights / weights.mean()
    theta = np.zeros((d + 1, n_outputs)) if theta is None else theta.copy()
    penalised = np.vstack([np.ones((d, n_outputs)), np.zeros((1, n_outputs))])
    optimizer = Optimizer(solver, noisy=batch_size < n, shared=loss == "softmax", **solver_parameters)
    total, n_averaged, n_seen, t = 0.0, 0, 0, 0
    for _ in range(epochs):
        for start in range(0, n, batch_size):
            rows = slice(start, min(start + batch_size, n))
            z = Z[rows] @ theta
            slopes = softmax_slopes(z, y[rows]) if loss == "softmax" else slope(loss, z, y[rows], parameter)
            gradient = Z[rows].T @ (s[rows, None] * slopes) / len(z)
            gradient[d] *= fit_intercept
            eta = etas if np.isscalar(etas) else etas[t]
            theta = optimizer.step(theta, gradient, eta, l1 * penalised, l2 * penalised)
            t, n_seen = t + 1, n_seen + len(z)
            if average_from is not None and n_seen >= average_from:
                total, n_averaged = total + theta, n_averaged + 1
    result = total / n_averaged if n_averaged else optimizer.model(theta)
    return result[:d].T, result[d]
