"""Bands: the fewest and most days of supply that a category may hold as safety stock, and a record of every clamp."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from echelon.baselines.safety_stock_columns import Field, Floats, read_column
from echelon.envs.errors import MethodError, nearest

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Band:
    """A service level and a range of safety stock, in days of supply."""

    service_level: float
    least_days: float
    most_days: float

    def __post_init__(self) -> None:
        if not 0 < self.service_level < 1:
            raise MethodError(f"service_level must be above 0 and below 1, got {self.service_level:g}")
        if not 0 <= self.least_days <= self.most_days < float("inf"):
            raise MethodError(
                "least_days must be at least 0 and at most most_days, which must be finite, "
                f"got {self.least_days:g} and {self.most_days:g}"
            )


TABLE_1: Mapping[str, Band] = {
    "Tobacco (high sellers)": Band(0.999, 2, 6),
    "Tobacco (low sellers)": Band(0.999, 6, 10),
    "Packaged foods": Band(0.95, 2, 6),
    "Ready-to-eat foods": Band(0.95, 6, 10),
    "Personal care products": Band(0.99, 2, 6),
}
"""Beta service levels and bands by category of a consumer goods company: Table 1 of its published case."""


@dataclass(frozen=True, eq=False)
class Clamped:
    """Days of supply inside their bands, and what was changed."""

    days: Floats
    """[rows]"""
    audit: pd.DataFrame
    """A line per changed row: `row`, `category`, `days` before, `clamped_days` after, and `rule`, the bound broken."""
    rows: int

    @property
    def rate(self) -> float:
        """The share of rows that were changed; 0 if there are none."""
        return len(self.audit) / self.rows if self.rows else 0.0

    def counts(self) -> pd.DataFrame:
        """How many rows of each category each rule changed."""
        import pandas as pd

        return pd.crosstab(self.audit["category"], self.audit["rule"])


def clamp(
    days: ArrayLike, category: ArrayLike | Sequence[str | None], *, bands: Mapping[str, Band] = TABLE_1
) -> Clamped:
    """Move each row's days of supply into the band of its category: ``min(max(days, least), most)``.

    `days` [rows] and `category`, one for all or [rows]. A category without a band is a `MethodError`; an empty
    one has no band, and its row is left alone. Clamping again changes nothing.

    >>> clamp([3.0, 9.0], "Packaged foods").days
    array([3., 6.])
    """
    import pandas as pd

    before = np.atleast_1d(read_column("days", days, Field()).astype(np.float64))
    if before.ndim != 1:
        raise MethodError(f"days must be one number or one for each row, got shape {before.shape}")
    given = np.atleast_1d(np.asarray(category, dtype=object))
    code, names = pd.factorize(np.where(pd.isna(given), "", given))
    if code.shape not in ((1,), before.shape):
        raise MethodError(f"category must be one name or one for each of {len(before)} rows, got {len(code)}")
    least, most = _edges(names, bands)
    code = np.broadcast_to(code, before.shape)
    after = np.clip(before, least[code], most[code])
    changed = np.flatnonzero(after != before)
    audit = pd.DataFrame(
        {
            "row": changed,
            "category": np.asarray(names, dtype=object)[code[changed]],
            "days": before[changed],
            "clamped_days": after[changed],
            "rule": np.where(after[changed] < before[changed], "most_days", "least_days"),
        }
    )
    return Clamped(after, audit, len(before))


def _edges(names: NDArray[np.object_], bands: Mapping[str, Band]) -> tuple[Floats, Floats]:
    """The least and the most days of each name; without limit for an empty one."""
    least, most = np.zeros(len(names)), np.full(len(names), np.inf)
    for k, name in enumerate(names):
        if name == "":
            continue
        if name not in bands:
            raise MethodError(f"category {name!r} has no band{nearest(str(name), bands)}")
        least[k], most[k] = bands[name].least_days, bands[name].most_days
    return least, most
