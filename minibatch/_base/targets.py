"""What the linear models and the networks do alike with the target."""

import sys
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, softmax
from sklearn.base import RegressorMixin
from sklearn.metrics import r2_score

__all__ = [
    "RegressionTarget", "check_class_weight", "numbers_of_known", "numbers_of_labels", "refuse_other_classes",
    "softmax_of_rows",
]  # fmt: skip


class RegressionTarget(RegressorMixin):
    """Part of a regressor: checks of y, link function, validation score. The estimator has a parameter ``loss``. That
    of shares, ``'log_loss'``, has a logistic link."""

    loss: str
    _log_links = ("poisson", "gamma")  # losses for which the prediction is the exponential of the score

    def _link_inverse(self, scores: NDArray[Any]) -> NDArray[Any]:
        if self.loss == "log_loss":
            return expit(scores)
        with np.errstate(over="ignore"):  # infinity is the right answer
            return np.exp(scores) if self.loss in self._log_links else scores

    def _encode(self, y: Any, reset: bool, partial: bool = False) -> NDArray[Any]:
        """The target as it is, if the loss is defined for it."""
        if self.loss == "poisson" and np.min(y) < 0:
            raise ValueError(f"loss='poisson' needs y >= 0; the smallest y is {np.min(y)}.")
        if self.loss == "gamma" and np.min(y) <= 0:
            raise ValueError(f"loss='gamma' needs y > 0; the smallest y is {np.min(y)}.")
        if self.loss == "log_loss" and (np.min(y) < 0 or np.max(y) > 1):
            wrong = np.min(y) if np.min(y) < 0 else np.max(y)
            raise ValueError(
                f"loss='log_loss' needs y in [0, 1], shares or probabilities; y has {wrong}. Divide counts by their "
                "totals (and give these as sample_weight), or use another loss."
            )
        if reset:
            self._target_shape = y.shape[1:]
        elif y.shape[1:] != self._target_shape:
            raise ValueError(f"y has rows of shape {y.shape[1:]}, but the model was fitted with {self._target_shape}.")
        return y

    def _decode(self, target: NDArray[Any]) -> NDArray[Any]:
        return target

    def _validation_score(self, scores: NDArray[Any], target: NDArray[Any], weight: Any) -> float:
        """R squared; minus infinity where the predictions or their squares are not finite (a run that diverges)."""
        predicted = self._link_inverse(scores)
        if not np.isfinite(predicted).all():
            return -np.inf
        with np.errstate(over="ignore", invalid="ignore"):
            score = float(r2_score(target, predicted, sample_weight=weight))
        return -np.inf if np.isnan(score) and len(target) > 1 else score

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        tags.target_tags.positive_only = self.loss in self._log_links
        return tags


def check_class_weight(class_weight: Any, partial: bool) -> None:
    """Finite and not negative; a chunk does not know the frequencies of the classes."""
    for weights in class_weight if isinstance(class_weight, list) else [class_weight]:
        for label, weight in weights.items() if isinstance(weights, dict) else []:
            if not isinstance(weight, Real) or weight < 0 or not weight <= sys.float_info.max:
                raise ValueError(
                    f"class_weight must have finite numbers, none below 0; class {label!r} has {weight!r}."
                )
    if partial and isinstance(class_weight, str) and class_weight == "balanced":
        raise ValueError(
            "class_weight 'balanced' is not supported for partial_fit. In order to use 'balanced' weights, use "
            "compute_class_weight('balanced', classes=classes, y=y). In place of y you can use a large enough "
            "sample of the full training set target to properly estimate the class frequency distributions. Pass "
            "the resulting weights as the class_weight parameter."
        )


def numbers_of_labels(classes: NDArray[Any], y: NDArray[Any]) -> NDArray[np.int64]:
    """The places of labels among the classes, whose order a user may have changed since they were found."""
    if not np.array_equal(np.unique(classes), classes):
        raise ValueError(f"classes_ must be sorted and name each class once; it is {classes}. Fit again.")
    return np.searchsorted(classes, y)


def numbers_of_known(classes: Any, y: NDArray[Any]) -> NDArray[np.int64] | None:
    """The same where all of y are numbers or bools among the classes; None where somebody has to look closer: these
    are labels then, whatever else they might be. scikit-learn's looks at them take longer than a short batch."""
    if type(classes) is not np.ndarray or classes.dtype != y.dtype or y.dtype.kind not in "biuf" or y.ndim != 1:
        return None
    if len(classes) < 2 or np.count_nonzero(classes[1:] > classes[:-1]) < len(classes) - 1:
        return None
    numbers = classes.searchsorted(y)
    return None if np.count_nonzero(classes.take(numbers, mode="clip") != y) else numbers


def refuse_other_classes(present: NDArray[Any], known: NDArray[Any]) -> None:
    """With ``warm_start``, weights belong to classes: a new ``fit`` has to have these, no others and all of them."""
    if set(present) != set(known):
        raise ValueError(
            "warm_start can only be used where `y` has the same classes as in the previous call to fit. "
            f"Previously got {known}, `y` has {present}. Fit with warm_start=False, or use partial_fit, which may lack "
            "classes."
        )


def softmax_of_rows(scores: NDArray[Any]) -> NDArray[Any]:
    """Probabilities; those of infinite scores are the limit, not ``inf - inf``.

    >>> softmax_of_rows(np.array([[np.inf, 1.0], [0.0, -np.inf], [np.inf, np.inf]]))
    array([[1. , 0. ],
           [1. , 0. ],
           [0.5, 0.5]])
    """
    largest = np.finfo(scores.dtype).max
    with np.errstate(over="ignore", invalid="ignore"):  # scores that are not a number stay so
        return softmax(np.clip(scores, -largest, largest), axis=1)
