"""scikit-learn-intelex: its own LogisticRegression, by L-BFGS of oneDAL."""

name = "intelex"
requires = "scikit-learn-intelex"


def can(task):
    return task.kind == "objective" and task.batch_size is None


def fit(task, model=None):
    from sklearnex.linear_model import LogisticRegression

    C = 1 / (task.alpha * len(task.y))
    return LogisticRegression(C=C, tol=0.0, max_iter=task.length).fit(task.X, task.y)


def predict(model, X):
    return model.predict(X)
