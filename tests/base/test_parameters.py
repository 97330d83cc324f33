"""_base.parameters: what has been checked is not checked again, unless it is another value or may have changed."""

import pickle
from numbers import Real

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.utils._param_validation import Interval, InvalidParameterError

from minibatch._base.parameters import NamedParameters, check_changed
from references.fits import FOUR, model_of, parameters_of, target_of

random = np.random.default_rng(0)
X, Y = random.standard_normal((40, 3)), random.standard_normal(40)


class Looks(Interval):
    """Any number from 0 on, or a list; what was looked at."""

    def __init__(self):
        super().__init__(Real, 0, None, closed="left")
        self.values = []

    def is_satisfied_by(self, val):
        self.values.append(val)
        return isinstance(val, list) or val >= 0


class Toy(NamedParameters):
    def __init__(self, a=1.0, b=2.0):
        self.a = a
        self.b = b


@pytest.fixture
def looks(monkeypatch):
    constraint = Looks()
    monkeypatch.setattr(Toy, "_parameter_constraints", {"a": [constraint], "b": [constraint]}, raising=False)
    return constraint.values


def test_values_are_looked_at_once(looks):
    toy = Toy()
    check_changed(toy)
    check_changed(toy)
    assert looks == [1.0, 2.0]
    toy.b = 3.0
    check_changed(toy)
    assert looks == [1.0, 2.0, 3.0]
    check_changed(clone(toy))
    assert looks == [1.0, 2.0, 3.0, 1.0, 3.0]


def test_what_may_change_in_place_is_looked_at_every_time(looks):
    toy = Toy(b=[4.0])
    for _ in range(3):
        check_changed(toy)
    assert looks == [1.0, [4.0], [4.0], [4.0]]


def test_what_was_refused_is_refused_again(looks):
    toy = Toy()
    check_changed(toy)
    toy.a = -1.0
    for _ in range(2):
        with pytest.raises(InvalidParameterError, match="The 'a' parameter of Toy"):
            check_changed(toy)
    toy.a = 4.0
    check_changed(toy)
    assert looks == [1.0, 2.0, -1.0, -1.0, 4.0]


@pytest.mark.parametrize("estimator", FOUR)
def test_a_parameter_that_goes_wrong_in_a_stream_is_refused(estimator):
    target = target_of(estimator, Y)
    model = model_of(estimator).fit(X, target).partial_fit(X, target).partial_fit(X, target)
    before = parameters_of(model).copy()
    for name, bad, good in (("alpha", -1.0, 0.1), ("shuffle", "rows", True), ("batch_size", 0, 4)):
        setattr(model, name, bad)
        for _ in range(2):
            with pytest.raises(InvalidParameterError, match=name):
                model.partial_fit(X, target)
        setattr(model, name, good)
    assert_array_equal(parameters_of(model), before)
    assert model.partial_fit(X, target).history_["batch_size"][-1] == 4


@pytest.mark.parametrize("estimator", FOUR)
def test_files_do_not_hold_what_was_checked(estimator):
    target = target_of(estimator, Y)
    fitted = model_of(estimator).fit(X, target)
    names = fitted.__getstate__().keys()
    assert fitted.partial_fit(X, target).__getstate__().keys() == names
    loaded = pickle.loads(pickle.dumps(fitted))
    loaded.alpha = -1.0
    with pytest.raises(InvalidParameterError, match="alpha"):
        loaded.partial_fit(X, target)
