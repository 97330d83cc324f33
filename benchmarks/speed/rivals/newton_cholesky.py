"""scikit-learn's LogisticRegression(solver="newton-cholesky")."""

from task import logistic_regression, needs_no_batches

name = "newton-cholesky"
requires = "scikit-learn"
can = needs_no_batches


def fit(task, model=None):
    from sklearn.linear_model import LogisticRegression

    return logistic_regression(task, LogisticRegression, solver="newton-cholesky")


def predict(model, X):
    return model.predict(X)
