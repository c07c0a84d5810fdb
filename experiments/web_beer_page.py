"""The pages of the beer game: choose, play week by week, and the reveal. The address holds the whole game."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from fastapi import Request, Response
from nicegui import app, events, ui

from echelon.envs.errors import ConfigError
from echelon.experiments import web_beer_view as view
from echelon.experiments.web_beer_game import (
    LIMITS,
    MOST_CASES,
    Setup,
    as_csv,
    played,
    read_query,
    require_order,
)
from echelon.experiments.web_beer_reveal import PERSON, Reveal, reveal
from echelon.experiments.web_charts import Options
from echelon.experiments.web_frame import card, chart, markup, page_frame, redraw, trouble, words

CHOICES: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "stage": (
        "You play",
        {"retailer": "Retailer", "wholesaler": "Wholesaler", "distributor": "Distributor", "factory": "Factory"},
    ),
    "partner": (
        "The other three stages",
        {
            "base_stock": "Base stock: each orders up to a level of its own",
            "clark_scarf": "Optimal (Clark and Scarf): sees the whole chain",
            "sterman": "As people play (Sterman 1989)",
        },
    ),
    "demand": (
        "The customers",
        {"step": "The classic: 4 cases a week, 8 from week 5 on", "random": "Random, 8 cases a week on average"},
    ),
    "costs": (
        "A case in stock costs, a week",
        {"board": "0.50 at every stage, as on the board", "rising": "0.20 at the factory, 0.30, 0.40, 0.50"},
    ),
}
LEAD = (
    "Four stages brew and sell beer. Orders take a week to reach the supplier, cases two weeks on the road. You run "
    "one stage; a rule runs the others. A case that a customer waits for costs 1.00 a week. Keep the cost of the whole "
    "chain low."
)


def add_beer_game(trained: Mapping[str, Any]) -> None:
    """Register the pages; `trained` are policies that the reveal shows too, by name."""

    @ui.page("/")
    def choose() -> None:
        _choose()

    @ui.page("/play", response_timeout=30)
    async def play(request: Request) -> None:
        try:
            setup, orders = read_query(dict(request.query_params))
        except ConfigError as error:
            trouble("This is no beer game", str(error), "Start a game", "/")
            return
        if len(orders) < setup.weeks:
            _Table(setup, orders).lay()
        else:
            _show(setup, orders, await asyncio.to_thread(reveal, setup, orders, trained))

    @app.get("/play.csv")
    def download(request: Request) -> Response:
        try:
            setup, orders = read_query(dict(request.query_params))
            done = len(orders) == setup.weeks
            courses = reveal(setup, orders, trained).courses() if done else {PERSON: played(setup, orders)}
        except ConfigError as error:
            return Response(str(error), status_code=400, media_type="text/plain")
        name = f"beer-game-{setup.stage}-{setup.demand}-{setup.seed}.csv"
        return Response(
            as_csv(courses),
            media_type="text/csv",
            headers={"Content-Disposition": f'attachment; filename="{name}"'},
        )


def _choose() -> None:
    fields: dict[str, ui.radio | ui.number] = {}

    def start() -> None:
        try:
            values: dict[str, Any] = {name: field.value for name, field in fields.items()}
            values |= {name: _whole(name, values[name]) for name in LIMITS}
            ui.navigate.to(f"/play?{Setup(**values).query()}")
        except ConfigError as error:
            ui.notify(str(error), type="warning")

    with page_frame("The beer game", "/", LEAD), ui.element("form").classes("choices") as form:
        form.on("submit.prevent", start)
        for name, (legend, options) in CHOICES.items():
            with ui.element("fieldset").classes("card"):
                words("legend", legend)
                fields[name] = ui.radio(dict(options), value=getattr(Setup(), name))
                fields[name].props(f'aria-label="{legend}"').classes(name)
        with ui.element("fieldset").classes("card class"):
            words("legend", "For a class")
            with ui.element("div").classes("row-of-fields"):
                words("p", "The same seed gives everyone the same demand, week by week.", "hint")
                for name, label in (("weeks", "Weeks"), ("seed", "Seed")):
                    low, high = LIMITS[name]
                    fields[name] = ui.number(label, min=low, max=high, precision=0, value=getattr(Setup(), name))
                    fields[name].props("outlined dense").classes(name)
                ui.button("Play", on_click=start, color=None).props("unelevated no-caps type=button").classes("go")


def _whole(name: str, value: float | None) -> int:
    if value is None or value != value // 1:
        raise ConfigError([f"{name} must be a whole number (got {value})"])
    return int(value)


class _Table:
    """A game in progress, in one browser tab."""

    def __init__(self, setup: Setup, orders: tuple[int, ...]) -> None:
        self.setup, self.orders = setup, orders
        self.game = played(setup, orders)

    def lay(self) -> None:
        """Build the page."""
        setup = self.setup
        with page_frame(f"You are the {setup.stage}", "/"):
            markup(view.chain(setup.stage))
            self.progress = markup(view.progress(setup, self.game)).props('role="status" aria-live="polite"')
            self.desk = markup(view.desk(setup, self.game))
            with ui.element("section").classes("card order"):
                self._order_form()
            with card("So far"):
                self.chart = chart(view.own_chart(setup, self.game), tall=280)
                self.weeks = markup(view.own_table(setup, self.game))

    def _order_form(self) -> None:
        label = f"Your order to the {view.SUPPLIERS[self.setup.stage]}, in cases"
        words("p", label, "ask").props("aria-hidden=true")
        with ui.element("div").classes("entry"):
            self._step(-1, "One case less", "remove")
            start = self.orders[-1] if self.orders else 4
            self.field = ui.number(value=start, min=0, max=MOST_CASES, precision=0).classes("amount")
            self.field.props(f'outlined autofocus input-class="cases" inputmode=numeric aria-label="{label}"')
            self.field.on("keydown.enter", self.place).on("focus", js_handler="(e) => e.target.select()")
            self._step(1, "One case more", "add")
            ui.button("Order", on_click=self.place, color=None).props("unelevated no-caps").classes("go")
        self.copy = ui.button("Pass on what was asked of me", on_click=self._pass_on, color=None).props(
            "flat no-caps dense"
        )
        self.copy.set_enabled(bool(self.orders))

    def _step(self, by: int, label: str, icon: str) -> None:
        def move() -> None:
            self.field.value = min(max((self.field.value or 0) + by, 0), MOST_CASES)

        ui.button(icon=icon, on_click=move, color=None).props(f'outline aria-label="{label}"').classes("stepper")

    def _pass_on(self) -> None:
        self.field.value = float(self.game.incoming[-1, self.setup.link])

    def place(self, _: events.GenericEventArguments | events.ClickEventArguments | None = None) -> None:
        """One week goes by with the order that stands in the field."""
        try:
            order = require_order(self.field.value)
        except ConfigError as error:
            ui.notify(str(error), type="warning")
            return
        if len(self.orders) == self.setup.weeks:
            return
        self.orders = (*self.orders, order)
        address = f"/play?{self.setup.query(self.orders)}"
        if len(self.orders) == self.setup.weeks:
            ui.navigate.to(address)
            return
        ui.navigate.history.replace(address)
        self.game = played(self.setup, self.orders)
        self._refresh()

    def _refresh(self) -> None:
        self.progress.content = view.progress(self.setup, self.game)
        self.desk.content = view.desk(self.setup, self.game)
        self.weeks.content = view.own_table(self.setup, self.game)
        redraw(self.chart, view.own_chart(self.setup, self.game))
        self.copy.set_enabled(True)
        self.field.run_method("select")


def _show(setup: Setup, orders: tuple[int, ...], outcome: Reveal) -> None:
    with page_frame("The reveal", "/"):
        words("p", view.verdict(setup, outcome), "answer")
        with card("What each would have paid, on the very same demand", "results"):
            chart(view.cost_chart(outcome), tall=96 + 44 * len(outcome.scores))
            markup(view.league(outcome), "scroller")
        with card("The bullwhip"):
            words("p", view.lesson(setup, outcome))
            chart(view.bullwhip_chart(outcome))
        with ui.element("div").classes("grid"):
            for heading, stock in (("Orders", False), ("Stock, less what is owed", True)):
                with card(heading):
                    _by_policy(outcome, stock=stock)
        _next_steps(setup, orders)


def _by_policy(outcome: Reveal, *, stock: bool) -> None:
    courses = outcome.courses()
    first = next(iter(courses))

    def options(name: str) -> Options:
        return view.stage_chart(courses[name], stock=stock)

    what = "Whose stock" if stock else "Whose orders"
    picker = ui.select(list(courses), value=first, label=what).props("outlined dense options-dense")
    drawing = chart(options(first))
    picker.on_value_change(lambda change: redraw(drawing, options(change.value)))


def _next_steps(setup: Setup, orders: tuple[int, ...]) -> None:
    with card("And now?", "next"), ui.element("p"):
        words("a", "The same demand again", "button").props(f'href="/play?{setup.query()}"')
        words("a", "Another game", "button").props('href="/"')
        words("a", "Every week as CSV", "button").props(f'href="/play.csv?{setup.query(orders)}" download')
    words("p", "The address of this page holds the game: keep it, or send it to whom you want to convince.", "hint")
