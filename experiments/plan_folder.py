"""What `echelon plan` does with a folder of a planner's tables: plan all of them, and write what was planned."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from echelon.baselines.planning import PLANNERS, Targets, plan_tables
from echelon.baselines.planning_alerts import alerts
from echelon.baselines.planning_tables import read_tables, require_new, write_folder
from echelon.envs.errors import ConfigError, nearest
from echelon.experiments.plan_curves import report_frontier
from echelon.experiments.plan_report import plan_page

if TYPE_CHECKING:
    import pandas as pd

DATE = "%Y-%m-%d"
SUMMED = ("mean_demand", "safety_stock", "cycle_stock", "pipeline_stock")
"""What is printed of an item: the sums over its locations of the means over the periods."""


def plan_folder(
    source: str, *, method: str, out: Path, budget: float | None = None, within_storage: bool = False
) -> str:
    """Plan the tables in the folder `source`, write the files into the new folder `out`, and tell what was planned.

    All files are written, or none. `budget` and `within_storage` are those of `plan_tables`. Raises `ConfigError` or
    `MethodError`.
    """
    if method not in PLANNERS:
        raise ConfigError([f"--method: must be a planning method (got {method!r}){nearest(method, PLANNERS)}"])
    require_new(out)
    tables = read_tables(source)
    targets = plan_tables(tables, method, budget=budget, within_storage=within_storage)
    fired = alerts(tables, targets)
    written = {
        "parameters.csv": _csv(targets.parameters),
        "series.csv": _csv(targets.series),
        "log.csv": _csv(targets.log),
        "alerts.csv": _csv(fired),
        "report.html": plan_page(
            tables,
            targets,
            fired,
            source=source,
            curve=report_frontier(tables, method),
            limits=[
                *(["--budget", f"{budget:g}"] if budget is not None else []),
                *(["--within-storage"] if within_storage else []),
            ],
        ),
    }
    write_folder(out, written)
    return "\n".join([*_lines(targets), *_alert_lines(fired), f"{out}: {', '.join(written)}"])


def _csv(table: pd.DataFrame) -> str:
    return table.to_csv(index=False, date_format=DATE, lineterminator="\n")


def _lines(targets: Targets) -> Iterator[str]:
    """A line an item."""
    periods = targets.series["period"]
    rows = targets.parameters
    first, last = (f"{day:{DATE}}" for day in (periods.min(), periods.max()))
    yield f"{targets.method}: {len(rows)} item-locations, {periods.nunique()} periods from {first} to {last}"
    held = rows.assign(safety_stock=rows["safety_stock"].clip(lower=0.0))  # a negative one is no stock
    table = held.groupby("item", sort=False)[list(SUMMED)].sum()
    width = max(len("item"), *(len(item) for item in rows["item"].astype(str).unique()))
    yield f"{'item':{width}}  {'locations':>9}" + "".join(f"  {name.replace('_', ' '):>14}" for name in SUMMED)
    counts = rows.groupby("item", sort=False).size()
    for item, count, sums in zip(counts.index.astype(str), counts, table.to_numpy(dtype=float), strict=True):
        yield f"{item:{width}}  {count:9d}" + "".join(f"  {total:14.6g}" for total in sums)


def _alert_lines(fired: pd.DataFrame) -> Iterator[str]:
    """How many alerts there are of each severity, the most severe first."""
    if len(fired):
        counts = fired.groupby("severity", sort=False).size()
        parts = (f"{count} {severity}" for severity, count in zip(counts.index.astype(str), counts, strict=True))
        yield f"alerts: {', '.join(parts)}"
