"""scikit-learn-intelex: its own LogisticRegression, by L-BFGS of oneDAL."""

from task import logistic_regression, needs_no_batches

name = "intelex"
requires = "scikit-learn-intelex"
can = needs_no_batches


def fit(task, model=None):
    from sklearnex.linear_model import LogisticRegression

    return logistic_regression(task, LogisticRegression)


def predict(model, X):
    return model.predict(X)
