"""Hypothesis strategies: random networks of every shape that the model allows, and what happens on them.

Nodes and links come in any order, so that a position in a list tells nothing about the place in the
network. Costs are multiples of a quarter, and quantities are whole or have three decimals: small
enough to read in a failing example, and never so small that a rule turns on rounding.
"""

from __future__ import annotations

from collections.abc import Collection
from itertools import pairwise
from typing import Any, Literal, NamedTuple, cast

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from echelon.envs.demand import DiscreteUniform, Gamma, Law, Poisson, Uniform
from echelon.envs.network import OUTSIDE, Link, Network, Node
from echelon.envs.supply import LeadTime, Yield

from .features import FEATURES, with_features
from .referee import Draw, Record, View, referee

Pair = tuple[int, int]
"""Source and target of a link, as ranks: a source's rank is lower than its target's; -1 is outside."""
Demand = list[dict[str, float]]
Orders = list[list[float]]

SHAPES = ("serial", "distribution", "assembly", "general")


class Trial(NamedTuple):
    """A network with as many periods of draws as of orders."""

    network: Network
    draws: list[Draw]
    orders: Orders

    @property
    def demand(self) -> Demand:
        """The demand of every outlet by name, for each period."""
        return [draw["demand"] for draw in self.draws]


@st.composite
def networks(
    draw: st.DrawFn,
    *,
    shapes: tuple[str, ...] = SHAPES,
    max_nodes: int = 7,
    max_lead_time: int = 4,
    whole: bool | None = None,
    features: bool = False,
    always: Collection[str] = (),
) -> Network:
    """A valid network with any mix of rules and costs, in whole or continuous units as `whole` says.

    With `features` it has a few features beyond the classic model, and those named in `always` in any case.
    """
    in_whole_units = draw(st.booleans()) if whole is None else whole
    count = draw(st.integers(1, max_nodes))
    pairs = draw(_pairs(draw(st.sampled_from(shapes)), count))
    sources = {source for source, _ in pairs}
    names = [f"n{rank}" for rank in range(count)]
    nodes = [
        draw(_nodes(name, in_whole_units, has_customers=rank not in sources or draw(st.integers(0, 3)) == 0))
        for rank, name in enumerate(names)
    ]
    links = [
        draw(_links(names[source] if source >= 0 else OUTSIDE, names[target], max_lead_time, in_whole_units))
        for source, target in pairs
    ]
    units: Literal["whole", "continuous"] = "whole" if in_whole_units else "continuous"
    plain = Network(
        nodes=tuple(draw(st.permutations(nodes))),
        links=tuple(draw(st.permutations(links))),
        units=units if draw(st.booleans()) else None,
    )
    chosen = draw(st.sets(st.sampled_from(list(FEATURES)), min_size=1, max_size=5)) if features else set[str]()
    return draw(with_features(plain, chosen.union(always))) if chosen or always else plain


@st.composite
def trials(
    draw: st.DrawFn, *, network: st.SearchStrategy[Network] | None = None, min_periods: int = 1, max_periods: int = 10
) -> Trial:
    """A network with draws and orders for some periods."""
    drawn = draw(networks() if network is None else network)
    periods = draw(st.integers(min_periods, max_periods))
    return Trial(drawn, draw(draw_paths(drawn, periods)), draw(order_paths(drawn, periods)))


def follow(trial: Trial) -> tuple[list[View], list[Record]]:
    """The referee's views at review and its records of all periods."""
    views: list[View] = []

    def place(period: int, view: View) -> list[float]:
        views.append(view)
        return trial.orders[period]

    return views, referee(trial.network, place, trial.draws)


@st.composite
def draw_paths(draw: st.DrawFn, network: Network, periods: int) -> list[Draw]:
    """What chance decides in each period, for the features that the network has."""
    kinds = {kind: st.fixed_dictionaries(faces) for kind, faces in _dice(network).items() if faces}
    path = [
        cast(Draw, {"demand": demand, **{kind: draw(faces) for kind, faces in kinds.items()}})
        for demand in draw(demand_paths(network, periods))
    ]
    for e, link in enumerate(network.links):
        if isinstance(link.lead_time, LeadTime) and not link.lead_time.crossover:
            for before, after in pairwise(path):
                after["lead_time"][e] = max(before["lead_time"][e] - 1, after["lead_time"][e])
    return path


def _dice(network: Network) -> dict[str, dict[Any, st.SearchStrategy[Any]]]:
    """By kind of draw: what can come out for each link, node or outlet that needs it."""
    links, nodes, whole = dict(enumerate(network.links)), network.nodes, network.whole_units
    chance, status = st.integers(0, 7).map(lambda eighths: eighths / 8), st.sampled_from([1.0, 1.0, 0.0])
    times = {e: link.lead_time.values for e, link in links.items() if isinstance(link.lead_time, LeadTime)}
    yields = {e: link.yield_rate.values for e, link in links.items() if isinstance(link.yield_rate, Yield)}
    return {
        "lead_time": {e: st.sampled_from(values) for e, values in times.items()},
        "yields": {e: st.sampled_from(values) for e, values in yields.items()},
        "yield_chance": {e: chance for e, link in links.items() if whole and link.yield_rate != 1},
        "wait_chance": {node.name: chance for node in network.outlets if whole and _is_partial(node)},
        "node_up": {node.name: status for node in nodes if node.disruption},
        "link_up": {e: status for e, link in links.items() if link.disruption},
    }


def _is_partial(node: Node) -> bool:
    return isinstance(node.stockout_rule, float) and 0 < node.stockout_rule < 1


def draw_arrays(network: Network, draw: Draw, *, copies: int = 1) -> dict[str, NDArray[Any]]:
    """A period's draw as the package takes it: arrays [B, C], [B, E] or [B, N], the same for every copy.

    Kinds that no part of the network needs are absent; the others have an entry for every part.
    """
    usual: dict[str, dict[Any, float]] = {
        "demand": {node.name: 0.0 for node in network.outlets},
        "lead_time": {e: x.lead_time for e, x in enumerate(network.links) if isinstance(x.lead_time, int)},
        "yields": {e: x.yield_rate for e, x in enumerate(network.links) if isinstance(x.yield_rate, float)},
        "yield_chance": dict.fromkeys(range(len(network.links)), 0.0),
        "wait_chance": {node.name: 0.0 for node in network.outlets},
        "node_up": {node.name: 1.0 for node in network.nodes},
        "link_up": dict.fromkeys(range(len(network.links)), 1.0),
    }
    order = {"demand": network.outlets, "wait_chance": network.outlets, "node_up": network.nodes}
    arrays = {}
    for kind in ("demand", *needed_kinds(network)):
        values = usual[kind] | cast(dict[Any, float], draw.get(kind, {}))
        keys = [node.name for node in order[kind]] if kind in order else range(len(network.links))
        row = np.asarray([values[key] for key in keys], dtype=np.int64 if kind == "lead_time" else np.float64)
        arrays[kind] = row[None].repeat(copies, axis=0)
    return arrays


def needed_kinds(network: Network) -> list[str]:
    """The kinds of draws beyond demand that a network needs, in the package's eyes: constant yields too."""
    kinds = {kind for kind, faces in _dice(network).items() if faces}
    if any(link.yield_rate != 1 for link in network.links):
        kinds.add("yields")
    return sorted(kinds)


def demand_paths(network: Network, periods: int, *, highest: int = 8) -> st.SearchStrategy[Demand]:
    """The demand of every outlet by name, for each period."""
    quantity = quantities(highest, whole=network.whole_units)
    period = st.fixed_dictionaries({outlet.name: quantity for outlet in network.outlets})
    return st.lists(period, min_size=periods, max_size=periods)


def order_paths(network: Network, periods: int, *, highest: int = 12) -> st.SearchStrategy[Orders]:
    """The order on every link in link order, for each period."""
    count = len(network.links)
    period = st.lists(quantities(highest, whole=network.whole_units), min_size=count, max_size=count)
    return st.lists(period, min_size=periods, max_size=periods)


def order_up_to_levels(network: Network, *, highest: int = 30) -> st.SearchStrategy[list[float]]:
    """One level per link, for policies that order up to it."""
    count = len(network.links)
    return st.lists(quantities(highest, whole=network.whole_units), min_size=count, max_size=count)


def quantities(highest: int, *, whole: bool) -> st.SearchStrategy[float]:
    """Units from 0 to `highest`: whole, or with three decimals. Zero is not rare."""
    if whole:
        return st.integers(0, highest).map(float)
    return st.integers(-100 * highest, 1000 * highest).map(lambda thousandths: max(thousandths, 0) / 1000)


def costs() -> st.SearchStrategy[float]:
    """Money per unit or per order; zero is not rare."""
    return st.integers(-10, 40).map(lambda quarters: max(quarters, 0) / 4)


def demand_laws(*, whole: bool) -> st.SearchStrategy[Law]:
    """Poisson or discrete uniform demand in whole units, else uniform or gamma demand."""
    mean, low, spread = st.integers(1, 24).map(lambda quarters: quarters / 4), st.integers(0, 4), st.integers(0, 6)
    if whole:
        return st.one_of(
            st.builds(lambda mean: Poisson(mean=mean), mean),
            st.builds(lambda low, spread: DiscreteUniform(low=low, high=low + spread), low, spread),
        )
    return st.one_of(
        st.builds(lambda low, spread: Uniform(low=low, high=low + spread), low, spread),
        st.builds(lambda mean, sd: Gamma(mean=mean, sd=sd), mean, mean),
    )


@st.composite
def _pairs(draw: st.DrawFn, shape: str, count: int) -> list[Pair]:
    """The links of a network of the given shape: every node has a supply, and none is on a cycle."""
    if shape == "serial":
        return [(rank - 1, rank) for rank in range(count)]
    if shape == "distribution":
        return [(-1, 0)] + [(draw(st.integers(0, rank - 1)), rank) for rank in range(1, count)]
    if shape == "assembly":
        pairs = [(rank, draw(st.integers(rank + 1, count - 1))) for rank in range(count - 1)]
    else:
        possible = [(source, target) for target in range(count) for source in range(target)]
        pairs = [pair for pair in possible if draw(st.integers(0, 2)) == 0]
    fed = {target for _, target in pairs}
    return pairs + [(-1, rank) for rank in range(count) if rank not in fed or draw(st.integers(0, 3)) == 0]


@st.composite
def _nodes(draw: st.DrawFn, name: str, whole: bool, *, has_customers: bool) -> Node:
    customers: dict[str, Any] = {}
    if has_customers:
        customers = {
            "demand": draw(demand_laws(whole=whole)),
            "stockout_rule": draw(st.sampled_from(["backorder", "lost_sales"])),
            "stockout_cost": draw(costs()),
        }
    return Node(
        name=name,
        holding_cost=draw(costs()),
        allocation=draw(st.sampled_from(["proportional", "priority"])),
        priority=draw(st.integers(0, 2)),
        initial_on_hand=draw(quantities(12, whole=whole)),
        **customers,
    )


@st.composite
def _links(draw: st.DrawFn, source: str, target: str, max_lead_time: int, whole: bool) -> Link:
    return Link(
        source=source,
        target=target,
        lead_time=draw(st.integers(0, max_lead_time)),
        unit_cost=draw(costs()),
        fixed_cost=draw(costs()),
        transit_holding_cost=draw(costs()),
        unfilled=draw(st.sampled_from(["backorder", "drop"])),
        initial_in_transit=draw(quantities(6, whole=whole)),
    )
