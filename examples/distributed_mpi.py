"""
Under mpirun
============

Needs the extra ``mpi``: ``mpirun -n 2 python -m mpi4py examples/distributed_mpi.py``

All processes run this script, and all call ``fit``. The first has the rows and gives each of the others its share; at
the end all have the fitted estimator. Run by ``python -m mpi4py``, one that fails ends all.

A script for Slurm is the same line: ``srun -n 64 python -m mpi4py script.py``.
"""

import numpy as np
from mpi4py import MPI
from sklearn.base import clone

from minibatch import MiniBatchSGDClassifier
from minibatch.distributed import fit

ranks = MPI.COMM_WORLD
X = y = None
if ranks.rank == 0:
    random = np.random.default_rng(0)
    X = random.standard_normal((300_000, 40), dtype=np.float32)
    y = (
        X @ random.standard_normal(40, dtype=np.float32) + random.logistic(size=len(X))
        > 0
    ).astype(int)
model = MiniBatchSGDClassifier("log_loss", max_iter=10, tol=None, random_state=0)

# %%
# How often workers meet
# ----------------------
# With gradients they meet at every update, and the model is the one that a single process finds. With parameters they
# meet after every ``period`` updates with batches of their own.
for sync, batch_size, period in (
    ("gradients", 256, None),
    ("gradients", 8192, None),
    ("parameters", 32, 100),
    ("parameters", 32, 2000),
):
    several = fit(
        clone(model).set_params(batch_size=batch_size),
        X,
        y,
        sync=sync,
        period=period,
        backend="mpi",
    )
    if ranks.rank == 0:
        seconds, waiting = (
            several.history_["seconds"][-1],
            several.history_["seconds_waiting"][-1],
        )
        of = "" if period is None else f", period {period}"
        print(
            f"{ranks.size} workers, {sync}, batches of {batch_size}{of}: {seconds:.2f} s, {waiting / seconds:.0%} of "
            f"it waiting; accuracy {several.score(X, y):.4f}",
            flush=True,
        )

# %%
# All have the same model
# -----------------------
models = ranks.gather(several.coef_)
if ranks.rank == 0:
    print(
        "the same on all ranks:", all(np.array_equal(one, models[0]) for one in models)
    )
