"""neural_network: predictions from the parameters, types and shapes of targets, names of features."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import expit, softmax
from sklearn.exceptions import NotFittedError

from minibatch import MiniBatchMLPClassifier, MiniBatchMLPRegressor
from references.network import forward, net_of
from references.network_tasks import D, N, X, X_new, every_task, fitted, forward_of, model_of, three, two, y


@every_task
def test_predictions_come_from_the_parameters(task):
    model = fitted(task)
    scores, _ = forward(net_of(model), X_new, "tanh")
    found = forward_of(model, X_new)
    if task == "binary":
        assert_allclose(found, np.c_[expit(-scores), expit(scores)], rtol=1e-10)
        assert_array_equal(model.predict(X_new), np.where(scores[:, 0] > 0, "yes", "no"))
    elif task == "classes":
        assert_allclose(found, softmax(scores, axis=1), rtol=1e-10)
        assert_array_equal(model.predict(X_new), model.classes_[scores.argmax(axis=1)])
        assert_array_equal(model.classes_, ["low", "middle", "top"])
    elif task == "labels":
        assert_allclose(found, expit(scores), rtol=1e-10)
        assert_array_equal(model.predict(X_new), (scores > 0).astype(int))
    else:
        expected = {"poisson": np.exp, "shares": expit}.get(task, np.asarray)(scores)
        assert_allclose(found, expected if expected.shape[1] > 1 else expected[:, 0], rtol=1e-10)
    if task in ("binary", "classes"):
        assert_allclose(found.sum(axis=1), 1.0, rtol=1e-12)
        assert_allclose(model.predict_log_proba(X_new), np.log(found), rtol=1e-12)


@pytest.mark.parametrize("task", ["classes", "regression"])
@pytest.mark.parametrize("parameters", [{}, {"batch_normalization": True}])
@pytest.mark.parametrize("layout", [np.asarray, sp.csr_array], ids=["dense", "csr"])
def test_many_rows_are_predicted_like_few(task, parameters, layout):
    """3000 rows go through the network in blocks, and with a wide layer on several threads."""
    model = fitted(task, hidden_layer_sizes=(900,), max_iter=1, learning_rate_init=0.001, **parameters)
    rows = layout(np.random.default_rng(3).standard_normal((3000, D)))
    pieces = [forward_of(model, rows[start : start + 700]) for start in range(0, 3000, 700)]
    assert_allclose(forward_of(model, rows), np.concatenate(pieces), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("target", [two, y > 0, np.where(y > 0, 7, -3), three, np.digitize(y, [-1, 1])], ids=repr)
def test_labels_of_any_type(target):
    model = model_of("classes", solver="adam", max_iter=60).fit(X, target)
    assert_array_equal(model.classes_, np.unique(target))
    predicted = model.predict(X)
    assert predicted.dtype == target.dtype
    assert (predicted == target).mean() > 0.7
    assert_array_equal(predicted, model.classes_[model.predict_proba(X).argmax(axis=1)])


def test_a_column_stays_a_column():
    model = model_of("regression").fit(X, y[:, None])
    assert model.predict(X).shape == (N, 1)
    assert_array_equal(model.predict(X)[:, 0], fitted("regression").predict(X))


@pytest.mark.parametrize("estimator", [MiniBatchMLPClassifier, MiniBatchMLPRegressor])
def test_prediction_before_fit(estimator):
    with pytest.raises(NotFittedError):
        estimator().predict(X)


def test_feature_names():
    frame = pd.DataFrame(X, columns=list("abc"))
    model = fitted("classes", frame)
    assert list(model.feature_names_in_) == list("abc")
    assert_array_equal(model.predict_proba(frame), fitted("classes").predict_proba(X))
    with pytest.raises(ValueError, match="feature names"):
        model.predict(frame[["b", "a", "c"]])
    with pytest.warns(UserWarning, match="feature names"):
        model.predict(X)
