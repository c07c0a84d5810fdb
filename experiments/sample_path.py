"""The figure of one sample path: what a policy holds, owes and orders at every node, period by period."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from echelon.experiments.findings import leader, rival
from echelon.experiments.layering import layers
from echelon.experiments.palette import INK, MUTED
from echelon.experiments.run_folder import NodeTrace, PolicyResult, Result

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH, HEIGHT = 4.2, 1.2
"""Inches, the height for one node."""
LONGEST = 40
"""Periods that are drawn, from the end of the path."""
MOST_NODES = 6
LONGEST_NAME = 40


def path_policies(result: Result) -> list[PolicyResult]:
    """The policies whose sample path is drawn: the two that the answer speaks of."""
    first = leader(result)
    pair = [first, rival(result, first) or result.best]
    return [policy for policy in dict.fromkeys(pair) if policy.trace]


def path_nodes(result: Result, policy: PolicyResult) -> list[NodeTrace]:
    """The last periods of the nodes that are drawn, upstream first: all, or the most upstream and most downstream."""
    network = result.network or {"nodes": (), "links": ()}
    order = layers([node["name"] for node in network["nodes"]], network["links"]) or {}
    traces = sorted(policy.trace, key=lambda trace: order.get(trace.node, 0))
    half = MOST_NODES // 2
    return [ending(trace) for trace in (traces if len(traces) <= MOST_NODES else traces[:half] + traces[-half:])]


def draw_path(result: Result, policy: PolicyResult, *, colour: str) -> Figure:
    """Small multiples, one for each node; every policy of a problem is drawn to the same scale."""
    from matplotlib.figure import Figure

    nodes = path_nodes(result, policy)
    figure = Figure(figsize=(WIDTH, 0.85 + HEIGHT * len(nodes)), layout="constrained")
    panels = figure.subplots(len(nodes), 1, sharex=True, squeeze=False)[:, 0]
    for axes, trace in zip(panels, nodes, strict=True):
        _draw_node(axes, trace, colour=colour)
        axes.set_ylim(*_limits(result, trace.node))
    for axes in panels[:-1]:
        axes.spines["bottom"].set_visible(False)
        axes.tick_params(bottom=False)
    panels[-1].set_xlabel("period")
    parts = [zip(*axes.get_legend_handles_labels(), strict=True) for axes in panels]
    labelled = {label: handle for part in parts for handle, label in part}
    figure.legend(labelled.values(), labelled.keys(), loc="outside upper left", ncols=4, columnspacing=1.4)
    return figure


def _draw_node(axes: Axes, trace: NodeTrace, *, colour: str) -> None:
    period = trace.period
    short = [-units for units in trace.backorders]
    axes.fill_between(period, trace.on_hand, step="mid", color=colour, alpha=0.3, linewidth=0)
    axes.step(period, trace.on_hand, where="mid", color=colour, linewidth=1.3, label="on hand")
    if any(short):
        axes.fill_between(period, short, step="mid", color=INK, alpha=0.75, linewidth=0, label="backorders")
    stems_x, stems_y = _stems(period, trace.ordered)
    axes.plot(stems_x, stems_y, color=MUTED, linewidth=1.8, label="ordered")
    if any(trace.demand):
        axes.plot(period, trace.demand, ".", color=INK, markersize=3.5, label="demand")
    axes.axhline(0.0, color=MUTED, linewidth=0.8)
    axes.set_title(f"{trace.node[:LONGEST_NAME]} (units)", loc="left", fontsize=9, color=INK)
    axes.grid(axis="y")


def _stems(period: Sequence[int], units: Sequence[float]) -> tuple[list[float], list[float]]:
    """Upright strokes as one line with gaps, which draws far quicker than one line each."""
    x = [value for t in period for value in (t, t, math.nan)]
    y = [value for quantity in units for value in (0.0, quantity, math.nan)]
    return x, y


def _limits(result: Result, node: str) -> tuple[float, float]:
    """The range of units at a node over every policy that is drawn."""
    drawn = [trace for policy in path_policies(result) for trace in path_nodes(result, policy)]
    traces = [trace for trace in drawn if trace.node == node]
    top = max(max(trace.on_hand + trace.ordered + trace.demand) for trace in traces)
    bottom = max(max(trace.backorders) for trace in traces)
    room = 0.06 * (top + bottom) or 1.0
    return -bottom - room, top + room


def ending(trace: NodeTrace) -> NodeTrace:
    """The periods of a path that are drawn."""
    return NodeTrace(
        trace.node,
        trace.period[-LONGEST:],
        trace.on_hand[-LONGEST:],
        trace.backorders[-LONGEST:],
        trace.ordered[-LONGEST:],
        trace.demand[-LONGEST:],
    )
