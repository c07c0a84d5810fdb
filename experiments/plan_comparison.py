"""The report of a comparison of planning methods: one HTML page, which loads nothing from outside."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING, Any

import echelon
from echelon.envs.metrics import share_ends
from echelon.experiments.drawing import inline_svg
from echelon.experiments.page import counted, figure, page, style_sheet
from echelon.experiments.plan_curves import draw_frontier, frontier_words
from echelon.experiments.plan_summary import amount
from echelon.experiments.plots import style

if TYPE_CHECKING:
    import pandas as pd

PERCENT = 100.0
"""By what a share is multiplied."""

Column = tuple[str, str, float]
"""The head of a column, the measure of `compare_methods` that it shows, and what that is multiplied by."""

MEASURES: tuple[Column, ...] = (
    ("Cost a period", "cost", 1.0),
    ("Against the first", "cost_difference", 1.0),
    ("Fill rate (%)", "fill_rate", PERCENT),
    ("Periods without a stockout (%)", "alpha", PERCENT),
    ("Stock on hand", "on_hand", 1.0),
)


def comparison_page(
    comparison: pd.DataFrame, curves: pd.DataFrame | None = None, *, item: str, unit: str = "money"
) -> str:
    """The page as text: the table of `compare_methods`, and the frontiers of the methods (`frontiers`) if given.

    `unit` is that of the stock of the frontiers: money, or units where a unit is worth 1.
    """
    sections = [_table(comparison)]
    if curves is not None:
        said = frontier_words(curves, unit=unit)
        with style():
            drawing = inline_svg(draw_frontier(curves, unit=unit), prefix="f", label=said.alternative)
        card = figure(said.heading, drawing, said.caption)
        sections.append(
            f'<section id="service">\n<h2>What service costs</h2>\n<div class="grid">{card}</div>\n</section>\n'
        )
    facts = [item, counted(len(comparison), "policy", "policies"), f"Echelon {echelon.__version__}"]
    spans = "".join(f"<span>{escape(fact)}</span>" for fact in facts)
    return page(
        title=f"Planning methods for {item} · Echelon report",
        header=(
            '<header>\n<p class="eyebrow">Echelon · stock plan</p>\n<h1>Planning methods compared</h1>\n'
            f'<p class="facts">{spans}</p>\n</header>'
        ),
        main="".join(sections),
        footer="Made from <code>compare_methods</code> and <code>frontiers</code> alone.",
        style=style_sheet("plan_report.css"),
    )


def _table(comparison: pd.DataFrame) -> str:
    """A row for each policy, with the half widths of the intervals."""
    heads = "".join(f'<th scope="col" class="number">{escape(head)}</th>' for head, _, _ in MEASURES)
    rows = "".join(_row(row) for row in comparison.to_dict("records"))
    return (
        '<section id="methods">\n<h2>In simulation</h2>\n<div class="card"><table class="league plan">'
        "<caption>Means of common scenarios with the half widths of their intervals, or with the ends of those that "
        "reach 0 or 100 %</caption>"
        f'<thead><tr><th scope="col" class="words">Method</th>{heads}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>\n</section>\n"
    )


def _row(row: Mapping[Any, Any]) -> str:
    cells = "".join(
        f'<td class="number" data-label="{escape(head)}">{_cell(row[name], row[f"{name}_half_width"], unit=unit)}</td>'
        for head, name, unit in MEASURES
    )
    name = f'<span class="policy">{escape(str(row["method"]))}</span>'
    return f'<tr><td class="words" data-label="Method">{name}</td>{cells}</tr>'


def _cell(mean: float, half_width: float, *, unit: float) -> str:
    """A mean with its half width, or with the ends of its interval where a share has one that is cut off."""
    if unit == PERCENT and not half_width <= mean <= 1 - half_width:
        low, high = (float(end) for end in share_ends(mean, half_width))
        return f"{_shown(unit * mean)} ({_shown(unit * low)} to&nbsp;{_shown(unit * high)})"
    return f"{_shown(unit * mean)}&nbsp;±&nbsp;{_shown(unit * half_width)}"


def _shown(value: float) -> str:
    """Two digits after the point below 100, as shares need them."""
    return f"{value:.2f}".replace("-", "\N{MINUS SIGN}") if abs(value) < 100 else amount(value)
