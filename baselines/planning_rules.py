"""The rules of the alerts, as data: what each looks at, the limit that must be kept, and how urgent a breach is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from echelon.baselines import planning_measures as measures
from echelon.baselines.planning_limits import cut_stock
from echelon.baselines.planning_tables import PlanningTables
from echelon.envs.errors import MethodError, nearest

if TYPE_CHECKING:
    import pandas as pd

    from echelon.baselines.planning import Targets

Measure = Callable[[PlanningTables, "Targets"], "pd.DataFrame"]
Severity = Literal["critical", "warning", "info"]

SEVERITIES: tuple[Severity, ...] = ("critical", "warning", "info")
"""From the most to the least urgent."""


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
    in_percent: bool = False
    """Whether value and limit are shares, which the message shows in per cent."""

    def __post_init__(self) -> None:
        for key, value, known in (("severity", self.severity, SEVERITIES), ("fires", self.fires, ("above", "below"))):
            if value not in known:
                raise MethodError(f"{key} must be one of {', '.join(known)}, got {value!r}{nearest(value, known)}")
        further = 1 if self.fires == "above" else -1
        if self.escalates is not None and further * (self.escalates - self.limit) < 0:
            raise MethodError(
                f"escalates must be beyond the limit of {self.limit:g} of {self.name}, got {self.escalates:g}"
            )


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
            in_percent=True,
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
            "limited_stock",
            "warning",
            "up to {value} units of safety stock are cut, to {note}",
            cut_stock,
            limit=0.0,
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
            in_percent=True,
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
            "the band of {note} moved {value} of the safety stocks, at most {limit} is allowed",
            measures.clamp_rate,
            limit=0.5,
            in_percent=True,
        ),
        AlertRule(
            "solver_gap",
            "warning",
            "the plan may cost {value} of its cost more than the best one, at most {limit} is allowed",
            "gap",
            limit=1e-3,
            escalates=0.05,
            in_percent=True,
        ),
        AlertRule(
            "history_behind",
            "warning",
            "its realised demand ends {value} days before that of others, and never left out more than {limit} before",
            measures.history_behind,
            limit=0.0,
            escalates=28.0,
        ),
        AlertRule(
            "short_history",
            "info",
            "the deviation of demand rests on {value} forecast errors, at least {limit} are wanted",
            measures.errors_known,
            limit=14.0,
            fires="below",
        ),
        AlertRule(
            "no_band",
            "info",
            "there is no band for {note}: the safety stocks of {value} item-locations stay as they are planned",
            measures.without_band,
            limit=0.0,
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
            in_percent=True,
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
