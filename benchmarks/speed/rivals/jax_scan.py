"""JAX with a whole epoch compiled: ``jax.lax.scan`` over the batches, in an order drawn by NumPy."""

from functools import cache, partial
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
from task import MOMENTUM, N_UNITS, largest, linear_classes

name = "jax.lax.scan"
requires = "jax"
takes_rates = True  # to an objective


def can(task):
    return task.batch_size is not None and not task.is_sparse


def fit(task, model=None):
    import jax

    jax.config.update("jax_enable_x64", task.X.dtype == np.float64)
    X, targets = jax.numpy.asarray(task.X), jax.numpy.asarray(task.targets())
    state, random = model or _begin(task)
    for epoch in range(task.length):
        order = random.permutation(len(task.y)).astype(np.int32)
        rate = np.asarray(task.rate_in(epoch), task.X.dtype)
        state = _epoch()(state, X, targets, order, rate, task.rows_of_batch, task.kind, task.alpha)
    jax.block_until_ready(state)
    if task.kind != "objective":
        return state, random
    weights, intercepts = map(np.asarray, state[0][-1])
    return SimpleNamespace(coef_=weights.T, intercept_=intercepts)


def _begin(task):
    """Weights drawn as PyTorch does, and velocities."""
    random = np.random.default_rng(0)
    widths = [task.X.shape[1], *([N_UNITS] if task.kind == "network" else []), task.n_outputs]
    layers = []
    for n_in, n_out in pairwise(widths):
        bound = n_in**-0.5
        layers.append([random.uniform(-bound, bound, shape).astype(task.X.dtype) for shape in ((n_in, n_out), n_out)])
    return (layers, [[np.zeros_like(value) for value in layer] for layer in layers]), random


def _scores(layers, X):
    import jax

    for weights, intercepts in layers[:-1]:
        X = jax.nn.relu(X @ weights + intercepts)
    weights, intercepts = layers[-1]
    return X @ weights + intercepts


def _objective(layers, X, targets, alpha):
    import jax
    import jax.numpy as jnp

    scores = _scores(layers, X)
    penalty = alpha / 2 * sum(jnp.sum(weights**2) for weights, _ in layers)
    if targets.ndim == 1:  # a softmax
        own = jnp.take_along_axis(scores, targets[:, None], axis=1)[:, 0]
        return jnp.mean(jax.nn.logsumexp(scores, axis=1) - own) + penalty
    return jnp.mean(jnp.sum(jax.nn.softplus(scores) - targets * scores, axis=1)) + penalty


@cache
def _epoch():
    """The compiled epoch; JAX keeps one for each shape."""
    import jax

    def step(state, batch, X, targets, rate, kind, alpha):
        layers, velocities = state
        gradients = jax.grad(_objective)(layers, X[batch], targets[batch], alpha)
        if kind == "network":  # Nesterov
            velocities = jax.tree.map(lambda velocity, gradient: MOMENTUM * velocity + gradient, velocities, gradients)
            gradients = jax.tree.map(lambda velocity, gradient: gradient + MOMENTUM * velocity, velocities, gradients)
        return (jax.tree.map(lambda value, gradient: value - rate * gradient, layers, gradients), velocities), None

    @partial(jax.jit, static_argnames=("size", "kind", "alpha"))
    def epoch(state, X, targets, order, rate, size, kind, alpha):
        one = partial(step, X=X, targets=targets, rate=rate, kind=kind, alpha=alpha)
        whole = len(order) // size * size
        state, _ = jax.lax.scan(one, state, order[:whole].reshape(-1, size))
        return one(state, order[whole:])[0] if whole < len(order) else state

    return epoch


def predict(model, X):
    if hasattr(model, "coef_"):
        return linear_classes(model, X)
    return largest(np.asarray(_scores(model[0][0], X)))
