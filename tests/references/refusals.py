"""What a call with wrong input must do, whatever the estimator."""

import pickle
from copy import copy

import numpy as np
import pytest


def predictions_of(model):
    """Of rows of its width. ``predict`` of a network looks at ``activation``, which may be what is wrong."""
    rows = np.random.default_rng(1).standard_normal((31, model.n_features_in_))
    return (copy(model).set_params(activation="relu") if hasattr(model, "activation") else model).predict(rows)


def assert_refuses(model, call, *named, error=(ValueError, TypeError)):
    """``call`` raises, names what is wrong, and changes neither attributes nor predictions."""
    before, predictions, history = pickle.dumps(vars(model)), predictions_of(model), model.history_.copy()
    with pytest.raises(error) as caught:
        call()
    for name in named:
        assert name in str(caught.value)
    assert pickle.dumps(vars(model)) == before
    assert np.array_equal(predictions_of(model), predictions)
    assert model.history_ == history
