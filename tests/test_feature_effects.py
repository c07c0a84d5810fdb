"""Every feature moves the figures to the side that common sense expects, on one scenario, worse against better."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest

from echelon.envs.network import Network

from .referee import Draw
from .strategies import Orders, Trial
from .test_model_traces import by_package, shop

PERIODS = 24
DEMAND = [float(asked) for asked in np.random.default_rng(7).poisson(4, PERIODS)]


class Setting(NamedTuple):
    """A network and what happens on it."""

    network: dict[str, Any]
    orders: Orders
    draws: list[Draw]


def total(setting: Setting, *lines: str) -> float:
    """The sum of some figures over the periods."""
    trial = Trial(Network.from_dict(setting.network), setting.draws, setting.orders)
    return sum(period[line] for period in by_package(trial, "specification") for line in lines)


def one_shop(
    node: dict[str, Any] | None = None,
    link: dict[str, Any] | None = None,
    *,
    order: float = 5,
    draw: dict[str, Any] | None = None,
    **network: Any,
) -> Setting:
    """A shop that orders as much in every period, a period before it needs it."""
    fields = {"target": "shop", "lead_time": 1, "initial_in_transit": 4, **(link or {})}
    nodes = [shop(**{"initial_on_hand": 4, **(node or {})})]
    draws: list[Any] = [{"demand": {"shop": asked}, **(draw or {})} for asked in DEMAND]
    return Setting({"nodes": nodes, "links": [fields], **network}, [[order]] * PERIODS, draws)


def sometimes_down(setting: Setting, kind: str, part: str | int) -> Setting:
    """The same, with every third and fourth period down."""
    draws: list[Any] = [{**draw, kind: {part: float(t % 4 < 2)}} for t, draw in enumerate(setting.draws)]
    return setting._replace(draws=draws)


def machine(kind: str, capacity: float) -> dict[str, Any]:
    """A resource of the shop alone."""
    return {"resources": [{"name": "machine", "kind": kind, "capacity": capacity, "members": ["shop"]}]}


DISRUPTED = {"disruption": {"failure": 0.5, "repair": 0.5}}
LEAD_TIME = {"lead_time": {"values": [1, 3]}}
PERISHABLE = {"stockout_rule": "lost_sales"}

# What is worse, what is better, and the figure of which the better has more.
MORE: dict[str, tuple[Setting, Setting, str]] = {
    "capacity of a link": (one_shop(link={"capacity": 3}), one_shop(link={"capacity": 6}), "sold shop"),
    "capacity of a node": (one_shop({"capacity": 3}), one_shop({"capacity": 6}), "sold shop"),
    "machine": (one_shop(**machine("production", 3)), one_shop(**machine("production", 6)), "sold shop"),
    "room": (one_shop(**machine("storage", 5)), one_shop(**machine("storage", 50)), "sold shop"),
    "processing time": (one_shop({"processing_time": 2}), one_shop({"processing_time": 1}), "sold shop"),
    "order delay": (one_shop(link={"order_delay": 2}), one_shop(link={"order_delay": 1}), "sold shop"),
    "largest order": (one_shop(link={"max_order": 3}), one_shop(link={"max_order": 4}), "sold shop"),
    "smallest order": (one_shop(order=3), one_shop(order=3, link={"min_order": 4}), "sold shop"),
    "lot": (one_shop(order=3, link={"lot_size": 3}), one_shop(order=3, link={"lot_size": 4}), "on_hand shop"),
    "quantity": (one_shop(link={"quantity": 2}), one_shop(), "sold shop"),
    "random lead time": (
        one_shop(link=LEAD_TIME, draw={"lead_time": {0: 3}}),
        one_shop(link=LEAD_TIME, draw={"lead_time": {0: 1}}),
        "sold shop",
    ),
    "yield": (
        one_shop(link={"yield_rate": 0.5}, draw={"yield_chance": {0: 0.5}}),
        one_shop(link={"yield_rate": 0.75}, draw={"yield_chance": {0: 0.5}}),
        "sold shop",
    ),
    "disruption of a node": (
        sometimes_down(one_shop(DISRUPTED), "node_up", "shop"),
        one_shop(DISRUPTED),
        "sold shop",
    ),
    "disruption of a link": (
        sometimes_down(one_shop(link=DISRUPTED), "link_up", 0),
        one_shop(link=DISRUPTED),
        "sold shop",
    ),
}

# What is worse, what is better, and the figure of which the better has less.
LESS: dict[str, tuple[Setting, Setting, str]] = {
    "patience": (
        one_shop({"stockout_rule": 0.25}, order=3, draw={"wait_chance": {"shop": 0.5}}),
        one_shop({"stockout_rule": 0.75}, order=3, draw={"wait_chance": {"shop": 0.5}}),
        "lost shop",
    ),
    "shelf life": (
        one_shop({**PERISHABLE, "shelf_life": 1}),
        one_shop({**PERISHABLE, "shelf_life": 3}),
        "scrapped shop",
    ),
    "issuing": (
        one_shop({**PERISHABLE, "shelf_life": 3, "issuing": "lifo"}),
        one_shop({**PERISHABLE, "shelf_life": 3, "issuing": "fifo"}),
        "scrapped shop",
    ),
    "scrap cost": (
        one_shop({**PERISHABLE, "shelf_life": 1, "scrap_cost": 2}),
        one_shop({**PERISHABLE, "shelf_life": 1}),
        "cost all",
    ),
}


@pytest.mark.parametrize("name", MORE)
def test_the_better_setting_has_more(name: str) -> None:
    worse, better, line = MORE[name]
    assert total(better, line) > total(worse, line)


@pytest.mark.parametrize("name", LESS)
def test_the_better_setting_has_less(name: str) -> None:
    worse, better, line = LESS[name]
    assert total(better, line) < total(worse, line)


def test_the_price_earns_what_customers_get_times_the_price() -> None:
    free, sold = one_shop(), one_shop({"price": 3})
    assert total(free, "cost all") - total(sold, "cost all") == pytest.approx(3 * total(sold, "delivered shop"))


def test_a_second_source_makes_up_for_a_short_one() -> None:
    single = one_shop(order=3)
    links = [*single.network["links"], {"name": "second", "target": "shop"}]
    double = Setting({**single.network, "links": links}, [[3.0, 2.0]] * PERIODS, single.draws)
    assert total(double, "sold shop") > total(single, "sold shop")


def two_shops(help_sent: float) -> Setting:
    """One shop gets more than it sells, the other less; the one can help the other at no cost."""
    links: list[dict[str, Any]] = [{"target": "shop"}, {"target": "other"}]
    links.append({"source": "shop", "target": "other", "lateral": True})
    draws: list[Draw] = [{"demand": {"shop": asked, "other": asked}} for asked in DEMAND]
    network = {"nodes": [shop(initial_on_hand=4), shop("other", initial_on_hand=4)], "links": links}
    return Setting(network, [[6.0, 2.0, help_sent]] * PERIODS, draws)


def test_free_help_between_neighbours_lowers_the_cost_where_one_has_what_the_other_lacks() -> None:
    assert total(two_shops(2), "cost all") < total(two_shops(0), "cost all")


def depot(allocation: str, *, first: float = 0) -> Setting:
    """A depot that gets less than its two shops ask for; the first has the better priority."""
    depot = {"name": "depot", "allocation": allocation}
    shops = [shop("first", initial_on_hand=first), shop("second", priority=1)]
    links = [{"target": "depot"}, {"source": "depot", "target": "first"}, {"source": "depot", "target": "second"}]
    draws: list[Draw] = [{"demand": {"first": 3.0, "second": 3.0}} for _ in DEMAND]
    return Setting({"nodes": [depot, *shops], "links": links}, [[4.0, 4.0, 4.0]] * PERIODS, draws)


def test_the_last_in_priority_fare_better_where_first_come_is_first_served() -> None:
    assert total(depot("first_come"), "sold second") > total(depot("priority"), "sold second")


def test_balance_leaves_fewer_customers_waiting_than_equal_shares_where_stocks_are_unequal() -> None:
    waiting = ("backorders first", "backorders second")
    assert total(depot("balance", first=30), *waiting) < total(depot("proportional", first=30), *waiting)
