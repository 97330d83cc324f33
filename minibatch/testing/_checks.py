"""Checks of what a batch size must and must not change.

Each takes an estimator with a parameter ``batch_size``, and rows to train on if the few of its own are not to be used:
X with columns of similar scale, to which rounding matters little. Clones are fitted, the estimator is left alone.
Parameters that would hide what is checked are set aside where the estimator has them (a rate that counts epochs,
early stopping, dropout, ...).
"""

import pickle
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.base import clone, is_classifier
from sklearn.utils import get_tags

from minibatch._problems.batching import rows_in_batches
from minibatch.linear_model import MiniBatchSGDClassifier, MiniBatchSGDRegressor
from minibatch.testing._models import (
    FIRST_RATE,
    ONE_RATE,
    ROW_BY_ROW,
    TO_THE_END,
    adjusted,
    assert_same_model,
    data_for,
    difference,
    fitted,
    learnt,
    rounding,
    suited,
)

__all__ = [
    "LINEAR", "check_all_rows_are_a_full_batch", "check_clone_pickle_and_refit_give_the_same_model",
    "check_dense_equals_sparse", "check_full_batch_ignores_the_order_of_rows",
    "check_partial_fits_over_slices_are_an_epoch", "check_penalty_does_not_depend_on_batch_size",
    "check_seed_alone_orders_the_rows", "check_updates_are_counted", "check_weights_are_repetitions",
]  # fmt: skip

LINEAR = (MiniBatchSGDClassifier, MiniBatchSGDRegressor)


def check_penalty_does_not_depend_on_batch_size(estimator: Any) -> None:
    """The same updates give the same model, whatever the batch size: the gradient is a mean, the penalty is whole.

    Two rows alternate, so every batch of an even size has the same mean gradient. Twelve updates, in as many epochs as
    they take, must lead to the same place from batches of 2 to 24 rows.

    Batch normalization is set aside, with which rows of a batch share their gradients, unless ``ghost_batch_size`` is
    set: batches of whole chunks have one objective. It is set to 2 here, for the batches to be such; running statistics
    must agree as well.

    Parameters
    ----------
    estimator : estimator with parameters ``batch_size``, ``max_iter`` and ``shuffle``
        ``alpha``, where it has one, is set to 1.

    Examples
    --------
    >>> from sklearn.neural_network import MLPRegressor
    >>> from minibatch import MiniBatchMLPRegressor
    >>> from minibatch.testing import check_penalty_does_not_depend_on_batch_size
    >>> check_penalty_does_not_depend_on_batch_size(
    ...     MiniBatchMLPRegressor(hidden_layer_sizes=(3,), solver="sgd")
    ... )
    >>> check_penalty_does_not_depend_on_batch_size(
    ...     MLPRegressor(hidden_layer_sizes=(3,), solver="sgd")
    ... )
    Traceback (most recent call last):
    ...
    AssertionError: 12 updates on batches that all have the same mean gradient, at alpha=1: with 4 rows each they ...
    """
    X = np.tile([[1.0, 0.5, -1.0], [-0.5, 1.0, 2.0]], (12, 1))
    y = np.tile([0, 1] if is_classifier(estimator) else suited(estimator, np.array([1.0, 3.0])), 12)
    plain = {**ONE_RATE, **TO_THE_END, **ROW_BY_ROW, "shuffle": False, "last_batch": "keep", "average": False}
    if estimator.get_params(deep=False).get("ghost_batch_size") is not None:
        plain["ghost_batch_size"] = 2
        del plain["batch_normalization"]

    def after_twelve_updates(rows: int, alpha: float) -> Any:
        model = adjusted(estimator, **plain, alpha=alpha, batch_size=rows, max_iter=rows // 2)
        return learnt(fitted(model, X, y), X)

    for rows in (4, 8, 24):
        pairs = {alpha: (after_twelve_updates(2, alpha), after_twelve_updates(rows, alpha)) for alpha in (0.0, 1.0)}
        off = {alpha: difference(*pair) for alpha, pair in pairs.items()}
        if off[1.0] <= rounding(pairs[1.0][0]):
            continue
        cause = (
            "Without penalty they agree, so the penalty depends on the batch size: it must not be divided by it."
            if off[0.0] <= rounding(pairs[0.0][0])
            else "Without penalty they differ too: the gradient must be the mean over the rows of the batch, not a sum."
        )
        raise AssertionError(
            f"12 updates on batches that all have the same mean gradient, at alpha=1: with {rows} rows each they lead "
            f"elsewhere than with 2, by {off[1.0]:.2g} of the largest parameter. {cause}"
        )


def check_full_batch_ignores_the_order_of_rows(estimator: Any, X: Any = None, y: Any = None) -> None:
    """Batches of all rows give the same model for any order of the rows.

    Parameters
    ----------
    estimator : estimator with a parameter ``batch_size``
    X, y : array-like, default=None
        Rows to train on.
    """
    X, y = data_for(estimator, X, y)
    n = len(y)
    plain = {**ONE_RATE, **TO_THE_END, "dropout": 0.0, "ghost_batch_size": None, "batch_size": n, "max_iter": 5}
    order = np.random.default_rng(0).permutation(n)
    straight, mixed = (
        learnt(fitted(adjusted(estimator, **plain), rows, target), X) for rows, target in ((X, y), (X[order], y[order]))
    )
    assert_same_model(straight, mixed, f"batch_size={n} on {n} rows, once in another order")


def check_all_rows_are_a_full_batch(estimator: Any, X: Any = None, y: Any = None) -> None:
    """``'full'``, the number of rows, a larger number and 1.0 are the same batch size.

    Parameters
    ----------
    estimator : estimator with a parameter ``batch_size``
    X, y : array-like, default=None
        Rows to train on.
    """
    X, y = data_for(estimator, X, y)
    n = len(y)
    expected, *others = (
        learnt(fitted(adjusted(estimator, **TO_THE_END, batch_size=size, max_iter=5), X, y), X)
        for size in (n, "full", 1.0, n + 7)
    )
    for size, found in zip(("full", 1.0, n + 7), others, strict=True):
        assert_same_model(expected, found, f"batch_size={size!r} and batch_size={n} on {n} rows")


def check_dense_equals_sparse(estimator: Any, X: Any = None, y: Any = None) -> None:
    """An array, a CSR and a CSC matrix with the same numbers give the same model, for several batch sizes.

    Parameters
    ----------
    estimator : estimator with a parameter ``batch_size`` that takes sparse X
    X, y : array-like, default=None
        Rows to train on.
    """
    X, y = data_for(estimator, X, y)
    dense = X.toarray() if sp.issparse(X) else np.where(np.abs(X) < 0.5, 0.0, X).astype(X.dtype)
    for size in (1, 5, len(y)):
        # for batch_normalization, columns that have a mean would not be sparse
        model = adjusted(estimator, **FIRST_RATE, **TO_THE_END, batch_normalization=False, batch_size=size, max_iter=3)
        expected = learnt(fitted(clone(model), dense, y), dense)
        for layout in (sp.csr_array, sp.csc_array):
            found = learnt(fitted(clone(model), layout(dense), y), dense)
            assert_same_model(expected, found, f"Dense and {layout.__name__} rows at batch_size={size}")


def check_weights_are_repetitions(estimator: Any, X: Any = None, y: Any = None) -> None:
    """In batches of all rows, a row of weight 2 counts like two rows, and one of weight 0 like none.

    Also in the statistics of batch normalization.

    Parameters
    ----------
    estimator : estimator with a parameter ``batch_size`` whose ``fit`` takes ``sample_weight``
    X, y : array-like, default=None
        Rows to train on.
    """
    X, y = data_for(estimator, X, y)
    weight = 1 + np.arange(len(y)) % 3
    alone = is_classifier(estimator) and np.count_nonzero(y == y[0]) == 1
    if len(y) > 2 and not alone:  # no class is to be left without rows, and no batch normalization with one
        weight[0] = 0
    rows = np.repeat(np.arange(len(y)), weight)
    plain = {**ONE_RATE, **TO_THE_END, "dropout": 0.0, "class_weight": None, "max_iter": 5, "average": False}
    plain["ghost_batch_size"] = None  # a repeated row may be in two chunks
    weighted = fitted(adjusted(estimator, **plain, batch_size=len(y)), X, y, sample_weight=weight)
    repeated = fitted(adjusted(estimator, **plain, batch_size=len(rows)), X[rows], y[rows])
    assert_same_model(learnt(weighted, X), learnt(repeated, X), "Weights and repeated rows in full batches")


def check_seed_alone_orders_the_rows(estimator: Any) -> None:
    """``random_state`` decides the order of the rows, and the batch size does not.

    Momentum tells: the earlier a row was used, the further its gradient has carried the model by the end of an epoch.
    Rows share no column, and the rate is tiny, so each row's part of the way can be told apart, to first order.

    Parameters
    ----------
    estimator : a linear model of this package, or a network with the parameters and ``coefs_`` of scikit-learn's
    """
    n = 12
    X, number = np.eye(n), np.arange(n)
    target = number % 2 if is_classifier(estimator) else suited(estimator, 2.0 + number)
    orders = {}
    for rows in (1, 3, 4):
        orders[rows] = _turns_of_rows(estimator, X, target, rows, seed=0)
        again = _turns_of_rows(estimator, X, target, rows, seed=0)
        assert np.array_equal(orders[rows], again), f"Two fits with random_state=0 and batch_size={rows} differ."
        expected = orders[1] // rows
        assert np.array_equal(orders[rows], expected), (
            f"With random_state=0, rows come in batches {orders[rows].tolist()} of {rows}, but one by one in turns "
            f"{orders[1].tolist()}: the order depends on the batch size."
        )
    another = _turns_of_rows(estimator, X, target, 1, seed=1)
    assert not np.array_equal(orders[1], another), "random_state=0 and random_state=1 give the same order of 12 rows."


def _turns_of_rows(estimator: Any, X: Any, y: Any, batch_size: int, seed: int) -> Any:
    """In which batch of the first epoch each row was, from how far its weights went."""
    rate, momentum, n = 1e-7, 0.8, len(y)
    plain = {
        **TO_THE_END, **ROW_BY_ROW, "alpha": 0.0, "learning_rate": "constant", "learning_rate_scaling": None,
        "warmup": 0.0, "max_iter": 1, "nesterovs_momentum": False, "momentum": momentum, "activation": "identity",
        "average": False, "shuffle": True, "random_state": seed, "last_batch": "keep", "fit_intercept": False,
        "epsilon": 0.1,
    }  # fmt: skip
    plain["solver"] = "momentum" if isinstance(estimator, LINEAR) else "sgd"

    def weights(eta: float, size: int) -> Any:
        """Those of every column."""
        model = adjusted(estimator, **plain, eta0=eta, learning_rate_init=eta, batch_size=size)
        fitted(model, X, y)
        found = np.reshape(model.coef_, (-1, n)).T if isinstance(model, LINEAR) else model.coefs_[0]
        return np.asarray(found, dtype=np.float64)

    start = weights(1e-300, n)
    far = np.linalg.norm(weights(rate, batch_size) - start, axis=1)
    one_step = np.linalg.norm(weights(rate, n) - start, axis=1) * (n / batch_size)
    assert one_step.all(), (
        f"Rows {np.flatnonzero(one_step == 0).tolist()} of {n} do not move the model in a full batch."
    )
    # after k more updates a gradient has gone (1 - momentum^(k + 1)) / (1 - momentum) times its step
    left = np.log1p(-(1 - momentum) * np.minimum(far / one_step, 4.9999)) / np.log(momentum) - 1
    n_batches = n // batch_size
    return np.rint(n_batches - 1 - left).astype(int)


def check_partial_fits_over_slices_are_an_epoch(estimator: Any, X: Any = None, y: Any = None) -> None:
    """``partial_fit`` on one batch after the other is an epoch of ``fit`` in this order.

    For a target that must be positive (a log link) ``fit`` may begin at the mean of y, which no chunk knows: there the
    slices after the first are compared with one chunk of them all. ``average='ema'``, which counts calls as epochs, is
    set aside.

    Parameters
    ----------
    estimator : estimator with parameters ``batch_size``, ``max_iter``, ``shuffle`` and a method ``partial_fit``
    X, y : array-like, default=None
        Rows to train on.
    """
    X, y = data_for(estimator, X, y)
    plain = {**ONE_RATE, **TO_THE_END, **ROW_BY_ROW, "shuffle": False, "last_batch": "keep"}
    if isinstance(estimator.get_params(deep=False).get("average"), str):
        plain["average"] = False
    size = max(2, len(y) // 4)
    labels = {"classes": np.unique(y)} if is_classifier(estimator) else {}
    whole = adjusted(estimator, **plain, batch_size=size, max_iter=1)
    model = clone(whole)
    for start in range(0, len(y), size):
        fitted(model, X[start : start + size], y[start : start + size], "partial_fit", **labels)
    what = f"partial_fit over slices of {size} rows, and an epoch at batch_size={size}"
    if get_tags(estimator).target_tags.positive_only:
        for rows in (slice(None, size), slice(size, None)):
            fitted(whole, X[rows], y[rows], "partial_fit")
    else:
        fitted(whole, X, y)
    assert_same_model(learnt(whole, X), learnt(model, X), what)


def check_updates_are_counted(estimator: Any, X: Any = None, y: Any = None) -> None:
    """``n_updates_`` is the number of batches of all epochs, and ``batch_size_`` the number of rows of one.

    Parameters
    ----------
    estimator : estimator with parameters ``batch_size`` and ``max_iter``
    X, y : array-like, default=None
        Rows to train on.
    """
    X, y = data_for(estimator, X, y)
    last_batch = estimator.get_params(deep=False).get("last_batch", "keep")
    for size in (1, 5, len(y)):
        plain = {**TO_THE_END, "batch_normalization": False, "batch_size": size, "max_iter": 3}
        model = fitted(adjusted(estimator, **plain), X, y)
        rows = min(size, len(y))
        expected = {"batch_size_": rows, "n_updates_": 3 * rows_in_batches(len(y), rows, last_batch)[1]}
        for name, value in expected.items():
            found = getattr(model, name, None)
            assert found is not None, f"The fitted estimator has no {name}: nobody can tell what batch_size={size} did."
            assert found == value, (
                f"{name} is {found}, not {value}, after 3 epochs over {len(y)} rows at batch_size={size}."
            )


def check_clone_pickle_and_refit_give_the_same_model(estimator: Any, X: Any = None, y: Any = None) -> None:
    """A clone, an unpickled estimator and the same one fitted again learn the same, bit for bit.

    Parameters
    ----------
    estimator : estimator with a parameter ``batch_size``
    X, y : array-like, default=None
        Rows to train on.
    """
    X, y = data_for(estimator, X, y)
    # half of the rows: what is random in their order shows
    model = adjusted(estimator, warm_start=False, max_iter=3, batch_size=-(-len(y) // 2))
    copies = {"A clone": clone(model), "An unpickled copy": pickle.loads(pickle.dumps(model))}
    expected = learnt(fitted(model, X, y), X)
    loaded = pickle.loads(pickle.dumps(model))
    same = np.array_equal(learnt(loaded, X), expected) and np.array_equal(loaded.predict(X), model.predict(X))
    assert same, "A fitted model changes when it is pickled."
    for name, copy in {**copies, "The estimator, fitted again,": model, "A clone of the model": clone(model)}.items():
        found = learnt(fitted(copy, X, y), X)
        off = difference(expected, found)
        assert np.array_equal(found, expected), f"{name} learns something else, by {off:.2g} of the largest parameter."
