"""A supply network as the guaranteed-service model sees it: stages, their times, and who supplies whom.

It is what that model needs and no more: there are no orders, lots or lanes in it, and stage times need
not be whole. `stages_of` makes one of a `Network`; published examples and the chains of Willems (2008)
come as such files.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Annotated, Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from scipy.special import ndtri

from echelon.envs.defects import Defects, describe_all
from echelon.envs.defects import Path as KeyPath
from echelon.envs.errors import NetworkError, nearest
from echelon.envs.yaml_io import dump_yaml, load_model

Floats = NDArray[np.float64]

AtLeastZero = Annotated[float, Field(ge=0, strict=True, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, strict=True, allow_inf_nan=False)]
Periods = Annotated[int, Field(ge=0, strict=True)]
Probability = Annotated[float, Field(gt=0, le=1, strict=True)]
Name = Annotated[str, Field(min_length=1)]

SURE = 1e-9
"""How far probabilities may add up to something else than 1."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Stage(_Frozen):
    """One item at one place where safety stock could be held. Costs are money, quantities units, times periods."""

    name: Name
    stage_time: AtLeastZero | dict[float, Probability]
    """T, from when all components are there to when the item is: a number, or the probability of each."""
    holding_cost: AtLeastZero = 0.0
    """h, per unit of safety stock and period."""
    suppliers: dict[Name, Positive] = Field(default_factory=dict)
    """The stages whose items this one needs, with the units of each in one of its own; a list means one unit each."""
    demand_mean: AtLeastZero = 0.0
    """Of the stage's own customers, per period."""
    demand_sd: AtLeastZero = 0.0
    service_level: Annotated[float, Field(gt=0.5, lt=1, strict=True)] | None = None
    """The probability that the customers' demand of any number of periods is within its bound."""
    safety_factor: AtLeastZero | None = None
    """z, in place of the service level whose normal quantile it is."""
    service_time: Periods | None = None
    """The longest outbound service time allowed; left out, 0 for a stage with customers and any for the others."""
    inbound_service_time: Periods = 0
    """The service time of the stage's outside supplier."""
    demand_bound: AtLeastZero | None = None
    """z times sigma of all demand that passes through the stage; left out, it follows from the customers' demand."""

    holds_stock: Annotated[bool, Field(strict=True)] | None = None
    """Whether the net replenishment time must (true) or must not (false) be positive; left out, both are allowed."""

    @field_validator("suppliers", mode="before")
    @classmethod
    def _one_unit_each(cls, value: object) -> object:
        if not (isinstance(value, list | tuple) and all(isinstance(name, str) for name in value)):
            return value
        twice = [name for name, count in Counter(value).items() if count > 1]
        if twice:
            raise ValueError(f"{twice[0]} is listed twice; say how many units of it one unit needs: {twice[0]}: 2")
        return dict.fromkeys(value, 1.0)

    @field_validator("stage_time", mode="after")
    @classmethod
    def _sure(cls, value: float | dict[float, float]) -> float | dict[float, float]:
        if isinstance(value, dict):
            if not all(0 <= time < math.inf for time in value):
                raise ValueError(f"every stage time must be at least 0 and finite (got {', '.join(map(str, value))})")
            if abs(sum(value.values()) - 1) > SURE:
                raise ValueError(f"the probabilities must add up to 1 (got {sum(value.values()):g})")
        return value

    @property
    def has_customers(self) -> bool:
        """Whether demand from outside the network arrives here."""
        return self.demand_mean > 0 or self.demand_sd > 0

    @property
    def z(self) -> float | None:
        """The safety factor of the stage's own demand; None if nothing says it."""
        if self.safety_factor is not None:
            return self.safety_factor
        return None if self.service_level is None else float(ndtri(self.service_level))

    @property
    def times(self) -> dict[float, float]:
        """Every stage time that can be, with its probability."""
        return self.stage_time if isinstance(self.stage_time, dict) else {self.stage_time: 1.0}

    @property
    def mean_time(self) -> float:
        """E[T]."""
        return sum(time * probability for time, probability in self.times.items())

    @property
    def longest_service_time(self) -> float:
        """What the outbound service time must not exceed; may be infinite."""
        if self.service_time is not None:
            return self.service_time
        return 0 if self.has_customers else math.inf


class StageNetwork(_Frozen):
    """Stages that supply one another without cycles. Raises `NetworkError` if they break a rule of the model.

    `pooling` is p in the bound on the demand that passes through a stage, ``(sum_d (n_d z_d sigma_d)^p)^(1/p)``,
    where n_d are the units that the stage puts into one unit of the demand d, over all paths: 2 for
    independent demands, 1 for none of the pooling of risks (Humair and Willems 2011).
    """

    name: Name = "stages"
    description: str = ""
    pooling: Annotated[float, Field(ge=1, le=2, strict=True)] = 2.0
    stages: Annotated[tuple[Stage, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _sound(self) -> Self:
        defects = list(_defects(self))
        if defects:
            raise Defects(defects)
        return self

    @classmethod
    def from_dict(cls, data: object) -> StageNetwork:
        """Stages from plain data, such as the content of a YAML file. Raises `NetworkError`."""
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise NetworkError("\n".join(text for _, text in describe_all(error, cls))) from None

    @classmethod
    def from_yaml(cls, path: str | Path) -> StageNetwork:
        """Read a file of stages. Raises `ConfigError` that lists every defect with its line."""
        return load_model(Path(path), cls)

    def to_yaml(self, path: str | Path) -> None:
        """Write the file that `from_yaml` reads back as equal stages."""
        dump_yaml(self.model_dump(exclude_defaults=True), Path(path))

    def with_stages(self, changes: Mapping[str, Mapping[str, Any]]) -> StageNetwork:
        """The same network with some fields of some stages changed. Raises `NetworkError`."""
        unknown = [name for name in changes if name not in self.index]
        if unknown:
            raise NetworkError(f"there is no stage {unknown[0]!r}{nearest(unknown[0], self.index)}")
        stages = [{**stage.model_dump(), **changes.get(stage.name, {})} for stage in self.stages]
        return StageNetwork.from_dict({**self.model_dump(), "stages": stages})

    def with_service_level(self, service_level: float) -> StageNetwork:
        """The same network with one service level at every stage that has customers. Raises `NetworkError`."""
        promise = {"service_level": service_level, "safety_factor": None}
        return self.with_stages({stage.name: promise for stage in self.stages if stage.has_customers})

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> StageNetwork:
        """A copy with some fields changed, and nothing that was derived from the old ones."""
        copy = super().model_copy(update=update, deep=deep)
        for derived in ("index", "order", "suppliers"):
            copy.__dict__.pop(derived, None)
        return copy

    @cached_property
    def index(self) -> dict[str, int]:
        """The position of each stage by its name."""
        return {stage.name: position for position, stage in enumerate(self.stages)}

    @cached_property
    def order(self) -> tuple[int, ...]:
        """The positions of the stages, suppliers before those that they supply."""
        graph = {stage.name: stage.suppliers for stage in self.stages}
        return tuple(self.index[name] for name in TopologicalSorter(graph).static_order())

    @cached_property
    def suppliers(self) -> tuple[tuple[int, ...], ...]:
        """The positions of every stage's suppliers."""
        return tuple(tuple(self.index[name] for name in stage.suppliers) for stage in self.stages)


def _defects(network: StageNetwork) -> Iterator[tuple[KeyPath, str]]:
    """What is wrong with the network as a whole, one sentence each, which names the stage."""
    count = Counter(stage.name for stage in network.stages)
    known = count.keys()
    for position, stage in enumerate(network.stages):
        at = ("stages", position)
        if count[stage.name] > 1:
            yield (*at, "name"), f"there are {count[stage.name]} stages {stage.name!r}; every name must occur once"
        for supplier in stage.suppliers:
            if supplier not in known:
                yield (*at, "suppliers"), f"{stage.name}: there is no stage {supplier!r}{nearest(supplier, known)}"
        yield from ((at, f"{stage.name}: {must}") for must in _broken_rules(stage))
    if all(supplier in known for stage in network.stages for supplier in stage.suppliers):
        yield from _idle(network)
        if len(known) == len(network.stages):
            yield from _cycle(network)


def _broken_rules(stage: Stage) -> Iterator[str]:
    if stage.service_level is not None and stage.safety_factor is not None:
        yield "give service_level or safety_factor, not both"
    if stage.has_customers and stage.z is None and stage.demand_bound is None:
        yield "a stage with customers needs a service_level (or a safety_factor)"
    if not stage.has_customers and stage.z is not None:
        yield "a stage without customers has no service_level; give it a demand_mean or demand_sd"


def _idle(network: StageNetwork) -> Iterator[tuple[KeyPath, str]]:
    """Stages whose item nobody wants."""
    wanted = {supplier for stage in network.stages for supplier in stage.suppliers}
    for position, stage in enumerate(network.stages):
        if stage.name not in wanted and not stage.has_customers and stage.demand_bound is None:
            yield (
                ("stages", position),
                f"{stage.name}: a stage that supplies no other needs demand (demand_mean, demand_sd) "
                "or a demand_bound of 0",
            )


def _cycle(network: StageNetwork) -> Iterator[tuple[KeyPath, str]]:
    try:
        TopologicalSorter({stage.name: stage.suppliers for stage in network.stages}).prepare()
    except CycleError as error:
        yield ("stages",), f"stages must not supply one another in a cycle (got {' -> '.join(reversed(error.args[1]))})"
