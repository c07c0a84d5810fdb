"""What the cost of a policy is held against: the optimum where it can be had, else a proven bound."""

from __future__ import annotations

from collections.abc import Iterator

from echelon.baselines.bounds import lower_bound
from echelon.baselines.optimal import EXACT_BY_TABLE, EXACT_FINITE, EXACT_LONG_RUN, is_long_run
from echelon.baselines.plan import Plan
from echelon.envs.errors import MethodError
from echelon.envs.problem import Problem, Reference

SMALL_TABLE = 4 * 2**20
"""Bytes of a dynamic programme that is solved without being asked for: about a second."""


def reference_of(problem: Problem) -> Reference | None:
    """The problem's own reference, else the optimum by an exact method that takes a second or two, else a bound.

    Exact methods for the long run are not used for a problem whose warm-up is too short to forget its
    start, or whose counted periods are few (`is_long_run`). A bound is the proven end of `lower_bound`; None
    where no relaxation holds, or none says more than that costs are not negative.
    """
    if problem.reference is not None:
        return problem.reference
    for name, plan in _optima(problem):
        if plan.optimal and plan.model_cost is not None:
            return Reference(plan.model_cost, "optimal", f"{name}: {plan.citation}")
    try:
        bound = lower_bound(problem)
    except MethodError:
        return None
    if bound.proven <= 0:
        return None
    kind = f"{bound.kind}, lower end of a 95 % interval" if bound.half_width else bound.kind
    return Reference(bound.proven, "lower_bound", f"{kind}: {bound.citation}")


def _optima(problem: Problem) -> Iterator[tuple[str, Plan]]:
    """The plans of the exact methods that apply."""
    for name, method in ({**EXACT_FINITE, **EXACT_LONG_RUN} if is_long_run(problem) else EXACT_FINITE).items():
        try:
            yield name, method(problem)
        except MethodError:
            continue
    for name, method in EXACT_BY_TABLE.items() if is_long_run(problem) else ():
        try:
            yield name, method(problem, memory_limit=SMALL_TABLE)
        except MethodError:
            continue
