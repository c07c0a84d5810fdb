"""The Min/Max case: a distribution centre with four unlike warehouses, run by ten whole numbers.

Every node has a Min and a Max: at or below Min it orders up to Max. What is asked is the cheapest set of
numbers that keeps the service of every node above its floor (see `service_floors`). The shape, the daily
review and the demand that is not Poisson are those of the case; rates, costs and lead times are assumptions,
the same for the same seed. Other counts make the same problem with more numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from echelon.envs.demand import NegativeBinomial
from echelon.envs.errors import ConfigError
from echelon.envs.network import OUTSIDE, Network
from echelon.envs.problem import Problem

Data = dict[str, Any]
CITATION = (
    "a case of Smart Software on Min/Max levels by scenario simulation: its shape and its daily review; "
    "rates, costs and lead times are assumed"
)


@dataclass(frozen=True)
class Warehouse:
    """What tells one warehouse from another. Periods are days."""

    mean: float
    """Units a day."""
    dispersion: float
    """Variance of a day's demand, in multiples of its mean."""
    lead_time: int
    """Days from its centre."""
    holding_cost: float
    """Money per unit on hand at the end of a day."""
    fixed_cost: float
    """Money per order."""


WAREHOUSES = (
    Warehouse(4.0, 3.0, 1, 0.05, 12.0),
    Warehouse(6.0, 5.0, 3, 0.06, 10.0),
    Warehouse(9.0, 2.0, 2, 0.04, 20.0),
    Warehouse(12.0, 4.0, 2, 0.05, 15.0),
)
"""The four of the case: lots by the square-root formula are 7 to 12 days of demand."""
CENTRE_LEAD_TIME = 6
"""Days from outside to the first centre."""
CENTRE_HOLDING_COST = 0.03
CENTRE_FIXED_COST = 60.0
FIRST_DAYS = 7
"""Mean demand that every node has on hand at the start, in days."""


def min_max_case(
    *,
    warehouses: int = 4,
    centres: int = 1,
    stockout_cost: float = 0.25,
    lead_time_spread: int = 0,
    seed: int = 0,
    periods: int = 425,
    warm_up: int = 60,
) -> Problem:
    """A year of a distribution centre and its warehouses after 60 days of warm-up, day by day, in units.

    Customers wait. The `stockout_cost`, per unit that waits and day, is low: without floors it pays to be out of
    stock for a sixth of the time, so that a floor of 0.95 costs something; 0 leaves the floors alone, and then
    without floors the best is not to order. With a `lead_time_spread` d a lead time of L days is drawn anew for every
    shipment, from L - d to L + d with equal chances, where d is at most L. Beyond the first four warehouses
    and the first centre the parameters are drawn with the `seed`; `warehouses=35, centres=4` is the network of a
    company with 78 numbers. The warehouses are dealt out to the centres in turn.
    """
    for name, least, count in (("centres", 1, centres), ("warehouses", centres, warehouses)):
        if count < least:
            raise ConfigError([f"{name} must be at least {least} (got {count})"])
    if lead_time_spread < 0:
        raise ConfigError([f"lead_time_spread must be at least 0 (got {lead_time_spread})"])
    members = list(islice(_warehouses(seed), warehouses))
    laws = [NegativeBinomial(mean=one.mean, sd=(one.dispersion * one.mean) ** 0.5) for one in members]
    first = _centres([sum(one.mean for one in members[c::centres]) for c in range(centres)], lead_time_spread, seed)
    nodes, links = ([*part] for part in zip(*first, strict=True))
    for w, (one, law) in enumerate(zip(members, laws, strict=True)):
        name = f"warehouse_{w + 1}"
        nodes.append(_node(name, one.mean, one.holding_cost) | {"demand": law, "stockout_cost": stockout_cost})
        source = f"centre_{w % centres + 1}"
        links.append(_link(source, name, one.mean, one.lead_time, lead_time_spread, one.fixed_cost))
    network = Network.from_dict({"name": "min_max_case", "nodes": nodes, "links": links, "units": "whole"})
    return Problem("echelon/MinMaxCase-v0", network, periods, warm_up, citation=CITATION)


def _warehouses(seed: int) -> Iterator[Warehouse]:
    """The four of the case, then as many as are asked for."""
    yield from WAREHOUSES
    rng = np.random.default_rng([seed, 0])
    while True:
        mean, dispersion = float(rng.integers(4, 13)), float(rng.integers(2, 6))
        days, holding, fixed = int(rng.integers(1, 4)), rng.integers(4, 7) / 100, 5.0 * rng.integers(2, 6)
        yield Warehouse(mean, dispersion, days, float(holding), float(fixed))


def _centres(flows: Sequence[float], spread: int, seed: int) -> Iterator[tuple[Data, Data]]:
    """The centres, each with the link into it."""
    further = np.random.default_rng([seed, 1]).integers(5, 8, len(flows) - 1).tolist()
    for c, (flow, days) in enumerate(zip(flows, [CENTRE_LEAD_TIME, *further], strict=True)):
        name = f"centre_{c + 1}"
        yield _node(name, flow, CENTRE_HOLDING_COST), _link(OUTSIDE, name, flow, days, spread, CENTRE_FIXED_COST)


def _node(name: str, flow: float, holding_cost: float) -> Data:
    return {"name": name, "holding_cost": holding_cost, "initial_on_hand": FIRST_DAYS * flow}


def _link(source: str, target: str, flow: float, days: int, spread: int, fixed_cost: float) -> Data:
    less = min(spread, days)
    return {
        "source": source,
        "target": target,
        "lead_time": {"values": tuple(range(days - less, days + less + 1))} if less else days,
        "fixed_cost": fixed_cost,
        "initial_in_transit": flow,
    }
