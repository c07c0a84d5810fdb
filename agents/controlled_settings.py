"""The settings of controlled learning, and the problems that it is for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

from echelon.envs.codec import Codec
from echelon.envs.errors import MethodError, nearest
from echelon.envs.problem import Problem
from echelon.envs.supply import LeadTime


@dataclass(frozen=True)
class ControlledSettings:
    """How controlled learning spends its time. Raises `MethodError` for values that make no sense."""

    generations: int = 5
    """Policy improvements, one after the other."""
    rollouts: int = 2_000
    """Simulated paths that are spent on a sampled state, over all its orders; a quarter in generation 0."""
    candidates: int = 8
    """Orders that are compared in a state: the policy's own, its neighbours, none, and the likeliest."""
    first_candidates: int | None = None
    """The same in generation 0, counted around the order of the start; None compares all of them."""
    exploration: float = 0.1
    """Probability that a link orders at random in a period on the way to the sampled states."""
    horizon: int | None = None
    """Most periods of a path; None: four echelon lead times, and four economic lots, and 20 more."""
    hidden: tuple[int, ...] = (128, 128)
    """Units in each hidden layer of the network."""
    epochs: int = 100
    patience: int = 40
    """Epochs without a better choice of orders in the held-out states after which the training of a network stops."""
    batch_size: int = 256
    learning_rate: float = 2e-3
    validation_replications: int = 2_000
    """Replications of the problem on which the policies of the generations are compared."""

    def __post_init__(self) -> None:
        least = {"generations": 1, "rollouts": 1, "candidates": 3, "first_candidates": 3, "horizon": 1, "epochs": 1}
        least |= {"patience": 1, "batch_size": 1, "validation_replications": 2}
        for name, lowest in least.items():
            value = getattr(self, name)
            if value is None and name in ("first_candidates", "horizon"):
                continue
            if not _whole(value) or value < lowest:
                raise MethodError(f"{name} must be a whole number of at least {lowest} (got {value!r})")
        if not (_number(self.exploration) and 0 <= self.exploration < 1):
            raise MethodError(f"exploration must be at least 0 and below 1 (got {self.exploration!r})")
        if not (_number(self.learning_rate) and 0 < self.learning_rate < 1):
            raise MethodError(f"learning_rate must be above 0 and below 1 (got {self.learning_rate!r})")
        object.__setattr__(self, "hidden", tuple(self.hidden))
        if not self.hidden or not all(_whole(width) and width >= 1 for width in self.hidden):
            raise MethodError(f"hidden must be one whole number of at least 1 for each layer (got {self.hidden!r})")

    @classmethod
    def of(cls, given: ControlledSettings | Mapping[str, Any] | None) -> Self:
        """Settings from some of their values, the defaults elsewhere."""
        values = asdict(given) if isinstance(given, ControlledSettings) else dict(given or {})
        known = [field.name for field in fields(cls)]
        for key in values:
            if key not in known:
                raise MethodError(f"{key}: unknown key{nearest(str(key), known)}")
        return cls(**values)

    def record(self) -> dict[str, Any]:
        """Plain data."""
        return {**asdict(self), "hidden": list(self.hidden)}


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def check_problem(problem: Problem) -> None:
    """Raise `MethodError` for a problem that controlled learning is not for.

    The future of a path is drawn anew from the sampled state on, and the network sees stocks alone; so
    nothing else may tell of the future.
    """
    network = problem.network
    if problem.discount == 1 and not problem.warm_up:
        raise MethodError(
            "controlled learning needs the long run: a warm_up above 0, or a discount below 1 "
            "(got warm_up 0 and discount 1)"
        )
    for node in network.outlets:
        law = node.demand
        if law is not None and not (law.stationary and law.independent):
            raise MethodError(
                f"controlled learning needs demand of one law in all periods, which do not depend on one another "
                f"(got other demand at {node.name!r})"
            )
    for link in network.links:
        if isinstance(link.lead_time, LeadTime) and not link.lead_time.crossover:
            raise MethodError(
                f"controlled learning needs lead times that do not depend on one another "
                f"(got crossover false on {link.label!r})"
            )
    failing = [node.name for node in network.nodes if node.disruption]
    failing += [link.label for link in network.links if link.disruption]
    if failing:
        raise MethodError(f"controlled learning needs supply without disruptions (got one of {failing[0]!r})")


def default_horizon(problem: Problem) -> int:
    """Periods after which two policies' paths that began with different orders have met nearly always."""
    codec = Codec(problem.network)
    cycle = float((codec.economic_lot / codec.need.clip(1e-9)).max())
    return int(4 * codec.echelon_cover.max() + 4 * min(cycle, 50.0)) + 20
