"""Where a run began: a run that ends above that has failed, whatever ended it."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from minibatch._problems.best_constant import BestConstant, best_constant
from minibatch._problems.state import Vector, values_of_row
from minibatch._training.rules import Rule

__all__ = [
    "CLEARLY", "FEWEST_ROWS", "HARDLY", "ROWS_LOOKED_AT", "SCORES_AT_ONCE", "VALUES_LOOKED_AT", "Beginning",
    "Findings", "n_rows_looked_at",
]  # fmt: skip

# Of more rows than this, so many are looked at first (fewer, where rows are wide: they are copied), and all of them
# only where these do not show a fall by this share of what there is to gain, six standard errors of the difference.
ROWS_LOOKED_AT, CLEARLY = 4096, 0.1
VALUES_LOOKED_AT, FEWEST_ROWS = 2**19, 512
# Of what there is to gain; a run at rest may be so far above the best constant.
HARDLY = 0.02
# More scores are not kept in a table of rows and outputs: the gradient, which comes with the loss then, needs none.
SCORES_AT_ONCE = 1_000_000
# Of parameters that are compared to know whether their objective is known.
_FEW_BYTES = 65_536


class Findings:
    """What runs on the same rows, which differ in numbers, find out once for all of them."""

    def __init__(self) -> None:
        self.data: Any = None  # the arrays of a problem without a choice of the rows
        self.moments: Any = None  # of all rows, where these are a sample of them
        self._found: dict[Any, Any] = {}

    def once(self, problem: Any, what: Any, find: Callable[[], Any]) -> Any:
        """What ``find`` returns for a problem with this loss; it does not look at penalties."""
        if problem.rows is not None:  # the problem has a choice of the rows of its own
            return find()
        key = what, problem.objective._replace(l1=0.0, l2=0.0, passive=())  # whose arrays are no keys
        if key not in self._found:
            self._found[key] = find()
        return self._found[key]


@dataclass(frozen=True)
class Beginning:
    """The first parameters of a run, by which later ones are judged."""

    problem: Any
    theta: Vector
    seed: int
    findings: Findings = field(default_factory=Findings)
    goes_on: bool = False  # from what an earlier fit, or the user, has found
    _last: dict[bytes, float] = field(default_factory=dict)

    @cached_property
    def constant(self) -> BestConstant:
        found: BestConstant = self.findings.once(self.problem, "constant", lambda: best_constant(self.problem))
        return found

    @cached_property
    def first(self) -> float:
        """The objective at the beginning."""
        return self._at_beginning(self.problem)

    def objective(self, theta: Vector) -> float:
        """Of all rows trained on; of the end of a run it is asked for several times."""
        if theta.nbytes > _FEW_BYTES:
            return _objective(self.problem, theta)
        key = theta.tobytes()
        if key not in self._last:
            self._last.clear()
            self._last[key] = _objective(self.problem, theta)
        return self._last[key]

    def judge(self, theta: Vector, rule: Rule) -> str:
        """``'below'`` the beginning or level with it; ``'above'``; or ``'failed'``, which is also above the constant.

        A run that goes on from a good model is now below it, now above, by the noise of its batches: for such a run
        that much is level. It would have to go far wrong to become worse than a constant. One that begins with zeros
        never is between the two. Far above a constant that it could be, a run is not ``'below'`` either: it has hardly
        begun (but where scikit-learn's rule ends it).
        """
        if not self.constant.is_comparable:
            return "below"
        rounding = 16.0 * float(np.finfo(theta.dtype).eps)
        first, constant = (limit + rounding * abs(limit) for limit in (self.first, self.constant.loss))
        reachable = np.inf if rule.is_scikit_learns else self._reachable
        # a sample may lack rows far outside, which are in the objective of the last epoch
        if self._is_clearly_below(theta, reachable) and rule.objectives[-1] <= min(first, reachable):
            return "below"
        objective = self.objective(theta)
        if objective <= min(first + (rule.noise() if self.goes_on else 0.0), reachable):
            return "below"
        return "above" if objective <= max(first, constant) else "failed"

    @property
    def _reachable(self) -> float:
        """Hardly above what a model can reach that looks at no column."""
        if not self.problem.objective.fit_intercept:
            return np.inf
        return self.constant.loss + HARDLY * self.constant.unit

    def _is_clearly_below(self, theta: Vector, reachable: float) -> bool:
        if self.problem.n_samples <= self._n_looked_at:
            return False
        fall = CLEARLY * float(np.sqrt(ROWS_LOOKED_AT / self._n_looked_at)) * self.constant.unit
        return _objective(self._sample, theta) < min(self._first_of_sample, reachable) - fall

    @cached_property
    def _n_looked_at(self) -> int:
        return n_rows_looked_at(values_of_row(self.problem.data.X), self.problem.n_samples)

    @cached_property
    def _sample(self) -> Any:
        """The problem of the rows that are looked at first."""
        found = self.findings.once(self.problem, (self._n_looked_at, self.seed), self._copied)
        return replace(self.problem, data=found.data, rows=None)

    def _copied(self) -> Any:
        rows = np.random.default_rng(self.seed).choice(self.problem.n_samples, self._n_looked_at, replace=False)
        return self.problem.copied(np.sort(rows))

    @cached_property
    def _first_of_sample(self) -> float:
        return self._at_beginning(self._sample)

    def _at_beginning(self, problem: Any) -> float:
        """The objective of rows at the first parameters."""
        if self.theta.nbytes > _FEW_BYTES:
            return _objective(problem, self.theta)
        what = problem.n_samples, self.seed, self.theta.tobytes()
        loss: float = self.findings.once(problem, what, lambda: _loss(problem, self.theta))
        return loss + _penalty(problem, self.theta)


def n_rows_looked_at(values: float, n_rows: int) -> int:
    """Of so many rows with so many values each.

    >>> (
    ...     n_rows_looked_at(10, 10**6),
    ...     n_rows_looked_at(784, 10**6),
    ...     n_rows_looked_at(1e5, 10**6),
    ...     n_rows_looked_at(9, 50),
    ... )
    (4096, 668, 512, 50)
    """
    return min(n_rows, int(min(max(VALUES_LOOKED_AT / max(values, 1.0), FEWEST_ROWS), ROWS_LOOKED_AT)))


def _objective(problem: Any, theta: Vector) -> float:
    return _loss(problem, theta) + _penalty(problem, theta)


def _loss(problem: Any, theta: Vector) -> float:
    with np.errstate(over="ignore", invalid="ignore"):
        if problem.n_samples * problem.data.class_weight.shape[1] > SCORES_AT_ONCE:
            return float(problem.evaluate(theta)[0].sum())
        return float(problem.mean_loss(problem.scores(theta)))


def _penalty(problem: Any, theta: Vector) -> float:
    with np.errstate(over="ignore", invalid="ignore"):
        return float(problem.penalties(theta).sum())
