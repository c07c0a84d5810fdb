"""What every baseline returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

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
    """Whether the method proves that no policy costs less on this problem."""
    citation: str = ""
