"""Calendars, demand that depends on the past, and lumpy demand: hand-worked values, exact laws, simulation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import integrate, stats

from echelon.envs.demand import (
    AR1,
    Compound,
    Deterministic,
    Empirical,
    Gamma,
    Geometric,
    Intermittent,
    Law,
    MarkovModulated,
    NegativeBinomial,
    Normal,
    Poisson,
    Promotion,
    Uniform,
    as_law,
)
from echelon.envs.demand_history import joint_defects
from echelon.envs.demand_lumpy import panjer
from echelon.envs.errors import DemandError

Floats = NDArray[np.float64]

MARKET = {
    "law": "markov_modulated",
    "regimes": [
        {"name": "calm", "demand": {"law": "poisson", "mean": 2}},
        {"name": "busy", "demand": {"law": "negative_binomial", "mean": 10, "sd": 5}},
    ],
    "transition": [[0.9, 0.1], [0.3, 0.7]],
}
"""In the long run the market is calm three periods out of four."""
SATURDAYS = Promotion(start=5, every=7, uplift=3)


def uniform(replications: int, periods: int, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).random((replications, periods))


def autocorrelation(demand: Floats, lag: int = 1) -> float:
    """Of demand [B, T] over all replications."""
    return float(np.corrcoef(demand[:, :-lag].ravel(), demand[:, lag:].ravel())[0, 1])


def test_promotions_multiply_the_mean_while_they_are_on() -> None:
    law = Deterministic(
        values=(10,), promotions=(Promotion(start=2, length=2, uplift=1.5), Promotion(start=1, every=3, uplift=2))
    )
    #      0   1   2   3   4   5   6   7   8
    path = [10, 20, 15, 15, 20, 10, 10, 20, 10]
    np.testing.assert_array_equal(law.sample(np.zeros((1, 9)))[0], path)
    np.testing.assert_array_equal(law.sample(np.zeros((1, 5)), start=4)[0], path[4:])


def test_season_promotions_and_trend_multiply_one_another() -> None:
    law = Deterministic(
        values=(100,), seasonal=(1, 2), promotions=(Promotion(start=1, length=2, uplift=0.5),), trend=0.25
    )
    np.testing.assert_array_equal(law.sample(np.zeros((1, 4)))[0], [100, 2 * 0.5 * 125, 0.5 * 150, 2 * 175])


def test_a_linear_trend_adds_the_same_every_period_and_ends_at_zero() -> None:
    np.testing.assert_allclose(Poisson(mean=5, trend=0.2).factors(4), [1, 1.2, 1.4, 1.6])
    np.testing.assert_allclose(Poisson(mean=5, trend=-0.4).factors(5), [1, 0.6, 0.2, 0, 0], atol=1e-15)
    demand = Poisson(mean=5, trend=-0.4).sample(uniform(1_000, 5))
    assert demand[:, 2].mean() == pytest.approx(1, abs=0.1)
    assert (demand[:, 3:] == 0).all()


def test_growth_is_compound() -> None:
    np.testing.assert_allclose(Poisson(mean=5, growth=0.1).factors(3, start=2), [1.21, 1.331, 1.4641])
    np.testing.assert_allclose(Poisson(mean=5, growth=-0.5).factors(3), [1, 0.5, 0.25])


def test_the_long_run_mean_counts_repeated_promotions_and_neither_single_ones_nor_trends() -> None:
    law = Poisson(mean=7, promotions=(SATURDAYS, Promotion(start=3, length=9, uplift=4)), trend=0.1, growth=-0.01)
    assert law.cycle == 7
    assert law.mean_demand == pytest.approx((6 * 7 + 21) / 7)
    # A mixture of Poisson(7) and Poisson(21): the variance within is the mean, and 9 less the mean deviate between.
    assert law.sd_demand**2 == pytest.approx(9 + (6 * 2**2 + 12**2) / 7)
    assert not law.stationary


def test_a_cycle_is_the_common_multiple_of_season_and_promotions() -> None:
    law = Poisson(mean=5, seasonal=(1, 2), promotions=(Promotion(start=4, every=3, uplift=5),))
    assert law.cycle == 6
    np.testing.assert_array_equal(law.cycle_factors, [1, 10, 1, 2, 5, 2])
    np.testing.assert_array_equal(law.factors(12)[6:], law.cycle_factors)
    assert law.mean_demand == pytest.approx(5 * 21 / 6)
    assert Poisson(mean=5, seasonal=(2, 2)).cycle == 1


def test_only_a_calendar_that_changes_nothing_leaves_demand_stationary() -> None:
    assert Poisson(mean=5, promotions=(Promotion(start=3, uplift=1),)).stationary
    assert not Poisson(mean=5, promotions=(Promotion(start=3, uplift=2),)).stationary
    assert not Poisson(mean=5, trend=0.1).stationary
    assert not Poisson(mean=5, growth=0.1).stationary


def test_a_calendar_decides_whether_multiplied_demand_is_whole() -> None:
    assert Deterministic(values=(4,), promotions=(Promotion(start=2, uplift=1.5),)).whole
    assert not Deterministic(values=(3,), promotions=(Promotion(start=2, uplift=1.5),)).whole
    assert not Deterministic(values=(4,), growth=0.5).whole
    assert Poisson(mean=4, growth=0.5).whole


@pytest.mark.parametrize(
    "law",
    [
        Poisson(mean=5),
        NegativeBinomial(mean=5, sd=4),
        Gamma(mean=5, sd=2),
        Normal(mean=9, sd=2),
        Uniform(low=2, high=8),
        Compound(customers=Geometric(mean=2), size=Poisson(mean=3)),
        Intermittent(interval=4, size=Poisson(mean=3), shift=1),
        as_law(MARKET),
    ],
    ids=lambda law: type(law).__name__,
)
def test_the_mean_of_every_period_follows_the_calendar(law: Law) -> None:
    calendar = {"seasonal": (1.0, 0.5), "promotions": (Promotion(start=3, uplift=2.0),), "trend": 0.1}
    changed = law.model_copy(update=calendar)
    demand = changed.sample(uniform(60_000, 6))
    factors = [1, 0.5 * 1.1, 1.2, 0.5 * 2 * 1.3, 1.4, 0.5 * 1.5]
    np.testing.assert_allclose(changed.factors(6), factors)
    error = 4 * demand.std(axis=0) / 60_000**0.5
    assert (abs(demand.mean(axis=0) - law.mean_demand * np.array(factors)) < error).all()


@pytest.mark.parametrize("factor", [0.4, 1.0, 1.7])
def test_the_moments_of_an_autoregression_are_those_after_cutting(factor: float) -> None:
    law = AR1(mean=5, sd=6, correlation=0.6)
    normal = stats.norm(5 * factor, 6 * factor)
    power = [integrate.quad(lambda x, n=n: x**n * normal.pdf(x), 0, 80 * factor)[0] for n in (1, 2)]
    mean, sd = law.moments(factor)
    assert mean == pytest.approx(power[0], rel=1e-9)
    assert sd == pytest.approx((power[1] - power[0] ** 2) ** 0.5, rel=1e-9)


@pytest.mark.parametrize("factor", [0.0, 0.4, 1.0])
def test_the_moments_of_a_rounded_autoregression_are_those_of_its_probabilities(factor: float) -> None:
    law = AR1(mean=3, sd=2, correlation=0.6, rounded=True)
    pmf, (mean, sd) = law.pmf(factor), law.moments(factor)
    values = np.arange(len(pmf))
    assert pmf.sum() == pytest.approx(1, abs=1e-14)
    assert mean == pytest.approx((pmf * values).sum(), rel=1e-12)
    assert sd**2 == pytest.approx((pmf * (values - mean) ** 2).sum(), rel=1e-9)


@pytest.mark.parametrize("rounded", [False, True])
def test_every_period_of_an_autoregression_has_its_mean_and_standard_deviation(rounded: bool) -> None:
    law = AR1(mean=4, sd=3, correlation=0.8, rounded=rounded)
    demand = law.sample(uniform(100_000, 5))
    mean, sd = law.moments()
    np.testing.assert_allclose(demand.mean(axis=0), mean, atol=4 * sd / 100_000**0.5)
    np.testing.assert_allclose(demand.std(axis=0), sd, rtol=0.01)
    assert (demand >= 0).all()
    assert (demand == np.rint(demand)).all() == rounded == law.whole


@pytest.mark.parametrize("correlation", [0.7, 0.0, -0.5])
def test_an_autoregression_has_the_powers_of_its_correlation(correlation: float) -> None:
    law = AR1(mean=100, sd=10, correlation=correlation)
    demand = law.sample(uniform(2_000, 200))
    for lag in (1, 2, 3):
        assert autocorrelation(demand, lag) == pytest.approx(correlation**lag, abs=0.01)
    assert law.independent == (correlation == 0)


def test_an_autoregression_follows_its_recursion() -> None:
    law = AR1(mean=10, sd=2, correlation=0.5)
    scores = np.array([1.0, -2.0, 0.5])
    expected = [12.0, 10 + 2 * (0.5 - 2 * 0.75**0.5), 10 + 2 * (0.25 - 0.75**0.5 + 0.5 * 0.75**0.5)]
    np.testing.assert_allclose(law.sample(stats.norm.cdf(scores)[None])[0], expected)
    assert np.isfinite(law.sample(np.zeros((1, 3)))).all()


def test_a_market_is_in_each_regime_as_often_as_its_stationary_distribution_says() -> None:
    law = as_law(MARKET)
    assert isinstance(law, MarkovModulated)
    np.testing.assert_allclose(law.long_run, [0.75, 0.25], rtol=1e-14)
    weather = MarkovModulated(
        regimes=(*law.regimes, {"name": "dead", "demand": {"law": "deterministic", "values": 0}}),  # type: ignore[arg-type]
        transition=((0.5, 0.25, 0.25), (0.5, 0, 0.5), (0.25, 0.25, 0.5)),
    )
    # The weather in the land of Oz: nice days are never followed by nice days.
    np.testing.assert_allclose(weather.long_run, [0.4, 0.2, 0.4], rtol=1e-14)


def test_a_market_has_the_moments_of_the_mixture_in_every_period() -> None:
    law = as_law(MARKET)
    mean, sd = 0.75 * 2 + 0.25 * 10, (0.75 * (2 + 2**2) + 0.25 * (25 + 6**2)) ** 0.5
    assert law.moments() == pytest.approx((mean, sd))
    assert law.mean_demand == pytest.approx(4)
    demand = law.sample(uniform(100_000, 6))
    np.testing.assert_allclose(demand.mean(axis=0), mean, atol=4 * sd / 100_000**0.5)
    np.testing.assert_allclose(demand.std(axis=0), sd, rtol=0.015)
    assert law.stationary
    assert not law.independent


def test_a_period_of_a_market_has_the_probabilities_of_the_mixture() -> None:
    law = as_law(MARKET)
    pmf, size = law.pmf(), 200_000
    for demand in (law.sample(uniform(size, 3, seed=1))[:, 2], law.quantile(uniform(size, 1, seed=5))[:, 0]):
        observed = np.bincount(demand.astype(np.int64), minlength=len(pmf))[: len(pmf)]
        common = pmf * size >= 5
        expected = np.append(pmf[common], pmf[~common].sum()) * size
        assert stats.chisquare(np.append(observed[common], observed[~common].sum()), expected).pvalue > 0.01


def test_the_autocorrelation_of_a_market_is_that_of_the_means_of_its_regimes() -> None:
    law = as_law(MARKET)
    demand = law.sample(uniform(4_000, 200))
    sd = law.sd_demand
    # Regimes are correlated with 0.9 + 0.7 - 1 = 0.6 from one period to the next; their means vary by 12.
    for lag in (1, 2, 4):
        assert autocorrelation(demand, lag) == pytest.approx(0.6**lag * 12 / sd**2, abs=0.01)


def test_a_market_can_start_in_a_named_regime() -> None:
    law = as_law({**MARKET, "start": "busy"})
    means = law.sample(uniform(100_000, 3)).mean(axis=0)
    # P(busy) is 1, then 0.7, then 0.7 * 0.7 + 0.3 * 0.1.
    np.testing.assert_allclose(means, [2 + 8 * p for p in (1, 0.7, 0.52)], atol=0.07)
    assert not law.stationary
    assert law.mean_demand == pytest.approx(4)


def test_a_market_moves_by_its_uniform_numbers() -> None:
    law = as_law(
        {
            "law": "markov_modulated",
            "regimes": [{"name": n, "demand": {"law": "uniform", "low": low, "high": low + 1}} for n, low in
                        (("a", 0), ("b", 10))],
            "transition": [[0.5, 0.5], [1, 0]],
            "start": "a",
        }
    )  # fmt: skip
    # From a: below 0.5 stays, what is left is doubled; from b: always back to a.
    numbers = np.array([[0.25, 0.4, 0.75, 0.9, 0.5]])
    np.testing.assert_allclose(law.sample(numbers)[0], [0.25, 0.8, 10.5, 0.9, 10.0], rtol=1e-12)


@pytest.mark.parametrize("customers", [Poisson(mean=4), Geometric(mean=4), NegativeBinomial(mean=4, sd=5)])
def test_one_unit_a_customer_gives_the_law_of_the_customers(customers: Any) -> None:
    law = Compound(customers=customers, size=Deterministic(values=(1,)))
    np.testing.assert_allclose(law.pmf()[:40], customers.pmf()[:40], rtol=1e-10, atol=1e-15)
    assert law.moments() == pytest.approx(customers.moments())


def test_customers_who_may_want_nothing_are_a_thinned_number_of_customers() -> None:
    half = Compound(customers=NegativeBinomial(mean=8, sd=6), size=Empirical(values=(0, 1)))
    expected = stats.nbinom(16 / 7, (16 / 7) / (16 / 7 + 4)).pmf(np.arange(50))
    np.testing.assert_allclose(half.pmf()[:50], expected, rtol=1e-10, atol=1e-15)


def test_very_many_customers_do_not_make_the_recursion_underflow() -> None:
    law = Compound(customers=Poisson(mean=3_000), size=Deterministic(values=(1,)))
    pmf = law.pmf()
    np.testing.assert_allclose(pmf, stats.poisson(3_000).pmf(np.arange(len(pmf))), rtol=1e-8, atol=1e-15)
    big = panjer(NegativeBinomial(mean=4_000, sd=70), 1.0, np.array([0.0, 1.0]), 6_000)
    np.testing.assert_allclose(
        big, stats.nbinom(17_777.7778, 17_777.7778 / 21_777.7778).pmf(np.arange(6_000)), atol=1e-9
    )


def test_the_moments_of_a_compound_law_are_those_of_its_table() -> None:
    law = Compound(customers=NegativeBinomial(mean=3, sd=3), size=Geometric(mean=4))
    pmf = law.pmf(1.5)
    values = np.arange(len(pmf))
    mean, sd = law.moments(1.5)
    assert (pmf * values).sum() == pytest.approx(mean, rel=1e-10)
    assert (pmf * (values - mean) ** 2).sum() == pytest.approx(sd**2, rel=1e-8)


def test_intermittent_demand_has_the_interval_and_the_sizes_that_it_states() -> None:
    law = Intermittent(interval=5, size=Gamma(mean=8, sd=4))
    demand = law.sample(uniform(2_000, 200))
    sizes = demand[demand > 0]
    assert (demand > 0).mean() == pytest.approx(0.2, abs=0.003)
    assert stats.kstest(sizes[:50_000], stats.gamma(4, scale=2).cdf).pvalue > 0.01
    assert law.moments() == pytest.approx((1.6, (0.2 * 16 + 0.2 * 0.8 * 64) ** 0.5))
    np.testing.assert_allclose(demand.std(), law.sd_demand, rtol=0.01)
    assert not law.whole


@pytest.mark.parametrize(
    ("interval", "sizes", "variation", "category"),
    [
        (1.2, (4, 5, 6), 2 / 75, "smooth"),
        (1.2, (1, 1, 10), 18 / 16, "erratic"),
        (2.0, (4, 5, 6), 2 / 75, "intermittent"),
        (2.0, (1, 1, 10), 18 / 16, "lumpy"),
    ],
)
def test_an_item_has_the_category_of_its_interval_and_its_sizes(
    interval: float, sizes: tuple[float, ...], variation: float, category: str
) -> None:
    law = Intermittent(interval=interval, size=Empirical(values=sizes))
    assert law.average_interval == interval
    assert law.squared_variation == pytest.approx(variation)
    assert law.category == category


def weekly_history(weeks: int = 200) -> Floats:
    """[T] lumpy sales with a weekday pattern and slow ups and downs."""
    rng = np.random.default_rng(13)
    level = np.exp(0.3 * stats.zscore(np.convolve(rng.normal(size=7 * weeks + 60), np.ones(61), "valid")))
    return np.asarray(rng.poisson(level * np.tile([1, 0.5, 0.5, 0.5, 1, 3, 4], weeks)), dtype=np.float64)


def test_a_block_bootstrap_keeps_autocorrelation_and_zeros_of_the_history() -> None:
    history = weekly_history()
    demand = Empirical(values=tuple(history), block=56, align=7).sample(uniform(400, 560))
    own = float(np.corrcoef(history[:-1], history[1:])[0, 1])
    assert autocorrelation(demand) == pytest.approx(own, rel=0.1)
    assert (demand == 0).mean() == pytest.approx((history == 0).mean(), abs=0.02)
    assert demand.mean() == pytest.approx(history.mean(), rel=0.02)


@pytest.mark.parametrize("block", [1, 5, 14])
def test_aligned_blocks_keep_the_weekdays(block: int) -> None:
    history = np.arange(70.0)
    law = Empirical(values=tuple(history), block=block, align=7)
    demand = law.sample(uniform(300, 40), start=3).astype(np.int64)
    np.testing.assert_array_equal(demand % 7, np.tile((3 + np.arange(40)) % 7, (300, 1)))
    into = np.arange(40) % block
    begins = demand[:, np.arange(40) - into]
    np.testing.assert_array_equal(demand, (begins + into) % 70)
    # Blocks of whole weeks always begin on the same weekday.
    assert len(np.unique(begins)) == (10 if block == 14 else 70)


def test_the_moments_of_aligned_demand_are_those_of_the_weekdays() -> None:
    history = weekly_history()
    law = Empirical(values=tuple(history), align=7, block=7)
    assert law.cycle == 7
    assert law.mean_demand == pytest.approx(history.mean())
    assert law.sd_demand == pytest.approx(history.std())
    np.testing.assert_allclose(law.cycle_moments()[:, 0], history.reshape(-1, 7).mean(axis=0))
    assert not law.stationary
    weekend = law.model_copy(update={"seasonal": (1.0,) * 5 + (2.0, 2.0)})
    assert weekend.mean_demand == pytest.approx((history * np.tile(weekend.seasonal, 200)).mean())


def test_histories_drawn_together_must_match() -> None:
    one = Empirical(values=(1, 2, 3, 4), joint="shops")
    assert joint_defects([one, None, one, Empirical(values=(1, 2)), Poisson(mean=3)]) == []
    ((position, message),) = joint_defects([one, None, Empirical(values=(1, 2, 3), joint="shops")])
    assert position == 2
    assert message == (
        "histories drawn together (joint 'shops') must have the same length, block and align: "
        "(4, 1, 1) before, got (3, 1, 1)"
    )


@pytest.mark.parametrize(
    "law",
    [
        as_law(MARKET),
        as_law({**MARKET, "start": "calm", "seasonal": [1, 2]}),
        AR1(mean=4, sd=2, correlation=0.5, rounded=True),
        Compound(customers=Poisson(mean=2), size=Deterministic(values=(3,))),
        Intermittent(interval=3, size=Geometric(mean=2), shift=1, promotions=(SATURDAYS,)),
        Empirical(values=(1, 2, 3, 4), joint="shops", align=2, block=2),
        Poisson(mean=2, promotions=(SATURDAYS, Promotion(start=1, uplift=0)), trend=0.1, growth=0.2),
    ],
    ids=repr,
)
def test_a_law_survives_being_written_as_plain_data(law: Law) -> None:
    assert as_law(law.model_dump(mode="json", exclude_defaults=True)) == law


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (
            {"law": "poisson", "mean": 5, "promotions": [{"start": 3, "length": 4, "every": 2, "uplift": 2}]},
            "demand poisson: promotions.0: every must be at least length = 4 (got 2)",
        ),
        (
            {"law": "poisson", "mean": 5, "promotions": [{"start": -3, "lenght": 4}]},
            "demand poisson: promotions.0.start: must be at least 0 (got -3); promotions.0.uplift: is required; "
            "promotions.0.lenght: unknown key; did you mean 'length'?",
        ),
        ({"law": "poisson", "mean": 5, "growth": -1}, "demand poisson: growth: must be greater than -1 (got -1)"),
        (
            {"law": "poisson", "mean": 5, "seasonal": [1, 2] * 25 + [1], "promotions":
             [{"start": 0, "every": 1999, "uplift": 2}]},
            "demand poisson: season and promotions must begin anew within 100,000 periods (got 101,949)",
        ),
        (
            {"law": "ar1", "mean": 5, "sd": 2, "correlation": 1},
            "demand ar1: correlation: must be less than 1 (got 1)",
        ),
        (
            {"law": "empirical", "values": [1, 2, 3], "align": 2},
            "demand empirical: align must divide the length of the history, 3 (got 2); leave out the oldest periods",
        ),
        (
            {"law": "compound", "customers": {"law": "gamma", "mean": 2}, "size": {"law": "poisson", "mean": 0}},
            "demand compound: customers.law: must be one of poisson, geometric, negative_binomial (got 'gamma'); "
            "size.mean: must be greater than 0 (got 0)",
        ),
        (
            {"law": "compound", "customers": {"law": "poisson", "mean": 2},
             "size": {"law": "empirical", "values": [1, 2.5]}},
            "demand compound: size must be a whole number of units (got empirical with parts of units)",
        ),
        (
            {"law": "compound", "customers": {"law": "poisson", "mean": 2, "seasonal": [1, 2]},
             "size": {"law": "deterministic", "values": 2}},
            "demand compound: customers must have the same law in every period, independent of the others: season, "
            "promotions and trend belong to the law that it is part of",
        ),
        (
            {"law": "intermittent", "interval": 3, "size": {"law": "poisson", "mean": 2}},
            "demand intermittent: size must be more than 0 (got poisson, which can be 0); with shift: 1 sizes are 1 "
            "more",
        ),
        (
            {"law": "intermittent", "interval": 1.5, "size": {"law": "gamma", "mean": 2, "sd": 1}, "seasonal": [1, 2]},
            "demand intermittent: interval must be at least the largest factor of season, promotions and trend, 2, "
            "which multiplies the chance of demand 1 / interval (got 1.5)",
        ),
        (
            {**MARKET, "transition": [[0.9, 0.2], [0.3, 0.7]]},
            "demand markov_modulated: transition from 'calm' must sum to 1 (got 1.1)",
        ),
        (
            {**MARKET, "transition": [[1, 0], [0, 1]]},
            "demand markov_modulated: transition must lead from every regime to every other one, in some number of "
            "periods",
        ),
        (
            {**MARKET, "transition": [[1.0]]},
            "demand markov_modulated: transition must have 2 rows and columns, as there are regimes",
        ),
        (
            {**MARKET, "start": "clam"},
            "demand markov_modulated: start must be a regime, one of calm, busy (got 'clam')",
        ),
    ],
)  # fmt: skip
def test_a_broken_law_is_refused_with_what_must_hold(broken: Any, message: str) -> None:
    with pytest.raises(DemandError) as error:
        as_law(broken)
    assert str(error.value) == message


def test_a_trend_that_makes_demand_more_than_certain_is_refused_when_it_is_met() -> None:
    law = Intermittent(interval=2, size=Gamma(mean=2, sd=1), growth=0.5)
    with pytest.raises(DemandError, match=r"interval must be at least the largest factor .* 2\.25"):
        law.sample(uniform(3, 3))
