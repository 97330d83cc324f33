"""What recording costs: python benchmarks/recording.py

The same fits with and without evaluations, in turn; each ratio is the median over the rounds with its range. First
``evaluate_every=1`` and a validation set in ``fit``, on dense 200,000 x 100 at batch 32; then a whole
``convergence_curve`` (training loss and gradient, test loss and both scores at every epoch) beside ``cross_validate``
with the same folds.
"""

import time
from functools import partial

import numpy as np
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.model_selection import StratifiedKFold, cross_validate

from minibatch import MiniBatchMLPClassifier, MiniBatchSGDClassifier
from minibatch.model_selection import convergence_curve

ROUNDS = 7


def seconds_of(function):
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def report(name, recorded, plain):
    """Print how many times as long the first takes."""
    recorded(), plain()  # compile
    ratios = [seconds_of(recorded) / seconds_of(plain) for _ in range(ROUNDS)]
    print(f"{name:<56} {np.median(ratios):5.2f}  ({min(ratios):.2f} to {max(ratios):.2f})", flush=True)


def recording_in_fit():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((200_000, 100))
    y = (X @ rng.standard_normal(100) + rng.standard_normal(len(X)) > 0).astype(int)
    for loss in ("hinge", "log_loss"):
        options = {"loss": loss, "learning_rate": "constant", "max_iter": 5, "tol": None, "random_state": 0}
        model = MiniBatchSGDClassifier(batch_size=32, **options)
        recorded, plain = clone(model).set_params(evaluate_every=1), partial(model.fit, X, y)
        name = f"200000 x 100, batch 32, {loss}"
        report(f"{name}: evaluate_every=1", partial(recorded.fit, X, y), plain)
        report(f"{name}: and 20000 held out", partial(recorded.fit, X, y, X_val=X[:20_000], y_val=y[:20_000]), plain)


def recording_in_curves():
    X, y = load_digits(return_X_y=True)
    folds = StratifiedKFold(3)
    options = {"batch_size": 32, "max_iter": 50, "tol": None, "random_state": 0}
    linear = MiniBatchSGDClassifier("log_loss", learning_rate="constant", eta0=0.1, **options)
    for model in (linear, MiniBatchMLPClassifier(**options)):
        curve = partial(convergence_curve, model, X / 16, y, param_range=[32], cv=folds)
        fits = partial(cross_validate, model, X / 16, y, cv=folds)
        report(f"digits, batch 32, {type(model).__name__}: a curve", curve, fits)


def main():
    print("time with recording / time without")
    recording_in_fit()
    recording_in_curves()


if __name__ == "__main__":
    main()
