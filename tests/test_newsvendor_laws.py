"""The newsvendor for every law, the distributions of scipy.stats, and a supplier that fails; loss functions."""

from __future__ import annotations

import doctest
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import integrate, stats

from echelon.baselines import newsvendor_disruptions as module
from echelon.baselines.lattice import hat_weights
from echelon.baselines.lead_time_demand import lead_time_demand
from echelon.baselines.loss_functions import (
    standard_normal_complementary_loss,
    standard_normal_complementary_second_loss,
    standard_normal_loss,
    standard_normal_second_loss,
)
from echelon.baselines.newsvendor import newsvendor, newsvendor_plan, newsvendor_profit
from echelon.baselines.newsvendor_disruptions import newsvendor_with_disruptions
from echelon.envs.demand import (
    AR1,
    Compound,
    Deterministic,
    Discrete,
    DiscreteUniform,
    Empirical,
    Gamma,
    Geometric,
    Intermittent,
    Law,
    NegativeBinomial,
    Normal,
    Poisson,
    Uniform,
)
from echelon.envs.errors import MethodError
from echelon.envs.network import Network
from echelon.envs.policy import order_up_to
from echelon.envs.problem import Problem
from echelon.envs.scenarios import sample
from echelon.envs.simulate import simulate

Floats = NDArray[np.float64]


@pytest.mark.parametrize(
    ("z", "loss", "complement"),
    [(-1.4, 1.436668142708465, 0.036668142708465), (0.3, 0.26676124211721, 0.56676124211721)],
)
def test_the_unit_normal_loss_is_that_of_the_tables(z: float, loss: float, complement: float) -> None:
    assert float(standard_normal_loss(z)) == pytest.approx(loss, rel=1e-12)
    assert float(standard_normal_complementary_loss(z)) == pytest.approx(complement, rel=1e-12)


@pytest.mark.parametrize(
    ("z", "loss", "complement"),
    [
        (-1.4, 1.46528937027904, 0.01471062972096),
        (0.3, 0.151030102587942, 0.393969897412058),
        (3.1, 6.956550901328958e-05, 5.304930434490987),
    ],
)
def test_the_second_order_loss_is_that_of_the_tables(z: float, loss: float, complement: float) -> None:
    assert float(standard_normal_second_loss(z)) == pytest.approx(loss, rel=1e-10)
    assert float(standard_normal_complementary_second_loss(z)) == pytest.approx(complement, rel=1e-12)


def test_losses_are_the_integrals_that_they_stand_for() -> None:
    z = np.array([-7.0, -2.0, 0.0, 1.5, 4.0, 8.0])
    for at, first, second in zip(z, standard_normal_loss(z), standard_normal_second_loss(z), strict=True):
        one = integrate.quad(lambda x, at=at: (x - at) * stats.norm.pdf(x), at, at + 40, limit=200, points=[max(at, 0)])
        two = integrate.quad(lambda x, at=at: (x - at) ** 2 / 2 * stats.norm.pdf(x), at, at + 40, limit=200)
        assert first == pytest.approx(one[0], rel=1e-7)
        assert second == pytest.approx(two[0], rel=1e-7)
    assert standard_normal_complementary_loss(z) == pytest.approx(standard_normal_loss(z) + z)
    total = standard_normal_second_loss(z) + standard_normal_complementary_second_loss(z)
    assert total == pytest.approx((z**2 + 1) / 2)


@pytest.mark.parametrize("z", [np.inf, -np.inf, np.nan])
def test_a_loss_needs_a_finite_argument(z: float) -> None:
    with pytest.raises(MethodError, match=f"^z must be finite, got {z:g}$"):
        standard_normal_loss([0.0, z])


def test_lognormal_demand_is_that_of_problem_4_8b() -> None:
    # Snyder & Shen (2019), Problem 4.8(b); quantile and quadrature.
    best = newsvendor(demand=stats.lognorm(0.3, scale=np.exp(6)), holding_cost=1, stockout_cost=0.1765)
    assert best.level == pytest.approx(295.6266448071368, rel=1e-12)
    assert best.cost == pytest.approx(29.44254358213529, rel=1e-10)


@pytest.mark.parametrize(
    ("law", "frozen"),
    [
        (Normal(mean=50, sd=8), stats.norm(50, 8)),
        (Gamma(mean=3, sd=2), stats.gamma(2.25, scale=4 / 3)),
        (Gamma(mean=1, sd=4), stats.gamma(1 / 16, scale=16)),
        (Uniform(low=2, high=5), stats.uniform(2, 3)),
    ],
)
@pytest.mark.parametrize("level", [None, 0.5, 4.0, 55.0])
def test_a_law_and_the_same_distribution_of_scipy_agree(law: Law, frozen: Any, level: float | None) -> None:
    own = newsvendor(demand=law, holding_cost=1, stockout_cost=7, level=level)
    other = newsvendor(demand=frozen, holding_cost=1, stockout_cost=7, level=level)
    assert other.level == pytest.approx(own.level, rel=1e-9)
    assert other.cost == pytest.approx(own.cost, rel=1e-8)


@pytest.mark.parametrize("frozen", [stats.weibull_min(0.7, scale=20), stats.t(3, loc=30), stats.beta(0.3, 0.5)])
def test_no_level_is_better_than_the_quantile(frozen: Any) -> None:
    best = newsvendor(demand=frozen, holding_cost=2, stockout_cost=5)
    for change in (-0.3, -0.01, 0.01, 0.3):
        other = newsvendor(demand=frozen, holding_cost=2, stockout_cost=5, level=best.level + change * frozen.std())
        assert other.cost >= best.cost
    shortage = integrate.quad(frozen.sf, best.level, np.inf, epsrel=1e-10, limit=500)[0]
    assert best.cost == pytest.approx(2 * (best.level - frozen.mean()) + 7 * shortage, rel=1e-6)


LAWS: list[Law] = [
    Poisson(mean=4.5),
    Geometric(mean=3),
    NegativeBinomial(mean=3, sd=4),
    DiscreteUniform(low=1, high=6),
    Discrete(values=(0, 1, 5), probabilities=(0.5, 0.3, 0.2)),
    Discrete(values=(0, 1.25, 5.5), probabilities=(0.5, 0.3, 0.2)),
    Discrete(values=(0, 2**0.5, np.pi), probabilities=(0.5, 0.3, 0.2)),
    Uniform(low=2, high=5),
    Normal(mean=20, sd=3),
    Gamma(mean=3, sd=2),
    Deterministic(values=(2.5,)),
    Empirical(values=(0, 1, 1, 7)),
    Compound(customers=Poisson(mean=2), size=Geometric(mean=2)),
    Intermittent(interval=3, size=Poisson(mean=4), shift=1),
    Intermittent(interval=3, size=Gamma(mean=4, sd=2)),
    Intermittent(interval=1.5, size=Uniform(low=1, high=2), shift=0.5),
    Intermittent(interval=2, size=Deterministic(values=(2.5,))),
]


@pytest.mark.parametrize("law", LAWS, ids=repr)
def test_every_law_has_the_level_and_the_cost_that_its_own_samples_give(law: Law) -> None:
    demand = law.quantile((np.arange(40_000) + 0.5) / 40_000)
    best = newsvendor(demand=law, holding_cost=1, stockout_cost=4)
    levels = np.append(np.linspace(demand.min(), demand.max(), 400), best.level)
    costs = np.array([np.mean(np.maximum(y - demand, 0) + 4 * np.maximum(demand - y, 0)) for y in levels])
    assert best.cost == pytest.approx(costs[-1], rel=2e-3, abs=1e-9)
    assert best.cost <= costs.min() * (1 + 2e-3) + 1e-9


@pytest.mark.parametrize("law", LAWS, ids=repr)
def test_the_level_over_a_lead_time_is_best_for_the_sum_of_the_periods(law: Law) -> None:
    demand = law.quantile(np.random.default_rng(3).random((60_000, 3))).sum(axis=1)
    best = newsvendor(demand=law, holding_cost=1, stockout_cost=4, lead_time=2)
    costs = np.maximum(best.level - demand, 0) + 4 * np.maximum(demand - best.level, 0)
    assert abs(costs.mean() - best.cost) <= 3.5 * costs.std() / len(demand) ** 0.5 + 1e-6
    for level in (best.level - 1, best.level + 1):
        assert newsvendor(demand=law, holding_cost=1, stockout_cost=4, lead_time=2, level=level).cost >= best.cost


@pytest.mark.parametrize(
    "law", [Intermittent(interval=3, size=Gamma(mean=4, sd=2)), Discrete(values=(0, 1.25), probabilities=(0.6, 0.4))]
)
def test_laws_on_a_grid_keep_their_moments(law: Law) -> None:
    total = lead_time_demand(law, 3)
    mean, sd = law.moments()
    assert total.mean == pytest.approx(3 * mean, rel=1e-12)
    assert total.sd == pytest.approx(3**0.5 * sd, rel=1e-5)


def test_weights_on_a_grid_keep_total_and_mean() -> None:
    total = lead_time_demand(Gamma(mean=3, sd=2), 1)
    weights = hat_weights(total, origin=0.0, step=0.25)
    assert weights.sum() == pytest.approx(1.0)
    assert 0.25 * np.arange(len(weights)) @ weights == pytest.approx(3.0)


@pytest.mark.parametrize(
    ("revenue", "cost", "salvage"), [(10.0, 4.0, 1.0), (10.0, 4.0, 3.9), (10.0, 9.5, 0.0), (10.0, 4.0, -2.0)]
)
@pytest.mark.parametrize("law", [Poisson(mean=30), Uniform(low=0, high=60), Normal(mean=30, sd=6)])
def test_a_season_with_salvage_stocks_the_critical_fractile(
    law: Law, revenue: float, cost: float, salvage: float
) -> None:
    best = newsvendor_profit(demand=law, revenue=revenue, purchase_cost=cost, salvage_value=salvage)
    fractile = (revenue - cost) / (revenue - salvage)
    assert best.critical_ratio == pytest.approx(fractile)
    demand = law.quantile((np.arange(100_000) + 0.5) / 100_000)
    assert best.level == pytest.approx(np.quantile(demand, fractile, method="inverted_cdf"), rel=1e-3)

    def profit(level: float) -> float:
        sold = np.minimum(level, demand)
        return float(np.mean(revenue * sold - cost * level + salvage * (level - sold)))

    assert best.profit == pytest.approx(profit(best.level), rel=1e-3)
    assert profit(best.level) >= max(profit(best.level + change) for change in (-5, -1, 1, 5)) - 1e-3


def test_demand_that_does_not_vary_is_stocked_exactly() -> None:
    for law, level in ((Deterministic(values=(2.5,)), 7.5), (Deterministic(values=(0,)), 0.0)):
        best = newsvendor(demand=law, holding_cost=1, stockout_cost=4, lead_time=2)
        assert [best.level, best.cost] == pytest.approx([level, 0.0], abs=1e-12)


@given(low=st.floats(0.1, 50), high=st.floats(0.1, 50))
@settings(max_examples=20, deadline=None)
def test_the_level_rises_with_the_stockout_cost(low: float, high: float) -> None:
    cheap, dear = sorted((low, high))
    levels = [newsvendor(demand=Poisson(mean=9), holding_cost=1, stockout_cost=p).level for p in (cheap, dear)]
    assert levels[0] <= levels[1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"demand": stats.cauchy()}, "demand must have a finite mean and variance, got mean nan and sd nan"),
        (
            {"demand": stats.poisson(3)},
            "demand must be a demand law or a frozen continuous distribution of scipy.stats, got rv_discrete_frozen",
        ),
        (
            {"demand": 5},
            "demand must be a demand law or a frozen continuous distribution of scipy.stats, got int",
        ),
        (
            {"demand": stats.norm(9, 2), "lead_time": 2},
            "lead_time must be 0 for a distribution of scipy.stats, whose sums are not known, got 2",
        ),
        ({"level": float("nan")}, "level must be finite, got nan"),
        ({"demand": AR1(mean=5, sd=1, correlation=0.5)}, "demand must be independent from period to period, got AR1"),
    ],
)
def test_what_the_newsvendor_cannot_take_is_named(changes: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {"demand": Poisson(mean=4), "holding_cost": 1, "stockout_cost": 3} | changes
    with pytest.raises(MethodError) as error:
        newsvendor(**arguments)
    assert str(error.value).startswith(message)


LUMPY = {
    "compound": {
        "law": "compound",
        "customers": {"law": "poisson", "mean": 2.0},
        "size": {"law": "geometric", "mean": 2.0},
    },
    "intermittent": {"law": "intermittent", "interval": 3.0, "size": {"law": "gamma", "mean": 4.0, "sd": 2.0}},
    "discrete": {"law": "discrete", "values": [0, 1.25, 5.5], "probabilities": [0.5, 0.3, 0.2]},
}


@pytest.mark.parametrize("law", LUMPY.values(), ids=LUMPY)
def test_the_plan_costs_what_its_model_says_for_lumpy_demand(law: dict[str, Any]) -> None:
    node = {"name": "store", "holding_cost": 1.0, "stockout_cost": 9.0, "demand": law}
    network = Network.from_dict({"nodes": [node], "links": [{"target": "store", "lead_time": 2, "unit_cost": 0.5}]})
    problem = Problem("store", network, periods=1_050, warm_up=50)
    plan = newsvendor_plan(problem)
    costs = simulate(problem, plan.policy, sample(network, periods=1_050, replications=4_000, seed=2)).cost
    error = costs.std(ddof=1) / len(costs) ** 0.5
    assert plan.model_cost is not None
    assert error < 3e-3 * plan.model_cost
    assert abs(costs.mean() - plan.model_cost) < 3 * error


# Snyder & Shen (2019), Example 9.3. Level given, level, cost.
EXAMPLE_9_3 = {
    "demand": 2000,
    "holding_cost": 0.25,
    "stockout_cost": 3,
    "disruption_prob": 0.04,
    "recovery_prob": 0.25,
}


@pytest.mark.parametrize(
    ("given_level", "level", "cost"),
    [(None, 8000, 2737.068965490435), (2000, 2000, 3310.344827558603), (12000, 12000, 3075.161637904759)],
)
def test_the_newsvendor_with_disruptions_is_that_of_example_9_3(
    given_level: float | None, level: float, cost: float
) -> None:
    best = newsvendor_with_disruptions(**EXAMPLE_9_3, level=given_level)
    assert best.level == level
    assert best.cost == pytest.approx(cost, rel=1e-10)


@pytest.mark.parametrize("down", [0.0, 0.04, 0.5, 1.0])
@pytest.mark.parametrize("up", [0.1, 0.25, 1.0])
def test_levels_under_disruptions_cost_what_a_sum_over_their_lengths_gives(down: float, up: float) -> None:
    lengths = np.arange(2_000)
    chances = np.append(1.0, down * (1.0 - up) ** lengths[:-1])
    chances *= up / (up + down)
    costs: dict[float, float] = {}
    for level in (0.0, 3.0, 5.0, 7.5, 10.0, 15.0, 20.0, 22.5, 50.0, 75.0, 100.0):
        asked = 5.0 * (lengths + 1)
        costs[level] = float((np.maximum(level - asked, 0) + 6 * np.maximum(asked - level, 0)) @ chances)
        model = newsvendor_with_disruptions(
            demand=5, holding_cost=1, stockout_cost=6, disruption_prob=down, recovery_prob=up, level=level
        )
        assert model.cost == pytest.approx(costs[level], rel=1e-9, abs=1e-9)
    best = newsvendor_with_disruptions(
        demand=5, holding_cost=1, stockout_cost=6, disruption_prob=down, recovery_prob=up
    )
    assert best.cost <= min(costs.values()) + 1e-9
    assert best.level / 5 - 1 == np.flatnonzero(np.cumsum(chances) >= 6 / 7 - 1e-12)[0]


def test_the_engine_charges_what_the_newsvendor_with_disruptions_says() -> None:
    node = {"name": "store", "holding_cost": 1.0, "stockout_cost": 6.0, "demand": {"law": "deterministic", "values": 5}}
    link = {"target": "store", "disruption": {"failure": 0.1, "repair": 0.3}}
    network = Network.from_dict({"nodes": [node], "links": [link]})
    problem = Problem("store", network, periods=2_200, warm_up=200)
    best = newsvendor_with_disruptions(
        demand=5, holding_cost=1, stockout_cost=6, disruption_prob=0.1, recovery_prob=0.3
    )
    scenarios = sample(network, periods=2_200, replications=2_000, seed=4)
    costs = simulate(problem, order_up_to(network, [best.level]), scenarios).cost
    error = costs.std(ddof=1) / len(costs) ** 0.5
    assert error < 3e-3 * best.cost
    assert abs(costs.mean() - best.cost) < 3 * error


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"demand": 0}, "demand must be a finite number greater than 0, got 0"),
        ({"holding_cost": 0}, "holding_cost must be a finite number greater than 0, got 0"),
        ({"stockout_cost": -1}, "stockout_cost must be a finite number greater than 0, got -1"),
        ({"disruption_prob": 1.5}, "disruption_prob must be between 0 and 1, got 1.5"),
        ({"recovery_prob": 0}, "recovery_prob must be above 0 and at most 1, got 0"),
        ({"level": -5}, "level must be a finite number of at least 0, got -5"),
    ],
)
def test_what_is_wrong_with_a_failing_supplier_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(MethodError) as error:
        newsvendor_with_disruptions(**EXAMPLE_9_3 | changes)
    assert str(error.value) == message


def test_examples_in_the_docstrings_hold() -> None:
    assert doctest.testmod(module).failed == 0
