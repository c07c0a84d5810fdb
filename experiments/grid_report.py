"""The report of several runs: one page that says which policy is best over instances and seeds, and how sure that is.

Runs may differ in their seed, in the parameters of their problems, or in the settings of their policies; `pool` tells
how they are put together. The page loads nothing from outside.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from echelon.experiments.canvas import Looks, style
from echelon.experiments.captions import Words, in_words
from echelon.experiments.drawing import inline_svg
from echelon.experiments.findings import with_half_width
from echelon.experiments.grid_figures import (
    MOST_INSTANCES,
    Across,
    forest,
    forest_end,
    forest_label,
    frontier_of,
    grid_figures,
    sweeps,
    yardstick,
)
from echelon.experiments.league import key
from echelon.experiments.locks import REPORT_LOCK, locked
from echelon.experiments.measured import Spread
from echelon.experiments.missing import missing_parts
from echelon.experiments.page import counted, figure, page, paragraph, prose, write_page
from echelon.experiments.palette import looks
from echelon.experiments.plots import save_figure
from echelon.experiments.pool import GRID_TABLE, Pool, lowest, pooled, read_pool
from echelon.experiments.resampling import FEWEST
from echelon.experiments.statistics import Interval
from echelon.experiments.tables import csv_text, latex, write_table
from echelon.experiments.whole_folder import remove_parts

if TYPE_CHECKING:
    from matplotlib.figure import Figure

POOLED = ["instance", "policy", "seeds", "cost", "cost_half_width", "gap_percent", "gap_half_width"]


def is_grid(folder: Path) -> bool:
    """Whether a folder holds runs and not one run."""
    return (folder / GRID_TABLE).exists()


def write_grid_report(folders: Sequence[Path], out: Path) -> Path:
    """Write the page of several runs, and beside it, in the folder NAME-files, the figures and the table."""
    pool = read_pool(folders)
    across = Across(pool)
    policy_looks = looks(pool.policies)
    beside = out.with_name(f"{out.stem}-files")
    plots, tables = beside / "plots", beside / "tables"
    plots.mkdir(parents=True, exist_ok=True)
    tables.mkdir(exist_ok=True)
    with locked(beside / REPORT_LOCK, wait=True), style():
        remove_parts(plots)
        remove_parts(tables)
        remove_parts(out.parent, out.name)
        drawn = list(grid_figures(across, policy_looks))
        for name, one in drawn:
            save_figure(one, plots, name)
        rows = list(_cells(pool))
        write_table(tables / "pooled.csv", csv_text(POOLED, rows))
        write_table(tables / "pooled.tex", _latex(pool))
        parts = [_card(_words(across, name), one, prefix=name) for name, one in drawn]
        return write_page(_page(across, parts, policy_looks), out)


def _card(said: Words, drawn: Figure, *, prefix: str) -> str:
    return figure(said.heading, inline_svg(drawn, prefix=prefix, label=said.alternative), said.caption)


def _page(across: Across, figures: Sequence[str], policy_looks: Looks) -> str:
    pool = across.pool
    facts = [
        counted(pool.runs, "run"),
        counted(len(pool.instances), "instance"),
        counted(len(pool.policies), "policy", "policies"),
        f"seeds {', '.join(map(str, pool.seeds))}" if pool.seeds else "no seed in common",
    ]
    missing = missing_parts(pool.failed, pool.left_out, "the runs")
    header = (
        f'<header>\n<p class="eyebrow">Echelon · comparison over runs</p>\n<h1>{escape(pool.name)}</h1>\n'
        f'<p class="facts">{"".join(f"<span>{escape(fact)}</span>" for fact in facts)}</p>\n'
        f"{paragraph('answer', _answer(across))}{paragraph('ties', _scope(across))}{missing}</header>"
    )
    main = (
        f'<section id="figures"><h2>Over all instances</h2><div class="grid">{"".join(figures)}</div></section>\n'
        f'<section id="instances"><h2>Instance by instance</h2>{_table(pool, policy_looks)}</section>\n'
        f'<section id="methods"><h2>Methods and sources</h2><div class="card"><ul class="notes">'
        f"{''.join(f'<li>{prose(note)}</li>' for note in _notes(pool))}</ul></div></section>\n"
    )
    return page(
        title=f"{pool.name} · Echelon report",
        header=header,
        main=main,
        footer="Made from run folders alone by <code>echelon report</code>.",
    )


def _answer(across: Across) -> str:
    """The policy that is best over all instances, and what may be said against the next."""
    means = across.means
    if len(means) < 2:
        return ""
    (best, first), (second, other) = list(means.items())[:2]
    chance = across.improvements[second]
    sure = (
        f"{best} costs less than it with probability {_interval(chance)}"
        if chance.low > 0.5
        else f"which of the two costs less is open ({best} with probability {_interval(chance)})"
    )
    return (
        f"{best} is {_interval(first)} % above {yardstick(across.pool)} in the interquartile mean, "
        f"{second} {_interval(other)} %; {sure}."
    )


def _interval(found: Interval) -> str:
    return f"{found.value:.3g} ({found.low:.3g} to {found.high:.3g})"


def _scope(across: Across) -> str:
    """What the figures over all instances are about, where they leave something out."""
    pool = across.pool
    seeds, shared = counted(len(pool.seeds), "seed"), counted(len(pool.shared), "instance")
    parts = []
    if not pool.shared:
        return (
            "Nothing is said over all instances: there is none on which every policy has a result of a common seed and "
            "costs something."
        )
    if len(pool.shared) < len(pool.instances):
        parts.append(
            f"Figures over all instances are about the {shared} of {len(pool.instances)} on which every policy has a "
            f"result of the same {seeds}{_some_cost(pool)}."
        )
    if across.over is None:
        parts.append(
            f"With {seeds} and {shared} no bootstrap interval across instances would hold what it promises: "
            f"interquartile means, profiles and probabilities need {FEWEST['runs']} seeds, or {FEWEST['instances']} "
            "instances."
        )
    return " ".join(parts)


def _some_cost(pool: Pool) -> str:
    free = any(lowest(pool, instance) == 0 for instance in pool.instances)
    return " and the lowest mean cost is not 0" if free else ""


def _words(across: Across, name: str) -> Words:
    """The words for the figure of that name."""
    pool = across.pool
    level = f"{100 * pool.confidence:g} %"
    if name == "forest":
        told = "; ".join(f"{group.name}: {in_words(group)}" for group in forest(pool))
        cut = len(pool.instances) > MOST_INSTANCES
        partly = f" The first {MOST_INSTANCES} instances are drawn; all are in the table below." if cut else ""
        far = " An arrow at the edge stands for a policy beyond the scale." if forest_end(pool) is not None else ""
        return Words(
            "Every instance",
            f"{forest_label(pool).capitalize()}; further left is better. Bars are {level} intervals over seeds, or "
            f"over replications where there is one seed.{far}{partly}",
            f"Forest plot. {told}.",
        )
    if name == "iqm":
        how = next(iter(across.means.values())).method
        told = "; ".join(f"{policy} {_interval(value)}" for policy, value in across.means.items())
        return Words(
            "Interquartile mean",
            f"The mean of the middle half of all runs and instances, in % above {yardstick(pool)}: single instances "
            f"sway it little. Bars are {level} intervals ({how}).",
            f"Interquartile means: {told}.",
        )
    if name == "profiles":
        told = "; ".join(
            f"{policy} {100 * profile.share[len(profile.share) // 2]:.0f} %"
            for policy, profile in across.profiles.items()
        )
        return Words(
            "Performance profiles",
            "How large a share of runs and instances is at most so far above the yardstick: a higher line is better, "
            f"and one that is above another everywhere is better in every respect. Shaded: {level} bands, point by "
            "point.",
            f"Performance profiles. Shares at {across.thresholds[len(across.thresholds) // 2]:.3g} %: {told}.",
        )
    if name == "improvement":
        told = "; ".join(f"{policy} {_interval(value)}" for policy, value in across.improvements.items())
        return Words(
            "Probability of improvement",
            f"How likely a run of {across.best} costs less than one of the other policy on an instance drawn at "
            f"random. At 0.5 neither is better; how much better is not said. Bars are {level} intervals.",
            f"Probability that {across.best} costs less than: {told}.",
        )
    return _sweep_words(pool, int(name.rpartition("-")[2]))


def _sweep_words(pool: Pool, rank: int) -> Words:
    sweep = sweeps(pool)[rank - 1]
    parameter = sweep.key.replace("_", " ")
    first, last = (pool.values[instance][sweep.key] for instance in (sweep.instances[0], sweep.instances[-1]))
    told = "; ".join(
        f"{policy}: " + ", ".join(f"{100 * served.mean:.4g} % for {spent.mean:.4g}" for _, served, spent in points)
        for policy in pool.policies
        if (points := frontier_of(pool, sweep, policy))
    )
    return Words(
        f"What service costs: {sweep.problem}",
        f"Each line joins the results of a policy as {parameter} goes from {first} to {last}. Further down is cheaper, "
        "further right serves better; what the model charges for stockouts is left out.",
        f"Fill rate and cost but for stockouts as {parameter} goes from {first} to {last}. {told}.",
    )


def _cells(pool: Pool) -> Iterator[list[str | float | None]]:
    for instance in pool.instances:
        for policy in pool.policies:
            if found := pooled(pool, (instance, policy)):
                mean, gap = found
                seeds = len(pool.cells[instance, policy])
                gaps = (None, None) if gap is None else (gap.mean, gap.half_width)
                yield [instance, policy, seeds, mean.mean, mean.half_width, *gaps]


def _table(pool: Pool, policy_looks: Looks) -> str:
    """Instances by policies; the lowest mean of each instance is marked."""
    head = "".join(f'<th scope="col">{key(policy_looks[name])} {escape(name)}</th>' for name in pool.policies)
    body = "".join(_row(pool, instance) for instance in pool.instances)
    return (
        '<div class="card wide" tabindex="0"><table class="pooled"><caption>Mean cost with its interval; below it the '
        f'gap in %</caption><thead><tr><th scope="col">Instance</th>{head}</tr></thead><tbody>{body}</tbody></table>'
        "</div>"
    )


def _row(pool: Pool, instance: str) -> str:
    least = lowest(pool, instance)
    cells = "".join(_cell(pooled(pool, (instance, policy)), least=least) for policy in pool.policies)
    return f'<tr><th scope="row">{escape(instance)}</th>{cells}</tr>'


def _cell(found: tuple[Spread, Spread | None] | None, *, least: float) -> str:
    if found is None:
        return '<td class="none">no result</td>'
    mean, gap = found
    above = "" if gap is None else f'<span class="kind">{prose(_percent(gap))}</span>'
    mark = ' class="lowest"' if mean.mean == least else ""
    return f"<td{mark}>{prose(with_half_width(mean.mean, mean.half_width))}{above}</td>"


def _percent(found: Spread) -> str:
    return f"{with_half_width(found.mean, found.half_width)} %"


def _latex(pool: Pool) -> str:
    rows = []
    for instance in pool.instances:
        found = [pooled(pool, (instance, policy)) for policy in pool.policies]
        cells = (with_half_width(value[0].mean, value[0].half_width) if value else "" for value in found)
        rows.append([instance, *cells])
    caption = f"Mean cost with {100 * pool.confidence:g} % intervals over seeds or, of one seed, over replications."
    return latex(caption, ["Instance", *pool.policies], rows, label="pooled")


def _notes(pool: Pool) -> Iterator[str]:
    yield (
        f"An instance's mean is over the seeds of its runs, each of which draws training, tuning and evaluation anew; "
        f"± is the half width of Student's {100 * pool.confidence:g} % interval over seeds. Of one seed it is the "
        "interval over replications."
    )
    if pool.shared:
        yield (
            f"Across instances, costs are compared as % above {yardstick(pool)}. Interquartile mean, performance "
            "profiles and probability of improvement have bootstrap intervals. They draw the seeds of each instance "
            f"again, or whole instances if there are fewer than {FEWEST['runs']} seeds: Agarwal, R., Schwarzer, M., "
            "Castro, P. S., Courville, A. C., Bellemare, M. G. (2021). Deep reinforcement learning at the edge of the "
            "statistical precipice. NeurIPS."
        )
    for instance in pool.instances:
        if citation := pool.results[instance].citation:
            yield f"{instance}: {citation}"
