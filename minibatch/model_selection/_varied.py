"""The parameter that `convergence_curve` varies, and those paired with it, checked before any fit."""

from collections.abc import Iterator, Mapping
from numbers import Real
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import clone

from minibatch._base.pipelines import parameter_path, split_pipeline
from minibatch._base.trials import check_parameters
from minibatch.model_selection._grid import batch_size_grid

__all__ = ["Varied", "check_candidate", "plain_values", "varied"]

_SHARING = 8  # models, in passes over the rows; fewer are faster one by one, on their own threads
_TRAIN_SIZES = (0.1, 0.2, 0.4, 0.7, 1.0)


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

    def shares_batches(self, estimator: Any) -> bool:
        """Whether all values have the same transformers and batches, and are enough to share passes over the rows."""
        _, final = split_pipeline(estimator)
        inside = parameter_path(estimator, "")
        paths = [self.path, *self.paired_paths]
        numbers = all(isinstance(value, Real) for values in (self.values, *self.paired.values()) for value in values)
        of_final = all(path.startswith(inside) and path.removeprefix(inside) != "batch_size" for path in paths)
        return final._shares_passes and numbers and of_final and len(self.values) >= _SHARING and not self.is_train_size

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
    path = param_name if param_name == "train_size" else _path(estimator, param_name, "param_name=")
    values = _values(path, param_range, n_train)
    given = {} if paired_params is None else paired_params
    if not isinstance(given, Mapping):
        raise TypeError(f"paired_params must be a dict of parameters and their values; got {given!r}.")
    if "train_size" in given:
        raise ValueError("paired_params cannot have 'train_size', which is no parameter of an estimator; vary it.")
    paths = [_path(estimator, name, "paired_params: ") for name in given]
    names = [_short(one) for one in (path, *paths)]
    if len(set(names)) < len(names):
        raise ValueError(
            f"paired_params and param_name have to name different parameters; got {', '.join((path, *paths))}."
        )
    paired = {
        name: plain_values(f"paired_params[{name!r}]", given[key]) for name, key in zip(names[1:], given, strict=True)
    }
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
        check_candidate(estimator, parameters)
    return parameter


def check_candidate(estimator: Any, parameters: dict[str, Any]) -> None:
    """Try parameters on a clone; those of transformers are checked when they are fitted."""
    _, final = split_pipeline(clone(estimator).set_params(**clone(parameters, safe=False)))
    check_parameters(final)


def _path(estimator: Any, name: Any, given_as: str) -> str:
    known = estimator.get_params()
    if isinstance(name, str) and name in known:
        return name
    inside = parameter_path(estimator, str(name))
    if not isinstance(name, str) or inside not in known:
        raise ValueError(
            f"{given_as}{name!r} is not a parameter of {type(estimator).__name__}; use 'train_size' or one of "
            f"{', '.join(sorted(known))}."
        )
    return inside


def _values(path: str, param_range: Any, n_train: int) -> list[Any]:
    if param_range is not None:
        return plain_values("param_range", param_range)
    if path == "train_size":
        return list(_TRAIN_SIZES)
    if _short(path) == "batch_size":
        return list(batch_size_grid(n_train))
    raise ValueError(f"param_range is needed for param_name={path!r}; only batch_size and train_size have a default.")


def plain_values(name: str, values: Any) -> list[Any]:
    """Scalars of NumPy as those of Python, for results that print and compare plainly."""
    if isinstance(values, str | Mapping) or not np.iterable(values):
        raise TypeError(f"{name} must be a sequence of values; got {values!r}.")
    plain = [value.item() if isinstance(value, np.generic) else value for value in values]
    if not plain:
        raise ValueError(f"{name} is empty; give at least one value.")
    return plain


def _check_train_sizes(values: list[Any], n_train: int) -> None:
    for value in values:
        # 1 is one row, 1.0 is all of them
        largest = n_train if isinstance(value, int) else 1.0
        if value is True or not isinstance(value, int | float) or not 0 < value <= largest:
            raise ValueError(
                "train_size must be a fraction in (0, 1] or an integer from 1 to the rows of the smallest training "
                f"part, {n_train}; got {value!r} in param_range."
            )
