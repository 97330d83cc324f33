"""The epoch of a network in batches of a few rows: every thread keeps its weights.

In small batches most of the time goes into reading and writing weights, and what another core has just written is slow
to read: measured, 12 ns a cache line, 30 us for half of a (784, 100) layer in float32, where 8 rows take 100 in all. So
a share is some inputs of every layer, with their weights: it computes their part of the products, their deltas, their
gradient and update. What goes from thread to thread are the parts of the products and the deltas, a few rows of each;
all else every thread computes for itself. For dense rows and at least one hidden layer, without batch normalization.
"""

from minibatch.engine.barrier import wait_for_others
from minibatch.engine.compile import entry, kernel
from minibatch.engine.matrices import gather_columns, matrix
from minibatch.engine.mlp import train_weights, update_others
from minibatch.engine.network import block_of, layer_rows, part
from minibatch.engine.optimizers import Step
from minibatch.engine.passes import activate_layer, inputs_of, intercept_gradients, last_delta
from minibatch.engine.products import copy_to, product, product_bt

__all__ = ["mlp_epoch_by_inputs", "own_deltas", "own_inputs", "own_weights", "part_of_product", "sum_of_parts"]


@kernel
def own_inputs(network, layer, share, n_shares):
    """From which to which input of a layer is a share's: as many of each layer, since all wait for its products."""
    n_inputs = network.units[layer]
    return share * n_inputs // n_shares, (share + 1) * n_inputs // n_shares


@kernel
def own_weights(layer, low, high, network, theta):
    """Those of the inputs ``low`` to ``high``."""
    units = network.units[layer + 1]
    return matrix(theta, network.weights_at[layer] + low * units, high - low, units)


@kernel
def part_of_product(X, block, layer, low, high, network, theta, work, out):
    """What the inputs ``low`` to ``high`` of a layer add to its products."""
    n_rows = block.stop - block.start
    if layer == 0:
        rows = inputs_of(X, block, network, work, 0, n_rows)
    else:
        rows = layer_rows(work.values, work, network, layer - 1, 0, n_rows)
    product(rows[:, low:high], own_weights(layer, low, high, network, theta), out)


@kernel
def sum_of_parts(parts, layer, network, theta, work, z):
    """Put intercepts and the parts of all shares into ``z``."""
    intercepts = part(theta, network.intercepts_at[layer], z.shape[1])
    for r in range(z.shape[0]):
        for k in range(z.shape[1]):
            z[r, k] = intercepts[k]
    for share in range(parts.shape[0]):
        summand = layer_rows(parts[share], work, network, layer, 0, z.shape[0])
        for r in range(z.shape[0]):
            for k in range(z.shape[1]):
                z[r, k] += summand[r, k]


@kernel
def own_deltas(layer, delta, low, high, network, theta, work, deltas):
    """As ``delta_below``, of the inputs ``low`` to ``high``, into ``deltas`` of all threads."""
    n_rows = delta.shape[0]
    below = layer_rows(deltas, work, network, layer - 1, 0, n_rows)[:, low:high]
    product_bt(delta, own_weights(layer, low, high, network, theta), below)
    slopes = layer_rows(work.slopes, work, network, layer - 1, 0, n_rows)[:, low:high]
    for r in range(n_rows):
        for j in range(high - low):
            below[r, j] *= slopes[r, j]


@entry
def mlp_epoch_by_inputs(stamp):
    def mlp_epoch_by_inputs(
        data, order, etas, shares, batch_size, objective, solver, network, theta, first, second, average, n_updates,
        work, parts, deltas, seed, losses, first_share, last_share, barrier, n_threads,
    ):  # fmt: skip
        """``mlp_epoch`` in shares by inputs. Each thread has a ``work`` of its own, of which ``gradient`` may be all
        threads', and adds all losses to ``losses``; ``parts`` (shares, size) and ``deltas`` (size,), of the size of
        ``work.deltas``, are where they exchange theirs."""
        _ = stamp
        n_shares, last_layer = parts.shape[0], network.units.shape[0] - 2
        for batch in range(etas.shape[0]):
            start, step = batch * batch_size, Step(n_updates + batch + 1, etas[batch], shares[batch])
            block = block_of(order, start, min(start + batch_size, order.shape[0]))
            n_rows = block.stop - start
            if not block.in_sequence:
                rows = inputs_of(data.X, block, network, work, 0, n_rows)
                for share in range(first_share, last_share):
                    low, high = own_inputs(network, 0, share, n_shares)
                    gather_columns(data.X, order, start, low, high, rows)
            for layer in range(last_layer + 1):
                for share in range(first_share, last_share):
                    low, high = own_inputs(network, layer, share, n_shares)
                    out = layer_rows(parts[share], work, network, layer, 0, n_rows)
                    part_of_product(data.X, block, layer, low, high, network, theta, work, out)
                if not wait_for_others(barrier, n_threads):
                    return
                z = layer_rows(work.values, work, network, layer, 0, n_rows)
                sum_of_parts(parts, layer, network, theta, work, z)
                if layer < last_layer:
                    activate_layer(layer, block, 0, z, network, work, network.dropout, seed)
            delta = last_delta(data, block, 0, n_rows, objective, network, work, 1.0 / n_rows, losses)
            for layer in range(last_layer, -1, -1):
                for share in range(first_share, last_share):
                    low, high = own_inputs(network, layer, share, n_shares)
                    if layer > 0:
                        own_deltas(layer, delta, low, high, network, theta, work, deltas)
                    train_weights(
                        data.X, block, layer, low, high, step, objective, solver, network, theta, first, second,
                        average, work, False, True,
                    )  # fmt: skip
                if layer > 0:
                    if not wait_for_others(barrier, n_threads):
                        return
                    delta = layer_rows(work.deltas, work, network, layer - 1, 0, n_rows)
                    copy_to(layer_rows(deltas, work, network, layer - 1, 0, n_rows), delta)
            if first_share == 0:  # the others have added the intercepts before they came to the barrier
                intercept_gradients(block, network, work, False)
                update_others(theta, work, first, second, average, step, solver, network)

    return mlp_epoch_by_inputs
