"""How a node divides what it has among its receivers when it cannot ship all that they ask.

Quantities are units: `wanted` [B, W, K] is what each of the W nodes of a wave is asked for on each of
its K outgoing links, in the order in which they are served, and `available` [B, W] what it has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from echelon.envs.arrays import FIRST_COME, PRIORITY, PROPORTIONAL, Array, NetworkArrays, Wave, namespace
from echelon.envs.batched import gather_sum, pad, sum_columns

if TYPE_CHECKING:
    from echelon.envs.state import State


def allocate(state: State, wave: Wave, on_hand: Array, wanted: Array, request: Array) -> tuple[Array, Array]:
    """Shipments [B, W, K] of the nodes of a wave, of what is wanted [B, E] on each link, and what they keep [B, W]."""
    arrays = state.arrays
    xp = namespace(wanted)
    on_links = pad(wanted)[:, wave.links]
    available = on_hand[:, wave.nodes]
    limit = on_links
    for rule in wave.rules:
        if rule == PRIORITY:
            continue
        if rule == PROPORTIONAL:
            share = _in_proportion(on_links, available, whole=arrays.whole_units)
        elif rule == FIRST_COME:
            share = _first_come(state, wave, on_links, available, request)
        else:
            share = _balanced(state, wave, on_links, available)
        short = (sum_columns(on_links) > available) & (wave.rule == rule)
        limit = xp.where(short[:, :, None], share, limit)
    return _in_order(limit, available)


def lateral_shipments(arrays: NetworkArrays, on_hand: Array, wanted: Array) -> tuple[Array, Array]:
    """Shipments [B, E] on lateral links, in the order in which each node serves them, and what is left [B, N]."""
    sent, left = _in_order(pad(wanted)[:, arrays.lateral_out], on_hand)
    return pad(namespace(sent).reshape(sent, (sent.shape[0], -1)))[:, arrays.lateral_column], left


def _in_order(limit: Array, available: Array) -> tuple[Array, Array]:
    """One receiver after the other, up to its limit, while there is stock; and what is left, never below 0."""
    xp = namespace(limit)
    sent = []
    for k in range(limit.shape[2]):
        sent.append(xp.minimum(limit[:, :, k], available))
        available = available - sent[-1]
    return xp.stack(sent, 2), available


def _in_proportion(wanted: Array, available: Array, *, whole: bool) -> Array:
    """Shares in proportion to what is wanted, for nodes that are short."""
    xp = namespace(wanted)
    total = sum_columns(wanted)
    short = (total > available) & (total > 0)  # what is available can be below 0 by rounding
    total = xp.where(short, total, xp.ones_like(total))
    if whole:
        return _largest_remainder(wanted, available[:, :, None], total[:, :, None])
    return wanted * (available / total)[:, :, None]


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


def _first_come(state: State, wave: Wave, wanted: Array, available: Array, request: Array) -> Array:
    """The oldest orders first; orders of one period in the order in which the receivers are served."""
    xp = namespace(wanted)
    oldest_first = [*reversed(list(xp.moveaxis(state.queue, 2, 0))), request]
    sent = [xp.zeros_like(available) for _ in range(wanted.shape[2])]
    for quantity in oldest_first:
        asked = pad(quantity)[:, wave.links]
        for k in range(len(sent)):
            part = xp.minimum(xp.minimum(asked[:, :, k], wanted[:, :, k] - sent[k]), available)
            sent[k], available = sent[k] + part, available - part
    return xp.stack(sent, 2)


def _balanced(state: State, wave: Wave, wanted: Array, available: Array) -> Array:
    """Raise the lowest inventory positions first, up to one common level (water filling)."""
    xp = namespace(wanted)
    positions = pad(positions_before_shipping(state))[:, wave.links]
    corners = xp.concat((positions, positions + wanted), 2)
    filled = sum_columns(_poured(corners[:, :, :, None], positions[:, :, None, :], wanted[:, :, None, :]))
    reached = filled <= available[:, :, None]
    level = xp.amax(xp.where(reached, corners, xp.zeros_like(corners) - float("inf")), 2)
    used = xp.amax(xp.where(reached, filled, xp.zeros_like(filled)), 2)
    rising = (positions <= level[:, :, None]) & (level[:, :, None] < positions + wanted)
    slope = sum_columns(rising * xp.ones_like(wanted))
    level = level + (available - used) / xp.where(slope > 0, slope, xp.ones_like(slope))
    if not state.arrays.whole_units:
        return _poured(level[:, :, None], positions, wanted)
    level = xp.floor(level)
    shares = _poured(level[:, :, None], positions, wanted)
    open_to_more = (shares < wanted) & (positions + shares <= level[:, :, None])
    rank = xp.cumsum(open_to_more * xp.ones_like(wanted), -1)
    left_over = available - sum_columns(shares)
    return shares + (open_to_more & (rank <= left_over[:, :, None]))


def _poured(level: Array, positions: Array, wanted: Array) -> Array:
    """What each receiver gets when all are raised to `level`."""
    xp = namespace(level)
    lift = xp.maximum(level - positions, xp.zeros_like(positions))
    return xp.minimum(lift, wanted + xp.zeros_like(lift))


def positions_before_shipping(state: State) -> Array:
    """[B, E] inventory position of each receiver, but without what its suppliers still owe it."""
    arrays = state.arrays
    coming = gather_sum(state.components + state.in_transit, arrays.pool_links)
    return state.inventory_level[:, arrays.target] * arrays.quantity + coming
