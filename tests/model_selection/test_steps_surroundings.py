"""steps_to_target: estimators, pipelines, weights, sparse rows, unknown classes, rates that the estimator finds."""

import copy
import re

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from minibatch import MiniBatchMLPClassifier, MiniBatchMLPRegressor, MiniBatchSGDClassifier, MiniBatchSGDRegressor
from minibatch.model_selection import steps_to_target
from references.steps import PLAIN, RATES, looks


class TestSurroundings:
    arguments = {"batch_sizes": [10, 53], "learning_rates": RATES, "target": ("train_loss", 1e-3), "max_updates": 3000}

    def test_the_estimator_is_as_before(self, quadratic):
        model = make_pipeline(StandardScaler(), clone(PLAIN)).fit(*quadratic)
        before = copy.deepcopy(vars(model[-1]))
        mean = model[0].mean_.copy()
        steps_to_target(model, quadratic[0] + 1, quadratic[1], **(self.arguments | {"max_updates": 50}))
        assert_array_equal(model[0].mean_, mean)
        assert vars(model[-1]).keys() == before.keys()
        assert_array_equal(model[-1].coef_, before["coef_"])
        assert model[-1].history_.to_frame().equals(before["history_"].to_frame())

    @pytest.mark.parametrize(
        "parameters",
        [
            {"learning_rate": "invscaling", "eta0": 7.0, "early_stopping": True, "average": True, "max_iter": 1},
            {"learning_rate": "constant", "learning_rate_scaling": "linear", "warmup": 3.0},
            {"batch_growth": 2.0, "batch_growth_interval": 1},
            {
                "learning_rate": "adaptive",
                "eta0": "auto",
                "tol": 1.0,
                "max_updates": 3,
                "verbose": 1,
                "warm_start": True,
            },
        ],
    )
    def test_how_it_would_stop_and_change_its_rate_and_batch_does_not_count(self, quadratic, parameters, capsys):
        other = clone(PLAIN).set_params(**parameters)
        plain, same = (steps_to_target(sgd, *quadratic, **self.arguments) for sgd in (PLAIN, other))
        assert repr(plain) == repr(same)
        assert capsys.readouterr().out == ""

    def test_nor_that_of_a_network(self, quadratic):
        network = MiniBatchMLPClassifier((3,), learning_rate="constant", solver="sgd", random_state=0)
        other = clone(network).set_params(learning_rate="adaptive", learning_rate_init=5.0, early_stopping=True)
        arguments = self.arguments | {"target": ("train_score", 0.9)}
        plain, same = (steps_to_target(one, quadratic[0], quadratic[1] > 0, **arguments) for one in (network, other))
        assert repr(plain) == repr(same)

    def test_a_pipeline_is_its_last_step_on_transformed_rows(self, cancer):
        X, y = load_breast_cancer(return_X_y=True)
        sgd = MiniBatchSGDClassifier("log_loss", learning_rate="constant", random_state=0)
        arguments = {"batch_sizes": [32], "learning_rates": [0.01, 0.1], "target": 0.95, "max_updates": 500}
        scaler = StandardScaler().fit(X[:300])
        inside = steps_to_target(
            make_pipeline(StandardScaler(), sgd), X[:300], y[:300], X_test=X[300:], y_test=y[300:], **arguments
        )
        outside = steps_to_target(
            sgd, scaler.transform(X[:300]), y[:300], X_test=scaler.transform(X[300:]), y_test=y[300:], **arguments
        )
        assert repr(inside) == repr(outside)
        assert inside.updates[0] < 500

    def test_a_weight_is_a_repeated_row(self, quadratic):
        X, y = quadratic
        weight = np.arange(53) % 3 + 1
        arguments = self.arguments | {"batch_sizes": ["full"]}
        weighted = steps_to_target(PLAIN, X, y, sample_weight=weight, **arguments)
        repeated = steps_to_target(PLAIN, np.repeat(X, weight, axis=0), np.repeat(y, weight), **arguments)
        assert_array_equal(weighted.trials["updates"], repeated.trials["updates"])
        assert_allclose(weighted.trials["value"], repeated.trials["value"], rtol=1e-8)
        assert weighted.updates != steps_to_target(PLAIN, X, y, **arguments).updates

    def test_sparse_rows(self, quadratic):
        X, y = quadratic
        dense, sparse = (steps_to_target(PLAIN, rows, y, **self.arguments) for rows in (X, sp.csr_matrix(X)))
        assert_array_equal(sparse.trials["updates"], dense.trials["updates"])

    def test_sizes_that_come_to_the_same_are_one(self, quadratic):
        result = steps_to_target(PLAIN, *quadratic, **(self.arguments | {"batch_sizes": ["full", 100, 0.5, 26, 53]}))
        assert result.batch_sizes.tolist() == [26, 53]


class TestClassesThatTheTrainingPartLacks:
    @pytest.fixture(params=["linear", "network"])
    def task(self, request):
        X, y = load_digits(return_X_y=True)
        X, y = X[:400] / 16, np.array(list("abcdefghij"))[y[:400]]
        model = (
            MiniBatchSGDClassifier(learning_rate="constant")
            if request.param == "linear"
            else MiniBatchMLPClassifier((8,), learning_rate="constant", solver="sgd")
        )
        known = y != "j"
        arguments = {"batch_sizes": [20], "learning_rates": [0.1], "max_updates": 500, "random_state": 0}
        return model, (X[known], y[known]), {**arguments, "X_test": X, "y_test": y}

    def test_their_rows_are_errors_of_the_test_score(self, task):
        model, rows, arguments = task
        share = np.mean(arguments["y_test"] != "j")
        known = arguments | {"X_test": rows[0], "y_test": rows[1]}
        expected = steps_to_target(model, *rows, **known, target=0.8)
        assert_array_equal(expected.trials["status"], "reached")
        with pytest.warns(
            UserWarning, match=r"y_test has classes that y lacks \('j'\): the test score counts .* errors"
        ):
            found = steps_to_target(model, *rows, **arguments, target=0.8 * share - 1e-12)
        assert_array_equal(found.updates, expected.updates)

    def test_they_have_no_test_loss(self, task):
        model, rows, arguments = task
        with pytest.raises(ValueError, match=r"y_test has classes that y lacks \('j'\).* or give a target that counts"):
            steps_to_target(model, *rows, **arguments, target=("test_loss", 0.1))

    def test_a_target_of_training_rows_does_not_look_at_them(self, task):
        model, rows, arguments = task
        steps_to_target(model, *rows, **arguments, target=("train_loss", 1.0))


class TestRatesThatTheEstimatorFinds:
    arguments = {"batch_sizes": [4, 16, 53], "target": ("train_loss", 0.05), "max_updates": 500}

    @pytest.mark.parametrize(
        "model",
        [
            MiniBatchSGDRegressor(random_state=0),
            MiniBatchSGDRegressor(learning_rate="dowg", eta0=1e-3, random_state=0),
            MiniBatchMLPRegressor(hidden_layer_sizes=(5,), random_state=0),
        ],
        ids=["auto", "dowg", "network"],
    )
    def test_counts_are_those_of_plain_fits(self, quadratic, model):
        """A fit of so many updates is there, and one that ends at the look before is not."""
        result = steps_to_target(model, *quadratic, **self.arguments)
        assert len(result.trials["status"]) == 3
        for size, updates in zip(result.batch_sizes, result.updates, strict=True):
            for count in (int(updates), looks(int(updates))[-2]):
                fit = clone(model).set_params(batch_size=int(size), max_updates=int(count), max_iter=10**6, tol=None)
                assert (fit.fit(*quadratic)._loss(*quadratic) <= 0.05) == (count == updates)

    def test_there_is_no_rate_in_the_result(self, quadratic):
        result = steps_to_target(MiniBatchSGDRegressor(random_state=0), *quadratic, n_repeats=3, **self.arguments)
        assert np.isnan(result.learning_rates).all()
        assert np.isnan(result.trials["learning_rate"]).all()
        assert not result.at_edge.any()
        assert not any("rate" in words for words in result.warnings)
        assert "3 batch sizes at the rates that the estimator finds, 9 trials" in repr(result)
        for text in (repr(result), result._repr_html_()):  # of rates there is nothing to show
            assert not re.search(r"learning_(<wbr>)?rate|at_(<wbr>)?edge", text)
        assert "learning_rate" in result.to_frame()
        assert_array_equal(result.trials["repeat"], [0, 1, 2] * 3)

    def test_momenta_are_tried(self, quadratic):
        model = MiniBatchSGDRegressor(solver="momentum", random_state=0)
        result = steps_to_target(model, *quadratic, momenta=[0.0, 0.9], **self.arguments)
        assert set(result.trials["momentum"]) == {0.0, 0.9}
        assert np.isin(result.momenta, [0.0, 0.9]).all()

    @pytest.mark.parametrize("schedule", ["auto", "dowg"])
    def test_rates_to_try_are_constant_ones(self, quadratic, schedule):
        found, constant = (
            steps_to_target(
                MiniBatchSGDRegressor(learning_rate=name, random_state=0), *quadratic, learning_rates=RATES,
                **self.arguments,
            )
            for name in (schedule, "constant")
        )  # fmt: skip
        assert repr(found) == repr(constant)
        assert np.isin(found.learning_rates, RATES).all()

    def test_other_schedules_need_them(self, quadratic):
        with pytest.raises(ValueError, match=r"learning_rates is None; give the rates .* or set learning_rate='auto'"):
            steps_to_target(PLAIN, *quadratic, **self.arguments)

    def test_a_pipeline_is_asked_for_its_last_step(self, quadratic):
        model = make_pipeline(StandardScaler(), MiniBatchSGDRegressor(random_state=0))
        inside = steps_to_target(model, *quadratic, **self.arguments)
        rows = StandardScaler().fit_transform(quadratic[0])
        assert repr(inside) == repr(steps_to_target(model[-1], rows, quadratic[1], **self.arguments))
