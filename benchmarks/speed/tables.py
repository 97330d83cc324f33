"""What a table is."""

from collections.abc import Callable
from typing import NamedTuple

BATCH_SIZES = (1, 8, 32, 256, 4096, "full")


class Table(NamedTuple):
    """``rows`` takes whether to be quick, and yields dicts: "data", "at" (a value of ``over``), "yardsticks", and the
    "values" and "ratios" of ``measure.compared``."""

    name: str
    title: str
    unit: str  # of the values
    rows: Callable
    over: str = "batch size"
    ratios: bool = True  # peers as multiples of ours; else all as they are
