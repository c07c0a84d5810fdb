"""Joint replenishment: several items that share the fixed cost of an order.

An order costs K, and k_i more for each item i in it. Silver's (1976) heuristic orders at intervals of T
and puts item i into every m_i-th order. Demand is known and constant, without shortages.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor, sqrt

from echelon.baselines.requirements import require_at_least_zero, require_positive
from echelon.envs.errors import MethodError


@dataclass(frozen=True)
class JointReplenishment:
    """How often each item is ordered, and the cost per unit of time."""

    order_quantities: tuple[float, ...]
    """Units per order of each item: T m_i d_i."""
    base_cycle_time: float
    """T, the time from one order to the next."""
    multiples: tuple[int, ...]
    """m_i: item i is in every m_i-th order."""
    cost: float


def joint_replenishment(
    *,
    shared_fixed_cost: float,
    individual_fixed_costs: Sequence[float],
    holding_costs: Sequence[float],
    demand_rates: Sequence[float],
    multiples: Sequence[int] | None = None,
) -> JointReplenishment:
    """Silver's heuristic; `multiples` prices given ones instead, with the best T for them.

    The item with the least ``k_i / (h_i d_i)`` is in every order; call it 1. Then
    ``m_i = sqrt(k_i / (h_i d_i) * h_1 d_1 / (K + k_1))``, rounded, at least 1, and
    ``T = sqrt(2 (K + sum k_i / m_i) / sum h_i d_i m_i)``, where the cost is
    ``(K + sum k_i / m_i) / T + T / 2 sum h_i d_i m_i``. It is usually within a few percent of the best
    cyclic plan, and gives no bound on it.

    E. A. Silver, A simple method of determining order quantities in joint replenishments under
    deterministic demand, Management Science 22(12), 1976.
    """
    require_at_least_zero("shared_fixed_cost", shared_fixed_cost)
    _require_lists(individual_fixed_costs, holding_costs, demand_rates)
    rates = [h * d for h, d in zip(holding_costs, demand_rates, strict=True)]
    ratios = [k / rate for k, rate in zip(individual_fixed_costs, rates, strict=True)]
    first = min(range(len(ratios)), key=ratios.__getitem__)
    require_positive(
        f"shared_fixed_cost + individual_fixed_costs[{first}]", shared_fixed_cost + individual_fixed_costs[first]
    )
    if multiples is None:
        scale = rates[first] / (shared_fixed_cost + individual_fixed_costs[first])
        chosen = tuple(max(1, floor(sqrt(ratio * scale) + 0.5)) if i != first else 1 for i, ratio in enumerate(ratios))
    else:
        chosen = _given(multiples, len(ratios))
    ordering = shared_fixed_cost + sum(k / m for k, m in zip(individual_fixed_costs, chosen, strict=True))
    holding = sum(rate * m for rate, m in zip(rates, chosen, strict=True))
    cycle = sqrt(2 * ordering / holding)
    quantities = tuple(cycle * m * d for m, d in zip(chosen, demand_rates, strict=True))
    return JointReplenishment(quantities, cycle, chosen, ordering / cycle + cycle * holding / 2)


def _require_lists(fixed: Sequence[float], holding: Sequence[float], demand: Sequence[float]) -> None:
    if not len(fixed) == len(holding) == len(demand) > 0:
        raise MethodError(
            "individual_fixed_costs, holding_costs and demand_rates must have one value per item, "
            f"got {len(fixed)}, {len(holding)} and {len(demand)}"
        )
    for cost in fixed:
        require_at_least_zero("individual_fixed_costs", cost)
    for cost in holding:
        require_positive("holding_costs", cost)
    for rate in demand:
        require_positive("demand_rates", rate)


def _given(multiples: Sequence[int], items: int) -> tuple[int, ...]:
    if len(multiples) != items or not all(m >= 1 and m == int(m) for m in multiples):
        raise MethodError(f"multiples must be {items} whole numbers of at least 1, got {list(multiples)}")
    return tuple(int(m) for m in multiples)
