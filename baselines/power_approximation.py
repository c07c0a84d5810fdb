"""The power approximation: an (s, S) policy from the mean and the variance of demand alone.

Ehrhardt fitted powers of the parameters to 288 optimal policies, and Ehrhardt and Mosier corrected the
fit for low variance: R. Ehrhardt, "The power approximation for computing (s, S) inventory policies",
Management Science 25(8), 1979; R. Ehrhardt and C. Mosier, "A revision of the power approximation for
computing (s, S) policies", Management Science 30(5), 1984.
"""

from __future__ import annotations

from dataclasses import dataclass

from scipy.special import ndtri

from echelon.baselines.flow_cost import flow_cost
from echelon.baselines.min_max_exact import min_max_cost
from echelon.baselines.plan import Plan
from echelon.baselines.reorder_model import arguments_of, require_stockout_cost
from echelon.baselines.requirements import (
    require,
    require_at_least_zero,
    require_average_backorder_cost,
    require_positive,
    require_single_location,
    require_steady_demand,
)
from echelon.envs.policy import order_up_to
from echelon.envs.problem import Problem

SMALL_LOT = 1.5
"""Lots of at most so many mean demands of a period are small: the policy is then near a base-stock policy."""


@dataclass(frozen=True)
class MinMaxLevels:
    """Levels of an (s, S) policy, units."""

    reorder: float
    up_to: float


def power_approximation(
    *,
    mean: float,
    sd: float,
    holding_cost: float,
    stockout_cost: float,
    fixed_cost: float,
    lead_time: float = 0,
    base_stock_cap: bool = False,
) -> MinMaxLevels:
    """Levels s and S, not rounded, for demand with this mean and standard deviation per period.

    With ``mu_L = (L + 1) mu`` and ``sd_L = sd sqrt(L + 1)``, h the holding, b the stockout and K the fixed cost,

        Q = 1.30 mu^0.494 (K / h)^0.506 (1 + sd_L^2 / mu^2)^0.116,   z = sqrt(Q h / (sd_L b)),
        s = 0.973 mu_L + sd_L (0.183 / z + 1.063 - 2.192 z),         S = s + Q.

    `base_stock_cap` adds the rule for small lots, Q <= 1.5 mu: neither s nor S is above the base-stock
    level ``mu_L + sd_L v`` with Phi(v) = b / (b + h). Without it `fixed_cost` must be above 0; with it a
    fixed cost of 0 gives that level. With `sd` 0 the terms that it multiplies vanish.
    """
    require_positive("mean", mean)
    require_at_least_zero("sd", sd)
    require_positive("holding_cost", holding_cost)
    require_positive("stockout_cost", stockout_cost)
    require_at_least_zero("lead_time", lead_time)
    (require_at_least_zero if base_stock_cap else require_positive)("fixed_cost", fixed_cost)
    mean_cover, sd_cover = mean * (lead_time + 1), sd * (lead_time + 1) ** 0.5
    level = mean_cover + sd_cover * float(ndtri(stockout_cost / (stockout_cost + holding_cost)))
    if fixed_cost == 0:
        return MinMaxLevels(level, level)
    lot = 1.30 * mean**0.494 * (fixed_cost / holding_cost) ** 0.506 * (1 + (sd_cover / mean) ** 2) ** 0.116
    z_by_root_sd = (lot * holding_cost / stockout_cost) ** 0.5
    reorder = 0.973 * mean_cover + 1.063 * sd_cover
    reorder += 0.183 * sd_cover**1.5 / z_by_root_sd - 2.192 * sd_cover**0.5 * z_by_root_sd
    if base_stock_cap and lot <= SMALL_LOT * mean:
        return MinMaxLevels(min(reorder, level), min(reorder + lot, level))
    return MinMaxLevels(reorder, reorder + lot)


def power_approximation_plan(problem: Problem) -> Plan:
    """The power approximation with the rule for small lots, rounded where demand is in whole units.

    The model cost is the exact cost of the policy; there is none where demand has parts of units. Raises
    `MethodError` where the model does not hold, with the rule that is broken.
    """
    method = "power_approximation"
    require_single_location(problem, method)
    require_average_backorder_cost(problem, method, fixed_cost=True)
    require_stockout_cost(problem, method)
    require_steady_demand(problem, method)
    node, link, law = problem.network.nodes[0], problem.network.links[0], problem.network.laws[0]
    require(
        method,
        {
            "demand greater than 0": law.mean_demand == 0,
            "a holding cost greater than 0": node.holding_cost == 0,
        },
    )
    levels = power_approximation(
        mean=law.mean_demand,
        sd=law.sd_demand,
        holding_cost=node.holding_cost,
        stockout_cost=node.stockout_cost,
        fixed_cost=link.fixed_cost,
        lead_time=link.mean_lead_time,
        base_stock_cap=True,
    )
    reorder, up_to = levels.reorder, levels.up_to
    cost = None
    if law.whole:
        reorder, up_to = round(reorder), round(up_to)
        cost = min_max_cost(reorder, up_to, **arguments_of(problem)) + flow_cost(problem.network)
    return Plan(
        order_up_to(problem.network, [up_to], reorder=[reorder]),
        {"reorder": [reorder], "up_to": [up_to]},
        model_cost=cost,
        citation="R. Ehrhardt and C. Mosier, A revision of the power approximation for computing (s, S) policies, "
        "Management Science 30(5), 1984",
    )
