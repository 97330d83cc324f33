"""Everything public on a few rows, from the call to what it prints: short enough for a debugger in plain Python, with
``NUMBA_DISABLE_JIT=1``. Other files say whether the numbers are right; here they are only bounded."""

import numpy as np
import pytest

from minibatch import MiniBatchMLPClassifier, MiniBatchMLPRegressor, MiniBatchSGDClassifier, MiniBatchSGDRegressor
from minibatch.diagnostics import (
    gradient_noise_curve,
    gradient_noise_scale,
    hessian_spectrum,
    learning_rate_range_test,
    loss_interpolation,
    norm_test,
    sharpness,
    stability_limit,
)
from minibatch.model_selection import convergence_curve, memory_required, recommend_batch_size

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
random = np.random.default_rng(0)
X = random.standard_normal((32, 2))
Y = X @ [1.0, -2.0] + 0.5 * random.standard_normal(32)
LABELS = np.digitize(Y, [-1.0, 1.0])
SGD = {"learning_rate": "constant", "eta0": 0.05, "max_iter": 4, "tol": None, "random_state": 0, "batch_size": 8}
NET = {"hidden_layer_sizes": (2,), "max_iter": 4, "tol": None, "random_state": 0, "batch_size": 8, "activation": "tanh"}
MODELS = {
    "binary": (MiniBatchSGDClassifier("log_loss", **SGD), LABELS > 0),
    "softmax": (MiniBatchSGDClassifier("log_loss", multi_class="multinomial", **SGD), LABELS),
    "regression": (MiniBatchSGDRegressor(**SGD), Y),
    "classifying net": (MiniBatchMLPClassifier(solver="sgd", **NET), LABELS),
    "net": (MiniBatchMLPRegressor(solver="sgd", **NET), Y),
}
EVERY_MODEL = pytest.mark.parametrize(("model", "y"), MODELS.values(), ids=MODELS.keys())


@EVERY_MODEL
def test_a_recommendation(model, y):
    advice = recommend_batch_size(model, X, y, random_state=0)
    assert 1 <= advice.batch_size <= len(X)
    assert (advice.learning_rate is None) == (model.learning_rate == "auto")
    assert f"Recommended batch size: {advice.batch_size}" in str(advice)
    assert "<table" in advice._repr_html_()
    assert {"batch_size", "predicted_updates", "measured_updates"} <= set(advice.to_frame().columns)


@EVERY_MODEL
def test_a_learning_rate(model, y):
    found = learning_rate_range_test(model, X, y, n_rates=20)
    assert len(found.rates) == len(found.smoothed) <= 20
    assert (np.diff(found.rates) > 0).all()


@EVERY_MODEL
def test_the_noise_of_gradients(model, y):
    fitted = model.fit(X, y)
    noise = gradient_noise_scale(fitted, X, y)
    assert noise.noise_scale > 0
    assert str(noise)
    assert len(gradient_noise_curve(model, X, y).noise_scales) > 1
    assert norm_test(fitted, X, y, batch_size=8).suggested_batch_size >= 1


@EVERY_MODEL
def test_curvature(model, y):
    fitted = model.fit(X, y)
    spectrum = hessian_spectrum(fitted, X, y)
    largest = spectrum.eigenvalues.max()
    assert largest > 0
    for kind in ("box", "worst_case", "average", "adaptive"):
        found = sharpness(fitted, X, y, kind=kind, random_state=0)
        assert np.isfinite(found.value)
        assert str(found)
    assert stability_limit(fitted, X, y) > 0


@EVERY_MODEL
def test_the_way_between_two_models(model, y):
    one, other = model.fit(X, y), type(model)(**{**model.get_params(), "max_iter": 9}).fit(X, y)
    path = loss_interpolation(one, other, X, y)
    assert np.isfinite(path.losses).all()


@EVERY_MODEL
def test_a_curve_and_what_it_costs(model, y):
    curve = convergence_curve(model, X, y, param_range=[4, "full"], cv=2, budget={"epochs": 3})
    assert curve.folds_["status"].shape == (2, 2)
    assert "ConvergenceCurve of 2 values" in str(curve)
    needed = memory_required(model, n_samples=1000, n_features=2, n_outputs=3 if y is LABELS else 1)
    assert needed.total > 0
    assert min(needed.parts.values()) >= 0
    assert str(needed)
