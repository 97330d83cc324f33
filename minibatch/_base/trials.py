"""What runs of our own need: checked parameters, clones without what they must not have, a watch that only counts."""

import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import get_config
from sklearn.base import clone

from minibatch._base.estimator import MiniBatchEstimator
from minibatch._base.parameters import check_changed
from minibatch._base.watch import Measures

__all__ = ["Updates", "check_parameters", "plain_clone", "plain_copy", "without_callbacks"]

# One rate and one batch size to the end; no stopping rule, nothing recorded or held out.
_PLAIN: dict[str, Any] = {
    "learning_rate": "constant",
    "learning_rate_scaling": None,
    "warmup": 0.0,
    "batch_growth": None,
    "tol": None,
    "warm_start": False,
    "early_stopping": False,
    "max_updates": None,
    "evaluate_every": None,
    "verbose": 0,
}


def check_parameters(final: MiniBatchEstimator, like: MiniBatchEstimator | None = None) -> None:
    """Refuse the parameters that ``fit`` would refuse before it sees data. What ``like`` has too, and remembers to have
    had when it was checked, is not looked at; ``final`` then remembers as well."""
    if get_config()["skip_parameter_validation"]:
        pass
    elif like is None:
        final._validate_params()
    else:
        check_changed(final, like)
    final._check_parameters(False)


def without_callbacks(model: Any) -> Any:
    """The model, without its callbacks: clones share them, and they are about the user's own fits."""
    vars(model).pop("_skl_callbacks", None)
    return model


def plain_clone(final: MiniBatchEstimator, **parameters: Any) -> Any:
    """A clone whose training depends on its batch size, its first rate and its solver, whatever else is set."""
    return _plain(clone(final), parameters)


def plain_copy(model: MiniBatchEstimator, **parameters: Any) -> Any:
    """The same of a model, fitted or not, whose training goes on from where it is."""
    return _plain(copy.deepcopy(model), {"warm_start": hasattr(model, "history_"), **parameters})


def _plain(model: MiniBatchEstimator, parameters: dict[str, Any]) -> Any:
    own = model.get_params(deep=False)  # the one-class machine has no early stopping
    plain = {name: value for name, value in {**_PLAIN, "average": False}.items() if name in own}
    return without_callbacks(model.set_params(**{**plain, **parameters}))


class Updates:
    """The ``Watch`` of a run of so many updates, whatever the estimator says about when to stop."""

    def __init__(self, rows: tuple[Any, Any, Any], number: int) -> None:
        self.test = rows  # nothing is asked about them
        self.limits = {"max_iter": number, "max_updates": number, "patience": np.inf, "growth": None}

    def begin(self, measures: Measures, theta: NDArray[Any]) -> None: ...
    def see(self, row: dict[str, Any], theta: NDArray[Any]) -> None: ...
    def end(self, theta: NDArray[Any]) -> None: ...
