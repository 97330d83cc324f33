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

# Values of parameters, the simplest first. Rates are small: nothing diverges that is not meant to.
OF_ALL = {
    "batch_size": [4, 1, 2, 3, 50, 0.5, 0.3, 1.0, "full", "auto"],
    "last_batch": ["keep", "drop"],
    "shuffle": [True, False],
    "max_iter": [2, 1, 3],
    "warm_start": [True, True, False],
    "tol": [None, 0.05],
    "n_iter_no_change": [1, 2],
    "alpha": [0.3, 0.01, 1.0],
    "momentum": [0.5, 0.0, 0.7],
    "beta_1": [0.9, 0.5, 0.0],
    "beta_2": [0.9, 0.5],
    "power_t": [0.5, 1.0],
    "cycle_length": [None, 1.37],  # no multiple of which is a sum of batches, so that rounding does not matter
    "warmup": [0.0, 2.3],
    "learning_rate_scaling": [None, "sqrt"],
    "max_updates": [None, 1, 4],
    "evaluate_every": [None, 1, 2],
    "batch_growth": [None, 2],
    "random_state": [0, 1],
}
OF_LINEAR = {
    **OF_ALL,
    "solver": ["sgd", "sgd", "sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam", "adamw"],
    "learning_rate": ["constant", "invscaling", "inverse_time", "step"],
    "eta0": [0.05, 0.01],
    "penalty": ["l1", "l2", "elasticnet", None],
    "l1_ratio": [0.5, 0.0, 1.0],
    "average": [False, True, 7],
    "fit_intercept": [True, False],
}
OF_NETWORK = {
    **OF_ALL,
    "solver": ["sgd", "sgd", "sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam", "adamw"],
    "learning_rate": ["constant", "invscaling", "inverse_time", "step", "adaptive"],
    "learning_rate_init": [0.05, 0.01],
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
    """Rows of the data, how they are laid out, their weights (None: all 1); whether there is a second target, or a
    third class."""

    rows: list
    layout: str = "dense"
    weight: list | None = None
    more: bool = False

    @property
    def X(self):
        return LAYOUTS[self.layout](X[self.rows])


class Task(NamedTuple):
    """What a call is given, and the reference; ``target`` is None where the model has to refuse it."""

    y: np.ndarray
    target: np.ndarray | None
    keywords: dict = {}
    classes: np.ndarray | None = None


@st.composite
def chunks(draw, min_size=1, weighted=True):
    rows = draw(st.lists(st.integers(0, N - 1), min_size=min_size, max_size=9))
    weights = st.lists(st.sampled_from([1.0, 2.0, 0.5, 0.0]), min_size=len(rows), max_size=len(rows)).filter(any)
    weight = draw(st.none() | weights) if weighted else None
    return Chunk(rows, draw(st.sampled_from([*LAYOUTS])), weight, draw(st.sampled_from([False, False, False, True])))


# Names of what is wrong, and what it makes of X, y and the weights.
WRONG_INPUT = {
    "NaN in X": lambda X, y, s: (np.where(np.eye(*X.shape) == 1, np.nan, X), y, s),
    "infinity in X": lambda X, y, s: (sp.csr_array(np.where(np.eye(*X.shape) == 1, np.inf, X)), y, s),
    "a column too few": lambda X, y, s: (X[:, 1:], y, s),
    "a row too few": lambda X, y, s: (np.vstack([X, X[:1]]), y, s),
    "no rows": lambda X, y, s: (X[:0], y[:0], s[:0]),
    "one dimension": lambda X, y, s: (X[:, 0], y, s),
    "words in X": lambda X, y, s: ([*X.tolist()[:-1], ["x"] * D], y, s),
    "NaN in y": lambda X, y, s: (X, np.append(y[:-1].astype(float), np.nan) if y.dtype != LABELS.dtype else None, s),
    "three dimensions of y": lambda X, y, s: (X, y.reshape(len(y), -1, 1), s),
    "a weight too many": lambda X, y, s: (X, y, np.append(s, 1.0)),
    "a negative weight": lambda X, y, s: (X, y, np.append(-1.0, s[1:])),
    "an infinite weight": lambda X, y, s: (X, y, np.append(np.inf, s[1:])),
    "no weight": lambda X, y, s: (X, y, 0.0 * s),
    "weights in columns": lambda X, y, s: (X, y, np.stack([s, s], axis=1)),
}


WRONG_KEYWORDS = [
    ("fit", {"X_val": X}),
    ("fit", {"X_val": X[:, 1:], "y_val": Y[:, 0]}),
    ("fit", {"sample_weight_val": np.ones(N)}),
    ("partial_fit", {"X_val": X, "y_val": Y[:, 0]}),
]


def of_table(name):
    """Strategy for a name and one of its values, from a table of the machine."""
    return st.runner().flatmap(
        lambda machine: st.sampled_from(
            [(key, value) for key, values in getattr(machine, name).items() for value in values]
        )
    )


def of_main_parameters():
    """Strategy for values of what matters most."""
    return st.runner().flatmap(
        lambda machine: st.fixed_dictionaries(
            {name: st.sampled_from(machine.values[name]) for name in MAIN if name in machine.values}
        )
    )


MAIN = ("solver", "penalty", "batch_size", "learning_rate", "average", "warm_start")


def of_methods():
    return st.runner().flatmap(lambda machine: st.sampled_from(["partial_fit", "fit"] * 2 + [*machine.methods]))


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
