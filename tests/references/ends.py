"""When a run of ``references.going_on`` ends, and what it is called then: the rules of the docstrings, in NumPy."""

import numpy as np
from sklearn.utils.stats import _weighted_percentile

HARDLY = 0.02
SINGLE_ROW_SCHEDULES = ("constant", "optimal", "invscaling", "adaptive")


def constant_scores(loss, target, weight):
    """Of the best constant for columns of targets; nearly the best for losses that are flat or linear somewhere."""
    mean = np.average(target, axis=0, weights=weight)
    if loss == "softmax":
        return np.log(mean, out=np.zeros_like(mean), where=mean > 0)
    if loss == "log_loss":
        with np.errstate(divide="ignore"):
            odds = np.log1p(mean) - np.log1p(-mean)
        return np.where(np.isfinite(odds), odds, 0.0)
    return np.atleast_1d(_weighted_percentile(target, weight, 50)) if loss == "huber" else mean


class Ends:
    """The beginning of a fit, and the rules that its objectives are shown to."""

    def __init__(self, parameters, first, constant, unit, has_constant, single_rows, network, goes_on):
        self.p, self.first, self.constant, self.unit = parameters, first, constant, unit
        self.reachable = constant + HARDLY * unit if has_constant and not single_rows else np.inf
        self.single_rows, self.network, self.goes_on = single_rows, network, goes_on
        self.least = 0.0 if parameters["tol"] is None else parameters["tol"] * (1.0 if single_rows else unit)
        self.patience = parameters["n_iter_no_change"] + (1 if network else 0)
        self.waits_again_from = 0  # single epochs count from here on: the rule was met, but the run went on

    def judge(self, objective, seen):
        slack = [abs(limit) * 1e-14 for limit in (self.first, self.constant)]
        level = self.noise(seen) if self.goes_on else 0.0
        if objective <= min(self.first + slack[0] + level, self.reachable):
            return "below"
        return "above" if objective <= max(self.first + slack[0], self.constant + slack[1]) else "failed"

    def is_met(self, objectives, waits_from):
        here = objectives[waits_from:]
        if self.network or self.single_rows:
            waited = 0
            for number in range(max(waits_from, self.waits_again_from), len(objectives)):
                best = min(objectives[:number], default=np.inf)
                waited = 0 if objectives[number] <= best - self.least else waited + 1
            return waited >= self.patience
        size = self.patience
        return len(here) >= 2 * size and np.mean(here[-2 * size : -size]) - np.mean(here[-size:]) <= self.least

    def noise(self, seen):
        size = min(self.patience, len(seen) // 2)
        if size == 0:
            return self.least
        return max(self.least, 3 * np.sqrt(np.mean(np.diff(seen[-2 * size :]) ** 2) / size))

    def has_risen(self, seen):
        size = min(self.patience, len(seen) // 2)
        if size == 0:
            return False
        means = [np.mean(seen[i : i + size]) for i in range(len(seen) - size + 1)]
        return means[-1] - min(means) > self.noise(seen)

    def comes_down(self, objective, objectives, seen):
        """The last third of the epochs is below the third before."""
        if self.has_risen(seen) or not np.isfinite(objectives).all() or objective >= objectives[0]:
            return False
        size = len(objectives) // 3
        if size < 2:
            return True
        error = np.sqrt(np.mean(np.diff(objectives[-2 * size :]) ** 2) / size)
        return np.mean(objectives[-2 * size : -size]) - np.mean(objectives[-size:]) > error

    def at_rest(self, objective, objectives, waits_from):
        """The status of a run whose rule is met, or None: it goes on, and waits as long again."""
        self.waits_again_from = len(objectives)
        seen = objectives[waits_from:]
        verdict = self.judge(objective, seen)
        if verdict == "below" and not self.has_risen(seen):
            return "converged"
        if verdict == "failed":
            goes_on = self.single_rows and self.comes_down(objective, objectives, seen)
            return None if goes_on else "diverged"
        return "diverged" if self.single_rows else None

    def has_failed(self, objective, objectives, waits_from):
        """Of a run that something else ends."""
        seen = objectives[waits_from:]
        return self.judge(objective, seen) == "failed" and not self.comes_down(objective, objectives, seen)
