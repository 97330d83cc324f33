"""neural_network, wrong labels: in chunks, in validation sets, in a warm start."""

from itertools import permutations

import numpy as np
import pytest

from minibatch import MiniBatchMLPClassifier
from references.refusals import assert_refuses

rng = np.random.default_rng(0)
X = rng.standard_normal((31, 3))
labels = np.arange(31) % 3
indicators = np.c_[labels == 0, labels == 1].astype(int)


def new(**parameters):
    return MiniBatchMLPClassifier(hidden_layer_sizes=(3,), tol=None, max_iter=2, random_state=0, **parameters)


def test_one_class_is_learnt():
    """As in scikit-learn, whose networks take it."""
    model = new().fit(X, np.full(31, "only"))
    assert (model.predict(X) == "only").all()


def test_continuous_labels():
    model = new().fit(X, labels)
    assert_refuses(model, lambda: model.fit(X, X[:, 0]), "continuous")


@pytest.mark.parametrize("target", [labels, indicators], ids=["classes", "labels"])
def test_the_first_chunk_without_classes(target):
    with pytest.raises(ValueError, match="classes"):
        MiniBatchMLPClassifier().partial_fit(X, target)


def test_the_first_chunk_with_too_few_classes():
    model = new()
    for classes in ([0], [0, 1]):
        with pytest.raises(ValueError, match="class"):
            model.partial_fit(X, labels, classes=classes)
    assert not hasattr(model, "classes_")
    assert model.partial_fit(X, labels, classes=[0, 1, 2]).n_outputs_ == 3


def test_unknown_labels_in_later_chunks():
    model = new().fit(X, labels)
    assert_refuses(model, lambda: model.partial_fit(X, labels + 1), "labels", "[3]")
    assert_refuses(model, lambda: model.partial_fit(X, labels, classes=[0, 1, 2, 3]), "classes")


KINDS = {
    "two": labels % 2,
    "classes": labels,
    "labels": indicators,
    "more labels": np.c_[indicators, labels == 2].astype(int),
}


OTHER_KINDS = pytest.mark.parametrize(
    ("known", "wrong"),
    # two of three classes are no other kind
    [pair for pair in permutations(KINDS, 2) if pair != ("classes", "two")],
)


@OTHER_KINDS
def test_a_chunk_of_another_kind_of_labels(known, wrong):
    model = new().fit(X, KINDS[known])
    assert_refuses(model, lambda: model.partial_fit(X, KINDS[wrong]))


@OTHER_KINDS
def test_a_validation_set_of_another_kind_of_labels(known, wrong):
    model = new().fit(X, KINDS[known])
    assert_refuses(model, lambda: model.fit(X, KINDS[known], X_val=X, y_val=KINDS[wrong]), "Validation set")


@OTHER_KINDS
def test_a_warm_start_with_another_kind_of_labels(known, wrong):
    model = new(warm_start=True).fit(X, KINDS[known])
    assert_refuses(model, lambda: model.fit(X, KINDS[wrong]))


def test_a_warm_start_with_other_classes():
    model = new(warm_start=True).fit(X, labels)
    for wrong in (labels + 1, labels % 2, labels.astype(str)):
        assert_refuses(model, lambda wrong=wrong: model.fit(X, wrong), "class")
