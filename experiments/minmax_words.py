"""A plan by simulation in words: the lines that are printed, and what the report says."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from echelon.baselines.rule_space import NUMBERS
from echelon.baselines.simulation_optimization import Estimate
from echelon.envs.problem import Problem
from echelon.experiments.minmax_plan import MinMaxPlan, plan_rows
from echelon.experiments.page import counted

MOST_ROWS = 40
"""How many links are printed."""


def plan_lines(plan: MinMaxPlan, *, table: bool = True) -> list[str]:
    """The plan as text, with or without the table of its links."""
    return [*_head_lines(plan), *(["", *_table_lines(plan)] if table else [])]


def _head_lines(plan: MinMaxPlan) -> Iterator[str]:
    """What the plan costs, what is shown of it, and what each floor costs."""
    found = plan.optimum
    yield f"{plan.problem.name}: {rule_words(plan)} by simulation, {counted(len(found.parameters), 'number')}"
    yield f"cost        {with_interval(found.cost)} {per_period(plan.problem)}"
    yield f"gain        {gain_words(plan)}"
    yield f"selection   {selection_words(plan)}"
    effort = f"{found.evaluations:,} evaluations, {found.node_periods:,} node-periods, {found.cpu_seconds:.1f} CPU-s"
    yield f"effort      {effort}"
    yield f"floors      {floor_words(plan)}"
    prices = {price.floor: price.per_point for price in found.prices}
    for one in found.certificate.floors:
        yield f"  {one}; {price_words(prices.get(one.floor))}"


def price_words(price: float | None) -> str:
    """What a point more of service costs."""
    return "bounds do not allow more of it" if price is None else f"a point more costs {price:.3g}"


def warning_lines(plan: MinMaxPlan) -> list[str]:
    """What is said of floors that are not shown to be met; nothing where all are."""
    if plan.optimum.certified:
        return []
    return ["warning: not every floor is shown to be met; this is the least infeasible plan that was found"] + [
        f"warning: {shortfall}" for shortfall in plan.optimum.shortfalls
    ]


def _table_lines(plan: MinMaxPlan) -> Iterator[str]:
    """The links in the order of the network."""
    rows = plan_rows(plan)
    names = [name.lower() for name in NUMBERS[plan.space.rule]]
    width = max(len("place"), *(len(row["place"]) for row in rows))
    heads = [*NUMBERS[plan.space.rule], "on hand", "fill rate", "cost"]
    yield f"{'place':{width}}" + "".join(f"  {head:>10}" for head in heads)
    for row in rows[:MOST_ROWS]:
        rate = "" if row["fill_rate"] is None else f"{row['fill_rate']:.4f}"
        cells = [*(f"{row[name]:,.6g}" for name in names), f"{row['on_hand']:,.1f}", rate, f"{row['cost']:,.4f}"]
        yield f"{row['place']:{width}}" + "".join(f"  {cell:>10}" for cell in cells)
    if len(rows) > MOST_ROWS:
        yield f"and {len(rows) - MOST_ROWS} more; --csv writes all of them"


def rule_words(plan: MinMaxPlan) -> str:
    """The rule as a reader would call it."""
    return {"min_max": "Min/Max", "base_stock": "base stock", "reorder_lots": "reorder point and lot"}[plan.space.rule]


def per_period(problem: Problem) -> str:
    """The unit of a cost."""
    return "discounted, in total" if problem.discount < 1 else "per period"


def with_interval(value: Estimate) -> str:
    """A mean with its interval, to the digits that this allows."""
    digits = 2 if value.half_width <= 0 else min(max(1 - int(np.floor(np.log10(value.half_width))), 0), 6)
    return f"{value.mean:,.{digits}f} ± {value.half_width:,.{digits}f}"


def gain_words(plan: MinMaxPlan) -> str:
    """The gain over the start, and whether that keeps the floors."""
    found, missed = plan.optimum, plan.missed_by_start
    start = "the given start" if plan.asked.options.start else "the start by formulas"
    if found.parameters == found.start:
        return f"none: {start} is the plan itself"
    share = abs(100 * found.gain.mean / found.start_cost.mean) if found.start_cost.mean else 0.0
    size = Estimate(abs(found.gain.mean), found.gain.half_width)
    side = "below" if found.gain.mean >= 0 else "above"
    but = f", which misses {missed} of {len(plan.floors)} floors" if missed else ""
    return f"{with_interval(size)} ({share:.2g} %) {side} {start}{but}"


def selection_words(plan: MinMaxPlan) -> str:
    """What is known of the choice between the last contenders."""
    selection = plan.optimum.selection
    if len(selection.means) < 2:
        return "a single contender was left"
    return (
        f"the best of {len(selection.means)} contenders with probability {selection.confidence:g}, "
        f"if it is better by {selection.zone:.2g}"
    )


def floor_words(plan: MinMaxPlan) -> str:
    """Whether the floors are met, and how that is known."""
    certificate = plan.optimum.certificate
    if not plan.floors:
        return "none"
    fresh = f"{certificate.replications:,} fresh replications, {100 * certificate.confidence:g} % confidence"
    if certificate.met:
        return f"{'all ' if len(plan.floors) > 1 else ''}{len(plan.floors)} met ({fresh})"
    return f"{len(certificate.open)} of {len(plan.floors)} not shown to be met ({fresh})"
