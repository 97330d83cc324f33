"""The memory of a fit, against what tracemalloc sees of one."""

import gc
import sys
import tracemalloc
import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import SGDRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from minibatch import MiniBatchMLPClassifier, MiniBatchMLPRegressor, MiniBatchSGDClassifier, MiniBatchSGDRegressor
from minibatch._problems.dual_averaging import DualAveragingProblem
from minibatch._problems.epochs import Epoch
from minibatch.model_selection import memory_required

SIZES = [1, 32, 1000, "full"]
FEW_EPOCHS = {"max_iter": 2, "tol": None, "random_state": 0}
OBJECTS = 100_000  # of Python, and NumPy's buffers for casts


def data(model, n_samples, n_features, n_outputs, dtype):
    random = np.random.default_rng(0)
    X = random.standard_normal((n_samples, n_features)).astype(dtype)
    if "Classifier" in type(model).__name__:
        return X, np.arange(n_samples) % max(2, n_outputs)
    return X, random.standard_normal((n_samples, n_outputs) if n_outputs > 1 else n_samples).astype(dtype)


def measured(model, X, y):
    """Bytes at the peak of a fit, when kernels are loaded."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        clone(model).fit(X, y)
        gc.collect()
        fresh = clone(model)
        tracemalloc.start()
        try:
            before, _ = tracemalloc.get_traced_memory()
            fresh.fit(X, y)
            return tracemalloc.get_traced_memory()[1] - before
        finally:
            tracemalloc.stop()


def check(model, n_samples, n_features, n_outputs=1, dtype=np.float64):
    model = clone(model).set_params(**FEW_EPOCHS)
    said = memory_required(model, n_features, n_samples=n_samples, n_outputs=n_outputs, dtype=dtype)
    compare(said, measured(model, *data(model, n_samples, n_features, n_outputs, dtype)))


def check_sparse(model, n_samples, n_features, n_outputs=1, dtype=np.float64, *, density):
    model = clone(model).set_params(**FEW_EPOCHS)
    _, y = data(model, n_samples, 1, n_outputs, dtype)
    X = sp.random(n_samples, n_features, density, format="csr", random_state=0, dtype=dtype)
    more = {"n_outputs": n_outputs, "dtype": dtype, "density": X.nnz / (n_samples * n_features)}
    compare(memory_required(model, n_features, n_samples=n_samples, **more), measured(model, X, y))


def compare(said, peak):
    assert abs(said.total - peak) <= 0.1 * peak + OBJECTS, f"measured {peak}, said {said}"


def network(kind, units=200, **parameters):
    return kind(hidden_layer_sizes=(units,), **parameters)


class TestAgainstTracemalloc:
    @pytest.mark.slow
    @pytest.mark.parametrize("batch_size", SIZES)
    @pytest.mark.parametrize("solver", ["sgd", "adam"])
    def test_linear_regression_on_many_columns(self, solver, batch_size):
        schedule = "auto" if solver == "sgd" else "constant"
        check(MiniBatchSGDRegressor(solver=solver, learning_rate=schedule, batch_size=batch_size), 500, 20_000, 3)

    @pytest.mark.parametrize("batch_size", SIZES)
    def test_linear_models_on_many_rows(self, batch_size):
        check(MiniBatchSGDRegressor(batch_size=batch_size), 40_000, 20, dtype=np.float32)
        check(MiniBatchSGDClassifier(batch_size=batch_size), 40_000, 20, 2, np.float32)
        check(MiniBatchSGDClassifier(batch_size=batch_size), 20_000, 20, 10)

    @pytest.mark.parametrize(
        "parameters",
        [
            {"average": True, "early_stopping": True, "solver": "adam", "learning_rate": "constant"},
            {"solver": "saga", "early_stopping": True},
            *(
                pytest.param(parameters, marks=pytest.mark.slow)
                for parameters in (
                    {"early_stopping": True},
                    {"average": True},
                    {"average": True, "learning_rate": "constant"},
                    {"evaluate_every": 1},
                    {"penalty": "l1"},
                    {"shuffle": "block"},
                    {
                        "batch_growth": 4.0,
                        "batch_growth_interval": 1,
                        "solver": "momentum",
                        "learning_rate": "constant",
                    },
                )
            ),
        ],
        ids=str,
    )
    def test_what_else_a_linear_model_keeps(self, parameters):
        check(MiniBatchSGDRegressor(**parameters), 20_000, 50, 1)
        check(MiniBatchSGDRegressor(**parameters), 60, 20_000, 3, np.float32)
        check(MiniBatchSGDClassifier(**parameters), 20_000, 50, 10, np.float32)

    def test_where_rows_have_few_columns_their_numbers_count(self):
        check(MiniBatchSGDRegressor(early_stopping=True), 40_000, 2)

    @pytest.mark.parametrize("multi_class", ["ovr", "multinomial"])
    @pytest.mark.parametrize("n_classes", [2, 10])
    @pytest.mark.parametrize("early_stopping", [False, True])
    def test_weights_of_classes(self, multi_class, n_classes, early_stopping):
        # at a rate so low that no sample of rows shows that training went well
        lowest = {"learning_rate": "constant", "eta0": 1e-9}
        model = MiniBatchSGDClassifier("log_loss", multi_class=multi_class, class_weight="balanced", **lowest)
        check(model.set_params(early_stopping=early_stopping), 20_000, 10, n_classes)

    @pytest.mark.parametrize("batch_size", SIZES)
    @pytest.mark.parametrize("solver", ["sgd", "adam"])
    def test_networks(self, solver, batch_size):
        check(network(MiniBatchMLPRegressor, solver=solver, batch_size=batch_size), 2000, 100)
        check(network(MiniBatchMLPClassifier, solver=solver, batch_size=batch_size), 2000, 100, 10, np.float32)

    @pytest.mark.slow
    @pytest.mark.parametrize(
        "parameters",
        [
            {"early_stopping": True},
            {"early_stopping": True, "solver": "sgd"},
            {"evaluate_every": 1},
            {"batch_normalization": True, "batch_size": 500},
            {"batch_normalization": True, "batch_size": "full", "ghost_batch_size": 100},
            {"learning_rate": "constant", "average": "ema"},
            {"solver": "lbfgs"},
            {"solver": "lbfgs", "early_stopping": True},
            {"batch_growth": 16.0, "batch_growth_interval": 1},
        ],
        ids=str,
    )
    def test_what_else_a_network_keeps(self, parameters):
        check(network(MiniBatchMLPRegressor, **parameters), 2000, 100)
        check(network(MiniBatchMLPClassifier, **parameters), 2000, 100, 10)
        check(network(MiniBatchMLPClassifier, 20, **parameters), 20_000, 5, 2)

    @pytest.mark.slow
    @pytest.mark.parametrize("parameters", [{}, {"batch_size": "full"}, {"early_stopping": True}], ids=str)
    def test_wide_sparse_rows(self, parameters):
        check_sparse(MiniBatchMLPClassifier((4,), **parameters), 2000, 50_000, 3, density=0.001)
        check_sparse(MiniBatchMLPRegressor(hidden_layer_sizes=(4,), **parameters), 2000, 50_000, density=0.001)
        check_sparse(MiniBatchSGDClassifier(**parameters), 2000, 50_000, 3, density=0.001)
        check_sparse(MiniBatchSGDRegressor(**parameters), 2000, 50_000, density=0.001, dtype=np.float32)

    @pytest.mark.slow
    @pytest.mark.parametrize("parameters", [{"average": True}, {"penalty": "l1"}, {"solver": "adam"}], ids=str)
    def test_other_loops_of_linear_models_on_sparse_rows(self, parameters):
        check_sparse(MiniBatchSGDRegressor(**parameters), 2000, 50_000, density=0.001)
        check_sparse(MiniBatchSGDClassifier(**parameters), 2000, 50_000, 2, density=0.001, dtype=np.float32)

    def test_deep_networks(self):
        check(MiniBatchMLPClassifier((300, 200, 100), class_weight="balanced"), 2000, 200, 10)


def epoch_peak(problem, batch_size, averaged):
    """Bytes at the peak of one epoch, when kernels are loaded."""
    state = problem.new_state(np.zeros(problem.n_parameters), averaged)
    order = np.arange(problem.n_samples)
    etas = np.full(-(-problem.n_samples // batch_size), 1e-6)
    epoch = Epoch(order, etas, batch_size, 0 if averaged else len(etas), True, 0)
    problem.run_epoch(state, epoch)
    tracemalloc.start()
    try:
        problem.run_epoch(state, epoch)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def linear_problem(sparse, solver):
    random = np.random.default_rng(0)
    X, y = np.zeros((9000, 300)), random.standard_normal((9000, 70))
    X[:, :3] = random.standard_normal((9000, 3))
    return MiniBatchSGDRegressor(solver=solver)._new_problem(sp.csr_array(X) if sparse else X, y, None)


@pytest.mark.skipif(sys.gettrace() is not None, reason="what measures coverage allocates memory as well")
@pytest.mark.parametrize("batch_size", [10, 1000, 9000])
@pytest.mark.parametrize("average", [False, True])
@pytest.mark.parametrize("solver", ["sgd", "adam"])
@pytest.mark.parametrize("sparse", [False, True])
def test_linear_problems_tell_what_an_epoch_allocates(solver, sparse, average, batch_size):
    problem = linear_problem(sparse, solver)
    said = sum(problem.epoch_bytes(batch_size, average).values())
    assert_allclose(epoch_peak(problem, batch_size, average), said, rtol=0.05, atol=20_000)


@pytest.mark.parametrize("batch_size", [1, 10, 1000, 9000])
@pytest.mark.parametrize("sparse", [False, True])
def test_so_do_those_that_find_their_rates(sparse, batch_size):
    problem = DualAveragingProblem.of(linear_problem(sparse, "sgd"), None)
    said = problem.epoch_bytes(batch_size, False)
    if batch_size == 1:
        said["squares of the rows"] -= 8 * problem.n_samples  # those of all are there since the first epoch
    assert_allclose(epoch_peak(problem, batch_size, False), sum(said.values()), rtol=0.05, atol=20_000)


class TestWhatItSays:
    def test_the_parts_add_up_and_are_those_of_the_worst_moment(self):
        found = memory_required(MiniBatchMLPClassifier(), 784, n_samples=60_000, n_outputs=10)
        assert found.total == sum(found.parts.values()) == max(found.moments.values())
        n_parameters = 785 * 100 + 101 * 10
        assert found.parts["parameters"] == 8 * n_parameters
        assert found.parts["optimizer memory"] == 2 * 8 * n_parameters

    def test_a_batch_size_takes_the_place_of_the_estimators(self):
        model = MiniBatchMLPRegressor(batch_size=8)
        found = memory_required(model, 10, 0.5, n_samples=1000)
        assert found.batch_size == 500
        assert found == memory_required(clone(model).set_params(batch_size=0.5), 10, n_samples=1000)
        assert model.batch_size == 8
        assert memory_required(model, 10, "full", n_samples=1000).batch_size == 1000

    def test_early_stopping_leaves_fewer_rows_to_a_full_batch(self):
        model = MiniBatchMLPRegressor(early_stopping=True, validation_fraction=0.25)
        assert memory_required(model, 10, "full", n_samples=1001).batch_size == 750

    def test_nothing_of_the_size_is_allocated(self):
        model = MiniBatchMLPClassifier((10_000, 10_000), early_stopping=True, evaluate_every=1)
        tracemalloc.start()
        try:
            found = memory_required(model, 10**6, "full", n_samples=10**9, n_outputs=10)
            memory_required(MiniBatchSGDClassifier(average=True), 10**8, n_samples=10**9, n_outputs=10)
            memory_required(MiniBatchSGDClassifier(), 10**15, n_samples=10**15, density=0.5)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert found.total > 1e14
        assert peak < 1e8

    def test_a_rate_to_be_found_needs_no_data(self):
        memory_required(MiniBatchSGDRegressor(eta0="auto"), 10, n_samples=100)
        memory_required(MiniBatchMLPRegressor(learning_rate_init="auto", batch_growth="adaptive"), 10, n_samples=100)

    @pytest.mark.parametrize("eta0", [0.01, "auto"])
    @pytest.mark.parametrize("schedule", ["triangular", "one_cycle"])
    def test_rates_take_no_memory(self, schedule, eta0):
        model = MiniBatchSGDRegressor(learning_rate=schedule, eta0=eta0, max_eta=0.1)
        constant = MiniBatchSGDRegressor(learning_rate="constant")
        assert memory_required(model, 5, n_samples=100) == memory_required(constant, 5, n_samples=100)

    def test_one_output_of_a_classifier_means_two_classes(self):
        found = [memory_required(MiniBatchSGDClassifier(), 9, n_samples=99, n_outputs=k).parts for k in (1, 2, 3)]
        assert found[0] == found[1]
        assert found[2]["parameters"] == 3 * found[0]["parameters"] == 3 * 10 * 8

    def test_in_a_pipeline_only_the_final_estimator_counts(self):
        model = MiniBatchSGDRegressor()
        found = memory_required(make_pipeline(StandardScaler(), model), 10, n_samples=100)
        assert found == memory_required(model, 10, n_samples=100)

    def test_it_can_be_read(self):
        found = memory_required(MiniBatchSGDRegressor(), 10, n_samples=10**6)
        title, header, *rows = repr(found).splitlines()
        assert title.startswith("Memory that fit requires beyond X and y: ")
        assert header.split() == ["part", "memory"]
        assert len(rows) == len(found.parts) + 1
        assert "<table" in found._repr_html_()
        pytest.importorskip("pandas")
        assert found.to_frame()["bytes"].sum() == found.total


class TestWrongInput:
    @pytest.mark.parametrize("name", ["n_features", "n_samples", "n_outputs"])
    @pytest.mark.parametrize("value", [0, 1.5])
    def test_sizes_are_whole_numbers(self, name, value):
        with pytest.raises(ValueError, match=rf"The '{name}' parameter of memory_required must be an int"):
            memory_required(MiniBatchSGDRegressor(), **{"n_features": 2, "n_samples": 10, name: value})

    def test_the_batch_size_is_one_of_the_estimator(self):
        with pytest.raises(ValueError, match="The 'batch_size' parameter of MiniBatchSGDRegressor must be"):
            memory_required(MiniBatchSGDRegressor(), 2, 1.5, n_samples=10)

    def test_outputs_are_a_number_that_there_may_be(self):
        with pytest.raises(
            ValueError, match="The 'n_outputs' parameter of memory_required must be an int in the range"
        ):
            memory_required(MiniBatchSGDClassifier(), 2, n_samples=10, n_outputs=10**12)

    @pytest.mark.parametrize("density", [-0.1, 1.1, np.nan, "0.1", True])
    def test_the_density_is_a_share(self, density):
        with pytest.raises(ValueError, match="density"):
            memory_required(MiniBatchSGDRegressor(), 2, n_samples=10, density=density)

    def test_the_type_is_one_that_is_trained_in(self):
        for dtype in (np.int64, "foo", "f4,f4", ">f8", {"a": 1}):
            with pytest.raises(ValueError, match=r"dtype must be numpy\.float64 or numpy\.float32.*got ") as error:
                memory_required(MiniBatchSGDRegressor(), 2, n_samples=10, dtype=dtype)
            assert str(error.value).endswith(f"got {dtype!r}.")
        memory_required(MiniBatchSGDRegressor(), 2, n_samples=10, dtype="float32")

    def test_the_estimator_is_checked_as_it_is(self):
        with pytest.raises(ValueError, match="max_eta must be above eta0"):
            memory_required(MiniBatchSGDRegressor(learning_rate="triangular", eta0=2, max_eta=1), 2, n_samples=10)
        with pytest.raises(ValueError, match="eta0='auto' does nothing with learning_rate='optimal', which begins at"):
            memory_required(MiniBatchSGDRegressor(learning_rate="optimal", eta0="auto"), 2, n_samples=10)

    def test_some_rows_are_trained_on(self):
        model = MiniBatchSGDRegressor(early_stopping=True, validation_fraction=0.9)
        with pytest.raises(ValueError, match=r"n_samples=2 leaves no row to train on with validation_fraction=0\.9"):
            memory_required(model, 2, n_samples=2)

    def test_other_estimators_are_refused(self):
        with pytest.raises(TypeError, match="estimator must be an estimator of minibatch"):
            memory_required(SGDRegressor(), 2, n_samples=10)
