"""What-if scenarios: changes of a planner's tables with a name, planned again and set side by side with what is.

A change is a frozen dataclass that turns one case into another. It never touches the tables that it is given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from echelon.baselines.planning import plan_tables
from echelon.baselines.planning_moves import merged, require_name, selected, shifted_lead_time
from echelon.baselines.planning_network import lanes_of
from echelon.baselines.planning_promises import with_promises
from echelon.baselines.planning_schema import METHODS
from echelon.baselines.planning_service import customer_demand, mean_on_hand
from echelon.baselines.planning_tables import PlanningTables
from echelon.baselines.planning_views import figures, simulated
from echelon.baselines.requirements import require_choice
from echelon.envs.errors import MethodError

if TYPE_CHECKING:
    import pandas as pd

BASE = "base"
"""The name of the case without changes."""


@dataclass(frozen=True, eq=False)
class Case:
    """Tables and how they are planned."""

    tables: PlanningTables
    method: str
    options: Mapping[str, Any] = field(default_factory=dict)

    def with_rows(self, rows: pd.DataFrame) -> Case:
        """The case with other item-locations."""
        return replace(self, tables=PlanningTables({**self.tables.tables, "item_locations": rows}))


Delta = Callable[[Case], Case]
"""A change of a case."""


@dataclass(frozen=True)
class CloseSite:
    """Close a location; another one takes over what it supplied, its own customers, its stock and what is due there.

    Those that it supplied keep their lead times, except where they had a lane from the other one already. Items that
    the other one did not stock come to it with their parameters and their supplier. A location that is left
    without anyone to supply is closed too, with the stock it has.
    """

    location: str
    reroute_to: str

    def __call__(self, case: Case) -> Case:
        """Raises `MethodError` where the other location is supplied by the closed one."""
        return replace(case, tables=merged(case.tables, (self.location,), self.reroute_to))


@dataclass(frozen=True)
class Pool:
    """Serve the customers of several locations from one of them, as by `CloseSite`: their errors offset one another."""

    locations: tuple[str, ...]
    into: str

    def __call__(self, case: Case) -> Case:
        """Raises `MethodError`."""
        return replace(case, tables=merged(case.tables, tuple(n for n in self.locations if n != self.into), self.into))


@dataclass(frozen=True)
class Postpone:
    """Hold stock unfinished at a location and add the last value after it, on the way to those that it supplies.

    A unit there costs `value_share` of the holding cost, and `finishing_time` periods of its lead time become part of
    the lead times of the locations that it supplies.
    """

    location: str
    value_share: float
    finishing_time: float = 0.0
    item: str = ""

    def __call__(self, case: Case) -> Case:
        """Raises `MethodError`."""
        if not 0 < self.value_share <= 1:
            raise MethodError(f"value_share must be above 0 and at most 1, got {self.value_share:g}")
        rows = case.tables["item_locations"]
        here = selected(case.tables, item=self.item, location=self.location)
        lanes = lanes_of(case.tables, rows)
        below = lanes[lanes["source"].eq(self.location) & lanes["item"].isin(rows.loc[here, "item"])]
        if below.empty:
            raise MethodError(f"location must supply others for Postpone, got {self.location!r}")
        keys = set(zip(below["item"], below["location"], strict=True))
        there = np.array([key in keys for key in zip(rows["item"], rows["location"], strict=True)])
        cost = rows["holding_cost"].where(~here, rows["holding_cost"] * self.value_share)
        tables = case.with_rows(rows.assign(holding_cost=cost)).tables
        tables = shifted_lead_time(tables, here, -self.finishing_time)
        return replace(case, tables=shifted_lead_time(tables, there, self.finishing_time))


@dataclass(frozen=True)
class CutLeadTime:
    """Take some periods off the lead time of a location, for one item or all; its error stays the same share of it."""

    location: str
    periods: float
    item: str = ""

    def __call__(self, case: Case) -> Case:
        """Raises `MethodError` for more periods than the lead time has."""
        here = selected(case.tables, item=self.item, location=self.location)
        return replace(case, tables=shifted_lead_time(case.tables, here, -self.periods))


@dataclass(frozen=True)
class ServiceLevel:
    """Promise another service level, for one item or all, at one location or all: to every customer there."""

    level: float
    item: str = ""
    location: str = ""

    def __call__(self, case: Case) -> Case:
        """Raises `MethodError`."""
        if not 0 < self.level < 1:
            raise MethodError(f"level must be above 0 and below 1, got {self.level:g}")
        case = _with_parameter(case, "service_level", self.level, self.item, self.location)
        here = selected(case.tables, item=self.item, location=self.location)
        return replace(case, tables=with_promises(case.tables, here, self.level))


@dataclass(frozen=True)
class StockMethod:
    """Plan safety stock by another method of the tables, such as AT, for one item or all, at one location or all."""

    method: str
    item: str = ""
    location: str = ""

    def __call__(self, case: Case) -> Case:
        """Raises `MethodError`."""
        require_choice("method", self.method, METHODS)
        return _with_parameter(case, "method", self.method, self.item, self.location)


@dataclass(frozen=True)
class PlanBy:
    """Plan everything by another planning method, such as multistage, with its own options."""

    method: str
    options: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self, case: Case) -> Case:
        """Planned when the case is."""
        return replace(case, method=self.method, options=self.options)


def applied(case: Case, deltas: Sequence[Delta]) -> Case:
    """The case after the changes, one after the other. Raises `MethodError` for a name that is not in the tables."""
    for delta in deltas:
        case = delta(case)
    return case


def compare(
    tables: PlanningTables,
    scenarios: Mapping[str, Sequence[Delta]],
    method: str,
    *,
    options: Mapping[str, Any] | None = None,
    replications: int = 0,
    periods: int = 364,
    warm_up: int = 28,
    seed: int = 0,
) -> pd.DataFrame:
    """Scenarios side by side, a row each, after a row for the tables as they are.

    scenario, method, item_locations; units of safety, cycle and pipeline stock, and upstream_stock, the safety stock
    where there are no customers; investment (money in mean stock on hand), holding_cost (of it, per period) and the
    planned service of the customers; the changes of the last three against the base; with `replications`
    also fill_rate and cost per period in simulation, with their 95 % half widths. Raises `MethodError`.
    """
    import pandas as pd

    if BASE in scenarios:
        raise MethodError(f"scenarios must not be named {BASE!r}, which is the case without changes")
    base = Case(tables, method, options or {})
    rows = []
    for name, deltas in {BASE: (), **scenarios}.items():
        case = applied(base, deltas)
        targets = plan_tables(case.tables, case.method, **case.options)
        row = {"scenario": name, "method": case.method, "item_locations": len(targets.parameters)}
        row |= figures(case.tables, targets)
        upstream = customer_demand(case.tables, targets.parameters) == 0
        row["upstream_stock"] = float(targets.parameters["safety_stock"][upstream].sum())
        row["holding_cost"] = float(case.tables["item_locations"]["holding_cost"] @ mean_on_hand(targets))
        if replications:
            run = {"replications": replications, "periods": periods, "warm_up": warm_up, "seed": seed}
            row |= simulated(case.tables, targets, **run).summary
        rows.append(row)
    table = pd.DataFrame(rows)
    changes = {f"{name}_change": table[name] - table[name].iloc[0] for name in CHANGES}
    return table.assign(**changes)


CHANGES = ("investment", "holding_cost", "service")
"""The figures whose change against the base is given."""


def _with_parameter(case: Case, column: str, value: str | float, item: str, location: str) -> Case:
    """The case with one parameter of some item-locations changed."""
    if item:
        require_name(case.tables, "items", item)
    if location:
        require_name(case.tables, "locations", location)
    rows = case.tables["item_locations"]
    here = selected(case.tables, item=item, location=location)
    return case.with_rows(rows.assign(**{column: rows[column].where(~here, value)}))
