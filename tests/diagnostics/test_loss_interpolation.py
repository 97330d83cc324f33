"""Loss along a path between two fits: closed forms, both paths, what it refuses."""

import copy
import pickle

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_diabetes, load_digits
from sklearn.exceptions import NotFittedError
from sklearn.metrics import log_loss
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from minibatch import MiniBatchMLPClassifier, MiniBatchMLPRegressor, MiniBatchSGDClassifier, MiniBatchSGDRegressor
from minibatch.diagnostics import loss_interpolation

PLACES = np.arange(-4, 9) / 4  # 0 and 1 at 4 and 8


@pytest.fixture(scope="module")
def least_squares():
    random = np.random.default_rng(0)
    X = random.standard_normal((50, 3))
    return X, X @ [1.0, 2.0, 3.0] + 1 + 0.1 * random.standard_normal(50)


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return X[:300] / 16, y[:300]


def fits(estimator, X, y, sizes=(8, 64)):
    """The estimator fitted for three epochs with two batch sizes."""
    return [copy.deepcopy(estimator).set_params(batch_size=b, max_iter=3, tol=None).fit(X, y) for b in sizes]


def regressors(X, y, **parameters):
    return fits(MiniBatchSGDRegressor(random_state=0, **parameters), X, y)


class TestAgainstClosedForms:
    def test_the_line_between_two_least_squares_fits_is_a_parabola_with_the_known_curvature(self, least_squares):
        X, y = least_squares
        a, b = regressors(X, y)
        result = loss_interpolation(a, b, X, y, alphas=PLACES)
        ones = np.column_stack([X, np.ones(len(X))])
        step = np.append(b.coef_ - a.coef_, b.intercept_ - a.intercept_)
        curvature = step @ (ones.T @ ones / len(X)) @ step
        assert_allclose(np.diff(result.losses, 2), curvature / 16, rtol=1e-9)
        half = [0.5 * np.mean((model.predict(X) - y) ** 2) for model in (a, b)]
        assert_allclose(result.end_losses, half)
        assert_allclose(result.losses[[4, 8]], half)

    def test_scores_along_the_line_are_r_squared_of_the_mixed_predictions(self, least_squares):
        X, y = least_squares
        a, b = regressors(X, y)
        result = loss_interpolation(a, b, X, y, alphas=PLACES)
        for alpha, score in zip(PLACES, result.scores, strict=True):
            predicted = (1 - alpha) * a.predict(X) + alpha * b.predict(X)
            assert score == pytest.approx(1 - np.sum((y - predicted) ** 2) / np.sum((y - y.mean()) ** 2))
        assert result.score_name == "R squared"

    def test_the_curved_path_has_the_weights_of_sine_and_cosine(self, least_squares):
        X, y = least_squares
        a, b = regressors(X, y)
        result = loss_interpolation(a, b, X, y, alphas=PLACES, path="curved")
        for alpha, loss in zip(PLACES, result.losses, strict=True):
            predicted = np.cos(alpha * np.pi / 2) * a.predict(X) + np.sin(alpha * np.pi / 2) * b.predict(X)
            assert loss == pytest.approx(0.5 * np.mean((y - predicted) ** 2))

    def test_the_line_of_a_network_is_the_network_of_the_mixed_weights(self, digits):
        X, y = digits
        a, b = fits(MiniBatchMLPClassifier((6,), random_state=0), X, y)
        result = loss_interpolation(a, b, X, y, alphas=[-0.5, 0.3, 2.0])
        for alpha, loss, score in zip(result.alphas, result.losses, result.scores, strict=True):
            mixed = copy.deepcopy(a)
            for name in ("coefs_", "intercepts_"):
                parts = zip(getattr(a, name), getattr(b, name), strict=True)
                setattr(mixed, name, [(1 - alpha) * first + alpha * second for first, second in parts])
            assert loss == pytest.approx(log_loss(y, mixed.predict_proba(X)))
            assert score == mixed.score(X, y)


MODELS = {
    "binary": (MiniBatchSGDClassifier("log_loss", random_state=0), "cancer"),
    "hinge, one against the rest": (MiniBatchSGDClassifier(random_state=0, average=True), "digits"),
    "softmax": (MiniBatchSGDClassifier("log_loss", multi_class="multinomial", random_state=0), "digits"),
    "network": (MiniBatchMLPClassifier((5, 4), random_state=0), "digits"),
    "class weights": (MiniBatchMLPClassifier((5,), class_weight="balanced", random_state=0), "cancer"),
    "batch normalization": (MiniBatchMLPClassifier((5,), batch_normalization=True, random_state=0), "digits"),
    "poisson network": (MiniBatchMLPRegressor("poisson", hidden_layer_sizes=(5,), random_state=0), "digits"),
}


class TestEnds:
    @pytest.mark.parametrize("path", ["straight", "curved"])
    @pytest.mark.parametrize("name", MODELS)
    def test_they_are_the_two_models(self, name, path, request):
        estimator, data = MODELS[name]
        X, y = request.getfixturevalue(data)
        a, b = fits(estimator, X[:200], y[:200])
        result = loss_interpolation(
            a, b, X[:200], y[:200], X_test=X[200:], y_test=y[200:], alphas=[0, 0.5, 1], path=path
        )
        assert_allclose(result.losses[[0, 2]], [model._loss(X[:200], y[:200]) for model in (a, b)], rtol=1e-12)
        assert_array_equal(result.end_losses, result.losses[[0, 2]])
        assert_allclose(result.test_losses[[0, 2]], [model._loss(X[200:], y[200:]) for model in (a, b)], rtol=1e-12)
        if hasattr(a, "classes_"):
            assert_allclose(result.end_scores, [model.score(X[:200], y[:200]) for model in (a, b)])
            assert_allclose(result.test_scores[[0, 2]], [model.score(X[200:], y[200:]) for model in (a, b)])
            assert result.score_name == "accuracy"

    def test_the_losses_of_a_classifier_are_those_that_scikit_learn_computes(self, cancer):
        X, y = cancer
        models = fits(MiniBatchSGDClassifier("log_loss", alpha=0.1, random_state=0), X, y)
        weight = np.random.default_rng(0).uniform(size=len(y))
        result = loss_interpolation(*models, X, y, sample_weight=weight)
        expected = [log_loss(y, model.predict_proba(X), sample_weight=weight) for model in models]
        assert_allclose(result.end_losses, expected)
        assert_allclose(result.end_scores, [model.score(X, y, weight) for model in models])

    def test_the_default_places_hold_both(self, least_squares):
        a, b = regressors(*least_squares)
        result = loss_interpolation(a, b, *least_squares)
        assert result.alphas.shape == result.losses.shape == (61,)
        assert_array_equal(result.losses[[20, 40]], result.end_losses)
        assert_array_equal(result.alphas[[0, 20, 40, 60]], [-1, 0, 1, 2])

    def test_a_model_and_itself_give_a_constant_line(self, least_squares):
        a, _ = regressors(*least_squares)
        result = loss_interpolation(a, a, *least_squares)
        assert_allclose(result.losses, result.end_losses[0])

    def test_the_models_stay_as_they_are(self, digits):
        a, b = fits(MiniBatchMLPClassifier((6,), random_state=0), *digits)
        before = pickle.dumps((a, b))
        loss_interpolation(a, b, *digits, path="curved")
        assert pickle.dumps((a, b)) == before


class TestData:
    def test_pipelines_are_their_last_steps_on_transformed_rows(self, cancer):
        X, y = 10 * cancer[0] + 3, cancer[1]
        a, b = (
            make_pipeline(StandardScaler(), MiniBatchSGDClassifier("log_loss", batch_size=s, random_state=0)).fit(X, y)
            for s in (8, 64)
        )
        result = loss_interpolation(a, b, X, y, X_test=X[:50], y_test=y[:50])
        scaled = StandardScaler().fit_transform(X)
        bare = loss_interpolation(a[-1], b[-1], scaled, y, X_test=scaled[:50], y_test=y[:50])
        assert_array_equal(result.losses, bare.losses)
        assert_array_equal(result.test_losses, bare.test_losses)
        assert result.batch_sizes == (8, 64)

    @pytest.mark.parametrize("make", [sp.csr_array, sp.csc_matrix])
    @pytest.mark.parametrize("estimator", [MiniBatchSGDClassifier("log_loss"), MiniBatchMLPClassifier((5,))])
    def test_sparse_rows_give_the_result_of_dense_ones(self, make, estimator, digits):
        X, y = digits
        a, b = fits(estimator.set_params(random_state=0), X, y)
        dense, sparse = (loss_interpolation(a, b, rows, y, alphas=PLACES) for rows in (X, make(X)))
        assert_allclose(sparse.losses, dense.losses, rtol=1e-9)
        assert_array_equal(sparse.scores, dense.scores)

    def test_parameters_of_float32_stay_so(self, least_squares):
        X, y = least_squares
        a, b = regressors(X.astype(np.float32), y)
        assert a.coef_.dtype == np.float32
        exact = loss_interpolation(*regressors(X, y), X, y)
        assert_allclose(loss_interpolation(a, b, X.astype(np.float32), y).losses, exact.losses, rtol=1e-3)

    def test_a_loss_that_overflows_is_not_a_number_and_no_warning(self, least_squares, recwarn):
        result = loss_interpolation(*regressors(*least_squares), *least_squares, alphas=[0.5, 1e300])
        assert np.isfinite(result.losses[0])
        assert not np.isfinite(result.losses[1])
        assert result.scores[1] == -np.inf
        assert "least loss" in repr(result)
        assert not [w for w in recwarn if "minibatch" in w.filename]


class TestResult:
    @pytest.fixture
    def result(self, cancer):
        X, y = cancer
        a, b = fits(MiniBatchSGDClassifier("log_loss", random_state=0), X[:400], y[:400])
        return loss_interpolation(a, b, X[:400], y[:400], X_test=X[400:], y_test=y[400:])

    def test_it_can_be_pickled(self, result):
        assert_array_equal(pickle.loads(pickle.dumps(result)).test_losses, result.test_losses)

    def test_it_becomes_a_frame(self, result):
        pytest.importorskip("pandas")
        frame = result.to_frame()
        assert list(frame) == ["alpha", "loss", "score", "test_loss", "test_score"]
        assert_array_equal(frame["test_score"], result.test_scores)

    def test_it_shows_both_models_and_the_least_losses(self, result):
        for text in (repr(result), result._repr_html_()):
            assert "along a straight path: 61 places" in text
            assert "first, batch size 8" in text
            assert f"{result.end_losses[1]:.3g}" in text
            assert f"{result.test_losses.min():.3g}" in text

    def test_without_test_rows_there_is_nothing_of_them(self, least_squares):
        result = loss_interpolation(*regressors(*least_squares), *least_squares)
        assert result.test_losses is None
        assert result.test_scores is None
        assert "test" not in repr(result)


class TestWrongInput:
    @pytest.fixture
    def pair(self, least_squares):
        return regressors(*least_squares)

    def test_a_model_that_is_not_fitted(self, pair, least_squares):
        with pytest.raises(NotFittedError, match=r"second \(MiniBatchSGDRegressor\) is not fitted"):
            loss_interpolation(pair[0], MiniBatchSGDRegressor(), *least_squares)
        with pytest.raises(NotFittedError, match=r"first \(MiniBatchSGDRegressor\) is not fitted"):
            loss_interpolation(make_pipeline(StandardScaler(), MiniBatchSGDRegressor()), pair[0], *least_squares)

    def test_different_classes(self, pair, least_squares):
        X, y = least_squares
        network = MiniBatchMLPRegressor(hidden_layer_sizes=(2,), max_iter=2, tol=None).fit(X, y)
        with pytest.raises(TypeError, match="same class; got MiniBatchSGDRegressor and MiniBatchMLPRegressor"):
            loss_interpolation(pair[0], network, X, y)

    def test_foreign_models(self, pair, least_squares):
        with pytest.raises(TypeError, match="StandardScaler"):
            loss_interpolation(pair[0], StandardScaler().fit(least_squares[0]), *least_squares)

    def test_different_losses(self, pair, least_squares):
        other = regressors(*least_squares, loss="huber")[0]
        with pytest.raises(ValueError, match="same loss; got squared_error and huber"):
            loss_interpolation(pair[0], other, *least_squares)

    def test_different_classes_of_rows(self, cancer):
        X, y = cancer
        a, _ = fits(MiniBatchSGDClassifier(), X, y)
        b, _ = fits(MiniBatchSGDClassifier(), X, np.array(["benign", "malign"])[y])
        with pytest.raises(ValueError, match="same classes"):
            loss_interpolation(a, b, X, y)

    def test_different_activations(self, cancer):
        a, b = (fits(MiniBatchMLPClassifier((2,), f), *cancer)[0] for f in ("relu", "tanh"))
        with pytest.raises(ValueError, match="same activation; got relu and tanh"):
            loss_interpolation(a, b, *cancer)

    def test_different_numbers_of_parameters(self, pair, least_squares, cancer):
        X, y = least_squares
        other = regressors(X[:, :2], y)[0]
        with pytest.raises(ValueError, match=r"same shapes; got weights of \[\(3,\)\] and \[\(2,\)\]"):
            loss_interpolation(pair[0], other, X, y)
        # as many parameters, laid out otherwise: 30 a + a + a b + b + b + 1 = 100
        a, b = (fits(MiniBatchMLPClassifier(sizes), *cancer)[0] for sizes in ((3,), (2, 3)))
        with pytest.raises(ValueError, match="same shapes"):
            loss_interpolation(a, b, *cancer)

    def test_transformers_that_give_different_rows(self, cancer):
        X, y = 10 * cancer[0], cancer[1]
        a, b = (make_pipeline(StandardScaler(), MiniBatchSGDClassifier()).fit(X[i:], y[i:]) for i in (0, 100))
        with pytest.raises(ValueError, match="transformers of first and second give different X"):
            loss_interpolation(a, b, X, y)
        with pytest.raises(ValueError, match="transformers of first and second give different X"):
            loss_interpolation(a, b[-1], X, y)

    def test_rows_of_another_width(self, pair, least_squares):
        X, y = least_squares
        with pytest.raises(ValueError, match="X has 2 features, but MiniBatchSGDRegressor is expecting 3"):
            loss_interpolation(*pair, X[:, :2], y)
        with pytest.raises(ValueError, match="X has 2 features"):
            loss_interpolation(*pair, X, y, X_test=X[:, :2], y_test=y)

    @pytest.mark.parametrize(
        ("setting", "message"),
        [
            ({"path": "round"}, "path must be 'straight' or 'curved'; got 'round'"),
            ({"alphas": []}, "alphas must be a sequence of finite numbers"),
            ({"alphas": [0, np.nan]}, "alphas must be a sequence of finite numbers"),
            ({"alphas": 0.5}, "alphas must be a sequence of finite numbers; got 0.5"),
            ({"X_test": [[1.0, 2.0, 3.0]]}, "y_test is missing"),
            ({"y_test": [1.0]}, "X_test is missing"),
            ({"sample_weight": -np.ones(50)}, "Negative values in data passed to `sample_weight`"),
        ],
    )
    def test_a_parameter_out_of_range_is_named(self, setting, message, pair, least_squares):
        with pytest.raises(ValueError, match=message):
            loss_interpolation(*pair, *least_squares, **setting)


@pytest.mark.parametrize(("loss", "parameter"), [("huber", "epsilon"), ("quantile", "quantile")])
def test_the_losses_have_the_same_parameter(loss, parameter):
    """Both ends are measured with one loss."""
    X, y = load_diabetes(return_X_y=True)
    models = [
        MiniBatchSGDRegressor(loss, max_iter=2, tol=None, random_state=0, **{parameter: value}).fit(X, y)
        for value in (0.2, 0.7)
    ]
    with pytest.raises(ValueError, match=rf"same {parameter}; got 0\.2 and 0\.7"):
        loss_interpolation(*models, X, y)
    first, second = (model.set_params(loss="squared_error") for model in models)  # which does not use it
    loss_interpolation(first, second, X, y)
