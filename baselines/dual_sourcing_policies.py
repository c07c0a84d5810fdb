"""Dual sourcing by index policies: single index, dual index, capped dual index, tailored base-surge.

All of them expedite up to a level S_e. The regular order of the dual index raises the position of all orders
to S_r; the capped dual index does so by a cap at most; tailored base-surge orders a constant. The single
index measures both levels by the position of all orders, so that its regular order is the last demand, or
S_r - S_e if that is less. `dual_sourcing_overshoot` tells what they cost.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from itertools import product

import numpy as np
from numpy.typing import NDArray

from echelon.baselines.dual_sourcing_overshoot import (
    Overshoot,
    capped_overshoot,
    overshoot_states,
    priced,
    sampled_overshoot,
    single_overshoot,
    surge_overshoot,
)
from echelon.baselines.dual_sourcing_system import DualSourcing, Sources, dual_sourcing_of
from echelon.baselines.plan import Plan
from echelon.baselines.search import tuning_scenarios
from echelon.envs.errors import MethodError
from echelon.envs.policy import order_up_to as ordering_up_to
from echelon.envs.problem import Problem
from echelon.envs.state import State

Floats = NDArray[np.float64]
Law = Callable[[int, int], Overshoot]

MOST_STATES = 200_000
"""States of a chain up to which its stationary law is computed; a larger one is followed on sampled demand."""
WORTH_A_STEP = 1e-12
"""Share of the cost that a step of the search must save."""

SCHELLER_WOLF = (
    "A. Scheller-Wolf, S. Veeraraghavan and G.-J. van Houtum, Effective dual sourcing with a single index policy, "
    "working paper, Carnegie Mellon University, 2007"
)
VEERARAGHAVAN = (
    "S. Veeraraghavan and A. Scheller-Wolf, Now or later: a simple policy for effective dual sourcing in capacitated "
    "systems, Operations Research 56(4), 2008"
)
SUN = (
    "J. Sun and J. A. Van Mieghem, Robust dual sourcing inventory management: optimality of capped dual index policies "
    "and smoothing, Manufacturing & Service Operations Management 21(4), 2019"
)
ALLON = (
    "G. Allon and J. A. Van Mieghem, Global dual sourcing: tailored base-surge allocation to near- and offshore "
    "production, Management Science 56(1), 2010"
)


@dataclass(frozen=True)
class IndexPolicy:
    """Expedite up to a level of the expedited position, then order up to one of the whole position, at most `cap`."""

    sources: Sources
    expedite_up_to: float
    order_up_to: float = np.inf
    cap: float = np.inf

    def __call__(self, state: State) -> Floats:
        """Orders [B, 2]."""
        position = self.sources.expedited_position(state)
        expedited = np.maximum(self.expedite_up_to - position, 0.0)
        whole = position + expedited + self.sources.pending(state).sum(axis=1)
        return self.sources.orders(expedited, np.clip(self.order_up_to - whole, 0.0, self.cap))


def single_index(problem: Problem, *, expedite_up_to: int | None = None, order_up_to: int | None = None) -> Plan:
    """Both sources order up to their levels of the whole inventory position, the expedited one first.

    The best of all levels, unless both are given.
    """
    system, sources = dual_sourcing_of(problem, "single_index")
    levels = _given({"expedite_up_to": expedite_up_to, "order_up_to": order_up_to})
    gaps = [_gap(*levels)] if levels else range(len(system.pmf))
    laws = {gap: single_overshoot(system, gap) for gap in gaps}
    gap = min(laws, key=lambda gap: priced(system, laws[gap]).cost)
    best = priced(system, laws[gap], levels[0] if levels else None)
    low, high = best.expedite_up_to, best.expedite_up_to + gap
    if sources.expedited < sources.regular:
        policy = ordering_up_to(problem.network, [low, high])
    else:  # the regular link decides first, and is to leave the other one what exceeds the gap
        policy = ordering_up_to(problem.network, [high, high], cap=[gap, np.inf])
    return Plan(policy, {"expedite_up_to": low, "order_up_to": high}, model_cost=best.cost, citation=SCHELLER_WOLF)


def dual_index(
    problem: Problem, *, expedite_up_to: int | None = None, order_up_to: int | None = None, seed: int = 0
) -> Plan:
    """Expedite up to a level of the expedited position, order up to another one of the whole position.

    The gap between the levels is searched for, unless both are given. The cost is exact, that of the
    stationary chain; for chains of more than `MOST_STATES` states the levels are the best ones on a sample
    of demand, and the plan has no model cost.
    """
    given = _given({"expedite_up_to": expedite_up_to, "order_up_to": order_up_to})
    return _planned(problem, "dual_index", given, capped=False, seed=seed, citation=VEERARAGHAVAN)


def capped_dual_index(
    problem: Problem,
    *,
    expedite_up_to: int | None = None,
    order_up_to: int | None = None,
    cap: int | None = None,
    seed: int = 0,
) -> Plan:
    """The dual index with a largest regular order, which smooths what the slow source must deliver.

    Tuned and priced as `dual_index`, unless all three parameters are given.
    """
    given = _given({"expedite_up_to": expedite_up_to, "order_up_to": order_up_to, "cap": cap})
    return _planned(problem, "capped_dual_index", given, capped=True, seed=seed, citation=SUN)


def tailored_base_surge(
    problem: Problem, *, expedite_up_to: int | None = None, constant_order: int | None = None
) -> Plan:
    """A constant regular order, and expedited orders up to a level of the expedited position.

    The best of all parameters, unless both are given: for each constant order the least cost over S_e is
    that over all ways to expedite, a convex programme in the order as well, so that the search stops at
    the first order that costs more than the one before. The cost does not depend on the regular lead time.
    """
    system, sources = dual_sourcing_of(problem, "tailored_base_surge")
    given = _given({"expedite_up_to": expedite_up_to, "constant_order": constant_order})
    if given:
        order = _at_least_zero("constant_order", given[1])
        best = priced(system, surge_overshoot(system, order), given[0])
    else:
        order, best = 0, priced(system, surge_overshoot(system, 0))
        while order + 1 < system.mean_demand:
            larger = priced(system, surge_overshoot(system, order + 1))
            if larger.cost >= best.cost:
                break
            order, best = order + 1, larger
    return Plan(
        IndexPolicy(sources, best.expedite_up_to, cap=order),
        {"expedite_up_to": best.expedite_up_to, "constant_order": order},
        model_cost=best.cost,
        citation=ALLON,
    )


def _planned(problem: Problem, method: str, given: list[int], *, capped: bool, seed: int, citation: str) -> Plan:
    """The (capped) dual index of given parameters, or of the best ones."""
    system, sources = dual_sourcing_of(problem, method)
    never = len(system.pmf) - 1  # a cap that does not bind: without one the regular order is part of the last demand
    if given:
        level, gap, cap = given[0], _gap(*given[:2]), _at_least_zero("cap", given[2]) if capped else never
        law, exact = _law(problem, system, gap, cap, seed)
    else:
        level, start = None, (max(1, round(system.lead * system.mean_demand)), max(1, round(system.mean_demand)))
        law, exact = _law(problem, system, 2 * start[0], 2 * start[1] if capped else never, seed)
        best_at = _cheapest(lambda gap, cap=never: priced(system, law(gap, cap)).cost, start[: 1 + capped])
        gap, cap = (*best_at, never)[:2]
    best = priced(system, law(gap, cap), level)
    low, high = best.expedite_up_to, best.expedite_up_to + gap
    parameters = {"expedite_up_to": low, "order_up_to": high} | ({"cap": cap} if capped else {})
    policy = IndexPolicy(sources, low, high, cap if capped else np.inf)
    return Plan(policy, parameters, model_cost=best.cost if exact else None, citation=citation)


def _law(problem: Problem, system: DualSourcing, gap: int, cap: int, seed: int) -> tuple[Law, bool]:
    """The law of the overshoot by gap and cap, and whether it is exact: by the size of the chain at the given ones."""
    if overshoot_states(system, gap, cap) <= MOST_STATES:
        return cache(partial(capped_overshoot, system)), True
    demand = tuning_scenarios(problem, seed=seed).demand.astype(np.int64).ravel()
    return cache(partial(sampled_overshoot, system, demand)), False


def _cheapest(cost: Callable[..., float], start: tuple[int, ...]) -> tuple[int, ...]:
    """The whole numbers of at least 0 that cost least: moves in all directions, by steps that halve down to 1.

    A last look two units around carries the search over the small hills that demand in lots makes.
    """
    best, step, reach = start, max(1, max(start) // 2), 1
    while True:
        moves = product(range(-reach * step, reach * step + 1, step), repeat=len(best))
        around = [tuple(max(0, x + dx) for x, dx in zip(best, move, strict=True)) for move in moves]
        nearby = min(around, key=lambda at: cost(*at))
        if cost(*nearby) < cost(*best) * (1 - WORTH_A_STEP):
            best = nearby
        elif step > 1:
            step //= 2
        elif reach == 1:
            reach = 2
        else:
            return best


def _given(parameters: Mapping[str, int | None]) -> list[int]:
    """The parameters if they are given, else none; they come all together."""
    values = [value for value in parameters.values() if value is not None]
    names = " and ".join(parameters)
    if values and len(values) < len(parameters):
        raise MethodError(f"{names} must be given together, or all be left to be tuned")
    for name, value in parameters.items():
        if value is not None and not isinstance(value, int | np.integer):
            raise MethodError(f"{name} must be a whole number, got {value!r}")
    return [int(value) for value in values]


def _gap(expedite_up_to: int, order_up_to: int) -> int:
    if order_up_to < expedite_up_to:
        raise MethodError(f"order_up_to must be at least expedite_up_to = {expedite_up_to}, got {order_up_to}")
    return order_up_to - expedite_up_to


def _at_least_zero(key: str, value: int) -> int:
    if value < 0:
        raise MethodError(f"{key} must be at least 0, got {value}")
    return value
