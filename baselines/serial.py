"""Serial systems: the exactly optimal echelon base-stock policy (Clark and Scarf 1960).

A serial system is a chain of stages. Stage 1 serves the customer, stage j + 1 supplies stage j, and
the last stage buys from a source that never runs out. Lists run from stage 1 upwards. The *echelon*
of stage j is all stock at stages 1..j and on the way between them, less the backorders of stage 1;
its holding cost h_j is what a unit costs more at stage j than at stage j + 1. An echelon base-stock
policy orders at each stage up to a level of the echelon's stock plus what is on order there.

Symbols are those of Snyder & Shen, *Fundamentals of Supply Chain Theory* (2nd ed., 2019), section
6.2: h_j, lead times L_j, stockout cost p at stage 1, levels S_j. The cost is

    sum_j h_j E[IN_j] + (p + sum_j h_j) E[IN_1^-],

with IN_j the net stock of echelon j. It counts the units on their way between stages, at the rate of
the stage that shipped them, which is the same for all policies (`in_transit_cost`).

Review is `"continuous"` (real lead times, demand is a rate) or `"periodic"` in the framework's order
of events, where stage 1 must cover the demand of L_1 + 1 periods and every other stage that of L_j:
the continuous formulas with one period more at stage 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal, get_args

import numpy as np

from echelon.baselines.lead_time_demand import lead_time_demand
from echelon.baselines.plan import Plan
from echelon.baselines.requirements import require_choice
from echelon.baselines.serial_network import SerialNetwork, serial_network
from echelon.baselines.serial_recursion import optimum, priced
from echelon.baselines.serial_system import Review as Review
from echelon.baselines.serial_system import (
    covered_periods,
    level_bounds,
    require_holding,
    require_levels,
    serial_system,
    without_free_stages,
)
from echelon.envs.demand import Law
from echelon.envs.policy import order_up_to
from echelon.envs.problem import Problem

Rounding = Literal["down", "up"]

CLARK_SCARF = (
    "A. J. Clark and H. Scarf, Optimal policies for a multi-echelon inventory problem, Management Science 6(4), 1960"
)
SHANG_SONG = (
    "K. H. Shang and J.-S. Song, Newsvendor bounds and heuristic for optimal policies in serial supply chains, "
    "Management Science 49(5), 2003"
)


@dataclass(frozen=True)
class SerialPolicy:
    """Echelon base-stock levels (units, stage 1 first) and their expected cost per period."""

    echelon_base_stock: tuple[float, ...]
    cost: float

    @property
    def local_base_stock(self) -> tuple[float, ...]:
        """The same policy stage by stage, see `local_base_stock`."""
        return local_base_stock(self.echelon_base_stock)


def clark_scarf(
    *,
    echelon_holding_cost: Sequence[float],
    lead_time: Sequence[float],
    stockout_cost: float,
    demand: Law,
    review: Review = "periodic",
    tolerance: float = 1e-5,
) -> SerialPolicy:
    """The optimal policy of a serial system and its cost, in the convention of this module.

    Chen and Zheng's (1994) form of the recursion, upwards from ``C_0(x) = (p + sum h) x^-``:
    ``C_j(y) = E[h_j (y - D_j) + C_{j-1}(min(S_{j-1}, y - D_j))]`` with ``S_j`` the minimiser of
    ``C_j`` and ``D_j`` the demand over the stage's lead time; the cost is ``C_N(S_N)``.

    Demand in whole units is solved exactly and gives whole levels. For other demand each ``D_j`` is
    put on a grid by hat functions, that is, every demand is shared between the two grid points beside
    it so that its mean is kept; the grid is halved until the cost moves by less than `tolerance`, a
    share of the cost. A stage with an echelon holding cost of 0 holds nothing back: its level is that
    of the stage above.

    >>> from echelon.envs.demand import Poisson
    >>> best = clark_scarf(echelon_holding_cost=[0.25] * 4, lead_time=[0.25] * 4, stockout_cost=9,
    ...                    demand=Poisson(mean=16), review="continuous")
    >>> best.echelon_base_stock, round(best.cost, 3)
    ((8.0, 13.0, 18.0, 22.0), 12.688)
    """
    system = serial_system(echelon_holding_cost, lead_time, stockout_cost, demand, review)
    return SerialPolicy(*optimum(system, tolerance))


def clark_scarf_plan(problem: Problem) -> Plan:
    """The optimal policy of a serial network with backorders, as echelon base-stock levels [E].

    Raises `MethodError` where the theory does not hold.
    """
    chain = serial_network(problem, "clark_scarf")
    best = clark_scarf(**chain.arguments)
    return _plan(chain, best, optimal=True, citation=CLARK_SCARF)


def shang_song_plan(problem: Problem, *, rounding: Rounding | None = None) -> Plan:
    """The heuristic levels of `shang_song` for a serial network with backorders, and their exact cost.

    Raises `MethodError` where the theory does not hold.
    """
    chain = serial_network(problem, "shang_song")
    found = shang_song(**chain.arguments, rounding=rounding)
    return _plan(chain, found, optimal=False, citation=SHANG_SONG)


def _plan(chain: SerialNetwork, found: SerialPolicy, *, optimal: bool, citation: str) -> Plan:
    levels = chain.by_link(found.echelon_base_stock)
    return Plan(
        order_up_to(chain.network, levels, position="echelon"),
        {"levels": levels, "position": "echelon"},
        model_cost=found.cost + chain.flow_cost,
        optimal=optimal,
        citation=citation,
    )


def serial_cost(
    levels: Sequence[float],
    *,
    echelon_holding_cost: Sequence[float],
    lead_time: Sequence[float],
    stockout_cost: float,
    demand: Law,
    review: Review = "periodic",
    tolerance: float = 1e-5,
) -> float:
    """Expected cost per period of any echelon base-stock levels, stage 1 first.

    Follows the shortfall ``V_j``, how far the echelon of stage j is below its level because the stage
    above ran out: ``V_N = 0`` and ``V_j = (V_{j+1} + D_{j+1} - (S_{j+1} - S_j))+``. That is not the
    recursion of `clark_scarf` read backwards, so each checks the other. Demand in whole units needs
    levels in whole units.
    """
    system = serial_system(echelon_holding_cost, lead_time, stockout_cost, demand, review)
    given = tuple(float(level) for level in levels)
    require_levels(given, system)
    return priced(given, system, tolerance)[1]


def shang_song(
    *,
    echelon_holding_cost: Sequence[float],
    lead_time: Sequence[float],
    stockout_cost: float,
    demand: Law,
    review: Review = "periodic",
    rounding: Rounding | None = None,
    tolerance: float = 1e-5,
) -> SerialPolicy:
    """Shang and Song's (2003) heuristic levels: the average of two newsvendor levels, and their cost.

    With ``D`` the demand over the lead times of stages 1..j, ``S_j`` lies between the quantiles of
    ``D`` at ``(p + sum_{i>j} h_i) / (p + sum h)`` and ``(p + sum_{i>j} h_i) / (p + sum_{i>=j} h_i)``
    for any demand law. For demand in whole units an average that ends in one half is rounded
    `"down"` or `"up"` at every stage; left open, down for a critical ratio ``p / (p + sum h)`` of at
    most 0.9 and up beyond it, which gives the levels of rows 1, 9, 17 and 25 of the paper's Table 1.
    """
    if rounding is not None:
        require_choice("rounding", rounding, get_args(Rounding))
    system = serial_system(echelon_holding_cost, lead_time, stockout_cost, demand, review)
    low, high = level_bounds(system)
    levels = without_free_stages([(a + b) / 2 for a, b in zip(low, high, strict=True)])
    if system.whole:
        up = rounding == "up" if rounding else system.stockout / system.penalty > 0.9 + 1e-9
        levels = tuple(float(np.ceil(level) if up else np.floor(level)) for level in levels)
    return SerialPolicy(*priced(levels, system, tolerance))


def local_base_stock(echelon_levels: Sequence[float]) -> tuple[float, ...]:
    """Local levels under which each stage, seeing only its own stock and orders, acts the same.

    A stage cannot use more than the stages above it allow, so with ``S'_j = min_{i>=j} S_i`` the
    local level is ``S'_j - S'_{j-1}``, and ``S'_1`` at stage 1.
    """
    usable = list(accumulate(reversed(echelon_levels), min))[::-1]
    return tuple(float(upper - lower) for upper, lower in zip(usable, [0.0, *usable[:-1]], strict=True))


def in_transit_cost(
    *,
    echelon_holding_cost: Sequence[float],
    lead_time: Sequence[float],
    demand: Law,
    review: Review = "periodic",
) -> float:
    """The part of the cost that is holding on units between stages; no policy changes it.

    By Little's law ``mean * sum_{j>1} h'_j L_{j-1}`` with ``h'_j`` the cost of a unit that stage j
    shipped. Under periodic review the convention charges a unit to stage 2 for one period more than
    it is on the way to stage 1, and that is included: subtract this figure to compare with a
    simulation that charges only stock at the stages and backorders at the end of each period.
    """
    require_holding(echelon_holding_cost)
    covered = covered_periods(lead_time, review, len(echelon_holding_cost))
    local = list(accumulate(reversed(echelon_holding_cost)))[::-1]
    return sum(h * lead_time_demand(demand, time).mean for h, time in zip(local[1:], covered[:-1], strict=True))
