"""What the engine refuses: networks, policies and scenarios that cannot be, or do not belong together."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from echelon.envs import Codec, Network, initial_state, make_problem, order_up_to, reorder_lots, sample, simulate
from echelon.envs.errors import NetworkError, PolicyError, ScenarioError
from echelon.envs.problem import Problem
from echelon.envs.scenarios import Scenarios
from echelon.envs.simulate import simulate_cost

STORE: dict[str, Any] = {"name": "store", "demand": {"law": "poisson", "mean": 4}, "stockout_cost": 9.0}
OTHER = STORE | {"name": "other"}
KIT = [{"name": "part"}, {"name": "bolt"}, STORE]
KIT_LINKS = [{"target": "part"}, {"target": "bolt"}, *({"source": s, "target": "store"} for s in ("part", "bolt"))]

IMPOSSIBLE: dict[str, tuple[dict[str, Any], str]] = {
    "a lot above the largest order": (
        {"nodes": [STORE], "links": [{"target": "store", "lot_size": 9, "max_order": 6}]},
        "links.0.lot_size: must be at most max_order = 6 on link outside -> store (got 9)",
    ),
    "a smallest order that is no number of lots": (
        {"nodes": [STORE], "links": [{"target": "store", "lot_size": 4, "min_order": 6}]},
        "links.0.min_order: must be a multiple of lot_size = 4 on link outside -> store (got 6)",
    ),
    "a resource without members": (
        {"nodes": [STORE], "links": [{"target": "store"}], "resources": [{"name": "r", "capacity": 5, "members": []}]},
        "resources.0.members: must name at least one node (resource 'r' has no members)",
    ),
    "a member that is no node": (
        {
            "nodes": [STORE],
            "links": [{"target": "store"}],
            "resources": [{"name": "r", "capacity": 5, "members": ["stor"]}],
        },
        "resources.0.members: must be nodes (got 'stor'); did you mean 'store'?",
    ),
    "a storage that is too small for the start": (
        {
            "nodes": [STORE | {"initial_on_hand": 6}],
            "links": [{"target": "store"}],
            "resources": [{"name": "r", "kind": "storage", "capacity": 5, "members": ["store"]}],
        },
        "resources.0.capacity: must be at least the initial stock of its members, 6 (got 5)",
    ),
    "perishable parts of kits under LIFO": (
        {"nodes": [KIT[0] | {"shelf_life": 2, "issuing": "lifo"}, *KIT[1:]], "links": KIT_LINKS},
        "nodes.0.issuing: must be fifo on node 'part': its perishable units wait in kits at 'store'",
    ),
    "an issuing rule without a shelf life": (
        {"nodes": [STORE | {"issuing": "lifo"}], "links": [{"target": "store"}]},
        "nodes.0.issuing: needs a shelf_life on node 'store'",
    ),
    "a lateral link from outside": (
        {"nodes": [STORE], "links": [{"target": "store"}, {"name": "l", "target": "store", "lateral": True}]},
        "links.1.source: must be a node on the lateral link l",
    ),
    "a lateral link to itself": (
        {"nodes": [STORE], "links": [{"target": "store"}, {"source": "store", "target": "store", "lateral": True}]},
        "links.1.source: must be another node than the target on the lateral link store -> store",
    ),
    "a lateral link between perishables": (
        {
            "nodes": [STORE | {"shelf_life": 2}, OTHER],
            "links": [
                {"target": "store"},
                {"target": "other"},
                {"source": "store", "target": "other", "lateral": True},
            ],
        },
        "links.2.lateral: must be false: node 'store' is perishable, and a lateral would hide the age",
    ),
    "two quantities of one component": (
        {"nodes": [STORE], "links": [{"target": "store"}, {"name": "b", "target": "store", "quantity": 2}]},
        "links.1.quantity: must be 1, that of the other sources of component 'outside' (got 2)",
    ),
    "two links of one name": (
        {"nodes": [STORE], "links": [{"target": "store"}, {"target": "store"}]},
        "links.1: must be the only link outside -> store: give links between one pair of nodes names",
    ),
    "probabilities that do not sum to 1": (
        {
            "nodes": [STORE],
            "links": [{"target": "store", "lead_time": {"values": [1, 2], "probabilities": [0.5, 0.3]}}],
        },
        "links.0.lead_time: probabilities must sum to 1 (got 0.8)",
    ),
    "a part of a unit": (
        {"nodes": [STORE | {"capacity": 2.5}], "links": [{"target": "store"}]},
        "nodes.0.capacity: must be whole on a network of whole units (got 2.5)",
    ),
    "nobody who buys": (
        {
            "nodes": [{"name": "a"}, {"name": "b"}],
            "links": [
                *({"target": name} for name in "ab"),
                *({"source": one, "target": other, "lateral": True} for one, other in ("ab", "ba")),
            ],
        },
        "nodes: must have customers somewhere: give at least one node a demand",
    ),
}


@pytest.mark.parametrize("combination", IMPOSSIBLE)
def test_an_impossible_combination_is_named_with_its_place_and_rule(combination: str) -> None:
    data, message = IMPOSSIBLE[combination]
    with pytest.raises(NetworkError) as error:
        Network.from_dict(data)
    assert message in str(error.value).splitlines()


def test_lots_of_a_tenth_make_an_order_of_three_tenths() -> None:
    link = {"target": "store", "lot_size": 0.1, "max_order": 0.3, "min_order": 0.2}
    assert Network.from_dict({"nodes": [STORE], "links": [link], "units": "continuous"}).links[0].max_order == 0.3


def test_a_lead_time_of_probability_0_is_none() -> None:
    link = {"target": "store", "lead_time": {"values": [0, 3], "probabilities": [0.0, 1.0]}, "initial_in_transit": 4}
    network = Network.from_dict({"nodes": [STORE], "links": [link]})
    assert initial_state(network, 1).inventory_position[0, 0] == 12


def test_running_stock_that_does_not_fit_its_storage_is_told() -> None:
    room = [{"name": "r", "kind": "storage", "capacity": 3, "members": ["store"]}]
    network = Network.from_dict({"nodes": [STORE], "links": [{"target": "store"}], "resources": room})
    with pytest.raises(NetworkError, match=r"at least the initial stock of its members, 4 \(got 3\)"):
        network.with_running_stock()


SERIAL = make_problem("echelon/Serial-v0", periods=10, warm_up=0)
SCENARIOS = sample(SERIAL.network, periods=10, replications=3, seed=0)
UNRELIABLE = Network.from_dict(
    {"nodes": [STORE], "links": [{"target": "store", "lead_time": {"values": [1, 6]}, "yield_rate": 0.9}]}
)


@pytest.mark.parametrize("run", [simulate, simulate_cost])
def test_a_policy_of_another_network_is_refused(run: Any) -> None:
    policy = order_up_to(make_problem("echelon/LostSales-v0").network, [20.0])
    with pytest.raises(PolicyError, match="the policy has levels for 1 links, the network has 4"):
        run(SERIAL, policy, SCENARIOS)


@pytest.mark.parametrize("run", [simulate, simulate_cost])
@pytest.mark.parametrize(
    ("scenarios", "message"),
    [
        (Scenarios(np.full((3, 10, 1), np.nan)), "demand must be finite and at least 0 (got nan)"),
        (Scenarios(np.full((3, 10, 1), -1.0)), "demand must be finite and at least 0 (got -1.0)"),
        (Scenarios(np.ones((3, 9, 1))), "scenarios must have problem.periods = 10 periods (got 9)"),
        (Scenarios(np.ones((3, 10, 2))), "scenarios must have demand for 1 outlets (got shape (3, 10, 2))"),
        (
            replace(SCENARIOS, lead_time=np.full((3, 10, 4), 2)),
            "lead times must be those of the network's links",
        ),
    ],
)
def test_scenarios_that_do_not_fit_are_refused(run: Any, scenarios: Scenarios, message: str) -> None:
    policy = order_up_to(SERIAL.network, [5.0, 6.0, 5.0, 17.0])
    with pytest.raises(ScenarioError, match=re.escape(message)):
        run(SERIAL, policy, scenarios)


def test_scenarios_without_the_draws_that_a_network_needs_are_refused() -> None:
    problem = Problem("unreliable", UNRELIABLE, periods=10, warm_up=0)
    with pytest.raises(ScenarioError, match=re.escape("scenarios must have lead_time for 1 links (got none)")):
        simulate(problem, order_up_to(UNRELIABLE, [20.0]), Scenarios(np.ones((3, 10, 1))))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"review_period": 0}, "review_period must be a whole number of at least 1 (got 0)"),
        ({"review_period": 1.5}, "review_period must be a whole number of at least 1 (got 1.5)"),
        ({"lot": [-1.0] * 4}, "lot on link outside -> stage_1 must be at least 0 (got -1)"),
    ],
)
def test_a_rule_that_cannot_be_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(PolicyError, match=re.escape(message)):
        order_up_to(SERIAL.network, [5.0, 6.0, 5.0, 17.0], **options)


def test_reorder_lots_need_a_lot() -> None:
    with pytest.raises(PolicyError, match="lot must be greater than 0 on every link"):
        reorder_lots(SERIAL.network, [5.0] * 4, [0.0] * 4)


def test_levels_reach_the_position_that_alternative_sources_share() -> None:
    """A level that two suppliers of one store can order up to: the echelon of each counts the whole store."""
    nodes = [{"name": "a"}, {"name": "b"}, STORE | {"demand": {"law": "poisson", "mean": 10}}]
    into = [{"source": s, "target": "store", "component": "goods", "lead_time": 6} for s in "ab"]
    network = Network.from_dict({"nodes": nodes, "links": [{"target": "a", "lead_time": 1}, {"target": "b"}, *into]})
    flow = initial_state(network.with_running_stock(), 1).echelon_inventory_position[0]
    lowest, highest = Codec(network).level_range
    assert (lowest < flow).all()
    assert (flow < highest).all()
