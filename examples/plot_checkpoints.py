"""
Checkpoints: go on after an interruption
========================================

A fit that takes hours should not be lost with the machine. ``ModelCheckpoint`` is a callback, in scikit-learn's
protocol, that writes the model after every few epochs. Here a fit is cut off as its 23rd epoch begins; another process would
take the latest checkpoint, of epoch 20, and train for the 20 epochs that are left. The network that comes of it is, bit
by bit, the one of a fit that was never cut off: a checkpoint has the history and the memory of the optimizer too, and
the order of the rows depends on ``random_state`` and the number of the epoch.

A named schedule begins anew with each ``fit``, as everywhere with ``warm_start``, and would lead elsewhere;
``partial_fit`` on all rows, an epoch a call, goes on with it.
"""

import matplotlib

matplotlib.use("Agg")  # the picture is saved, not shown

import pickle
from tempfile import TemporaryDirectory

import matplotlib.pyplot as plt
import numpy as np
from sklearn.base import clone
from sklearn.datasets import load_digits

from minibatch import MiniBatchMLPClassifier
from minibatch.callbacks import ModelCheckpoint, latest_checkpoint

X, y = load_digits(return_X_y=True)
X = X / 16
network = MiniBatchMLPClassifier(
    (32,), batch_size=32, max_iter=40, tol=None, random_state=0
)
directory = TemporaryDirectory()

# %%
# A fit that does not end
# -----------------------
# Any callback may raise. This one stands for what one does not plan.


class PowerCut:
    """Raises as the 23rd epoch begins."""

    def setup(self, estimator, context): ...
    def teardown(self, estimator, context): ...
    def on_fit_task_end(self, estimator, context): ...

    def on_fit_task_begin(self, estimator, context):
        if context.task_name == "epoch" and context.task_id == 22:
            raise SystemExit


try:
    clone(network).set_callbacks(
        ModelCheckpoint(directory.name, every_n_epochs=5, keep_last=2), PowerCut()
    ).fit(X, y)
except SystemExit:
    print("cut off")

# %%
# Going on
# --------
# A checkpoint is a pickle of the model as a fit that was stopped there would have left it.
model = pickle.loads(latest_checkpoint(directory.name).read_bytes())
kept = model.history_.copy()
print(kept, model.status_)
model.set_params(warm_start=True, max_iter=40 - model.n_iter_).fit(X, y)
print(model.history_)

# %%
# The same network
# ----------------
never_cut_off = clone(network).fit(X, y)
same = all(
    np.array_equal(a, b)
    for a, b in zip(model.coefs_, never_cut_off.coefs_, strict=True)
)
print("the same weights, bit by bit:", same)

figure, axes = plt.subplots(figsize=(8.5, 4), layout="constrained")
axes.semilogy(
    never_cut_off.history_["epoch"],
    never_cut_off.history_["progressive_loss"],
    color="0.8",
    linewidth=7,
)
axes.semilogy(kept["epoch"], kept["progressive_loss"], color="C0")
axes.semilogy(
    model.history_["epoch"][19:], model.history_["progressive_loss"][19:], color="C1"
)
axes.legend(["Never cut off", "In the checkpoint", "After it"])
axes.set(xlabel="Epoch", ylabel="Progressive loss")
axes.set_title(
    "A network on digits, cut off in epoch 23 and trained on from epoch 20", loc="left"
)
figure.savefig("checkpoints.png", dpi=120)
directory.cleanup()
