"""Serial systems whose last stage pays a fixed cost per order: (s, S) there, base stock below (Clark and Scarf 1960).

Only orders at the outside source cost a fixed amount. The stages below then behave as in a system
without it, and the last stage faces the cost C_N(y) that `clark_scarf` would minimise as a function of
its echelon inventory position y. The best (s, S) policy on that position is optimal over all policies
(Clark and Scarf 1960; for the average cost Chen and Zheng 1994).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from echelon.baselines.lead_time_demand import whole_demand
from echelon.baselines.plan import Plan
from echelon.baselines.renewal_reward import best_min_max
from echelon.baselines.requirements import require
from echelon.baselines.serial_network import serial_network
from echelon.baselines.serial_recursion import cost_to_go
from echelon.baselines.serial_system import serial_system, without_free_stages
from echelon.envs.demand import Law
from echelon.envs.errors import MethodError
from echelon.envs.network import OUTSIDE
from echelon.envs.policy import order_up_to
from echelon.envs.problem import Problem


@dataclass(frozen=True)
class SerialMinMax:
    """Echelon levels (units, stage 1 first) and the expected cost per period, fixed cost included.

    Every stage orders up to its level; the last one only when its echelon position is at or below `reorder`.
    """

    echelon_up_to: tuple[float, ...]
    reorder: float
    cost: float


def serial_min_max(
    *,
    echelon_holding_cost: Sequence[float],
    lead_time: Sequence[float],
    stockout_cost: float,
    demand: Law,
    fixed_cost: float,
) -> SerialMinMax:
    """The optimal policy under periodic review, exactly, for demand in whole units.

    The cost is that of `serial`'s convention, plus `fixed_cost` for every period in which the last
    stage orders. Without a fixed cost the policy is that of `clark_scarf`.

    >>> from echelon.envs.demand import Poisson
    >>> best = serial_min_max(echelon_holding_cost=[1, 1], lead_time=[1, 2], stockout_cost=20,
    ...                       demand=Poisson(mean=5), fixed_cost=50)
    >>> best.reorder, best.echelon_up_to, round(best.cost, 4)
    (20.0, (16.0, 43.0), 42.8599)
    """
    if not demand.whole:
        raise MethodError(f"demand must come in whole units, got {type(demand).__name__} demand")
    system = serial_system(echelon_holding_cost, lead_time, stockout_cost, demand, "periodic")
    if system.echelons[-1].mean == 0:
        raise MethodError("demand must be above 0 at times, got a mean of 0")
    per_period = cost_to_go(system)
    start = round(system.echelons[-1].mean)
    best = best_min_max(per_period, whole_demand(demand), fixed_cost=fixed_cost, start=start, method="serial_min_max")
    levels = without_free_stages([*per_period.levels_below, float(best.up_to)])
    return SerialMinMax(levels, float(best.reorder), best.cost)


def serial_min_max_plan(problem: Problem) -> Plan:
    """The optimal policy of a serial network with a fixed cost on the link from outside: echelon levels [E].

    Raises `MethodError` where the theory does not hold.
    """
    method = "serial_min_max"
    chain = serial_network(problem, method, fixed_cost=True)
    network = problem.network
    require(
        method,
        {
            "a fixed cost on no link but that from outside": any(
                link.fixed_cost for link in network.links if link.source != OUTSIDE
            ),
            "demand in whole units": not network.laws[0].whole,
            "demand that is not always 0": network.laws[0].mean_demand == 0,
        },
    )
    fixed_cost = chain.links[-1].fixed_cost
    best = serial_min_max(**chain.arguments, fixed_cost=fixed_cost)
    up_to = chain.by_link(best.echelon_up_to)
    reorder = chain.by_link([*best.echelon_up_to[:-1], best.reorder])
    return Plan(
        order_up_to(network, up_to, reorder=reorder, position="echelon"),
        {"reorder": reorder, "up_to": up_to, "position": "echelon"},
        model_cost=best.cost + chain.flow_cost,
        optimal=True,
        citation=(
            "A. J. Clark and H. Scarf, Optimal policies for a multi-echelon inventory problem, "
            "Management Science 6(4), 1960; F. Chen and Y.-S. Zheng, Lower bounds for multi-echelon stochastic "
            "inventory systems, Management Science 40(11), 1994"
        ),
    )
