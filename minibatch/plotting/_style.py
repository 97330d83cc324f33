"""What the displays share: words for axes, colours and markers of values, places of legends."""

import textwrap
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.utils._plotting import _validate_style_kwargs

from minibatch.model_selection import ConvergenceCurve

__all__ = [
    "MARKERS", "X_LABELS", "Array", "capital", "counted", "ended", "folds_and_budget", "label_axes", "merged",
    "parameter_words", "place_axes", "plain_ticks", "quantity_words", "score_words", "spans_decades", "value_labels",
    "value_ranks", "value_styles", "value_words", "with_outcomes", "write_categories", "write_title",
]  # fmt: skip

Array = NDArray[Any]
X_LABELS = {
    "epoch": "Epochs (passes over the training rows)",
    "n_updates": "Updates",
    "n_samples_seen": "Rows trained on, repeats included",
    "seconds": "Seconds of training",
}
# Twelve shapes that differ without colour; "x" is kept for divergence. A thirteenth value gets an open circle.
MARKERS = ("o", "s", "^", "D", "v", "P", "<", "p", ">", "h", "d", "*")
# An axis is logarithmic by itself where its values are positive and differ by so much.
_LOG_FROM = {"x": 10.0, "y": 50.0}
_PLAIN = (1e-3, 1e5)  # between these, numbers are as short as powers of 10
_PARAMETERS = {"batch_size": "Batch size", "train_size": "Training rows"}


def merged(style: dict[str, Any], given: dict[str, Any] | None) -> dict[str, Any]:
    """A style with what the user gave, which may use short names such as ``lw``."""
    return dict(_validate_style_kwargs(style, given or {}))


def spans_decades(values: Any, name: str) -> bool:
    """Whether an axis, "x" or "y", is logarithmic by itself: values are positive and differ much.

    >>> (
    ...     spans_decades(np.array([0.1, 9.0, np.inf]), "y"),
    ...     spans_decades(np.array([0.0, 9.0]), "y"),
    ... )
    (True, False)
    """
    values = np.asarray(values)[np.isfinite(values)]
    return len(values) > 0 and bool(values.min() > 0.0 and values.max() >= _LOG_FROM[name] * values.min())


def plain_ticks(axis: Any) -> None:
    """On a logarithmic axis 2 and 30 in place of powers of 10, where such numbers are short."""
    from matplotlib.ticker import LogFormatterSciNotation

    class Plain(LogFormatterSciNotation):
        def __call__(self, x: float, pos: int | None = None) -> str:
            words: str = super().__call__(x, pos)  # empty for minor ticks that go without
            low, high = sorted(axis.get_view_interval())
            return f"{x:.6g}" if words and low >= _PLAIN[0] and high < _PLAIN[1] else words

    axis.set_major_formatter(Plain())
    axis.set_minor_formatter(Plain())


def score_words(scoring: str) -> str:
    """A score's name as it is spoken, for the middle of a line.

    >>> [score_words(name) for name in ("r2", "neg_log_loss", "balanced_accuracy", "RMSLE")]
    ['R²', 'negative log loss', 'balanced accuracy', 'RMSLE']
    """
    if scoring == "r2":
        return "R²"
    words = scoring.removeprefix("neg_").replace("_", " ")
    return f"negative {words}" if scoring.startswith("neg_") else words


def capital(words: str) -> str:
    return words[:1].upper() + words[1:]


def quantity_words(name: str, scoring: str) -> str:
    """A recorded quantity as it is spoken, for the middle of a line.

    >>> quantity_words("test_score", "accuracy")
    'test accuracy'
    """
    if name == "gradient_norm":
        return "norm of the training gradient"
    words = {"train": "training ", "test": "test "}
    part, _, quantity = name.rpartition("_")
    return words.get(part, "") + (score_words(scoring) if quantity == "score" else quantity)


def parameter_words(name: str) -> str:
    """A parameter as a label has it; those without a plain name keep theirs."""
    return _PARAMETERS.get(name, f"Value of {name}")


def value_words(value: Any) -> str:
    """A value of a parameter, short; of a function, as a schedule may be one, its name.

    >>> [value_words(value) for value in (0.0158489319, 1e8, "full", 100000, max)]
    ['0.01585', '1e+08', 'full', '100000', 'max']
    """
    return f"{value:.4g}" if isinstance(value, float) else str(getattr(value, "__name__", value))


def value_labels(curve: ConvergenceCurve, separator: str = " ") -> list[str]:
    """The values; with the number of rows where a value does not say it, as ``"full"`` does not, and with the values
    of other parameters that went with them."""
    sizes = {"batch_size": "resolved_batch_size", "train_size": "n_samples"}.get(curve.param_name)
    labels = []
    for place, value in enumerate(curve.param_range):
        parts = [value_words(value)]
        if sizes is not None and not isinstance(value, int):
            parts.append(f"({curve.folds_[sizes][place].mean():.0f})")
        parts += [f"{name}={value_words(values[place])}" for name, values in curve.paired_params.items()]
        labels.append(separator.join(parts))
    return labels


def value_ranks(curve: ConvergenceCurve) -> NDArray[np.intp]:
    """Places of the values in their order: by rows, by number, or as given where they have no order."""
    sizes = {"batch_size": "resolved_batch_size", "train_size": "n_samples"}.get(curve.param_name)
    if sizes is not None:
        keys = curve.folds_[sizes].mean(axis=1)
    elif all(isinstance(value, int | float) and not isinstance(value, bool) for value in curve.param_range):
        keys = np.array(curve.param_range, dtype=float)
    else:
        keys = np.arange(len(curve.param_range), dtype=float)
    ranks: NDArray[np.intp] = rankdata(keys, method="ordinal") - 1
    return ranks


def value_styles(curve: ConvergenceCurve) -> list[dict[str, Any]]:
    """Colour and marker of every value: dark for the smallest, light for the largest, also in grey."""
    from matplotlib import colormaps

    ranks = value_ranks(curve)
    # the last part of the map is too light for a line on white
    places = 0.85 * ranks / max(1, len(ranks) - 1)
    styles = []
    for rank, place in zip(ranks, places, strict=True):
        color = colormaps["viridis"](float(place))
        style = {"color": color, "marker": MARKERS[rank % len(MARKERS)], "markersize": 5.0}
        styles.append(style | ({"markerfacecolor": "white"} if rank >= len(MARKERS) else {}))
    return styles


def ended(curve: ConvergenceCurve, status: str) -> NDArray[np.bool_]:
    """Values x folds: the fits that ended so."""
    found: NDArray[np.bool_] = curve.folds_["status"] == status
    return found


def counted(curve: ConvergenceCurve) -> NDArray[np.bool_]:
    """Values x folds: the fits that count, which neither diverged nor failed."""
    return ~(ended(curve, "diverged") | ended(curve, "failed"))


def with_outcomes(label: str, statuses: Array, defined: NDArray[np.bool_]) -> str:
    """The label of a value, and how many of its folds diverged, failed, or have no such quantity.

    >>> with_outcomes(
    ...     "8", np.array(["failed", "max_iter", "max_iter"]), np.array([True, False, True])
    ... )
    '8: 1 of 3 failed, 1 of 3 not defined'
    >>> with_outcomes("8", np.array(["diverged", "diverged"]), np.array([False, False]))
    '8: diverged'
    """
    outcomes = {name: statuses == name for name in ("diverged", "failed")}
    outcomes["not defined"] = ~(outcomes["diverged"] | outcomes["failed"] | defined)
    n = len(statuses)
    words = [name if all(those) else f"{sum(those)} of {n} {name}" for name, those in outcomes.items() if any(those)]
    return f"{label}: {', '.join(words)}" if words else label


def folds_and_budget(curve: ConvergenceCurve, spread: str) -> str:
    n_folds = curve.folds_["status"].shape[1]
    folds = f"{spread} over {n_folds} folds" if n_folds > 1 else "1 fold"
    return f"{folds}; budget: {curve.budget}"


def label_axes(
    ax: Any,
    x: str,
    y: str,
    title: str,
    keys: Sequence[Any],
    keys_title: str | None = None,
    place: str = "best",
) -> None:
    """Labels, title and legend, in the style of all displays and in the sizes of Matplotlib's settings.

    The legend stands beside the axes where the figure's layout makes room for it, else inside.
    """
    ax.set(xlabel=x, ylabel=y)
    if keys and ax.figure.get_layout_engine() is not None:
        beside = {"loc": "upper left", "bbox_to_anchor": (1.01, 1.0), "borderaxespad": 0.0, "frameon": False}
        ax.legend(handles=keys, title=keys_title, **beside)
    elif keys:
        columns = 1 + (len(keys) - 1) // 6 if place == "best" else 1
        ax.legend(handles=keys, title=keys_title, loc=place, ncols=columns, columnspacing=1.0, handlelength=1.6)
    write_title(ax, title)


def write_title(ax: Any, words: str, pad: float | None = None) -> None:
    """On the left; in several lines where the axes, and the legend beside them, are narrow."""
    words = capital(words)
    title = ax.set_title(words, loc="left", fontsize="medium", pad=pad)
    if title.get_window_extent().width < 0.5 * ax.get_window_extent().width:
        return  # no layout makes axes and legend so narrow
    place_axes(ax)
    box, legend = ax.get_window_extent(), ax.get_legend()
    beside = legend is not None and ax.figure.get_layout_engine() is not None
    right = max(box.x1, legend.get_window_extent().x1) if beside else box.x1
    share = 0.95 * (right - box.x0) / title.get_window_extent().width
    if share < 1.0:
        width = max(20, int(share * len(words)))
        title.set_text("\n".join(textwrap.fill(part, width) for part in words.replace("; ", ";\n").split("\n")))


def place_axes(ax: Any) -> None:
    """Let the layout of the figure move the axes to where they will be, so that texts can be measured."""
    ax.figure.canvas.figure.draw_without_rendering()


def write_categories(ax: Any, labels: list[str]) -> None:
    """Ticks at 0, 1, ... with these labels, turned where they would not stand side by side; call it when all else
    stands."""
    ax.set_xticks(range(len(labels)), labels)
    ax.set_xlim(-0.6, len(labels) - 0.4)
    place_axes(ax)
    boxes = [label.get_window_extent().padded(2.0) for label in ax.get_xticklabels()]
    if any(box.overlaps(after) for box, after in pairwise(boxes)):
        turned = {"rotation": 40, "ha": "right", "rotation_mode": "anchor"}
        ax.set_xticks(range(len(labels)), [label.replace("\n", " ") for label in labels], **turned)
