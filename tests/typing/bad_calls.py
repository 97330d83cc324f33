"""Calls that are wrong: a type checker has to say so of every line that ends in "# error", and of no other."""

import numpy as np

from minibatch import MiniBatchMLPClassifier, MiniBatchMLPRegressor, MiniBatchSGDClassifier, MiniBatchSGDRegressor

X = np.zeros((4, 2))
y = np.array([0, 1, 0, 1])
w = np.ones(4)


def parameters() -> None:
    MiniBatchSGDClassifier(batch_sise=3)  # error
    MiniBatchSGDClassifier(batch_size="3")  # error
    MiniBatchSGDClassifier(batch_size=None)  # error
    MiniBatchSGDClassifier(max_iter="many")  # error
    MiniBatchSGDClassifier(max_iter=0.5)  # error
    MiniBatchSGDClassifier("hing")  # error
    MiniBatchSGDClassifier("log_loss", "l2")  # error
    MiniBatchSGDClassifier(penalty="l3")  # error
    MiniBatchSGDRegressor(loss="hinge")  # error
    MiniBatchSGDRegressor(class_weight="balanced")  # error
    MiniBatchSGDRegressor(solver="newton")  # error
    MiniBatchSGDRegressor(eta0="automatic")  # error
    MiniBatchSGDRegressor(last_batch="dropp")  # error
    MiniBatchMLPClassifier(hidden_layer_sizes="large")  # error
    MiniBatchMLPClassifier(learning_rate="optimal")  # error
    MiniBatchMLPClassifier(batch_normalization="inputs")  # error
    MiniBatchMLPClassifier(average="mean")  # error
    MiniBatchMLPClassifier(ghost_batch_size="auto")  # error
    MiniBatchMLPClassifier(n_jobs=2)  # error
    MiniBatchMLPRegressor(batch_size="ful")  # error
    MiniBatchMLPRegressor(batch_growth="fast")  # error
    MiniBatchMLPRegressor(max_batch_size="auto")  # error
    MiniBatchMLPRegressor(random_state="seed")  # error


def methods() -> None:
    MiniBatchSGDClassifier().fit(X, y, sample_weigth=w)  # error
    MiniBatchSGDClassifier().fit(X)  # error
    MiniBatchSGDClassifier().partial_fit(X, y, clases=[0, 1])  # error
    MiniBatchSGDClassifier().predict_proba(X, y)  # error
    MiniBatchSGDRegressor().fit(X, y, Xval=X)  # error
    MiniBatchSGDRegressor().partial_fit(X, y, classes=[0, 1])  # error
    MiniBatchSGDRegressor().predict()  # error
    MiniBatchMLPClassifier().fit(X, y, coef_init=w)  # error
    MiniBatchMLPClassifier().partial_fit(X, y, sample_weigth=w)  # error
    MiniBatchMLPRegressor().fit(X, y, None, X, y)  # error
    MiniBatchMLPRegressor().partial_fit(X, y, classes=[0, 1])  # error
    MiniBatchMLPRegressor().fit(X, y).predict(X).fit(X, y)  # error
    MiniBatchSGDClassifier().fit(object(), y)  # error
