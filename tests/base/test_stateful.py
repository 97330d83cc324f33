"""Calls in any order: fit, partial_fit, set_params, copies, wrong input. After each, a model is what NumPy says it is.

A machine draws calls, makes them on an estimator and on a reference (``references.going_on``), and compares the two. A
copy is taken now and then; both sides of it are compared from then on, so that nothing may be shared.
"""

import contextlib
import copy
import pickle
import warnings
from functools import partial as partially

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from numpy.testing import assert_allclose
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError

from minibatch import MiniBatchMLPRegressor, MiniBatchSGDClassifier, MiniBatchSGDRegressor
from references.calls import (
    A_CHANGE,
    A_MAIN_CHANGE,
    CALLS,
    FIXED,
    HUGE,
    LABELS,
    LAYOUTS,
    METHODS,
    OF_LINEAR,
    OF_NETWORK,
    WRONG_INPUT,
    WRONG_VALUES,
    Chunk,
    D,
    N,
    StopsThere,
    Task,
    X,
    Y,
    chunks,
    frozen,
    of_all_values,
    of_table,
)
from references.going_on_models import Linear, Network

# Twenty times as many in the thorough profile.
SETTINGS = settings(max_examples=3 * settings.default.max_examples, stateful_step_count=20)


class Calls(RuleBasedStateMachine):
    """What all machines do. A subclass says which parameters and tasks there are."""

    methods = {"partial_fit": (), "fit": ()}  # and what is given to start from

    @initialize(others=of_all_values(), remembers=st.booleans())
    def begin(self, others, remembers):
        """``others`` are parameters that do not have the simplest value."""
        first = {name: values[0] for name, values in self.values.items()}
        model = self.estimator(**FIXED, **self.fixed, **first)
        reference = self.reference_class(model.get_params())
        self.pair, self.other = (model, reference), None
        for change in [*others.items(), *([("random_state", None)] if remembers else [])]:
            self.set(*change)

    @property
    def model(self):
        return self.pair[0]

    @property
    def reference(self):
        return self.pair[1]

    def set(self, name, value):
        """A seed of None stands for a generator that remembers, of which each side has its own."""
        value = np.random.RandomState(5) if (name, value) == ("random_state", None) else value
        self.model.set_params(**{name: copy.deepcopy(value)})
        self.reference.parameters[name] = value

    def call(self, method, chunk, *init):
        """Make a call on both sides, unless the model has to refuse it."""
        partial = method == "partial_fit"
        if chunk.layout == "float32" and not (partial and self.reference.goes_on(partial)):
            chunk = chunk._replace(layout="dense")  # parameters would be float32 too
        task = self.task(chunk, partial, init)
        start = (None if part is None else part.T for part in init)
        call = partially(getattr(self.model, method), chunk.X, task.y, *start, sample_weight=chunk.weight)
        if task.target is None:
            self.refuses(call, **task.keywords)
            return
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("error")
            warnings.simplefilter("always", ConvergenceWarning)
            call(**task.keywords)
        self.reference.sparse = sp.issparse(chunk.X)
        with np.errstate(all="ignore"):
            self.reference.train(X[chunk.rows], task.target, chunk.weight, partial, init)
        self.reference.classes = task.classes
        assert [str(warning.message).split()[0].rstrip(":") for warning in caught] == self.warned_of(partial)

    def warned_of(self, partial):
        """First words."""
        if self.reference.status == "max_iter" and not partial and self.reference.parameters["tol"] is not None:
            return ["Maximum"]
        return ["Diverged"] if self.reference.status == "diverged" else []

    def refuses(self, call, *arguments, error=(ValueError, TypeError), **keywords):
        before = frozen(self.model)
        with pytest.raises(error):
            call(*arguments, **keywords)
        assert frozen(self.model) == before

    @rule(changes=st.lists(A_CHANGE, min_size=1, max_size=5), calls=CALLS)
    def set_params(self, changes, calls):
        for change in changes:
            self.set(*change)
        self.train(calls)

    @rule(change=A_MAIN_CHANGE, meanwhile=CALLS, later=CALLS)
    def change_for_a_while(self, change, meanwhile, later):
        before = self.reference.parameters[change[0]]
        for value, calls in ((change[1], meanwhile), (before, later)):
            self.set(change[0], value)
            self.train(calls)

    @rule(chunk=chunks(min_size=2))
    def fit(self, chunk):
        self.call("fit", chunk)

    @rule(several=st.lists(chunks(), min_size=1, max_size=4))
    def partial_fit(self, several):
        for chunk in several:
            self.call("partial_fit", chunk)

    @rule(calls=CALLS)
    def train(self, calls):
        for method, chunk in calls:
            self.call(method.split()[0], chunk, *self.start(chunk, self.methods[method]))

    def start(self, chunk, given):
        """What a fit is given to start from."""
        task = self.task(chunk, False, given)
        outputs = 1 if task.target is None else task.target.shape[1]
        values = np.full((D, outputs), 0.25), np.full(outputs, -0.5)
        return [value if here else None for value, here in zip(values, given, strict=False)]

    @precondition(lambda self: self.reference.status not in (None, "diverged"))
    @rule(layout=st.sampled_from([*LAYOUTS]), method=METHODS)
    def diverge(self, layout, method):
        """At a huge rate; the parameters of before the epoch are kept, and training goes on from there later."""
        before = dict(self.reference.parameters)
        solver = before["solver"] if before["solver"] in ("momentum", "nesterov") else "sgd"
        for name, value in (HUGE | self.huge | {"solver": solver, self.reference.rate_name: 1e300}).items():
            self.set(name, value)
        self.call(method, Chunk(0, N, layout))
        for name in HUGE.keys() | self.huge.keys() | {"solver", self.reference.rate_name}:
            self.set(name, before[name])

    @rule(chunk=chunks(min_size=2), wrong=st.sampled_from([*WRONG_INPUT]), method=METHODS)
    def wrong_input(self, chunk, wrong, method):
        partial = method == "partial_fit"
        task, X_here, weight = self.task(chunk, partial), X[chunk.rows], np.ones(chunk.size)
        if wrong == "a column too few" and not self.reference.goes_on(partial):
            return
        right = {"X": X_here, "y": task.y, "sample_weight": weight, **task.keywords}
        self.refuses(getattr(self.model, method), **right | WRONG_INPUT[wrong](X_here, task.y, weight))

    @rule(chunk=chunks(), pair=of_table("wrong_values"), method=METHODS)
    def wrong_parameter(self, chunk, pair, method):
        name, value = pair
        method = "partial_fit" if name == "early_stopping" else method
        task = self.task(chunk, method == "partial_fit")
        before = self.model.get_params()[name]
        self.model.set_params(**{name: value})
        self.refuses(getattr(self.model, method), chunk.X, task.y, **task.keywords)
        self.model.set_params(**{name: before})

    @precondition(lambda self: not self.reference.draws_on())
    @rule(chunk=chunks(min_size=2), lines=st.integers(1, 3), method=METHODS)
    def interrupt(self, chunk, lines, method):
        """Ctrl-C in the middle of training."""
        task, parameters = self.task(chunk, method == "partial_fit"), self.model.get_params()
        if task.target is None:
            return
        self.model.set_params(verbose=1, max_iter=3, max_updates=None, tol=None)
        with contextlib.redirect_stdout(StopsThere(1 if method == "partial_fit" else lines)):
            self.refuses(getattr(self.model, method), chunk.X, task.y, error=KeyboardInterrupt, **task.keywords)
        self.model.set_params(**parameters)

    @rule(layout=st.sampled_from([*LAYOUTS]), sparse=st.sampled_from([None, True, False]))
    def look(self, layout, sparse):
        """Predicting changes nothing, also of a sparse model."""
        if sparse is not None and hasattr(self.model, "coef_"):
            self.model.sparsify() if sparse else self.model.densify()
        before = frozen(self.model)
        if self.reference.kept is None:
            with pytest.raises(NotFittedError):
                self.model.predict(LAYOUTS[layout](X))
        else:
            assert len(self.model.predict(LAYOUTS[layout](X))) == N
            self.model.score(X, self.model.predict(X))
            repr(self.model), repr(self.model.history_), self.model.history_.to_frame()
        assert frozen(self.model) == before

    @rule(how=st.sampled_from(["pickle", "deepcopy", "clone", "return"]))
    def go_on_with_a_copy(self, how):
        """And leave the original behind; or return to it."""
        (model, reference), other = self.pair, self.other
        if how == "return":
            self.pair, self.other = other or self.pair, self.pair
            return
        self.other, reference = self.pair, copy.deepcopy(reference)
        if how == "clone":
            self.pair = clone(model), self.reference_class(reference.parameters)
        else:
            self.pair = pickle.loads(pickle.dumps(model)) if how == "pickle" else copy.deepcopy(model), reference

    @invariant()
    def models_are_what_the_references_say(self):
        for model, reference in filter(None, (self.pair, self.other)):
            for name, value in model.get_params().items():
                assert value == reference.parameters[name] or name == "random_state"
            assert reference.classes is None or list(model.classes_) == list(reference.classes)
            if reference.kept is None:
                assert not any(name.endswith("_") and not name.startswith("_") for name in vars(model))
            else:
                compare(model, reference, self.parts(model))


def compare(model, reference, parts):
    for ours, theirs in zip(parts, reference.kept.result(), strict=True):
        assert_allclose(ours, theirs, rtol=1e-9, atol=1e-10)
    last, updates = reference.rows[-1], reference.kept.updates
    assert (model.status_, model.n_iter_) == (reference.status, reference.n_iter)
    assert (model.n_updates_, model.batch_size_) == (last["n_updates"], last["batch_size"])
    assert model.t_ == (last["n_samples_seen"] if isinstance(reference, Network) else updates + 1)
    history, names = model.history_, {name for row in reference.rows for name in row}
    assert {*history} - {"seconds", "gradient_norm", "progressive_loss"} == names - {"progressive_loss"}
    assert history.n_epochs == len(reference.rows)
    for name in names:
        expected = [row.get(name, np.nan) for row in reference.rows]
        found = np.where(np.isnan(expected), np.nan, history[name]) if name == "progressive_loss" else history[name]
        assert_allclose(found, expected, rtol=1e-8, atol=1e-10, err_msg=name)


class LinearCalls(Calls):
    reference_class, huge = Linear, {"penalty": None}
    methods = {
        **Calls.methods,
        "fit from both": (True, True),
        "fit from coef": (True, None),
        "fit from b": (None, True),
    }
    wrong_values = {**WRONG_VALUES, "eta0": [0.0], "penalty": ["nonsense"], "average": [-1], "epsilon": [-1.0]}

    def parts(self, model):
        coef = model.coef_.toarray() if sp.issparse(model.coef_) else model.coef_
        return np.atleast_2d(coef).T, model.intercept_


class RegressorCalls(LinearCalls):
    estimator, fixed = MiniBatchSGDRegressor, {"adam_epsilon": 0.1}
    values = OF_LINEAR | {"loss": ["squared_error", "huber", "squared_epsilon_insensitive"]}
    huge = LinearCalls.huge | {"loss": "squared_error"}

    def task(self, chunk, partial, init=()):
        return regression(self.reference, chunk, partial, init)


class ClassifierCalls(LinearCalls):
    estimator, fixed = MiniBatchSGDClassifier, {"adam_epsilon": 0.1}
    values = OF_LINEAR | {
        "loss": ["log_loss", "squared_hinge", "modified_huber"],
        "multi_class": ["ovr", "multinomial"],
    }
    huge = LinearCalls.huge | {"loss": "squared_error", "multi_class": "ovr"}

    def task(self, chunk, partial, init=()):
        kinds, known = LABELS[: 3 if chunk.more else 2], self.reference.classes
        y = kinds[chunk.rows % len(kinds)]
        classes = np.unique(y) if not partial else kinds if known is None else known
        target = np.where(y[:, None] == (classes[1:] if len(classes) == 2 else classes), 1.0, -1.0)
        fits = len(classes) > 1 and {*y} <= {*classes} and self.reference.fits(target.shape[1], partial, init)
        fits = fits and (self.model.multi_class == "ovr" or self.model.loss == "log_loss")
        goes_on = self.model.warm_start and not partial and known is not None
        fits = fits and (not goes_on or {*y} == {*known})  # weights belong to classes
        return Task(y, target if fits else None, {"classes": classes} if partial and known is None else {}, classes)


class NetworkCalls(Calls):
    estimator, reference_class, huge = MiniBatchMLPRegressor, Network, {}
    fixed = {"hidden_layer_sizes": (2,), "activation": "tanh", "epsilon": 0.1}
    values, wrong_values = OF_NETWORK, {**WRONG_VALUES, "learning_rate_init": [0.0], "hidden_layer_sizes": [0, (2, 0)]}

    def task(self, chunk, partial, init=()):
        return regression(self.reference, chunk, partial, init)

    def parts(self, model):
        return [*model.coefs_, *model.intercepts_]


def regression(reference, chunk, partial, init):
    y = Y[chunk.rows] if chunk.more else Y[chunk.rows, 0]
    return Task(y, y.reshape(len(y), -1) if reference.fits(1 + chunk.more, partial, init) else None)


class TestRegressor(RegressorCalls.TestCase):
    settings = SETTINGS


class TestClassifier(ClassifierCalls.TestCase):
    settings = SETTINGS


class TestNetwork(NetworkCalls.TestCase):
    settings = SETTINGS
