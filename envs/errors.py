"""The errors that Echelon raises, all of them an `EchelonError`.

A message says what must hold, what was got, where, and the nearest known name.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class EchelonError(Exception):
    """Base class of every error that Echelon raises on purpose."""


class ConfigError(EchelonError, ValueError):
    """A config or a network file is broken. `problems` lists every defect, one line each."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class NetworkError(EchelonError, ValueError):
    """A network breaks a rule of the model; the message names the node or the link."""


class DemandError(EchelonError, ValueError):
    """A demand law or a demand history cannot be used."""


class PolicyError(EchelonError, ValueError):
    """A policy returned orders that the network cannot take."""


class ScenarioError(EchelonError, ValueError):
    """Scenarios do not fit the problem that they are to be run on."""


class ConservationError(EchelonError):
    """A simulated period broke a law that every period must keep; this is a defect of a simulator."""


class MethodError(EchelonError, ValueError):
    """A baseline does not apply to the problem that it was given."""


class MissingExtraError(EchelonError, ImportError):
    """A feature needs an optional extra that is not installed."""


def nearest(name: str, known: Iterable[str]) -> str:
    """The hint `; did you mean 'x'?` for the closest known name, or the list of what is known."""
    names = sorted(known)
    if not names:
        return ""
    close = get_close_matches(name, names, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; known: {', '.join(names)}"
