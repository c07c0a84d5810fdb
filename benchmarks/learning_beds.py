"""The test beds of learned policies: which instances, which policies, how their cost is measured, and the goal.

A bed is a file `configs/benchmarks/NAME.yaml`. An entry of its instances with `each` stands for all combinations of the
values there; what its id does not name in braces is a parameter of the problem.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from echelon.agents import METHODS
from echelon.baselines import BASELINES
from echelon.baselines.reference import reference_of
from echelon.envs import Problem, make_problem
from echelon.envs.errors import nearest
from echelon.envs.problem import Reference
from echelon.envs.willems import load_willems
from echelon.envs.yaml_io import load_model

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "configs" / "benchmarks"
WILLEMS = "willems2008"
"""The id of a chain of Willems (2008), with the parameters of `load_willems`."""
WILLEMS_DATA = "WILLEMS_DATA"
"""The variable of the environment that names the folder of their tables, which are not part of Echelon."""

BOUND = "lower_bound"
"""What a row of a table is called that holds a cost which no policy can beat."""

Whole = Annotated[int, Field(ge=1, strict=True)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Learner(_Section):
    """A policy that is trained."""

    algorithm: str
    """One of `METHODS`."""
    steps: Whole
    """In the unit of the algorithm."""
    settings: dict[str, Any] = Field(default_factory=dict)
    start: str | None = None
    """The baseline that it learns to imitate first."""

    @model_validator(mode="after")
    def _is_known(self) -> Self:
        if self.algorithm not in METHODS:
            raise ValueError(f"unknown algorithm {self.algorithm!r}{nearest(self.algorithm, METHODS)}")
        if self.start is not None and self.start not in BASELINES:
            raise ValueError(f"start must name a baseline (got {self.start!r}){nearest(self.start, BASELINES)}")
        return self


class Evaluation(_Section):
    """How the cost of a policy is measured."""

    kind: Literal["exact", "paired"]
    """By its Markov chain, and by simulation where that is too large or has no end; or by the mean difference to the
    cheapest of the baselines `against` on common scenarios."""
    memory_gib: float = Field(default=1.0, gt=0)
    """The largest chain."""
    periods: Whole = 40_000_000
    """Of the simulation in place of a chain on lost sales."""
    replications: Whole = 4_000
    """Of any other simulation."""
    against: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _names_baselines(self) -> Self:
        if unknown := [name for name in self.against if name not in BASELINES]:
            raise ValueError(f"against must name baselines (got {', '.join(unknown)})")
        if (self.kind == "paired") != bool(self.against):
            raise ValueError("against must name baselines with kind 'paired', and only then")
        return self


class Goal(_Section):
    """What the bed is to show; None where nothing is asked."""

    mean_gap: float | None = None
    """Percent, over all instances and seeds."""
    worst_gap: float | None = None
    """Percent, of any instance and seed."""
    train_cpu_seconds: float | None = None
    """Of any instance and seed."""
    at_or_below: Whole | None = None
    """Instances whose mean cost over the seeds is at most the reference, within the error of both."""
    better: Whole | None = None
    """Instances on which every seed is cheaper than the reference, its interval excluding 0."""


class Group(_Section):
    """One instance, or all combinations of some values."""

    id: str
    name: str | None = None
    """What the tables call it, with the same braces, which may have a format; else its id."""
    parameters: dict[str, Any] = Field(default_factory=dict)
    each: dict[str, list[Any]] = Field(default_factory=dict)
    policies: dict[str, Learner] | None = None
    """Instead of the policies of the bed."""
    against: tuple[str, ...] | None = None
    """Instead of the baselines of the bed's evaluation."""


@dataclass(frozen=True)
class Instance:
    """One problem of a bed and the policies that are trained on it."""

    name: str
    id: str
    parameters: Mapping[str, Any]
    policies: Mapping[str, Learner]
    against: tuple[str, ...] = ()
    """The baselines that they are held against, where costs are paired differences."""

    @property
    def key(self) -> tuple[str, str]:
        """What tells it from all others in a table: the id and the parameters as JSON."""
        return self.id, json.dumps(dict(self.parameters), sort_keys=True)

    @property
    def problem(self) -> Problem:
        """The problem itself. Chains of Willems (2008) are read from the folder that the environment names."""
        if self.id == WILLEMS:
            network = load_willems(os.environ.get(WILLEMS_DATA, "."), **self.parameters)
            return make_problem("echelon/Network-v0", network=network)
        return make_problem(self.id, **self.parameters)


class Bed(_Section):
    """A test bed."""

    name: str
    title: str
    about: str
    """What the page says of it."""
    evaluation: Evaluation
    goal: Goal
    policies: dict[str, Learner]
    instances: list[Group]
    left_out: dict[str, str] = Field(default_factory=dict)
    """Published instances that cannot be run, with the reason."""
    references: dict[str, float] | None = None
    """Published costs to measure gaps against, by the names of instances, instead of the optimum; others are held
    against the optimum where the catalogue has it."""
    reference_source: str = ""
    reference_errors: dict[str, float] = Field(default_factory=dict)
    """Percent by which published costs may be wrong, by the names of instances."""
    bounded: bool = False
    """Whether the table has a proven lower bound of each instance too."""
    published: dict[str, float] = Field(default_factory=dict)
    """What a published learner reached, percent above the published reference, by the names of instances."""
    published_source: str = ""

    @property
    def bounds(self) -> tuple[str, ...]:
        """The rows of bounds that each instance has."""
        return (BOUND,) if self.bounded else ()

    def members(self) -> tuple[Instance, ...]:
        """All instances, in order."""
        return tuple(instance for group in self.instances for instance in self._combined(group))

    def _combined(self, group: Group) -> Iterator[Instance]:
        policies = self.policies if group.policies is None else group.policies
        against = self.evaluation.against if group.against is None else group.against
        for values in product(*group.each.values()):
            chosen = dict(zip(group.each, values, strict=True))
            free = {key: value for key, value in chosen.items() if f"{{{key}}}" not in group.id}
            problem_id = group.id.format(**chosen)
            name, parameters = (group.name or problem_id).format(**chosen), group.parameters | free
            yield Instance(name, problem_id, parameters, policies, against)

    def reference(self, instance: Instance) -> Reference | None:
        """What the costs of an instance are held against, unless that is measured with them."""
        if self.references is None:
            return reference_of(instance.problem)
        if instance.name in self.references:
            return Reference(self.references[instance.name], "best_known", self.reference_source)
        return instance.problem.reference


def load_bed(name: str, folder: Path = FOLDER) -> Bed:
    """The bed of a name. Raises `ConfigError` with every defect of its file."""
    return load_model(folder / f"{name}.yaml", Bed)


def bed_names(folder: Path = FOLDER) -> list[str]:
    """The beds that there are."""
    return sorted(path.stem for path in folder.glob("*.yaml"))
