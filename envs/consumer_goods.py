"""The network of a tobacco and foods company, from factories and subcontractors to 1,200 distributors.

By default it has exactly 1,258 nodes: 7 factories and 12 subcontractors supply 4 mother warehouses, one a
region, these supply 35 warehouses, and these 1,200 distributors. The counts are parameters, so that the
same shape can be had with 5 nodes. The counts, the categories, their service targets and their bands of safety
stock are those of the case; shares, rates, costs and lead times are assumptions, the same for the same seed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import compress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from echelon.envs.demand import NegativeBinomial, Promotion
from echelon.envs.errors import ConfigError, nearest
from echelon.envs.network import Network
from echelon.envs.problem import Problem

Data = dict[str, Any]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Category:
    """What the items of a category have in common. Days are periods."""

    name: str
    title: str
    service: float
    """Target of the fraction of demand that is met from stock (beta service)."""
    days: tuple[int, int]
    """Least and most safety stock, in days of mean demand."""
    share: float
    """Of the distributors."""
    waits: bool
    """Whether customers wait for what is out of stock; otherwise the sale is lost."""
    mean: float
    """Cases a day that a middling distributor sells."""
    variation: float
    """Coefficient of variation of a day's demand, beyond that of Poisson demand."""
    promoted: bool = False


CATEGORIES = (
    Category("tobacco_high", "Tobacco (high sellers)", 0.999, (2, 6), 0.25, True, 24.0, 0.3),
    Category("tobacco_low", "Tobacco (low sellers)", 0.999, (6, 10), 0.20, True, 5.0, 0.6),
    Category("packaged_foods", "Packaged foods", 0.95, (2, 6), 0.25, False, 16.0, 0.4),
    Category("ready_to_eat", "Ready-to-eat foods", 0.95, (6, 10), 0.15, False, 8.0, 0.5, promoted=True),
    Category("personal_care", "Personal care products", 0.99, (2, 6), 0.15, True, 10.0, 0.5),
)
"""Service targets and days of safety stock are those of the case; shares and demand are assumptions."""
REGIONS = ("north", "east", "south", "west")
SIZES = (0.5, 1.0, 2.0)
"""Small, middling and large distributors."""
WEEK = (1.05, 1.0, 1.0, 1.05, 1.2, 1.2, 0.5)
"""Profile of demand over the days of a week."""
PREMIUM = 0.5
"""Money per case that a subcontractor costs more than an own factory."""
PROMOTION = Promotion(start=0, length=7, every=84, uplift=2.0)
"""A week in twelve with doubled demand; each region begins three weeks after the one before."""
CITATION = "a consumer-goods case: its counts, categories and service targets; rates, costs and lead times are assumed"


def consumer_goods(
    *,
    factories: int = 7,
    subcontractors: int = 12,
    mother_warehouses: int = 4,
    warehouses: int = 35,
    distributors: int = 1_200,
    own_capacity: float = 1.0,
    subcontracted_capacity: float = 0.5,
    category: str | None = None,
    single_source: bool = False,
    calendar: bool = True,
    seed: int = 0,
    periods: int = 365,
    warm_up: int | None = None,
) -> Problem:
    """A year of a consumer-goods company, day by day, in cases; the first 60 days, at most a sixth, are warm-up.

    Every distributor trades one category of `CATEGORIES`. Those of tobacco and personal care wait for what is
    out of stock, those of foods lose the sale; ready-to-eat foods are promoted for a week in twelve. A mother
    warehouse draws on its own factories first, at most `own_capacity` times its mean demand a day, and then on
    subcontractors, at most `subcontracted_capacity` times and at a premium: a base-stock rule gives them the overflow.
    A case short costs as much as keeps a distributor at the service target of its category (newsvendor ratio).

    The company of one `category` is what is left of the same company without the `distributors` of the others, its
    capacities and first stocks by what is left to sell. With `single_source`, every mother warehouse has its first
    factory alone, without a largest order, so that the network is a tree. Without `calendar`, demand has no profile of
    the week and no promotions. With all three of them and customers who wait, classical theory applies.
    """
    counts = {"factories": factories, "subcontractors": subcontractors, "mother_warehouses": mother_warehouses}
    least = {"mother_warehouses": 1, "warehouses": mother_warehouses, "distributors": warehouses}
    for name, count in (counts | {"warehouses": warehouses, "distributors": distributors}).items():
        if count < least.get(name, 1):
            raise ConfigError([f"{name} must be at least {least.get(name, 1)} (got {count})"])
    known = [one.name for one in CATEGORIES]
    if category is not None and category not in known:
        raise ConfigError([f"category must be that of a distributor (got {category!r}){nearest(category, known)}"])
    rng = np.random.default_rng(seed)
    outlets = _distributors(distributors, warehouses, mother_warehouses, rng, calendar=calendar)
    kept = [category is None or f"_{category}_" in node["name"] for node in outlets]
    flow = _added([node["demand"].mean_demand * sells for node, sells in zip(outlets, kept, strict=True)], warehouses)
    if not flow.all():
        without = f"{np.count_nonzero(flow == 0)} of {warehouses} warehouses without, of {distributors} distributors"
        raise ConfigError([f"distributors must leave every warehouse one that trades {category} (got {without})"])
    flows = _added(flow.tolist(), mother_warehouses)
    upper, supply = _sources(
        factories, subcontractors, flows, (own_capacity, subcontracted_capacity), rng, single_source
    )
    middle, replenishment = _warehouses(flow, mother_warehouses, rng)
    network = Network.from_dict(
        {
            "name": "consumer_goods",
            "nodes": [*upper, *middle, *compress(outlets, kept)],
            "links": [*supply, *replenishment, *compress(_last_mile(outlets, middle, rng), kept)],
            "units": "whole",
        }
    )
    counted_from = min(60, periods // 6) if warm_up is None else warm_up
    return Problem("echelon/ConsumerGoods-v0", network, periods, counted_from, citation=CITATION)


def category_of(name: str) -> Category | None:
    """The category that a distributor trades, by the name of its node; None for all other nodes."""
    return next((category for category in CATEGORIES if f"_{category.name}_" in name), None)


def _region(mother: int) -> str:
    return REGIONS[mother] if mother < len(REGIONS) else f"region_{mother + 1}"


def _added(flow: list[float], receivers: int) -> Floats:
    """[receivers] the flow of all whose turn it is: the members are dealt out to the receivers one by one."""
    return np.array([sum(flow[k::receivers]) for k in range(receivers)])


def _quotas(count: int) -> list[Category]:
    """A category for each of the distributors, by shares: what is left over goes to the largest remainders."""
    exact = np.array([category.share for category in CATEGORIES]) * count
    quotas = np.floor(exact + 1e-9).astype(int)
    largest = np.argsort(quotas - exact, kind="stable")
    quotas[largest[: count - quotas.sum()]] += 1
    return [category for category, quota in zip(CATEGORIES, quotas.tolist(), strict=True) for _ in range(quota)]


def _distributors(count: int, warehouses: int, mothers: int, rng: np.random.Generator, *, calendar: bool) -> list[Data]:
    """The distributors, without their names' order: category and size are dealt out at random."""
    dealt = rng.permutation(count)
    categories, sizes = _quotas(count), np.arange(count) % len(SIZES)
    laws: dict[tuple[str, int, int], NegativeBinomial] = {}
    nodes = []
    for d in range(count):
        category, size, mother = categories[dealt[d]], int(sizes[dealt[d]]), d % warehouses % mothers
        key = (category.name, size, mother if category.promoted else 0)
        law = laws.setdefault(key, _law(category, SIZES[size], mother, calendar=calendar))
        nodes.append(
            {
                "name": f"distributor_{d + 1:04d}_{category.name}_{_region(mother)}",
                "demand": law,
                "holding_cost": 1.0,
                "stockout_cost": round(category.service / (1 - category.service), 6),
                "stockout_rule": "backorder" if category.waits else "lost_sales",
                "initial_on_hand": 3 * math.ceil(law.mean_demand),
            }
        )
    return nodes


def _law(category: Category, size: float, mother: int, *, calendar: bool) -> NegativeBinomial:
    mean = category.mean * size
    sd = math.sqrt(mean + (category.variation * mean) ** 2)
    if not calendar:
        return NegativeBinomial(mean=mean, sd=sd)
    promotions = (PROMOTION.model_copy(update={"start": 21 * (mother % len(REGIONS))}),) if category.promoted else ()
    return NegativeBinomial(mean=mean, sd=sd, seasonal=WEEK, promotions=promotions)


def _sources(
    factories: int,
    subcontractors: int,
    flows: Floats,
    capacities: tuple[float, float],
    rng: np.random.Generator,
    single: bool,
) -> tuple[list[Data], list[Data]]:
    """Factories, subcontractors and mother warehouses, with the links into them."""
    own = [f"factory_{k + 1}" for k in range(factories)]
    others = [f"subcontractor_{k + 1:02d}" for k in range(subcontractors)]
    mothers = [
        {"name": f"mother_warehouse_{_region(m)}", "holding_cost": 0.6, "initial_on_hand": 3 * math.ceil(flow)}
        for m, flow in enumerate(flows.tolist())
    ]
    links = _alternatives(own, mothers, flows * capacities[0], rng.integers(2, 5, factories + len(mothers)).tolist())
    for link in links:
        link["initial_in_transit"] = link["max_order"]
    overflow = rng.integers(3, 6, subcontractors + len(mothers)).tolist()
    links += [
        {**link, "unit_cost": PREMIUM} for link in _alternatives(others, mothers, flows * capacities[1], overflow)
    ]
    if single:
        links = _first_sources(links, flows)
    most = dict.fromkeys((*own, *others), 0)
    for link in links:
        most[link["source"]] += link["initial_in_transit" if single else "max_order"]
    nodes = [{"name": name, "holding_cost": 0.4, "initial_on_hand": 2 * units} for name, units in most.items() if units]
    bought = [
        {"target": name, "lead_time": time, "initial_in_transit": most[name] if name in own else 0}
        for name, time in zip(most, rng.integers(2, 5, len(most)).tolist(), strict=True)
        if most[name]
    ]
    return [*nodes, *mothers], [*bought, *links]


def _alternatives(sources: list[str], mothers: list[Data], capacity: Floats, days: list[int]) -> list[Data]:
    """Links that give every source a mother warehouse, and every mother warehouse a source, in turn."""
    pairs = [(k % len(sources), k % len(mothers)) for k in range(max(len(sources), len(mothers)))]
    shared_by = np.bincount([m for _, m in pairs])
    return [
        {
            "source": sources[k],
            "target": mothers[m]["name"],
            "component": "goods",
            "lead_time": time,
            "max_order": math.ceil(capacity[m] / shared_by[m]),
        }
        for (k, m), time in zip(pairs, days, strict=False)
    ]


def _first_sources(links: list[Data], flows: Floats) -> list[Data]:
    """The first link into every mother warehouse, in their order, with all of its flow and no largest order."""
    first = {link["target"]: link for link in reversed(links)}
    targets = dict.fromkeys(link["target"] for link in links)
    return [
        {key: first[target][key] for key in ("source", "target", "lead_time")} | {"initial_in_transit": math.ceil(flow)}
        for target, flow in zip(targets, flows.tolist(), strict=True)
    ]


def _warehouses(flow: Floats, mothers: int, rng: np.random.Generator) -> tuple[list[Data], list[Data]]:
    """Warehouses, with the links into them."""
    regions = [_region(w % mothers) for w in range(len(flow))]
    nodes = [
        {"name": f"warehouse_{w + 1:02d}_{region}", "holding_cost": 0.8, "initial_on_hand": 3 * math.ceil(flow[w])}
        for w, region in enumerate(regions)
    ]
    days = rng.integers(2, 5, len(nodes)).tolist()
    sources = [f"mother_warehouse_{region}" for region in regions]
    return nodes, _links(sources, nodes, days, flow.tolist())


def _last_mile(outlets: list[Data], warehouses: list[Data], rng: np.random.Generator) -> list[Data]:
    """The links from the warehouses to the distributors."""
    sources = [warehouses[d % len(warehouses)]["name"] for d in range(len(outlets))]
    days = rng.integers(1, 3, len(outlets)).tolist()
    return _links(sources, outlets, days, [node["demand"].mean_demand for node in outlets])


def _links(sources: list[str], nodes: list[Data], days: list[int], flow: list[float]) -> list[Data]:
    return [
        {"source": source, "target": node["name"], "lead_time": time, "initial_in_transit": math.ceil(mean)}
        for source, node, time, mean in zip(sources, nodes, days, flow, strict=True)
    ]
