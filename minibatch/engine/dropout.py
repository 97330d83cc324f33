"""Dropout: a unit stays for a row if a hash of seed, row and unit says so, whatever the batch size."""

from minibatch.engine.compile import kernel

__all__ = ["drop_units", "hashed"]


@kernel
def hashed(x):
    """A hash of 32 bits, in products that fit 63 bits with and without the compiler."""
    x = (((x >> 16) ^ x) * 0x45D9F3B) & 0xFFFFFFFF
    x = (((x >> 16) ^ x) * 0x45D9F3B) & 0xFFFFFFFF
    return (x >> 16) ^ x


@kernel
def drop_units(dropout, seed, order, start, first_unit, values, slopes):
    """Set a share ``dropout`` of the units to zero and scale up the others, so that the expectation stays."""
    threshold, up = int(dropout * 4294967296.0), values.dtype.type(1.0 / (1.0 - dropout))
    for r in range(values.shape[0]):
        key = hashed(seed ^ hashed(order[start + r] & 0xFFFFFFFF)) + first_unit
        for j in range(values.shape[1]):
            factor = up if hashed((key + j) & 0xFFFFFFFF) >= threshold else values.dtype.type(0)
            values[r, j] *= factor
            slopes[r, j] *= factor
