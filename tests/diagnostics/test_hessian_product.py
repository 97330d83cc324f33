"""Products with the Hessian of linear models, whatever the scale of X, and eigenvalues at an end."""

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose
from sklearn.datasets import load_iris
from sklearn.preprocessing import scale

from minibatch import MiniBatchMLPRegressor, MiniBatchSGDClassifier, MiniBatchSGDRegressor
from minibatch.diagnostics import _eigenvalues, _stability, hessian_spectrum, stability_limit
from minibatch.diagnostics._eigenvalues import extreme_eigenpairs, matrix_of_product
from minibatch.diagnostics._hessian_product import _difference_product, hessian_product, row_curvatures
from minibatch.diagnostics._objective import trained_objective
from minibatch.engine.losses import CLASSIFICATION, REGRESSION

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
RANDOM = np.random.default_rng(0)
X = RANDOM.standard_normal((60, 4))
Y = X @ np.ones(4) + RANDOM.standard_normal(60)
WEIGHTS = np.append(0.0, RANDOM.uniform(0.1, 2.0, 59))
IRIS = load_iris(return_X_y=True)
LABELS = np.digitize(Y, [-0.5, 0.5])
FEW = {"max_iter": 3, "tol": None, "random_state": 0, "alpha": 0.1}


def models():
    for loss in CLASSIFICATION:
        yield MiniBatchSGDClassifier(loss, learning_rate="constant", eta0=0.02, **FEW), LABELS
    for loss in REGRESSION:
        target = {"poisson": np.exp(Y / 3), "gamma": np.exp(Y / 3), "log_loss": 1 / (1 + np.exp(-Y))}.get(loss, Y)
        yield MiniBatchSGDRegressor(loss, eta0=0.02, **FEW), target
    yield MiniBatchSGDClassifier("log_loss", class_weight={0: 1, 1: 5, 2: 0.2}, **FEW), LABELS
    yield MiniBatchSGDClassifier("log_loss", multi_class="multinomial", class_weight="balanced", **FEW), LABELS
    yield MiniBatchSGDClassifier("log_loss", penalty="elasticnet", l1_ratio=0.4, **FEW), LABELS
    yield MiniBatchSGDRegressor(fit_intercept=False, **FEW), np.column_stack([Y, -Y])


def named(value):
    return f"{type(value).__name__}-{value.loss}" if hasattr(value, "loss") else ""


class TestLinearModels:
    @pytest.mark.parametrize("weight", [None, WEIGHTS], ids=["", "weights"])
    @pytest.mark.parametrize("rows", [X, sp.csr_array(X)], ids=["dense", "sparse"])
    @pytest.mark.parametrize(("model", "y"), list(models()), ids=named)
    def test_products_are_differences_of_gradients(self, model, y, rows, weight):
        model.fit(rows, y, sample_weight=weight)
        with trained_objective(model, rows, y, weight) as objective:
            n = len(objective.trained)
            H, slow = (matrix_of_product(make(objective, 1.0), n) for make in (hessian_product, _difference_product))
        assert_allclose(H, slow, atol=2e-8 * max(1.0, np.abs(slow).max()))

    @pytest.mark.parametrize("factor", [1e-6, 1.0, 1e6, 1e9])
    @pytest.mark.parametrize("loss", ["log_loss", "modified_huber", "squared_hinge", "squared_error"])
    def test_the_scale_of_the_columns_changes_no_digit(self, loss, factor):
        model = MiniBatchSGDClassifier(loss, batch_size="full", penalty=None, fit_intercept=False)
        expected = stability_limit(model, X, Y > 0)
        found = stability_limit(model, X * factor, Y > 0)
        assert_allclose(found * factor**2, expected, rtol=1e-12)
        assert found.exact
        assert found.converged

    def test_logistic_regression_on_millions(self):
        """A quarter of the second moments, at the parameters 0."""
        large = X * 1e6
        A = np.column_stack([large, np.ones(60)])
        expected = np.linalg.eigvalsh(A.T @ A / 240)[-1]
        found = stability_limit(MiniBatchSGDClassifier("log_loss", batch_size="full"), large, Y > 0)
        assert_allclose([found.curvature, found], [expected, 2 / expected], rtol=1e-12)

    def test_softmax_on_millions(self):
        A = np.column_stack([scale(IRIS[0]) * 1e6, np.ones(150)])
        expected = np.linalg.eigvalsh(A.T @ A / 450)[-1]
        model = MiniBatchSGDClassifier("log_loss", multi_class="multinomial", batch_size="full")
        assert_allclose(stability_limit(model, A[:, :-1], IRIS[1]).curvature, expected, rtol=1e-12)

    def test_targets_far_from_0_change_nothing(self):
        model = MiniBatchSGDRegressor(batch_size=4)
        assert stability_limit(model, X, Y + 1e10) == stability_limit(model, X, Y)

    def test_many_columns_go_to_lanczos(self):
        wide = np.random.default_rng(1).standard_normal((50, 200)) * 1e5
        model = MiniBatchSGDClassifier("log_loss", batch_size="full", fit_intercept=False)
        expected = np.linalg.eigvalsh(wide @ wide.T / 200)[-1] + 1e-4
        labels = np.arange(50) % 2
        assert_allclose(stability_limit(model, wide, labels).curvature, expected, rtol=1e-6)

    def test_the_spectrum_is_that_of_the_limit(self):
        large = X * 1e6
        model = MiniBatchSGDClassifier("log_loss", learning_rate="constant", eta0=1e-13, max_iter=1, tol=None)
        model.fit(large, Y > 0)
        p, A = model.predict_proba(large)[:, 1], np.column_stack([large, np.ones(60)])
        H = (A * (p * (1 - p))[:, None]).T @ A / 60
        result = hessian_spectrum(model, large, Y > 0, k=1)
        assert_allclose(result.eigenvalues, np.linalg.eigvalsh(H)[-1:], rtol=1e-12)

    @pytest.mark.parametrize(("loss", "expected"), [("modified_huber", [0, 2, 2, 0]), ("squared_hinge", [2, 2, 2, 0])])
    def test_pieces_begin_and_end_at_their_margins(self, loss, expected):
        rows, labels = np.array([[-2.0], [0.9], [-0.5], [-2.0]]), np.array([1, 1, 0, 0])
        model = MiniBatchSGDClassifier(loss, max_iter=1, tol=None).fit(rows, labels)
        model.coef_[:], model.intercept_[:] = 1.0, 0.0  # margins -2, 0.9, 0.5 and 2
        with trained_objective(model, rows, labels) as objective:
            assert_allclose(row_curvatures(objective)[:, 0], expected)

    def test_a_row_without_weight_has_no_curvature_though_its_loss_overflows(self):
        rows, weight = np.append(np.ones(9), 1000.0)[:, None], np.append(np.ones(9), 0.0)
        model = MiniBatchSGDRegressor("poisson", max_iter=1).fit(rows, np.ones(10), sample_weight=weight)
        model.coef_[:], model.intercept_[:] = 1.0, 0.0
        with trained_objective(model, rows, np.ones(10), weight) as objective:
            assert_allclose(row_curvatures(objective)[:, 0], np.append(np.full(9, np.e / 0.9), 0.0))


class TestWhatIsNotFound:
    @pytest.fixture
    def network(self):
        return MiniBatchMLPRegressor(
            hidden_layer_sizes=(5,),
            activation="tanh",
            solver="sgd",
            learning_rate="constant",
            max_iter=2,
            random_state=0,
        )

    def test_a_network_whose_differences_disagree_is_flagged(self, network):
        good, bad = (stability_limit(network.fit(X, Y), X * factor, Y) for factor in (1.0, 1e3))
        assert good.converged
        assert "not converged" not in repr(good)
        assert not bad.converged
        for text in (repr(bad), bad._repr_html_()):
            assert "not converged: scale X" in text

    def test_lanczos_without_an_answer_gives_none(self, network, monkeypatch):
        monkeypatch.setattr(_eigenvalues, "_RESTARTS", 1)
        monkeypatch.setattr(_stability, "_ACCURACY", 1e-15)
        found = stability_limit(network.set_params(hidden_layer_sizes=(40,)).fit(X, Y), X, Y)
        assert np.isnan([found, found.curvature, found.full_batch]).all()
        assert not found.converged
        assert "not converged" in repr(found)

    def test_noise_without_an_answer_leaves_the_limit_of_full_batches(self, monkeypatch):
        monkeypatch.setattr(_eigenvalues, "_RESTARTS", 1)
        monkeypatch.setattr(_stability, "_ACCURACY_OF_NOISE", 1e-15)
        wide = np.random.default_rng(2).standard_normal((60, 9))
        found = stability_limit(MiniBatchSGDRegressor(batch_size=2), wide, np.ones(60))
        assert found.converged
        assert not found.exact
        assert found == found.full_batch

    def test_one_output_without_an_answer_is_enough(self, monkeypatch):
        limits = iter([0.1, np.nan])
        monkeypatch.setattr(_stability, "_mean_square_limit", lambda *_: next(limits))
        found = stability_limit(MiniBatchSGDRegressor(batch_size=2), X, np.column_stack([Y, -Y]))
        assert not found.exact
        assert found == found.full_batch

    def test_many_columns_of_zeros_have_no_limit(self):
        zeros, labels = np.zeros((10, 30)), np.arange(10) % 2
        model = MiniBatchSGDClassifier("log_loss", penalty=None, fit_intercept=False)
        for size in (2, "full"):
            assert stability_limit(model.set_params(batch_size=size), zeros, labels) == np.inf


class TestEigenvalues:
    @pytest.mark.parametrize("n", [7, 60], ids=["dense", "lanczos"])
    @pytest.mark.parametrize(("shift", "here"), [(0.0, slice(-3, None)), (20.0, slice(-3, None)), (-20.0, slice(3))])
    def test_those_of_a_matrix(self, n, shift, here):
        A = np.random.default_rng(n).standard_normal((n, n))
        A += A.T
        values, vectors = extreme_eigenpairs(lambda v: A @ v, np.ones(n), 3, 1e-10, shift=shift)
        assert_allclose(values, np.linalg.eigvalsh(A)[here][::-1], atol=1e-7)
        assert_allclose(A @ vectors, values * vectors, atol=1e-4)
        assert_allclose(vectors.T @ vectors, np.eye(3), atol=1e-7)
