"""Gaps so large that others would all lie on the line of zero: the axis leaves them out and an arrow says so."""

from typing import Any

import numpy as np

from minibatch.model_selection import ConvergenceCurve
from minibatch.plotting._style import Array, counted, merged

__all__ = ["draw_arrow", "farthest_shown", "show_up_to", "sizes_of"]

# Gaps beyond this many times the smallest value's, and the best score, are left out. Scores of models that learned
# something differ by less than the best of them is from 0, whatever their unit.
_TIMES_SMALLEST, _TIMES_BEST_SCORE = 30.0, 3.0


def farthest_shown(curve: ConvergenceCurve, gaps: list[Array]) -> float:
    """The largest gap to be shown, whatever its sign; ``gaps`` has those of every value."""
    typical = [np.median(np.abs(gap[np.isfinite(gap)])) for gap in gaps if np.isfinite(gap).any()]
    scores = np.where(counted(curve), curve.folds_["test_score"], np.nan)
    finite = scores[np.isfinite(scores)]
    best = abs(float(finite.max())) if len(finite) else 0.0
    return max(_TIMES_SMALLEST * float(min(typical, default=0.0)), _TIMES_BEST_SCORE * best)


def sizes_of(gaps: Array) -> Array:
    return np.where(np.isfinite(gaps), np.abs(gaps), 0.0)


def show_up_to(ax: Any, heights: list[Array], farthest: float) -> None:
    """Limit the axis to zero and to the heights none of which goes beyond ``farthest``."""
    finite = [height[np.isfinite(height)] for height in heights]
    whole = [height for height in finite if np.abs(height).max(initial=0.0) <= farthest]
    shown = np.concatenate(whole or [np.empty(0)])
    if not len(shown):
        shown = np.concatenate(finite)
        shown = shown[np.abs(shown) <= farthest]
    low, high = shown.min(initial=0.0), shown.max(initial=0.0)
    room = 0.1 * (high - low) or 0.1 * farthest or 1.0
    ax.set_ylim(low - room, high + room)


def draw_arrow(ax: Any, x: float, gap: float, *, number: int = 0, **style: Any) -> list[Any]:
    """An arrow on the edge at which a gap is; the next ones, by their number, further inside."""
    up = gap > 0.0
    shown = {"marker": r"$\uparrow$" if up else r"$\downarrow$", "markersize": 11.0, "linestyle": "none", "zorder": 5}
    shown |= {"color": "0.15", "markeredgewidth": 0.4, "label": "outside the picture"}
    height = 0.05 + 0.07 * (number % 12)
    arrows: list[Any] = ax.plot(
        x, 1.0 - height if up else height, transform=ax.get_xaxis_transform(), **merged(shown, style)
    )
    return arrows
