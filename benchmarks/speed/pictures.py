"""A picture of a table, a panel a data set: a line a rival, which looks the same everywhere; or a point a search."""

from textwrap import fill

from rivals import every

MARKERS = "osD^vPX"
LEAST_SPAN = 0.03


def lines(table, rows, path):
    """Medians over "at", with their range."""
    parts = _parts(rows)
    figure, axes = _figure(parts, sharey=True)
    if figure is None:
        return
    drawn = {}
    for ax, (panel, part) in zip(axes.flat, parts.items(), strict=False):
        drawn |= _panel(ax, table, panel, part)
    medians = [points[0] for row in rows for points in row[_what(table)].values()] + [1.0] * table.ratios
    axes[0, 0].set_ylim(min(medians) / 2, max(medians) * 2)  # of one turn that went astray, the range may not be seen
    shown = {name: drawn[name] for name in every() if name in drawn}
    _save(figure, table, shown, len(shown), "multiple of ours" if table.ratios else table.unit, path)


def scatter(table, rows, path):
    """What each found on test rows, over its median time: left is sooner, up is better."""
    parts = _parts(rows)
    figure, axes = _figure(parts, sharey=False)
    if figure is None:
        return
    styles = {name: _style(number) for number, name in enumerate(dict.fromkeys(row["at"] for row in rows))}
    drawn = {}
    for ax, (panel, part) in zip(axes.flat, parts.items(), strict=False):
        for row in part:
            place = row["values"]["seconds"][0], float(row["yardsticks"]["on test rows"])
            (drawn[row["at"]],) = ax.plot(*place, linestyle="", **styles[row["at"]])
        ax.set(xscale="log", xlabel=table.unit)
        ax.set_title(fill(panel, 36), fontsize=8)
        ax.tick_params(which="both", labelsize=7)
        _few_ticks(ax.xaxis, *ax.get_xlim())
        low, high = ax.get_ylim()
        more = max(0.0, LEAST_SPAN - (high - low)) / 2  # small differences are to look small
        ax.set_ylim(low - more, high + more)
    _save(figure, table, drawn, 3, "accuracy on test rows", path)


def _few_ticks(axis, low, high):
    """That have room for their numbers."""
    from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

    axis.set_major_locator(LogLocator(subs=(1, 2, 5)) if high > 5 * low else MaxNLocator(4))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter("{x:g}")


def _parts(rows):
    """Rows by data set."""
    return {name: [row for row in rows if row["data"] == name] for name in dict.fromkeys(row["data"] for row in rows)}


def _figure(parts, sharey):
    """A figure and its panels; None where nothing draws."""
    try:
        import matplotlib as mpl
    except ImportError:
        print("no pictures: matplotlib is not installed")
        return None, None
    mpl.use("Agg")
    import matplotlib.pyplot as plt

    n_columns = min(4, len(parts))
    n_lines = -(-len(parts) // n_columns)
    size = (3.4 * n_columns, 3 * n_lines + 0.6)
    figure, axes = plt.subplots(
        n_lines, n_columns, figsize=size, squeeze=False, sharey=sharey, layout="constrained"
    )  # fmt: skip
    for ax in axes.flat[len(parts) :]:
        ax.set_axis_off()
    return figure, axes


def _save(figure, table, drawn, n_columns, label, path):
    import matplotlib.pyplot as plt

    figure.legend(drawn.values(), drawn, loc="outside lower center", ncols=n_columns, fontsize=8)
    figure.suptitle(table.title, fontsize=10)
    figure.supylabel(label, fontsize=9)
    figure.savefig(path, dpi=130)
    plt.close(figure)


def _style(number):
    import matplotlib as mpl

    pairs = mpl.colormaps["tab20"].colors
    colours = pairs[::2] + pairs[1::2]  # the light ones last
    return {"color": colours[number % len(colours)], "marker": MARKERS[number % len(MARKERS)]}


def _what(table):
    return "ratios" if table.ratios else "values"


def _panel(ax, table, title, rows):
    """Draws the rivals; returns the line of each."""
    what, drawn = _what(table), {}
    for number, name in enumerate(every()):
        points = [(i, *row[what][name]) for i, row in enumerate(rows) if name in row[what]]
        if points:
            places, middle, low, high = zip(*points, strict=True)
            style = _style(number)
            (drawn[name],) = ax.plot(places, middle, markersize=4, **style)
            ax.vlines(places, low, high, color=style["color"], linewidth=3, alpha=0.4)
    if table.ratios:
        ax.axhline(1.0, color="black", linewidth=0.8)
    ax.set(yscale="log", xlabel=table.over)
    ax.set_title(fill(title, 36), fontsize=8)
    ax.set_xticks(range(len(rows)), [f"{row['at']:.0e}" if table.over == "rows" else str(row["at"]) for row in rows])
    ax.set_xlim(-0.3, len(rows) - 0.7)
    return drawn
