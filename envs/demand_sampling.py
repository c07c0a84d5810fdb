"""Demand of all outlets of a network from the streams of its replications."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import special

from echelon.envs.demand_history import joint_defects, joint_leaders
from echelon.envs.demand_law import LAST_BELOW_ONE, Inversion, Law
from echelon.envs.errors import DemandError
from echelon.envs.streams import Purpose, Streams

if TYPE_CHECKING:
    from echelon.envs._sampling import Lookup

Floats = NDArray[np.float64]

LARGEST_LOOKUP = 4_000_000
"""Entries of the tables that one law may need over a horizon, one table for every factor of its calendar."""


@dataclass(frozen=True, eq=False)
class Plan:
    """How the demand of a horizon is drawn: what is looked up, and which outlets their laws sample."""

    lookup: Lookup
    by_law: tuple[int, ...]
    """Outlets whose uniform numbers their laws turn into demand."""
    leaders: tuple[int, ...]
    """[C] the outlet whose uniform numbers each outlet uses."""


def sample_demand(
    laws: Sequence[Law], streams: Streams, *, correlation: float = 0.0, into: Floats | None = None
) -> Floats:
    """Demand [B, T, C]; in memory the replication is the last axis. Demand of that shape in `into` is overwritten.

    With a correlation the uniform numbers of the outlets are those of a one-factor Gaussian copula:
    z_c = sqrt(correlation) * z + sqrt(1 - correlation) * e_c, with one z for all outlets of a period.
    """
    plan = _plan(tuple(laws), streams.periods)
    if correlation and len(laws) > 1:
        from echelon.envs._sampling import invert

        demand = _correlated(streams, len(laws), correlation)
        invert(demand.transpose(1, 2, 0).reshape(-1, len(demand)), plan.lookup)
    else:
        demand = streams.numbers(Purpose.DEMAND, len(laws), plan.lookup, into=into)
    # Leaders come before their followers, so backwards nobody's uniform numbers are overwritten too early.
    for outlet in reversed(plan.by_law):
        for part in streams.parts():
            demand[part, :, outlet] = laws[outlet].sample(demand[part, :, plan.leaders[outlet]])
    return demand


def _correlated(streams: Streams, outlets: int, correlation: float) -> Floats:
    """Uniform numbers [B, T, C] that are correlated between outlets."""
    uniform = streams.numbers(Purpose.DEMAND, outlets)
    own, shared = (1 - correlation) ** 0.5, correlation**0.5
    for part in streams.parts(outlets):
        common = special.ndtri(streams[part].numbers(Purpose.COMMON_DEMAND, 1))
        z = shared * common + own * special.ndtri(uniform[part])
        uniform[part] = np.minimum(special.ndtr(z), LAST_BELOW_ONE)
    return uniform


@lru_cache(maxsize=32)
def _plan(laws: tuple[Law, ...], periods: int) -> Plan:
    from echelon.envs._sampling import make_lookup

    if defects := joint_defects(laws):
        raise DemandError(f"outlet {defects[0][0]}: {defects[0][1]}")
    known: dict[Law, tuple[int, NDArray[np.int32]] | None] = {}
    inversions: list[Inversion] = []
    rule = np.full((periods, len(laws)), -1, dtype=np.int32)
    for outlet, law in enumerate(laws):
        if law not in known:
            found = _inversions(law, periods)
            known[law] = (len(inversions), found[1]) if found else None
            inversions += found[0] if found else []
        if place := known[law]:
            rule[:, outlet] = place[0] + place[1]
    by_law = tuple(outlet for outlet, law in enumerate(laws) if known[law] is None)
    return Plan(make_lookup(inversions, rule.ravel()), by_law, tuple(joint_leaders(laws)))


def _inversions(law: Law, periods: int) -> tuple[list[Inversion], NDArray[np.int32]] | None:
    """The look-ups of a law over a horizon and the one that each period [T] uses; None if it has none."""
    factors, which = np.unique(law.factors(periods), return_inverse=True)
    found: list[Inversion] = []
    entries = 0
    for factor in factors.tolist():
        inversion = law.inversion(factor)
        if inversion is None:
            return None
        entries += sum(len(x) for x in (inversion.table, inversion.values) if x is not None)
        if entries > LARGEST_LOOKUP:
            return None
        found.append(inversion)
    return found, which.astype(np.int32)
