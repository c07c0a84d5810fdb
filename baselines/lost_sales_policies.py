"""Heuristics for one location with lost sales, each with its exact cost where the lead time is short.

Notation is that of `lost_sales_system`; ``v_k`` are the units that arrive in k periods or later. Every
rule works for any lead time. Its cost is exact, by the chain of the states that it reaches, where the
problem is small (`LONGEST_EXACT`, `MOST_STATES`); beyond that the plan has no model cost.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np

from echelon.baselines.lost_sales import CITATION, table_size
from echelon.baselines.lost_sales_levels import least_whole
from echelon.baselines.lost_sales_policy_cost import LostSalesPolicyCost, rule_cost
from echelon.baselines.lost_sales_system import (
    Floats,
    Ints,
    LostSalesPolicy,
    LostSalesSystem,
    Remembered,
    Rule,
    distinct,
    shifted,
    system_of,
)
from echelon.baselines.plan import Plan
from echelon.baselines.requirements import require_at_least_zero
from echelon.baselines.search import tune
from echelon.envs.errors import MethodError
from echelon.envs.problem import Problem
from echelon.envs.scenarios import Scenarios, sample

MORTON = (
    "T. E. Morton, The near-myopic nature of the lagged-proportional-cost inventory problem with lost sales, "
    "Operations Research 19(7), 1971"
)
PROJECTED = (
    "W. van Jaarsveld and J. Arts, Projected inventory-level policies for lost sales inventory systems: "
    "asymptotic optimality in two regimes, Operations Research 72(5), 2024"
)
LONGEST_EXACT = 4
"""Longest lead time at which the chain of a rule is solved for the model cost of its plan."""
MOST_STATES = 300_000
"""States within the limits of the optimal policy up to which it is."""
PARTS = 4
"""Projected inventory levels are tuned in steps of a unit over this."""
TUNING_REPLICATIONS = 16


@dataclass(frozen=True)
class VectorBaseStock:
    """Morton's standard vector base-stock rule: ``z = min_k (s_k - v_k)+`` with the limits s_k of the optimum."""

    system: LostSalesSystem

    def __call__(self, on_hand: Ints, pipeline: Ints) -> Ints:
        """Orders [B]."""
        units = np.column_stack([on_hand, pipeline, np.zeros_like(on_hand)])[:, : self.system.lead_time + 1]
        later = np.cumsum(units[:, ::-1], axis=1)[:, ::-1]
        return np.asarray(np.maximum((self.system.limits - later).min(1), 0))


@dataclass(frozen=True)
class ProjectedLevel:
    """Order up to an expected inventory level U at the arrival of the order: ``z = floor(U - E[left])+``."""

    system: LostSalesSystem
    level: float

    def __call__(self, on_hand: Ints, pipeline: Ints) -> Ints:
        """Orders [B]."""
        enough = ceil(self.level + self.system.lead_time * self.system.mean)  # then nothing is ordered
        law = self.system.left_before_arrival(np.minimum(on_hand, enough), np.minimum(pipeline, enough))
        room = self.level - law @ np.arange(law.shape[1])
        return np.floor(np.maximum(room, 0.0) + 1e-9).astype(np.int64)


@dataclass(frozen=True)
class Myopic:
    """The least expected cost of the period in which the order arrives, or of that and the next one.

    With a `horizon` of 2 the order of the next review is the one that a horizon of 1 will choose then.
    """

    system: LostSalesSystem
    horizon: int

    def __call__(self, on_hand: Ints, pipeline: Ints) -> Ints:
        """Orders [B]."""
        horizon = self.horizon if self.system.lead_time else 1  # without a lead time the next order mends all
        enough = self.system.limits[0] + 1  # then nothing is ordered
        costs = self._costs(np.minimum(on_hand, enough), np.minimum(pipeline, enough), horizon)
        return np.asarray(np.argmin(costs, axis=1))

    def _costs(self, on_hand: Ints, pipeline: Ints, horizon: int) -> Floats:
        """[B, Z] the expected cost of each order 0, 1, ..., s_L."""
        law = self.system.left_before_arrival(on_hand, pipeline)
        orders = np.arange(self.system.limits[-1] + 1)
        costs = law @ self.system.period_cost(np.arange(law.shape[1])[:, None] + orders)
        for order in orders if horizon > 1 else ():
            costs[:, order] += self._next(on_hand, np.column_stack([pipeline, np.full(len(on_hand), order)]), horizon)
        return np.asarray(costs)

    def _next(self, on_hand: Ints, coming: Ints, horizon: int) -> Floats:
        """[B] the expected least cost of the next review, at which the first column of `coming` has arrived."""
        width = int((on_hand + coming[:, 0]).max()) + 1
        law = shifted(self.system.after_demand(width)[on_hand], coming[:, 0])
        pipelines, which = distinct(coming[:, 1:])
        stocks = np.tile(np.arange(width), len(pipelines))
        least = self._costs(stocks, np.repeat(pipelines, width, axis=0), horizon - 1).min(1)
        return np.asarray((law * least.reshape(-1, width)[which]).sum(1))


def vector_base_stock(problem: Problem) -> Plan:
    """Morton's (1971) standard vector base-stock policy: the upper bounds of the optimal order as a rule."""
    system = system_of(problem, "vector_base_stock")
    return _plan(system, VectorBaseStock(system), {"vector": system.limits.tolist()}, MORTON)


def myopic_lost_sales(problem: Problem, *, horizon: int = 2) -> Plan:
    """Least cost over a `horizon` of 1 or 2 periods from the arrival of the order on (Morton 1971, Zipkin 2008)."""
    if horizon not in (1, 2):
        raise MethodError(f"horizon must be 1 or 2, got {horizon!r}")
    system = system_of(problem, "myopic_lost_sales")
    return _plan(system, Myopic(system, horizon), {"horizon": horizon}, f"{MORTON}; {CITATION}")


def projected_inventory_level(
    problem: Problem, *, level: float | None = None, scenarios: Scenarios | None = None, seed: int = 0
) -> Plan:
    """Raise the expected inventory level at the arrival of the order to `level` (van Jaarsveld and Arts 2024).

    Orders are rounded down. The level is tuned in quarters of a unit unless it is given: on the exact
    costs for short lead times, else on `scenarios`.
    """
    system = system_of(problem, "projected_inventory_level")
    if level is not None:
        require_at_least_zero("level", level)
    elif _is_small(system):
        exact = least_whole(lambda parts: _projected(system, parts).cost, _first_parts(system), reach=PARTS)
        level = exact / PARTS
    else:
        level = _tuned_level(problem, system, scenarios, seed)
    return _plan(system, ProjectedLevel(system, level), {"level": level}, PROJECTED)


def _projected(system: LostSalesSystem, parts: int) -> LostSalesPolicyCost:
    return rule_cost(system, ProjectedLevel(system, parts / PARTS))


def _first_parts(system: LostSalesSystem) -> int:
    """Where the search for the level begins: the newsvendor level of one period."""
    return PARTS * int(system.limits[-1])


def _tuned_level(problem: Problem, system: LostSalesSystem, scenarios: Scenarios | None, seed: int) -> float:
    common = scenarios or sample(
        problem.network, periods=problem.periods, replications=TUNING_REPLICATIONS, seed=seed, stream="tuning"
    )

    def build(parts: tuple[float, ...]) -> LostSalesPolicy:
        return LostSalesPolicy(Remembered(ProjectedLevel(system, parts[0] / PARTS)), system.lead_time)

    (best,) = tune(problem, build, starts=[[_first_parts(system)]], step=[PARTS], lowest=[0], scenarios=common)
    return best / PARTS


def _is_small(system: LostSalesSystem) -> bool:
    return system.lead_time <= LONGEST_EXACT and table_size(system.limits)[0] <= MOST_STATES


def _plan(system: LostSalesSystem, rule: Rule, parameters: dict[str, Any], citation: str) -> Plan:
    """The plan of a rule, with its exact cost on a small problem."""
    rule = Remembered(rule)
    cost = rule_cost(system, rule).cost if _is_small(system) else None
    return Plan(LostSalesPolicy(rule, system.lead_time), parameters, model_cost=cost, citation=citation)
