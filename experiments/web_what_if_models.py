"""The numbers of the what-if page: three small problems, solved anew by the baselines whenever a slider moves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from echelon.baselines.guaranteed_service import GuaranteedService, guaranteed_service
from echelon.baselines.lead_time_demand import lead_time_demand
from echelon.baselines.newsvendor import newsvendor
from echelon.baselines.serial import clark_scarf, serial_cost
from echelon.baselines.stage_network import StageNetwork
from echelon.envs.demand import Law, NegativeBinomial, Normal, Poisson

Point = tuple[float, float]

MEAN = 20.0
"""Demand a week at the single location and at the customers of the chain."""
CHAIN = ("Supplier", "Warehouse", "Shop")
CHAIN_HOLDING = (0.4, 0.7, 1.0)
"""Money per unit and week, the supplier first."""
STOCKOUT_COSTS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
"""The points of the frontier of a chain."""
SERVICE_LEVELS = (0.8, 0.85, 0.9, 0.925, 0.95, 0.97, 0.98, 0.99, 0.995, 0.999)
STAGE_DATA: Mapping[str, tuple[float, float, tuple[str, ...]]] = {
    "Malt": (12, 0.6, ()),
    "Bottles": (20, 0.3, ()),
    "Brewery": (0, 1.6, ("Malt", "Bottles")),
    "Warehouse": (6, 2.0, ("Brewery",)),
    "Shops north": (3, 2.4, ("Warehouse",)),
    "Shops south": (5, 2.4, ("Warehouse",)),
}
"""By stage its time in days, its holding cost per unit and day, and its suppliers; the brewery's time is a slider."""
CUSTOMERS = {"Shops north": 1.0, "Shops south": 0.6}
"""By stage the size of its demand, relative to the largest."""


@dataclass(frozen=True)
class Single:
    """One location: the best level, what it costs and gives, and all that could be had instead."""

    level: float
    cost: float
    cycle_service: float
    """The chance that a week ends without a shortage."""
    fill_rate: float
    by_level: tuple[tuple[float, float, float], ...]
    """Level, cost of stock, cost of shortage."""
    frontier: tuple[Point, ...]
    """Fill rate in per cent, cost of stock."""
    point: Point
    """The best level on the frontier."""


def single(*, lead_time: float, sd: float, holding_cost: float, stockout_cost: float) -> Single:
    """The newsvendor of a location that is reviewed weekly, with normal demand of mean `MEAN`."""
    law = Normal(mean=MEAN, sd=sd)
    total = lead_time_demand(law, lead_time + 1)
    best = newsvendor(demand=law, holding_cost=holding_cost, stockout_cost=stockout_cost, lead_time=lead_time)
    before = lead_time_demand(law, lead_time) if lead_time else None

    def fill_rate(level: float) -> float:
        """1 - (backorders after the week's demand - backorders before it) / demand."""
        earlier = float(before.shortage(level)) if before else max(-level, 0.0)
        return 1 - (float(total.shortage(level)) - earlier) / law.mean_demand

    def stock(level: float) -> float:
        return holding_cost * float(total.excess(level))

    levels = [total.mean + z * total.sd for z in np.linspace(-1.5, 3.5, 41)]
    return Single(
        level=best.level,
        cost=best.cost,
        cycle_service=float(total.cdf(best.level)),
        fill_rate=fill_rate(best.level),
        by_level=tuple((level, stock(level), stockout_cost * float(total.shortage(level))) for level in levels),
        frontier=tuple((100 * fill_rate(level), stock(level)) for level in levels),
        point=(100 * fill_rate(best.level), stock(best.level)),
    )


@dataclass(frozen=True)
class Chain:
    """A serial chain: its optimal levels, its stock, and what service costs."""

    echelon_levels: tuple[float, ...]
    """The supplier first, like all lists here."""
    local_levels: tuple[float, ...]
    on_hand: tuple[float, ...]
    """Expected stock at the end of a week."""
    backorders: float
    holding: float
    """Cost of the stock on hand."""
    wait: float
    """Mean days that a unit of demand waits."""
    frontier: tuple[Point, ...]
    """Mean wait in days, holding cost."""


def serial_chain(*, lead_times: Sequence[int], sd: float, stockout_cost: float, frontier: bool = True) -> Chain:
    """Clark and Scarf's optimum of supplier, warehouse and shop, with demand of mean `MEAN` in whole units."""
    law = whole_law(sd)
    best = clark_scarf(
        echelon_holding_cost=_echelon(CHAIN_HOLDING),
        lead_time=lead_times[::-1],
        stockout_cost=stockout_cost,
        demand=law,
    )
    levels = best.echelon_base_stock
    stock, backorders = stock_of(levels, lead_times, law)
    holding = sum(cost * units for cost, units in zip(CHAIN_HOLDING, stock, strict=True))
    others = [
        serial_chain(lead_times=lead_times, sd=sd, stockout_cost=p, frontier=False) for p in STOCKOUT_COSTS * frontier
    ]
    return Chain(
        echelon_levels=levels[::-1],
        local_levels=best.local_base_stock[::-1],
        on_hand=stock,
        backorders=backorders,
        holding=holding,
        wait=7 * backorders / MEAN,
        frontier=tuple((other.wait, other.holding) for other in others),
    )


def whole_law(sd: float) -> Law:
    """Demand in whole units of mean `MEAN`: negative binomial, or Poisson where that is as variable."""
    return NegativeBinomial(mean=MEAN, sd=sd) if sd**2 > MEAN * (1 + 1e-9) else Poisson(mean=MEAN)


def stock_of(levels: Sequence[float], lead_times: Sequence[int], law: Law) -> tuple[tuple[float, ...], float]:
    """Expected stock on hand by stage, the supplier first, and expected backorders, under echelon levels, shop first.

    The cost of given levels is linear in every cost rate, so that what each rate is multiplied with is a difference of
    two costs: ``dC/dp = E[B]`` and ``dC/dh_j = E[IN_j] + E[B]``.
    """
    rates = _echelon(CHAIN_HOLDING)

    def cost(rate: Sequence[float], stockout_cost: float) -> float:
        return serial_cost(
            levels, echelon_holding_cost=rate, lead_time=lead_times[::-1], stockout_cost=stockout_cost, demand=law
        )

    at = cost(rates, 1.0)
    backorders = cost(rates, 2.0) - at
    net = [cost([h + (i == j) for i, h in enumerate(rates)], 1.0) - at - backorders for j in range(len(rates))]
    below = [net[0] + backorders]
    covered = [lead_times[-1] + 1, *lead_times[-2::-1]]
    for j in range(1, len(net)):
        below.append(net[j] - net[j - 1] - law.mean_demand * covered[j - 1])
    return tuple(below[::-1]), backorders


def _echelon(local: Sequence[float]) -> list[float]:
    """Echelon holding costs, the shop first, of local ones, the supplier first."""
    return [own - above for own, above in zip(local, (0.0, *local[:-1]), strict=True)][::-1]


@dataclass(frozen=True)
class Placement:
    """Where safety stock is held so that every service time can be kept, and what other service would cost."""

    solution: GuaranteedService
    frontier: tuple[Point, ...]
    """Service level in per cent, cost of the safety stock a day."""


def placement(*, service_level: float, sd: float, brewery_time: int, promise: int) -> Placement:
    """The guaranteed-service optimum of the brewery's network; times in days, `sd` of the demand of a day."""
    network = brewery(service_level=service_level, sd=sd, brewery_time=brewery_time, promise=promise)
    solution = guaranteed_service(network)
    others = (guaranteed_service(network.with_service_level(level)) for level in SERVICE_LEVELS)
    points = tuple((100 * level, other.cost) for level, other in zip(SERVICE_LEVELS, others, strict=True))
    return Placement(solution, points)


def brewery(*, service_level: float, sd: float, brewery_time: int, promise: int) -> StageNetwork:
    """A brewery with two suppliers and a warehouse, and shops in two regions."""
    stages = []
    for name, (time, cost, suppliers) in STAGE_DATA.items():
        stage = {"name": name, "stage_time": time or brewery_time, "holding_cost": cost, "suppliers": list(suppliers)}
        if name in CUSTOMERS:
            size = CUSTOMERS[name]
            demand = {"demand_mean": 50.0 * size, "demand_sd": sd * size, "service_time": promise}
            stage |= {**demand, "service_level": service_level}
        stages.append(stage)
    return StageNetwork.from_dict({"name": "Brewery", "stages": stages})
