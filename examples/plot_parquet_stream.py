"""
Rows from Parquet, through a scaler
===================================

A quarter of a million rows lie in a Parquet file, ordered by day, in columns of very different units. ``fit`` of
``minibatch.distributed`` reads them a row group at a time: once to scale the columns, once to look at them, and once an
epoch. What is held in memory does not grow with the file.

Files are seldom in random order. Here the first days have mostly rows of one class, and the last of the other. A model
that takes the rows as they come ends up believing the last days, all the more the smaller its batches are. Row groups
in random order are enough against that: here every batch size then comes to the same accuracy.
"""

import matplotlib

matplotlib.use("Agg")  # the picture is saved, not shown

from pathlib import Path
from tempfile import TemporaryDirectory

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from minibatch import MiniBatchSGDClassifier
from minibatch.distributed import ParquetRows, fit

# %%
# A file
# ------
# It is written a day at a time, and nobody ever has all rows.
DAYS, ROWS, UNITS = 32, 8000, np.array([1.0, 1e-3, 40.0, 1e4, 0.2, 7.0, 300.0, 1.0])
random = np.random.default_rng(0)
truth = random.standard_normal(len(UNITS))


def day(number):
    """Rows whose label is mostly 0 on the first days, and mostly 1 on the last."""
    share = (number + 0.5) / DAYS
    y = random.random(ROWS) < share
    X = random.standard_normal((ROWS, len(UNITS))) + 0.7 * np.outer(
        2.0 * y - 1.0, truth
    )
    return X * UNITS + 3.0 * UNITS, y.astype(np.int8)


folder = TemporaryDirectory()
path = Path(folder.name) / "days.parquet"
names = [f"sensor_{number}" for number in range(len(UNITS))]
schema = pa.schema([*((name, pa.float64()) for name in names), ("label", pa.int8())])
with pq.ParquetWriter(path, schema) as writer:
    for number in range(DAYS):
        X, y = day(number)
        writer.write_table(pa.table([*X.T, y], schema=schema), row_group_size=ROWS)
print(f"{DAYS * ROWS:,} rows, {path.stat().st_size / 1e6:.0f} MB")

# %%
# Three orders
# ------------
# ``False`` goes through the file from its first row to its last. ``"block"`` reads row groups in random order, ``True``
# shuffles the rows of those in memory as well.
rows = ParquetRows(path, target="label")
tests = [day(number) for number in range(0, DAYS, 4)]
X_test = pd.DataFrame(np.vstack([X for X, _ in tests]), columns=names)
y_test = np.concatenate([y for _, y in tests])
model = make_pipeline(
    StandardScaler(),
    MiniBatchSGDClassifier("log_loss", max_iter=3, tol=None, random_state=0),
)
sizes, scores = [1, 16, 256, 4096], {}
for shuffle in (False, "block", True):
    scores[shuffle] = []
    for batch_size in sizes:
        last = model.steps[-1][0]
        here = clone(model).set_params(
            **{f"{last}__batch_size": batch_size, f"{last}__shuffle": shuffle}
        )
        scores[shuffle].append(fit(here, rows).score(X_test, y_test))
    print(
        f"shuffle={shuffle!r}:", " ".join(f"{score:.3f}" for score in scores[shuffle])
    )

# %%
# The fitted pipeline is an ordinary one.
print(
    here.named_steps["standardscaler"].n_samples_seen_,
    here[-1].history_["epoch"].tolist(),
    here.n_features_in_,
)

figure, axes = plt.subplots(figsize=(8.5, 4), layout="constrained")
for color, (shuffle, found) in enumerate(scores.items()):
    axes.semilogx(
        sizes, found, "o-", color=f"C{color}", base=2, label=f"shuffle={shuffle!r}"
    )
axes.set_xticks(sizes, sizes)
axes.minorticks_off()
axes.legend()
axes.set(xlabel="Batch size", ylabel="Accuracy on other rows of all days")
axes.set_title("A file that is ordered by day, three epochs", loc="left")
figure.savefig("parquet_stream.png", dpi=120)
folder.cleanup()
