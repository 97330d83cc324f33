"""A wrong keyword in the constructor says what was meant."""

from collections.abc import Callable
from difflib import get_close_matches
from functools import wraps
from inspect import signature
from typing import Any, TypeVar, cast

__all__ = ["says_what_was_meant"]

_Method = TypeVar("_Method", bound=Callable[..., None])

# What our parameters are called in other packages, and in the other kind of model.
_ELSEWHERE = {
    "epochs": "max_iter",
    "eta0": "learning_rate_init",
    "learning_rate_init": "eta0",
    "n_epochs": "max_iter",
    "n_iter": "max_iter",
    "optimizer": "solver",
    "patience": "n_iter_no_change",
    "seed": "random_state",
    "weight_decay": "alpha",
}


def says_what_was_meant(init: _Method) -> _Method:
    """Around an ``__init__``; its signature stays.

    >>> from minibatch import MiniBatchSGDClassifier
    >>> MiniBatchSGDClassifier(batchsize=32)
    Traceback (most recent call last):
      ...
    TypeError: MiniBatchSGDClassifier() got an unexpected keyword argument 'batchsize'; did you mean 'batch_size'?
    """
    names = [*signature(init).parameters][1:]

    @wraps(init)
    def checked(self: Any, *args: Any, **parameters: Any) -> None:
        for name in parameters:
            if name not in names:
                raise TypeError(
                    f"{type(self).__name__}() got an unexpected keyword argument {name!r}{_suggestion(name, names)}"
                )
        init(self, *args, **parameters)

    return cast(_Method, checked)


def _suggestion(name: str, names: list[str]) -> str:
    if name == "lr":
        likely = ["eta0" if "eta0" in names else "learning_rate_init"]
    elif _ELSEWHERE.get(name) in names:
        likely = [_ELSEWHERE[name]]
    else:
        likely = get_close_matches(name, names, n=1)
    return f"; did you mean {likely[0]!r}?" if likely else "; get_params() lists the parameters."
