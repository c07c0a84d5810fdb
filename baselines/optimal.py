"""Which exact method solves a problem, and what a policy's cost is held against."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from echelon.baselines.newsvendor import newsvendor_plan
from echelon.baselines.plan import Plan
from echelon.baselines.serial import clark_scarf_plan
from echelon.envs.codec import Codec
from echelon.envs.errors import MethodError
from echelon.envs.problem import Problem, Reference

Method = Callable[[Problem], Plan]

QUICK: Mapping[str, Method] = {
    "newsvendor": newsvendor_plan,
    "clark_scarf": clark_scarf_plan,
}
"""Exact methods that take a second or less wherever they apply."""

THOROUGH: Mapping[str, Method] = {}
"""Exact methods that may take minutes: dynamic programmes over all states."""

SETTLES = 5
"""Echelon lead times after which the stock at the start no longer matters."""


def optimal(problem: Problem) -> Plan:
    """A policy that is proven optimal, by the first exact method that applies.

    Raises `MethodError` with what each method needs where none applies.
    """
    refusals = []
    for method in (QUICK | THOROUGH).values():
        try:
            plan = method(problem)
        except MethodError as error:
            refusals.append(str(error))
            continue
        if plan.optimal:
            return plan
    raise MethodError("\n".join(["optimal needs a problem that an exact method solves:", *refusals]))


def reference_of(problem: Problem) -> Reference | None:
    """The problem's own reference, or the optimal cost by an exact method that applies to it, or None.

    Exact methods give long-run costs: they are not used for a problem whose warm-up is too short to
    forget its start.
    """
    if problem.reference is not None:
        return problem.reference
    if problem.warm_up < SETTLES * Codec(problem.network).echelon_cover.max():
        return None
    for name, method in QUICK.items():
        try:
            plan = method(problem)
        except MethodError:
            continue
        if plan.model_cost is not None:
            return Reference(plan.model_cost, "optimal", f"{name}: {plan.citation}")
    return None
