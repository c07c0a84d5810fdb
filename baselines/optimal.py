"""Which exact method solves a problem."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from echelon.baselines.assembly_plan import rosling_plan
from echelon.baselines.dual_sourcing import dual_sourcing_optimal
from echelon.baselines.finite_horizon import finite_horizon_plan
from echelon.baselines.lost_sales import lost_sales_optimal
from echelon.baselines.min_max_exact import optimal_min_max_plan
from echelon.baselines.newsvendor import newsvendor_plan
from echelon.baselines.open_loop import open_loop_optimum
from echelon.baselines.option_types import Positive
from echelon.baselines.perishable import perishable_optimal
from echelon.baselines.plan import Plan
from echelon.baselines.serial import clark_scarf_plan
from echelon.baselines.serial_min_max import serial_min_max_plan
from echelon.baselines.wagner_whitin import wagner_whitin_plan
from echelon.envs.codec import Codec
from echelon.envs.errors import MethodError
from echelon.envs.problem import Problem

Method = Callable[..., Plan]

EXACT_FINITE: Mapping[str, Method] = {
    "wagner_whitin": wagner_whitin_plan,
    "finite_horizon": finite_horizon_plan,
    "open_loop": open_loop_optimum,
}
"""Exact methods for the problem as it is: from its initial stock, over its periods."""

EXACT_LONG_RUN: Mapping[str, Method] = {
    "newsvendor": newsvendor_plan,
    "clark_scarf": clark_scarf_plan,
    "optimal_min_max": optimal_min_max_plan,
    "serial_min_max": serial_min_max_plan,
    "rosling": rosling_plan,
}
"""Exact methods for the long-run average cost that take a second or less wherever they apply."""

EXACT_BY_TABLE: Mapping[str, Method] = {
    "lost_sales_optimal": lost_sales_optimal,
    "dual_sourcing_optimal": dual_sourcing_optimal,
    "perishable_optimal": perishable_optimal,
}
"""Exact methods for the long-run average cost that may take minutes and gigabytes: all states in a table."""

SETTLES = 5
"""Echelon lead times after which the stock at the start no longer matters."""
LASTS = 20
"""Echelon lead times of counted periods beside which what a policy saves at the end of the horizon is small."""


def is_long_run(problem: Problem) -> bool:
    """Whether warm-up and counted periods are long enough for long-run costs to be those of the problem."""
    cover = Codec(problem.network).echelon_cover.max()
    return bool(problem.warm_up >= SETTLES * cover and problem.periods - problem.warm_up >= LASTS * cover)


def optimal(problem: Problem, *, memory_limit: Positive | None = None) -> Plan:
    """A policy that is proven optimal, by the first exact method that applies.

    `memory_limit` is for dynamic programmes, in bytes. Raises `MethodError` with what each method needs where
    none applies; one that only lacks memory is named first.
    """
    programmes = EXACT_BY_TABLE
    if memory_limit is not None:
        programmes = {name: partial(method, memory_limit=memory_limit) for name, method in programmes.items()}
    refusals = []
    for method in (*EXACT_FINITE.values(), *EXACT_LONG_RUN.values(), *programmes.values()):
        try:
            plan = method(problem)
        except MethodError as error:
            refusals.append(str(error))
            continue
        if plan.optimal:
            return plan
    refusals.sort(key=lambda refusal: "memory_limit" not in refusal)
    raise MethodError("\n".join(["optimal needs a problem that an exact method solves:", *refusals]))
