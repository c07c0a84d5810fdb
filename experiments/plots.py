"""The figures that compare the policies of a run, one function each, and the PNG files of all figures.

All are as wide as half a page, so that their text stays readable on a phone. A policy has one colour and one
marker in all of them. matplotlib is imported where it is needed, and its global state is not touched.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from echelon.experiments.findings import KIND_NAMES, plain, reference_name, verdict, with_half_width
from echelon.experiments.frames import cost_end, difference_end, training_range
from echelon.experiments.palette import COST_COLOURS, DARK_ON_LIGHT, GRID, INK, MUTED, PAPER, Look, looks
from echelon.experiments.run_folder import COST_KINDS, PolicyResult, Result, read_run
from echelon.experiments.sample_path import draw_path, path_policies

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


def write_plots(folder: Path) -> list[Path]:
    """Draw every figure of a run folder into its folder `plots`, as PNG."""
    run = read_run(folder)
    target = folder / "plots"
    target.mkdir(exist_ok=True)
    written = []
    with style():
        for number, result in enumerate(run.results, start=1):
            for name, figure in figures(result, looks(run.policy_names)):
                written.append(target / f"{number:02d}-{slug(result.name)}-{name}.png")
                figure.savefig(written[-1], dpi=300, facecolor=PAPER, metadata={"Software": None})
    return written


def figures(result: Result, policy_looks: Looks) -> Iterator[tuple[str, Figure]]:
    """The name and the drawing of every figure that the data of a problem allow."""
    yield "cost", draw_cost(result, policy_looks)
    if len(result.policies) > 1:
        yield "differences", draw_differences(result, policy_looks)
    if any(policy.costs for policy in result.policies):
        yield "breakdown", draw_breakdown(result, policy_looks)
    if any(policy.training for policy in result.policies):
        yield "training", draw_training(result, policy_looks)
    for name, policy in path_names(result).items():
        yield name, draw_path(result, policy, colour=policy_looks[policy.name].colour)


def path_names(result: Result) -> dict[str, PolicyResult]:
    """The policies whose sample path is drawn, by the names of their figures."""
    return {f"path-{rank}-{slug(policy.name)}": policy for rank, policy in enumerate(path_policies(result), start=1)}


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


def draw_cost(result: Result, policy_looks: Looks) -> Figure:
    """Mean cost of every policy with its interval, and the reference as a line."""
    figure, axes = _rows(result.policies, cost_label(result, "mean cost"))
    for row, policy in enumerate(result.policies):
        gap = "" if policy.gap is None else f" · {policy.gap:+.2f} %".replace("-", "\N{MINUS SIGN}")
        _name_row(axes, row, policy, note=with_half_width(policy.mean, policy.half_width) + gap)
        _interval(axes, row, policy.mean, policy.half_width, look=policy_looks[policy.name], end=cost_end(result))
    axes.margins(x=0.08)
    if result.reference is not None:
        axes.axvline(result.reference, color=INK, linewidth=1.2, linestyle=DASHES, zorder=0.8)
        _label_above(axes, result.reference, reference_name(result).removeprefix("the "))
    return figure


def draw_differences(result: Result, policy_looks: Looks) -> Figure:
    """Paired difference of every policy to the best one, with its interval; hollow where no difference was shown."""
    figure, axes = _rows(result.policies, cost_label(result, "cost above that of the best"))
    for row, policy in enumerate(result.policies):
        difference, width, look = policy.difference or 0.0, policy.difference_half_width, policy_looks[policy.name]
        note = verdict(result, policy) if policy is result.best else with_half_width(difference, width)
        _name_row(axes, row, policy, note=note)
        hollow = policy.verdict == "not distinguishable"
        _interval(axes, row, difference, width, look=look, end=difference_end(result), hollow=hollow)
    axes.axvline(0.0, color=INK, linewidth=1.2, zorder=0.8)
    axes.margins(x=0.08)
    return figure


def draw_breakdown(result: Result, policy_looks: Looks) -> Figure:
    """What every policy's cost consists of: stacked bars by kind of cost."""
    shown = [policy for policy in result.policies if policy.costs]
    figure, axes = _rows(shown, cost_label(result, "cost by kind"), extra=0.35)
    gross = [[cost for cost in policy.costs.values() if cost * sign > 0] for policy in shown for sign in (1, -1)]
    span = max(map(sum, gross)) - min(map(sum, gross))
    for row, policy in enumerate(shown):
        look, across = policy_looks[policy.name], axes.get_yaxis_transform()
        axes.plot(0.012, row - 0.24, look.marker, color=look.colour, markersize=6, transform=across, clip_on=False)
        _name_row(axes, row, policy, note=with_half_width(policy.mean, policy.half_width), indent=0.035)
        left = below = 0.0
        for kind, cost in policy.costs.items():
            if cost < 0:  # revenue
                axes.barh(row + 0.14, cost, left=below, height=0.36, color=COST_COLOURS[kind], edgecolor=PAPER)
                below += cost
                continue
            axes.barh(row + 0.14, cost, left=left, height=0.36, color=COST_COLOURS[kind], edgecolor=PAPER)
            if cost > 0.12 * span:
                share = f"{100 * cost / sum(part for part in policy.costs.values() if part > 0):.0f} %"
                colour = PAPER if kind in ("holding", "fixed") else DARK_ON_LIGHT
                axes.text(left + cost / 2, row + 0.15, share, color=colour, ha="center", va="center", fontsize=8.5)
            left += cost
    _legend_of_kinds(figure, cost_kinds(result))
    return figure


def draw_training(result: Result, policy_looks: Looks) -> Figure:
    """Cost on the validation scenarios while learning, against the reference and the best baseline."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    figure, axes = _figure(3.1)
    for policy in result.policies:
        if policy.training:
            _curve(axes, policy, policy_looks[policy.name])
    for policy in [policy for policy in result.policies if policy.kind == "baseline"][:1]:
        label = f"{short(policy.name)} (best baseline)"
        axes.axhline(policy.mean, color=policy_looks[policy.name].colour, linewidth=1.4, linestyle=":", label=label)
    if result.reference is not None:
        label = reference_name(result).removeprefix("the ")
        axes.axhline(result.reference, color=INK, linewidth=1.2, linestyle=DASHES, label=label)
    axes.set_ylim(*training_range(result))
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda steps, _: plain(steps, 0)))
    axes.set_xlabel("training (environment steps)")
    axes.set_title(cost_label(result, "validation cost"), loc="left", fontsize=8.5, color=MUTED)
    axes.grid(axis="y")
    figure.legend(loc="outside upper left", ncols=1, fontsize=8.5)
    return figure


def cost_kinds(result: Result) -> list[str]:
    """The kinds of cost that some policy pays."""
    return [kind for kind in COST_KINDS if any(policy.costs.get(kind) for policy in result.policies)]


def cost_label(result: Result, what: str) -> str:
    """An axis label with its unit."""
    return f"{what} (discounted total, money)" if result.discounted else f"{what} (money per period)"


def slug(name: str) -> str:
    """A name as part of a file name."""
    return re.sub(r"[^A-Za-z0-9_]+", "-", name).strip("-")[:60] or "unnamed"


def short(name: str) -> str:
    """A name cut to the room that a figure has for it."""
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"


def _figure(height: float) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    return figure, figure.add_subplot()


def _rows(policies: Sequence[PolicyResult], label: str, *, extra: float = 0.0) -> tuple[Figure, Axes]:
    """Axes with one row per policy, the best at the top; names stand above their rows and need no margin."""
    figure, axes = _figure(0.75 + extra + ROW * len(policies))
    axes.set_ylim(len(policies) - 0.5, -0.6)
    axes.set_yticks([])
    axes.grid(axis="x")
    axes.set_axisbelow(True)
    axes.set_xlabel(label)
    return figure, axes


def _name_row(axes: Axes, row: int, policy: PolicyResult, *, note: str, indent: float = 0.0) -> None:
    across = axes.get_yaxis_transform()
    plate = {"facecolor": PAPER, "edgecolor": "none", "pad": 0.8}
    name = axes.text(indent, row - 0.24, short(policy.name), fontweight="bold", color=INK)
    said = axes.text(1.0, row - 0.24, note, ha="right", fontsize=8.5, color=MUTED)
    for text in (name, said):
        text.set(transform=across, verticalalignment="center", bbox=plate, zorder=0.9)


def _interval(
    axes: Axes, row: int, value: float, width: float | None, *, look: Look, end: float | None, hollow: bool = False
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


def _curve(axes: Axes, policy: PolicyResult, look: Look) -> None:
    curve = policy.training
    assert curve is not None
    low = [cost - width for cost, width in zip(curve.cost, curve.half_width, strict=True)]
    high = [cost + width for cost, width in zip(curve.cost, curve.half_width, strict=True)]
    axes.fill_between(curve.steps, low, high, color=look.colour, alpha=0.18, linewidth=0)
    label = short(policy.name)
    axes.plot(curve.steps, curve.cost, color=look.colour, marker=look.marker, markersize=4, linewidth=1.6, label=label)


def _label_above(axes: Axes, value: float, label: str) -> None:
    """Text over a vertical line, kept inside the figure."""
    left, right = axes.get_xlim()
    side = "left" if value < (left + right) / 2 else "right"
    axes.text(value, 1.01, label, transform=axes.get_xaxis_transform(), ha=side, va="bottom", color=INK, fontsize=8.5)


def _legend_of_kinds(figure: Figure, kinds: Sequence[str]) -> None:
    from matplotlib.patches import Patch

    handles = [Patch(facecolor=COST_COLOURS[kind], label=KIND_NAMES[kind]) for kind in kinds]
    figure.legend(handles=handles, loc="outside upper left", ncols=3, fontsize=8.5)
