"""Losses of weighted rows, and what few objectives have besides: passive-aggressive steps, a term of the intercept.

A passive-aggressive step (Crammer et al. 2006, JMLR 7) goes as far as its row asks for: by ``min(eta, loss / ||x||^2)``
or by ``loss / (||x||^2 + 1 / (2 eta))``, times a slope of -1 or +1. So it is the step of the rate ``eta`` times a part,
``min(largest, loss q)`` with a number ``q`` for every row.

The term ``tilt * intercept`` is that of a one-class machine, which no row has.
"""

from minibatch.engine.compile import kernel
from minibatch.engine.losses import loss_and_slope

__all__ = [
    "loss_of_score", "moved_by_tilt", "norm_with_tilt", "part_of_step", "tilted", "weighted_loss_and_slope",
    "weighted_loss_and_step",
]  # fmt: skip


@kernel
def loss_of_score(loss, z, target, s, parameter):
    """Loss and slope of a row that weighs ``s``, not yet weighted."""
    # a row without weight is no row, also where its loss or its slope would be infinite
    value, slope = loss_and_slope(loss, z if s != 0.0 else 0.0, target, parameter)
    return (value if s != 0.0 else 0.0), slope


@kernel
def weighted_loss_and_slope(loss, z, target, s, parameter):
    value, slope = loss_of_score(loss, z, target, s, parameter)
    return s * value, s * slope


@kernel
def part_of_step(passive, value, row):
    """What the step of a row with this loss is of the rate; 1 where steps are not passive-aggressive."""
    if len(passive) == 0:
        return 1.0
    of_rows, largest = passive
    return min(largest, value * of_rows[row])


@kernel
def weighted_loss_and_step(loss, z, target, s, parameter, passive, row):
    """Weighted loss of a row, and the slope that its step is made with."""
    value, slope = loss_of_score(loss, z, target, s, parameter)
    return s * value, s * (slope * part_of_step(passive, value, row))


@kernel
def tilted(tilt, slope_sum, n_rows):
    """The sum of the slopes of so many rows in the intercept, with those of the linear term."""
    if len(tilt) == 0:
        return slope_sum
    return slope_sum + n_rows * tilt[0]


@kernel
def moved_by_tilt(tilt, intercept, eta):
    """The intercept after a step with the linear term."""
    if len(tilt) == 0:
        return intercept
    return intercept - eta * tilt[0]


@kernel
def norm_with_tilt(tilt, norm, intercept, l2, squares):
    """The squared norm whose penalty is that of weights of norm ``norm`` and the linear term."""
    if len(tilt) == 0:
        return norm
    return norm + 2.0 * tilt[0] / l2 * intercept if squares.shape[0] > 0 else norm
