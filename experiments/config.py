"""The schema of one run: problems, and the policies that are compared on each.

What a user writes is a document, which may stand for several runs; see `document` and `grid`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    field_validator,
    model_serializer,
    model_validator,
)

from echelon.baselines import BASELINES, option_defects
from echelon.envs.catalogue import PROBLEMS, make_problem, nearest_problem
from echelon.envs.codec import ActionKind, Decision
from echelon.envs.defects import Defects
from echelon.envs.defects import Path as Location
from echelon.envs.errors import ConfigError, nearest
from echelon.envs.instances import INSTANCES
from echelon.envs.problem import Problem
from echelon.experiments.sequential import FEWEST_FIRST
from echelon.experiments.suitability import Checks

Name = Annotated[str, Field(min_length=1, max_length=60, pattern=r"^[A-Za-z0-9][A-Za-z0-9 _()+-]*$")]
Seed = Annotated[int, Field(ge=0, strict=True)]
Replications = Annotated[int, Field(ge=2, le=10**9, strict=True)]
Count = Annotated[int, Field(ge=1, le=10**12, strict=True)]

MOST_COPIES = 10**5


class Section(BaseModel):
    """A part of a config."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class PolicyConfig(Section):
    """One competitor: a baseline with its options, or an agent with its training."""

    baseline: str | None = None
    """A method that plans, by its name."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Options of the baseline, such as given levels."""
    agent: Literal["pathwise", "controlled", "ppo", "a2c", "trpo", "sac", "td3", "tqc", "dqn", "qrdqn"] | None = None
    """A method that trains, by its name."""
    steps: Count | None = None
    """Length of the training: updates (pathwise), states in each generation (controlled), or periods over all copies
    of the environment; None leaves it to the method."""
    copies: Annotated[int, Field(ge=1, le=MOST_COPIES, strict=True)] | None = None
    """Copies of the environment of a Stable-Baselines3 algorithm."""
    decision: Decision | None = None
    """What an action says: orders, or levels to order up to."""
    action: ActionKind | None = None
    """Whether the actions of a Stable-Baselines3 algorithm are numbers or choices."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """Settings of the method that replace its defaults."""
    start: str | None = None
    """The baseline that the training begins from."""
    start_options: dict[str, Any] = Field(default_factory=dict)
    """Options of that baseline."""
    where_it_applies: Annotated[bool, Field(strict=True)] = False
    """Leave the policy out of problems that its method does not apply to; otherwise such a problem is an error."""

    @property
    def _foreign(self) -> set[str]:
        """The keys that belong to the other kind of competitor."""
        if self.baseline is None:
            return {"options"}
        return set(PolicyConfig.model_fields) - {"baseline", "agent", "options", "where_it_applies"}

    @model_serializer(mode="wrap")
    def _own_keys(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        absent = self._foreign | {"baseline" if self.baseline is None else "agent"}
        absent |= set() if self.where_it_applies else {"where_it_applies"}
        return {key: value for key, value in serialize(self).items() if key not in absent}

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if (self.baseline is None) == (self.agent is None):
            raise ValueError("must have exactly one of the keys 'baseline' and 'agent'")
        kind = "a baseline" if self.baseline is None else "an agent"
        defects: list[tuple[Location, str]] = [
            ((key,), f"is a key of {kind} only") for key in sorted(self._foreign & self.model_fields_set)
        ]
        defects += _baseline_defects("baseline", self.baseline, "options", self.options)
        defects += _baseline_defects("start", self.start, "start_options", self.start_options)
        defects += _not_numbers("settings", self.settings)
        if defects:
            raise Defects(defects)
        return self


def _baseline_defects(
    key: str, baseline: str | None, options_key: str, options: Mapping[str, Any]
) -> Iterator[tuple[Location, str]]:
    """What is wrong with the name of a baseline and its options."""
    if baseline is None:
        return
    if baseline not in BASELINES:
        yield (key,), f"unknown baseline (got {baseline!r}){nearest(baseline, BASELINES)}"
        return
    for path, must in option_defects(baseline, options):
        yield (options_key, *path), must
    yield from _not_numbers(options_key, options)


def _not_numbers(key: str | int, value: Any) -> Iterator[tuple[Location, str]]:
    """Every NaN in the value, which no method could use and few would refuse."""
    if isinstance(value, float) and value != value:
        yield (key,), "must be a number (got nan)"
    inside = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    for step, item in inside:
        yield from (((key, *path), must) for path, must in _not_numbers(step, item))


def id_defects(problem_id: str) -> list[tuple[Location, str]]:
    """What is wrong with the id of a problem or instance."""
    if problem_id in PROBLEMS or problem_id in INSTANCES:
        return []
    return [((), f"unknown problem (got {problem_id!r}){nearest_problem(problem_id)}")]


class ProblemConfig(Section):
    """One problem or published instance of the catalogue, with its parameters, and the policies to compare on it."""

    id: str
    """Its name in the catalogue."""
    parameters: dict[str, Any] = Field(default_factory=dict, validate_default=True)
    """Those that differ from the catalogue's."""
    policies: Annotated[dict[Name, PolicyConfig], Field(min_length=1)]
    """The competitors, by names of your choice."""
    left_out: dict[Name, str] = Field(default_factory=dict)
    """Policies for all problems that do not apply to this one, with the reason."""

    @field_validator("id")
    @classmethod
    def _is_known(cls, problem_id: str) -> str:
        if defects := id_defects(problem_id):
            raise Defects(defects)
        return problem_id

    @field_validator("parameters")
    @classmethod
    def _can_be_built(cls, parameters: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        if "id" in info.data:
            _checks(info).problem(info.data["id"], parameters)
        return parameters

    @field_validator("policies")
    @classmethod
    def _suit_the_problem(cls, policies: dict[str, PolicyConfig], info: ValidationInfo) -> dict[str, PolicyConfig]:
        if "id" in info.data and "parameters" in info.data:
            checks, problem = _checks(info), (info.data["id"], info.data["parameters"])
            found = {name: checks.unsuited(policy, *problem) for name, policy in policies.items()}
            if defects := [((name, *path), must) for name, said in found.items() for path, must in said]:
                raise Defects(defects)
        return policies

    @model_serializer(mode="wrap")
    def _said_keys(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {key: value for key, value in serialize(self).items() if key != "left_out" or value}

    @cached_property
    def problem(self) -> Problem:
        """The problem itself."""
        return make_problem(self.id, **self.parameters)


def _checks(info: ValidationInfo) -> Checks:
    return info.context if isinstance(info.context, Checks) else Checks()


class RunSettings(Section):
    """What holds for all problems of a run."""

    name: Name
    """Run folders are called after it."""
    seed: Seed = 0
    """All streams (training, validation, tuning, evaluation) derive from it by name."""
    replications: Replications = 2_000
    """Replications of the evaluation; every policy of a problem meets the same ones. With a `precision` it is how many
    come first."""
    precision: Annotated[float, Field(gt=0, le=100, strict=True)] | None = None
    """Percent: a policy is evaluated until the half width of its mean cost is at most this share of the mean."""
    most_replications: Replications = Field(default=1_000_000, validate_default=True)
    """Replications at which an evaluation ends that has not reached the `precision`."""
    confidence: Annotated[float, Field(gt=0, lt=1)] = 0.95
    """Of all intervals."""

    @field_validator("precision")
    @classmethod
    def _begins_with_enough(cls, precision: float | None, info: ValidationInfo) -> float | None:
        first = info.data.get("replications", FEWEST_FIRST)
        if precision is not None and first < FEWEST_FIRST:
            raise ValueError(f"needs at least {FEWEST_FIRST} replications to begin with (got {first})")
        return precision

    @field_validator("most_replications")
    @classmethod
    def _has_room(cls, most: int, info: ValidationInfo) -> int:
        first = info.data.get("replications", 0)
        if info.data.get("precision") is not None and most < first:
            raise ValueError(f"must be at least replications = {first}")
        return most


class Config(RunSettings):
    """A whole run."""

    problems: Annotated[dict[Name, ProblemConfig], Field(min_length=1)]
    """By names of your choice."""


def load_config(path: str | Path, overrides: Sequence[str] = ()) -> Config:
    """Read a config file, or one that the package ships by its name, that stands for one run.

    Raises `ConfigError` with every defect, or if it stands for several runs, which `load_grid` reads.
    """
    from echelon.experiments.grid import load_grid  # which needs this module

    members = load_grid(path, overrides).members
    if len(members) > 1:
        raise ConfigError([f"{path}: must stand for one run; by its seeds or sweep it stands for {len(members):,}"])
    return members[0].config


def find_config(path: Path, folder: Path = Path()) -> Path:
    """The file itself, in the folder that relative paths begin at, or else the shipped config of the same name."""
    if os.path.exists(folder / path):
        return folder / path
    shipped = {file.name: file for file in Path(str(files("echelon.configs"))).glob("*.yaml")}
    if path.parent in (Path(), Path("configs")) and path.name in shipped:
        return shipped[path.name]
    raise ConfigError([f"{path}: the config must exist{nearest(path.name, shipped)}"])
