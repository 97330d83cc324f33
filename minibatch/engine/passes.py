"""Forward and backward pass of a network over a block of rows.

Forward, and back to the deltas of every layer, each row goes by itself (but for batch normalization): threads share the
rows. A weight's gradient is then a sum over all rows of the block: threads share the weights.
"""

from minibatch.engine.activations import activate
from minibatch.engine.batch_normalization import normalize, normalize_backward, standardize_inputs
from minibatch.engine.compile import joining, kernel
from minibatch.engine.dropout import drop_units
from minibatch.engine.linear import slopes_from_scores
from minibatch.engine.matrices import (
    gather_columns,
    input_gradient,
    input_product,
    is_sparse,
    matrix,
    rows_in_sequence,
)
from minibatch.engine.network import layer_rows, normalizes_inputs, part, weights_of
from minibatch.engine.products import add_column_sums, add_to_rows, product, product_at, product_bt

__all__ = [
    "activate_layer", "delta_below", "deltas_of_rows", "forward", "inputs_of", "intercept_gradients", "last_delta",
    "prepare_inputs", "weight_gradient",
]  # fmt: skip


@kernel
def inputs_of(X, block, network, work, first, last):
    """Rows ``first`` to ``last`` of the block, as the first layer takes them."""
    if block.in_sequence and not normalizes_inputs(network.normalization):
        return rows_in_sequence(X, block.order[block.start] + first, last - first)
    d = 0 if is_sparse(X) else network.units[0]
    return matrix(work.inputs, first * d, last - first, d)


@joining
def prepare_inputs(X, block, network, theta, work, first, last, statistics):
    """Gather the rows and normalise them, where that is called for."""
    inputs = inputs_of(X, block, network, work, first, last)
    if not block.in_sequence:
        gather_columns(X, block.order, block.start + first, 0, inputs.shape[1], inputs)
    if len(statistics) > 0 and network.normalization.of_inputs:
        rows = inputs
        if block.in_sequence:
            rows = rows_in_sequence(X, block.order[block.start] + first, last - first)
        standardize_inputs(rows, inputs, network, theta, work, statistics)
    return inputs


@joining
def activate_layer(layer, block, first, z, network, work, dropout, seed):
    """Replace ``z`` of a hidden layer, the rows of the block from ``first`` on, by the values; fill ``work.slopes``."""
    (n_rows, units), start = z.shape, work.n_rows * network.hidden_at[layer] + first * z.shape[1]
    activate(network.activation, part(work.values, start, n_rows * units), part(work.slopes, start, n_rows * units))
    if dropout > 0.0:
        slopes = layer_rows(work.slopes, work, network, layer, first, first + n_rows)
        drop_units(dropout, seed, block.order, block.start + first, network.hidden_at[layer], z, slopes)


@joining
def forward(X, block, first, last, network, theta, work, statistics, dropout, seed):
    """Fill ``work.values`` of all layers for rows ``first`` to ``last`` of the block; those of the last layer are the
    scores. With batch normalization, these are all rows of the block."""
    inputs = prepare_inputs(X, block, network, theta, work, first, last, statistics)
    last_layer, start = network.units.shape[0] - 2, block.start + first
    for layer in range(last_layer + 1):
        W, units = weights_of(theta, network, layer), network.units[layer + 1]
        z = layer_rows(work.values, work, network, layer, first, last)
        if layer == 0:
            input_product(X, block.order, start, inputs, W, z)
        else:
            product(layer_rows(work.values, work, network, layer - 1, first, last), W, z)
        if layer < last_layer and len(statistics) > 0:
            normalize(layer, z, network, theta, work, statistics)
        else:
            add_to_rows(part(theta, network.intercepts_at[layer], units), z)
        if layer < last_layer:
            activate_layer(layer, block, first, z, network, work, dropout, seed)


@joining
def last_delta(data, block, first, last, objective, network, work, factor, losses):
    """The derivatives of the weighted losses in the scores, times ``factor``; adds the losses to ``losses``."""
    last_layer = network.units.shape[0] - 2
    scores = layer_rows(work.values, work, network, last_layer, first, last)
    delta = layer_rows(work.deltas, work, network, last_layer, first, last)
    start, stop = block.start + first, block.start + last
    (_, y, weight, class_weight), order = data, block.order
    slopes_from_scores(objective.outputs, order, start, stop, y, weight, class_weight, scores, objective, losses)
    for r in range(scores.shape[0]):
        for k in range(scores.shape[1]):
            delta[r, k] = factor * scores[r, k]
    return delta


@kernel
def delta_below(layer, delta, first, network, theta, work):
    """The derivatives in what hidden layer ``layer - 1`` passes to its activation, from the delta of ``layer``: rows of
    the block from ``first`` on."""
    last = first + delta.shape[0]
    below = layer_rows(work.deltas, work, network, layer - 1, first, last)
    product_bt(delta, weights_of(theta, network, layer), below)
    slopes = layer_rows(work.slopes, work, network, layer - 1, first, last)
    for r in range(below.shape[0]):
        for j in range(below.shape[1]):
            below[r, j] *= slopes[r, j]
    return below


@joining
def deltas_of_rows(
    data, block, first, last, objective, network, theta, work, statistics, dropout, seed, factor, keep, losses
):  # fmt: skip
    """Fill ``work.values`` and ``work.deltas`` of rows ``first`` to ``last`` of the block, for ``factor`` times their
    weighted losses; add the losses. With batch normalization, these are all rows, and the gradients of scales and
    intercepts of hidden layers fall off: see ``normalize_backward``."""
    forward(data.X, block, first, last, network, theta, work, statistics, dropout, seed)
    delta = last_delta(data, block, first, last, objective, network, work, factor, losses)
    for layer in range(network.units.shape[0] - 2, 0, -1):
        delta = delta_below(layer, delta, first, network, theta, work)
        if len(statistics) > 0:
            normalize_backward(layer - 1, delta, network, theta, work, statistics, keep)


@joining
def weight_gradient(X, block, layer, low, high, network, work, keep, out):
    """Put the gradient of the weights of inputs ``low`` to ``high`` of a layer into ``out``, or add it where what is
    there is to ``keep``."""
    n_rows = block.stop - block.start
    delta = layer_rows(work.deltas, work, network, layer, 0, n_rows)
    if layer == 0:
        inputs = inputs_of(X, block, network, work, 0, n_rows)
        input_gradient(X, block.order, block.start, inputs, delta, low, high, keep, out)
    else:
        values = layer_rows(work.values, work, network, layer - 1, 0, n_rows)
        product_at(values[:, low:high], delta, keep, out)


@joining
def intercept_gradients(block, network, work, keep):
    """As ``weight_gradient``, of the intercepts that no batch normalization has seen to."""
    last_layer, n_rows = network.units.shape[0] - 2, block.stop - block.start
    for layer in range(last_layer if len(network.normalization) > 0 else 0, last_layer + 1):
        delta = layer_rows(work.deltas, work, network, layer, 0, n_rows)
        add_column_sums(delta, keep, part(work.gradient, network.intercepts_at[layer], network.units[layer + 1]))
