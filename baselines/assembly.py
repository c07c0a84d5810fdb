"""Assembly systems: their reduction to a serial system, and the optimal policy (Rosling 1989).

Every item but the end item has one successor, into which it is assembled; items without predecessors
are bought from a source that never runs out. An order for item i takes its lead time L_i, from the
moment at which its parts are withdrawn from their stocks. M_i is the time that a unit of item i needs
to become part of an end item: L_i plus the M of its successor.

Rosling's theorem: number the items by M_i. It never pays to order more of an item than can meet the
items of longer M_i that are as close to the end, so in the long run the system stays *balanced* and
costs what a serial system does whose stages are the items in that order, with the lead times
M_i - M_{i-1} and the items' own echelon holding costs. Items of equal M_i are one stage. The optimal
policy is the serial system's: each item orders up to its echelon base-stock level, but no further
than the echelon stock of the item before it in the series that has at most M_i to go.

The echelon holding cost of an item is what a unit costs more than the parts in it. All levels and
echelon positions are counted in end items; the sequence of events and the cost are those of `serial`.

Source: K. Rosling, Optimal inventory policies for assembly systems under random demands, Operations
Research 37(4), 1989.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from echelon.baselines.serial import SerialPolicy, clark_scarf
from echelon.baselines.serial_system import Review
from echelon.envs.demand import Law
from echelon.envs.errors import MethodError


@dataclass(frozen=True)
class SerialEquivalent:
    """The serial system that an assembly system in balance is equivalent to, stage 1 first."""

    echelon_holding_cost: tuple[float, ...]
    """Per end item and period."""
    lead_time: tuple[float, ...]
    stage: tuple[int, ...]
    """The stage of each item, counted from 0."""
    total_lead_time: tuple[float, ...]
    """M_i of each item."""
    per_end_item: tuple[float, ...]
    """Units of each item in one end item."""


@dataclass(frozen=True)
class AssemblyPolicy:
    """Echelon base-stock levels, one per item, in end items, and their expected cost per period."""

    echelon_base_stock: tuple[float, ...]
    cost: float
    equivalent: SerialEquivalent


def serial_equivalent(
    *,
    lead_time: Sequence[float],
    successor: Sequence[int | None],
    echelon_holding_cost: Sequence[float],
    quantity: Sequence[float] | None = None,
) -> SerialEquivalent:
    """The serial system of an assembly tree. Lists hold one value per item, in any order.

    `successor[i]` is the index of the item that item i goes into, None for the end item, `quantity[i]`
    how many units of it go into one unit of that (1 if left out), `echelon_holding_cost[i]` money per
    unit of item i and period.

    Rosling's Figure 1, with his numbers 1..7 counted from 0:

    >>> tree = serial_equivalent(lead_time=[1, 1, 3, 2, 4, 1, 2], successor=[None, 0, 0, 2, 1, 3, 3],
    ...                          echelon_holding_cost=[1] * 7)
    >>> tree.total_lead_time
    (1.0, 2.0, 4.0, 6.0, 6.0, 7.0, 8.0)
    >>> tree.lead_time, tree.echelon_holding_cost
    ((1.0, 1.0, 2.0, 2.0, 1.0, 1.0), (1.0, 1.0, 1.0, 2.0, 1.0, 1.0))
    """
    count = len(lead_time)
    needed = [1.0] * count if quantity is None else list(quantity)
    _require_items(lead_time, successor, echelon_holding_cost, needed)
    total, units = [0.0] * count, [1.0] * count
    for item in _downstream_first(successor):
        after = successor[item]
        total[item] = lead_time[item] + (0.0 if after is None else total[after])
        units[item] = 1.0 if after is None else needed[item] * units[after]
    stages, stage = np.unique(total, return_inverse=True)
    holding = np.bincount(stage, weights=np.multiply(echelon_holding_cost, units))
    return SerialEquivalent(
        tuple(holding.tolist()),
        tuple(np.diff(stages, prepend=0.0).tolist()),
        tuple(stage.tolist()),
        tuple(total),
        tuple(units),
    )


def rosling(
    *,
    lead_time: Sequence[float],
    successor: Sequence[int | None],
    echelon_holding_cost: Sequence[float],
    stockout_cost: float,
    demand: Law,
    quantity: Sequence[float] | None = None,
    review: Review = "periodic",
    tolerance: float = 1e-5,
) -> AssemblyPolicy:
    """The optimal policy of an assembly system and its cost: Clark and Scarf's on the equivalent serial system.

    The structure is given as to `serial_equivalent`, the rest as to `clark_scarf`. Items of one stage
    have one level.
    """
    series = serial_equivalent(
        lead_time=lead_time, successor=successor, echelon_holding_cost=echelon_holding_cost, quantity=quantity
    )
    best: SerialPolicy = clark_scarf(
        echelon_holding_cost=series.echelon_holding_cost,
        lead_time=series.lead_time,
        stockout_cost=stockout_cost,
        demand=demand,
        review=review,
        tolerance=tolerance,
    )
    return AssemblyPolicy(tuple(best.echelon_base_stock[s] for s in series.stage), best.cost, series)


def _downstream_first(successor: Sequence[int | None]) -> list[int]:
    """The items, every one after its successor. Raises `MethodError` unless they form a tree."""
    ends = [item for item, after in enumerate(successor) if after is None]
    if len(ends) != 1:
        raise MethodError(f"successor must be None for one item, the end item, got {len(ends)}")
    order = ends
    for item in order:
        order += [before for before, after in enumerate(successor) if after == item]
    if len(order) < len(successor):
        lost = min(set(range(len(successor))) - set(order))
        raise MethodError(f"successor must lead from every item to the end item, got {successor[lost]} at item {lost}")
    return order


def _require_items(
    lead_time: Sequence[float],
    successor: Sequence[int | None],
    holding: Sequence[float],
    quantity: Sequence[float],
) -> None:
    count = len(lead_time)
    for name, values in (("successor", successor), ("echelon_holding_cost", holding), ("quantity", quantity)):
        if len(values) != count:
            raise MethodError(f"{name} must have as many items as lead_time, {count}, got {len(values)}")
    for item in range(count):
        for name, value in (("lead_time", lead_time[item]), ("echelon_holding_cost", holding[item])):
            if not 0 <= value < np.inf:
                raise MethodError(f"{name} must be finite and at least 0, got {value:g} at item {item}")
        if not 0 < quantity[item] < np.inf:
            raise MethodError(f"quantity must be finite and above 0, got {quantity[item]:g} at item {item}")
