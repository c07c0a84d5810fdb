"""Every baseline by its name in configs and on the command line."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from echelon.baselines.base_stock import base_stock, capped_base_stock, echelon_base_stock
from echelon.baselines.optimal import QUICK, THOROUGH, optimal
from echelon.baselines.plan import Plan
from echelon.baselines.reorder import min_max
from echelon.envs.arguments import argument_defects
from echelon.envs.defects import Path, dotted
from echelon.envs.errors import MethodError, nearest
from echelon.envs.problem import Problem

BASELINES: dict[str, Callable[..., Plan]] = {
    "optimal": optimal,
    **QUICK,
    **THOROUGH,
    "base_stock": base_stock,
    "echelon_base_stock": echelon_base_stock,
    "capped_base_stock": capped_base_stock,
    "min_max": min_max,
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
