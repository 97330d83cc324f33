"""Rates, and what goes with them, for another batch size."""

import sys

import numpy as np

__all__ = ["scale_adam", "scale_learning_rate"]


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
    """All of Adam's numbers for another batch size, so that training follows the same path in time.

    Source: [1]_.

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
