"""One candidate on one fold: a fit that goes on epoch by epoch, many of them side by side in shared passes."""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from copy import copy
from functools import cached_property, partial
from numbers import Integral, Real
from traceback import format_exc
from typing import Any, NamedTuple

from sklearn.base import clone
from sklearn.callback._callback_support import callback_management_context

from minibatch._base.callbacks import CallbackBridge
from minibatch._base.trials import without_callbacks
from minibatch._problems.requests import Ran, Request
from minibatch._problems.state import Vector
from minibatch._problems.together import run_together
from minibatch._training.epochs import Steps
from minibatch._training.loop import Outcome
from minibatch.history import History
from minibatch.model_selection._candidates import SMALL_RATE
from minibatch.model_selection._failures import Failure, attempt
from minibatch.model_selection._search_folds import FoldRows, FormRows, arguments_of_fit

__all__ = ["LONGER", "Rest", "Run", "Side", "go_on", "load_kernels", "own_copy"]

# So many times longer than one fit's may a call of several epochs be: what Python does between them is more than a
# model's share of a pass. The rates of single rows are then a megabyte a run.
LONGER = 10


class Side(NamedTuple):
    """What runs side by side have in common."""

    fold: FoldRows
    limits: dict[str, Any]  # of plans: orders of rows, which the first makes for all, and longer calls
    caller: Any  # the search, for its callbacks
    sees_epochs: bool  # whether runs stop between epochs


def own_copy(model: Any) -> Any:
    """Of parameters. As ``clone``, which takes longer: nothing changes them, but who draws from them."""
    return copy(model) if isinstance(model.random_state, Integral) else clone(model)


class Rest:
    """A fit between two epochs: what one that stops here leaves, made where somebody asks."""

    def __init__(self, outcome: Callable[..., Outcome], model_of: Callable[[Outcome], Any]) -> None:
        self._outcome, self._model_of = outcome, model_of

    @cached_property
    def outcome(self) -> Outcome:
        return self._outcome(judged=False)

    @property
    def model(self) -> Any:
        return self._model_of(self.outcome)


class Run:
    """``model`` is fitted in the end. The fit rests between epochs, at ``until``, after ``n_epochs``."""

    def __init__(self, candidate: int, split: int, model: Any, context: Any) -> None:
        self.candidate, self.split, self.model, self.context = candidate, split, model, context
        self.n_epochs, self.until, self.seconds = 0, 0.0, 0.0
        self.failure: Failure | None = None
        self.request: Request | None = None  # the epochs that are to be run before it goes on
        self.is_over = False
        self.rest: Rest | None = None
        self.steps: Steps[str] | None = None  # None before its beginning
        self._follower: _Follower | None = None

    def now(self) -> Any:
        """The model that the fit leaves if it stops here."""
        return self.model if self.rest is None else self.rest.model

    def theta(self, problem: Any) -> Vector:
        """The parameters of that model, as the problem lays them out."""
        found: Vector = self.model._fitted_theta(problem) if self.rest is None else self.rest.outcome.state.result()
        return found

    def ended(self) -> tuple[str, History]:
        """Its status and history."""
        if self.rest is None:
            return self.model.status_, self.model.history_
        outcome = self.rest.outcome
        return outcome.status, outcome.history

    def begin(self, side: Side, rows: FormRows) -> None:
        """Everything before the first epoch."""
        self.steps = self._steps(side, rows)
        self._advance(partial(next, self.steps), 0.0)

    def take(self, ran: Ran | None) -> None:
        """What came of the epochs that were asked for; nothing, where it rests."""
        assert self.steps is not None
        self._advance(partial(self.steps.send, ran), 0.0 if ran is None else ran.seconds)

    def fail(self, error: BaseException) -> None:
        """The epoch that was asked for raised."""
        assert self.steps is not None
        self._advance(partial(self.steps.throw, error), 0.0)

    def close(self) -> None:
        """It does not go on: callbacks are told, and nothing holds the rows any more."""
        if not self.is_over and self.steps is not None:
            if self._follower is not None:
                self._follower.fit_is_dropped()
            with suppress(ValueError):  # another thread is in there
                self.steps.close()
        self.request, self.is_over, self.steps, self._follower, self.model = None, True, None, None, None
        self.rest = None

    def _advance(self, step: Callable[[], Request | None], seconds: float) -> None:
        began, self.request, self.is_over = time.perf_counter(), None, True
        try:
            self.request, self.is_over = step(), False
        except StopIteration:
            self.rest = None
        except Exception as error:
            self.failure = Failure(error, format_exc())
        self.seconds += seconds + time.perf_counter() - began

    def _steps(self, side: Side, rows: FormRows) -> Steps[str]:
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
            given = rows.given or arguments_of_fit(model, fold)
            data = (given["X"], given["y"]) if rows.checked is None else (rows.checked, None)
            message: str = yield from model._training(
                *data, given.get("sample_weight"), init=(given.get("coef_init"), given.get("intercept_init")),
                validation=(given.get("X_val"), given.get("y_val"), given.get("sample_weight_val")),
                limits=side.limits, bridge_of=partial(_Follower, self, side),
            )  # fmt: skip
        return message


class _Follower(CallbackBridge):
    """Tells callbacks about a fit, with the rows as they were before they were checked; and the run what it is now."""

    def __init__(self, run: Run, side: Side, model: Any, *data: Any) -> None:
        *_, weight, seen = data
        super().__init__(model, side.fold.X, side.fold.y, weight, seen)
        self._is_told = self.sees_epochs
        self.sees_epochs = self.sees_epochs or side.sees_epochs
        self._run = run
        run._follower = self

    def fit_is_dropped(self) -> None:
        if self._fit is not None:
            self._fit.call_on_fit_task_end(**self._data)

    def n_unwatched(self) -> float:
        """None up to where the run is to stop for now; callbacks ask about all."""
        number = self._run.until - self._run.n_epochs
        return min(1, number) if self._is_told else number

    def epoch_begins(self) -> None:
        if self._is_told:
            super().epoch_begins()

    def epoch_ends(self, n_epochs: int, outcome: Callable[..., Any]) -> bool:
        self._run.n_epochs, self._run.rest = n_epochs, Rest(outcome, self._seen)
        return self._is_told and super().epoch_ends(n_epochs, outcome)


def go_on(runs: Sequence[Run], rows: Sequence[FormRows], side: Side, until: float) -> None:
    """Train runs that share batches, side by side, up to so many epochs; infinity: to their ends."""
    for run, of_form in zip(runs, rows, strict=True):
        run.until = until
        if run.steps is None:
            run.begin(side, of_form)
        elif not run.is_over:
            run.take(None)
    while waiting := [run for run in runs if run.request is not None]:
        found, failure = attempt(run_together, [run.request for run in waiting])
        for i, run in enumerate(waiting):
            if failure is None:
                run.take(found[i])
            else:
                run.fail(failure.error)


def load_kernels(runs: Sequence[Run], rows: Sequence[FormRows], side: Side) -> None:
    """Begin a copy of one of each kind, and train as many copies of that on a batch as there are of the kind: compiling
    kernels, or loading them, is no cost of the fits."""
    kinds: dict[str, list[int]] = {}
    for i, run in enumerate(runs):
        kinds.setdefault(_kind_of(run.model), []).append(i)
    copies, requests = [], []
    for first, *others in kinds.values():
        run = runs[first]
        name = run.model._rate_parameter
        rate = {name: SMALL_RATE} if getattr(run.model, name) == "auto" else {}
        model = without_callbacks(own_copy(run.model)).set_params(max_iter=1, verbose=0, **rate)
        copies.append(Run(run.candidate, run.split, model, None))
        copies[-1].begin(side, rows[first])
        if copies[-1].request is not None:
            requests += [copies[-1].request.of_one_batch() for _ in (first, *others)]
    attempt(run_together, requests)
    for one in copies:
        one.close()


def _kind_of(model: Any) -> str:
    """The same for models that differ in numbers which are not 0: they need the same kernels."""
    parameters = model.get_params(deep=False).items()
    return repr([(name, bool(value) if isinstance(value, Real) else value) for name, value in parameters])
