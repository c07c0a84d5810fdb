"""One location with a regular (slow, cheap) and an expedited (fast, dear) source, whose customers wait.

Of the lead times l_r > l_e only the difference l = l_r - l_e makes the problem hard: nothing that is
ordered now changes what happens before period t + l_e, so each period is charged for the end of period
t + l_e. What decides is the *expedited position* x: net stock plus all that arrives by then. The expedited
order raises it to z, and the period costs

    c_r E[D] + (c_e - c_r)(z - x) + E[h (z - D')+ + b (D' - z)+],

D' the demand of l_e + 1 periods: each unit of demand is bought once, so that only the premium of the
expedited source is at stake. Beside x the state has the l - 1 regular orders that x does not hold yet.
Sources: J. S. Whittemore and S. C. Saunders, *SIAM Journal on Applied Mathematics* 32(2), 1977;
A. Sheopuri, G. Janakiraman and S. Seshadri, *Operations Research* 58(3), 2010.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from echelon.baselines.lattice import convolve
from echelon.baselines.lead_time_demand import whole_demand
from echelon.baselines.requirements import (
    require,
    require_at_least_zero,
    require_average_cost,
    require_classic,
    require_positive,
    require_single_location,
    require_steady_demand,
)
from echelon.baselines.stock_cost import StockCost
from echelon.baselines.total_demand import LatticeTotal
from echelon.envs.demand import Law
from echelon.envs.errors import MethodError
from echelon.envs.problem import Problem
from echelon.envs.state import State

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False, kw_only=True)
class DualSourcing:
    """A location with two sources. Costs are money per unit, and per period for stock and backorders.

    Raises `MethodError` for parameters without a solution, and for an expedited source that is not
    dearer: the regular one would never be used.
    """

    demand: Law
    """In whole units, of the same law in every period, independent, not always 0."""
    regular_lead_time: int
    expedited_lead_time: int = 0
    regular_cost: float
    expedited_cost: float
    holding_cost: float
    stockout_cost: float

    def __post_init__(self) -> None:
        fast, slow = self.expedited_lead_time, self.regular_lead_time
        for key, time in (("expedited_lead_time", fast), ("regular_lead_time", slow)):
            if not (np.isfinite(time) and time == int(time) and time >= 0):
                raise MethodError(f"{key} must be a whole number of at least 0 periods, got {time!r}")
        if slow <= fast:
            raise MethodError(f"regular_lead_time must be above expedited_lead_time = {fast}, got {slow}")
        require_at_least_zero("regular_cost", self.regular_cost)
        require_at_least_zero("expedited_cost", self.expedited_cost)
        if self.premium <= 0:
            raise MethodError(
                f"expedited_cost must be above regular_cost = {self.regular_cost:g}, got {self.expedited_cost:g}: "
                "the regular source would never be used"
            )
        require_positive("holding_cost", self.holding_cost)
        require_positive("stockout_cost", self.stockout_cost)
        if not self.demand.whole:
            raise MethodError(f"demand must be in whole units, got {type(self.demand).__name__} demand")
        if self.mean_demand == 0:
            raise MethodError("demand must be above 0 in some periods, got 0 in all of them")

    @property
    def lead(self) -> int:
        """l: periods by which the expedited source is faster."""
        return self.regular_lead_time - self.expedited_lead_time

    @property
    def premium(self) -> float:
        """What an expedited unit costs more than a regular one."""
        return self.expedited_cost - self.regular_cost

    @property
    def critical_ratio(self) -> float:
        """b / (b + h)"""
        return self.stockout_cost / (self.stockout_cost + self.holding_cost)

    @cached_property
    def pmf(self) -> Floats:
        """[D] the probability of a demand of d units in a period."""
        return whole_demand(self.demand)

    @cached_property
    def mean_demand(self) -> float:
        """E[D]"""
        return float(np.arange(len(self.pmf)) @ self.pmf)

    @cached_property
    def cover(self) -> LatticeTotal:
        """The demand D' that an expedited position must cover: that of l_e + 1 periods."""
        return self.total_demand(self.expedited_lead_time + 1)

    def total_demand(self, periods: int) -> LatticeTotal:
        """The demand of some periods, from 0 units on."""
        total = np.ones(1)
        for _ in range(periods):
            total = convolve(total, self.pmf)
        return LatticeTotal(0.0, 1.0, total)

    def period_cost(self, position: ArrayLike) -> Floats:
        """E[h (z - D')+ + b (D' - z)+] of expedited positions z after ordering, any shape."""
        return StockCost(self.cover, self.holding_cost, self.stockout_cost)(position)


@dataclass(frozen=True)
class Sources:
    """Which link of a problem is which source, with their lead times (periods)."""

    expedited: int
    regular: int
    expedited_lead_time: int
    regular_lead_time: int

    def expedited_position(self, state: State) -> Floats:
        """[B] net stock and all that arrives within the expedited lead time."""
        soon = state.pipeline[:, :, : self.expedited_lead_time].sum(axis=(1, 2))
        return np.asarray(state.inventory_level[:, 0] + soon)

    def pending(self, state: State) -> Floats:
        """[B, l - 1] the regular orders that the expedited position does not hold, the next to enter it first."""
        return np.asarray(state.pipeline[:, self.regular, self.expedited_lead_time : self.regular_lead_time - 1])

    def orders(self, expedited: ArrayLike, regular: ArrayLike) -> Floats:
        """[B, 2] the orders of both sources [B], in the order of the links."""
        columns = (expedited, regular) if self.expedited < self.regular else (regular, expedited)
        return np.stack([np.asarray(column, dtype=np.float64) for column in columns], axis=1)


def dual_sourcing_of(problem: Problem, method: str) -> tuple[DualSourcing, Sources]:
    """The system of a problem and its sources. Raises `MethodError` "METHOD needs RULE" where it is another model.

    Units in transit are charged for the lead time of their source, which is part of its unit cost here.
    """
    node, links, law = problem.network.nodes[0], problem.network.links, problem.network.laws[0]
    require_single_location(problem, method, links=2)
    components = len({link.item for link in links})
    found = f"links: {len(links)}, components: {components}"
    require(method, {f"two sources of one component ({found})": len(links) != 2 or components != 1})
    require_average_cost(problem, method)
    require(
        method,
        {
            "backorders at every outlet": node.stockout_rule != "backorder",
            "no fixed cost per order": any(link.fixed_cost for link in links),
            "demand in whole units": not problem.network.whole_units,
        },
    )
    require_classic(problem, method, allowed=("component",))
    require_steady_demand(problem, method)
    times = [int(link.mean_lead_time) for link in links]
    costs = [link.unit_cost + link.transit_holding_cost * time for link, time in zip(links, times, strict=True)]
    fast, slow = (0, 1) if times[0] < times[1] else (1, 0)
    require(
        method,
        {
            f"sources with different lead times (got {times[0]} and {times[1]})": times[0] == times[1],
            f"a fast source that is dearer than the slow one (got {costs[fast]:g} and {costs[slow]:g} per unit)": (
                costs[fast] <= costs[slow]
            ),
        },
    )
    system = DualSourcing(
        demand=law,
        regular_lead_time=times[slow],
        expedited_lead_time=times[fast],
        regular_cost=costs[slow],
        expedited_cost=costs[fast],
        holding_cost=node.holding_cost,
        stockout_cost=node.stockout_cost,
    )
    return system, Sources(fast, slow, times[fast], times[slow])
