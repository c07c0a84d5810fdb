"""The referee against traces of the classic model, worked by hand. Its laws are in `test_referee_laws.py`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import pytest

from echelon.envs.demand import Deterministic
from echelon.envs.network import Link, Network, Node

from .referee import Record, View, echelon_position, inventory_position
from .strategies import Demand, Orders, Trial, follow

SOME_DEMAND = Deterministic(values=(1.0,))
"""Makes a node an outlet; the traces set the demand themselves."""


def run(network: Network, orders: Orders, demand: Demand) -> tuple[list[View], list[Record]]:
    """The views at review and the records of all periods, of a network where only demand is left to chance."""
    return follow(Trial(network, [{"demand": asked} for asked in demand], orders))


def by_kind(record: Mapping[str, object], kind: str) -> dict[Any, float]:
    """The figures of one kind in a record, by node or by link."""
    return cast(dict[Any, float], record[kind])


def check(records: list[Record], expected: dict[str, list[float]]) -> None:
    """Compare with a table by hand: a line for each kind of figure and its node or link, a column for each period."""
    for line, figures in expected.items():
        kind, _, key = line.partition(" ")
        got = [by_kind(record, kind)[int(key) if key.isdigit() else key] for record in records]
        assert got == figures, line


def test_serial_system_with_backorders_follows_the_trace_by_hand() -> None:
    network = Network(
        nodes=(
            Node(name="depot", holding_cost=1, initial_on_hand=2),
            Node(name="shop", holding_cost=2, stockout_cost=10, demand=SOME_DEMAND, initial_on_hand=3),
        ),
        links=(
            Link(target="depot", lead_time=1, unit_cost=0.5, initial_in_transit=2),
            Link(source="depot", target="shop", lead_time=1, fixed_cost=3, transit_holding_cost=1),
        ),
    )
    orders: Orders = [[5, 5], [0, 2], [2, 0], [0, 3], [0, 0], [0, 0]]
    demand: Demand = [{"shop": quantity} for quantity in (2, 4, 6, 1, 2, 0)]
    # t=0: depot 2+2 = 4. It owes 5 and ships its 4; 1 stays owed. The shop sells 2 of 3.
    #      Under way to the depot: the new 5, due at t=1.
    #      Cost: shop 2*1, under way to the shop 1*4, units 0.5*5, fixed 3 = 11.5
    # t=1: depot 0+5, shop 1+4. Owed 1+2, shipped 3: depot 2. Shop 5-4.  Cost: 1*2 + 2*1 + 1*3 + fixed 3 = 10
    # t=2: shop 1+3 = 4. Asked 6: sells 4, 2 wait.                       Cost: 1*2 + units 0.5*2 + 10*2 = 23
    # t=3: depot 2+2 = 4, ships 3. Shop has nothing: 2+1 wait.           Cost: 1*1 + 1*3 + 10*3 + fixed 3 = 37
    # t=4: shop gets 3, all for the 3 that wait; the new 2 wait.         Cost: 1*1 + 10*2 = 21
    # t=5: nothing moves.                                                Cost: 1*1 + 10*2 = 21
    views, records = run(network, orders, demand)
    check(
        records,
        {
            "shipped 0": [5, 0, 2, 0, 0, 0],
            "shipped 1": [4, 3, 0, 3, 0, 0],
            "owed 0": [0, 0, 0, 0, 0, 0],
            "owed 1": [1, 0, 0, 0, 0, 0],
            "pipeline 0": [5, 0, 2, 0, 0, 0],
            "pipeline 1": [4, 3, 0, 3, 0, 0],
            "on_hand depot": [0, 2, 2, 1, 1, 1],
            "on_hand shop": [1, 1, 0, 0, 0, 0],
            "sold shop": [2, 4, 4, 0, 0, 0],
            "backorders shop": [0, 0, 2, 3, 2, 2],
            "lost shop": [0, 0, 0, 0, 0, 0],
            "stockout shop": [0, 0, 20, 30, 20, 20],
            "purchase 0": [2.5, 0, 1, 0, 0, 0],
            "fixed 1": [3, 3, 0, 3, 0, 0],
        },
    )
    assert [record["cost"] for record in records] == [11.5, 10, 23, 37, 21, 21]
    # At the review of t=0: depot 4, of which 2 have just arrived; shop 3; nothing under way; echelon of the depot 4+3.
    assert inventory_position(network, views[0]) == [4, 3]
    assert echelon_position(network, views[0]) == [7, 3]
    # At the review of t=1: depot 5 less 1 owed; shop 5 and 1 owed to it; echelon of the depot 4+6.
    assert inventory_position(network, views[1]) == [4, 6]
    assert echelon_position(network, views[1]) == [10, 6]
    # At the review of t=3: depot 4; shop 0 less 2 that wait; echelon of the depot 4-2.
    assert inventory_position(network, views[3]) == [4, -2]
    assert echelon_position(network, views[3]) == [2, -2]


def test_lost_sales_outlet_with_lead_time_two_follows_the_trace_by_hand() -> None:
    shop = Node(
        name="shop", holding_cost=1, stockout_rule="lost_sales", stockout_cost=4, demand=SOME_DEMAND, initial_on_hand=1
    )
    network = Network(nodes=(shop,), links=(Link(target="shop", lead_time=2, initial_in_transit=2),))
    orders: Orders = [[4], [0], [1], [0], [0]]
    demand: Demand = [{"shop": quantity} for quantity in (5, 1, 2, 6, 0)]
    # t=0: 1+2 = 3. 3 of 5 sold, 2 lost. Under way: 2 due at t=1, the new 4 due at t=2.  Cost: 4*2
    # t=1: 0+2 -1 = 1.                   Under way: 4.                                   Cost: 1*1
    # t=2: 1+4 -2 = 3.                   Under way: the new 1.                           Cost: 1*3
    # t=3: 3 of 6 sold, 3 lost.          The 1 is due at t=4.                            Cost: 4*3
    # t=4: 0+1.                                                                          Cost: 1*1
    views, records = run(network, orders, demand)
    check(
        records,
        {
            "on_hand shop": [0, 1, 3, 0, 1],
            "pipeline 0": [6, 4, 1, 1, 0],
            "sold shop": [3, 1, 2, 3, 0],
            "lost shop": [2, 0, 0, 3, 0],
            "backorders shop": [0, 0, 0, 0, 0],
        },
    )
    assert [record["cost"] for record in records] == [8, 1, 3, 12, 1]
    assert [view["pipeline"][0] for view in views] == [
        [(1, 2)],
        [(2, 4)],
        [(3, 0)],
        [(4, 1)],
        [(5, 0)],
    ]
    # t=0: 3 on hand, 2 under way.   t=1: 2 on hand, 4 under way.   t=2: 5 on hand, nothing under way before the order.
    assert [inventory_position(network, view) for view in views] == [[5], [6], [5], [4], [1]]


@pytest.mark.parametrize("lead_time", [0, 1, 2, 5])
def test_orders_of_the_size_of_what_starts_in_transit_keep_the_flow_steady(lead_time: int) -> None:
    # 1 on hand at the start; 4 arrive and 4 are sold in every period, and 4 are due in each period of the lead time.
    shop = Node(name="shop", demand=SOME_DEMAND, initial_on_hand=1)
    network = Network(nodes=(shop,), links=(Link(target="shop", lead_time=lead_time, initial_in_transit=4),))
    _, records = run(network, [[4]] * 8, [{"shop": 4}] * 8)
    check(records, {"on_hand shop": [1] * 8, "sold shop": [4] * 8, "pipeline 0": [4 * lead_time] * 8})


def warehouse(*, allocation: str, priorities: tuple[int, int, int] = (0, 0, 0), **extra: Any) -> Network:
    """A warehouse with 5 units and three empty shops, of which the second drops what it does not get."""
    shops = [{"name": f"shop {k}", "priority": priorities[k], "demand": SOME_DEMAND} for k in range(3)]
    supply = [{"source": "warehouse", "target": f"shop {k}"} for k in range(3)]
    supply[1]["unfilled"] = "drop"
    return Network.from_dict(
        {
            "nodes": [{"name": "warehouse", "initial_on_hand": 5, "allocation": allocation}, *shops],
            "links": [{"target": "warehouse", "lead_time": 1}, *supply],
            **extra,
        }
    )


@pytest.mark.parametrize(
    ("network", "shipped"),
    [
        # Asked 4, 3, 3 of 5: exact shares 2, 1.5, 1.5; rounded down 2, 1, 1; one unit left over, and the
        # remainders 0, 5, 5 (tenths) tie between the last two: the earlier link has it.
        (warehouse(allocation="proportional"), [2, 2, 1]),
        # The same tie, but the last shop has the better priority; the first shop's is no help to it.
        (warehouse(allocation="proportional", priorities=(0, 2, 1)), [2, 1, 2]),
        (warehouse(allocation="proportional", units="continuous"), [2, 1.5, 1.5]),
        # In the order of the links: 4, then the last 1.
        (warehouse(allocation="priority"), [4, 1, 0]),
        # Last shop first: 3, then 2 of the second shop's 3.
        (warehouse(allocation="priority", priorities=(2, 1, 0)), [0, 2, 3]),
    ],
    ids=["whole", "whole, by priority", "continuous", "in link order", "by priority"],
)
def test_warehouse_in_shortage_divides_its_stock_by_its_rule(network: Network, shipped: list[float]) -> None:
    _, (first, second) = run(network, [[0, 4, 3, 3], [0, 0, 0, 0]], [{f"shop {k}": 0 for k in range(3)}] * 2)
    assert list(first["shipped"].values()) == [0, *shipped]
    # The shops' lead time is 0: they have it in the same period, and the second shop's rest is forgotten.
    assert list(first["on_hand"].values()) == [0, *shipped]
    assert list(first["owed"].values()) == [0, 4 - shipped[0], 0, 3 - shipped[2]]
    assert second["owed"] == first["owed"]


def test_warehouse_that_is_short_divides_again_what_arrives_later() -> None:
    # t=0 leaves 2 and 2 owed to the first and the last shop, see above; 3 are ordered from outside.
    # t=1: 3 arrive, no new orders: shares 2*3/4 = 2*3/4 = 1.5; down to 1 and 1; the tie goes to the first.
    network = warehouse(allocation="proportional")
    _, records = run(network, [[3, 4, 3, 3], [0, 0, 0, 0]], [{f"shop {k}": 0 for k in range(3)}] * 2)
    assert list(records[1]["shipped"].values()) == [0, 2, 0, 1]
    assert list(records[1]["owed"].values()) == [0, 0, 0, 1]
    assert list(records[1]["on_hand"].values()) == [0, 4, 2, 2]


def test_whole_shares_go_to_the_largest_remainder_before_priority() -> None:
    # Asked 1, 3, 3 of 5: exact shares 5/7, 15/7, 15/7: down to 0, 2, 2 with remainders 5, 1, 1 (sevenths).
    network = warehouse(allocation="proportional", priorities=(9, 0, 0))
    _, records = run(network, [[0, 1, 3, 3]], [{f"shop {k}": 0 for k in range(3)}])
    assert list(records[0]["shipped"].values()) == [0, 1, 2, 2]


def test_assembly_keeps_unmatched_components_waiting_as_in_the_trace_by_hand() -> None:
    network = Network(
        nodes=(
            Node(name="part", holding_cost=1, initial_on_hand=6),
            Node(name="plant", holding_cost=3, stockout_cost=9, demand=SOME_DEMAND),
        ),
        links=(
            Link(target="part"),
            Link(source="part", target="plant", lead_time=1, transit_holding_cost=0.5, initial_in_transit=2),
            Link(target="plant", lead_time=2, transit_holding_cost=0.25, initial_in_transit=1),
        ),
    )
    orders: Orders = [[0, 4, 4], [1, 5, 0], [0, 0, 2], [2, 0, 0], [0, 0, 0]]
    demand: Demand = [{"plant": quantity} for quantity in (2, 0, 3, 1, 0)]
    # t=0: 2 parts and 1 other arrive: 1 set, 1 part waits. Part ships 4 of 6, due t=1; of the other 1 is due t=1,
    #      the new 4 t=2. Plant sells the set, 1 asked for waits.  Cost: 1*2 + 0.5*(4+1) + 0.25*5 + 9*1 = 14.75
    # t=1: 4 parts and 1 other arrive: 1+4 parts, 1 set, 4 parts wait. One part comes at once, so the part node
    #      has 3 for the 5 ordered; 2 stay owed. The set serves the backorder.  Cost: 0.5*(3+4) + 0.25*4 = 4.5
    # t=2: 3 parts and 4 others arrive: 4+3 parts, 4 sets, 3 parts wait. The part node is empty.
    #      Plant sells 3 of 4.                            Cost: 3*1 + 0.5*3 + 0.25*2 = 5
    # t=3: nothing arrives. 2 parts come and go at once to the 2 owed. Plant sells 1.
    #                                                     Cost: 0.5*(2+3) + 0.25*2 = 3
    # t=4: 2 parts and 2 others arrive: 3+2 parts, 2 sets, 3 parts wait.   Cost: 3*2 + 0.5*3 = 7.5
    views, records = run(network, orders, demand)
    check(
        records,
        {
            "shipped 0": [0, 1, 0, 2, 0],
            "shipped 1": [4, 3, 0, 2, 0],
            "shipped 2": [4, 0, 2, 0, 0],
            "owed 1": [0, 2, 2, 0, 0],
            "pipeline 1": [4, 3, 0, 2, 0],
            "pipeline 2": [5, 4, 2, 2, 0],
            "waiting 1": [1, 4, 3, 3, 3],
            "waiting 2": [0, 0, 0, 0, 0],
            "on_hand part": [2, 0, 0, 0, 0],
            "on_hand plant": [0, 0, 1, 0, 2],
            "backorders plant": [1, 0, 0, 0, 0],
            "transit_holding 1": [2.5, 3.5, 1.5, 2.5, 1.5],
            "transit_holding 2": [1.25, 1, 0.5, 0.5, 0],
        },
    )
    assert [record["cost"] for record in records] == [14.75, 4.5, 5, 3, 7.5]
    # At the review of t=2: part 0 less 2 owed; plant 4 with 3 parts waiting and 2 owed; the other link 4 only.
    assert inventory_position(network, views[2]) == [-2, 9, 4]
    assert echelon_position(network, views[2]) == [7, 9, 4]


def test_an_order_over_lead_times_of_zero_serves_the_demand_of_its_own_period() -> None:
    network = Network(
        nodes=(Node(name="shop", demand=SOME_DEMAND), Node(name="depot")),
        links=(Link(source="depot", target="shop"), Link(target="depot", initial_in_transit=9)),
    )
    _, records = run(network, [[5, 7]], [{"shop": 4}])
    check(records, {"sold shop": [4], "on_hand shop": [1], "on_hand depot": [2], "pipeline 1": [0]})


def test_a_node_ships_to_its_receivers_before_it_serves_its_own_customers() -> None:
    network = Network(
        nodes=(Node(name="depot", demand=SOME_DEMAND, initial_on_hand=5), Node(name="shop", demand=SOME_DEMAND)),
        links=(Link(target="depot"), Link(source="depot", target="shop")),
    )
    # Of the depot's 5 the shop takes 4; the depot's customers ask 3 and have the 1 that is left.
    _, records = run(network, [[0, 4]], [{"depot": 3, "shop": 1}])
    check(records, {"sold depot": [1], "backorders depot": [2], "sold shop": [1], "on_hand shop": [3]})


def test_echelon_positions_count_a_shared_receiver_once_per_way_to_it() -> None:
    # A plant of two parts that come from the same mill: a unit at the plant holds two units of the mill.
    network = Network(
        nodes=(
            Node(name="mill"),
            Node(name="left"),
            Node(name="right"),
            Node(name="plant", demand=SOME_DEMAND, initial_on_hand=3),
        ),
        links=(
            Link(target="mill"),
            Link(source="mill", target="left"),
            Link(source="mill", target="right"),
            Link(source="left", target="plant"),
            Link(source="right", target="plant"),
        ),
    )
    views, _ = run(network, [[0] * 5], [{"plant": 0}])
    assert echelon_position(network, views[0]) == [6, 3, 3, 3, 3]
