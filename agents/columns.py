"""Names of the columns of an observation, for messages that people read."""

from __future__ import annotations

from collections import Counter

from echelon.envs.codec import Codec
from echelon.envs.dynamics import initial_state
from echelon.envs.network import Network
from echelon.envs.state import STOCKS

WORDS = {
    "on_hand": "on hand at",
    "backorders": "backorders at",
    "components": "waiting at the plant, of",
    "owed": "owed on",
    "pipeline": "arriving in {after} on",
    "requests": "heard of in {slot} on",
    "in_process": "made in {after} at",
    "ages": "usable for {after} at",
    "queue": "asked for {after} ago on",
    "made": "made at",
    "node_up": "up at",
    "link_up": "up on",
}
"""What a stock of a state is called; slots count periods from 0, or, `after`, from 1."""
CALENDAR = ("sine of the calendar", "cosine of the calendar")


def column_names(codec: Codec) -> tuple[str, ...]:
    """What each column of an observation tells, and of which node or link, such as "on hand at 'warehouse'"."""
    rows, less, _ = codec.sights
    names = _stock_names(codec)
    found = [names[row] if taken < 0 else _net(names[row]) for row, taken in zip(rows, less, strict=True)]
    return (*found, *(CALENDAR if codec.cycle > 1 else ()))


def kind_of_column(name: str) -> str:
    """The part of a column's name that does not depend on the names of a network."""
    return name.partition(" '")[0]


def link_labels(network: Network) -> list[str]:
    """The labels of the links; of two with the same label the second gets a number."""
    seen: Counter[str] = Counter()
    labels = []
    for link in network.links:
        seen[link.label] += 1
        labels.append(link.label if seen[link.label] == 1 else f"{link.label} ({seen[link.label]})")
    return labels


def _stock_names(codec: Codec) -> list[str]:
    """The name of every number of a state, in the order in which a memory holds them."""
    network, state = codec.network, initial_state(codec.network, 1)
    places = {
        "N": [node.name for node in network.nodes],
        "E": link_labels(network),
        "C": [node.name for node in network.outlets],
    }
    return [
        f"{WORDS[stock].format(slot=_periods(slot), after=_periods(slot + 1))} '{place}'"
        for stock, axis in STOCKS.items()
        for place in places[axis]
        for slot in range(getattr(state, stock)[0, 0].size)
    ]


def _net(name: str) -> str:
    return name.replace("on hand", "net stock", 1)


def _periods(count: int) -> str:
    return "1 period" if count == 1 else f"{count} periods"
