"""Which service target holds for a customer of an item at a location: the most specific row that fits.

Targets can be set at six levels of specificity. From the most specific to the least: for a customer, for a customer
class, for an item at a location, for an item, for a category, and for everything. A row may name several of them; it
fits where all that it names agree, and of two rows that fit the one wins that names the more specific, and then the
next, so that a customer's own target for an item beats that for all of its items.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from echelon.envs.errors import MethodError

FIELDS = ("customer", "customer_class", "location", "item", "category")
"""What a row may name, from the most specific to the least; a location goes with an item."""


@dataclass(frozen=True)
class ServiceTarget:
    """A target and the row that it comes from."""

    service_level: float
    service_kind: str
    source: str
    """What the row names, such as "customer=Smith, item=A"; "global" if it names nothing; or its own `source`."""


def resolve_targets(rows: Iterable[Mapping[str, Any]], wanted: Sequence[Mapping[str, Any]]) -> list[ServiceTarget]:
    """The target of each of the customers that `wanted` describes by `FIELDS`; what is empty or left out is unknown.

    `rows` are those of the table service_targets, as ``tables["service_targets"].to_dict("records")`` gives them:
    `FIELDS` (empty: any), `service_level` and `service_kind`; a row from elsewhere may say so as its `source`.
    Raises `MethodError` for a level outside 0 to 1, for a location without an item, for two rows that name the
    same, and where no row fits.
    """
    by_fields: dict[tuple[str, ...], dict[tuple[str, ...], ServiceTarget]] = {}
    for number, row in enumerate(rows):
        names = tuple(field for field in FIELDS if _name(row, field))
        target = _target(number, row, names)
        known = by_fields.setdefault(names, {})
        key = tuple(_name(row, field) for field in names)
        if key in known:
            raise MethodError(f"service_targets must have one row for {target.source}, got another in row {number}")
        known[key] = target
    order = sorted(by_fields, key=lambda names: tuple(field in names for field in FIELDS), reverse=True)
    return [_most_specific(one, order, by_fields) for one in wanted]


def _name(row: Mapping[str, Any], field: str) -> str:
    value = row.get(field, "")
    return "" if value is None or value != value else str(value)


def _target(number: int, row: Mapping[str, Any], names: tuple[str, ...]) -> ServiceTarget:
    level = float(row["service_level"])
    if not 0 < level < 1:
        raise MethodError(
            f"service_level must be above 0 and below 1, got {level:g} in row {number} of service_targets"
        )
    if "location" in names and "item" not in names:
        place = _name(row, "location")
        raise MethodError(
            f"item must be given with a location, got location {place!r} in row {number} of service_targets"
        )
    source = _name(row, "source") or ", ".join(f"{field}={_name(row, field)}" for field in names) or "global"
    return ServiceTarget(level, str(row.get("service_kind", "beta")), source)


def _most_specific(
    wanted: Mapping[str, Any],
    order: list[tuple[str, ...]],
    by_fields: Mapping[tuple[str, ...], Mapping[tuple[str, ...], ServiceTarget]],
) -> ServiceTarget:
    for names in order:
        found = by_fields[names].get(tuple(_name(wanted, field) for field in names))
        if found:
            return found
    what = ", ".join(f"{field}={_name(wanted, field)}" for field in FIELDS if _name(wanted, field))
    raise MethodError(f"service_targets must have a row that fits {what or 'everything'}, got none")
