"""Names in a planner's tables that lead nowhere: what stands in no master table, and what is not planned where it is.

A name, or a pair of them, is told once for each column that has it, with its first row and the number of rows; and
what a misspelt name has led to is not told as well.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from echelon.baselines.planning_columns import FILE_ROWS, MOST_DEFECTS, closest, hint
from echelon.baselines.planning_schema import SCHEMA, Table
from echelon.envs.network import OUTSIDE

if TYPE_CHECKING:
    import pandas as pd

Tables = Mapping[str, "pd.DataFrame"]

KEY = ["item", "location"]
OF_PAIRS = ("forecasts", "demand", "lead_times", "stock", "receipts")
"""Tables whose items must be planned at their locations."""


OPTIONS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "lanes": {"item": ("items",)},
    "service_targets": {
        "customer": ("locations",),
        "customer_class": ("items",),
        "item": ("items",),
        "location": ("locations",),
        "category": ("items", "item_locations"),
    },
}
"""The tables that have the names which a column may give, but need not."""


def unknown_references(tables: Tables, where: Mapping[str, str]) -> Iterator[str]:
    """What is wrong with the names in all tables; `where` says where each table is from."""
    known = {name: frozenset(tables[name][name.removesuffix("s")].dropna()) for name in ("items", "locations")}
    for name, table in SCHEMA.items():
        yield from _unknown_names(table, tables[name], known, where[name])
        if name in OF_PAIRS:
            yield from _unplanned_pairs(tables[name], tables["item_locations"], known, where[name])
        yield from _unknown_options(tables, name, where[name])
    yield from _unsupplied(tables, known, where["lanes"])


def _unknown_names(table: Table, data: pd.DataFrame, known: Mapping[str, Collection[str]], where: str) -> Iterator[str]:
    """Names that stand in no master table."""
    for row in data.index[data["location"] == OUTSIDE] if table.name == "locations" else ():
        yield f"{where}:{row + FILE_ROWS}: location: {OUTSIDE!r} is the name of what is not planned"
    for column in table.columns:
        if column.refers_to and (names := known[column.refers_to]):
            found = data[column.name]
            wrong = found[found.notna() & ~found.isin(names)]
            rows = wrong.value_counts(sort=False)
            for rank, (row, name) in enumerate(wrong.drop_duplicates().items()):
                meant = hint(str(name), names) if rank < MOST_DEFECTS else ""
                what = f"{column.name}: {name!r} is not in {column.refers_to}"
                yield f"{_at(where, row)} {what}{_rows(rows[name])}{meant}"


def _unknown_options(tables: Tables, name: str, where: str) -> Iterator[str]:
    """Names in columns which may stay empty that nothing has, so that the row would fit nobody.

    Targets of a location name an item too; an agreement with a customer (`service_agreements`) may do without.
    """
    data = tables[name]
    if name == "service_targets":
        alone = (data["location"] != "") & (data["item"] == "") & (data["customer"] == "")
        for row, place in data["location"][alone].items():
            yield f"{_at(where, row)} item: must be given with a location (got location {place!r})"
    for column, masters in OPTIONS.get(name, {}).items():
        names = {str(name) for master in masters for name in tables[master][column].dropna()} - {""}
        wrong = data[column][data[column].notna() & (data[column] != "") & ~data[column].isin(names)]
        rows = wrong.value_counts(sort=False)
        for row, name in wrong.drop_duplicates().items():
            what = f"{column}: {name!r} is not in {' or '.join(masters)}"
            yield f"{_at(where, row)} {what}{_rows(rows[name])}{hint(str(name), names)}"


def _unplanned_pairs(
    data: pd.DataFrame, planned: pd.DataFrame, known: Mapping[str, Collection[str]], where: str
) -> Iterator[str]:
    """Pairs of item and location that are not planned, unless a misspelt name of item_locations is why."""
    if planned.empty:
        return
    sound = data[data["item"].isin(known["items"]) & data["location"].isin(known["locations"])]
    lost = sound[~sound.set_index(KEY).index.isin(planned.set_index(KEY).index)]
    rows, meant = lost.groupby(KEY).size(), _meant(planned, known)
    for row, item, location in lost.drop_duplicates(KEY)[KEY].itertuples():
        if (item, location) not in meant:
            yield f"{_at(where, row)} {item!r} at {location!r} is not in item_locations{_rows(rows[item, location])}"


def _meant(planned: pd.DataFrame, known: Mapping[str, Collection[str]]) -> set[tuple[str, str]]:
    """The pairs that rows of item_locations with an unknown name probably mean."""
    pairs = planned[KEY].dropna()
    wrong = pairs[~(pairs["item"].isin(known["items"]) & pairs["location"].isin(known["locations"]))]
    return {
        (_sound(item, known["items"]), _sound(location, known["locations"]))
        for item, location in wrong.head(MOST_DEFECTS).itertuples(index=False)
    }


def _sound(name: str, known: Collection[str]) -> str:
    return name if name in known else closest(name, known)


def _unsupplied(tables: Tables, known: Mapping[str, Collection[str]], where: str) -> Iterator[str]:
    """Lanes that would be dropped: of items that their location, or their source, does not stock."""
    import pandas as pd

    from echelon.baselines.planning_network import lanes_of

    planned, lanes = tables["item_locations"], tables["lanes"]
    rows = planned.dropna(subset=KEY)
    if rows.empty or lanes.empty:
        return
    lanes = lanes.assign(row=lanes.index)
    own = lanes[lanes["item"] != ""]
    every = lanes[lanes["item"] == ""].drop(columns="item").merge(rows[KEY], on="location")
    served = pd.MultiIndex.from_frame(lanes_of(tables, rows)[KEY])
    every = every[~pd.MultiIndex.from_frame(every[KEY]).isin(served)]
    both = pd.concat([own, every])
    ends = pd.concat([both.assign(place=both["source"]), own.assign(place=own["location"])])
    ends = ends[ends["place"].isin(known["locations"]) & ends["item"].isin(known["items"])]
    lost = ends[~pd.MultiIndex.from_frame(ends[["item", "place"]]).isin(pd.MultiIndex.from_frame(rows[KEY]))]
    count, meant = lost.groupby(["item", "place"]).size(), _meant(planned, known)
    for row, item, place in lost.drop_duplicates(["item", "place"])[["row", "item", "place"]].itertuples(index=False):
        if (item, place) not in meant:
            yield f"{_at(where, row)} {item!r} is not in item_locations at {place!r}{_rows(count[item, place])}"


def _at(where: str, row: Any) -> str:
    return f"{where}:{row + FILE_ROWS}:"


def _rows(count: int) -> str:
    return f" ({count:,} rows)" if count > 1 else ""
