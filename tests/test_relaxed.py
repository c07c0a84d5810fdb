"""The specialised dynamics against `step`, and the expected cost of a period against the sum over all demands."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

pytest.importorskip("torch")

import torch
from torch import Tensor

from echelon.agents.period_cost import PeriodCost
from echelon.agents.relaxed import Relaxed, relaxed
from echelon.agents.specialise import Traced
from echelon.envs.catalogue import PROBLEMS, lost_sales, make_problem, one_warehouse
from echelon.envs.codec import Codec
from echelon.envs.dynamics import initial_state, step
from echelon.envs.network import Network
from echelon.envs.scenarios import Scenarios, sample
from echelon.envs.state import STOCKS, Draw, State, on_backend

from .strategies import networks

CPU = torch.device("cpu")
BATCH, PERIODS = 3, 6


def scenarios_of(network: Network, batch: int = BATCH, periods: int = PERIODS) -> Scenarios:
    return sample(network, periods=periods, replications=batch, seed=1)


def draw_at(scenarios: Scenarios, period: int, like: Tensor) -> Draw:
    """The draws of a period on torch."""
    tables = {field.name: getattr(scenarios, field.name) for field in fields(Draw)}
    return Draw(**{k: None if x is None else torch.as_tensor(x[:, period].copy()).to(like) for k, x in tables.items()})


def random_orders(network: Network, seed: int) -> Tensor:
    """[T, B, E]"""
    mean = torch.as_tensor(Codec(network).mean, dtype=torch.float32)
    shape = (PERIODS, BATCH, len(network.links))
    return 2 * torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * (mean + 1)


def specification(network: Network, scenarios: Scenarios, orders: Tensor) -> tuple[list[State], Tensor]:
    """The states at every review, and the cost of all periods with its expected parts, by `step` itself."""
    state = initial_state(network.model_copy(update={"units": "continuous"}), BATCH, like=torch.zeros(1))
    states, cost, total = [state], PeriodCost(network), torch.zeros(())
    for t in range(PERIODS):
        following, ledger = step(states[-1], orders[t], draw_at(scenarios, t, orders))
        total = total + cost(states[-1], ledger).sum()
        states.append(following)
    return states, total


def program(dynamics: Relaxed, scenarios: Scenarios, orders: Tensor) -> tuple[list[tuple[Tensor, Tensor]], Tensor]:
    """What is seen at every review, and the cost of all periods, by the specialised program."""
    stocks, total = dynamics.start, torch.zeros(())
    seen = [dynamics.observe(stocks, 0)]
    for t, drawn in enumerate(dynamics.draws(scenarios)):
        *following, cost = dynamics.period(*stocks, orders[t], *drawn)
        stocks, total = tuple(following), total + cost.sum()
        seen.append(dynamics.observe(stocks, t + 1))
    return seen, total


def require_the_same(network: Network, seed: int = 0) -> None:
    """Observations, positions, costs and slopes of the program and of the specification."""
    scenarios = scenarios_of(network)
    orders, twin = (random_orders(network, seed).requires_grad_(True) for _ in range(2))
    states, cost = specification(network, scenarios, orders)
    seen, same_cost = program(relaxed(network, BATCH, CPU), scenarios, twin)
    torch.testing.assert_close(same_cost, cost, rtol=1e-4, atol=1e-3)
    codec = Codec(network)
    for state, (observation, position) in zip(states, seen, strict=True):
        plain = on_backend(detached(state), np.zeros(1))
        expected = codec.observe(plain)
        np.testing.assert_allclose(observation.detach().numpy(), expected, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(position, state.echelon_inventory_position, rtol=1e-4, atol=1e-3)
    slopes = []
    for total, leaf in ((cost, orders), (same_cost, twin)):
        if total.requires_grad:
            total.backward()  # type: ignore[no-untyped-call]
        slopes.append(torch.zeros_like(leaf) if leaf.grad is None else leaf.grad)
    torch.testing.assert_close(slopes[1], slopes[0], rtol=1e-3, atol=1e-3)


def detached(state: State) -> State:
    """The state on NumPy."""
    plain: dict[str, Any] = {name: getattr(state, name).detach().numpy().astype(np.float64) for name in STOCKS}
    return replace(state, **plain)


@pytest.mark.parametrize("problem_id", sorted(set(PROBLEMS) - {"echelon/ConsumerGoods-v0", "echelon/MinMaxCase-v0"}))
def test_the_specialised_dynamics_are_those_of_every_problem_in_the_catalogue(problem_id: str) -> None:
    require_the_same(make_problem(problem_id).network)


@settings(max_examples=6, deadline=None, derandomize=True, phases=[Phase.explicit, Phase.generate])
@given(networks(max_nodes=5, features=True), st.integers(0, 100))
def test_the_specialised_dynamics_are_those_of_any_network(network: Network, seed: int) -> None:
    require_the_same(network, seed)


def test_what_never_changes_is_left_out_of_the_program() -> None:
    """A single location that loses sales has stock and a pipeline, and its period is a few operations."""
    dynamics = relaxed(lost_sales(lead_time=4).network, BATCH, CPU)
    assert [tuple(stock.shape) for stock in dynamics.start] == [(BATCH, 1), (BATCH, 1, 4)]
    assert sum(node.op == "call_function" for node in dynamics.period.graph.nodes) <= 25


def test_an_argument_is_constant_only_if_no_other_can_change_it() -> None:
    """The second counts up, the third follows it a period later, and the first stays."""

    def following(a: Tensor, b: Tensor, c: Tensor) -> list[Tensor]:
        return [a * 1.0, b + 1, b * torch.ones_like(c)]

    example = [torch.full((2,), value) for value in (3.0, 0.0, 0.0)]
    traced = Traced.of(following, example)
    assert traced.unchanging(3) == {0}
    result = traced.specialised({0})(torch.full((2,), 5.0), torch.full((2,), 7.0))
    assert [value.tolist() for value in result] == [[3.0, 3.0], [6.0, 6.0], [5.0, 5.0]]


@pytest.mark.parametrize(
    "network",
    [
        lost_sales(lead_time=2).network,
        lost_sales(lead_time=0, stockout_cost=39.0).network,
        one_warehouse().network,
        make_problem("echelon/Serial-v0").network,
    ],
    ids=lambda network: network.name,
)
def test_the_expected_cost_of_a_period_is_the_mean_over_all_demands(network: Network) -> None:
    """Enumerated: the same state and orders with every demand of one outlet, the others at some demand."""
    scenarios = scenarios_of(network)
    orders = random_orders(network, 4)
    states, _ = specification(network, scenarios, orders)
    cost = PeriodCost(network)
    for t, state in enumerate(states[:-1]):
        drawn = draw_at(scenarios, t, orders)
        _, ledger = step(state, orders[t], drawn)
        expected = torch.zeros(BATCH)
        for c, law in enumerate(network.laws):
            chances = law.pmf()
            for demand, chance in enumerate(chances):
                other = drawn.demand.clone()
                other[:, c] = demand
                _, met = step(state, orders[t], replace(drawn, demand=other))
                expected += float(chance) * outlet_cost(network, met, c)
        rest = ledger.cost - sum(outlet_cost(network, ledger, c) for c in range(len(network.laws)))
        torch.testing.assert_close(cost(state, ledger), rest + expected, rtol=1e-4, atol=1e-3)


def outlet_cost(network: Network, ledger: Any, outlet: int) -> Tensor:
    """[B] holding and stockout costs of one outlet."""
    node = network.outlets[outlet]
    place = [n.name for n in network.nodes].index(node.name)
    short = ledger.backorders[:, outlet] + ledger.lost[:, outlet]
    cost: Tensor = node.holding_cost * ledger.on_hand[:, place] + node.stockout_cost * short
    return cost


def test_demand_with_a_price_is_charged_as_it_is_drawn() -> None:
    """Where revenue depends on the demand too, the ledger's own cost is the cost."""
    network = lost_sales(lead_time=1).network
    priced = network.model_copy(update={"nodes": (network.nodes[0].model_copy(update={"price": 3.0}),)})
    scenarios, orders = scenarios_of(priced), random_orders(priced, 2)
    state = initial_state(priced.model_copy(update={"units": "continuous"}), BATCH, like=torch.zeros(1))
    _, ledger = step(state, orders[0], draw_at(scenarios, 0, orders))
    torch.testing.assert_close(PeriodCost(priced)(state, ledger), ledger.cost)
