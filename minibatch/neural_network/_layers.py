"""The layers of a fitted network, from its attributes, which must fit together."""

from itertools import pairwise
from typing import Any

import numpy as np

from minibatch._base.fitted import check_shape, fitted_attribute, not_fitting
from minibatch._problems.layout import network_of
from minibatch.engine.activations import ACTIVATIONS
from minibatch.engine.network import Network

__all__ = ["ARRAYS", "network_that_fits"]

ARRAYS = ("coefs_", "intercepts_", "scales_", "running_means_", "running_variances_")


def network_that_fits(model: Any, n_inputs: int, n_outputs: int) -> Network:
    """The layout of the fitted arrays, refused where they are not those of one network from so many inputs to so many
    outputs."""
    arrays = {name: _list_of(model, name) for name in ARRAYS}
    numbers = [len(parts) for parts in arrays.values()]
    n_hidden, of_input = numbers[0] - 1, numbers[3] > numbers[2] > 0
    n_scales = n_hidden if numbers[2] else 0
    if n_hidden < 1 or numbers != [n_hidden + 1, n_hidden + 1, n_scales, n_scales + of_input, n_scales + of_input]:
        raise not_fitting(model, f"{', '.join(ARRAYS)} have {', '.join(map(str, numbers))} arrays")
    units = [n_inputs, *(np.size(part) for part in arrays["intercepts_"])]
    found = [units[-1], fitted_attribute(model, "n_outputs_"), fitted_attribute(model, "n_layers_")]
    if found != [n_outputs, n_outputs, len(units)] or min(units) < 1:
        words = f"intercepts_ of {units[1:]} units, n_outputs_ {found[1]} and n_layers_ {found[2]}"
        raise not_fitting(model, f"{words}, where y has {n_outputs} outputs")
    each = [(n,) for n in units]
    hidden = each[1:-1]
    shapes: list[Any] = [[*pairwise(units)], each[1:], hidden, hidden + each[:1], hidden + each[:1]]
    why = f"{n_inputs} features and intercepts_ of {units[1:]} units"
    dtype = getattr(arrays["coefs_"][0], "dtype", None)
    for (name, parts), expected in zip(arrays.items(), shapes, strict=True):
        for layer, part in enumerate(parts):
            check_shape(model, f"{name}[{layer}]", part, expected[layer], why)
            if part.dtype != dtype or dtype not in (np.float32, np.float64):
                types = f"{name}[{layer}] has the type {part.dtype}, coefs_[0] {dtype}"
                raise not_fitting(model, f"{types}; all must have one, float32 or float64")
    activation = fitted_attribute(model, "_activation")
    if activation not in ACTIVATIONS:
        raise not_fitting(model, f"_activation is {activation!r}, not one of {', '.join(ACTIVATIONS)}")
    return network_of(units, ACTIVATIONS[activation], n_scales > 0, of_input)


def _list_of(model: Any, name: str) -> list[Any]:
    parts = fitted_attribute(model, name)
    if not isinstance(parts, list):
        raise not_fitting(model, f"{name} is {type(parts).__name__}, not a list of arrays")
    return parts
