"""A matplotlib figure as an SVG element that can stand in a page: no outside names, no clash of ids, page colours."""

from __future__ import annotations

import io
import re
from html import escape
from typing import TYPE_CHECKING

from echelon.experiments.palette import themed

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_NOT_FOR_A_PAGE = re.compile(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->|<defs>\s*</defs>", re.DOTALL)
_NAME = re.compile(r'(\bid="|\bhref="#|url\(#)')
_SIZE = re.compile(r'viewBox="[^"]*"')


def inline_svg(figure: Figure, *, prefix: str, label: str) -> str:
    """The figure as an SVG element of class `plot`; `prefix` keeps its ids apart from those of its neighbours."""
    stream = io.StringIO()
    figure.savefig(stream, format="svg", metadata={"Date": None})
    text = stream.getvalue()
    head, _, body = text[text.index("<svg") :].partition(">")
    view = _SIZE.search(head)
    assert view is not None
    body = _NOT_FOR_A_PAGE.sub("", body).replace("xlink:href", "href")
    body = _NAME.sub(rf"\g<1>{prefix}-", body)
    return f'<svg class="plot" role="img" aria-label="{escape(label)}" {view.group()}>{themed(body).strip()}'
