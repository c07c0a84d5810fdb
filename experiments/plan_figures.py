"""The figures of a planner's report, one function each: half a page wide, like those of a comparison of policies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from echelon.experiments.palette import INK, MARKERS, MUTED, PAPER, POLICY_COLOURS
from echelon.experiments.plan_summary import Panel, PlanSummary, amount
from echelon.experiments.plots import WIDTH, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

STOCK, OTHER = "#0072b2", "#7d9bb3"
"""The colours of safety stock, and of bars beside it."""
MOST_PATHS = 6
MOST_PANELS = 6
BINS = 28
ROW = 0.44
"""Inches for a row with its name above it."""
HEADING = 0.6
"""The height of a heading between rows, in rows."""

SOURCES: Mapping[str, tuple[str, int]] = {
    "stated": ("stated in the tables", 0),
    "own history": ("own history", 1),
    "own": ("own deliveries", 1),
    "shrunk": ("own history and its like", 2),
    "customers below": ("sum of the customers below", 2),
    "lanes": ("stated in the table of lanes", 0),
    "lane": ("deliveries on its lane", 3),
    "source": ("deliveries of its supplier", 3),
    "location": ("deliveries to its location", 3),
    "pooled": ("pooled from its like", 3),
    "all series": ("pooled from all", 3),
    "all": ("deliveries of all", 3),
    "default": ("imputed: a default", 4),
    "none": ("none known: taken as certain", 4),
    "no demand": ("no demand", 4),
}
"""What each source means, and how close it is to the item-location: a rank of `CLOSENESS`."""
CLOSENESS: Sequence[tuple[str, str]] = (
    ("stated", "#31506b"),
    ("own history", "#0072b2"),
    ("partly own", "#3f97c9"),
    ("of others", "#b07d00"),
    ("default or none", "#d55e00"),
)


def draw_weeks(summary: PlanSummary) -> Figure:
    """Safety stock of every tier, week by week."""
    figure, axes = half_page(3.3)
    weeks = summary.weeks
    for rank, name in enumerate(weeks.columns):
        colour, marker = POLICY_COLOURS[rank % len(POLICY_COLOURS)], MARKERS[rank % len(MARKERS)]
        axes.plot(
            weeks.index,
            weeks[name],
            color=colour,
            linewidth=1.6,
            marker=marker,
            markersize=4,
            markevery=max(len(weeks) // 8, 1),
            label=name,
        )
    axes.set_ylim(0.0, 1.06 * float(weeks.to_numpy().max()) or 1.0)
    with_thousands(axes.yaxis)
    axes.set_title(f"safety stock ({summary.measure})", loc="left", fontsize=8.5, color=MUTED)
    axes.grid(axis="y")
    _dates(axes)
    figure.legend(loc="outside upper left", ncols=2, fontsize=8.5)
    return figure


def draw_largest(summary: PlanSummary) -> Figure:
    """The safety stock of the item-locations with most of it, each on its own scale from 0."""
    from matplotlib.figure import Figure

    rows = summary.largest(MOST_PATHS)
    figure = Figure(figsize=(WIDTH, 0.45 + 0.5 * len(rows)), layout="constrained")
    panels = figure.subplots(len(rows), 1, sharex=True, squeeze=False)[:, 0]
    for axes, row in zip(panels, rows.to_dict("records"), strict=True):
        path = summary.path(row["item"], row["location"])
        axes.fill_between(path["week"], path["safety_stock"], color=STOCK, alpha=0.18, linewidth=0)
        axes.plot(path["week"], path["safety_stock"], color=STOCK, linewidth=1.4)
        low, high = path["safety_stock"].min(), path["safety_stock"].max()
        axes.set_ylim(min(low, 0.0), 1.12 * high if high > 0 else 1.0)
        axes.set_yticks([])
        axes.tick_params(bottom=axes is panels[-1], labelbottom=axes is panels[-1])
        name = row["location"] if rows["item"].nunique() == 1 else f"{row['location']}, {row['item']}"
        _above(axes, short(name), f"{amount(low)} to {amount(high)} units" if low < high else f"{amount(low)} units")
    _dates(panels[-1])
    return figure


def draw_days(panels: Sequence[Panel]) -> Figure:
    """How many days of safety stock there are, by category with its band, or by tier."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, 0.6 + 0.78 * len(panels)), layout="constrained")
    every = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    start, end = days_range(panels)
    for axes, panel in zip(every, panels, strict=True):
        if panel.band is not None:
            edges = (panel.band.least_days, panel.band.most_days)
            axes.axvspan(*edges, color=STOCK, alpha=0.13, linewidth=0, zorder=0.5)
            for edge in edges:
                axes.axvline(edge, color=STOCK, linewidth=1.0, zorder=0.6)
        counts, bins = np.histogram(np.clip(panel.days, start, end), bins=BINS, range=(start, end))
        share = counts / max(len(panel.days), 1)
        axes.bar(bins[:-1], share, width=np.diff(bins), align="edge", color=OTHER, edgecolor=PAPER, linewidth=0.6)
        axes.set_ylim(0.0, 1.08 * max(float(share.max()), 1e-12))
        axes.set_yticks([])
        axes.tick_params(bottom=axes is every[-1], labelbottom=axes is every[-1])
        _above(axes, short(panel.name), said_of(panel))
    every[-1].set_xlim(start, end)
    every[-1].set_xlabel("safety stock (days of supply)")
    return figure


def draw_sources(summary: PlanSummary) -> Figure:
    """How many item-locations have their deviations of demand and of lead time from where."""
    from matplotlib.patches import Patch

    counts = {
        "demand": summary.sources("demand_source"),
        "lead time": summary.sources("lead_time_source"),
    }
    figure, axes = row_axes(sum(map(len, counts.values())) + 2 * HEADING - 0.2, extra=0.7)
    row, total = -0.25, max(len(summary.rows), 1)
    seen: set[int] = set()
    for what, of in counts.items():
        label = f"deviation of the {what} from"
        axes.text(0.0, row - 0.2, label, transform=axes.get_yaxis_transform(), color=MUTED, va="center")
        row += HEADING
        for source, count in of.items():
            words, closeness = SOURCES.get(source, (source, 4))
            seen.add(closeness)
            axes.barh(row + 0.15, 100 * count / total, height=0.3, color=CLOSENESS[closeness][1], edgecolor=PAPER)
            row_name(axes, row, words, note=f"{count:,} · {100 * count / total:.0f} %")
            row += 1
        row += 0.15
    axes.set_xlim(0.0, 102.0)
    axes.set_xlabel("item-locations (%)")
    handles = [Patch(facecolor=CLOSENESS[rank][1], label=CLOSENESS[rank][0]) for rank in sorted(seen)]
    figure.legend(handles=handles, loc="outside upper left", ncols=3, fontsize=8.5)
    return figure


def days_range(panels: Sequence[Panel]) -> tuple[float, float]:
    """The ends of the scale of safety days: with every band, and with all but one value in a hundred at each end."""
    known = [np.quantile(panel.days, (0.01, 0.99)) for panel in panels if len(panel.days)]
    edges = [panel.band.most_days for panel in panels if panel.band is not None]
    start = min([0.0, *(float(low) for low, _ in known)])
    return start, 1.15 * max([*(float(high) for _, high in known), *edges], default=0.0) or 1.0


def said_of(panel: Panel) -> str:
    """The mean of a panel, or the share that its band moved."""
    if panel.band is None:
        return f"mean {amount(float(panel.days.mean()) if len(panel.days) else 0.0)} days"
    moved = [(panel.raised, "raised"), (panel.lowered, "lowered")]
    said = [f"{100 * share:.0f} % {how}" for share, how in moved if share > 0]
    return f"band {panel.band.least_days:g} to {panel.band.most_days:g} · {' · '.join(said) or 'none moved'}"


def half_page(height: float) -> tuple[Figure, Axes]:
    """A figure with one pair of axes, as wide as half a page."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    return figure, figure.add_subplot()


def row_axes(count: float, *, extra: float) -> tuple[Figure, Axes]:
    """Axes with rows from the top; names stand above them and need no margin."""
    figure, axes = half_page(extra + ROW * max(count, 1))
    axes.set_ylim(count - 0.5, -0.6)
    axes.set_yticks([])
    axes.grid(axis="x")
    axes.set_axisbelow(True)
    return figure, axes


def row_name(axes: Axes, row: float, name: str, *, note: str) -> None:
    """The name above a row, and a note at its right end."""
    plate = {"facecolor": PAPER, "edgecolor": "none", "pad": 0.8}
    common = {"transform": axes.get_yaxis_transform(), "verticalalignment": "center", "bbox": plate, "zorder": 0.9}
    axes.text(0.0, row - 0.22, short(name), fontweight="bold", color=INK).set(**common)
    axes.text(1.0, row - 0.22, note, ha="right", fontsize=8.5, color=MUTED).set(**common)


def _above(axes: Axes, name: str, note: str) -> None:
    axes.text(0.0, 1.04, name, transform=axes.transAxes, fontweight="bold", color=INK, va="bottom", fontsize=8.5)
    axes.text(1.0, 1.04, note, transform=axes.transAxes, ha="right", color=MUTED, va="bottom", fontsize=8)


def _dates(axes: Axes) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    locator = AutoDateLocator(minticks=3, maxticks=6)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]


def with_thousands(axis: Axis) -> None:
    """A few numbers on an axis, as one writes them."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axis.set_major_locator(MaxNLocator(5))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
