"""What the dynamics read and write: the draw of a period, the state at review, the ledger of a period.

All are batched arrays, NumPy or torch; `dynamics` tells the sequence of events that they belong to.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np

from echelon.envs.arrays import Array, NetworkArrays, namespace
from echelon.envs.batched import cascade_sum, gather_sum, sum_columns
from echelon.envs.network import Network


@dataclass(frozen=True, eq=False)
class Draw:
    """The randomness of one period, made before any policy acts. None: nothing of that kind is random."""

    demand: Array
    """[B, C] units asked for by customers."""
    lead_time: Array | None = None
    """[B, E] periods that a shipment of this period takes."""
    yields: Array | None = None
    """[B, E] usable share of what arrives between this review and the next."""
    yield_chance: Array | None = None
    """[B, E] uniform numbers that round the usable share to whole units."""
    wait_chance: Array | None = None
    """[B, C] uniform numbers that round the waiting part of unmet demand to whole units."""
    node_up: Array | None = None
    """[B, N] 1.0 where the node is up in the next period, else 0.0."""
    link_up: Array | None = None
    """[B, E] 1.0 where the link is up in the next period, else 0.0."""


@dataclass(frozen=True, eq=False)
class State:
    """All that is known at review, in units, after the arrivals of the period."""

    network: Network
    arrays: NetworkArrays
    period: int
    """The period that begins now; the first is 0."""
    on_hand: Array
    """[B, N] stock that can be shipped or sold."""
    backorders: Array
    """[B, C] customers' demand of earlier periods that waits."""
    components: Array
    """[B, E] units that reached the target and wait there, in the column of the first link of their pool."""
    owed: Array
    """[B, E] ordered in earlier periods, heard of by the source and not yet shipped."""
    pipeline: Array
    """[B, E, L] in transit; slot l arrives in l + 1 periods."""
    requests: Array
    """[B, E, D] orders that the source has not heard of; slot d reaches it in d periods."""
    in_process: Array
    """[B, N, P] made and not yet in stock; slot p enters stock in p + 1 periods."""
    ages: Array
    """[B, N, A] perishable stock by its life: column a can be used in a + 1 periods, this one included."""
    queue: Array
    """[B, E, Q] what is owed by nodes that serve first come, first served: column q was asked for q + 1 periods ago."""
    made: Array
    """[B, N] units made in this period so far, at nodes where that is limited."""
    node_up: Array
    """[B, N] 1.0 where the node is up in this period, 0.0 where it is down."""
    link_up: Array
    """[B, E] 1.0 where the link is up in this period, 0.0 where it is down."""

    @property
    def batch(self) -> int:
        """B, the number of replications."""
        return int(self.on_hand.shape[0])

    @cached_property
    def in_transit(self) -> Array:
        """[B, E] units in the pipeline of each link."""
        return sum_columns(self.pipeline)

    @cached_property
    def on_order(self) -> Array:
        """[B, E] ordered from all sources of the link's component and not yet in stock; 0 on lateral links."""
        arrays = self.arrays
        coming = self.in_transit + self.owed
        if arrays.delays:
            coming = coming + sum_columns(self.requests)
        coming = self.components + coming
        if not (arrays.alternatives or arrays.laterals):
            return coming
        return gather_sum(coming, arrays.pool_links) * ~arrays.is_lateral

    @cached_property
    def inventory_level(self) -> Array:
        """[B, N] stock, in process included, less what customers and receivers have asked of it."""
        arrays = self.arrays
        customers = gather_sum(self.backorders, arrays.outlet_column[:, None])
        owed = self.owed + sum_columns(self.requests) if arrays.delays else self.owed
        level = self.on_hand - customers - gather_sum(owed, arrays.out_links)
        if arrays.process_slots:
            level = level + sum_columns(self.in_process)
        return level + gather_sum(self.in_transit, arrays.lateral_in) if arrays.laterals else level

    @cached_property
    def inventory_position(self) -> Array:
        """[B, E] installation inventory position of each link's target, in units of the component: its inventory
        level plus what is on order from all sources of the component."""
        return self.inventory_level[:, self.arrays.target] * self.arrays.quantity + self.on_order

    @cached_property
    def echelon_inventory_position(self) -> Array:
        """[B, E] inventory position of the link's target plus the echelon positions of all that it supplies."""
        return cascade_sum(self.inventory_position, self.arrays)


COST_AXES: dict[str, Literal["N", "E", "C"]] = {
    "holding": "N",
    "processing_holding": "N",
    "transit_holding": "E",
    "stockout": "C",
    "purchase": "E",
    "fixed": "E",
    "scrap": "N",
    "revenue": "C",
}
"""The kinds of cost, with the letter of the last axis of each."""


@dataclass(frozen=True, eq=False)
class Ledger:
    """What one period moved, in units, and from that what it cost, in money."""

    arrays: NetworkArrays
    on_hand: Array
    """[B, N] at the end of the period, before expired units are scrapped."""
    in_process: Array
    """[B, N] at the end of the period."""
    made: Array
    """[B, N] between this review and the next."""
    scrapped: Array
    """[B, N] expired at the end of the period."""
    backorders: Array
    """[B, C] at the end of the period."""
    in_transit: Array
    """[B, E] at the end of the period, the components that wait at the target included."""
    ordered: Array
    """[B, E]"""
    placed: Array
    """[B, E] number of orders: 1.0 where the order is positive."""
    shipped: Array
    """[B, E]"""
    dropped: Array
    """[B, E] asked of the source, not shipped and not owed."""
    defective: Array
    """[B, E] arrived unusable between this review and the next."""
    demand: Array
    """[B, C] of this period."""
    sold: Array
    """[B, C] of this period's demand, met at once."""
    delivered: Array
    """[B, C] to customers, those who waited included."""
    lost: Array
    """[B, C]"""
    stockout: Array
    """[B, C] 1.0 where customers wait at the end of the period, or sales were lost in it."""

    @cached_property
    def costs(self) -> dict[str, Array]:
        """The cost of the period by kind: arrays [B, N], [B, E] or [B, C]."""
        return costs_of({name: getattr(self, name) for name in LEDGER_AXES}, self.arrays)

    @cached_property
    def cost(self) -> Array:
        """[B] the cost of the period, all kinds together."""
        total = 0.0
        for part in self.costs.values():
            total = total + sum_columns(part)
        return total


LEDGER_AXES = dict(
    zip((field.name for field in fields(Ledger) if field.name != "arrays"), "NNNNCEEEEEECCCCC", strict=True)
)
"""The letter of the last axis of every quantity in the ledger."""


def costs_of(quantities: Mapping[str, Array], arrays: NetworkArrays) -> dict[str, Array]:
    """Cost by kind of the quantities of a ledger, or of any weighted sum of ledgers. Last axes N, E or C.

    Revenue is a cost below 0.
    """
    return {
        "holding": quantities["on_hand"] * arrays.holding_cost,
        "processing_holding": quantities["in_process"] * arrays.processing_holding_cost,
        "transit_holding": quantities["in_transit"] * arrays.transit_holding_cost,
        "stockout": (quantities["backorders"] + quantities["lost"]) * arrays.stockout_cost,
        "purchase": quantities["shipped"] * arrays.unit_cost,
        "fixed": quantities["placed"] * arrays.fixed_cost,
        "scrap": quantities["scrapped"] * arrays.scrap_cost,
        "revenue": -(quantities["delivered"] * arrays.price),
    }


STOCKS = dict(
    zip(
        (field.name for field in fields(State) if field.name not in ("network", "arrays", "period")),
        "NCEEEENNENNE",
        strict=True,
    )
)
"""The names of the arrays of a `State`, with the letter of their second axis."""


def on_backend(state: State, like: Array) -> State:
    """The state as arrays of the kind, dtype and device of `like`."""
    arrays = state.arrays.to(like)
    if isinstance(like, np.ndarray):
        return replace(state, arrays=arrays)
    xp = namespace(like)
    moved: dict[str, Any] = {
        name: xp.asarray(getattr(state, name), dtype=like.dtype, device=like.device) for name in STOCKS
    }
    return replace(state, arrays=arrays, **moved)
