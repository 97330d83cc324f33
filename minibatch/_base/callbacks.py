"""The one place that speaks scikit-learn's callback protocol (``sklearn.callback``, experimental in 1.9)."""

import copy
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

from sklearn.callback import ProgressBar

from minibatch._base.persistence import Rate
from minibatch._problems.state import Problem
from minibatch._training.loop import Outcome
from minibatch.engine.notice import told
from minibatch.history import History

__all__ = ["CallbackBridge", "is_bookkeeping", "model_after", "says_when_it_compiles", "take_over"]


class CallbackBridge:
    """Tells the callbacks of an estimator about the fit and each of its epochs.

    ``seen(outcome)`` gives the model that a fit with this outcome leaves; it is called only where a callback asks for a
    fitted estimator.
    """

    def __init__(self, estimator: Any, X: Any, y: Any, sample_weight: Any, seen: Callable[[Outcome], Any]) -> None:
        self._estimator = estimator
        self.sees_epochs = hasattr(estimator, "_skl_callbacks")
        metadata = None if sample_weight is None else {"sample_weight": sample_weight}
        self._data = {"estimator": estimator, "X": X, "y": y, "metadata": metadata}
        self._seen = seen
        self._fit: Any = None
        if self.sees_epochs:
            self._fit = estimator._init_callback_context(max_subtasks=estimator.max_iter)
            self._fit.call_on_fit_task_begin(**self._data)

    def epoch_begins(self) -> None:
        self._epoch = self._fit.subcontext(task_name="epoch")
        self._epoch.call_on_fit_task_begin(**self._data)

    def n_unwatched(self) -> float:
        """Of how many epochs nobody asks about any but the last."""
        return 1

    def epoch_ends(self, n_epochs: int, outcome: Callable[..., Outcome]) -> bool:
        """Whether a callback asks to stop. ``outcome`` is that of a fit that stops here, after so many epochs."""
        return self._epoch.call_on_fit_task_end(
            **self._data, reconstruction_attributes=lambda: _as_attribute(self._seen(outcome()))
        )

    def fit_ends(self) -> None:
        if self._fit is not None:
            self._fit.call_on_fit_task_end(
                **self._data, reconstruction_attributes=lambda: _as_attribute(self._own_copy())
            )

    def _own_copy(self) -> Any:
        """The fitted estimator, with a history that ``partial_fit`` may prolong."""
        model = copy.copy(self._data["estimator"])
        model.history_ = model.history_.copy()
        return model


def model_after(fit: Any, problem: Problem, history: History, rate: Rate, outcome: Outcome) -> Any:
    """What a fit that is not over has come to, as a model of its own."""
    model = copy.copy(fit)
    model._publish(problem, outcome._replace(state=outcome.state.copy()), history.copy(), rate)
    return model


def _as_attribute(model: Any) -> dict[str, Any]:
    """All that a model is, in place of all that scikit-learn's copy of the estimator has: what an earlier fit left, and
    the callbacks and contexts of the running one, which nobody wants in a file or in a fit that goes on."""
    return {"__dict__": {name: vars(model)[name] for name in vars(model) if not is_bookkeeping(name)}}


def is_bookkeeping(name: str) -> bool:
    """Whether an attribute is scikit-learn's own, of callbacks."""
    return name.startswith(("_skl_callbacks", "_callback_fit_ctx", "_parent_callback_ctx"))


def take_over(estimator: Any, fit: Any, before: set[str]) -> None:
    """What a copy has learnt: all attributes but the parameters, which callbacks may have changed for the next fit. Of
    ``before``, those that it no longer has go."""
    if fit is estimator:
        return
    for name in before - vars(fit).keys():
        vars(estimator).pop(name, None)
    learnt = vars(fit).keys() - estimator.get_params(deep=False).keys()
    vars(estimator).update({name: vars(fit)[name] for name in learnt})


def says_when_it_compiles(estimator: Any) -> AbstractContextManager[None]:
    """Where a fit prints lines or shows a progress bar, it says why its beginning takes long."""
    shows = any(isinstance(callback, ProgressBar) for callback in getattr(estimator, "_skl_callbacks", ()))
    return told(partial(print, flush=True)) if estimator.verbose or shows else nullcontext()
