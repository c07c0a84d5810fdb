"""ASSP as a policy: every location plans its safety stock on its own, all with one service level.

That is the sequential practice of companies, which multi-echelon methods are compared with: nobody asks what a
supplier's stock is worth to its receivers. `safety_stock` has the formulas, `docs/theory/safety_stock.md` the theory.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import ndtr

from echelon.baselines.class_tuning import UNCOMPILED_REPLICATIONS
from echelon.baselines.option_types import Share, Whole
from echelon.baselines.plan import Plan
from echelon.baselines.planning_view import PlanningView
from echelon.baselines.requirements import require_choice
from echelon.baselines.requirements_forecast import cover_periods, planned_lead_times, source_limit
from echelon.baselines.safety_stock import assp
from echelon.baselines.search import tuning_scenarios
from echelon.envs.arrays import network_arrays
from echelon.envs.codec import Codec
from echelon.envs.errors import MethodError
from echelon.envs.network import Network
from echelon.envs.policy import OrderUpTo, Policy
from echelon.envs.problem import Problem
from echelon.envs.scenarios import Scenarios
from echelon.envs.simulate import simulate_cost
from echelon.envs.supply import LeadTime

Floats = NDArray[np.float64]
Cycle = Literal["AT", "BT"]
TEMPELMEIER = "H. Tempelmeier, Inventory Management in Supply Networks, 3rd ed., 2011"
GREATEST_SAFETY_FACTOR = 5.0
SAFETY_FACTORS = 11
"""Safety factors that are tried before the search closes in on the best of them."""


def assp_plan(
    problem: Problem,
    *,
    method: Cycle = "BT",
    service_level: Share | None = None,
    review_period: Whole = 1,
    coverage_periods: Whole = 2,
    period_length: Whole = 7,
    scenarios: Scenarios | None = None,
    seed: int = 0,
) -> Plan:
    """Order up to ``D (L + R) + SS``, units of the component, with SS by `method` of `assp` at every link's target.

    Customers' demand is exploded upstream as if suppliers always delivered: D is the forecast, and its standard
    deviation is in proportion to it, with the coefficient of variation of the independent demands behind the link. L
    is the planned lead time in whole periods with order delay and processing time, R the review period. Receivers have
    ordered before their supplier does, so that a target without customers covers their next ``ceil(L / R)`` reviews
    instead. Where an order has a fixed cost, an economic lot is added to the level and ordered from below the level.

    Demand that changes: the level has the forecast of its own periods, and SS that of `coverage_periods` calendar
    periods of `period_length` periods each, the current one included, so that it is planned anew every
    `period_length` periods. Every location has the same `service_level` (the cycle service alpha for AT, the fill
    rate beta for BT); left out, it is the one that costs least on the `scenarios`. No safety stock is negative.
    """
    require_choice("method", method, get_args(Cycle))
    counts = {"review_period": review_period, "coverage_periods": coverage_periods, "period_length": period_length}
    for key, value in counts.items():
        if value < 1:
            raise MethodError(f"{key} must be at least 1, got {value}")
    network = problem.network
    view = PlanningView.of(problem, review_period, beyond=coverage_periods * period_length)
    daily = view.average_daily_requirement(coverage_periods, period_length)
    lasting = cover_periods(network, planned_lead_times(network), review_period=review_period)
    spread = daily * _variation(network)

    def stock(level: float) -> Floats:
        found = assp(
            method,
            demand_mean=daily,
            demand_sd=spread,
            lead_time=np.maximum(lasting - review_period, 0),
            lead_time_sd=lead_time_deviations(network),
            review_period=review_period,
            service_level=level,
        )
        return np.where(lasting > 0, found, 0.0)

    def build(level: float) -> Policy:
        target = view.cover + stock(level)
        return view.policy(below=target, up_to=target + view.lot_days * daily)

    if service_level is None:
        service_level = _tuned(problem, build, scenarios, seed)
    policy = build(service_level)
    parameters = {"service_level": service_level, "safety_stock": stock(service_level).mean(axis=0).tolist()}
    if isinstance(policy, OrderUpTo):
        parameters |= {"reorder": policy.reorder.tolist(), "up_to": policy.up_to.tolist()}
    return Plan(policy, parameters, citation=TEMPELMEIER)


def lead_time_deviations(network: Network) -> Floats:
    """[E] standard deviation of the lead time: the largest of the pool where its first source is limited."""
    arrays = network_arrays(network)
    times = [link.lead_time for link in network.links]
    found = np.array([time.variance**0.5 if isinstance(time, LeadTime) else 0.0 for time in times])
    for e in np.flatnonzero(arrays.is_first):
        members = arrays.pool_links[e][arrays.pool_links[e] < len(times)]
        if source_limit(network.links[e]) < inf:
            found[members] = found[members].max()
    return found


def _variation(network: Network) -> Floats:
    """[E] coefficient of variation of what is asked for in a period, of independent customers."""
    codec = Codec(network)
    return np.divide(codec.sd, codec.need, out=np.zeros_like(codec.sd), where=codec.need > 0)


def _tuned(problem: Problem, build: Callable[[float], Policy], scenarios: Scenarios | None, seed: int) -> float:
    """The service level of least simulated cost, by its normal quantile: on a grid, and then around the best of it."""
    common = scenarios or tuning_scenarios(problem, seed=seed)
    if scenarios is None and not isinstance(build(0.5), OrderUpTo):
        common = common[:UNCOMPILED_REPLICATIONS]

    def cost(factor: float) -> float:
        return float(simulate_cost(problem, build(float(ndtr(factor))), common).mean())

    grid, step = np.linspace(0.0, GREATEST_SAFETY_FACTOR, SAFETY_FACTORS, retstep=True)
    costs = [cost(factor) for factor in grid]
    best, least = float(grid[int(np.argmin(costs))]), min(costs)
    near = minimize_scalar(
        cost, bounds=(best - float(step), best + float(step)), method="bounded", options={"xatol": 0.02}
    )
    return float(ndtr(near.x if near.fun < least else best))
