"""steps_to_target: trials that are cut off, looks at a sample of the rows, seeds, jobs."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from minibatch import MiniBatchMLPClassifier, MiniBatchSGDClassifier
from minibatch.model_selection import steps_to_target
from references.steps import PLAIN, cancer_rows, digit_rows, quadratic_rows, trials


@pytest.fixture(scope="module")
def quadratic():
    return quadratic_rows()


@pytest.fixture(scope="module")
def cancer():
    return cancer_rows()


@pytest.fixture(scope="module")
def digits():
    return digit_rows()


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
