"""Types of options with the values that they allow, for the signatures of baselines.

A config is checked against these signatures when it is read, and `echelon schema` tells editors the same bounds. The
methods check their arguments themselves, too, since Python does not.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, get_args

from pydantic import Field

Whole = Annotated[int, Field(ge=1)]
"""A number of periods, of trials, of what else is counted from 1."""
Share = Annotated[float, Field(gt=0, lt=1)]
"""A service level."""
AboveHalf = Annotated[float, Field(gt=0.5, lt=1)]
"""A service level that asks for safety stock."""
Positive = Annotated[float, Field(gt=0)]

_TYPES = {"Whole": Whole, "Share": Share, "AboveHalf": AboveHalf, "Positive": Positive}
_BOUNDS = {"ge": "of at least", "gt": "above", "lt": "below"}


def in_words(annotation: str) -> str:
    """The text of an annotation with what the types of this module allow in place of their names."""
    return re.sub("|".join(rf"\b{name}\b" for name in _TYPES), lambda found: _spelled(_TYPES[found[0]]), annotation)


def _spelled(kind: Any) -> str:
    number, field = get_args(kind)
    bounds = [
        f"{word} {getattr(part, sign)}"
        for part in field.metadata
        for sign, word in _BOUNDS.items()
        if hasattr(part, sign)
    ]
    return f"{number.__name__} {' and '.join(bounds)}"
