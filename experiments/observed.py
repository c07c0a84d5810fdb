"""What a run noted of its policies' decisions, read back: orders against the state, stock and orders by node."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from echelon.experiments.folder_tables import number, rows_if_any

POLICY_MAP = [
    *("problem", "policy", "link", "view", "x", "y", "x_width", "y_width"),
    *("order", "low", "high", "visits"),
]
BULLWHIP = [
    *("problem", "policy", "node", "on_hand", "on_hand_half_width"),
    *("order_variance", "demand_variance", "bullwhip", "bullwhip_half_width"),
]

Key = tuple[str, str]


@dataclass(frozen=True)
class Cell:
    """A state that a policy met, and what it ordered in it; `y` is None in a view of one coordinate."""

    x: float
    y: float | None
    order: float
    """Mean, units."""
    low: float
    high: float
    visits: int


@dataclass(frozen=True)
class OrderMap:
    """One policy's orders on one link against the state, in one of the views of `observe`."""

    link: str
    view: str
    widths: tuple[float, float | None]
    cells: tuple[Cell, ...]

    @cached_property
    def visits(self) -> int:
        """How often any state was met."""
        return sum(cell.visits for cell in self.cells)


@dataclass(frozen=True)
class NodeFlow:
    """Mean stock on hand at a node, and the variance of its orders over that of the demand that it serves."""

    node: str
    on_hand: float
    on_hand_half_width: float | None
    bullwhip: float | None
    """None where demand does not vary."""
    bullwhip_half_width: float | None


def read_maps(file: Path) -> dict[Key, tuple[OrderMap, ...]]:
    """The policy maps by problem and policy; none if the run noted none."""
    found: defaultdict[Key, defaultdict[tuple[str, str], list[tuple[Cell, float, float | None]]]]
    found = defaultdict(lambda: defaultdict(list))
    for row in rows_if_any(file, POLICY_MAP):
        order, low, high = (float(row[name]) for name in ("order", "low", "high"))
        cell = Cell(float(row["x"]), number(row["y"]), order, low, high, int(float(row["visits"])))
        width = (cell, float(row["x_width"]), number(row["y_width"]))
        found[row["problem"], row["policy"]][row["link"], row["view"]].append(width)
    return {
        key: tuple(_order_map(link, view, parts) for (link, view), parts in maps.items()) for key, maps in found.items()
    }


def _order_map(link: str, view: str, parts: Sequence[tuple[Cell, float, float | None]]) -> OrderMap:
    _, x_width, y_width = parts[0]
    return OrderMap(link, view, (x_width, y_width), tuple(cell for cell, _, _ in parts))


def read_flows(file: Path) -> dict[Key, tuple[NodeFlow, ...]]:
    """Stock and bullwhip of every node by problem and policy; none if the run noted none."""
    found: defaultdict[Key, list[NodeFlow]] = defaultdict(list)
    for row in rows_if_any(file, BULLWHIP):
        bullwhip, spread = number(row["bullwhip"]), number(row["bullwhip_half_width"])
        on_hand = float(row["on_hand"])
        flow = NodeFlow(row["node"], on_hand, number(row["on_hand_half_width"]), bullwhip, spread)
        found[row["problem"], row["policy"]].append(flow)
    return {key: tuple(flows) for key, flows in found.items()}
