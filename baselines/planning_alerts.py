"""Alerts: what a planner should look at after a planning run, from rules that are data.

A rule compares a measure (`planning_measures`) with a limit and has a severity, which rises by one level where the
value is beyond a second limit. An alert names the first period in which its rule is broken, and the order of alerts
follows from the tables alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from echelon.baselines import planning_measures as measures
from echelon.baselines.planning_tables import PlanningTables
from echelon.envs.errors import MethodError, nearest

if TYPE_CHECKING:
    import pandas as pd

    from echelon.baselines.planning import Targets

Measure = Callable[[PlanningTables, "Targets"], "pd.DataFrame"]
Severity = Literal["critical", "warning", "info"]

SEVERITIES: tuple[Severity, ...] = ("critical", "warning", "info")
"""From the most to the least urgent."""
COLUMNS = ("rule", "severity", "item", "location", "period", "value", "limit", "message")

DEFAULTS: Mapping[str, float | str] = {"base": 0.0, "scale": 1.0, "note": ""}
"""Columns of a measure that it may leave out."""


@dataclass(frozen=True)
class AlertRule:
    """A measure, the limit that it must keep, and how urgent it is if it does not."""

    name: str
    severity: Severity
    what: str
    """What it tells; the message shows it with {value}, {limit} and {note} filled in."""
    measure: Measure | str
    """A function of `planning_measures`, or the name of a column of the parameters."""
    limit: float
    """In the units of the measure: its limit is ``base + limit scale``."""
    fires: Literal["above", "below"] = "above"
    """Where the value must be for an alert."""
    escalates: float | None = None
    """The limit beyond which the severity is one level higher."""

    def __post_init__(self) -> None:
        for key, value, known in (("severity", self.severity, SEVERITIES), ("fires", self.fires, ("above", "below"))):
            if value not in known:
                raise MethodError(f"{key} must be one of {', '.join(known)}, got {value!r}{nearest(value, known)}")
        further = 1 if self.fires == "above" else -1
        if self.escalates is not None and further * (self.escalates - self.limit) < 0:
            raise MethodError(
                f"escalates must be beyond the limit of {self.limit:g} of {self.name}, got {self.escalates:g}"
            )


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
    message = [
        rule.what.format(value=f"{value:.4g}", limit=f"{limit:.4g}", note=note)
        for value, limit, note in zip(table["value"], table["limit"], table["note"], strict=True)
    ]
    return table.assign(rule=rule.name, severity=severity, message=message)[list(COLUMNS)]


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


RULES: Mapping[str, AlertRule] = {
    rule.name: rule
    for rule in (
        AlertRule(
            "target_unreachable",
            "critical",
            "the planned stock gives a service of {value}, the target needs {limit}",
            measures.service_reached,
            limit=-0.005,
            fires="below",
        ),
        AlertRule(
            "projected_stockout",
            "critical",
            "stock is projected to be {value} units before an order of today can arrive",
            measures.stock_before_resupply,
            limit=0.0,
            fires="below",
        ),
        AlertRule(
            "storage_exceeded",
            "critical",
            "{value} units are planned where {limit} fit",
            measures.stored,
            limit=1.0,
        ),
        AlertRule(
            "missing_input",
            "critical",
            "{note}",
            measures.inputs_given,
            limit=1.0,
            fires="below",
        ),
        AlertRule(
            "expiry_risk",
            "warning",
            "stock lasts {value} days, units keep for {limit}",
            measures.days_until_sold,
            limit=1.0,
            escalates=2.0,
        ),
        AlertRule(
            "excess_stock",
            "warning",
            "{value} units on hand, the target position and 30 days of demand are {limit}",
            measures.stock_on_hand,
            limit=30.0,
        ),
        AlertRule(
            "stale_input",
            "warning",
            "the last realised demand is {value} periods old, at most {limit} are allowed",
            measures.age_of_demand,
            limit=14.0,
            escalates=56.0,
        ),
        AlertRule(
            "lead_time_drift",
            "warning",
            "recent deliveries came {note} than planned by {value} of the lead time, at most {limit} is allowed",
            measures.lead_time_drift,
            limit=0.25,
            escalates=1.0,
        ),
        AlertRule(
            "overdue_receipts",
            "warning",
            "a receipt is {value} periods late",
            measures.overdue_receipts,
            limit=0.0,
            escalates=7.0,
        ),
        AlertRule(
            "forecast_bias",
            "warning",
            "forecasts are {note}: the tracking signal is {value}, at most {limit} can be chance",
            measures.forecast_bias,
            limit=3.0,
            escalates=6.0,
        ),
        AlertRule(
            "clamp_rate",
            "warning",
            "the band of {note} moved a share of {value} of the safety stocks, at most {limit} is allowed",
            measures.clamp_rate,
            limit=0.5,
        ),
        AlertRule(
            "solver_gap",
            "warning",
            "the plan may cost {value} of its cost more than the best one, at most {limit} is allowed",
            "gap",
            limit=1e-3,
            escalates=0.05,
        ),
        AlertRule(
            "demand_spike",
            "info",
            "demand was {value} units above its forecast, usual are {limit} at most",
            measures.demand_spikes,
            limit=0.0,
        ),
        AlertRule(
            "forecast_error",
            "info",
            "recent forecasts missed demand by {value} of it, at most {limit} is allowed",
            measures.forecast_error,
            limit=1.0,
        ),
        AlertRule(
            "missing_lead_times",
            "info",
            "no delivery has a recorded lead time",
            measures.deliveries_recorded,
            limit=1.0,
            fires="below",
        ),
    )
}
"""The rules that hold unless others are given; `dataclasses.replace` changes a limit."""
