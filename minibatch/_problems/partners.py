"""Others that train the same model, in processes or on machines of their own: what an epoch asks of them."""

from typing import Any, Protocol

from numpy.typing import NDArray

__all__ = ["Partners"]


class Partners(Protocol):
    """All have the same rows and parameters, and each has a part of every batch."""

    def part_of(self, n_rows: int) -> tuple[int, int]:
        """The first and the last of the rows of a batch that are here."""

    def added(self, *values: NDArray[Any]) -> list[NDArray[Any]]:
        """The sums of what everybody has, the same to the last digit for all."""
