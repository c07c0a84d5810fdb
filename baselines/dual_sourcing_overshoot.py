"""Dual sourcing by index policies: the stationary law of their overshoot, and from it what they cost.

All index policies keep the expedited position (`dual_sourcing_system`) at a level S_e or above by expedited
orders. What it exceeds S_e by is the *overshoot* O. Expedited orders keep it from falling below 0; otherwise
regular orders and demand move it,

    O' = (O + q_l - D)+,

q_l the regular order that enters the position. Its stationary law depends on the rule for regular orders
and not on S_e, so that the best S_e is a newsvendor's level for the demand D' of l_e + 1 periods less O:
the smallest S with P(D' - O <= S) >= b / (b + h) (S. Veeraraghavan and A. Scheller-Wolf, *Operations
Research* 56(4), 2008). What is not ordered regularly is expedited, and the cost is

    c_r E[D] + (c_e - c_r)(E[D] - E[q]) + E[h (S_e + O - D')+ + b (D' - S_e - O)+].
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_banded

from echelon.baselines import _dual_sourcing
from echelon.baselines.dual_sourcing_system import DualSourcing
from echelon.baselines.lattice import convolve
from echelon.baselines.stock_cost import StockCost
from echelon.baselines.total_demand import LatticeTotal
from echelon.envs.errors import MethodError

Floats = NDArray[np.float64]

SETTLED = 1e-13
"""Probability that may still move in a period of a chain that counts as stationary."""
MOST_PERIODS = 100_000
"""Periods after which a chain that does not settle is given up."""
NEGLIGIBLE = 1e-15
"""Probability at the end of a table of overshoots."""
LONGEST_TABLE = 2**20
"""Overshoots in a table; a constant order that needs more is all but the mean demand."""


@dataclass(frozen=True, eq=False)
class Overshoot:
    """The stationary law of the overshoot under a rule for regular orders."""

    lowest: int
    pmf: Floats
    """[O] the probability of an overshoot of `lowest`, `lowest + 1`, ... units."""
    regular: float
    """Mean regular order per period."""


@dataclass(frozen=True)
class Priced:
    """The expedited level S_e of a policy and its average cost per period, purchases included."""

    expedite_up_to: int
    cost: float


def priced(system: DualSourcing, overshoot: Overshoot, expedite_up_to: int | None = None) -> Priced:
    """The best expedited level for a law of the overshoot, or a given one, with its cost."""
    highest = overshoot.lowest + len(overshoot.pmf) - 1
    needed = LatticeTotal(float(-highest), 1.0, convolve(system.cover.pmf, overshoot.pmf[::-1]))
    level = int(needed.quantile(system.critical_ratio)) if expedite_up_to is None else expedite_up_to
    stock = StockCost(needed, system.holding_cost, system.stockout_cost)(level)
    purchases = system.expedited_cost * system.mean_demand - system.premium * overshoot.regular
    return Priced(level, float(purchases + stock))


def single_overshoot(system: DualSourcing, gap: int) -> Overshoot:
    """Of the single index: the gap S_r - S_e less l regular orders, each the demand of a period up to the gap."""
    order = np.append(system.pmf[:gap], system.pmf[gap:].sum())
    total = np.ones(1)
    for _ in range(system.lead):
        total = np.convolve(total, order)
    return Overshoot(gap - (len(total) - 1), total[::-1], float(np.arange(len(order)) @ order))


def overshoot_states(system: DualSourcing, gap: int, cap: int) -> int:
    """The size of the table that `capped_overshoot` iterates."""
    return int((min(cap, gap) + 1) ** (system.lead - 1) * (gap + 1))


def capped_overshoot(system: DualSourcing, gap: int, cap: int) -> Overshoot:
    """Of the (capped) dual index: by iterating the law of the overshoot with the regular orders pending.

    The law is mixed half and half with the one a period later, so that it settles even where states come in turns.
    """
    size = min(cap, gap) + 1
    pipes = size ** (system.lead - 1)
    digits = np.arange(pipes)[:, None] // size ** np.arange(system.lead - 1) % size
    law, new = np.zeros((pipes, gap + 1)), np.empty((pipes, gap + 1))
    law[0, gap] = 1.0
    on_order = digits.sum(axis=1)
    for _ in range(MOST_PERIODS):
        change, regular = _dual_sourcing.spread(size, cap, gap, system.pmf, on_order, law, new)
        law, new = new, law
        if change <= SETTLED:
            return Overshoot(0, law.sum(axis=0), float(regular))
    raise MethodError(f"the overshoot of the dual index did not settle in {MOST_PERIODS:,} periods")


def sampled_overshoot(system: DualSourcing, demand: NDArray[np.int64], gap: int, cap: int) -> Overshoot:
    """The same law from one path of demand [T], from a start at the gap."""
    counts, pending = np.zeros(gap + 1), np.zeros(system.lead, dtype=np.int64)
    regular = _dual_sourcing.follow(demand, cap, gap, pending, counts) / len(demand)
    expedited = float(demand.mean()) - regular
    return Overshoot(0, counts / counts.sum(), system.mean_demand - expedited)


def surge_overshoot(system: DualSourcing, order: int) -> Overshoot:
    """Of a constant regular order: the stationary law of the random walk ``O' = (O + order - D)+``.

    The balance equations are solved relative to the probability of 0, on tables that double until the
    end of the law is negligible.
    """
    if order == 0:
        return Overshoot(0, np.ones(1), 0.0)
    if order >= system.mean_demand:
        raise MethodError(f"constant_order must be below the mean demand of {system.mean_demand:g}, got {order}")
    above, pmf = len(system.pmf) - 1 - order, system.pmf
    length = max(64, 2 * len(pmf))
    while length <= LONGEST_TABLE:
        bands = np.repeat(-pmf[::-1, None], length, axis=1)
        bands[above] += 1.0
        entering = np.zeros(length)
        entering[:order] = pmf[order - 1 :: -1]
        law = np.append(1.0, np.maximum(solve_banded((order, above), bands, entering), 0.0))
        law /= law.sum()
        if law[-order:].sum() <= NEGLIGIBLE:
            return Overshoot(0, law, float(order))
        length *= 2
    raise MethodError(
        f"constant_order = {order} is too close to the mean demand of {system.mean_demand:g}: the stock would pile up"
    )
