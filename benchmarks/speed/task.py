"""What a rival is asked to do, and what several of them need to do it."""

from typing import NamedTuple

import numpy as np

ALPHA, N_UNITS, MOMENTUM = 1e-4, 100, 0.9


class Task(NamedTuple):
    """Rows and how to train on them; classes are 0, 1, ...

    "linear": logistic regression, each class against the rest, by plain SGD at a constant rate. "network": one hidden
    layer of ``N_UNITS`` ReLUs and a softmax, SGD with Nesterov's ``MOMENTUM``. "objective": logistic regression, with a
    softmax for more than two classes, by whatever gets there. All minimise the mean log loss plus alpha/2
    ||weights||^2, intercepts left out.
    """

    kind: str
    X: np.ndarray
    y: np.ndarray
    batch_size: int | str | None = None  # or "full"; None, of "objective" only: the solver has none
    rate: float | None = None
    length: int = 1  # epochs, or iterations of a solver
    alpha: float = ALPHA

    @property
    def is_sparse(self):
        return hasattr(self.X, "indptr")

    @property
    def n_classes(self):
        return int(self.y.max()) + 1

    @property
    def n_outputs(self):
        """One for two classes of a linear model, else one a class."""
        return 1 if self.kind != "network" and self.n_classes == 2 else self.n_classes

    @property
    def is_softmax(self):
        return self.kind == "network" or (self.kind == "objective" and self.n_classes > 2)

    @property
    def rows_of_batch(self):
        return len(self.y) if self.batch_size == "full" else min(self.batch_size, len(self.y))

    def rate_in(self, epoch):
        """The rate; falling to 0 as a cosine where an optimum is to be reached."""
        return self.rate * (1 + np.cos(np.pi * epoch / self.length)) / 2 if self.kind == "objective" else self.rate

    def first(self, n):
        """The same on the leading rows."""
        return self._replace(X=self.X[:n], y=self.y[:n])

    def targets(self):
        """What sums of outputs are compared with: a row's class (a softmax), or whether it is of each."""
        if self.is_softmax:
            return self.y
        own = self.y[:, None] == (np.arange(self.n_outputs) if self.n_outputs > 1 else 1)
        return own.astype(self.X.dtype)


def trained(make, task, model):
    """An estimator with ``fit`` and ``partial_fit``: ``make`` takes the epochs; one that is there goes on."""
    if model is None:
        return make(task.length).fit(task.X, task.y)
    for _ in range(task.length):
        model.partial_fit(task.X, task.y)
    return model


def largest(scores):
    """The class of the largest of the scores; the second of two where there is one score."""
    return scores.argmax(axis=1) if scores.shape[1] > 1 else (scores[:, 0] > 0).astype(int)


def needs_no_batches(task):
    """Whether the task is one of solvers that take all rows at once, or choose their own."""
    return task.kind == "objective" and task.batch_size is None


def logistic_regression(task, LogisticRegression, **options):
    """A trained model of a class with scikit-learn's parameters: C, of a sum over rows where alpha is of the mean."""
    C = 1 / (task.alpha * len(task.y))
    return LogisticRegression(C=C, tol=0.0, max_iter=task.length, **options).fit(task.X, task.y)


def linear_classes(model, X):
    """The classes by ``coef_`` and ``intercept_``."""
    return largest(X @ model.coef_.T + model.intercept_)
