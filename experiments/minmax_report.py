"""The report of a plan by simulation: one HTML page that loads nothing from outside."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import echelon
from echelon.baselines.certification import FloorResult
from echelon.baselines.cost_surface import CostSurface
from echelon.baselines.rule_space import NUMBERS
from echelon.baselines.service_frontier import FrontierPoint
from echelon.baselines.simulation_optimization import CITATION
from echelon.experiments.captions import Words
from echelon.experiments.drawing import inline_svg
from echelon.experiments.minmax_figures import (
    draw_frontier,
    draw_search,
    draw_surface,
    frontier_words,
    search_words,
    surface_words,
)
from echelon.experiments.minmax_plan import MinMaxPlan, plan_rows
from echelon.experiments.minmax_words import (
    floor_words,
    gain_words,
    per_period,
    rule_words,
    selection_words,
    warning_lines,
    with_interval,
)
from echelon.experiments.network_map import network_map
from echelon.experiments.page import counted, figure, page, paragraph, prose, style_sheet
from echelon.experiments.plots import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_ROWS = 60
"""Links in the table; parameters.csv has all."""
VERDICTS = {"met": "met", "missed": "missed", "undecided": "not shown"}


@dataclass(frozen=True, eq=False)
class Pictures:
    """What the page draws beside the plan itself."""

    surface: CostSurface
    link: int
    """Whose numbers the surface is over."""
    frontier: Sequence[FrontierPoint] = ()
    asked: FrontierPoint | None = None
    """The plan's own point on the frontier, where it has one."""


def minmax_page(plan: MinMaxPlan, pictures: Pictures) -> str:
    """The page as text."""
    with style():
        sections = [_result(plan), _floors(plan), _search(plan, pictures), _reproduce(plan)]
    return page(
        title=f"{rule_words(plan)} for {plan.problem.name} · Echelon report",
        header=_header(plan),
        main="".join(sections),
        footer="Made by <code>echelon plan</code>.",
        style=style_sheet("plan_report.css"),
    )


def _header(plan: MinMaxPlan) -> str:
    network, options = plan.problem.network, plan.asked.options
    facts = [
        counted(len(network.nodes), "node"),
        counted(len(plan.optimum.parameters), "number"),
        f"{options.position} position, review every {counted(options.review_period, 'period')}",
        f"seed {plan.asked.seed}",
        f"Echelon {echelon.__version__}",
    ]
    links = {
        "result": "Parameters",
        "floors": "Service",
        "pictures": "Pictures",
        "reproduce": "Method and reproduction",
    }
    ways = "".join(f'<a href="#{name}">{words}</a>' for name, words in links.items() if name != "floors" or plan.floors)
    return (
        f'<header>\n<p class="eyebrow">Echelon · plan by simulation</p>\n'
        f"<h1>{escape(_capital(rule_words(plan)))} for {escape(plan.problem.name)}</h1>\n"
        f'<p class="facts">{"".join(f"<span>{escape(fact)}</span>" for fact in facts)}</p>\n'
        f"{paragraph('answer', _answer(plan))}\n{_caution(plan)}<nav>{ways}</nav>\n</header>"
    )


def _answer(plan: MinMaxPlan) -> str:
    floors = f" Floors: {floor_words(plan)}." if plan.floors else " There is no floor under the service."
    cost = f"{with_interval(plan.optimum.cost)} {per_period(plan.problem)}"
    return f"The plan costs {cost}; gain: {gain_words(plan)}.{floors}"


def _caution(plan: MinMaxPlan) -> str:
    lines = [line.removeprefix("warning: ") for line in warning_lines(plan)]
    return f'<p class="caution">{"<br>".join(map(prose, lines))}</p>\n' if lines else ""


def _result(plan: MinMaxPlan) -> str:
    """The map and the table of the parameters."""
    names = NUMBERS[plan.space.rule]
    rows = plan_rows(plan)
    cells = [_cells(row, names) for row in rows[:MOST_ROWS]]
    left = len(rows) - len(cells)
    foot = f"and {left:,} more in parameters.csv" if left > 0 else "Measured on scenarios that no search has seen."
    return (
        f'<section id="result">\n<h2>Parameters</h2>\n{_map(plan, rows)}'
        f'<div class="card">{_table("Parameters, stock and service", cells, foot)}</div>\n</section>\n'
    )


def _cells(row: Mapping[str, Any], names: Sequence[str]) -> dict[str, str]:
    source = f'<span class="kind">from {escape(row["source"])}</span>'
    cells = {"Place": f'<span class="policy">{escape(row["place"])}</span>{source}'}
    for name in names:
        start = f'<span class="spread">({row[f"start_{name.lower()}"]:,.6g})</span>'
        cells[f"{name} (start)"] = f"<span>{row[name.lower()]:,.6g} {start}</span>"
    cells["On hand (units)"] = f"{row['on_hand']:,.1f}"
    for head, key in (("Fill rate (%)", "fill_rate"), ("Periods without shortage (%)", "period_service")):
        cells[head] = "" if row[key] is None else f"{100 * row[key]:.2f}"
    return cells | {"Cost": f"{row['cost']:,.4g}"}


def _map(plan: MinMaxPlan, rows: Sequence[Mapping[str, Any]]) -> str:
    """The network with the numbers at its nodes, where it can be drawn and each node has one supplier."""
    network, names = plan.problem.network, [name.lower() for name in NUMBERS[plan.space.rule]]
    notes = {row["node"]: " / ".join(f"{row[name]:,.6g}" for name in names) for row in rows}
    if len(notes) < len(rows):
        return ""
    record = {
        "nodes": [
            {"name": x.name, "outlet": x.demand is not None, "holding_cost": x.holding_cost} for x in network.nodes
        ],
        "links": [
            {"source": x.source, "target": x.target, "lead_time": f"{x.mean_lead_time:g}"} for x in network.links
        ],
    }
    said = ", ".join(f"{node} {note}" for node, note in notes.items())
    drawing = network_map(record, label=f"Network map. {said}.", notes=notes)
    if drawing is None:
        return ""
    numbers = " / ".join(NUMBERS[plan.space.rule])
    caption = (
        f"In the boxes: {numbers}, in units. Stock flows from left to right. L: mean lead time in periods. ∞: an "
        "outside source that never runs out. Coloured nodes serve customers."
    )
    body = f'<div class="map">{drawing}</div><figcaption>{escape(caption)}</figcaption>'
    return f'<figure class="card beside"><h3>The network</h3>{body}</figure>\n'


def _floors(plan: MinMaxPlan) -> str:
    """The certificate, floor by floor."""
    if not plan.floors:
        return ""
    certificate = plan.optimum.certificate
    prices = {price.floor: price.per_point for price in plan.optimum.prices}
    rows = [_floor_cells(one, prices.get(one.floor)) for one in certificate.floors]
    foot = (
        f"{certificate.replications:,} fresh replications. Bounds are one-sided at {100 * certificate.confidence:g} % "
        "confidence, over all looks and attempts."
    )
    said = (
        "The price is what a percentage point more of service costs at the margin: 0 where the floor does not bind; "
        "none where bounds do not allow more of it."
    )
    return (
        f'<section id="floors">\n<h2>Service</h2>\n{paragraph("source", said)}'
        f'<div class="card">{_table("The certificate", rows, foot)}</div>\n</section>\n'
    )


def _floor_cells(one: FloorResult, price: float | None) -> dict[str, str]:
    kind = one.floor.kind.replace("_", " ")
    verdict = "info" if one.verdict == "met" else "critical" if one.verdict == "missed" else "warning"
    return {
        "Floor": f'<span class="policy">{escape(one.floor.node)}</span><span class="kind">{escape(kind)}</span>',
        "Level (%)": f"{100 * one.floor.level:.4g}",
        "Reached (%)": f"{100 * one.service:.2f}",
        "At least (%)": f"{100 * one.at_least:.2f}",
        "At most (%)": f"{100 * one.at_most:.2f}",
        "Verdict": f'<span class="severity {verdict}">{VERDICTS[one.verdict]}</span>',
        "Price of a point": "at its bounds" if price is None else f"{price:,.3g}",
    }


def _search(plan: MinMaxPlan, pictures: Pictures) -> str:
    """The pictures."""
    found, surface = plan.optimum, pictures.surface
    numbers, start = (
        plan.space.numbers(plan.space.encode(one))[:, pictures.link] for one in (found.parameters, found.start)
    )
    drawn: list[tuple[Words, Figure]] = [
        (surface_words(surface, numbers, start), draw_surface(surface, numbers, start)),
        (search_words(found.trace, found.cost), draw_search(found.trace, found.cost)),
    ]
    if pictures.frontier:
        points, asked = pictures.frontier, pictures.asked
        drawn.append((frontier_words(points, asked), draw_frontier(points, asked)))
    cards = (
        figure(said.heading, inline_svg(drawing, prefix=f"p{rank}", label=said.alternative), said.caption)
        for rank, (said, drawing) in enumerate(drawn)
    )
    return f'<section id="pictures">\n<h2>Pictures</h2>\n<div class="grid">{"".join(cards)}</div>\n</section>\n'


def _reproduce(plan: MinMaxPlan) -> str:
    found = plan.optimum
    facts = {
        "evaluations": f"{found.evaluations:,}",
        "node-periods of the search": f"{found.node_periods:,}",
        "CPU seconds of the search": f"{found.cpu_seconds:.1f}",
        "selection": selection_words(plan),
    }
    listed = "".join(f"<div><dt>{escape(name)}</dt><dd>{prose(value)}</dd></div>" for name, value in facts.items())
    does = (
        "Formulas give starts; simulation on common random numbers does the rest, on samples that grow as candidates "
        "become fewer. The contenders are ranked on fresh scenarios, and the result is certified on others. The same "
        "seed gives the same plan on any number of threads."
    )
    return (
        '<section id="reproduce">\n<h2>Method and reproduction</h2>\n<div class="card">'
        f"{paragraph('does', does)}{paragraph('source', f'Source: {CITATION}.')}"
        f"<pre>{escape(command(plan))}</pre><dl>{listed}</dl></div>\n</section>\n"
    )


def command(plan: MinMaxPlan) -> str:
    """The command that makes the plan again."""
    asked = plan.asked
    words = ["echelon", "plan", asked.source, "--method", "minmax"]
    words += [] if asked.service is None else ["--service", f"{asked.service:g}"]
    words += [word for node, level in asked.floors.items() for word in ("--floor", f"{node}={level:g}")]
    words += [
        word
        for key, value in asked.options.model_dump(exclude_defaults=True).items()
        for word in ("--option", f"{key}={_yaml(value)}")
    ]
    words += [word for key, value in asked.parameters.items() for word in ("--set", f"{key}={_yaml(value)}")]
    return shlex.join([*words, "--seed", str(asked.seed), "--out", "DIR"])


def _yaml(value: Any) -> str:
    """A value as --set and --option read it: mappings and lists in one line."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_yaml(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_yaml, value)) + "]"
    return "true" if value is True else "false" if value is False else str(value)


def _table(caption: str, rows: Sequence[Mapping[str, str]], foot: str) -> str:
    """A table of cells that are HTML, by the heads of their columns; on a phone each row becomes a list."""
    heads = "".join(f'<th scope="col">{escape(head)}</th>' for head in rows[0])
    body = "".join(
        "<tr>"
        + "".join(
            f'<td class="number{"" if cell else " empty"}" data-label="{escape(head)}">{cell}</td>'
            for head, cell in row.items()
        )
        + "</tr>"
        for row in rows
    )
    return (
        f'<table class="league plan"><caption>{escape(caption)}</caption><thead><tr>{heads}</tr></thead>'
        f'<tbody>{body}</tbody><tfoot><tr><td colspan="{len(rows[0])}">{escape(foot)}</td></tr></tfoot></table>'
    )


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
