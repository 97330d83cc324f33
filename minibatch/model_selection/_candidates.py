"""The models that `recommend_batch_size` trains, by batch size, and the estimator that it advises."""

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

from minibatch._base.estimator import MiniBatchEstimator
from minibatch._base.pipelines import parameter_path
from minibatch._base.seeds import SEEDS
from minibatch._base.trials import Updates, plain_clone

__all__ = ["SMALL_RATE", "WITHOUT_LENGTH", "Candidates", "advised_schedule", "compile_kernels", "finds_rates"]

# Schedules along which a run is the beginning of a longer one, so that sizes can be compared before its end.
WITHOUT_LENGTH = ("auto", "dowg", "constant", "invscaling", "inverse_time")
SMALL_RATE = 1e-9  # with which updates are timed: they take as long with any


def finds_rates(final: MiniBatchEstimator) -> bool:
    """Whether there is no rate to advise."""
    return bool(final._is_auto or final.learning_rate == "dowg")


def advised_schedule(final: MiniBatchEstimator) -> Any:
    """That of the estimator, but for those whose first rate cannot be set, where another is the same from that rate."""
    schedule = final.learning_rate
    if finds_rates(final) or not isinstance(schedule, str):
        return schedule
    return {"optimal": "inverse_time", "auto": "constant"}.get(schedule, schedule)


class Candidates:
    """Models of all batch sizes, whose rates are found once, on the rows that they race on."""

    def __init__(self, final: MiniBatchEstimator, seed: int, rows: tuple[Any, Any, Any]) -> None:
        self.final, self.seed, self.rows = final, seed, rows
        self.schedule = advised_schedule(final)
        self.raced_schedule = self.schedule if self.schedule in WITHOUT_LENGTH else "constant"
        self.rates: dict[tuple[str, int], float] = {}
        self.without_rate: list[int] = []  # sizes at which no rate lowered the objective

    def model(self, batch_size: int, schedule: Any, rate: float | str | None = None, seed: int = 0) -> Any:
        """Without stopping rule or growth. With None it finds its rates by itself."""
        final, rate_name = self.final, self.final._rate_parameter
        as_it_is = {name: getattr(final, name) for name in ("average", "warmup") if hasattr(final, name)}
        return plain_clone(
            final, learning_rate=schedule, batch_size=batch_size, random_state=(self.seed + seed) % SEEDS,
            **{rate_name: getattr(final, rate_name) if rate is None else rate}, **as_it_is,
        )  # fmt: skip

    def to_race(self, batch_size: int, times: float = 1.0, seed: int = 0) -> tuple[Any, float]:
        """With its rate, so many times the one that is found; NaN where there is none to choose."""
        rate = self.rate(batch_size, self.raced_schedule)
        if rate is None or self.raced_schedule != self.schedule:
            return self.model(batch_size, self.raced_schedule, rate, seed), np.nan
        rate *= times
        return self.model(batch_size, self.raced_schedule, rate, seed), rate

    def to_time(self, batch_size: int) -> Any:
        return self.model(batch_size, self.raced_schedule, None if finds_rates(self.final) else SMALL_RATE)

    def rate(self, batch_size: int, schedule: Any) -> float | None:
        """As ``eta0="auto"`` finds it."""
        if finds_rates(self.final):
            return None
        known = repr(schedule), batch_size
        if known not in self.rates:
            model = self.model(batch_size, schedule, "auto")
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always", ConvergenceWarning)
                _update_once(model, self.rows)
            if any(issubclass(warning.category, ConvergenceWarning) for warning in caught):
                self.without_rate.append(batch_size)
            self.rates[known] = float(model.eta0_)
        return self.rates[known]

    def advised(self, estimator: Any, batch_size: int, rate: float) -> tuple[Any, float | None]:
        """A clone of the whole estimator with everything set, and its rate; NaN stands for the one that is found."""
        found = self.rate(batch_size, self.schedule) if np.isnan(rate) else rate
        parameters: dict[str, Any] = {"batch_size": batch_size}
        if found is not None:
            parameters |= {self.final._rate_parameter: found, "learning_rate": self.schedule}
            parameters |= {"learning_rate_scaling": None}
        inside = {parameter_path(estimator, name): value for name, value in parameters.items()}
        return clone(estimator).set_params(**inside), found


def compile_kernels(candidates: Candidates, sizes: NDArray[np.int64]) -> None:
    """An update of every size, or of as many rows as there are to race on."""
    for size in np.unique(np.minimum(sizes, len(candidates.rows[1]))):
        _update_once(candidates.to_time(int(size)), candidates.rows)


def _update_once(model: Any, rows: tuple[Any, Any, Any]) -> None:
    X, y, weight = rows
    model._train(X, y, weight, watch=Updates((X[:2], y[:2], None), 1))
