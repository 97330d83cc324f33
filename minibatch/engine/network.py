"""Where the parameters of a network lie, and the buffers of its passes.

Conventions: ``theta`` holds the weights of all layers, each (inputs, units) in C order, then the intercepts; with batch
normalization then the scales, and, not trained, the running means and variances of what is normalised. Gradients and
slots are laid out alike, without the last two. A layer computes ``values = activation(inputs @ W + b)``; its ``delta``
is the derivative of the loss in ``inputs @ W + b``. Matrices have the type of X; losses and batch statistics are
float64. With batch normalization, the intercept is added after it: ``scale * (z - mean) / deviation + b``.
"""

from typing import NamedTuple

import numpy as np

from minibatch.engine.compile import kernel
from minibatch.engine.matrices import matrix

__all__ = [
    "Block", "Network", "Normalization", "Work", "block_of", "blocks_of_batch", "layer_rows", "normalizes_inputs",
    "part", "weights_of",
]  # fmt: skip


class Normalization(NamedTuple):
    """Where in ``theta`` scales, running means and running variances of hidden layers begin; whether the inputs are
    normalised too, whose statistics come last; how many rows of a batch are normalised by themselves, 2 or more."""

    scales_at: np.ndarray
    means_at: np.ndarray
    variances_at: np.ndarray
    of_inputs: bool
    chunk: int


class Network(NamedTuple):
    """The layers: ``units`` is (layers + 1,), inputs first; ``weights_at`` and so on say where in ``theta`` the
    weights and intercepts of a layer begin. Hidden units are numbered through, ``hidden_at`` is the first of a layer,
    its last entry their number. ``normalization`` is ``()`` where there is none, and then nothing of it is compiled.
    """

    units: np.ndarray
    weights_at: np.ndarray
    intercepts_at: np.ndarray
    hidden_at: np.ndarray
    n_weights: int
    n_trained: int
    n_parameters: int
    activation: int
    dropout: float
    normalization: "Normalization | tuple[()]"

    @property
    def normalized(self):
        return len(self.normalization) > 0

    @property
    def normalized_inputs(self):
        return self.normalized and self.normalization.of_inputs

    @property
    def chunk(self):
        return self.normalization.chunk


class Work(NamedTuple):
    """Buffers for a block of so many rows. ``values``, ``slopes`` (d value / d z) and so on hold the matrices of all
    layers, one after the other; see ``layer_rows``."""

    n_rows: int
    inputs: np.ndarray  # dense rows gathered from X
    values: np.ndarray
    slopes: np.ndarray  # of hidden units, as the next
    normalized: np.ndarray  # with batch normalization, what it scales
    means: np.ndarray  # of a batch: hidden units, then inputs
    inverse_deviations: np.ndarray
    shares: np.ndarray  # of its rows in its weight
    sums: np.ndarray  # the block's own part in the gradients of hidden intercepts, then of scales
    deltas: np.ndarray
    gradient: np.ndarray  # (n_trained,)


class Block(NamedTuple):
    """The rows ``order[start:stop]``, which the buffers hold at once; ``in_sequence`` says that they lie side by side
    in X and need not be gathered."""

    order: np.ndarray
    start: int
    stop: int
    in_sequence: bool


@kernel
def block_of(order, start, stop):
    for r in range(start + 1, stop):
        if order[r] != order[r - 1] + 1:
            return Block(order, start, stop, False)
    return Block(order, start, stop, True)


@kernel
def blocks_of_batch(normalization, work, n_rows):
    """How many rows a block has, and how many blocks are a batch of ``n_rows``, of which the last takes the rest. What
    is normalised by itself is a block; a row that would be left alone goes with the one before."""
    if len(normalization) == 0:
        size, left = work.n_rows, n_rows
    else:
        size, left = min(normalization.chunk, n_rows), n_rows - 1
    return size, max(1, (left + size - 1) // size)


@kernel
def layer_rows(buffer, work, network, layer, first, last):
    """Rows ``first`` to ``last`` of a block, of a layer's matrix in ``values``, ``slopes``, ...: (rows, units)."""
    units = network.units[layer + 1]
    return matrix(buffer, work.n_rows * network.hidden_at[layer] + first * units, last - first, units)


@kernel
def normalizes_inputs(normalization):
    if len(normalization) == 0:
        return False
    return normalization.of_inputs


@kernel
def part(vector, start, size):
    return vector[start : start + size]


@kernel
def weights_of(vector, network, layer):
    return matrix(vector, network.weights_at[layer], network.units[layer], network.units[layer + 1])
