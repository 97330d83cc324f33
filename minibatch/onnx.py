"""Export to ONNX: converters of the estimators for skl2onnx, which is imported when they are asked for.

Every estimator is a stack of layers, a linear model a single one. Their scores become labels and probabilities,
predicted targets, or labels of outliers. ``op`` is skl2onnx's builder, a method for each operator that returns the name
of its output; ``array`` makes an array of the type that the graph computes in.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.polynomial import Chebyshev, Polynomial
from numpy.typing import NDArray
from scipy.special import erfcx
from sklearn.utils.validation import check_is_fitted

from minibatch.engine.batch_normalization import VARIANCE_EPSILON
from minibatch.linear_model import MiniBatchSGDClassifier, MiniBatchSGDOneClassSVM, MiniBatchSGDRegressor
from minibatch.neural_network import MiniBatchMLPClassifier, MiniBatchMLPRegressor

__all__ = ["register_converters"]


def register_converters() -> None:
    """Let skl2onnx convert the estimators, alone and inside pipelines.

    Call it before ``skl2onnx.to_onnx``, once in a process; again is harmless. Outputs are named and shaped as those of
    scikit-learn's ``SGDClassifier``, ``SGDRegressor``, ``SGDOneClassSVM``, ``MLPClassifier`` and ``MLPRegressor``;
    the label of a row on the boundary is that of an inlier, as ``predict`` says. Classifiers have the
    options ``zipmap`` and ``nocl``, the linear one ``raw_scores``: scores in place of probabilities, as losses without
    ``predict_proba`` give them always. For two classes these are ``-s`` and ``s``.

    Raises
    ------
    ImportError
        If skl2onnx is not installed.

    Notes
    -----
    The type of the input decides in which type the exported model computes: float64, or float32 for any other. Labels
    are strings or int64 (0 and 1 for bools); for several labels a row, a matrix of 0 and 1. onnxruntime has the
    dictionaries of ``zipmap=True``, the default, for float32 only.

    Examples
    --------
    >>> import numpy as np
    >>> from onnxruntime import InferenceSession
    >>> from skl2onnx import to_onnx
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from minibatch import MiniBatchSGDClassifier
    >>> from minibatch.onnx import register_converters
    >>> X, y = load_iris(return_X_y=True)
    >>> model = make_pipeline(
    ...     StandardScaler(), MiniBatchSGDClassifier("log_loss", random_state=0)
    ... ).fit(X, y)
    >>> register_converters()
    >>> exported = to_onnx(model, X[:1].astype(np.float32), options={"zipmap": False})
    >>> session = InferenceSession(
    ...     exported.SerializeToString(), providers=["CPUExecutionProvider"]
    ... )
    >>> labels, probabilities = session.run(None, {"X": X.astype(np.float32)})
    >>> bool((labels == model.predict(X)).all()), probabilities.shape
    (True, (150, 3))
    """
    try:
        from skl2onnx import update_registered_converter
    except ImportError as error:
        raise ImportError("Export to ONNX needs skl2onnx: pip install 'scikit-minibatch[onnx]'.") from error
    options = {"zipmap": [True, False, "columns"], "nocl": [True, False]}
    linear_options = {**options, "raw_scores": [True, False]}
    for classifier, its_options in ((MiniBatchSGDClassifier, linear_options), (MiniBatchMLPClassifier, options)):
        update_registered_converter(
            classifier,
            classifier.__name__,
            _classifier_shapes,
            _convert_classifier,
            parser=_parse_classifier,
            options=its_options,
        )
    for regressor in (MiniBatchSGDRegressor, MiniBatchMLPRegressor):
        update_registered_converter(regressor, regressor.__name__, _regressor_shapes, _convert_regressor)
    detector = MiniBatchSGDOneClassSVM
    update_registered_converter(detector, detector.__name__, _detector_shapes, _convert_detector)


# What skl2onnx calls, by the names of the parameters


def _parse_classifier(scope: Any, model: Any, inputs: Any, custom_parsers: Any = None) -> Any:
    """The parser of every classifier, which needs the classes."""
    from skl2onnx._parse import _parse_sklearn_classifier

    check_is_fitted(model)
    return _parse_sklearn_classifier(scope, model, inputs, custom_parsers=custom_parsers)


def _classifier_shapes(operator: Any) -> None:
    from skl2onnx.common.shape_calculator import calculate_linear_classifier_output_shapes

    calculate_linear_classifier_output_shapes(operator)
    labels, probabilities = operator.outputs
    if _is_multilabel(operator.raw_operator):
        labels.type.shape = probabilities.type.shape


def _regressor_shapes(operator: Any) -> None:
    from skl2onnx.common.shape_calculator import calculate_linear_regressor_output_shapes

    check_is_fitted(operator.raw_operator)
    calculate_linear_regressor_output_shapes(operator)
    _, intercepts = _layers(operator.raw_operator)[-1]
    operator.outputs[0].type.shape = [operator.inputs[0].get_first_dimension(), len(intercepts)]


def _detector_shapes(operator: Any) -> None:
    from skl2onnx.common.data_types import Int64TensorType

    check_is_fitted(operator.raw_operator)
    labels, scores = operator.outputs
    n_rows = operator.inputs[0].get_first_dimension()
    labels.type, scores.type.shape = Int64TensorType([n_rows]), [n_rows]


def _convert_classifier(scope: Any, operator: Any, container: Any) -> None:
    from onnx import TensorProto
    from skl2onnx.common.utils_classifier import get_label_classes

    model, op = operator.raw_operator, container.get_op_builder(scope)
    scores, array = _scores(op, operator)
    if _is_multilabel(model):
        labels = op.Cast(op.Greater(scores, array(0)), to=TensorProto.INT64)
    else:
        if len(model.classes_) == 2:
            scores = op.Concat(op.Neg(scores), scores, axis=1)
        largest = op.ArgMax(scores, axis=1, keepdims=0)  # of the scores: large ones may have the same probability
        labels = op.Gather(_labels(get_label_classes(scope, model)), largest, axis=0)
    raw_scores = container.get_options(model).get("raw_scores", False)
    probabilities = scores if raw_scores else _probabilities(op, array, model, scores)
    for name, output in zip((labels, probabilities), operator.outputs, strict=True):
        container.add_node("Identity", name, output.full_name, name=scope.get_unique_operator_name("Identity"))


def _convert_regressor(scope: Any, operator: Any, container: Any) -> None:
    model = operator.raw_operator
    op = container.get_op_builder(scope)
    scores, array = _scores(op, operator)
    if model.loss == "log_loss":  # not Sigmoid, see _probabilities
        scores = op.Reciprocal(op.Add(op.Exp(op.Neg(scores)), array(1)))
    link = "Exp" if model.loss in model._log_links else "Identity"
    container.add_node(link, scores, operator.outputs[0].full_name, name=scope.get_unique_operator_name(link))


def _convert_detector(scope: Any, operator: Any, container: Any) -> None:
    op = container.get_op_builder(scope)
    scores, array = _scores(op, operator)
    scores = op.Reshape(scores, np.array([-1], np.int64))
    labels = op.Where(op.Less(scores, array(0)), np.array([-1], np.int64), np.array([1], np.int64))
    for name, output in zip((labels, scores), operator.outputs, strict=True):
        container.add_node("Identity", name, output.full_name, name=scope.get_unique_operator_name("Identity"))


# From X to the scores


def _layers(model: Any) -> list[tuple[NDArray[Any], NDArray[Any]]]:
    """Weights (inputs, units) and intercepts of every layer, the batch normalization of its units among them.

    That of the inputs leaves the means to subtract: inside an intercept they would cost digits where they are large.
    """
    if not _is_network(model):
        coef = model.coef_.toarray() if sp.issparse(model.coef_) else model.coef_
        return [(np.atleast_2d(coef).T, model.intercept_)]
    weights, intercepts = list(model.coefs_), list(model.intercepts_)
    inverse = [1 / np.sqrt(variance.astype(np.float64) + VARIANCE_EPSILON) for variance in model.running_variances_]
    if _normalizes_inputs(model):
        weights[0] = inverse[-1][:, None] * weights[0]
    for layer, scale in enumerate(model.scales_):
        factor = scale * inverse[layer]
        weights[layer] = weights[layer] * factor
        intercepts[layer] = intercepts[layer] - model.running_means_[layer] * factor
    return list(zip(weights, intercepts, strict=True))


def _scores(op: Any, operator: Any) -> tuple[str, Callable[[Any], NDArray[Any]]]:
    """What the last layer gives, (n_samples, n_outputs), and ``array``."""
    from onnx import TensorProto
    from skl2onnx.common.data_types import DoubleTensorType

    model, double = operator.raw_operator, isinstance(operator.inputs[0].type, DoubleTensorType)
    array = partial(np.asarray, dtype=np.float64 if double else np.float32)
    values = op.Cast(operator.inputs[0].full_name, to=TensorProto.DOUBLE if double else TensorProto.FLOAT)
    if _normalizes_inputs(model):
        values = op.Sub(values, array(model.running_means_[-1]))
    for layer, (weights, intercepts) in enumerate(_layers(model)):
        if layer > 0:
            values = _activate(op, array, model._activation, values)
        values = op.Gemm(values, array(weights), array(intercepts))
    return values, array


def _activate(op: Any, array: Any, activation: str, z: str) -> str:
    if activation == "gelu":
        return _gelu(op, array, z)
    operators = {"identity": op.Identity, "logistic": op.Sigmoid, "tanh": op.Tanh, "relu": op.Relu}
    return operators[activation](z)


def _gelu(op: Any, array: Any, z: str) -> str:
    """``z Phi(z)`` with the normal distribution function ``Phi``.

    The error function ``Erf`` of onnxruntime is for float32 only. In float64 this is ``max(z, 0) - |z| Phi(-|z|)``, and
    the second term ``exp(-z^2 / 2)`` times a smooth function of ``|z|``: a polynomial in ``(1 - c |z|) / (1 + c |z|)``.
    At c = 0.3 and degree 22 it is right to 2e-15 where ``|z|`` is below 10.
    """
    if array(0).dtype == np.float32:
        above = op.Add(op.Erf(op.Mul(z, array(np.sqrt(0.5)))), array(1))
        return op.Mul(op.Mul(z, array(0.5)), above)
    c, degree = 0.3, 22

    def smooth(u: NDArray[Any]) -> NDArray[Any]:
        size = (1 - u) / (1 + u) / c
        return size * erfcx(size * np.sqrt(0.5)) / 2

    coefficients = Chebyshev.interpolate(smooth, degree).convert(kind=Polynomial).coef
    size = op.Abs(z)
    u = op.Sub(op.Div(array(2), op.Add(op.Mul(size, array(c)), array(1))), array(1))
    polynomial = op.Mul(u, array(coefficients[-1]))
    for coefficient in coefficients[-2:0:-1]:
        polynomial = op.Mul(op.Add(polynomial, array(coefficient)), u)
    polynomial = op.Add(polynomial, array(coefficients[0]))
    density = op.Exp(op.Mul(op.Mul(z, z), array(-0.5)))
    return op.Sub(op.Relu(z), op.Mul(density, polynomial))


# From the scores to labels and probabilities


def _labels(classes: NDArray[Any]) -> NDArray[Any]:
    """Labels as ONNX has them. (Those that are floats are whole numbers: scikit-learn takes no others for classes.)"""
    if all(isinstance(label, str) for label in classes):
        return np.array([label.encode() for label in classes], dtype=object)
    return classes.astype(np.int64)


def _probabilities(op: Any, array: Any, model: Any, scores: str) -> str:
    """Of the classes; the scores, where the loss has no probabilities."""
    network, n_classes = _is_network(model), len(model.classes_)
    softmax = model.out_activation_ == "softmax" if network else n_classes > 2 and model.multi_class == "multinomial"
    if softmax or n_classes == 1:  # of one class it is 1
        return op.Softmax(scores, axis=1)
    if network or model.loss == "log_loss":  # not Sigmoid, which onnxruntime lets end at -18
        values = op.Reciprocal(op.Add(op.Exp(op.Neg(scores)), array(1)))
    elif model.loss == "modified_huber":
        values = op.Clip(op.Mul(op.Add(scores, array(1)), array(0.5)), array(0), array(1))
    else:
        return scores
    if network or n_classes == 2:
        return values
    total = op.ReduceSumAnyOpset(values, np.array([1]), keepdims=1)
    # equal to 0, and not anything else: NaN stays NaN
    return op.Where(op.Equal(total, array(0)), array(1 / n_classes), op.Div(values, total))


# Kinds of models


def _is_network(model: Any) -> bool:
    return hasattr(model, "coefs_")


def _normalizes_inputs(model: Any) -> bool:
    return _is_network(model) and len(model.running_means_) > len(model.scales_)


def _is_multilabel(model: Any) -> bool:
    return _is_network(model) and model._label_binarizer.y_type_ == "multilabel-indicator"
