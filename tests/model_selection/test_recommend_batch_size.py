"""recommend_batch_size: the law on known noise and times, the answer that runs give, and that it spoils nothing."""

import time
import warnings
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose
from sklearn import config_context
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_digits
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from minibatch import MiniBatchMLPClassifier, MiniBatchMLPRegressor, MiniBatchSGDClassifier, MiniBatchSGDRegressor
from minibatch.model_selection import _noise_law, _race, _recommend, memory_required, recommend_batch_size
from minibatch.model_selection._advice import SIMILAR
from minibatch.model_selection._step_time import StepTimes

X, Y = load_digits(return_X_y=True)
X, Y = X[:600] / 16, Y[:600]
AUTO = MiniBatchSGDClassifier("log_loss", random_state=0)
CONSTANT = clone(AUTO).set_params(learning_rate="constant")
A, B = 3e-6, 5e-7


def known(a=A, b=B, spread=1.0):
    sizes = 4 ** np.arange(8)
    return lambda *_: StepTimes(sizes, a + b * sizes, np.full(8, spread))


@pytest.fixture
def known_times(monkeypatch):
    """An update takes 3 us and 0.5 us a row: recommendations are reproducible. One seed is quicker."""
    monkeypatch.setattr(_recommend, "step_times", known())
    monkeypatch.setattr(_race, "MOST_SEEDS", 1)


def test_the_table_follows_the_law_and_the_runs(known_times):
    advice = recommend_batch_size(AUTO, X, Y, random_state=0)
    table, critical = advice.table, advice.critical_batch_size
    sizes, measured = table["batch_size"], table["measured_seconds"]
    assert sizes.tolist() == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 600]
    # the product identity of steps and samples
    least = table["predicted_updates"][0] / (1 + critical)
    updates, samples = table["predicted_updates"] / least, table["predicted_updates"] * sizes / (least * critical)
    assert_allclose((updates - 1) * (samples - 1), 1, rtol=1e-9)
    raced = np.isfinite(table["left"])
    assert set(sizes[raced]) <= {1, 4, 16, 64, 256, 600}
    assert raced.sum() >= 2
    powers = raced & (sizes < 600)  # times between those that are known are drawn by logarithms
    assert_allclose(table["predicted_seconds"][powers], (table["predicted_updates"] * (A + B * sizes))[powers])
    assert_allclose(measured[powers], (table["measured_updates"] * (A + B * sizes))[powers])
    assert_allclose(table["signal_to_noise"] ** 2 * critical, sizes)
    assert np.nanmin(table["left"]) == 0.0
    assert np.isnan(table["learning_rate"]).all()
    assert advice.interval[0] <= critical <= advice.interval[1]
    assert_allclose(advice.seconds_per_update, (A, B), rtol=1e-4)


def test_what_runs_found_is_advised_though_the_law_says_otherwise(known_times, monkeypatch):
    monkeypatch.setattr(_recommend, "critical_batch_size", lambda *_: 1e6)  # so the runs begin with all rows
    advice = recommend_batch_size(AUTO, X, Y, random_state=0)
    assert int(advice.reason.split("which predicts batches of ")[1].split(".")[0]) >= 256
    assert advice.batch_size <= 64
    words = advice.reason.split("rows: ")[1].split(". ")[0]
    costs = {int(size): float(cost) for cost, size in (pair.split(" with ") for pair in words.split(", "))}
    assert {256, 600} <= set(costs)
    assert min(costs.values()) > 0.99 / SIMILAR


def test_slow_updates_want_large_batches_and_slow_rows_small_ones(monkeypatch):
    monkeypatch.setattr(_recommend, "step_times", known(1e-3, 1e-8))
    large = recommend_batch_size(AUTO, X, Y, random_state=0)
    monkeypatch.setattr(_recommend, "step_times", known(1e-8, 1e-5))
    small = recommend_batch_size(AUTO, X, Y, random_state=0)
    assert small.batch_size <= 4 < 64 <= large.batch_size
    assert small.flat[1] < large.flat[1]


@pytest.mark.parametrize(
    ("model", "schedule"),
    [
        (AUTO, "auto"),
        (clone(AUTO).set_params(learning_rate="dowg", eta0=0.01), "dowg"),
        (CONSTANT, "constant"),
        (clone(AUTO).set_params(learning_rate="optimal"), "inverse_time"),
        (clone(AUTO).set_params(learning_rate="cosine", max_iter=20), "cosine"),
        (MiniBatchMLPClassifier((8,), random_state=0), "auto"),
        (MiniBatchMLPClassifier((8,), solver="sgd", learning_rate="constant", random_state=0), "constant"),
    ],
)
def test_the_advised_estimator_trains_as_advised(known_times, model, schedule):
    advice = recommend_batch_size(model, X, Y, random_state=0)
    name = model._rate_parameter
    parameters = advice.estimator.get_params()
    assert parameters["learning_rate"] == schedule
    if schedule in ("auto", "dowg"):
        assert advice.learning_rate is None
        assert parameters[name] == model.get_params()[name]
        assert advice._title() == f"Recommended batch size: {advice.batch_size}"
    else:
        assert parameters[name] == advice.learning_rate > 0
        assert (
            advice._title() == f"Recommended batch size: {advice.batch_size}, learning rate {advice.learning_rate:.2g}"
        )
    assert advice.flat[0] <= advice.batch_size == parameters["batch_size"] <= advice.flat[1]
    assert not hasattr(advice.estimator, "classes_")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = advice.estimator.set_params(tol=None, max_iter=30).fit(X, Y)
    assert fitted.batch_size_ == advice.batch_size
    assert fitted.score(X, Y) > 0.9


def test_the_rate_is_that_of_the_run(known_times):
    advice = recommend_batch_size(CONSTANT, X, Y, random_state=0)
    at = advice.table["batch_size"].tolist().index(advice.batch_size)
    assert advice.table["learning_rate"][at] == advice.learning_rate


def test_the_words_name_the_size_the_reason_the_costs_and_the_doubts(monkeypatch):
    monkeypatch.setattr(_recommend, "step_times", known(spread=1.7))
    advice = recommend_batch_size(AUTO, X, Y, random_state=0)
    lines, page = repr(advice).splitlines(), advice._repr_html_()
    assert lines[0] == f"Recommended batch size: {advice.batch_size}"
    assert lines[1].startswith("An update takes 3.5 us on one row and ")
    words = [line for line in lines if "  " not in line]  # the rest is the table
    assert max(map(len, words)) <= 88
    text = " ".join(lines)
    assert f"the gradient noise scale is {advice.critical_batch_size:.0f} rows" in text
    low, high = advice.flat
    same = f"{low} to {high} rows take about the same time (within 20%)."
    assert ("Other sizes take over 20% more time." if low == high else same) in text
    assert f"This advice took {advice.seconds:.2g} s. LogisticRegression takes " in text
    assert advice.full_batch_solver.n_rows == 600
    assert any("up to a factor of 1.7 apart" in doubt for doubt in advice.unsure)
    for doubt in advice.unsure:
        assert f"Unsure: {doubt}" in text
    assert page.count("<table") == page.count("<ul>") == 1
    assert page.index(f"<strong>Recommended batch size: {advice.batch_size}<") < page.index(advice.reason)
    for shown in (text, page.replace("&#x27;", "'")):
        assert "Updates and ms until 1% of the fall of the objective is left" in shown
    assert advice.reason in page
    assert text.count("->") == 1
    assert list(advice.to_frame().columns) == list(advice.table)


def test_what_was_not_run_is_a_dash(known_times):
    lines = repr(recommend_batch_size(AUTO, X, Y, random_state=0)).splitlines()
    (row,) = (line.split() for line in lines if line.split()[:1] == ["2"])
    assert row[3:6] == ["-", "-", "-"]


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


def test_a_size_that_the_memory_bounds_is_a_doubt(known_times, monkeypatch):
    monkeypatch.setattr(_recommend, "step_times", known(1e-3, 1e-8))  # large batches are best
    monkeypatch.setattr(_recommend, "memory_required", lambda _, n_features, size, **__: SimpleNamespace(total=size))
    advice = recommend_batch_size(AUTO, X, Y, max_memory=20, random_state=0)
    assert advice.batch_size == advice.table["batch_size"][-1] == 16
    assert "max_memory bounds the batch size. [MB202]" in advice.unsure


def test_the_memory_is_that_of_the_estimator_as_it_is(known_times):
    """What it holds out, measures and averages counts too, though the runs do nothing of it."""
    nets = {"early_stopping": True, "evaluate_every": 1, "batch_growth": 2.0, "learning_rate_init": "auto"}
    for model in (MiniBatchMLPClassifier((50,), **nets), clone(CONSTANT).set_params(average=True, early_stopping=True)):
        advice = recommend_batch_size(model, X, Y, random_state=0)
        sizes = advice.table["batch_size"].tolist()
        required = [memory_required(model, 64, size, n_samples=600, n_outputs=10).total for size in sizes]
        assert advice.table["memory"].tolist() == required
        with pytest.raises(ValueError, match=r"max_memory=.* bytes is too little"):
            recommend_batch_size(model, X, Y, max_memory=min(required) - 1)


def what_it_says(advice):
    return (advice.batch_size, advice.learning_rate, advice.flat, advice.reason, advice.unsure, repr(advice.to_frame()))


@pytest.mark.parametrize("model", [AUTO, CONSTANT])
def test_the_seed_decides_all_but_the_times(known_times, model):
    first, second = (recommend_batch_size(model, X, Y, random_state=3) for _ in range(2))
    assert what_it_says(first) == what_it_says(second)


def test_the_estimator_is_left_alone_and_its_stopping_rules_are_not_used(known_times):
    plain = recommend_batch_size(CONSTANT, X, Y, random_state=0)
    decorated = MiniBatchSGDClassifier(
        "log_loss", learning_rate="constant", eta0="auto", batch_size="full", batch_growth=2, early_stopping=True,
        max_iter=2, max_updates=3, random_state=7, warm_start=True,
    )  # fmt: skip
    before = str(decorated.get_params())
    advice = recommend_batch_size(decorated, X, Y, random_state=0)
    assert str(decorated.get_params()) == before
    assert not hasattr(decorated, "coef_")
    assert (advice.batch_size, advice.learning_rate) == (plain.batch_size, plain.learning_rate)
    assert (advice.reason, advice.unsure) == (plain.reason, plain.unsure)
    changed = {"batch_size": advice.batch_size, "eta0": advice.learning_rate}
    assert advice.estimator.get_params() == decorated.get_params() | changed


def test_pipelines_are_transformed_once_before_and_advised_as_a_whole(known_times):
    scaled = MinMaxScaler().fit_transform(X)
    alone = recommend_batch_size(AUTO, scaled, Y, random_state=0)
    advice = recommend_batch_size(make_pipeline(MinMaxScaler(), AUTO), X, Y, random_state=0)
    assert what_it_says(advice) == what_it_says(alone)
    assert advice.estimator[-1].batch_size == alone.batch_size
    assert advice.estimator.fit(X, Y).score(X, Y) > 0.9


def test_sparse_rows_lists_and_frames(known_times):
    dense = recommend_batch_size(AUTO, X, Y, random_state=0)
    sparse = recommend_batch_size(AUTO, sp.csr_array(X), Y, random_state=0)
    assert_allclose(sparse.critical_batch_size, dense.critical_batch_size, rtol=1e-6)
    assert recommend_batch_size(AUTO, X.tolist(), Y.tolist(), random_state=0).batch_size == dense.batch_size


@pytest.mark.parametrize("net", [False, True])
def test_regressors(known_times, net):
    rows, targets = load_diabetes(return_X_y=True)
    rows, targets = rows / rows.std(axis=0), (targets - targets.mean()) / targets.std()
    model = MiniBatchMLPRegressor(hidden_layer_sizes=(5,), solver="sgd") if net else MiniBatchSGDRegressor()
    advice = recommend_batch_size(model, rows, targets, random_state=0)
    assert 1 <= advice.batch_size <= len(rows)
    assert advice.critical_batch_size > 1
    assert (advice.full_batch_solver is None) == net


def test_weights_count(known_times):
    """Rows of weight 0 are none: labels of these are wrong."""
    weight = np.repeat([1.0, 0.0], [400, 200])
    labels = np.where(weight == 1.0, Y, (Y + 1) % 10)
    advice = recommend_batch_size(AUTO, X, labels, random_state=0, sample_weight=weight)
    right = recommend_batch_size(AUTO, X, Y, random_state=0, sample_weight=weight)
    assert_allclose(advice.table["left"], right.table["left"], atol=1e-6)


def test_a_sample_races_that_has_every_class(known_times, monkeypatch):
    monkeypatch.setattr(_recommend, "RACE_ROWS", 50)
    rare = np.where(np.arange(600) == 599, 77, Y)
    seen = []
    real = _recommend.Candidates

    def noted(final, seed, rows):
        seen.append(rows)
        return real(final, seed, rows)

    monkeypatch.setattr(_recommend, "Candidates", noted)
    advice = recommend_batch_size(AUTO, X, rare, random_state=0)
    assert 50 <= len(seen[0][1]) <= 61
    assert set(seen[0][1]) == set(rare)
    assert f"In runs on {len(seen[0][1])} of the rows" in advice.reason
    assert advice.table["batch_size"][-1] == 600  # predicted only
    assert np.isnan(advice.table["left"][-1])


def test_no_more_seconds_than_asked_for():
    """Of a budget that is spent at once, what is left is one run, cut off at its first look."""
    start = time.perf_counter()
    advice = recommend_batch_size(
        MiniBatchMLPClassifier((100,), random_state=0), X, Y, random_state=0, max_seconds=1e-3
    )
    assert np.isfinite(advice.table["left"]).sum() == 1
    assert any("max_seconds cut off the runs" in doubt for doubt in advice.unsure)
    assert advice.seconds <= time.perf_counter() - start


def test_the_progress_bar_is_told_of_the_seconds(known_times, monkeypatch):
    told, named = [], []

    @contextmanager
    def bar(what, total):
        named.append((what, total))
        yield told.append

    monkeypatch.setattr(_recommend, "progress_bar_of", bar)
    recommend_batch_size(AUTO, X, Y, random_state=0, progress_bar=True, max_seconds=20)
    assert named == [("Seconds at most", 20)]
    assert told == sorted(told)
    assert len(told) > 5
    assert told[-1] == 20


@pytest.mark.parametrize(("noise", "words"), [(1.0, "a longer training wants larger batches"), (0.0, "")])
def test_a_noise_scale_that_rises_is_a_doubt(known_times, noise, words):
    random = np.random.default_rng(0)
    rows = random.standard_normal((3000, 10))
    targets = rows @ np.ones(10) + noise * random.standard_normal(3000)
    advice = recommend_batch_size(MiniBatchSGDRegressor(penalty=None, random_state=0), rows, targets, random_state=0)
    assert any("a longer training wants larger batches" in doubt for doubt in advice.unsure) == bool(words)


def test_nothing_to_learn_is_a_doubt(known_times):
    """Labels that the columns say nothing about."""
    model = MiniBatchSGDClassifier("log_loss", fit_intercept=False, random_state=0)
    advice = recommend_batch_size(model, np.zeros((40, 2)), np.tile([0, 1], 20), random_state=0)
    assert 1 <= advice.batch_size <= 40
    assert "No run lowered the objective: the size is that of the law alone. [MB203]" in advice.unsure


def test_columns_that_are_not_scaled_get_their_rates(known_times):
    for model in (AUTO, CONSTANT):
        advice = recommend_batch_size(model, X * 1e6, Y, random_state=0)
        assert advice.estimator.set_params(max_iter=30, tol=None).fit(X * 1e6, Y).score(X * 1e6, Y) > 0.9


def test_noise_that_a_few_rows_carry_is_a_doubt(known_times, monkeypatch):
    monkeypatch.setattr(_noise_law, "ROWS_LOOKED_AT", 300)
    random = np.random.default_rng(0)
    rows = random.standard_t(2, size=(600, 3))
    model = MiniBatchSGDRegressor(penalty=None, random_state=0)
    for values, heavy in ((rows, True), (random.standard_normal((600, 30)), False)):
        advice = recommend_batch_size(model, values, values.sum(axis=1), random_state=0)
        assert any("rows looked at carry the noise" in doubt for doubt in advice.unsure) == heavy


@pytest.mark.parametrize(
    ("model", "rows", "words"),
    [
        (MiniBatchMLPClassifier((4,), solver="lbfgs"), X, "solver='lbfgs' makes no updates"),
        (MiniBatchMLPClassifier((4,), batch_normalization=True), X, "With batch normalization a row has no gradient"),
        (CONSTANT, np.where(X > 0.9, np.nan, X), "NaN"),
        (CONSTANT, X[:1], "at least two rows|one class|number of classes"),
        (CONSTANT, X[:10], "inconsistent numbers of samples"),
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
        recommend_batch_size(AUTO, X, Y, max_memory=value)


@pytest.mark.parametrize(("name", "value"), [("max_seconds", 0), ("max_seconds", None), ("progress_bar", "yes")])
def test_other_arguments_are_checked(name, value):
    with pytest.raises(ValueError, match=f"'{name}' parameter of recommend_batch_size must be"):
        recommend_batch_size(AUTO, X, Y, **{name: value})


def test_validation_may_be_skipped(known_times):
    with config_context(skip_parameter_validation=True):
        recommend_batch_size(clone(AUTO).set_params(tol="none"), X, Y, random_state=0)
        memory_required(clone(AUTO).set_params(tol="none"), 64, n_samples=600)


def test_other_estimators_are_refused():
    with pytest.raises(TypeError, match="must be an estimator of minibatch"):
        recommend_batch_size(MinMaxScaler(), X, Y)
