"""The one place that speaks scikit-learn's callback protocol (``sklearn.callback``, experimental in 1.9)."""

from collections.abc import Callable
from typing import Any

from minibatch._problems.state import Vector

__all__ = ["CallbackBridge", "take_over"]


class CallbackBridge:
    """Tells the callbacks of an estimator about the fit and each of its epochs.

    ``fitted_attributes(theta)`` gives the attributes that make a usable estimator out of the current parameters; it is
    called only where a callback asks for a fitted estimator.
    """

    def __init__(
        self, estimator: Any, X: Any, y: Any, sample_weight: Any, fitted_attributes: Callable[[Vector], dict[str, Any]]
    ) -> None:
        self._estimator = estimator
        metadata = None if sample_weight is None else {"sample_weight": sample_weight}
        self._data = {"estimator": estimator, "X": X, "y": y, "metadata": metadata}
        self._fitted_attributes = fitted_attributes
        self._fit = estimator._init_callback_context(max_subtasks=estimator.max_iter)
        self._fit.call_on_fit_task_begin(**self._data)

    def epoch_begins(self) -> None:
        self._epoch = self._fit.subcontext(task_name="epoch")
        self._epoch.call_on_fit_task_begin(**self._data)

    def epoch_ends(self, theta: Vector) -> bool:
        """Whether a callback asks to stop."""
        return self._epoch.call_on_fit_task_end(
            **self._data, reconstruction_attributes=lambda: self._fitted_attributes(theta.copy())
        )

    def fit_ends(self) -> None:
        self._fit.call_on_fit_task_end(**self._data, reconstruction_attributes={})


def take_over(estimator: Any, fit: Any, before: set[str]) -> None:
    """What a copy has learnt: all attributes but the parameters, which callbacks may have changed for the next fit. Of
    ``before``, those that it no longer has go."""
    for name in before - vars(fit).keys():
        vars(estimator).pop(name, None)
    learnt = vars(fit).keys() - estimator.get_params(deep=False).keys()
    vars(estimator).update({name: vars(fit)[name] for name in learnt})
