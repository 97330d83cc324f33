"""River's ``learn_many`` on data frames: two classes, dense rows, in batches."""

import numpy as np

name = "river"
requires = "river"


def can(task):
    return task.kind == "linear" and not task.is_sparse and task.n_classes == 2 and task.batch_size != 1


def fit(task, model=None):
    import pandas as pd

    frame, labels, size = pd.DataFrame(task.X), pd.Series(task.y.astype(bool)), task.rows_of_batch
    regression, random = model or _begin(task)
    for _ in range(task.length):
        order = random.permutation(len(labels))
        for start in range(0, len(labels), size):
            batch = order[start : start + size]
            regression.learn_many(frame.iloc[batch], labels.iloc[batch])
    return regression, random


def _begin(task):
    from river import linear_model, optim

    regression = linear_model.LogisticRegression(optim.SGD(task.rate), l2=task.alpha, intercept_lr=task.rate)
    return regression, np.random.default_rng(0)


def predict(model, X):
    import pandas as pd

    return model[0].predict_many(pd.DataFrame(X)).to_numpy()
