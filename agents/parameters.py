"""The parameters of networks as flat data, and how one network differs from those that a policy was trained on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from echelon.agents.columns import link_labels
from echelon.envs.defects import show
from echelon.envs.errors import ConfigError
from echelon.envs.network import Network

DEFAULT = "the default"
"""The value of a parameter that a network does not set."""
_NAMES = frozenset({"name", "source", "target", "initial_on_hand", "initial_in_transit"})
"""Keys that tell places from one another, or the state at the start, which is judged by what is observed of it."""
_NOUNS = {"nodes": "node", "links": "link", "resources": "resource"}


@dataclass(frozen=True)
class Span:
    """The values that a parameter had in training: numbers of a range, and words."""

    low: float | None = None
    high: float | None = None
    words: tuple[str, ...] = ()

    def holds(self, value: float | str) -> bool:
        """Whether the value is one of them, numbers between others included."""
        if isinstance(value, str):
            return value in self.words
        return self.low is not None and self.high is not None and self.low <= value <= self.high

    def joined(self, value: float | str) -> Span:
        """The span with one more value."""
        if isinstance(value, str):
            return Span(self.low, self.high, tuple(sorted({*self.words, value})))
        low, high = (value if end is None else end for end in (self.low, self.high))
        return Span(min(low, value), max(high, value), self.words)

    def __str__(self) -> str:
        numbers = []
        if self.low is not None and self.high is not None:
            numbers = [f"{self.low:g}" if self.low == self.high else f"{self.low:g} to {self.high:g}"]
        return " or ".join([*numbers, *self.words])


def parameters_of(network: Network, *, pooled: bool = False) -> Iterator[tuple[str, float | str]]:
    """Every parameter that a network sets, such as ("holding_cost of 'store'", 1.0).

    Pooled, the places have no names, so that networks of different size can be compared: "holding_cost of a node".
    """
    data = network.model_dump(mode="json", exclude_defaults=True)
    for key, value in data.items():
        if key not in _NOUNS:
            yield from (_flat(key, value) if key not in _NAMES else ())
            continue
        names = link_labels(network) if key == "links" else [item["name"] for item in value]
        for label, fields in zip(names, value, strict=True):
            place = f"a {_NOUNS[key]}" if pooled else f"{label!r}"
            for name, part in fields.items():
                yield from ((f"{path} of {place}", leaf) for path, leaf in _flat(name, part) if name not in _NAMES)


def spans_of(networks: Iterable[Network], *, pooled: bool) -> dict[str, Span]:
    """The values of every parameter over some networks."""
    spans: dict[str, Span] = {}
    for count, network in enumerate(networks):
        parameters = list(parameters_of(network, pooled=pooled))
        for key in {*spans} - {key for key, _ in parameters}:
            spans[key] = spans[key].joined(DEFAULT)
        for key, value in parameters:
            before = Span() if count == 0 or key in spans else Span(words=(DEFAULT,))
            spans[key] = spans.get(key, before).joined(value)
    return spans


def differences(spans: Mapping[str, Span], network: Network, *, pooled: bool) -> tuple[str, ...]:
    """What a network has that training had not, one line each: "lead_time of 'a -> b': trained on 4, used on 6"."""
    used = list(parameters_of(network, pooled=pooled))
    used += [(key, DEFAULT) for key in {*spans} - {key for key, _ in used}]
    strange = ((key, value) for key, value in sorted(used, key=lambda pair: pair[0]) if not _known(spans, key, value))
    return tuple(
        dict.fromkeys(
            f"{key}: trained on {spans.get(key, DEFAULT)}, used on {value if isinstance(value, str) else f'{value:g}'}"
            for key, value in strange
        )
    )


def spans_from(data: Mapping[str, Any]) -> dict[str, Span]:
    """The spans that `record_of` made into plain data. Raises `ConfigError`."""
    spans = {}
    for key, values in data.items():
        low, high, words = values["low"], values["high"], values["words"]
        numbers = [end for end in (low, high) if isinstance(end, int | float)]
        if len(numbers) not in (0, 2) or not all(isinstance(word, str) for word in words):
            raise ConfigError([f"support.parameters.{key}: must be a range and words (got {show(values)})"])
        spans[key] = Span(low, high, tuple(words))
    return spans


def record_of(spans: Mapping[str, Span]) -> dict[str, Any]:
    """The spans as plain data."""
    return {key: {"low": span.low, "high": span.high, "words": [*span.words]} for key, span in spans.items()}


def _known(spans: Mapping[str, Span], key: str, value: float | str) -> bool:
    return spans[key].holds(value) if key in spans else value == DEFAULT


def _flat(key: str, value: Any) -> Iterator[tuple[str, float | str]]:
    """The leaves of plain data by their paths; lists and truth values are words."""
    if isinstance(value, Mapping):
        for name, part in value.items():
            yield from _flat(f"{key}.{name}", part)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield key, float(value)
    else:
        yield key, value if isinstance(value, str) else show(value)
