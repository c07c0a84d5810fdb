"""What the methods with reorder points share: a single location with backorders that pays a fixed cost per order."""

from __future__ import annotations

from typing import TypedDict

from echelon.baselines.lead_time_demand import whole_demand
from echelon.baselines.requirements import (
    require,
    require_at_least_zero,
    require_average_backorder_cost,
    require_positive,
    require_single_location,
    require_steady_demand,
)
from echelon.baselines.total_demand import Floats
from echelon.envs.demand import Law
from echelon.envs.errors import MethodError
from echelon.envs.problem import Problem


class SingleLocation(TypedDict):
    """What all functions on such a location take. The lead time is in periods."""

    demand: Law
    holding_cost: float
    stockout_cost: float
    fixed_cost: float
    lead_time: float


def arguments_of(problem: Problem) -> SingleLocation:
    """The arguments of a problem with one node and one link."""
    node, link, law = problem.network.nodes[0], problem.network.links[0], problem.network.laws[0]
    return SingleLocation(
        demand=law,
        holding_cost=node.holding_cost,
        stockout_cost=node.stockout_cost,
        fixed_cost=link.fixed_cost,
        lead_time=link.mean_lead_time,
    )


def require_whole_backorder_theory(problem: Problem, method: str) -> None:
    """Raise `MethodError` unless the problem is one location with backorders and independent whole demand."""
    require_single_location(problem, method)
    require_average_backorder_cost(problem, method, fixed_cost=True)
    require_steady_demand(problem, method)
    require(
        method,
        {
            "demand in whole units": not problem.network.laws[0].whole,
            "a holding cost greater than 0": problem.network.nodes[0].holding_cost == 0,
        },
    )


def require_stockout_cost(problem: Problem, method: str) -> None:
    """Raise `MethodError` if backorders are free: then it is cheapest never to order."""
    require(method, {"a stockout cost greater than 0": problem.network.nodes[0].stockout_cost == 0})


def some_whole_demand(demand: Law) -> Floats:
    """Probabilities of the demands 0, 1, 2, ... of a period. Raises `MethodError` if not whole, or always 0."""
    if not demand.whole:
        raise MethodError(
            f"demand must be in whole units, got {type(demand).__name__} demand with parts of units: "
            "round it, or use power_approximation"
        )
    sizes = whole_demand(demand)
    if not sizes[1:].any():
        raise MethodError("demand must be greater than 0 on average, got 0")
    return sizes


def whole_number(key: str, value: float) -> int:
    """The value as an integer. Raises `MethodError`."""
    if not float(value).is_integer():
        raise MethodError(f"{key} must be a whole number, got {value:g}")
    return int(value)


def whole_levels(reorder: float, up_to: float) -> tuple[int, int]:
    """s < S as integers; as no order follows at S itself, s = S is the same as s = S - 1. Raises `MethodError`."""
    s, top = whole_number("reorder", reorder), whole_number("up_to", up_to)
    if s > top:
        raise MethodError(f"reorder must be at most up_to = {top}, got {s}")
    return min(s, top - 1), top


def require_costs(holding_cost: float, stockout_cost: float, fixed_cost: float, lead_time: float) -> None:
    """Raise `MethodError` unless stock and shortage cost something and nothing is negative."""
    require_positive("holding_cost", holding_cost)
    require_positive("stockout_cost", stockout_cost)
    require_at_least_zero("fixed_cost", fixed_cost)
    require_at_least_zero("lead_time", lead_time)
