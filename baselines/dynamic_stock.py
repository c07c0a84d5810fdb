"""Dynamic safety stock of ERP systems: days of average requirements to have in stock, as a minimum, a target and a
maximum.

The **average daily requirement** is what is required in the next few calendar periods, divided by the days in them.
Three **ranges of coverage**, in days, turn it into three levels of the available quantity: below the minimum the
system proposes an order up to the target, above the maximum it warns. There is no variance and no service level in it.

The rules are those of the vendor's help pages on range of coverage profiles: "Calculating the Average Daily
Requirements", "Calculating the Minimum, Maximum and Target Stock Level" and "Calculating the Dynamic Safety Stock".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from echelon.baselines.requirements import require_at_least_zero, require_choice
from echelon.baselines.requirements_planning import amounts
from echelon.envs.errors import MethodError

Floats = NDArray[np.float64]
Days = Literal["standard", "work", "calendar"]

MOST_SEGMENTS = 3
"""Consecutive spans of periods that a profile can give ranges of their own."""


@dataclass(frozen=True)
class Coverage:
    """Ranges of coverage, in days of average requirements."""

    minimum: float
    target: float
    maximum: float | None = None
    """Warns only; left out: there is none."""
    periods: int | None = None
    """Calendar periods for which the ranges hold, as one segment of a profile; left out: from here on."""

    def __post_init__(self) -> None:
        require_at_least_zero("minimum", self.minimum)
        require_at_least_zero("target", self.target)
        highest = self.target if self.maximum is None else self.maximum
        require_at_least_zero("maximum", highest)
        if not self.minimum <= self.target <= highest:
            ranges = f"{self.minimum:g}, {self.target:g} and {highest:g}"
            raise MethodError(f"ranges of coverage must rise from minimum over target to maximum, got {ranges}")
        if self.periods is not None and self.periods < 1:
            raise MethodError(f"periods must be at least 1, got {self.periods}")


@dataclass(frozen=True)
class CoverageProfile:
    """Ranges of coverage by calendar period: up to three consecutive segments, and overrides by date.

    The last segment holds for all periods after it, whatever its own number of periods.
    """

    segments: tuple[Coverage, ...]
    overrides: Mapping[int, Coverage] = field(default_factory=dict)
    """Ranges of single periods, by the number of the period; they win over the segments."""
    safety_stock: float = 0.0
    """Static safety stock, units, on top of all three levels."""

    def __post_init__(self) -> None:
        require_at_least_zero("safety_stock", self.safety_stock)
        if not 1 <= len(self.segments) <= MOST_SEGMENTS:
            raise MethodError(f"segments must be 1 to {MOST_SEGMENTS}, got {len(self.segments)}")
        if any(segment.periods is None for segment in self.segments[:-1]):
            raise MethodError("periods must be given for every segment but the last, got None")

    def ranges(self, period: int) -> Coverage:
        """The ranges of a calendar period; the current one is 0."""
        if period in self.overrides:
            return self.overrides[period]
        ends = accumulate(segment.periods or 0 for segment in self.segments[:-1])
        return self.segments[sum(end <= period for end in ends)]


@dataclass(frozen=True, eq=False)
class StockLevels:
    """Levels of the available quantity, units, one per item."""

    minimum: Floats
    target: Floats
    maximum: Floats | None = None
    """None where the profile has no maximum."""


def average_daily_requirement(
    requirements: ArrayLike,
    *,
    periods: int,
    days: Days = "standard",
    period_length: int | Sequence[int] = 7,
    days_per_period: float = 5,
    workdays: Sequence[bool] = (),
    today: int = 0,
) -> Floats:
    """Units required per day over the current calendar period and those after it, `periods` in all.

    `requirements` [..., H] are units by calendar day, from the first day of a calendar period on; `period_length`
    is that of every period (7 for weeks), or of one after the other (31, 28, 31, ... for months). `today` is the day
    of the planning run, counted from 0: the current period is the one that it lies in, and what was required earlier
    in that period counts as well. The total is divided by

    - ``"standard"``: `periods` times `days_per_period`. Two weeks of 5 standard days divide by 10;
    - ``"work"``: the days of these periods at which `workdays` [H] is true, the factory calendar;
    - ``"calendar"``: all days of these periods.

    Without requirements it is 0. The leading axes of `requirements` are items.

    >>> float(average_daily_requirement([10.0] * 14, periods=2))
    14.0
    """
    required = amounts("requirements", requirements)
    require_choice("days", days, ("standard", "work", "calendar"))
    start, end = _window(required.shape[-1], periods, period_length, today)
    if days == "work" and len(workdays) < end:
        raise MethodError(f"workdays must reach day {end}, the end of the periods, got {len(workdays)} days")
    count = {"standard": periods * days_per_period, "work": sum(workdays[start:end]), "calendar": end - start}[days]
    if not 0 < count < float("inf"):
        raise MethodError(f"days must be more than 0 in the periods, got {count:g} {days} days")
    return np.asarray(required[..., start:end].sum(axis=-1) / count)


def coverage_levels(requirement: ArrayLike, profile: CoverageProfile, *, period: int = 0) -> StockLevels:
    """Minimum, target and maximum stock: the average daily `requirement` [...] times the ranges of the period.

    The static safety stock of the profile comes on top. Without requirements all levels are the static safety stock,
    so 0 where there is none.

    >>> ranges = CoverageProfile((Coverage(minimum=3, target=5, maximum=7),))
    >>> levels = coverage_levels(15.0, ranges)
    >>> float(levels.minimum), float(levels.target)
    (45.0, 75.0)
    """
    daily, ranges, extra = amounts("requirement", requirement), profile.ranges(period), profile.safety_stock
    highest = None if ranges.maximum is None else extra + daily * ranges.maximum
    return StockLevels(extra + daily * ranges.minimum, extra + daily * ranges.target, highest)


def proposal(available: ArrayLike, levels: StockLevels) -> Floats:
    """Units to order: up to the target where the available quantity [...] is below the minimum, else nothing.

    Exactly at the minimum nothing is ordered. The available quantity is stock plus receipts less requirements up to
    the date in question; it may be negative.
    """
    quantity = _finite(available)
    return np.where(quantity < levels.minimum, levels.target - quantity, 0.0)


def exceeds_maximum(available: ArrayLike, levels: StockLevels) -> NDArray[np.bool_]:
    """Where the available quantity [...] is above the maximum: the exception message of the planning run.

    A proposal never leads there, because it ends at the target. The system cuts what is planned and not yet firm; what
    is firm stays, with the message.
    """
    quantity = _finite(available)
    return np.asarray(quantity > levels.maximum) if levels.maximum is not None else np.zeros(quantity.shape, bool)


def _window(horizon: int, periods: int, period_length: int | Sequence[int], today: int) -> tuple[int, int]:
    """The first day of the current calendar period, and the day after the last period that counts."""
    if periods < 1:
        raise MethodError(f"periods must be at least 1, got {periods}")
    lengths = [period_length] * horizon if isinstance(period_length, int) else list(period_length)
    if any(length < 1 for length in lengths):
        raise MethodError(f"period_length must be at least 1 day, got {period_length}")
    if not 0 <= today < horizon:
        raise MethodError(f"today must be a day of the requirements, 0 to {horizon - 1}, got {today}")
    starts = [0, *accumulate(lengths)]
    current = sum(start <= today for start in starts) - 1
    if current + periods >= len(starts) or starts[current + periods] > horizon:
        raise MethodError(f"requirements must reach to the end of {periods} periods from today, got {horizon} days")
    return starts[current], starts[current + periods]


def _finite(available: ArrayLike) -> Floats:
    quantity = np.asarray(available, dtype=np.float64)
    if not np.isfinite(quantity).all():
        raise MethodError("available must be finite numbers, got one that is not")
    return quantity
