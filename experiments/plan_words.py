"""The words of a planner's report: what each figure shows, what a method does, and what the terms mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from echelon.experiments.captions import Words
from echelon.experiments.page import counted
from echelon.experiments.plan_figures import MOST_PATHS, SOURCES, days_range, said_of
from echelon.experiments.plan_map import is_by_location
from echelon.experiments.plan_summary import COMPONENTS, SAFETY, Panel, PlanSummary, amount, day


@dataclass(frozen=True)
class MethodWords:
    """What a planning method is called, what it does, and where it is from."""

    title: str
    does: str
    sources: tuple[str, ...]
    by_customers: bool = False
    """Whether only locations with customers have a service target."""


METHODS: Mapping[str, MethodWords] = {
    "assp": MethodWords(
        "advanced safety stock planning",
        "Each location is planned on its own: its safety stock method turns its service level, the deviation of its "
        "demand and its lead time into a safety stock, every week anew, and the band of its category limits the days "
        "of supply. The formulas are those of the textbook; no vendor publishes a closed formula.",
        ("Tempelmeier, H. (2011). Inventory Management in Supply Networks, 3rd ed.",),
    ),
    "dynamic": MethodWords(
        "dynamic stock planning",
        "Each location has a minimum and a target stock in days of the average daily requirement of the weeks ahead. "
        "Below the minimum, the target is ordered. No service level and no deviation enters: the minimum is what the "
        "report calls safety stock.",
        ("ERP systems as their help pages describe them: average daily requirement times a range of coverage.",),
    ),
    "multistage": MethodWords(
        "multi-stage targets from customers' service",
        "All locations of an item are planned together. Only locations with customers have a target; the stock levels "
        "of least holding cost that meet it give every other location its service, the internal service.",
        (
            "Graves, S. C. (1985). A multi-echelon inventory model for a repairable item with one-for-one "
            "replenishment. Management Science 31(10).",
        ),
        by_customers=True,
    ),
    "gsm": MethodWords(
        "guaranteed service times",
        "All locations of an item are planned together. Every location promises those it supplies a service time "
        "that it always keeps up to a bound on demand; the service times are those of least safety-stock cost.",
        (
            "Simpson, K. F. (1958). In-process inventories. Operations Research 6(6).",
            "Graves, S. C. and Willems, S. P. (2000). Optimizing strategic safety stock placement in supply chains. "
            "Manufacturing & Service Operations Management 2(1).",
            "Humair, S., Ruark, J. D., Tomlin, B. and Willems, S. P. (2013). Incorporating stochastic lead times into "
            "the guaranteed service model of safety stock optimization. Interfaces 43(5).",
        ),
        by_customers=True,
    ),
}
"""By the name of the method."""

GLOSSARY: Mapping[str, str] = {
    "Safety stock": "what is held beyond the expected demand, against its deviation and that of the lead time; below 0 "
    "it is a planned delay, and counts as no stock",
    "Cycle stock": "what is on hand in the mean because orders come in lots: half of what is ordered at a time",
    "Pre-build stock": "what is made early because capacity is short later",
    "Merchandising stock": "what fills the shelves, whatever is sold",
    "Stock on hand": "all of these together, as the plan expects them in the mean",
    "Pipeline stock": "what is on its way to the location in the mean: demand times lead time",
    "Target position": "up to where an order raises what is on hand and on order, less what is owed: the demand until "
    "the next order can arrive, and the safety stock",
    "Days of supply": "stock over the mean demand of a day; of the whole network, over that of its customers",
    "Alpha service": "the share of the order cycles that end without a shortage",
    "Beta service": "the share of the demand that is served at once from stock; also called fill rate",
    "Internal service": "how much of what other locations ask for a location ships at once; a result, not a target",
    "sd": "the standard deviation: of the demand of a day around its forecast, or of a lead time",
    "Band": "the fewest and the most days of safety stock that a category may have",
    "Tier": "how many lanes from outside a location is, counted from 1",
}
"""The terms that the page uses."""


def tier_words(summary: PlanSummary) -> Words:
    """Stock by tier and component."""
    table = summary.by("group")
    parts = "; ".join(
        f"{name} " + ", ".join(f"{COMPONENTS[part]} {amount(float(table[part][name]))}" for part in summary.components)
        for name in summary.groups
    )
    return Words(
        "Stock by tier",
        f"From the outside, at the top, to the customers. The numbers are totals, in {_unit(summary)}.",
        f"Stacked bars of mean stock by tier, in {summary.measure}: {parts}.",
    )


def category_words(summary: PlanSummary, names: Sequence[str]) -> Words:
    """Stock by category and component."""
    return _stacked(summary, "Stock by category", "category", names, "categories")


def location_words(summary: PlanSummary, names: Sequence[str]) -> Words:
    """Stock of the locations with most of it."""
    return _stacked(summary, "Locations with most stock", "location", names, "locations")


def _stacked(summary: PlanSummary, heading: str, column: str, names: Sequence[str], noun: str) -> Words:
    totals = summary.by(column).sum(axis=1)
    shown = "; ".join(f"{name} {amount(float(totals[name]))}" for name in names)
    share = float(totals[list(names)].sum()) / (float(totals.sum()) or 1.0)
    rest = len(totals) - len(names)
    most = f" These {len(names)} of {len(totals):,} {noun} hold {100 * share:.0f} % of all." if rest else ""
    return Words(
        heading,
        f"All items of the plan together, in {_unit(summary)}.{most}",
        f"Stacked bars of mean stock, in {summary.measure}: {shown}.{most}",
    )


def map_words(summary: PlanSummary) -> Words:
    """Where in the network the safety stock is."""
    by_location = is_by_location(summary)
    value = summary.rows.groupby("location" if by_location else "group", sort=False)["value"].sum()
    whole = float(value.sum()) or 1.0
    first = value.sort_values(ascending=False, kind="stable").head(5)
    held = "; ".join(f"{name} {amount(float(v))}, {100 * float(v) / whole:.0f} %" for name, v in first.items())
    box = "location" if by_location else "tier"
    return Words(
        "Where the safety stock is",
        f"Stock flows from left to right. A box is a {box}, with its days of supply, its safety stock in "
        f"{_unit(summary)} and its share of all; the area of the triangle grows with it.",
        f"Map of the network with safety stock in {summary.measure}. Most is at: {held}.",
    )


def week_words(summary: PlanSummary) -> Words:
    """Safety stock by tier over time."""
    weeks = summary.weeks
    ranges = "; ".join(
        f"{name} {amount(float(weeks[name].min()))} to {amount(float(weeks[name].max()))}" for name in weeks.columns
    )
    return Words(
        "Safety stock over time",
        f"Mean of each week from {day(weeks.index[0])}, in {_unit(summary)}. Steps are planning runs; peaks follow "
        "the forecast.",
        f"Lines of weekly safety stock by tier, lowest to highest: {ranges}.",
    )


def largest_words(summary: PlanSummary) -> Words:
    """The paths of the item-locations with most safety stock."""
    rows = summary.largest(MOST_PATHS)
    named = "; ".join(
        f"{location}, {item}: mean {amount(stock)} units"
        for location, item, stock in zip(rows["location"], rows["item"], rows[SAFETY].tolist(), strict=True)
    )
    return Words(
        "The largest safety stocks over time",
        f"{counted(len(rows), 'item-location')} with the highest value of safety stock, week by week, each on a scale "
        "of its own that starts at 0.",
        f"Weekly safety stock. {named}.",
    )


def panel_words(panels: Sequence[Panel], left_out: int) -> Words:
    """The distribution of safety days."""
    banded = any(panel.band for panel in panels)
    start, end = days_range(panels)
    beyond = sum(int(((panel.days < start) | (panel.days > end)).sum()) for panel in panels)
    notes = f" {beyond:,} values beyond the scale are in its first and last bar." if beyond else ""
    notes += f" {left_out} more are not drawn." if left_out else ""
    caption = (
        "What the formula asks for, each week and item-location counted once, against the band of the category "
        f"(shaded). What lies outside is moved to the nearest edge: {100 * _moved(panels):.0f} % of all."
        if banded
        else "Each week and item-location is counted once. No band limits them."
    )
    said = "; ".join(f"{panel.name}: {said_of(panel)}" for panel in panels)
    heading = "Safety days against their bands" if banded else "Safety days by tier"
    return Words(heading, caption + notes, f"Histograms of days of supply. {said}.")


def _moved(panels: Sequence[Panel]) -> float:
    """The share of all values that a band moved."""
    values = sum(len(panel.days) for panel in panels)
    return sum((panel.raised + panel.lowered) * len(panel.days) for panel in panels) / max(values, 1)


def source_words(summary: PlanSummary) -> Words:
    """Where the deviations are from."""
    said = []
    for what, column in (("demand", "demand_source"), ("lead time", "lead_time_source")):
        counts = summary.sources(column)
        said.append(f"{what}: " + ", ".join(f"{SOURCES.get(name, (name, 0))[0]} {n:,}" for name, n in counts.items()))
    return Words(
        "Where the deviations are from",
        "What the tables state wins over history, own history over that of others. Short histories are shrunk "
        "towards those of their like. log.csv has every figure.",
        f"Bars of item-locations by the source of their standard deviations. {'; '.join(said)}.",
    )


def _unit(summary: PlanSummary) -> str:
    return "money (unit value)" if summary.in_money else "units"
