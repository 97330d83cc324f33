"""Short words next to points, where they cover neither each other nor the points."""

from typing import Any, NamedTuple

from minibatch.plotting._style import place_axes

__all__ = ["Note", "Point", "write_notes"]

_MARGIN = 4.0  # half the width of a marker and of the caps of its bar, in points
_AROUND: dict[str, dict[str, Any]] = {
    "below": {"xytext": (0, -9), "ha": "center", "va": "top"},
    "above": {"xytext": (0, 5), "ha": "center", "va": "bottom"},
    "right": {"xytext": (7, 0), "ha": "left", "va": "center"},
    "lower": {"xytext": (0, -19), "ha": "center", "va": "top"},
    "left": {"xytext": (-7, 0), "ha": "right", "va": "center"},
}


class Point(NamedTuple):
    """Where it is and how far its bar goes; ``on_edge``: heights are shares of the axes'."""

    x: float
    low: float
    middle: float
    high: float
    on_edge: bool = False


class Note(NamedTuple):
    """Words about a point and the place they would best have."""

    words: str
    point: Point
    place: str = "below"


def write_notes(ax: Any, points: list[Point], notes: list[Note]) -> list[Any]:
    """Each note at the first free place around its point, none where there is none; call it when all else is drawn."""
    from matplotlib.patheffects import withStroke
    from matplotlib.transforms import Bbox

    place_axes(ax)
    margin, inside = _MARGIN * ax.figure.dpi / 72.0, ax.get_window_extent()
    taken = []
    for point in points:
        low, high = _transform(ax, point).transform([(point.x, point.low), (point.x, point.high)])
        taken.append(Bbox([low - margin, high + margin]))
    style: dict[str, Any] = {"fontsize": "x-small", "textcoords": "offset points", "zorder": 5}
    style |= {"path_effects": [withStroke(linewidth=2.5, foreground="white")]}
    texts = []
    for note in notes:
        for place in dict.fromkeys([note.place, *_AROUND]):
            where = {"xy": _anchor(note.point, place), "xycoords": _transform(ax, note.point), **_AROUND[place]}
            text = ax.annotate(note.words, **where, **style)
            box = text.get_window_extent()
            if not box.count_overlaps(taken) and inside.contains(*box.min) and inside.contains(*box.max):
                taken.append(box)
                texts.append(text)
                break
            text.remove()
    return texts


def _transform(ax: Any, point: Point) -> Any:
    return ax.get_xaxis_transform() if point.on_edge else ax.transData


def _anchor(point: Point, place: str) -> tuple[float, float]:
    return point.x, {"below": point.low, "lower": point.low, "above": point.high}.get(place, point.middle)
