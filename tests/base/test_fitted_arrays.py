"""Fitted attributes that were changed, by hand or in a file: consistent ones are used, others refused by name."""

import copy
import pickle
import re
from functools import cache

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import expit, softmax

from minibatch import MiniBatchMLPClassifier, MiniBatchSGDClassifier, MiniBatchSGDRegressor
from minibatch.diagnostics import gradient_noise_scale, hessian_spectrum, loss_interpolation, sharpness
from references.fits import CLASSIFIERS, FOUR, LINEAR, NETWORKS, model_of, parameters_of, target_of
from references.network import forward, net_of
from references.persistence import WAYS, through_pickle

X = np.random.default_rng(0).standard_normal((30, 3))
y = X @ [1.0, -2.0, 0.5]
OF_NETWORKS = ("coefs_", "intercepts_", "scales_", "running_means_", "running_variances_")
ALL_FOUR = pytest.mark.parametrize("estimator", FOUR)


@cache
def _fitted(estimator, options):
    more = (
        {"hidden_layer_sizes": (4, 2), "activation": "tanh"}
        if estimator in NETWORKS
        else {"average": "mean" in options}
    )
    if estimator in NETWORKS and options:
        more["batch_normalization"] = "input" if "input" in options else True
    target = target_of(estimator, y)
    if "two" in options:
        target = np.c_[y, -y] if estimator not in CLASSIFIERS else (y > 0).astype(int)
    return model_of(estimator, **more).fit(X, target)


def fitted(estimator, options=()):
    """A model of its own, to be spoiled."""
    return copy.deepcopy(_fitted(estimator, options))


def arrays_of(model):
    """Its arrays by name, a network's by name and layer."""
    if type(model) in NETWORKS:
        return {(name, k): part for name in OF_NETWORKS for k, part in enumerate(getattr(model, name))}
    return {("coef_", None): model.coef_, ("intercept_", None): model.intercept_}


def put(model, key, array):
    name, layer = key
    if layer is None:
        setattr(model, name, array)
    else:
        getattr(model, name)[layer] = array


def reference(model):
    """What the model predicts by its attributes, in NumPy."""
    if type(model) in LINEAR:
        scores = X @ np.atleast_2d(model.coef_).T + model.intercept_
    else:
        scores, _ = forward(net_of(model), X, "tanh")
    if type(model) not in CLASSIFIERS:
        return scores if model._target_shape else scores[:, 0]
    if type(model) is MiniBatchSGDClassifier:
        return scores if len(model.classes_) > 2 else scores[:, 0]
    return softmax(scores, axis=1) if len(model.classes_) > 2 else np.c_[expit(-scores), expit(scores)]


def predicted(model):
    if type(model) not in CLASSIFIERS:
        return model.predict(X)
    return model.decision_function(X) if type(model) in LINEAR else model.predict_proba(X)


# Of an array; what leaves shape and type as they are gives another model, which is as good as any.
CHANGES = {
    "another": lambda a: a + 0.5,
    "not in order": lambda a: np.asfortranarray(a * 1.5),
    "every second": lambda a: np.repeat(a, 2, axis=-1)[..., ::2],
    "read-only": lambda a: np.broadcast_to(a, a.shape),
    "shorter": lambda a: a[:-1],
    "longer": lambda a: np.concatenate([a, a]),
    "narrower": lambda a: a[..., :-1],
    "one": lambda a: a[:1],
    "transposed": lambda a: a.T,
    "flat": lambda a: a.ravel(),
    "deeper": lambda a: a[None],
    "empty": lambda a: a[:0],
    "a number": lambda a: a.ravel()[0],
    "None": lambda a: None,
    "a list": lambda a: a.tolist(),
    "objects": lambda a: a.astype(object),
    "complex": lambda a: a.astype(complex),
    "words": lambda a: a.astype(str),
}
OPTIONS = st.sampled_from([(), ("mean",), ("input",), ("two",), ("input", "two")])


def used_or_refused(model, good):
    """Whatever the compiled code does with the model."""
    target = np.c_[y, -y] if getattr(model, "_target_shape", ()) else y
    if type(model) in CLASSIFIERS:
        target = target_of(type(model), y) if len(model.classes_) > 2 else (y > 0).astype(int)
    uses = {
        "predict": lambda m: m.predict(X),
        "partial_fit": lambda m: m.partial_fit(X, target),
        "warm start": lambda m: m.set_params(warm_start=True).fit(X, target),
        "load": lambda m: through_pickle(m, None),
        "look into it": lambda m: good or gradient_noise_scale(m, X, target),
    }
    for use in uses.values():
        own = copy.copy(model)
        own.__dict__ = dict(vars(model))
        if good:
            use(own)
            continue
        with pytest.raises(ValueError, match=r"attributes that do not fit together"):
            use(own)


@ALL_FOUR
@given(st.data(), OPTIONS, st.sampled_from(sorted(CHANGES)))
def test_an_array_that_was_changed(estimator, data, options, change):
    model = fitted(estimator, options)
    arrays = arrays_of(model)
    key = data.draw(st.sampled_from(list(arrays)))
    before, after = arrays[key], CHANGES[change](arrays[key])
    put(model, key, after)
    good = isinstance(after, np.ndarray) and (after.shape, after.dtype) == (before.shape, before.dtype)
    if good:
        assert_allclose(predicted(model), reference(model), rtol=1e-7, atol=1e-10)
    used_or_refused(model, good)


@given(st.data(), st.sampled_from(NETWORKS), OPTIONS, st.sampled_from(["pop", "append", "tuple", "delete"]))
def test_a_list_of_arrays_that_was_changed(data, estimator, options, change):
    model = fitted(estimator, options)
    name = data.draw(st.sampled_from(OF_NETWORKS))
    parts = getattr(model, name)
    if change == "pop" and parts:
        parts.pop(data.draw(st.integers(0, len(parts) - 1)))
    elif change == "tuple":
        setattr(model, name, tuple(parts))
    elif change == "delete":
        delattr(model, name)
    else:
        parts.append(np.ones(4))
    used_or_refused(model, False)


@pytest.mark.parametrize("estimator", NETWORKS)
@pytest.mark.parametrize("options", [(), ("input",)])
def test_a_unit_less_is_a_smaller_network(estimator, options):
    """It predicts; training, whose memory is of the larger one, does not go on."""
    model = fitted(estimator, options)
    model.coefs_[0], model.coefs_[1] = model.coefs_[0][:, 1:], model.coefs_[1][1:]
    for name in OF_NETWORKS[1:]:
        if getattr(model, name):
            getattr(model, name)[0] = getattr(model, name)[0][1:]
    assert_allclose(predicted(model), reference(model), rtol=1e-7)
    with pytest.raises(ValueError, match=r"_optimizer.slots has shape .*parameters ask for"):
        model.partial_fit(X, target_of(estimator, y))
    with pytest.raises(ValueError, match="hidden_layer_sizes"):
        gradient_noise_scale(model.set_params(batch_normalization=bool(options)), X, target_of(estimator, y))


@pytest.mark.parametrize("estimator", NETWORKS)
def test_the_layers_asked_for_need_not_be_those_that_are_there(estimator):
    """Diagnostics look at the fitted ones, and say so where others are asked for."""
    model = fitted(estimator).set_params(hidden_layer_sizes=(400,))
    assert_allclose(predicted(model), reference(model), rtol=1e-7)
    other = fitted(estimator)
    for look in (
        lambda: gradient_noise_scale(model, X, target_of(estimator, y)),
        lambda: hessian_spectrum(model, X, target_of(estimator, y)),
        lambda: sharpness(model, X, target_of(estimator, y)),
        lambda: loss_interpolation(other.set_params(hidden_layer_sizes=(400,)), model, X, target_of(estimator, y)),
    ):
        with pytest.raises(ValueError, match=r"hidden_layer_sizes=\(400,\)"):
            look()


@ALL_FOUR
@pytest.mark.parametrize("name", ["n_features_in_", "classes_", "_target_shape"])
def test_numbers_of_columns_and_outputs_that_were_changed(estimator, name):
    model = fitted(estimator)
    if not hasattr(model, name):
        return
    changed = {"n_features_in_": 7, "classes_": np.arange(5), "_target_shape": (4,)}
    setattr(model, name, changed[name])
    rows = np.ones((4, model.n_features_in_))
    with pytest.raises(ValueError, match="do not fit together"):
        model.predict(rows)
    with pytest.raises(ValueError, match="do not fit together"):
        through_pickle(model, None).predict(rows)


@pytest.mark.parametrize("estimator", CLASSIFIERS)
@pytest.mark.parametrize("classes", [[2, 0, 1], [0, 1, 1], [1, 0, 2]])
def test_classes_in_another_order_are_not_trained_on(estimator, classes):
    """Their numbers, by which losses find their scores, might be beyond the last."""
    model = fitted(estimator)
    before, model.classes_ = model.predict(X), np.array(classes)
    for use in (model.partial_fit, lambda *rows: gradient_noise_scale(model, *rows)):
        with pytest.raises(ValueError, match=r"classes_ must be sorted|y contains labels that are not in classes"):
            use(X, target_of(estimator, y))
    assert model.predict(X).shape == before.shape


MEMORY = {
    "slots too short": lambda m: m._replace(slots=m.slots[:, :-1]),
    "slots flat": lambda m: m._replace(slots=m.slots.ravel()),
    "slots of a number": lambda m: m._replace(slots=3.0),
    "slots of objects": lambda m: m._replace(slots=m.slots.astype(object)),
    "slots of halves": lambda m: m._replace(slots=m.slots.astype(np.float16)),
    "total too short": lambda m: m._replace(total=m.total[:-1]),
    "total of objects": lambda m: m._replace(total=m.total.astype(object)),
}


@ALL_FOUR
@pytest.mark.parametrize("change", MEMORY)
def test_memory_of_the_optimizer_that_was_changed(estimator, change):
    if "total" in change and estimator in NETWORKS:
        return
    more = {"average": True} if estimator in LINEAR else {}
    model = model_of(estimator, solver="adam", **more).fit(X, target_of(estimator, y))
    model._optimizer = MEMORY[change](model._optimizer)
    before = parameters_of(model)
    for use in (lambda: model.partial_fit(X, target_of(estimator, y)), lambda: pickle.loads(pickle.dumps(model))):
        with pytest.raises(ValueError, match=r"_optimizer\.(slots|total)"):
            use()
    assert_array_equal(parameters_of(model), before)
    model.predict(X)  # does not need it


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("estimator", [MiniBatchMLPClassifier, MiniBatchSGDRegressor])
def test_a_file_with_arrays_that_do_not_fit_is_not_loaded(way, estimator, tmp_path):
    model = fitted(estimator)
    if estimator in NETWORKS:
        model.intercepts_[0] = model.intercepts_[0][:1]
        words = "coefs_[0] has shape (3, 4), but 3 features and intercepts_ of [1, 2, 3] units ask for (3, 1)"
    else:
        model.coef_ = model.coef_[:2]
        words = "coef_ has shape (2,), but 3 features and 1 outputs ask for (3,)"
    with pytest.raises(ValueError, match=re.escape(words)):
        WAYS[way](model, tmp_path)


@pytest.mark.parametrize("estimator", LINEAR)
def test_sparse_weights_that_were_changed(estimator):
    model = fitted(estimator, ("two",)).sparsify()
    sound = model.predict(X)
    model.coef_ = sp.csr_array(model.coef_)
    assert_array_equal(model.predict(X), sound)
    for number in (3, 1_000_000, -1):
        model.coef_.indices[0] = number
        for use in (lambda: model.predict(X), lambda: pickle.loads(pickle.dumps(model))):
            with pytest.raises(ValueError, match=f"coef_ is a sparse matrix.*holds {number}"):
                use()


def test_a_regressor_of_one_target_keeps_its_sparse_weights():
    model = MiniBatchSGDRegressor(tol=None, max_iter=3).fit(X, y)
    dense = model.predict(X)
    assert_allclose(model.sparsify().predict(X), dense)
    assert_allclose(pickle.loads(pickle.dumps(model)).predict(X), dense)
    assert model.partial_fit(X, y).coef_.shape == (3,)
