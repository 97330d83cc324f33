"""Tables as text, JSON and pictures."""

import json


def line_of(row, peers):
    """A row of the table as text."""
    ratios = [
        f"{row[name][0]:6.1f} ({row[name][1]:.1f} to {row[name][2]:.1f})" if name in row else "-" for name in peers
    ]
    passes = row["ours_ms"] / row["pass_ms"]
    return f"{row['data']:<40}{row['batch_size']!s:>6}{row['ours_ms']:>11.3f}{passes:>8.1f}" + "".join(
        f"{ratio:>30}" for ratio in ratios
    )


def heading(peers):
    return f"{'data':<40}{'batch':>6}{'ours, ms':>11}{'passes':>8}" + "".join(f"{name:>30}" for name in peers)


def save(results, folder):
    """``results.json`` and a picture a table."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    try:
        import matplotlib as mpl
    except ImportError:
        print("no pictures: matplotlib is not installed")
        return
    mpl.use("Agg")
    for name, rows in results["tables"].items():
        _draw(rows, name, folder / f"{name}.png")


def _draw(rows, name, path):
    """How many times as long an epoch of each peer takes, over batch sizes; a panel a data set."""
    import matplotlib.pyplot as plt

    data = list(dict.fromkeys(row["data"] for row in rows))
    peers = sorted({peer for row in rows for peer, value in row.items() if isinstance(value, list)})
    n_columns = min(4, len(data))
    n_lines = -(-len(data) // n_columns)
    figure, axes = plt.subplots(
        n_lines, n_columns, figsize=(3.2 * n_columns, 2.7 * n_lines), squeeze=False, sharey=True, layout="constrained"
    )
    for ax in axes.flat[len(data) :]:
        ax.set_axis_off()
    for ax, which in zip(axes.flat, data, strict=False):
        here = [row for row in rows if row["data"] == which]
        for number, peer in enumerate(peers):
            points = [(i, *row[peer]) for i, row in enumerate(here) if peer in row]
            if points:
                places, middle, low, high = zip(*points, strict=True)
                ax.plot(places, middle, marker="osD^v"[number], color=f"C{number}", markersize=4, label=peer)
                ax.fill_between(places, low, high, alpha=0.2, color=f"C{number}", linewidth=0)
        ax.axhline(1.0, color="black", linewidth=0.8)
        ax.set(yscale="log", title=which.replace(", ", "\n"), xlabel="batch size")
        ax.set_xticks(range(len(here)), [str(row["batch_size"]) for row in here])
        ax.title.set_fontsize(8)
    axes[0, 0].legend(fontsize=7)
    figure.supylabel(f"{name}: epoch of the other / ours")
    figure.savefig(path, dpi=150)
    plt.close(figure)
