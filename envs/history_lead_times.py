"""Lead-time histories from a CSV file, and the empirical lead-time distribution of each lane."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np

from echelon.envs.errors import DemandError
from echelon.envs.history_rows import (
    DATE,
    NAME,
    Column,
    Period,
    Row,
    periods_between,
    read_rows,
    require_none,
    require_period,
)
from echelon.envs.supply import LeadTime

Lane = tuple[str, str, str]
"""An item, the location that orders it, and the source; the source is empty if the file names none."""
OPEN = date.max
"""The receipt of an order that is still open."""


@dataclass(frozen=True)
class LeadTimeHistory:
    """How long orders took, in periods, per lane."""

    period: Period
    series: Mapping[Lane, tuple[int, ...]]
    """Lead times in the order of the file."""

    def law(self, item: str, location: str, source: str) -> int | LeadTime | None:
        """The empirical distribution of a lane, one number if it never varied, None if nothing is known of it.

        Orders whose source is not named count for every source. Each shipment draws its lead time anew and may
        overtake an earlier one: only so are mean and variance those of the history.
        """
        times = self.series.get((item, location, source)) or self.series.get((item, location, ""))
        if not times:
            return None
        values, counts = np.unique(times, return_counts=True)
        if len(values) == 1:
            return int(values[0])
        return LeadTime(values=tuple(values.tolist()), probabilities=tuple((counts / len(times)).tolist()))


def load_lead_times(path: str | Path, *, period: Period = "W") -> LeadTimeHistory:
    """Read a CSV file with the columns item, location, ordered and received, or item, location and lead_time.

    ordered and received are ISO dates; orders without a date of receipt are open and left out. A lead time is
    the number of periods from that of the order to that of the receipt, so that its mean is not biased where
    orders may fall on any day. The column lead_time is in periods. A column source says who ships: `outside`, or
    `warehouse` in a `history_network`. Other columns are ignored. Raises `DemandError` that lists the broken rows.
    """
    require_period(period)
    path = Path(path)
    rows = read_rows(path, _columns)
    backwards = [row for row in rows if "received" in row and row["received"] < row["ordered"]]
    require_none(
        path,
        [
            f"{path}:{row['line']}: received: must not be before ordered, {row['ordered']} (got '{row['received']}')"
            for row in backwards
        ],
    )
    times: dict[Lane, list[int]] = {}
    for row in rows:
        if row.get("received") != OPEN:
            lane = times.setdefault((row["item"], row["location"], row.get("source", "")), [])
            lane.append(_lead_time(row, period))
    if not times:
        raise DemandError(f"{path}: the history must have at least one order that was received")
    return LeadTimeHistory(period, {lane: tuple(periods) for lane, periods in times.items()})


def _lead_time(row: Row, period: Period) -> int:
    return int(row["lead_time"]) if "lead_time" in row else periods_between(row["ordered"], row["received"], period)


_RECEIVED: Column = (lambda text: DATE[0](text) if text else OPEN, DATE[1] + ", or empty")
_LEAD_TIME: Column = (
    lambda text: int(text) if text.isascii() and text.isdigit() else None,
    "must be a whole number of periods of at least 0",
)


def _columns(header: Sequence[str]) -> Mapping[str, Column]:
    """The columns to read: dates, unless there are lead times; a source if there is one."""
    times = {"lead_time": _LEAD_TIME} if "lead_time" in header else {"ordered": DATE, "received": _RECEIVED}
    return {"item": NAME, "location": NAME, **({"source": NAME} if "source" in header else {}), **times}
