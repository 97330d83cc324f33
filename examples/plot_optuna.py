"""
Optuna: trials that are cut short
=================================

Optuna chooses batch size, penalty and units of a network, and a trial that lags behind the others after some epochs is
given up. ``partial_fit`` is what makes that possible: a call trains on its whole chunk and leaves the model as it is,
so the trial can look at its score and go on, or not.

``pip install optuna``.
"""

import matplotlib.pyplot as plt
import numpy as np
import optuna
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from minibatch import MiniBatchMLPClassifier

X, y = load_digits(return_X_y=True)
X_train, X_valid, y_train, y_valid = train_test_split(
    X / 16, y, test_size=0.3, random_state=0, stratify=y
)
EPOCHS = 15


def objective(trial):
    network = MiniBatchMLPClassifier(
        (trial.suggest_int("units", 8, 128, log=True),),
        batch_size=trial.suggest_int("batch_size", 1, 512, log=True),
        alpha=trial.suggest_float("alpha", 1e-6, 1e-1, log=True),
        learning_rate="auto",  # nothing to tune, at any batch size
        solver="sgd",
        random_state=0,
    )
    for epoch in range(EPOCHS):
        network.partial_fit(X_train, y_train, classes=np.arange(10))
        score = network.score(X_valid, y_valid)
        trial.report(score, epoch)
        if trial.should_prune():
            raise optuna.TrialPruned
    return score


optuna.logging.set_verbosity(optuna.logging.WARNING)
study = optuna.create_study(
    direction="maximize",
    sampler=optuna.samplers.TPESampler(seed=0),
    pruner=optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=2),
)
study.optimize(objective, n_trials=40)
states = [trial.state.name for trial in study.trials]
print(
    f"{states.count('COMPLETE')} trials to the end, {states.count('PRUNED')} given up"
)
print(f"best: {study.best_value:.3f} with {study.best_params}")

# %%
# Scores along the trials
# -----------------------
# Those given up are grey. The colour of the others is their batch size.
figure, ax = plt.subplots(figsize=(7, 4.5), layout="constrained")
colours, sizes = (
    plt.get_cmap("viridis"),
    [trial.params["batch_size"] for trial in study.trials],
)
for trial in study.trials:
    steps, scores = zip(*sorted(trial.intermediate_values.items()), strict=True)
    place = np.log(trial.params["batch_size"]) / np.log(max(sizes))
    ax.plot(
        np.add(steps, 1),
        scores,
        lw=1,
        color=colours(place) if trial.state.name == "COMPLETE" else "0.8",
    )
ax.set(xlabel="Epochs", ylabel="Accuracy on the validation rows", ylim=(0.7, 1.0))
figure.colorbar(
    plt.cm.ScalarMappable(plt.matplotlib.colors.LogNorm(1, max(sizes)), colours),
    ax=ax,
    label="Batch size",
)
plt.show()
