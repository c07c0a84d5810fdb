"""The report of a run: one HTML page that answers which policy is best, by how much, and how far from optimal.

The page is made from a run folder alone and loads nothing from outside: style and drawings are part of it, and
its content security policy forbids the rest.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from echelon.experiments.by_node import stock
from echelon.experiments.captions import in_words, path_words, plane_words, words
from echelon.experiments.drawing import inline_svg
from echelon.experiments.findings import answer, as_text, caution, ties
from echelon.experiments.league import key, league_table
from echelon.experiments.locks import REPORT_LOCK, locked
from echelon.experiments.missing import missing_parts
from echelon.experiments.network_map import LARGEST
from echelon.experiments.page import counted, figure, page, paragraph, prose, write_page
from echelon.experiments.palette import looks
from echelon.experiments.plots import Drawn, Looks, draw_all, path_names, plane_names, save, style
from echelon.experiments.run_folder import Result, Run, read_run
from echelon.experiments.stock_map import stock_map, stock_policies
from echelon.experiments.tables import write_tables
from echelon.experiments.whole_folder import remove_parts, synchronise

DECISIONS = ("orders", "stock", "bullwhip")
"""Figures of what the policies do."""
SMALL_NETWORK = 12
"""Nodes up to which the network map opens a problem's section; a larger one is folded away at its end."""


def remake(folder: Path) -> Path:
    """Make all that is made from a run folder alone: plots, tables, and the page, whose path is returned.

    One process at a time; what another one left behind when it was killed is removed.
    """
    run = read_run(folder)
    plots, tables, path = folder / "plots", folder / "tables", folder / "report.html"
    with locked(folder / REPORT_LOCK, wait=True), style():
        remove_parts(plots)
        remove_parts(tables)
        remove_parts(folder, path.name)
        drawn = draw_all(run)
        written = [*save(drawn, run, plots), *write_tables(run, tables), write_page(_page(run, drawn), path)]
        synchronise([*written, plots, tables, folder])
    return path


def write_report(folder: Path) -> Path:
    """Write report.html into a run folder in one step: a reader sees the old page or the new one, never a part."""
    return write_page(render(read_run(folder)), folder / "report.html")


def render(run: Run) -> str:
    """The page as text; the same run gives the same text."""
    with style():
        return _page(run, draw_all(run))


def _page(run: Run, drawn: Sequence[Drawn]) -> str:
    policy_looks = looks(run.policy_names)
    sections = [
        _section(result, policy_looks, [one for one in drawn if one.problem == number], number=number)
        for number, result in enumerate(run.results, start=1)
    ]
    return page(
        title=f"{run.name} · Echelon report",
        header=_header(run),
        main=f"{''.join(sections)}{_reproduce(run)}{_methods(run)}",
        footer=f"Made from the run folder {escape(run.name)} alone by <code>echelon report</code>.",
    )


def _header(run: Run) -> str:
    counts = [
        (len(run.results), "problem"),
        (len(run.policy_names), "policy"),
        (max(result.replications for result in run.results), "replication"),
    ]
    facts = [counted(count, noun, _PLURALS.get(noun, "")) for count, noun in counts]
    facts += [f"{label} {str(run.manifest[key])[:10]}" for key, label in _FACTS.items() if key in run.manifest]
    missing = missing_parts(run.failed, run.left_out, "the run")
    return (
        f'<header>\n<p class="eyebrow">Echelon · comparison of policies</p>\n<h1>{escape(run.name)}</h1>\n'
        f'<p class="facts">{"".join(f"<span>{escape(fact)}</span>" for fact in facts)}</p>\n'
        f"{_answers(run)}{missing}</header>"
    )


_PLURALS = {"policy": "policies"}
_FACTS = {"started": "started", "echelon": "Echelon", "seed": "seed"}


def _answers(run: Run) -> str:
    """The answers of all problems in one list, which is also the way to the sections; one problem needs none."""
    if len(run.results) == 1:
        return ""
    items = (
        f'<li><a href="#problem-{number}">{escape(result.name)}</a><span>{prose(answer(result))}</span></li>'
        for number, result in enumerate(run.results, start=1)
    )
    return f'<ul class="answers">{"".join(items)}</ul>\n'


def _section(result: Result, policy_looks: Looks, drawn: Sequence[Drawn], *, number: int) -> str:
    small = result.network is not None and len(result.network["nodes"]) <= SMALL_NETWORK
    network = _network(result, policy_looks)
    parts = [
        f"<h2>{escape(result.name)}</h2>",
        paragraph("source", _setting(result)),
        paragraph("source", result.citation),
        paragraph("answer", answer(result)),
        paragraph("ties", ties(result)),
        paragraph("caution", caution(result)),
        network if small else "",
        f'<div class="card">{league_table(result, policy_looks)}</div>',
        *_figures(result, drawn, prefix=f"p{number}"),
        "" if small else network,
    ]
    body = "\n".join(part for part in parts if part)
    return f'<section id="problem-{number}">\n{body}\n</section>\n'


def _setting(result: Result) -> str:
    """The problem's title, parameters and horizon in one line."""
    parts = [] if result.title == result.name else [result.title]
    parts += [f"{name.replace('_', ' ')} {as_text(value)}" for name, value in result.parameters.items()]
    if result.periods:
        parts.append(f"{result.periods:,} periods, the first {result.warm_up:,} not counted")
    return " · ".join(parts)


def _figures(result: Result, drawn: Sequence[Drawn], *, prefix: str) -> list[str]:
    """Grids of figures: those that compare, those that show what the policies do, and sample paths side by side."""
    grids: dict[str, list[str]] = {"compared": [], "decided": [], "followed": []}
    paths, maps = path_names(result), plane_names(result)
    for rank, one in enumerate(drawn):
        if one.name in paths:
            said, kind = path_words(result, paths[one.name]), "followed"
        elif one.name in maps:
            said, kind = plane_words(result, maps[one.name]), "decided"
        else:
            said, kind = words(result, one.name), "decided" if one.name in DECISIONS else "compared"
        drawing = inline_svg(one.figure, prefix=f"{prefix}-{rank}", label=said.alternative)
        grids[kind].append(figure(said.heading, drawing, said.caption))
    return [
        f'{heading}<div class="grid">{"".join(grids[kind])}</div>' for kind, heading in _GRIDS.items() if grids[kind]
    ]


_GRIDS = {"compared": "", "decided": '<h3 class="part">What the policies do</h3>', "followed": ""}


def _network(result: Result, policy_looks: Looks) -> str:
    if result.network is None:
        return ""
    nodes, links = result.network["nodes"], result.network["links"]
    count = f"{counted(len(nodes), 'node')} and {counted(len(links), 'link')}"
    shown = stock_policies(result)
    held = "; ".join(f"{group.name}: {in_words(group)}" for group in stock(result)) if shown else ""
    label = f"Network map: {count}. {_links_in_words(result.network)}{'. Mean stock on hand: ' + held if held else ''}"
    drawing = stock_map(result, policy_looks, label=label)
    if drawing is None:
        return paragraph("ties", f"The network has {count}; maps are drawn up to {LARGEST} nodes.")
    caption = (
        "Stock flows from left to right. L: lead time in periods. h: holding cost per unit and period. "
        "∞: an outside source that never runs out. Coloured nodes serve customers."
    )
    caption += f" Bars: mean stock on hand with {', '.join(policy.name for policy in shown)}." if shown else ""
    keys = "".join(f"<li>{key(policy_looks[policy.name])}{escape(policy.name)}</li>" for policy in shown)
    legend = f'<ul class="keys">{keys}</ul>' if shown else ""
    body = f'<div class="map" tabindex="0">{drawing}</div><figcaption>{legend}{escape(caption)}</figcaption></figure>'
    if len(nodes) <= SMALL_NETWORK:
        return f'<figure class="card beside"><h3>The network</h3>{body}'
    return f'<details><summary>The network: {count}</summary><figure class="card">{body}</details>'


def _links_in_words(network: Mapping[str, Any]) -> str:
    links = ((link["source"], link["target"], link["lead_time"]) for link in network["links"])
    return "; ".join(f"{source} to {target}, lead time {lead_time}" for source, target, lead_time in links)


_TOLD = ("command", "failed", "left_out", "status")
"""What the manifest holds that has its own place on the page; the status is open as long as the report is not made."""


def _reproduce(run: Run) -> str:
    command = run.manifest.get("command", "")
    line = shlex.join(str(word) for word in command) if isinstance(command, list) else str(command)
    facts = "".join(
        f"<div><dt>{escape(str(key).replace('_', ' '))}</dt><dd>{escape(as_text(value))}</dd></div>"
        for key, value in run.manifest.items()
        if key not in _TOLD
    )
    shown = f"<pre>{escape(line)}</pre>" if line else ""
    config = f"<details><summary>The resolved config</summary><pre>{escape(run.config)}</pre></details>"
    return (
        '<section id="reproduce">\n<h2>How to reproduce</h2>\n<div class="card">'
        "<p>This command repeats the run. The config and the seed fix every random number.</p>"
        f"{shown}<dl>{facts}</dl>{config if run.config else ''}</div>\n</section>\n"
    )


def _methods(run: Run) -> str:
    notes = "".join(f"<li>{prose(note)}</li>" for note in _notes(run))
    cited = [source for result in run.results for source in (result.citation, result.reference_source)]
    cited += [source for result in run.results for source in result.methods.values()]
    listed = "".join(f"<li>{escape(source)}</li>" for source in [*sorted({source for source in cited if source}), HOLM])
    return (
        f'<section id="methods">\n<h2>Methods and sources</h2>\n<div class="card">\n<ul class="notes">{notes}</ul>\n'
        f'<h3>Sources</h3>\n<ul class="notes">{listed}</ul>\n</div>\n</section>\n'
    )


HOLM = (
    "Holm, S. (1979). A simple sequentially rejective multiple test procedure. "
    "Scandinavian Journal of Statistics 6, 65-70."
)


def _notes(run: Run) -> Iterator[str]:
    level = f"{100 * run.results[0].confidence:g} %"
    yield (
        "A period: arrivals, orders, shipments, demand, then costs on what is left at its end. "
        "With lead time L, an order meets demand L periods later, and L + 1 periods of demand pass before the next can."
    )
    yield f"± is the half width of a {level} confidence interval (Student) over independent replications."
    yield (
        "All policies of a problem meet the same evaluation scenarios, so differences are paired. They are taken to "
        "the policy with the lowest mean; the table calls it best only if every other was shown to cost more. "
        "Verdicts are corrected for the number of comparisons by Holm's method, the intervals of the differences by "
        "Bonferroni's, so that they hold together."
    )
    yield "Training, tuning and evaluation use random streams of their own."
    yield (
        "Fill rate: the share of demand met at once from stock. "
        "Alpha service: the share of periods without a shortage, over all outlets. "
        "CPU time: what planning or training took."
    )
    if any(result.reference is not None for result in run.results):
        yield (
            "Gap: mean cost above the reference, in per cent of it. "
            "The optimum lies no further below a policy than a lower bound does."
        )
