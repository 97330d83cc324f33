"""Learning rates as functions of the time since a schedule began."""

from typing import Any

import numpy as np

__all__ = [
    "constant", "cosine", "exp_range", "inverse_time", "invscaling", "one_cycle", "optimal", "step", "triangular",
    "triangular2", "warmup",
]  # fmt: skip


def constant(t: Any, eta0: float) -> Any:
    """``eta = eta0``.

    >>> import numpy as np
    >>> from minibatch.schedules import constant
    >>> constant(np.array([0, 1]), eta0=0.1)
    array([0.1, 0.1])
    """
    return np.full(np.shape(t), eta0, dtype=np.float64)[()]


def invscaling(t: Any, eta0: float, power_t: float) -> Any:
    """``eta = eta0 / (t + 1) ** power_t``.

    >>> import numpy as np
    >>> from minibatch.schedules import invscaling
    >>> invscaling(np.array([0, 3]), eta0=0.1, power_t=0.5)
    array([0.1 , 0.05])
    """
    with np.errstate(over="ignore"):  # 0 is the right answer
        return eta0 / np.add(t, 1.0) ** power_t


def inverse_time(t: Any, eta0: float, alpha: float) -> Any:
    """``eta = eta0 / (1 + alpha eta0 t)``: Bottou's schedule for a penalty of strength ``alpha``.

    Source: [1]_.

    It is ``1 / (alpha (t + t0))`` with ``t0 = 1 / (alpha eta0)``: the rate that is best for large ``t``, and not above
    ``eta0`` before.

    .. [1] L. Bottou, "Large-scale machine learning with stochastic gradient descent",
       COMPSTAT 2010.

    >>> import numpy as np
    >>> from minibatch.schedules import inverse_time
    >>> inverse_time(np.array([0, 1000]), eta0=10.0, alpha=1e-4)
    array([10.,  5.])
    """
    return eta0 / (1.0 + np.multiply(alpha * eta0, t))


def optimal(t: Any, alpha: float) -> Any:
    """``eta = 1 / (alpha (t0 + t))`` with ``t0 = alpha ** -0.75``: Bottou's schedule as in scikit-learn.

    It begins at ``alpha ** -0.25``, the size of weights to expect at this ``alpha``. (scikit-learn divides that by the
    slope of the loss for a bad prediction, or by 1 if that is larger; it is 1 for every loss that scikit-learn has.)

    This is made for one row an update. Estimators with larger batches, which have fewer updates left to correct a
    first rate that is too high, calibrate theirs: ``learning_rate="optimal"`` is :func:`inverse_time` from it then.

    >>> import numpy as np
    >>> from minibatch.schedules import optimal
    >>> optimal(np.array([0, 1000]), alpha=1e-4)
    array([10.,  5.])
    """
    t0 = 1.0 / (np.sqrt(1.0 / np.sqrt(alpha)) * alpha)
    return 1.0 / (alpha * (t0 + np.asarray(t)))


def step(t: Any, eta0: float, step_size: float, gamma: float = 0.5) -> Any:
    """``eta = eta0 * gamma ** floor(t / step_size)``.

    >>> import numpy as np
    >>> from minibatch.schedules import step
    >>> step(np.array([0, 9, 10, 25]), eta0=0.8, step_size=10)
    array([0.8, 0.8, 0.4, 0.2])
    """
    return eta0 * gamma ** np.floor(np.divide(t, step_size))


def cosine(t: Any, eta0: float, length: float) -> Any:
    """``eta = eta0 (1 + cos(pi t / length)) / 2``: from ``eta0`` to 0, and again after every ``length``.

    Source: [1]_.

    .. [1] I. Loshchilov and F. Hutter,
       "SGDR: stochastic gradient descent with warm restarts", arXiv 1608.03983.

    >>> import numpy as np
    >>> from minibatch.schedules import cosine
    >>> cosine(np.array([0, 50, 100]), eta0=0.1, length=100)
    array([0.1 , 0.05, 0.1 ])
    """
    return 0.5 * eta0 * (1.0 + np.cos(np.pi * np.mod(np.divide(t, length), 1.0)))


def triangular(t: Any, eta0: float, max_eta: float, step_size: float) -> Any:
    """From ``eta0`` to ``max_eta`` in ``step_size``, and back in as much: a cycle is ``2 step_size`` long.

    Source: [1]_.

    .. [1] L. N. Smith, "Cyclical learning rates for training neural networks",
       arXiv 1506.01186.

    >>> import numpy as np
    >>> from minibatch.schedules import triangular
    >>> triangular(np.array([0, 1000, 2000, 3000, 4000]), 0.001, 0.006, step_size=2000)
    array([0.001 , 0.0035, 0.006 , 0.0035, 0.001 ])
    """
    return eta0 + (max_eta - eta0) * _triangle(t, step_size)


def triangular2(t: Any, eta0: float, max_eta: float, step_size: float) -> Any:
    """``triangular`` whose amplitude halves after every cycle.

    >>> import numpy as np
    >>> from minibatch.schedules import triangular2
    >>> triangular2(np.array([2000, 6000, 10000]), 0.001, 0.006, step_size=2000)
    array([0.006  , 0.0035 , 0.00225])
    """
    cycles = np.floor(np.divide(t, 2.0 * step_size))
    return eta0 + (max_eta - eta0) * _triangle(t, step_size) * 0.5**cycles


def exp_range(
    t: Any, eta0: float, max_eta: float, step_size: float, gamma: float = 0.99994, *, decay_base: bool = False
) -> Any:
    """``triangular`` whose amplitude is multiplied by ``gamma ** t``; with ``decay_base`` both bounds are.

    The paper of ``triangular`` says both bounds, its author's program and those after it decay the amplitude.

    >>> import numpy as np
    >>> from minibatch.schedules import exp_range
    >>> exp_range(np.array([0, 2000]), 0.001, 0.006, step_size=2000).round(6)
    array([0.001   , 0.005435])
    """
    decay = np.power(gamma, t)
    return eta0 * (decay if decay_base else 1.0) + (max_eta - eta0) * _triangle(t, step_size) * decay


def one_cycle(
    t: Any,
    max_eta: float,
    length: float,
    *,
    eta0: float | None = None,
    last_eta: float | None = None,
    peak: float = 0.25,
) -> Any:
    """From ``eta0`` to ``max_eta`` in the share ``peak`` of ``length``, then to ``last_eta``, half a cosine each.

    Source: [1]_.

    ``eta0=None`` means ``max_eta / 25``, ``last_eta=None`` ``max_eta / 1e5``; after ``length`` the rate stays there.
    These are fastai's choices. Smith also lowers the momentum while the rate rises; this does not.

    .. [1] L. N. Smith, "A disciplined approach to neural network hyper-parameters",
       arXiv 1803.09820.

    >>> import numpy as np
    >>> from minibatch.schedules import one_cycle
    >>> one_cycle(np.array([0, 25, 100]), 1.0, length=100).round(6)
    array([4.e-02, 1.e+00, 1.e-05])
    """
    eta0 = max_eta / 25.0 if eta0 is None else eta0
    last_eta = max_eta / 1e5 if last_eta is None else last_eta
    x = np.minimum(np.divide(t, length), 1.0)
    up, down = np.minimum(x / peak, 1.0), np.maximum(x - peak, 0.0) / (1.0 - peak)
    rising = eta0 + (max_eta - eta0) * 0.5 * (1.0 - np.cos(np.pi * up))
    falling = last_eta + (max_eta - last_eta) * 0.5 * (1.0 + np.cos(np.pi * down))
    return np.where(x < peak, rising, falling)[()]


def warmup(t: Any, length: float) -> Any:
    """The share of the rate while it warms up: from 0 to 1 in ``length``, linearly; 1 from then on.

    Source: [1]_.

    .. [1] P. Goyal et al., "Accurate, large minibatch SGD: training ImageNet in 1 hour",
       arXiv 1706.02677.

    >>> import numpy as np
    >>> from minibatch.schedules import warmup
    >>> warmup(np.array([0.5, 5, 10, 20]), length=10)
    array([0.05, 0.5 , 1.  , 1.  ])
    """
    return np.minimum(np.divide(t, length), 1.0)


def _triangle(t: Any, step_size: float) -> Any:
    """0 at even multiples of ``step_size``, 1 at odd ones, linear between."""
    x = np.mod(np.divide(t, step_size), 2.0)
    return 1.0 - np.abs(x - 1.0)
