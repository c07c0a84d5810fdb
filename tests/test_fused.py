"""The fused rollout against the specification, and against itself in other blocks, threads and layouts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from echelon.envs import _fused, _fused_kernel
from echelon.envs._fused import can_fuse, plain, rollout_cost
from echelon.envs._fused_plan import _comparators
from echelon.envs.catalogue import make_problem
from echelon.envs.network import Link, Network, Node
from echelon.envs.policy import OrderUpTo, order_up_to
from echelon.envs.problem import Problem
from echelon.envs.scenarios import Floats, Scenarios, sample
from echelon.envs.simulate import simulate

from .strategies import networks, quantities

TREES = ("serial", "distribution")


@st.composite
def rules(draw: st.DrawFn, network: Network, *, jumps: bool) -> OrderUpTo:
    """A parametric rule: with `jumps` of any kind, else base stock, capped or not."""
    count = len(network.links)

    def levels(highest: int) -> list[float]:
        level = quantities(highest, whole=network.whole_units)
        return draw(st.lists(level, min_size=count, max_size=count))

    up_to = levels(30)
    return order_up_to(
        network,
        up_to,
        reorder=[max(0.0, s - gap) for s, gap in zip(up_to, levels(8), strict=True)] if jumps else None,
        cap=levels(12) if draw(st.booleans()) else None,
        lot=levels(5) if jumps and draw(st.booleans()) else None,
        position=draw(st.sampled_from(["installation", "echelon"])),
        review_period=draw(st.integers(1, 3)),
    )


@st.composite
def runs(draw: st.DrawFn, *, whole: bool) -> tuple[Problem, OrderUpTo]:
    """A problem on a plain network, with a warm-up, a discount or neither, and a rule that can be fused."""
    network = draw(networks(shapes=TREES, whole=whole))
    if not whole:
        links = tuple(link.model_copy(update={"fixed_cost": 0.0}) for link in network.links)
        network = network.model_copy(update={"links": links})
    periods = draw(st.integers(1, 30))
    discount = draw(st.sampled_from([1.0, 0.9]))
    warm_up = draw(st.integers(0, periods - 1)) if discount == 1.0 else 0
    problem = Problem("p", network, periods=periods, warm_up=warm_up, discount=discount)
    return problem, draw(rules(network, jumps=whole))


def specified(problem: Problem, rule: OrderUpTo, demand: Floats) -> Floats:
    """[B] the cost by the specification, step by step."""
    return simulate(problem, lambda state: rule(state), Scenarios(demand), backend="specification").cost


def fused(problem: Problem, rule: OrderUpTo, demand: Floats, **options: Any) -> Floats:
    """[B] the cost by the fused rollout."""
    assert can_fuse(problem.network, rule)
    return rollout_cost(problem.network, rule, demand, problem.weights, **options)


def demand_of(problem: Problem, replications: int) -> Floats:
    """[B, T, C]"""
    return sample(problem.network, periods=problem.periods, replications=replications, seed=1).demand


@settings(max_examples=150, deadline=None)
@given(runs(whole=True), st.integers(1, 20))
def test_costs_in_whole_units_are_those_of_the_specification(run: tuple[Problem, OrderUpTo], batch: int) -> None:
    problem, rule = run
    demand = demand_of(problem, batch)
    np.testing.assert_allclose(fused(problem, rule, demand), specified(problem, rule, demand), rtol=1e-12, atol=1e-12)


@settings(max_examples=80, deadline=None)
@given(runs(whole=False), st.integers(1, 20))
def test_costs_in_continuous_units_are_those_of_the_specification(run: tuple[Problem, OrderUpTo], batch: int) -> None:
    problem, rule = run
    demand = demand_of(problem, batch)
    np.testing.assert_allclose(fused(problem, rule, demand), specified(problem, rule, demand), rtol=1e-9, atol=1e-9)
