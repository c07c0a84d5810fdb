"""Planning methods against one another: each plans the same tables and runs the same year."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from echelon.baselines.planning import PLANNERS, plan_tables, policy_of
from echelon.baselines.planning_network import problem_of
from echelon.baselines.planning_tables import PlanningTables
from echelon.envs.batched import sum_columns
from echelon.envs.errors import MethodError
from echelon.envs.policy import Policy
from echelon.envs.simulate import Outcome, simulate_stream

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]

MEASURES = ("cost", "fill_rate", "alpha", "on_hand", "holding_cost", "stockout_cost")
"""What is measured of a policy, per period; each has a column `_half_width` beside it."""


def compare_methods(
    tables: PlanningTables,
    *,
    item: str,
    methods: Sequence[str] = tuple(PLANNERS),
    options: Mapping[str, Mapping[str, Any]] | None = None,
    policies: Mapping[str, Policy] | None = None,
    periods: int = 364,
    warm_up: int = 28,
    replications: int = 16,
    seed: int = 0,
    level: float = 0.95,
) -> pd.DataFrame:
    """Cost, service and stock of one item under each method, simulated on common scenarios; a row a method.

    `options` are those of the methods by their names, `policies` are further policies of the item's network
    (`problem_of`), such as learned ones. Every measure comes with the half width of its confidence interval, and
    `cost_difference` is against the first method, replication by replication. `planned_safety_stock` is NaN for
    a policy that is not planned here, `seconds` are those of its planning.
    """
    import pandas as pd

    if replications < 2:
        raise MethodError(f"replications must be at least 2, got {replications}")
    problem = problem_of(tables, item=item, periods=periods, warm_up=warm_up)
    rows: list[dict[str, Any]] = []
    first: Floats | None = None
    for name in [*methods, *(policies or {})]:
        started = time.perf_counter()
        if name in methods:
            targets = plan_tables(tables, name, item=item, **(options or {}).get(name, {}))
            policy: Policy = policy_of(targets, problem.network, item=item, periods=periods)
            planned = float(targets.parameters["safety_stock"].sum())
        else:
            policy, planned = (policies or {})[name], float("nan")
        seconds = time.perf_counter() - started
        outcome = simulate_stream(problem, policy, replications=replications, seed=seed)
        first = outcome.cost if first is None else first
        measured = _measures(outcome) | {"cost_difference": outcome.cost - first}
        row: dict[str, Any] = {"method": name}
        for measure, values in measured.items():
            row[measure], row[f"{measure}_half_width"] = float(values.mean()), _half_width(values, level)
        rows.append({**row, "planned_safety_stock": planned, "seconds": seconds})
    return pd.DataFrame(rows)


def _measures(outcome: Outcome) -> dict[str, Floats]:
    """The measures of each replication [B]."""
    costs = outcome.costs
    on_hand = sum_columns(outcome.per_period["on_hand"])
    parts = (sum_columns(costs["holding"]), sum_columns(costs["stockout"]))
    values = (outcome.cost, outcome.fill_rate, outcome.alpha, on_hand, *parts)
    return dict(zip(MEASURES, values, strict=True))


def _half_width(values: Floats, level: float) -> float:
    """Student's, of the mean of independent replications [B]."""
    count = len(values)
    return float(stdtrit(count - 1, (1 + level) / 2) * values.std(ddof=1) / count**0.5)
