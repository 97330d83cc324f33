"""partial_fit where a row has several labels (scikit-learn#12505): chunks are an epoch, whatever they lack."""

import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import make_multilabel_classification
from sklearn.metrics import precision_score
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import scale

from minibatch import MiniBatchMLPClassifier
from references.refusals import assert_refuses

X, Y = make_multilabel_classification(240, 8, n_classes=4, n_labels=2, random_state=0)
X = scale(X)
COLUMNS = [0, 1, 2, 3]


def net(**parameters):
    common = {"hidden_layer_sizes": (6,), "solver": "sgd", "learning_rate": "constant", "learning_rate_init": 0.05}
    return MiniBatchMLPClassifier(
        **common | {"shuffle": False, "max_iter": 1, "tol": None, "random_state": 0} | parameters
    )


def in_chunks(model, size, target=Y, **more):
    for first in range(0, len(X), size):
        here = slice(first, first + size)
        model.partial_fit(X[here], target[here], classes=COLUMNS, **{n: v[here] for n, v in more.items()})
    return model


def theta(model):
    return np.concatenate([part.ravel() for part in (*model.coefs_, *model.intercepts_)])


@pytest.mark.parametrize(
    "layout", [np.asarray, sp.csr_array, lambda y: y.astype(bool)], ids=["ints", "sparse", "bools"]
)
@pytest.mark.parametrize("size", [1, 30, 240])
def test_chunks_of_one_batch_are_an_epoch(size, layout):
    whole = net(batch_size=size).fit(X, Y)
    chunks = in_chunks(net(batch_size=size), size, layout(Y))
    assert_allclose(theta(chunks), theta(whole), rtol=1e-10)
    assert_array_equal(chunks.classes_, COLUMNS)
    predicted = chunks.predict(X)
    predicted = predicted.toarray() if sp.issparse(predicted) else predicted
    assert_array_equal(predicted, chunks.predict_proba(X) > 0.5)


def test_weights_of_rows_and_of_labels():
    weight = np.random.default_rng(0).uniform(0.5, 1.5, len(X))
    weight /= weight.mean()
    of_labels = [{0: 1.0, 1: 2.0}] * 4
    chunks = in_chunks(net(batch_size=60, class_weight=of_labels), 60, sample_weight=weight)
    by_hand = weight * np.prod(np.where(Y, 2.0, 1.0), axis=1)
    same = in_chunks(net(batch_size=60), 60, sample_weight=by_hand)
    assert_allclose(theta(chunks), theta(same), rtol=1e-10)


def test_chunks_train_as_scikit_learns():
    """Its penalty is divided by the rows of the batch, and its momentum has the rate inside."""
    ours = net(alpha=0.01, batch_size=40)
    theirs = MLPClassifier(
        (6,), solver="sgd", learning_rate_init=0.05, alpha=0.01 * 40, batch_size=40, shuffle=False, random_state=0
    )
    for first in range(0, len(X), 40):
        rows, target = X[first : first + 40], Y[first : first + 40]
        ours.partial_fit(rows, target, classes=COLUMNS)
        theirs.partial_fit(rows, target, classes=COLUMNS)
    assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), rtol=1e-6)


def test_chunks_learn_as_much_as_a_fit():
    """The symptom of the issue: one call of partial_fit on all rows is one epoch, not a fit. As many calls as epochs
    are."""
    parameters = {"solver": "adam", "learning_rate_init": 0.01, "batch_size": 20}
    whole = net(**parameters, max_iter=40).fit(X, Y)
    calls = net(**parameters)
    one = precision_score(Y, calls.partial_fit(X, Y, classes=COLUMNS).predict(X), average="micro", zero_division=0)
    for _ in range(39):
        calls.partial_fit(X, Y)
    assert_allclose(theta(calls), theta(whole), rtol=1e-8)
    assert precision_score(Y, calls.predict(X), average="micro") > one + 0.05


@given(st.lists(st.integers(0, 239), min_size=1, max_size=12), st.lists(st.integers(0, 3), max_size=4))
def test_chunks_may_lack_labels(rows, lacking):
    target = Y.copy()
    target[:, lacking] = 0
    model = net().partial_fit(X[:20], Y[:20], classes=COLUMNS)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.partial_fit(X[rows], target[rows])
    assert model.predict_proba(X[:3]).shape == (3, 4)
    first = net().partial_fit(X[rows], target[rows], classes=COLUMNS)  # and the first may
    assert first.n_outputs_ == 4


def test_classes_may_be_said_again():
    model = net().partial_fit(X, Y, classes=COLUMNS)
    model.partial_fit(X, Y, classes=np.arange(4)).partial_fit(X, Y)
    assert_refuses(model, lambda: model.partial_fit(X, Y, classes=[0, 1, 2]), "classes")


@pytest.mark.parametrize("classes", [[0, 1], [0, 1, 2], range(5), ["a", "b", "c", "d"]])
def test_other_classes_than_the_columns_are_refused(classes):
    model = net()
    with pytest.raises(ValueError, match=r"classes must be the numbers of the columns of y, range\(4\)"):
        model.partial_fit(X, Y, classes=classes)
    assert not hasattr(model, "classes_")


def test_chunks_of_another_kind_are_refused():
    model = net().partial_fit(X, Y, classes=COLUMNS)
    assert_refuses(model, lambda: model.partial_fit(X, Y[:, :3]), "labels")
    assert_refuses(model, lambda: model.partial_fit(X, Y[:, 0]), "labels")
