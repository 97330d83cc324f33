"""PyTorch with a whole step, from the rows of a batch to the new weights, under torch.compile.

The loop over the batches stays in Python: compiled, it would be written out, a step after the other.
"""

from functools import lru_cache

import numpy as np
from task import MOMENTUM, Task

from rivals.pytorch import layers, loss_of
from rivals.pytorch import predict as predict_eagerly

name = "torch.compile"
requires = "torch"
needs_program = ("c++", "g++", "clang++")


def can(task):
    return task.kind in ("linear", "network") and not task.is_sparse


def fit(task, model=None):
    import torch

    rows, targets = torch.from_numpy(task.X), torch.from_numpy(task.targets())
    network, velocities = model or _begin(task)
    parameters, rate = dict(network.named_parameters()), torch.tensor(task.rate, dtype=rows.dtype)
    step = _compiled(task.kind, task.X.shape[1], task.n_outputs, task.batch_size, task.X.dtype, task.alpha)
    with torch.no_grad():
        for _ in range(task.length):
            for batch in torch.randperm(len(rows)).split(task.rows_of_batch):
                step(parameters, velocities, rows[batch], targets[batch], rate)
    return network, velocities


def _begin(task):
    import torch

    torch.manual_seed(0)
    network = layers(task)
    return network, {key: torch.zeros_like(value) for key, value in network.named_parameters()}


@lru_cache(maxsize=1)
def _compiled(kind, n_columns, n_outputs, batch_size, dtype, alpha):
    """One step; what was compiled for another task is forgotten, since so much is kept and no more."""
    import torch

    torch.compiler.reset()
    task = Task(kind, np.empty((1, n_columns), dtype), np.array([max(n_outputs, 2) - 1]), alpha=alpha)
    network, loss = layers(task), loss_of(task)

    def mean_loss(parameters, rows, targets):
        return loss(torch.func.functional_call(network, parameters, (rows,)), targets)

    def step(parameters, velocities, rows, targets, rate):
        gradients = torch.func.grad(mean_loss)(parameters, rows, targets)
        for key, gradient in gradients.items():
            if key.endswith("weight"):
                gradient = gradient + alpha * parameters[key]
            if kind == "network":  # Nesterov
                velocities[key].mul_(MOMENTUM).add_(gradient)
                gradient = gradient + MOMENTUM * velocities[key]
            parameters[key].sub_(rate * gradient)

    return torch.compile(step, fullgraph=True, dynamic=False)


def predict(model, X):
    return predict_eagerly(model, X)
