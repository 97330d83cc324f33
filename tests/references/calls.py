"""Calls to draw: rows of a small data set, values of parameters, and what can be wrong with them.

Strategies that depend on the machine that draws them find it through ``st.runner``.
"""

import io
import pickle
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from hypothesis import strategies as st

N, D = 12, 3
rng = np.random.default_rng(0)
# eighths, which float32 holds too; a third of them is 0, for the sparse layouts
X = rng.integers(-8, 9, (N, D)) / 8 * (rng.random((N, D)) > 0.3)
Y = np.stack([X @ [1.0, -1.0, 0.5], X @ [0.3, 0.2, -0.6]], axis=1) + 0.3 * rng.standard_normal((N, 2)) + 0.5
LABELS = np.array(["a", "b", "c"])
LAYOUTS = {"dense": np.array, "csr": sp.csr_array, "fortran": np.asfortranarray, "float32": np.float32}

SCHEDULE_FREE = ["schedule_free_sgd", "schedule_free_adamw"]
# Values of parameters, the simplest first. Rates are small: nothing diverges that is not meant to.
OF_ALL = {
    "batch_size": [4, 1, 2, 3, 50, 0.5, 0.3, 1.0, "full", "auto"],
    "last_batch": ["keep", "drop"],
    "shuffle": [True, False, "block", "replacement"],
    "max_iter": [2, 1, 4],
    "warm_start": [True, True, False],
    "tol": [None, None, 0.05, 1.0],
    "n_iter_no_change": [1, 2],
    "alpha": [0.3, 0.01, 1.0],
    "momentum": [0.5, 0.0, 0.7],
    "beta_1": [0.9, 0.5, 0.0],
    "beta_2": [0.9, 0.5],
    "power_t": [0.5, 1.0],
    "cycle_length": [None, 1.37],  # no multiple of which is a sum of batches, so that rounding does not matter
    "warmup": [0.0, 0.0, 2.3],
    "learning_rate_scaling": [None, "sqrt"],
    "max_updates": [None, None, 1, 4],
    "evaluate_every": [None, None, 1, 2],
    "batch_growth": [None, None, 2],
    "random_state": [0, 1],
}
OF_LINEAR = {
    **OF_ALL,
    "solver": ["sgd", "sgd", "sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam", "adamw", *SCHEDULE_FREE],
    "learning_rate": ["constant", "invscaling", "inverse_time", "step"],
    "eta0": [0.05, 0.01],
    "penalty": ["l1", "l1", "l2", "elasticnet", None],
    "l1_ratio": [0.5, 0.0, 1.0],
    "average": [False, True, 7],
    "fit_intercept": [True, False],
}
OF_NETWORK = {
    **OF_ALL,
    "solver": ["sgd", "sgd", "sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam", "adamw", *SCHEDULE_FREE],
    "learning_rate": ["constant", "adaptive", "adaptive", "invscaling", "inverse_time", "step"],
    "learning_rate_init": [0.05, 0.01],
    "tol": [1.0, 0.05, None],
    "max_iter": [4, 2, 1],
    "nesterovs_momentum": [True, False],
}
FIXED = {"batch_growth_interval": 1, "reference_batch_size": 4}
# A first epoch of single rows at this rate ends beyond the largest float, whatever came before.
HUGE = {"learning_rate": "constant", "batch_size": 1, "warmup": 0.0, "learning_rate_scaling": None, "max_updates": None}
WRONG_VALUES = {
    "batch_size": [0, 1.5, "all", None],
    "alpha": [-0.1, np.nan],
    "solver": ["nonsense"],
    "learning_rate": ["nonsense", None],
    "last_batch": ["pad"],
    "max_iter": [0],
    "momentum": [-0.1],
    "random_state": ["seed"],
    "warmup": [-1.0],
    "tol": [-1.0],
    "early_stopping": [True],  # of partial_fit
}


class Chunk(NamedTuple):
    """Rows of the data, round and round; whether they have weights; whether there is a second target or third class."""

    first: int
    size: int
    layout: str = "dense"
    weighted: bool = False
    more: bool = False

    @property
    def rows(self):
        return np.arange(self.first, self.first + self.size) % N

    @property
    def X(self):
        return LAYOUTS[self.layout](X[self.rows])

    @property
    def weight(self):
        return np.resize([1.0, 2.0, 0.0, 0.5], self.size) if self.weighted else None


class Task(NamedTuple):
    """What a call is given, and the reference; ``target`` is None where the model has to refuse it."""

    y: np.ndarray
    target: np.ndarray | None
    keywords: dict = {}
    classes: np.ndarray | None = None


def chunks(min_size=1):
    return st.builds(
        Chunk,
        st.integers(0, N - 1),
        st.integers(min_size, N),
        st.sampled_from([*LAYOUTS]),
        st.booleans(),
        st.sampled_from([False, False, False, True]),
    )


# Names of what is wrong, and the arguments that it makes of X, y and weights. Every method has to refuse them.
WRONG_INPUT = {
    "NaN in X": lambda X, y, s: {"X": np.where(np.eye(*X.shape) == 1, np.nan, X)},
    "infinity in X": lambda X, y, s: {"X": sp.csr_array(np.where(np.eye(*X.shape) == 1, np.inf, X))},
    "a column too few": lambda X, y, s: {"X": X[:, 1:]},  # where training goes on
    "a row too many": lambda X, y, s: {"X": np.vstack([X, X[:1]])},
    "no rows": lambda X, y, s: {"X": X[:0], "y": y[:0], "sample_weight": s[:0]},
    "one dimension": lambda X, y, s: {"X": X[:, 0]},
    "words in X": lambda X, y, s: {"X": [*X.tolist()[:-1], ["x"] * D]},
    "no y": lambda X, y, s: {"y": None},
    "NaN in y": lambda X, y, s: {"y": np.where(np.arange(len(y)) > 0, 1.0, np.nan)},
    "three dimensions of y": lambda X, y, s: {"y": y.reshape(len(y), -1, 1)},
    "a weight too many": lambda X, y, s: {"sample_weight": np.append(s, 1.0)},
    "a negative weight": lambda X, y, s: {"sample_weight": np.append(-1.0, s[1:])},
    "an infinite weight": lambda X, y, s: {"sample_weight": np.append(np.inf, s[1:])},
    "no weight": lambda X, y, s: {"sample_weight": 0.0 * s},
    "weights in columns": lambda X, y, s: {"sample_weight": np.stack([s, s], axis=1)},
    "no y_val": lambda X, y, s: {"X_val": X},
    "a column of X_val too few": lambda X, y, s: {"X_val": X[:, 1:], "y_val": y},
    "weights without X_val": lambda X, y, s: {"sample_weight_val": s},
    "a start of another shape": lambda X, y, s: {"coef_init": np.ones(7)},
    "NaN in the start": lambda X, y, s: {"intercept_init": np.array([np.nan])},
    "other classes": lambda X, y, s: {"classes": ["y", "z"]},
}


def of_table(name, *names):
    """Strategy for a name and one of its values, from a table of the machine: of all names, or of some."""

    def pairs(machine):
        table = getattr(machine, name)
        keys = st.sampled_from([key for key in names or table if key in table])
        return keys.flatmap(lambda key: st.tuples(st.just(key), st.sampled_from(table[key])))

    return st.runner().flatmap(pairs)


def of_all_values():
    """Strategy for values of all parameters; it gives those that are not the simplest."""

    def values(machine):
        drawn = st.fixed_dictionaries({name: st.sampled_from(table) for name, table in machine.values.items()})
        return drawn.map(
            lambda found: {name: value for name, value in found.items() if value != machine.values[name][0]}
        )

    return st.runner().flatmap(values)


def of_methods():
    return st.runner().flatmap(lambda machine: st.sampled_from(["partial_fit", "fit"] * 2 + [*machine.methods]))


MAIN = ("solver", "penalty", "batch_size", "learning_rate", "average", "warm_start")
A_MAIN_CHANGE = of_table("values", *MAIN)
A_CHANGE = A_MAIN_CHANGE | of_table("values")
CALLS = st.lists(st.tuples(of_methods(), chunks()), max_size=6)
METHODS = st.sampled_from(["fit", "partial_fit"])


def frozen(model):
    return pickle.dumps(vars(model))


class StopsThere(io.StringIO):
    """Where a verbose fit is printed to; presses Ctrl-C after some lines."""

    def __init__(self, lines):
        super().__init__()
        self.left = lines

    def write(self, text):
        self.left -= text.count("\n")
        if self.left <= 0:
            raise KeyboardInterrupt
        return len(text)
