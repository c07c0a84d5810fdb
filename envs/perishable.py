"""Perishable stock: units that can be sold for a few periods and are thrown away after that."""

from __future__ import annotations

from typing import Literal

import numpy as np
from scipy import special

from echelon.envs.demand import Discrete, Law, as_law
from echelon.envs.errors import ConfigError
from echelon.envs.network import Network
from echelon.envs.problem import Problem, Reference
from echelon.envs.problem_defaults import DemandSpec, StockoutRule, default_horizon

DE_MOOR = (
    "B. J. De Moor, J. Gijsbrechts and R. N. Boute, Reward shaping to improve the performance of deep reinforcement "
    "learning in perishable inventory management, European Journal of Operational Research 301(2), 2022"
)
OPTIMA: dict[str, dict[tuple[int, int, float], float]] = {
    "fifo": {
        (2, 1, 7): 14.95442, (2, 1, 10): 15.01794, (2, 2, 7): 14.99562, (2, 2, 10): 15.07479,
        (3, 1, 7): 14.61692, (3, 1, 10): 14.62415, (3, 2, 7): 14.73268, (3, 2, 10): 14.74432,
        (4, 1, 7): 14.58788, (4, 1, 10): 14.58829, (4, 2, 7): 14.70075, (4, 2, 10): 14.70152,
        (5, 1, 7): 14.58678, (5, 1, 10): 14.58678, (5, 2, 7): 14.69894, (5, 2, 10): 14.69897,
    },
    "lifo": {
        (2, 1, 7): 15.92061, (2, 1, 10): 16.10347, (2, 2, 7): 15.92061, (2, 2, 10): 16.10347,
        (3, 1, 7): 15.28987, (3, 1, 10): 15.37976, (3, 2, 7): 15.51957, (3, 2, 10): 15.65217,
        (4, 1, 7): 14.97643, (4, 1, 10): 15.03440, (4, 2, 7): 15.19436, (4, 2, 10): 15.28206,
        (5, 1, 7): 14.81435, (5, 1, 10): 14.84703, (5, 2, 7): 15.01098, (5, 2, 10): 15.05910,
    },
}  # fmt: skip
"""Average cost per period by issuing and (shelf life, lead time, waste cost), at the defaults of `perishable`."""


def rounded_gamma(mean: float, sd: float) -> Discrete:
    """Gamma demand rounded to the nearest whole number, as a table."""
    shape, scale = (mean / sd) ** 2, sd**2 / mean
    edges = np.arange(int(mean + 40 * sd)) + 0.5
    below = special.gammainc(shape, edges / scale)
    chances = np.diff(np.append(0.0, below[: int(np.searchsorted(below, 1 - 1e-15)) + 1]))
    chances /= chances.sum()
    return Discrete(values=tuple(map(float, range(len(chances)))), probabilities=tuple(chances.tolist()))


def perishable(
    *,
    shelf_life: int = 2,
    lead_time: int = 1,
    issuing: Literal["fifo", "lifo"] = "fifo",
    waste_cost: float = 7.0,
    holding_cost: float = 1.0,
    stockout_cost: float = 5.0,
    stockout_rule: StockoutRule = "lost_sales",
    unit_cost: float = 3.0,
    max_order: float | None = 10.0,
    demand: DemandSpec | None = None,
    demand_mean: float | None = None,
    periods: int | None = None,
    warm_up: int | None = None,
) -> Problem:
    """One store whose units can be sold in `shelf_life` periods (De Moor, Gijsbrechts and Boute 2022).

    Demand is gamma with mean 4 and coefficient of variation 0.5, rounded to whole units, unless given.
    The paper charges a unit that expires `waste_cost` but no holding cost in its last period, while the model
    holds it until the end of the period: here it is charged `waste_cost - holding_cost` on top. The
    paper's returns are costs of 365 periods in the steady state, discounted at 0.99: multiply the average cost
    per period by (1 - 0.99**365) / 0.01 = 97.448.
    """
    if waste_cost < holding_cost:
        raise ConfigError([f"waste_cost must be at least holding_cost = {holding_cost:g} (got {waste_cost:g})"])
    law = rounded_gamma(4.0, 2.0) if demand is None else as_law(demand, demand_mean)
    flow = round(law.mean_demand)
    store = {
        "name": "store",
        "holding_cost": holding_cost,
        "stockout_cost": stockout_cost,
        "stockout_rule": stockout_rule,
        "demand": law,
        "shelf_life": shelf_life,
        "issuing": issuing,
        "scrap_cost": waste_cost - holding_cost,
        "initial_on_hand": flow,
    }
    link = {
        "target": "store",
        "lead_time": lead_time,
        "unit_cost": unit_cost,
        "max_order": max_order,
        "initial_in_transit": flow,
    }
    network = Network.from_dict({"name": "perishable", "nodes": [store], "links": [link]})
    costs = (holding_cost, stockout_cost, unit_cost, max_order)
    known = costs == (1, 5, 3, 10) and stockout_rule == "lost_sales"
    return Problem(
        "echelon/Perishable-v0",
        network,
        *default_horizon(network, periods, warm_up),
        reference=_reference(law, issuing, (shelf_life, lead_time, waste_cost)) if known else None,
        citation=DE_MOOR,
    )


def _reference(law: Law, issuing: str, instance: tuple[int, int, float]) -> Reference | None:
    value = OPTIMA[issuing].get(instance)
    if value is None or law != rounded_gamma(4.0, 2.0):
        return None
    return Reference(value, "optimal", "relative value iteration; instances of De Moor et al. (2022)")
