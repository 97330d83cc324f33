"""Looks into a training run: after which updates, at what, and the clone that is trained."""

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.utils import check_random_state, indexable

from minibatch._base.estimator import MiniBatchEstimator
from minibatch._base.pipelines import fit_transform, split_pipeline
from minibatch._base.ranges import countable
from minibatch._base.seeds import SEEDS
from minibatch._base.sparse import refuse_damaged
from minibatch._base.trials import check_parameters, without_callbacks
from minibatch._base.watch import Measures
from minibatch._problems.batching import rows_in_batches
from minibatch.diagnostics._objective import TrainedObjective, trained_objective

__all__ = ["Look", "Looks", "looks_along"]

_MOST = 2**53  # updates that floats count

# What is found at parameters, in float64, and the row of counts that goes with them.
Look = Callable[[NDArray[np.float64], dict[str, Any]], Any]


class Looks:
    """The ``Watch`` of a training run: what there is after some of its updates, and at its end."""

    status: str
    n_samples: int

    def __init__(self, look: Look, data: tuple[Any, Any, Any], limits: dict[str, Any]) -> None:
        self.look, self.test, self.limits = look, data, limits
        self.rows: list[dict[str, Any]] = []
        self.found: list[Any] = []
        self.losses: list[float] = []
        self.latest: dict[str, Any] = {}

    def begin(self, measures: Measures, theta: NDArray[Any]) -> None:
        self.loss_of = measures.train.loss

    def see(self, row: dict[str, Any], theta: NDArray[Any]) -> None:
        self.latest = row if np.isfinite(theta).all() else {}
        if row["n_updates"] in self.limits["stretches"]:
            self._look(theta)

    def end(self, theta: NDArray[Any]) -> None:
        """Training may have ended before the last look."""
        self._look(theta)

    def _look(self, theta: NDArray[Any]) -> None:
        if not self.latest or self.latest in self.rows:
            return
        loss = self.loss_of(theta)
        if np.isfinite(loss):  # otherwise slopes have been cut, and make no gradient
            self.found.append(self.look(theta.astype(np.float64), self.latest))
            self.rows.append(self.latest)
            self.losses.append(loss)

    def column(self, name: str) -> NDArray[Any]:
        """Of the counts, an entry a look."""
        return np.array([row[name] for row in self.rows])


def looks_along(
    estimator: Any,
    X: Any,
    y: Any,
    sample_weight: Any,
    *,
    n_looks: int,
    max_updates: int | None,
    random_state: Any,
    look_of: Callable[[TrainedObjective, np.random.RandomState], Look],
) -> Looks:
    """Train a clone, and look along the way. ``look_of`` says at what, and refuses models that have no such thing."""
    transformers, final = split_pipeline(estimator)
    random = np.random.RandomState() if random_state is None else check_random_state(random_state)
    model = _clone_to_watch(final, int(random.randint(SEEDS)))
    refuse_damaged(X)
    X, y = indexable(X, y)
    X = fit_transform([clone(part) for part in transformers], X, y)
    with trained_objective(model, X, y, sample_weight, may_be_unfitted=True) as objective:
        n_samples = objective.problem.n_samples
        limits = _limits(model, n_samples, n_looks, max_updates)
        looks = Looks(look_of(objective, random), (X, y, sample_weight), limits)
        with np.errstate(over="ignore", invalid="ignore"):  # on the way to divergence
            model._train(X, y, sample_weight, watch=looks)
    looks.status, looks.n_samples = model.status_, n_samples
    if not looks.rows:
        raise ValueError(
            "The loss is not finite after the first update; scale X with StandardScaler, or lower the learning rate."
        )
    return looks


def _clone_to_watch(final: MiniBatchEstimator, seed: int) -> MiniBatchEstimator:
    if getattr(final, "solver", None) == "lbfgs":
        raise ValueError("solver='lbfgs' makes no updates with batches; choose 'sgd' or another stochastic solver.")
    model = without_callbacks(clone(final))
    unwanted, own = {"early_stopping": False, "evaluate_every": None, "average": False}, model.get_params(deep=False)
    model.set_params(**{name: value for name, value in unwanted.items() if name in own})
    if model.random_state is None:
        model.set_params(random_state=seed)
    check_parameters(model)
    return model


def _limits(model: MiniBatchEstimator, n_samples: int, n_looks: int, max_updates: int | None) -> dict[str, Any]:
    """How long to train, and after which updates to look."""
    _, per_epoch = rows_in_batches(n_samples, model._resolved_batch_size(n_samples), model.last_batch)
    max_iter = model.max_iter if max_updates is None else sys.maxsize  # batches may grow
    budget = model.max_updates if max_updates is None else max_updates
    budget = None if budget is None else countable(budget)
    last = min(max_iter * per_epoch, _MOST if budget is None else budget, _MOST)
    updates = np.unique(np.rint(np.geomspace(1, last, min(n_looks, 2 * last))).astype(np.int64))
    return {"max_iter": countable(max_iter), "max_updates": budget, "stretches": updates}
