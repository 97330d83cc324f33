"""
A Ray cluster of three nodes, one of which goes away
====================================================

Needs the extra ``ray``: ``python examples/distributed_ray.py``

Three nodes of Ray run on this machine, as three machines would (``ray.cluster_utils``), one worker on each. They train
with local SGD: each on its own rows, with batches of 32, and after every ``period`` updates all go on from the mean of
their parameters. In the middle of the fit a node is taken away and another comes; the worker that was on it is started
anew on that, and all go on.

On a real cluster there is nothing to set up here: ``ray job submit`` runs a script like this one, without the first
part, and ``ray.init()`` finds the cluster.
"""

import time
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import ray
from ray.cluster_utils import Cluster
from sklearn.base import clone

from minibatch import MiniBatchSGDClassifier
from minibatch.distributed import fit

# %%
# The cluster
# -----------
# The head has no cores for workers, so that each of the three nodes gets one.
warnings.filterwarnings("ignore", category=FutureWarning, module="ray")
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
nodes = [cluster.add_node(num_cpus=1) for _ in range(3)]
ray.init(address=cluster.address, log_to_driver=False)
print(
    f"{len(ray.nodes())} nodes, {ray.cluster_resources()['CPU']:.0f} cores for workers"
)

# %%
# What the period does
# --------------------
# An exchange by way of Ray takes milliseconds, an update of a linear model microseconds. So seldom is better, as long
# as workers do not drift apart.
random = np.random.default_rng(0)
X = random.standard_normal((300_000, 40), dtype=np.float32)
y = (
    X @ random.standard_normal(40, dtype=np.float32) + random.logistic(size=len(X)) > 0
).astype(int)
model = MiniBatchSGDClassifier(
    "log_loss", batch_size=32, max_iter=3, tol=None, random_state=0
)
alone = clone(model).fit(X, y)
print(
    f"alone: loss {alone.history_['progressive_loss'][-1]:.4f}, accuracy {alone.score(X, y):.4f}"
)
how = {"n_workers": 3, "sync": "parameters", "backend": "ray"}
for period in (10, 100, 1000):
    several = fit(clone(model), X, y, period=period, **how)
    seconds, waiting, rounds = (
        several.history_[name][-1]
        for name in ("seconds", "seconds_waiting", "n_rounds")
    )
    print(
        f"period {period}: accuracy {several.score(X, y):.4f} after {rounds} rounds; "
        f"{waiting / seconds:.0%} of {seconds:.2f} s was waiting"
    )

# %%
# A node goes away
# ----------------
# Ray finds that out within half a minute.
longer = clone(model).set_params(max_iter=400)
with ThreadPoolExecutor(1) as pool:
    fitted = pool.submit(fit, longer, X, y, period=1000, timeout=120, **how)
    time.sleep(10.0)
    cluster.remove_node(nodes[0], allow_graceful=False)
    cluster.add_node(num_cpus=1)
    print("a node has gone, another has come")
    several = fitted.result()
print(
    f"after {several.n_iter_} epochs: accuracy {several.score(X, y):.4f}, {several.status_}"
)

ray.shutdown()
cluster.shutdown()
