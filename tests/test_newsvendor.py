"""The newsvendor and the laws of lead-time demand, against textbook figures and closed forms."""

from __future__ import annotations

import doctest
import math
from itertools import product
from math import comb, factorial

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from echelon.baselines import newsvendor as module
from echelon.baselines.lattice import convolve
from echelon.baselines.lead_time_demand import lead_time_demand
from echelon.baselines.newsvendor import newsvendor, newsvendor_profit
from echelon.baselines.total_demand import LatticeTotal
from echelon.envs.demand import (
    Deterministic,
    DiscreteUniform,
    Empirical,
    Gamma,
    Geometric,
    Law,
    NegativeBinomial,
    Normal,
    Poisson,
    Uniform,
)
from echelon.envs.errors import MethodError

Floats = NDArray[np.float64]

EXAMPLE_4_3 = Normal(mean=50, sd=8)

# Snyder & Shen, Fundamentals of Supply Chain Theory (2nd ed., 2019), as stated by stockpyl's tests; each
# recomputed from the closed form. Name, demand, h, p, lead time, level given, level, cost.
TEXTBOOK = [
    ("example 4.3 at 40", EXAMPLE_4_3, 0.18, 0.70, 0, 40.0, 40.0, 7.356131552870388),
    ("example 4.3 at 60", EXAMPLE_4_3, 0.18, 0.70, 0, 60.0, 60.0, 2.156131552870387),
    ("example 4.3", EXAMPLE_4_3, 0.18, 0.70, 0, None, 56.60395592743389, 1.9976051931766445),
    ("problem 4.1", Normal(mean=900, sd=60), 43, 79, 0, None, 922.7214038234755, 2718.196781782411),
    ("example 4.4", EXAMPLE_4_3, 0.18, 0.70, 4, None, 264.7668943741548, 4.466781004149578),
    ("example 4.4 at 180", EXAMPLE_4_3, 0.18, 0.70, 4, 180.0, 180.0, 49.000164748034095),
    ("example 4.7", Poisson(mean=6), 1, 4, 0, None, 8.0, 3.570106945770946),
    ("problem 4.8a", Poisson(mean=18), 200, 270, 0, None, 19.0, 786.0884409351115),
    ("problem 4.8a at 13", Poisson(mean=18), 200, 270, 0, 13.0, 13.0, 1445.751062891969),
    ("problem 4.19", Poisson(mean=18), 0.08, 1.25, 4, None, 105.0, 1.5450188691551778),
]


@pytest.mark.parametrize(
    ("demand", "holding", "stockout", "lead_time", "given", "level", "cost"),
    [row[1:] for row in TEXTBOOK],
    ids=[row[0] for row in TEXTBOOK],
)
def test_newsvendor_reproduces_the_textbook(
    demand: Law, holding: float, stockout: float, lead_time: int, given: float | None, level: float, cost: float
) -> None:
    result = newsvendor(demand=demand, holding_cost=holding, stockout_cost=stockout, lead_time=lead_time, level=given)
    assert result.level == pytest.approx(level, rel=1e-12)
    assert result.cost == pytest.approx(cost, rel=1e-12)


@pytest.mark.parametrize(
    ("demand", "revenue", "purchase", "salvage", "level", "profit"),
    [
        (Normal(mean=50, sd=8), 1, 0.3, 0.12, 56.60395592743389, 33.002394806823354),
        (Normal(mean=50, sd=10), 7, 2.5, 1.5, 59.084578685373856, 210.47680825231475),
    ],
    ids=["example 4.2", "problem 4.3b"],
)
def test_profit_form_reproduces_the_textbook(
    demand: Law, revenue: float, purchase: float, salvage: float, level: float, profit: float
) -> None:
    result = newsvendor_profit(demand=demand, revenue=revenue, purchase_cost=purchase, salvage_value=salvage)
    assert result.level == pytest.approx(level, rel=1e-12)
    assert result.profit == pytest.approx(profit, rel=1e-12)


def test_profit_is_what_enumeration_gives() -> None:
    demand = DiscreteUniform(low=0, high=9)
    best = newsvendor_profit(demand=demand, revenue=10, purchase_cost=4, salvage_value=-1)
    profits = [np.mean([10 * min(y, d) - 4 * y - 1 * max(y - d, 0) for d in range(10)]) for y in range(10)]
    assert best.profit == pytest.approx(max(profits))
    assert best.level == int(np.argmax(profits))


def test_level_is_the_smallest_optimum_when_two_levels_tie() -> None:
    result = newsvendor(demand=DiscreteUniform(low=0, high=9), holding_cost=1, stockout_cost=9)
    assert result.level == 8.0
    assert result.cost == pytest.approx(
        newsvendor(demand=DiscreteUniform(low=0, high=9), holding_cost=1, stockout_cost=9, level=9).cost
    )


LAWS: list[Law] = [
    Poisson(mean=4.5),
    Poisson(mean=2, seasonal=(1.5,)),
    Geometric(mean=3),
    NegativeBinomial(mean=3, sd=4),
    DiscreteUniform(low=1, high=6),
    DiscreteUniform(low=1, high=6, seasonal=(0.5, 0.5)),
    Uniform(low=2, high=5),
    Normal(mean=10, sd=2),
    Gamma(mean=3, sd=2),
    Deterministic(values=(2.5,)),
    Empirical(values=(0, 1, 1, 7)),
    Empirical(values=(0.25, 1.5, 1.5, 7)),
    Empirical(values=(2**0.5, np.pi, math.e)),
]


@pytest.mark.parametrize("law", LAWS, ids=repr)
@pytest.mark.parametrize("periods", [1, 5])
def test_total_has_the_moments_of_independent_periods(law: Law, periods: int) -> None:
    total = lead_time_demand(law, periods)
    mean, sd = law.moments(law.seasonal[0] if law.seasonal else 1.0)
    assert total.mean == pytest.approx(periods * mean, rel=1e-5)
    assert total.sd == pytest.approx(periods**0.5 * sd, rel=1e-5)


@pytest.mark.parametrize("law", LAWS, ids=repr)
def test_shortage_excess_cdf_and_quantile_agree_with_one_another(law: Law) -> None:
    total = lead_time_demand(law, 3)
    low, high = total.bounds
    levels = np.linspace(low - 1, high + 1, 4001)
    shortage, excess = total.shortage(levels), total.excess(levels)
    scale = max(total.mean, 1.0)
    np.testing.assert_allclose(excess - shortage, levels - total.mean, atol=1e-11 * scale)
    assert np.all(np.diff(shortage) <= 1e-12 * scale)
    np.testing.assert_allclose(shortage[[0, -1]], [total.mean - levels[0], 0.0], atol=1e-11 * scale)
    # The shortage falls at the rate P(X > level), which lies between the rates at both ends of a step.
    rate = -np.diff(shortage) / np.diff(levels)
    assert np.all(rate <= 1 - total.cdf(levels[:-1]) + 1e-8)
    assert np.all(rate >= 1 - total.cdf(levels[1:]) - 1e-8)
    for probability in (0.01, 0.5, 0.9, 0.999):
        level = total.quantile(probability)
        assert total.cdf(level) >= probability - 1e-9
        assert total.cdf(level - 1e-6 * scale) <= probability + 1e-9


@pytest.mark.parametrize(("mean", "periods"), [(0.01, 1.0), (4.0, 2.5), (150.0, 3.0)])
def test_poisson_total_keeps_its_relative_accuracy_far_into_the_tail(mean: float, periods: float) -> None:
    total = lead_time_demand(Poisson(mean=mean), periods)
    assert isinstance(total, LatticeTotal)
    values = total.origin + np.arange(len(total.pmf))
    np.testing.assert_allclose(total.pmf, stats.poisson.pmf(values, mean * periods), rtol=1e-11)


def test_geometric_total_is_negative_binomial_and_equals_direct_convolution() -> None:
    total = lead_time_demand(Geometric(mean=3), 4)
    assert isinstance(total, LatticeTotal)
    one: Floats = 0.25 * np.power(0.75, np.arange(200, dtype=np.float64))
    four = convolve(convolve(one, one), convolve(one, one))
    np.testing.assert_allclose(total.pmf[:150], four[:150], rtol=1e-12)


def test_discrete_total_is_what_enumeration_gives() -> None:
    values = (0, 1, 1, 4)
    total = lead_time_demand(Empirical(values=values), 4)
    sums = np.array([sum(path) for path in product(values, repeat=4)], dtype=np.float64)
    for level in (-1.0, 0.0, 3.0, 6.5, 16.0, 20.0):
        assert float(total.cdf(level)) == pytest.approx(np.mean(sums <= level))
        assert float(total.shortage(level)) == pytest.approx(np.mean(np.maximum(sums - level, 0)))
        assert float(total.excess(level)) == pytest.approx(np.mean(np.maximum(level - sums, 0)))


@pytest.mark.parametrize("periods", [1, 2, 3, 8])
def test_uniform_total_follows_irwin_and_hall(periods: int) -> None:
    total = lead_time_demand(Uniform(low=0, high=1), periods)
    levels = np.linspace(0, periods, 41)
    steps = [(-1.0) ** k * comb(periods, k) * np.maximum(levels - k, 0) ** periods for k in range(periods + 1)]
    np.testing.assert_allclose(total.cdf(levels), np.sum(steps, axis=0) / factorial(periods), atol=1e-6)


def test_gamma_total_equals_quadrature() -> None:
    total = lead_time_demand(Gamma(mean=3, sd=2), 2.5)
    law = stats.gamma((7.5 / total.sd) ** 2, scale=total.sd**2 / 7.5)
    assert float(total.cdf(9.0)) == pytest.approx(law.cdf(9.0))
    assert float(total.shortage(9.0)) == pytest.approx(law.expect(lambda x: x - 9.0, lb=9.0), rel=1e-6)


def test_zero_periods_have_no_demand() -> None:
    total = lead_time_demand(Poisson(mean=5), 0)
    assert (total.mean, total.sd, total.quantile(0.99)) == (0.0, 0.0, 0.0)


def test_long_convolutions_by_transform_agree_with_direct_ones() -> None:
    a = np.random.default_rng(1).random(500)
    np.testing.assert_allclose(convolve(a, a, direct=0), convolve(a, a), rtol=1e-11)


@pytest.mark.parametrize(
    ("law", "duration", "message"),
    [
        (Poisson(mean=5, seasonal=(1, 2)), 1, "demand must have the same law in every period, got Poisson"),
        (Deterministic(values=(1, 2)), 1, "same law in every period, got Deterministic"),
        (Empirical(values=(1, 2, 3), block=2), 1, "got Empirical demand that depends on the past"),
        (DiscreteUniform(low=0, high=3), 1.5, "whole number of periods for DiscreteUniform demand, got 1.5"),
        (Poisson(mean=5), -1, "lead time must be a finite number of at least 0 periods, got -1"),
    ],
)
def test_law_that_does_not_fit_is_named(law: Law, duration: float, message: str) -> None:
    with pytest.raises(MethodError, match=message):
        lead_time_demand(law, duration)


@pytest.mark.parametrize(
    ("holding", "stockout", "lead_time", "message"),
    [
        (0.0, 1.0, 0.0, "holding_cost must be a finite number greater than 0, got 0"),
        (-2.0, 1.0, 0.0, "holding_cost must be a finite number greater than 0, got -2"),
        (1.0, 0.0, 0.0, "stockout_cost must be a finite number greater than 0, got 0"),
        (1.0, float("nan"), 0.0, "stockout_cost must be a finite number greater than 0, got nan"),
        (1.0, 1.0, -1.0, "lead_time must be a finite number of at least 0, got -1"),
    ],
)
def test_newsvendor_names_the_argument_that_is_wrong(
    holding: float, stockout: float, lead_time: float, message: str
) -> None:
    with pytest.raises(MethodError, match=message):
        newsvendor(demand=Poisson(mean=5), holding_cost=holding, stockout_cost=stockout, lead_time=lead_time)


@pytest.mark.parametrize(
    ("revenue", "purchase", "salvage", "message"),
    [
        (5.0, 5.0, 1.0, "revenue must be above purchase_cost = 5, got 5"),
        (9.0, 5.0, 5.0, "salvage_value must be below purchase_cost = 5, got 5"),
    ],
)
def test_profit_form_names_the_price_that_is_wrong(
    revenue: float, purchase: float, salvage: float, message: str
) -> None:
    with pytest.raises(MethodError, match=message):
        newsvendor_profit(demand=Poisson(mean=5), revenue=revenue, purchase_cost=purchase, salvage_value=salvage)


def test_examples_in_the_docstrings_hold() -> None:
    assert doctest.testmod(module).failed == 0
