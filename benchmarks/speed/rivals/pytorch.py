"""The loop of PyTorch's tutorials, with the rows of a batch taken by index, which is faster than its DataLoader."""

from itertools import pairwise

from task import MOMENTUM, N_UNITS, largest

name = "PyTorch"
requires = "torch"


def can(task):
    return task.kind in ("linear", "network") and not task.is_sparse


def layers(task):
    """A new model, its weights drawn as PyTorch does."""
    import torch

    dtype = torch.from_numpy(task.X[:1]).dtype
    widths = [task.X.shape[1], *([N_UNITS] if task.kind == "network" else []), task.n_outputs]
    linear = [torch.nn.Linear(*shape, dtype=dtype) for shape in pairwise(widths)]
    return linear[0] if len(linear) == 1 else torch.nn.Sequential(linear[0], torch.nn.ReLU(), linear[1])


def loss_of(task):
    """The mean over rows; of a sum over classes where each is against the rest."""
    import torch

    if task.kind == "network":
        return torch.nn.functional.cross_entropy
    losses, n_outputs = torch.nn.functional.binary_cross_entropy_with_logits, task.n_outputs
    return lambda scores, targets: n_outputs * losses(scores, targets)


def fit(task, model=None):
    import torch

    rows, targets, loss = torch.from_numpy(task.X), torch.from_numpy(task.targets()), loss_of(task)
    network, optimizer = model or _begin(task)
    for _ in range(task.length):
        for batch in torch.randperm(len(rows)).split(task.rows_of_batch):
            optimizer.zero_grad()
            loss(network(rows[batch]), targets[batch]).backward()
            optimizer.step()
    return network, optimizer


def _begin(task):
    import torch

    torch.manual_seed(0)
    network = layers(task)
    kinds = [[value for key, value in network.named_parameters() if key.endswith(end)] for end in ("weight", "bias")]
    groups = [{"params": kinds[0], "weight_decay": task.alpha}, {"params": kinds[1]}]
    momentum = {"momentum": MOMENTUM, "nesterov": True} if task.kind == "network" else {}
    return network, torch.optim.SGD(groups, lr=task.rate, **momentum)


def predict(model, X):
    import torch

    with torch.no_grad():
        return largest(model[0](torch.from_numpy(X)).numpy())
