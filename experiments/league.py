"""The league table of a problem as HTML: every policy with its cost, its distance from the best, and its service."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from echelon.experiments.findings import as_text, plain, reference_name, verdict, with_half_width
from echelon.experiments.palette import Look, variable
from echelon.experiments.run_folder import PolicyResult, Result

LONGEST_PARAMETERS = 60
"""Characters from which the parameters are folded away."""

GAPS = {
    "optimal": "Gap to optimum (%)",
    "lower_bound": "Gap to bound (%)",
    "best_known": "Gap to best known (%)",
}
"""What a gap is measured to, by the kind of the reference."""

_SHAPES = {
    "o": '<circle cx="7" cy="7" r="5"/>',
    "s": '<rect x="2.5" y="2.5" width="9" height="9"/>',
    "^": '<path d="M7 1.5l6 11h-12z"/>',
    "D": '<path d="M7 1l6 6-6 6-6-6z"/>',
    "v": '<path d="M7 12.5l6-11h-12z"/>',
    "P": '<path d="M5 1.5h4v3.5h3.5v4h-3.5v3.5h-4v-3.5h-3.5v-4h3.5z"/>',
    "X": '<path d="M4 1l3 3 3-3 3 3-3 3 3 3-3 3-3-3-3 3-3-3 3-3-3-3z"/>',
    "*": '<path d="M7 .8l1.9 4.1 4.4.5-3.3 3 .9 4.4-3.9-2.2-3.9 2.2.9-4.4-3.3-3 4.4-.5z"/>',
}


def league_table(result: Result, policy_looks: Mapping[str, Look]) -> str:
    """The table element. On a phone the style sheet turns each row into a card, labelled from `data-label`."""
    columns = _columns(result)
    head = "".join(f'<th scope="col" class="{words}">{label}</th>' for label, words in columns.items())
    rows = "".join(_row(result, policy, policy_looks[policy.name], labels=list(columns)) for policy in result.policies)
    reference = "" if result.reference is None else _reference(result, width=len(columns))
    return (
        f'<table class="league"><caption>Policies, cheapest first</caption><thead><tr>{head}</tr></thead>'
        f"<tbody>{rows}</tbody>{reference}</table>"
    )


def key(look: Look) -> str:
    """A policy's marker, as it is in the figures."""
    fill = f"fill:var({variable(look.colour)})"
    return f'<svg class="key" viewBox="0 0 14 14" aria-hidden="true" style="{fill}">{_SHAPES[look.marker]}</svg>'


def _columns(result: Result) -> dict[str, str]:
    """The columns' labels in order, each with the class of its cells."""
    cost = "Discounted cost" if result.discounted else "Cost a period"
    gap = {} if result.reference is None else {GAPS.get(result.reference_kind, "Gap to reference (%)"): "number"}
    return {
        "Policy": "words",
        cost: "number",
        **gap,
        "Paired difference": "number",
        "Verdict": "words",
        "Fill rate (%)": "number",
        "Alpha service (%)": "number",
        "CPU time (s)": "number",
        "Parameters": "words parameters",
    }


def _row(result: Result, policy: PolicyResult, look: Look, *, labels: list[str]) -> str:
    best = policy is result.best
    name = escape(policy.name).replace("_", "_<wbr>")
    kind = f'<span class="kind">{escape(policy.kind)}</span>'
    cells = [
        f'{key(look)}<span class="policy">{name}</span> {kind}',
        _spread(policy.mean, policy.half_width),
        *([] if result.reference is None else [_spread(policy.gap, policy.gap_half_width)]),
        "" if best else _spread(policy.difference, policy.difference_half_width),
        escape(verdict(result, policy)),
        _share(policy.fill_rate),
        _share(policy.alpha),
        _seconds(policy.seconds),
        _parameters(policy.parameters),
    ]
    classes = _columns(result).values()
    body = "".join(
        f'<td class="{words}{"" if cell else " empty"}" data-label="{label}">{cell}</td>'
        for cell, label, words in zip(cells, labels, classes, strict=True)
    )
    opening = '<tr class="best">' if best else "<tr>"
    return f"{opening}{body}</tr>"


def _spread(value: float | None, half_width: float | None) -> str:
    if value is None:
        return ""
    mean, _, spread = with_half_width(value, half_width).partition(" ± ")
    tail = f' <span class="spread">± {spread}</span>' if spread else ""
    return f"<span>{mean}{tail}</span>"


def _share(rate: float | None) -> str:
    return "" if rate is None else f"{100 * rate:.2f}"


def _seconds(seconds: float | None) -> str:
    if seconds is None:
        return ""
    return "&lt; 0.1" if seconds < 0.05 else plain(seconds, 1 if seconds < 10 else 0)


def _parameters(parameters: Mapping[str, Any]) -> str:
    singles = {name: value[0] if _is_single(value) else value for name, value in parameters.items()}
    text = ", ".join(f"{name} = {as_text(value)}" for name, value in singles.items())
    if len(text) <= LONGEST_PARAMETERS:
        return f"<code>{escape(text)}</code>" if text else ""
    names = ", ".join(parameters)
    return f"<details><summary>{escape(names)}</summary><code>{escape(text)}</code></details>"


def _is_single(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 1


def _reference(result: Result, *, width: int) -> str:
    source = f" ({result.reference_source})" if result.reference_source else ""
    text = f"Reference: {reference_name(result)}{source}"
    return f'<tfoot><tr><td colspan="{width}">{escape(text)}</td></tr></tfoot>'
