"""SVRG and SAGA in NumPy: dense X, rows in their own order, every gradient written out."""

import numpy as np

from references.gradient_descent import slope, softmax_slopes

__all__ = ["descend_without_noise"]


def descend_without_noise(
    X, y, loss, *, follow, batch_size, etas, parameter=0.1, l1=0.0, l2=0.0, weights=None, epochs=1, fit_intercept=True,
    theta=None, orders=None,
):  # fmt: skip
    """As ``descend`` of ``references.gradient_descent``; SAGA where remembered gradients are to ``follow``, else SVRG.
    It remembers gradients of rows, not slopes. ``orders`` has the rows' order in every epoch."""
    n, d = X.shape
    n_outputs = int(y.max()) + 1 if loss == "softmax" else y.shape[1]
    Z = np.hstack([X, np.ones((n, 1))])
    s = np.ones(n) if weights is None else weights / weights.mean()
    theta = np.zeros((d + 1, n_outputs)) if theta is None else theta.copy()
    penalised = np.vstack([np.ones((d, n_outputs)), np.zeros((1, n_outputs))])

    def gradients(rows):
        z = Z[rows] @ theta
        slopes = softmax_slopes(z, y[rows]) if loss == "softmax" else slope(loss, z, y[rows], parameter)
        found = Z[rows][:, :, None] * (s[rows, None] * slopes)[:, None, :]
        found[:, d] *= fit_intercept
        return found

    remembered, t = gradients(np.arange(n)), 0
    for epoch in range(epochs):
        if not follow:
            remembered = gradients(np.arange(n))
        order = np.arange(n) if orders is None else orders[epoch]
        for start in range(0, n, batch_size):
            rows = order[start : start + batch_size]
            new = gradients(rows)
            step = (new - remembered[rows]).mean(axis=0) + remembered.mean(axis=0)
            eta = etas if np.isscalar(etas) else etas[t]
            z = np.maximum(0.0, 1 - eta * l2 * penalised) * theta - eta * step
            theta = np.sign(z) * np.maximum(0.0, np.abs(z) - eta * l1 * penalised)
            t += 1
            if follow:
                remembered[rows] = new
    return theta[:d].T, theta[d]
