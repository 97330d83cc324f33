"""Kernels that tests call: of their own, only compiled code can."""

import numba

from minibatch.engine import activations, dropout, losses, optimizers, products, tiles, variance_reduced_sparse
from minibatch.engine.compile import OPTIONS


def _called(kernel):
    @numba.njit(**OPTIONS)
    def call(*arguments):
        return kernel(*arguments)

    return call


activate = _called(activations.activate)
hashed = _called(dropout.hashed)
loss_and_slope = _called(losses.loss_and_slope)
softmax_loss_and_slopes = _called(losses.softmax_loss_and_slopes)
bias_corrections = _called(optimizers.bias_corrections)
shrinkage = _called(optimizers.shrinkage)
soft_threshold = _called(optimizers.soft_threshold)
take_step = _called(optimizers.take_step)
multiply_in_tiles = _called(tiles.multiply_in_tiles)
product = _called(products.product)
product_at = _called(products.product_at)
product_bt = _called(products.product_bt)
product_of_few_rows = _called(products.product_of_few_rows)
product_bt_of_few_rows = _called(products.product_bt_of_few_rows)
add_column_sums = _called(products.add_column_sums)
add_column_products = _called(products.add_column_products)
moved_to_update = _called(variance_reduced_sparse.moved_to_update)
