"""steps_to_target: trials that are cut off, looks at a sample of the rows, seeds, jobs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone

from minibatch import MiniBatchMLPClassifier, MiniBatchSGDClassifier
from minibatch._base.watch import Evaluation
from minibatch.model_selection import _steps_probe, steps_to_target
from minibatch.model_selection._steps_pace import outlook
from minibatch.model_selection._steps_probe import Probe
from minibatch.model_selection._summary import Target
from references.steps import PLAIN, looks, losses_of, trials


class TestSearch:
    arguments = {"batch_sizes": [8, 64], "target": {"train_loss": 0.3}, "max_updates": 600, "random_state": 1}
    network = MiniBatchMLPClassifier((8,), learning_rate="constant", solver="momentum")

    @pytest.mark.parametrize("n_repeats", [1, 4])
    def test_stopping_trials_early_changes_no_count(self, digits, n_repeats):
        """Alone, a rate has nothing to be compared with, and runs to the end."""
        rates = [0.003, 0.03, 0.1, 0.3, 1.0]
        arguments = self.arguments | {"n_repeats": n_repeats}
        together = steps_to_target(self.network, *digits, learning_rates=rates, **arguments)
        alone = [steps_to_target(self.network, *digits, learning_rates=[rate], **arguments) for rate in rates]
        assert_array_equal(together.updates, np.nanmin([one.updates for one in alone], axis=0))
        for one in alone:
            counts = one.trials["updates"].reshape(2, n_repeats)
            done = np.sort(np.where(np.isnan(counts), np.inf, counts), axis=1)[:, n_repeats // 2]
            assert_array_equal(np.where(np.isnan(one.updates), np.inf, one.updates), done)

    @pytest.mark.parametrize("target", [("train_loss", 0.5), ("train_score", 0.7)])
    def test_of_equal_counts_the_one_furthest_beyond_the_target_is_best(self, target):
        """One update leaves ``1 - eta`` of the error: rates on both sides of 1 arrive, that in the middle at 0."""
        X = np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
        result = steps_to_target(
            PLAIN, X, X @ [1, 2], batch_sizes=["full"], learning_rates=[0.6, 1.0, 1.4], target=target, max_updates=9
        )
        assert result.trials["updates"].tolist() == [1, 1, 1]
        assert result.learning_rates == 1.0

    def test_trials_that_are_stopped_are_not_said_to_be_at_their_limit(self, quadratic):
        arguments = {"batch_sizes": [10], "learning_rates": [0.01, 0.1], "target": ("train_loss", 1e-3)}
        (fewest,) = steps_to_target(PLAIN, *quadratic, max_updates=10_000, **arguments).updates
        for more, status in ((1, "pruned"), (0, "censored")):
            result = steps_to_target(PLAIN, *quadratic, max_updates=int(fewest) + more, **arguments)
            assert trials(result, learning_rate=0.01)[0] == [status]
            assert result.updates == [fewest]

    def test_repeats_have_their_own_seeds_and_share_them_with_all_others(self, digits):
        result = steps_to_target(
            self.network, *digits, learning_rates=[1e-9, 1e-8], **(self.arguments | {"max_updates": 1, "n_repeats": 3})
        )
        values = result.trials["value"].reshape(4, 3)
        assert len(set(np.round(values[0], 5))) == 3  # three networks that have hardly moved
        assert_allclose(values, np.tile(values[0], (4, 1)), rtol=1e-5)

    def test_rates_that_never_arrive_cost_little_however_many_updates_are_allowed(self, cancer):
        result = steps_to_target(
            MiniBatchSGDClassifier("log_loss", learning_rate="constant", random_state=0), *cancer, batch_sizes=[4],
            learning_rates=[1e-9, 0.01, 30.0], target=("train_loss", 0.15), max_updates=10**9,
        )  # fmt: skip
        status, _, done = trials(result, batch_size=4)
        assert sorted(status) == ["pruned", "pruned", "reached"]
        assert done.max() <= 4 * result.updates[0]

    def test_results_do_not_depend_on_n_jobs(self, digits):
        one, two = (
            steps_to_target(self.network, *digits, learning_rates=[0.01, 0.1], n_jobs=n, **self.arguments)
            for n in (1, 2)
        )
        assert one.to_frame("trials").equals(two.to_frame("trials"))
        assert repr(one) == repr(two)

    def test_a_seed_repeats_and_none_leaves_numpy_alone(self, digits):
        more = {"learning_rates": [0.03], "n_repeats": 2}
        one, two = (steps_to_target(self.network, *digits, **more, **self.arguments) for _ in range(2))
        assert repr(one) == repr(two)
        before = np.random.mtrand._rand.get_state()[1].copy()
        steps_to_target(self.network, *digits, **more, **(self.arguments | {"random_state": None}))
        assert_array_equal(np.random.mtrand._rand.get_state()[1], before)


class TestTrialsThatAreTooSlow:
    @settings(max_examples=25)
    @given(
        st.integers(0, 10**6), st.sampled_from([1, 4, 40]), st.floats(0.05, 0.8), st.sampled_from([0.0, 0.5]),
        st.integers(100, 3000),
    )  # fmt: skip
    def test_stopping_them_changes_no_answer(self, seed, batch_size, share, momentum, max_updates):
        """Against NumPy, which runs every rate to the end: noisy targets, curvatures from 0.01 to 1."""
        random = np.random.default_rng(seed)
        X = random.standard_normal((40, 5)) * np.geomspace(0.1, 1, 5)
        y = X @ random.standard_normal(5) + 0.3 * random.standard_normal(40)
        least = 0.5 * np.mean((X @ np.linalg.lstsq(X, y, rcond=None)[0] - y) ** 2)
        target = least + share * (0.5 * np.mean(y**2) - least)
        rates = (0.001, 0.004, 0.016, 0.06, 0.25, 1.0)
        result = steps_to_target(
            clone(PLAIN).set_params(solver="momentum", momentum=momentum), X, y, batch_sizes=[batch_size],
            learning_rates=rates, target=("train_loss", target), max_updates=max_updates,
        )  # fmt: skip
        at = looks(max_updates)
        needed = []
        for rate in rates:
            there = losses_of(X, y, batch_size, rate, momentum, max_updates)[at] <= target
            needed.append(at[np.argmax(there)] if there.any() else np.nan)
        assert_array_equal(result.updates, [np.nanmin(needed)] if np.isfinite(needed).any() else [np.nan])
        if np.isfinite(result.updates[0]):
            assert needed[rates.index(result.learning_rates[0])] == result.updates[0]

    def test_they_do_not_run_to_the_end(self, quadratic):
        result = steps_to_target(
            PLAIN, *quadratic, batch_sizes=["full"], learning_rates=[1e-8, 1e-7], target=("train_loss", 1e-3),
            max_updates=10**6,
        )  # fmt: skip
        assert result.trials["status"].tolist() == ["stalled"] * 2
        assert (result.trials["n_updates"] <= 50).all()
        assert np.isnan(result.updates).all()

    def test_of_two_rates_the_slow_one_stops_far_before_the_fast_one_arrives(self, quadratic):
        result = steps_to_target(
            PLAIN, *quadratic, batch_sizes=["full"], learning_rates=[0.0001, 0.05], target=("train_loss", 1e-6),
            max_updates=10_000,
        )  # fmt: skip
        (status,), _, (done,) = trials(result, learning_rate=0.0001)
        assert status == "pruned"
        assert done < result.updates[0] / 2

    @pytest.mark.parametrize("name", ["train_score", "gradient_norm"])
    def test_only_losses_have_a_pace(self, quadratic, name):
        result = steps_to_target(
            PLAIN, *quadratic, batch_sizes=["full"], learning_rates=[1e-8],
            target={name: 0.9 if name == "train_score" else 1e-3}, max_updates=500,
        )  # fmt: skip
        assert result.trials["status"].tolist() == ["censored"]
        assert result.trials["n_updates"].tolist() == [500]

    def test_a_network_alone_may_stay_on_a_plateau(self, digits):
        network = MiniBatchMLPClassifier((8,), learning_rate="constant", solver="sgd", random_state=0)
        result = steps_to_target(
            network, *digits, batch_sizes=[100], learning_rates=[1e-9], target=("train_loss", 0.5), max_updates=500
        )
        assert result.trials["n_updates"].tolist() == [500]

    @given(st.floats(0.01, 100.0), st.floats(0.001, 0.9), st.integers(40, 2000), st.floats(1.0, 100.0))
    def test_a_convex_curve_stays_above_the_outlook(self, height, ratio, n_updates, further):
        at = np.arange(1, n_updates + 1)
        for curve in (lambda t: height * np.exp(-ratio * t / 100), lambda t: height / (1 + ratio * t)):
            horizon = further * n_updates
            assert outlook(at.tolist(), curve(at).tolist()).lowest(horizon) <= curve(horizon) + 1e-9 * height

    def test_noise_widens_the_outlook(self):
        at = np.arange(1, 400)
        noise = np.random.default_rng(0).standard_normal(len(at))
        lowest = [outlook(at.tolist(), (1 + size * noise).tolist()).lowest(1000) for size in (0.0, 0.01, 0.1)]
        assert lowest[0] == pytest.approx(1)
        assert_allclose(1 - np.array(lowest[1:]), (1 - lowest[2]) * np.array([0.1, 1]), rtol=0.5)


class TestProbe:
    def probe(self, error=0.0):
        """All rows have the loss theta; blocks add errors that grow with it."""
        looked = []
        blocks = [lambda theta, sign=sign: theta * (1 + sign * error) for sign in (-1, 1) * 4]

        def whole(theta):
            looked.append(theta)
            return theta

        probe = Probe(Target("train_loss", 1.0), whole, blocks)
        probe.look(10.0)
        return probe, looked

    def test_all_rows_are_looked_at_where_the_target_is_near(self):
        probe, looked = self.probe(error=0.15)
        for theta in np.arange(9.0, 0.0, -1.0):
            assert probe.estimate(theta) == pytest.approx(theta)
        assert looked[0] == 10.0
        assert looked[-1] == 1.0
        assert 2 < len(looked) < 6

    def test_an_exact_sample_is_trusted_up_to_the_target(self):
        probe, looked = self.probe()
        values = [probe.estimate(theta) for theta in (5.0, 2.0, 1.01, 1.0)]
        assert_allclose(values, [5.0, 2.0, 1.01, 1.0])
        assert looked == [10.0, 1.0]

    def test_what_is_not_finite_is_looked_at(self):
        probe, looked = self.probe()
        assert np.isnan(probe.estimate(np.nan))
        assert len(looked) == 2

    @pytest.mark.parametrize("target", [("train_loss", 0.3), ("test_score", 0.88), ("test_loss", 0.3)])
    def test_counts_are_those_of_looks_at_all_rows(self, monkeypatch, target):
        random = np.random.default_rng(0)
        X = random.standard_normal((20_000, 6))
        y = X @ np.ones(6) + random.standard_normal(20_000) > 0
        sgd = MiniBatchSGDClassifier("log_loss", learning_rate="constant", random_state=0)
        looked = []
        for name in ("loss", "score"):
            plain = getattr(Evaluation, name)

            def counted(self, theta, plain=plain):
                looked.append(len(self.rows.target))
                return plain(self, theta)

            monkeypatch.setattr(Evaluation, name, counted)

        def found():
            looked.clear()
            result = steps_to_target(
                sgd, X, y, batch_sizes=[4, 256], learning_rates=[0.001, 0.01, 0.1], target=target, max_updates=5000,
                X_test=X, y_test=y, sample_weight=1 + np.arange(20_000) % 3,
            )  # fmt: skip
            return result, looked.count(20_000)

        sampled, few = found()
        monkeypatch.setattr(_steps_probe, "_WORTH_IT", 1000)
        whole, many = found()
        assert few < 0.6 * many
        assert_array_equal(sampled.updates, whole.updates)
        assert_array_equal(sampled.learning_rates, whole.learning_rates)
        reached = sampled.trials["status"] == "reached"
        assert_array_equal(sampled.trials["value"][reached], whole.trials["value"][reached])


def test_the_progress_bar_counts_batch_sizes(quadratic, capsys):
    pytest.importorskip("rich")
    arguments = {"batch_sizes": [1, 10, 53], "learning_rates": [0.1], "target": ("train_loss", 0.1), "max_updates": 50}
    silent = steps_to_target(PLAIN, *quadratic, **arguments)
    assert capsys.readouterr().out == ""
    shown = steps_to_target(PLAIN, *quadratic, progress_bar=True, **arguments)
    assert "3/3" in capsys.readouterr().out
    assert repr(shown) == repr(silent)
