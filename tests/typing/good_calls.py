"""Calls that are right: they run, and no type checker has anything to say about them."""

import numpy as np
import pandas as pd
import scipy.sparse as sp

from minibatch import (
    History,
    MiniBatchMLPClassifier,
    MiniBatchMLPRegressor,
    MiniBatchSGDClassifier,
    MiniBatchSGDRegressor,
)
from minibatch.schedules import Progress

X = np.random.default_rng(0).normal(size=(24, 3))
target = X @ np.array([1.0, -2.0, 0.5])
labels = np.where(target > 0, "above", "below")


def halves(now: Progress) -> np.ndarray:
    return 0.5**now.epochs


def batch_sizes() -> None:
    for estimator in (
        MiniBatchSGDClassifier(batch_size=8),
        MiniBatchSGDClassifier(batch_size=0.5),
        MiniBatchSGDClassifier(batch_size="full"),
        MiniBatchSGDClassifier(batch_size="auto"),
        MiniBatchSGDClassifier(batch_size=np.int64(8)),
        MiniBatchSGDClassifier(batch_size=np.float64(0.5)),
        MiniBatchSGDClassifier(batch_size=2, batch_growth=2, max_batch_size="full"),
        MiniBatchSGDClassifier(batch_size=2, batch_growth="adaptive", batch_growth_interval=1, max_batch_size=0.5),
        MiniBatchSGDClassifier(batch_size=2, batch_growth="schedule", learning_rate=halves, shuffle="replacement"),
    ):
        estimator.fit(X, labels)


def parameters() -> None:
    MiniBatchSGDClassifier(
        "log_loss",
        penalty=None,
        alpha=0,
        class_weight={"above": 2, "below": 1},
        learning_rate="one_cycle",
        eta0=np.float32(0.1),
        max_iter=np.int32(5),
        tol=None,
        shuffle="block",
        average=10,
        random_state=np.random.RandomState(0),
        n_jobs=1,
    ).fit(X, labels)
    MiniBatchSGDRegressor("quantile", quantile=0.9, learning_rate="invscaling", eta0="auto", random_state=0).fit(
        X, target
    )
    MiniBatchMLPClassifier(
        8, "gelu", class_weight="balanced", dropout=0.1, batch_normalization="input", max_iter=3, tol=None
    ).fit(X, labels)
    MiniBatchMLPClassifier(8, average="ema", average_half_life=np.float32(0.5), solver="sgd", max_iter=3, tol=None).fit(
        X, labels
    )
    MiniBatchMLPRegressor(batch_normalization=True, ghost_batch_size=4, average=np.int64(9), max_iter=3, tol=None).fit(
        X, target
    )
    MiniBatchMLPRegressor(
        hidden_layer_sizes=[4, np.int64(3)], n_iter_no_change=np.inf, max_iter=3, tol=None, verbose=False
    ).fit(X, target)
    MiniBatchMLPRegressor(hidden_layer_sizes=np.array([4, 3]), solver="lbfgs", max_iter=3).fit(X, target)
    MiniBatchMLPRegressor(
        learning_rate=lambda now: 1.0, early_stopping=True, scoring="neg_mean_absolute_error", max_iter=3
    ).fit(X, target)
    MiniBatchSGDClassifier(early_stopping=True, scoring=lambda model, X, y: float(model.score(X, y)), max_iter=3).fit(
        X, labels
    )
    MiniBatchSGDRegressor("log_loss", scoring="loss", max_iter=3, tol=None).fit(X, np.abs(np.tanh(target)))


def data() -> None:
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    classifier = MiniBatchSGDClassifier("modified_huber", random_state=0)
    classifier.fit(frame, pd.Series(labels)).predict(frame)
    classifier.fit(X.tolist(), labels.tolist()).predict_proba(X.tolist())
    classifier.fit([[0, 1], [1, 0]], ["a", "b"]).decision_function([[0.5, 0.5]])
    classifier.fit(X.astype(np.float32), target > 0).predict_log_proba(X)
    for rows in (sp.csr_matrix(X), sp.csr_array(X)):
        classifier.fit(rows, labels).predict(rows)
    classifier.fit(sp.coo_matrix(X), labels).predict(sp.csc_array(X))
    regressor = MiniBatchSGDRegressor(eta0=0.001)
    regressor.fit(frame, frame["a"]).predict(frame)
    regressor.fit(X, [[t, -t] for t in target]).predict(sp.csr_array(X))
    regressor.fit(X, target, coef_init=np.ones(3), intercept_init=[0.0], sample_weight=[1] * 24)
    regressor.fit(X, target, X_val=X, y_val=target, sample_weight_val=np.ones(24))
    network = MiniBatchMLPClassifier((4,), max_iter=2, tol=None)
    sp.csr_array(network.fit(sp.csr_array(X), sp.csr_array(X > 0)).predict(sp.csr_array(X))).toarray()
    network.fit(frame, pd.Series(labels)).predict_proba(frame)


def chunks() -> None:
    names = np.unique(labels)
    linear = MiniBatchSGDClassifier("log_loss").partial_fit(X, labels, classes=names, sample_weight=np.ones(24))
    linear.partial_fit(X, labels).predict_proba(X).round(2)
    network = MiniBatchMLPClassifier((4,)).partial_fit(X, labels, classes=["above", "below"])
    network.partial_fit(X, labels).predict_proba(X).round(2)
    MiniBatchSGDRegressor(eta0=0.001).partial_fit(X, target).partial_fit(X, target).predict(X).mean()
    MiniBatchMLPRegressor(hidden_layer_sizes=(4,)).partial_fit(X, target).predict(X).mean()


def results() -> None:
    linear = MiniBatchSGDClassifier().fit(X, labels)
    history: History = linear.history_
    numbers: list[float] = [linear.n_iter_, linear.n_updates_, linear.batch_size_, linear.eta0_, linear.t_]
    status: str = linear.status_
    print(history, numbers, status.upper(), linear.n_features_in_ + 1, linear.score(X, labels))
    print(linear.coef_.shape, linear.intercept_.shape, linear.classes_.tolist(), linear.sparsify().coef_)
    network = MiniBatchMLPRegressor(hidden_layer_sizes=(4,), max_iter=2, tol=None).fit(X, target)
    print([weights.shape for weights in [*network.coefs_, *network.intercepts_, *network.scales_]])
    print(network.loss_, network.loss_curve_[-1], network.n_layers_ + network.n_outputs_, network.out_activation_)
    print(network.best_loss_, network.validation_scores_, network.best_validation_score_, network.score(X, target))
    print(network.set_params(batch_size=4).get_params()["batch_size"])
