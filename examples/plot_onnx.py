"""
ONNX in production
==================

A pipeline is trained here and answers elsewhere: exported to ONNX, it needs neither scikit-learn nor this package nor
Python. The batch size of training leaves no trace in it.

``pip install "scikit-minibatch[onnx]"``.
"""

import time

import matplotlib.pyplot as plt
import numpy as np
from onnxruntime import InferenceSession
from skl2onnx import to_onnx
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from minibatch import MiniBatchMLPClassifier
from minibatch.onnx import register_converters

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(
    X.astype(np.float32), y, random_state=0, stratify=y
)
network = MiniBatchMLPClassifier(
    (64, 32),
    batch_normalization=True,
    batch_size=32,
    max_iter=30,
    tol=None,
    random_state=0,
)
pipeline = make_pipeline(StandardScaler(), network).fit(X_train, y_train)
print(f"trained: {pipeline.score(X_test, y_test):.3f} of the test rows are right")

# %%
# Export
# ------
# A row tells the names and types of the inputs. ``zipmap=False``: probabilities as an array.
register_converters()
exported = to_onnx(pipeline, X_train[:1], options={"zipmap": False}, target_opset=21)
print(f"{len(exported.SerializeToString()) / 1024:.0f} KiB")

# %%
# Elsewhere
# ---------
session = InferenceSession(
    exported.SerializeToString(), providers=["CPUExecutionProvider"]
)
name = session.get_inputs()[0].name
labels, probabilities = session.run(None, {name: X_test})
difference = np.abs(probabilities - pipeline.predict_proba(X_test)).max()
print(
    f"the same labels: {np.array_equal(labels, pipeline.predict(X_test))}; probabilities differ by {difference:.0e}"
)

# %%
# One row at a time
# -----------------
# What a service answers is a row as a rule. scikit-learn's pipelines spend their time on checking it.


def milliseconds(answer):
    taken = []
    for row in X_test[:200]:
        start = time.perf_counter()
        answer(row[None])
        taken.append(1e3 * (time.perf_counter() - start))
    return taken


answers = {
    "pipeline.predict_proba": milliseconds(pipeline.predict_proba),
    "ONNX runtime": milliseconds(lambda row: session.run(None, {name: row})),
}
figure, ax = plt.subplots(figsize=(6, 3.5), layout="constrained")
ax.boxplot(list(answers.values()), orientation="horizontal", showfliers=False)
ax.set(
    xscale="log",
    xlabel="Milliseconds for one row",
    yticks=[1, 2],
    yticklabels=list(answers),
)
plt.show()
