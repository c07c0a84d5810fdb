"""The referee against the laws that every run must obey, whatever the network, the orders and the draws."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any, cast

import pytest
from hypothesis import given

from echelon.envs.network import OUTSIDE, Network, Node
from echelon.envs.supply import LeadTime

from .referee import Record, View, echelon_position, inventory_position, referee
from .strategies import Trial, follow, networks, trials

QUANTITIES = (
    "on_hand",
    "backorders",
    "waiting",
    "owed",
    "pipeline",
    "requests",
    "in_process",
    "ordered",
    "shipped",
    "dropped",
    "defective",
    "made",
    "scrapped",
    "sold",
    "lost",
    "delivered",
)
Moves = tuple[View, Record, View]
"""The state at a review, the record of the period, and the state at the next review."""


def by_kind(record: Mapping[str, object], kind: str) -> dict[Any, float]:
    """The figures of one kind in a record, by node or by link."""
    return cast(dict[Any, float], record[kind])


def moves(trial: Trial) -> Iterator[Moves]:
    """Period after period of a trial, but for the last."""
    views, records = follow(trial)
    return zip(views, records, views[1:], strict=False)


def under_way(view: View, e: int) -> float:
    """Units in the pipeline of a link."""
    return sum(quantity for _, quantity in view["pipeline"][e])


def arrived(move: Moves, e: int) -> float:
    """Units that reached the target of a link from one review to the next, usable or not."""
    view, record, following = move
    return under_way(view, e) + record["shipped"][e] - under_way(following, e)


def in_process(view: View, name: str) -> float:
    """Units that the node has made and that are not yet in stock."""
    return sum(quantity for _, quantity in view["in_process"][name])


def incoming(network: Network, name: str, *, lateral: bool) -> list[int]:
    """The links into a node: its supply, or its lateral links."""
    return [e for e, link in enumerate(network.links) if link.target == name and link.lateral == lateral]


def outgoing(network: Network, name: str) -> list[int]:
    """The links out of a node, lateral or not."""
    return [e for e, link in enumerate(network.links) if link.source == name]


def pools(network: Network, name: str) -> list[list[int]]:
    """The links into a node, by the component that they bring."""
    found: dict[str, list[int]] = defaultdict(list)
    for e in incoming(network, name, lateral=False):
        found[network.links[e].component or network.links[e].source].append(e)
    return list(found.values())


def close(figure: float) -> Any:
    """Equal up to rounding."""
    return pytest.approx(figure, abs=1e-9)


# Of every network.


@given(trials(network=networks(features=True), min_periods=2))
def test_units_are_conserved_at_every_node(trial: Trial) -> None:
    network = trial.network
    for move in moves(trial):
        view, record, following = move
        for node in network.nodes:
            name = node.name
            came = sum(arrived(move, e) - record["defective"][e] for e in incoming(network, name, lateral=True))
            left = record["delivered"].get(name, 0.0) + record["scrapped"][name]
            left += sum(record["shipped"][e] for e in outgoing(network, name))
            before = view["on_hand"][name] + in_process(view, name)
            after = following["on_hand"][name] + in_process(following, name)
            assert after - before == close(record["made"][name] + came - left)


@given(trials(network=networks(features=True), min_periods=2))
def test_every_unit_made_takes_its_quantity_of_each_component(trial: Trial) -> None:
    network = trial.network
    for move in moves(trial):
        view, record, following = move
        for node in network.nodes:
            for pool in pools(network, node.name):
                usable = sum(arrived(move, e) - record["defective"][e] for e in pool)
                taken = network.links[pool[0]].quantity * record["made"][node.name]
                assert following["waiting"][pool[0]] - view["waiting"][pool[0]] == close(usable - taken)
                assert all(following["waiting"][e] == 0 for e in pool[1:])


@given(trials(network=networks(features=True), min_periods=2))
def test_every_unit_ordered_is_asked_for_owed_shipped_or_dropped(trial: Trial) -> None:
    ordered: dict[int, list[float]] = defaultdict(list)
    settled: dict[int, float] = defaultdict(float)
    for _, record, following in moves(trial):
        for e, link in enumerate(trial.network.links):
            ordered[e].append(record["ordered"][e])
            settled[e] += record["shipped"][e] + record["dropped"][e]
            heard = ordered[e][: max(0, len(ordered[e]) - link.order_delay)]
            assert settled[e] + following["owed"][e] == close(sum(heard))
            assert record["requests"][e] == close(sum(ordered[e]) - sum(heard))
            if link.lateral or link.unfilled == "drop":
                assert following["owed"][e] == 0
            else:
                assert record["dropped"][e] == 0


@given(trials(network=networks(features=True), min_periods=2))
def test_customers_are_served_wait_or_leave(trial: Trial) -> None:
    for view, record, following in moves(trial):
        for node in trial.network.outlets:
            name = node.name
            stayed = record["demand"][name] - record["lost"][name] - record["delivered"][name]
            assert following["backorders"][name] - view["backorders"][name] == close(stayed)
            if view["backorders"][name] > record["delivered"][name]:
                assert record["sold"][name] == 0


@given(trials(network=networks(features=True)))
def test_no_quantity_is_negative(trial: Trial) -> None:
    for record in follow(trial)[1]:
        for kind in QUANTITIES:
            assert all(quantity >= -1e-9 for quantity in by_kind(record, kind).values()), kind


@given(trials(network=networks(whole=True, features=True)))
def test_whole_units_stay_whole(trial: Trial) -> None:
    for record in follow(trial)[1]:
        for kind in QUANTITIES:
            assert all(float(quantity).is_integer() for quantity in by_kind(record, kind).values()), kind


@given(trials(network=networks(features=True)))
def test_costs_are_the_rates_times_the_figures_of_the_record(trial: Trial) -> None:
    for record in follow(trial)[1]:
        cost = 0.0
        for node in trial.network.nodes:
            cost += node.holding_cost * record["on_hand"][node.name]
            cost += node.processing_holding_cost * record["in_process"][node.name]
            cost += node.scrap_cost * record["scrapped"][node.name]
            cost += node.stockout_cost * (record["backorders"][node.name] + record["lost"].get(node.name, 0))
            cost -= node.price * record["delivered"].get(node.name, 0)
        for e, link in enumerate(trial.network.links):
            cost += link.transit_holding_cost * (record["pipeline"][e] + record["waiting"][e])
            cost += link.unit_cost * record["shipped"][e] + link.fixed_cost * (record["ordered"][e] > 0)
        assert record["cost"] == close(cost)


@given(trials(network=networks(features=True), min_periods=2))
def test_positions_move_by_orders_demand_and_what_is_spoiled_or_scrapped(trial: Trial) -> None:
    network = trial.network
    for move in moves(trial):
        view, record, following = move
        # What was ordered and not dropped is still to come, or has come, or was defective on arrival.
        gained = {e: record["ordered"][e] - record["dropped"][e] for e in view["owed"]}
        before, after = inventory_position(network, view), inventory_position(network, following)
        for node in network.nodes:
            level = _level_moved(network, record, gained, node)
            for pool in pools(network, node.name):
                coming = sum(gained[e] - record["defective"][e] for e in pool)
                made = network.links[pool[0]].quantity * record["made"][node.name]
                for e in pool:
                    assert after[e] - before[e] == close(coming - made + network.links[e].quantity * level)
            for e in incoming(network, node.name, lateral=True):
                assert after[e] - before[e] == close(level)


def _level_moved(network: Network, record: Record, gained: dict[int, float], node: Node) -> float:
    """By how much the inventory level of a node goes up from one review to the next."""
    name = node.name
    helped = sum(record["shipped"][e] - record["defective"][e] for e in incoming(network, name, lateral=True))
    asked = sum(record["shipped"][e] if network.links[e].lateral else gained[e] for e in outgoing(network, name))
    taken = record["demand"].get(name, 0.0) - record["lost"].get(name, 0.0)
    return record["made"][name] + helped - asked - taken - record["scrapped"][name]


@given(trials(network=networks(features=True), min_periods=2))
def test_a_node_with_stock_lets_nobody_wait_whom_it_may_serve(trial: Trial) -> None:
    network = trial.network
    for view, record, _ in moves(trial):
        for node in network.nodes:
            helped = incoming(network, node.name, lateral=True)
            if not view["node_up"][node.name] or record["on_hand"][node.name] <= 1e-9 or helped:
                continue
            assert record["backorders"][node.name] <= 1e-9
            assert record["lost"].get(node.name, 0.0) <= 1e-9
            for e in outgoing(network, node.name):
                most = network.links[e].capacity
                if view["link_up"][e] and (most is None or record["shipped"][e] < most):
                    assert record["owed"][e] + record["dropped"][e] <= 1e-9


@given(trials(network=networks(features=True)))
def test_a_policy_that_spoils_its_view_spoils_nothing_else(trial: Trial) -> None:
    def spoil(period: int, view: View) -> list[float]:
        view["on_hand"].clear()
        view["pipeline"][0].clear()
        return trial.orders[period]

    assert referee(trial.network, spoil, trial.draws) == follow(trial)[1]


# Of single features, in networks that have them among others.


@given(trials(network=networks(features=True, always=("order bounds",))))
def test_what_is_ordered_keeps_to_the_bounds_of_the_link(trial: Trial) -> None:
    for asked, record in zip(trial.orders, follow(trial)[1], strict=True):
        for e, link in enumerate(trial.network.links):
            order = record["ordered"][e]
            assert (order > 0) == (asked[e] > 0)
            if order == 0:
                continue
            assert order >= link.min_order
            assert link.max_order is None or order <= link.max_order
            assert link.lot_size is None or (order / link.lot_size).is_integer()
            raised = max(asked[e], link.min_order)
            assert raised <= order < raised + (link.lot_size or 1e-9) or order == link.max_order


@given(trials(network=networks(features=True, always=("link capacity",))))
def test_a_link_never_ships_more_than_its_capacity(trial: Trial) -> None:
    for record in follow(trial)[1]:
        for e, link in enumerate(trial.network.links):
            assert link.capacity is None or record["shipped"][e] <= link.capacity


@given(trials(network=networks(features=True, always=("node capacity", "production")), min_periods=2))
def test_no_period_makes_more_than_nodes_and_shared_machines_can(trial: Trial) -> None:
    network = trial.network
    for view, record, following in moves(trial):
        made = {name: view["made"][name] + record["made"][name] - following["made"][name] for name in view["made"]}
        for node in network.nodes:
            assert node.capacity is None or made[node.name] <= node.capacity + 1e-9
        for resource in network.resources:
            if resource.kind == "production":
                assert sum(made[name] for name in resource.members) <= resource.capacity + 1e-9


@given(trials(network=networks(features=True, always=("storage",))))
def test_a_shared_room_never_holds_more_than_its_capacity(trial: Trial) -> None:
    rooms = [resource for resource in trial.network.resources if resource.kind == "storage"]
    views, records = follow(trial)
    for room in rooms:
        for view in views:
            assert sum(view["on_hand"][name] + in_process(view, name) for name in room.members) <= room.capacity + 1e-9
        for record in records:
            held = sum(record["on_hand"][name] + record["in_process"][name] for name in room.members)
            assert held <= room.capacity + 1e-9


@given(trials(network=networks(features=True), min_periods=2))
def test_components_wait_only_where_something_stops_the_node(trial: Trial) -> None:
    network = trial.network
    stored = {name for resource in network.resources for name in resource.members}
    for view in follow(trial)[0]:
        for node in network.nodes:
            links = [network.links[pool[0]] for pool in pools(network, node.name)]
            sets = min(
                view["waiting"][pool[0]] / link.quantity
                for pool, link in zip(pools(network, node.name), links, strict=True)
            )
            at_most = node.capacity is not None and view["made"][node.name] == close(node.capacity)
            if node.name not in stored and view["node_up"][node.name] and not at_most:
                assert sets < 1 if network.whole_units else sets <= 1e-9


@given(trials(network=networks(features=True, always=("processing",)), min_periods=2))
def test_made_units_stay_in_process_for_the_processing_time(trial: Trial) -> None:
    network = trial.network
    runs = list(moves(trial))
    for node in network.nodes:
        by_period = [runs[0][0]["made"][node.name]]
        for view, record, following in runs:
            by_period[-1] = view["made"][node.name] + record["made"][node.name] - following["made"][node.name]
            recent = by_period[max(0, len(by_period) - node.processing_time) :] if node.processing_time else []
            assert record["in_process"][node.name] == close(sum(recent))
            by_period.append(following["made"][node.name])


@given(trials(network=networks(features=True, always=("disruption",)), min_periods=2))
def test_what_is_down_makes_ships_and_sells_nothing(trial: Trial) -> None:
    network = trial.network
    for view, record, following in moves(trial):
        for node in network.nodes:
            if not following["node_up"][node.name]:
                assert following["made"][node.name] == 0
            if not view["node_up"][node.name]:
                assert record["made"][node.name] == following["made"][node.name]
                assert record["delivered"].get(node.name, 0.0) == 0
                assert all(record["shipped"][e] == 0 for e in outgoing(network, node.name))
        assert all(record["shipped"][e] == 0 for e, up in view["link_up"].items() if not up)


@given(trials(network=networks(features=True, always=("yield",)), min_periods=2))
def test_the_yield_is_the_share_of_what_arrives_up_to_a_unit_where_units_are_whole(trial: Trial) -> None:
    network = trial.network
    for draw, move in zip(trial.draws, moves(trial), strict=False):
        for e, link in enumerate(network.links):
            share = draw["yields"][e] if not isinstance(link.yield_rate, float) else link.yield_rate
            gap = move[1]["defective"][e] - arrived(move, e) * (1 - share)
            # With a random lead time a link can bring something twice in a period; each is rounded by itself.
            assert abs(gap) < (2 if network.whole_units and share < 1 else 1e-9)


@given(trials(network=networks(features=True, always=("partial backorders",))))
def test_the_share_of_unmet_demand_that_waits_is_that_of_the_node(trial: Trial) -> None:
    for record in follow(trial)[1]:
        for node in trial.network.outlets:
            if isinstance(node.stockout_rule, float):
                short = record["demand"][node.name] - record["sold"][node.name]
                gap = record["lost"][node.name] - short * (1 - node.stockout_rule)
                assert abs(gap) < (1 if trial.network.whole_units else 1e-9)


@given(trials(network=networks(features=True, always=("perishable",)), min_periods=2))
def test_no_unit_is_in_stock_for_longer_than_its_shelf_life(trial: Trial) -> None:
    runs = list(moves(trial))
    for node in trial.network.nodes:
        if node.shelf_life is None:
            continue
        entered = [runs[0][0]["on_hand"][node.name]]
        for view, record, following in runs:
            assert sum(view["ages"][node.name]) == close(view["on_hand"][node.name])
            left = record["delivered"].get(node.name, 0.0) + record["scrapped"][node.name]
            left += sum(record["shipped"][e] for e in outgoing(trial.network, node.name))
            # What is made at once in a period is of the age of what came at its review.
            at_once = record["on_hand"][node.name] - view["on_hand"][node.name] + left - record["scrapped"][node.name]
            entered[-1] += at_once
            entered.append(following["on_hand"][node.name] - view["on_hand"][node.name] + left - at_once)
            assert following["on_hand"][node.name] <= sum(entered[-node.shelf_life :]) + 1e-9


@given(trials(network=networks(features=True, always=("first come",)), min_periods=2))
def test_a_first_come_node_serves_nobody_before_those_who_asked_earlier(trial: Trial) -> None:
    network = trial.network
    for view, record, following in moves(trial):
        for node in network.nodes:
            if node.allocation != "first_come":
                continue
            links = [e for e in outgoing(network, node.name) if not network.links[e].lateral]
            for e in links:
                assert sum(owed for _, owed in following["queue"][e]) == close(following["owed"][e])
            # The oldest order that is still owed on a link that could carry more: nothing younger is served.
            oldest = min(
                (
                    heard
                    for e in links
                    for heard, owed in following["queue"][e]
                    if owed > 1e-9 and view["link_up"][e] and not _is_full(network, record, e)
                ),
                default=len(trial.draws),
            )
            for e in links:
                if network.links[e].unfilled == "backorder" and view["node_up"][node.name]:
                    before = sum(owed for heard, owed in view["queue"][e] if heard > oldest)
                    after = sum(owed for heard, owed in following["queue"][e] if heard > oldest)
                    assert after >= before - 1e-9


def _is_full(network: Network, record: Record, e: int) -> bool:
    capacity = network.links[e].capacity
    return capacity is not None and record["shipped"][e] >= capacity


@given(trials(network=networks(features=True, always=("balance",)), min_periods=2))
def test_a_balancing_node_gives_nothing_to_those_better_off_than_one_who_wants_more(trial: Trial) -> None:
    network = trial.network
    for view, record, _ in moves(trial):
        for node in network.nodes:
            if node.allocation != "balance" or not view["node_up"][node.name]:
                continue
            off = {e: _well_off(network, view, e) for e in outgoing(network, node.name) if not network.links[e].lateral}
            wants = [
                e
                for e in off
                if view["link_up"][e]
                and not _is_full(network, record, e)
                and record["owed"][e] + record["dropped"][e] > 1e-9
            ]
            for e in off:
                for f in wants:
                    if record["shipped"][e] > 1e-9:
                        # A whole unit more than the level is the most that rounding gives.
                        slack = 1 if network.whole_units else 1e-9
                        assert off[e] + record["shipped"][e] <= off[f] + record["shipped"][f] + slack


def _well_off(network: Network, view: View, e: int) -> float:
    """The inventory position of the target of a link, without what is owed to it."""
    pool = next(pool for pool in pools(network, network.links[e].target) if e in pool)
    owed = sum(view["owed"][f] + sum(quantity for _, quantity in view["requests"][f]) for f in pool)
    return inventory_position(network, view)[e] - owed


@given(trials(network=networks(features=True, always=("random lead time",)), min_periods=2))
def test_shipments_arrive_after_their_lead_time_and_in_turn_where_they_must_not_cross(trial: Trial) -> None:
    shipped: dict[int, list[tuple[int, float]]] = defaultdict(list)
    for period, (draw, (_, record, following)) in enumerate(zip(trial.draws, moves(trial), strict=False)):
        for e, link in enumerate(trial.network.links):
            times = (link.lead_time,) if isinstance(link.lead_time, int) else link.lead_time.values
            time = link.lead_time if isinstance(link.lead_time, int) else draw["lead_time"][e]
            start = link.initial_in_transit * max(0, min(times) - 2 - period)
            shipped[e].append((period + time, record["shipped"][e]))
            coming = sum(quantity for due, quantity in shipped[e] if due > period + 1)
            assert under_way(following, e) == close(start + coming)
            if isinstance(link.lead_time, LeadTime) and not link.lead_time.crossover:
                assert [due for due, _ in shipped[e]] == sorted(due for due, _ in shipped[e])


@given(trials(network=networks(features=True, always=("lateral",))))
def test_lateral_links_leave_no_debts(trial: Trial) -> None:
    for record in follow(trial)[1]:
        for e, link in enumerate(trial.network.links):
            if link.lateral:
                assert record["owed"][e] == record["waiting"][e] == 0
                assert record["shipped"][e] + record["dropped"][e] == close(record["ordered"][e])


# Of the classic model alone.


@given(trials())
def test_a_pipeline_holds_what_was_shipped_in_the_last_periods_of_its_lead_time(trial: Trial) -> None:
    records = follow(trial)[1]
    for period, record in enumerate(records):
        for e, link in enumerate(trial.network.links):
            assert isinstance(link.lead_time, int)
            recent = sum(r["shipped"][e] for r in records[max(0, period + 1 - link.lead_time) : period + 1])
            started = link.initial_in_transit * max(0, link.lead_time - 1 - period)
            assert record["pipeline"][e] == close(started + (recent if link.lead_time else 0))


@given(trials())
def test_stock_and_shortage_never_meet(trial: Trial) -> None:
    network = trial.network
    for record in follow(trial)[1]:
        for node in network.nodes:
            short = record["backorders"][node.name] + record["lost"].get(node.name, 0)
            owes = sum(record["owed"][e] for e in outgoing(network, node.name))
            if short > 1e-9 or owes > 1e-9:
                assert record["on_hand"][node.name] == close(0)
            assert min(record["waiting"][e] for e in incoming(network, node.name, lateral=False)) == 0


@given(trials())
def test_an_outside_source_ships_all_that_it_is_asked_for(trial: Trial) -> None:
    for record in follow(trial)[1]:
        for e, link in enumerate(trial.network.links):
            if link.source == OUTSIDE:
                assert record["shipped"][e] == record["ordered"][e]


@given(trials(min_periods=2))
def test_echelon_positions_move_only_by_orders_and_by_what_customers_take(trial: Trial) -> None:
    network = trial.network
    for view, record, following in moves(trial):
        taken = {node.name: 0.0 for node in network.nodes}
        taken.update({name: record["demand"][name] - record["lost"][name] for name in record["demand"]})
        before, after = echelon_position(network, view), echelon_position(network, following)
        for e, link in enumerate(network.links):
            gained = record["ordered"][e] - record["dropped"][e]
            assert after[e] - before[e] == close(gained - _taken_downstream(network, taken, link.target))


def _taken_downstream(network: Network, taken: dict[str, float], name: str) -> float:
    """What customers take at the node and below it, once per way to each."""
    below = [network.links[e].target for e in outgoing(network, name)]
    return taken[name] + sum(_taken_downstream(network, taken, target) for target in below)
