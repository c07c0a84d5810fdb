"""What a learner decides where nobody says it: orders, or echelon levels to order up to."""

from __future__ import annotations

from echelon.envs.codec import Decision
from echelon.envs.network import Network


def default_decision(network: Network) -> Decision:
    """The orders themselves for a single location, and echelon levels for a network.

    Untrained levels are near good ones and keep the stock of a network bounded while it is learned. A level is also
    what is best for a single location with one source whose customers all wait; with several sources, or customers
    who do not, it binds the sum of what is better decided apart.
    """
    if len(network.nodes) > 1:
        return "levels"
    waits = all(outlet.stockout_rule == "backorder" and outlet.shelf_life is None for outlet in network.outlets)
    return "levels" if waits and len(network.links) == 1 else "orders"
