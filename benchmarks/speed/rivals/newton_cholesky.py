"""scikit-learn's LogisticRegression(solver="newton-cholesky")."""

name = "newton-cholesky"
requires = "scikit-learn"


def can(task):
    return task.kind == "objective" and task.batch_size is None


def fit(task, model=None):
    from sklearn.linear_model import LogisticRegression

    C = 1 / (task.alpha * len(task.y))
    model = LogisticRegression(C=C, solver="newton-cholesky", tol=0.0, max_iter=task.length)
    return model.fit(task.X, task.y)


def predict(model, X):
    return model.predict(X)
