"""Multi-layer perceptrons: the epoch of every solver, gradients, gradients row by row, scores.

See ``engine.network`` for the conventions and ``engine.passes`` for the passes.
"""

from minibatch.engine.barrier import wait_for_others
from minibatch.engine.batch_normalization import rate_of_block, running_statistics, statistics_of_block
from minibatch.engine.compile import entry, joining, kernel
from minibatch.engine.matrices import input_product, is_sparse, matrix
from minibatch.engine.network import block_of, blocks_of_batch, layer_rows, part, weights_of
from minibatch.engine.optimizers import Step, bias_corrections, take_step
from minibatch.engine.passes import (
    delta_below,
    deltas_of_rows,
    forward,
    inputs_of,
    intercept_gradients,
    last_delta,
    weight_gradient,
)
from minibatch.engine.products import copy_to, fits_tiles, product
from minibatch.engine.tiles import TILE_ROWS

__all__ = [
    "WEIGHTS_AT_ONCE", "WEIGHTS_IN_TILES", "add_inner_products", "add_squared_norms", "average_in", "inputs_of_share",
    "mlp_epoch", "mlp_gradient", "mlp_row_gradients", "mlp_scores", "mlp_update", "train_weights", "update",
    "update_others",
]  # fmt: skip

# Weights whose gradient is found at once and, while the cache has it, taken off them: as many as the second level holds
# for BLAS, which does best with a lot, and the first for tiles.
WEIGHTS_AT_ONCE, WEIGHTS_IN_TILES = 32_768, 2_048


@joining
def update(theta, start, gradient, first, second, average, step, l2, solver):
    """Update as many parameters, from ``start`` on, as ``gradient`` has, and their average."""
    (kind, momentum, beta_1, beta_2, epsilon), (number, eta, share) = solver, step
    c1, c2 = bias_corrections(number, beta_1, beta_2)
    n = gradient.shape[0]
    w, m, v = part(theta, start, n), part(first, start, n), part(second, start, n)
    take_step(kind, w, gradient, m, v, eta, share, 0.0, l2, 0.0, momentum, beta_1, beta_2, c1, c2, epsilon)
    average_in(theta, start, n, average, share)


@kernel
def average_in(theta, start, n, average, share):
    """Move the average of ``n`` parameters, from ``start`` on, by ``share`` towards them. Empty: there is none."""
    if share > 0.0 and average.shape[0] > 0:
        w, mean, newest = part(theta, start, n), part(average, start, n), theta.dtype.type(share)
        for j in range(n):
            mean[j] += newest * (w[j] - mean[j])


@joining
def update_others(theta, work, first, second, average, step, solver, network):
    """Update all parameters but the weights; these are not penalised. Running statistics, which come last, are only
    averaged."""
    n, n_trained = network.n_weights, network.n_trained
    update(theta, n, part(work.gradient, n, n_trained - n), first, second, average, step, 0.0, solver)
    average_in(theta, n_trained, network.n_parameters - n_trained, average, step.share)


@kernel
def inputs_of_share(network, layer, share, n_shares):
    """The inputs of a layer, from one to another, whose weights are a share's. Shares have as many weights each, as
    they lie in ``theta``: to cut a layer is work for BLAS, and few layers are cut."""
    n_inputs, units, at = network.units[layer], network.units[layer + 1], network.weights_at[layer]
    low = (share * network.n_weights // n_shares - at + units - 1) // units
    high = ((share + 1) * network.n_weights // n_shares - at + units - 1) // units
    return min(max(low, 0), n_inputs), min(max(high, 0), n_inputs)


@joining
def train_weights(
    X, block, layer, low, high, step, objective, solver, network, theta, first, second, average, work, begun, complete
):  # fmt: skip
    """The gradient of the weights of inputs ``low`` to ``high`` of a layer, added to that of earlier blocks where it is
    ``begun``; where the batch is ``complete`` with this block, their update."""
    units, n_rows = network.units[layer + 1], block.stop - block.start
    n_at_once = WEIGHTS_AT_ONCE // units
    if fits_tiles(layer_rows(work.deltas, work, network, layer, 0, n_rows)):
        n_at_once = WEIGHTS_IN_TILES // units // TILE_ROWS * TILE_ROWS
    n_at_once = max(1, high - low if is_sparse(X) and layer == 0 else n_at_once)
    passing = complete and not begun  # nobody needs the gradient any more: its place, in the cache, serves them all
    for begin in range(low, high, n_at_once):
        end, start = min(begin + n_at_once, high), network.weights_at[layer] + begin * units
        place = network.weights_at[layer] + low * units if passing else start
        gradient = part(work.gradient, place, (end - begin) * units)
        weight_gradient(X, block, layer, begin, end, network, work, begun, matrix(gradient, 0, end - begin, units))
        if complete:
            update(theta, start, gradient, first, second, average, step, objective.l2, solver)


@entry
def mlp_epoch(stamp):
    def mlp_epoch(
        data, order, etas, shares, batch_size, objective, solver, network, theta, first, second, average, n_updates,
        n_earlier, work, seed, whole, losses, first_share, last_share, barrier, n_threads,
    ):  # fmt: skip
        """Train on ``order`` in batches; adds the weighted losses of the shares to the rows of ``losses``.

        ``etas`` and ``shares`` hold the rate and the share of each batch, in an average of the solver's or in
        ``average``, ``n_updates`` counts the earlier updates of the optimizer, ``n_earlier`` those of the running
        statistics, ``seed`` is dropout's; a batch that is ``whole`` is all there is to train on.
        The work on a block (with batch normalization: all rows of a batch, or a chunk with statistics of its own) is
        cut into as many shares as ``losses`` has rows, by rows for the deltas (with batch normalization, the first
        share takes them all) and by inputs of the layers for gradient and update. This call
        does shares ``first_share`` to ``last_share``; ``n_threads`` such calls meet at the barrier.
        """
        _ = stamp
        n_shares, n_layers = losses.shape[0], network.units.shape[0] - 1
        for batch in range(etas.shape[0]):
            start, step = batch * batch_size, Step(n_updates + batch + 1, etas[batch], shares[batch])
            stop = min(start + batch_size, order.shape[0])
            size, n_blocks = blocks_of_batch(network.normalization, work, stop - start)
            for b in range(n_blocks):
                begun, complete, begin = b > 0, b == n_blocks - 1, start + b * size
                block = block_of(order, begin, stop if complete else begin + size)
                n_rows, rate = block.stop - begin, rate_of_block(n_earlier + batch, start, block, stop)
                for share in range(first_share, last_share):
                    if len(network.normalization) > 0:
                        low, high = 0, n_rows if share == 0 else 0
                    else:
                        low, high = share * n_rows // n_shares, (share + 1) * n_rows // n_shares
                    if low < high:
                        statistics = statistics_of_block(
                            network.normalization, block, data.weight, work, rate, whole and n_blocks == 1
                        )
                        deltas_of_rows(
                            data, block, low, high, objective, network, theta, work, statistics, network.dropout, seed,
                            1.0 / (stop - start), begun, losses[share],
                        )  # fmt: skip
                if not wait_for_others(barrier, n_threads):
                    return
                for share in range(first_share, last_share):
                    for layer in range(n_layers):
                        low, high = inputs_of_share(network, layer, share, n_shares)
                        train_weights(
                            data.X, block, layer, low, high, step, objective, solver, network, theta, first, second,
                            average, work, begun, complete,
                        )  # fmt: skip
                    if share == 0:
                        intercept_gradients(block, network, work, begun)
                        if complete:
                            update_others(theta, work, first, second, average, step, solver, network)
                if not wait_for_others(barrier, n_threads):
                    return

    return mlp_epoch


@entry
def mlp_gradient(stamp):
    def mlp_gradient(
        data, order, start, stop, resumed, objective, network, theta, work, dropout, seed, factor, losses
    ):  # fmt: skip
        """Put ``factor`` times the gradient of the summed losses of ``order[start:stop]`` into ``work.gradient``, or
        add it where it is ``resumed``; add the losses. Batch normalization uses the running statistics."""
        _ = stamp
        statistics = running_statistics(network.normalization, work)
        if start == stop and not resumed:
            work.gradient[:] = 0
        for begin in range(start, stop, work.n_rows):
            block = block_of(order, begin, min(begin + work.n_rows, stop))
            keep, n_rows = resumed or begin > start, block.stop - begin
            deltas_of_rows(
                data, block, 0, n_rows, objective, network, theta, work, statistics, dropout, seed, factor, keep, losses
            )  # fmt: skip
            for layer in range(network.units.shape[0] - 1):
                gradient = weights_of(work.gradient, network, layer)
                weight_gradient(data.X, block, layer, 0, network.units[layer], network, work, keep, gradient)
            intercept_gradients(block, network, work, keep)

    return mlp_gradient


@entry
def mlp_update(stamp):
    def mlp_update(theta, work, first, second, average, step, objective, solver, network):
        """One update, as in ``mlp_epoch``, with the gradient that ``mlp_gradient`` left in ``work``."""
        _ = stamp
        weights = part(work.gradient, 0, network.n_weights)
        update(theta, 0, weights, first, second, average, step, objective.l2, solver)
        update_others(theta, work, first, second, average, step, solver, network)

    return mlp_update


@kernel
def add_squared_norms(layer, delta, inputs, input_norms, norms):
    """Add ``||delta||^2 (||inputs||^2 + 1)``, the share of a layer in the squared norm of every row's gradient."""
    for r in range(delta.shape[0]):
        of_inputs, of_delta = 1.0, 0.0
        if layer == 0:
            of_inputs += input_norms[r]
        else:
            for j in range(inputs.shape[1]):
                of_inputs += inputs[r, j] * inputs[r, j]
        for k in range(delta.shape[1]):
            of_delta += delta[r, k] * delta[r, k]
        norms[r] += of_delta * of_inputs


@kernel
def add_inner_products(delta, images, intercepts, products):
    """Add ``delta . (inputs @ D + d)``, the share of a layer in every row's inner product with a direction (D, d);
    ``images`` is ``inputs @ D``."""
    for r in range(delta.shape[0]):
        total = 0.0
        for k in range(delta.shape[1]):
            total += delta[r, k] * (images[r, k] + intercepts[k])
        products[r] += total


@entry
def mlp_row_gradients(stamp):
    def mlp_row_gradients(
        data, order, start, stop, objective, network, theta, directions, work, input_norms, losses, norms, products
    ):  # fmt: skip
        """For the rows ``order[start:stop]``, without forming their gradients: add the squared norm of that of row
        ``order[r]`` to ``norms[r]`` (Goodfellow 2015, arXiv 1510.01799), its inner products to ``products[:, r]``.

        ``input_norms[r]`` is the squared norm of row ``order[r]`` of X. Without dropout; not for batch normalization.
        """
        _ = stamp
        for begin in range(start, stop, work.n_rows):
            end = min(begin + work.n_rows, stop)
            block, n_rows = block_of(order, begin, end), end - begin
            forward(data.X, block, 0, n_rows, network, theta, work, (), 0.0, 0)
            inputs = inputs_of(data.X, block, network, work, 0, n_rows)
            delta = last_delta(data, block, 0, n_rows, objective, network, work, 1.0, losses)
            for layer in range(network.units.shape[0] - 2, -1, -1):
                values = layer_rows(work.values, work, network, max(layer - 1, 0), 0, n_rows)
                add_squared_norms(layer, delta, values, input_norms[begin:end], norms[begin:end])
                # the values of this layer have served, as inputs of the next
                images = layer_rows(work.values, work, network, layer, 0, n_rows)
                for q in range(directions.shape[0]):
                    D = weights_of(directions[q], network, layer)
                    if layer == 0:
                        input_product(data.X, order, begin, inputs, D, images)
                    else:
                        product(values, D, images)
                    intercepts = part(directions[q], network.intercepts_at[layer], delta.shape[1])
                    add_inner_products(delta, images, intercepts, products[q, begin:end])
                if layer > 0:
                    delta = delta_below(layer, delta, 0, network, theta, work)

    return mlp_row_gradients


@entry
def mlp_scores(stamp):
    def mlp_scores(X, order, start, stop, network, theta, work, scores):
        """Put the scores of rows ``order[start:stop]`` into ``scores[start:stop]``; ``work`` need not hold all rows."""
        _ = stamp
        statistics = running_statistics(network.normalization, work)
        for begin in range(start, stop, work.n_rows):
            end = min(begin + work.n_rows, stop)
            block = block_of(order, begin, end)
            forward(X, block, 0, end - begin, network, theta, work, statistics, 0.0, 0)
            found = layer_rows(work.values, work, network, network.units.shape[0] - 2, 0, end - begin)
            copy_to(found, scores[begin:end])

    return mlp_scores
