"""How much of a figure's scale is shown: one hopeless policy or first guess must not flatten all the others."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from echelon.experiments.run_folder import PolicyResult, Result

FAR = 4.0
"""Multiples of the median excess over the best beyond which a policy is off the scale."""
SETTLED = 0.25
"""Fraction of the training after which a learning curve must be on the scale."""


def cost_end(result: Result) -> float | None:
    """The mean cost at which the scale ends, or None if every policy is on it."""
    lowest = result.policies[0].mean
    end = far_end([policy.mean - lowest for policy in result.policies])
    return None if end is None else lowest + end


def on_scale(result: Result) -> list[PolicyResult]:
    """The policies whose mean cost is on the scale."""
    end = cost_end(result)
    return [policy for policy in result.policies if end is None or policy.mean <= end]


def difference_end(result: Result) -> float | None:
    """The paired difference at which the scale ends, or None if every policy is on it."""
    return far_end([policy.difference or 0.0 for policy in result.policies])


def training_range(result: Result) -> tuple[float, float]:
    """The costs between which learning is shown: all that the policies to compare with and the settled curves need."""
    values = [policy.mean for policy in result.policies if policy.kind == "baseline"][:1]
    values += [] if result.reference is None else [result.reference]
    learned = [policy for policy in result.policies if policy.training]
    for policy in [policy for policy in learned if policy in on_scale(result)] or learned:
        if policy.training:
            settled = SETTLED * policy.training.steps[-1]
            points = zip(policy.training.steps, policy.training.cost, strict=True)
            values += [cost for steps, cost in points if steps >= settled]
    room = 0.08 * (max(values) - min(values)) or 0.1 * abs(values[0]) or 1.0
    return min(values) - room, max(values) + room


def far_end(excess: Sequence[float]) -> float | None:
    """Where a scale of amounts above the lowest ends, or None if no amount is far from the others."""
    positive = [value for value in excess if value > 0]
    near = [value for value in positive if value <= FAR * median(positive)]
    return None if len(near) == len(positive) else 1.2 * max(near)
