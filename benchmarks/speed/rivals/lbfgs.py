"""scikit-learn's LogisticRegression(solver="lbfgs")."""

from task import logistic_regression, needs_no_batches

name = "lbfgs"
requires = "scikit-learn"
can = needs_no_batches


def fit(task, model=None):
    from sklearn.linear_model import LogisticRegression

    return logistic_regression(task, LogisticRegression, solver="lbfgs")


def predict(model, X):
    return model.predict(X)
