"""Logistic regression, each class against the rest, by plain SGD: ours and its peers, each as its documentation says.

All minimise the mean log loss plus alpha/2 ||w||^2 at a constant rate. A peer is imported where it is used, so that the
first fit of one does not wait for the others; one that cannot do a task is None.
"""

from itertools import count

import numpy as np
from training import Training, of_epochs, of_estimator, of_torch, rows_of_batch

ALPHA = 1e-4
OPTIONS = {"loss": "log_loss", "learning_rate": "constant", "alpha": ALPHA, "tol": None}


def is_sparse(X):
    return hasattr(X, "indptr")


def ours(X, y, batch_size, rate):
    from minibatch import MiniBatchSGDClassifier

    def model(epochs):
        random = np.random.RandomState(0)
        return MiniBatchSGDClassifier(
            batch_size=batch_size, eta0=rate, max_iter=epochs, random_state=random, **OPTIONS
        )  # fmt: skip

    return of_estimator(model, X, y)


def scikit_learn(X, y, batch_size, rate):
    """It has no batches: rows one by one, whatever the size."""
    from sklearn.linear_model import SGDClassifier

    def model(epochs):
        return SGDClassifier(eta0=rate, max_iter=epochs, random_state=np.random.RandomState(0), **OPTIONS)

    return of_estimator(model, X, y)


def pytorch(X, y, batch_size, rate):
    import torch

    if is_sparse(X):
        return None
    n_outputs = 1 if y.max() == 1 else int(y.max()) + 1
    own = y[:, None] == (np.arange(n_outputs) if n_outputs > 1 else 1)
    mean_loss = torch.nn.BCEWithLogitsLoss()  # over rows and classes: the others have a sum over classes

    def layers():
        return torch.nn.Linear(X.shape[1], n_outputs, dtype=torch.from_numpy(X[:1]).dtype)

    def loss(scores, targets):
        return n_outputs * mean_loss(scores, targets)

    return of_torch(layers, loss, X, own.astype(X.dtype), batch_size, ALPHA, lr=rate)


def river(X, y, batch_size, rate):
    """``learn_many`` on data frames: two classes, dense rows, in batches."""
    import pandas as pd
    from river import linear_model, optim

    if is_sparse(X) or y.max() > 1 or batch_size == 1:
        return None
    frame, labels, size = pd.DataFrame(X), pd.Series(y.astype(bool)), rows_of_batch(batch_size, len(y))

    def watched():
        model = linear_model.LogisticRegression(optim.SGD(rate), l2=ALPHA, intercept_lr=rate)
        random = np.random.default_rng(0)
        while True:
            order = random.permutation(len(y))
            for start in range(0, len(y), size):
                batch = order[start : start + size]
                model.learn_many(frame.iloc[batch], labels.iloc[batch])
            yield lambda X: model.predict_many(pd.DataFrame(X)).to_numpy()

    return of_epochs(watched)


def mlxtend(X, y, batch_size, rate):
    """Two classes, dense rows; it takes the number of batches, and sums where the others take the mean."""
    from mlxtend.classifier import LogisticRegression

    if is_sparse(X) or y.max() > 1:
        return None
    size = rows_of_batch(batch_size, len(y))
    options = {"eta": rate / size, "l2_lambda": ALPHA * size, "minibatches": len(y) // size}

    def watched():
        model = LogisticRegression(epochs=1, **options)
        for epoch in count():
            model.random_seed = epoch  # a new order
            yield model.fit(X, y, init_params=epoch == 0).predict

    return Training(lambda epochs: LogisticRegression(epochs=epochs, random_seed=0, **options).fit(X, y), watched)


PEERS = {"ours": ours, "scikit-learn": scikit_learn, "PyTorch": pytorch, "river": river, "mlxtend": mlxtend}
