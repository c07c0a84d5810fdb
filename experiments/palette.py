"""The colours of a run: one per policy and cost kind, chosen to be told apart by the colour-blind and in grey.

Figures are drawn in the light colours. The report swaps each for a variable, so that one drawing serves a light
page, a dark page and paper.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

INK, MUTED, GRID, PAPER = "#1c2430", "#5d6875", "#dde2e8", "#fffffe"
DARK_ON_LIGHT = "#1c2432"
"""Text on bars that are light on every page."""

POLICY_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#b5568f", "#b07d00", "#3f97c9", "#6a51a3", "#7a6a58")
"""After Okabe and Ito (2008), the light ones darkened until they carry a thin line on white."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")

COST_COLOURS = {
    "holding": "#31506b",
    "processing_holding": "#577795",
    "transit_holding": "#7d9bb3",
    "stockout": "#c4933f",
    "purchase": "#c9d3dc",
    "fixed": "#8d8478",
    "scrap": "#a8503a",
    "revenue": "#6f9460",
}

DARK = {
    INK: "#e8ecf1",
    MUTED: "#a3adb9",
    GRID: "#343c46",
    PAPER: "#1a1f26",
    "#0072b2": "#57aee6",
    "#d55e00": "#f28a3d",
    "#009e73": "#35c79b",
    "#b5568f": "#e08fc0",
    "#b07d00": "#e3b341",
    "#3f97c9": "#8ccbee",
    "#6a51a3": "#a996e0",
    "#7a6a58": "#b8a794",
    "#31506b": "#5f8cb3",
    "#7d9bb3": "#a9c4d9",
    "#c4933f": "#e0b566",
    "#c9d3dc": "#c9d3dc",
    "#8d8478": "#918a80",
}
"""What each colour becomes on a dark page."""


@dataclass(frozen=True)
class Look:
    """The colour and the marker of a policy in every figure of a run."""

    colour: str
    marker: str


def looks(names: tuple[str, ...]) -> Mapping[str, Look]:
    """One look per policy; colours repeat after eight, but no pair of colour and marker before 64 policies."""
    colours, markers = len(POLICY_COLOURS), len(MARKERS)
    return {
        name: Look(POLICY_COLOURS[rank % colours], MARKERS[(rank + rank // colours) % markers])
        for rank, name in enumerate(names)
    }


def variable(colour: str) -> str:
    """The style sheet's name of a colour."""
    return f"--c-{colour[1:]}"


def style_variables() -> str:
    """The style rules that give every colour its light and its dark value; paper is always light."""
    light = "".join(f"{variable(colour)}:{colour};" for colour in DARK)
    dark = "".join(f"{variable(colour)}:{value};" for colour, value in DARK.items())
    return f":root{{{light}}}\n@media screen and (prefers-color-scheme: dark){{:root{{{dark}}}}}\n"


def themed(drawing: str) -> str:
    """An SVG drawing with its colours replaced by the style sheet's variables."""
    for colour in DARK:
        drawing = drawing.replace(f": {colour}", f": var({variable(colour)})")
    return drawing
