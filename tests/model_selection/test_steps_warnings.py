"""What steps_to_target says of its answer, in words and tables, and what it refuses."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.linear_model import SGDRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from minibatch import MiniBatchMLPClassifier, MiniBatchMLPRegressor, MiniBatchSGDClassifier, MiniBatchSGDRegressor
from minibatch.model_selection import fit_steps_to_target, steps_to_target

random = np.random.default_rng(0)
X = random.standard_normal((240, 12))
Y = X @ np.ones(12)
SGD = MiniBatchSGDRegressor(alpha=0, fit_intercept=False, shuffle=False, learning_rate="constant")
RATES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)


def steps(estimator=SGD, X=X, y=Y, **arguments):
    given = {"batch_sizes": [1, 12, 240], "learning_rates": RATES, "target": ("train_loss", 0.01), "max_updates": 2000}
    return steps_to_target(estimator, X, y, **(given | arguments))


class TestWhatIsSaid:
    def test_nothing_where_all_is_well(self):
        result = steps(learning_rates=np.geomspace(0.01, 3, 12))
        assert result.warnings == ()
        assert not result.at_edge.any()
        assert len(repr(result).splitlines()) == 5
        assert result.interval[0] < result.critical_batch_size < result.interval[1]

    @pytest.mark.parametrize(
        ("rates", "words"),
        [
            (
                (0.001, 0.003),
                "The best rate is the highest, 0.003, at batch sizes 1, 12, 240: add higher ones, for fewer",
            ),
            ((0.6, 1.0, 1.5), "The best rate is the lowest, 0.6, at batch size 12: add lower ones, for fewer updates."),
        ],
    )
    @pytest.mark.compiled
    def test_best_rates_at_an_edge(self, rates, words):
        result = steps(learning_rates=rates, batch_sizes=[1, 12, 240] if rates[0] < 0.1 else [12], max_updates=10_000)
        assert result.at_edge.all()
        assert result.warnings[0].startswith(words)
        assert repr(result).count("edge") == 1 + len(result.batch_sizes)

    def test_a_rate_below_one_that_diverged_is_at_no_edge(self):
        result = steps(learning_rates=[0.1, 0.3, 100.0])
        diverged = result.trials["status"][result.trials["learning_rate"] == 100.0]
        assert set(diverged) == {"diverged"}
        assert_array_equal(result.learning_rates, [0.1, 0.3, 0.3])
        assert_array_equal(result.at_edge, [True, False, False])

    def test_one_rate_is_no_comparison(self):
        result = steps(learning_rates=[0.05])
        assert result.at_edge.all()
        assert "no batch size is at its own" in result.warnings[0]

    def test_a_target_out_of_reach(self):
        result = steps(max_updates=30, target=("train_loss", 1e-9), learning_rates=[0.01, 0.1])
        assert np.isnan(result.updates).all()
        assert np.isnan(result.samples).all()
        assert np.isnan(result.learning_rates).all()
        assert set(result.trials["status"]) == {"censored"}
        assert set(result.trials["n_updates"]) == {30}
        assert result.regimes == ["not reached"] * 3
        assert not result.at_edge.any()
        assert result.fit is None
        assert np.isnan([result.critical_batch_size, *result.interval]).all()
        assert result.warnings == (
            "train_loss <= 1e-09 was not reached within max_updates=30 at batch sizes 1, 12, 240: allow more, or "
            "choose an easier target. [MB239]",
            "No fit: it needs three batch sizes that reach the target; 0 did. [MB235]",
        )
        assert "no fit" in repr(result)

    def test_a_size_that_does_not_arrive_is_left_out_of_the_fit(self):
        result = steps(batch_sizes=[1, 4, 15, 60], max_updates=40, learning_rates=[0.03, 0.1, 0.3, 1.0])
        missed = np.isnan(result.updates)
        assert_array_equal(missed, [True, False, False, False])
        assert result.regimes[0] == "not reached"
        assert np.isnan(result.slopes[0])
        assert (result.fit.n_sizes, result.fit.n_censored) == (3, 1)
        assert any("not reached within max_updates=40 at batch size 1:" in words for words in result.warnings)

    @pytest.mark.parametrize("target", [("train_loss", 0.01), ("train_score", 0.9), ("gradient_norm", 0.01)])
    @pytest.mark.compiled
    def test_divergence_everywhere(self, target):
        result = steps(learning_rates=[1e3, 1e5], target=target)
        assert set(result.trials["status"]) == {"diverged"}
        assert result.warnings[0] == "Every trial diverged at batch sizes 1, 12, 240: add lower learning_rates. [MB238]"
        assert "not reached within" not in repr(result)

    @pytest.mark.parametrize("target", [("train_loss", 1e6), ("train_score", -1e6)])
    def test_a_target_that_is_met_at_the_start(self, target):
        result = steps(target=target, n_repeats=2)
        for name in ("updates", "samples", "epochs"):
            assert_array_equal(getattr(result, name), 0)
        assert result.warnings == (
            "No fit: the target is met before the first update. Choose one that is harder to reach. [MB234]",
        )
        assert result.regimes == ["-"] * 3
        assert not result.at_edge.any()

    def test_fewer_than_three_sizes_have_no_fit(self):
        result = steps(batch_sizes=[4, 15])
        assert np.isfinite(result.updates).all()
        assert result.warnings[-1] == "No fit: it needs three batch sizes that reach the target; 2 did. [MB235]"
        assert np.isnan(steps(batch_sizes=[4]).slopes).all()

    def test_the_fit_is_quoted(self):
        result = steps(batch_sizes=[1, 2, 4], max_updates=10_000, learning_rates=np.geomspace(0.003, 1, 12))
        assert result.warnings == result.fit.warnings
        assert "above the largest size, 4" in result.warnings[0]
        assert "; critical batch size above 4" in repr(result).splitlines()[0]

    @pytest.mark.parametrize(
        ("updates", "words"),
        [
            ([10, 10, 10, 10], "below 2"),
            ([10, 10, 12, 8], "below 2, at most 4.61"),
            ([np.nan, 10, 10, 10], "below 8"),
            ([1600, 400, 100, 25], "above 128"),
            ([900, 300, 70, 25], "above 128, at least 52.6"),
            ([1100, 350, 200, 150], "13.7 [9.71, 19.3]"),
        ],
    )
    def test_a_critical_size_beyond_the_sizes_has_no_digits(self, updates, words):
        """Their digits would come from rounding, or from the formula where no batch has been."""
        sizes, updates = np.array([2, 8, 32, 128]), np.array(updates, float)
        fit = fit_steps_to_target(sizes, updates)
        result = replace(steps(batch_sizes=[2, 8, 32, 128]), updates=updates, fit=fit)
        for text in (repr(result).splitlines()[0], result._repr_html_()):
            assert f"; critical batch size {words}" in text


class TestTables:
    @pytest.fixture(scope="class")
    @classmethod
    def result(cls):
        return steps(
            MiniBatchSGDRegressor(solver="momentum", alpha=0, learning_rate="constant", random_state=0),
            momenta=[0, 0.9],
            n_repeats=2,
        )

    def test_frames(self, result):
        frame = result.to_frame()
        assert_array_equal(frame["updates"], result.updates)
        assert_array_equal(frame["momentum"], result.momenta)
        assert list(frame["regime"]) == result.regimes
        trials = result.to_frame("trials")
        assert len(trials) == 3 * len(RATES) * 2 * 2
        assert set(trials["momentum"]) == {0.0, 0.9}
        reached = trials[trials["status"] == "reached"]
        assert (reached["value"] <= 0.01).all()
        assert (reached["updates"] == reached["n_updates"]).all()
        assert trials["updates"].isna().equals(trials["status"] != "reached")
        with pytest.raises(ValueError, match="what must be 'summary' or 'trials'; got 'folds'"):
            result.to_frame("folds")

    def test_texts(self, result):
        for text in (repr(result), result._repr_html_()):
            assert "3 batch sizes, 72 trials of up to 2000 updates; critical batch size" in text
            assert "momentum" in text
            assert all(words in text for words in result.warnings)
        assert "momentum" not in repr(steps())
        assert result._repr_html_().count("<table") == 1
        page = replace(result, warnings=("a < b", "c"))._repr_html_()
        assert page.endswith("</table><ul><li>a &lt; b</li><li>c</li></ul></div>")

    def test_results_travel(self, result):
        assert repr(pickle.loads(pickle.dumps(result))) == repr(result)


class TestWrongInput:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"batch_sizes": []}, "batch_sizes is empty; give at least one value"),
            ({"batch_sizes": [0]}, "'batch_size' parameter"),
            ({"batch_sizes": [8, "half"]}, "'batch_size' parameter"),
            ({"learning_rates": []}, "learning_rates is empty"),
            ({"learning_rates": [0.1, 0]}, "learning_rates must be positive and finite; got 0"),
            ({"learning_rates": [-0.1]}, "learning_rates must be positive and finite; got -0.1"),
            ({"learning_rates": [np.inf]}, "learning_rates must be positive and finite; got inf"),
            ({"learning_rates": [np.nan]}, "learning_rates must be positive and finite; got nan"),
            ({"learning_rates": [True]}, "learning_rates must be positive and finite; got True"),
            ({"learning_rates": ["fast"]}, "learning_rates must be positive and finite; got 'fast'"),
            ({"momenta": [0.9]}, "momenta are of a solver that has one .*; solver='sgd' has none"),
            ({"target": None}, "target is None; give a test score"),
            ({"target": ("loss", 0.1)}, r"\(name, number\) or a dict .* names test_score, .*; got \('loss', 0.1\)\."),
            ({"target": {"loss": 0.1}}, r"names test_score, .*; got \{'loss': 0.1\}\."),
            ({"target": ("train_loss", "low")}, "target must be a finite number; got 'low'"),
            ({"target": ("train_loss", np.nan)}, "target must be a finite number; got nan"),
            ({"target": 0.9}, "target=0.9 is about test rows; give X_test and y_test, or .*'train_score': 0.9"),
            ({"target": {"test_loss": 0.1}}, "is about test rows; give X_test and y_test, or .*'train_loss': 0.1"),
            ({"target": 0.9, "X_test": X}, "X_test and y_test go together, but y_test is missing"),
            ({"y_test": Y}, "X_test and y_test go together, but X_test is missing"),
            ({"max_updates": 0}, "'max_updates' parameter of steps_to_target"),
            ({"n_repeats": 0}, "'n_repeats' parameter of steps_to_target"),
            ({"confidence": 95}, "'confidence' parameter of steps_to_target"),
            ({"random_state": "seed"}, "'random_state' parameter of steps_to_target"),
            ({"sample_weight": [1.0]}, "sample_weight"),
            ({"y": Y[:5]}, "inconsistent numbers of samples"),
        ],
    )
    def test_is_named(self, arguments, message):
        with pytest.raises(ValueError, match=message):
            steps(**arguments)

    def test_sequences_are_asked_for(self):
        with pytest.raises(TypeError, match="batch_sizes must be a sequence of values; got 8"):
            steps(batch_sizes=8)
        with pytest.raises(TypeError, match="learning_rates must be a sequence of values; got 'all'"):
            steps(learning_rates="all")

    def test_momenta_are_those_of_the_estimator(self):
        momentum = MiniBatchSGDRegressor(solver="momentum")
        with pytest.raises(ValueError, match="'momentum' parameter"):
            steps(momentum, momenta=[0.9, 1.5])
        with pytest.raises(ValueError, match="momenta is empty"):
            steps(momentum, momenta=[])
        with pytest.raises(ValueError, match=r"\('momentum', 'nesterov', 'sgd'\); solver='adam' has none"):
            steps(MiniBatchMLPRegressor(), momenta=[0.9])

    def test_estimators_without_a_rate(self):
        with pytest.raises(ValueError, match="solver='lbfgs' has no learning rate"):
            steps(MiniBatchMLPRegressor(solver="lbfgs"))
        with pytest.raises(TypeError, match="an estimator of minibatch, or a Pipeline"):
            steps(make_pipeline(StandardScaler(), SGDRegressor()))

    def test_batches_of_one_row_for_batch_normalization(self):
        network = MiniBatchMLPClassifier((3,), learning_rate="constant", batch_normalization=True)
        with pytest.raises(ValueError, match="Use a larger batch_size"):
            steps(network, y=Y > 0, batch_sizes=[1, 4])

    def test_an_error_in_a_trial_says_in_which(self):
        with pytest.raises(ValueError, match="Test part") as error:
            steps(target=0.9, X_test=X[:, :2], y_test=Y)
        assert error.value.__notes__ == ["In a trial of batch_size=1 at the learning rate 3."]

    def test_a_target_that_is_not_finite_at_the_start(self):
        with pytest.raises(ValueError, match="train_loss is inf before the first update; scale X"):
            steps(y=Y * 1e200)

    def test_labels_that_training_lacks(self):
        sgd = MiniBatchSGDClassifier("log_loss", learning_rate="constant")
        with pytest.raises(ValueError, match=r"y_test has classes that y lacks \(7\), whose rows have no loss"):
            steps(sgd, y=Y > 0, target=("test_loss", 0.5), X_test=X, y_test=np.full(240, 7))
