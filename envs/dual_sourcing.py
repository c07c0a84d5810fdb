"""Dual sourcing: a cheap supplier that is slow, and a dear one that is fast."""

from __future__ import annotations

import math

from echelon.envs.demand import DiscreteUniform, Law, as_law
from echelon.envs.errors import ConfigError
from echelon.envs.network import Network
from echelon.envs.problem import Problem, Reference
from echelon.envs.problem_defaults import DemandSpec, default_horizon

GIJSBRECHTS = (
    "J. Gijsbrechts, R. N. Boute, J. A. Van Mieghem and D. J. Zhang, Can deep reinforcement learning improve inventory "
    "management? Performance on lost sales, dual-sourcing, and multi-echelon problems, "
    "Manufacturing & Service Operations Management 24(3), 2022; heuristics: L. Xin and D. A. Goldberg, "
    "Asymptotic optimality of tailored base-surge policies in dual-sourcing inventory systems, "
    "Management Science 64(1), 2018"
)
OPTIMA = {
    (2, 5): 16.76980, (3, 5): 16.87672, (4, 5): 16.89305, (5, 5): 16.89857,
    (2, 10): 19.73333, (3, 10): 20.34105, (4, 10): 20.61223, (5, 10): 20.76530,
}  # fmt: skip
"""Average cost per period beyond the regular price of the demand, by (regular lead time, premium of the expedited
source): demand uniform on 0, ..., 4, holding cost 5, stockout cost 495, expedited lead time 0.
The paper has regular lead times 2, 3 and 4; 5 extends it with the same parameters."""


def dual_sourcing(
    *,
    regular_lead_time: int = 2,
    expedited_lead_time: int = 0,
    regular_cost: float = 100.0,
    expedited_cost: float = 105.0,
    holding_cost: float = 5.0,
    stockout_cost: float = 495.0,
    demand: DemandSpec = {"law": "discrete_uniform", "low": 0, "high": 4},  # noqa: B006 (never changed)
    demand_mean: float | None = None,
    periods: int | None = None,
    warm_up: int | None = None,
) -> Problem:
    """One store with a regular and an expedited source (Gijsbrechts et al. 2022); customers wait.

    The lead times l_r and l_e and the unit costs c_r and c_e are those of the paper: with l_e = 0 an
    expedited order meets the demand of its own period. Costs are charged at the end of the period,
    the purchases of both sources included. The expedited source is the first link, so a parametric rule
    decides it first: with levels (S_e, S_r) it is the single-index policy.
    """
    if not 0 <= expedited_lead_time < regular_lead_time:
        times = f"{expedited_lead_time} and {regular_lead_time}"
        raise ConfigError([f"expedited_lead_time must be at least 0 and below regular_lead_time (got {times})"])
    law = as_law(demand, demand_mean)
    flow = round(law.mean_demand)
    store = {
        "name": "store",
        "holding_cost": holding_cost,
        "stockout_cost": stockout_cost,
        "demand": law,
        "initial_on_hand": 2 * flow,
    }
    links = [
        {
            "name": "expedited",
            "target": "store",
            "lead_time": expedited_lead_time,
            "unit_cost": expedited_cost,
        },
        {
            "name": "regular",
            "target": "store",
            "lead_time": regular_lead_time,
            "unit_cost": regular_cost,
            "initial_in_transit": flow,
        },
    ]
    network = Network.from_dict({"name": "dual_sourcing", "nodes": [store], "links": links})
    reference = None
    if expedited_lead_time == 0 and holding_cost > 0:
        reference = _reference(
            law, regular_lead_time, holding_cost, stockout_cost, regular_cost, expedited_cost - regular_cost
        )
    horizon = default_horizon(network, periods, warm_up)
    return Problem("echelon/DualSourcing-v0", network, *horizon, reference=reference, citation=GIJSBRECHTS)


def _reference(
    law: Law, lead_time: int, holding_cost: float, stockout_cost: float, price: float, premium: float
) -> Reference | None:
    """The long-run optimum: the demand at the regular price, and a rest that scales with the other costs."""
    scale = holding_cost / 5
    if law != DiscreteUniform(low=0, high=4) or not math.isclose(stockout_cost, 495 * scale):
        return None
    for (periods, ratio), rest in OPTIMA.items():
        if periods == lead_time and math.isclose(premium, ratio * scale):
            bed = "instances of Gijsbrechts et al. (2022)" + (", extended to lead time 5" if lead_time > 4 else "")
            source = f"relative value iteration; {bed}"
            return Reference(price * law.mean_demand + rest * scale, "optimal", source)
    return None
