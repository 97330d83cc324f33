"""scikit-learn's LogisticRegression(solver="saga")."""

name = "saga"
requires = "scikit-learn"


def can(task):
    return task.kind == "objective" and task.batch_size is None


def fit(task, model=None):
    from sklearn.linear_model import LogisticRegression

    C = 1 / (task.alpha * len(task.y))
    model = LogisticRegression(C=C, solver="saga", tol=0.0, max_iter=task.length, random_state=0)
    return model.fit(task.X, task.y)


def predict(model, X):
    return model.predict(X)
