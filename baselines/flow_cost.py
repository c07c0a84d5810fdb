"""The part of the cost per period that no policy changes if all demand is served in the end."""

from __future__ import annotations

from echelon.envs.network import Network


def flow_cost(network: Network) -> float:
    """Purchase and transit cost per period: that of the mean flow, by Little's law."""
    return sum(
        flow * (link.unit_cost + link.transit_holding_cost * link.mean_lead_time)
        for link, flow in zip(network.links, network.mean_link_flow, strict=True)
    )
