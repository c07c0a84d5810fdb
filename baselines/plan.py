"""What every baseline returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from echelon.envs.policy import Policy


@dataclass(frozen=True, eq=False)
class Plan:
    """A policy with the parameters that define it and what its own model says of it."""

    policy: Policy
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """Names and values of the policy's parameters, one value per link where they are levels."""
    model_cost: float | None = None
    """The objective as the method computes it, without simulation; None where it has no model."""
    optimal: bool = False
    """Whether the method proves that no policy costs less; for methods of the long run, over a horizon that is long."""
    citation: str = ""


BoundKind = Literal["clark_scarf_relaxation", "information_relaxation", "newsvendor_relaxation"]


@dataclass(frozen=True)
class Bound:
    """A cost that no policy can beat: money per period, or discounted money in total.

    The Clark-Scarf relaxation bounds the average cost in the long run. Over a horizon that ends, a policy that
    stops ordering in time can be below it by the stock that it no longer replaces.
    """

    value: float
    kind: BoundKind
    half_width: float = 0.0
    """Half width of the 95 % confidence interval of `value` where it is sampled, else 0."""
    citation: str = ""

    @property
    def proven(self) -> float:
        """The lower end of the interval."""
        return self.value - self.half_width
