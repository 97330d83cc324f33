"""recommend_batch_size: the law on known noise and known times, what it says of itself, and that it spoils nothing."""

import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from sklearn import config_context
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_digits
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from minibatch import MiniBatchMLPClassifier, MiniBatchMLPRegressor, MiniBatchSGDClassifier, MiniBatchSGDRegressor
from minibatch.model_selection import _recommend, memory_required, optimal_batch_size, recommend_batch_size
from minibatch.model_selection._recommend import _middle, critical_batch_size
from minibatch.model_selection._step_time import StepTime, step_time

X, Y = load_digits(return_X_y=True)
X, Y = X[:600] / 16, Y[:600]
MODEL = MiniBatchSGDClassifier("log_loss", learning_rate="constant", random_state=0)
PARAMETER = {MiniBatchSGDClassifier: "eta0", MiniBatchMLPClassifier: "learning_rate_init"}

KNOWN = StepTime(3e-6, 5e-7, np.array([1]), np.array([3.5e-6]), np.array([3.5e-6]))


@pytest.fixture
def known_times(monkeypatch):
    """An update takes 3 us and 0.5 us a row: recommendations are reproducible."""
    monkeypatch.setattr(_recommend, "step_time", lambda *_: KNOWN)


@given(st.floats(0.1, 1e6), st.integers(1, 500), st.integers(2, 30))
def test_where_the_noise_does_not_change_the_critical_batch_size_is_the_noise_scale(scale, batch_size, n_looks):
    looks = np.cumsum(np.arange(1, n_looks + 1))
    assert_allclose(critical_batch_size(np.full(n_looks, scale), looks, batch_size), scale, rtol=1e-9)


@given(st.lists(st.floats(1.0, 1e5), min_size=2, max_size=10), st.integers(1, 500))
def test_the_critical_batch_size_makes_the_updates_come_out_right(scales, batch_size):
    """With ds = dk / (1 + N / B) ideal steps, updates at another size are sum ds (1 + N / B') = S (1 + B_c / B')."""
    scales, looks = np.array(scales), np.arange(1, len(scales) + 1)
    steps = 1 / (1 + scales / batch_size)
    critical = critical_batch_size(scales, looks, batch_size)
    for other in (1, 64, 1000):
        assert_allclose((steps * (1 + scales / other)).sum(), steps.sum() * (1 + critical / other), rtol=1e-9)


def test_noise_alone_and_nothing_at_all():
    assert critical_batch_size(np.array([np.inf, np.inf]), np.array([1, 9]), 32) == np.inf
    assert critical_batch_size(np.array([np.nan, 5.0]), np.array([1, 9]), 32) == pytest.approx(5.0)


def test_the_middle_of_sizes_about_as_fast_is_the_optimum_where_it_is_inside():
    """a B_c / B + b B is symmetric in log B around sqrt(a B_c / b)."""
    sizes = 2 ** np.arange(25)
    for best in (4, 64, 1024):
        seconds = (1 + best**2 / sizes) * (1 + sizes)  # a = b
        assert _middle(sizes[seconds <= 1.2 * seconds.min()]) == best


def test_the_table_follows_the_law(known_times):
    advice = recommend_batch_size(MODEL, X, Y, random_state=0)
    table, critical = advice.table, advice.critical_batch_size
    sizes = table["batch_size"]
    assert sizes.tolist() == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 600]
    # the product identity of steps and samples
    least_updates = advice.noise.n_updates[-1] / (1 + critical / 32)
    updates, samples = table["updates"] / least_updates, table["updates"] * sizes / (least_updates * critical)
    assert_allclose((updates - 1) * (samples - 1), 1, rtol=1e-9)
    assert_allclose(table["seconds"], table["updates"] * (3e-6 + 5e-7 * sizes))
    assert_allclose(table["signal_to_noise"] ** 2 * critical, sizes)
    best = optimal_batch_size(overhead=3e-6, per_sample=5e-7, critical_batch_size=critical)
    assert advice.batch_size / np.sqrt(2) <= best <= advice.batch_size * np.sqrt(2)
    assert advice.interval[0] <= critical <= advice.interval[1]


@pytest.mark.parametrize("model", [MODEL, MiniBatchMLPClassifier((8,), solver="sgd", random_state=0)])
def test_the_recommended_size_and_rate_train(known_times, model):
    advice = recommend_batch_size(model, X, Y, random_state=0)
    parameters = {"batch_size": advice.batch_size, PARAMETER[type(model)]: advice.learning_rate, "max_iter": 20}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert clone(model).set_params(tol=None, **parameters).fit(X, Y).score(X, Y) > 0.9


def test_the_words_name_the_size_the_reason_and_the_doubts(known_times):
    advice = recommend_batch_size(MiniBatchMLPClassifier((8,), random_state=0), X, Y, random_state=0)
    text, page = repr(advice), advice._repr_html_()
    assert text.startswith(f"Recommended batch size: {advice.batch_size}, learning rate ")
    assert f"the gradient noise scale is {advice.critical_batch_size:.0f} rows" in text
    assert "solver='adam' is not quite that" in text
    for doubt in advice.unsure:
        assert f"Unsure: {doubt}" in text
    assert "<table" in page
    assert "solver=&#x27;adam&#x27;" in page
    assert text.count("->") == 1
    assert list(advice.to_frame().columns) == ["batch_size", "updates", "seconds", "memory", "signal_to_noise"]


def test_memory_bounds_the_size_and_is_that_of_memory_required(known_times):
    model = MiniBatchMLPClassifier((200,), random_state=0)
    free = recommend_batch_size(model, X, Y, random_state=0)
    sizes = free.table["batch_size"].tolist()
    required = memory_required(model, 64, free.batch_size, n_samples=600, n_outputs=10).total
    assert_allclose(free.table["memory"][sizes.index(free.batch_size)], required, rtol=0.05)
    bound = free.table["memory"][sizes.index(512)] - 1
    bounded = recommend_batch_size(model, X, Y, max_memory=bound, random_state=0)
    assert (bounded.table["memory"] <= bound).all()
    fitting = [size for size, memory in zip(sizes, free.table["memory"], strict=True) if memory <= bound]
    assert bounded.table["batch_size"].tolist() == fitting
    assert {1, 32} < set(fitting) < set(sizes)
    with pytest.raises(ValueError, match="max_memory=100 bytes is too little"):
        recommend_batch_size(model, X, Y, max_memory=100)


def test_the_memory_is_that_of_the_estimator_as_it_is(known_times):
    """What it holds out, measures and averages counts too, though the short run does nothing of it."""
    nets = {"early_stopping": True, "evaluate_every": 1, "batch_growth": 2.0, "learning_rate_init": "auto"}
    for model in (MiniBatchMLPClassifier((50,), **nets), clone(MODEL).set_params(average=True, early_stopping=True)):
        advice = recommend_batch_size(model, X, Y, random_state=0)
        sizes = advice.table["batch_size"].tolist()
        required = [memory_required(model, 64, size, n_samples=600, n_outputs=10).total for size in sizes]
        assert advice.table["memory"].tolist() == required
        with pytest.raises(ValueError, match=r"max_memory=.* bytes is too little"):
            recommend_batch_size(model, X, Y, max_memory=min(required) - 1)


def test_the_seed_decides_all_but_the_times(known_times):
    first, second = (recommend_batch_size(MODEL, X, Y, random_state=3) for _ in range(2))
    assert repr(first) == repr(second)


def test_the_estimator_is_left_alone_and_its_schedule_is_not_used(known_times):
    plain = recommend_batch_size(MODEL, X, Y, random_state=0)
    decorated = MiniBatchSGDClassifier(
        "log_loss", learning_rate="one_cycle", eta0="auto", batch_size="full", batch_growth=2, early_stopping=True,
        average=True, warmup=3, max_iter=2, random_state=7,
    )  # fmt: skip
    before = str(decorated.get_params())
    advice = recommend_batch_size(decorated, X, Y, random_state=0)
    assert str(decorated.get_params()) == before
    assert not hasattr(decorated, "coef_")
    assert (advice.batch_size, advice.learning_rate) == (plain.batch_size, plain.learning_rate)
    assert (advice.reason, advice.unsure) == (plain.reason, plain.unsure)


def test_pipelines_are_transformed_once_before(known_times):
    scaled = MinMaxScaler().fit_transform(X)
    alone = recommend_batch_size(MODEL, scaled, Y, random_state=0)
    assert repr(recommend_batch_size(make_pipeline(MinMaxScaler(), MODEL), X, Y, random_state=0)) == repr(alone)


def test_sparse_rows_lists_and_frames(known_times):
    dense = recommend_batch_size(MODEL, X, Y, random_state=0)
    sparse = recommend_batch_size(MODEL, sp.csr_array(X), Y, random_state=0)
    assert_allclose(sparse.critical_batch_size, dense.critical_batch_size, rtol=1e-6)
    assert recommend_batch_size(MODEL, X.tolist(), Y.tolist(), random_state=0).batch_size == dense.batch_size


@pytest.mark.parametrize("net", [False, True])
def test_regressors(known_times, net):
    rows, targets = load_diabetes(return_X_y=True)
    rows, targets = rows / rows.std(axis=0), (targets - targets.mean()) / targets.std()
    model = MiniBatchMLPRegressor(hidden_layer_sizes=(5,), solver="sgd") if net else MiniBatchSGDRegressor()
    advice = recommend_batch_size(model, rows, targets, random_state=0)
    assert 1 <= advice.batch_size <= len(rows)
    assert advice.critical_batch_size > 1


def test_more_noise_asks_for_larger_batches(known_times):
    random = np.random.default_rng(0)
    rows = random.standard_normal((3000, 10))
    model = MiniBatchSGDRegressor(learning_rate="constant", penalty=None, random_state=0)
    sizes = [
        recommend_batch_size(
            model, rows, rows @ np.ones(10) + noise * random.standard_normal(3000), random_state=0
        ).batch_size
        for noise in (0.0, 10.0)
    ]
    assert sizes[0] < sizes[1]


def test_times_off_the_line_are_a_doubt_where_they_matter(monkeypatch):
    sizes = np.array([1, 4, 16, 64, 256, 600])
    line = 3e-6 + 5e-7 * sizes
    off = np.where(np.arange(6)[:, None] == np.arange(6), 3.0, 1.0)
    for n, factors in enumerate([*off, 1.9 * off[0] / off[0]]):
        monkeypatch.setattr(_recommend, "step_time", lambda *_, f=factors: StepTime(3e-6, 5e-7, sizes, f * line, line))
        advice = recommend_batch_size(MODEL, X, Y, random_state=0)
        near = n < 6 and 1 / 8 <= sizes[n] / advice.batch_size <= 8
        assert any("factor of 3 off a straight line" in doubt for doubt in advice.unsure) == near
    assert not any("straight line" in doubt for doubt in advice.unsure)


def test_the_line_is_judged_by_factors_either_way():
    timed = StepTime(0, 1, np.array([1, 8, 64, 512]), np.array([9.0, 8.0, 16.0, 512.0]), np.array([1.0, 8, 64, 512]))
    assert_allclose([timed.off_line(size) for size in (1, 8, 64, 512, 10**6)], [9, 9, 4, 4, 1])


@pytest.mark.parametrize("model", [MODEL, MiniBatchMLPClassifier((8,), solver="sgd", random_state=0)])
def test_a_rate_that_is_not_found_is_an_error_with_the_reason(known_times, model):
    words = "batches of 32 suggests no learning rate: .* column [0-9]+ of X has mean .* scale X with StandardScaler"
    with pytest.raises(ValueError, match=words):
        recommend_batch_size(model, X * 1e8, Y, random_state=0)
    advice = recommend_batch_size(make_pipeline(MinMaxScaler(), model), X * 1e8, Y, random_state=0)
    assert advice.learning_rate > 0


def test_so_it_is_where_only_the_recommended_size_has_none(known_times, monkeypatch):
    real, n_rates = _recommend.learning_rate_range_test, iter([100, 2])

    def none_the_second_time(*data, **setting):
        return real(*data, n_rates=next(n_rates), **setting)

    monkeypatch.setattr(_recommend, "learning_rate_range_test", none_the_second_time)
    with pytest.raises(ValueError, match=r"suggests no learning rate: n_rates=2 updates are too few"):
        recommend_batch_size(MODEL, X, Y, random_state=0)


def test_a_loss_that_falls_to_the_last_rate_is_a_doubt(known_times):
    """A few rows that can be separated."""
    rows, labels = np.array([[-2.0], [-1.0], [1.0], [2.0]]), [0, 0, 1, 1]
    advice = recommend_batch_size(MODEL, rows, labels, max_rate=0.5, random_state=0)
    assert advice.learning_rate == pytest.approx(0.05)
    assert advice.suggestion == "max_rate/10"
    assert "The loss was still falling at max_rate=0.5: a higher learning rate may be faster." in advice.unsure


def test_the_rates_of_its_range_tests_can_be_given(known_times):
    rows = 1e3 * X
    with pytest.raises(ValueError, match="or lower min_rate"):
        recommend_batch_size(MODEL, rows, Y, random_state=0)
    advice = recommend_batch_size(MODEL, rows, Y, min_rate=1e-11, max_rate=1e-5, random_state=0)
    assert_allclose(advice.range_test.rates[[0, -1]], [1e-11, 1e-5])
    assert 1e-10 < advice.learning_rate < 1e-5
    plain = recommend_batch_size(MODEL, X, Y, min_rate=1e-5, max_rate=10.0, random_state=0)
    assert_allclose(advice.critical_batch_size, plain.critical_batch_size, rtol=1.0)


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"min_rate": 0.0}, "'min_rate' parameter of recommend_batch_size must be"),
        ({"max_rate": np.inf}, "'max_rate' parameter of recommend_batch_size must be"),
        ({"min_rate": 1.0, "max_rate": 0.5}, "min_rate must be below max_rate; got min_rate=1 and max_rate=0.5"),
    ],
)
def test_rates_are_checked(setting, words):
    with pytest.raises(ValueError, match=words):
        recommend_batch_size(MODEL, X, Y, **setting)


def test_no_rate_is_above_the_highest_that_holds(known_times, monkeypatch):
    real = _recommend.learning_rate_range_test

    def lowered(*data, **setting):
        test = real(*data, **setting)
        test.suggestions["stable_max"] = test.suggestions["minimum/10"] / 3
        return test

    monkeypatch.setattr(_recommend, "learning_rate_range_test", lowered)
    advice = recommend_batch_size(MODEL, X, Y, random_state=0)
    assert advice.learning_rate == advice.range_test.suggestions["stable_max"]
    assert advice.suggestion == "stable_max"


def test_noise_that_a_few_rows_carry_is_a_doubt(known_times, monkeypatch):
    monkeypatch.setattr(_recommend, "ROWS_LOOKED_AT", 300)
    random = np.random.default_rng(0)
    rows = random.standard_t(2, size=(600, 3))
    model = MiniBatchSGDRegressor(learning_rate="constant", penalty=None, random_state=0)
    for values, heavy in ((rows, True), (random.standard_normal((600, 30)), False)):
        advice = recommend_batch_size(model, values, values.sum(axis=1), random_state=0)
        assert any("rows looked at carry the noise" in doubt for doubt in advice.unsure) == heavy


@pytest.mark.parametrize(
    ("model", "rows", "words"),
    [
        (MiniBatchMLPClassifier((4,), solver="lbfgs"), X, "solver='lbfgs' makes no updates"),
        (MiniBatchMLPClassifier((4,), batch_normalization=True), X, "With batch normalization a row has no gradient"),
        (MODEL, np.where(X > 0.9, np.nan, X), "NaN"),
        (MODEL, X[:1], "at least two rows|one class|number of classes"),
        (MODEL, X[:10], "inconsistent numbers of samples"),
        # also what the runs set to something else
        (
            MiniBatchSGDClassifier(learning_rate="foo"),
            X,
            "The 'learning_rate' parameter of MiniBatchSGDClassifier",
        ),
        (MiniBatchSGDClassifier(batch_size="foo"), X, "The 'batch_size' parameter of MiniBatchSGDClassifier"),
        (MiniBatchSGDClassifier(max_updates=0), X, "The 'max_updates' parameter of MiniBatchSGDClassifier"),
        (MiniBatchSGDClassifier(learning_rate="triangular", eta0=1, max_eta=0.1), X, "max_eta must be above eta0"),
    ],
)
def test_wrong_input_is_an_error(model, rows, words):
    with pytest.raises(ValueError, match=words):
        recommend_batch_size(model, rows, Y if len(rows) != 1 else Y[:1])


@pytest.mark.parametrize("value", [True, 0, "1 GB", np.nan])
def test_a_memory_is_a_number_of_bytes(value):
    with pytest.raises(ValueError, match=r"max_memory.* must be a "):
        recommend_batch_size(MODEL, X, Y, max_memory=value)


def test_validation_may_be_skipped(known_times):
    with config_context(skip_parameter_validation=True):
        recommend_batch_size(clone(MODEL).set_params(tol="none"), X, Y, random_state=0)
        memory_required(clone(MODEL).set_params(tol="none"), 64, n_samples=600)


def test_other_estimators_are_refused():
    with pytest.raises(TypeError, match="must be an estimator of minibatch"):
        recommend_batch_size(MinMaxScaler(), X, Y)


class Stub(MiniBatchSGDRegressor):
    """Takes 2 ms an epoch, 30 us an update and 0.4 us a row, it says."""

    def _train(self, X, y, sample_weight, *, watch):
        n, updates = len(X), watch.limits["max_updates"]
        epochs = np.ceil(updates / -(-n // self.batch_size))
        self.history_ = type("H", (), {})()
        seconds = 3e-5 * updates + 4e-7 * updates * self.batch_size + 2e-3 * epochs
        self.history_.last = lambda name: seconds


@pytest.mark.parametrize("n", [100, 5000, 200_000])
def test_timing_recovers_the_costs_of_updates_and_rows(n):
    found = step_time(Stub(), np.zeros((n, 2)), np.zeros(n), None)
    assert_allclose(found.overhead, 3e-5, rtol=1e-6)
    assert_allclose(found.per_sample, 4e-7 + 2e-3 / n, rtol=1e-6)
    assert_allclose(found.fitted, found.seconds, rtol=1e-6)


def test_timing_a_real_model_finds_that_rows_cost_something():
    found = step_time(MiniBatchSGDClassifier("log_loss"), X, Y, None)
    assert found.per_sample > 0
    assert found.overhead >= 0
    assert len(found.seconds) == len(found.batch_sizes)
