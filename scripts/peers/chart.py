"""The chart: samples a second of each contender, as SVG and PNG."""

import matplotlib as mpl

mpl.use("agg")
from matplotlib import pyplot as plt
from matplotlib.ticker import StrMethodFormatter

import summary

OURS, PEER, ALONE, TEXT, MUTED = "#d1495b", "#5b7c99", "#b9b4a7", "#22282e", "#69737d"
TITLES = {
    "jpeg": "JPEG files to float32 batches, images/s",
    "small": "Small samples in memory to float32 batches, samples/s",
}
STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "text.color": TEXT,
    "axes.labelcolor": TEXT,
    "xtick.color": MUTED,
    "ytick.color": TEXT,
    "svg.hashsalt": "tuner",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.edgecolor": "#c9ced3",
}


def draw(results, stem, label):
    """Writes `stem`.svg and `stem`.png."""
    panels = [
        (workload, rows)
        for workload in TITLES
        if (rows := [c for c in summary.cells(results, workload, 2) if c["rate"]])
    ]
    with mpl.rc_context(STYLE):
        heights = [len(rows) for _, rows in panels]
        figure, axes = plt.subplots(
            len(panels),
            figsize=(9.5, 1.5 + 0.62 * sum(heights)),
            height_ratios=heights,
            squeeze=False,
            layout="constrained",
        )
        for axis, (workload, rows) in zip(axes[:, 0], panels, strict=True):
            panel(axis, results, workload, rows, label)
        figure.get_layout_engine().set(hspace=0.06, h_pad=0.12, w_pad=0.12)
        figure.savefig(stem.with_suffix(".svg"), metadata={"Date": None})
        figure.savefig(stem.with_suffix(".png"), dpi=160)
        plt.close(figure)


def panel(axis, results, workload, rows, label):
    one = {c["name"]: c for c in summary.cells(results, workload, 1)}
    end = max(row["high"] for row in [*rows, *one.values()] if row["rate"])
    for place, row in enumerate(rows):
        name = row["name"]
        colour = OURS if name == "tuner" else ALONE if row["alone"] else PEER
        bar(axis, place - 0.19, row, colour, 1.0, end, bold=name == "tuner")
        if one[name]["rate"]:
            bar(axis, place + 0.19, one[name], colour, 0.5, end, bold=False)
    axis.set_yticks(range(len(rows)), [label(row["name"]) for row in rows])
    for tick, row in zip(axis.get_yticklabels(), rows, strict=True):
        if row["name"] == "tuner":
            tick.set(color=OURS, fontweight="bold")
        elif row["alone"]:
            tick.set(color=MUTED, fontstyle="italic")
    axis.invert_yaxis()
    axis.set_xlim(0, end * 1.14)
    axis.tick_params(length=0)
    axis.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axis.grid(axis="x", color="#e6e9ec", linewidth=0.8)
    axis.set_axisbelow(True)
    axis.set_title(TITLES[workload], loc="left", fontweight="bold", fontsize=11.5, pad=22)
    rounds = max(row["runs"] for row in rows)
    axis.text(
        0,
        1.0,
        (f"median and range of {rounds} rounds; " if rounds > 1 else "one round; ")
        + "upper bar 2 workers, lower bar 1; grey: no loader, for reference",
        transform=axis.transAxes,
        fontsize=8.5,
        color=MUTED,
        va="bottom",
    )


def bar(axis, place, row, colour, alpha, end, bold):
    axis.barh(place, row["rate"], height=0.36, color=colour, alpha=alpha, linewidth=0)
    axis.plot([row["low"], row["high"]], [place, place], color=TEXT, linewidth=1.1, alpha=0.8)
    axis.text(
        max(row["rate"], row["high"]) + 0.008 * end,
        place,
        f"{row['rate']:,.0f}",
        va="center",
        fontsize=8.5,
        color=TEXT if alpha == 1 else MUTED,
        fontweight="bold" if bold else "normal",
    )
