"""Names of parameters, where they are documented, and which of them need a check."""

from functools import cache
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import validate_parameter_constraints

__all__ = ["CHECKED", "NamedParameters", "check_changed"]

CHECKED = "_checked"  # the attribute that keeps the parameters checked last; no file has it

# Values of these stay what they are: an array, a list or a dict may have changed since it was checked.
_FIXED = frozenset((bool, int, float, str, type(None), np.bool_, np.int32, np.int64, np.float32, np.float64))


class NamedParameters(BaseEstimator):
    """What scikit-learn asks the class of an estimator."""

    # where notebooks find the parameters: the page of the class in the documentation that pyproject.toml names
    _doc_link_module = "minibatch"
    _doc_link_template = (
        "https://scikit-minibatch.readthedocs.io/en/stable/generated/{estimator_module}.{estimator_name}.html"
    )

    @classmethod
    @cache
    def _get_param_names(cls) -> list[str]:
        """Found once: scikit-learn reads the signature whenever it asks, which is most of what a clone costs."""
        names: list[str] = super()._get_param_names()
        return names


def check_changed(model: Any, like: Any = None) -> None:
    """Check the parameters of an estimator that are not the very values checked last, of it or of one like it: to check
    all of them takes 0.2 ms, half as long as a short batch in all."""
    checked = vars(model if like is None else like).get(CHECKED, {})
    changed = {}
    for name in model._get_param_names():
        value = getattr(model, name)
        if name not in checked or value is not checked[name] or type(value) not in _FIXED:
            changed[name] = value
    if changed:
        validate_parameter_constraints(model._parameter_constraints, changed, caller_name=type(model).__name__)
    if changed or like is not None:
        setattr(model, CHECKED, checked | changed)
