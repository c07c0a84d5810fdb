"""The frame of a page that stands alone: style and drawings are part of it, and it loads nothing from outside.

Its content security policy forbids the rest: nothing is fetched, and no script runs.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from importlib.resources import files
from pathlib import Path

from echelon.experiments.palette import style_variables
from echelon.experiments.whole_folder import whole_file

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""The page's content security policy."""


def page(*, title: str, header: str, main: str, footer: str, style: str = "") -> str:
    """The page as text. `header`, `main` and `footer` are HTML, `style` is CSS after that of all pages."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<title>{escape(title)}</title>\n<link rel="icon" href="data:,">\n'
        f"<style>\n{style_variables()}{style_sheet('report.css')}{style}</style>\n</head>\n<body>\n{header}\n<main>\n"
        f"{main}</main>\n<footer>{footer}</footer>\n</body>\n</html>\n"
    )


def style_sheet(name: str) -> str:
    """The text of a style sheet of this package."""
    return files("echelon.experiments").joinpath(name).read_text(encoding="utf-8")


def write_page(text: str, path: Path) -> Path:
    """Write a page in one step: a reader sees the old one or the new one, never a part."""
    with whole_file(path) as part:
        part.write_text(text, encoding="utf-8", newline="\n")
    return path


def figure(heading: str, drawing: str, caption: str) -> str:
    """A drawing, which is HTML, on a card with its heading and its caption."""
    return f'<figure class="card"><h3>{escape(heading)}</h3>{drawing}<figcaption>{prose(caption)}</figcaption></figure>'


def paragraph(style_class: str, text: str) -> str:
    """Text as a paragraph; nothing where there is none."""
    return f'<p class="{style_class}">{prose(text)}</p>' if text else ""


def without_result(parts: Iterable[str], of: str) -> str:
    """A box that names what has no result, and why; nothing where all has."""
    items = [f"<li>{escape(part)}</li>" for part in parts]
    lead = f"{counted(len(items), 'part')} of {of} without a result:"
    return f'<div class="caution"><p>{lead}</p><ul>{"".join(items)}</ul></div>' if items else ""


def prose(text: str) -> str:
    """Escaped text in which no line ends between a number and its ± or %."""
    return escape(text).replace(" ± ", "&nbsp;±&nbsp;").replace(" %", "&nbsp;%")


def counted(number: int, noun: str, plural: str = "") -> str:
    """A number with its noun: `1 node`, `1,200 nodes`."""
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"
