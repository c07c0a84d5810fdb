"""Policies: what turns a state into orders.

A policy is anything that can be called with a `State` and returns orders [B, E]: a formula, a
table, a trained network or a person. Parametric rules are frozen data beside that, so that the
compiled rollout can run them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import numpy as np

from echelon.envs.arrays import Array, namespace
from echelon.envs.dynamics import State, gather_sum
from echelon.envs.errors import PolicyError
from echelon.envs.network import Network

Position = Literal["installation", "echelon"]


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
    otherwise an (s, S) policy. The position is that of the installation, less what the receivers of
    the node order in this very period, or that of the echelon. Levels are units.
    """

    reorder: Array
    """[E] s"""
    up_to: Array
    """[E] S"""
    cap: Array
    """[E] largest order"""
    position: Position

    def __call__(self, state: State) -> Array:
        """Orders [B, E]."""
        if self.position == "echelon":
            return self._orders(state.echelon_inventory_position)
        orders = self._orders(state.inventory_position)
        for _ in range(1, state.arrays.height):
            below = gather_sum(orders, state.arrays.out_links)[:, state.arrays.target]
            orders = self._orders(state.inventory_position - below)
        return orders

    def _orders(self, position: Array) -> Array:
        xp = namespace(position)
        as_like = {"device": position.device, "dtype": position.dtype}
        reorder, up_to, cap = (xp.asarray(x, **as_like) for x in (self.reorder, self.up_to, self.cap))
        return xp.where(position <= reorder, xp.minimum(up_to - position, cap), xp.zeros_like(position))


def order_up_to(
    network: Network,
    up_to: Sequence[float],
    *,
    reorder: Sequence[float] | None = None,
    cap: Sequence[float] | None = None,
    position: Position = "installation",
) -> OrderUpTo:
    """A parametric rule with one level per link, in the order of `network.links`. Raises `PolicyError`."""
    if position not in ("installation", "echelon"):
        raise PolicyError(f"position must be 'installation' or 'echelon' (got {position!r})")
    levels = _per_link(network, "up_to", up_to)
    points = levels if reorder is None else _per_link(network, "reorder", reorder)
    caps = np.full(len(network.links), np.inf) if cap is None else _per_link(network, "cap", cap, bounded=False)
    for name, broken, rule in (
        ("reorder", points > levels, "be at most up_to"),
        ("cap", caps < 0, "be at least 0"),
    ):
        if broken.any():
            link = network.links[int(np.flatnonzero(broken)[0])]
            raise PolicyError(f"{name} on link {link.label} must {rule}")
    return OrderUpTo(points, levels, caps, position)


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
