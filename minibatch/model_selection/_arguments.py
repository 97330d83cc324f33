"""The arguments of `convergence_curve` but for what varies, checked before any fit and turned into what fits need."""

import sys
from collections.abc import Collection, Mapping
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin, RegressorMixin, clone, is_classifier, is_outlier_detector
from sklearn.metrics import check_scoring
from sklearn.model_selection import check_cv
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import type_of_target

from minibatch._base.pipelines import split_pipeline
from minibatch._base.ranges import countable, is_number
from minibatch._base.seeds import SEEDS
from minibatch.model_selection._folds import Fold
from minibatch.model_selection._scorer import ConvergenceScorer
from minibatch.model_selection._summary import Target

__all__ = [
    "budget_in_words", "check_budget_replaces_nothing", "folds_of_rows", "limits_of", "positive_integer",
    "scorer_of", "scoring_in_words", "seed_of", "seeded", "subset", "target_of",
]  # fmt: skip

_BUDGETS = ("epochs", "updates", "samples", "seconds")
_TARGETS = ("test_score", "train_score", "test_loss", "train_loss", "gradient_norm")


def seed_of(random_state: Any, final: Any) -> int:
    """The seed of what is random besides the estimator: its own, if ``random_state`` says nothing."""
    if random_state is None and isinstance(final.random_state, Integral):
        return int(final.random_state)
    # not check_random_state(None): that would move NumPy's global state
    random = np.random.RandomState() if random_state is None else check_random_state(random_state)
    return int(random.randint(SEEDS))


def seeded(estimator: Any, random_state: Any) -> Any:
    """A clone whose seed is fixed."""
    model = clone(estimator)
    _, final = split_pipeline(model)
    if final.random_state is None:
        final.set_params(random_state=seed_of(random_state, final))
    return model


def subset(train: NDArray[np.int64], size: Any, y: Any, estimator: Any, seed: int) -> NDArray[np.int64]:
    """So many of the training rows, in their order. Those of a smaller size are among those of a larger one; classes
    keep their shares."""
    number = int(size) if isinstance(size, Integral) else max(1, round(size * len(train)))
    random = np.random.default_rng(seed)
    y_train = np.asarray(y)[train]
    shuffled = random.permutation(len(train))
    place = np.empty(len(train))
    stratified = is_classifier(estimator) and type_of_target(y_train) in ("binary", "multiclass")
    labels = np.unique(y_train, return_inverse=True)[1].ravel() if stratified else np.zeros(len(train), int)
    for label in np.unique(labels):
        # the rows of a class, in random order, at even distances from 0 to 1
        rows = shuffled[labels[shuffled] == label]
        place[rows] = (np.arange(len(rows)) + 0.5) / len(rows)
    return train[np.sort(np.argsort(place, kind="stable")[:number])]


def limits_of(budget: Any) -> dict[str, Any]:
    """Fields of a ``Plan`` for a budget."""
    if budget is None:
        return {}
    if not isinstance(budget, Mapping) or len(budget) != 1 or next(iter(budget)) not in _BUDGETS:
        raise ValueError(f"budget must be a dict with one of the keys {', '.join(_BUDGETS)}; got {budget!r}.")
    (name, amount), *_ = budget.items()
    if name == "seconds":
        if not is_number(amount) or not 0 < amount < np.inf:
            raise ValueError(f"budget of seconds must be a positive number; got {amount!r}.")
        return {"max_iter": sys.maxsize, "max_updates": None, "max_seconds": float(amount)}
    amount = countable(positive_integer(f"budget of {name}", amount))
    # an epoch has at least one update and one row
    limits: dict[str, Any] = {"max_iter": amount, "max_updates": None}
    return limits if name == "epochs" else limits | {f"max_{name}": amount}


def check_budget_replaces_nothing(budget: Any, names: Collection[str]) -> None:
    limits = _limits_among(names)
    if budget is not None and limits:
        raise ValueError(f"budget={budget!r} replaces {limits}, which varies; leave it out.")


def _limits_among(names: Collection[str]) -> str:
    return " and ".join(name for name in ("max_iter", "max_updates") if name in names)


def budget_in_words(budget: Any, estimator: Any, varied_names: Collection[str] = ()) -> str:
    """What every fit is allowed: the budget, or what the estimator says."""
    if _limits_among(varied_names):
        return f"{_limits_among(varied_names)} of each value"
    if budget is not None:
        (name, amount), *_ = budget.items()
        return f"{amount} {name} a fit"
    _, final = split_pipeline(estimator)
    updates = "" if final.max_updates is None else f" or {final.max_updates} updates"
    return f"{final.max_iter} epochs{updates} a fit"


def positive_integer(name: str, value: Any) -> int:
    if value is True or not isinstance(value, Integral) or int(value) < 1:
        raise ValueError(f"{name} must be an integer of at least 1; got {value!r}.")
    return int(value)


def target_of(target: Any) -> Target | None:
    """The target, a test score where it is a bare number; a dict of one entry or a pair otherwise."""
    if target is None:
        return None
    is_pair = isinstance(target, tuple) and len(target) == 2 and isinstance(target[0], str)
    given = dict([target]) if is_pair else target if isinstance(target, Mapping) else {"test_score": target}
    if len(given) != 1 or next(iter(given)) not in _TARGETS:
        names = ", ".join(_TARGETS)
        raise ValueError(
            "target must be a number (a test score), a pair (name, number) or a dict {name: number} with one of the "
            f"names {names}; got {target!r}."
        )
    (name, value), *_ = given.items()
    if not is_number(value) or not np.isfinite(value):
        raise ValueError(f"target must be a finite number; got {value!r}.")
    return Target(name, float(value))


def scorer_of(scoring: Any, final: Any) -> Any:
    """A scorer, or None for the estimator's own score where that is accuracy, R squared or the share of inliers."""
    if isinstance(scoring, ConvergenceScorer | Mapping) or (np.iterable(scoring) and not isinstance(scoring, str)):
        raise ValueError(f"scoring must be one score here: a name, a callable or None; got {scoring!r}.")
    if scoring is None and is_outlier_detector(final):
        return None
    if scoring is None and type(final).score in (ClassifierMixin.score, RegressorMixin.score):
        return None
    return check_scoring(final, scoring=scoring)


def scoring_in_words(scoring: Any, estimator: Any) -> str:
    if scoring is None:
        return "accuracy" if is_classifier(estimator) else "inliers" if is_outlier_detector(estimator) else "r2"
    return scoring if isinstance(scoring, str) else getattr(scoring, "__name__", str(scoring))


def folds_of_rows(cv: Any, X: Any, y: Any, groups: Any, final: Any) -> list[Fold]:
    """Numbers of the rows of every fold, whatever a splitter gives."""
    splitter = check_cv(cv, y, classifier=is_classifier(final))
    folds = [Fold(*map(_numbers, fold)) for fold in splitter.split(X, y, groups)]
    if not folds:
        raise ValueError(f"cv gives no fold; got cv={cv!r}.")
    return folds


def _numbers(rows: Any) -> NDArray[np.int64]:
    rows = np.asarray(rows)
    if rows.size and rows.dtype.kind not in "iub":
        raise ValueError(f"cv must give the numbers of rows, or masks; it gave {rows.dtype} {rows[:3]}.")
    return np.flatnonzero(rows) if rows.dtype == bool else rows.astype(np.int64)
