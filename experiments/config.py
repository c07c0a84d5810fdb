"""The schema of an experiment: problems, and the policies that are compared on each."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from echelon.baselines import BASELINES, EXACT, make_plan
from echelon.envs.catalogue import PROBLEMS, make_problem
from echelon.envs.codec import ActionKind, Decision
from echelon.envs.defects import Defects
from echelon.envs.defects import Path as Location
from echelon.envs.errors import ConfigError, EchelonError, nearest
from echelon.envs.problem import Problem
from echelon.envs.yaml_io import apply_overrides, load_yaml, validate_document

Name = Annotated[str, Field(min_length=1, max_length=60, pattern=r"^[A-Za-z0-9][A-Za-z0-9 _.()+-]*$")]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PolicyConfig(_Section):
    """One competitor: a baseline with its options, or an agent with its training."""

    baseline: str | None = None
    options: dict[str, Any] = Field(default_factory=dict)
    """Options of the baseline, such as given levels."""
    agent: Literal["ppo", "a2c", "sac", "td3", "dqn"] | None = None
    steps: Annotated[int, Field(ge=1)] = 2_000_000
    """Periods of training, over all copies of the environment."""
    copies: Annotated[int, Field(ge=1)] | None = None
    decision: Decision | None = None
    action: ActionKind | None = None
    settings: dict[str, Any] = Field(default_factory=dict)
    """Arguments of the Stable-Baselines3 algorithm that replace the defaults."""

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if (self.baseline is None) == (self.agent is None):
            raise ValueError("must have exactly one of the keys 'baseline' and 'agent'")
        if self.baseline is None:
            return self
        if self.baseline not in BASELINES:
            known = nearest(self.baseline, BASELINES)
            raise Defects([(("baseline",), f"unknown baseline (got {self.baseline!r}){known}")])
        allowed = set(inspect.signature(BASELINES[self.baseline]).parameters) - {"problem", "scenarios", "seed"}
        unknown = [option for option in self.options if option not in allowed]
        if unknown:
            raise Defects([(("options", option), f"unknown key{nearest(option, allowed)}") for option in unknown])
        return self


class ProblemConfig(_Section):
    """One problem of the catalogue with its parameters, and the policies to compare on it."""

    id: str
    parameters: dict[str, Any] = Field(default_factory=dict)
    policies: Annotated[dict[Name, PolicyConfig], Field(min_length=1)]

    @model_validator(mode="after")
    def _can_be_built(self) -> Self:
        if self.id not in PROBLEMS:
            raise Defects([(("id",), f"unknown problem (got {self.id!r}){nearest(self.id, PROBLEMS)}")])
        known = inspect.signature(PROBLEMS[self.id]).parameters
        unknown: list[tuple[Location, str]] = [
            (("parameters", name), f"unknown key{nearest(name, known)}")
            for name in self.parameters
            if name not in known
        ]
        if unknown:
            raise Defects(unknown)
        try:
            _ = self.problem
        except (EchelonError, TypeError, ValueError) as error:
            raise Defects([(("parameters",), str(error))]) from error
        unsuited = [*self._unsuited_policies()]
        if unsuited:
            raise Defects(unsuited)
        return self

    def _unsuited_policies(self) -> Iterator[tuple[Location, str]]:
        """Policies that cannot work on the problem, as far as that can be told without any work."""
        links = len(self.problem.network.links)
        for name, policy in self.policies.items():
            if policy.agent == "dqn" and links > 1:
                yield ("policies", name, "agent"), f"dqn takes one decision a period; this network has {links} links"
            if policy.baseline in EXACT:
                try:
                    make_plan(policy.baseline, self.problem, **policy.options)
                except EchelonError as error:
                    yield ("policies", name, "baseline"), str(error)

    @cached_property
    def problem(self) -> Problem:
        """The problem itself."""
        return make_problem(self.id, **self.parameters)


class Config(_Section):
    """A whole experiment."""

    name: Name
    seed: Annotated[int, Field(ge=0)] = 0
    """All streams (training, validation, tuning, evaluation) derive from it by name."""
    replications: Annotated[int, Field(ge=2)] = 2_000
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
