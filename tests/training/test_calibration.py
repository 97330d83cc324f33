"""eta0="auto": the walk over rates, on costs that are known, and what short runs find on data."""

from types import SimpleNamespace

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import scale

from minibatch import MiniBatchMLPClassifier, MiniBatchMLPRegressor, MiniBatchSGDClassifier, MiniBatchSGDRegressor
from minibatch._training import calibration, trials
from minibatch._training.calibration import best_in_trials, lowest, stays_ahead, walk
from minibatch._training.trials import Trials

X, Y = load_breast_cancer(return_X_y=True)
X = scale(X)
AUTO = {"learning_rate": "inverse_time", "eta0": "auto", "random_state": 0}
WHOLE = {"learning_rate_init": "auto", "tol": None, "random_state": 0}


@given(st.integers(-25, 25), st.sampled_from([2.0, 4.0]))
def test_a_walk_ends_at_the_lowest_cost(exponent, factor):
    assert walk(lambda eta: abs(np.log(eta) / np.log(factor) - exponent), 1.0, factor) == factor**exponent


def test_rates_that_run_away_are_left_downwards():
    assert walk(lambda eta: np.inf if eta > 1e-3 else 1 / eta, 1.0, 2.0) == 2.0**-10


def test_a_cost_that_is_never_finite_is_an_error():
    with pytest.raises(ValueError, match="No learning rate"):
        walk(lambda eta: np.inf, 1.0, 2.0)


@given(st.floats(-0.5, 0.5))
def test_between_three_rates_a_parabola_tells_the_lowest(exponent):
    assert np.isclose(lowest(lambda eta: 3 + (np.log2(eta) - exponent) ** 2, 1.0, 2.0), 2.0**exponent)


def known(cost, lengths, end):
    """Trials whose costs are known, of runs of ``end`` updates."""
    run = SimpleNamespace(is_full=lambda n_samples: False, n_updates=lambda n_samples: end)
    return SimpleNamespace(cost=cost, lengths=lengths, run=run, n_samples=end)


@given(st.floats(0.01, 10), st.floats(0.01, 100), st.floats(1e-3, 0.5), st.integers(2, 500), st.integers(1, 50))
def test_of_two_rates_short_runs_tell_which_is_ahead_in_the_end(slow, noise, lower, length, ratio):
    """Where gaps are ``slow / (eta t) + noise eta``."""

    def cost(eta, n_updates):
        return 3.0 + slow / (eta * n_updates) + noise * eta

    end = ratio * length
    lead = cost(lower, end) - cost(1.0, end)
    assume(abs(lead) > 1e-6)
    assert stays_ahead(1.0, lower, known(cost, [length], end)) == (lead > 0)


def test_a_rate_that_is_behind_in_all_trials_may_be_ahead_in_the_end():
    def cost(eta, n_updates):
        return 1 / (eta * n_updates) + 0.5 * eta

    assert cost(1.0, 10) < cost(0.1, 10)
    assert stays_ahead(1.0, 0.1, known(cost, [10], 10))
    assert not stays_ahead(1.0, 0.1, known(cost, [10], 1000))


def test_behind_a_shallow_valley_a_deeper_one_is_found():
    def cost(eta, n_updates):
        if n_updates == 0:
            return 1.0
        return float(min(0.99 + 0.01 * np.log2(eta / 1e-4) ** 2, 0.5 + 0.1 * np.log2(eta / 0.1) ** 2))

    assert np.isclose(best_in_trials(known(cost, [24], 100), 2.0**-13, usual=0.02), 0.1, rtol=0.05)


@pytest.mark.parametrize(("solver", "batch_size"), [("sgd", 1), ("adam", 1), ("adam", 32)])
@pytest.mark.parametrize("n_columns", [12, 16])
def test_columns_that_are_nearly_the_same_get_no_lower_rate_than_the_usual_one(solver, batch_size, n_columns):
    """Trials are over before anything is learned but the noise; the long run learns."""
    rng = np.random.default_rng(n_columns)
    rows = scale(rng.standard_normal((2000, 1)) + 0.03 * rng.standard_normal((2000, n_columns)))
    slopes = rng.standard_normal(n_columns)
    target = scale(scale(rows @ (slopes - slopes.mean())) + 0.3 * rng.standard_normal(2000))
    model = regressor(solver=solver, batch_size=batch_size, max_iter=20)
    ends = [model.set_params(eta0=eta0).fit(rows, target).score(rows, target) for eta0 in ("auto", 0.01)]
    assert ends[0] > ends[1] - 0.02


def regressor(**parameters):
    more = {"penalty": None, "fit_intercept": False, "batch_size": "full", "max_iter": 5, "tol": None}
    return MiniBatchSGDRegressor(**{**AUTO, "learning_rate": "constant", **more, **parameters})


@pytest.mark.parametrize(("solver", "stable"), [("sgd", 2.0), ("momentum", 3.8)])
def test_full_batch_descent_gets_a_rate_that_is_stable(solver, stable):
    """Below ``2 / L`` and ``2 (1 + mu) / L`` of the Hessian of all rows, and not far below."""
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((400, 5)) * [3.0, 1.0, 1.0, 0.5, 0.5]
    curvature = np.linalg.eigvalsh(rows.T @ rows / len(rows))[-1]
    model = regressor(solver=solver, momentum=0.9).fit(rows, rows @ np.ones(5) + rng.standard_normal(400))
    assert 0.05 * stable < model.eta0_ * curvature < stable


@pytest.mark.parametrize("batch_size", [1, 16, "full"])
def test_the_rate_of_the_squared_error_goes_with_the_square_of_the_columns(batch_size):
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((500, 4))
    target = rows @ np.ones(4) + rng.standard_normal(500)
    rates = [regressor(batch_size=batch_size).fit(c * rows, target).eta0_ for c in (1.0, 8.0)]
    assert np.isclose(rates[1], rates[0] / 64)


@pytest.mark.parametrize("n_rows", [40, 2000])
def test_rows_that_judge_are_not_trained_on(n_rows, monkeypatch):
    rows = np.arange(1.0, n_rows + 1)[:, None] / n_rows
    found = []
    monkeypatch.setattr(calibration, "splits_of", lambda *args: found.append(trials.splits_of(*args)) or found[-1])
    regressor(batch_size=8).fit(rows, rows[:, 0])
    for learned, judges in found[0]:
        learned, judges = (set(part.data.X[:, 0]) for part in (learned, judges))
        assert learned
        assert judges
        assert not learned & judges
    if n_rows == 40:  # every row but one judges in turn
        assert len(set.union(*(set(split.judges.data.X[:, 0]) for split in found[0]))) == 39


def test_a_trial_sees_the_whole_schedule():
    run = trials.Run(lambda eta: lambda now: eta * (1 - now.epochs / 10), 10, "keep", 10.0, False)
    seen = trials.rates_of_trial(run, 1000, 2.0, 50)
    assert np.allclose(seen, 2.0 * (1 - np.arange(50) / 50))


def test_a_constant_rate_is_lower_than_one_that_falls_and_adam_has_its_own():
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((3000, 5))
    target = rows @ np.ones(5) + rng.standard_normal(3000)
    constant, cosine = (
        regressor(batch_size=1, learning_rate=name, max_iter=20).fit(rows, target).eta0_
        for name in ("constant", "cosine")
    )
    assert constant < cosine
    assert regressor(batch_size=1, solver="adam", max_iter=20).fit(rows, target).eta0_ != constant


def test_the_same_rate_for_dense_and_sparse_rows_and_every_time():
    rates = [
        MiniBatchSGDClassifier("log_loss", batch_size=16, max_iter=3, tol=None, **AUTO).fit(rows, Y).eta0_
        for rows in (X, X, sp.csr_array(X))
    ]
    assert rates[0] == rates[1]
    assert np.isclose(rates[0], rates[2], rtol=0.2)  # of two that are next to each other, rounding may take either


def test_weights_are_repeated_rows():
    weight = np.random.default_rng(0).integers(0, 3, len(X))
    model = MiniBatchSGDClassifier("log_loss", batch_size=16, max_iter=3, tol=None, **AUTO)
    weighted = model.fit(X, Y, sample_weight=weight).eta0_
    repeated = model.fit(np.repeat(X, weight, axis=0), np.repeat(Y, weight)).eta0_
    assert 0.25 < weighted / repeated < 4


@pytest.mark.parametrize("n_rows", [1, 2, 3, 5])
def test_few_rows(n_rows):
    rows = np.random.default_rng(0).standard_normal((n_rows, 3))
    for batch_size in (1, 2, "full"):
        model = regressor(batch_size=batch_size).fit(rows, rows.sum(axis=1))
        assert 1e-4 < model.eta0_ < 10
        assert np.isfinite(model.coef_).all()


def test_it_costs_less_than_the_fit(monkeypatch):
    """The rows that trials train on, of 20 epochs of 6000 rows."""
    rows = np.random.default_rng(0).standard_normal((6000, 4))
    counted, path = [], Trials.path

    def counting(self, problem, rates, ends):
        counted.append(len(rates) * self._batch_size)
        return path(self, problem, rates, ends)

    monkeypatch.setattr(Trials, "path", counting)
    for batch_size in (1, 32, 256):
        counted.clear()
        regressor(batch_size=batch_size, max_iter=20).fit(rows, rows.sum(axis=1))
        assert sum(counted) < 0.9 * 20 * 6000


@pytest.mark.parametrize("batch_size", [1, 32, "full"])
def test_the_rate_trains_and_follows_the_scale_of_the_columns(batch_size):
    model = MiniBatchSGDClassifier("log_loss", batch_size=batch_size, **AUTO).fit(X, Y)
    assert model.score(X, Y) > 0.95
    larger = MiniBatchSGDClassifier("log_loss", batch_size=batch_size, **AUTO).fit(8 * X, Y)
    assert larger.eta0_ < model.eta0_ / 8


def test_the_calibration_changes_nothing_but_the_rate():
    auto = MiniBatchSGDClassifier("log_loss", max_iter=5, tol=None, **AUTO).fit(X, Y)
    given_ = MiniBatchSGDClassifier("log_loss", max_iter=5, tol=None, **{**AUTO, "eta0": auto.eta0_}).fit(X, Y)
    assert np.array_equal(auto.coef_, given_.coef_)
    assert auto.n_updates_ == given_.n_updates_


@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_networks_are_calibrated_too(solver):
    constant = {"solver": solver, "learning_rate": "constant", **WHOLE}
    net = MiniBatchMLPClassifier((8,), max_iter=20, **constant)
    assert net.fit(X, Y).score(X, Y) > 0.95
    rows, targets = load_diabetes(return_X_y=True)
    regressor = MiniBatchMLPRegressor(hidden_layer_sizes=(8,), max_iter=50, **constant)
    assert regressor.fit(scale(rows), scale(targets)).score(scale(rows), scale(targets)) > 0.4


def test_what_goes_on_keeps_its_rate():
    model = MiniBatchSGDClassifier("log_loss", batch_size=8, warm_start=True, **AUTO).fit(X, Y)
    first = model.eta0_
    assert model.fit(100 * X, Y).eta0_ == first
    stream = MiniBatchSGDClassifier("log_loss", batch_size=8, **AUTO).partial_fit(X, Y, classes=[0, 1])
    first = stream.eta0_
    assert stream.partial_fit(100 * X, Y).eta0_ == first
    assert stream.fit(100 * X, Y).eta0_ < first
    # but for another batch size, or after a rate that was given, it is calibrated
    assert model.set_params(batch_size="full").fit(X, Y).eta0_ != model.set_params(batch_size=1).fit(X, Y).eta0_
    assert model.set_params(eta0=1e-9).fit(X, Y).eta0_ == 1e-9
    assert model.set_params(eta0="auto").fit(X, Y).eta0_ > 1e-6


def test_rows_of_weight_zero_do_not_count():
    weight = np.r_[np.ones(len(X)), np.zeros(len(X))]
    model = MiniBatchSGDClassifier("log_loss", batch_size=8, **AUTO)
    assert model.fit(np.r_[X, 1e3 * X], np.r_[Y, Y], sample_weight=weight).score(X, Y) > 0.9


def test_short_batches_that_training_leaves_out_are_left_out_of_the_sample():
    rows, labels = np.tile(X, (2, 1))[:1100], np.tile(Y, 2)[:1100]
    net = MiniBatchMLPClassifier((8,), batch_normalization=True, max_iter=2, **WHOLE)
    # 1000 rows in batches of 27 leave one over; in batches of 333 too
    assert net.set_params(batch_size=27).fit(rows, labels).eta0_ > 1e-4
    assert net.set_params(batch_size=333, last_batch="drop").fit(rows, labels).eta0_ > 1e-4
    with pytest.raises(ValueError, match="needs batches of two rows or more"):
        net.set_params(batch_size=1).fit(rows, labels)


def test_the_sample_is_drawn_from_the_rows_that_count():
    weight = np.zeros(len(X))
    weight[[3, 40, 500]] = 1.0
    model = MiniBatchSGDClassifier("log_loss", batch_size=8, max_iter=3, tol=None, **AUTO)
    assert np.isfinite(model.fit(X, Y, sample_weight=weight).eta0_)


def test_columns_of_enormous_scale():
    model = MiniBatchSGDClassifier("log_loss", batch_size=8, fit_intercept=False, max_iter=20, tol=None, **AUTO)
    assert model.fit(1e12 * X, Y).score(1e12 * X, Y) > 0.9
    assert model.eta0_ < 1e-20


def test_a_rate_that_can_only_do_harm_is_said_so():
    model = MiniBatchSGDRegressor(batch_size=1, penalty=None, max_iter=3, tol=None, **{**AUTO, "alpha": 0.1})
    with pytest.warns(ConvergenceWarning, match="found no learning rate that lowers the objective"):
        model.fit(np.zeros((50, 2)), np.tile([-1.0, 1.0], 25))


def test_a_loss_that_is_proportional_to_the_rate_ends_the_search():
    """A perceptron that has nothing to learn from: the lower the rate, the lower the loss, down to 0."""
    model = MiniBatchSGDClassifier("perceptron", solver="momentum", batch_size=1, max_iter=3, tol=None, **AUTO)
    with pytest.warns(ConvergenceWarning, match="found no learning rate that lowers the objective"):
        model.fit(np.zeros((2, 1)), [0, 1])
    assert 0 < model.eta0_ <= 0.01


def test_a_calibrated_rate_leaves_room_for_a_rise():
    model = MiniBatchSGDClassifier("log_loss", max_eta=1e-3, max_iter=5, tol=None, batch_size="full", **AUTO)
    assert model.set_params(learning_rate="one_cycle").fit(X, Y).eta0_ == 1e-3 / 4
