"""What all conformance checks share: their error, and how they compare."""

from __future__ import annotations

from typing import Any

import numpy as np

from echelon.envs.errors import EchelonError

LONGEST = 300
"""Characters of a foreign error that a message repeats."""


class ConformanceError(EchelonError, AssertionError):
    """A policy, a problem or an environment breaks a rule; the message has three lines: must, got, mend."""

    def __init__(self, must: str, *, got: str, mend: str) -> None:
        self.must, self.got, self.mend = must, got, mend
        super().__init__(f"{must}\n  got: {got}\n  mend: {mend}")


def told(error: BaseException) -> str:
    """A foreign error in one line: its type and the first lines of what it says."""
    words = " ".join(str(error).split())
    return f"{type(error).__name__}: {words[:LONGEST]}" if words else type(error).__name__


def close(one: Any, other: Any, tolerance: float) -> np.ndarray:
    """Where two arrays agree up to a share of the larger number, at least of 1; with tolerance 0 bit for bit."""
    one, other = np.asarray(one, dtype=np.float64), np.asarray(other, dtype=np.float64)
    return np.asarray(np.abs(one - other) <= tolerance * np.maximum(1.0, np.maximum(np.abs(one), np.abs(other))))
