"""What a table is, and how much is measured for one."""

from collections.abc import Callable
from typing import NamedTuple

from pictures import lines


class Pace(NamedTuple):
    """How long things may take, in seconds, and how much there is of them."""

    epoch: float  # a slower rival trains on fewer rows
    rounds: float  # all turns of all rivals, if that is more than two
    trial: float  # a fit to a target; what takes longer has no time
    processes: int  # that measure the same
    sources: int | None  # data sets; None: all
    rows: int  # of them, at most, in searches for rates
    batch_sizes: tuple = (1, 8, 32, 256, 4096, "full")
    rivals: tuple | None = None  # names, beside ours; None: all
    data: tuple | None = None  # archives, "generated" for the others; None: all

    def of(self, sources):
        """Those of the data sets that are asked for."""
        chosen = [each for each in sources if self.data is None or (each.archive or "generated") in self.data]
        return chosen[: self.sources]


FULL = Pace(epoch=0.3, rounds=4.0, trial=4.0, processes=2, sources=None, rows=40_000)
QUICK = Pace(epoch=0.05, rounds=0.5, trial=0.3, processes=1, sources=1, rows=4_000, batch_sizes=(1, 32, "full"))


class Table(NamedTuple):
    """``rows`` takes a Pace and yields dicts: "data", "at" (a value of ``over``), "yardsticks", the "values" and
    "ratios" of ``measure.compared``, and who is "not installed"."""

    name: str
    title: str
    unit: str  # of the values
    rows: Callable
    over: str = "batch size"
    ratios: bool = True  # rivals as multiples of ours; else all as they are
    draw: Callable | None = lines  # of pictures.py
