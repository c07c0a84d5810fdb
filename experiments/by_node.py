"""The figures of where things happen: stock on hand, and how much more orders vary than demand, node by node.

In a large network the nodes of one echelon stand together.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from echelon.experiments.canvas import WIDTH, Looks, interval, short
from echelon.experiments.frames import far_end, on_scale
from echelon.experiments.layering import layers
from echelon.experiments.observed import NodeFlow
from echelon.experiments.palette import INK
from echelon.experiments.run_folder import PolicyResult, Result

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_NODES = 8
"""Nodes that are drawn apart."""
MOST_POLICIES = 6
LINE, HEADING = 0.17, 0.3
"""Inches for one policy at one node, and for the node's name."""

Value = tuple[float, float | None]
"""A mean and its half width."""


@dataclass(frozen=True)
class Group:
    """A node, or all nodes of an echelon: what is said of each policy there."""

    name: str
    values: Mapping[str, Value]


def drawn_policies(result: Result) -> list[PolicyResult]:
    """The cheapest policies whose flows are known; one off the scale of cost would flatten the others here too."""
    return [policy for policy in on_scale(result) if policy.flows][:MOST_POLICIES]


def stock(result: Result) -> list[Group]:
    """Mean stock on hand by node or, in total, by echelon; upstream first."""
    return _groups(result, lambda flow: (flow.on_hand, flow.on_hand_half_width), total=True)


def bullwhip(result: Result) -> list[Group]:
    """Variance of orders over that of demand, by node or, as the mean of its nodes, by echelon; upstream first."""
    groups = _groups(
        result, lambda flow: None if flow.bullwhip is None else (flow.bullwhip, flow.bullwhip_half_width), total=False
    )
    return [group for group in groups if group.values]


def _groups(result: Result, measure: Callable[[NodeFlow], Value | None], *, total: bool) -> list[Group]:
    policies = drawn_policies(result)
    nodes = [flow.node for flow in policies[0].flows] if policies else []
    network = result.network or {"links": ()}
    layer = layers(nodes, network["links"]) or dict.fromkeys(nodes, 0)
    members: defaultdict[object, list[str]] = defaultdict(list)
    for node in sorted(nodes, key=lambda node: layer[node]):
        members[node if len(nodes) <= MOST_NODES else layer[node]].append(node)
    groups = []
    for rank, names in enumerate(members.values(), start=1):
        apart = len(nodes) <= MOST_NODES
        name = names[0] if apart else f"echelon {rank} ({len(names):,} node{'s' * (len(names) > 1)})"
        found = {policy.name: _together(policy, set(names), measure, total=total) for policy in policies}
        groups.append(Group(name, {policy: value for policy, value in found.items() if value is not None}))
    return groups


def _together(
    policy: PolicyResult, names: set[str], measure: Callable[[NodeFlow], Value | None], *, total: bool
) -> Value | None:
    values = [value for flow in policy.flows if flow.node in names and (value := measure(flow)) is not None]
    if len(values) < 2:
        return values[0] if values else None
    summed = sum(mean for mean, _ in values)
    return (summed if total else summed / len(values)), None


def draw_stock(result: Result, policy_looks: Looks) -> Figure:
    """Mean stock on hand of every policy at every node."""
    return draw_groups(stock(result), policy_looks, label="mean stock on hand (units)", end=None)


def draw_bullwhip(result: Result, policy_looks: Looks) -> Figure:
    """Bullwhip of every policy at every node; at 1, orders vary as much as demand does."""
    label = "variance of orders / variance of customers' demand"
    figure = draw_groups(bullwhip(result), policy_looks, label=label, end=bullwhip_end(result))
    figure.axes[0].axvline(1.0, color=INK, linewidth=1.0, zorder=0.8)
    figure.axes[0].set_xlim(right=max(1.06, figure.axes[0].get_xlim()[1]))
    return figure


def bullwhip_end(result: Result) -> float | None:
    """The bullwhip at which the scale ends, or None if all are on it; 1 and less is never far."""
    return far_end([max(1.0, mean) for group in bullwhip(result) for mean, _ in group.values.values()])


def draw_groups(groups: list[Group], policy_looks: Looks, *, label: str, end: float | None) -> Figure:
    """Groups of dots with intervals, one for each policy; beyond the end of the scale, an arrow at the edge."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    names = list(dict.fromkeys(name for group in groups for name in group.values))
    lines = HEADING * len(groups) + LINE * sum(len(group.values) for group in groups)
    legend = 0.2 * ((len(names) + 1) // 2)
    figure = Figure(figsize=(WIDTH, 0.75 + legend + lines), layout="constrained")
    axes, top = figure.add_subplot(), 0.0
    for group in groups:
        across = axes.get_yaxis_transform()
        axes.text(0.0, top + 0.6 * HEADING, short(group.name), transform=across, va="center", color=INK, fontsize=9)
        top += HEADING
        for name, (mean, width) in group.values.items():
            interval(axes, top + LINE / 2 - 0.14, mean, width, look=policy_looks[name], end=end)
            top += LINE
        axes.axhline(top, color=INK, linewidth=0.4, alpha=0.25)
    for name in names:
        look = policy_looks[name]
        axes.plot([], [], look.marker, color=look.colour, markersize=6, label=short(name))
    axes.set_ylim(top, 0.0)
    axes.set_yticks([])
    axes.grid(axis="x")
    axes.set_axisbelow(True)
    axes.margins(x=0.06)
    axes.set_xlabel(label)
    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.set_xlim(left=min(0.0, axes.get_xlim()[0]))
    figure.legend(loc="outside upper left", ncols=2, columnspacing=1.2)
    return figure
