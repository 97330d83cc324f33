"""Writes a model of each estimator, as this version saves it, and what it gives: ``python tests/saved/write.py``.

Run it for every release and whenever a format changes, and keep the files of earlier versions: base/test_persistence.py
loads them all. The pickle needs NumPy 1.26.1 or later, since its arrays name ``numpy._core``; the skops file does not.
"""

import json
import pickle
import warnings
from pathlib import Path
from zipfile import ZIP_DEFLATED

import numpy as np

import minibatch
from minibatch import MiniBatchMLPClassifier, MiniBatchMLPRegressor, MiniBatchSGDClassifier, MiniBatchSGDRegressor

# Rows in their own order: the streams of NumPy's generators may change from version to version.
PLAIN = {"shuffle": False, "random_state": 0, "max_iter": 3, "tol": None, "batch_size": 4}
CONSTANT = {**PLAIN, "learning_rate": "constant"}
NET = {**CONSTANT, "hidden_layer_sizes": (3,), "learning_rate_init": 0.01}


def models():
    """Unfitted, by the name of their class: with an average, L1, labels and weights of several types, statistics."""
    all_models = [
        MiniBatchSGDClassifier("log_loss", class_weight={False: 1.0, True: 2.0}, **PLAIN),
        MiniBatchSGDRegressor(penalty="l1", alpha=0.2, average=True, solver="adam", eta0=0.1, **CONSTANT),
        MiniBatchMLPClassifier(class_weight={"high": 2.0}, solver="sgd", **{**NET, "learning_rate": "adaptive"}),
        MiniBatchMLPRegressor(batch_normalization=True, **NET),
    ]
    return {type(model).__name__: model for model in all_models}


def targets_of(y):
    """By the name of the class that is to learn it."""
    return {
        "MiniBatchSGDClassifier": y > 0,
        "MiniBatchSGDRegressor": y,
        "MiniBatchMLPClassifier": np.array(["low", "middle", "high"])[np.digitize(y, [-1, 1])],
        "MiniBatchMLPRegressor": np.c_[y, -y],
    }


def output_of(model, X):
    return model.predict_proba(X) if hasattr(model, "predict_proba") else model.predict(X)


def write(folder):
    import skops.io

    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((14, 3)), rng.standard_normal(14)
    numbers, fitted = {"X": X, "y": y}, models()
    for name, model in fitted.items():
        model.fit(X, targets_of(y)[name])
        numbers[f"{name}.output"] = output_of(model, X)
        numbers |= {f"{name}.history.{column}": values for column, values in model.history_.items()}
    fitted["MiniBatchSGDRegressor"].sparsify()
    file = folder / minibatch.__version__
    Path(f"{file}.pickle").write_bytes(pickle.dumps(fitted))
    Path(f"{file}.skops").write_bytes(skops.io.dumps(fitted, compression=ZIP_DEFLATED, compresslevel=9))
    for name, model in fitted.items():
        model.partial_fit(X, targets_of(y)[name])
        numbers[f"{name}.later"] = output_of(model, X)
    lines = [f"{json.dumps(key)}: {json.dumps(values.tolist())}" for key, values in numbers.items()]
    Path(f"{file}.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write(Path(__file__).parent)
