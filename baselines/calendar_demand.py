"""Demand whose law changes with the calendar: the law of each period, and of several periods together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from echelon.baselines.lattice import common_step, on_lattice, sum_of_two
from echelon.baselines.lead_time_demand import lead_time_demand
from echelon.baselines.total_demand import Floats, LatticeTotal, LeadTimeDemand, NormalTotal
from echelon.envs.demand import Deterministic, Empirical, Law
from echelon.envs.errors import MethodError

POINTS = 256
"""Least grid points per standard deviation, where totals of different laws have no lattice in common."""

DIRECT = 2**21
"""Products up to which sums on a grid are convolved directly; beyond it the Fourier transform is faster."""


def laws_by_period(demand: Law, periods: int) -> list[Law]:
    """The law of each of the periods 0, 1, ... on its own, as a law that is the same in every period.

    Raises `MethodError` unless the periods are independent of one another.
    """
    if not demand.independent:
        raise MethodError(
            f"demand must be independent from period to period, got {type(demand).__name__} demand that depends on "
            "the past"
        )
    known: dict[tuple[Any, ...], Law] = {}
    laws = []
    for period, factor in enumerate(demand.factors(periods).tolist()):
        own = _own_values(demand, period)
        key = (factor, *own.values())
        if key not in known:
            calendar = {"seasonal": (factor,), "promotions": (), "trend": 0.0, "growth": 0.0}
            known[key] = demand.model_copy(update=calendar | own)
        laws.append(known[key])
    return laws


def total_demand(laws: Sequence[Law]) -> LeadTimeDemand:
    """The law of the total demand of independent periods, each with its own law that is the same in every period.

    Normal and whole-number totals are exact; other laws that differ are put on a grid by hat functions,
    which keeps the mean and adds at most 3e-6 of the variance for each law.
    """
    return _total(frozenset(Counter(laws).items()))


def probabilities(total: LeadTimeDemand) -> tuple[int, Floats]:
    """The least demand, and the probabilities of that and each larger whole number of units.

    Demand that is not whole is rounded to the nearest unit, and to 0 where it is negative.
    """
    if isinstance(total, LatticeTotal) and total.whole and total.step == 1:
        return int(total.origin), total.pmf
    low, high = (max(round(bound), 0) for bound in total.bounds)
    below = total.cdf(np.arange(low, high + 1) + 0.5)
    below[-1] = 1.0
    return low, np.maximum(np.diff(below, prepend=0.0), 0.0)


def _own_values(demand: Law, period: int) -> dict[str, Any]:
    """What else than the calendar changes from period to period."""
    if isinstance(demand, Deterministic):
        return {"values": (demand.values[min(period, len(demand.values) - 1)],)}
    if isinstance(demand, Empirical):
        return {"values": demand.values[period % demand.align :: demand.align], "align": 1}
    return {}


@lru_cache(maxsize=1024)
def _total(counts: frozenset[tuple[Law, int]]) -> LeadTimeDemand:
    parts = [_repeated(law, periods) for law, periods in counts]
    random = [part for part in parts if part.sd > 0]
    certain = sum(part.mean for part in parts if part.sd == 0)
    if not random:
        return LatticeTotal(certain, 1.0, np.ones(1))
    if len(random) == 1 and certain == 0:
        return random[0]
    if all(isinstance(part, NormalTotal) for part in random):
        return NormalTotal(certain + sum(part.mean for part in random), sum(part.sd**2 for part in random) ** 0.5)
    step = common_step(random) or _fine_step(random)
    total = LatticeTotal(certain, step, np.ones(1))
    for part in (_on_grid(law, periods, step) for law, periods in counts if _repeated(law, periods).sd > 0):
        total = sum_of_two(total, part, direct=DIRECT)
    return total


@lru_cache(maxsize=1024)
def _repeated(law: Law, periods: int) -> LeadTimeDemand:
    return lead_time_demand(law, periods)


def _fine_step(parts: Sequence[LeadTimeDemand]) -> float:
    """A power of 2, so that different sums need the same law on the same grid."""
    return float(2.0 ** np.floor(np.log2(sum(part.sd**2 for part in parts) ** 0.5 / POINTS)))


@lru_cache(maxsize=1024)
def _on_grid(law: Law, periods: int, step: float) -> LatticeTotal:
    return on_lattice(_repeated(law, periods), step)
