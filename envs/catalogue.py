"""The catalogue: problems by id, with the paper they come from and what is known about their best cost.

One dictionary feeds the configs, the command line and the Gymnasium ids.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from echelon.envs.arguments import argument_defects, plain
from echelon.envs.codec import Codec
from echelon.envs.defects import dotted
from echelon.envs.demand import Law, as_law
from echelon.envs.errors import ConfigError, nearest
from echelon.envs.network import OUTSIDE, Network
from echelon.envs.problem import Problem, Reference

DemandSpec = str | Mapping[str, Any] | Law
StockoutRule = Literal["backorder", "lost_sales"]

ZIPKIN = "P. Zipkin, Old and new methods for lost-sales inventory systems, Operations Research 56(5), 2008"
CLARK_SCARF = (
    "A. J. Clark and H. Scarf, Optimal policies for a multi-echelon inventory problem, Management Science 6(4), 1960"
)
KAYNOV = "I. Kaynov et al., Deep reinforcement learning for one-warehouse multi-retailer inventory, IJPE 267, 2024"
STERMAN = "J. D. Sterman, Modeling managerial behavior: misperceptions of feedback, Management Science 35(3), 1989"

LOST_SALES_OPTIMA: dict[str, dict[tuple[int, float], float]] = {
    "poisson": {
        (1, 4): 4.04071, (1, 9): 5.43822, (1, 19): 6.67575, (1, 39): 7.83594,
        (2, 4): 4.39529, (2, 9): 6.09364, (2, 19): 7.66442, (2, 39): 9.10638,
        (3, 4): 4.59872, (3, 9): 6.53137, (3, 19): 8.36251, (3, 39): 10.03847,
        (4, 4): 4.72852, (4, 9): 6.83595, (4, 19): 8.88718, (4, 39): 10.79441,
        (5, 4): 4.81390, (5, 9): 7.05802, (5, 19): 9.30505, (5, 39): 11.42216,
        (6, 4): 4.87251, (6, 9): 7.22896, (6, 19): 9.64787, (6, 39): 11.94880,
    },
    "geometric": {
        (1, 4): 9.8175, (1, 19): 19.2179, (1, 39): 23.8657,
        (2, 9): 15.5029, (2, 19): 20.8906,
        (3, 4): 10.4667, (3, 9): 16.1367, (3, 39): 27.9635,
    },
}  # fmt: skip
"""Average cost per period by (lead time, stockout cost): mean 5, holding cost 1, by value iteration."""


def lost_sales(
    *,
    lead_time: int = 4,
    holding_cost: float = 1.0,
    stockout_cost: float = 4.0,
    demand: DemandSpec = "poisson",
    demand_mean: float = 5.0,
    periods: int | None = None,
    warm_up: int | None = None,
) -> Problem:
    """One location with a lead time, whose customers do not wait (Zipkin 2008)."""
    law = as_law(demand, demand_mean)
    flow = round(law.mean_demand)
    node = {
        "name": "store",
        "holding_cost": holding_cost,
        "stockout_cost": stockout_cost,
        "stockout_rule": "lost_sales",
        "demand": law,
        "initial_on_hand": flow,
    }
    link = {"target": "store", "lead_time": lead_time, "initial_in_transit": flow}
    network = Network.from_dict({"name": "lost_sales", "nodes": [node], "links": [link]})
    return Problem(
        "echelon/LostSales-v0",
        network,
        *_horizon(network, periods, warm_up),
        reference=_lost_sales_reference(law, lead_time, holding_cost, stockout_cost),
        citation=ZIPKIN,
    )


def _horizon(network: Network, periods: int | None, warm_up: int | None) -> tuple[int, int]:
    """Periods and warm-up, where they are left open: ten echelon lead times of warm-up, at least 100 periods,
    and 1,000 periods that count; with given periods the warm-up is at most a tenth of them."""
    longest = 10 * int(Codec(network).echelon_cover.max())
    if warm_up is None:
        warm_up = max(100, longest) if periods is None else min(max(100, longest), periods // 10)
    return (1_000 + warm_up if periods is None else periods), warm_up


def _lost_sales_reference(law: Law, lead_time: int, holding_cost: float, stockout_cost: float) -> Reference | None:
    """The long-run optimum, which scales with the holding cost."""
    if law.mean_demand != 5 or not law.stationary or holding_cost <= 0:
        return None
    optima = LOST_SALES_OPTIMA.get(str(getattr(law, "law", "")), {})
    for (periods, ratio), value in optima.items():
        if periods == lead_time and math.isclose(ratio * holding_cost, stockout_cost):
            source = "relative value iteration; test bed of Zipkin (2008)"
            return Reference(value * holding_cost, "optimal", source)
    return None


def serial(
    *,
    lead_time: int | Sequence[int] = (1, 1, 1, 1),
    holding_cost: Sequence[float] = (1.0, 2.0, 3.0, 4.0),
    stockout_cost: float = 40.0,
    demand: DemandSpec = "poisson",
    demand_mean: float = 5.0,
    periods: int | None = None,
    warm_up: int | None = None,
) -> Problem:
    """Stages in a row, the first one fed from outside, the last one facing customers who wait (Clark and Scarf 1960).

    Lists go from the first stage to the customers. Units in transit are charged the holding cost of
    the stage that shipped them.
    """
    law = as_law(demand, demand_mean)
    flow = float(round(law.mean_demand))
    names = [f"stage_{i + 1}" for i in range(len(holding_cost))]
    network = _serial_network(
        names,
        lead_time=lead_time,
        holding_cost=holding_cost,
        stockout_cost=stockout_cost,
        law=law,
        stock=[flow] * (len(names) - 1) + [2 * flow],
        in_transit=flow,
        transit_holding_cost=[0.0, *holding_cost[:-1]],
    )
    return Problem("echelon/Serial-v0", network, *_horizon(network, periods, warm_up), citation=CLARK_SCARF)


def beer_game(
    *,
    lead_time: int | Sequence[int] = 2,
    holding_cost: float | Sequence[float] = 0.5,
    stockout_cost: float = 1.0,
    demand: DemandSpec = {"law": "deterministic", "values": (4, 4, 4, 4, 8)},  # noqa: B006 (never changed)
    demand_mean: float | None = None,
    periods: int = 50,
    warm_up: int = 0,
) -> Problem:
    """Factory, distributor, wholesaler and retailer (Sterman 1989): demand steps from 4 to 8 cases a week.

    Orders reach the supplier at once; only the retailer's backlog is charged, and units in transit
    are free. Every stage starts with
    12 cases on hand and 4 in every week of its pipeline.
    """
    network = _serial_network(
        ("factory", "distributor", "wholesaler", "retailer"),
        lead_time=lead_time,
        holding_cost=_each(holding_cost, 4, "holding_cost"),
        stockout_cost=stockout_cost,
        law=as_law(demand, demand_mean),
        stock=[12.0] * 4,
        in_transit=4.0,
        transit_holding_cost=[0.0] * 4,
    )
    return Problem("echelon/BeerGame-v0", network, periods=periods, warm_up=warm_up, citation=STERMAN)


def one_warehouse(
    *,
    retailers: int = 3,
    warehouse_lead_time: int = 2,
    lead_time: int | Sequence[int] = 1,
    warehouse_holding_cost: float = 0.5,
    holding_cost: float | Sequence[float] = 1.0,
    stockout_cost: float | Sequence[float] = 9.0,
    stockout_rule: StockoutRule = "backorder",
    allocation: Literal["proportional", "priority"] = "proportional",
    demand: DemandSpec | Sequence[DemandSpec] = "poisson",
    demand_mean: float = 3.0,
    periods: int | None = None,
    warm_up: int | None = None,
) -> Problem:
    """One warehouse that supplies several retailers. A list holds one value per retailer."""
    laws = [as_law(d, demand_mean) for d in _each(demand, retailers, "demand")]
    lead_times = _each(lead_time, retailers, "lead_time")
    holding = _each(holding_cost, retailers, "holding_cost")
    stockout = _each(stockout_cost, retailers, "stockout_cost")
    flows = [round(law.mean_demand) for law in laws]
    names = [f"retailer_{i + 1}" for i in range(retailers)]
    warehouse = {"name": "warehouse", "holding_cost": warehouse_holding_cost, "allocation": allocation}
    nodes = [{**warehouse, "initial_on_hand": sum(flows)}] + [
        {
            "name": name,
            "holding_cost": holding[i],
            "stockout_cost": stockout[i],
            "stockout_rule": stockout_rule,
            "demand": laws[i],
            "initial_on_hand": 2 * flows[i],
        }
        for i, name in enumerate(names)
    ]
    links = [{"target": "warehouse", "lead_time": warehouse_lead_time, "initial_in_transit": sum(flows)}] + [
        {"source": "warehouse", "target": name, "lead_time": lead_times[i], "initial_in_transit": flows[i]}
        for i, name in enumerate(names)
    ]
    network = Network.from_dict({"name": "one_warehouse", "nodes": nodes, "links": links})
    return Problem("echelon/OneWarehouse-v0", network, *_horizon(network, periods, warm_up), citation=KAYNOV)


def network_problem(
    *,
    path: str | Path | None = None,
    network: Network | Mapping[str, Any] | None = None,
    periods: int | None = None,
    warm_up: int | None = None,
    discount: float = 1.0,
) -> Problem:
    """Any network, from a YAML file or given as data; without either, a plant with two components and two stores."""
    if path is not None and network is not None:
        raise ConfigError(["give either path or network, not both"])
    if path is not None:
        described = Network.from_yaml(path)
    elif network is None:
        described = _example_network()
    else:
        described = network if isinstance(network, Network) else Network.from_dict(network)
    horizon = _horizon(described, periods, 0 if discount < 1 and warm_up is None else warm_up)
    return Problem("echelon/Network-v0", described, *horizon, discount=discount, citation=described.description)


PROBLEMS: dict[str, Callable[..., Problem]] = {
    "echelon/LostSales-v0": lost_sales,
    "echelon/Serial-v0": serial,
    "echelon/BeerGame-v0": beer_game,
    "echelon/OneWarehouse-v0": one_warehouse,
    "echelon/Network-v0": network_problem,
}


def make_problem(problem_id: str, **parameters: Any) -> Problem:
    """A problem of the catalogue. Raises `ConfigError` for an unknown id or parameter."""
    if problem_id not in PROBLEMS:
        raise ConfigError([f"unknown problem {problem_id!r}{nearest(problem_id, PROBLEMS)}"])
    builder = PROBLEMS[problem_id]
    defects = argument_defects(builder, parameters)
    if defects:
        raise ConfigError(f"{problem_id}: {dotted(path)}: {must}" for path, must in defects)
    values = {name: plain(value) for name, value in parameters.items()}
    return replace(builder(**values), parameters=values)


def _serial_network(
    names: Sequence[str],
    *,
    lead_time: int | Sequence[int],
    holding_cost: Sequence[float],
    stockout_cost: float,
    law: Law,
    stock: Sequence[float],
    in_transit: float,
    transit_holding_cost: Sequence[float],
) -> Network:
    """Stages in a row, the first one fed from outside."""
    lead_times = _each(lead_time, len(names), "lead_time")
    nodes: list[dict[str, Any]] = [
        {"name": name, "holding_cost": cost, "initial_on_hand": quantity}
        for name, cost, quantity in zip(names, holding_cost, stock, strict=True)
    ]
    nodes[-1] |= {"demand": law, "stockout_cost": stockout_cost}
    links = [
        {
            "source": source,
            "target": target,
            "lead_time": periods,
            "transit_holding_cost": rate,
            "initial_in_transit": in_transit,
        }
        for source, target, periods, rate in zip(
            (OUTSIDE, *names), names, lead_times, transit_holding_cost, strict=False
        )
    ]
    return Network.from_dict({"name": "serial", "nodes": nodes, "links": links})


def _each(value: Any, count: int, name: str) -> list[Any]:
    """One value per member: a single value is repeated, a list must have the right length."""
    if isinstance(value, str | Mapping | Law) or not isinstance(value, Sequence):
        return [value] * count
    if len(value) != count:
        raise ConfigError([f"{name} must be one value or {count} (got {len(value)})"])
    return list(value)


def _example_network() -> Network:
    """A plant that assembles two components and supplies two stores."""
    return Network.from_dict(
        {
            "name": "assembly_and_stores",
            "nodes": [
                {"name": "part_a", "holding_cost": 0.2, "initial_on_hand": 8},
                {"name": "part_b", "holding_cost": 0.3, "initial_on_hand": 8},
                {"name": "plant", "holding_cost": 1.0, "initial_on_hand": 8},
                *(
                    {
                        "name": f"store_{i}",
                        "holding_cost": 1.5,
                        "stockout_cost": 20.0,
                        "initial_on_hand": 8,
                        "demand": {"law": "poisson", "mean": 4.0},
                    }
                    for i in (1, 2)
                ),
            ],
            "links": [
                {"target": "part_a", "lead_time": 3, "initial_in_transit": 8},
                {"target": "part_b", "lead_time": 1, "initial_in_transit": 8},
                {"source": "part_a", "target": "plant", "lead_time": 1, "initial_in_transit": 8},
                {"source": "part_b", "target": "plant", "lead_time": 1, "initial_in_transit": 8},
                {"source": "plant", "target": "store_1", "lead_time": 1, "initial_in_transit": 4},
                {"source": "plant", "target": "store_2", "lead_time": 2, "initial_in_transit": 4},
            ],
        }
    )
