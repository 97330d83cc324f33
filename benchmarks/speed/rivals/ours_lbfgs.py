"""This package's hand-over of a linear objective to SciPy's L-BFGS, which has no batches."""

import os

name = "ours, lbfgs"
requires = "scikit-minibatch"


def can(task):
    return task.kind == "objective" and task.batch_size is None


def fit(task, model=None):
    from minibatch import MiniBatchSGDClassifier

    return MiniBatchSGDClassifier(
        "log_loss",
        alpha=task.alpha,
        solver="lbfgs",
        max_iter=task.length,
        tol=None,
        multi_class="multinomial",
        n_jobs=os.cpu_count(),
    ).fit(task.X, task.y)


def predict(model, X):
    return model.predict(X)
