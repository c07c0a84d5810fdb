"""The tables of a planner's report: the alerts, and the item-locations with most safety stock. All are HTML."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from echelon.baselines.planning_rules import SEVERITIES
from echelon.experiments.page import counted, paragraph, prose
from echelon.experiments.plan_summary import PlanSummary, amount, day

if TYPE_CHECKING:
    import pandas as pd

MOST_ALERTS, FIRST_ALERTS = 50, 12
"""Alerts that are shown at once, and on request."""
MOST_LARGEST, FIRST_LARGEST = 30, 15
"""The same of item-locations."""
ALERT_HEADS = ("Rule", "Item-location", "From", "What")
CLASSES = dict.fromkeys(("Rule", "Item-location", "Category"), "words") | {
    "From": "words date",
    "What": "words message",
}
"""The style of the columns that are no numbers."""
SEVERITY_NOUNS = {"critical": ("critical", "critical"), "warning": ("warning", "warnings"), "info": ("note", "notes")}


def severities(alerts: pd.DataFrame) -> str:
    """How many alerts there are of each severity."""
    counts = alerts["severity"].value_counts()
    badges = "".join(
        f'<li><a class="severity {name}" href="#alerts">{counted(int(counts[name]), *SEVERITY_NOUNS[name])}</a></li>'
        for name in SEVERITIES
        if name in counts
    )
    return f'<ul class="severities">{badges}</ul>' if badges else ""


def alert_section(alerts: pd.DataFrame) -> str:
    """What to look at first, by severity, then all rules that were broken with their counts."""
    if alerts.empty:
        body = '<div class="card"><p>No rule was broken: nothing needs attention before the plan is released.</p></div>'
        return f'<section id="alerts">\n<h2>Alerts</h2>\n{body}\n</section>\n'
    counts = Counter(zip(alerts["severity"].astype(str), alerts["rule"].astype(str), strict=True))
    rules = "".join(
        f"<li><span>{_badge(severity)} {escape(_plain(rule))}</span><b>{count:,}</b></li>"
        for (severity, rule), count in counts.items()
    )
    rows = [_alert(row) for row in alerts.head(MOST_ALERTS).to_dict("records")]
    left = len(alerts) - MOST_ALERTS
    rest = f"and {left:,} more in alerts.csv" if left > 0 else ""
    table = _folded("What to look at", ALERT_HEADS, rows, rest, first=FIRST_ALERTS)
    return (
        f'<section id="alerts">\n<h2>Alerts</h2>\n{paragraph("source", _alerts_in_words(alerts))}'
        f'<ul class="rules">{rules}</ul>\n<div class="card">{table}</div>\n</section>\n'
    )


def _alerts_in_words(alerts: pd.DataFrame) -> str:
    counts = alerts["severity"].value_counts()
    parts = [counted(int(counts[name]), *SEVERITY_NOUNS[name]) for name in SEVERITIES if name in counts]
    return f"{' · '.join(parts)}, the most severe first."


def _alert(row: Mapping[Any, Any]) -> str:
    item, location = escape(str(row["item"])), escape(str(row["location"]))
    kind = f'<span class="kind">{item}</span>' if item else ""
    cells = {
        "Rule": f'<span class="policy">{escape(_plain(row["rule"]))}</span> {_badge(row["severity"])}',
        "Item-location": f"<span>{location}{kind}</span>" if location or item else "",
        "From": day(row["period"]),
        "What": prose(str(row["message"])),
    }
    return _row(cells)


def _badge(severity: str) -> str:
    known = severity if severity in SEVERITIES else "info"
    return f'<span class="severity {known}">{escape(SEVERITY_NOUNS[known][0])}</span>'


def _plain(name: str) -> str:
    return str(name).replace("_", " ")


def largest_section(summary: PlanSummary, *, by_customers: bool) -> str:
    """The item-locations whose safety stock is worth most."""
    rows = summary.largest(MOST_LARGEST)
    listed = [_cells(row, summary, by_customers=by_customers) for row in rows.to_dict("records")]
    left = len(summary.rows) - len(rows)
    foot = f"and {left:,} more in parameters.csv" if left > 0 else ""
    title = "The highest safety stocks by value"
    table = _folded(title, list(listed[0]), [_row(cells) for cells in listed], foot, first=FIRST_LARGEST)
    return f'<section id="largest">\n<h2>The largest safety stocks</h2>\n<div class="card">{table}</div>\n</section>\n'


def _cells(row: Mapping[Any, Any], summary: PlanSummary, *, by_customers: bool) -> dict[str, str]:
    """What the table says of an item-location, by the heads of its columns."""
    beside = escape(f"{row['item']} · {row['group']}")
    cells = {
        "Item-location": f'<span class="policy">{escape(row["location"])}</span><span class="kind">{beside}</span>'
    }
    if summary.rows["category"].nunique() > 1:
        cells["Category"] = escape(row["category"] or "none")
    cells["Service target (%)"] = _target(row, by_customers=by_customers)
    if "internal_service" in row:
        cells["Internal service (%)"] = f"{100 * row['internal_service']:.1f}"
    cells["Demand a day (sd)"] = _with_sd(row["demand_mean"], row["demand_sd"])
    cells["Lead time (sd)"] = _with_sd(row["lead_time"], row["lead_time_sd"])
    cells["Safety stock"] = amount(row["safety_stock"])
    if summary.in_money:
        cells["Value"] = amount(row["value"])
    return cells | {"Days": amount(row["safety_days"]), "Target position": amount(row["target_position"])}


def _target(row: Mapping[Any, Any], *, by_customers: bool) -> str:
    """The service level that was asked for, and its kind; `by_customers`: only of locations that have some."""
    level = float(row["service_level"])
    if level != level or (by_customers and not row["own_demand"] > 0):
        return "none"
    return f"{100 * level:.4g} {escape(str(row['service_kind']))}"


def _with_sd(mean: float, sd: float) -> str:
    return f'<span>{amount(mean)} <span class="spread">({amount(sd)})</span></span>'


def _folded(caption: str, heads: Sequence[str], rows: Sequence[str], foot: str, *, first: int) -> str:
    """A table whose rows after the `first` ones are shown on request."""
    if len(rows) <= first:
        return _table(caption, heads, rows, foot)
    more = _table("", heads, rows[first:], foot)
    return (
        f"{_table(caption, heads, rows[:first], '')}"
        f"<details><summary>Rows {first + 1} to {len(rows)}</summary>{more}</details>"
    )


def _table(caption: str, heads: Sequence[str], rows: Sequence[str], foot: str) -> str:
    """A table of rows that are HTML; on a phone each becomes a list."""
    head = "".join(
        f'<th scope="col" class="{"words" if name in CLASSES else "number"}">{escape(name)}</th>' for name in heads
    )
    title = f"<caption>{escape(caption)}</caption>" if caption else ""
    last = f'<tfoot><tr><td colspan="{len(heads)}">{escape(foot)}</td></tr></tfoot>' if foot else ""
    return (
        f'<table class="league plan">{title}<thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody>{last}</table>'
    )


def _row(cells: Mapping[str, str]) -> str:
    """A row of HTML by the heads of the columns, which are its labels on a phone."""
    written = (
        f'<td class="{CLASSES.get(head, "number")}{"" if text else " empty"}" data-label="{escape(head)}">{text}</td>'
        for head, text in cells.items()
    )
    return f"<tr>{''.join(written)}</tr>"
