"""What a policy does, watched on the first evaluation scenarios: a sample path, its orders against the state that it
saw, and how much more its orders vary than demand.

All of it follows from the problem, the policy and the seed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from echelon.envs.arrays import network_arrays
from echelon.envs.batched import gather_sum
from echelon.envs.network import topological_order
from echelon.envs.policy import Policy
from echelon.envs.problem import Problem
from echelon.envs.scenarios import sample
from echelon.envs.simulate import simulate
from echelon.envs.state import Ledger, State
from echelon.experiments.evaluate import estimate

Row = dict[str, Any]
Floats = NDArray[np.float64]

TRACED_PERIODS = 60
WATCHED_PERIODS = 100
"""Periods after the warm-up of every replication that is watched."""
MOST_WATCHED = 64
"""Replications that are watched; fewer in a large network."""
MOST_COLUMNS = 2_000
"""Nodes and links, over all replications that are watched."""
MOST_LINKS = 8
"""Links whose orders are mapped; of more, the most upstream and the most downstream."""
MOST_BINS = 32
"""Values of a state that are told apart; beyond, neighbours are put together."""
USUAL = (0.1, 0.9)
"""Between which shares of the orders in a state the usual ones lie."""

INSTALLATION, ECHELON, PLANE = "inventory position", "echelon inventory position", "stock and orders"
"""The views of a policy map: by one position, or by stock and what is on order."""


@dataclass(frozen=True, eq=False)
class Watched:
    """What a policy saw and did, after the warm-up; T periods of B replications."""

    problem: Problem
    level: Floats
    """[B, T, E] stock less backorders at the link's target at the review, in units of the component."""
    on_order: Floats
    """[B, T, E] ordered from all sources of the component and not yet in stock, at the review."""
    position: Floats
    """[B, T, E] inventory position at the review: that of the echelon in a network of several."""
    ledger: Ledger
    """With axes [B, T, ...]."""


def observations(
    problem_name: str, policy_name: str, policy: Policy, problem: Problem, *, seed: int
) -> dict[str, list[Row]]:
    """The rows of one policy for each table of observations, by the name of the table.

    `trace`: what every node held and ordered in the first replication. `policy_map`: the mean and usual orders on a
    link in every state that was met. `bullwhip`: for every node, mean stock on hand, and the variance of its orders
    over that of the customers' demand that it serves.
    """
    watched = watch(policy, problem, seed=seed)
    tables = {"trace": _trace(watched), "policy_map": _policy_map(watched), "bullwhip": _bullwhip(watched)}
    key = {"problem": problem_name, "policy": policy_name}
    return {table: [key | row for row in rows] for table, rows in tables.items()}


def watch(policy: Policy, problem: Problem, *, seed: int) -> Watched:
    """Run a policy on the first evaluation scenarios and note the states that it decides in."""
    short = replace(problem, periods=min(problem.periods, problem.warm_up + WATCHED_PERIODS))
    columns = len(problem.network.nodes) + len(problem.network.links)
    replications = max(1, min(MOST_WATCHED, MOST_COLUMNS // columns))
    scenarios = sample(problem.network, periods=short.periods, replications=replications, seed=seed)
    seen: list[tuple[Floats, Floats, Floats]] = []

    def deciding(state: State) -> Any:
        arrays = state.arrays
        level = state.inventory_level[:, arrays.target] * arrays.quantity
        several = arrays.height > 1
        seen.append((level, state.on_order, state.echelon_inventory_position if several else state.inventory_position))
        return policy(state)

    trace = simulate(short, deciding, scenarios, trace=True).trace
    assert trace is not None
    counted = slice(problem.warm_up, None)
    level, on_order, position = (np.stack(parts, axis=1)[:, counted] for parts in zip(*seen, strict=True))
    return Watched(short, level, on_order, position, trace)


def _trace(watched: Watched) -> list[Row]:
    """What each node held and ordered in the first replication, after the warm-up."""
    problem, ledger = watched.problem, watched.ledger
    arrays = network_arrays(problem.network)
    of_outlets = arrays.outlet_column[:, None]
    by_node = {
        "on_hand": ledger.on_hand[0],
        "backorders": gather_sum(ledger.backorders[0], of_outlets),
        "ordered": gather_sum(ledger.ordered[0], arrays.in_links),
        "demand": gather_sum(ledger.demand[0], of_outlets),
    }
    last = min(problem.periods, problem.warm_up + TRACED_PERIODS)
    return [
        {"period": t, "node": node.name, **{column: float(values[t, n]) for column, values in by_node.items()}}
        for t in range(problem.warm_up, last)
        for n, node in enumerate(problem.network.nodes)
    ]


def _policy_map(watched: Watched) -> list[Row]:
    """Orders against the state, over all states that were met; what else the policy may look at is averaged out."""
    network = watched.problem.network
    arrays = network_arrays(network)
    ordered = watched.ledger.ordered[:, watched.problem.warm_up :]
    view = ECHELON if arrays.height > 1 else INSTALLATION
    rows: list[Row] = []
    for e in mapped_links(watched.problem):
        link = {"link": network.links[e].label}
        orders = ordered[:, :, e].ravel()
        axes = [(view, [watched.position[:, :, e].ravel()])]
        if len(network.nodes) == 1 and np.ptp(watched.on_order[:, :, e]) > 0:
            axes.append((PLANE, [watched.level[:, :, e].ravel(), watched.on_order[:, :, e].ravel()]))
        for name, states in axes:
            rows += [link | {"view": name} | row for row in _by_state(states, orders, whole=network.whole_units)]
    return rows


def mapped_links(problem: Problem) -> list[int]:
    """The links whose orders are mapped, upstream first."""
    place = {name: rank for rank, name in enumerate(topological_order(problem.network))}
    links = [e for e, link in enumerate(problem.network.links) if not link.lateral]
    links.sort(key=lambda e: place.get(problem.network.links[e].target, 0))
    half = MOST_LINKS // 2
    return links if len(links) <= MOST_LINKS else links[:half] + links[-half:]


def _by_state(states: Sequence[Floats], orders: Floats, *, whole: bool) -> Iterator[Row]:
    """One row for every state that was met, `states` being its one or two coordinates [B * T]."""
    widths = [bin_width(float(np.ptp(values)), whole=whole) for values in states]
    lattice = np.stack([np.floor(values / width) for values, width in zip(states, widths, strict=True)])
    cells, member = np.unique(lattice, axis=1, return_inverse=True)
    by_cell = np.split(orders[np.argsort(member, kind="stable")], np.cumsum(np.bincount(member))[:-1])
    for cell, found in zip(cells.T, by_cell, strict=True):
        # A bin of whole numbers holds the first `width` of them from its edge; its middle is theirs.
        middle = [float((k + 0.5) * width - 0.5 * whole) for k, width in zip(cell, widths, strict=True)]
        low, high = np.quantile(found, USUAL)
        yield {
            "x": middle[0],
            "y": middle[1] if len(middle) > 1 else None,
            "x_width": widths[0],
            "y_width": widths[1] if len(widths) > 1 else None,
            "order": float(found.mean()),
            "low": float(low),
            "high": float(high),
            "visits": len(found),
        }


def bin_width(span: float, *, whole: bool) -> float:
    """A round width, 1, 2 or 5 times a power of ten, that cuts a range into at most `MOST_BINS` bins."""
    if span == 0 or (whole and span < MOST_BINS):
        return 1.0
    least = span / (MOST_BINS - 1)
    power = 10.0 ** np.floor(np.log10(least))
    width = next(float(round_number * power) for round_number in (1, 2, 5, 10) if round_number * power >= least)
    return max(1.0, width) if whole else width


def _bullwhip(watched: Watched) -> list[Row]:
    """For every node: mean stock, and the variance of its orders over that of the demand that it serves."""
    problem, ledger = watched.problem, watched.ledger
    counted = slice(problem.warm_up, None)
    orders, demand = node_orders(watched), served_demand(watched)
    rows = []
    for n, node in enumerate(problem.network.nodes):
        on_hand = ledger.on_hand[:, counted, n].mean(axis=1)
        rows.append(
            {
                "node": node.name,
                "on_hand": float(on_hand.mean()),
                "on_hand_half_width": estimate(on_hand).half_width if len(on_hand) > 1 else None,
                **_ratio(orders[:, :, n], demand[:, :, n]),
            }
        )
    return rows


def node_orders(watched: Watched) -> Floats:
    """[B, T, N] what each node orders, in units of its own item: the mean over its components, all sources together."""
    network = watched.problem.network
    arrays = network_arrays(network)
    ordered = watched.ledger.ordered[:, watched.problem.warm_up :]
    components = (arrays.in_pools < len(network.links)).sum(axis=1)
    own = ordered / (arrays.quantity * components[arrays.target])
    return np.stack([gather_sum(part, arrays.in_links) for part in own])


def served_demand(watched: Watched) -> Floats:
    """[B, T, N] what customers ask of each node and of all that it supplies, in units of the node's own item.

    Where a component has several sources, each is taken to serve the same share of the demand for it.
    """
    network = watched.problem.network
    arrays = network_arrays(network)
    demand = watched.ledger.demand[:, watched.problem.warm_up :]
    served = np.stack([gather_sum(part, arrays.outlet_column[:, None]) for part in demand])
    index = {node.name: n for n, node in enumerate(network.nodes)}
    for name in reversed(topological_order(network)):
        for e, link in enumerate(network.links):
            if link.source == name and not link.lateral:
                share = arrays.quantity[e] / arrays.pool_size[e]
                served[:, :, index[name]] += share * served[:, :, index[link.target]]
    return served


def _ratio(orders: Floats, demand: Floats) -> Row:
    """The two variances over replications and periods [B, T], and their ratio with its interval over replications."""
    parts = [((values - values.mean()) ** 2).mean(axis=1) for values in (orders, demand)]
    order_variance, demand_variance = (float(part.mean()) for part in parts)
    ratio = order_variance / demand_variance if demand_variance else None
    # A ratio of means has about the error of the mean of its residuals.
    half_width = None
    if ratio is not None and len(parts[0]) > 1:
        half_width = estimate((parts[0] - ratio * parts[1]) / demand_variance).half_width
    return {
        "order_variance": order_variance,
        "demand_variance": demand_variance,
        "bullwhip": ratio,
        "bullwhip_half_width": half_width,
    }
