"""The tables of a planner: which there are, which columns they have, and what each must hold.

Quantities are units of the item, money is per unit of it, and times are periods, which are days.
`docs/planning.md` shows this schema, `planning_tables` reads and checks tables.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

Kind = Literal["text", "number", "whole", "flag", "date"]

MOST = 1e12
"""Units or money: the squares of larger figures, summed, would not be exact to a unit."""
MOST_DAYS = 3_660
"""Days of any time, and from the first to the last period of a table: ten years, so that a typo is no horizon."""

METHODS = ("AS", "AT", "BS", "BT", "SB", "SZ", "SM", "MB", "MZ", "MM")
"""Safety stock methods: see `safety_stock`."""


@dataclass(frozen=True)
class Column:
    """One column of a table, and the rule that each of its values keeps."""

    name: str
    kind: Kind
    meaning: str
    required: bool = False
    """Whether every row must have a value."""
    least: float = -math.inf
    most: float = math.inf
    open: bool = False
    """Whether `least` and `most` themselves are not allowed."""
    choices: tuple[str, ...] = ()
    default: str | float | bool | None = None
    """What an empty cell stands for; None where it stays empty."""
    refers_to: str = ""
    """The table whose column of the same meaning must have the value."""

    @property
    def values(self) -> str:
        """What a cell may hold, in words."""
        words = [", ".join(f"`{choice}`" for choice in self.choices) or _WORDS[self.kind]]
        if self.open or self.least > 0:
            least, most = (f"{edge:g}" for edge in (self.least, self.most))
            words += [f"{'above' if self.open else 'at least'} {least}"]
            words += [f"below {most}"] if self.open and self.most < math.inf else []
        if self.required:
            words.append("required")
        elif self.default not in (None, ""):
            words.append(f"default {str(self.default).lower() if isinstance(self.default, bool) else self.default}")
        return "; ".join(words)


@dataclass(frozen=True)
class Table:
    """One table: a file of its name."""

    name: str
    meaning: str
    key: tuple[str, ...]
    """The columns that no two rows may agree in."""
    columns: tuple[Column, ...]
    required: bool = False

    def column(self, name: str) -> Column:
        """The column of that name."""
        return next(column for column in self.columns if column.name == name)

    def as_markdown(self) -> str:
        """The table as `docs/planning.md` shows it."""
        need = "required" if self.required else "optional"
        head = f"**{self.name}** ({need}): {self.meaning}. One row for each {', '.join(self.key)}."
        lines = [f"| `{column.name}` | {column.values} | {column.meaning} |" for column in self.columns]
        return "\n".join([head, "", "| column | values | what it is |", "|---|---|---|", *lines])


_WORDS = {"text": "text", "number": "number", "whole": "whole number", "flag": "true or false", "date": "date"}


def _item() -> Column:
    return Column("item", "text", "the product", required=True, refers_to="items")


def _location(name: str = "location", meaning: str = "where it is stocked") -> Column:
    return Column(name, "text", meaning, required=True, refers_to="locations")


def _quantity(name: str, meaning: str, *, required: bool = False, default: float | None = None) -> Column:
    return Column(name, "number", meaning, required=required, least=0.0, most=MOST, default=default)


def _days(name: str, meaning: str, *, required: bool = False, default: float | None = None) -> Column:
    return Column(name, "number", meaning, required=required, least=0.0, most=MOST_DAYS, default=default)


def _period() -> Column:
    return Column("period", "date", "the day", required=True)


ITEMS = Table(
    "items",
    "the products",
    ("item",),
    (
        Column("item", "text", "the product", required=True),
        Column("category", "text", "what its safety stock band and defaults go by", default=""),
        _quantity("unit_value", "money that a unit is worth", default=1.0),
        Column("priority", "whole", "rank within the range, lower is served first", least=0, most=MOST, default=0),
        Column("customer_class", "text", "who buys it, for service targets", default=""),
    ),
    required=True,
)
LOCATIONS = Table(
    "locations",
    "factories, warehouses and outlets",
    ("location",),
    (
        Column("location", "text", "its name", required=True),
        Column("kind", "text", "what it is", choices=("factory", "warehouse", "outlet"), default="warehouse"),
        Column("storage", "number", "most units of all items that it holds", least=0.0, open=True),
        Column("customer", "text", "whom an outlet serves, for service targets", default=""),
    ),
    required=True,
)
LANES = Table(
    "lanes",
    "who supplies whom; a location without a lane into it is supplied from outside",
    ("source", "location", "item"),
    (
        _location("source", "where the shipment starts"),
        _location("location", "where it arrives"),
        Column("item", "text", "the product; empty for all that the location stocks", default=""),
        Column("transport", "text", "means of transport", default=""),
        _days("duration", "lead time of the lane, periods", required=True),
        _days("duration_sd", "standard deviation of it, periods", default=0.0),
        _quantity("unit_cost", "money per unit shipped", default=0.0),
        _quantity("fixed_cost", "money per shipment", default=0.0),
    ),
)
ITEM_LOCATIONS = Table(
    "item_locations",
    "how each product is planned where it is stocked",
    ("item", "location"),
    (
        _item(),
        _location(),
        Column("method", "text", "safety stock method", choices=METHODS, default="BT"),
        Column("service_level", "number", "target", least=0.0, most=1.0, open=True),
        Column("service_kind", "text", "of the target", choices=("alpha", "beta"), default="beta"),
        _days("target_days", "target days' supply: the reorder cycle, periods", default=1.0),
        _days("lead_time", "replenishment lead time, periods; empty: the duration of the lane"),
        _quantity("lead_time_error", "mean deviation of it, as a share of it; empty: from history, else of the lane"),
        _quantity("demand_error", "mean deviation of demand, as a share of the forecast; 0 or empty: from history"),
        _quantity("lot_size", "units per order; 0: any number", default=0.0),
        _quantity("holding_cost", "money per unit and period", required=True),
        _quantity("stockout_cost", "money per unit short"),
        Column(
            "stockout_rule",
            "text",
            "what becomes of unmet demand",
            choices=("backorder", "lost_sales"),
            default="backorder",
        ),
        Column(
            "capacity",
            "number",
            "most units that can be ordered in a period; what needs more is built before",
            least=1.0,
            most=MOST,
        ),
        _quantity("display_stock", "least units that are on display", default=0.0),
        _quantity("storage", "most units that fit"),
        Column("shelf_life", "whole", "periods that a unit keeps", least=1, most=MOST_DAYS),
        Column("priority", "whole", "lower is served first", least=0, most=MOST, default=0),
        Column("category", "text", "in place of the item's", default=""),
        Column("external", "flag", "whether the safety stock is set elsewhere and must not be planned", default=False),
        _quantity("safety_stock", "units, for SB and MB, and what external rows keep"),
        _days("safety_days", "periods of supply, for SZ and MZ"),
    ),
    required=True,
)
FORECASTS = Table(
    "forecasts",
    "planned demand",
    ("item", "location", "period", "lag"),
    (
        _item(),
        _location(),
        _period(),
        Column("lag", "whole", "periods before that it was made", least=0, most=MOST_DAYS, default=0),
        _quantity("quantity", "units", required=True),
    ),
    required=True,
)
DEMAND = Table(
    "demand",
    "realised demand",
    ("item", "location", "period"),
    (_item(), _location(), _period(), _quantity("quantity", "units", required=True)),
)
LEAD_TIMES = Table(
    "lead_times",
    "planned and realised lead times, one row an order",
    ("item", "location", "ordered"),
    (
        _item(),
        _location(),
        Column("source", "text", "who supplied", default=""),
        Column("ordered", "date", "day of the order", required=True),
        _days("planned", "periods", required=True),
        _days("actual", "periods; empty where it was not recorded"),
    ),
)
STOCK = Table(
    "stock",
    "what is on hand now",
    ("item", "location"),
    (_item(), _location(), _quantity("on_hand", "units", required=True)),
)
RECEIPTS = Table(
    "receipts",
    "what is on its way",
    ("item", "location", "period"),
    (_item(), _location(), _period(), _quantity("quantity", "units", required=True)),
)
SERVICE_TARGETS = Table(
    "service_targets",
    "targets for customers; the most specific row that fits wins",
    ("customer", "customer_class", "item", "location", "category"),
    (
        Column("customer", "text", "empty: any", default=""),
        Column("customer_class", "text", "empty: any", default=""),
        Column("item", "text", "empty: any", default=""),
        Column("location", "text", "empty: any; only with an item", default=""),
        Column("category", "text", "empty: any", default=""),
        Column("service_level", "number", "target", required=True, least=0.0, most=1.0, open=True),
        Column("service_kind", "text", "of the target", choices=("alpha", "beta"), default="beta"),
    ),
)

SCHEMA: dict[str, Table] = {
    table.name: table
    for table in (
        ITEMS,
        LOCATIONS,
        LANES,
        ITEM_LOCATIONS,
        FORECASTS,
        DEMAND,
        LEAD_TIMES,
        STOCK,
        RECEIPTS,
        SERVICE_TARGETS,
    )
}
"""Every table by its name."""
