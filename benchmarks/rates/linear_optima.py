"""Objectives of linear models, and how low they get: by solvers of other libraries, run until nothing moves."""

import numpy as np
from scipy.optimize import minimize, minimize_scalar
from scipy.special import logsumexp
from sklearn.linear_model import Lasso, LogisticRegression, PoissonRegressor, Ridge
from sklearn.svm import SVC

LARGE_HESSIAN = 700  # parameters from which on L-BFGS takes the place of Newton's method


def loss_of(model, scores, targets):
    """The mean over the rows, summed over the outputs. ``targets`` are 0 and 1 of every class, or y."""
    signs, errors = 2 * targets - 1, scores - targets
    if model.loss == "log_loss" and model.multi_class == "multinomial":
        return np.mean(logsumexp(scores, axis=1) - (scores * targets).sum(axis=1))
    if model.loss == "poisson":
        losses = np.exp(np.minimum(scores, 700)) - targets * scores
    elif model.loss == "huber":
        size = np.abs(errors)
        losses = np.where(size <= model.epsilon, errors**2 / 2, model.epsilon * (size - model.epsilon / 2))
    else:
        losses = {
            "log_loss": lambda: np.logaddexp(0.0, -signs * scores),
            "hinge": lambda: np.maximum(0.0, 1.0 - signs * scores),
            "squared_error": lambda: errors**2 / 2,
        }[model.loss]()
    return losses.mean(axis=0).sum()


def targets_of(model, y):
    """A column for every output."""
    if model.loss not in ("log_loss", "hinge"):
        return y[:, None].astype(float)
    classes = np.unique(y)
    return (y[:, None] == (classes[1:] if len(classes) == 2 else classes)).astype(float)


def value(model, coef, intercept, X, y):
    with np.errstate(over="ignore", invalid="ignore"):
        norm = np.abs(coef).sum() if model.penalty == "l1" else (coef**2).sum() / 2
        found = loss_of(model, X @ coef.T + intercept, targets_of(model, y)) + model.alpha * norm
    return found if np.isfinite(found) else np.inf


def objective(model, X, y):
    """Of a fitted one."""
    return value(model, np.atleast_2d(model.coef_).astype(float), model.intercept_, X.astype(float), y)


def constant_objective(model, X, y):
    """The least without columns."""
    targets = targets_of(model, y)
    if model.loss == "log_loss" and model.multi_class == "multinomial":
        share = targets.mean(axis=0)
        return -np.sum(share * np.log(share))
    columns = [targets[:, [k]] for k in range(targets.shape[1])]
    return sum(minimize_scalar(lambda b, t=column: loss_of(model, b + 0.0 * t, t)).fun for column in columns)


def least_objective(model, X, y):
    X = X.astype(float)
    if model.loss == "log_loss" and model.multi_class == "multinomial":
        labels = [y]
    else:
        labels = targets_of(model, y).T
    solutions = [solution(model, X, column) for column in labels]
    coef, intercept = (np.concatenate(parts) for parts in zip(*solutions, strict=True))
    return value(model, coef, intercept, X, y)


def solution(model, X, y):
    """Weights of shape (outputs, columns) and intercepts of one objective."""
    if model.loss == "huber":
        return huber_solution(model, X, y)
    found = solver_of(model, X, y).fit(X, y)
    return np.atleast_2d(found.coef_), np.atleast_1d(found.intercept_)


def solver_of(model, X, y):
    C, n = 1.0 / (model.alpha * len(y)), len(y)
    if model.loss == "log_loss" and model.penalty == "l1":
        return LogisticRegression(C=C, l1_ratio=1.0, solver="saga", tol=1e-6, max_iter=5000, random_state=0)
    if model.loss == "log_loss":
        is_large = X.shape[1] * (1 if len(np.unique(y)) == 2 else len(np.unique(y))) > LARGE_HESSIAN
        return LogisticRegression(C=C, solver="lbfgs" if is_large else "newton-cholesky", tol=1e-7, max_iter=5000)
    if model.loss == "hinge":
        return SVC(kernel="linear", C=C, tol=1e-5)
    if model.loss == "poisson":
        return PoissonRegressor(alpha=model.alpha, solver="newton-cholesky", tol=1e-9, max_iter=1000)
    return Lasso(model.alpha, tol=1e-8, max_iter=100_000) if model.penalty == "l1" else Ridge(model.alpha * n)


def huber_solution(model, X, y):
    def of(theta):
        errors = X @ theta[:-1] + theta[-1] - y
        slopes = np.clip(errors, -model.epsilon, model.epsilon) / len(y)
        fun = value(model, theta[None, :-1], theta[-1:], X, y)
        return fun, np.append(X.T @ slopes + model.alpha * theta[:-1], slopes.sum())

    theta = minimize(
        of, np.zeros(X.shape[1] + 1), jac=True, method="L-BFGS-B", options={"maxiter": 20_000, "ftol": 0}
    ).x
    return theta[None, :-1], theta[-1:]
