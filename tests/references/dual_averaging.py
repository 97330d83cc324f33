"""``learning_rate="auto"`` of the linear models in NumPy: dense X, rows in their own order, nothing kept lazily."""

import numpy as np

from references.gradient_descent import slope, softmax_slopes

SHARE = 0.7  # of the average, in the point where gradients are taken


def is_looked_at(t):
    """Whether the distance is looked at before update ``t``: whenever it has 4 binary digits, then zeros."""
    return t % 2 ** max(0, int(np.log2(t)) - 3) == 0


def is_brought_up(t):
    """Whether the rate and its sums are those of now at update ``t``: always up to 255, then at multiples of the
    largest power of 4 that is at most a 64th of ``t``."""
    return t < 256 or t % 4 ** int(np.log2(t / 64) / 2) == 0


def weights_of(dual, sums, q, l1, l2):
    """What minimises ``-dual @ w + sums * (l1 |w| + l2/2 w^2) + q/2 w^2``."""
    return np.sign(dual) * np.maximum(np.abs(dual) - sums * l1, 0) / (q + sums * l2)


def rates(r2, v):
    return np.where(v > 0, r2 / np.sqrt(np.where(v > 0, v, 1.0)), 0.0)


def dual_averaging(
    X, y, loss, *, batch_size, scales, distances, epochs=1, parameter=0.1, l1=0.0, l2=0.0, weights=None,
    fit_intercept=True, theta=None, growth=1 / 16,
):  # fmt: skip
    """Coefficients (n_outputs, n_features), intercepts, and the largest of the rates at the end of every epoch.

    ``y`` is (n, n_outputs), or labels where loss is "softmax"; ``scales`` are those of the columns, squared;
    ``distances`` one for every output, or one for a softmax; ``theta`` (n_features + 1, n_outputs) the first weights;
    ``growth`` is by what share ``v`` may grow before the rate is brought up at once.
    """
    n, d = X.shape
    n_outputs = int(y.max()) + 1 if loss == "softmax" else y.shape[1]
    Z, s = np.hstack([X, np.ones((n, 1))]), np.ones(n) if weights is None else weights
    start = np.zeros((d + 1, n_outputs)) if theta is None else theta
    q = np.append(scales, 1.0)[:, None]
    l1, l2 = (np.append(np.full(d, part), 0.0)[:, None] for part in (l1, l2))
    dual = average = q * start
    r2, v, S = np.array(distances, float) ** 2, np.zeros(len(distances)), np.zeros(len(distances))
    E, mean_E, E_of_point, t, etas = 0 * v, 0 * v, 0 * v, 0, []

    def norms(squares):
        return squares.sum(axis=0) if len(r2) == n_outputs else squares.sum(keepdims=True)[0]

    for _ in range(epochs):
        for begin in range(0, n, batch_size):
            rows, t = slice(begin, min(begin + batch_size, n)), t + 1
            share = SHARE if t > 1 else 0.0
            part = (rows.stop - begin) / batch_size
            if is_brought_up(t):
                E_of_point, eta = E + share * (mean_E - E), rates(r2, v)
            point = weights_of(dual + share * (average - dual), E_of_point, q, l1, l2)
            if is_looked_at(t):
                r2 = np.maximum(r2, norms(q * (point - start) ** 2))
                eta = rates(r2, v)
            z = Z[rows] @ point
            slopes = softmax_slopes(z, y[rows]) if loss == "softmax" else slope(loss, z, y[rows], parameter)
            gradient = Z[rows].T @ (s[rows, None] * slopes) / batch_size
            gradient[d] *= fit_intercept
            E, v = E + part * eta, v + r2 * norms(gradient**2 / q)
            is_high = (eta == 0) | (v * eta**2 > (1 + growth) * r2**2)
            eta = np.where((t < 256) | is_high, rates(r2, v), eta)
            S = S + r2 * t
            dual = dual - eta * gradient
            average = average + r2 * t / S * (dual - average)
            mean_E = mean_E + r2 * t / S * (E - mean_E)
        etas.append(rates(r2, v).max())
    model = weights_of(average, mean_E, q, l1, l2)
    return model[:d].T, model[d], np.array(etas)
