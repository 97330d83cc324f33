"""
Batch size in a pipeline with mixed columns
===========================================

Counts of rentals from hours, weekdays, weather and temperatures: categories and numbers go through a
``ColumnTransformer``, a Poisson regression predicts counts, and a search tunes its batch size along with its penalty.
The transformers are fitted once for each fold, whatever the number of candidates.

The table is made up, after the bike rentals that scikit-learn's user guide has from OpenML: with rush hours on
workdays, fewer rentals in rain, and counts that scatter as counts do.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.dummy import DummyRegressor
from sklearn.metrics import mean_poisson_deviance
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from minibatch import MiniBatchSGDRegressor
from minibatch.model_selection import MiniBatchGridSearchCV
from minibatch.plotting import ConvergenceDisplay

rng = np.random.default_rng(0)
n_hours = 8000
table = pd.DataFrame(
    {
        "hour": rng.integers(0, 24, n_hours),
        "workday": rng.random(n_hours) < 5 / 7,
        "weather": rng.choice(["clear", "mist", "rain"], n_hours, p=[0.65, 0.25, 0.1]),
        "temperature": rng.normal(15, 8, n_hours),
        "humidity": rng.uniform(20, 100, n_hours),
    }
)
rush = np.exp(-((table["hour"] - 8) ** 2) / 4) + np.exp(
    -((table["hour"] - 17) ** 2) / 6
)
afternoon = np.exp(-((table["hour"] - 14) ** 2) / 20)
mean = np.exp(
    2.5
    + np.where(table["workday"], 2.0 * rush, 1.5 * afternoon)
    + 0.05 * table["temperature"]
    - 0.005 * table["humidity"]
    - 0.8 * (table["weather"] == "rain")
)
rentals = rng.poisson(mean)
train, test, y_train, y_test = train_test_split(table, rentals, random_state=0)

# %%
# The pipeline
# ------------
# Hours of workdays and of other days are different things, so both are in one category.
hours = train.assign(
    hour_of_day=train["hour"].astype(str)
    + train["workday"].map({True: " work", False: " free"})
)
hours_test = test.assign(
    hour_of_day=test["hour"].astype(str)
    + test["workday"].map({True: " work", False: " free"})
)
columns = ColumnTransformer(
    [
        (
            "categories",
            OneHotEncoder(handle_unknown="ignore"),
            ["hour_of_day", "weather"],
        ),
        ("numbers", StandardScaler(), ["temperature", "humidity"]),
    ]
)
poisson = MiniBatchSGDRegressor("poisson", max_iter=40, tol=None, random_state=0)

# %%
# The search
# ----------
# Five sizes and three penalties, five folds. No rate: each size has its own.
search = MiniBatchGridSearchCV(
    make_pipeline(columns, poisson),
    {
        "minibatchsgdregressor__batch_size": [1, 8, 64, 512, "full"],
        "minibatchsgdregressor__alpha": [1e-6, 1e-4, 1e-2],
    },
    scoring="neg_mean_poisson_deviance",
    n_jobs=2,
).fit(hours, y_train)
results = pd.DataFrame(search.cv_results_).pivot_table(
    "mean_test_score",
    "param_minibatchsgdregressor__batch_size",
    "param_minibatchsgdregressor__alpha",
    sort=False,
)
print((-results).round(3).rename_axis(index="batch size", columns="deviance at alpha"))

# %%
# On hours that nobody has seen, beside a model that knows the mean alone:
constant = DummyRegressor().fit(hours, y_train)
for name, model in {"mean": constant, "search": search}.items():
    print(
        f"{name}: deviance {mean_poisson_deviance(y_test, model.predict(hours_test)):.2f}"
    )

# %%
# How each size learned
# ---------------------
# With the best penalty, the mean over the folds.
best = search.best_params_["minibatchsgdregressor__alpha"]
chosen = [
    number
    for number, tried in enumerate(search.cv_results_["params"])
    if tried["minibatchsgdregressor__alpha"] == best
]
figure, ax = plt.subplots(figsize=(7, 4.5), layout="constrained")
ConvergenceDisplay.from_search(search, chosen, ax=ax)
plt.show()
