"""The map of a network with the stock that the cheapest policies hold at every node, for the page and as a file."""

from __future__ import annotations

import re
from collections.abc import Mapping

from echelon.experiments.by_node import MOST_NODES, Value, drawn_policies, stock
from echelon.experiments.canvas import Looks
from echelon.experiments.findings import with_half_width
from echelon.experiments.network_map import Bar, network_map
from echelon.experiments.palette import INK, MUTED, style_variables, variable
from echelon.experiments.run_folder import PolicyResult, Result

MOST_BARS = 4

_LIGHT = f"""
.network{{font:12px sans-serif}} .network text{{text-anchor:middle;fill:{INK}}} .network .name{{font-weight:600}}
.network rect{{fill:#f0f3f6;stroke:{MUTED}}} .network .outlet rect{{fill:#e7f0f7;stroke:#0a5c94}}
.network .holding,.network .lead{{fill:{MUTED};font-size:11px}} .network .amount{{text-anchor:start;font-size:9px}}
.network .link{{fill:none;stroke:{MUTED};stroke-width:1.3}} .network .head,.network .customer{{fill:{MUTED}}}
.network .source{{fill:#fff;stroke:{MUTED};stroke-width:1.3}} .network .endless{{font-size:15px}}
"""


def stock_policies(result: Result) -> list[PolicyResult]:
    """The policies whose stock is drawn into the map; in a large network stock is known by echelon only."""
    small = result.network is not None and len(result.network["nodes"]) <= MOST_NODES
    return drawn_policies(result)[:MOST_BARS] if small else []


def stock_map(result: Result, policy_looks: Looks, *, label: str) -> str | None:
    """The drawing as an SVG element, or None for a network that is not drawn."""
    if result.network is None:
        return None
    policies = stock_policies(result)
    groups = stock(result) if policies else []
    if len(groups) < len(result.network["nodes"]):  # nodes stand together: there is no stock of each
        return network_map(result.network, label=label)
    most = max((group.values[policy.name][0] for group in groups for policy in policies), default=0.0)
    bars = {group.name: _bars(group.values, policies, policy_looks, most=most) for group in groups}
    return network_map(result.network, label=label, bars=bars)


def _bars(values: Mapping[str, Value], policies: list[PolicyResult], policy_looks: Looks, *, most: float) -> list[Bar]:
    return [
        Bar(
            f"var({variable(policy_looks[policy.name].colour)})",
            values[policy.name][0] / most if most else 0.0,
            with_half_width(*values[policy.name]).partition(" ")[0],
        )
        for policy in policies
    ]


def as_file(drawing: str) -> str:
    """A drawing of a page as a file of its own, in the light colours."""
    colours = dict(re.findall(r"(--c-[0-9a-f]{6}):(#[0-9a-f]{6})", style_variables().partition("@media")[0]))
    for name, colour in colours.items():
        drawing = drawing.replace(f"var({name})", colour)
    return drawing.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1).replace(
        ">", f"><style>{_LIGHT}</style>", 1
    )
