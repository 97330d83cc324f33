"""One candidate on one fold: a fit that goes on epoch by epoch, many of them side by side in shared passes."""

import math
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import cache, lru_cache, partial
from inspect import signature
from traceback import format_exc
from typing import Any, NamedTuple

from sklearn.base import clone
from sklearn.callback._callback_support import callback_management_context
from sklearn.utils import _safe_indexing

from minibatch._base.callbacks import CallbackBridge
from minibatch._base.rows import Checked
from minibatch._base.trials import Updates, without_callbacks
from minibatch._problems.batching import sample_orders
from minibatch._problems.requests import Ran, Request
from minibatch._problems.together import run_together
from minibatch._training.epochs import Steps
from minibatch.model_selection._candidates import SMALL_RATE
from minibatch.model_selection._search_folds import Fold

__all__ = ["LONGER", "Failure", "Run", "Side", "attempt", "go_on"]

# So many times longer than one fit's may a call of several epochs be. What Python does between them is more than a
# model's share of a pass.
LONGER = 100


class Failure(NamedTuple):
    """What was raised, and its traceback."""

    error: Exception
    why: str


def attempt(function: Callable[..., Any], *arguments: Any) -> tuple[Any, Failure | None]:
    """What a function returns, or what it raises."""
    try:
        return function(*arguments), None
    except Exception as error:
        return None, Failure(error, format_exc())


class Side(NamedTuple):
    """What runs side by side have in common."""

    fold: Fold
    limits: dict[str, Any]  # of plans: orders of rows, which the first makes for all, and longer calls
    caller: Any  # the search, for its callbacks
    sees_epochs: bool  # whether each epoch is a step of its own


class Run:
    """``model`` is fitted in the end. Where epochs are seen, ``now()`` is what the fit has come to before that."""

    def __init__(self, candidate: int, split: int, model: Any, context: Any) -> None:
        self.candidate, self.split, self.model, self.context = candidate, split, model, context
        self.n_epochs, self.seconds = 0, 0.0
        self.failure: Failure | None = None
        self.request: Request | None = None  # the epoch that is to be run before it goes on
        self.now: Callable[[], Any] = lambda: model
        self.steps: Steps[str] | None = None  # None before its beginning

    def begin(self, side: Side, checked: Checked | None) -> None:
        """Everything before the first epoch."""
        self.steps = self._steps(side, checked)
        self._advance(partial(next, self.steps), 0.0)

    def take(self, ran: Ran) -> None:
        """What came of the epoch that was asked for."""
        assert self.steps is not None
        self.n_epochs += 1
        self._advance(partial(self.steps.send, ran), ran.seconds)

    def drop(self) -> None:
        """Leave it as it is between two epochs."""
        if self.steps is not None:
            self.request = None
            self.steps.close()

    def _advance(self, step: Callable[[], Request], seconds: float) -> None:
        began, self.request = time.perf_counter(), None
        try:
            self.request = step()
        except StopIteration:
            self.now = lambda: self.model
        except Exception as error:
            self.failure = Failure(error, format_exc())
        self.seconds += seconds + time.perf_counter() - began

    def _steps(self, side: Side, checked: Checked | None) -> Steps[str]:
        """``fit`` of the model, with what the search tells callbacks about it."""
        fold, model = side.fold, self.model
        with ExitStack() as stack:
            if self.context is not None:
                X, y, weight = fold.given
                metadata = None if weight is None else {"sample_weight": weight}
                task = {"estimator": side.caller, "X": X, "y": y, "metadata": metadata}
                stack.enter_context(self.context.propagate_callback_context(model))
                self.context.call_on_fit_task_begin(**task)
                stack.callback(self.context.call_on_fit_task_end, **task)
            stack.enter_context(callback_management_context(model))
            given = signature(model.fit).bind(fold.X, fold.y, **fold.params).arguments
            rows = (given["X"], given["y"]) if checked is None else (checked, None)
            message: str = yield from model._training(
                *rows, given.get("sample_weight"), init=(given.get("coef_init"), given.get("intercept_init")),
                validation=(given.get("X_val"), given.get("y_val"), given.get("sample_weight_val")),
                limits=side.limits, bridge_of=partial(_Follower, self, side),
            )  # fmt: skip
        return message


class _Follower(CallbackBridge):
    """Tells callbacks about a fit, with the rows as they were before they were checked; and the run what it is now."""

    def __init__(self, run: Run, side: Side, model: Any, *data: Any) -> None:
        *_, weight, seen = data
        super().__init__(model, side.fold.X, side.fold.y, weight, seen)
        self.sees_epochs = self.sees_epochs or side.sees_epochs
        self._run = run

    def epoch_ends(self, outcome: Callable[..., Any]) -> bool:
        self._run.now = cache(lambda: self._seen(outcome(judged=False)))
        return super().epoch_ends(outcome)


def go_on(runs: Sequence[Run], fold: Fold, checked: Sequence[Checked | None], caller: Any, until: float) -> None:
    """Train runs that share batches, side by side, up to so many epochs; infinity: to their ends."""
    limits = {"orders": lru_cache(maxsize=1)(sample_orders), "longer": LONGER}
    side = Side(fold, limits, caller, math.isfinite(until))
    fresh = [(run, rows) for run, rows in zip(runs, checked, strict=True) if run.steps is None]
    if fresh and fold.number == 0:
        attempt(_load_kernels_of_fit, *fresh[0], fold)
    for run, rows in fresh:
        run.begin(side, rows)
    if fresh and fold.number == 0:
        attempt(_load_kernels_of_epochs, [run.request for run in runs if run.request is not None])
    while waiting := [run for run in runs if run.request is not None and run.n_epochs < until]:
        found, failure = attempt(run_together, [run.request for run in waiting])
        for i, run in enumerate(waiting):
            if failure is None:
                run.take(found[i])
            else:
                run.failure, run.request = failure, None


def _load_kernels_of_fit(run: Run, checked: Checked | None, fold: Fold) -> None:
    """Make one update of a model of its own: compiling kernels, or loading them, is no cost of the fits."""
    rate = {run.model._rate_parameter: SMALL_RATE} if getattr(run.model, run.model._rate_parameter) == "auto" else {}
    model = without_callbacks(clone(run.model)).set_params(early_stopping=False, evaluate_every=None, verbose=0, **rate)
    few = (_safe_indexing(fold.X, slice(2)), _safe_indexing(fold.y, slice(2)), None)
    rows = (fold.X, fold.y) if checked is None else (checked, None)
    model._train(*rows, fold.params.get("sample_weight"), watch=Updates(few, 1))


def _load_kernels_of_epochs(requests: Sequence[Request]) -> None:
    """Train copies on one batch, together as they will be."""
    run_together([request.of_one_batch() for request in requests])
