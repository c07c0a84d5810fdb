"""The schema of an experiment: problems, and the policies that are compared on each."""

from __future__ import annotations

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

from echelon.baselines import BASELINES, EXACT_LONG_RUN, make_plan, option_defects
from echelon.envs.arguments import argument_defects
from echelon.envs.catalogue import PROBLEMS, builder_of, make_problem, nearest_problem
from echelon.envs.codec import ActionKind, Decision
from echelon.envs.defects import Defects
from echelon.envs.defects import Path as Location
from echelon.envs.errors import ConfigError, EchelonError, nearest
from echelon.envs.instances import INSTANCES
from echelon.envs.problem import Problem
from echelon.envs.yaml_io import apply_overrides, load_yaml, validate_document

Name = Annotated[str, Field(min_length=1, max_length=60, pattern=r"^[A-Za-z0-9][A-Za-z0-9 _()+-]*$")]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PolicyConfig(_Section):
    """One competitor: a baseline with its options, or an agent with its training."""

    baseline: str | None = None
    options: dict[str, Any] = Field(default_factory=dict)
    """Options of the baseline, such as given levels."""
    agent: Literal["pathwise", "controlled", "ppo", "a2c", "trpo", "sac", "td3", "tqc", "dqn", "qrdqn"] | None = None
    steps: Annotated[int, Field(ge=1, strict=True)] | None = None
    """Length of the training: updates (pathwise), states in each generation (controlled), or periods over all copies
    of the environment; None leaves it to the method."""
    copies: Annotated[int, Field(ge=1, strict=True)] | None = None
    """Copies of the environment of a Stable-Baselines3 algorithm."""
    decision: Decision | None = None
    action: ActionKind | None = None
    settings: dict[str, Any] = Field(default_factory=dict)
    """Settings of the method that replace its defaults."""
    start: str | None = None
    """The baseline that the training begins from."""
    start_options: dict[str, Any] = Field(default_factory=dict)
    """Options of that baseline."""

    @property
    def _foreign(self) -> set[str]:
        """The keys that belong to the other kind of competitor."""
        return (
            {"options"} if self.baseline is None else set(PolicyConfig.model_fields) - {"baseline", "agent", "options"}
        )

    @model_serializer(mode="wrap")
    def _own_keys(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        absent = self._foreign | {"baseline" if self.baseline is None else "agent"}
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


class ProblemConfig(_Section):
    """One problem or published instance of the catalogue, with its parameters, and the policies to compare on it."""

    id: str
    parameters: dict[str, Any] = Field(default_factory=dict, validate_default=True)
    policies: Annotated[dict[Name, PolicyConfig], Field(min_length=1)]

    @field_validator("id")
    @classmethod
    def _is_known(cls, problem_id: str) -> str:
        if problem_id not in PROBLEMS and problem_id not in INSTANCES:
            raise Defects([((), f"unknown problem (got {problem_id!r}){nearest_problem(problem_id)}")])
        return problem_id

    @field_validator("parameters")
    @classmethod
    def _can_be_built(cls, parameters: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        if "id" not in info.data:
            return parameters
        defects = argument_defects(builder_of(info.data["id"]), parameters)
        if defects:
            raise Defects(defects)
        try:
            make_problem(info.data["id"], **parameters)
        except (EchelonError, ValueError) as error:
            raise Defects([((), line) for line in str(error).splitlines()]) from error
        return parameters

    @field_validator("policies")
    @classmethod
    def _suit_the_problem(cls, policies: dict[str, PolicyConfig], info: ValidationInfo) -> dict[str, PolicyConfig]:
        if "id" in info.data and "parameters" in info.data:
            problem = make_problem(info.data["id"], **info.data["parameters"])
            defects = [*_unsuited(problem, policies)]
            if defects:
                raise Defects(defects)
        return policies

    @cached_property
    def problem(self) -> Problem:
        """The problem itself."""
        return make_problem(self.id, **self.parameters)


def _unsuited(problem: Problem, policies: Mapping[str, PolicyConfig]) -> Iterator[tuple[Location, str]]:
    """Policies that cannot work on the problem, as far as that can be told without any work."""
    links = len(problem.network.links)
    for name, policy in policies.items():
        if policy.agent in ("dqn", "qrdqn") and links > 1:
            yield (name, "agent"), f"{policy.agent} takes one decision a period; this network has {links} links"
        if policy.baseline is not None and policy.baseline in EXACT_LONG_RUN:
            try:
                make_plan(policy.baseline, problem, **policy.options)
            except EchelonError as error:
                yield (name, "baseline"), str(error)


class Config(_Section):
    """A whole experiment."""

    name: Name
    seed: Annotated[int, Field(ge=0, strict=True)] = 0
    """All streams (training, validation, tuning, evaluation) derive from it by name."""
    replications: Annotated[int, Field(ge=2, strict=True)] = 2_000
    """Replications of the evaluation; every policy of a problem meets the same ones."""
    confidence: Annotated[float, Field(gt=0, lt=1)] = 0.95
    problems: Annotated[dict[Name, ProblemConfig], Field(min_length=1)]


def load_config(path: str | Path, overrides: Sequence[str] = ()) -> Config:
    """Read a config file, or one that the package ships by its name. Raises `ConfigError` with every defect."""
    return validate_document(apply_overrides(load_yaml(find_config(Path(path))), overrides), Config)


def find_config(path: Path) -> Path:
    """The file itself, or else the shipped config of the same name."""
    if path.exists():
        return path
    folder = Path(str(files("echelon.configs")))
    shipped = {file.name: file for file in folder.glob("*.yaml")}
    if path.parent in (Path(), Path("configs")) and path.name in shipped:
        return shipped[path.name]
    raise ConfigError([f"{path}: the config must exist{nearest(path.name, shipped)}"])
