"""Batch normalization, forward and backward."""

from math import sqrt

from minibatch.engine.compile import kernel
from minibatch.engine.network import layer_rows, part
from minibatch.engine.products import add_column_products, add_column_sums

__all__ = [
    "STATISTICS_RATE", "VARIANCE_EPSILON", "normalize", "normalize_backward", "standardize", "standardize_inputs",
]  # fmt: skip

# Added to variances; what a new batch weighs in the running statistics (PyTorch's values). The first batches weigh the
# same, so that the statistics do not begin somewhere else.
VARIANCE_EPSILON, STATISTICS_RATE = 1e-5, 0.1


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
def standardize_inputs(inputs, out, network, theta, work, rate):
    d, n_hidden = network.units[0], network.hidden_at[-1]
    statistics_at = network.n_parameters - 2 * d
    running_mean, running_variance = part(theta, statistics_at, d), part(theta, statistics_at + d, d)
    mean, inverse = part(work.means, n_hidden, d), part(work.inverse_deviations, n_hidden, d)
    standardize(inputs, out, running_mean, running_variance, mean, inverse, rate)


@kernel
def normalize(layer, z, network, theta, work, rate):
    """Replace ``z`` of a hidden layer, all rows of a block, by ``scale * (z - mean) / deviation + intercept``."""
    units, at = z.shape[1], network.hidden_at[layer]
    normalized = layer_rows(work.normalized, work, network, layer, 0, z.shape[0])
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
def normalize_backward(layer, delta, network, theta, work, of_batch, keep):
    """Gradients of scale and intercept, added to what is there where that is to ``keep``; ``delta`` becomes the
    derivative in what was normalised. ``of_batch`` says that mean and deviation were the batch's, of the rows of
    ``delta``, and so depend on every row."""
    n_rows, units = delta.shape
    normalized = layer_rows(work.normalized, work, network, layer, 0, n_rows)
    inverse = part(work.inverse_deviations, network.hidden_at[layer], units)
    scale = part(theta, network.scales_at[layer], units)
    scale_gradient = part(work.gradient, network.scales_at[layer], units)
    intercept_gradient = part(work.gradient, network.intercepts_at[layer], units)
    add_column_sums(delta, keep, intercept_gradient)
    add_column_products(delta, normalized, keep, scale_gradient)
    for r in range(n_rows):
        for j in range(units):
            through_batch = 0.0
            if of_batch:
                through_batch = (intercept_gradient[j] + normalized[r, j] * scale_gradient[j]) / n_rows
            delta[r, j] = scale[j] * inverse[j] * (delta[r, j] - through_batch)
