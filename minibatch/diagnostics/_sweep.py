"""Short runs on clones whose loss on some probe rows is seen after every update."""

import sys
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import _num_samples

from minibatch._base.estimator import MiniBatchEstimator
from minibatch._base.trials import plain_clone
from minibatch._base.watch import Measures
from minibatch.diagnostics._suggestions import Curve, stop_level

__all__ = ["Probe", "Runs", "Sweep", "probe_rows"]

Probe = tuple[Any, Any, Any]  # X, y and weights of the rows on which the loss is computed


class _Stop(Exception):
    """Ends a run."""


class Sweep:
    """Watches a run at these rates: the loss after every update, or at so many looks, until it has risen too far."""

    def __init__(self, rates: Curve, probe: Probe, stop_factor: float, n_looks: int | None = None) -> None:
        self.test, self.stop_factor, n = probe, stop_factor, len(rates)
        self.looks = np.arange(1, n + 1) if n_looks is None else np.arange(1, n_looks + 1) * n // n_looks
        self.limits = {
            # training() also asks for the rate after the last one
            "schedule": lambda now: rates[np.minimum(now.updates, n - 1)],
            "max_iter": n,
            "max_updates": n,
            "stretches": sys.maxsize if n_looks is None else self.looks,  # one update each
            "patience": np.inf,
        }
        self.losses, self.n_seen, self.batch_size = np.full(len(self.looks), np.nan), 0, 0

    def begin(self, measures: Measures, theta: NDArray[Any]) -> None:
        self.loss_of = measures.test.loss
        self.first_loss = self.best = self.loss_of(theta)
        if not np.isfinite(self.first_loss):
            raise ValueError(
                f"The loss is {self.first_loss} before the first update; scale X with StandardScaler, or start from "
                "smaller parameters (coef_init)."
            )

    def see(self, row: dict[str, Any], theta: NDArray[Any]) -> None:
        if row["n_updates"] != self.looks[self.n_seen]:
            return  # the end of an epoch
        loss, self.batch_size = self.loss_of(theta), row["batch_size"]
        if np.isfinite(loss):
            self.losses[self.n_seen] = loss
            self.best = min(self.best, loss)
        self.n_seen += 1
        if not loss <= stop_level(self.first_loss, self.best, self.stop_factor):
            raise _Stop

    def end(self, theta: NDArray[Any]) -> None:
        """The run reached its last rate."""


class Runs(NamedTuple):
    """What runs are made with; ``at`` makes one from every seed."""

    final: MiniBatchEstimator
    rows: tuple[Any, Any, Any]
    init: tuple[Any, Any]
    probe: Probe
    stop_factor: float
    seeds: list[int]

    def at(self, rates: Curve, n_looks: int | None = None) -> list[Sweep]:
        return [self._run(rates, seed, n_looks) for seed in self.seeds]

    def _run(self, rates: Curve, seed: int, n_looks: int | None) -> Sweep:
        model = plain_clone(self.final, random_state=seed, **{self.final._rate_parameter: float(rates[0])})
        watch = Sweep(rates, self.probe, self.stop_factor, n_looks)
        with np.errstate(over="ignore", invalid="ignore"):  # a rate that is too high is what we are looking for
            try:
                model._train(*self.rows, init=self.init, watch=watch)
            except _Stop:
                pass
        return watch


def probe_rows(X: Any, y: Any, weight: Any, size: int, random: np.random.RandomState) -> Probe:
    """All rows of positive weight, or so many of them drawn at random."""
    rows = np.arange(_num_samples(X)) if weight is None else np.flatnonzero(weight)
    if len(rows) > size:
        rows = np.sort(random.choice(rows, size, replace=False))
    return _safe_indexing(X, rows), _safe_indexing(y, rows), None if weight is None else weight[rows]
