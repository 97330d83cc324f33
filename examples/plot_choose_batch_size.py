"""
Choose a batch size and a learning rate
=======================================

From data to a batch size and a learning rate that go together, in a few seconds, and then a check of the advice.

``recommend_batch_size`` puts two measurements together. The noise of the gradient says how many rows a batch can have
before more of them stop saving updates. The clock says what an update costs on this machine. Sizes around the one that
they predict then train for the same time, and what they reach decides. Here the rate is constant, so that one has to be
found for every size; with ``learning_rate="auto"`` the question is the size alone. The pictures show what the advice
stands on.

The check is what one would do without it: every batch size, each with its own best learning rate, to a loss. It takes
much longer. Compare its updates with those that the table of the recommendation predicts.
"""

import matplotlib

matplotlib.use("Agg")  # the picture is saved, not shown

import matplotlib.pyplot as plt
import numpy as np
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from minibatch import MiniBatchSGDClassifier
from minibatch.diagnostics import learning_rate_range_test, norm_test, stability_limit
from minibatch.model_selection import recommend_batch_size, steps_to_target
from minibatch.plotting import LearningRateRangeDisplay, NoiseScaleDisplay

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(
    X / 16, y, random_state=0, stratify=y
)
model = MiniBatchSGDClassifier(
    "log_loss",
    multi_class="multinomial",
    learning_rate="constant",
    max_iter=20,
    tol=None,
    random_state=0,
)

# %%
# The advice
# ----------
# It says why, what it is not sure about, and what it took. The table has what was predicted and what was measured until
# 1 % of the fall of the objective is left.
advice = recommend_batch_size(model, X_train, y_train, random_state=0)
print(advice)

# %%
# Train with it
# -------------
# The old rate suits the old batch size: the advised estimator has both set.
advised = clone(advice.estimator).fit(X_train, y_train)
default = clone(model).fit(X_train, y_train)
print(
    f"\nTest accuracy after {model.max_iter} epochs: {advised.score(X_test, y_test):.3f}"
)
print(f"With 32 rows and a rate of 0.01: {default.score(X_test, y_test):.3f}")

# %%
# Look into it
# ------------
# How far the rate is from the one that runs away, and whether the batch is still large enough at the end of training. A
# range test shows how the loss takes a rate that rises.
limit = stability_limit(advised, X_train, y_train)
end = norm_test(advised, X_train, y_train, random_state=0)
print(f"\n{limit!r}")
print(f"{end!r}")
test = learning_rate_range_test(advice.estimator, X_train, y_train, random_state=0)

# %%
# Check it
# --------
# Every fourth size, with the best of nine rates for each, to a training loss of 0.2.
steps = steps_to_target(
    model,
    X_train,
    y_train,
    batch_sizes=[1, 4, 16, 64, 256, 1024],
    learning_rates=np.geomspace(0.03, 10, 9),
    target={"train_loss": 0.2},
    max_updates=20_000,
    random_state=0,
)
print(f"\n{steps!r}")

# %%
# Pictures
# --------
figure, (noise, rates, updates) = plt.subplots(
    1, 3, figsize=(16, 4.8), layout="constrained"
)
NoiseScaleDisplay.from_result(advice.noise, ax=noise)
LearningRateRangeDisplay.from_result(test, ax=rates)
rates.axvline(advice.learning_rate, color="0.5", linestyle=":", label="advised")
rates.legend()

table = advice.table
here = np.interp(
    np.log(steps.batch_sizes),
    np.log(table["batch_size"]),
    np.log(table["predicted_updates"]),
)
# another target, so only the shape can agree
scale = np.nanmedian(steps.updates / np.exp(here))
updates.loglog(steps.batch_sizes, steps.updates, "o", label="measured, own best rates")
updates.loglog(
    table["batch_size"],
    scale * table["predicted_updates"],
    label="shape predicted from the noise",
)
updates.axvline(advice.batch_size, color="0.5", linestyle=":", label="recommended")
updates.set(xlabel="Batch size", ylabel="Updates to a training loss of 0.2")
updates.set_title("What larger batches save", loc="left", fontsize="medium")
updates.legend()

figure.savefig("choose_batch_size.png", dpi=120)
print("\nPicture: choose_batch_size.png")
