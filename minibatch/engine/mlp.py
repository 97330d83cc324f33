"""Multi-layer perceptrons: forward and backward pass, gradients row by row, the epoch of every solver.

Conventions: ``theta`` holds the weights of all layers, each (inputs, units) in C order, then the intercepts; with batch
normalization then the scales, and, not trained, the running means and variances of what is normalised. Gradients and
slots are laid out alike, without the last two. A layer computes ``values = activation(inputs @ W + b)``; its ``delta``
is the derivative of the loss in ``inputs @ W + b``. Matrices have the type of X; losses and batch statistics are
float64. With batch normalization, the intercept is added after it: ``scale * (z - mean) / deviation + b``.
"""

from math import sqrt
from typing import NamedTuple

import numpy as np

from minibatch.engine.activations import activate
from minibatch.engine.barrier import wait_for_others
from minibatch.engine.compile import entry_with_views as entry
from minibatch.engine.compile import kernel_with_views as kernel
from minibatch.engine.dropout import drop_units
from minibatch.engine.linear import slopes_from_scores
from minibatch.engine.matrices import (
    add_to_rows,
    batch_rows,
    column_sums,
    input_gradient,
    input_product,
    matrix,
    product,
    product_at,
    product_bt,
)
from minibatch.engine.optimizers import bias_corrections, take_step

# Batch normalization: added to variances; what a new batch weighs in the running statistics (PyTorch's values). The
# first batches weigh the same, so that the statistics do not begin somewhere else.
VARIANCE_EPSILON, STATISTICS_RATE = 1e-5, 0.1


class Network(NamedTuple):
    """The layers: ``units`` is (layers + 1,), inputs first; ``weights_at`` and so on say where in ``theta`` the
    weights, intercepts, ... of a layer begin. Hidden units are numbered through, ``hidden_at`` is the first of a layer,
    its last entry their number. Statistics of the inputs, where they are normalised too, come last.
    """

    units: np.ndarray
    weights_at: np.ndarray
    intercepts_at: np.ndarray
    scales_at: np.ndarray
    means_at: np.ndarray
    variances_at: np.ndarray
    hidden_at: np.ndarray
    n_weights: int
    n_trained: int
    n_parameters: int
    activation: int
    normalized: bool
    normalized_inputs: bool
    dropout: float


class Work(NamedTuple):
    """Buffers for so many rows: ``values`` and ``slopes`` (d value / d z) of all layers, one layer's matrix after the
    other, see ``layer_matrix``. Arrays have one row a share of a batch; ``of_share`` gives the buffers of one."""

    n_rows: int
    inputs: np.ndarray  # dense rows gathered from X
    values: np.ndarray
    slopes: np.ndarray
    normalized: np.ndarray  # with batch normalization, what it scales
    means: np.ndarray  # of a batch: hidden units, then inputs
    inverse_deviations: np.ndarray
    even_deltas: np.ndarray  # of the layers 0, 2, ... in turns ...
    odd_deltas: np.ndarray  # ... and of the others
    gradient: np.ndarray  # (n_trained,) of a block of rows
    total: np.ndarray  # (n_trained,) of all blocks


@kernel
def of_share(work, share):
    return Work(
        work.n_rows,
        work.inputs[share],
        work.values[share],
        work.slopes[share],
        work.normalized[share],
        work.means[share],
        work.inverse_deviations[share],
        work.even_deltas[share],
        work.odd_deltas[share],
        work.gradient[share],
        work.total[share],
    )


@kernel
def layer_matrix(buffer, work, network, layer, n_rows):
    """The part of ``values``, ``slopes`` or ``normalized`` of a layer: (n_rows, units)."""
    return matrix(buffer, work.n_rows * network.hidden_at[layer], n_rows, network.units[layer + 1])


@kernel
def part(vector, start, size):
    return vector[start : start + size]


@kernel
def weights_of(vector, network, layer):
    return matrix(vector, network.weights_at[layer], network.units[layer], network.units[layer + 1])


# Batch normalization, forward and backward


@kernel
def standardize(z, out, running_mean, running_variance, mean, inverse, rate):
    """Put ``(z - mean) / deviation`` of every column into ``out``.

    Mean and deviation are the batch's, by which the running ones are updated at ``rate``; where that is 0, they are the
    running ones.
    """
    n_rows, units = z.shape
    if rate > 0.0:
        mean[:] = 0.0
        inverse[:] = 0.0
        for r in range(n_rows):
            for j in range(units):
                mean[j] += z[r, j]
        for j in range(units):
            mean[j] /= n_rows
        for r in range(n_rows):
            for j in range(units):
                inverse[j] += (z[r, j] - mean[j]) ** 2
        for j in range(units):
            running_mean[j] += rate * (mean[j] - running_mean[j])
            running_variance[j] += rate * (inverse[j] / (n_rows - 1) - running_variance[j])
            inverse[j] = 1.0 / sqrt(inverse[j] / n_rows + VARIANCE_EPSILON)
    else:
        for j in range(units):
            mean[j] = running_mean[j]
            inverse[j] = 1.0 / sqrt(running_variance[j] + VARIANCE_EPSILON)
    for r in range(n_rows):
        for j in range(units):
            out[r, j] = (z[r, j] - mean[j]) * inverse[j]


@kernel
def normalize(layer, z, network, theta, work, rate):
    """Replace ``z`` of a hidden layer by ``scale * (z - mean) / deviation + intercept``."""
    units, at = z.shape[1], network.hidden_at[layer]
    normalized = layer_matrix(work.normalized, work, network, layer, z.shape[0])
    running_mean = part(theta, network.means_at[layer], units)
    running_variance = part(theta, network.variances_at[layer], units)
    mean, inverse = part(work.means, at, units), part(work.inverse_deviations, at, units)
    standardize(z, normalized, running_mean, running_variance, mean, inverse, rate)
    scale = part(theta, network.scales_at[layer], units)
    intercepts = part(theta, network.intercepts_at[layer], units)
    for r in range(z.shape[0]):
        for j in range(units):
            z[r, j] = scale[j] * normalized[r, j] + intercepts[j]


@kernel
def normalize_backward(layer, delta, network, theta, work, gradient, of_batch):
    """Gradients of scale and intercept; ``delta`` becomes the derivative in what was normalised. ``of_batch`` says that
    mean and deviation were the batch's and so depend on every row."""
    n_rows, units = delta.shape
    normalized = layer_matrix(work.normalized, work, network, layer, n_rows)
    inverse = part(work.inverse_deviations, network.hidden_at[layer], units)
    scale = part(theta, network.scales_at[layer], units)
    scale_gradient = part(gradient, network.scales_at[layer], units)
    intercept_gradient = part(gradient, network.intercepts_at[layer], units)
    column_sums(delta, intercept_gradient)
    scale_gradient[:] = 0
    for r in range(n_rows):
        for j in range(units):
            scale_gradient[j] += delta[r, j] * normalized[r, j]
    for r in range(n_rows):
        for j in range(units):
            through_batch = 0.0
            if of_batch:
                through_batch = (intercept_gradient[j] + normalized[r, j] * scale_gradient[j]) / n_rows
            delta[r, j] = scale[j] * inverse[j] * (delta[r, j] - through_batch)


# The passes


@kernel
def inputs_of(X, order, start, stop, network, theta, work, rate):
    """The rows as a matrix, for the functions of ``engine.matrices``; normalised, where the network asks for it."""
    inputs = batch_rows(X, order, start, stop, work.inputs)
    if network.normalized_inputs:
        d, n_hidden = network.units[0], network.hidden_at[-1]
        statistics_at = network.n_parameters - 2 * d
        running_mean, running_variance = part(theta, statistics_at, d), part(theta, statistics_at + d, d)
        mean, inverse = part(work.means, n_hidden, d), part(work.inverse_deviations, n_hidden, d)
        out = matrix(work.inputs, 0, inputs.shape[0], d)
        standardize(inputs, out, running_mean, running_variance, mean, inverse, rate)
        return out
    return inputs


@kernel
def forward(X, order, start, stop, inputs, network, theta, work, rate, dropout, seed):
    """Fill ``work.values`` of all layers; those of the last are the scores. ``rate`` is that of ``standardize``."""
    n_rows, last = stop - start, network.units.shape[0] - 2
    for layer in range(last + 1):
        W, units = weights_of(theta, network, layer), network.units[layer + 1]
        z = layer_matrix(work.values, work, network, layer, n_rows)
        if layer == 0:
            input_product(X, order, start, inputs, W, z)
        else:
            product(layer_matrix(work.values, work, network, layer - 1, n_rows), W, z)
        if layer < last and network.normalized:
            normalize(layer, z, network, theta, work, rate)
        else:
            add_to_rows(part(theta, network.intercepts_at[layer], units), z)
        if layer < last:
            first_unit = network.hidden_at[layer]
            at, size = work.n_rows * first_unit, n_rows * units
            activate(network.activation, part(work.values, at, size), part(work.slopes, at, size))
            if dropout > 0.0:
                slopes = layer_matrix(work.slopes, work, network, layer, n_rows)
                drop_units(dropout, seed, order, start, first_unit, z, slopes)


@kernel
def delta_matrix(work, layer, n_rows, units):
    return matrix(work.even_deltas if layer % 2 == 0 else work.odd_deltas, 0, n_rows, units)


@kernel
def last_delta(data, order, start, stop, objective, network, work, factor, losses):
    """The derivatives of the weighted losses in the scores, times ``factor``; adds the losses to ``losses``."""
    last = network.units.shape[0] - 2
    scores = layer_matrix(work.values, work, network, last, stop - start)
    delta = delta_matrix(work, last, stop - start, network.units[last + 1])
    slopes_from_scores(order, start, stop, data.y, data.weight, data.class_weight, scores, objective, losses)
    for r in range(stop - start):
        for k in range(scores.shape[1]):
            delta[r, k] = factor * scores[r, k]
    return delta


@kernel
def delta_below(layer, delta, network, theta, work):
    """The derivatives in what hidden layer ``layer - 1`` passes to its activation, from the delta of ``layer``."""
    n_rows, units = delta.shape[0], network.units[layer]
    below = delta_matrix(work, layer - 1, n_rows, units)
    product_bt(delta, weights_of(theta, network, layer), below)
    slopes = layer_matrix(work.slopes, work, network, layer - 1, n_rows)
    for r in range(n_rows):
        for j in range(units):
            below[r, j] *= slopes[r, j]
    return below


@kernel
def backward(X, order, start, inputs, delta, network, theta, work, of_batch, gradient):
    """Fill ``gradient`` from the delta of the last layer."""
    n_rows, last = delta.shape[0], network.units.shape[0] - 2
    for layer in range(last, -1, -1):
        if layer < last and network.normalized:
            normalize_backward(layer, delta, network, theta, work, gradient, of_batch)
        else:
            column_sums(delta, part(gradient, network.intercepts_at[layer], delta.shape[1]))
        weight_gradient = weights_of(gradient, network, layer)
        if layer == 0:
            input_gradient(X, order, start, inputs, delta, weight_gradient)
        else:
            product_at(layer_matrix(work.values, work, network, layer - 1, n_rows), delta, weight_gradient)
            delta = delta_below(layer, delta, network, theta, work)


@kernel
def share_gradient(
    data, order, start, stop, resumed, objective, network, theta, work, rate, dropout, seed, factor, losses
):  # fmt: skip
    """Put ``factor`` times the gradient of the summed losses of ``order[start:stop]`` into ``work.total``, or add it
    where it is ``resumed``, block by block of ``work.n_rows`` rows; add the losses."""
    if start == stop and not resumed:
        work.total[:] = 0
    for begin in range(start, stop, work.n_rows):
        end = min(begin + work.n_rows, stop)
        inputs = inputs_of(data.X, order, begin, end, network, theta, work, rate)
        forward(data.X, order, begin, end, inputs, network, theta, work, rate, dropout, seed)
        delta = last_delta(data, order, begin, end, objective, network, work, factor, losses)
        first = begin == start and not resumed
        gradient = work.total if first else work.gradient
        backward(data.X, order, begin, inputs, delta, network, theta, work, rate > 0.0, gradient)
        if not first:
            for j in range(work.total.shape[0]):
                work.total[j] += work.gradient[j]


@kernel
def update(theta, gradient, first, second, t, eta, objective, solver, network, start, stop):
    """Update number ``t`` of parameters ``start`` to ``stop``; only weights are penalised."""
    kind, momentum, beta_1, beta_2, epsilon = solver
    c1, c2 = bias_corrections(t, beta_1, beta_2)
    end = max(start, min(stop, network.n_weights))
    w, g, m, v = theta[start:end], gradient[start:end], first[start:end], second[start:end]
    take_step(kind, w, g, m, v, eta, 0.0, objective.l2, 0.0, momentum, beta_1, beta_2, c1, c2, epsilon)
    w, g, m, v = theta[end:stop], gradient[end:stop], first[end:stop], second[end:stop]
    take_step(kind, w, g, m, v, eta, 0.0, 0.0, 0.0, momentum, beta_1, beta_2, c1, c2, epsilon)


@kernel
def update_share(theta, work, first, second, share, t, eta, objective, solver, network):
    """Update number ``t`` of a share of the parameters, with what all shares of the rows say."""
    gradient, n_shares = work.total[0], work.total.shape[0]
    begin, end = share * network.n_trained // n_shares, (share + 1) * network.n_trained // n_shares
    for other in range(1, n_shares):
        for j in range(begin, end):
            gradient[j] += work.total[other, j]
    update(theta, gradient, first, second, t, eta, objective, solver, network, begin, end)


@entry
def mlp_epoch(stamp):
    def mlp_epoch(
        data, order, etas, batch_size, objective, solver, network, theta, first, second, n_updates, n_earlier, work,
        seed, losses, first_share, last_share, barrier, n_threads,
    ):  # fmt: skip
        """Train on ``order`` in batches; adds the weighted losses of the shares to the rows of ``losses``.

        ``etas`` holds the rate of each batch, ``n_updates`` counts the earlier updates of the optimizer, ``n_earlier``
        those of the running statistics, ``seed`` is dropout's. A batch is cut into as many shares as ``work`` has, by
        rows for the gradient and by parameters for the update. This call does shares ``first_share`` to
        ``last_share``; ``n_threads`` such calls meet at the barrier.
        """
        _ = stamp
        n_shares = work.total.shape[0]
        for batch in range(etas.shape[0]):
            start, t = batch * batch_size, n_updates + batch + 1
            n_rows = min(batch_size, order.shape[0] - start)
            rate = max(STATISTICS_RATE, 1.0 / (n_earlier + batch + 1))
            for share in range(first_share, last_share):
                begin, end = start + share * n_rows // n_shares, start + (share + 1) * n_rows // n_shares
                share_gradient(
                    data, order, begin, end, False, objective, network, theta, of_share(work, share), rate,
                    network.dropout, seed, 1.0 / n_rows, losses[share],
                )  # fmt: skip
            if not wait_for_others(barrier, n_threads):
                return
            for share in range(first_share, last_share):
                update_share(theta, work, first, second, share, t, etas[batch], objective, solver, network)
            if not wait_for_others(barrier, n_threads):
                return

    return mlp_epoch


@entry
def mlp_gradient(stamp):
    def mlp_gradient(
        data, order, start, stop, resumed, objective, network, theta, work, share, dropout, seed, factor, losses
    ):  # fmt: skip
        """Put ``factor`` times the gradient of the summed losses of ``order[start:stop]`` into ``work.total[share]``,
        or add it where it is ``resumed``; add the losses. Batch normalization uses the running statistics."""
        _ = stamp
        share_gradient(
            data, order, start, stop, resumed, objective, network, theta, of_share(work, share), 0.0, dropout, seed,
            factor, losses,
        )  # fmt: skip

    return mlp_gradient


@entry
def mlp_update(stamp):
    def mlp_update(theta, work, first, second, t, eta, objective, solver, network):
        """Update number ``t``, as in ``mlp_epoch``, with the gradients that ``mlp_gradient`` left in ``work.total``."""
        _ = stamp
        for share in range(work.total.shape[0]):
            update_share(theta, work, first, second, share, t, eta, objective, solver, network)

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
        data, order, start, stop, objective, network, theta, directions, work, share, input_norms, losses, norms,
        products,
    ):  # fmt: skip
        """For the rows ``order[start:stop]``, without forming their gradients: add the squared norm of that of row
        ``order[r]`` to ``norms[r]`` (Goodfellow 2015, arXiv 1510.01799), its inner products to ``products[:, r]``.

        ``input_norms[r]`` is the squared norm of row ``order[r]`` of X. Without dropout; not for batch normalization.
        """
        _ = stamp
        work, last = of_share(work, share), network.units.shape[0] - 2
        for begin in range(start, stop, work.n_rows):
            end = min(begin + work.n_rows, stop)
            inputs = inputs_of(data.X, order, begin, end, network, theta, work, 0.0)
            forward(data.X, order, begin, end, inputs, network, theta, work, 0.0, 0.0, 0)
            delta = last_delta(data, order, begin, end, objective, network, work, 1.0, losses)
            for layer in range(last, -1, -1):
                values = layer_matrix(work.values, work, network, max(layer - 1, 0), end - begin)
                add_squared_norms(layer, delta, values, input_norms[begin:end], norms[begin:end])
                images = delta_matrix(work, layer + 1, end - begin, delta.shape[1])  # where the next delta will be
                for q in range(directions.shape[0]):
                    D = weights_of(directions[q], network, layer)
                    if layer == 0:
                        input_product(data.X, order, begin, inputs, D, images)
                    else:
                        product(values, D, images)
                    intercepts = part(directions[q], network.intercepts_at[layer], delta.shape[1])
                    add_inner_products(delta, images, intercepts, products[q, begin:end])
                if layer > 0:
                    delta = delta_below(layer, delta, network, theta, work)

    return mlp_row_gradients


@entry
def mlp_scores(stamp):
    def mlp_scores(X, order, start, stop, network, theta, work, share, scores):
        """Put the scores of rows ``order[start:stop]`` into ``scores[start:stop]``; ``work`` need not hold all rows."""
        _ = stamp
        work, last = of_share(work, share), network.units.shape[0] - 2
        for begin in range(start, stop, work.n_rows):
            end = min(begin + work.n_rows, stop)
            inputs = inputs_of(X, order, begin, end, network, theta, work, 0.0)
            forward(X, order, begin, end, inputs, network, theta, work, 0.0, 0.0, 0)
            scores[begin:end] = layer_matrix(work.values, work, network, last, end - begin)

    return mlp_scores
