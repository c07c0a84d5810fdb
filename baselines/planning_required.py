"""The cells of item_locations that a method cannot do without, and what is said where they are empty."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from echelon.baselines.planning_columns import FILE_ROWS, at_most
from echelon.baselines.planning_inputs import PlanningInputs
from echelon.baselines.planning_tables import PlanningTables
from echelon.baselines.safety_stock import NEEDED
from echelon.envs.errors import MethodError

Bools = NDArray[np.bool_]

OR_PROMISE = ", where no row of service_targets fits"
"""What makes up for a service level that is missing."""
STATED = ("service_level", "safety_stock", "safety_days")
"""The fields of a safety stock that nothing but the tables can tell."""


def require_kept_stock(tables: PlanningTables, inputs: PlanningInputs) -> None:
    """Raise `MethodError` where safety stock must not be replanned and is not stated."""
    must = "is required, as it must not be replanned"
    _refuse(_missing(tables, inputs, kept_rows(inputs), "safety_stock", must))


def require_method_fields(tables: PlanningTables, inputs: PlanningInputs) -> None:
    """Raise `MethodError` where a row does not state what its safety stock method needs."""
    methods, planned = inputs.rows["method"].to_numpy(), ~kept_rows(inputs)
    missing = []
    for key in STATED:
        for method in (name for name, needed in NEEDED.items() if key in needed):
            must = f"is required by method {method}{OR_PROMISE if key == 'service_level' else ''}"
            missing += _missing(tables, inputs, planned & (methods == method), key, must)
    _refuse(missing)


def require_promises(tables: PlanningTables, inputs: PlanningInputs, method: str) -> None:
    """Raise `MethodError` where a location has customers and no service level, unless its stock is set elsewhere."""
    must = f"is required by {method} at locations with customers{OR_PROMISE}"
    needed = np.asarray(inputs.own.any(axis=(0, 2))) & ~kept_rows(inputs)
    _refuse(_missing(tables, inputs, needed, "service_level", must))


def kept_rows(inputs: PlanningInputs) -> Bools:
    """[n] whose safety stock is set elsewhere, by method MB or as external, and must not be replanned."""
    return np.asarray((inputs.rows["method"] == "MB") | inputs.rows["external"], dtype=np.bool_)


def _missing(tables: PlanningTables, inputs: PlanningInputs, needed: Bools, key: str, must: str) -> list[str]:
    """A line for each row that needs a cell which is empty: by file and row where it is from a file."""
    rows, file = inputs.rows, tables.provenance.get("item_locations")
    empty = np.flatnonzero(needed & rows[key].isna().to_numpy())
    names = rows[["item", "location"]].iloc[empty].itertuples(index=False)
    return [
        f"{f'{file}:{row + FILE_ROWS}' if file else 'item_locations'}: {key}: {must} ({item} at {place})"
        for row, (item, place) in zip(empty.tolist(), names, strict=True)
    ]


def _refuse(missing: list[str]) -> None:
    if missing:
        raise MethodError("\n".join(at_most(missing)))
