"""How a depot shares its stock among its retailers: one path of levels, filled up as far as the stock goes.

Imagine stock handed out unit by unit to retailers that have none: the rule says who is next, and the
order is the same whatever the amount. This *path* of levels is worked out once. At a review each
retailer is raised to its level at one common point of the path, as far along it as the stock allows,
and a retailer that is there already gets nothing. Two rules:

- `"balanced"`: equal fractiles, the retailer with the lowest ``(y_i - E[D_i]) / sd(D_i)`` is next,
- `"myopic"`: the retailer whose next unit lowers the expected cost ``C_i(y_i)`` the most is next,

with ``D_i`` the demand of ``L_i + 1`` periods. Under the myopic rule all retailers have one slope of cost nu,
``P(D_i <= y_i) = (p_i + nu) / (h_i + p_i)``, so for normal demand the two are the same where ``h_i`` and ``p_i``
each are equal at all retailers. Equal ratios ``p_i / h_i`` are not enough, except at ``nu = 0``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from echelon.baselines.requirements import require_choice
from echelon.baselines.total_demand import LeadTimeDemand
from echelon.envs.batched import sum_columns
from echelon.envs.state import State

Floats = NDArray[np.float64]
Allocation = Literal["balanced", "myopic"]

REACH = 12.0
"""Standard deviations on both sides of the mean between which a path runs."""
STEPS = 256
"""Steps of a path in the sum of the retailers' standard deviations, where units are not whole."""


@dataclass(frozen=True, eq=False)
class DepotPolicy:
    """Order up to an echelon level at the depot, and ship along a path, never more than the depot has."""

    level: float
    """Echelon base-stock level of the depot."""
    path: Floats
    """[R, N] levels of the retailers, none of which ever falls along the path."""
    depot: int
    """The node."""
    supply: int
    """The link into it."""
    links: NDArray[np.int64]
    """[N] the link to each retailer."""

    def __call__(self, state: State) -> Floats:
        """Orders [B, E]."""
        orders = np.zeros_like(state.owed)
        order = np.maximum(self.level - state.echelon_inventory_position[:, self.supply], 0.0)
        at_once = float(state.network.links[self.supply].lead_time == 0)
        stock = state.on_hand[:, self.depot] + at_once * order
        orders[:, self.supply] = order
        positions = state.inventory_position[:, self.links]
        orders[:, self.links] = self.shipments(positions, stock, whole=state.network.whole_units)
        return np.asarray(orders)

    def shipments(self, positions: Floats, stock: Floats, *, whole: bool) -> Floats:
        """[B, N] what each retailer gets of the stock [B], given the retailers' positions [B, N]."""
        low, high = np.full(len(stock), -1), np.full(len(stock), len(self.path) - 1)
        for _ in range(len(self.path).bit_length()):
            middle = (low + high + 1) // 2
            enough = sum_columns(np.maximum(self.path[middle] - positions, 0.0)) <= stock
            low, high = np.where(enough, middle, low), np.where(enough, high, middle - 1)
        reached = np.maximum(self.path[low] - positions, 0.0) * (low >= 0)[:, None]
        beyond = np.maximum(self.path[np.minimum(low + 1, len(self.path) - 1)] - positions, 0.0) - reached
        # Below the path, and between two points of it, what is left is shared in proportion to the next step.
        left, wanted = stock - sum_columns(reached), sum_columns(beyond)
        rest = beyond * np.divide(left, wanted, out=np.zeros_like(left), where=wanted > 0)[:, None]
        return np.asarray(reached + (np.floor(rest) if whole else rest))


def allocation_path(
    demands: Sequence[LeadTimeDemand],
    allocation: Allocation,
    *,
    holding_cost: Sequence[float],
    stockout_cost: Sequence[float],
    warehouse_holding_cost: float | None,
    whole: bool,
) -> Floats:
    """The levels [R, N] along the path of an allocation rule, for retailers with the given demands D_i.

    It ends where the next unit is worth more at the depot, at `warehouse_holding_cost`; with None the
    depot keeps nothing. Under the balanced rule it ends at the same total.
    """
    require_choice("allocation", allocation, get_args(Allocation))
    step = 1.0 if whole else sum(demand.sd for demand in demands) / STEPS or 1.0
    lowest, owner, fractile, slope = _cells(demands, holding_cost, stockout_cost, step)
    useful = np.full(len(slope), True) if warehouse_holding_cost is None else slope < warehouse_holding_cost
    order = np.lexsort((fractile, slope)) if allocation == "myopic" else np.argsort(fractile, kind="stable")
    handed_out = owner[order[: useful.sum()] if allocation == "balanced" else order[useful[order]]]
    counts = np.cumsum(handed_out[:, None] == np.arange(len(demands)), axis=0)
    return lowest + step * np.concatenate([np.zeros((1, len(demands))), counts])


def _cells(
    demands: Sequence[LeadTimeDemand], holding_cost: Sequence[float], stockout_cost: Sequence[float], step: float
) -> tuple[Floats, NDArray[np.int64], Floats, Floats]:
    """The lowest level [N] of each retailer; and for each step up whose it is, its fractile, its slope of cost."""
    lowest, owner, fractile, slope = [], [], [], []
    for i, (demand, holding, stockout) in enumerate(zip(demands, holding_cost, stockout_cost, strict=True)):
        scale = demand.sd or 1e-9 * (1 + demand.mean)
        first, last = np.floor((demand.mean - REACH * scale) / step), np.ceil((demand.mean + REACH * scale) / step)
        levels = step * np.arange(first, last + 1)
        lowest.append(levels[0])
        owner.append(np.full(len(levels) - 1, i))
        fractile.append((levels[:-1] + step / 2 - demand.mean) / scale)
        slope.append(holding + (holding + stockout) * np.diff(demand.shortage(levels)) / step)
    return np.array(lowest), np.concatenate(owner), np.concatenate(fractile), np.concatenate(slope)
