"""mlxtend: two classes, dense rows; it takes the number of batches, and sums where the others take the mean."""

name = "mlxtend"
requires = "mlxtend"


def can(task):
    return task.kind == "linear" and not task.is_sparse and task.n_classes == 2


def fit(task, model=None):
    size, goes_on = task.rows_of_batch, model is not None
    if goes_on:
        model.epochs = task.length
        model.random_seed += 1  # a new order
    else:
        model = _begin(task, size)
    return model.fit(task.X, task.y, init_params=not goes_on)


def _begin(task, size):
    from mlxtend.classifier import LogisticRegression

    return LogisticRegression(
        eta=task.rate / size, l2_lambda=task.alpha * size, minibatches=len(task.y) // size, epochs=task.length,
        random_seed=0,
    )  # fmt: skip


def predict(model, X):
    return model.predict(X)
