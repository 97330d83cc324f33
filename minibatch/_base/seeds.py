"""The seed of a fit."""

from functools import lru_cache
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.utils import check_random_state

__all__ = ["SEEDS", "seed_of"]

SEEDS = np.iinfo(np.int32).max
_REMEMBERED = 64


def seed_of(random_state: Any) -> int:
    """Drawn from it. What a number gives is remembered: a generator that is made for one draw takes as long as many
    other steps of a fit together."""
    if isinstance(random_state, Integral):
        return _of_number(int(random_state))
    if random_state is None:  # nobody says which: a fraction is drawn in a tenth of the time of a whole number
        return int(check_random_state(None).random_sample() * SEEDS)
    return int(check_random_state(random_state).randint(SEEDS))


@lru_cache(maxsize=_REMEMBERED)
def _of_number(random_state: int) -> int:
    return int(check_random_state(random_state).randint(SEEDS))
