"""The picture of a large guaranteed-service network: one box for each layer, with the stages whose stock costs most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from echelon.experiments.network_map import CUSTOMERS, arrow_head, customers
from echelon.experiments.stage_marks import (
    PITCH_X,
    Drawing,
    Item,
    escaped,
    percent,
    short,
    text,
    triangle,
    triangle_side,
)

LISTED = 5
"""How many stages of a layer are named."""
LINE = 17
"""Pixels from line to line."""
LAYER_X, LAYER_Y = 200, (LISTED + 6) * LINE
"""The size of a box."""


def layer_boxes(items: Sequence[Item], layer: Mapping[str, int]) -> Drawing:
    """One box for each layer, their width and their height."""
    depths = sorted(set(layer.values()))
    members = [[item for item in items if layer[item.name] == depth] for depth in depths]
    dearest = max(sum(item.cost for item in here) for here in members) or 1.0
    body = []
    for rank, here in enumerate(members):
        left, middle = rank * PITCH_X, LAYER_Y / 2
        body.append(_layer(here, left, triangle_side(sum(item.cost for item in here) / dearest)))
        end = left + PITCH_X
        arrow = f'<path class="link" d="M{left + LAYER_X} {middle}H{end}"/>{arrow_head(end, middle)}'
        body.append(customers(left + LAYER_X, middle) if here is members[-1] else arrow)
    return "".join(body), (len(depths) - 1) * PITCH_X + LAYER_X + CUSTOMERS, LAYER_Y


def _layer(here: Sequence[Item], left: float, side: float) -> str:
    """The box of one layer, with the stages whose safety stock costs most."""
    holding = sorted((item for item in here if item.units > 0), key=lambda item: -item.cost)
    right, listed = left + LAYER_X - 10, holding[:LISTED]
    share = sum(item.share for item in here)
    words = text("name", left + 10, 20, f"{len(here):,} stage{'s' * (len(here) > 1)}")
    words += text("time", left + 10, 20 + LINE, f"{f'{len(holding):,}' if holding else 'none'} with safety stock")
    words += text("units", left + 10, 20 + 2 * LINE, percent(share)) if holding else ""
    for rank, item in enumerate(listed):
        y = 34 + (rank + 3) * LINE
        words += f"<g><title>{escaped(item.facts)}</title>{text('time', left + 10, y, short(item.name))}"
        words += f"{text('time end', right, y, percent(item.share))}</g>"
    if len(holding) > LISTED:
        words += text("time", left + 10, 34 + (LISTED + 3) * LINE, f"and {len(holding) - LISTED:,} more")
    return (
        f'<g class="{"stock" if holding else "none"}"><rect x="{left}" width="{LAYER_X}" height="{LAYER_Y}" rx="5"/>'
        f"{words}{triangle(right - 12, 30, side if holding else 0)}</g>"
    )
