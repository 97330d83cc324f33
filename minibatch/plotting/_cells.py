"""Cells of a heat map whose columns may have different heights, on a logarithmic axis."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from minibatch.plotting._style import merged, place_axes

__all__ = ["Cell", "cells_of", "draw_cells", "draw_hatches", "frame_cell", "score_digits", "write_scores"]

_HALF_WIDTH = 0.48  # leaves a gap between columns
_FONT_SIZES = (9.0, 7.5, 6.0)


class Cell(NamedTuple):
    """A rectangle: centre and edges."""

    column: float
    rate: float
    bottom: float
    top: float

    def corners(self) -> list[tuple[float, float]]:
        left, right = self.column - _HALF_WIDTH, self.column + _HALF_WIDTH
        return [(left, self.bottom), (right, self.bottom), (right, self.top), (left, self.top)]


def cells_of(columns: NDArray[np.intp], rates: NDArray[np.float64]) -> list[Cell]:
    """One cell a candidate. In a column neighbours meet half-way between their rates, as logarithms.

    >>> [
    ...     (round(cell.bottom, 6), round(cell.top, 6))
    ...     for cell in cells_of(np.array([0, 0]), np.array([0.01, 1.0]))
    ... ]
    [(0.001, 0.1), (0.1, 10.0)]
    """
    cells = [Cell(float(column), float(rate), np.nan, np.nan) for column, rate in zip(columns, rates, strict=True)]
    for column in np.unique(columns):
        here = np.flatnonzero(columns == column)
        here = here[np.argsort(rates[here])]
        height = np.log10(rates[here])
        between = (height[1:] + height[:-1]) / 2.0
        # the outermost cells are as high outwards as inwards; one that is alone in its column gets a decade
        down, up = (height[1:2] - height[:1], height[-1:] - height[-2:-1]) if len(here) > 1 else (1.0, 1.0)
        edges = 10.0 ** np.concatenate([height[:1] - down / 2.0, between, height[-1:] + up / 2.0])
        for number, bottom, top in zip(here, edges[:-1], edges[1:], strict=True):
            cells[number] = cells[number]._replace(bottom=float(bottom), top=float(top))
    return cells


def draw_cells(ax: Any, cells: list[Cell], scores: Any, style: dict[str, Any]) -> Any:
    """The coloured cells; those masked are grey."""
    from matplotlib import colormaps
    from matplotlib.collections import PolyCollection

    style = {"edgecolor": "white", "linewidth": 0.6, "zorder": 1.5, **style}
    cmap = style.pop("cmap")
    if isinstance(cmap, str):
        cmap = colormaps[cmap]
    image = PolyCollection([cell.corners() for cell in cells], cmap=cmap.with_extremes(bad="0.88"), **style)
    image.set_array(scores)
    if "norm" not in style:
        image.set_clim(*_limits(scores))
    return ax.add_collection(image)


def _limits(scores: Any) -> tuple[float | None, float | None]:
    """Of the colours: from the lowest score, or three times as far below the best as the median is."""
    if not scores.count():
        return None, None
    best, median = float(scores.max()), float(np.ma.median(scores))
    return max(float(scores.min()), best - 3.0 * (best - median)) if median < best else float(scores.min()), best


def draw_hatches(ax: Any, cells: list[Cell]) -> Any:
    from matplotlib.collections import PolyCollection

    if not cells:
        return None
    style: dict[str, Any] = {
        "facecolor": "0.88",
        "edgecolor": "0.35",
        "linewidth": 0.0,
        "hatch": "xxx",
        "label": "diverged",
    }
    return ax.add_collection(PolyCollection([cell.corners() for cell in cells], zorder=2, **style))


def frame_cell(ax: Any, cell: Cell) -> Any:
    """A black frame with a white rim, which shows on any colour."""
    from matplotlib.patches import Polygon
    from matplotlib.patheffects import withStroke

    frame = Polygon(cell.corners(), fill=False, edgecolor="black", linewidth=2.2, zorder=4, label="best")
    frame.set(path_effects=[withStroke(linewidth=4.6, foreground="white")])
    return ax.add_patch(frame)


def write_scores(ax: Any, cells: list[Cell], image: Any, text_kw: dict[str, Any] | None) -> list[Any]:
    """The scores, black on light and white on dark; smaller where cells are small, none where it does not fit."""
    scores = image.get_array()
    texts: list[Any] = []
    for cell, score in zip(cells, scores, strict=True):
        if score is np.ma.masked:
            texts.append(None)
            continue
        style = {"ha": "center", "va": "center", "color": _ink(image.cmap(image.norm(float(score)))), "zorder": 5}
        height = np.sqrt(cell.bottom * cell.top)
        texts.append(ax.text(cell.column, height, score_digits(float(score)), **merged(style, text_kw)))
    place_axes(ax)
    sizes = [None] if text_kw and {"fontsize", "size"} & text_kw.keys() else list(_FONT_SIZES)
    for size in sizes:
        for text in texts:
            if text is not None and size is not None:
                text.set_fontsize(size)
        fitting = [text is None or _fits(ax, text, cell) for text, cell in zip(texts, cells, strict=True)]
        if all(fitting):
            return texts
    for place in np.flatnonzero(~np.array(fitting)):
        texts[place].remove()
        texts[place] = None
    return texts


def score_digits(score: float) -> str:
    """Three digits after the point, or three in all.

    >>> [score_digits(score) for score in (0.95, -12.345, 1234567.0)]
    ['0.950', '-12.3', '1.23e+06']
    """
    return f"{score:.3f}" if abs(score) < 9.9995 else f"{score:.3g}"


def _ink(color: Any) -> str:
    """Black or white, whichever contrasts more by the relative luminance of WCAG."""
    rgb = np.asarray(color[:3])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return "black" if linear @ [0.2126, 0.7152, 0.0722] > 0.179 else "white"


def _fits(ax: Any, text: Any, cell: Cell) -> bool:
    words = text.get_window_extent()
    (left, bottom), _, (right, top), _ = ax.transData.transform(cell.corners())
    return bool(words.width < 0.96 * (right - left) and words.height < 0.9 * (top - bottom))
