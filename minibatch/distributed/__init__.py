"""Training with several workers: see `fit`."""

from minibatch.distributed._fit import fit

__all__ = ["fit"]
