"""The figures of a planner's report: stock by component, tier and category, over time, and where its inputs are from.

Stock is told in units, and in money where the items' unit values differ from 1. Tiers are counted from the outside in:
the first one is supplied from outside.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from echelon.baselines.planning_inputs import WEEK, depths
from echelon.baselines.planning_network import suppliers
from echelon.baselines.planning_service import customer_demand, mean_on_hand
from echelon.baselines.planning_tables import PlanningTables

if TYPE_CHECKING:
    import pandas as pd

    from echelon.baselines.planning import Targets
    from echelon.baselines.safety_stock_bands import Band

Floats = NDArray[np.float64]

KEY = ["item", "location"]
COMPONENTS: Mapping[str, str] = {
    "safety_stock": "safety stock",
    "cycle_stock": "cycle stock",
    "prebuild_stock": "pre-build stock",
    "merchandising_stock": "merchandising stock",
    "pipeline_stock": "pipeline stock",
}
"""What stock consists of, by the column of the targets; all but the last is on hand."""
SAFETY, PIPELINE = "safety_stock", "pipeline_stock"
KINDS = {"factory": "factories", "warehouse": "warehouses", "outlet": "outlets"}


@dataclass(frozen=True, eq=False)
class Panel:
    """The safety days of one category or tier, each week and item-location counted once."""

    name: str
    days: Floats
    """[values] as the method plans them, before any band."""
    band: Band | None = None
    raised: float = 0.0
    """The share of the values that the band raised."""
    lowered: float = 0.0


@dataclass(frozen=True, eq=False)
class PlanSummary:
    """A plan with what the tables say of its item-locations."""

    targets: Targets
    rows: pd.DataFrame
    """The parameters of the targets, and: kind; tier; group, the name of both; supplier, the location or "";
    unit_value; holding_cost; own_demand, that of the location's customers; value, that of its safety stock."""

    @property
    def method(self) -> str:
        """The name of the planning method."""
        return self.targets.method

    @cached_property
    def in_money(self) -> bool:
        """Whether any unit value differs from 1, so that stock has a value of its own."""
        return bool((self.rows["unit_value"] != 1.0).any())

    @property
    def measure(self) -> str:
        """The unit of the figures that add up different items."""
        return "money" if self.in_money else "units"

    @cached_property
    def components(self) -> list[str]:
        """The columns of the components of which there is any stock; safety stock always."""
        return [name for name in COMPONENTS if name in self.rows and (name == SAFETY or self.stock(name).any())]

    @property
    def on_hand(self) -> list[str]:
        """The components that are on hand."""
        return [name for name in self.components if name != PIPELINE]

    @cached_property
    def groups(self) -> list[str]:
        """The tiers from the outside in, each by kind of location."""
        return list(dict.fromkeys(self.rows.sort_values(["tier", "kind"], kind="stable")["group"]))

    def stock(self, component: str) -> Floats:
        """[n] units of a component; safety stock below 0, which is a planned delay, is no stock."""
        return np.asarray(np.maximum(self.rows[component].to_numpy(dtype=np.float64), 0.0))

    def units(self, component: str) -> float:
        """The units of a component at all item-locations."""
        return float(self.stock(component).sum())

    def value(self, component: str) -> float:
        """The same in money, or in units where no item has a value of its own."""
        return float(self.stock(component) @ self.rows["unit_value"].to_numpy(dtype=np.float64))

    def days(self, component: str) -> float:
        """Days that a component would serve all customers: value over the value of their demand; 0 without demand."""
        demand = float((self.rows["own_demand"] * self.rows["unit_value"]).sum())
        return self.value(component) / demand if demand > 0 else 0.0

    @property
    def holding_cost(self) -> float:
        """Money per period for the mean stock on hand, and with it what is backordered in the mean."""
        return float(mean_on_hand(self.targets) @ self.rows["holding_cost"].to_numpy(dtype=np.float64))

    def by(self, column: str) -> pd.DataFrame:
        """[group, component] value of stock by a column of the rows."""
        value = self.rows["unit_value"].to_numpy(dtype=np.float64)
        table = self.rows[[column]].assign(**{name: self.stock(name) * value for name in self.components})
        return table.groupby(column, sort=True).sum()

    @cached_property
    def weeks(self) -> pd.DataFrame:
        """[week, group] mean value of safety stock, each week by its first day."""
        weekly = self._weekly.groupby(["week", "group"])["value"].sum().unstack("group")
        return weekly[self.groups]

    @cached_property
    def _weekly(self) -> pd.DataFrame:
        """A row an item-location and week: safety_stock, safety_days and value, means over the week."""
        import pandas as pd

        series = self.targets.series[[*KEY, "period", "safety_stock", "safety_days"]]
        start = series["period"].min()
        week = start + pd.to_timedelta((series["period"] - start).dt.days // WEEK * WEEK, unit="D")
        mean = series.assign(week=week).groupby([*KEY, "week"], as_index=False)[["safety_stock", "safety_days"]].mean()
        mean = mean.merge(self.rows[[*KEY, "group", "unit_value"]], on=KEY)
        return mean.assign(value=mean["safety_stock"].clip(lower=0.0) * mean["unit_value"])

    def largest(self, count: int) -> pd.DataFrame:
        """The rows with the highest value of safety stock."""
        return self.rows.sort_values(["value", *KEY], ascending=[False, True, True]).head(count)

    def path(self, item: str, location: str) -> pd.DataFrame:
        """The weeks of one item-location."""
        weekly = self._weekly
        return weekly[(weekly["item"] == item) & (weekly["location"] == location)]

    def panels(self, bands: Mapping[str, Band]) -> list[Panel]:
        """Safety days by category against its band where a band was asked for, else by tier."""
        log = self.targets.log
        if "planned_days" in log and bands:
            planned = log[log["status"] == "planned"].merge(self.rows[[*KEY, "category"]], on=KEY)
            return [
                Panel(
                    str(name) or "no category",
                    part["planned_days"].to_numpy(dtype=np.float64),
                    bands.get(str(name)),
                    raised=float((part["rule"] == "least_days").mean()),
                    lowered=float((part["rule"] == "most_days").mean()),
                )
                for name, part in planned.groupby("category", sort=True)
            ]
        weekly = self._weekly
        days = ((name, weekly.loc[weekly["group"] == name, "safety_days"]) for name in self.groups)
        return [Panel(name, of.to_numpy(dtype=np.float64)) for name, of in days]

    def sources(self, column: str) -> dict[str, int]:
        """How many item-locations have each source of a deviation, the most frequent first."""
        counts = self.rows[column].astype(str).value_counts()
        return {str(name): int(counts[name]) for name in sorted(counts.index, key=lambda name: (-counts[name], name))}


def plan_summary(tables: PlanningTables, targets: Targets) -> PlanSummary:
    """The summary of targets that were planned from these tables."""
    rows, planned = targets.parameters.reset_index(drop=True), tables["item_locations"]
    supplier = suppliers(tables)
    names = planned["location"].to_numpy()
    known = planned[[*KEY, "holding_cost"]].assign(
        tier=depths(supplier) + 1, supplier=np.where(supplier >= 0, names[supplier], "")
    )
    rows = rows.assign(own_demand=customer_demand(tables, rows)).merge(known, on=KEY, how="left")
    rows["unit_value"] = rows["item"].map(tables["items"].set_index("item")["unit_value"])
    rows["kind"] = rows["location"].map(tables["locations"].set_index("location")["kind"])
    rows["group"] = _groups(rows)
    rows["value"] = rows["safety_stock"].clip(lower=0.0) * rows["unit_value"]
    return PlanSummary(targets, rows)


def _groups(rows: pd.DataFrame) -> list[str]:
    """[n] the kind of each row's location, with its tier where locations of the kind stand in several."""
    several = rows.groupby("kind")["tier"].nunique() > 1
    return [
        f"{KINDS.get(kind, kind)}, tier {tier}" if several[kind] else KINDS.get(kind, kind)
        for kind, tier in zip(rows["kind"], rows["tier"], strict=True)
    ]


def amount(value: float) -> str:
    """A quantity as a planner would write it: no digits that say nothing."""
    size = abs(value)
    if size >= 9_999_500:
        text = f"{size / 1e6:,.4g} M" if size < 1e10 else f"{size:.3g}"
    elif size >= 0.95:
        text = f"{size:,.0f}" if size >= 99.95 else f"{size:.1f}"
    else:
        text = f"{size:.2g}" if size >= 5e-4 else "0"
    return f"\N{MINUS SIGN}{text}" if value < 0 and text != "0" else text


def day(period: object) -> str:
    """A date as text; nothing for none."""
    import pandas as pd

    return "" if pd.isna(period) else f"{period:%Y-%m-%d}"  # type: ignore[call-overload]
