"""What customers are promised at each item-location: by `service_targets`, or by the level of the item-location."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from echelon.baselines.planning_tables import PlanningTables
from echelon.baselines.service_targets import FIELDS, resolve_targets

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
Names = NDArray[np.object_]

GENERAL, NO_TARGET = "global", 0.5
"""The source of a target that names nothing, and the level of the one that stands for none: it is never read."""


def promises(tables: PlanningTables, rows: pd.DataFrame, served: NDArray[np.bool_]) -> tuple[Floats, Names, Names]:
    """[n] service level and kind, and where they are from: service_targets where there are customers (`served`).

    The level of an item-location is a target for that item at that location, unless the table has one itself. Where
    none fits the level stays empty: not every method reads it.
    """
    level, kind = np.array(rows["service_level"], dtype=np.float64), np.array(rows["service_kind"], dtype=object)
    source = np.where(np.isnan(level), "", "item_locations").astype(object)
    targets: list[dict[str, Any]] = tables["service_targets"].to_dict("records")  # type: ignore[assignment]
    if not targets:
        return level, kind, source
    named = {(row["item"], row["location"]) for row in targets if not row["customer"] + row["customer_class"]}
    general = any(not any(row[name] for name in FIELDS) for row in targets)
    if not general:
        targets.append({"service_level": NO_TARGET})
    at = np.flatnonzero(served)
    wanted: list[dict[str, Any]] = _customers(tables, rows.iloc[at]).to_dict("records")  # type: ignore[assignment]
    for row in wanted:
        if not np.isnan(row["service_level"]) and (row["item"], row["location"]) not in named:
            own = {key: row[key] for key in ("item", "location", "service_level", "service_kind")}
            targets.append({**own, "source": "item_locations"})
    for j, found in zip(at.tolist(), resolve_targets(targets, wanted), strict=True):
        if general or found.source != GENERAL:
            level[j], kind[j], source[j] = found.service_level, found.service_kind, found.source
    return level, kind, source


def with_promises(tables: PlanningTables, here: NDArray[np.bool_], level: float) -> PlanningTables:
    """The tables with one service level for the customers of some item-locations [n], and of no others.

    Where a row of service_targets holds for them, one that names all of what it may name, and thus wins, comes on top.
    """
    import pandas as pd

    rows, targets = tables["item_locations"], tables["service_targets"]
    rows = rows.assign(category=categories_of(tables, rows))[here]
    _, kind, source = promises(tables, rows, np.ones(len(rows), dtype=np.bool_))
    by_target = ~np.isin(source, ("", "item_locations"))
    names = _customers(tables, rows)[by_target]
    most = names.assign(service_level=level, service_kind=kind[by_target])[list(targets.columns)]
    both = pd.concat([targets, most], ignore_index=True) if len(most) else targets
    return PlanningTables({**tables.tables, "service_targets": both.drop_duplicates(list(FIELDS), keep="last")})


def categories_of(tables: PlanningTables, rows: pd.DataFrame) -> pd.Series:
    """[n] the category of each row, or else of its item."""
    category = tables["items"].set_index("item")["category"]
    return rows["category"].where(rows["category"] != "", rows["item"].map(category))


def _customers(tables: PlanningTables, rows: pd.DataFrame) -> pd.DataFrame:
    """[n] the rows with what service_targets may name of their customers."""
    customer = tables["locations"].set_index("location")["customer"]
    group = tables["items"].set_index("item")["customer_class"]
    return rows.assign(customer=rows["location"].map(customer), customer_class=rows["item"].map(group))
