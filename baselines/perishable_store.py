"""One store of perishable stock with lost sales: its data, its costs in a period, and the problems that are one.

A unit can be sold in ``m = shelf_life`` periods, the one of its arrival included, and is scrapped at the end of
the last; demand that is not met at once is lost. The state at review is what is in the store and under way,
``x_1, ..., x_d`` with ``d = m + L - 1``: ``x_i`` units can be used in i periods from now, and those with
``i > m`` are still under way.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

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
from echelon.envs.demand import Law
from echelon.envs.errors import MethodError
from echelon.envs.problem import Problem
from echelon.envs.state import State

Floats = NDArray[np.float64]
Units = NDArray[np.int64]
Issuing = Literal["fifo", "lifo"]


@dataclass(frozen=True, eq=False, kw_only=True)
class PerishableStore:
    """The store. Costs are money per unit, times are periods; demand is in whole units."""

    demand: Law
    shelf_life: int
    """m, from the arrival of a unit."""
    lead_time: int
    """L"""
    issuing: Issuing
    holding_cost: float
    """h, on what is left at the end of a period, what then expires included."""
    stockout_cost: float
    """p, of lost sales."""
    scrap_cost: float
    """w, of what expires."""
    unit_cost: float = 0.0
    """c, of what is ordered."""
    max_order: int | None = None

    def __post_init__(self) -> None:
        for key in ("holding_cost", "scrap_cost", "unit_cost"):
            require_at_least_zero(key, getattr(self, key))
        require_positive("stockout_cost", self.stockout_cost)
        for key, least in (("shelf_life", 1), ("lead_time", 0), ("max_order", 0)):
            number = getattr(self, key)
            if not (number is None and key == "max_order") and (not isinstance(number, int) or number < least):
                raise MethodError(f"{key} must be a whole number of at least {least}, got {number!r}")
        if self.issuing not in ("fifo", "lifo"):
            raise MethodError(f"issuing must be 'fifo' or 'lifo', got {self.issuing!r}")
        if not self.demand.whole:
            raise MethodError(f"demand must be in whole units, got {type(self.demand).__name__} demand")

    @property
    def digits(self) -> int:
        """d, the numbers that describe a state."""
        return self.shelf_life + self.lead_time - 1

    @cached_property
    def pmf(self) -> Floats:
        """[K] the probability of a demand of 0, 1, ... units in a period."""
        return whole_demand(self.demand)

    @cached_property
    def mean_demand(self) -> float:
        return float(np.arange(len(self.pmf)) @ self.pmf)

    def total_demand(self, periods: int) -> Floats:
        """The probabilities of the total demand of some periods."""
        total = np.ones(1)
        for _ in range(periods):
            total = np.convolve(total, self.pmf)
        return total

    def left_over(self, units: Units) -> Floats:
        """E[(units - D)+]: what a period's demand leaves of some units, on average."""
        largest = len(self.pmf)
        table = np.append(0.0, np.cumsum(np.cumsum(self.pmf)))
        return np.asarray(table[np.minimum(units, largest)] + np.maximum(units - largest, 0))

    def stock_cost(self, in_stock: Units) -> Floats:
        """h E[(I - D)+] + p E[(D - I)+] for so many units I in stock, all ages together."""
        left = self.left_over(in_stock)
        lost = np.maximum(left + self.mean_demand - in_stock, 0.0)
        return self.holding_cost * left + self.stockout_cost * lost


def store_of(problem: Problem, method: str) -> PerishableStore:
    """The store of a problem. Raises `MethodError` "METHOD needs RULE" where the model does not hold."""
    node, link, law = problem.network.nodes[0], problem.network.links[0], problem.network.laws[0]
    require_single_location(problem, method)
    require_average_cost(problem, method)
    require(
        method,
        {
            "a shelf life": node.shelf_life is None,
            "lost sales": node.stockout_rule != "lost_sales",
            "no fixed cost per order": link.fixed_cost > 0,
            "demand in whole units": not law.whole,
        },
    )
    require_steady_demand(problem, method)
    require_classic(problem, method, allowed=("shelf_life", "max_order"))
    assert node.shelf_life is not None
    assert isinstance(link.lead_time, int)
    return PerishableStore(
        demand=law,
        shelf_life=node.shelf_life,
        lead_time=link.lead_time,
        issuing=node.issuing,
        holding_cost=node.holding_cost,
        stockout_cost=node.stockout_cost,
        scrap_cost=node.scrap_cost,
        unit_cost=link.unit_cost + link.transit_holding_cost * link.lead_time,
        max_order=None if link.max_order is None else int(link.max_order),
    )


def units_by_life(state: State, shelf_life: int, digits: int) -> Units:
    """[B, digits] what is in the store and under way by the periods in which it can be used, from this review on."""
    lives = np.concatenate([state.ages[:, 0, :shelf_life], state.pipeline[:, 0, :]], axis=1)
    return np.asarray(lives[:, :digits], dtype=np.int64)
