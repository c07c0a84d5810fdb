"""Every feature of the model in a trace that was worked by hand, on every backend.

A case is data: a network, the orders and draws of each period, and a table by hand with a line for
each figure and a column for each period. Unless the case says otherwise all units are whole, holding
costs 1 and stockouts cost 10 a unit at the shops, and all else is free. `made` and `defective` of a
period run from its review to the next one, so they hold the arrivals of the period that follows.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np
import pytest

from echelon.envs.dynamics import initial_state
from echelon.envs.network import Network
from echelon.envs.simulate import stepper
from echelon.envs.state import LEDGER_AXES
from echelon.envs.state import Draw as DrawArrays

from .referee import Draw, echelon_position, inventory_position
from .strategies import Orders, Trial, draw_arrays, follow

Backend = Literal["referee", "specification", "compiled"]
BACKENDS: tuple[Backend, ...] = ("referee", "specification", "compiled")
Table = dict[str, list[float]]
"""By "figure node" or "figure link": a column for each period."""


class Case(NamedTuple):
    """A trace by hand."""

    name: str
    network: dict[str, Any]
    orders: Orders
    draws: list[Draw]
    expected: Table
    """Figures of the ledger, and `owed` after the period, `position` and `echelon` at its review, `cost all`."""


def run_case(case: Case, backend: Backend) -> Table:
    """The figures that a backend gives for the lines of the case's table."""
    trial = Trial(Network.from_dict(case.network), case.draws, case.orders)
    figures = by_referee(trial) if backend == "referee" else by_package(trial, backend)
    return {line: [period[line] for period in figures] for line in case.expected}


def by_referee(trial: Trial) -> list[dict[str, float]]:
    """The lines of every period by the referee; all but the ledger's `stockout`."""
    views, records = follow(trial)
    periods = []
    for view, record in zip(views, records, strict=True):
        kinds: dict[str, Any] = {name: record[name] for name in LEDGER_AXES if name in record and name != "stockout"}  # type: ignore[literal-required]
        kinds["in_transit"] = {e: record["pipeline"][e] + record["waiting"][e] for e in record["waiting"]}
        kinds["placed"] = {e: order > 0 for e, order in record["ordered"].items()}
        kinds["owed"] = record["owed"]
        kinds["position"] = dict(enumerate(inventory_position(trial.network, view)))
        kinds["echelon"] = dict(enumerate(echelon_position(trial.network, view)))
        kinds["cost"] = {"all": record["cost"]}
        periods.append(_lines(kinds))
    return periods


def by_package(trial: Trial, backend: Literal["specification", "compiled"]) -> list[dict[str, float]]:
    """The lines of every period by a backend of the package."""
    network, step = trial.network, stepper(backend)
    names: dict[str, list[Any]] = {
        "N": [node.name for node in network.nodes],
        "C": [outlet.name for outlet in network.outlets],
        "E": list(range(len(network.links))),
    }
    axes = {**LEDGER_AXES, "owed": "E", "position": "E", "echelon": "E"}
    state, periods = initial_state(network, 1), []
    for orders, draw in zip(trial.orders, trial.draws, strict=True):
        rows: dict[str, Any] = {"position": state.inventory_position[0], "echelon": state.echelon_inventory_position[0]}
        state, ledger = step(state, _row(orders), DrawArrays(**draw_arrays(network, draw)))
        rows |= {"owed": state.owed[0], **{name: getattr(ledger, name)[0] for name in LEDGER_AXES}}
        kinds = {kind: dict(zip(names[axes[kind]], row, strict=True)) for kind, row in rows.items()}
        periods.append(_lines({**kinds, "cost": {"all": ledger.cost[0]}}))
    return periods


def _row(values: list[float]) -> Any:
    return np.asarray([values], dtype=np.float64)


def _lines(kinds: dict[str, dict[Any, float]]) -> dict[str, float]:
    return {f"{kind} {key}": float(figure) for kind, row in kinds.items() for key, figure in row.items()}


def shop(name: str = "shop", **fields: Any) -> dict[str, Any]:
    """A node with customers; the case sets what they ask for."""
    demand = {"law": "deterministic", "values": [1]}
    return {"name": name, "demand": demand, "holding_cost": 1, "stockout_cost": 10, **fields}


def asks(*demand: float, **kinds: list[Any]) -> list[Draw]:
    """The draws of a network with one shop: what its customers ask for, and what else chance decides."""
    periods: list[Any] = [{"demand": {"shop": asked}} for asked in demand]
    for kind, entries in kinds.items():
        for period, entry in zip(periods, entries, strict=True):
            period[kind] = entry
    return periods


def asks_each(**demand: list[float]) -> list[Draw]:
    """The draws of a network with several shops: what the customers of each ask for."""
    return [{"demand": dict(zip(demand, asked, strict=True))} for asked in zip(*demand.values(), strict=True)]


SUPPLY: list[Case] = [
    Case(
        "two sources of one component feed one stock",
        {
            "nodes": [shop(initial_on_hand=1)],
            "links": [
                {"name": "slow", "target": "shop", "lead_time": 2, "unit_cost": 1, "initial_in_transit": 2},
                {"name": "fast", "target": "shop", "unit_cost": 3},
            ],
        },
        # t=0: 1+2 = 3, all sold. Under way: 2 due at t=1, the new 4 due at t=2.            Cost: 4*1
        # t=1: 2 arrive, 2 come fast: 4; sells 4 of 5.                                     Cost: 3*1 + 2*3 + 10*1
        # t=2: 4 arrive; 1 for who waits, 2 sold, 1 left.                                  Cost: 1
        # t=3: 3 arrive and 1 fast: 1+3+1 = 5, all sold.                                   Cost: 3
        [[4, 0], [3, 2], [0, 0], [0, 1]],
        asks(3, 5, 2, 5),
        {
            "on_hand shop": [0, 0, 1, 0],
            "backorders shop": [0, 1, 0, 0],
            "delivered shop": [3, 4, 3, 5],
            "in_transit 0": [6, 7, 3, 0],
            "in_transit 1": [0, 0, 0, 0],
            "made shop": [2, 6, 3, 1],
            # Before the orders: 3 on hand and 2 under way; 2 and 4; 4 less 1 and 3; 1 and 3.  Both links see all of it.
            "position 0": [5, 6, 6, 4],
            "position 1": [5, 6, 6, 4],
            "cost all": [4, 19, 1, 3],
        },
    ),
    Case(
        "a plant takes two bolts, from two sources, and one plate for each unit",
        {
            "nodes": [shop(stockout_cost=4)],
            "links": [
                {"name": "A", "target": "shop", "component": "bolt", "quantity": 2, "lead_time": 1}
                | {"transit_holding_cost": 0.5},
                {"name": "B", "target": "shop", "component": "bolt", "quantity": 2},
                {"target": "shop", "component": "plate", "lead_time": 1, "transit_holding_cost": 0.25},
            ],
        },
        # t=0: nothing there, 1 waits. Under way 5 bolts, 3 plates.                    Cost: 0.5*5 + 0.25*3 + 4
        # t=1: 5 bolts and 3 plates make 2; 1 bolt and 1 plate wait. 1 to who waits.   Cost: 1 + 0.5 + 0.25
        # t=2: 3 bolts at once: 4 bolts, 1 plate make 1; 2 bolts wait. Sells 1 of 2.   Cost: 1 + 0.5*2
        # t=3: sells 1, 2 wait.                                                        Cost: 0.5*2 + 4*2
        [[5, 0, 3], [0, 0, 0], [0, 3, 0], [0, 0, 0]],
        asks(1, 0, 1, 3),
        {
            "on_hand shop": [0, 1, 1, 0],
            "backorders shop": [1, 0, 0, 2],
            "in_transit 0": [5, 1, 2, 2],
            "in_transit 1": [0, 0, 0, 0],
            "in_transit 2": [3, 1, 0, 0],
            "made shop": [2, 0, 1, 0],
            # In bolts: twice what the shop has, which is 2 less 1, 1 and 1, and the bolts that wait, 1, 1 and 2.
            "position 0": [0, 3, 3, 4],
            "position 1": [0, 3, 3, 4],
            "position 2": [0, 2, 2, 1],
            "cost all": [7.25, 1.75, 2, 9],
        },
    ),
    Case(
        "in continuous units half a component makes a unit, and all of it is used",
        {
            "units": "continuous",
            "nodes": [shop()],
            "links": [{"target": "shop", "quantity": 0.5}],
        },
        # 1.25 make 2.5; 2 are sold. 0.25 make 0.5; with the 0.5 left all are sold.
        [[1.25], [0.25]],
        asks(2, 1),
        {"on_hand shop": [0.5, 0], "made shop": [2.5, 0.5], "in_transit 0": [0, 0], "cost all": [0.5, 0]},
    ),
    Case(
        "echelon positions count downstream stock in units of the component, and a pool once for each of its sources",
        {
            "nodes": [
                {"name": "a", "initial_on_hand": 4},
                {"name": "b", "initial_on_hand": 6},
                shop(initial_on_hand=3),
            ],
            "links": [
                {"target": "a"},
                {"target": "b"},
                {"name": "slow", "source": "a", "target": "shop", "component": "part", "quantity": 2, "lead_time": 2},
                {"name": "fast", "source": "a", "target": "shop", "component": "part", "quantity": 2},
                {"name": "other", "source": "b", "target": "shop", "component": "part", "quantity": 2, "lead_time": 1},
            ],
        },
        # t=0: a ships 1 for t=2, b ships 4 for t=1. Shop 3-1 = 2.
        # t=1: 4 parts make 2: shop 4; a 3 and b 2; 1 part under way.
        # t=2: the part arrives and waits for another.
        [[0, 0, 1, 0, 4], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0]],
        asks(1, 0, 0),
        {
            "on_hand shop": [2, 4, 4],
            "in_transit 2": [1, 1, 1],
            "position 4": [6, 9, 9],
            "position 0": [4, 3, 3],
            "echelon 0": [10, 12, 12],
            "echelon 1": [12, 11, 11],
            "echelon 3": [6, 9, 9],
        },
    ),
    Case(
        "shipments cross when lead times do",
        {
            "nodes": [shop(initial_on_hand=1, stockout_cost=5)],
            "links": [{"target": "shop", "lead_time": {"values": [0, 1, 3]}}],
        },
        # t=0: 5 leave for t=3. t=1: 4 leave for t=2; 2 wait. t=2: 4 arrive and 2 at once: 6 less 2 less 1.
        # t=3: 5 arrive.
        [[5], [4], [2], [0]],
        asks(1, 2, 1, 0, lead_time=[{0: 3}, {0: 1}, {0: 0}, {0: 1}]),
        {
            "on_hand shop": [0, 0, 3, 8],
            "backorders shop": [0, 2, 0, 0],
            "in_transit 0": [5, 9, 5, 0],
            "position 0": [1, 5, 7, 8],
            "cost all": [0, 10, 3, 8],
        },
    ),
    Case(
        "shipments that must not cross arrive together; what starts in transit arrives for the shortest lead time",
        {
            "nodes": [shop(stockout_cost=5)],
            "links": [
                {"target": "shop", "lead_time": {"values": [1, 3], "crossover": False}, "initial_in_transit": 2},
            ],
        },
        # Lead times 3, 1, 1, 1 by the dice: so 3, then at least 2, then at least 1: 5, 4 and 2 all arrive at t=3.
        # t=0: the 2 that start in transit arrive and are sold. t=3: 11 less the 3 who wait.
        [[5], [4], [2], [1]],
        asks(2, 2, 1, 0, lead_time=[{0: 3}, {0: 2}, {0: 1}, {0: 1}]),
        {
            "on_hand shop": [0, 0, 0, 8],
            "backorders shop": [0, 2, 3, 0],
            "in_transit 0": [5, 9, 11, 1],
            "cost all": [0, 10, 15, 8],
        },
    ),
    Case(
        "sources hear of orders late, and positions count what they have not heard of",
        {
            "nodes": [{"name": "depot", "holding_cost": 1, "initial_on_hand": 4}, shop(initial_on_hand=2)],
            "links": [
                {"target": "depot", "order_delay": 2},
                {"source": "depot", "target": "shop", "lead_time": 1, "order_delay": 1},
            ],
        },
        # t=0: nobody has heard. t=1: the depot hears of 3 and ships them for t=2.
        # t=2: the outside source hears of 3, the depot has 1+3, hears of 3 and ships them for t=3.
        [[3, 3], [0, 3], [0, 0], [0, 0]],
        asks(1, 1, 2, 0),
        {
            "ordered 1": [3, 3, 0, 0],
            "shipped 0": [0, 0, 3, 0],
            "shipped 1": [0, 3, 3, 0],
            "owed 1": [0, 0, 0, 0],
            "in_transit 1": [0, 3, 3, 0],
            "on_hand depot": [4, 1, 1, 1],
            "on_hand shop": [1, 0, 1, 4],
            # t=1: depot 4 less 3 that the shop has asked for, and 3 asked for outside. t=2: 1-3+3.
            "position 0": [4, 4, 1, 1],
            "position 1": [2, 4, 6, 4],
            "echelon 0": [6, 8, 7, 5],
            "cost all": [5, 1, 2, 5],
        },
    ),
    Case(
        "a link with a capacity leaves the rest owed, or drops it",
        {
            "nodes": [shop("a"), shop("b")],
            "links": [
                {"target": "a", "capacity": 3, "unit_cost": 1},
                {"target": "b", "capacity": 3, "unfilled": "drop"},
            ],
        },
        # a: 8 owed, then 5, then 2+2, then 1. b: 3 of 8, 5 forgotten.
        # Cost, holding and stockouts and what a has bought: 1+1+3, 2+10+3, 3+10+3, 2+30+1.
        [[8, 8], [0, 0], [2, 2], [0, 0]],
        asks_each(a=[2, 2, 2, 2], b=[2, 2, 2, 2]),
        {
            "shipped 0": [3, 3, 3, 1],
            "owed 0": [5, 2, 1, 0],
            "shipped 1": [3, 0, 2, 0],
            "dropped 1": [5, 0, 0, 0],
            "on_hand a": [1, 2, 3, 2],
            "backorders b": [0, 1, 1, 3],
            "position 0": [0, 6, 4, 4],
            "position 1": [0, 1, -1, -1],
            "cost all": [5, 15, 16, 33],
        },
    ),
    Case(
        "orders are raised to the least and to whole lots, and cut to the most",
        {
            "nodes": [shop()],
            "links": [{"target": "shop", "min_order": 6, "lot_size": 3, "max_order": 12, "fixed_cost": 2}],
        },
        # 1 is raised to 6; 7 to three lots; 20 is cut; 0 stays and costs nothing; 13 would be five lots and is cut.
        [[1], [7], [20], [0], [13]],
        asks(5, 5, 5, 5, 5),
        {
            "ordered 0": [6, 9, 12, 0, 12],
            "placed 0": [1, 1, 1, 0, 1],
            "on_hand shop": [1, 5, 12, 7, 14],
            "cost all": [3, 7, 14, 7, 16],
        },
    ),
    Case(
        "three lots of 0.3 are an order of 0.9, although 0.9 / 0.3 is more than 3 to a computer",
        {"units": "continuous", "nodes": [shop()], "links": [{"target": "shop", "lot_size": 0.3}]},
        [[0.9], [1.0], [0.1]],
        asks(0, 0, 0),
        {"ordered 0": [0.9, 1.2, 0.3], "on_hand shop": [0.9, 2.1, 2.4]},
    ),
]

MAKING: list[Case] = [
    Case(
        "a node makes no more than its capacity in a period, and components wait",
        {
            "nodes": [shop(capacity=3)],
            "links": [
                {"name": "slow", "target": "shop", "lead_time": 1, "transit_holding_cost": 0.5},
                {"name": "fast", "target": "shop", "transit_holding_cost": 0.5},
            ],
        },
        # t=1: of 5 that arrive 3 are made; the fast 1 comes too late for this period: 3 wait. Shop 3-2.
        # t=2: the 3 are made: 1+3, all sold. 4 leave for t=3.     t=3: 3 of 4 are made, 1 waits.
        # t=4: that 1 is made, and of 5 that come fast 2 more: 3+1+2, and 3 wait, which are made at t=5.
        [[5, 0], [0, 1], [4, 0], [0, 0], [0, 5]],
        asks(0, 2, 4, 0, 0),
        {
            "made shop": [3, 3, 3, 1, 5],
            "on_hand shop": [0, 1, 0, 3, 6],
            "in_transit 0": [5, 3, 4, 1, 3],
            "cost all": [2.5, 2.5, 2, 3.5, 7.5],
        },
    ),
    Case(
        "nodes of one machine use it up in their order",
        {
            "nodes": [shop("red"), shop("blue", holding_cost=2)],
            "links": [{"target": "red", "lead_time": 1}, {"target": "blue", "lead_time": 1}],
            "resources": [{"name": "machine", "capacity": 4, "members": ["blue", "red"]}],
        },
        # t=1: 3 and 3 arrive: red makes 3, blue 1, 2 wait. t=2: 2 more reds, and the 2 blues that waited.
        [[3, 3], [2, 0], [0, 0]],
        asks_each(red=[0, 1, 1], blue=[0, 1, 1]),
        {
            "made red": [3, 2, 0],
            "made blue": [1, 2, 0],
            "on_hand red": [0, 2, 3],
            "on_hand blue": [0, 0, 1],
            "in_transit 1": [3, 2, 0],
            "cost all": [0, 2, 5],
        },
    ),
    Case(
        "upstream nodes use a machine before downstream nodes, however they are listed",
        {
            "nodes": [shop(), {"name": "depot", "initial_on_hand": 5}],
            "links": [
                {"target": "depot", "lead_time": 1},
                {"source": "depot", "target": "shop", "lead_time": 1},
            ],
            "resources": [{"name": "machine", "capacity": 3, "members": ["shop", "depot"]}],
        },
        # t=1: 3 arrive at the depot, which makes 3; the shop's 2 wait until t=2.
        [[3, 2], [0, 0], [0, 0]],
        asks(0, 1, 1),
        {
            "made depot": [3, 0, 0],
            "made shop": [0, 2, 0],
            "on_hand depot": [3, 6, 6],
            "on_hand shop": [0, 0, 0],
            "backorders shop": [0, 1, 0],
            "cost all": [0, 10, 0],
        },
    ),
    Case(
        "a shared room holds no more than its capacity, and what does not fit waits at the door",
        {
            "nodes": [{"name": "depot", "holding_cost": 1, "initial_on_hand": 3}, shop(holding_cost=2)],
            "links": [
                {"target": "depot", "lead_time": 1, "transit_holding_cost": 0.5},
                {"source": "depot", "target": "shop"},
            ],
            "resources": [{"name": "room", "kind": "storage", "capacity": 5, "members": ["depot", "shop"]}],
        },
        # t=0: depot 3, ships 2; shop 2-1. 4 under way.       Cost: 1 + 2 + 0.5*4
        # t=1: the room holds 1+1: 3 of 4 enter. Depot 4 ships 3, so there is room for them at the shop: 1+3-1.
        #                                                     Cost: 1 + 2*3 + 0.5*1
        # t=2: the room holds 1+3: the last one enters. Depot 2, shop 3-3.    Cost: 2
        [[4, 2], [0, 3], [0, 0]],
        asks(1, 1, 3),
        {
            "made depot": [3, 1, 0],
            "made shop": [2, 3, 0],
            "on_hand depot": [1, 1, 2],
            "on_hand shop": [1, 3, 0],
            "in_transit 0": [4, 1, 0],
            "cost all": [5, 7.5, 2],
        },
    ),
    Case(
        "what one node ships makes room in this period for nodes further down only",
        {
            "nodes": [{"name": "a", "initial_on_hand": 4}, shop("b"), shop()],
            "links": [{"target": "a"}, {"target": "b"}, {"source": "a", "target": "shop"}],
            "resources": [{"name": "room", "kind": "storage", "capacity": 4, "members": ["a", "b"]}],
        },
        # t=0: the room is full when b's 2 come; then a ships 3. t=1: b's 2 enter.
        [[0, 2, 3], [0, 0, 0]],
        asks_each(b=[0, 1], shop=[1, 1]),
        {
            "on_hand a": [1, 1],
            "on_hand b": [0, 1],
            "on_hand shop": [2, 1],
            "made b": [2, 0],
            "in_transit 1": [2, 0],
            "cost all": [2, 2],
        },
    ),
    Case(
        "a unit enters stock its processing time after it was made",
        {
            "nodes": [shop(processing_time=2, processing_holding_cost=0.5)],
            "links": [{"name": "fast", "target": "shop"}, {"name": "slow", "target": "shop", "lead_time": 1}],
        },
        # t=0: the fast 3 are made, for t=2. t=1: the slow 1 and the fast 2 are made, for t=3.
        [[3, 1], [2, 0], [0, 0], [0, 0]],
        asks(0, 0, 2, 4),
        {
            "made shop": [4, 2, 0, 0],
            "in_process shop": [3, 6, 3, 0],
            "on_hand shop": [0, 0, 1, 0],
            "sold shop": [0, 0, 2, 4],
            "position 0": [0, 4, 6, 4],
            "cost all": [1.5, 3, 2.5, 0],
        },
    ),
    Case(
        "a whole number of customers waits, as chance rounds it",
        {"nodes": [shop(stockout_rule=0.5, stockout_cost=4, initial_on_hand=2)], "links": [{"target": "shop"}]},
        # t=0: 3 short: 1.5 + 0.25 = 1 waits, 2 leave. t=1: 1 late, 2 sold, 1 short: 0.5 + 0.5 = 1 waits.
        # t=2: 1 short: 0.5 + 0.25 = none waits.       t=3: 1 late, 2 sold.
        [[0], [3], [0], [4]],
        asks(5, 3, 1, 2, wait_chance=[{"shop": 0.25}, {"shop": 0.5}, {"shop": 0.25}, {"shop": 0}]),
        {
            "backorders shop": [1, 1, 1, 0],
            "lost shop": [2, 0, 1, 0],
            "delivered shop": [2, 3, 0, 3],
            "sold shop": [2, 2, 0, 2],
            "on_hand shop": [0, 0, 0, 1],
            "cost all": [12, 4, 8, 1],
        },
    ),
    Case(
        "in continuous units the exact share of unmet demand waits",
        {
            "units": "continuous",
            "nodes": [shop(stockout_rule=0.25, initial_on_hand=2)],
            "links": [{"target": "shop"}],
        },
        # 2 short: 0.5 wait, 1.5 leave. Then 1 comes: 0.5 late, 0.5 sold, 1.5 short: 0.375 wait.
        [[0], [1]],
        asks(4, 2),
        {"backorders shop": [0.5, 0.375], "lost shop": [1.5, 1.125], "cost all": [20, 15]},
    ),
    Case(
        "customers pay for what they get, late or not",
        {
            "nodes": [shop(price=5, stockout_cost=2, initial_on_hand=1)],
            "links": [{"target": "shop", "unit_cost": 2}],
        },
        # t=0: 1 sold, 2 wait: 4 - 5. t=1: 4 come, 2 late and 1 sold, 1 left: 4*2 + 1 - 15.
        [[0], [4]],
        asks(3, 1),
        {"delivered shop": [1, 3], "on_hand shop": [0, 1], "cost all": [-1, -6]},
    ),
]

MISHAPS: list[Case] = [
    Case(
        "a whole number of units is usable, as chance rounds it",
        {
            "nodes": [shop()],
            "links": [{"target": "shop", "lead_time": 1, "unit_cost": 1, "yield_rate": {"values": [0.5, 1]}}],
        },
        # t=1: of 5 half: 2.5 + 0.25 = 2 are usable. t=2: all 4. t=3: of 3 half: 1.5 + 0.75 = 2.
        # What was shipped is paid for.
        [[5], [4], [3], [0]],
        asks(
            *(0, 1, 2, 5),
            yields=[{0: 0.5}, {0: 1.0}, {0: 0.5}, {0: 1.0}],
            yield_chance=[{0: 0.25}, {0: 0.5}, {0: 0.75}, {0: 0.0}],
        ),
        {
            "defective 0": [3, 0, 1, 0],
            "made shop": [2, 4, 2, 0],
            "on_hand shop": [0, 1, 3, 0],
            "position 0": [0, 2, 5, 5],
            "cost all": [5, 5, 6, 0],
        },
    ),
    Case(
        "in continuous units the exact share is usable, at once too",
        {"units": "continuous", "nodes": [shop()], "links": [{"target": "shop", "yield_rate": 0.75}]},
        [[4], [2]],
        asks(1, 3),
        {"defective 0": [1, 0.5], "on_hand shop": [2, 0.5], "cost all": [2, 0.5]},
    ),
    Case(
        "a node that is down makes and ships nothing, and a link that is down carries nothing",
        {
            "nodes": [
                {"name": "depot", "holding_cost": 1, "initial_on_hand": 6}
                | {"disruption": {"failure": 0.5, "repair": 0.5}},
                shop(holding_cost=0),
            ],
            "links": [
                {"target": "depot", "disruption": {"failure": 0.5, "repair": 0.5}},
                {"source": "depot", "target": "shop"},
            ],
        },
        # t=0: depot 6+1-2.  t=1, depot down: 2 come and wait, the shop's 2 are owed.
        # t=2, depot up, its supply down: the 2 are made, 3 are shipped: 5+2-3; 3 are owed to the depot.
        # t=3: they come.
        [[1, 2], [2, 2], [3, 1], [0, 0]],
        asks(
            *(1, 1, 1, 1),
            node_up=[{"depot": 0.0}, {"depot": 1.0}, {"depot": 1.0}, {"depot": 1.0}],
            link_up=[{0: 1.0}, {0: 0.0}, {0: 1.0}, {0: 1.0}],
        ),
        {
            "shipped 0": [1, 2, 0, 3],
            "shipped 1": [2, 0, 3, 0],
            "owed 0": [0, 0, 3, 0],
            "owed 1": [0, 2, 0, 0],
            "made depot": [1, 2, 0, 3],
            "in_transit 0": [0, 2, 0, 0],
            "on_hand depot": [5, 5, 4, 7],
            "on_hand shop": [1, 0, 2, 1],
            "position 0": [6, 5, 5, 7],
            "cost all": [5, 5, 4, 7],
        },
    ),
    Case(
        "a shop that is down sells nothing of what it has",
        {
            "nodes": [shop(initial_on_hand=5, stockout_cost=5, disruption={"failure": 0.5, "repair": 0.5})],
            "links": [{"target": "shop"}],
        },
        # t=0: 5-2. t=1, down: 3 lie there while 2 wait; 1 comes and is not yet stock. t=2: 3+1 less 2 less 1.
        [[0], [1], [0]],
        asks(2, 2, 1, node_up=[{"shop": 0.0}, {"shop": 1.0}, {"shop": 1.0}]),
        {
            "on_hand shop": [3, 3, 1],
            "backorders shop": [0, 2, 0],
            "delivered shop": [2, 0, 3],
            "made shop": [0, 1, 0],
            "cost all": [3, 13, 1],
        },
    ),
    Case(
        "first in, first out: the oldest units are sold, and the others last longer",
        {
            "nodes": [
                shop(stockout_rule="lost_sales", stockout_cost=4, initial_on_hand=4, shelf_life=2, scrap_cost=3),
            ],
            "links": [{"target": "shop"}],
        },
        # t=0: 4+2 less 1, all with a period more to live. t=1: 3 come; 2 of the 5 old are sold, 3 are scrapped.
        # t=2: 1 of the 3 is sold, 2 are scrapped.        t=3: nothing left.
        [[2], [3], [0], [0]],
        asks(1, 2, 1, 1),
        {
            "on_hand shop": [5, 6, 2, 0],
            "scrapped shop": [0, 3, 2, 0],
            "lost shop": [0, 0, 0, 1],
            "position 0": [4, 5, 3, 0],
            "cost all": [5, 15, 8, 4],
        },
    ),
    Case(
        "last in, first out: the freshest units are sold, and the others expire",
        {
            "nodes": [
                shop(stockout_rule="lost_sales", stockout_cost=4, initial_on_hand=4)
                | {"shelf_life": 2, "issuing": "lifo", "scrap_cost": 3},
            ],
            "links": [{"target": "shop"}],
        },
        # t=1: 2 of the 3 fresh are sold, the 5 old are scrapped. t=2: the last 1 is sold.
        [[2], [3], [0], [0]],
        asks(1, 2, 1, 1),
        {
            "on_hand shop": [5, 6, 0, 0],
            "scrapped shop": [0, 5, 0, 0],
            "lost shop": [0, 0, 0, 1],
            "cost all": [5, 21, 0, 4],
        },
    ),
    Case(
        "life is counted anew in every stock, and begins after processing",
        {
            "nodes": [
                {"name": "depot", "initial_on_hand": 4, "shelf_life": 1, "scrap_cost": 2},
                shop(shelf_life=1, processing_time=1),
            ],
            "links": [{"target": "depot", "lead_time": 1}, {"source": "depot", "target": "shop"}],
        },
        # t=0: depot 4 ships 1, 3 expire. t=1: the 1 is in the shop's stock and is sold. Depot 5 ships 2, 3 expire.
        # t=2: of the 2 one is sold, one expires.
        [[5, 1], [0, 2], [0, 0]],
        asks(0, 1, 1),
        {
            "on_hand depot": [3, 3, 0],
            "scrapped depot": [3, 3, 0],
            "in_process shop": [1, 2, 0],
            "on_hand shop": [0, 0, 1],
            "scrapped shop": [0, 0, 1],
            "sold shop": [0, 1, 1],
            "cost all": [6, 6, 1],
        },
    ),
]


def depot_and(*shops: dict[str, Any], allocation: str, stock: float, **extra: Any) -> dict[str, Any]:
    """A depot with one period of lead time that feeds some shops at once."""
    depot = {"name": "depot", "initial_on_hand": stock, "allocation": allocation}
    links = [{"source": "depot", "target": fields["name"]} for fields in shops]
    return {"nodes": [depot, *shops], "links": [{"target": "depot", "lead_time": 1}, *links], **extra}


SHARING: list[Case] = [
    Case(
        "first come, first served: what was asked for earlier goes first, then by priority",
        depot_and(shop("a", priority=1), shop("b"), allocation="first_come", stock=2),
        # t=0: 2 of a's 4.  t=1: 3 come: a's old 2, then 1 of b's 4.  t=2: 4 come: b's old 3, then 1 of a's 2.
        # t=3: 4 come: a's old 1, then of the new 2 and 2 first b's, then 1 of a's.
        [[3, 4, 0], [4, 0, 4], [4, 2, 0], [0, 2, 2]],
        asks_each(a=[1, 1, 1, 1], b=[1, 1, 1, 1]),
        {
            "shipped 1": [2, 2, 1, 2],
            "shipped 2": [0, 1, 3, 2],
            "owed 1": [2, 0, 1, 1],
            "owed 2": [0, 3, 0, 0],
            "on_hand depot": [0, 0, 0, 0],
            "on_hand a": [1, 2, 2, 3],
            "on_hand b": [0, 0, 1, 2],
            "backorders b": [1, 1, 0, 0],
            "cost all": [11, 12, 3, 5],
        },
    ),
    Case(
        "balance lifts the receivers that are worst off, and the unit left over goes by priority",
        depot_and(
            shop("a", priority=1, initial_on_hand=4),
            shop("b", priority=1, initial_on_hand=1),
            shop("c", priority=0, initial_on_hand=2),
            allocation="balance",
            stock=6,
        ),
        # t=0: a, b, c have 4, 1, 2: b and c up to 4 take 3+2; the sixth goes to c, the first in priority.
        # t=1: 4 come; they have 3, 3, 4 and are owed 3, 1, 1: a 2 and b 1 and c 1 bring a and c to 5.
        [[4, 3, 4, 4], [0, 0, 0, 0]],
        asks_each(a=[1, 0], b=[1, 0], c=[1, 0]),
        {
            "shipped 1": [0, 2],
            "shipped 2": [3, 1],
            "shipped 3": [3, 1],
            "owed 1": [3, 1],
            "on_hand a": [3, 5],
            "on_hand b": [3, 4],
            "on_hand c": [4, 5],
            "cost all": [10, 14],
        },
    ),
    Case(
        "in continuous units balance brings the receivers exactly to one level, what is under way included",
        {
            "units": "continuous",
            "nodes": [
                {"name": "depot", "initial_on_hand": 5, "allocation": "balance"},
                shop("a", initial_on_hand=1),
                shop("b", initial_on_hand=1),
            ],
            "links": [
                {"target": "depot", "lead_time": 1},
                {"source": "depot", "target": "a", "lead_time": 2, "initial_in_transit": 1.5},
                {"source": "depot", "target": "b", "lead_time": 1, "initial_in_transit": 0.5},
            ],
        },
        # At review a has 1+1.5 and 1.5 under way, b 1.5: 4 and 1.5, so b gets 2.5 and each half of the other 2.5.
        [[0, 9, 9]],
        asks_each(a=[0], b=[0]),
        {"shipped 1": [1.25], "shipped 2": [3.75], "on_hand a": [2.5], "cost all": [4]},
    ),
    Case(
        "balance compares in units of the component",
        {
            "nodes": [
                {"name": "depot", "initial_on_hand": 4, "allocation": "balance"},
                shop("a", initial_on_hand=2),
                shop("b", initial_on_hand=3),
            ],
            "links": [
                {"target": "depot", "lead_time": 1},
                {"source": "depot", "target": "a", "quantity": 2},
                {"source": "depot", "target": "b"},
            ],
        },
        # a's 2 are 4 components, b's 3 are 3: one goes to b, then both are at 4; of 3 each gets 1 and a one more.
        # a makes 1 of its 2.
        [[0, 9, 9]],
        asks_each(a=[0], b=[0]),
        {"shipped 1": [2], "shipped 2": [2], "on_hand a": [3], "on_hand b": [5], "made a": [1]},
    ),
    Case(
        "balance counts what a receiver has been asked for and has not heard of",
        {
            "nodes": [
                {"name": "depot", "initial_on_hand": 1, "allocation": "balance"},
                shop("a", initial_on_hand=2),
                shop("b", initial_on_hand=2),
                shop("c"),
            ],
            "links": [
                {"target": "depot", "lead_time": 1},
                {"source": "depot", "target": "b"},
                {"source": "depot", "target": "a"},
                {"source": "a", "target": "c", "order_delay": 2},
            ],
        },
        # t=0: c asks a for 2, who hears of it at t=2.  t=1: the depot's 1 goes to a, with 2 less 2, not to b with 2.
        # t=2: 1 more comes, and goes to a again, with 3 less 2. a has 4 and ships 2.
        [[0, 0, 0, 2], [1, 1, 1, 0], [0, 0, 1, 0]],
        asks_each(a=[0, 0, 0], b=[0, 0, 0], c=[0, 0, 0]),
        {
            "shipped 1": [0, 0, 0],
            "shipped 2": [0, 1, 1],
            "shipped 3": [0, 0, 2],
            "on_hand a": [2, 3, 2],
            "on_hand c": [0, 0, 2],
        },
    ),
    Case(
        "balance goes by the state at review, whatever the receiver makes of its components in this very period",
        {
            "nodes": [
                {"name": "depot", "initial_on_hand": 2, "allocation": "balance"},
                shop("a"),
                shop("b", initial_on_hand=1),
            ],
            "links": [
                {"target": "depot", "lead_time": 1},
                {"source": "depot", "target": "a", "lead_time": 1, "initial_in_transit": 2},
                {"target": "a"},
                {"source": "depot", "target": "b", "lead_time": 1},
            ],
        },
        # At review a has 2 components that wait for others, b has 1: one goes to b, and one to the first of equals.
        # The others come at once, and a makes 2; at t=1 another of the depot's waits there, which still owes 1 and 1.
        [[0, 2, 2, 2], [0, 0, 0, 0]],
        asks_each(a=[1, 0], b=[0, 0]),
        {
            "shipped 1": [1, 0],
            "shipped 3": [1, 0],
            "made a": [2, 0],
            "on_hand a": [1, 1],
            "on_hand b": [1, 2],
            "in_transit 1": [1, 1],
        },
    ),
    Case(
        "neighbours help each other with what is left, and owe nothing",
        {
            "nodes": [shop("a", initial_on_hand=5), shop("b")],
            "links": [
                {"target": "a", "lead_time": 2},
                {"target": "b", "lead_time": 2},
                {"source": "a", "target": "b", "lateral": True, "unit_cost": 1},
                {"source": "b", "target": "a", "lateral": True, "lead_time": 1, "fixed_cost": 0.5},
            ],
        },
        # t=0: a helps with 3, at once: a 2-1, b 3-2.                                     Cost: 1 + 1 + 3
        # t=1: a has 1 of 4; b sends its 1, before it gets a's. a: 1 waits. b sells.      Cost: 10 + 1 + 0.5
        # t=2: b's 1 arrives, for who waits.
        [[0, 0, 3, 0], [0, 0, 4, 1], [0, 0, 0, 0]],
        asks_each(a=[1, 1, 0], b=[2, 1, 0]),
        {
            "shipped 2": [3, 1, 0],
            "dropped 2": [0, 3, 0],
            "shipped 3": [0, 1, 0],
            "in_transit 3": [0, 1, 0],
            "owed 2": [0, 0, 0],
            "on_hand a": [1, 0, 0],
            "on_hand b": [1, 0, 0],
            "backorders a": [0, 1, 0],
            "position 0": [5, 1, 0],
            "position 2": [0, 1, 0],
            "position 3": [5, 1, 0],
            "made b": [0, 0, 0],
            "cost all": [5, 11.5, 0],
        },
    ),
    Case(
        "a node serves its own receivers before its neighbours, and a neighbour's help is worth its yield",
        {
            "nodes": [
                {"name": "depot", "initial_on_hand": 6},
                shop("spare"),
                shop(),
            ],
            "links": [
                {"target": "depot", "lead_time": 1},
                {"target": "spare", "lead_time": 1},
                {"source": "depot", "target": "shop"},
                {"source": "depot", "target": "spare", "lateral": True, "yield_rate": 0.5, "capacity": 3},
            ],
        },
        # t=0: 2 to the shop, of the other 4 the link carries 3 of 4; 1.5 + 0.75 = 2 are usable.
        # t=1: 1 left, 1 asked for by the shop; none for the neighbour.
        [[0, 0, 2, 4], [0, 0, 1, 1]],
        [{"demand": {"shop": 1, "spare": 0}, "yield_chance": {3: 0.75}}] * 2,
        {
            "shipped 2": [2, 1],
            "shipped 3": [3, 0],
            "dropped 3": [1, 1],
            "defective 3": [1, 0],
            "on_hand depot": [1, 0],
            "on_hand spare": [2, 2],
            "on_hand shop": [1, 1],
        },
    ),
]

CASES = [*SUPPLY, *MAKING, *MISHAPS, *SHARING]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_trace_by_hand_comes_out(case: Case, backend: Backend) -> None:
    got = run_case(case, backend)
    for line, figures in case.expected.items():
        assert got[line] == pytest.approx(figures, rel=1e-12, abs=1e-12), line
