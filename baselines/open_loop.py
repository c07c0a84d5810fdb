"""The best schedule of orders where nothing is random: Wagner and Whitin's problem on any network.

When every demand is known there is nothing to react to, and a schedule of orders, fixed in advance, is as good as
any policy. The schedule is the solution of the perfect-information programme (`perfect_information`), with
whole units, lots, smallest orders and fixed costs as integers. Its optimum bounds the cost of any policy
from below, and the engine, which runs the schedule before it is returned, attains it: that proves both.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from echelon.baselines.information_relaxation import is_random
from echelon.baselines.per_period import Schedule
from echelon.baselines.perfect_information import clairvoyant, path_of
from echelon.baselines.plan import Plan
from echelon.baselines.requirements import require
from echelon.envs.arrays import network_arrays
from echelon.envs.errors import MethodError
from echelon.envs.network import Network
from echelon.envs.policy import Policy
from echelon.envs.problem import Problem
from echelon.envs.scenarios import Scenarios, sample
from echelon.envs.simulate import simulate

Floats = NDArray[np.float64]

WAGNER_WHITIN = (
    "H. M. Wagner and T. M. Whitin, Dynamic version of the economic lot size model, Management Science 5(1), 1958"
)
TOLERANCE = 1e-6
"""Relative difference between the programme's optimum and the engine's cost that is rounding."""
ROUNDING = 1e-7
"""Units below which an order is none."""
MOST_CHOICES = 500
"""Orders to place or not up to which a programme is tried: beyond it the search can take hours."""
UNCOUNTED = 1e-4
"""Weight of a period that does not count, relative to one that does, among schedules that are equally good."""


def open_loop_optimum(problem: Problem) -> Plan:
    """The optimal schedule of orders [T, E] of a network in which nothing is random.

    Raises `MethodError` for networks with randomness, yields or lateral links, and where the engine does not
    reproduce the programme's cost: there an optimum would have to hold back stock that a node ships, makes or sells.
    """
    network = problem.network
    arrays = network_arrays(network)
    require(
        "open_loop",
        {
            "a network in which nothing is random: deterministic demand, fixed lead times, no disruptions": is_random(
                network
            )
            and not arrays.yields,
            "links that bring all they ship (yield_rate 1)": arrays.yields,
            "a network without lateral links": arrays.laterals,
        },
    )
    scenarios = sample(network, periods=problem.periods, replications=1, seed=0)
    # Integers matter only for lots, whole units and orders that cost; where neither is there, this is an LP.
    optimum, schedule = _solve(network, scenarios, problem.weights)
    candidates = [schedule]
    if problem.warm_up:
        counted = problem.weights > 0
        candidates.append(_solve(network, scenarios, np.where(counted, 1.0, UNCOUNTED) / counted.sum())[1])
    costs = [_cost(problem, candidate, scenarios) for candidate in candidates]
    best = int(np.argmin(costs))
    if costs[best] > optimum + TOLERANCE * max(1.0, abs(optimum)):
        raise MethodError(
            "open_loop needs a network in which it never pays to hold back what can be made, shipped or sold: "
            f"a planner who may would pay {optimum:.6g}, the schedule costs {costs[best]:.6g}"
        )
    return Plan(
        candidates[best],
        {"orders": candidates[best].orders.tolist()},
        model_cost=costs[best],
        optimal=True,
        citation=WAGNER_WHITIN,
    )


def _solve(network: Network, scenarios: Scenarios, weights: Floats) -> tuple[float, Schedule]:
    """The least cost, and orders that make the engine ship what the programme ships."""
    path = path_of(network, scenarios, 0, 0, len(weights))
    model = clairvoyant(network, path, weights, exact=True)
    count = model.program.choices
    rule = f"at most {MOST_CHOICES} periods of links with fixed costs or smallest orders (got {count})"
    require("open_loop", {rule: count > MOST_CHOICES})
    value, solution = model.program.solve()
    orders = np.zeros((len(weights), len(network.links)))
    for e, (link, shipped, ordered) in enumerate(zip(network.links, model.shipped, model.ordered, strict=True)):
        if ordered is not None:
            orders[:, e] = ordered.at(solution)
        else:
            orders[: len(weights) - link.order_delay, e] = shipped.at(solution)[link.order_delay :]
    orders = np.rint(orders) if network.whole_units else np.where(orders > ROUNDING, orders, 0.0)
    return value, Schedule(orders)


def _cost(problem: Problem, policy: Policy, scenarios: Scenarios) -> float:
    return float(simulate(problem, policy, scenarios).cost[0])
