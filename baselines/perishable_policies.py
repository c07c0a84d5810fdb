"""Rules for perishable stock at one location that are simpler than the optimum.

They order up to a level: the base-stock policy, which sees no ages; EWA, which adds the waste that it expects
before the order arrives (R. A. C. M. Broekmeulen and K. H. van Donselaar, *Computers & Operations Research*
36(11), 2009); and BSP-low-EW, which besides orders less while there is little (R. Haijema and S. Minner,
*International Journal of Production Economics* 209, 2019). Parameters that are not given are the best ones in whole
units that a local search finds, on the exact cost, or on simulated cost where there are too many states.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import product
from math import comb, inf
from operator import add
from typing import Any

import numpy as np

from echelon.baselines.base_stock import ARROW_KARLIN_SCARF
from echelon.baselines.perishable_chain import left_after, perishable_policy_cost
from echelon.baselines.perishable_store import Floats, Issuing, PerishableStore, store_of, units_by_life
from echelon.baselines.plan import Plan
from echelon.baselines.search import tuning_scenarios
from echelon.envs.errors import MethodError
from echelon.envs.policy import Policy, order_up_to
from echelon.envs.problem import Problem
from echelon.envs.scenarios import Scenarios
from echelon.envs.simulate import simulate_cost
from echelon.envs.state import State

Parameters = tuple[int, ...]

EWA = (
    "R. A. C. M. Broekmeulen and K. H. van Donselaar, A heuristic to manage perishable inventory with batch "
    "ordering, positive lead-times, and time-varying demand, Computers & Operations Research 36(11), 2009"
)
BSP_LOW_EW = (
    "R. Haijema and S. Minner, Improved ordering of perishables: The value of stock-age information, "
    "International Journal of Production Economics 209, 2019"
)
MOST_STATES = 300_000
"""States up to which rules are priced exactly: a few seconds each."""
TUNING_TOLERANCE = 1e-5
"""Money per period, to which candidates are priced."""
HALF = 0.5 + 1e-9
"""Rounds to the nearest whole number, and a half up whatever the last digit of a sum is."""


@dataclass(frozen=True)
class EstimatedWaste:
    """Order up to a level, with the waste that is expected before the order arrives on top.

    With the inventory position ``IP`` and the expected waste ``EW`` the order is ``S2 - IP + EW``, or where
    ``IP < b`` it is ``S1 - alpha IP + EW`` with ``alpha = 1 - (S2 - S1) / b``, so that both agree at ``b``;
    rounded to the nearest whole number, and not negative. With ``S1 = S2`` it is EWA.
    """

    level: int
    """S2"""
    low_level: int
    """S1"""
    threshold: int
    """b"""
    shelf_life: int
    lead_time: int
    issuing: Issuing
    mean_demand: float

    def __call__(self, state: State) -> Floats:
        """Orders [B, 1]."""
        digits = self.shelf_life + self.lead_time - 1
        lives = units_by_life(state, self.shelf_life, digits).astype(np.float64)
        position = lives.sum(axis=1)
        alpha = 1.0 - (self.level - self.low_level) / self.threshold
        wanted = np.where(position < self.threshold, self.low_level - alpha * position, self.level - position)
        waste = expected_waste(
            lives, self.mean_demand, shelf_life=self.shelf_life, lead_time=self.lead_time, issuing=self.issuing
        )
        return np.asarray(np.maximum(np.floor(wanted + waste + HALF), 0.0)[:, None])


def expected_waste(lives: Floats, mean_demand: float, *, shelf_life: int, lead_time: int, issuing: Issuing) -> Floats:
    """[B] the units that would expire in the next `lead_time` periods if every demand were the mean.

    `lives` [B, shelf_life + lead_time - 1] are the units in stock and under way by remaining life. This is the
    estimated withdrawal and ageing of Broekmeulen and van Donselaar, for a review in every period.
    """
    lives, waste = lives.copy(), np.zeros(len(lives))
    for period in range(lead_time):
        stock = lives[:, period : period + shelf_life]
        stock[:] = left_after(stock, mean_demand, issuing)
        waste += stock[:, 0]
    return waste


def perishable_base_stock(
    problem: Problem, *, level: int | None = None, scenarios: Scenarios | None = None, seed: int = 0
) -> Plan:
    """The base-stock policy of a store of perishable stock, which sees no ages: the best level, unless given.

    `Plan.model_cost` is exact, or None where there are too many states; so it is for the other rules.
    """
    store = store_of(problem, "perishable_base_stock")

    def build(level: int) -> Policy:
        return order_up_to(problem.network, [level])

    best = _best_level(store, build, _pricing(problem, store, scenarios, seed)) if level is None else level
    return _plan(problem, store, build(best), best, {"level": best}, ARROW_KARLIN_SCARF)


def ewa(problem: Problem, *, level: int | None = None, scenarios: Scenarios | None = None, seed: int = 0) -> Plan:
    """EWA, estimated withdrawal and ageing: order up to a level and what is expected to expire meanwhile.

    The level is the safety stock and the mean demand of `lead_time + 1` periods. The best one, unless given.
    """
    store = store_of(problem, "ewa")

    def build(level: int) -> Policy:
        return _rule(store, level, level, 1)

    best = _best_level(store, build, _pricing(problem, store, scenarios, seed)) if level is None else level
    return _plan(problem, store, build(best), best, {"level": best}, EWA)


def bsp_low_ew(
    problem: Problem,
    *,
    level: int | None = None,
    low_level: int | None = None,
    threshold: int | None = None,
    scenarios: Scenarios | None = None,
    seed: int = 0,
) -> Plan:
    """BSP-low-EW: EWA that orders less while the inventory position is low, see `EstimatedWaste`.

    The parameters ``S2``, ``S1 <= S2`` and ``b >= 1`` are tuned, unless given, from the best EWA on: the rule
    never costs more than that. It is the teacher of De Moor et al. (2022), who state it in this form.
    """
    store = store_of(problem, "bsp_low_ew")
    if level is not None and low_level is not None and threshold is not None:
        best: Parameters = (level, low_level, threshold)
    elif (level, low_level, threshold) != (None, None, None):
        raise MethodError("level, low_level and threshold must be given together, or all left to be tuned")
    else:
        best = _best_low_level(store, _pricing(problem, store, scenarios, seed))
    parameters = dict(zip(("level", "low_level", "threshold"), best, strict=True))
    return _plan(problem, store, _rule(store, *best), best[0], parameters, BSP_LOW_EW)


def _best_level(store: PerishableStore, build: Callable[[int], Policy], price: Callable[[Policy], float]) -> int:
    @cache
    def cost(level: int) -> float:
        return price(build(level)) if level >= 0 else inf

    return _least(cost, (_newsvendor_level(store),))[0]


def _best_low_level(store: PerishableStore, price: Callable[[Policy], float]) -> Parameters:
    @cache
    def cost(level: int, low_level: int, threshold: int) -> float:
        allowed = 0 <= low_level <= level and threshold >= 1
        return price(_rule(store, level, low_level, threshold)) if allowed else inf

    top = _best_level(store, lambda level: _rule(store, level, level, 1), price)
    starts = [(top, max(top - less, 0), max(top // 2, 1)) for less in (0, 2)]
    return min((_least(cost, start) for start in starts), key=lambda found: cost(*found))


def _rule(store: PerishableStore, level: int, low_level: int, threshold: int) -> EstimatedWaste:
    for key, value, least in (("low_level", low_level, 0), ("level", level, low_level), ("threshold", threshold, 1)):
        if value < least:
            raise MethodError(f"{key} must be at least {least}, got {value}")
    shape = (store.shelf_life, store.lead_time, store.issuing, store.mean_demand)
    return EstimatedWaste(level, low_level, threshold, *shape)


def _plan(
    problem: Problem, store: PerishableStore, policy: Policy, level: int, parameters: dict[str, Any], source: str
) -> Plan:
    cost = perishable_policy_cost(problem, policy).cost if _is_small(store, level) else None
    return Plan(policy, parameters, model_cost=cost, citation=source)


def _is_small(store: PerishableStore, level: int) -> bool:
    """Whether the states of a rule with this level are few enough, at a guess from above."""
    return comb(max(level, 0) + store.digits, store.digits) <= MOST_STATES


def _newsvendor_level(store: PerishableStore) -> int:
    """Where a search for levels starts: what would be best for units that last."""
    margin = max(store.stockout_cost - store.unit_cost, 0.0)
    ratio = min(margin / (margin + store.holding_cost), 0.99) if margin else 0.0
    return int(np.searchsorted(np.cumsum(store.total_demand(store.lead_time + 1)), ratio))


def _pricing(
    problem: Problem, store: PerishableStore, scenarios: Scenarios | None, seed: int
) -> Callable[[Policy], float]:
    """What a rule costs: exactly, or simulated where there are many states. A rule that does not settle costs inf."""
    if not _is_small(store, _newsvendor_level(store)):
        common = scenarios or tuning_scenarios(problem, seed=seed)
        return lambda policy: float(simulate_cost(problem, policy, common).mean())

    def exact(policy: Policy) -> float:
        try:
            return perishable_policy_cost(problem, policy, tolerance=TUNING_TOLERANCE).cost
        except MethodError:
            return inf

    return exact


def _least(cost: Callable[..., float], start: Parameters) -> Parameters:
    """Whole parameters from which no step of 1 in any of them, or of up to 3 in the only one, saves anything."""
    reach = 3 if len(start) == 1 else 1
    moves = [move for move in product(range(-reach, reach + 1), repeat=len(start)) if any(move)]
    best, improved = start, True
    while improved:
        improved = False
        for move in moves:
            while cost(*(candidate := tuple(map(add, best, move)))) < cost(*best):
                best, improved = candidate, True
    return best
