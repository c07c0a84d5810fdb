"""The classic problems: one location with lost sales, serial systems, the beer game, one warehouse with retailers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

from echelon.envs.demand import Law, as_law
from echelon.envs.network import OUTSIDE, Network
from echelon.envs.problem import Problem, Reference
from echelon.envs.problem_defaults import DemandSpec, StockoutRule, default_horizon, one_each

ZIPKIN = "P. Zipkin, Old and new methods for lost-sales inventory systems, Operations Research 56(5), 2008"
CLARK_SCARF = (
    "A. J. Clark and H. Scarf, Optimal policies for a multi-echelon inventory problem, Management Science 6(4), 1960"
)
KAYNOV = (
    "I. Kaynov, M. van Knippenberg, V. Menkovski, A. van Breemen and W. van Jaarsveld, Deep reinforcement learning for "
    "one-warehouse multi-retailer inventory management, International Journal of Production Economics 267, 2024"
)
STERMAN = (
    "J. D. Sterman, Modeling managerial behavior: misperceptions of feedback in a dynamic decision making experiment, "
    "Management Science 35(3), 1989"
)

LOST_SALES_OPTIMA: dict[str, dict[tuple[int, float], float]] = {
    "poisson": {
        (1, 4): 4.04071, (1, 9): 5.43822, (1, 19): 6.67574, (1, 39): 7.83595,
        (2, 4): 4.39530, (2, 9): 6.09364, (2, 19): 7.66442, (2, 39): 9.10638,
        (3, 4): 4.59872, (3, 9): 6.53137, (3, 19): 8.36251, (3, 39): 10.03848,
        (4, 4): 4.72853, (4, 9): 6.83594, (4, 19): 8.88718, (4, 39): 10.79441,
        (5, 4): 4.81390, (5, 9): 7.05802, (5, 19): 9.30505, (5, 39): 11.42217,
        (6, 4): 4.87252, (6, 9): 7.22896, (6, 19): 9.64788, (6, 39): 11.94882,
        (7, 4): 4.91609, (7, 9): 7.36750, (7, 19): 9.93209, (7, 39): 12.40563,
        (8, 4): 4.94848, (8, 9): 7.47995, (8, 19): 10.17260,
    },
    "geometric": {
        (1, 4): 9.81749, (1, 9): 14.50817, (1, 19): 19.21790, (1, 39): 23.86569,
        (2, 4): 10.24021, (2, 9): 15.50289, (2, 19): 20.89055, (2, 39): 26.21377,
        (3, 4): 10.46671, (3, 9): 16.13674, (3, 19): 22.06454, (3, 39): 27.96354,
        (4, 4): 10.60650, (4, 9): 16.57737, (4, 19): 22.95300, (4, 39): 29.35593,
        (5, 4): 10.69768, (5, 9): 16.90105, (5, 19): 23.65448, (5, 39): 30.50780,
        (6, 4): 10.75987, (6, 9): 17.14764, (6, 19): 24.22541, (6, 39): 31.48497,
    },
}  # fmt: skip
"""Average cost per period by (lead time, stockout cost): mean 5, holding cost 1, by value iteration.

Lead times 1 to 4 are the test bed of Zipkin (2008); longer ones extend it with the same parameters."""


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
        *default_horizon(network, periods, warm_up),
        reference=_lost_sales_reference(law, lead_time, holding_cost, stockout_cost),
        citation=ZIPKIN,
    )


def _lost_sales_reference(law: Law, lead_time: int, holding_cost: float, stockout_cost: float) -> Reference | None:
    """The long-run optimum, which scales with the holding cost."""
    if law.mean_demand != 5 or not law.stationary or holding_cost <= 0:
        return None
    optima = LOST_SALES_OPTIMA.get(str(getattr(law, "law", "")), {})
    for (periods, ratio), value in optima.items():
        if periods == lead_time and math.isclose(ratio * holding_cost, stockout_cost):
            bed = "test bed of Zipkin (2008)" + (", extended to longer lead times" if lead_time > 4 else "")
            source = f"relative value iteration; {bed}"
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
    return Problem("echelon/Serial-v0", network, *default_horizon(network, periods, warm_up), citation=CLARK_SCARF)


def beer_game(
    *,
    lead_time: int | Sequence[int] = 2,
    order_delay: int = 1,
    holding_cost: float | Sequence[float] = 0.5,
    stockout_cost: float = 1.0,
    demand: DemandSpec = {"law": "deterministic", "values": (4, 4, 4, 4, 8)},  # noqa: B006 (never changed)
    demand_mean: float | None = None,
    periods: int = 50,
    warm_up: int = 0,
) -> Problem:
    """Factory, distributor, wholesaler and retailer (Sterman 1989): demand steps from 4 to 8 cases a week.

    On the board an order that is written at the end of a week is in the mail in the next week and is served in
    the week after. Here orders are decided at the review at the start of a week, so that a mailing delay of
    `order_delay = 1` gives the same dates; production starts in the week of the review. It takes four weeks from
    an order to its arrival, three from a production request, as on the board; with `order_delay = 0` orders
    reach the supplier at once. Every stage starts with 12 cases on hand and 4 in every week of its pipeline,
    and no orders are in the mail. As in the paper a case costs 0.5 a week in stock and 1 while it is owed; but
    only the retailer's backlog is charged, and units in transit are free.
    """
    network = _serial_network(
        ("factory", "distributor", "wholesaler", "retailer"),
        lead_time=lead_time,
        holding_cost=one_each(holding_cost, 4, "holding_cost"),
        stockout_cost=stockout_cost,
        law=as_law(demand, demand_mean),
        stock=[12.0] * 4,
        in_transit=4.0,
        transit_holding_cost=[0.0] * 4,
        order_delay=[0, *[order_delay] * 3],
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
    laws = [as_law(d, demand_mean) for d in one_each(demand, retailers, "demand")]
    lead_times = one_each(lead_time, retailers, "lead_time")
    holding = one_each(holding_cost, retailers, "holding_cost")
    stockout = one_each(stockout_cost, retailers, "stockout_cost")
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
    return Problem("echelon/OneWarehouse-v0", network, *default_horizon(network, periods, warm_up), citation=KAYNOV)


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
    order_delay: Sequence[int] = (),
) -> Network:
    """Stages in a row, the first one fed from outside."""
    lead_times = one_each(lead_time, len(names), "lead_time")
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
            "order_delay": delay,
            "transit_holding_cost": rate,
            "initial_in_transit": in_transit,
        }
        for source, target, periods, delay, rate in zip(
            (OUTSIDE, *names),
            names,
            lead_times,
            order_delay or [0] * len(names),
            transit_holding_cost,
            strict=False,
        )
    ]
    return Network.from_dict({"name": "serial", "nodes": nodes, "links": links})
