"""batch_growth="schedule": growth of the batch in place of the decay of the rate."""

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone

from minibatch import MiniBatchMLPClassifier, MiniBatchMLPRegressor, MiniBatchSGDClassifier, MiniBatchSGDRegressor
from minibatch.model_selection import MiniBatchGridSearchCV, memory_required
from minibatch.schedules import cosine, invscaling, one_cycle, step

RANDOM = np.random.default_rng(0)
N, D = 2000, 4
X = RANDOM.standard_normal((N, D))
Y = X @ np.arange(1.0, D + 1) + RANDOM.standard_normal(N)
LEAST_SQUARES = {"penalty": None, "fit_intercept": False, "tol": None, "random_state": 0}
HALVES = {"learning_rate": "step", "cycle_length": 2, "cycle_decay": 0.5, "eta0": 0.02, "batch_size": 8, "max_iter": 8}


def regressor(**parameters):
    return MiniBatchSGDRegressor(**{**LEAST_SQUARES, **HALVES, "batch_growth": "schedule", **parameters})


def sizes_and_rates(model):
    return model.history_["batch_size"].tolist(), model.history_["learning_rate"]


# ------------------------------------------------------------------------- the two laws


@pytest.mark.parametrize("solver", ["sgd", "momentum", "nesterov"])
def test_a_halved_rate_is_twice_the_batch_at_the_same_rate(solver):
    sizes, rates = sizes_and_rates(regressor(solver=solver).fit(X, Y))
    assert sizes == [8, 8, 16, 16, 32, 32, 64, 64]
    assert_allclose(rates, 0.02)


@pytest.mark.parametrize("solver", ["adam", "adamw", "rmsprop", "adagrad"])
def test_where_steps_have_a_size_of_their_own_the_rate_falls_by_the_root_of_two(solver):
    sizes, rates = sizes_and_rates(regressor(solver=solver).fit(X, Y))
    assert sizes == [8, 8, 16, 16, 32, 32, 64, 64]
    assert_allclose(rates, 0.02 / np.sqrt(np.repeat([1, 2, 4, 8], 2)))


@pytest.mark.parametrize("kind", [MiniBatchMLPClassifier, MiniBatchMLPRegressor])
@pytest.mark.parametrize(("solver", "power"), [("sgd", 1.0), ("adam", 0.5)])
def test_networks(kind, solver, power):
    parameters = {**HALVES, "learning_rate_init": 0.02, "hidden_layer_sizes": (3,), "solver": solver, "tol": None}
    del parameters["eta0"]
    model = kind(**parameters, batch_growth="schedule", random_state=0).fit(X, Y > 0)
    sizes, rates = sizes_and_rates(model)
    assert sizes == [8, 8, 16, 16, 32, 32, 64, 64]
    assert_allclose(rates, 0.02 * np.repeat([1, 2, 4, 8], 2) ** (power - 1.0))


def test_beyond_a_tenth_of_the_rows_the_rate_falls():
    """As Smith et al. do it."""
    sizes, rates = sizes_and_rates(regressor(batch_size=100).fit(X, Y))
    assert sizes == [100, 100, 200, 200, 200, 200, 200, 200]
    assert_allclose(rates, np.repeat([0.02, 0.02, 0.01, 0.005], 2))
    sizes, rates = sizes_and_rates(regressor(batch_size=100, max_batch_size=400).fit(X, Y))
    assert sizes[-4:] == [400, 400, 400, 400]
    assert_allclose(rates, np.repeat([0.02, 0.02, 0.02, 0.01], 2))
    sizes, rates = sizes_and_rates(regressor(batch_size=100, max_batch_size=50).fit(X, Y))
    assert set(sizes) == {100}
    assert_allclose(rates, 0.02 / np.repeat([1, 2, 4, 8], 2))


def test_an_interval_makes_it_wait():
    sizes, rates = sizes_and_rates(regressor(batch_growth_interval=3).fit(X, Y))
    assert sizes == [8, 8, 8, 16, 16, 16, 64, 64]
    assert_allclose(rates, 0.02 * np.array(sizes) / 8 / np.repeat([1, 2, 4, 8], 2))


SCHEDULES = {
    "cosine": lambda epochs, updates: cosine(epochs, 0.02, length=8),
    "invscaling": lambda epochs, updates: invscaling(updates, 0.02, 0.5),
    "inverse_time": lambda epochs, updates: 0.02 / (1 + 0.05 * 0.02 * updates),
    "step": lambda epochs, updates: step(epochs, 0.02, 2),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_rate_over_batch_is_that_of_the_schedule_alone(name):
    """The temperature ``eta / B`` at the last update of every epoch, and nothing but rounding of batch sizes in the
    rates at their beginnings. Schedules that count updates count those of the first batch size."""
    model = regressor(learning_rate=name, cycle_length=None if name == "cosine" else 2, alpha=0.05, power_t=0.5)
    sizes, rates = sizes_and_rates(model.fit(X, Y))
    sizes, epoch = np.array(sizes), np.arange(8)
    whole, first = np.ceil(N / sizes), N / 8
    last = epoch + 1 - 1 / whole
    expected = SCHEDULES[name](last, np.floor(last * first + 1e-9)) / 8
    assert_allclose(rates / sizes, expected, rtol=1e-9)
    assert (np.diff(sizes) >= 0).all()
    assert sizes[-1] > 8
    begins = SCHEDULES[name](epoch, epoch * first)
    assert_array_equal(sizes, np.minimum(np.round(8 * begins[0] / begins), 200))


def test_training_is_that_of_fits_in_a_row():
    """One batch size after another, at a constant rate."""
    growing = regressor(solver="momentum", shuffle=False).fit(X, Y)
    in_a_row = MiniBatchSGDRegressor(
        **{**LEAST_SQUARES, "solver": "momentum", "shuffle": False, "warm_start": True, "max_iter": 2},
        learning_rate="constant", eta0=0.02,
    )  # fmt: skip
    for size in (8, 16, 32, 64):
        in_a_row.set_params(batch_size=size).fit(X, Y)
    assert_allclose(growing.coef_, in_a_row.coef_, rtol=1e-12)
    assert growing.n_updates_ == in_a_row.n_updates_


# ------------------------------------------------------------------------- what it is for


def excess(model):
    best = X @ np.linalg.lstsq(X, Y, rcond=None)[0]
    return 0.5 * np.mean((X @ model.coef_ - best) ** 2)


def test_the_noise_floor_is_that_of_the_decayed_rate_with_fewer_updates():
    """The excess loss of a steady state is about eta trace / (4 B): what matters is eta / B. Both end at the same; the
    constant rate stays 64 times as high. Medians of 9 seeds, each of which is within a small factor."""
    steps = {"cycle_length": 3, "cycle_decay": 0.125, "max_iter": 9, "batch_size": 2, "eta0": 0.05}
    common = {**steps, "shuffle": "replacement"}
    ends, updates = {}, {}
    for name, more in {
        "growth": {},
        "decay": {"batch_growth": None},
        "neither": {"batch_growth": None, "learning_rate": "constant"},
    }.items():
        models = [regressor(**{**common, **more, "random_state": seed}).fit(X, Y) for seed in range(9)]
        ends[name] = np.median([excess(model) for model in models])
        updates[name] = models[0].n_updates_
    assert 0.3 < ends["growth"] / ends["decay"] < 3.0
    assert ends["neither"] > 15 * ends["decay"]
    assert updates["growth"] < 0.4 * updates["decay"]


# ------------------------------------------------------------------------- other schedules


def test_growth_follows_the_highest_rate_so_far():
    """A warm-up and a cycle that rises: nothing grows before the top, and a restart begins with small batches again."""
    sizes, rates = sizes_and_rates(regressor(warmup=2).fit(X, Y))
    assert sizes[:3] == [8, 8, 16]
    assert_allclose(rates[1:], 0.02)
    model = regressor(learning_rate="one_cycle", cycle_length=8, max_eta=0.02, eta0=0.002)
    sizes, rates = sizes_and_rates(model.fit(X, Y))
    assert sizes[:3] == [8, 8, 8]  # the top is where the third epoch begins
    assert sizes[3:] == np.minimum(200, np.round(8 * 0.02 / one_cycle(np.arange(3, 8), 0.02, 8, eta0=0.002))).tolist()
    sizes, rates = sizes_and_rates(regressor(learning_rate="cosine", cycle_length=4).fit(X, Y))
    assert sizes[:4] == sizes[4:]
    assert sizes[0] == 8 < sizes[3]


@settings(deadline=None)
@given(st.sampled_from(["triangular", "triangular2", "exp_range", "one_cycle", "cosine"]), st.floats(0.3, 5.0))
def test_no_rate_is_lifted_above_the_highest_of_the_schedule(name, cycle_length):
    model = regressor(learning_rate=name, cycle_length=cycle_length, eta0=0.005, max_eta=0.02, max_iter=5)
    sizes, rates = sizes_and_rates(model.fit(X[:300], Y[:300]))
    assert (rates <= 0.02 * (1 + 1e-12)).all()
    assert (np.array(sizes) >= 8).all()
    assert max(sizes) <= 30


def test_a_rate_that_is_divided_when_training_stalls_is_a_batch_that_is_multiplied():
    model = regressor(learning_rate="adaptive", tol=1e-3, n_iter_no_change=2, max_iter=300, max_batch_size="full")
    sizes, rates = sizes_and_rates(model.fit(X, Y))
    grown = np.array(sizes)
    changes = np.flatnonzero(np.diff(grown)) + 1
    assert_allclose(grown[changes[:3]], [40, 200, 1000])
    assert_allclose(rates[: changes[2] + 1], 0.02)
    assert grown[-1] == N
    assert rates[-1] < 0.02
    assert model.status_ == "converged"


def three_epochs_each(now):
    return 0.25 ** (now.epochs // 3)


def test_schedules_of_the_users():
    sizes, rates = sizes_and_rates(regressor(learning_rate=three_epochs_each).fit(X, Y))
    assert sizes == [8, 8, 8, 32, 32, 32, 128, 128]
    assert_allclose(rates, 0.02)


def test_a_rate_of_zero_is_the_largest_batch():
    def ends(now):
        return (now.epochs < 2) * 1.0

    sizes, rates = sizes_and_rates(regressor(learning_rate=ends, max_iter=4).fit(X, Y))
    assert sizes == [8, 8, 200, 200]
    assert_allclose(rates, [0.02, 0.02, 0, 0])


# ------------------------------------------------------------------------- with everything else


def test_every_fit_begins_anew_and_chunks_do_not_grow():
    model = regressor(warm_start=True).fit(X, Y)
    assert sizes_and_rates(model.fit(X, Y))[0][:3] == [8, 8, 16]
    chunks = regressor()
    for _ in range(3):
        chunks.partial_fit(X, Y)
    assert sizes_and_rates(chunks)[0] == [8, 8, 8]
    assert_allclose(sizes_and_rates(chunks)[1], [0.02, 0.02, 0.01])


def test_a_calibrated_and_a_scaled_first_rate():
    for parameters in ({"eta0": "auto"}, {"learning_rate_scaling": "linear", "reference_batch_size": 32}):
        model = regressor(**parameters).fit(X, Y)
        sizes, rates = sizes_and_rates(model)
        assert sizes == [8, 8, 16, 16, 32, 32, 64, 64]
        assert_allclose(rates, model.eta0_)


def test_searches_and_copies():
    model = regressor(learning_rate=three_epochs_each, max_iter=4)
    search = MiniBatchGridSearchCV(model, {"eta0": [0.005, 0.02]}, cv=2, refit=False).fit(X, Y)
    assert search.history_of(1, 0)["batch_size"].tolist() == [8, 8, 8, 32]
    loaded = pickle.loads(pickle.dumps(clone(model).fit(X, Y)))
    assert_array_equal(loaded.fit(X, Y).coef_, model.fit(X, Y).coef_)


def test_memory_is_that_of_the_largest_batch():
    grown, plain = (
        memory_required(regressor(batch_growth=growth, batch_size=size), 10, n_samples=10**6)
        for growth, size in (("schedule", 8), (None, 10**5))
    )
    assert grown.total >= plain.total - 10**6


# ------------------------------------------------------------------------- what is wrong


@pytest.mark.parametrize("learning_rate", ["constant", "auto", "dowg", "pa1"])
def test_rates_that_do_not_fall_have_nothing_to_trade(learning_rate):
    more = {"loss": "epsilon_insensitive"} if learning_rate == "pa1" else {}
    model = regressor(learning_rate=learning_rate, **more)
    with pytest.raises(ValueError, match=f"batch_growth='schedule' trades .*learning_rate='{learning_rate}'.*'step'"):
        model.fit(X, Y)
    assert not hasattr(model, "coef_")


def test_a_length_that_nothing_tells_has_to_be_given():
    model = regressor(learning_rate="cosine", cycle_length=None, max_updates=900)
    with pytest.raises(ValueError, match=r"batch_growth='schedule' max_updates does not tell .* give cycle_length"):
        model.fit(X, Y)
    assert model.set_params(cycle_length=4).fit(X, Y).n_updates_ == 900


def test_classifiers_too():
    model = MiniBatchSGDClassifier("log_loss", **{**HALVES, "batch_growth": "schedule", "tol": None}).fit(X, Y > 0)
    assert sizes_and_rates(model)[0] == [8, 8, 16, 16, 32, 32, 64, 64]
