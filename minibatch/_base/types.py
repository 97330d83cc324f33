"""Types of parameters and data, for editors and type checkers; scikit-learn's decorators with the types they hide.

To a type checker NumPy's numbers are neither ``int`` nor ``float``. What a parameter may be called is spelt out, so
that a slip of the pen is an error before anything runs; a test compares the names with those that ``fit`` accepts.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol, TypeAlias, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import _fit_context
from sklearn.utils.metaestimators import available_if as _available_if

from minibatch.schedules._progress import UserSchedule

__all__ = [
    "Activation",
    "BatchGrowth",
    "BatchNormalization",
    "BatchSize",
    "ClassWeight",
    "ClassificationLoss",
    "FirstRate",
    "Flag",
    "GradientSolver",
    "Integer",
    "Integers",
    "LargestBatchSize",
    "LastBatch",
    "LinearSchedule",
    "LinearSolver",
    "Matrix",
    "Method",
    "MultiClass",
    "NetworkAverage",
    "NetworkClassWeight",
    "NetworkLoss",
    "NetworkSchedule",
    "NetworkSolver",
    "Number",
    "OneClassSchedule",
    "Penalty",
    "RandomState",
    "RateScaling",
    "RegressionLoss",
    "Schedule",
    "Scoring",
    "SharedLoss",
    "Shuffle",
    "SparseMatrix",
    "available_if",
    "checks_parameters",
]  # fmt: skip

Integer: TypeAlias = int | np.integer[Any]
Number: TypeAlias = float | np.floating[Any] | np.integer[Any]
Flag: TypeAlias = bool | np.bool_
Integers: TypeAlias = Sequence[Integer] | NDArray[np.integer[Any]]
RandomState: TypeAlias = Integer | np.random.RandomState | None


class SparseMatrix(Protocol):
    """A matrix or array of SciPy."""

    def tocsr(self, copy: bool = ...) -> Any: ...


Matrix: TypeAlias = ArrayLike | SparseMatrix  # data frames too: they have ``__array__``

BatchSize: TypeAlias = Integer | float | np.floating[Any] | Literal["full", "auto"]
LargestBatchSize: TypeAlias = Integer | float | np.floating[Any] | Literal["full"] | None
LastBatch: TypeAlias = Literal["keep", "drop"]
BatchGrowth: TypeAlias = Number | Literal["adaptive", "schedule"] | None
Shuffle: TypeAlias = Flag | Literal["block", "replacement"]
Scoring: TypeAlias = str | Callable[..., Any] | None

FirstRate: TypeAlias = Number | Literal["auto"]
RateScaling: TypeAlias = Literal["linear", "sqrt", "sde"] | None
Schedule: TypeAlias = (
    UserSchedule
    | Literal[
        "constant",
        "adaptive",
        "invscaling",
        "inverse_time",
        "step",
        "cosine",
        "triangular",
        "triangular2",
        "exp_range",
        "one_cycle",
    ]
)
OneClassSchedule: TypeAlias = Schedule | Literal["auto", "optimal", "dowg"]
LinearSchedule: TypeAlias = OneClassSchedule | Literal["pa1", "pa2"]
NetworkSchedule: TypeAlias = Schedule | Literal["auto"]
GradientSolver: TypeAlias = Literal[
    "sgd",
    "momentum",
    "nesterov",
    "adagrad",
    "rmsprop",
    "adam",
    "adamw",
    "schedule_free_sgd",
    "schedule_free_adamw",
]
LinearSolver: TypeAlias = GradientSolver | Literal["svrg", "saga", "lbfgs"]
NetworkSolver: TypeAlias = GradientSolver | Literal["lbfgs"]

Penalty: TypeAlias = Literal["l2", "l1", "elasticnet"] | None
MultiClass: TypeAlias = Literal["ovr", "multinomial"]
ClassWeight: TypeAlias = dict[Any, Any] | Literal["balanced"] | None
SharedLoss: TypeAlias = Literal["squared_error", "huber", "epsilon_insensitive", "squared_epsilon_insensitive"]
ClassificationLoss: TypeAlias = (
    SharedLoss | Literal["hinge", "log_loss", "squared_hinge", "perceptron", "modified_huber"]
)
RegressionLoss: TypeAlias = SharedLoss | Literal["absolute_error", "quantile", "poisson", "gamma", "log_loss"]

Activation: TypeAlias = Literal["identity", "logistic", "tanh", "relu", "gelu"]
NetworkLoss: TypeAlias = Literal["squared_error", "poisson", "log_loss"]
NetworkAverage: TypeAlias = Flag | Integer | Literal["ema"]
NetworkClassWeight: TypeAlias = ClassWeight | list[dict[Any, Any]]  # for several labels a row
BatchNormalization: TypeAlias = Flag | Literal["input"]

Method = TypeVar("Method", bound=Callable[..., Any])


def checks_parameters(fit: Method) -> Method:
    """scikit-learn's context of ``fit``: it checks the parameters first, and looks after callbacks."""
    return _fit_context(prefer_skip_nested_validation=True)(fit)


def available_if(check: Callable[[Any], bool]) -> Callable[[Method], Method]:
    """scikit-learn's ``available_if``: the method is there only where ``check`` says so."""
    return _available_if(check)
