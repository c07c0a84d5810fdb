"""The figures of several runs together: gaps on every instance, interquartile means, performance profiles, the
probability of improvement, and how service and its cost move where a run sweeps.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from echelon.experiments.by_node import Group, draw_groups
from echelon.experiments.canvas import Looks, blank, cost_label, short
from echelon.experiments.evaluate import estimate
from echelon.experiments.frames import far_end
from echelon.experiments.measured import Share, Spread, share
from echelon.experiments.palette import MUTED
from echelon.experiments.pool import Pool, excess, lowest, pooled
from echelon.experiments.resampling import FEWEST, Over
from echelon.experiments.statistics import (
    Interval,
    Profile,
    iqm_interval,
    performance_profile,
    probability_of_improvement,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_INSTANCES = 16
"""Instances that the forest draws; all are in the table."""
THRESHOLDS = 60
ROUNDING = 1e-9
"""Differences up to this share of the scores are rounding errors."""


@dataclass(frozen=True, eq=False)
class Across:
    """What is found across the instances that all policies share; empty where bootstrap has nothing to draw from."""

    pool: Pool

    @cached_property
    def scores(self) -> Mapping[str, np.ndarray]:
        """Per cent above the yardstick, [seeds, instances], by policy."""
        return {policy: np.asarray(excess(self.pool, policy)) for policy in self.pool.policies}

    @cached_property
    def over(self) -> Over | None:
        """What bootstrap draws again: runs if there are enough seeds, else instances; None if there are too few."""
        if len(self.pool.seeds) >= FEWEST["runs"] and self.pool.shared:
            return "runs"
        return "instances" if len(self.pool.shared) >= FEWEST["instances"] and self.pool.seeds else None

    @cached_property
    def means(self) -> Mapping[str, Interval]:
        """Interquartile means, the best policy first."""
        if self.over is None:
            return {}
        found = {
            policy: iqm_interval(scores, over=self.over, confidence=self.pool.confidence)
            for policy, scores in self.scores.items()
        }
        return dict(sorted(found.items(), key=lambda item: item[1].value))

    @cached_property
    def best(self) -> str:
        """The policy of the lowest interquartile mean."""
        return next(iter(self.means))

    @cached_property
    def improvements(self) -> Mapping[str, Interval]:
        """How likely the best policy costs less than each other one."""
        return {
            policy: probability_of_improvement(
                self.scores[self.best], self.scores[policy], over=self.over, confidence=self.pool.confidence
            )
            for policy in self.means
            if policy != self.best
        }

    @cached_property
    def thresholds(self) -> np.ndarray:
        """From the lowest score to where the scale ends."""
        start = min(float(scores.min()) for scores in self.scores.values())
        values = [float(score) - start for scores in self.scores.values() for score in scores.ravel()]
        span = far_end(values) or max(values)
        return start + np.linspace(0.0, span if span > ROUNDING * abs(start) else 1.0, THRESHOLDS)

    @cached_property
    def profiles(self) -> Mapping[str, Profile]:
        """Shares of scores up to each threshold."""
        return {
            policy: performance_profile(
                self.scores[policy], self.thresholds, over=self.over, confidence=self.pool.confidence
            )
            for policy in self.means
        }


def yardstick(pool: Pool) -> str:
    """What excess costs are measured from."""
    if all(pool.results[instance].reference for instance in pool.shared):
        return "the reference"
    return "the lowest mean"


def grid_figures(across: Across, policy_looks: Looks) -> Iterator[tuple[str, Figure]]:
    """The name and the drawing of every figure that the runs allow."""
    pool = across.pool
    yield "forest", draw_groups(forest(pool), policy_looks, label=forest_label(pool), end=forest_end(pool))
    if across.means:
        yield "iqm", _draw_intervals(across.means, policy_looks, label=f"interquartile mean, % above {yardstick(pool)}")
        yield "profiles", _draw_profiles(across, policy_looks)
    if across.improvements:
        label = f"probability that {short(across.best)} costs less"
        yield "improvement", _draw_intervals(across.improvements, policy_looks, label=label, line=0.5)
    for rank, sweep in enumerate(sweeps(pool), start=1):
        yield f"sweep-{rank}", _draw_sweep(pool, sweep, policy_looks)


def forest(pool: Pool) -> list[Group]:
    """Gaps, or costs above the lowest mean, of the first instances; with intervals over seeds."""
    return [
        Group(instance, {policy: value for policy in pool.policies if (value := _height(pool, instance, policy))})
        for instance in pool.instances[:MOST_INSTANCES]
    ]


def _height(pool: Pool, instance: str, policy: str) -> tuple[float, float | None] | None:
    found = pooled(pool, (instance, policy))
    if found is None:
        return None
    mean, gap = found
    if _has_gaps(pool):
        return None if gap is None else (gap.mean, gap.half_width)
    least = lowest(pool, instance)
    if least == 0:
        return None
    width = None if mean.half_width is None else 100 * mean.half_width / abs(least)
    return 100 * (mean.mean - least) / abs(least), width


def _has_gaps(pool: Pool) -> bool:
    return all(result.reference for result in pool.results.values())


def forest_label(pool: Pool) -> str:
    """What the forest measures."""
    return "gap to the reference (%)" if _has_gaps(pool) else "cost above the lowest mean (%)"


def forest_end(pool: Pool) -> float | None:
    """The gap at which the scale ends, or None if all are on it."""
    return far_end([value for group in forest(pool) for value, _ in group.values.values()])


def _draw_intervals(
    found: Mapping[str, Interval], policy_looks: Looks, *, label: str, line: float | None = None
) -> Figure:
    """A row for every policy, the lowest first."""
    figure, axes = blank(0.75 + 0.42 * len(found))
    lowest = min(interval.value for interval in found.values())
    end = far_end([interval.value - lowest for interval in found.values()]) if line is None else None
    for row, (policy, interval) in enumerate(found.items()):
        look, across = policy_looks[policy], axes.get_yaxis_transform()
        axes.text(0.0, row - 0.25, short(policy), transform=across, va="center", fontweight="bold", zorder=4)
        said = f"{interval.value:.3g} ({interval.low:.3g} to {interval.high:.3g})"
        axes.text(1.0, row - 0.25, said, transform=across, ha="right", va="center", fontsize=8.5, color=MUTED)
        if end is not None and interval.value > lowest + end:
            axes.plot(0.99, row + 0.15, ">", color=look.colour, markersize=8, transform=across)
            continue
        axes.plot([interval.low, interval.high], [row + 0.15] * 2, color=look.colour, linewidth=2.2, marker="|")
        axes.plot(interval.value, row + 0.15, look.marker, color=look.colour, markersize=7)
    axes.set_ylim(len(found) - 0.5, -0.6)
    axes.set_yticks([])
    axes.margins(x=0.06)
    axes.grid(axis="x")
    axes.set_axisbelow(True)
    axes.set_xlabel(label)
    if line is not None:
        axes.axvline(line, color=MUTED, linewidth=1.0)
        axes.set_xlim(-0.02, 1.02)
    return figure


def _draw_profiles(across: Across, policy_looks: Looks) -> Figure:
    figure, axes = blank(2.7 + 0.2 * ((len(across.profiles) + 1) // 2))
    for policy, profile in across.profiles.items():
        colour, x = policy_looks[policy].colour, profile.thresholds
        axes.fill_between(x, 100 * profile.low, 100 * profile.high, step="post", color=colour, alpha=0.15, linewidth=0)
        axes.step(x, 100 * profile.share, where="post", color=colour, linewidth=1.7)
        axes.plot(x[::12], 100 * profile.share[::12], policy_looks[policy].marker, color=colour, markersize=4)
        axes.plot([], [], policy_looks[policy].marker, linestyle="-", color=colour, markersize=5, label=short(policy))
    axes.set_xlabel(f"% above {yardstick(across.pool)}")
    axes.set_title("runs and instances up to there (%)", loc="left", fontsize=8.5, color=MUTED)
    axes.set_ylim(-3, 103)
    axes.grid()
    figure.legend(loc="outside upper left", ncols=2, columnspacing=1.2)
    return figure


@dataclass(frozen=True)
class Sweep:
    """Instances of one problem that differ in one number, in its order."""

    problem: str
    key: str
    instances: tuple[str, ...]


def sweeps(pool: Pool) -> list[Sweep]:
    """The problems that differ in one number and nothing else."""
    members: defaultdict[str, list[str]] = defaultdict(list)
    for instance in pool.instances:
        members[pool.results[instance].name].append(instance)
    return [sweep for problem, instances in members.items() if (sweep := _sweep(pool, problem, instances))]


def _sweep(pool: Pool, problem: str, instances: Sequence[str]) -> Sweep | None:
    values = [pool.values[instance] for instance in instances]
    keys = dict.fromkeys(key for one in values for key in one)
    apart = [key for key in keys if len({str(one.get(key)) for one in values}) > 1]
    numbers = [one.get(apart[0]) for one in values] if len(apart) == 1 else []
    numeric = [float(n) for n in numbers if isinstance(n, int | float) and not isinstance(n, bool)]
    if len(instances) < 2 or len(numeric) < len(instances):
        return None
    ordered = [instance for _, instance in sorted(zip(numeric, instances, strict=True))]
    return Sweep(problem, apart[0], tuple(ordered))


def frontier_of(pool: Pool, sweep: Sweep, policy: str) -> list[tuple[str, Share, Spread]]:
    """Instance, fill rate and cost but for stockouts, over seeds, along a sweep."""
    found = []
    for instance in sweep.instances:
        cells = [cell for cell in pool.cells.get((instance, policy), {}).values() if cell.served and cell.spent]
        if not cells:
            continue
        served = [cell.served for cell in cells if cell.served]
        spent = [cell.spent for cell in cells if cell.spent]
        found.append((instance, _share_over_seeds(served, pool), over_seeds(spent, pool)))
    return found


def over_seeds(values: Sequence[Spread], pool: Pool) -> Spread:
    """The mean over seeds with its interval; that of one seed is its own."""
    if len(values) == 1:
        return values[0]
    found = estimate([value.mean for value in values], confidence=pool.confidence)
    return Spread(found.mean, found.half_width)


def _share_over_seeds(values: Sequence[Share], pool: Pool) -> Share:
    found = share([value.mean for value in values], confidence=pool.confidence)
    return values[0] if len(values) == 1 or found is None else found


def _draw_sweep(pool: Pool, sweep: Sweep, policy_looks: Looks) -> Figure:
    figure, axes = blank(2.9 + 0.2 * ((len(pool.policies) + 1) // 2))
    for policy in pool.policies:
        points = frontier_of(pool, sweep, policy)
        if not points:
            continue
        look = policy_looks[policy]
        x, y = [100 * served.mean for _, served, _ in points], [spent.mean for _, _, spent in points]
        wide = [[100 * part for part in parts] for parts in zip(*(s.reach for _, s, _ in points), strict=True)]
        high = [spent.half_width or 0.0 for _, _, spent in points]
        axes.errorbar(x, y, xerr=wide, yerr=high, fmt="none", ecolor=look.colour, elinewidth=1.2, capsize=2)
        axes.plot(x, y, marker=look.marker, color=look.colour, markersize=5.5, linewidth=1.4, label=short(policy))
    axes.margins(0.08)
    axes.set_xlabel("fill rate (%)")
    axes.set_title(
        cost_label(pool.results[sweep.instances[0]], "cost but for stockouts"), loc="left", fontsize=8.5, color=MUTED
    )
    axes.grid()
    figure.legend(loc="outside upper left", ncols=2, columnspacing=1.2)
    return figure
