"""Demand resampled from a history."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from echelon.envs.demand_law import Factor, Floats, Inversion, Law, NonNegative, Periods, Scaled
from echelon.envs.demand_simple import multiples_are_whole, pmf_of_values


class Empirical(Scaled):
    """Demand resampled from a history of `values`, in runs of `block` consecutive periods.

    `block = 1` draws periods independently. A longer block keeps the autocorrelation inside it
    (circular block bootstrap, Politis and Romano 1992: a run that reaches the end of the history goes on
    at its beginning). `align` keeps the phase of the calendar: period t is drawn from the periods of the
    history whose number leaves the same remainder, with `align = 7` from the same weekday. Outlets of
    one network that share the name `joint` draw the same periods of their histories, which keeps the
    correlation between them. The calendar multiplies the values.
    """

    law: Literal["empirical"] = "empirical"
    values: Annotated[tuple[NonNegative, ...], Field(min_length=1)]
    block: Periods = 1
    align: Periods = 1
    """Blocks start in the history at a period that is in phase with theirs, modulo this."""
    joint: str = ""
    """A name that outlets share whose histories are to be drawn together."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.block > len(self.values):
            raise ValueError(f"block must be at most the length of the history, {len(self.values)} (got {self.block})")
        if len(self.values) % self.align:
            raise ValueError(
                f"align must divide the length of the history, {len(self.values)} (got {self.align}); "
                "leave out the oldest periods"
            )
        return self

    @property
    def whole(self) -> bool:
        return multiples_are_whole(self, self.values)

    @property
    def stationary(self) -> bool:
        return super().stationary and self.align == 1

    @property
    def independent(self) -> bool:
        return self.block == 1

    @property
    def cycle(self) -> int:
        return math.lcm(super().cycle, self.align)

    def moments(self, factor: float = 1.0) -> tuple[float, float]:
        return factor * float(np.mean(self.values)), factor * float(np.std(self.values))

    def cycle_moments(self) -> Floats:
        if self.align == 1:
            return super().cycle_moments()
        phases = np.reshape(self.values, (-1, self.align))
        moments = np.stack([phases.mean(axis=0), phases.std(axis=0)], axis=1)
        return np.asarray(np.tile(moments, (self.cycle // self.align, 1)) * self.cycle_factors[:, None])

    def quantile(self, uniform: Floats, factor: Factor = 1.0) -> Floats:
        ordered = np.sort(np.asarray(self.values))
        return np.asarray(factor * ordered[np.floor(uniform * len(ordered)).astype(np.int64)])

    def inversion(self, factor: float = 1.0) -> Inversion | None:
        if self.block > 1 or self.align > 1 or self.joint:
            return None
        return Inversion(values=factor * np.sort(np.asarray(self.values)))

    def sample(self, uniform: Floats, start: int = 0) -> Floats:
        if self.inversion() is not None:
            return super().sample(uniform, start)
        periods = uniform.shape[1]
        into = np.arange(periods) % self.block
        begins = np.arange(periods) - into
        first = np.floor(uniform[:, begins] * (len(self.values) // self.align)).astype(np.int64)
        first *= self.align
        first += (start + begins) % self.align + into
        drawn = np.asarray(self.values)[first % len(self.values)]
        return np.asarray(drawn * self.factors(periods, start))

    def pmf(self, factor: float = 1.0) -> Floats:
        return pmf_of_values(self, np.asarray(self.values) * factor)


def joint_leaders(laws: Sequence[Law | None]) -> list[int]:
    """For each law the position of the first one that draws the same periods of its history: often its own."""
    first: dict[str, int] = {}
    names = [law.joint if isinstance(law, Empirical) else "" for law in laws]
    return [first.setdefault(name, position) if name else position for position, name in enumerate(names)]


def joint_defects(laws: Sequence[Law | None]) -> list[tuple[int, str]]:
    """Positions of laws that cannot be drawn together with the first one of their `joint` name, and why."""
    defects = []
    for position, leader in enumerate(joint_leaders(laws)):
        one, other = laws[leader], laws[position]
        if isinstance(one, Empirical) and isinstance(other, Empirical):
            shapes = [(len(law.values), law.block, law.align) for law in (one, other)]
            if shapes[0] != shapes[1]:
                defects.append(
                    (
                        position,
                        f"histories drawn together (joint {one.joint!r}) must have the same length, block and align: "
                        f"{shapes[0]} before, got {shapes[1]}",
                    )
                )
    return defects
