"""scikit-learn's LogisticRegression(solver="saga")."""

from task import logistic_regression, needs_no_batches

name = "saga"
requires = "scikit-learn"
can = needs_no_batches


def fit(task, model=None):
    from sklearn.linear_model import LogisticRegression

    return logistic_regression(task, LogisticRegression, solver="saga", random_state=0)


def predict(model, X):
    return model.predict(X)
