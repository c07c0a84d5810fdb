"""Stacked bars of a planner's report: stock by component, and safety stock by what drives it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from echelon.experiments.captions import Words
from echelon.experiments.palette import INK, PAPER
from echelon.experiments.plan_figures import row_axes, row_name, with_thousands
from echelon.experiments.plan_summary import COMPONENTS, SAFETY, PlanSummary, amount

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

Look = tuple[str, str]
"""The name of a part and its colour."""

COMPONENT_LOOKS: Mapping[str, Look] = {
    name: (COMPONENTS[name], colour)
    for name, colour in {
        "safety_stock": "#0072b2",
        "cycle_stock": "#7d9bb3",
        "prebuild_stock": "#b07d00",
        "merchandising_stock": "#009e73",
        "pipeline_stock": "#c9d3dc",
    }.items()
}
DRIVER_LOOKS: Mapping[str, Look] = {
    "demand": ("demand", "#0072b2"),
    "lead_time": ("lead time", "#b07d00"),
    "upstream_service": ("upstream service", "#d55e00"),
    "lot_size": ("lot size", "#7d9bb3"),
    "review_period": ("reorder cycle", "#c9d3dc"),
    "band": ("band", "#009e73"),
    "limit": ("storage or budget", "#b5568f"),
    "base": ("stated", "#31506b"),
}
"""The parts of `planning_drivers`, in the order in which they are stacked."""
MOST_ROWS = 8
"""Categories, locations or item-locations in one figure."""
THIN = 1e-9
"""The share of all stock below which a part is rounding."""


def draw_components(table: pd.DataFrame, names: Sequence[str], *, unit: str) -> Figure:
    """Stacked bars of stock by component, a row for each of the names in the table [name, component]."""
    return draw_stacks(table, names, COMPONENT_LOOKS, label=f"stock ({unit})")


def draw_drivers(summary: PlanSummary) -> Figure:
    """Safety stock by what drives it, of the item-locations with most of it."""
    table = driver_table(summary)
    return draw_stacks(table, list(table.index), DRIVER_LOOKS, label=f"safety stock ({summary.measure})")


def draw_stacks(table: pd.DataFrame, names: Sequence[str], looks: Mapping[str, Look], *, label: str) -> Figure:
    """Stacked bars, a row for each of the names in the table [name, part]; parts below 0 go to the left of it."""
    from matplotlib.patches import Patch

    figure, axes = row_axes(len(names), extra=0.75 + 0.17 * ((len(table.columns) - 1) // 3))
    ends = [0.0, 0.0]
    for row, name in enumerate(names):
        reached = [0.0, 0.0]
        for part in table.columns:
            width = float(table[part][name])
            side = int(width >= 0)
            axes.barh(row + 0.15, width, left=reached[side], height=0.34, color=looks[part][1], edgecolor=PAPER)
            reached[side] += width
        ends = [min(ends[0], reached[0]), max(ends[1], reached[1])]
        row_name(axes, row, str(name), note=amount(sum(reached)))
    span = max(ends[1] - ends[0], 1e-12)
    axes.set_xlim(ends[0] - 0.02 * span * (ends[0] < 0), ends[1] + 0.02 * span)
    if ends[0] < 0:
        axes.axvline(0.0, color=INK, linewidth=0.8)
    with_thousands(axes.xaxis)
    axes.set_xlabel(label)
    handles = [Patch(facecolor=looks[part][1], label=looks[part][0]) for part in table.columns]
    figure.legend(handles=handles, loc="outside upper left", ncols=3, fontsize=8.5)
    return figure


def driver_table(summary: PlanSummary) -> pd.DataFrame:
    """[item-location, driver] value of the safety stock that is due to each driver, of the largest safety stocks."""
    rows = summary.largest(MOST_ROWS)
    one = summary.rows["item"].nunique() == 1
    names = [place if one else f"{place}, {item}" for place, item in zip(rows["location"], rows["item"], strict=True)]
    value = {part: (rows[f"driver_{part}"] * rows["unit_value"]).to_numpy() for part in driver_totals(summary)}
    return rows[[]].assign(**value).set_axis(names, axis=0)


def driver_totals(summary: PlanSummary) -> dict[str, float]:
    """The value of all safety stock by driver, without those that drive nothing; empty where a method has none."""
    value, rows = summary.rows["unit_value"], summary.rows
    parts = {part: rows[f"driver_{part}"] * value for part in DRIVER_LOOKS if f"driver_{part}" in rows}
    least = THIN * max(float((rows[SAFETY].abs() * value).sum()), 1e-12)
    return {part: float(of.sum()) for part, of in parts.items() if float(of.abs().sum()) > least}


def driver_words(summary: PlanSummary) -> Words:
    """What drives the safety stocks."""
    totals = driver_totals(summary)
    whole = sum(totals.values()) or 1.0
    shares = ", ".join(f"{DRIVER_LOOKS[part][0]} {100 * of / whole:.0f} %" for part, of in totals.items())
    table = driver_table(summary)
    said = "; ".join(
        f"{name}: " + ", ".join(f"{DRIVER_LOOKS[part][0]} {amount(float(row[part]))}" for part in table.columns)
        for name, row in table.iterrows()
    )
    return Words(
        "What drives the safety stock",
        "The item-locations with most of it. Drivers are switched on one after the other, from left to right; one that "
        f"lowers the stock is left of 0. Of all safety stock: {shares}.",
        f"Stacked bars of safety stock by driver, in {summary.measure}. {said}.",
    )
