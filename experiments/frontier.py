"""The figure of what service costs: every policy's fill rate against what it spends but for stockouts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from echelon.experiments.canvas import Looks, blank, cost_label, short
from echelon.experiments.frames import far_end
from echelon.experiments.palette import INK, MUTED
from echelon.experiments.run_folder import PolicyResult, Result

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HEIGHT, LEGEND_ROW = 2.9, 0.2
"""Inches: the figure, and what a row of the legend adds."""


def with_service(result: Result) -> list[PolicyResult]:
    """The policies whose service is known by replication."""
    return [policy for policy in result.policies if policy.spent and policy.served]


def undominated(result: Result) -> list[PolicyResult]:
    """The policies than which no other spends less for as much service, from the lowest service upward."""
    found: list[PolicyResult] = []
    for policy in sorted(with_service(result), key=lambda policy: (_place(policy)[1], -_place(policy)[0])):
        if all(_place(policy)[0] > _place(other)[0] for other in found):
            found.append(policy)
    return found


def spent_end(result: Result) -> float | None:
    """What is spent where the scale ends, or None if every policy is on it."""
    spent = [_place(policy)[1] for policy in with_service(result)]
    end = far_end([value - min(spent) for value in spent])
    return None if end is None else min(spent) + end


def draw_frontier(result: Result, policy_looks: Looks) -> Figure:
    """Policies as points with intervals both ways, and the steps of those that no other dominates."""
    policies, end = with_service(result), spent_end(result)
    figure, axes = blank(HEIGHT + LEGEND_ROW * ((len(policies) + 1) // 2))
    for rank, policy in enumerate(policies):
        look, (service, spent) = policy_looks[policy.name], _place(policy)
        size = 5.5 + 1.3 * (len(policies) - 1 - rank)  # policies that coincide show as rings
        if end is not None and spent > end:
            axes.plot(0.99, 0.985, "^", color=look.colour, markersize=8, transform=axes.transAxes, clip_on=False)
            axes.plot([], [], look.marker, color=look.colour, label=f"{short(policy.name)} (off the scale)")
            continue
        assert policy.served is not None
        assert policy.spent is not None
        wide, high = [[100 * part] for part in policy.served.reach], policy.spent.half_width or 0.0
        axes.errorbar(service, spent, xerr=wide, yerr=high, fmt="none", ecolor=look.colour, elinewidth=1.5, capsize=2.5)
        axes.plot(service, spent, look.marker, color=look.colour, markersize=size, label=short(policy.name), zorder=3)
    _steps(axes, [policy for policy in undominated(result) if end is None or _place(policy)[1] <= end])
    axes.margins(0.08)
    axes.set_xlabel("fill rate (%)")
    axes.set_title(cost_label(result, "cost but for stockouts"), loc="left", fontsize=8.5, color=MUTED)
    axes.grid()
    figure.legend(loc="outside upper left", ncols=2, columnspacing=1.2)
    return figure


def _steps(axes: Axes, policies: Sequence[PolicyResult]) -> None:
    """What service can be had for: that of the next policy, for as much as that one spends."""
    if len(policies) > 1:
        service, spent = zip(*map(_place, policies), strict=True)
        axes.step(service, spent, where="pre", color=INK, linewidth=1.0, linestyle=":", zorder=1)


def _place(policy: PolicyResult) -> tuple[float, float]:
    """Fill rate in per cent, and what is spent."""
    assert policy.served is not None
    assert policy.spent is not None
    return 100 * policy.served.mean, policy.spent.mean
