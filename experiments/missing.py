"""What of a run has no result, and why: cells that failed, and policies left out of problems they do not apply to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

from echelon.envs.yaml_text import parse_yaml
from echelon.experiments.page import counted, without_result

OPEN = 8
"""Policies left out up to which the list is unfolded."""


@dataclass(frozen=True)
class Missing:
    """A part of the runs that has no result."""

    place: str
    """Problem / policy."""
    reason: str
    """In one line."""


def failed_in(manifest: Mapping[str, Any]) -> tuple[Missing, ...]:
    """The cells that failed for good, with the first line of what went wrong."""
    return _missing(manifest.get("failed") or {})


def left_out_in(manifest: Mapping[str, Any], config: str) -> tuple[Missing, ...]:
    """The policies that the resolved config leaves out, and those that turned out not to apply."""
    said = parse_yaml(config, lambda line: f"config.yaml:{line}")[0] if "left_out" in config else {}
    named = {
        f"{problem} / {policy}": reason
        for problem, section in (said.get("problems") or {}).items()
        for policy, reason in (section.get("left_out") or {}).items()
    }
    return _missing({**named, **(manifest.get("left_out") or {})})


def _missing(reasons: Mapping[str, Any]) -> tuple[Missing, ...]:
    return tuple(Missing(place, str(why).strip().partition("\n")[0]) for place, why in reasons.items())


def missing_parts(failed: Iterable[Missing], left_out: Iterable[Missing], of: str) -> str:
    """Both as HTML, in which all names and reasons are text; nothing where nothing is missing."""
    told = without_result((f"{one.place}: {one.reason}" for one in failed), of)
    items = [f"<li>{escape(f'{one.place}: {one.reason}')}</li>" for one in left_out]
    if not items:
        return told
    count = counted(len(items), "policy is", "policies are")
    unfolded = " open" if len(items) <= OPEN else ""
    return (
        f'{told}<details class="left-out"{unfolded}><summary>{count} left out of problems that their methods do not '
        f"apply to</summary><ul>{''.join(items)}</ul></details>"
    )
