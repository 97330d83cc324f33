"""What a fit takes, by what it is for."""

from dataclasses import dataclass
from typing import Any

from minibatch._tables import frame_of, html_table, text_table

__all__ = ["MemoryRequired", "Parts"]

Parts = dict[str, int]  # bytes by name


@dataclass(frozen=True, repr=False)
class MemoryRequired:
    """What :func:`memory_required` found.

    Attributes
    ----------
    parts : dict {str: int}
        Bytes by what they hold, at the moment of the fit that takes most.

    moments : dict {str: int}
        Bytes in all, at every moment that may take most.

    batch_size : int
        Rows in a batch; with ``batch_growth``, in the first.
    """

    parts: Parts
    moments: Parts
    batch_size: int

    @property
    def total(self) -> int:
        """Bytes in all, at most."""
        return sum(self.parts.values())

    def to_frame(self) -> Any:
        """One row a part, with its bytes."""
        return frame_of({"part": list(self.parts), "bytes": list(self.parts.values())})

    def _title(self) -> str:
        moment = max(self.moments, key=self.moments.__getitem__)
        return (
            f"Memory that fit requires beyond X and y: {_in_words(self.total)} with batches of {self.batch_size}, "
            f"{moment}"
        )

    def _rows(self) -> list[list[Any]]:
        return [[name, _in_words(size)] for name, size in [*self.parts.items(), ("total", self.total)]]

    def __repr__(self) -> str:
        return f"{self._title()}\n{text_table(['part', 'memory'], self._rows())}"

    def _repr_html_(self) -> str:
        return html_table(self._title(), ["part", "memory"], self._rows())


def _in_words(n_bytes: float) -> str:
    """Three digits and a unit.

    >>> [_in_words(size) for size in (17, 999_499, 999_500, 12.34e6, 5e15)]
    ['17 B', '999 kB', '1 MB', '12.3 MB', '5e+03 TB']
    """
    units = ["B", "kB", "MB", "GB", "TB"]
    while n_bytes >= 999.5 and len(units) > 1:
        n_bytes /= 1000
        units.pop(0)
    return f"{n_bytes:.3g} {units[0]}"
