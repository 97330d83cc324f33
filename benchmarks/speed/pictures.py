"""A picture of a table: a panel a data set, a line a rival, which looks the same everywhere."""

from textwrap import fill

from rivals import every

MARKERS = "osD^vPX"


def draw(table, rows, path):
    try:
        import matplotlib as mpl
    except ImportError:
        print("no pictures: matplotlib is not installed")
        return
    mpl.use("Agg")
    import matplotlib.pyplot as plt

    panels = list(dict.fromkeys(row["data"] for row in rows))
    n_columns = min(4, len(panels))
    n_lines = -(-len(panels) // n_columns)
    figure, axes = plt.subplots(
        n_lines,
        n_columns,
        figsize=(3.4 * n_columns, 3 * n_lines + 0.6),
        squeeze=False,
        sharey=True,
        layout="constrained",
    )
    for ax in axes.flat[len(panels) :]:
        ax.set_axis_off()
    lines = {}
    for ax, panel in zip(axes.flat, panels, strict=False):
        lines |= _panel(ax, table, panel, [row for row in rows if row["data"] == panel])
    medians = [points[0] for row in rows for points in row[_what(table)].values()] + [1.0] * table.ratios
    axes[0, 0].set_ylim(min(medians) / 2, max(medians) * 2)  # of one turn that went astray, the range may not be seen
    shown = [name for name in every() if name in lines]
    figure.legend([lines[name] for name in shown], shown, loc="outside lower center", ncols=len(shown), fontsize=8)
    figure.suptitle(table.title, fontsize=10)
    figure.supylabel("multiple of ours" if table.ratios else table.unit, fontsize=9)
    figure.savefig(path, dpi=130)
    plt.close(figure)


def _what(table):
    return "ratios" if table.ratios else "values"


def _panel(ax, table, title, rows):
    """Draws the rivals; returns the line of each."""
    import matplotlib as mpl

    what, lines, pairs = _what(table), {}, mpl.colormaps["tab20"].colors
    colours = pairs[::2] + pairs[1::2]  # the light ones last
    for number, name in enumerate(every()):
        points = [(i, *row[what][name]) for i, row in enumerate(rows) if name in row[what]]
        if points:
            places, middle, low, high = zip(*points, strict=True)
            style = {"color": colours[number % len(colours)], "marker": MARKERS[number % len(MARKERS)]}
            (lines[name],) = ax.plot(places, middle, markersize=4, **style)
            ax.vlines(places, low, high, color=style["color"], linewidth=3, alpha=0.4)
    if table.ratios:
        ax.axhline(1.0, color="black", linewidth=0.8)
    ax.set(yscale="log", xlabel=table.over)
    ax.set_title(fill(title, 36), fontsize=8)
    ax.set_xticks(range(len(rows)), [f"{row['at']:.0e}" if table.over == "rows" else str(row["at"]) for row in rows])
    ax.set_xlim(-0.3, len(rows) - 0.7)
    return lines
