"""The explorer of results: the runs that were named on the command line, their league tables, figures and reports."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from html import escape
from pathlib import Path

from fastapi import Response
from fastapi.responses import FileResponse
from nicegui import app, events, ui

from echelon.envs.errors import ConfigError
from echelon.experiments.findings import answer
from echelon.experiments.league import league_table
from echelon.experiments.missing import missing_parts
from echelon.experiments.page import POLICY, counted
from echelon.experiments.palette import looks
from echelon.experiments.run_folder import Result, Run
from echelon.experiments.web_folders import PICTURES, RunPlace
from echelon.experiments.web_frame import card, markup, page_frame, trouble, words

LOCKED = {"Content-Security-Policy": f"{POLICY}; sandbox", "Cache-Control": "no-store"}
"""What a file of a run may do in the browser: be looked at. No script in it runs."""
EMPTY = "No runs were given. Start the page with some: echelon web runs/my-run, or a folder that holds several."


def add_results(places: Mapping[str, RunPlace]) -> None:
    """Register the pages and the files of these run folders, and of no others."""

    @ui.page("/runs", response_timeout=60)
    async def overview() -> None:
        _overview(await asyncio.to_thread(_read_all, places))

    @ui.page("/runs/{key}", response_timeout=60)
    async def one(key: str) -> None:
        if key not in places:
            trouble("There is no such run", f"This page shows {counted(len(places), 'run')}.", "All runs", "/runs")
            return
        try:
            found = await asyncio.to_thread(places[key].read)
        except ConfigError as error:
            trouble("This run cannot be shown", str(error), "All runs", "/runs")
            return
        _one(places[key], found)

    @app.get("/runs/{key}/report.html")
    def report(key: str) -> Response:
        return _file(places[key].report() if key in places else None, "text/html")

    @app.get("/runs/{key}/plots/{name}")
    def picture(key: str, name: str) -> Response:
        path = places[key].pictures().get(name) if key in places else None
        return _file(path, PICTURES[path.suffix.lower()] if path else "")


def _file(path: Path | None, kind: str) -> Response:
    if path is None:
        return Response("There is no such file.", status_code=404, media_type="text/plain")
    return FileResponse(path, media_type=kind, headers=LOCKED)


def _read_all(places: Mapping[str, RunPlace]) -> dict[str, Run | str]:
    """Every run by its key, or what is wrong with it."""
    found: dict[str, Run | str] = {}
    for key, place in places.items():
        try:
            found[key] = place.read()
        except ConfigError as error:
            found[key] = str(error)
    return found


def _overview(found: Mapping[str, Run | str]) -> None:
    lead = "Every run that was named when this page was started. Filter by run, problem or policy."
    with page_frame("Results", "/runs", lead if found else EMPTY):
        if not found:
            return
        rows = {key: (_text_of(read), _row(key, read)) for key, read in found.items()}

        def narrow(change: events.ValueChangeEventArguments[str | None]) -> None:
            sought = (change.value or "").casefold().split()
            kept = [row for text, row in rows.values() if all(part in text for part in sought)]
            table.content = _table(kept)
            said.content = f"{counted(len(kept), 'run')} of {len(rows)}"

        field = ui.input("Filter", placeholder="such as: serial ppo", on_change=narrow)
        field.props("outlined dense clearable debounce=150 type=search").classes("filter")
        said = words("p", f"{counted(len(rows), 'run')} of {len(rows)}", "hint").props('role="status"')
        table = markup(_table([row for _, row in rows.values()]), "card flush")


def _text_of(read: Run | str) -> str:
    if isinstance(read, str):
        return read.casefold()
    return " ".join((read.name, *(result.name for result in read.results), *read.policy_names)).casefold()


def _table(rows: list[str]) -> str:
    if not rows:
        return '<p class="hint">No run has these words.</p>'
    head = "".join(f'<th scope="col">{name}</th>' for name in ("Run", "Problems", "Best policy of each"))
    return f'<table class="runs"><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table>'


def _row(key: str, read: Run | str) -> str:
    if isinstance(read, str):
        return f'<tr><td><a href="/runs/{key}">{escape(key)}</a></td><td colspan="2">{escape(read)}</td></tr>'
    problems = "<br>".join(escape(result.name) for result in read.results)
    best = "<br>".join(escape(result.best.name) for result in read.results)
    lacking = [f"{len(part)} {word}" for word, part in (("failed", read.failed), ("left out", read.left_out)) if part]
    note = f"<small>{', '.join(lacking)}</small>" if lacking else ""
    return f'<tr><td><a href="/runs/{key}">{escape(read.name)}</a>{note}</td><td>{problems}</td><td>{best}</td></tr>'


def _one(place: RunPlace, found: Run) -> None:
    sizes = (counted(len(found.results), "problem"), counted(len(found.policy_names), "policy", "policies"))
    with page_frame(found.name, "/runs", ", ".join(sizes)):
        with ui.element("p").classes("links"):
            words("a", "All runs").props('href="/runs"')
            if place.report():
                words("a", "The full report").props(
                    f'href="/runs/{place.key}/report.html" target="_blank" rel="noopener"'
                )
        if missing := missing_parts(found.failed, found.left_out, "the run"):
            markup(missing)
        shown = [_result(found, result) for result in found.results]
        if len(shown) > 1:
            _problem_filter(found, shown)
        pictures = place.pictures()
        if pictures:
            with card("Figures"):
                markup(_gallery(place.key, list(pictures)), "gallery")


def _result(found: Run, result: Result) -> ui.element:
    sample = f"{counted(result.replications, 'replication')} of {counted(result.periods, 'period')}"
    with card(result.name) as section:
        words("p", answer(result), "answer")
        words("p", f"{result.title}: {sample}.", "hint")
        markup(league_table(result, looks(found.policy_names)), "scroller")
    return section


def _problem_filter(found: Run, shown: list[ui.element]) -> None:
    def narrow(change: events.ValueChangeEventArguments[str | None]) -> None:
        sought = (change.value or "").casefold().split()
        for result, section in zip(found.results, shown, strict=True):
            names = " ".join((result.name, result.title, *(policy.name for policy in result.policies))).casefold()
            section.set_visibility(all(part in names for part in sought))

    field = ui.input("Filter by problem or policy", on_change=narrow)
    field.props("outlined dense clearable debounce=150 type=search").classes("filter")
    field.move(target_index=2)


def _gallery(key: str, names: list[str]) -> str:
    return "".join(
        f'<a href="/runs/{key}/plots/{escape(name)}" target="_blank" rel="noopener">'
        f'<img src="/runs/{key}/plots/{escape(name)}" alt="{escape(name.rsplit(".", 1)[0])}" loading="lazy"></a>'
        for name in names
    )
