"""Reading a network as one warehouse and its retailers, for the methods of distribution theory."""

from __future__ import annotations

from dataclasses import dataclass

from echelon.baselines.requirements import require, require_average_backorder_cost, require_steady_demand
from echelon.envs.demand import Law
from echelon.envs.network import OUTSIDE, Link, Node
from echelon.envs.problem import Problem


@dataclass(frozen=True)
class OneWarehouse:
    """A warehouse that buys outside and supplies every outlet. Tuples run over the outlets, in their order."""

    warehouse: Node
    supply: Link
    """The link into the warehouse."""
    retailers: tuple[Node, ...]
    links: tuple[Link, ...]
    """From the warehouse to each retailer."""
    laws: tuple[Law, ...]

    @property
    def lead_time(self) -> int:
        """Periods from the outside source to the warehouse."""
        return int(self.supply.mean_lead_time)

    @property
    def lead_times(self) -> tuple[int, ...]:
        """Periods from the warehouse to each retailer."""
        return tuple(int(link.mean_lead_time) for link in self.links)


def require_one_warehouse(problem: Problem, method: str) -> OneWarehouse:
    """The parts of a network of one warehouse with backorders and an average cost.

    Raises `MethodError` "METHOD needs RULE" for any other problem, and where a cost without which no
    level is best is 0: that of a shortage, or of holding at a retailer.
    """
    require_average_backorder_cost(problem, method)
    require_steady_demand(problem, method)
    network = problem.network
    supplies = [link for link in network.links if link.source == OUTSIDE]
    into = {link.target: link for link in network.links}
    retailers = network.outlets
    shape = (
        len(supplies) == 1
        and len(network.nodes) == len(retailers) + 1
        and network.nodes[network.index[supplies[0].target]].demand is None
        and all(into[node.name].source == supplies[0].target for node in retailers)
    )
    free = any(not (node.stockout_cost > 0 and node.holding_cost > 0) for node in retailers)
    require(
        method,
        {
            "one warehouse, the only one to buy outside, that supplies every outlet": not shape,
            "holding and stockout costs above 0 at every outlet": free,
        },
    )
    links = tuple(into[node.name] for node in retailers)
    warehouse = network.nodes[network.index[supplies[0].target]]
    return OneWarehouse(warehouse, supplies[0], retailers, links, network.laws)
