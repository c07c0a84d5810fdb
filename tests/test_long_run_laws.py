"""What must be true in the long run: simulated means and distributions against exact ones.

A mean is held to three standard errors of its own, over independent replications. A distribution is that of
the last period, one value per replication, and held by a chi-square test at the level of three standard errors.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from echelon.envs.network import Network
from echelon.envs.policy import Policy, order_up_to, reorder_lots
from echelon.envs.problem import Problem
from echelon.envs.scenarios import sample
from echelon.envs.simulate import Outcome, simulate
from echelon.envs.state import Ledger

Floats = NDArray[np.float64]

LEVEL_OF_TEST = 0.0027
"""Chance that a normal variable lies more than three standard deviations off."""
MANY = 20_000
"""Replications for a distribution."""


def store(
    mean: float, *, node: dict[str, Any] | None = None, link: dict[str, Any] | None = None, start: float = 0.0
) -> Network:
    """One store with Poisson demand, supplied from outside."""
    law = {"law": "poisson", "mean": mean}
    return Network.from_dict(
        {
            "nodes": [{"name": "store", "demand": law, "initial_on_hand": start, **(node or {})}],
            "links": [{"target": "store", **(link or {})}],
        }
    )


def run(
    network: Network,
    policy: Policy,
    *,
    periods: int,
    warm_up: int = 0,
    replications: int,
    trace: bool = False,
    seed: int = 1,
) -> Outcome:
    problem = Problem("law", network, periods=periods, warm_up=warm_up)
    scenarios = sample(network, periods=periods, replications=replications, seed=seed)
    return simulate(problem, policy, scenarios, trace=trace)


def last_level(network: Network, policy: Policy, *, periods: int) -> Floats:
    """[B] on hand less backorders at the end of the last period."""
    trace = run(network, policy, periods=periods, replications=MANY, trace=True).trace
    assert isinstance(trace, Ledger)
    return np.asarray(trace.on_hand[:, -1, 0] - trace.backorders[:, -1, 0])


def assert_distributed(sample: Floats, pmf: Floats) -> None:
    """A chi-square test of whole numbers [M] against P(0), P(1), ...; values that are rare count together."""
    assert sample.min() >= 0
    counts = np.bincount(sample.astype(np.int64), minlength=len(pmf)).astype(np.float64)
    expected = np.append(pmf, np.zeros(len(counts) - len(pmf))) * len(sample)
    common = expected >= 10
    observed = np.append(counts[common], counts[~common].sum())
    wanted = np.append(expected[common], len(sample) - expected[common].sum())
    assert wanted[-1] > 0.5
    assert common.sum() > 5
    assert stats.chisquare(observed, wanted).pvalue > LEVEL_OF_TEST


def assert_mean(sample: Floats, exact: float, *, bias: float = 0.0, precision: float = 0.01) -> None:
    """The mean of independent values [B] is the exact one; three standard errors are at most `precision` of it."""
    error = sample.std(ddof=1) / len(sample) ** 0.5
    assert 3 * error <= precision * abs(exact), "too few replications"
    assert abs(sample.mean() - exact) <= 3 * error + bias


@pytest.mark.parametrize("lead_time", [0, 1, 4])
def test_a_base_stock_level_leaves_what_the_demand_of_lead_time_and_review_has_not_taken(lead_time: int) -> None:
    network = store(4.0, link={"lead_time": lead_time})
    level = 30.0
    left = last_level(network, order_up_to(network, [level]), periods=lead_time + 3)
    assert_distributed(level - left, stats.poisson(4 * (lead_time + 1)).pmf(np.arange(70)))


@pytest.mark.parametrize(
    ("mean", "reorder", "up_to", "cost"),
    [
        (10, 6, 40, 35.0215552723),
        (21, 15, 65, 50.4060198929),
        (24, 18, 54, 53.5178648088),
        (35, 28, 77, 61.2154790477),
        (50, 42, 108, 70.9752123295),
    ],
)
def test_reorder_point_and_order_up_to_level_cost_what_zheng_and_federgruen_print(
    mean: float, reorder: float, up_to: float, cost: float
) -> None:
    """Y.-S. Zheng and A. Federgruen, Operations Research 39(4), 1991: K = 64, h = 1, b = 9, lead time 0."""
    network = store(float(mean), node={"holding_cost": 1.0, "stockout_cost": 9.0}, link={"fixed_cost": 64.0})
    policy = order_up_to(network, [up_to], reorder=[reorder])
    assert_mean(run(network, policy, periods=1_050, warm_up=50, replications=1_000).cost, cost)


@pytest.mark.parametrize(
    ("rate", "lead_time", "holding", "stockout", "fixed", "reorder", "lot", "cost", "parts"),
    [
        (1.5, 2.0, 20.0, 150.0, 100.0, 3, 5, 107.9235806331, 8),
        (12.0, 0.5, 4.0, 28.0, 4.0, 6, 7, 28.2413128422, 12),
        (50.0, 1.0, 10.0, 25.0, 1.0, 50, 7, 95.46105689347914, 25),
        (50.0, 1.0, 10.0, 100.0, 1.0, 56, 7, 142.8095083712253, 25),
    ],
    ids=["Snyder-Shen example 5.8", "Snyder-Shen problem 5.2", "own instance 1", "own instance 2"],
)
def test_reorder_point_and_lot_cost_what_continuous_review_says(
    rate: float,
    lead_time: float,
    holding: float,
    stockout: float,
    fixed: float,
    reorder: float,
    lot: float,
    cost: float,
    parts: int,
) -> None:
    """(r, Q) in continuous time, with the lead time cut into periods: Federgruen and Zheng (1992).

    At review the position is uniform on r + 1, ..., r + Q in both, and after `parts` - 1 periods on the way
    the level at the end of a period is the position less the demand of the whole lead time: holding and
    stockout cost are the same. Only orders of more than one lot differ: a period has fewer of them than
    of lots, by E[(D - Q)+] / Q, whose cost is the bias.
    """
    period = lead_time / parts
    network = store(
        rate * period,
        node={"holding_cost": holding * period, "stockout_cost": stockout * period},
        link={"lead_time": parts - 1, "fixed_cost": fixed},
        start=reorder + lot,
    )
    demand = np.arange(200)
    beyond = np.maximum(demand - lot, 0) @ stats.poisson(rate * period).pmf(demand)
    bias = fixed * beyond / lot / period
    assert bias < 2e-4 * cost
    outcome = run(network, reorder_lots(network, [reorder], [lot]), periods=1_500, warm_up=300, replications=1_000)
    assert_mean(outcome.cost / period, cost, bias=bias, precision=0.015)


def effective_lead_time(chances: Floats) -> Floats:
    """P(0), P(1), ... of a lead time whose shipments do not overtake: the largest of L(t), L(t - 1) - 1, ..."""
    below = np.append(np.cumsum(chances), np.ones(len(chances)))
    at_most = np.array([below[k : k + len(chances)].prod() for k in range(len(chances))])
    return np.diff(at_most, prepend=0.0)


def test_a_random_lead_time_adds_its_variance_times_the_squared_mean_demand() -> None:
    chances = np.array([0, 0.5, 0.3, 0, 0, 0.2])
    lead_time = {"values": [1, 2, 5], "probabilities": [0.5, 0.3, 0.2], "crossover": False}
    network = store(4.0, link={"lead_time": lead_time})
    level = 60.0
    taken = level - last_level(network, order_up_to(network, [level]), periods=25)
    effective = effective_lead_time(chances)
    k = np.arange(len(effective))
    mean = float(effective @ k)
    variance = (mean + 1) * 4 + 4**2 * float(effective @ (k - mean) ** 2)  # E[L + 1] sigma^2 + mu^2 Var[L]
    assert_mean(taken, 4 * (mean + 1), precision=0.02)
    assert_mean((taken - 4 * (mean + 1)) ** 2, variance, precision=0.05)
    assert_distributed(taken, effective @ stats.poisson(4 * (k[:, None] + 1)).pmf(np.arange(90)))


@pytest.mark.parametrize("broken", ["node", "link"])
def test_what_is_disrupted_serves_in_the_stationary_share_of_the_periods(broken: str) -> None:
    disruption = {"failure": 0.05, "repair": 0.2}
    node: dict[str, Any] = {"stockout_rule": "lost_sales", "demand": {"law": "deterministic", "values": [1]}}
    link: dict[str, Any] = {"unfilled": "drop"}
    (node if broken == "node" else link)["disruption"] = disruption
    # One unit is ordered for the one customer of each period, who gets it if both are up.
    network = store(1.0, node=node, link=link)
    outcome = run(network, order_up_to(network, [1]), periods=1_100, warm_up=100, replications=500)
    assert_mean(outcome.per_period["sold"][:, 0], 0.2 / (0.05 + 0.2))
    assert_mean(outcome.per_period["lost"][:, 0], 0.05 / (0.05 + 0.2), precision=0.03)


@pytest.mark.parametrize("issuing", ["fifo", "lifo"])
@pytest.mark.parametrize("lead_time", [0, 1])
def test_waste_at_a_life_of_two_periods_is_that_of_the_markov_chain(issuing: str, lead_time: int) -> None:
    level, mean = 7, 4.0
    node = {"shelf_life": 2, "issuing": issuing, "stockout_rule": "lost_sales"}
    network = store(mean, node=node, link={"lead_time": lead_time})
    outcome = run(network, order_up_to(network, [level]), periods=1_050, warm_up=50, replications=1_000)
    waste, lost, left = two_period_life(level, mean, lead_time, issuing)
    for name, exact in {"scrapped": waste, "lost": lost, "on_hand": left}.items():
        assert_mean(outcome.per_period[name][:, 0], exact, precision=0.02)


def two_period_life(level: int, mean: float, lead_time: int, issuing: str) -> tuple[float, float, float]:
    """Exact waste, lost sales and end stock per period of a base-stock level, by the chain of (old, fresh) units."""
    chances = stats.poisson(mean).pmf(np.arange(40))
    share = {(0, level if lead_time == 0 else 0): 1.0}
    for _ in range(400):
        waste = lost = left = 0.0
        following: dict[tuple[int, int], float] = {}
        for (old, fresh), weight in share.items():
            for demand, chance in enumerate(chances):
                first, second = (old, fresh) if issuing == "fifo" else (fresh, old)
                rest = max(demand - first, 0)
                first, second = max(first - demand, 0), max(second - rest, 0)
                expired, kept = (first, second) if issuing == "fifo" else (second, first)
                ordered = level - (old + fresh if lead_time else kept)
                after = (kept, ordered)
                p = weight * chance
                following[after] = following.get(after, 0.0) + p
                waste, left = waste + p * expired, left + p * (expired + kept)
                lost += p * max(demand - old - fresh, 0)
        share = following
    return waste, lost, left


def test_the_spoiled_share_is_what_the_yield_leaves() -> None:
    spread = {"values": [0.35, 0.8, 1.0], "probabilities": [0.2, 0.5, 0.3]}
    for yield_rate, usable in ((spread, 0.77), (0.83, 0.83)):
        network = store(5.0, link={"lead_time": 2, "yield_rate": yield_rate})
        outcome = run(network, lambda state: np.full((state.batch, 1), 7.0), periods=210, warm_up=10, replications=500)
        assert_mean(outcome.per_period["defective"][:, 0], 7 * (1 - usable))
        assert_mean(outcome.per_period["made"][:, 0], 7 * usable)


def test_the_stated_fraction_of_the_customers_who_find_nothing_waits() -> None:
    network = store(5.0, node={"stockout_rule": 0.3}, link={"lead_time": 2})
    outcome = run(network, order_up_to(network, [12]), periods=600, warm_up=50, replications=500)
    quantities = {name: outcome.per_period[name][:, 0] for name in ("demand", "sold", "lost", "delivered")}
    short = quantities["demand"] - quantities["sold"]
    # Given who finds nothing, 0.7 of them are lost on average: what is lost beyond that has mean 0.
    assert_mean(short.mean() * 0.7 + quantities["lost"] - 0.7 * short, 0.7 * short.mean())
    assert_mean(quantities["delivered"] + quantities["lost"], 5.0)


def shortfall_after(periods: int, mean: float, capacity: int, most: int = 400) -> Floats:
    """P(0), P(1), ... of the shortfall V after some periods from 0: V' = max(V + D - capacity, 0), Tayur (1993)."""
    demand = stats.poisson(mean).pmf(np.arange(most))
    shortfall = np.zeros(most)
    shortfall[0] = 1.0
    for _ in range(periods):
        total = np.convolve(shortfall, demand)
        shortfall = np.append(total[: capacity + 1].sum(), total[capacity + 1 : capacity + most])
    return shortfall


@pytest.mark.parametrize("limited", ["node", "link"])
@pytest.mark.parametrize("lead_time", [0, 2])
def test_a_capacity_leaves_the_shortfall_of_a_queue(limited: str, lead_time: int) -> None:
    level, capacity, periods = 40.0, 5, 60
    part: dict[str, Any] = {"link": {"lead_time": lead_time}}
    part[limited] = {**part.get(limited, {}), "capacity": float(capacity)}
    network = store(4.0, **part, start=level)
    taken = level - last_level(network, order_up_to(network, [level]), periods=periods)
    # The queue is in front of the link, or after the lead time in front of the plant: it knows the same demands.
    shortfall = shortfall_after(periods - 1 - lead_time, 4.0, capacity)
    assert_distributed(taken, np.convolve(shortfall, stats.poisson(4.0 * (lead_time + 1)).pmf(np.arange(120))))
