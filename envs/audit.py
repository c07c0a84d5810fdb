"""The audit: does every unit of a period go somewhere?

`simulate(..., check=True)` holds the laws below in every period, and the property tests hold them over
random networks. They are stated on states and ledgers alone, with nothing of how the dynamics work.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from echelon.envs.batched import gather_sum, sum_columns
from echelon.envs.errors import ConservationError
from echelon.envs.state import STOCKS, Ledger, State

TOLERANCE = 1e-9
"""Relative, for networks that are not in whole units."""

Law = tuple[str, str, np.ndarray, np.ndarray]
"""What must hold, the letter of its axis, and the two sides [B, N], [B, E] or [B, C] that must be equal."""


def audit(before: State, ledger: Ledger, after: State) -> None:
    """Raise `ConservationError` with period, replication and place if a law does not hold (NumPy arrays)."""
    for rule, axis, left, right in _equalities(before, ledger, after):
        _hold(before, rule, axis, np.abs(left - right), np.abs(right))
    for rule, axis, smaller, larger in _inequalities(before, ledger, after):
        _hold(before, rule, axis, np.maximum(smaller - larger, 0.0), np.abs(smaller))


def _hold(state: State, rule: str, axis: str, excess: np.ndarray, scale: np.ndarray) -> None:
    broken = ~(excess <= TOLERANCE * (1.0 + scale))  # not a number is broken too
    if not broken.any():
        return
    replication, column = (int(i) for i in np.argwhere(broken)[0][:2])
    network = state.network
    names = {
        "N": [node.name for node in network.nodes],
        "C": [outlet.name for outlet in network.outlets],
        "R": [resource.name for resource in network.resources],
    }
    place = f"link {network.links[column].label}" if axis == "E" else f"{names[axis][column]!r}"
    raise ConservationError(
        f"{rule} must hold: off by {excess[replication, column]:g} at {place} "
        f"in period {state.period}, replication {replication}"
    )


def _equalities(before: State, ledger: Ledger, after: State) -> Iterator[Law]:
    arrays = before.arrays
    arrived = before.in_transit + ledger.shipped - after.in_transit
    usable = arrived - ledger.defective
    used = (ledger.made[:, arrays.target] * arrays.quantity) * arrays.is_first
    into_pools = gather_sum(usable, arrays.pool_links) * arrays.is_first
    yield (
        "components waiting = before + arrived - defective - used",
        "E",
        after.components,
        (before.components + into_pools - used),
    )
    owed = before.owed + _all(before.requests) + ledger.ordered - ledger.shipped - ledger.dropped
    yield "owed = before + ordered - shipped - dropped", "E", after.owed + _all(after.requests), owed
    delivered = gather_sum(ledger.delivered, arrays.outlet_column[:, None])
    shipped = gather_sum(ledger.shipped, arrays.out_links) + gather_sum(ledger.shipped, arrays.lateral_out)
    stock = before.on_hand + _all(before.in_process) + ledger.made + gather_sum(usable, arrays.lateral_in)
    yield (
        "stock = before + made + transshipped - shipped - delivered - scrapped",
        "N",
        (after.on_hand + _all(after.in_process)),
        stock - shipped - delivered - ledger.scrapped,
    )
    waiting = before.backorders + ledger.demand - ledger.delivered - ledger.lost
    yield "backorders = before + demand - delivered - lost", "C", after.backorders, waiting
    if arrays.ages:
        yield "stock by age = stock on hand", "N", _all(after.ages), after.on_hand * arrays.perishable


def _inequalities(before: State, ledger: Ledger, after: State) -> Iterator[Law]:
    arrays = before.arrays
    for name in STOCKS:
        values = getattr(after, name)
        lowest = values.reshape(*values.shape[:2], -1).min(axis=2, initial=np.inf)
        yield f"{name} at least 0", STOCKS[name], -lowest, np.zeros_like(lowest)
    yield (
        "shipped at most the capacity of the link",
        "E",
        ledger.shipped,
        np.broadcast_to(arrays.link_capacity, ledger.shipped.shape),
    )
    if len(arrays.resource_capacity):
        held = after.on_hand + _all(after.in_process)
        for r in np.flatnonzero(arrays.is_storage):
            total = np.zeros((before.batch, len(arrays.resource_capacity)))
            total[:, r] = sum_columns(held * arrays.member[r])
            yield (
                "stock at most the capacity of the storage",
                "R",
                total,
                np.broadcast_to(arrays.resource_capacity, total.shape),
            )


def _all(slots: np.ndarray) -> np.ndarray:
    """The sum over the slots, 0 where there are none."""
    return np.asarray(slots.sum(axis=2))
