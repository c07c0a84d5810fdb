"""Every baseline by its name in configs and on the command line."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from echelon.baselines.base_stock import base_stock, capped_base_stock, echelon_base_stock
from echelon.baselines.depot_without_stock import eppen_schrage_plan, federgruen_zipkin_plan
from echelon.baselines.dual_sourcing_policies import (
    capped_dual_index,
    dual_index,
    single_index,
    tailored_base_surge,
)
from echelon.baselines.eoq import eoq_plan
from echelon.baselines.erp_policies import ddmrp_plan, drp_plan, dynamic_stock_plan
from echelon.baselines.guaranteed_service_plan import guaranteed_service_plan
from echelon.baselines.lost_sales_levels import constant_order, lost_sales_base_stock, lost_sales_capped_base_stock
from echelon.baselines.lost_sales_policies import myopic_lost_sales, projected_inventory_level, vector_base_stock
from echelon.baselines.min_max_service import service_min_max
from echelon.baselines.myopic import myopic_base_stock_plan
from echelon.baselines.one_for_one_plans import metric_plan, one_for_one_plan, two_moment_plan
from echelon.baselines.optimal import EXACT_BY_TABLE, EXACT_FINITE, EXACT_LONG_RUN, optimal
from echelon.baselines.perishable_policies import bsp_low_ew, ewa, perishable_base_stock
from echelon.baselines.plan import Plan
from echelon.baselines.policy_selection import policy_selection_plan
from echelon.baselines.power_approximation import power_approximation_plan
from echelon.baselines.reorder import min_max
from echelon.baselines.reorder_lots_exact import optimal_reorder_lots_plan
from echelon.baselines.safety_stock_plan import assp_plan
from echelon.baselines.serial import shang_song_plan
from echelon.baselines.simulation_optimization import simulation_optimization_plan
from echelon.baselines.stochastic_service_plan import multistage_plan
from echelon.envs.arguments import argument_defects
from echelon.envs.defects import Path, dotted
from echelon.envs.errors import MethodError, nearest
from echelon.envs.problem import Problem

TUNED: Mapping[str, Callable[..., Plan]] = {
    "base_stock": base_stock,
    "echelon_base_stock": echelon_base_stock,
    "capped_base_stock": capped_base_stock,
    "min_max": min_max,
    "simulation_optimization": simulation_optimization_plan,
    "assp": assp_plan,
    "dynamic_stock": dynamic_stock_plan,
    "drp": drp_plan,
    "ddmrp": ddmrp_plan,
}
"""Rules for any network, tuned by simulation."""

HEURISTICS: Mapping[str, Callable[..., Plan]] = {
    "eoq": eoq_plan,
    "myopic_base_stock": myopic_base_stock_plan,
    "power_approximation": power_approximation_plan,
    "optimal_reorder_lots": optimal_reorder_lots_plan,
    "service_min_max": service_min_max,
    "lost_sales_base_stock": lost_sales_base_stock,
    "lost_sales_capped_base_stock": lost_sales_capped_base_stock,
    "constant_order": constant_order,
    "myopic_lost_sales": myopic_lost_sales,
    "vector_base_stock": vector_base_stock,
    "projected_inventory_level": projected_inventory_level,
    "single_index": single_index,
    "dual_index": dual_index,
    "capped_dual_index": capped_dual_index,
    "tailored_base_surge": tailored_base_surge,
    "perishable_base_stock": perishable_base_stock,
    "ewa": ewa,
    "bsp_low_ew": bsp_low_ew,
    "shang_song": shang_song_plan,
    "one_for_one": one_for_one_plan,
    "metric": metric_plan,
    "two_moment": two_moment_plan,
    "eppen_schrage": eppen_schrage_plan,
    "federgruen_zipkin": federgruen_zipkin_plan,
    "guaranteed_service": guaranteed_service_plan,
    "multistage": multistage_plan,
    "policy_selection": policy_selection_plan,
}
"""Rules for one kind of problem, with parameters by formula or exact evaluation."""

BASELINES: dict[str, Callable[..., Plan]] = {
    **TUNED,
    "optimal": optimal,
    **EXACT_FINITE,
    **EXACT_LONG_RUN,
    **EXACT_BY_TABLE,
    **HEURISTICS,
}
"""The function of each baseline: a problem and options in, a `Plan` out."""

NOT_OPTIONS = frozenset({"problem", "scenarios", "seed"})
"""Parameters of baselines that a config does not set: they come from the experiment."""


def make_plan(name: str, problem: Problem, **options: Any) -> Plan:
    """The plan of a baseline. Raises `MethodError` for an unknown name or option, or where it does not apply."""
    if name not in BASELINES:
        raise MethodError(f"unknown baseline {name!r}{nearest(name, BASELINES)}")
    defects = option_defects(name, {key: value for key, value in options.items() if key not in NOT_OPTIONS})
    absent = options.keys() & NOT_OPTIONS - set(inspect.signature(BASELINES[name]).parameters)
    defects += [((key,), "is not an option of this baseline") for key in sorted(absent)]
    if defects:
        raise MethodError("\n".join(f"{name}: {dotted(path)}: {must}" for path, must in defects))
    return BASELINES[name](problem, **options)


def option_defects(name: str, options: Mapping[str, Any]) -> list[tuple[Path, str]]:
    """What is wrong with the options of a baseline: each defect's path and what must hold."""
    return argument_defects(BASELINES[name], options, omitted=NOT_OPTIONS)
