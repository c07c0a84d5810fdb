"""The rules among which a policy is selected: their parameters, where they apply, and where their search begins.

Every rule is four levels of an `OrderUpTo` (s, S, cap, lot), so that a network in which each item has its own
rule still runs one parametric policy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from echelon.baselines.lead_time_demand import lead_time_demand
from echelon.baselines.lost_sales_levels import OUT_OF_REACH
from echelon.baselines.policy_selection_items import DemandClass, Item
from echelon.baselines.power_approximation import power_approximation
from echelon.envs.demand import Poisson

Parameters = tuple[float, ...]
Levels = tuple[float, float, float, float]
"""Reorder level, order-up-to level, largest order, lot size (0 for any): units."""
LEVELS = ("reorder", "up_to", "cap", "lot")
Found = Mapping[str, Parameters]
"""The parameters of the rules that have been tuned before."""

LEAST_COST = 1e-3
"""Money per unit: a cost of 0 counts as this where a formula divides by it."""


@dataclass(frozen=True)
class Rule:
    """A family of policies with a few parameters."""

    name: str
    shown: tuple[str, ...]
    """Those of `LEVELS` that define a policy of the family."""
    levels: Callable[[Parameters], Levels]
    """Of the parameters that are searched."""
    starts: Callable[[Item, Found], list[Parameters]]
    """Where the search begins: at the cheapest of these."""
    steps: Callable[[Item], Parameters]
    """Its first steps; without any, the parameters stay at the start."""
    lowest: Callable[[Item], Parameters]
    applies: Callable[[Item], bool]


def base_level(item: Item) -> float:
    """The base-stock level by the normal approximation of the demand that it covers."""
    lost_periods = item.cover if item.loses else 1.0  # a unit lost is paid for once, not in every period of a wait
    short, held = item.shortage_cost, max(item.holding_cost, LEAST_COST) * lost_periods
    ratio = min(max(short / (short + held), 0.01), 0.999)
    return max(item.lead_time_mean + float(ndtri(ratio)) * item.lead_time_sd, 0.0)


def one_for_one_level(item: Item) -> float:
    """The best level of the (S - 1, S) model with Poisson demand of the item's mean (Feeney and Sherbrooke 1966).

    With a = mean * cover, what is on order is Poisson(a) where customers wait, so that S is the smallest level
    with P(on order <= S) >= b / (b + h). Where sales are lost it is that law cut off at S, a share
    ``B(S) = a B(S - 1) / (S + a B(S - 1))`` of demand is lost (Erlang), and ``h (S - a (1 - B)) + p mean B`` is
    convex in S.
    """
    load, held, short = item.lead_time_mean, max(item.holding_cost, LEAST_COST), item.shortage_cost
    if load == 0 or short == 0:
        return 0.0
    if not item.loses:
        return lead_time_demand(Poisson(mean=item.mean), item.cover).quantile(short / (short + held))
    level, lost, cost = 0, 1.0, short * item.mean
    while True:
        rarer = load * lost / (level + 1 + load * lost)
        dearer = held * (level + 1 - load * (1 - rarer)) + short * item.mean * rarer
        if dearer >= cost:
            return float(level)
        level, lost, cost = level + 1, rarer, dearer


def economic_lot(item: Item) -> float:
    """sqrt(2 K D / h) (Harris 1913), and at least a period's demand."""
    return float(max((2 * item.fixed_cost * item.mean / max(item.holding_cost, LEAST_COST)) ** 0.5, item.mean))


def step(item: Item) -> float:
    """Half a standard deviation of the demand that a level covers, at least a fourth of a period's demand."""
    least = 1.0 if item.whole else 1e-3
    return max(item.lead_time_sd / 2, item.mean / 4, least)


def _level(item: Item, found: Found) -> float:
    """The best base-stock level that is known."""
    return found["base_stock"][0] if "base_stock" in found else base_level(item)


def _capped_starts(item: Item, found: Found) -> list[Parameters]:
    level = _level(item, found)
    tight, loose = 1.2 * item.mean, item.mean + 2 * item.sd
    return [(level, loose), (level + item.lead_time_sd / 2, tight)]


def _min_max_starts(item: Item, found: Found) -> list[Parameters]:
    """The power approximation, and the base-stock level less half a period's demand with an economic lot."""
    starts: list[Parameters] = [(_level(item, found) - item.mean / 2, economic_lot(item)), (_level(item, found), 0.0)]
    if item.mean > 0 and item.shortage_cost > 0:
        powers = power_approximation(
            mean=item.mean,
            sd=item.sd,
            holding_cost=max(item.holding_cost, LEAST_COST),
            stockout_cost=item.shortage_cost / (item.cover if item.loses else 1.0),
            fixed_cost=item.fixed_cost,
            lead_time=item.cover - 1,
            base_stock_cap=True,
        )
        starts.append((powers.reorder, powers.up_to - powers.reorder))
    return starts


def _lot_starts(item: Item, found: Found) -> list[Parameters]:
    """Those of (s, S), and its best levels with the mean size of its orders as the lot."""
    starts: list[Parameters] = [(r, max(q, item.mean)) for r, q in _min_max_starts(item, found)]
    if "min_max" in found:
        reorder, gap = found["min_max"]
        starts += [(reorder, gap + item.mean / 2), (reorder, max(gap, item.mean))]
    return starts


def _lowest_reorder(item: Item) -> float:
    """Waiting until customers wait can pay; where none waits it cannot."""
    return 0.0 if item.loses else -np.ceil(2 * economic_lot(item))


def _always(_: Item) -> bool:
    return True


RULES: tuple[Rule, ...] = (
    Rule(
        "one_for_one",
        ("up_to",),
        levels=lambda x: (x[0], x[0], np.inf, 0.0),
        starts=lambda item, _: [(one_for_one_level(item),)],
        steps=lambda _: (),
        lowest=lambda _: (0.0,),
        applies=_always,
    ),
    Rule(
        "base_stock",
        ("up_to",),
        levels=lambda x: (x[0], x[0], np.inf, 0.0),
        starts=lambda item, _: [(base_level(item),), (one_for_one_level(item),)],
        steps=lambda item: (step(item),),
        lowest=lambda _: (0.0,),
        applies=_always,
    ),
    Rule(
        "constant_order",
        ("cap",),
        levels=lambda x: (OUT_OF_REACH, OUT_OF_REACH, x[0], 0.0),
        starts=lambda item, _: [(0.9 * item.mean,)],
        steps=lambda item: (item.mean / 8,),
        lowest=lambda _: (0.0,),
        applies=lambda item: item.loses,
    ),
    Rule(
        "capped_base_stock",
        ("up_to", "cap"),
        levels=lambda x: (x[0], x[0], x[1], 0.0),
        starts=_capped_starts,
        steps=lambda item: (step(item), max(item.mean / 4, item.sd / 4)),
        lowest=lambda _: (0.0, 0.0),
        applies=lambda item: item.loses,
    ),
    Rule(
        "min_max",
        ("reorder", "up_to"),
        levels=lambda x: (x[0], x[0] + x[1], np.inf, 0.0),
        starts=_min_max_starts,
        steps=lambda item: (step(item), max(economic_lot(item) / 4, item.mean / 4)),
        lowest=lambda item: (_lowest_reorder(item), 0.0),
        applies=lambda item: item.batched,
    ),
    Rule(
        "reorder_lots",
        ("reorder", "lot"),
        levels=lambda x: (x[0], x[0], np.inf, x[1]),
        starts=_lot_starts,
        steps=lambda item: (step(item), max(economic_lot(item) / 4, item.mean / 4)),
        lowest=lambda item: (_lowest_reorder(item), 1.0 if item.whole else max(item.mean, 1e-3) / 16),
        applies=lambda item: item.batched,
    ),
)
"""In the order in which they are tuned, and in which the first of two equals is preferred: the simplest first."""

RULE_NAMES = tuple(rule.name for rule in RULES)


def levels_of(rule: str, parameters: Parameters) -> Levels:
    """The levels of a rule by its name."""
    return RULES[RULE_NAMES.index(rule)].levels(parameters)


OFFERED: dict[DemandClass, tuple[str, ...]] = {
    "smooth": ("base_stock", "constant_order", "capped_base_stock", "min_max", "reorder_lots"),
    "erratic": ("base_stock", "constant_order", "capped_base_stock", "min_max", "reorder_lots"),
    "intermittent": ("one_for_one", "base_stock", "capped_base_stock", "min_max", "reorder_lots"),
    "lumpy": ("one_for_one", "base_stock", "capped_base_stock", "min_max", "reorder_lots"),
    "no demand": ("base_stock",),
}
"""The rules that the items of a class are offered, where they apply.

A constant order suits demand that comes nearly every period: between rare demands it piles up stock. Replenishing
one for one is for items that sell now and then. The other rules can be best in any class: with lost sales and a
long lead time even the orders for slow movers are better capped.
"""
