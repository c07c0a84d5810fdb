"""What drives a safety stock: how much of it is due to demand, lead time, upstream service, lot size and review.

The safety stock against the demand of an exposure of L + w + R periods, w being the mean wait for an upstream location
that is short, is k sigma with

    sigma^2 = (L + E[w] + R) sigma_D^2 + mu^2 (Var[L] + Var[w])

and k from the target: ``k = Phi^-1(alpha)`` for a cycle service level, or for a fill rate beta the k with
``sigma (G(k) - G(k + Q / sigma)) = (1 - beta) Q`` and Q the larger of a lot and the demand of R periods.

Drivers are switched on one after the other, in the order of `DRIVERS`, each with all that came before; its part is what
that adds. So the parts sum to the safety stock, and a driver's part depends on the order, the last one's excepted
in this sense: without it exactly its part goes. A driver that lowers the stock, as a large lot does under a
fill rate, has a negative part.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from math import sqrt
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from scipy.special import ndtri

from echelon.baselines.loss_functions import standard_normal_loss
from echelon.baselines.requirements import require_at_least_zero, require_choice
from echelon.envs.errors import MethodError

Floats = NDArray[np.float64]
Kind = Literal["cycle_service", "fill_rate"]
SMALL = 1e-9
"""The lot, in standard deviations, below which rounding would drown what it adds."""
FAR = 40.0
"""A safety factor at which nothing is short, or with the other sign all."""


@dataclass(frozen=True)
class Exposure:
    """What a safety stock is for; times in periods, demand in units per period."""

    demand_mean: float
    demand_sd: float = 0.0
    lead_time: float = 0.0
    lead_time_sd: float = 0.0
    wait: float = 0.0
    """Mean wait for an upstream location that is short: its backorders over its demand."""
    wait_sd: float = 0.0
    lot_size: float = 0.0
    review_period: float = 1.0


DRIVERS: Mapping[str, Mapping[str, float]] = {
    "demand": {"demand_sd": 0.0},
    "lead_time": {"lead_time_sd": 0.0},
    "upstream_service": {"wait": 0.0, "wait_sd": 0.0},
    "lot_size": {"lot_size": 0.0},
    "review_period": {"review_period": 1.0},
}
"""The fields of each driver with the values at which it drives nothing."""


def safety_stock_of(exposure: Exposure, *, service_level: float, kind: Kind = "cycle_service") -> float:
    """The safety stock against normal demand, see this module; 0 where nothing varies. Raises `MethodError`.

    It may be negative where the target is below a half, or a lot large.

    >>> round(safety_stock_of(Exposure(100.0, 25.0), service_level=0.95), 1)
    41.1
    """
    for name, value in asdict(exposure).items():
        require_at_least_zero(name, value)
    require_choice("kind", kind, get_args(Kind))
    if not 0 < service_level < 1:
        raise MethodError(f"service_level must be above 0 and below 1, got {service_level:g}")
    periods = exposure.lead_time + exposure.wait + exposure.review_period
    late = exposure.lead_time_sd**2 + exposure.wait_sd**2
    sd = sqrt(periods * exposure.demand_sd**2 + exposure.demand_mean**2 * late)
    if sd == 0:
        return 0.0
    if kind == "cycle_service":
        return float(ndtri(service_level)) * sd
    lot = max(exposure.lot_size, exposure.demand_mean * exposure.review_period)
    return sd * _fill_rate_factor(service_level, lot / sd) if lot > 0 else 0.0


def _fill_rate_factor(fill_rate: float, lot: float) -> float:
    """k for lots of so many standard deviations; in the limit of small lots the normal quantile."""
    if lot < SMALL:
        return float(ndtri(fill_rate))

    def late(k: float) -> float:
        return float(standard_normal_loss(k) - standard_normal_loss(k + lot)) - (1 - fill_rate) * lot

    return float(brentq(late, -lot - FAR, FAR, xtol=1e-13))


def driver_parts(
    exposure: Exposure,
    *,
    service_level: float,
    kind: Kind = "cycle_service",
    order: Sequence[str] = tuple(DRIVERS),
    stock: Callable[..., float] = safety_stock_of,
) -> dict[str, float]:
    """The part of the safety stock that is due to each driver, in the order in which they are switched on.

    `stock` gives the safety stock of an exposure; what it gives with no driver at all would be the part "base", which
    is left out where it is 0. Raises `MethodError` unless `order` names every driver once.
    """
    if sorted(order) != sorted(DRIVERS):
        raise MethodError(f"order must name each of {', '.join(DRIVERS)} once, got {', '.join(order)}")

    def of(fields: Mapping[str, Any]) -> float:
        return stock(replace(exposure, **fields), service_level=service_level, kind=kind)

    off = {name: value for driver in DRIVERS.values() for name, value in driver.items()}
    steps = {driver: {name: getattr(exposure, name) for name in DRIVERS[driver]} for driver in order}
    parts = {name: float(part) for name, part in switched_on(of, off, steps, whole=of({})).items()}
    return parts if parts["base"] else {driver: parts[driver] for driver in order}


def switched_on(
    stock: Callable[[Mapping[str, Any]], ArrayLike],
    off: Mapping[str, Any],
    steps: Mapping[str, Mapping[str, Any]],
    *,
    whole: ArrayLike,
) -> dict[str, Floats]:
    """The stock without any driver as the part "base", and what each driver adds, in the order of `steps`.

    `stock` gives the stock of fields, `off` has them without any driver, and each step those that its driver changes.
    With all of them the stock is `whole`, so that this need not be evaluated again. A step that changes nothing
    adds exactly 0; where `stock` is not finite, a driver adds nothing until it is.
    """
    total = np.asarray(whole, dtype=np.float64)
    reached = _reached(off, steps)
    before = _finite(stock(off), 0.0) if reached else total
    parts = {"base": before} | {driver: np.zeros_like(total) for driver in steps}
    for rank, (driver, fields) in enumerate(reached.items(), start=1):
        after = total if rank == len(reached) else _finite(stock(fields), before)
        parts[driver], before = after - before, after
    return parts


def _reached(off: Mapping[str, Any], steps: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """The fields after each step that changes any."""
    now, reached = dict(off), {}
    for driver, fields in steps.items():
        if not all(np.array_equal(now[name], value) for name, value in fields.items()):
            now = {**now, **fields}
            reached[driver] = now
    return reached


def _finite(values: ArrayLike, otherwise: ArrayLike) -> Floats:
    found = np.asarray(values, dtype=np.float64)
    return np.where(np.isfinite(found), found, otherwise)
