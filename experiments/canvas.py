"""The frame that all figures of a report share: their width, their style, rows of policies with intervals.

All are as wide as half a page, so that their text stays readable on a phone. matplotlib is imported where it is
needed, and its global state is not touched.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from echelon.experiments.palette import GRID, INK, MUTED, PAPER, Look
from echelon.experiments.run_folder import PolicyResult, Result

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 4.2
"""Inches."""
ROW = 0.5
"""Inches for one policy."""
LONGEST_NAME = 30
DASHES = (0, (5, 3))

Looks = Mapping[str, Look]


def style() -> AbstractContextManager[None]:
    """matplotlib's settings while a figure is drawn and saved: quiet axes, text as text, the same bytes each time."""
    import matplotlib

    return matplotlib.rc_context(
        {
            "font.size": 9.0,
            "text.parse_math": False,
            "text.color": INK,
            "axes.labelcolor": MUTED,
            "axes.edgecolor": MUTED,
            "axes.facecolor": "none",
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.spines.left": False,
            "axes.linewidth": 0.8,
            "grid.color": GRID,
            "grid.linewidth": 0.8,
            "xtick.color": MUTED,
            "ytick.color": MUTED,
            "figure.facecolor": "none",
            "legend.frameon": False,
            "legend.handlelength": 1.5,
            "legend.fontsize": 8.5,
            "svg.fonttype": "none",
            "svg.hashsalt": "echelon",
        }
    )


def cost_label(result: Result, what: str) -> str:
    """An axis label with its unit."""
    return f"{what} (discounted total, money)" if result.discounted else f"{what} (money per period)"


def slug(name: str) -> str:
    """A name as part of a file name."""
    return re.sub(r"[^A-Za-z0-9_]+", "-", name).strip("-")[:60] or "unnamed"


def short(name: str) -> str:
    """A name cut to the room that a figure has for it."""
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"


def blank(height: float) -> tuple[Figure, Axes]:
    """One pair of axes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    return figure, figure.add_subplot()


def rows(policies: Sequence[PolicyResult], label: str, *, extra: float = 0.0) -> tuple[Figure, Axes]:
    """Axes with one row per policy, the best at the top; names stand above their rows and need no margin."""
    from matplotlib.ticker import MaxNLocator

    figure, axes = blank(0.75 + extra + ROW * len(policies))
    axes.set_ylim(len(policies) - 0.5, -0.6)
    axes.set_yticks([])
    axes.grid(axis="x")
    axes.set_axisbelow(True)
    axes.set_xlabel(label)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    return figure, axes


def name_row(axes: Axes, row: int, policy: PolicyResult, *, note: str, indent: float = 0.0) -> None:
    across = axes.get_yaxis_transform()
    plate = {"facecolor": PAPER, "edgecolor": "none", "pad": 0.8}
    name = axes.text(indent, row - 0.24, short(policy.name), fontweight="bold", color=INK)
    said = axes.text(1.0, row - 0.24, note, ha="right", fontsize=8.5, color=MUTED)
    for text in (name, said):
        text.set(transform=across, verticalalignment="center", bbox=plate, zorder=0.9)


def interval(
    axes: Axes, row: float, value: float, width: float | None, *, look: Look, end: float | None, hollow: bool = False
) -> None:
    """A marker with its interval; beyond the end of the scale, an arrow at the edge."""
    height = row + 0.14
    if end is not None and value > end:
        axes.plot(0.99, height, ">", color=look.colour, markersize=8, transform=axes.get_yaxis_transform())
        return
    bars = axes.errorbar(
        value, height, xerr=width or 0.0, fmt=look.marker, color=look.colour, elinewidth=2.2, capsize=3.5
    )
    bars.lines[0].set(markersize=7, markerfacecolor=PAPER if hollow else look.colour, zorder=3)


def label_above(axes: Axes, value: float, label: str) -> None:
    """Text over a vertical line, kept inside the figure."""
    left, right = axes.get_xlim()
    side = "left" if value < (left + right) / 2 else "right"
    axes.text(value, 1.01, label, transform=axes.get_xaxis_transform(), ha=side, va="bottom", color=INK, fontsize=8.5)
