"""The first learning rate of a network's ``learning_rate="auto"``: a few updates with each of a few rates."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from minibatch._problems.epochs import Epoch
from minibatch._problems.state import Vector, values_of_row
from minibatch._training.beginning import n_rows_looked_at

__all__ = ["BATCH_ROWS", "ROWS_LOOKED_AT", "ROWS_TRIED", "UPDATES", "probed_rate"]

# So many updates, and more in small batches that are not all rows: until they have seen so many. A larger batch is not
# as noisy as to need all of its rows.
UPDATES, ROWS_TRIED, BATCH_ROWS = 20, 512, 256
ROWS_LOOKED_AT = 1000  # at most, to judge them by


def probed_rate(problem: Any, theta: Vector, rates: Sequence[float], batch_size: int, seed: int) -> float:
    """The one of the ``rates``, in rising order, with which a few updates from ``theta`` lower the objective most."""
    random = np.random.default_rng(seed)
    rows = random.permutation(problem.n_samples)
    size = min(batch_size, BATCH_ROWS, len(rows))
    n_updates = UPDATES if size == len(rows) else max(UPDATES, -(-ROWS_TRIED // size))
    # batches are whole: a short one would be as noisy as that of a smaller batch size
    n_batches = len(rows) // size
    passes = [random.permutation(rows)[: n_batches * size] for _ in range(-(-n_updates // n_batches))]
    epoch = Epoch(np.concatenate(passes)[: n_updates * size], np.zeros(n_updates), size, n_updates, True, seed)
    n_looked_at = min(ROWS_LOOKED_AT, n_rows_looked_at(values_of_row(problem.data.X), len(rows)))
    seen = problem.copied(np.sort(rows[:n_looked_at]))

    def end(eta: float) -> float:
        state = problem.new_state(theta, False)
        problem.run_epoch(state, epoch._replace(etas=np.full(n_updates, eta)))
        found = state.result()
        if not np.isfinite(found).all():
            return np.inf
        objective = seen.mean_loss(seen.scores(found)) + float(seen.penalties(found).sum())
        return objective if np.isfinite(objective) else np.inf

    with np.errstate(over="ignore", invalid="ignore"):  # rates that are too high
        return min(rates, key=end)
