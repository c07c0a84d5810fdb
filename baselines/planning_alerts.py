"""Alerts: what a planner should look at after a planning run, from rules that are data.

A rule compares a measure (`planning_measures`) with a limit and has a severity, which rises by one level where the
value is beyond a second limit. An alert names the first period in which its rule is broken, and the order of alerts
follows from the tables alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from echelon.baselines.planning_rules import RULES, SEVERITIES, AlertRule
from echelon.baselines.planning_tables import PlanningTables

if TYPE_CHECKING:
    import pandas as pd

    from echelon.baselines.planning import Targets

COLUMNS = ("rule", "severity", "item", "location", "period", "value", "limit", "message")

MOST_DIGITS, LARGE = 6, 1_000.0
"""Digits after the point that a message may show, and the number from which on it needs none."""

DEFAULTS: Mapping[str, float | str] = {"base": 0.0, "scale": 1.0, "note": ""}
"""Columns of a measure that it may leave out."""


def alerts(tables: PlanningTables, targets: Targets, rules: Mapping[str, AlertRule] | None = None) -> pd.DataFrame:
    """The alerts of a run: rule, severity, item, location, period, value, limit, message.

    `rules` are `RULES` unless given. The most severe come first, then in the order of the rules, then by item,
    location and period. Raises `MethodError` where a measure is not that of these targets.
    """
    import pandas as pd

    fired = [_fired(rule, tables, targets) for rule in (RULES if rules is None else rules).values()]
    found = [table for table in fired if len(table)]
    if not found:
        return pd.DataFrame(columns=list(COLUMNS))
    table = pd.concat(found, ignore_index=True)
    rank = table["severity"].map({severity: k for k, severity in enumerate(SEVERITIES)})
    return table.assign(rank=rank).sort_values("rank", kind="stable", ignore_index=True)[list(COLUMNS)]


def _fired(rule: AlertRule, tables: PlanningTables, targets: Targets) -> pd.DataFrame:
    """The alerts of one rule, of each item-location that of the first period."""
    table = _measured(rule, tables, targets)
    table = table.assign(limit=table["base"] + rule.limit * table["scale"])
    table = table[_beyond(rule, table["value"], table["limit"])].sort_values(["item", "location", "period", "note"])
    table = table.drop_duplicates(["item", "location", "note"])
    severity = np.full(len(table), rule.severity, dtype=object)
    if rule.escalates is not None:
        worse = _beyond(rule, table["value"], table["base"] + rule.escalates * table["scale"])
        severity[worse.to_numpy()] = SEVERITIES[max(SEVERITIES.index(rule.severity) - 1, 0)]
    message = []
    for value, limit, note in zip(table["value"], table["limit"], table["note"], strict=True):
        shown = readable(float(value), float(limit), in_percent=rule.in_percent)
        message.append(rule.what.format(value=shown[0], limit=shown[1], note=note))
    return table.assign(rule=rule.name, severity=severity, message=message)[list(COLUMNS)]


def readable(value: float, limit: float, *, in_percent: bool = False) -> tuple[str, str]:
    """A value and its limit as text: with two digits after the point, from 1,000 on none, or more to tell them apart.

    >>> readable(0.0712345, 0.05, in_percent=True), readable(123456.7, 40.0), readable(0.94496, 0.945, in_percent=True)
    (('7.12 %', '5 %'), ('123,457', '40'), ('94.496 %', '94.5 %'))
    """
    scale, unit = (100.0, " %") if in_percent else (1.0, "")
    for digits in range(0 if max(abs(value), abs(limit)) >= LARGE else 2, MOST_DIGITS + 1):
        texts = tuple(f"{round(scale * number, digits) + 0.0:,.{digits}f}" for number in (value, limit))
        if texts[0] != texts[1] or value == limit:
            break
    first, second = ((text.rstrip("0").rstrip(".") if "." in text else text) + unit for text in texts)
    return first, second


def _beyond(rule: AlertRule, value: pd.Series, limit: pd.Series) -> pd.Series:
    return value > limit if rule.fires == "above" else value < limit


def _measured(rule: AlertRule, tables: PlanningTables, targets: Targets) -> pd.DataFrame:
    """The measure of a rule with every column that it may have."""
    if isinstance(rule.measure, str):
        rows = targets.parameters
        start = targets.series["period"].min()
        table = rows.assign(value=rows[rule.measure], period=start) if rule.measure in rows else rows.iloc[:0]
        table = table.reindex(columns=["item", "location", "period", "value"])
    else:
        table = rule.measure(tables, targets)
    for name, default in DEFAULTS.items():
        if name not in table:
            table = table.assign(**{name: default})
    return table[["item", "location", "period", "value", *DEFAULTS]]
