"""The Clark-Scarf relaxation: a cost that no policy of a distribution system with backorders can beat.

In a distribution tree every node is supplied by one other, or from outside, and the customers are at
the ends. Let ``y_i`` be the echelon position of node i right after the shipments to it: what is at i and
below it or on the way there, less what customers wait for. Whatever the policy, the costs below i
that a shipment of period s can still change are those from period ``s + L_i`` on, and their
expectation depends on ``y_i`` alone:

    C_i(y) = E[h_i (y - D)^+ + p_i (y - D)^-]                 at an outlet, D the demand of L_i + 1 periods,
    C_j(y) = E[Q_j(y - D)],                                   at any other node, D the demand of L_j periods,
    Q_j(x) = min { h_j (x - sum y_i) + sum_i C_i(y_i) : sum y_i <= x },  over the nodes i that j supplies.

The minimum ignores that a node cannot take back what it shipped before, so that its receivers' positions
must not fall: stock may be moved freely between receivers. Whatever a policy really does, it is one of
the choices of that minimum, and ``min_y C(y)`` at the node that buys outside is a lower bound on its
cost per period. It holds for any holding and stockout costs and any lead times, which may differ
from node to node; it is exact for a serial system, where it is Clark and Scarf's (1960) recursion.
For one warehouse it is the relaxation of Federgruen and Zipkin (1984) and, with a warehouse that may
hold nothing, of Eppen and Schrage (1981).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from echelon.baselines.convex import Convex, kink, shared
from echelon.baselines.flow_cost import flow_cost
from echelon.baselines.lattice import common_step, on_lattice
from echelon.baselines.lead_time_demand import lead_time_demand
from echelon.baselines.plan import Bound
from echelon.baselines.requirements import require, require_average_backorder_cost, require_steady_demand
from echelon.envs.network import OUTSIDE, Network, topological_order
from echelon.envs.problem import Problem

CITATION = (
    "A. Federgruen and P. Zipkin, Computational issues in an infinite-horizon, multiechelon inventory model, "
    "Operations Research 32(4), 1984; "
    "A. J. Clark and H. Scarf, Optimal policies for a multi-echelon inventory problem, Management Science 6(4), 1960"
)
COARSEST = 1 / 16
"""First lattice step for continuous demand, in standard deviations of the least variable outlet."""
MOST_CELLS = 2**12
"""Most of those steps in the sum of the outlets' standard deviations."""
MOST_HALVINGS = 6
TOLERANCE = 1e-6
"""Share of the cost that the last halving of the step may change."""


def clark_scarf_relaxation(problem: Problem) -> Bound:
    """A lower bound on the average cost of every policy, purchase and transit costs included, see this module.

    For demand on a lattice, such as whole units, the recursion is exact. For other demand it is solved
    on finer and finer lattices, from above; the value returned is below what they converge to, by less
    than `TOLERANCE` of it. Raises `MethodError` where the relaxation does not hold.
    """
    require_average_backorder_cost(problem, "clark_scarf_relaxation")
    require_steady_demand(problem, "clark_scarf_relaxation")
    require_tree(problem.network, "clark_scarf_relaxation")
    roots = [link.target for link in problem.network.links if link.source == OUTSIDE]

    def solve(step: float) -> float:
        costs = relaxed_costs(problem.network, step)
        return sum(costs[root].minimum for root in roots)

    _, value = settled(problem.network, solve)
    return Bound(value + flow_cost(problem.network), "clark_scarf_relaxation", citation=CITATION)


def require_tree(network: Network, method: str) -> None:
    """Raise `MethodError` unless every node has one supplier, customers are at the ends, and shortages cost."""
    suppliers, supplied = {link.source for link in network.links}, {link.target for link in network.links}
    require(
        method,
        {
            "a distribution tree: one link into every node": len(supplied) < len(network.links),
            "customers at the ends of the tree only": any(node.name in suppliers for node in network.outlets),
            "a stockout cost above 0 at every outlet": any(not node.stockout_cost > 0 for node in network.outlets),
        },
    )


def relaxed_costs(network: Network, step: float, *, stockless: str | None = None) -> dict[str, Convex]:
    """C_i for every node of a distribution tree, on a lattice; the node `stockless` ships all that it has."""
    laws = dict(zip((node.name for node in network.outlets), network.laws, strict=True))
    costs: dict[str, Convex] = {}
    for name, periods, below in _tree(network):
        node = network.nodes[network.index[name]]
        if name in laws:
            cost = kink(-node.stockout_cost, node.holding_cost, step)
        else:
            cost = shared([costs[link.target] for link in network.links if link.source == name])
            cost = cost if name == stockless else cost.steepest(node.holding_cost)
        for outlet in below:
            cost = cost.expected(on_lattice(lead_time_demand(laws[outlet], periods), step))
        costs[name] = cost
    return costs


def settled(network: Network, solve: Callable[[float], float]) -> tuple[float, float]:
    """A lattice step, and `solve` of it: the demand's own step if all is on one lattice, else one that is fine enough.

    The error of a lattice is positive and falls with the square of its step, so that the last halving
    moves the result by three times the error that is left: taking the whole move away stays below.
    """
    durations = {name: periods for name, periods, _ in _tree(network)}
    totals = [
        lead_time_demand(law, durations[node.name]) for node, law in zip(network.outlets, network.laws, strict=True)
    ]
    varying = [total for total in totals if total.sd > 0]
    if own := common_step(varying) if varying else 1.0:
        return own, solve(own)
    step = max(COARSEST * min(total.sd for total in varying), sum(total.sd for total in varying) / MOST_CELLS)
    value = solve(step)
    for _ in range(MOST_HALVINGS):
        step /= 2
        coarser, value = value, solve(step)
        if coarser - value <= TOLERANCE * value:
            break
    return step, value - (coarser - value)


def _tree(network: Network) -> Iterator[tuple[str, int, list[str]]]:
    """Every node, receivers first: its name, the periods of demand to cover, and the outlets at or below it."""
    supply = {link.target: link for link in network.links}
    outlets: dict[str, list[str]] = {node.name: [node.name] for node in network.outlets}
    for name in reversed(topological_order(network)):
        link, is_outlet = supply[name], network.nodes[network.index[name]].demand is not None
        yield name, int(link.mean_lead_time) + is_outlet, outlets[name]
        if link.source != OUTSIDE:
            outlets.setdefault(link.source, []).extend(outlets[name])
