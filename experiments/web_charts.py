"""Charts of the web pages, as options for ECharts: plain data, drawn as SVG by the page itself.

Colours are the style sheet's variables, so that one chart serves a light and a dark page. Every chart has a
description for those who do not see it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from echelon.experiments.palette import GRID, INK, MUTED, POLICY_COLOURS, variable

Options = dict[str, Any]
Point = tuple[float, float]

STAGE_COLOURS = {
    "factory": POLICY_COLOURS[1],
    "distributor": POLICY_COLOURS[3],
    "wholesaler": POLICY_COLOURS[2],
    "retailer": POLICY_COLOURS[0],
}
FONT = "system-ui, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"


@dataclass(frozen=True)
class Line:
    """A line of points (x, y); steps where the value holds for a whole period."""

    name: str
    points: Sequence[Point]
    colour: str = POLICY_COLOURS[0]
    dashed: bool = False
    steps: bool = False
    wide: bool = False


@dataclass(frozen=True)
class Mark:
    """A single point that stands out, with its label."""

    name: str
    point: Point
    colour: str = POLICY_COLOURS[1]


@dataclass(frozen=True)
class Axis:
    """What an axis shows, with its unit; ends that are None follow from the data."""

    name: str
    low: float | None = None
    high: float | None = None


def line_chart(lines: Sequence[Line], *, x: Axis, y: Axis, says: str, marks: Sequence[Mark] = ()) -> Options:
    """Lines over a common axis; `says` describes the chart to a screen reader."""
    series = [_line(line) for line in lines] + [_mark(mark) for mark in marks]
    return {
        **_frame(says),
        "xAxis": _value_axis(x, nameLocation="middle", nameGap=28),
        "yAxis": _value_axis(y, splitLine=True),
        "tooltip": _tooltip("axis"),
        "series": series,
    }


def bar_chart(
    bars: Mapping[str, Sequence[float]],
    names: Sequence[str],
    *,
    value: Axis,
    colours: Sequence[str],
    says: str,
    stacked: bool = True,
) -> Options:
    """Horizontal bars, the first name at the top; several kinds are stacked, or side by side."""
    return {
        **_frame(says),
        "xAxis": _value_axis(value, nameLocation="middle", nameGap=28, splitLine=True),
        "yAxis": _category_axis(names) | {"inverse": True},
        "tooltip": _tooltip("axis"),
        "series": [
            _bar(kind, values, colour, stack="all" if stacked else None)
            for (kind, values), colour in zip(bars.items(), colours, strict=False)
        ],
    }


def column_chart(
    bars: Mapping[str, Sequence[float]], names: Sequence[str], *, value: Axis, colours: Sequence[str], says: str
) -> Options:
    """Upright bars side by side, a group for each name."""
    return {
        **_frame(says),
        "grid": _grid(bottom=8),
        "xAxis": _category_axis(names),
        "yAxis": _value_axis(value, splitLine=True),
        "tooltip": _tooltip("axis"),
        "series": [_bar(kind, values, colour) for (kind, values), colour in zip(bars.items(), colours, strict=False)],
    }


def legend(options: Options) -> str:
    """The key to a chart's series as a list in HTML, which wraps on a narrow screen; nothing for a single series."""
    series = options["series"]
    if len(series) < 2:
        return ""
    return f'<ul class="legend" aria-hidden="true">{"".join(map(_key, series))}</ul>'


def _key(series: Options) -> str:
    kind = {"line": "line", "scatter": "dot"}.get(series["type"], "box")
    dashed = " dashed" if series.get("lineStyle", {}).get("type") == "dashed" else ""
    style = f"color:{series['itemStyle']['color']}"
    return f'<li><i class="{kind}{dashed}" style="{style}"></i>{escape(series["name"])}</li>'


def shade(colour: str) -> str:
    """A colour of the palette as the variable of the style sheet."""
    return f"var({variable(colour)})"


def _frame(says: str) -> Options:
    return {
        "animation": False,
        "aria": {"enabled": True, "label": {"description": says}},
        "textStyle": {"fontFamily": FONT},
        "grid": _grid(bottom=34),
    }


def _grid(*, bottom: int) -> Options:
    return {"left": 6, "right": 18, "top": 28, "bottom": bottom, "containLabel": True}


def _value_axis(axis: Axis, *, splitLine: bool = False, **more: Any) -> Options:
    return {
        "type": "value",
        "name": axis.name,
        "nameTextStyle": {"color": shade(MUTED), "fontSize": 12, "align": "center" if more else "left"},
        **{key: end for key, end in (("min", axis.low), ("max", axis.high)) if end is not None},
        "scale": axis.low is None,
        "axisLine": {"show": bool(more), "onZero": False, "lineStyle": {"color": shade(MUTED)}},
        "axisTick": {"show": False},
        "axisLabel": {"color": shade(MUTED), "hideOverlap": True},
        "splitLine": {"show": splitLine, "lineStyle": {"color": shade(GRID)}},
        **more,
    }


def _category_axis(names: Sequence[str]) -> Options:
    return {
        "type": "category",
        "data": list(names),
        "axisLine": {"lineStyle": {"color": shade(MUTED)}},
        "axisTick": {"show": False},
        "axisLabel": {
            "color": shade(INK),
            "fontSize": 12,
            "lineHeight": 15,
            "interval": 0,
            "width": 116,
            "overflow": "break",
        },
    }


def _tooltip(trigger: str) -> Options:
    return {
        "trigger": trigger,
        "confine": True,
        "renderMode": "richText",
        "backgroundColor": "var(--card)",
        "borderColor": "var(--line)",
        "textStyle": {"color": "var(--ink)", "fontSize": 12},
        "axisPointer": {"type": "line", "lineStyle": {"color": shade(MUTED)}},
    }


def _line(line: Line) -> Options:
    return {
        "type": "line",
        "name": line.name,
        "data": [[_short(x), _short(y)] for x, y in line.points],
        "step": "middle" if line.steps else False,
        "showSymbol": len(line.points) == 1,
        "silent": True,
        "emphasis": {"disabled": True},
        "itemStyle": {"color": shade(line.colour)},
        "lineStyle": {
            "color": shade(line.colour),
            "width": 3 if line.wide else 1.8,
            "type": "dashed" if line.dashed else "solid",
        },
    }


def _mark(mark: Mark) -> Options:
    return {
        "type": "scatter",
        "name": mark.name,
        "data": [[_short(value) for value in mark.point]],
        "symbolSize": 13,
        "silent": True,
        "emphasis": {"disabled": True},
        "itemStyle": {"color": shade(mark.colour), "opacity": 1, "borderColor": "var(--card)", "borderWidth": 2},
        "z": 5,
    }


def _bar(kind: str, values: Sequence[float], colour: str, stack: str | None = None) -> Options:
    return {
        "type": "bar",
        "name": kind,
        "data": [_short(value) for value in values],
        "stack": stack,
        "barMaxWidth": 26,
        "silent": True,
        "emphasis": {"disabled": True},
        "itemStyle": {"color": shade(colour)},
    }


def _short(value: float) -> float:
    """A number with the digits that a tooltip can show."""
    return float(f"{value:.5g}")
