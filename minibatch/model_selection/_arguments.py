"""The arguments of `convergence_curve`, checked before any fit and turned into what fits need."""

import sys
from collections.abc import Iterator, Mapping
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone, is_classifier
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import type_of_target

from minibatch._estimator import SEEDS
from minibatch._pipelines import parameter_path, split_pipeline
from minibatch.model_selection._grid import batch_size_grid
from minibatch.model_selection._summary import Target

_TRAIN_SIZES = (0.1, 0.2, 0.4, 0.7, 1.0)
_BUDGETS = ("epochs", "updates", "samples", "seconds")
_TARGETS = ("test_score", "train_score", "test_loss", "train_loss", "gradient_norm")


class Varied(NamedTuple):
    """The parameter that is varied and its values, and other parameters, whose values go with each. The last under the
    names that results have, with the paths that ``set_params`` takes."""

    path: str
    values: list[Any]
    paired: dict[str, list[Any]]
    paired_paths: list[str]

    @property
    def name(self) -> str:
        return _short(self.path)

    @property
    def is_train_size(self) -> bool:
        return self.path == "train_size"

    def candidates(self) -> Iterator[tuple[Any, dict[str, Any]]]:
        """Every value with what to set on the estimator for it."""
        paths = dict(zip(self.paired_paths, self.paired.values(), strict=True))
        if not self.is_train_size:
            paths[self.path] = self.values
        for i, value in enumerate(self.values):
            yield value, {path: values[i] for path, values in paths.items()}


def _short(path: str) -> str:
    return path.split("__")[-1]


def varied(estimator: Any, param_name: str, param_range: Any, paired_params: Any, n_train: int) -> Varied:
    """The parameter and its values; every value is tried on a clone."""
    path = param_name if param_name == "train_size" else _path(estimator, param_name)
    values = _values(path, param_range, n_train)
    given = paired_params or {}
    paths = [_path(estimator, name) for name in given]
    paired = {_short(path): _plain(others) for path, others in zip(paths, given.values(), strict=True)}
    for name, others in paired.items():
        if len(others) != len(values):
            raise ValueError(
                f"paired_params[{name!r}] must have a value for each of the {len(values)} of param_range; it has "
                f"{len(others)}."
            )
    parameter = Varied(path, values, paired, paths)
    if parameter.is_train_size:
        _check_train_sizes(values, n_train)
    for _, parameters in parameter.candidates():
        _, final = split_pipeline(clone(estimator).set_params(**parameters))
        final._validate_params()
        final._check_parameters(False)
    return parameter


def _path(estimator: Any, name: str) -> str:
    known = estimator.get_params()
    if name in known:
        return name
    inside = parameter_path(estimator, name)
    if inside not in known:
        raise ValueError(
            f"param_name={name!r} is not a parameter of {type(estimator).__name__}; use 'train_size' or one of "
            f"{', '.join(sorted(known))}."
        )
    return inside


def _values(path: str, param_range: Any, n_train: int) -> list[Any]:
    if param_range is not None:
        values = _plain(param_range)
        if not values:
            raise ValueError("param_range is empty; give at least one value.")
        return values
    if path == "train_size":
        return list(_TRAIN_SIZES)
    if _short(path) == "batch_size":
        return list(batch_size_grid(n_train))
    raise ValueError(f"param_range is needed for param_name={path!r}; only batch_size and train_size have a default.")


def _plain(values: Any) -> list[Any]:
    """Scalars of NumPy as those of Python, for results that print and compare plainly."""
    return [value.item() if isinstance(value, np.generic) else value for value in values]


def _check_train_sizes(values: list[Any], n_train: int) -> None:
    for value in values:
        # 1 is one row, 1.0 is all of them
        largest = n_train if isinstance(value, int) else 1.0
        if value is True or not isinstance(value, int | float) or not 0 < value <= largest:
            raise ValueError(
                "train_size must be a fraction in (0, 1] or an integer from 1 to the rows of the smallest training "
                f"part, {n_train}; got {value!r} in param_range."
            )


def seeded(estimator: Any, random_state: Any) -> Any:
    """A clone whose seed is fixed."""
    model = clone(estimator)
    _, final = split_pipeline(model)
    if final.random_state is None:
        final.set_params(random_state=int(check_random_state(random_state).randint(SEEDS)))
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
        if not isinstance(amount, int | float) or not 0 < amount < np.inf:
            raise ValueError(f"budget of seconds must be a positive number; got {amount!r}.")
        return {"max_iter": sys.maxsize, "max_updates": None, "max_seconds": float(amount)}
    amount = positive_integer(f"budget of {name}", amount)
    # an epoch has at least one update and one row
    limits: dict[str, Any] = {"max_iter": amount, "max_updates": None}
    return limits if name == "epochs" else limits | {f"max_{name}": amount}


def budget_in_words(budget: Any, estimator: Any) -> str:
    """What every fit is allowed."""
    if budget is not None:
        (name, amount), *_ = budget.items()
        return f"{amount} {name} a fit"
    _, final = split_pipeline(estimator)
    updates = "" if final.max_updates is None else f" or {final.max_updates} updates"
    return f"{final.max_iter} epochs{updates} a fit, as the estimator says"


def positive_integer(name: str, value: Any) -> int:
    if value is True or not isinstance(value, Integral) or int(value) < 1:
        raise ValueError(f"{name} must be an integer of at least 1; got {value!r}.")
    return int(value)


def target_of(target: Any) -> Target | None:
    """The target, a test score where it is a bare number."""
    if target is None:
        return None
    given = target if isinstance(target, Mapping) else {"test_score": target}
    if len(given) != 1 or next(iter(given)) not in _TARGETS:
        names = ", ".join(_TARGETS)
        raise ValueError(f"target must be a number or a dict with one of the keys {names}; got {target!r}.")
    (name, value), *_ = given.items()
    if not isinstance(value, int | float) or not np.isfinite(value):
        raise ValueError(f"target must be a finite number; got {value!r}.")
    return Target(name, float(value))


def scoring_in_words(scoring: Any, estimator: Any) -> str:
    if scoring is None:
        return "accuracy" if is_classifier(estimator) else "r2"
    return scoring if isinstance(scoring, str) else getattr(scoring, "__name__", str(scoring))
