"""
Would more rows help?
=====================

A learning curve over the number of training rows, and the power law that it follows. Where the law ends in a plateau,
more rows like these will not help, and a larger model may; where it still falls, it says what to expect of twice the
rows.

``train_size`` is the parameter that is varied. Batch size stays the same, so larger sets have more updates in an epoch;
``budget={"updates": ...}`` would hold these fixed.
"""

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits
from sklearn.model_selection import StratifiedKFold

from minibatch import MiniBatchMLPClassifier, MiniBatchSGDClassifier
from minibatch.model_selection import convergence_curve
from minibatch.plotting import LearningCurveDisplay

X, y = load_digits(return_X_y=True)
MODELS = {
    "softmax regression": MiniBatchSGDClassifier(
        "log_loss", multi_class="multinomial", alpha=1e-3, random_state=0
    ),
    "network": MiniBatchMLPClassifier((64,), alpha=1e-3, random_state=0),
}
curves = {
    name: convergence_curve(
        model.set_params(tol=None),
        X / 16,
        y,
        param_name="train_size",
        param_range=[80, 150, 300, 600, 1000, 1430],
        cv=StratifiedKFold(5, shuffle=True, random_state=0),
        budget={"epochs": 40},
        random_state=0,
    )
    for name, model in MODELS.items()
}
# %%
# The laws
# --------
# The law knows the sizes that were tried and not that no accuracy is above 1: where it says so, or its interval does,
# more rows help up to the bound.
for name, curve in curves.items():
    law = curve.power_law("test_score")
    print(f"{name}: {law}")
    of_many, of_any = law.predict(3000), law.c
    print(
        f"    accuracy expected of 3,000 rows: {of_many:.3f}; of any number: {of_any:.3f}"
    )

# %%
# The picture
# -----------
# Bars are standard deviations over the folds. The dashed part is what the law expects of up to 5,000 rows.
figure, axes = plt.subplots(1, 2, figsize=(14, 4.5), layout="constrained")
for ax, (name, curve) in zip(axes, curves.items(), strict=True):
    LearningCurveDisplay.from_curve(curve, ax=ax, y="score", extrapolate_to=5000)
    ax.set_title(f"{name}\n{ax.get_title(loc='left')}", loc="left", fontsize="medium")
plt.show()
