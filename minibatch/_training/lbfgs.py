"""The full-batch objective in the hands of ``scipy.optimize.minimize``: a second trainer beside ``loop.training``."""

import time
from dataclasses import replace
from typing import Any

import numpy as np
import scipy.optimize

from minibatch._problems.blas import one_blas_thread
from minibatch._problems.state import Problem, State, Vector
from minibatch._training.epochs import Counters, Observer, Plan
from minibatch._training.loop import EpochCallbacks, Outcome, Validate, evaluation, keep
from minibatch._training.rules import Rule
from minibatch.history import History

__all__ = ["minimize"]


class _Run:
    """What happens after every iteration of L-BFGS, which is a row of the history (one update of all rows)."""

    def __init__(
        self,
        problem: Problem,
        plan: Plan,
        rule: Rule | None,
        state: State,
        history: History,
        validate: Validate | None,
        callbacks: EpochCallbacks | None,
        observer: Observer | None,
    ) -> None:
        self.problem, self.plan, self.rule, self.validate, self.callbacks = problem, plan, rule, validate, callbacks
        self.observer = observer
        self.start, self.state, self.done, self.clock = state.theta, state, History(), Counters(history)
        self.status, self.n_evaluations, self.began = "", 0, time.perf_counter()

    def objective(self, x: Vector) -> tuple[float, Vector]:
        """Value and gradient."""
        self.n_evaluations += 1
        theta = x.astype(self.start.dtype)
        losses, gradient = self.problem.evaluate(theta)
        value = float(losses.sum() + self.problem.penalties(theta).sum())
        return value, self.problem.with_penalty(theta, gradient)

    def after_iteration(self, intermediate_result: Any) -> None:
        """Record, and raise StopIteration where it is time to stop."""
        if self.callbacks is not None:  # not earlier: nobody knows whether there will be another iteration
            self.callbacks.epoch_begins()
        plan, problem = self.plan, self.problem
        theta, objective = intermediate_result.x.astype(self.start.dtype), float(intermediate_result.fun)
        self.state = replace(self.state, theta=theta)
        self.clock.epoch += 1
        self.clock.add(self.n_evaluations * problem.n_samples, 1, time.perf_counter() - self.began)
        self.n_evaluations = 0
        record = self.clock.row(
            batch_size=problem.n_samples,
            train_loss=objective - float(problem.penalties(theta).sum()),
            objective=objective,
        )
        columns = {name: [value] for name, value in record.items()}
        columns |= evaluation(problem, plan, self.clock.epoch, theta, self.start, self.validate)
        keep(columns, self.done, plan)
        if self.observer is not None:
            self.observer.see(self.clock.row(learning_rate=np.nan, batch_size=problem.n_samples), theta)
        if self.rule is not None:
            score, loss = (columns[f"validation_{name}"][0] for name in ("score", "loss"))
            self.rule.see(objective, score, loss, self.state)
        self.status = self.clock.budget_spent(plan)
        if not self.status and self.rule is not None and self.rule.is_met():
            self.status = self.rule.status
        if self.callbacks is not None and self.callbacks.epoch_ends(self.done.n_epochs, self.outcome):
            self.status = "stopped_by_callback"
        if self.status:
            raise StopIteration
        self.began = time.perf_counter()

    def outcome(self, judged: bool = True) -> Outcome:
        """Of a run that stops here, which nobody judges."""
        status = self.status or "stopped_by_callback"
        last = self.state if self.rule is None else self.rule.state_to_keep(self.state)
        return Outcome(status, str, self.done.n_epochs, self.rule, last, self.done, lambda: np.nan)


def minimize(
    problem: Problem,
    plan: Plan,
    rule: Rule | None,
    options: dict[str, float],
    state: State,
    history: History,
    validate: Validate | None = None,
    callbacks: EpochCallbacks | None = None,
    observer: Observer | None = None,
) -> Outcome:
    """L-BFGS from ``state.theta``, until ``rule`` is met or its own ``options`` end it, as the largest entry of the
    gradient below ``gtol``. ``history`` is what came before; the rows of this run are in the outcome."""
    run = _Run(problem, plan, rule, state, history, validate, callbacks, observer)
    with one_blas_thread():  # others, awake after its small products, would keep cores from the threads of the problem
        result = scipy.optimize.minimize(
            run.objective,
            state.theta.astype(np.float64),
            method="L-BFGS-B",
            jac=True,
            callback=run.after_iteration,
            options={"maxiter": plan.max_iter, **options},
        )
    status = run.status or ("converged" if result.success else "max_iter")
    if not np.isfinite(result.fun):
        status = "diverged"
    return run.outcome()._replace(status=status, why=lambda: f"L-BFGS says: {result.message} [MB105]")
