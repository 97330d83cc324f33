"""Which update an estimator makes, and the rate at which it becomes unstable on a quadratic."""

from typing import Any

import numpy as np

__all__ = ["STRAIGHT_LOSSES", "solver_of", "stable_product"]

# Their gradient is constant but for jumps: they are curved nowhere.
STRAIGHT_LOSSES = ("hinge", "perceptron", "absolute_error", "epsilon_insensitive", "quantile")


def solver_of(final: Any) -> tuple[str, float]:
    """Name and momentum: that of a network is plain for ``solver='sgd'`` without momentum only."""
    solver, momentum = str(final.solver), float(final.momentum)
    if solver == "sgd" and momentum > 0.0 and hasattr(final, "nesterovs_momentum"):
        return ("nesterov" if final.nesterovs_momentum else "momentum"), momentum
    return solver, momentum if solver in ("momentum", "nesterov") else 0.0


def stable_product(solver: str, momentum: float) -> float:
    """The largest stable learning rate times the largest curvature, for full batches; NaN for solvers whose steps have
    a length of their own in every parameter."""
    limits = {
        "sgd": 2.0,
        "momentum": 2.0 * (1.0 + momentum),
        "nesterov": 2.0 * (1.0 + momentum) / (1.0 + 2.0 * momentum),
    }
    return limits.get(solver, np.nan)
