"""The what-if page: three small problems whose frontier and stock are drawn anew while a slider moves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from nicegui import app, events, ui

from echelon.experiments import web_what_if_view as view
from echelon.experiments.web_frame import card, chart, markup, page_frame, redraw, words
from echelon.experiments.web_what_if_models import Chain, Placement, placement, serial_chain, single

LEAD = "Move a slider: the method that is named computes every picture anew. The dashed line is where you began."


@dataclass(frozen=True)
class Slider:
    """One quantity that can be moved."""

    label: str
    low: float
    high: float
    step: float
    start: float
    unit: str = ""


@dataclass(frozen=True)
class Problem:
    """A problem of the page: its sliders, and what is shown for their values."""

    name: str
    method: str
    sliders: Mapping[str, Slider]
    shown: Callable[[Mapping[str, float], Mapping[str, float]], view.Shown]
    """Of the values now and those at the start."""


def _single(now: Mapping[str, float], start: Mapping[str, float]) -> view.Shown:
    return view.of_single(single(**now), single(**start))


def _chain(now: Mapping[str, float], start: Mapping[str, float]) -> view.Shown:
    def solved(values: Mapping[str, float]) -> Chain:
        times = [int(values[name]) for name in ("supplier_time", "warehouse_time", "shop_time")]
        return serial_chain(lead_times=times, sd=values["sd"], stockout_cost=values["stockout_cost"])

    return view.of_chain(solved(now), solved(start))


def _placement(now: Mapping[str, float], start: Mapping[str, float]) -> view.Shown:
    def solved(values: Mapping[str, float]) -> Placement:
        return placement(
            service_level=values["service"] / 100,
            sd=values["sd"],
            brewery_time=int(values["brewery_time"]),
            promise=int(values["promise"]),
        )

    return view.of_placement(solved(now), solved(start))


PROBLEMS = {
    "single": Problem(
        "One location",
        "The newsvendor: normal demand, 20 a week on average, weekly review, customers wait.",
        {
            "lead_time": Slider("Lead time", 0, 12, 1, 2, "weeks"),
            "sd": Slider("Standard deviation of demand", 1, 6, 0.5, 4, "a week"),
            "holding_cost": Slider("Holding cost", 0.2, 4, 0.2, 1, "a unit and week"),
            "stockout_cost": Slider("Stockout cost", 1, 60, 1, 9, "a unit and week"),
        },
        _single,
    ),
    "chain": Problem(
        "A chain of three",
        "Clark and Scarf's optimum: 20 units a week on average; a unit in stock costs 0.40 a week at the supplier, "
        "0.70 at the warehouse, 1.00 in the shop.",
        {
            "supplier_time": Slider("Lead time to the supplier", 1, 8, 1, 3, "weeks"),
            "warehouse_time": Slider("Lead time to the warehouse", 1, 8, 1, 2, "weeks"),
            "shop_time": Slider("Lead time to the shop", 1, 8, 1, 1, "weeks"),
            "sd": Slider("Standard deviation of demand", 4.5, 16, 0.5, 8, "a week"),
            "stockout_cost": Slider("Stockout cost", 1, 60, 1, 10, "a unit and week"),
        },
        _chain,
    ),
    "placement": Problem(
        "A network with promises",
        "The guaranteed-service model: every stage promises a service time and keeps it; the optimum decides who holds "
        "safety stock.",
        {
            "service": Slider("Service level", 80, 99.5, 0.5, 95, "%"),
            "sd": Slider("Standard deviation of demand", 5, 60, 5, 20, "a day"),
            "brewery_time": Slider("Brewing takes", 1, 30, 1, 8, "days"),
            "promise": Slider("Customers wait at most", 0, 14, 1, 0, "days"),
        },
        _placement,
    ),
}


def add_what_if() -> None:
    """Register the page, and compile the slowest method before the first visitor moves a slider."""

    @ui.page("/what-if", response_timeout=60)
    def what_if(problem: str = "single") -> None:
        known = problem if problem in PROBLEMS else "single"
        with page_frame("What if?", "/what-if", LEAD):
            with ui.element("nav").classes("tabs").props('aria-label="Problems"'):
                for key, each in PROBLEMS.items():
                    current = ' aria-current="page"' if key == known else ""
                    words("a", each.name).props(f'href="/what-if?problem={key}"{current}')
            _Bench(PROBLEMS[known]).lay()

    async def warm_up() -> None:
        for problem in PROBLEMS.values():
            start = {name: slider.start for name, slider in problem.sliders.items()}
            await asyncio.to_thread(problem.shown, start, start)

    app.on_startup(warm_up)


class _Bench:
    """One problem with its sliders, in one browser tab."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.start = {name: slider.start for name, slider in problem.sliders.items()}
        self.now = dict(self.start)
        self.said: dict[str, ui.html] = {}

    def lay(self) -> None:
        """Build the problem's part of the page."""
        shown = self.problem.shown(self.now, self.start)
        with ui.element("div").classes("bench"):
            with card(self.problem.name, "sliders"):
                words("p", self.problem.method, "hint")
                for name, slider in self.problem.sliders.items():
                    self._slider(name, slider)
            with ui.element("div").classes("drawn"):
                self.tiles = markup(shown.tiles).props('role="status" aria-live="polite"')
                with card(shown.left_heading):
                    self.left = chart(shown.left)
                with card(shown.right_heading):
                    self.right = chart(shown.right)
        self.extra = markup(shown.extra, "wide-map")

    def _slider(self, name: str, slider: Slider) -> None:
        with ui.element("div").classes("slider"):
            with ui.element("p"):
                words("span", slider.label)
                self.said[name] = words("b", self._value(name))
            control = ui.slider(min=slider.low, max=slider.high, step=slider.step, value=slider.start)
            control.props(f'aria-label="{slider.label}, {slider.unit}"').classes(name)
            control.on_value_change(lambda change: self._moved(name, change))

    def _moved(self, name: str, change: events.ValueChangeEventArguments[float | None]) -> None:
        slider = self.problem.sliders[name]
        self.now[name] = min(max(float(change.value or 0), slider.low), slider.high)
        self.said[name].content = self._value(name)
        shown = self.problem.shown(self.now, self.start)
        self.tiles.content, self.extra.content = shown.tiles, shown.extra
        redraw(self.left, shown.left)
        redraw(self.right, shown.right)

    def _value(self, name: str) -> str:
        value, unit = self.now[name], self.problem.sliders[name].unit
        return f"{value:g} {unit.removesuffix('s') if value == 1 else unit}"
