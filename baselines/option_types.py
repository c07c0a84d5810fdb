"""Types of options with the values that they allow, for the signatures of baselines.

A config is checked against these signatures when it is read, and `echelon schema` tells editors the same bounds. The
methods check their arguments themselves, too, since Python does not.
"""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import Field

Whole = Annotated[int, Field(ge=1)]
"""A number of periods, of trials, of what else is counted from 1."""
Share = Annotated[float, Field(gt=0, lt=1)]
"""A service level."""
AboveHalf = Annotated[float, Field(gt=0.5, lt=1)]
"""A service level that asks for safety stock."""
Positive = Annotated[float, Field(gt=0)]

_IN_WORDS = {
    "Whole": "int of at least 1",
    "Share": "float above 0 and below 1",
    "AboveHalf": "float above 0.5 and below 1",
    "Positive": "float above 0",
}


def in_words(annotation: str) -> str:
    """The text of an annotation with what the types of this module allow in place of their names."""
    return re.sub(r"\w+", lambda word: _IN_WORDS.get(word[0], word[0]), annotation)
