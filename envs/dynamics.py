"""The dynamics: the only place where stock moves, and the specification of every other backend.

A period, in order:

1. **Arrivals.** Shipments due now reach their target. A node with several components makes as many
   units as it has matching sets; the rest of the components wait.
2. **Review.** The policy sees the `State` and orders on every link.
3. **Fulfilment**, upstream first. Each node ships what it can of what is owed on its outgoing links,
   by its allocation rule. A lead time of 0 arrives at once. The outside source ships in full. What
   an internal source cannot ship stays owed, or is dropped, by the rule of the link.
4. **Demand** is realised. Customers who wait are served first, then the new demand; what is short
   waits or is lost, by the rule of the node.
5. **Costs** are charged on the stock and the shortage at the end of the period.

`step` starts at the review (2) and ends with the arrivals of the next period (1), so that a `State`
always is what a policy may see. An order placed in period t with lead time L can serve the demand of
period t + L.

Everything is batched: B replications, N nodes, E links, C outlets, L slots of a pipeline. The code
runs on NumPy arrays and on torch tensors alike and is differentiable on the latter. It uses
elementwise operations and gathers only, each sum in a fixed order, so that results do not depend on
the processor or on the batch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property

import numpy as np

from echelon.envs.arrays import Array, NetworkArrays, Wave, namespace, network_arrays
from echelon.envs.network import Network


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
    """[B, E] units that reached the target and wait there for the other components."""
    owed: Array
    """[B, E] ordered in earlier periods and not yet shipped."""
    pipeline: Array
    """[B, E, L] in transit; slot l arrives in l + 1 periods."""

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
        """[B, E] components that wait, units in transit and units owed: ordered and not yet in stock."""
        return self.components + self.in_transit + self.owed

    @cached_property
    def inventory_level(self) -> Array:
        """[B, N] on hand less what is owed to customers and on outgoing links."""
        customers = gather_sum(self.backorders, self.arrays.outlet_column[:, None])
        return self.on_hand - customers - gather_sum(self.owed, self.arrays.out_links)

    @cached_property
    def inventory_position(self) -> Array:
        """[B, E] installation inventory position of each link's target: its inventory level plus on order."""
        return self.inventory_level[:, self.arrays.target] + self.on_order

    @cached_property
    def echelon_inventory_position(self) -> Array:
        """[B, E] inventory position of the link's target plus the echelon positions of all links out of it."""
        return cascade_sum(self.inventory_position, self.arrays)


@dataclass(frozen=True, eq=False)
class Ledger:
    """What one period moved, in units, and from that what it cost, in money."""

    arrays: NetworkArrays
    on_hand: Array
    """[B, N] at the end of the period."""
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
    """[B, E] asked of an internal source, not shipped and not owed."""
    demand: Array
    """[B, C] of this period."""
    sold: Array
    """[B, C] of this period's demand, met at once."""
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


LEDGER_AXES = dict(zip((field.name for field in fields(Ledger) if field.name != "arrays"), "NCEEEEECCCC", strict=True))
"""The letter of the last axis of every quantity in the ledger."""


def costs_of(quantities: Mapping[str, Array], arrays: NetworkArrays) -> dict[str, Array]:
    """Cost by kind of the quantities of a ledger, or of any weighted sum of ledgers. Last axes N, E or C."""
    return {
        "holding": quantities["on_hand"] * arrays.holding_cost,
        "transit_holding": quantities["in_transit"] * arrays.transit_holding_cost,
        "stockout": (quantities["backorders"] + quantities["lost"]) * arrays.stockout_cost,
        "purchase": quantities["shipped"] * arrays.unit_cost,
        "fixed": quantities["placed"] * arrays.fixed_cost,
    }


def initial_state(network: Network, batch: int, *, like: Array | None = None) -> State:
    """The state at the start of period 0, for `batch` replications, on the backend of `like`."""
    arrays = network_arrays(network)
    per_slot = np.array([link.initial_in_transit for link in network.links], dtype=np.float64)
    later = per_slot[:, None] * (np.arange(1, arrays.slots + 1) < arrays.lead_time[:, None])
    now = per_slot * (arrays.lead_time > 0)
    stock = np.array([[node.initial_on_hand for node in network.nodes]], dtype=np.float64)
    on_hand, components = _receive(arrays, stock, np.zeros((1, len(per_slot))), now[None])
    state = State(
        network=network,
        arrays=arrays,
        period=0,
        on_hand=np.tile(on_hand, (batch, 1)),
        backorders=np.zeros((batch, len(arrays.outlet))),
        components=np.tile(components, (batch, 1)),
        owed=np.zeros((batch, len(per_slot))),
        pipeline=np.tile(later, (batch, 1, 1)),
    )
    return state if like is None else on_backend(state, like)


def on_backend(state: State, like: Array) -> State:
    """The state as arrays of the kind, dtype and device of `like`."""
    arrays = state.arrays.to(like)
    if isinstance(like, np.ndarray):
        return replace(state, arrays=arrays)
    xp = namespace(like)
    names = ("on_hand", "backorders", "components", "owed", "pipeline")
    moved = {name: xp.asarray(getattr(state, name), dtype=like.dtype, device=like.device) for name in names}
    return replace(state, arrays=arrays, **moved)


def step(state: State, orders: Array, demand: Array) -> tuple[State, Ledger]:
    """One period: the state at this review, orders [B, E] and demand [B, C] give the next state and the ledger.

    Orders must be finite and not negative, and whole on a network of whole units (`simulate` checks).
    """
    arrays = state.arrays
    asked = state.owed + orders
    on_hand, components, shipped = _fulfil(state, asked)
    unshipped = asked - shipped
    owed = unshipped * arrays.keeps_backlog
    pipeline = state.pipeline + arrays.enters_slot * shipped[:, :, None]

    on_hand, backorders, sold, lost = _meet_demand(arrays, on_hand, state.backorders, demand)
    xp = namespace(pipeline)
    ledger = Ledger(
        arrays=arrays,
        on_hand=on_hand,
        backorders=backorders,
        in_transit=components + sum_columns(pipeline),
        ordered=orders,
        placed=(orders > 0) * xp.ones_like(orders),
        shipped=shipped,
        dropped=unshipped - owed,
        demand=demand,
        sold=sold,
        lost=lost,
        stockout=(backorders + lost > 0) * xp.ones_like(demand),
    )
    on_hand, components = _receive(arrays, on_hand, components, pipeline[:, :, 0])
    pipeline = xp.concat((pipeline[:, :, 1:], xp.zeros_like(pipeline[:, :, :1])), 2)
    following = replace(
        state,
        period=state.period + 1,
        on_hand=on_hand,
        backorders=backorders,
        components=components,
        owed=owed,
        pipeline=pipeline,
    )
    return following, ledger


def _fulfil(state: State, asked: Array) -> tuple[Array, Array, Array]:
    """Step 3: stock on hand [B, N], components that wait [B, E] and shipments [B, E]."""
    arrays = state.arrays
    shipped = asked * arrays.from_outside
    on_hand, components = _receive(arrays, state.on_hand, state.components, shipped * arrays.at_once)
    for wave in arrays.waves:
        sent = _allocate(arrays, wave, on_hand, asked)
        xp = namespace(sent)
        total = sum_columns(sent)
        on_hand = on_hand - pad(total)[:, wave.node_column]
        by_link = pad(xp.reshape(sent, (sent.shape[0], -1)))[:, wave.link_column]
        shipped = shipped + by_link
        on_hand, components = _receive(arrays, on_hand, components, by_link * arrays.at_once)
    return on_hand, components, shipped


def _allocate(arrays: NetworkArrays, wave: Wave, on_hand: Array, asked: Array) -> Array:
    """Shipments [B, W, K] on the outgoing links of the nodes of a wave."""
    xp = namespace(asked)
    wanted = pad(asked)[:, wave.links]
    available = on_hand[:, wave.nodes]
    total = sum_columns(wanted)
    short = (total > available) & ~wave.by_priority
    safe_total = xp.where(short, total, xp.ones_like(total))
    if arrays.whole_units:
        share = _largest_remainder(wanted, available[:, :, None], safe_total[:, :, None])
    else:
        share = wanted * (available / safe_total)[:, :, None]
    limit = xp.where(short[:, :, None], share, wanted)
    sent = []
    for k in range(wanted.shape[2]):
        sent.append(xp.minimum(limit[:, :, k], available))
        available = available - sent[-1]
    return xp.stack(sent, 2)


def _largest_remainder(wanted: Array, available: Array, total: Array) -> Array:
    """Whole shares of `available` in proportion to `wanted`: the largest remainders get the units left over.

    Products of whole numbers below 2^53 and the floor of their quotient are exact in double precision.
    """
    xp = namespace(wanted)
    shares = xp.floor(wanted * available / total)
    remainder = wanted * available - shares * total
    left_over = available - sum_columns(shares)[..., None]
    rank = xp.argsort(xp.argsort(-remainder, stable=True))
    return shares + (rank < left_over)


def _receive(arrays: NetworkArrays, on_hand: Array, components: Array, arrived: Array) -> tuple[Array, Array]:
    """Step 1: arrivals [B, E] join the components; every complete set becomes a unit on hand."""
    xp = namespace(on_hand)
    components = components + arrived
    if arrays.in_links.shape[1] == 1:
        return on_hand + components[:, arrays.in_links[:, 0]], xp.zeros_like(components)
    padded = pad(components, float("inf"))
    made = padded[:, arrays.in_links[:, 0]]
    for k in range(1, arrays.in_links.shape[1]):
        made = xp.minimum(made, padded[:, arrays.in_links[:, k]])
    return on_hand + made, components - made[:, arrays.target]


def _meet_demand(
    arrays: NetworkArrays, on_hand: Array, backorders: Array, demand: Array
) -> tuple[Array, Array, Array, Array]:
    """Step 4: stock on hand [B, N], backorders, demand met at once and demand lost, each [B, C]."""
    xp = namespace(on_hand)
    stock = on_hand[:, arrays.outlet]
    served = xp.minimum(stock, backorders)
    sold = xp.minimum(stock - served, demand)
    waiting = (demand - sold) * arrays.waits
    lost = demand - sold - waiting
    taken = pad(served + sold)[:, arrays.outlet_column]
    return on_hand - taken, backorders - served + waiting, sold, lost


def pad(array: Array, value: float = 0.0) -> Array:
    """[B, M + 1]: a column of neutral values behind the last one, for gathers with padded tables."""
    xp = namespace(array)
    return xp.concat((array, xp.zeros_like(array[:, :1]) + value), 1)


def gather_sum(values: Array, table: Array) -> Array:
    """[B, R] sums of `values` [B, M] over the columns named in each row of `table` [R, K]; M stands for none."""
    padded = pad(values)
    total = padded[:, table[:, 0]]
    for k in range(1, table.shape[1]):
        total = total + padded[:, table[:, k]]
    return total


def cascade_sum(values: Array, arrays: NetworkArrays) -> Array:
    """[B, E] the value of each link plus those of all links downstream of it, once per path."""
    total = values
    for _ in range(1, arrays.height):
        total = values + gather_sum(total, arrays.out_links)[:, arrays.target]
    return total


def sum_columns(values: Array) -> Array:
    """The sum over the last axis, from the first column to the last."""
    return namespace(values).cumsum(values, -1)[..., -1]
