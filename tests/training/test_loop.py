"""_training.loop: when a run stops, with which status, and what is recorded."""

import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Lasso, Ridge

from minibatch import MiniBatchSGDClassifier, MiniBatchSGDRegressor
from references.gradient_descent import descend

rng = np.random.default_rng(0)
X = rng.standard_normal((40, 3))
y = X @ [1.0, -2.0, 0.5] + 0.3 * rng.standard_normal(40) + 1.0
labels = (y > 1).astype(int)
PLAIN = {"learning_rate": "constant", "eta0": 0.1, "shuffle": False, "tol": None, "random_state": 0}


def regressor(**parameters):
    return MiniBatchSGDRegressor(**{**PLAIN, **parameters})


def theta(model):
    return np.append(model.coef_, model.intercept_)


class StopAfter:
    """A scikit-learn callback that asks to stop at the end of an epoch."""

    def __init__(self, n_epochs):
        self.n_epochs, self.seen, self.torn_down = n_epochs, 0, False

    def setup(self, estimator, context): ...

    def teardown(self, estimator, context):
        self.torn_down = True

    def on_fit_task_begin(self, estimator, context): ...

    def on_fit_task_end(self, estimator, context):
        if context.task_name != "epoch":
            return False
        self.seen += 1
        return self.seen >= self.n_epochs


# ---------------------------------------------------------------------------------------------- status


def test_converged():
    model = regressor(tol=1e-4, max_iter=500).fit(X, y)
    assert model.status_ == "converged"
    assert 10 <= model.n_iter_ < 500


@pytest.mark.filterwarnings("ignore:Maximum number")
def test_a_slow_descent_is_not_a_standstill():
    """Each epoch gains less than tol, five epochs together gain more."""
    model = regressor(tol=1e-3, max_iter=60, eta0=2e-5, batch_size=1, n_iter_no_change=20).fit(X, y)
    objective = model.history_["progressive_loss"]
    assert (-np.diff(objective) < 0.02).all()
    assert model.status_ == "max_iter"


def test_max_iter_counts_epochs_of_this_call():
    model = regressor(max_iter=7, warm_start=True).fit(X, y)
    assert (model.status_, model.n_iter_) == ("max_iter", 7)
    model.fit(X, y)
    assert (model.status_, model.n_iter_, model.history_.n_epochs) == ("max_iter", 7, 14)


def test_max_updates_cuts_an_epoch_exactly():
    model = regressor(batch_size=12, max_updates=6, max_iter=50).fit(X, y)
    assert (model.status_, model.n_iter_, model.n_updates_) == ("max_updates", 2, 6)
    assert_array_equal(model.history_["n_updates"], [4, 6])
    assert_array_equal(model.history_["n_samples_seen"], [40, 64])
    steps = regressor(batch_size=12, max_iter=1).fit(X, y).partial_fit(X[:24], y[:24])
    assert_allclose(theta(model), theta(steps), rtol=1e-12)


def test_max_updates_within_the_first_epoch_and_at_the_end_of_one():
    for max_updates, n_iter, n_seen in ((1, 1, 12), (4, 1, 40)):
        model = regressor(batch_size=12, max_updates=max_updates).fit(X, y)
        assert (model.status_, model.n_iter_, model.n_updates_) == ("max_updates", n_iter, max_updates)
        assert model.history_.last("n_samples_seen") == n_seen


def test_max_updates_of_a_warm_start_counts_anew():
    model = regressor(batch_size=12, max_updates=6, warm_start=True).fit(X, y).fit(X, y)
    assert (model.n_updates_, model.status_) == (12, "max_updates")


def test_stopped_by_callback():
    callback = StopAfter(3)
    model = regressor(max_iter=50).set_callbacks(callback).fit(X, y)
    assert (model.status_, model.n_iter_, callback.torn_down) == ("stopped_by_callback", 3, True)


def test_early_stopped_restores_the_best_parameters():
    X_val, y_val = X[:10], 0.6 * y[:10]  # the weights pass by the best ones on their way
    model = regressor(early_stopping=True, tol=1e-4, n_iter_no_change=4, max_iter=300, eta0=0.002, batch_size=1)
    model.fit(X[10:], y[10:], X_val=X_val, y_val=y_val)
    scores = model.history_["validation_score"]
    assert model.status_ == "early_stopped"
    assert scores[-1] < scores.max()
    assert_allclose(model.score(X_val, y_val), scores.max(), rtol=1e-12)
    best = regressor(max_iter=int(scores.argmax()) + 1, eta0=0.002, batch_size=1).fit(X[10:], y[10:])
    assert_allclose(theta(model), theta(best), rtol=1e-12)


def test_early_stopping_holds_out_a_part_and_trains_on_the_rest():
    model = MiniBatchSGDClassifier(early_stopping=True, validation_fraction=0.25, batch_size=1.0, random_state=0).fit(
        X, labels
    )
    assert model.batch_size_ == 30
    assert model.history_["n_samples_seen"][0] == 30
    assert np.isin(np.round(model.history_["validation_score"] * 10, 9), np.arange(11)).all()


# ---------------------------------------------------------------------------------------------- divergence


def test_divergence_keeps_the_parameters_before_the_epoch_that_overflowed():
    """Momentum with eta * alpha = 100 multiplies the weights by 100 an update."""
    options = {"solver": "momentum", "eta0": 1.0, "alpha": 100.0, "batch_size": 10}
    with pytest.warns(ConvergenceWarning, match="Diverged in epoch"):
        model = regressor(max_iter=1000, n_iter_no_change=1000, **options).fit(X, y)
    assert model.status_ == "diverged"
    assert 1 < model.n_iter_ < 100
    assert np.isfinite(theta(model)).all()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        before = regressor(max_iter=model.n_iter_ - 1, n_iter_no_change=1000, **options).fit(X, y)
    assert_array_equal(theta(model), theta(before))


def test_a_history_has_all_its_columns_even_if_the_first_epoch_diverges():
    with pytest.warns(ConvergenceWarning, match="Diverged in epoch 1 "):
        model = regressor(eta0=1e300, batch_size=1, evaluate_every=1).fit(X, y, X_val=X, y_val=y)
    calm = regressor(batch_size=1, evaluate_every=1).fit(X, y, X_val=X, y_val=y)
    assert list(model.history_) == list(calm.history_)
    assert np.isnan(model.history_["progressive_objective"]).all()
    assert np.isnan(model.history_["train_loss"]).all()
    assert model.history_["n_updates"].tolist() == [len(X)]


def test_divergence_says_where_why_and_what_to_do():
    with pytest.warns(ConvergenceWarning) as caught:
        model = regressor(eta0=1e5, batch_size=8, max_iter=100).fit(1000 * X, y)
    assert model.status_ == "diverged"
    assert model.n_iter_ < 100
    assert np.isfinite(theta(model)).all()
    message = str(caught[0].message)
    largest = f"largest |x| {1000 * np.abs(X).max():.3g}"
    for part in (
        f"epoch {model.n_iter_}",
        f"update {model.n_updates_}",
        "1e+05",
        "batch size 8",
        largest,
        "Lower eta0",
        "StandardScaler",
    ):
        assert part in message
    assert caught[0].filename == __file__


def test_a_diverged_model_predicts_and_can_be_trained_again():
    with pytest.warns(ConvergenceWarning, match="Diverged"):
        model = regressor(eta0=1e5, max_iter=100).fit(1000 * X, y)
    assert np.isfinite(model.predict(X)).all()
    assert model.set_params(eta0=0.1, max_iter=50).fit(X, y).score(X, y) > 0.9


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_partial_fit_that_diverges_keeps_the_last_finite_parameters(dtype):
    model = regressor(solver="momentum", batch_size=1).partial_fit(X.astype(dtype), y)
    model.set_params(eta0=1.0, alpha=1e20)
    with pytest.warns(ConvergenceWarning, match="Diverged"):
        for _ in range(3):
            model.partial_fit(X.astype(dtype), y)
    assert model.status_ == "diverged"
    assert np.isfinite(theta(model)).all()


# ---------------------------------------------------------------------------------------------- warnings


def messages_of(model, X=X, y=y):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(X, y)
    assert model.status_ == "max_iter"
    return [str(w.message) for w in caught if issubclass(w.category, ConvergenceWarning)]


def test_warning_while_the_objective_still_descends():
    (message,) = messages_of(regressor(tol=1e-3, max_iter=6, eta0=0.001), X, y - y.mean())
    assert message.startswith("Maximum number of iteration reached before convergence")
    assert "still descending by more than tol=0.001" in message


def test_warning_at_the_noise_floor():
    (message,) = messages_of(regressor(tol=1e-2, max_iter=8, batch_size=2, eta0=0.001), X, np.zeros(40))
    assert "Noise floor reached: a larger batch_size or a decaying learning_rate" in message


def test_warning_where_a_full_batch_does_not_descend():
    (message,) = messages_of(regressor(tol=1e-3, max_iter=8, batch_size="full"), X, np.zeros(40))
    assert "full-batch objective no longer descends by tol: a lower learning rate" in message


def test_warning_while_the_validation_score_still_improves():
    (message,) = messages_of(regressor(tol=1e-3, max_iter=3, early_stopping=True))
    assert "validation score is still improving" in message


def test_no_warning_where_nothing_was_to_converge():
    assert messages_of(regressor(max_iter=2)) == []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        regressor(tol=1e-9).partial_fit(X, y)


# ---------------------------------------------------------------------------------------------- history


def test_progressive_loss_of_the_first_epoch_by_hand():
    """Rows 1, 2 and 1, 1 (x = 1, no intercept, eta 0.5): each batch is scored before it is trained on."""
    model = regressor(fit_intercept=False, penalty=None, batch_size=2, eta0=0.5, max_iter=1)
    model.fit(np.ones((4, 1)), np.array([1.0, 2.0, 1.0, 1.0]))
    # losses at w = 0: 1/2 and 2; then w = 0.75; losses 1/32 twice; then w = 0.875
    assert_allclose(model.history_["progressive_loss"], [(0.5 + 2 + 2 / 32) / 4])
    assert_allclose(model.coef_, [0.875])


def test_progressive_loss_is_the_sum_over_outputs_and_weighted():
    options = {"batch_size": 4, "max_iter": 1}
    weight = np.arange(40.0) % 3
    both = regressor(**options).fit(X, np.c_[y, -y], sample_weight=weight).history_["progressive_loss"]
    one = [regressor(**options).fit(X, target, sample_weight=weight).history_["progressive_loss"] for target in (y, -y)]
    assert_allclose(both, one[0] + one[1])
    kept = weight > 0
    full = regressor(batch_size="full", max_iter=1).fit(X, y, sample_weight=weight).history_["progressive_loss"]
    assert_allclose(full, np.average(0.5 * y[kept] ** 2, weights=weight[kept]))


def test_counts_and_seconds():
    history = regressor(batch_size=12, max_iter=3).fit(X, y).history_
    assert_array_equal(history["epoch"], [1, 2, 3])
    assert_array_equal(history["n_updates"], [4, 8, 12])
    assert_array_equal(history["n_samples_seen"], [40, 80, 120])
    assert_array_equal(history["batch_size"], [12, 12, 12])
    assert (np.diff(history["seconds"], prepend=0) > 0).all()
    assert set(history) == {
        "epoch",
        "n_updates",
        "n_samples_seen",
        "seconds",
        "learning_rate",
        "batch_size",
        "progressive_loss",
        "progressive_objective",
    }


def test_evaluation_by_hand_every_second_epoch():
    model = regressor(evaluate_every=2, max_iter=5, alpha=0.2, batch_size=8).fit(X, y)
    history = model.history_
    for name in ("train_loss", "objective", "gradient_norm", "distance_from_init"):
        assert_array_equal(np.isnan(history[name]), [True, False, True, False, True])
    w, b = descend(X, y[:, None], "squared_error", batch_size=8, etas=0.1, l2=0.2, epochs=4)
    residual = (X @ w.T + b)[:, 0] - y
    gradient = np.append(X.T @ residual / 40 + 0.2 * w[0], residual.mean())
    assert_allclose(history["train_loss"][3], 0.5 * np.mean(residual**2))
    assert_allclose(history["objective"][3], 0.5 * np.mean(residual**2) + 0.1 * np.sum(w**2))
    assert_allclose(history["gradient_norm"][3], np.linalg.norm(gradient))
    assert_allclose(history["distance_from_init"][3], np.linalg.norm(np.append(w, b)))


@pytest.mark.parametrize(("penalty", "optimum"), [("l2", Ridge(0.1 * 40, tol=1e-12)), ("l1", Lasso(0.1, tol=1e-14))])
def test_gradient_norm_is_zero_at_the_optimum(penalty, optimum):
    """With L1 it is that of the shortest subgradient. The third weight of the Lasso is 0."""
    Z, target = X - X.mean(axis=0), y - 0.45 * X[:, 2]
    optimum = optimum.fit(Z, target)
    model = regressor(penalty=penalty, alpha=0.1, batch_size="full", evaluate_every=1, max_iter=1, eta0=1e-9)
    history = model.fit(Z, target, optimum.coef_, np.atleast_1d(optimum.intercept_)).history_
    assert history["gradient_norm"][0] < 1e-6
    assert history["distance_from_init"][0] < 1e-8


def test_validation_columns_by_hand():
    model = MiniBatchSGDClassifier("log_loss", max_iter=3, **PLAIN)
    model.fit(X[:30], labels[:30], X_val=X[30:], y_val=labels[30:], sample_weight_val=np.arange(1.0, 11.0))
    margin = (2 * labels[30:] - 1) * model.decision_function(X[30:])
    weight = np.arange(1.0, 11.0)
    assert_allclose(model.history_["validation_loss"][-1], np.average(np.log1p(np.exp(-margin)), weights=weight))
    assert_allclose(model.history_["validation_score"][-1], model.score(X[30:], labels[30:], weight))


def test_verbose_prints_a_line_an_epoch(capsys):
    regressor(verbose=1, max_iter=3).fit(X, y)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(",")[0] for line in lines] == ["epoch 1", "epoch 2", "epoch 3"]
