"""What service costs, as pictures: efficient frontiers, and how each component of stock moves with the service level.

A planner's report draws them from one table of plans (`planning_frontier.frontier`), over the first weeks alone and up
to a number of item-locations, so that a page does not take much longer than its plan.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from echelon.baselines.planning_frontier import first_weeks, frontier
from echelon.baselines.planning_tables import PlanningTables
from echelon.baselines.planning_views import COMPONENTS, WITHOUT_SERVICE
from echelon.envs.metrics import share_ends
from echelon.experiments.captions import Words
from echelon.experiments.palette import INK, MUTED, PAPER, Look, looks
from echelon.experiments.plan_figures import half_page, with_thousands
from echelon.experiments.plan_stacks import COMPONENT_LOOKS
from echelon.experiments.plan_summary import amount

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SEVEN, FIVE = (0.8, 0.85, 0.9, 0.93, 0.95, 0.97, 0.99), (0.8, 0.9, 0.95, 0.97, 0.99)
REPORTED: Mapping[str, tuple[int, Sequence[float]]] = {
    "assp": (500, SEVEN),
    "gsm": (500, SEVEN),
    "multistage": (30, FIVE),
}
"""The item-locations up to which a report plans several service levels, and which, by method: in some seconds."""
WEEKS = 13


def report_frontier(tables: PlanningTables, method: str) -> tuple[pd.DataFrame | None, str]:
    """The frontier for a report, or none and a sentence that says why."""
    if method in WITHOUT_SERVICE:
        return None, f"{method} reads no service level, so it has no frontier."
    (most, levels), count = REPORTED[method], len(tables["item_locations"])
    if count > most:
        why = (
            f"A report plans several service levels by {method} for up to {most:,} item-locations; here are {count:,}."
        )
        return None, f"{why} planning_frontier.frontier does so for any number."
    return frontier(first_weeks(tables, WEEKS), method, levels), ""


def draw_frontier(table: pd.DataFrame, *, unit: str) -> Figure:
    """Inventory investment against service by method, with the hull, the status quo and 95 % intervals."""
    figure, axes = half_page(3.3)
    methods = tuple(dict.fromkeys(table["method"].astype(str)))
    for method, look in looks(methods).items():
        _draw_method(axes, table[table["method"] == method], look, name=method)
    axes.plot([], [], "*", color=PAPER, markeredgecolor=INK, markersize=11, label="status quo")
    top = float(table["investment"].max())
    axes.set_ylim(0.0, 1.08 * top if top > 0 else 1.0)
    axes.margins(x=0.06)
    with_thousands(axes.yaxis)
    axes.set_xlabel(f"{'simulated fill rate' if 'fill_rate' in table else 'planned service of the customers'} (%)")
    axes.set_title(f"mean stock on hand ({unit})", loc="left", fontsize=8.5, color=MUTED)
    axes.grid(axis="y")
    figure.legend(loc="outside upper left", ncols=3, fontsize=8.5)
    return figure


def _draw_method(axes: Axes, rows: pd.DataFrame, look: Look, *, name: str) -> None:
    """One method: its hull as a line, points that another one beats hollow, the status quo as a star."""
    column = service_column(rows)
    planned = rows[rows["point"] == "planned"].sort_values(column, kind="stable")
    hull = planned[planned["on_hull"]]
    axes.plot(100 * hull[column], hull["investment"], color=look.colour, linewidth=1.6)
    if f"{column}_half_width" in rows:
        low, high = share_ends(rows[column], rows[f"{column}_half_width"])
        reach = np.maximum([rows[column] - low, high - rows[column]], 0.0)
        axes.errorbar(
            100 * rows[column], rows["investment"], xerr=100 * reach, fmt="none", color=look.colour, capsize=2.5
        )
    for kept, fill in ((planned["efficient"], look.colour), (~planned["efficient"], PAPER)):
        of = planned[kept]
        label = name if fill != PAPER else None
        axes.plot(
            100 * of[column],
            of["investment"],
            look.marker,
            color=look.colour,
            markerfacecolor=fill,
            markersize=5.5,
            label=label,
        )
    today = rows[rows["point"] != "planned"]
    axes.plot(
        100 * today[column], today["investment"], "*", color=look.colour, markeredgecolor=INK, markersize=11, zorder=3
    )


def draw_sweep(table: pd.DataFrame) -> Figure:
    """The components of stock against the service level that is asked for, one upon the other."""
    figure, axes = half_page(3.3)
    rows, shown = _swept(table)
    axes.stackplot(
        100 * rows["service_level"],
        [rows[name] for name in shown],
        colors=[COMPONENT_LOOKS[name][1] for name in shown],
        labels=[COMPONENT_LOOKS[name][0] for name in shown],
        edgecolor=PAPER,
        linewidth=0.6,
    )
    axes.margins(x=0.0)
    axes.set_ylim(bottom=0.0)
    with_thousands(axes.yaxis)
    axes.set_xlabel("service level that is asked for (%)")
    axes.set_title("stock (units)", loc="left", fontsize=8.5, color=MUTED)
    figure.legend(loc="outside upper left", ncols=3, fontsize=8.5)
    return figure


def frontier_words(table: pd.DataFrame, *, unit: str, weeks: int | None = None) -> Words:
    """What service costs in stock; `weeks` says of how many weeks that is alone."""
    column = service_column(table)
    said = "; ".join(
        f"{method}: "
        + ", ".join(
            f"{'' if point == 'planned' else f'{point} '}{100 * service:.4g} % for {amount(investment)}"
            for point, service, investment in rows[["point", column, "investment"]].itertuples(index=False)
        )
        for method, rows in table.groupby("method", sort=False)
    )
    quo = str(table["point"].iloc[-1])
    today = "the stock on hand of today" if quo.endswith("(stock)") else "a plan with the service levels of the tables"
    of_weeks = f" Of the first {weeks} weeks." if weeks else ""
    widths = " Bars are 95 % intervals." if f"{column}_half_width" in table else ""
    return Words(
        "Stock on hand against service",
        "A point is a plan for one service level; a hollow one is beaten by another in both. No mix of plans "
        f"gets below the line. The star is the status quo: {today}.{widths}{of_weeks}",
        f"Stock on hand in {unit} against service. {said}.",
    )


def sweep_words(table: pd.DataFrame) -> Words:
    """How the components move."""
    rows, shown = _swept(table)
    first, last = rows.iloc[0], rows.iloc[-1]
    moves = ", ".join(
        f"{COMPONENT_LOOKS[name][0]} from {amount(float(first[name]))} to {amount(float(last[name]))}" for name in shown
    )
    return Words(
        "Which stock moves with service",
        "All item-locations together, from the lowest to the highest service level. Stock that does not move is due to "
        "lead times, lots and displays.",
        f"Stacked areas of stock in units by service level, {100 * float(first['service_level']):.4g} to "
        f"{100 * float(last['service_level']):.4g} %: {moves}.",
    )


def _swept(table: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """The planned points by service level, and the components of which there is any stock; none is below 0."""
    rows = table[table["point"] == "planned"].sort_values("service_level")
    stock = {name: np.maximum(rows[name], 0.0) for name in COMPONENTS if name in rows}
    return rows.assign(**stock), [name for name, units in stock.items() if units.any()]


def service_column(table: pd.DataFrame) -> str:
    """The service that a table of frontiers goes by."""
    return "fill_rate" if "fill_rate" in table else "service"
