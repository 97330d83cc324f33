"""What an estimator's parameters about the solver mean together, and its numbers for another batch size."""

from dataclasses import replace
from typing import Any

from minibatch._base.ranges import countable
from minibatch.engine.losses import SMOOTH
from minibatch.engine.optimizers import VARIANCE_REDUCED
from minibatch.schedules import scale_adam

__all__ = ["WITHOUT_WORKERS", "WITH_SDE", "check_solver", "for_batches_of", "takes_chunks"]

# Those whose numbers have a scaling rule from a stochastic differential equation.
WITH_SDE = ("adam", "adamw", "rmsprop")
# Those that only train alone, and what they have.
_SLOPES = "a memory of every row, which workers would not share"
WITHOUT_WORKERS = {"lbfgs": "no batches to share", "svrg": _SLOPES, "saga": _SLOPES}
_INTERPOLATION = {"schedule_free_sgd": "momentum", "schedule_free_adamw": "beta_1"}


def takes_chunks(estimator: Any) -> bool:
    """Whether there is a ``partial_fit``."""
    if estimator.solver == "lbfgs":
        raise AttributeError("partial_fit is only available for stochastic optimizers. lbfgs is not stochastic.")
    if estimator.solver in VARIANCE_REDUCED:
        raise AttributeError(
            f"partial_fit does not go with solver={estimator.solver!r}, which remembers a slope of every row and sees "
            "all of them again; use fit, or another solver."
        )
    return True


def check_solver(estimator: Any) -> None:
    """What the constraints of single parameters cannot say."""
    solver = estimator.solver
    if solver in VARIANCE_REDUCED or solver == "lbfgs":
        _check_without_noise(estimator)
    if solver not in _INTERPOLATION:
        return
    name = _INTERPOLATION[solver]
    if getattr(estimator, name) == 0:
        raise ValueError(
            f"{name} must be > 0 with solver={solver!r}, where it is the part of the average in the parameters that "
            f"gradients are taken at; got {name}={getattr(estimator, name)!r}. The authors' is 0.9."
        )
    if getattr(estimator, "average", False):
        raise ValueError(
            f"average={estimator.average!r} does not go with solver={solver!r}, which gives an average of its iterates "
            "already; leave average out."
        )
    if getattr(estimator, "batch_normalization", False):
        raise ValueError(
            f"batch_normalization={estimator.batch_normalization!r} does not go with solver={solver!r}: the running "
            "statistics are those of the parameters that gradients are taken at, not of their average, which predicts. "
            "Use another solver, or leave batch_normalization off."
        )


def _check_without_noise(estimator: Any) -> None:
    """Solvers whose steps have no noise at the optimum."""
    solver = estimator.solver
    if getattr(estimator, "average", False):
        raise ValueError(
            f"average={estimator.average!r} does not go with solver={solver!r}, whose last parameters have no noise "
            "that an average would take out; leave average out."
        )
    if solver != "lbfgs" or not hasattr(estimator, "penalty"):
        return
    if estimator.loss not in SMOOTH:
        raise ValueError(
            f"solver='lbfgs' needs a loss whose slope does not jump; got loss={estimator.loss!r}. Use "
            f"one of {', '.join(repr(name) for name in SMOOTH)}, or another solver."
        )
    if estimator.penalty in ("l1", "elasticnet"):
        raise ValueError(
            f"solver='lbfgs' needs an objective whose slope does not jump; got penalty={estimator.penalty!r}. Use "
            "solver='saga', or penalty='l2'."
        )


def for_batches_of(batch_size: int, estimator: Any, problem: Any) -> Any:
    """The problem with the solver's numbers for batches of so many rows, which 'sde' scales as it does the rate."""
    reference, solver = countable(estimator.reference_batch_size), problem.solver
    if estimator.learning_rate_scaling != "sde" or estimator.solver == "lbfgs" or batch_size == reference:
        return problem
    betas = {"beta_1": 1.0 if estimator.solver == "rmsprop" else solver.beta_1, "beta_2": solver.beta_2}
    try:
        numbers = scale_adam(1.0, reference, batch_size, **betas, epsilon=solver.epsilon)
    except ValueError as error:
        raise ValueError(
            f"learning_rate_scaling='sde' from reference_batch_size={reference} to batches of {batch_size}: {error}"
        ) from error
    del numbers["learning_rate"]  # of the schedule, which begins at a scaled one
    return replace(problem, solver=solver._replace(**numbers))
