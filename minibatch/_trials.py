"""Clones of an estimator for runs of our own."""

from typing import Any

from sklearn.base import clone

from minibatch._estimator import MiniBatchEstimator

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


def without_callbacks(model: Any) -> Any:
    """The model, without its callbacks: clones share them, and they are about the user's own fits."""
    vars(model).pop("_skl_callbacks", None)
    return model


def plain_clone(final: MiniBatchEstimator, **parameters: Any) -> Any:
    """A clone whose training depends on its batch size, its first rate and its solver, whatever else is set."""
    unaveraged = {"average": False} if hasattr(final, "average") else {}
    return without_callbacks(clone(final).set_params(**_PLAIN, **unaveraged, **parameters))
