"""Policies: what turns a state into orders.

A policy is anything that can be called with a `State` and returns orders [B, E]: a formula, a
table, a trained network or a person. Parametric rules are frozen data beside that, so that the
compiled rollout can run them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol, get_args, runtime_checkable

import numpy as np

from echelon.envs.arrays import Array, namespace
from echelon.envs.batched import gather_sum
from echelon.envs.dynamics import LOT_TOLERANCE, accepted_orders
from echelon.envs.errors import PolicyError
from echelon.envs.network import Network
from echelon.envs.state import State

Position = Literal["installation", "echelon", "on_hand"]
"""What a parametric rule goes by; see `OrderUpTo`."""


@runtime_checkable
class Policy(Protocol):
    """A replenishment policy."""

    def __call__(self, state: State) -> Array:
        """Orders [B, E], units, placed at the review of `state.period`."""
        ...


@dataclass(frozen=True, eq=False)
class OrderUpTo:
    """Order up to `up_to` when the inventory position is at or below `reorder`, at most `cap` at a time.

    With `reorder` equal to `up_to` this is a base-stock policy, with a finite `cap` a capped one, and
    otherwise an (s, S) policy. A positive `lot` turns it into an (r, nQ) policy: as many lots as raise
    the position above `reorder`. Orders are placed in every `review_period`-th period.

    The position is that of the installation, less what the receivers of the node order in this very
    period; or that of the echelon; or the stock on hand, which is that of the installation without what
    is on order from earlier periods. A rule that goes by the stock on hand, as Min/Max often does in
    practice, orders again in every period until an order has arrived: with Min 10, Max 25 and 8 on hand
    it orders 17, whatever is under way. Alternative sources of a component decide in the order of the
    links, each knowing what the ones before it have just been asked for. Levels are units.
    """

    reorder: Array
    """[E] s or r"""
    up_to: Array
    """[E] S"""
    cap: Array
    """[E] largest order"""
    lot: Array
    """[E] Q, 0 where orders come in any size"""
    position: Position
    review_period: int = 1
    """Periods from one chance to order to the next; the first is period 0."""

    def __call__(self, state: State) -> Array:
        """Orders [B, E]."""
        xp = namespace(state.on_hand)
        orders = xp.zeros_like(state.owed)
        if state.period % self.review_period:
            return orders
        arrays = state.arrays
        sources = arrays.pool_links.shape[1]
        for _ in range(1 if self.position == "echelon" and sources == 1 else arrays.height * sources):
            orders = accepted_orders(arrays, self._orders(self._position(state, orders)))
        return orders

    def _position(self, state: State, orders: Array) -> Array:
        """[B, E] the position that decides, once the links that decide before have ordered."""
        arrays = state.arrays
        decided = orders * ~arrays.is_lateral
        after = replace(state, owed=state.owed + decided)
        if self.position == "on_hand":
            here = gather_sum(state.components + decided, arrays.pool_links) * ~arrays.is_lateral
            position = after.inventory_level[:, arrays.target] * arrays.quantity + here
        else:
            position = after.echelon_inventory_position if self.position == "echelon" else after.inventory_position
        return position - gather_sum(decided, arrays.later_sources)

    def _orders(self, position: Array) -> Array:
        xp = namespace(position)
        as_like = {"device": position.device, "dtype": position.dtype}
        reorder, up_to, cap, lot = (xp.asarray(x, **as_like) for x in (self.reorder, self.up_to, self.cap, self.lot))
        size = xp.where(lot > 0, lot, xp.ones_like(lot))
        lots = size * (xp.floor((reorder - position) / size + LOT_TOLERANCE) + 1)
        quantity = xp.minimum(xp.where(lot > 0, lots, up_to - position), cap + xp.zeros_like(position))
        zero = xp.zeros_like(position)
        return xp.where(position <= reorder, xp.maximum(quantity, zero), zero)


def order_up_to(
    network: Network,
    up_to: Sequence[float],
    *,
    reorder: Sequence[float] | None = None,
    cap: Sequence[float] | None = None,
    lot: Sequence[float] | None = None,
    position: Position = "installation",
    review_period: int = 1,
) -> OrderUpTo:
    """A parametric rule with one level per link, in the order of `network.links`. Raises `PolicyError`."""
    if position not in get_args(Position):
        raise PolicyError(f"position must be one of {', '.join(get_args(Position))} (got {position!r})")
    if not isinstance(review_period, int | np.integer) or review_period < 1:
        raise PolicyError(f"review_period must be a whole number of at least 1 (got {review_period!r})")
    levels = _per_link(network, "up_to", up_to)
    points = levels if reorder is None else _per_link(network, "reorder", reorder)
    caps = np.full(len(network.links), np.inf) if cap is None else _per_link(network, "cap", cap, bounded=False)
    lots = np.zeros(len(network.links)) if lot is None else _per_link(network, "lot", lot)
    for name, values, broken, rule in (
        ("reorder", points, points > levels, "at most up_to"),
        ("cap", caps, caps < 0, "at least 0"),
        ("lot", lots, lots < 0, "at least 0"),
    ):
        if broken.any():
            e = int(np.flatnonzero(broken)[0])
            raise PolicyError(f"{name} on link {network.links[e].label} must be {rule} (got {values[e]:g})")
    return OrderUpTo(points, levels, caps, lots, position, int(review_period))


def reorder_lots(
    network: Network,
    reorder: Sequence[float],
    lot: Sequence[float],
    *,
    position: Position = "installation",
    review_period: int = 1,
) -> OrderUpTo:
    """An (r, nQ) policy with one reorder point r and one lot Q per link. Raises `PolicyError`."""
    if not np.all(_per_link(network, "lot", lot) > 0):
        raise PolicyError(f"lot must be greater than 0 on every link (got {lot!r})")
    return order_up_to(network, reorder, lot=lot, position=position, review_period=review_period)


def _per_link(network: Network, name: str, values: Sequence[float], *, bounded: bool = True) -> np.ndarray:
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        array = np.full(0, np.nan)
    if array.shape != (len(network.links),) or np.isnan(array).any() or (bounded and np.isinf(array).any()):
        raise PolicyError(f"{name} must be {len(network.links)} numbers, one per link (got {values!r})")
    if network.whole_units and not np.all((array == np.floor(array)) | np.isinf(array)):
        raise PolicyError(f"{name} must be whole numbers on a network of whole units (got {values!r})")
    return array
