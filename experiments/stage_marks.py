"""What the picture of a network with its stock says of a stage, and the marks it is drawn with: text, triangles, sizes.

A triangle's area grows with what the stock costs. Costs below 0, as a stage's own cost function may have them, count
as none.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from html import escape

from echelon.baselines.guaranteed_service import GuaranteedService

BOX_X, HOLLOW_Y, FILLED_Y = 172, 38, 54
PITCH_X = 276
"""From layer to layer in pixels."""
LARGEST_TRIANGLE, SMALLEST_TRIANGLE = 28.0, 8.0
LONGEST_NAME = 18
"""Letters that fit beside the triangle."""

NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that no XML file may contain."""

Drawing = tuple[str, float, float]
"""Elements, and their width and height in pixels."""


@dataclass(frozen=True)
class Item:
    """What the picture says of one stage."""

    name: str
    time: str
    service_time: int
    units: float
    cost: float
    """Of its stock; 0 where it is negative."""
    share: float
    triangle: float
    """Side in pixels; 0 without stock."""
    to_customers: bool
    facts: str

    @property
    def half(self) -> float:
        """Half the height of the box."""
        return (FILLED_Y if self.units > 0 else HOLLOW_Y) / 2


def items_of(solution: GuaranteedService) -> list[Item]:
    """Every stage in the order of the network."""
    costs = [max(float(cost), 0.0) for cost in solution.stage_cost]
    dearest, total = max(costs) or 1.0, sum(costs) or 1.0
    items = []
    for j, (stage, cost) in enumerate(zip(solution.network.stages, costs, strict=True)):
        units = float(solution.safety_stock[j])
        items.append(
            Item(
                name=stage.name,
                time=f"{'T = ' if len(stage.times) == 1 else 'T random, mean '}{stage.mean_time:.3g}",
                service_time=int(solution.outbound[j]),
                units=units,
                cost=cost,
                share=cost / total,
                triangle=triangle_side(cost / dearest) if units > 0 else 0.0,
                to_customers=stage.has_customers,
                facts=_facts(solution, j),
            )
        )
    return items


def _facts(solution: GuaranteedService, j: int) -> str:
    stage, early = solution.network.stages[j], float(solution.early_stock[j])
    return (
        f"{stage.name}: stage time {stage.mean_time:g}, service time in {solution.inbound[j]}, "
        f"out {solution.outbound[j]}, net replenishment time {solution.net_replenishment_time[j]:g}; "
        f"safety stock {figure(float(solution.safety_stock[j]))}, "
        f"{f'early stock {figure(early)}, ' if early else ''}base stock {figure(float(solution.base_stock[j]))}, "
        f"pipeline stock {figure(float(solution.pipeline_stock[j]))}; cost {figure(float(solution.stage_cost[j]))}"
    )


def triangle_side(share: float) -> float:
    """Pixels, by a cost as a share of the largest one."""
    return max(LARGEST_TRIANGLE * math.sqrt(share), SMALLEST_TRIANGLE)


def triangle(x: float, y: float, side: float) -> str:
    """An element; nothing for a side of 0."""
    if not side:
        return ""
    tall = side * math.sqrt(3) / 2
    return f'<path class="triangle" d="M{x:.1f} {y - tall / 2:.1f}l{side / 2:.1f} {tall:.1f}h{-side:.1f}z"/>'


def text(kind: str, x: float, y: float, words: str) -> str:
    """An element of the style class `kind`."""
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}">{escaped(words)}</text>'


def escaped(words: str) -> str:
    """Words as XML can have them; what it cannot have at all is replaced by the character that stands for that."""
    return escape(NO_XML.sub("\ufffd", words))


def short(name: str, longest: int = LONGEST_NAME) -> str:
    """A name that fits."""
    return name if len(name) <= longest else f"{name[: longest - 1]}…"


def figure(value: float) -> str:
    """Three digits, or all before the point."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def rounded(value: float) -> str:
    """As `figure`, with thousands and millions where room is short."""
    if value < 1e4:
        return figure(value)
    return f"{value / 1e3:.3g} k" if value < 999.5e3 else f"{value / 1e6:.4g} M"


def percent(share: float) -> str:
    """Two digits."""
    return f"{100 * share:.2g} %" if share < 0.1 else f"{100 * share:.0f} %"
