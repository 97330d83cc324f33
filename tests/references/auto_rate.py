"""``learning_rate="auto"`` of a network in NumPy: the whole rule, from its formulas, on rows in their own order."""

import numpy as np

from references.gradient_descent import Optimizer
from references.network import gradient, mean_loss, penalty


def rates_tried(solver, batch_size, n):
    if solver in ("sgd", "momentum", "nesterov"):
        return [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0]
    factor = min(1.0, batch_size / 32) ** 0.5 if batch_size < n else 1.0
    return [factor * rate for rate in (0.01, 0.03, 0.1)]


def rate(solver, k, t):
    """Of update ``t``, from 1."""
    if solver == "adagrad":
        return k
    if solver in ("sgd", "momentum", "nesterov"):
        return k / (1 + (t - 1) / 1000) ** 0.5
    return min(k, 0.3 / t**0.5)


class Descent:
    """A net on its way, in batches that are given."""

    def __init__(self, net, X, target, loss, activation, alpha, weights, solver, **numbers):
        self.net, self.alpha, self.s = net, alpha, np.ones(len(X)) if weights is None else weights / weights.mean()
        self.X, self.target, self.loss, self.activation = X, target, loss, activation
        self.optimizers = [Optimizer(solver, noisy=False, **numbers) for _ in net.trained]

    def update(self, rows, eta):
        slopes = gradient(self.net, self.X[rows], self.target[rows], self.loss, self.activation, self.s[rows])
        parts = zip(self.optimizers, self.net.trained, slopes, strict=True)
        n = len(self.net.coefs)
        self.net = self.net.with_trained(
            [step.step(part, g, eta, 0.0, self.alpha * (k < n)) for k, (step, part, g) in enumerate(parts)]
        )

    def objective(self, rows):
        s = self.s[rows] / self.s[rows].mean()
        loss = mean_loss(self.net, self.X[rows], self.target[rows], self.loss, self.activation, s)
        return loss + penalty(self.net, self.alpha)


def batches_of_probe(n, batch_size, seed):
    """So many whole batches, each pass in an order of its own, and the rows to judge by."""
    random = np.random.default_rng(seed)
    rows, size = random.permutation(n), min(batch_size, 256, n)
    n_updates, batches = 20 if size == n else max(20, -(-512 // size)), []
    while len(batches) < n_updates:
        order = random.permutation(rows)
        batches += [order[first : first + size] for first in range(0, n - size + 1, size)]
    return batches[:n_updates], np.sort(rows[:1000])


def probed(start, batch_size, seed, solver, *task, **numbers):
    """The best of the rates."""
    batches, judged = batches_of_probe(len(task[0]), batch_size, seed)

    def end(eta):
        descent = Descent(start, *task, solver, **numbers)
        for rows in batches:
            descent.update(rows, eta)
        return descent.objective(judged)

    return min(rates_tried(solver, batch_size, len(task[0])), key=end)


def train(start, k, batch_size, epochs, solver, *task, **numbers):
    """The average, net by net, and the last net. Fewer than 512 updates: each net counts."""
    descent, n, t = Descent(start, *task, solver, **numbers), len(task[0]), 0
    average = list(start.trained)
    for _ in range(epochs):
        for first in range(0, n, batch_size):
            t += 1
            descent.update(np.arange(first, min(first + batch_size, n)), rate(solver, k, t))
            average = [a + 9 / (t + 8) * (w - a) for a, w in zip(average, descent.net.trained, strict=True)]
    return start.with_trained(average), descent.net
