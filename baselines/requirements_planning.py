"""Requirements planning, MRP in a plant and DRP between sites: netting by bucket, lots, and the explosion upstream.

One record a time-phased item: gross requirements and scheduled receipts in, net requirements, planned receipts and
planned releases out. The planned releases of an item are gross requirements of what supplies it. It is a push rule:
the plan is as good as the forecast, and the safety stock is an input.

J. Orlicky, *Material Requirements Planning*, McGraw-Hill, 1975; A. J. Martin, *Distribution Resource Planning*,
Wiley, 1990.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter

import numpy as np
from numpy.typing import ArrayLike, NDArray

from echelon.baselines.requirements import require_at_least_zero
from echelon.envs.dynamics import LOT_TOLERANCE
from echelon.envs.errors import MethodError, nearest

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class LotRule:
    """How net requirements become planned receipts. Without arguments lot for lot: what is needed, when it is needed.

    `multiple`: full lots of a fixed size. `minimum` and `maximum`: bounds of one receipt. `periods`: fixed period
    supply, also called period order quantity; a receipt covers the net requirements of so many buckets.
    """

    multiple: float = 0.0
    minimum: float = 0.0
    maximum: float = float("inf")
    periods: int = 1

    def __post_init__(self) -> None:
        require_at_least_zero("multiple", self.multiple)
        require_at_least_zero("minimum", self.minimum)
        if not self.maximum >= max(self.minimum, self.multiple):
            raise MethodError(f"maximum must be at least minimum and multiple, got {self.maximum:g}")
        if self.periods < 1:
            raise MethodError(f"periods must be at least 1, got {self.periods}")

    def quantity(self, need: Floats) -> Floats:
        """Units to receive for a net requirement; 0 where there is none."""
        raised = np.maximum(need, self.minimum)
        if self.multiple:
            raised = np.ceil(raised / self.multiple - LOT_TOLERANCE) * self.multiple
        return np.where(need > 0, np.minimum(raised, self.maximum), 0.0)


@dataclass(frozen=True, eq=False)
class RequirementsRecord:
    """The record of an item, units by bucket: every array is [..., H]; leading axes are items that plan alike."""

    gross: Floats
    scheduled_receipts: Floats
    projected_on_hand: Floats
    """At the end of the bucket, planned receipts included. Below 0: what is short."""
    net: Floats
    """What is missing, before lots, at the moment when the bucket is planned: the planned receipts of the buckets
    before are counted as there."""
    planned_receipts: Floats
    planned_releases: Floats
    """Planned receipts, a lead time earlier."""
    past_due: Floats
    """[...] planned receipts so near that they should have been released before bucket 0."""


@dataclass(frozen=True)
class PlannedItem:
    """What requirements planning knows of an item at a location. Series have one value a bucket, H of them."""

    lead_time: int = 0
    """Buckets from release to receipt."""
    on_hand: float = 0.0
    demand: tuple[float, ...] = ()
    """Gross requirements of customers; left out: it only has those of other items."""
    scheduled_receipts: tuple[float, ...] = ()
    safety_stock: float = 0.0
    lot_rule: LotRule = LotRule()
    supply: Mapping[str, float] = field(default_factory=dict)
    """Units of each supplying item (component, or the same item at another site) in one unit of this one."""


def net_requirements(
    gross: ArrayLike,
    *,
    scheduled_receipts: ArrayLike = 0.0,
    on_hand: ArrayLike = 0.0,
    safety_stock: ArrayLike = 0.0,
    target_stock: ArrayLike | None = None,
    lead_time: int = 0,
    lot_rule: LotRule = LotRule(),
) -> RequirementsRecord:
    """The planning record of an item for its gross requirements [..., H].

    In bucket t, with I(t-1) the projected stock before it, ``available = I(t-1) + scheduled(t) - gross(t)``. Where
    that is below the `safety_stock` [..., H], the net requirement is what is missing to it, the planned receipt is the
    lot of that, and the release is due `lead_time` buckets before. Releases that were due before bucket 0 can no longer
    be on time: they are reported as `past_due`, and the receipts stay where they are needed, for the planner to
    expedite. With a `target_stock` receipts fill up to that, and the safety stock is only the minimum that calls for
    them, as in dynamic safety stock planning. `on_hand` [...] may be negative: backorders.
    """
    required = amounts("gross", gross)
    if not required.ndim or not required.shape[-1]:
        raise MethodError("gross must have at least one bucket, got none")
    expected = np.broadcast_to(amounts("scheduled_receipts", scheduled_receipts), required.shape)
    least = np.broadcast_to(amounts("safety_stock", safety_stock), required.shape)
    target = least if target_stock is None else np.broadcast_to(amounts("target_stock", target_stock), required.shape)
    if (target < least).any():
        raise MethodError("target_stock must be at least safety_stock in every bucket")
    if lead_time < 0:
        raise MethodError(f"lead_time must be at least 0, got {lead_time}")
    stock: Floats = np.broadcast_to(np.asarray(on_hand, dtype=np.float64), required[..., 0].shape)
    if not np.isfinite(stock).all():
        raise MethodError("on_hand must be finite numbers, got one that is not")
    change = expected - required
    net, receipts, projected = np.zeros(required.shape), np.zeros(required.shape), np.zeros(required.shape)
    buckets = required.shape[-1]
    for t in range(buckets):
        available = stock + change[..., t]
        net[..., t] = np.where(available < least[..., t], target[..., t] - available, 0.0)
        span = slice(t, t + lot_rule.periods)
        missing = (target[..., span] - stock[..., None] - np.cumsum(change[..., span], axis=-1)).max(axis=-1)
        receipts[..., t] = lot_rule.quantity(np.where(net[..., t] > 0, missing, 0.0))
        stock = projected[..., t] = available + receipts[..., t]
    releases = np.zeros_like(receipts)
    releases[..., : max(buckets - lead_time, 0)] = receipts[..., lead_time:]
    past_due = receipts[..., :lead_time].sum(axis=-1)
    return RequirementsRecord(required, expected, projected, net, receipts, releases, past_due)


def plan_requirements(items: Mapping[str, PlannedItem], *, buckets: int) -> dict[str, RequirementsRecord]:
    """The records of all items, receivers before what supplies them: the explosion.

    The gross requirement of an item is its customers' demand plus, for every item that it supplies, the planned
    releases of that one times the units in one of it. Releases past due are asked for in bucket 0.
    """
    for name, item in items.items():
        for supplier in item.supply:
            if supplier not in items:
                raise MethodError(f"supply of {name!r} must be items, got {supplier!r}{nearest(supplier, items)}")
        for key, series in (("demand", item.demand), ("scheduled_receipts", item.scheduled_receipts)):
            if series and len(series) != buckets:
                raise MethodError(f"{key} of {name!r} must have {buckets} buckets, got {len(series)}")
    receivers = {name: [other for other, item in items.items() if name in item.supply] for name in items}
    try:
        order = list(TopologicalSorter(receivers).static_order())
    except CycleError as error:
        raise MethodError(f"supply must form no cycle, got {' <- '.join(error.args[1])}") from None
    records: dict[str, RequirementsRecord] = {}
    for name in order:
        item = items[name]
        gross = np.array(item.demand or np.zeros(buckets), dtype=np.float64)
        for receiver in receivers[name]:
            gross += records[receiver].planned_releases * items[receiver].supply[name]
            gross[0] += records[receiver].past_due * items[receiver].supply[name]
        records[name] = net_requirements(
            gross,
            scheduled_receipts=np.array(item.scheduled_receipts or np.zeros(buckets)),
            on_hand=item.on_hand,
            safety_stock=item.safety_stock,
            lead_time=item.lead_time,
            lot_rule=item.lot_rule,
        )
    return {name: records[name] for name in items}


def amounts(key: str, values: ArrayLike) -> Floats:
    """The values as an array. Raises `MethodError` unless all of them are finite and at least 0."""
    array = np.asarray(values, dtype=np.float64)
    wrong = array[~((array >= 0) & (array < np.inf))]
    if wrong.size:
        raise MethodError(f"{key} must be finite and at least 0 everywhere, got {wrong[0]:g}")
    return array
