"""The figures of a run, one function each, and their PNG files.

All are as wide as half a page, so that their text stays readable on a phone. A policy has one colour and one
marker in all of them. matplotlib is imported where it is needed, and its global state is not touched.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from echelon.experiments.findings import plain, reference_name, with_half_width
from echelon.experiments.palette import COST_COLOURS, DARK_ON_LIGHT, GRID, INK, MUTED, PAPER, Look, looks
from echelon.experiments.run_folder import COST_KINDS, PolicyResult, Result, read_run
from echelon.experiments.sample_path import draw_path, path_policies

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

WIDTH = 4.8
"""Inches."""
ROW = 0.5
"""Inches for one policy."""
LONGEST_NAME = 34
DASHES = (0, (5, 3))

LOG_SCALE_FROM = 6.0
"""Ratio of the largest to the smallest cost from which the axis is logarithmic."""

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
                figure.savefig(written[-1], dpi=250, facecolor=PAPER, metadata={"Software": None})
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
    for policy in path_policies(result):
        yield f"path-{slug(policy.name)}", draw_path(result, policy, colour=policy_looks[policy.name].colour)


def style() -> AbstractContextManager[None]:
    """matplotlib's settings while a figure is drawn and saved: quiet axes, text as text, the same bytes each time."""
    import matplotlib

    settings = {
        "font.size": 9.5,
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
        "svg.fonttype": "none",
        "svg.hashsalt": "echelon",
    }
    return matplotlib.rc_context(settings)


def draw_cost(result: Result, policy_looks: Looks) -> Figure:
    """Mean cost of every policy with its interval, and the reference as a line."""
    figure, axes = _rows(result.policies, cost_label(result, "mean cost"))
    for row, policy in enumerate(result.policies):
        gap = "" if policy.gap is None else f"  ({policy.gap:+.1f} %)".replace("-", "\N{MINUS SIGN}")
        _name_row(axes, row, policy, note=with_half_width(policy.mean, policy.half_width) + gap)
        _interval(axes, row, policy.mean, width=policy.half_width, look=policy_looks[policy.name])
    references = [] if result.reference is None else [result.reference]
    if _is_wide([policy.mean for policy in result.policies] + references):
        axes.set_xscale("log")
        _plain_ticks(axes.xaxis)
    axes.margins(x=0.08)
    for value in references:
        axes.axvline(value, color=INK, linewidth=1.2, linestyle=DASHES, zorder=1)
        _label_above(axes, value, reference_name(result))
    return figure


def draw_differences(result: Result, policy_looks: Looks) -> Figure:
    """Paired difference of every policy to the best one, with its interval; hollow where no difference was shown."""
    figure, axes = _rows(result.policies, cost_label(result, "cost above that of the best"))
    for row, policy in enumerate(result.policies):
        difference = policy.difference or 0.0
        is_best = policy is result.best
        amount = with_half_width(difference, policy.difference_half_width)
        _name_row(axes, row, policy, note="best" if is_best else f"{amount}  {policy.verdict}")
        hollow = policy.verdict == "not distinguishable"
        look = policy_looks[policy.name]
        _interval(axes, row, difference, width=policy.difference_half_width, look=look, hollow=hollow)
    axes.axvline(0.0, color=INK, linewidth=1.2, zorder=1)
    axes.margins(x=0.08)
    return figure


def draw_breakdown(result: Result, policy_looks: Looks) -> Figure:
    """What every policy's cost consists of: stacked bars by kind of cost."""
    shown = [policy for policy in result.policies if policy.costs]
    figure, axes = _rows(shown, cost_label(result, "cost by kind"), extra=0.35)
    total = max(sum(policy.costs.values()) for policy in shown)
    for row, policy in enumerate(shown):
        look, across = policy_looks[policy.name], axes.get_yaxis_transform()
        axes.plot(0.012, row - 0.2, look.marker, color=look.colour, markersize=6, transform=across)
        _name_row(axes, row, policy, note=with_half_width(policy.mean, policy.half_width), indent=0.035)
        left = 0.0
        for kind, cost in policy.costs.items():
            axes.barh(row + 0.12, cost, left=left, height=0.36, color=COST_COLOURS[kind], edgecolor=PAPER)
            if cost > 0.12 * total:
                share = f"{100 * cost / sum(policy.costs.values()):.0f} %"
                colour = PAPER if kind in ("holding", "fixed") else DARK_ON_LIGHT
                axes.text(left + cost / 2, row + 0.13, share, color=colour, ha="center", va="center", fontsize=8.5)
            left += cost
    _legend_of_kinds(figure, cost_kinds(result))
    return figure


def draw_training(result: Result, policy_looks: Looks) -> Figure:
    """Cost on the validation scenarios while learning, against the reference and the best baseline."""
    figure, axes = _figure(3.1)
    values = [cost for policy in result.policies if policy.training for cost in policy.training.cost]
    for policy in result.policies:
        if policy.training:
            _curve(axes, policy, policy_looks[policy.name])
    for policy in [policy for policy in result.policies if policy.kind == "baseline"][:1]:
        values.append(policy.mean)
        label = f"{short(policy.name)} (best baseline)"
        axes.axhline(policy.mean, color=policy_looks[policy.name].colour, linewidth=1.4, linestyle=":", label=label)
    if result.reference is not None:
        values.append(result.reference)
        label = reference_name(result).removeprefix("the ")
        axes.axhline(result.reference, color=INK, linewidth=1.2, linestyle=DASHES, label=label)
    if _is_wide(values):
        axes.set_yscale("log")
        _plain_ticks(axes.yaxis)
    _plain_ticks(axes.xaxis)
    axes.set_xlabel("training (environment steps)")
    axes.set_title(cost_label(result, "validation cost"), loc="left", fontsize=9.5, color=MUTED)
    axes.grid(axis="y")
    figure.legend(loc="outside upper left", ncols=1, fontsize=9)
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
    axes.text(indent, row - 0.2, short(policy.name), transform=across, va="center", fontweight="bold", color=INK)
    axes.text(1.0, row - 0.2, note, transform=across, va="center", ha="right", color=MUTED, fontsize=9)


def _interval(
    axes: Axes, row: int, value: float, *, width: float | None, look: Look, hollow: bool = False
) -> None:
    axes.errorbar(
        value,
        row + 0.14,
        xerr=width or 0.0,
        fmt=look.marker,
        color=look.colour,
        markersize=7,
        markerfacecolor=PAPER if hollow else look.colour,
        elinewidth=2.2,
        capsize=3.5,
        zorder=3,
    )


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
    pixels = axes.transData.transform((value, 0.0))[0]
    left, right = axes.transAxes.transform([(0.0, 0.0), (1.0, 0.0)])[:, 0]
    side = "left" if pixels - left < 0.5 * (right - left) else "right"
    axes.text(value, 1.01, label, transform=axes.get_xaxis_transform(), ha=side, va="bottom", color=INK, fontsize=9)


def _is_wide(values: Sequence[float]) -> bool:
    return min(values) > 0 and max(values) > LOG_SCALE_FROM * min(values)


def _plain_ticks(axis: Axis) -> None:
    """Ticks at 1, 2 and 5 written out in full, on a linear or a logarithmic axis."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    if axis.get_scale() == "log":
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.set_minor_formatter(NullFormatter())
    axis.set_major_formatter(FuncFormatter(lambda value, _: _tick(value)))


def _tick(value: float) -> str:
    digits = max(0, -math.floor(math.log10(abs(value)))) if value else 0
    return plain(value, digits)


def _legend_of_kinds(figure: Figure, kinds: Sequence[str]) -> None:
    from matplotlib.patches import Patch

    handles = [Patch(facecolor=COST_COLOURS[kind], label=kind.replace("_", " ")) for kind in kinds]
    figure.legend(handles=handles, loc="outside upper left", ncols=3, fontsize=9)
