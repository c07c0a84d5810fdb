"""What all web pages share: the head with its navigation, the parts that a page is made of, and the style."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from html import escape

from nicegui import ui

from echelon.experiments.page import style_sheet
from echelon.experiments.palette import style_variables
from echelon.experiments.web_charts import Options, legend

PAGES = {"/": "Beer game", "/what-if": "What if", "/runs": "Results"}


def add_style() -> None:
    """Put the style sheet into the head of every page; the browser's own preference decides on dark."""
    style = style_variables() + style_sheet("web.css")
    ui.add_head_html(f"<style>{style}</style><meta name='color-scheme' content='light dark'>", shared=True)


@contextmanager
def page_frame(title: str, here: str, lead: str = "") -> Iterator[None]:
    """A page: the bar at the top, the main part with its heading, and the foot."""
    ui.page_title(f"{title} · Echelon")
    with ui.element("header").classes("bar"), ui.element("div").classes("wide"):
        words("a", "Echelon", "brand").props('href="/"')
        with ui.element("nav").props('aria-label="Pages"'):
            for path, name in PAGES.items():
                current = ' aria-current="page"' if path == here else ""
                words("a", name).props(f'href="{path}"{current}')
    with ui.element("main").classes("wide").props('tabindex="-1"') as main:
        words("h1", title)
        if lead:
            words("p", lead, "lead")
        yield
    ui.skip_link(target=main)
    words("footer", "All numbers on these pages are computed on this machine, by Echelon's own engine.", "wide")


def words(tag: str, text: str, classes: str = "") -> ui.html:
    """An element with text, which is escaped."""
    return ui.html(escape(text), tag=tag, sanitize=False).classes(classes)


def markup(content: str, classes: str = "") -> ui.html:
    """Markup of our own making, in which every name has been escaped."""
    return ui.html(content, sanitize=False).classes(classes)


@contextmanager
def card(heading: str, classes: str = "") -> Iterator[ui.element]:
    """A part of a page with its own heading."""
    with ui.element("section").classes(f"card {classes}") as section:
        words("h2", heading)
        yield section


def chart(options: Options, *, tall: int = 300) -> ui.echart:
    """A chart, `tall` pixels high and as wide as its place."""
    markup(legend(options))
    element = ui.echart(options, renderer="svg").style(f"height:{tall}px;width:100%")
    return describe(element, options)


def redraw(element: ui.echart, options: Options) -> None:
    """Show other data in a chart."""
    element.options.clear()
    element.options.update(options)
    describe(element, options).update()


def describe(element: ui.echart, options: Options) -> ui.echart:
    """Tell a screen reader what a chart shows."""
    says = options["aria"]["label"]["description"]
    element.props["role"], element.props["aria-label"] = "img", says
    return element


def trouble(heading: str, message: str, way_out: str, link: str) -> None:
    """The whole page where something cannot be shown."""
    with page_frame(heading, ""):
        words("p", message, "caution").props('role="alert"')
        words("a", way_out).props(f'href="{link}"')
