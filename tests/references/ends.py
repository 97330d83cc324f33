"""When a run of ``references.going_on`` ends, and what it is called then: the rules of the docstrings, in NumPy."""

import numpy as np
from sklearn.utils.stats import _weighted_percentile

CLEARLY = 0.1
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
    """The beginning of a fit, and its objectives so far."""

    def __init__(self, parameters, first, constant, unit, has_constant, single_rows, network):
        self.p, self.first, self.constant, self.unit = parameters, first, constant, unit
        self.reachable = constant + CLEARLY * unit if has_constant else np.inf
        self.single_rows, self.network = single_rows, network

    def judge(self, objective):
        reachable = np.inf if self.single_rows else self.reachable
        slack = [abs(limit) * 1e-14 for limit in (self.first, self.constant)]
        if objective <= min(self.first + slack[0], reachable):
            return "below"
        return "above" if objective <= max(self.first + slack[0], self.constant + slack[1]) else "failed"

    def is_met(self, objectives, waits_from):
        p, here = self.p, objectives[waits_from:]
        if self.network or self.single_rows:
            least = p["tol"] * (1.0 if self.single_rows else self.unit)
            waited = 0
            for number in range(waits_from, len(objectives)):
                best = min(objectives[:number], default=np.inf)
                waited = 0 if objectives[number] <= best - least else waited + 1
            return waited >= p["n_iter_no_change"] + (1 if self.network else 0)
        size = p["n_iter_no_change"]
        if len(here) < 2 * size:
            return False
        return np.mean(here[-2 * size : -size]) - np.mean(here[-size:]) <= p["tol"] * self.unit

    def has_risen(self, objectives, waits_from):
        seen = objectives if self.network or self.single_rows else objectives[waits_from:]
        size = min(self.p["n_iter_no_change"] + (1 if self.network else 0), len(seen) // 2)
        if size == 0:
            return False
        means = [np.mean(seen[i : i + size]) for i in range(len(seen) - size + 1)]
        steps = np.diff(seen[-2 * size :])
        unit = 1.0 if self.single_rows else self.unit
        noise = 3 * np.sqrt(np.mean(steps**2) / size)
        return means[-1] - min(means) > max(noise, self.p["tol"] * unit)

    def at_rest(self, objective, objectives, waits_from):
        """The status of a run whose rule is met, or None: it goes on."""
        verdict, risen = self.judge(objective), self.has_risen(objectives, waits_from)
        if verdict == "failed" or (verdict == "below" and risen and self.single_rows):
            return "diverged"
        return "converged" if verdict == "below" and not risen else None
