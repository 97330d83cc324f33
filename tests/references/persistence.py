"""The ways to save and load, each as a function of an object and a folder; equality of models bit for bit."""

import copy
import pickle

import joblib
import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_array_equal
from sklearn.preprocessing import LabelBinarizer

from minibatch import (
    History,
    MiniBatchMLPClassifier,
    MiniBatchMLPRegressor,
    MiniBatchSGDClassifier,
    MiniBatchSGDRegressor,
)

TYPES = (MiniBatchSGDClassifier, MiniBatchSGDRegressor, MiniBatchMLPClassifier, MiniBatchMLPRegressor)
# All that a file of ours asks users of skops to trust, each where it is in it.
TRUSTED = {f"{kind.__module__}.{kind.__name__}" for kind in (*TYPES, History)}


def through_pickle(saved, folder):
    return pickle.loads(pickle.dumps(saved))


def through_skops(saved, folder):
    skops = pytest.importorskip("skops.io")
    data = skops.dumps(saved)
    untrusted = skops.get_untrusted_types(data=data)
    of_ours = {name for name in untrusted if not name.startswith("sklearn.")}
    assert len(of_ours) == 1
    assert of_ours <= TRUSTED
    return skops.loads(data, trusted=untrusted)


def through_joblib(saved, folder, compress=0, mmap_mode=None):
    joblib.dump(saved, folder / "saved", compress=compress)
    return joblib.load(folder / "saved", mmap_mode=mmap_mode)


WAYS = {
    "pickle": through_pickle,
    "joblib": through_joblib,
    "joblib-compressed": lambda saved, folder: through_joblib(saved, folder, compress=3),
    "joblib-mapped": lambda saved, folder: through_joblib(saved, folder, mmap_mode="r"),
    "skops": through_skops,
}


def assert_same(a, b, ignore=()):
    """The same types and values, bit for bit, all the way down; ``ignore`` names columns of histories."""
    assert type(a) is type(b), (a, b)
    if isinstance(a, History):
        assert list(a) == list(b)
        assert a.n_epochs == b.n_epochs
        assert_same({name: a[name] for name in a if name not in ignore}, {n: b[n] for n in b if n not in ignore})
    elif isinstance(a, dict):
        assert a.keys() == b.keys()
        for key in a:
            assert_same(a[key], b[key], ignore)
        assert [type(key) for key in sorted(a, key=str)] == [type(key) for key in sorted(b, key=str)]
    elif isinstance(a, np.ndarray) or sp.issparse(a):
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        assert_array_equal(*(part.toarray() if sp.issparse(part) else part for part in (a, b)))
    elif isinstance(a, (list, tuple)):
        assert len(a) == len(b)
        for of_a, of_b in zip(a, b, strict=True):
            assert_same(of_a, of_b, ignore)
    elif isinstance(a, np.random.RandomState):
        assert_same(a.get_state(), b.get_state())
    elif isinstance(a, LabelBinarizer):
        assert_same(vars(a), vars(b))
    else:
        assert a == b or (a != a and b != b)


def plain(value):
    """Whether a value consists of builtins and arrays of builtins only."""
    if isinstance(value, dict):
        return type(value) is dict and all(map(plain, [*value, *value.values()]))
    if type(value) is np.ndarray:
        return value.dtype != object or plain(value.tolist())
    if type(value) in (list, tuple):
        return all(map(plain, value))
    return value is None or type(value) in (bool, int, float, str)


def state_of(model):
    """Of its own, to be changed."""
    return copy.deepcopy(model.__getstate__())


def loaded_from(estimator, state):
    model = estimator.__new__(estimator)
    model.__setstate__(state)
    return model
