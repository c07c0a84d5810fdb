"""The report of a planning run: one HTML page in the words of a planner, which loads nothing from outside.

Alerts come first, then how much stock there is, where and when, then what it follows from. The same tables and
targets give the same bytes.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING

import echelon
from echelon.baselines.planning_tables import PlanningTables
from echelon.experiments.captions import Words
from echelon.experiments.drawing import inline_svg
from echelon.experiments.page import counted, figure, page, paragraph, prose, style_sheet
from echelon.experiments.plan_curves import WEEKS, draw_frontier, draw_sweep, frontier_words, sweep_words
from echelon.experiments.plan_figures import (
    MOST_PANELS,
    draw_days,
    draw_largest,
    draw_sources,
    draw_weeks,
)
from echelon.experiments.plan_lists import alert_section, largest_section, severities
from echelon.experiments.plan_map import stock_map
from echelon.experiments.plan_stacks import MOST_ROWS, draw_components, draw_drivers, driver_totals, driver_words
from echelon.experiments.plan_summary import COMPONENTS, PIPELINE, SAFETY, PlanSummary, amount, day, plan_summary
from echelon.experiments.plan_words import (
    GLOSSARY,
    METHODS,
    MethodWords,
    category_words,
    largest_words,
    location_words,
    map_words,
    panel_words,
    source_words,
    tier_words,
    week_words,
)
from echelon.experiments.plots import style

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from echelon.baselines.planning import Targets
    from echelon.baselines.safety_stock_bands import Band

ALWAYS = (SAFETY, "cycle_stock", PIPELINE)
"""Components that are told even where there is none."""
BESIDE = {"category": category_words, "location": location_words}
"""What stands beside the stock by tier: the stock by category, or by location where there is one category."""

Drawn = tuple[Words, "Figure"]
Curve = tuple["pd.DataFrame | None", str]


def plan_page(
    tables: PlanningTables,
    targets: Targets,
    alerts: pd.DataFrame,
    *,
    source: str = "",
    bands: Mapping[str, Band] | None = None,
    curve: Curve | None = None,
    limits: Sequence[str] = (),
) -> str:
    """The page as text. `source` is the folder that the tables were read from.

    `bands` are those that the targets were planned with: unless given, those that `plan_assp` has by itself. `curve`
    is what service costs by this method, or why there is no picture of it (`plan_curves.report_frontier`). `limits` are
    the options of the command that cut stock to a budget or a storage.
    """
    from echelon.baselines.safety_stock_bands import TABLE_1

    summary = plan_summary(tables, targets)
    method = METHODS.get(targets.method, MethodWords(targets.method, "", ()))
    with style():
        sections = [
            alert_section(alerts),
            _stock(summary),
            _over_time(summary),
            _inputs(summary, TABLE_1 if bands is None else bands),
            _service(summary, curve),
            largest_section(summary, by_customers=method.by_customers),
            _methods(method),
            _reproduce(tables, targets.method, source, limits),
        ]
    return page(
        title=f"Stock plan by {method.title} · Echelon report",
        header=_header(summary, method, alerts, source, with_curve=curve is not None),
        main="".join(sections),
        footer="Made by <code>echelon plan</code> from the tables and the targets alone.",
        style=style_sheet("stage_map.css") + style_sheet("plan_report.css"),
    )


def _header(summary: PlanSummary, method: MethodWords, alerts: pd.DataFrame, source: str, *, with_curve: bool) -> str:
    rows, periods = summary.rows, summary.targets.series["period"]
    facts = [
        counted(rows["item"].nunique(), "item"),
        counted(rows["location"].nunique(), "location"),
        counted(len(rows), "item-location"),
        f"{counted(periods.nunique(), 'period')} from {day(periods.min())} to {day(periods.max())}",
        *([f"tables from {source}"] if source else []),
        f"Echelon {echelon.__version__}",
    ]
    links = {
        "alerts": "Alerts",
        "stock": "Stock",
        "time": "Over time",
        "inputs": "What it follows from",
        **({"service": "What service costs"} if with_curve else {}),
        "largest": "Largest",
        "methods": "Method and terms",
        "reproduce": "Reproduce",
    }
    ways = "".join(f'<a href="#{name}">{words}</a>' for name, words in links.items())
    return (
        f'<header>\n<p class="eyebrow">Echelon · stock plan</p>\n<h1>Stock plan by {escape(method.title)}</h1>\n'
        f'<p class="facts">{"".join(f"<span>{escape(fact)}</span>" for fact in facts)}</p>\n'
        f"{paragraph('answer', _answer(summary))}\n{severities(alerts)}\n{_tiles(summary)}\n"
        f"<nav>{ways}</nav>\n</header>"
    )


def _answer(summary: PlanSummary) -> str:
    """The plan in one or two sentences."""
    held = sum(bool(stock > 0) for stock in summary.stock(SAFETY))
    worth = f", worth {amount(summary.value(SAFETY))}," if summary.in_money else ""
    days = summary.days(SAFETY)
    lasting = f": {amount(days)} days of the customers' demand" if days else ""
    return (
        f"{amount(summary.units(SAFETY))} units of safety stock{worth} at {held:,} of "
        f"{counted(len(summary.rows), 'item-location')}{lasting}. "
        f"Stock on hand costs {amount(summary.holding_cost)} per period to hold."
    )


def _tiles(summary: PlanSummary) -> str:
    """The totals: means over the horizon, of all item-locations."""
    shown = [name for name in COMPONENTS if name in summary.components or name in ALWAYS]
    tiles = [_tile(COMPONENTS[name].capitalize(), summary, [name]) for name in shown if name != PIPELINE]
    if len(summary.on_hand) > 1:
        tiles.append(_tile("Stock on hand", summary, summary.on_hand))
    tiles.append(_tile("Pipeline stock", summary, [PIPELINE]))
    cost = f'<span class="figure">{amount(summary.holding_cost)}</span>'
    tiles.append(
        f'<div class="tile"><dt>Holding cost</dt><dd>{cost}</dd><dd>per period, of the mean stock on hand</dd></div>'
    )
    return f'<dl class="tiles">{"".join(tiles)}</dl>'


def _tile(name: str, summary: PlanSummary, components: Sequence[str]) -> str:
    units, value, days = (sum(map(of, components)) for of in (summary.units, summary.value, summary.days))
    says = [f"worth {amount(value)}"] if summary.in_money else []
    says += [f"{amount(days)} days of supply"] if days else []
    main = " main" if components == [SAFETY] else ""
    return (
        f'<div class="tile{main}"><dt>{escape(name)}</dt><dd><span class="figure">{amount(units)} <small>units</small>'
        f"</span></dd><dd>{escape(' · '.join(says))}</dd></div>"
    )


def _stock(summary: PlanSummary) -> str:
    """How much there is of what, and where."""
    tiers = summary.by("group")
    drawn: list[Drawn] = [(tier_words(summary), draw_components(tiers, summary.groups, unit=summary.measure))]
    column = "category" if summary.rows["category"].nunique() > 1 else "location"
    table = summary.by(column)
    if len(table) > 1:
        names = [str(name) for name in table.sum(axis=1).sort_values(ascending=False, kind="stable").index[:MOST_ROWS]]
        drawn.append((BESIDE[column](summary, names), draw_components(table, names, unit=summary.measure)))
    said = map_words(summary)
    drawing = f'<div class="map">{stock_map(summary, label=said.alternative)}</div>'
    return (
        f'<section id="stock">\n<h2>Stock</h2>\n{_grid(drawn, "s")}\n'
        f"{figure(said.heading, drawing, said.caption)}\n</section>\n"
    )


def _over_time(summary: PlanSummary) -> str:
    drawn = [(week_words(summary), draw_weeks(summary)), (largest_words(summary), draw_largest(summary))]
    return f'<section id="time">\n<h2>Over time</h2>\n{_grid(drawn, "t")}\n</section>\n'


def _inputs(summary: PlanSummary, bands: Mapping[str, Band]) -> str:
    panels = summary.panels(bands)
    shown = panels[:MOST_PANELS]
    drawn: list[Drawn] = [
        (panel_words(shown, len(panels) - len(shown)), draw_days(shown)),
        (source_words(summary), draw_sources(summary)),
    ]
    if driver_totals(summary):
        drawn.append((driver_words(summary), draw_drivers(summary)))
    return f'<section id="inputs">\n<h2>What it follows from</h2>\n{_grid(drawn, "i")}\n</section>\n'


def _service(summary: PlanSummary, curve: Curve | None) -> str:
    """What service costs; nothing where that was not asked."""
    if curve is None:
        return ""
    table, why = curve
    body = f'<div class="card"><p>{escape(why)}</p></div>'
    if table is not None:
        unit = summary.measure
        drawn = [
            (frontier_words(table, unit=unit, weeks=WEEKS), draw_frontier(table, unit=unit)),
            (sweep_words(table), draw_sweep(table)),
        ]
        body = _grid(drawn, "f")
    return f'<section id="service">\n<h2>What service costs</h2>\n{body}\n</section>\n'


def _grid(drawn: Sequence[Drawn], prefix: str) -> str:
    cards = (
        figure(said.heading, inline_svg(drawing, prefix=f"{prefix}{rank}", label=said.alternative), said.caption)
        for rank, (said, drawing) in enumerate(drawn)
    )
    return f'<div class="grid">{"".join(cards)}</div>'


def _methods(method: MethodWords) -> str:
    sources = "".join(f"<li>{escape(source)}</li>" for source in method.sources)
    terms = "".join(
        f"<div><dt>{escape(term)}</dt><dd>{prose(meaning)}</dd></div>" for term, meaning in GLOSSARY.items()
    )
    listed = f'<h3>Sources</h3>\n<ul class="notes">{sources}</ul>\n' if sources else ""
    return (
        f'<section id="methods">\n<h2>Method and terms</h2>\n<div class="card">\n{paragraph("does", method.does)}'
        f'{listed}<h3>Terms</h3>\n<dl class="glossary">{terms}</dl></div>\n</section>\n'
    )


def _reproduce(tables: PlanningTables, method: str, source: str, limits: Sequence[str]) -> str:
    command = shlex.join(["echelon", "plan", "--method", method, source or "DATA_DIR", *limits, "--out", "DIR"])
    facts = "".join(
        f"<div><dt>{escape(name.replace('_', ' '))}</dt><dd>{counted(len(table), 'row')}</dd></div>"
        for name, table in tables.tables.items()
        if len(table)
    )
    return (
        '<section id="reproduce">\n<h2>How to reproduce</h2>\n<div class="card">'
        "<p>This command makes the plan again from the same tables. Nothing in it is random.</p>"
        f"<pre>{escape(command)}</pre><dl>{facts}</dl></div>\n</section>\n"
    )
