"""Where the parameters of a network lie, and the buffers of its passes: makes what ``engine.network`` describes."""

import sys
from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from minibatch._problems.state import Vector
from minibatch.engine.network import Network, Normalization, Work
from minibatch.engine.rows import CSR

__all__ = ["WHOLE_BATCH", "Layers", "buffer_sizes", "buffer_type", "buffers", "layers_of", "network_of"]

WHOLE_BATCH = sys.maxsize  # rows, however many there are


class Layers(NamedTuple):
    """Views of a flat vector: weights (inputs, units) and intercepts of every layer; with batch normalization also
    scales of the hidden ones, and running means and variances of all that is normalised, the inputs last."""

    weights: list[Vector]
    intercepts: list[Vector]
    scales: list[Vector]
    means: list[Vector]
    variances: list[Vector]


def network_of(
    units: Sequence[int],
    activation: int,
    normalized: bool = False,
    normalized_inputs: bool = False,
    dropout: float = 0.0,  # not 0: another type, for which all would be compiled again
    chunk: int = WHOLE_BATCH,
) -> Network:
    """The layout for layers of so many units, inputs first; ``chunk`` rows of a batch are normalised by themselves."""
    sizes = [n_inputs * n_units for n_inputs, n_units in pairwise(units)]
    hidden = units[1:-1] if normalized else []
    at, starts = 0, []
    for block in (sizes, units[1:], hidden, hidden, hidden):
        *begin, at = accumulate(block, initial=at)
        starts.append(np.array(begin, dtype=np.int64))
    hidden_at = np.array([*accumulate(units[1:-1], initial=0)], dtype=np.int64)
    n_parameters = at + (2 * units[0] if normalized_inputs else 0)
    weights_at, intercepts_at, scales_at, means_at, variances_at = starts
    return Network(
        units=np.array(units, dtype=np.int64),
        weights_at=weights_at,
        intercepts_at=intercepts_at,
        hidden_at=hidden_at,
        n_weights=sum(sizes),
        n_trained=at - 2 * sum(hidden),
        n_parameters=n_parameters,
        activation=activation,
        dropout=dropout,
        normalization=Normalization(scales_at, means_at, variances_at, normalized_inputs, chunk) if normalized else (),
    )


def layers_of(network: Network, flat: Vector) -> Layers:
    """Views of parameters, or of anything laid out alike."""
    units = network.units

    def views(starts: NDArray[np.int64]) -> list[Vector]:
        return [flat[at : at + n] for at, n in zip(starts, units[1:], strict=False)]

    weights = [
        flat[at : at + n_inputs * n].reshape(n_inputs, n)
        for at, n_inputs, n in zip(network.weights_at, units[:-1], units[1:], strict=True)
    ]
    starts = network.intercepts_at, *(network.normalization[:3] or 3 * ((),))
    layers = Layers(weights, *(views(at) for at in starts))
    if network.normalized_inputs:
        means, variances = flat[-2 * units[0] :].reshape(2, -1)
        layers.means.append(means)
        layers.variances.append(variances)
    return layers


def buffer_sizes(network: Network, n_rows: int, X: Any, *, gradient: bool = True) -> dict[str, int]:
    """Of the buffers for a block of so many rows."""
    n_hidden, n_outputs, n_inputs = (int(n) for n in (network.hidden_at[-1], network.units[-1], network.units[0]))
    n_statistics = n_hidden + n_inputs if network.normalized else 0
    return {
        "inputs": 0 if isinstance(X, CSR) else n_rows * n_inputs,
        "values": n_rows * (n_hidden + n_outputs),
        "slopes": n_rows * n_hidden,
        "normalized": n_rows * n_hidden if network.normalized else 0,
        "means": n_statistics,
        "inverse_deviations": n_statistics,
        "shares": n_rows if network.normalized else 0,
        "sums": 2 * n_hidden if network.normalized else 0,
        "deltas": n_rows * (n_hidden + n_outputs),
        "gradient": network.n_trained if gradient else 0,
    }


def buffer_type(name: str, dtype: Any) -> Any:
    return np.dtype(np.float64) if name in ("means", "inverse_deviations", "shares") else dtype


def buffers(network: Network, n_rows: int, X: Any, dtype: Any, **more: bool) -> Work:
    """As ``buffer_sizes`` says."""
    sizes = buffer_sizes(network, n_rows, X, **more)
    return Work(n_rows, **{name: np.empty(size, buffer_type(name, dtype)) for name, size in sizes.items()})
