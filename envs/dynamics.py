"""The dynamics: the only place where stock moves, and the specification of every other backend.

A period, in order:

1. **Arrivals.** Shipments due now reach their target; the usable share of them joins the components
   that wait there. What has been processed enters stock. Each node makes as many units as it has
   matching sets of components, within its capacity and its resources; the other components wait.
2. **Review.** The policy sees the `State` and orders on every link. The link's bounds round the order.
3. **Fulfilment**, upstream first. What reaches the source, after the order delay, is added to what it
   owes. Each node ships what it can on its outgoing links, by its allocation rule. A lead time of 0
   arrives at once. The outside source ships in full. Capacities and disruptions limit all of them.
   What cannot be shipped stays owed, or is dropped, by the rule of the link. Lateral links come last
   and share what stock is left.
4. **Demand** is realised. Customers who wait are served first, then the new demand; what is short
   waits or is lost, by the rule of the node.
5. **Costs** are charged on the stock and the shortage at the end of the period.
6. **Ageing.** Perishable stock has a period less to live; what has none left is scrapped, and charged to
   this period. Holding has been charged on it before.

`step` starts at the review (2) and ends with the arrivals of the next period (1), so that a `State`
always is what a policy may see. An order placed in period t with lead time L can serve the demand of
period t + L.

Everything is batched: B replications, N nodes, E links, C outlets, L slots of a pipeline, D of the
requests, P of the processing, A ages, Q periods of a queue. The code runs on NumPy arrays and on
torch tensors alike and is differentiable on the latter. It uses elementwise operations and gathers
only, each sum in a fixed order, so that results do not depend on the processor or on the batch.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from echelon.envs import allocation
from echelon.envs.arrays import Array, NetworkArrays, namespace, network_arrays
from echelon.envs.batched import gather_sum, pad, sum_columns
from echelon.envs.network import Network
from echelon.envs.state import STOCKS, Draw, Ledger, State, on_backend

LOT_TOLERANCE = 1e-9
"""The part of a lot that an order may exceed a multiple of the lot size by rounding."""


@dataclass(frozen=True, eq=False)
class _Stock:
    """What moves inside a period."""

    on_hand: Array
    """[B, N]"""
    components: Array
    """[B, E]"""
    in_process: Array
    """[B, N, P]"""
    made: Array
    """[B, N] in this period, for the capacities."""
    produced: Array
    """[B, N] since the review."""
    defective: Array
    """[B, E] since the review."""


def initial_state(network: Network, batch: int, *, like: Array | None = None) -> State:
    """The state at the start of period 0, for `batch` replications, on the backend of `like`."""
    arrays = network_arrays(network)
    nodes, links = len(network.nodes), len(network.links)
    per_slot = np.array([link.initial_in_transit for link in network.links], dtype=np.float64)
    later = per_slot[:, None] * (np.arange(1, arrays.slots + 1) < arrays.shortest[:, None])
    now = per_slot * (arrays.shortest > 0)
    start = np.array([[node.initial_on_hand for node in network.nodes]], dtype=np.float64)
    up = np.ones((1, nodes))
    stock = _Stock(
        on_hand=start,
        components=np.zeros((1, links)),
        in_process=np.zeros((1, nodes, arrays.process_slots)),
        made=np.zeros((1, nodes)),
        produced=np.zeros((1, nodes)),
        defective=np.zeros((1, links)),
    )
    stock = _make(arrays, _receive(arrays, stock, now[None], Draw(demand=np.zeros((1, 0)))), up)
    row = State(
        network=network,
        arrays=arrays,
        period=0,
        on_hand=stock.on_hand,
        backorders=np.zeros((1, len(arrays.outlet))),
        components=stock.components,
        owed=np.zeros((1, links)),
        pipeline=later[None],
        requests=np.zeros((1, links, arrays.delays)),
        in_process=stock.in_process,
        ages=stock.on_hand[:, :, None] * arrays.fresh,
        queue=np.zeros((1, links, arrays.queue)),
        made=stock.made,
        node_up=up,
        link_up=np.ones((1, links)),
    )
    copies: dict[str, Any] = {name: np.repeat(getattr(row, name), batch, axis=0) for name in STOCKS}
    state = replace(row, **copies)
    return state if like is None else on_backend(state, like)


def step(state: State, orders: Array, draw: Draw) -> tuple[State, Ledger]:
    """One period: the state at this review, orders [B, E] and the draw give the next state and the ledger.

    Orders must be finite and not negative, and whole on a network of whole units (`simulate` checks).
    """
    arrays = state.arrays
    xp = namespace(state.on_hand)
    ordered = accepted_orders(arrays, orders)
    request, requests = _communicate(arrays, state.requests, ordered)
    asked = state.owed + request
    stock, shipped = _fulfil(state, asked, request, draw)
    pipeline = state.pipeline + _enters(arrays, draw) * shipped[:, :, None]
    unshipped = asked - shipped
    owed = unshipped * arrays.keeps_backlog

    on_hand, backorders, sold, served, lost = _meet_demand(state, stock.on_hand, draw)
    ages, scrapped = _age(state, on_hand, stock)
    quantities = {
        "on_hand": on_hand,
        "in_process": sum_columns(stock.in_process) if arrays.process_slots else xp.zeros_like(on_hand),
        "scrapped": scrapped,
        "backorders": backorders,
        "in_transit": stock.components + sum_columns(pipeline),
        "ordered": ordered,
        "placed": (ordered > 0) * xp.ones_like(ordered),
        "shipped": shipped,
        "dropped": unshipped - owed,
        "demand": draw.demand,
        "sold": sold,
        "delivered": served + sold,
        "lost": lost,
        "stockout": (backorders + lost > 0) * xp.ones_like(sold),
    }
    node_up = state.node_up if draw.node_up is None else draw.node_up
    left = xp.maximum(on_hand - scrapped, xp.zeros_like(on_hand)) if arrays.ages else on_hand
    stock = _arrive(arrays, replace(stock, on_hand=left), pipeline[:, :, 0], draw, node_up)
    following = replace(
        state,
        period=state.period + 1,
        on_hand=stock.on_hand,
        backorders=backorders,
        components=stock.components,
        owed=owed,
        pipeline=_shift(pipeline),
        requests=requests,
        in_process=stock.in_process,
        ages=ages + _entered(arrays, stock.on_hand - left),
        queue=_remember(state, request, shipped),
        made=stock.made,
        node_up=node_up,
        link_up=state.link_up if draw.link_up is None else draw.link_up,
    )
    return following, Ledger(arrays=arrays, made=stock.produced, defective=stock.defective, **quantities)


def accepted_orders(arrays: NetworkArrays, orders: Array) -> Array:
    """Orders [B, E] within the bounds of the links: raised to the smallest order and to full lots, then cut."""
    if not arrays.bounded_orders:
        return orders
    xp = namespace(orders)
    raised = xp.maximum(orders, arrays.min_order + xp.zeros_like(orders))
    lot = xp.where(arrays.lot_size > 0, arrays.lot_size, xp.ones_like(arrays.lot_size))
    in_lots = xp.ceil(raised / lot - LOT_TOLERANCE) * lot
    bounded = xp.minimum(xp.where(arrays.lot_size > 0, in_lots, raised), arrays.max_order + xp.zeros_like(orders))
    return xp.where(orders > 0, bounded, xp.zeros_like(orders))


def _communicate(arrays: NetworkArrays, requests: Array, ordered: Array) -> tuple[Array, Array]:
    """Step 3: what reaches the sources now [B, E], and the requests under way at the next review [B, E, D]."""
    if not arrays.delays:
        return ordered, requests
    requests = requests + arrays.reaches_slot * ordered[:, :, None]
    return requests[:, :, 0], _shift(requests)


def _shift(slots: Array) -> Array:
    """The next period's slots: every slot moves one nearer, and the last is empty."""
    xp = namespace(slots)
    return xp.concat((slots[:, :, 1:], xp.zeros_like(slots[:, :, :1])), 2)


def _enters(arrays: NetworkArrays, draw: Draw) -> Array:
    """[E, L] or [B, E, L]: 1.0 at the slot that a shipment of this period enters."""
    if draw.lead_time is None:
        return arrays.enters_slot
    xp = namespace(draw.demand)
    slots = xp.arange(1, arrays.slots + 1, device=draw.demand.device)
    return (draw.lead_time[:, :, None] == slots) * xp.ones_like(draw.demand[:, :1, None])


def _fulfil(state: State, asked: Array, request: Array, draw: Draw) -> tuple[_Stock, Array]:
    """Step 3: what is in stock after all shipments, and the shipments [B, E]."""
    arrays = state.arrays
    xp = namespace(asked)
    at_once = arrays.at_once if draw.lead_time is None else (draw.lead_time == 0) * xp.ones_like(asked)
    wanted = _wanted(state, asked)
    shipped = wanted * arrays.from_outside
    nothing = xp.zeros_like(state.on_hand)
    stock = _Stock(state.on_hand, state.components, state.in_process, state.made, nothing, xp.zeros_like(asked))
    makes = arrays.some_at_once or not arrays.plain_making
    if arrays.some_at_once:
        stock = _receive(arrays, stock, shipped * at_once, draw)
    for wave in arrays.waves:
        if makes:
            stock = _make(arrays, stock, state.node_up, wave.makes)
        if not len(wave.nodes):
            continue
        sent, left = allocation.allocate(state, wave, stock.on_hand, wanted, request)
        by_link = pad(xp.reshape(sent, (sent.shape[0], -1)))[:, wave.link_column]
        shipped = shipped + by_link
        ships = wave.node_column < len(wave.nodes)
        stock = replace(stock, on_hand=xp.where(ships, pad(left)[:, wave.node_column], stock.on_hand))
        if arrays.some_at_once:
            stock = _receive(arrays, stock, by_link * at_once, draw)
    if arrays.laterals:
        sent, left = allocation.lateral_shipments(arrays, stock.on_hand, wanted)
        shipped = shipped + sent
        stock = replace(stock, on_hand=left)
        stock = _receive(arrays, stock, sent * at_once, draw)
    return stock, shipped


def _wanted(state: State, asked: Array) -> Array:
    """[B, E] the part of what is asked that capacities and disruptions let through."""
    arrays = state.arrays
    if not arrays.limited_shipping:
        return asked
    xp = namespace(asked)
    source_up = pad(state.node_up, 1.0)[:, arrays.source]
    return xp.minimum(asked, arrays.link_capacity + xp.zeros_like(asked)) * state.link_up * source_up


def _receive(arrays: NetworkArrays, stock: _Stock, arrived: Array, draw: Draw) -> _Stock:
    """Arrivals [B, E]: the usable part joins the components of its pool, or on lateral links the stock."""
    usable = arrived
    if draw.yields is not None:
        usable = _usable(arrays, arrived, draw)
        stock = replace(stock, defective=stock.defective + (arrived - usable))
    into_pools = usable
    if arrays.alternatives or arrays.laterals:
        into_pools = gather_sum(usable, arrays.pool_links) * arrays.is_first
    stock = replace(stock, components=stock.components + into_pools)
    if arrays.laterals:
        stock = replace(stock, on_hand=stock.on_hand + gather_sum(usable, arrays.lateral_in))
    return stock


def _usable(arrays: NetworkArrays, arrived: Array, draw: Draw) -> Array:
    assert draw.yields is not None
    usable = arrived * draw.yields
    if not arrays.whole_units:
        return usable
    xp = namespace(arrived)
    assert draw.yield_chance is not None
    return xp.where(draw.yields < 1, xp.minimum(arrived, xp.floor(usable + draw.yield_chance)), arrived)


def _make(arrays: NetworkArrays, stock: _Stock, node_up: Array, makes: Array | None = None) -> _Stock:
    """Matching sets of components become units in stock or in process, at the nodes that `makes` [N] names."""
    xp = namespace(stock.on_hand)
    if arrays.plain_making and (makes is None or len(arrays.waves) == 1):
        made = stock.components[:, arrays.in_pools[:, 0]]
        return replace(
            stock,
            on_hand=stock.on_hand + made,
            components=xp.zeros_like(stock.components),
            produced=stock.produced + made,
        )
    sets = pad(stock.components / arrays.quantity if arrays.bills else stock.components, float("inf"))
    made = sets[:, arrays.in_pools[:, 0]]
    for k in range(1, arrays.in_pools.shape[1]):
        made = xp.minimum(made, sets[:, arrays.in_pools[:, k]])
    if arrays.bills and arrays.whole_units:
        made = xp.floor(made)
    if makes is not None and len(arrays.waves) > 1:
        made = made * makes
    if arrays.limited_making:
        made = _within_limits(arrays, stock, made * node_up)
    in_process = stock.in_process
    if arrays.process_slots:
        in_process = in_process + made[:, :, None] * arrays.enters_process
    return replace(
        stock,
        on_hand=stock.on_hand + made * arrays.without_processing,
        components=stock.components - (made[:, arrays.target] * arrays.quantity) * arrays.is_first,
        in_process=in_process,
        made=stock.made + made * arrays.limited,
        produced=stock.produced + made,
    )


def _within_limits(arrays: NetworkArrays, stock: _Stock, made: Array) -> Array:
    """What can be made [B, N] within the capacities of nodes and resources; upstream nodes use them first."""
    xp = namespace(made)
    zero = xp.zeros_like(made)
    made = xp.minimum(made, xp.maximum(arrays.node_capacity - stock.made, zero))
    held = stock.on_hand + sum_columns(stock.in_process) if arrays.process_slots else stock.on_hand
    left = [
        capacity - sum_columns((held if storage else stock.made) * member)
        for capacity, storage, member in zip(arrays.resource_capacity, arrays.is_storage, arrays.member, strict=True)
    ]
    columns = list(xp.moveaxis(made, 1, 0))
    for node, resources in arrays.resource_nodes:
        for r in resources:
            columns[node] = xp.minimum(columns[node], xp.maximum(left[r], zero[:, 0]))
        for r in resources:
            left[r] = left[r] - columns[node]
    return xp.stack(columns, 1)


def _meet_demand(state: State, on_hand: Array, draw: Draw) -> tuple[Array, Array, Array, Array, Array]:
    """Step 4: stock on hand [B, N]; backorders, demand met at once, backorders served and demand lost, each [B, C]."""
    arrays, demand = state.arrays, draw.demand
    xp = namespace(on_hand)
    stock = on_hand[:, arrays.outlet]
    if draw.node_up is not None:
        stock = stock * state.node_up[:, arrays.outlet]
    served = xp.minimum(stock, state.backorders)
    sold = xp.minimum(stock - served, demand)
    short = demand - sold
    waiting = short * arrays.waits
    if arrays.partial and arrays.whole_units:
        assert draw.wait_chance is not None
        some = (arrays.waits > 0) & (arrays.waits < 1)
        waiting = xp.where(some, xp.minimum(short, xp.floor(waiting + draw.wait_chance)), waiting)
    taken = pad(served + sold)[:, arrays.outlet_column]
    return on_hand - taken, state.backorders - served + waiting, sold, served, short - waiting


def _age(state: State, on_hand: Array, stock: _Stock) -> tuple[Array, Array]:
    """Step 6: the ages [B, N, A] of what is left of the stock on hand [B, N], a period later, and what is scrapped."""
    arrays = state.arrays
    xp = namespace(on_hand)
    if not arrays.ages:
        return state.ages, xp.zeros_like(on_hand)
    ages = state.ages + _entered(arrays, stock.produced * arrays.without_processing)
    taken = sum_columns(ages) - on_hand * arrays.perishable
    left = list(xp.moveaxis(ages, 2, 0))
    for fifo in (True, False):
        chosen = arrays.fifo if fifo else ~arrays.fifo
        for a in range(arrays.ages) if fifo else reversed(range(arrays.ages)):
            part = xp.where(chosen, xp.minimum(left[a], taken), xp.zeros_like(taken))
            left[a], taken = left[a] - part, taken - part
    remaining = xp.stack(left, 2)
    return _shift(remaining), remaining[:, :, 0]


def _entered(arrays: NetworkArrays, entered: Array) -> Array:
    """[B, N, A] units [B, N] that enter the stock of perishable nodes, with their whole life before them."""
    return entered[:, :, None] * arrays.fresh


def _arrive(arrays: NetworkArrays, stock: _Stock, due: Array, draw: Draw, node_up: Array) -> _Stock:
    """Step 1 of the next period: what was processed enters stock, what is due is received, nodes make."""
    xp = namespace(stock.on_hand)
    stock = replace(stock, made=xp.zeros_like(stock.made))
    if arrays.process_slots:
        finished = stock.in_process[:, :, 0]
        stock = replace(stock, on_hand=stock.on_hand + finished, in_process=_shift(stock.in_process))
    return _make(arrays, _receive(arrays, stock, due, draw), node_up)


def _remember(state: State, request: Array, shipped: Array) -> Array:
    """The queue [B, E, Q] at the next review: the oldest is shipped first, and everything is a period older."""
    arrays = state.arrays
    if not arrays.queue:
        return state.queue
    xp = namespace(request)
    oldest_first = [*reversed(list(xp.moveaxis(state.queue, 2, 0))), request]
    left = []
    for quantity in oldest_first:
        part = xp.minimum(quantity, shipped)
        left.append((quantity - part) * arrays.served_by_age * arrays.keeps_backlog)
        shipped = shipped - part
    left = [left[0] + left[1], *left[2:]]
    return xp.stack(left[::-1], 2)
