"""Names of run folders: readable, unique on any file system, and free of anything but letters, digits and `.,=_+-`."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

_LONGEST = 100
_PLAIN = ("problems", "parameters", "policies", "settings", "options")
"""Parts of keys that tell a reader nothing."""


def labels_of(members: Sequence[Mapping[str, Any]]) -> list[str]:
    """A label for each run, such as `lead_time=2,seed=0`, by the values that set it apart; "" if nothing does."""
    places: dict[str, list[str]] = {}
    for values in members:
        for key, value in values.items():
            shown = places.setdefault(key, [])
            if (text := json.dumps(value)) not in shown:
                shown.append(text)
    short = _short_keys(list(places))
    labels = [
        ",".join(f"{short[key]}={_word(value, places[key])}" for key, value in values.items()) for values in members
    ]
    count = Counter(label.casefold() for label in labels)
    return [
        label if len(label) <= _LONGEST and count[label.casefold()] == 1 else _marked(label, values)
        for label, values in zip(labels, members, strict=True)
    ]


def _short_keys(keys: Sequence[str]) -> dict[str, str]:
    """As many of the last parts of each key as tell it from the others."""
    parts = {key: [part for part in key.split(".") if part not in _PLAIN] or [key] for key in keys}
    short = {}
    for key, own in parts.items():
        others = [part for other, part in parts.items() if other != key]
        depths = [n for n in range(1, len(own) + 1) if all(part[-n:] != own[-n:] for part in others)]
        short[key] = _safe(".".join(own[-depths[0] :]) if depths else key)
    return short


def _word(value: Any, shown: Sequence[str]) -> str:
    """A value in a label; a list or mapping is told by its position among the values, such as `no2`."""
    text = json.dumps(value)
    if isinstance(value, list | Mapping):
        return f"no{shown.index(text) + 1}"
    return _safe(value if isinstance(value, str) else text)


def _safe(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._+-]+", "_", text).strip(".") or "_"


def _marked(label: str, values: Mapping[str, Any]) -> str:
    """A label that is too long or not the only one of its kind, with a mark that no other has."""
    mark = hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:8]
    return f"{label[: _LONGEST - 9]}-{mark}"
