"""PyTorch behind scikit-learn's interface, with its own loaders; the penalty has the intercepts in it."""

from task import MOMENTUM

from rivals.pytorch import layers

name = "skorch"
requires = "skorch"


def can(task):
    return task.kind == "network" and not task.is_sparse


def fit(task, model=None):
    if model is None:
        return _network(task).fit(task.X, task.y)
    model.max_epochs = task.length
    return model.partial_fit(task.X, task.y)


def _network(task):
    import torch
    from skorch import NeuralNetClassifier

    torch.manual_seed(0)
    return NeuralNetClassifier(
        layers(task), criterion=torch.nn.CrossEntropyLoss, optimizer=torch.optim.SGD, optimizer__momentum=MOMENTUM,
        optimizer__nesterov=True, optimizer__weight_decay=task.alpha, lr=task.rate, max_epochs=task.length,
        batch_size=task.rows_of_batch, iterator_train__shuffle=True, train_split=None, verbose=0,
    )  # fmt: skip


def predict(model, X):
    return model.predict(X)
