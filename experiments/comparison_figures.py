"""The figures that compare the policies of a problem: cost, paired differences, kinds of cost, and learning."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from echelon.experiments.canvas import (
    DASHES,
    Looks,
    blank,
    cost_label,
    interval,
    label_above,
    name_row,
    rows,
    short,
)
from echelon.experiments.findings import KIND_NAMES, reference_name, verdict, with_half_width
from echelon.experiments.frames import cost_end, difference_end, on_scale, training_range
from echelon.experiments.palette import COST_COLOURS, DARK_ON_LIGHT, INK, MUTED, PAPER, Look
from echelon.experiments.run_folder import COST_KINDS, PolicyResult, Result

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def draw_cost(result: Result, policy_looks: Looks) -> Figure:
    """Mean cost of every policy with its interval, and the reference as a line."""
    figure, axes = rows(result.policies, cost_label(result, "mean cost"))
    for row, policy in enumerate(result.policies):
        gap = "" if policy.gap is None else f" · {policy.gap:+.2f} %".replace("-", "\N{MINUS SIGN}")
        name_row(axes, row, policy, note=with_half_width(policy.mean, policy.half_width) + gap)
        interval(axes, row, policy.mean, policy.half_width, look=policy_looks[policy.name], end=cost_end(result))
    axes.margins(x=0.08)
    if result.reference is not None:
        axes.axvline(result.reference, color=INK, linewidth=1.2, linestyle=DASHES, zorder=0.8)
        label_above(axes, result.reference, reference_name(result).removeprefix("the "))
    return figure


def draw_differences(result: Result, policy_looks: Looks) -> Figure:
    """Paired difference of every policy to the best one, with its interval; hollow where no difference was shown."""
    figure, axes = rows(result.policies, cost_label(result, "cost above that of the best"))
    for row, policy in enumerate(result.policies):
        difference, width, look = policy.difference or 0.0, policy.difference_half_width, policy_looks[policy.name]
        note = verdict(result, policy) if policy is result.best else with_half_width(difference, width)
        name_row(axes, row, policy, note=note)
        hollow = policy.verdict == "not distinguishable"
        interval(axes, row, difference, width, look=look, end=difference_end(result), hollow=hollow)
    axes.axvline(0.0, color=INK, linewidth=1.2, zorder=0.8)
    axes.margins(x=0.08)
    return figure


def draw_breakdown(result: Result, policy_looks: Looks) -> Figure:
    """What every policy's cost consists of: stacked bars by kind of cost; what is off the scale ends in an arrow."""
    shown = [policy for policy in result.policies if policy.costs]
    figure, axes = rows(shown, cost_label(result, "cost by kind"), extra=0.35)
    scaled = [policy for policy in on_scale(result) if policy.costs]
    gross = [[cost for cost in policy.costs.values() if cost * sign > 0] for policy in scaled for sign in (1, -1)]
    low, high = min(map(sum, gross)), max(map(sum, gross))
    for row, policy in enumerate(shown):
        look, across = policy_looks[policy.name], axes.get_yaxis_transform()
        axes.plot(0.012, row - 0.24, look.marker, color=look.colour, markersize=6, transform=across, clip_on=False)
        name_row(axes, row, policy, note=with_half_width(policy.mean, policy.half_width), indent=0.035)
        _stack(axes, row, policy, span=high - low, end=high)
        if policy not in scaled:
            axes.plot(0.975, row + 0.14, ">", color=PAPER, markersize=7, transform=across)
    if len(scaled) < len(shown):
        axes.set_xlim(low - 0.05 * (high - low) * (low < 0), high + 0.05 * (high - low))
    _legend_of_kinds(figure, cost_kinds(result))
    return figure


def _stack(axes: Axes, row: int, policy: PolicyResult, *, span: float, end: float) -> None:
    """One bar of a policy's costs; revenue goes to the left."""
    left = below = 0.0
    for kind, cost in policy.costs.items():
        start = left if cost >= 0 else below
        axes.barh(row + 0.14, cost, left=start, height=0.36, color=COST_COLOURS[kind], edgecolor=PAPER)
        if cost > 0.12 * span and left + cost / 2 <= end:
            share = f"{100 * cost / sum(part for part in policy.costs.values() if part > 0):.0f} %"
            colour = PAPER if kind in ("holding", "fixed") else DARK_ON_LIGHT
            axes.text(left + cost / 2, row + 0.15, share, color=colour, ha="center", va="center", fontsize=8.5)
        left, below = (left + cost, below) if cost >= 0 else (left, below + cost)


def draw_training(result: Result, policy_looks: Looks) -> Figure:
    """Cost on the validation scenarios while learning, against the reference and the best baseline.

    Methods count different steps, so each training has the width of the figure.
    """
    from matplotlib.ticker import MaxNLocator

    figure, axes = blank(3.1)
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
    axes.set_xlabel("training (% of its steps)")
    axes.set_title(cost_label(result, "validation cost"), loc="left", fontsize=8.5, color=MUTED)
    axes.grid(axis="y")
    figure.legend(loc="outside upper left", ncols=1, fontsize=8.5)
    return figure


def cost_kinds(result: Result) -> list[str]:
    """The kinds of cost that some policy pays."""
    return [kind for kind in COST_KINDS if any(policy.costs.get(kind) for policy in result.policies)]


def _curve(axes: Axes, policy: PolicyResult, look: Look) -> None:
    curve = policy.training
    assert curve is not None
    low = [cost - width for cost, width in zip(curve.cost, curve.half_width, strict=True)]
    high = [cost + width for cost, width in zip(curve.cost, curve.half_width, strict=True)]
    done = [100 * steps / curve.steps[-1] for steps in curve.steps]
    axes.fill_between(done, low, high, color=look.colour, alpha=0.18, linewidth=0)
    label = short(policy.name)
    axes.plot(done, curve.cost, color=look.colour, marker=look.marker, markersize=4, linewidth=1.6, label=label)


def _legend_of_kinds(figure: Figure, kinds: Sequence[str]) -> None:
    from matplotlib.patches import Patch

    handles = [Patch(facecolor=COST_COLOURS[kind], label=KIND_NAMES[kind]) for kind in kinds]
    figure.legend(handles=handles, loc="outside upper left", ncols=3, fontsize=8.5)
