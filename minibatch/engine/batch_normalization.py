"""Batch normalization, forward and backward.

A batch may be cut into chunks with statistics of their own ("ghost batches", Hoffer et al. 2017, arXiv 1705.08741),
each of which is a block. The running statistics go towards the mean over the chunks, at the rate of the batch: the same
updates lead them to the same place, whatever the batch size. (Hoffer et al. let chunk after chunk count as a batch.)
"""

from math import sqrt
from typing import NamedTuple

import numpy as np

from minibatch.engine.compile import kernel
from minibatch.engine.network import layer_rows, part
from minibatch.engine.products import add_column_products, add_column_sums

__all__ = [
    "STATISTICS_RATE", "VARIANCE_EPSILON", "Statistics", "normalize", "normalize_backward", "rate_of_block",
    "running_statistics", "standardize", "standardize_inputs", "statistics_of_block",
]  # fmt: skip

# Added to variances; what a new batch weighs in the running statistics (PyTorch's values). The first batches weigh the
# same, so that the statistics do not begin somewhere else.
VARIANCE_EPSILON, STATISTICS_RATE = 1e-5, 0.1


@kernel
def rate_of_block(n_earlier, start, block, stop):
    """At which the running statistics go towards those of a block of the batch from ``start`` to ``stop``, before which
    there were ``n_earlier``: when all of its blocks are done, each weighs its share of the rows in the batch's weight.
    """
    rate = max(STATISTICS_RATE, 1.0 / (n_earlier + 1))
    return rate * ((block.stop - block.start) / (stop - start - rate * (stop - block.stop)))


class Statistics(NamedTuple):
    """How the rows of a block are normalised: by their own statistics, towards which the running ones go at ``rate``,
    or where that is 0 by the running ones. Rows weigh ``shares`` (empty: all 1) of ``total``; the sum of their squared
    deviations over ``divisor`` is the variance that the running one learns of."""

    rate: float
    shares: np.ndarray
    total: float
    divisor: float


@kernel
def running_statistics(normalization, work):
    """``()`` without batch normalization: Numba knows how long a tuple is, and compiles no branch that it rules out."""
    if len(normalization) == 0:
        return ()
    return Statistics(0.0, part(work.shares, 0, 0), 1.0, 1.0)


@kernel
def statistics_of_block(normalization, block, weight, work, rate, whole):
    """Those of a block, which is all there is to train on where it is ``whole``: then its variance is the one looked
    for, and a row of weight 2 counts as two rows. Else it is an estimate, made unbiased (by n / (n - 1), where all
    weigh alike). Where fewer than two rows have weight there is nothing to estimate: the running statistics serve."""
    if len(normalization) == 0:
        return ()
    n_rows = block.stop - block.start
    if weight.shape[0] == 0:
        return Statistics(rate, part(work.shares, 0, 0), 1.0 * n_rows, 1.0 * (n_rows if whole else n_rows - 1))
    shares, total, spread = part(work.shares, 0, n_rows), 0.0, 0.0
    for r in range(n_rows):
        shares[r] = weight[block.order[block.start + r]]
        total += shares[r]
    for r in range(n_rows):
        shares[r] = shares[r] / total if total > 0.0 else 0.0
        spread += shares[r] * (1.0 - shares[r])
    if spread == 0.0:
        return running_statistics(normalization, work)
    return Statistics(rate, shares, 1.0, 1.0 if whole else spread)


@kernel
def standardize(z, out, running_mean, running_variance, mean, inverse, statistics):
    """Put ``(z - mean) / deviation`` of every column into ``out``."""
    n_rows, units = z.shape
    rate, shares, total, divisor = statistics
    if rate > 0.0:
        mean[:] = 0.0
        inverse[:] = 0.0
        if shares.shape[0] > 0:
            for r in range(n_rows):
                if shares[r] > 0.0:  # else no row, whatever is in it
                    for j in range(units):
                        mean[j] += shares[r] * z[r, j]
            for r in range(n_rows):
                if shares[r] > 0.0:
                    for j in range(units):
                        inverse[j] += shares[r] * (z[r, j] - mean[j]) ** 2
        else:
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
            running_variance[j] += rate * (inverse[j] / divisor - running_variance[j])
            inverse[j] = 1.0 / sqrt(inverse[j] / total + VARIANCE_EPSILON)
    else:
        for j in range(units):
            mean[j] = running_mean[j]
            inverse[j] = 1.0 / sqrt(running_variance[j] + VARIANCE_EPSILON)
    for r in range(n_rows):
        for j in range(units):
            out[r, j] = (z[r, j] - mean[j]) * inverse[j]


@kernel
def standardize_inputs(inputs, out, network, theta, work, statistics):
    d, n_hidden = network.units[0], network.hidden_at[-1]
    statistics_at = network.n_parameters - 2 * d
    running_mean, running_variance = part(theta, statistics_at, d), part(theta, statistics_at + d, d)
    mean, inverse = part(work.means, n_hidden, d), part(work.inverse_deviations, n_hidden, d)
    standardize(inputs, out, running_mean, running_variance, mean, inverse, statistics)


@kernel
def normalize(layer, z, network, theta, work, statistics):
    """Replace ``z`` of a hidden layer, all rows of a block, by ``scale * (z - mean) / deviation + intercept``."""
    units, at = z.shape[1], network.hidden_at[layer]
    normalized = layer_rows(work.normalized, work, network, layer, 0, z.shape[0])
    running_mean = part(theta, network.normalization.means_at[layer], units)
    running_variance = part(theta, network.normalization.variances_at[layer], units)
    mean, inverse = part(work.means, at, units), part(work.inverse_deviations, at, units)
    standardize(z, normalized, running_mean, running_variance, mean, inverse, statistics)
    scale = part(theta, network.normalization.scales_at[layer], units)
    intercepts = part(theta, network.intercepts_at[layer], units)
    for r in range(z.shape[0]):
        for j in range(units):
            z[r, j] = scale[j] * normalized[r, j] + intercepts[j]


@kernel
def normalize_backward(layer, delta, network, theta, work, statistics, keep):
    """Gradients of scale and intercept, added to what is there where that is to ``keep``; ``delta`` becomes the
    derivative in what was normalised. Mean and deviation of the block's own depend on every row of ``delta`` with
    weight."""
    (n_rows, units), (rate, shares, total, _) = delta.shape, statistics
    at, n_hidden = network.hidden_at[layer], network.hidden_at[-1]
    normalized = layer_rows(work.normalized, work, network, layer, 0, n_rows)
    inverse = part(work.inverse_deviations, at, units)
    scale = part(theta, network.normalization.scales_at[layer], units)
    intercept_sums, scale_sums = part(work.sums, at, units), part(work.sums, n_hidden + at, units)
    scale_gradient = part(work.gradient, network.normalization.scales_at[layer], units)
    intercept_gradient = part(work.gradient, network.intercepts_at[layer], units)
    add_column_sums(delta, False, intercept_sums)
    add_column_products(delta, normalized, False, scale_sums)
    for j in range(units):
        intercept_gradient[j] = intercept_sums[j] + (intercept_gradient[j] if keep else 0.0)
        scale_gradient[j] = scale_sums[j] + (scale_gradient[j] if keep else 0.0)
    for r in range(n_rows):
        share = shares[r] if shares.shape[0] > 0 else 1.0
        for j in range(units):
            through_batch = 0.0
            if rate > 0.0:
                through_batch = share * (intercept_sums[j] + normalized[r, j] * scale_sums[j]) / total
            delta[r, j] = scale[j] * inverse[j] * (delta[r, j] - through_batch)
