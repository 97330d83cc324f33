"""The objective of a model as a function of its trained parameters, in float64: what the diagnostics look into."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn import get_config
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import _num_samples, check_is_fitted

from minibatch._base.estimator import MiniBatchEstimator
from minibatch._base.pipelines import split_pipeline, transform
from minibatch._base.trials import plain_clone
from minibatch._problems.pieces import pool_of
from minibatch._problems.state import Problem

__all__ = ["Trained", "TrainedObjective", "trained_objective"]

Trained = NDArray[np.float64]  # (n_trained,): the parameters that training changes, as they lie in theta


class TrainedObjective(NamedTuple):
    """``F = loss + penalty`` on some rows. Running statistics of batch normalization, and the intercept of a model
    without one, keep their values."""

    final: MiniBatchEstimator
    problem: Problem
    theta: NDArray[np.float64]  # where the model is

    @property
    def trained(self) -> Trained:
        """The trained parameters of the model."""
        return self.theta[: self.problem.n_trained].copy()

    def theta_at(self, trained: Trained) -> NDArray[np.float64]:
        return np.concatenate([trained, self.theta[self.problem.n_trained :]])

    def both(self, trained: Trained) -> tuple[float, Trained]:
        """Value and gradient. Where L1 has a kink, the gradient is its shortest subgradient."""
        theta = self.theta_at(trained)
        losses, gradient = self.problem.evaluate(theta)
        value = float(losses.sum() + self.problem.penalties(theta).sum())
        return value, self.problem.with_penalty(theta, gradient)[: self.problem.n_trained]

    def value(self, trained: Trained) -> float:
        theta = self.theta_at(trained)
        return self.problem.mean_loss(self.problem.scores(theta)) + float(self.problem.penalties(theta).sum())

    def gradient(self, trained: Trained) -> Trained:
        """That of a batch of the rows, whose weights need not have mean 1: of all rows, that of ``both``."""
        theta = self.theta_at(trained)
        return self.problem.with_penalty(theta, self.problem.mean_gradient(theta))[: self.problem.n_trained]


@contextmanager
def trained_objective(
    estimator: Any, X: Any, y: Any, sample_weight: Any = None, *, may_be_unfitted: bool = False
) -> Iterator[TrainedObjective]:
    """The objective that ``fit`` on these rows descends on, at the fitted parameters.

    Weights of rows and classes count as they do in training. An unfitted estimator that may be one stands for the
    parameters that its training begins with; transformers before it must be fitted all the same. Refuses parameters
    that ``fit`` would refuse, but for those of the learning rate, fewer rows than two, and a model whose objective is
    not finite on them.
    """
    transformers, final = split_pipeline(estimator)
    _check_parameters(final)
    fitted = hasattr(final, "history_")
    if not fitted and not may_be_unfitted:
        raise NotFittedError(f"This {type(final).__name__} is not fitted; call its fit first.")
    for part in transformers:
        check_is_fitted(part)
    if not fitted:
        final = clone(final)
    X = transform(transformers, X)
    rows = final._checked_rows(X, y, sample_weight, reset=not fitted, dtype=np.float64)
    if _num_samples(rows.X) < 2:
        raise ValueError(f"X must have at least two rows; got {_num_samples(rows.X)}.")
    with ExitStack() as stack:
        weights = final._training_weights(rows, None, normalize=True)
        threads = pool_of(final._n_threads(), stack)
        problem = final._new_problem(rows.X, rows.target, **weights, threads=threads)
        theta = final._fitted_theta(problem) if fitted else final._initial_theta(problem, True, (None, None))
        objective = TrainedObjective(final, problem, theta.astype(np.float64))
        if not np.isfinite(objective.value(objective.trained)):
            raise ValueError(
                "The objective is not finite at the parameters of the model; scale X with StandardScaler, or fit with "
                "a lower learning rate."
            )
        yield objective


def _check_parameters(final: MiniBatchEstimator) -> None:
    """A model may be looked at with an ``alpha`` that its schedule of rates could not be computed from."""
    if not get_config()["skip_parameter_validation"]:
        final._validate_params()
    plain_clone(final, **{final._rate_parameter: 1.0})._check_parameters(False)
