"""The codec: its scales and limits follow from the network alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from echelon.baselines import min_max
from echelon.envs import Codec, Network, Problem, initial_state, order_up_to, sample, simulate


def shop(demand: dict[str, Any], *, lead_time: int = 2, **costs: float) -> Network:
    node = {"name": "shop", "holding_cost": 1.0, "stockout_cost": 9.0, "demand": demand}
    return Network.from_dict({"nodes": [node], "links": [{"target": "shop", "lead_time": lead_time, **costs}]})


def test_components_that_meet_again_carry_the_demand_once_per_path() -> None:
    """A part goes into two halves of one product: two units of it per product, in step with one another."""
    product = {"name": "product", "demand": {"law": "poisson", "mean": 4.0}}
    network = Network.from_dict(
        {
            "nodes": [{"name": "part"}, {"name": "left"}, {"name": "right"}, product],
            "links": [
                {"target": "part"},
                {"source": "part", "target": "left"},
                {"source": "part", "target": "right"},
                {"source": "left", "target": "product"},
                {"source": "right", "target": "product"},
            ],
        }
    )
    codec = Codec(network)
    np.testing.assert_allclose(codec.mean, [8, 4, 4, 4, 4])
    np.testing.assert_allclose(codec.sd, [4, 2, 2, 2, 2])
    np.testing.assert_allclose(codec.mean, [network.mean_flow[network.index[link.target]] for link in network.links])


@pytest.mark.parametrize("fixed_cost", [100.0, 1_000.0])
def test_a_fixed_cost_widens_the_actions_to_the_tuned_min_and_max(fixed_cost: float) -> None:
    network = shop({"law": "poisson", "mean": 5.0}, fixed_cost=fixed_cost)
    tuned = min_max(Problem("shop", network)).parameters
    codec = Codec(network)
    lowest, highest = codec.level_range
    assert lowest[0] <= tuned["up_to"][0] <= highest[0]
    assert codec.order_limit[0] >= tuned["up_to"][0] - tuned["reorder"][0] + 5


@pytest.mark.parametrize("decision", ["orders", "levels"])
@pytest.mark.parametrize("action", ["continuous", "discrete"])
def test_continuous_units_can_be_grams_or_tons(decision: Any, action: Any) -> None:
    codecs, orders = [], []
    for unit in (1.0, 1e-6):
        network = shop({"law": "normal", "mean": 5.0 * unit, "sd": 1.0 * unit})
        codecs.append(Codec(network, decision, action))
        state = initial_state(network, 1)
        choice = np.array([[0.3 if action == "continuous" else 17]])
        orders.append(codecs[-1].orders(choice, state) / unit)
    np.testing.assert_allclose(orders[0], orders[1])
    assert codecs[0].action_space == codecs[1].action_space


def test_a_discrete_action_is_a_whole_number() -> None:
    network = shop({"law": "poisson", "mean": 5.0})
    with pytest.raises(ValueError, match="discrete actions must be whole numbers"):
        Codec(network, "orders", "discrete").orders(np.array([[2.4]]), initial_state(network, 1))


def test_an_outlet_that_ends_a_period_with_backorders_is_not_ready() -> None:
    network = shop({"law": "deterministic", "values": [10, 0]}, lead_time=0)
    problem = Problem("never ordered", network, periods=5, warm_up=0)
    scenarios = sample(network, periods=5, replications=2, seed=0)
    for backend in ("compiled", "specification"):
        outcome = simulate(problem, order_up_to(network, [0], reorder=[-100]), scenarios, backend=backend)
        np.testing.assert_array_equal(outcome.alpha, [0.0, 0.0])
        np.testing.assert_array_equal(outcome.fill_rate, [0.0, 0.0])
