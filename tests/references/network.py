"""A multi-layer perceptron in NumPy: dense X, rows in their own order.

The objective of a batch is written down once; its gradient is the complex-step derivative, parameter by parameter, so
that nothing here resembles back-propagation. ``Optimizer`` of ``gradient_descent`` takes the steps.
"""

from typing import NamedTuple

import numpy as np
from scipy.special import erf

from references.gradient_descent import Optimizer

STEP = 1e-20  # its square vanishes beside any parameter: the derivative is exact to rounding

ACTIVATIONS = {
    "identity": lambda z: z,
    "logistic": lambda z: 1 / (1 + np.exp(-z)),
    "tanh": np.tanh,
    "relu": lambda z: np.where(z.real > 0, z, 0.0),
    "gelu": lambda z: z * (1 + erf(z / np.sqrt(2))) / 2,
}

# Of a row: the sum over outputs. Log losses take targets -1 and +1, or from 0 to 1, the softmax class numbers.
LOSSES = {
    "log_loss": lambda z, y: np.log(1 + np.exp(-y * z)).sum(axis=1),
    "cross_entropy": lambda z, y: (np.log(1 + np.exp(z)) - y * z).sum(axis=1),
    "softmax": lambda z, y: np.log(np.exp(z).sum(axis=1)) - z[np.arange(len(z)), y],
    "squared_error": lambda z, y: ((z - y) ** 2).sum(axis=1) / 2,
    "poisson": lambda z, y: (np.exp(z) - y * z).sum(axis=1),
}


class Net(NamedTuple):
    """Lists of arrays, one a layer; the last three only with batch normalization. Statistics of the inputs, where they
    are normalised too, come last."""

    coefs: list
    intercepts: list
    scales: list = []
    means: list = []
    variances: list = []

    @property
    def trained(self):
        return [*self.coefs, *self.intercepts, *self.scales]

    def with_trained(self, parts):
        n = len(self.coefs)
        return self._replace(coefs=parts[:n], intercepts=parts[n : 2 * n], scales=parts[2 * n :])


def net_of(model):
    """The parameters of a fitted estimator."""
    names = ("coefs_", "intercepts_", "scales_", "running_means_", "running_variances_")
    return Net(*([part.astype(float) for part in getattr(model, name, [])] for name in names))


def moments(z, weights):
    """Mean and variance of the columns; a row of weight 2 counts as two rows."""
    shares = np.full(len(z), 1 / len(z)) if weights is None else weights / weights.sum()
    mean = shares @ z
    return mean, shares @ (z - mean) ** 2


def forward(net, X, activation, of_batch=False, weights=None):
    """Scores, and what is normalised, as it is before. ``of_batch``: by means and variances of these rows, not by the
    running ones."""

    def normalized(z, layer):
        mean, variance = moments(z, weights) if of_batch else (net.means[layer], net.variances[layer])
        return (z - mean) / np.sqrt(variance + 1e-5)

    last, raw = len(net.coefs) - 1, []
    values = normalized(X, last) if len(net.means) > last else X
    for layer in range(last):
        z = values @ net.coefs[layer]
        raw.append(z)
        if net.scales:
            z = net.scales[layer] * normalized(z, layer)
        values = ACTIVATIONS[activation](z + net.intercepts[layer])
    return values @ net.coefs[last] + net.intercepts[last], [*raw, X][: len(net.means)]


def mean_loss(net, X, target, loss, activation, weights=None, of_batch=False):
    """Of the rows, each times its weight."""
    losses = LOSSES[loss](forward(net, X, activation, of_batch, weights)[0], target)
    return (losses if weights is None else weights * losses).mean()


def penalty(net, alpha):
    return alpha / 2 * sum((W**2).sum() for W in net.coefs)


def gradient(net, *arguments):
    """Of ``mean_loss`` in every trained array."""
    result = []
    for k, part in enumerate(net.trained):
        slopes = np.empty_like(part)
        for i in np.ndindex(part.shape):
            parts = [array.astype(complex) if j == k else array for j, array in enumerate(net.trained)]
            parts[k][i] += 1j * STEP
            slopes[i] = mean_loss(net.with_trained(parts), *arguments).imag / STEP
        result.append(slopes)
    return result


def chunks_of(rows, size):
    """Rows that are normalised by themselves; one that would be left alone goes with those before."""
    if size is None or len(rows) < 2:
        return [rows]
    chunks = [rows[start : start + size] for start in range(0, len(rows), size)]
    return chunks if len(chunks) == 1 or len(chunks[-1]) > 1 else [*chunks[:-2], np.concatenate(chunks[-2:])]


def statistics(net, X, weights, activation, whole):
    """Means and variances of the rows; made unbiased, where they are not all there is."""
    unbiased = 1.0 if whole else 1 / (1 - ((weights / weights.sum()) ** 2).sum())
    found = [moments(z, weights) for z in forward(net, X, activation, True, weights)[1]]
    return [mean for mean, _ in found], [unbiased * variance for _, variance in found]


def train(
    net, X, target, loss, activation, *, batch_size, etas, solver="sgd", alpha=0.0, weights=None, epochs=1,
    last_batch="keep", ghost_batch_size=None, iterates=None, **solver_parameters,
):  # fmt: skip
    """The net after so many epochs; ``etas`` is a rate, or one rate an epoch. Only ``coefs`` are penalised. Gradients
    of the schedule-free solvers are taken elsewhere than at the net that is returned. The nets after all updates are
    added to ``iterates``."""
    n, updates = len(X), 0
    s = np.ones(n) if weights is None else weights / weights.mean()
    optimizers = [Optimizer(solver, noisy=False, **solver_parameters) for _ in net.trained]
    for epoch in range(epochs):
        eta = etas if np.isscalar(etas) else etas[epoch]
        for start in range(0, n, batch_size):
            rows = np.arange(start, min(start + batch_size, n))
            if last_batch == "drop" and start + batch_size > n:
                continue
            updates += 1
            slopes = [np.zeros_like(part) for part in net.trained]
            chunks, share = chunks_of(rows, ghost_batch_size), max(0.1, 1 / updates)  # the first ten weigh the same
            sums, left = [[(1 - share) * old for old in part] for part in (net.means, net.variances)], 1 - share
            for own in chunks:
                of_batch = np.count_nonzero(s[own]) > 1  # else there is no variance: the running one serves
                found = gradient(net, X[own], target[own], loss, activation, s[own], of_batch)
                slopes = [slope + len(own) / len(rows) * g for slope, g in zip(slopes, found, strict=True)]
                if net.scales:
                    whole = batch_size >= n and len(chunks) == 1
                    new = statistics(net, X[own], s[own], activation, whole) if of_batch else (net.means, net.variances)
                    weight = share * len(own) / len(rows)
                    left += weight
                    both = zip(sums, new, strict=True)
                    sums = [[a + weight * b for a, b in zip(*pair, strict=True)] for pair in both]
                    means, variances = ([a / left for a in part] for part in sums)
                    net = net._replace(means=means, variances=variances)
            net = net.with_trained(
                [
                    optimizer.step(part, g, eta, 0.0, alpha if k < len(net.coefs) else 0.0)
                    for k, (optimizer, part, g) in enumerate(zip(optimizers, net.trained, slopes, strict=True))
                ]
            )
            if iterates is not None:
                iterates.append(net)
    return net.with_trained([o.model(part) for o, part in zip(optimizers, net.trained, strict=True)])


def slow_hessian(net, X, target, loss, activation, alpha):
    """Central differences of complex-step gradients, in the order in which the package lays parameters out."""
    parts = net.trained

    def slopes(vector):
        cut = np.split(vector, np.cumsum([part.size for part in parts])[:-1])
        moved = net.with_trained([piece.reshape(part.shape) for piece, part in zip(cut, parts, strict=True)])
        return np.concatenate([g.ravel() for g in gradient(moved, X, target, loss, activation)])

    at, h = np.concatenate([part.ravel() for part in parts]), 1e-5 if activation != "relu" else 1e-8
    H = np.array([(slopes(at + h * e) - slopes(at - h * e)) / (2 * h) for e in np.eye(len(at))])
    n_weights = sum(W.size for W in net.coefs)
    return (H + H.T) / 2 + alpha * np.diag(np.arange(len(at)) < n_weights)
