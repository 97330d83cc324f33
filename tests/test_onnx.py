"""onnx: exported models give what the estimators give, for everything that these can be."""

import subprocess
import sys

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import expit, ndtr
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import SGDClassifier, SGDRegressor
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from minibatch import (
    MiniBatchMLPClassifier,
    MiniBatchMLPRegressor,
    MiniBatchSGDClassifier,
    MiniBatchSGDOneClassSVM,
    MiniBatchSGDRegressor,
)
from minibatch.engine.activations import ACTIVATIONS
from minibatch.onnx import register_converters
from references.network_tasks import TASKS, every_task, model_of

onnxruntime = pytest.importorskip("onnxruntime")
skl2onnx = pytest.importorskip("skl2onnx")

rng = np.random.default_rng(0)
X = 2.0 * rng.standard_normal((24, 3)) + [0.0, 1.0, -3.0]
X_new = 2.0 * rng.standard_normal((50, 3)) + [0.0, 1.0, -3.0]
y = X @ [0.5, -1.0, 0.3] + rng.standard_normal(24)
two, three = np.digitize(y, [np.median(y)]), np.digitize(y, np.quantile(y, [0.3, 0.6]))
ESTIMATORS = [MiniBatchSGDClassifier, MiniBatchSGDRegressor, MiniBatchMLPClassifier, MiniBatchMLPRegressor]
WITH_PROBABILITIES = ("log_loss", "modified_huber")
every_type = pytest.mark.parametrize("dtype", ["float32", "float64"])


@pytest.fixture(autouse=True, scope="module")
def registered():
    register_converters()
    register_converters()


def exported(model, X, target_opset=None, **options):
    """What the exported model gives for X: arrays of the shapes that it declares, or dictionaries."""
    proto = skl2onnx.to_onnx(model, X[:1], options=options or None, target_opset=target_opset)
    values = session_of(proto).run(None, {"X": X})
    for value, output in zip(values, proto.graph.output, strict=True):
        shape = [size.dim_value for size in output.type.tensor_type.shape.dim]  # 0 where it is open
        assert isinstance(value, list) or shape == [0, *value.shape[1:]]
    return values


def session_of(proto):
    return onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])


def assert_close(found, expected):
    """To rounding in the type of ``found``."""
    assert found.dtype in (np.float32, np.float64)
    rtol, atol = (1e-5, 2e-6) if found.dtype == np.float32 else (1e-10, 1e-12)
    assert_allclose(found, expected, rtol=rtol, atol=atol)


def assert_classifies_alike(model, X, **more):
    labels, probabilities = exported(model, X, zipmap=False, **more)
    assert_array_equal(labels, model.predict(X))
    assert_close(probabilities, model.predict_proba(X))
    return labels, probabilities


def linear(loss="log_loss", target=three, dtype="float64", **parameters):
    return MiniBatchSGDClassifier(loss, max_iter=5, tol=None, random_state=0, **parameters).fit(X.astype(dtype), target)


def network(dtype="float64", **parameters):
    return model_of("classes", **parameters).fit(X.astype(dtype), three)


def with_scores(scores, loss="log_loss", dtype="float64", **parameters):
    """A linear classifier of as many classes as there are columns, and rows to which it gives these scores."""
    n_classes = max(2, scores.shape[1])
    model = MiniBatchSGDClassifier(loss, max_iter=1, tol=None, **parameters)
    model.fit(np.zeros((n_classes, scores.shape[1]), dtype), np.arange(n_classes))
    model.coef_, model.intercept_ = np.eye(scores.shape[1], dtype=dtype), np.zeros(scores.shape[1], dtype)
    return model, scores.astype(dtype)


# Linear models


@every_type
@pytest.mark.parametrize("target", [two, three], ids=["binary", "ovr"])
@pytest.mark.parametrize("loss", MiniBatchSGDClassifier.loss_functions)
def test_linear_classifiers(loss, target, dtype):
    model, rows = linear(loss, target, dtype), X_new.astype(dtype)
    scores = model.decision_function(rows)
    scores = np.c_[-scores, scores] if scores.ndim == 1 else scores
    if loss in WITH_PROBABILITIES:
        assert_classifies_alike(model, rows)
        labels, values = exported(model, rows, zipmap=False, raw_scores=True)
    else:
        labels, values = exported(model, rows, zipmap=False)
    assert_array_equal(labels, model.predict(rows))
    assert values.dtype == dtype
    assert_close(values, scores)


@every_type
@pytest.mark.parametrize("target", [two, three], ids=["binary", "softmax"])
def test_multinomial(target, dtype):
    model = linear(target=target, dtype=dtype, multi_class="multinomial", fit_intercept=False).sparsify()
    assert_classifies_alike(model, X_new.astype(dtype))


@pytest.mark.parametrize("loss", WITH_PROBABILITIES)
def test_without_any_probability_left_all_are_alike(loss):
    model, rows = with_scores(np.array([[-2e3, -3e3, -1e3], [-2.0, -1.0, -4.0], [5.0, 3.0, 4.0], [0.0, 0, 0]]), loss)
    _, probabilities = assert_classifies_alike(model, rows)
    assert_array_equal(probabilities[0], [1 / 3] * 3)
    assert_array_equal(exported(model, rows, zipmap=False)[0], [2, 1, 0, 0])  # equal probabilities, unequal scores


@every_type
def test_small_probabilities_keep_their_digits(dtype):
    scores = np.array([-80.0, -40.0, -20.0, -1.0, 0.0, 1.0, 20.0])
    model, rows = with_scores(scores[:, None], dtype=dtype)
    labels, probabilities = exported(model, rows, zipmap=False)
    assert_array_equal(labels, scores > 0)
    assert_allclose(probabilities, expit(np.c_[-scores, scores]), rtol=1e-6)


@every_type
@pytest.mark.parametrize("sparse", [False, True], ids=["dense", "sparsified"])
@pytest.mark.parametrize("outputs", ["one", "column", "two"])
@pytest.mark.parametrize("loss", ["squared_error", "quantile", "poisson", "gamma", "log_loss"])
def test_linear_regressors(loss, outputs, sparse, dtype):
    target = {"one": np.exp(0.3 * y), "column": np.exp(0.3 * y)[:, None], "two": np.exp(0.3 * np.c_[y, X[:, 0]])}
    model = MiniBatchSGDRegressor(loss, penalty="l1", max_iter=5, tol=None, random_state=0)
    model.fit(X.astype(dtype), target[outputs] / (1 + target[outputs]) if loss == "log_loss" else target[outputs])
    model = model.sparsify() if sparse else model
    (predicted,) = exported(model, X_new.astype(dtype))
    assert predicted.shape == (len(X_new), 2 if outputs == "two" else 1)
    assert predicted.dtype == dtype
    assert_close(predicted, model.predict(X_new.astype(dtype)).reshape(predicted.shape))


# Networks


@every_type
@every_task
@pytest.mark.parametrize("normalization", [False, True, "input"])
def test_networks(task, normalization, dtype):
    model = model_of(task, batch_normalization=normalization, batch_size=6).fit(X.astype(dtype), TASKS[task][2])
    rows = X_new.astype(dtype)
    if isinstance(model, MiniBatchMLPClassifier):
        labels, probabilities = assert_classifies_alike(model, rows)
        assert labels.shape == model.predict(rows).shape
        assert probabilities.dtype == dtype
    else:
        (predicted,) = exported(model, rows)
        assert predicted.dtype == dtype
        assert predicted.shape == (len(rows), model.n_outputs_)
        assert_close(predicted, model.predict(rows).reshape(predicted.shape))


@every_type
@pytest.mark.parametrize("normalization", [False, True, "input"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activations(activation, normalization, dtype):
    net = network(dtype, activation=activation, batch_normalization=normalization, batch_size=6)
    assert_classifies_alike(net, X_new.astype(dtype))


@every_type
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activations_far_and_near(activation, dtype):
    """One unit that passes its input on, from 0 to where the exponential overflows."""
    net = MiniBatchMLPRegressor(hidden_layer_sizes=(1,), activation=activation, max_iter=1, tol=None).fit(
        np.ones((2, 1), dtype), [0.0, 1.0]
    )
    net.coefs_, net.intercepts_ = [np.ones((1, 1), dtype)] * 2, [np.zeros(1, dtype)] * 2
    z = np.concatenate([np.linspace(-12, 12, 4001), [1e-9, -1e-9, 40, -40, 1e3, -1e3, 1e30, -1e30]]).astype(dtype)
    (found,) = exported(net, z[:, None])
    expected = z * ndtr(z) if activation == "gelu" else net.predict(z[:, None])
    rtol, atol = (1e-6, 1e-6) if dtype == "float32" else (1e-14, 1e-14)
    assert_allclose(found[:, 0], expected, rtol=rtol, atol=atol)


def test_statistics_are_the_running_ones():
    """Units that hardly vary, so that what is added to their variance counts."""
    rows = 0.003 * X
    net = model_of("regression", batch_normalization="input", batch_size=6, max_iter=20).fit(rows, y)
    net.scales_ = [2.0 * scale for scale in net.scales_]
    assert_close(exported(net, 0.01 * X_new)[0][:, 0], net.predict(0.01 * X_new))


def test_large_means_of_inputs_cost_no_digits():
    rows = X.astype(np.float32) + np.float32(1e5)
    net = model_of("regression", batch_normalization="input", batch_size=6, max_iter=50).fit(rows, y)
    assert_close(exported(net, rows)[0][:, 0], net.predict(rows))


def test_a_network_that_knows_one_class():
    net = MiniBatchMLPClassifier((2,), max_iter=1, tol=None).fit(X, np.full(len(X), "only"))
    _, probabilities = assert_classifies_alike(net, X_new)
    assert probabilities.shape == (len(X_new), 1)


# Labels, types of the input, options


LABELS = [
    np.array([-7, 3, 2**40]),
    np.array([0, 1, 2], dtype=np.uint8),
    np.array([1.0, 2.0, 5.0]),
    np.array(["ä", "b", "long name"]),
    np.array(["ä", "b", "long name"], dtype=object),
    np.array([False, True, True]),
]


@pytest.mark.parametrize("target", [two, three], ids=["two", "three"])
@pytest.mark.parametrize("names", LABELS, ids=lambda names: names.dtype.name)
@pytest.mark.parametrize("estimator", [MiniBatchSGDClassifier, MiniBatchMLPClassifier])
def test_labels_of_any_type(estimator, names, target):
    model = linear() if estimator is MiniBatchSGDClassifier else model_of("classes", learning_rate_init=0.5)
    model.fit(X, names[target])
    labels, probabilities = assert_classifies_alike(model, X_new)
    assert labels.dtype == (object if names.dtype.kind in "UO" else np.int64)

    rows = X_new.astype(np.float32)
    labels, dictionaries = exported(model, rows)
    assert_array_equal(labels, model.predict(rows))
    assert_allclose([[row[name] for name in model.classes_.tolist()] for row in dictionaries], probabilities, rtol=1e-5)

    labels, *columns = exported(model, rows, zipmap="columns")
    assert_array_equal(labels, model.predict(rows))
    assert_allclose(np.stack(columns, axis=1), probabilities, rtol=1e-5)

    labels, again = exported(model, rows, zipmap=False, nocl=True)
    assert_array_equal(model.classes_[labels], model.predict(rows))
    assert_allclose(again, probabilities, rtol=1e-5)


def test_several_labels_a_row_as_dictionaries():
    model = model_of("labels").fit(X, TASKS["labels"][2])
    labels, dictionaries = exported(model, X_new.astype(np.float32))
    assert_array_equal(labels, model.predict(X_new))
    assert_allclose([[row[k] for k in range(3)] for row in dictionaries], model.predict_proba(X_new), rtol=1e-5)


@pytest.mark.parametrize("dtype", [np.int64, bool])
@pytest.mark.parametrize("fit", [linear, network])
def test_whole_numbers_are_float32(fit, dtype):
    _, probabilities = assert_classifies_alike(fit(), np.round(X_new).astype(dtype))
    assert probabilities.dtype == np.float32


@every_type
@pytest.mark.parametrize("fit", [linear, network])
def test_the_input_decides_the_type(fit, dtype):
    """A model of float64 on rows of float32, and the other way round: equal to the coarser type."""
    other = {"float32": "float64", "float64": "float32"}[dtype]
    model, rows = fit(dtype=dtype), X_new.astype(other)
    _, probabilities = exported(model, rows, zipmap=False)
    assert probabilities.dtype == other
    assert_allclose(probabilities, model.predict_proba(rows), rtol=1e-5)


def described(model, X, **options):
    session = session_of(skl2onnx.to_onnx(model, X[:1], options=options or None))
    return [(output.name, output.type, output.shape) for output in session.get_outputs()]


@pytest.mark.parametrize(
    ("options", "dtype"),
    [
        ({}, "float32"),
        ({"zipmap": False}, "float32"),
        ({"zipmap": False}, "float64"),
        ({"zipmap": "columns"}, "float64"),
    ],
)
@pytest.mark.parametrize("target", [two, np.array(["a", "b", "c"])[three]], ids=["binary", "strings"])
def test_classifiers_have_the_outputs_of_scikit_learn(target, options, dtype):
    rows = X_new.astype(dtype)
    theirs = described(SGDClassifier("log_loss").fit(X, target), rows, **options)
    assert described(linear(target=target), rows, **options) == theirs
    net, their_net = (
        kind((2,)).partial_fit(X, target, classes=np.unique(target)) for kind in (MiniBatchMLPClassifier, MLPClassifier)
    )
    assert described(net, rows, **options) == described(their_net, rows, **options)


@every_type
def test_regressors_have_the_outputs_of_scikit_learn(dtype):
    rows = X_new.astype(dtype)
    expected = [("variable", f"tensor({'float' if dtype == 'float32' else 'double'})", [None, 1])]
    for model in (MiniBatchSGDRegressor(), SGDRegressor(), MiniBatchMLPRegressor(), MLPRegressor()):
        assert described(model.partial_fit(X, y), rows) == expected


@pytest.mark.parametrize("opset", [12, 13, 18])
def test_older_operators(opset):
    for model in (linear("modified_huber"), network(activation="gelu")):
        assert_classifies_alike(model, X_new, target_opset=opset)


# In a pipeline


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_pipelines(estimator):
    network = estimator in (MiniBatchMLPClassifier, MiniBatchMLPRegressor)
    classifier = estimator in (MiniBatchSGDClassifier, MiniBatchMLPClassifier)
    model = estimator(**({"hidden_layer_sizes": (4,)} if network else {}), max_iter=5, tol=None, random_state=0)
    search = GridSearchCV(
        make_pipeline(StandardScaler(), model), {f"{estimator.__name__.lower()}__batch_size": [4]}, cv=2
    )
    search.fit(X, three if classifier else y)
    for fitted in (search.best_estimator_, search):
        found, *_ = exported(fitted, X_new, **({"zipmap": False} if classifier else {}))
        assert_allclose(found.reshape(-1), fitted.predict(X_new), rtol=1e-10)


# What goes wrong


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_a_model_that_is_not_fitted(estimator):
    for model in (estimator(), make_pipeline(StandardScaler().fit(X), estimator())):
        with pytest.raises(NotFittedError, match=f"This {estimator.__name__} instance is not fitted yet"):
            skl2onnx.to_onnx(model, X[:1])


def test_wrong_calls():
    with pytest.raises(NameError, match="Option 'raw_scores' not in"):
        exported(network(), X_new, raw_scores=True)
    with pytest.raises(ValueError, match="Unexpected value"):
        exported(linear(), X_new, zipmap="rows")
    with pytest.raises(RuntimeError, match="wrong type"):
        exported(linear(), X_new.astype(np.int32))


def test_without_skl2onnx(monkeypatch):
    monkeypatch.setitem(sys.modules, "skl2onnx", None)
    with pytest.raises(ImportError, match=r"pip install 'scikit-minibatch\[onnx\]'"):
        register_converters()


def test_nothing_of_onnx_is_imported_before_it_is_asked_for():
    code = "import sys, minibatch, minibatch.onnx; assert not {'onnx', 'onnxruntime', 'skl2onnx'} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", code], check=True)


@every_type
@pytest.mark.parametrize("sparsified", [False, True])
def test_outlier_detectors(dtype, sparsified):
    model = MiniBatchSGDOneClassSVM(nu=0.3, random_state=0).fit((X + 5.0).astype(dtype))
    model = model.sparsify() if sparsified else model
    new = (X_new + 5.0).astype(dtype)
    labels, scores = exported(model, new)
    assert scores.dtype == dtype
    assert_close(scores, model.decision_function(new))
    assert labels.dtype == np.int64
    assert_array_equal(labels, model.predict(new))
    assert set(labels) == {-1, 1}


def test_a_row_on_the_boundary_is_an_inlier():
    model = MiniBatchSGDOneClassSVM(random_state=0).fit(X)
    model.coef_, model.offset_ = np.zeros(3), np.zeros(1)
    labels, scores = exported(model, X_new)
    assert_array_equal(labels, model.predict(X_new))
    assert (labels == 1).all()
    assert not scores.any()
