"""Safety stock by service level or by days, one location at a time: ASSP, textbook form.

The methods bear the names of SAP's advanced safety stock planning, which publishes its inputs but no closed
formula; the equations here are the (s, q) and (r, S) models whose terms it uses (H. Tempelmeier, *Inventory
Management in Supply Networks*, 3rd ed., 2011). `docs/theory/safety_stock.md` says what each switch chooses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

from echelon.baselines.requirements import require_choice
from echelon.baselines.safety_stock_columns import CHUNK, FIELDS, MOST, Field, Floats, Numbers, by_chunks, read_column
from echelon.baselines.safety_stock_exposure import (
    Exposure,
    exposure_of,
    reorder_cycle_exposure,
    undershoot_moments,
    with_undershoot,
)
from echelon.baselines.safety_stock_normal import NormalExposure
from echelon.baselines.safety_stock_sporadic import GammaExposure, NegativeBinomialExposure
from echelon.envs.errors import MethodError

EXTENDED = ("AS", "AT", "BS", "BT")
"""Alpha or beta service; reorder point (S) or reorder cycle (T)."""
STANDARD = ("SB", "SZ", "SM", "MB", "MZ", "MM")
"""A stock in units (B), in periods of supply (Z) or the larger of both (M); per row (S) or also per period (M)."""
METHODS = (*EXTENDED, *STANDARD)
_DEMAND = ("demand_mean", "demand_sd", "lead_time", "service_level")
NEEDED: Mapping[str, tuple[str, ...]] = {
    "AS": _DEMAND,
    "AT": (*_DEMAND, "review_period"),
    "BS": (*_DEMAND, "order_quantity"),
    "BT": (*_DEMAND, "review_period"),
    **dict.fromkeys(("SB", "MB"), ("safety_stock",)),
    **dict.fromkeys(("SZ", "MZ"), ("safety_days", "demand_mean")),
    **dict.fromkeys(("SM", "MM"), ("safety_stock", "safety_days", "demand_mean")),
}
"""The fields that a method must be given."""
LOSSES = ("two_term", "one_term")


class ExposureLaw(Protocol):
    """A law of the demand of the exposure; every array [n]."""

    def third_cumulant(self, mean: Floats, variance: Floats) -> Floats:
        """E[(X - E[X])^3]."""

    def alpha_stock(self, exposure: Exposure, level: Floats) -> Floats:
        """The safety stock, in units, that is enough in a share `level` of the cycles."""

    def beta_stock(self, exposure: Exposure, level: Floats, *, two_term: bool, floor: bool) -> Floats:
        """The safety stock from which a share `level` of the demand is served at once; with `floor`, 0 if negative."""

    def alpha_of(self, exposure: Exposure, stock: Floats) -> Floats:
        """The share of cycles in which a safety stock is enough."""

    def late(self, exposure: Exposure, stock: Floats) -> Floats:
        """The units of a cycle that come too late."""


LAWS: Mapping[str, ExposureLaw] = {
    "normal": NormalExposure(),
    "gamma": GammaExposure(),
    "negative_binomial": NegativeBinomialExposure(),
}


def assp(
    method: str,
    *,
    demand_mean: ArrayLike | None = None,
    demand_sd: ArrayLike | None = None,
    lead_time: ArrayLike | None = None,
    lead_time_sd: ArrayLike = 0.0,
    review_period: ArrayLike | None = None,
    order_quantity: ArrayLike | None = None,
    service_level: ArrayLike | None = None,
    safety_stock: ArrayLike | None = None,
    safety_days: ArrayLike | None = None,
    loss: str = "two_term",
    demand: str = "normal",
    undershoot: ArrayLike | None = None,
    floor: bool = True,
    chunk: int = CHUNK,
    threads: int = 1,
) -> Floats:
    """The safety stock (units) by one of the methods of `METHODS`, at any number of locations at once.

    Every field is a number or an array; they broadcast, and numbers alone give a number. With D and sd mean and
    standard deviation of the demand of a period, L and sd_L those of the lead time in periods, R the review period
    (the target days' supply), Q the lot, and ``sigma(tau)^2 = tau sd^2 + D^2 sd_L^2``:

    - AS, AT: ``SS = Phi^-1(alpha) sigma(tau)``, tau = L for AS and L + R for AT: a share alpha of all cycles
      ends without a shortage.
    - BS: ``sigma [G(k) - G(k + Q / sigma)] = (1 - beta) Q``, ``SS = k sigma``, sigma = sigma(L): a share beta of
      the demand is served at once. Without `order_quantity`, Q is D R.
    - BT: ``sigma1 G(SS / sigma1) - sigma0 G((SS + D R) / sigma0) = (1 - beta) D R``, sigma1 = sigma(L + R) and
      sigma0 = sigma(L).
    - SB, MB: `safety_stock`; SZ, MZ: `safety_days` times D; SM, MM: the larger of both.

    `loss` "one_term" leaves out the second G, which is wrong where the lot is small against sigma. `demand`
    is the law of the demand of the exposure: "normal", "gamma" or "negative_binomial" (whole units). AS and BS take it
    that an order is placed the moment the reorder point is reached; `undershoot` is the time between two looks at
    the stock instead. With `floor`, no safety stock is negative, and `service_of` tells what it delivers.
    A field that the method does not use is not read. No demand, or none of its variance, needs no safety stock;
    a service level of 1 is refused, since no finite stock attains it. `chunk` rows are held at a time beside
    fields and result, on `threads` threads; neither changes a bit of the result.

    >>> round(float(assp("BT", demand_mean=100, demand_sd=30, lead_time=5, review_period=5, service_level=0.95)), 4)
    29.2679
    """
    given = {
        "demand_mean": demand_mean,
        "demand_sd": demand_sd,
        "lead_time": lead_time,
        "lead_time_sd": lead_time_sd,
        "review_period": review_period,
        "order_quantity": order_quantity,
        "undershoot": undershoot,
        "service_level": service_level,
        "safety_stock": safety_stock,
        "safety_days": safety_days,
    }
    columns = read_fields(method, given)
    require_choice("loss", loss, LOSSES)
    model = Model(method, tuple(columns), law_of(demand), two_term=loss == "two_term", floor=floor)
    work = model.stock if method in EXTENDED else model.standard_stock
    return by_chunks(work, columns, chunk=chunk, threads=threads)[()]


def service_of(
    method: str,
    stock: ArrayLike,
    *,
    demand_mean: ArrayLike,
    demand_sd: ArrayLike,
    lead_time: ArrayLike,
    lead_time_sd: ArrayLike = 0.0,
    review_period: ArrayLike | None = None,
    order_quantity: ArrayLike | None = None,
    demand: str = "normal",
    undershoot: ArrayLike | None = None,
    chunk: int = CHUNK,
    threads: int = 1,
) -> Floats:
    """What a safety stock (units, also negative) delivers: alpha for AS and AT, beta for BS and BT.

    The inverse of `assp` with both loss terms. Where there is no demand, nothing is late: the service is 1.

    >>> round(float(service_of("BT", 0, demand_mean=100, demand_sd=20, lead_time=10, review_period=10)), 4)
    0.9643
    """
    require_choice("method", method, EXTENDED)
    given = {
        "demand_mean": demand_mean,
        "demand_sd": demand_sd,
        "lead_time": lead_time,
        "lead_time_sd": lead_time_sd,
        "review_period": review_period,
        "order_quantity": order_quantity,
        "undershoot": undershoot,
    }
    columns = read_fields(method, given, besides=("service_level",))
    model = Model(method, tuple(columns), law_of(demand))
    stocks = {"stock": read_column("stock", stock, Field(least=-MOST * MOST, most=MOST * MOST))}
    return by_chunks(model.service, columns | stocks, chunk=chunk, threads=threads)[()]


def read_fields(
    method: str, given: Mapping[str, ArrayLike | None], *, besides: Sequence[str] = ()
) -> dict[str, Numbers]:
    """The fields that a method uses, checked. Raises `MethodError` for a missing or a bad one, or an unknown method."""
    require_choice("method", method, METHODS)
    needed = [key for key in NEEDED[method] if key not in besides]
    optional = ["lead_time_sd"] if method in EXTENDED else []
    if method == "BS" and given.get("order_quantity") is None and given.get("review_period") is not None:
        needed = ["review_period" if key == "order_quantity" else key for key in needed]
    if given.get("undershoot") is not None:
        if method not in ("AS", "BS"):
            raise MethodError(f"undershoot is for the reorder points AS and BS, got method {method!r}")
        optional.append("undershoot")
    columns = {}
    for key in (*needed, *optional):
        value = given.get(key, 0.0 if key == "lead_time_sd" else None)
        if value is None:
            raise MethodError(f"{method} needs {key}" + (" or review_period" if key == "order_quantity" else ""))
        columns[key] = read_column(key, value, FIELDS[key])
    return columns


def law_of(demand: str) -> ExposureLaw:
    """The law of that name. Raises `MethodError`."""
    require_choice("demand", demand, tuple(LAWS))
    return LAWS[demand]


@dataclass(frozen=True)
class Model:
    """A method with its switches, as functions of columns [n] in the order of `keys`."""

    method: str
    keys: tuple[str, ...]
    law: ExposureLaw
    two_term: bool = True
    floor: bool = True

    def exposure(self, rows: Mapping[str, Floats]) -> tuple[Exposure, Floats | float]:
        """The exposure, and the mean undershoot that the reorder point has to cover on top of it."""
        d, sd, lead, lead_sd = (rows[key] for key in ("demand_mean", "demand_sd", "lead_time", "lead_time_sd"))
        if self.method == "BT":
            return reorder_cycle_exposure(d, sd, lead, lead_sd, rows["review_period"]), 0.0
        if self.method == "AT":
            return exposure_of(d, sd, lead + rows["review_period"], lead_sd), 0.0
        lot = None
        if self.method == "BS":
            lot = rows["order_quantity"] if "order_quantity" in rows else d * rows["review_period"]
        exposure = exposure_of(d, sd, lead, lead_sd, lot)
        if "undershoot" not in rows:
            return exposure, 0.0
        mean, variance = d * rows["undershoot"], sd * sd * rows["undershoot"]
        below, spread = undershoot_moments(mean, variance, self.law.third_cumulant(mean, variance))
        return with_undershoot(exposure, below, spread), below

    def stock(self, columns: Sequence[Floats]) -> Floats:
        """The safety stock of an extended method."""
        rows = dict(zip(self.keys, columns, strict=True))
        exposure, below = self.exposure(rows)
        return self.stock_for(exposure, rows["service_level"]) + below

    def stock_for(self, exposure: Exposure, level: Floats) -> Floats:
        """The safety stock above the mean of an exposure."""
        if self.method[0] == "A":
            stock = self.law.alpha_stock(exposure, level)
        else:
            stock = self.law.beta_stock(exposure, level, two_term=self.two_term, floor=self.floor)
        if self.floor:
            stock = np.maximum(stock, 0.0)
        return np.where((exposure.sd > 0) & (exposure.mean > 0), stock, 0.0)

    def standard_stock(self, columns: Sequence[Floats]) -> Floats:
        """The safety stock of a standard method."""
        rows = dict(zip(self.keys, columns, strict=True))
        kind = self.method[1]
        if kind == "B":
            return rows["safety_stock"]
        supply = rows["safety_days"] * rows["demand_mean"]
        return supply if kind == "Z" else np.maximum(supply, rows["safety_stock"])

    def service(self, columns: Sequence[Floats]) -> Floats:
        """The service of a safety stock, which is the last column."""
        *fields, stock = columns
        exposure, below = self.exposure(dict(zip(self.keys, fields, strict=True)))
        above = stock - below
        if self.method[0] == "A":
            return np.where(exposure.mean > 0, self.law.alpha_of(exposure, above), 1.0)
        span = np.where(exposure.span > 0, exposure.span, 1.0)
        served = np.clip(1.0 - self.law.late(exposure, above) / span, 0.0, 1.0)
        return np.where((exposure.mean > 0) & (exposure.span > 0), served, 1.0)
