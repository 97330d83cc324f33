"""_base.persistence: a model from a file is the model that was saved, by pickle, joblib and skops."""

import copy
import io
import json
import pickle
import warnings
from functools import reduce
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.callback import ProgressBar
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from minibatch import (
    History,
    MiniBatchMLPClassifier,
    MiniBatchMLPRegressor,
    MiniBatchSGDClassifier,
    MiniBatchSGDRegressor,
)
from minibatch.engine.optimizers import KINDS, SOLVERS
from references.persistence import (
    TRUSTED,
    TYPES,
    WAYS,
    assert_same,
    loaded_from,
    plain,
    state_of,
    through_joblib,
    through_pickle,
    through_skops,
)
from saved.write import output_of, targets_of

rng = np.random.default_rng(0)
X = rng.standard_normal((40, 3))
y = X @ [1.0, -2.0, 0.5] + 0.5 * rng.standard_normal(40)
TARGETS = {
    "number": y,
    "numbers": np.c_[y, y**2],
    "float32": y.astype(np.float32),
    "bool": y > 0,
    "string": np.array(["low", "middle", "high"])[np.digitize(y, [-1.0, 1.0])],
    "object": np.array(["no", "yes"], dtype=object)[(y > 0).astype(int)],
    "int": np.digitize(y, [-1.0, 1.0]),
    "labels": np.c_[y > 0, X[:, 0] > 0].astype(int),
    "sparse labels": sp.csr_array(np.c_[y > 0, X[:, 0] > 0].astype(int)),
}
ROWS = {"dense": X, "csr": sp.csr_array(X), "float32": X.astype(np.float32)}

LINEAR = {"max_iter": 3, "tol": None, "random_state": 0, "batch_size": 8}
NET = {**LINEAR, "hidden_layer_sizes": (4, 3)}
BALANCED = {"class_weight": "balanced"}
C, R, NC, NR = MiniBatchSGDClassifier, MiniBatchSGDRegressor, MiniBatchMLPClassifier, MiniBatchMLPRegressor
CASES = [
    *((R, {"solver": solver, "penalty": "l1"}, "number", "dense") for solver in SOLVERS),
    (C, {"learning_rate": "dowg", "loss": "log_loss"}, "string", "dense"),
    *((NR, {"solver": solver}, "number", "dense") for solver in ("lbfgs", *SOLVERS)),
    (C, {"loss": "log_loss", "average": True}, "string", "dense"),
    (C, {"loss": "log_loss", "multi_class": "multinomial", "class_weight": {"low": 2.0}}, "string", "csr"),
    (C, {"class_weight": {False: 3.0, True: 0.5}}, "bool", "dense"),
    (C, {"class_weight": {np.str_("no"): 3.0}, "average": 20}, "object", "float32"),
    (C, {"early_stopping": True, "average": True, **BALANCED}, "int", "dense"),
    (C, {"sparsify": True, "penalty": "l1", "alpha": 0.1}, "int", "dense"),
    (C, {"learning_rate": "adaptive", "tol": 1.0, "n_iter_no_change": 1}, "object", "csr"),
    (R, {"sparsify": True, "average": True}, "number", "dense"),
    (R, {"sparsify": True, "penalty": "l1", "alpha": 0.1}, "numbers", "float32"),
    (R, {"eta0": "auto", "evaluate_every": 2, "batch_size": "auto"}, "float32", "float32"),
    (R, {"batch_growth": 2, "batch_growth_interval": 1, "batch_size": 0.1}, "number", "csr"),
    (R, {"random_state": np.random.RandomState(3), "l1_ratio": None}, "number", "dense"),
    (NC, {"early_stopping": True, "n_iter_no_change": np.inf}, "string", "dense"),
    (NC, {"batch_normalization": "input", "class_weight": {False: 3.0, True: 0.5}}, "bool", "dense"),
    (NC, {"hidden_layer_sizes": [5], "dropout": 0.3}, "object", "csr"),
    (NC, {"hidden_layer_sizes": np.array([3]), "solver": "sgd", "learning_rate": "adaptive"}, "labels", "dense"),
    (NC, {"random_state": np.random.RandomState(3)}, "sparse labels", "float32"),
    (NR, {"batch_normalization": True, "learning_rate_init": "auto"}, "numbers", "float32"),
    (NR, {"average": "ema", "average_half_life": 0.5, "early_stopping": True}, "number", "dense"),
]
every_case = pytest.mark.parametrize(
    ("estimator", "parameters", "target", "rows"),
    CASES,
    ids=["-".join([estimator.__name__, *parameters, target, rows]) for estimator, parameters, target, rows in CASES],
)
every_way = pytest.mark.parametrize("save_and_load", WAYS.values(), ids=WAYS)
every_type = pytest.mark.parametrize("estimator", TYPES, ids=lambda estimator: estimator.__name__)


def fitted(estimator, parameters, target, rows):
    parameters = {**(LINEAR if estimator in (C, R) else NET), **copy.deepcopy(parameters)}
    sparsify = parameters.pop("sparsify", False)
    model = quiet(estimator(**parameters).fit, ROWS[rows], TARGETS[target])
    return model.sparsify() if sparsify else model


def simple(estimator, **parameters):
    return fitted(estimator, parameters, "string" if estimator in (C, NC) else "number", "dense")


def quiet(call, *args):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return call(*args)


def gone_on(model, target, rows):
    """After an epoch of ``partial_fit``, where there is one, and a warm start."""
    if not model.early_stopping and model.solver != "lbfgs" and model.get_params().get("class_weight") != "balanced":
        quiet(model.partial_fit, ROWS[rows], TARGETS[target])
    return quiet(model.set_params(warm_start=True).fit, ROWS[rows], TARGETS[target])


def outputs(model, rows):
    names = ("predict", "predict_proba", "decision_function")
    return {name: getattr(model, name)(ROWS[rows]) for name in names if hasattr(model, name)}


# ---------------------------------------------------------------------- there and back


@every_way
@every_case
def test_a_model_from_a_file_is_the_one_that_was_saved(estimator, parameters, target, rows, save_and_load, tmp_path):
    model = fitted(estimator, parameters, target, rows)
    loaded = save_and_load(model, tmp_path)
    assert type(loaded) is estimator
    assert_same(loaded.get_params(), model.get_params())
    assert loaded.history_ == model.history_
    assert_same(vars(loaded), vars(model))
    assert_same(outputs(loaded, rows), outputs(model, rows))
    assert_same(vars(gone_on(loaded, target, rows)), vars(gone_on(model, target, rows)), ignore={"seconds"})
    assert_same(outputs(loaded, rows), outputs(model, rows))


@every_way
@every_type
def test_unfitted_models(estimator, save_and_load, tmp_path):
    model = estimator(tol=None, max_iter=2, random_state=0)
    loaded = save_and_load(model, tmp_path)
    assert_same(vars(loaded), vars(model))
    target = TARGETS["string" if estimator in (C, NC) else "number"]
    assert_same(outputs(loaded.fit(X, target), "dense"), outputs(model.fit(X, target), "dense"))


@every_way
@every_type
def test_in_a_pipeline_in_a_search(estimator, save_and_load, tmp_path):
    target = TARGETS["string" if estimator in (C, NC) else "number"]
    plain = LINEAR if estimator in (C, R) else NET
    pipeline = make_pipeline(StandardScaler(), estimator(**plain))
    search = GridSearchCV(pipeline, {f"{pipeline.steps[-1][0]}__batch_size": [0.2, "full"]}, cv=2).fit(X, target)
    loaded = save_and_load(search, tmp_path)
    assert_same(outputs(loaded, "dense"), outputs(search, "dense"))
    assert_same(vars(loaded.best_estimator_[-1]), vars(search.best_estimator_[-1]))
    assert loaded.best_params_ == search.best_params_


@every_way
def test_a_history_alone(save_and_load, tmp_path):
    history = simple(R, evaluate_every=2).history_
    history.append(epoch=4, rate=np.float32(0.1), said="so", flag=True)
    loaded = save_and_load(history, tmp_path)
    assert type(loaded) is History
    assert (repr(loaded), loaded.n_epochs) == (repr(history), 4)
    for name in history:
        assert_array_equal(loaded[name], history[name])
        assert loaded[name].dtype == history[name].dtype
    loaded.append(epoch=5)
    assert (loaded.last("epoch"), history.last("epoch")) == (5, 4)
    assert save_and_load(History(), tmp_path) == History()


def test_rows_without_columns_are_rows():
    history = History()
    history.append()
    loaded = through_pickle(history, None)
    loaded.append(epoch=2)
    assert_array_equal(loaded["epoch"], [np.nan, 2])


@every_type
def test_arrays_stay_mapped_and_the_file_as_it_is(estimator, tmp_path):
    loaded = through_joblib(simple(estimator, solver="adam"), tmp_path, mmap_mode="r")
    mapped = [loaded._optimizer.slots, *(loaded.coefs_ if hasattr(loaded, "coefs_") else [loaded.coef_])]
    before = copy.deepcopy(mapped)
    assert all(isinstance(array.base, np.memmap) and not array.flags.writeable for array in mapped)
    assert_same(outputs(through_skops(loaded, tmp_path), "dense"), outputs(loaded, "dense"))
    gone_on(loaded, "string" if estimator in (C, NC) else "number", "dense")
    assert_same(mapped, before)


# ---------------------------------------------------------------------- what is in a file


@every_case
def test_what_is_saved_is_plain(estimator, parameters, target, rows):
    state = fitted(estimator, parameters, target, rows).__getstate__()
    del state["random_state"]  # what the user gave
    if target != "object":
        assert plain(state)


@every_type
def test_a_pickle_names_only_the_class_and_numpy(estimator):
    model = simple(estimator)
    if estimator in (C, R):
        model.sparsify()
    named = set()

    class Unpickler(pickle.Unpickler):
        def find_class(self, module, name):
            named.add((module.split(".")[0], name))
            return super().find_class(module, name)

    Unpickler(io.BytesIO(pickle.dumps(model))).load()
    assert named == {("minibatch", estimator.__name__), *(("numpy", n) for n in ("_reconstruct", "ndarray", "dtype"))}


def test_a_file_names_solvers_not_their_codes(monkeypatch):
    """A later version may number them anew."""
    model = simple(R, solver="adam")
    saved = pickle.dumps(model)
    for name in KINDS:
        monkeypatch.setitem(KINDS, name, KINDS[name] + 10)
    assert pickle.loads(saved)._optimizer.kind == model._optimizer.kind + 10


# ---------------------------------------------------------------------- files of other versions

SAVED = Path(__file__).parents[1] / "saved"


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.InconsistentVersionWarning")
@pytest.mark.parametrize("file", sorted([*SAVED.glob("*.pickle"), *SAVED.glob("*.skops")]), ids=lambda file: file.name)
def test_models_saved_by_any_version_are_read(file):
    if file.suffix == ".pickle":
        pytest.importorskip("numpy._core")  # where NumPy 2 pickles an array from; NumPy 1.26.1 knows it too
        models = pickle.loads(file.read_bytes())
    else:
        models = pytest.importorskip("skops.io").load(file, trusted=sorted(TRUSTED))
    numbers = {name: np.array(values) for name, values in json.loads(file.with_suffix(".json").read_text()).items()}
    rows, targets = numbers["X"], targets_of(numbers["y"])
    assert models.keys() == targets.keys() == {estimator.__name__ for estimator in TYPES}
    for name, model in models.items():
        assert_allclose(output_of(model, rows), numbers[f"{name}.output"], rtol=1e-12)
        columns = {key.split(".")[-1]: values for key, values in numbers.items() if key.startswith(f"{name}.history.")}
        assert_same(dict(model.history_), columns)
        model.partial_fit(rows, targets[name])
        assert_allclose(output_of(model, rows), numbers[f"{name}.later"], rtol=1e-9)
        assert clone(model).fit(rows, targets[name]).n_iter_ == 3


@every_type
def test_what_an_older_file_lacks_is_filled_in(estimator):
    """Parameters, and fields of the optimizer that have a default."""
    model = simple(estimator)
    state = state_of(model)
    del state["max_batch_size"], state["learning_rate_scaling"], state["_minibatch_parts"]["_optimizer"]["rate_factor"]
    loaded = loaded_from(estimator, state)
    assert_same(vars(loaded), vars(model))
    target = "string" if estimator in (C, NC) else "number"
    assert_same(vars(gone_on(loaded, target, "dense")), vars(gone_on(model, target, "dense")), ignore={"seconds"})


@pytest.mark.parametrize("inside", [[], ["_optimizer"], ["_optimizer", "rate"]], ids=["part", "field", "deeper"])
def test_what_a_newer_file_has_is_left_out_with_a_warning(inside):
    model = simple(R, solver="adam")
    state = state_of(model)
    fields = state["_minibatch_parts"]
    for name in inside:
        fields = fields[name]
    fields["nonsense"] = np.zeros(3)
    with pytest.warns(
        UserWarning, match=r"has nonsense, of a newer version.*pip install -U scikit-minibatch"
    ) as caught:
        loaded = loaded_from(R, state)
    assert len(caught) == 1
    assert_same(vars(loaded), vars(model))


@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_the_memory_of_an_unknown_solver_is_of_no_use(solver):
    model = simple(R, solver=solver, penalty="l1")
    state = state_of(model)
    state["_minibatch_parts"]["_optimizer"]["solver"] = "soap"
    loaded = loaded_from(R, state)
    assert_array_equal(loaded.predict(X), model.predict(X))
    loaded.partial_fit(X, y)
    assert loaded._optimizer.n_updates == 5
    assert model.partial_fit(X, y)._optimizer.n_updates == 20


@pytest.mark.parametrize(
    ("path", "what"),
    [
        ("_minibatch_parts", "MiniBatchSGDRegressor lacks '_minibatch_parts'"),
        ("_minibatch_parts/_optimizer/slots", "OptimizerMemory lacks slots"),
        ("_minibatch_parts/_optimizer/solver", "MiniBatchSGDRegressor lacks 'solver'"),
        ("_minibatch_parts/_optimizer/rate", "MiniBatchSGDRegressor lacks 'rate'"),
        ("_minibatch_parts/_optimizer/rate/eta0", "Rate lacks eta0"),
        ("_minibatch_parts/history_/columns", "MiniBatchSGDRegressor lacks 'columns'"),
    ],
)
def test_damaged_files_say_what_they_lack(path, what):
    state = state_of(simple(R))
    *parents, name = path.split("/")
    del reduce(dict.get, parents, state)[name]
    with pytest.raises(ValueError, match=f"The saved {what}: the file is damaged"):
        loaded_from(R, state)


@pytest.mark.parametrize("kind", [R, NC, History])
def test_a_newer_format_is_refused(kind):
    state = History().__getstate__() if kind is History else simple(kind).__getstate__()
    message = f"This {kind.__name__} was saved by a newer version of minibatch, in format 2.*pip install -U"
    with pytest.raises(ValueError, match=message):
        loaded_from(kind, {**state, "_minibatch_format": 2})
    with pytest.raises(ValueError, match=f"This {kind.__name__} was saved without the number of a format.*fit again"):
        loaded_from(kind, {name: value for name, value in state.items() if name != "_minibatch_format"})


# ---------------------------------------------------------------------- copies


@every_type
def test_a_copy_shares_what_it_copies(estimator, monkeypatch):
    """It is made at every look into a fit, and packs nothing."""
    model = simple(estimator)
    monkeypatch.setattr(estimator, "__getstate__", None)
    shallow = copy.copy(model)
    assert type(shallow) is estimator
    assert vars(shallow) is not vars(model)
    assert all(vars(shallow)[name] is value for name, value in vars(model).items())


@every_type
def test_a_deep_copy_shares_nothing(estimator):
    model = simple(estimator)
    before, deep = copy.deepcopy(vars(model)), copy.deepcopy(model)
    assert_same(vars(deep), vars(model))
    gone_on(deep, "string" if estimator in (C, NC) else "number", "dense")
    assert_same(vars(model), before)
    assert not hasattr(clone(model), "history_")


def test_a_class_of_users_with_state_of_its_own():
    model = Own(extra=[1], max_iter=2, tol=None).fit(X, y)
    loaded = through_pickle(model, None)
    assert (loaded.extra, loaded.history_) == ([1], model.history_)
    assert_same(loaded.predict(X), model.predict(X))
    state = state_of(model)
    del state["extra"]
    assert not hasattr(loaded_from(Own, state), "extra")  # a parameter without a default


class Own(MiniBatchSGDRegressor):
    def __init__(self, extra, max_iter=5, tol=1e-3):
        super().__init__(max_iter=max_iter, tol=tol)
        self.extra = extra


# ---------------------------------------------------------------------- callbacks; what skops does not do


@every_type
def test_callbacks_are_saved_as_those_of_scikit_learn_are(estimator):
    ours, theirs = simple(estimator).set_callbacks(ProgressBar()), LogisticRegression().set_callbacks(ProgressBar())
    kept = [through_pickle(model, None)._skl_callbacks for model in (ours, theirs)]
    assert [type(callback) for callback in kept[0]] == [type(callback) for callback in kept[1]] == [ProgressBar]


@every_type
def test_skops_asks_to_trust_callbacks(estimator):
    skops = pytest.importorskip("skops.io")
    model = simple(estimator).set_callbacks(ProgressBar())
    untrusted = skops.get_untrusted_types(data=skops.dumps(model))
    assert untrusted == sorted(
        [f"{estimator.__module__}.{estimator.__name__}", f"{ProgressBar.__module__}.ProgressBar"]
    )


def test_weights_of_classes_that_are_bools_go_through_skops(tmp_path):
    weights = {False: 3.0, True: 0.5}
    assert through_skops(MiniBatchSGDClassifier(class_weight=weights), tmp_path).class_weight == weights
