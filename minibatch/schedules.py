"""Learning-rate schedules and scaling rules: plain functions, for use by themselves and by the estimators.

``t`` is the time since the schedule began, 0 at the first update: a number or an array. Functions with a length
(``step_size``, ``length``; positive) take it in the same unit, whatever that is; the others count updates. Where a
schedule has a length, estimators count epochs, in fractions, so that it means the same for every batch size.

Rates are computed once an epoch, vectorised, and handed to the engine as an array; a schedule is not compiled.
To add one: a function here and a line in ``SCHEDULES``.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "constant", "cosine", "exp_range", "inverse_time", "invscaling", "one_cycle", "optimal", "scale_adam",
    "scale_learning_rate", "step", "triangular", "triangular2", "warmup",
]  # fmt: skip

Rates = NDArray[np.float64]

# ``learning_rate="adaptive"`` is divided by this when training stalls, as in scikit-learn, until it is this small.
ADAPTIVE_FACTOR, ADAPTIVE_END = 5.0, 1e-6


def constant(t: Any, eta0: float) -> Any:
    """``eta = eta0``.

    >>> constant(np.array([0, 1]), eta0=0.1)
    array([0.1, 0.1])
    """
    return np.full(np.shape(t), eta0, dtype=np.float64)[()]


def invscaling(t: Any, eta0: float, power_t: float) -> Any:
    """``eta = eta0 / (t + 1) ** power_t``.

    >>> invscaling(np.array([0, 3]), eta0=0.1, power_t=0.5)
    array([0.1 , 0.05])
    """
    with np.errstate(over="ignore"):  # 0 is the right answer
        return eta0 / np.add(t, 1.0) ** power_t


def inverse_time(t: Any, eta0: float, alpha: float) -> Any:
    """``eta = eta0 / (1 + alpha eta0 t)``: Bottou's schedule for a penalty of strength ``alpha`` [1]_.

    It is ``1 / (alpha (t + t0))`` with ``t0 = 1 / (alpha eta0)``: the rate that is best for large ``t``, and not above
    ``eta0`` before.

    .. [1] L. Bottou, "Large-scale machine learning with stochastic gradient descent", COMPSTAT 2010.

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

    >>> optimal(np.array([0, 1000]), alpha=1e-4)
    array([10.,  5.])
    """
    t0 = 1.0 / (np.sqrt(1.0 / np.sqrt(alpha)) * alpha)
    return 1.0 / (alpha * (t0 + np.asarray(t)))


def step(t: Any, eta0: float, step_size: float, gamma: float = 0.5) -> Any:
    """``eta = eta0 * gamma ** floor(t / step_size)``.

    >>> step(np.array([0, 9, 10, 25]), eta0=0.8, step_size=10)
    array([0.8, 0.8, 0.4, 0.2])
    """
    return eta0 * gamma ** np.floor(np.divide(t, step_size))


def cosine(t: Any, eta0: float, length: float) -> Any:
    """``eta = eta0 (1 + cos(pi t / length)) / 2``: from ``eta0`` to 0, and again after every ``length`` [1]_.

    .. [1] I. Loshchilov and F. Hutter, "SGDR: stochastic gradient descent with warm restarts", arXiv 1608.03983.

    >>> cosine(np.array([0, 50, 100]), eta0=0.1, length=100)
    array([0.1 , 0.05, 0.1 ])
    """
    return 0.5 * eta0 * (1.0 + np.cos(np.pi * np.mod(np.divide(t, length), 1.0)))


def triangular(t: Any, eta0: float, max_eta: float, step_size: float) -> Any:
    """From ``eta0`` to ``max_eta`` in ``step_size``, and back in as much: a cycle is ``2 step_size`` long [1]_.

    .. [1] L. N. Smith, "Cyclical learning rates for training neural networks", arXiv 1506.01186.

    >>> triangular(np.array([0, 1000, 2000, 3000, 4000]), 0.001, 0.006, step_size=2000)
    array([0.001 , 0.0035, 0.006 , 0.0035, 0.001 ])
    """
    return eta0 + (max_eta - eta0) * _triangle(t, step_size)


def triangular2(t: Any, eta0: float, max_eta: float, step_size: float) -> Any:
    """``triangular`` whose amplitude halves after every cycle.

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
    """From ``eta0`` to ``max_eta`` in the share ``peak`` of ``length``, then to ``last_eta``, half a cosine each [1]_.

    ``eta0=None`` means ``max_eta / 25``, ``last_eta=None`` ``max_eta / 1e5``; after ``length`` the rate stays there.
    These are fastai's choices. Smith also lowers the momentum while the rate rises; this does not.

    .. [1] L. N. Smith, "A disciplined approach to neural network hyper-parameters", arXiv 1803.09820.

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
    """The share of the rate while it warms up: from 0 to 1 in ``length``, linearly; 1 from then on [1]_.

    .. [1] P. Goyal et al., "Accurate, large minibatch SGD: training ImageNet in 1 hour", arXiv 1706.02677.

    >>> warmup(np.array([0.5, 5, 10, 20]), length=10)
    array([0.05, 0.5 , 1.  , 1.  ])
    """
    return np.minimum(np.divide(t, length), 1.0)


def _triangle(t: Any, step_size: float) -> Any:
    """0 at even multiples of ``step_size``, 1 at odd ones, linear between."""
    x = np.mod(np.divide(t, step_size), 2.0)
    return 1.0 - np.abs(x - 1.0)


def scale_learning_rate(
    learning_rate: float, batch_size: float, new_batch_size: float, *, rule: str = "linear"
) -> float:
    """The rate to begin with when the batch size changes: ``learning_rate`` times a power of their ratio.

    No rule holds everywhere [1]_: test the rate that it gives (:func:`minibatch.diagnostics.learning_rate_range_test`).

    Parameters
    ----------
    learning_rate : float
        The rate that suits ``batch_size``.

    batch_size, new_batch_size : float
        Rows in a batch.

    rule : {'linear', 'sqrt', 'adam'}, default='linear'
        ``'linear'`` [2]_ keeps what an epoch of small steps does, while the batch is well below the noise scale of the
        gradient. From ``batch_size=1`` it makes of the base rate of Masters & Luschi [5]_ the rate of a batch's mean
        gradient: an update is the base rate times the sum of the gradients of the rows. At one base rate all batch
        sizes go about as far in an epoch; they found larger batches to be stable at lower base rates only.
        ``'sqrt'`` [3]_ keeps the covariance of an update. ``'adam'`` [4]_ is the root too, and goes with other betas:
        see :func:`scale_adam`.

    Returns
    -------
    float

    References
    ----------
    .. [1] Shallue et al., "Measuring the effects of data parallelism on neural network training", arXiv 1811.03600.
    .. [2] Goyal et al., "Accurate, large minibatch SGD: training ImageNet in 1 hour", arXiv 1706.02677.
    .. [3] Krizhevsky, "One weird trick for parallelizing convolutional neural networks", arXiv 1404.5997.
    .. [4] Malladi et al., "On the SDEs and scaling rules for adaptive gradient algorithms", arXiv 2205.10287.
    .. [5] Masters & Luschi, "Revisiting small batch training for deep neural networks", arXiv 1804.07612.

    Examples
    --------
    >>> from minibatch.schedules import scale_learning_rate
    >>> scale_learning_rate(0.1, 32, 256), scale_learning_rate(0.1, 32, 128, rule="sqrt")
    (0.8, 0.2)
    """
    if rule not in ("linear", "sqrt", "adam"):
        raise ValueError(f"rule must be 'linear', 'sqrt' or 'adam'; got {rule!r}.")
    ratio = _checked_ratio(learning_rate, batch_size, new_batch_size)
    return float(learning_rate * (ratio if rule == "linear" else np.sqrt(ratio)))


def scale_adam(
    learning_rate: float,
    batch_size: float,
    new_batch_size: float,
    *,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-8,
) -> dict[str, float]:
    """All of Adam's numbers for another batch size, so that training follows the same path in time [1]_.

    With ``k = new_batch_size / batch_size``: ``learning_rate sqrt(k)``, ``1 - k (1 - beta_1)``, ``1 - k (1 - beta_2)``,
    ``epsilon / sqrt(k)``. RMSprop has the same without ``beta_1``. It holds while ``k (1 - beta)`` is small. A moving
    average then remembers as many rows as before, ``batch_size / (1 - beta)``, as [2]_ advises for small batches.

    Estimators do this with ``learning_rate_scaling='sde'``. They do not scale ``alpha``: an update of ``'adamw'``
    decays the weights by the rate times ``alpha``, an epoch by ``1 / sqrt(k)`` as much as before.

    Parameters
    ----------
    learning_rate : float
        The rate that suits ``batch_size``.

    batch_size, new_batch_size : float
        Rows in a batch.

    beta_1, beta_2, epsilon : float
        Those that suit ``batch_size``.

    Returns
    -------
    dict
        ``learning_rate``, ``beta_1``, ``beta_2`` and ``epsilon``.

    Raises
    ------
    ValueError
        If a beta would not be positive: the change is too large for the rule.

    References
    ----------
    .. [1] Malladi et al., "On the SDEs and scaling rules for adaptive gradient algorithms", arXiv 2205.10287.
    .. [2] Marek et al., "Small batch size training for language models", arXiv 2507.07101.

    Examples
    --------
    >>> from minibatch.schedules import scale_adam
    >>> {name: round(value, 9) for name, value in scale_adam(0.001, 32, 128).items()}
    {'learning_rate': 0.002, 'beta_1': 0.6, 'beta_2': 0.996, 'epsilon': 5e-09}
    """
    ratio = _checked_ratio(learning_rate, batch_size, new_batch_size)
    betas = {"beta_1": 1.0 - ratio * (1.0 - beta_1), "beta_2": 1.0 - ratio * (1.0 - beta_2)}
    for name, beta in betas.items():
        if beta <= 0.0:
            raise ValueError(
                f"{name} would become {beta:.3g}: a batch {ratio:g} times as large is too large a step for this rule. "
                "Tune the rate for the new batch size instead."
            )
    return {"learning_rate": float(learning_rate * np.sqrt(ratio)), **betas, "epsilon": float(epsilon / np.sqrt(ratio))}


def _checked_ratio(learning_rate: float, batch_size: float, new_batch_size: float) -> float:
    given = {"learning_rate": learning_rate, "batch_size": batch_size, "new_batch_size": new_batch_size}
    for name, value in given.items():
        if not 0 < value <= sys.float_info.max:
            raise ValueError(f"{name} must be a positive number; got {value!r}.")
    return float(new_batch_size) / float(batch_size)


class Progress(NamedTuple):
    """Where the next ``number`` updates stand in the run. Arrays are made where a schedule asks for them: at one row an
    update they are as long as the data. What was before may be columns of numbers: of several epochs, whose rates are
    the rows of a table."""

    number: int
    updates_before: Any  # since the schedule began
    epochs_before: Any  # likewise, in fractions
    updates_an_epoch: int
    rows_before: Any  # those of earlier runs included
    stride: float = 1.0  # updates from one to the next: above 1 in a trial that is shorter than the run

    @property
    def updates(self) -> NDArray[np.int64]:
        """Updates made before each."""
        return self.updates_before + (np.arange(self.number) * self.stride).astype(np.int64)

    @property
    def epochs(self) -> NDArray[np.float64]:
        """Epochs done before each, in fractions."""
        return self.epochs_before + np.arange(self.number) * self.stride / self.updates_an_epoch

    @property
    def rows(self) -> NDArray[np.int64]:
        """Rows seen before the epoch, for each."""
        return self.rows_before + np.zeros(self.number, np.int64)


@dataclass(frozen=True)
class Shape:
    """What schedules are made of: the parameters of an estimator, resolved. Lengths are in epochs."""

    eta0: float
    max_eta: float
    power_t: float
    alpha: float
    batch_size: int
    length: float
    decay: float  # over a length
    decay_base: bool
    warmup: float
    by_rows: bool  # invscaling counts rows, once an epoch, not updates


Schedule = Callable[[Progress], Rates]

SCHEDULES: dict[str, Callable[[Progress, Shape], Rates]] = {
    "constant": lambda now, of: _one_number(of.eta0, now.number),
    "adaptive": lambda now, of: _one_number(of.eta0, now.number),
    "dowg": lambda now, of: _one_number(of.eta0, now.number),  # the first distance, of which the engine makes rates
    "invscaling": lambda now, of: invscaling(now.rows if of.by_rows else now.updates, of.eta0, of.power_t),
    "optimal": lambda now, of: (
        optimal(now.updates, of.alpha) if of.batch_size == 1 else inverse_time(now.updates, of.eta0, of.alpha)
    ),
    "inverse_time": lambda now, of: inverse_time(now.updates, of.eta0, of.alpha),
    "step": lambda now, of: step(now.epochs, of.eta0, of.length, of.decay),
    "cosine": lambda now, of: cosine(now.epochs, of.eta0, of.length),
    "triangular": lambda now, of: triangular(now.epochs, of.eta0, of.max_eta, of.length / 2),
    "triangular2": lambda now, of: triangular2(now.epochs, of.eta0, of.max_eta, of.length / 2),
    "exp_range": lambda now, of: exp_range(
        now.epochs, of.eta0, of.max_eta, of.length / 2, of.decay ** (1 / of.length), decay_base=of.decay_base
    ),
    "one_cycle": lambda now, of: one_cycle(now.epochs, of.max_eta, of.length, eta0=of.eta0),
}
# Those that rise to ``max_eta``, and those whose length is by default that of the run.
CYCLES = ("triangular", "triangular2", "exp_range", "one_cycle")
ONCE_A_RUN = ("cosine", "one_cycle")


def _one_number(rate: float, number: int) -> Rates:
    """A row of it that takes no room: ``np.broadcast_to``, in a tenth of its time."""
    row: Rates = np.ndarray((number,), np.float64, np.array([rate]), 0, (0,))
    row.flags.writeable = False
    return row


def schedule_of(name: str, shape: Shape) -> Schedule:
    """The schedule of that name as a function of the progress alone."""
    function = SCHEDULES[name]

    def rates(now: Progress) -> Rates:
        with np.errstate(all="ignore"):  # they are looked at below
            found = function(now, shape)
            if shape.warmup:
                # an update has the rate that the rise reaches by its end: the first one does something
                found = found * warmup(now.epochs + 1 / now.updates_an_epoch, shape.warmup)
        if not np.isfinite(found[:1] if found.strides == (0,) else found).all():
            raise ValueError(
                f"learning_rate={name!r} comes to a rate of {found[~np.isfinite(found)][0]} from a first rate of "
                f"{shape.eta0:g}, max_eta={shape.max_eta:g}, alpha={shape.alpha:g}, cycle_length={shape.length:g} and "
                f"warmup={shape.warmup:g}; choose numbers that are nearer to 1."
            )
        return found

    return rates
