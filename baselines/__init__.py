"""Baselines: what the field and industry plan with, one method a file."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from echelon.baselines.base_stock import base_stock as base_stock
from echelon.baselines.base_stock import capped_base_stock as capped_base_stock
from echelon.baselines.base_stock import echelon_base_stock as echelon_base_stock
from echelon.baselines.newsvendor import newsvendor_plan as newsvendor_plan
from echelon.baselines.plan import Plan as Plan
from echelon.baselines.reorder import min_max as min_max
from echelon.baselines.serial import clark_scarf as clark_scarf
from echelon.baselines.serial import clark_scarf_plan as clark_scarf_plan
from echelon.baselines.serial import serial_cost as serial_cost
from echelon.baselines.serial import shang_song as shang_song
from echelon.envs.arguments import argument_defects
from echelon.envs.codec import Codec
from echelon.envs.defects import Path, dotted
from echelon.envs.errors import MethodError, nearest
from echelon.envs.problem import Problem, Reference

BASELINES: dict[str, Callable[..., Plan]] = {
    "newsvendor": newsvendor_plan,
    "base_stock": base_stock,
    "echelon_base_stock": echelon_base_stock,
    "capped_base_stock": capped_base_stock,
    "min_max": min_max,
    "clark_scarf": clark_scarf_plan,
}
"""Every baseline by its name in configs and on the command line."""

NOT_OPTIONS = frozenset({"problem", "scenarios", "seed"})
"""Parameters of baselines that a config does not set: they come from the experiment."""

SETTLES = 5
"""Echelon lead times after which the stock at the start no longer matters."""

EXACT = ("newsvendor", "clark_scarf")
"""Baselines that are optimal wherever they apply."""


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


def reference_of(problem: Problem) -> Reference | None:
    """The problem's own reference, or the optimal cost by an exact method that applies to it, or None.

    Exact methods give long-run costs: they are not used for a problem whose warm-up is too short to
    forget its start.
    """
    if problem.reference is not None:
        return problem.reference
    if problem.warm_up < SETTLES * Codec(problem.network).echelon_cover.max():
        return None
    for name in EXACT:
        try:
            plan = BASELINES[name](problem)
        except MethodError:
            continue
        if plan.model_cost is not None:
            return Reference(plan.model_cost, "optimal", f"{name}: {plan.citation}")
    return None
