"""Demand laws, against SciPy's own distributions and against what a seasonal profile or a history must give."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from echelon.envs.demand import (
    AR1,
    LAWS,
    Compound,
    Deterministic,
    Discrete,
    DiscreteUniform,
    Empirical,
    Gamma,
    Geometric,
    Intermittent,
    Law,
    MarkovModulated,
    NegativeBinomial,
    Normal,
    Poisson,
    Uniform,
    as_law,
)
from echelon.envs.errors import DemandError

Floats = NDArray[np.float64]

SAMPLES = 200_000
LAST = 1.0 - 2.0**-53
"""The largest uniform number that a generator returns."""
FACTORS = [0.5, 1.0, 1.7]


def sum_of_customers(customers: Any, sizes: list[float]) -> Any:
    """SciPy's law of the units that all customers ask for: P(total) = sum over n of P(n customers) sizes^(*n)."""
    total, convolved = np.zeros(1_200), np.ones(1)
    for number in range(120):
        total[: len(convolved)] += customers.pmf(number) * convolved
        convolved = np.convolve(convolved, sizes)
    return stats.rv_discrete(values=(np.arange(len(total)), total / total.sum()))


def now_and_then(chance: float, size: Any) -> Any:
    """SciPy's law of 1 + a size with some probability, else 0."""
    sizes = chance * size.pmf(np.arange(60))
    return stats.rv_discrete(values=(np.arange(61), np.append(1 - sizes.sum(), sizes)))


WHOLE: dict[str, tuple[Law, Any]] = {
    "poisson": (Poisson(mean=5), lambda f: stats.poisson(5 * f)),
    "poisson of a slow mover": (Poisson(mean=0.3), lambda f: stats.poisson(0.3 * f)),
    "poisson of a fast mover": (Poisson(mean=400), lambda f: stats.poisson(400 * f)),
    "geometric": (Geometric(mean=5), lambda f: stats.geom(1 / (1 + 5 * f), loc=-1)),
    "negative binomial": (NegativeBinomial(mean=5, sd=4), lambda f: stats.nbinom(25 / 11, 25 / (25 + 55 * f))),
    "lumpy negative binomial": (NegativeBinomial(mean=2, sd=6), lambda f: stats.nbinom(2 / 17, 1 / (1 + 17 * f))),
    "compound poisson": (
        Compound(customers=Poisson(mean=3), size=DiscreteUniform(low=0, high=4)),
        lambda f: sum_of_customers(stats.poisson(3 * f), [0.2] * 5),
    ),
    "compound negative binomial": (
        Compound(customers=NegativeBinomial(mean=2, sd=2), size=Empirical(values=(1, 1, 6))),
        lambda f: sum_of_customers(stats.nbinom(2, 2 / (2 + 2 * f)), [0, 2 / 3, 0, 0, 0, 0, 1 / 3]),
    ),
    "intermittent": (
        Intermittent(interval=4, size=Poisson(mean=2), shift=1),
        lambda f: now_and_then(f / 4, stats.poisson(2)),
    ),
}
"""Whole-number laws with SciPy's law at a seasonal factor."""
CONTINUOUS: dict[str, tuple[Law, Any]] = {
    "uniform": (Uniform(low=2, high=9), lambda f: stats.uniform(2 * f, 7 * f)),
    "normal": (Normal(mean=5, sd=1), lambda f: stats.truncnorm(-5, np.inf, 5 * f, f)),
    "normal cut at its mean less one sd": (Normal(mean=2, sd=2), lambda f: stats.truncnorm(-1, np.inf, 2 * f, 2 * f)),
    "gamma": (Gamma(mean=5, sd=2), lambda f: stats.gamma(6.25, scale=0.8 * f)),
    "gamma with a peak at 0": (Gamma(mean=5, sd=8), lambda f: stats.gamma(25 / 64, scale=12.8 * f)),
}
FINITE: dict[str, tuple[Law, Any]] = {
    "discrete uniform": (DiscreteUniform(low=2, high=9), lambda _: stats.randint(2, 10)),
    "discrete uniform on one value": (
        DiscreteUniform(low=3, high=3),
        lambda _: stats.rv_discrete(values=([3], [1.0])),
    ),
    "discrete": (
        Discrete(values=(1, 4, 7), probabilities=(0.25, 0.6, 0.15)),
        lambda _: stats.rv_discrete(values=([1, 4, 7], [0.25, 0.6, 0.15])),
    ),
    "empirical": (
        Empirical(values=(4, 1, 7, 4)),
        lambda _: stats.rv_discrete(values=([1, 4, 7], [0.25, 0.5, 0.25])),
    ),
    "deterministic": (Deterministic(values=(4,)), lambda _: stats.rv_discrete(values=([4], [1.0]))),
}
"""Laws that a seasonal factor multiplies, here at a factor of 1 only."""
ALL = WHOLE | CONTINUOUS | FINITE


def cases(laws: dict[str, tuple[Law, Any]], factors: list[float]) -> pytest.MarkDecorator:
    """One test for every law and seasonal factor: the law, SciPy's law, the factor."""
    return pytest.mark.parametrize(
        ("law", "expected", "factor"),
        [
            pytest.param(law, expected(f), f, id=f"{name}-{f}")
            for name, (law, expected) in laws.items()
            for f in (factors if name not in FINITE else [1.0])
        ],
    )


def draw(law: Law, factor: float = 1.0, seed: int = 20) -> Floats:
    """[SAMPLES] demand of one period."""
    return law.quantile(np.random.default_rng(seed).random(SAMPLES), factor)


def near_mean(sample: Floats, mean: float) -> bool:
    """Whether the mean of a sample [M] lies within three standard errors."""
    return bool(abs(sample.mean() - mean) <= 3 * sample.std() / len(sample) ** 0.5 + 1e-12)


def near_sd(sample: Floats, sd: float) -> bool:
    """Whether the standard deviation of a sample [M] lies within three standard errors."""
    squares = (sample - sample.mean()) ** 2
    error = squares.std() / (2 * max(sample.std(), 1e-12) * len(sample) ** 0.5)
    return bool(abs(sample.std() - sd) <= 3 * error + 1e-12)


def test_every_law_is_tried_here() -> None:
    elsewhere: set[type[Law]] = {AR1, MarkovModulated}  # in test_demand_processes.py
    assert {type(law) for law, _ in ALL.values()} | elsewhere == set(LAWS.values())


@cases(ALL, FACTORS)
def test_moments_are_those_of_the_law(law: Law, expected: Any, factor: float) -> None:
    mean, sd = law.moments(factor)
    assert mean == pytest.approx(expected.mean(), rel=1e-10)
    assert sd == pytest.approx(expected.std(), rel=1e-8, abs=1e-7)


@cases(ALL, FACTORS)
def test_samples_have_the_mean_and_the_standard_deviation_that_the_law_states(
    law: Law, expected: Any, factor: float
) -> None:
    del expected
    sample = draw(law, factor)
    mean, sd = law.moments(factor)
    assert near_mean(sample, mean)
    assert near_sd(sample, sd)


@cases(CONTINUOUS, FACTORS)
def test_samples_of_a_continuous_law_pass_a_kolmogorov_smirnov_test(law: Law, expected: Any, factor: float) -> None:
    assert stats.kstest(draw(law, factor), expected.cdf).pvalue > 0.01


@cases(WHOLE | FINITE, FACTORS)
def test_samples_of_a_whole_law_pass_a_chi_square_test(law: Law, expected: Any, factor: float) -> None:
    sample = draw(law, factor)
    assert np.array_equal(sample, np.floor(sample))
    values = np.arange(sample.max() + 2)
    expectation = SAMPLES * expected.pmf(values)
    common = expectation >= 5
    observed = np.bincount(sample.astype(np.int64), minlength=len(values))
    rare = SAMPLES - expectation[common].sum()
    counts = [*observed[common], observed[~common].sum()]
    expectations = [*expectation[common], rare]
    if rare < 1e-6:
        assert counts.pop() == 0
        expectations.pop()
    if len(counts) > 1:
        assert stats.chisquare(counts, expectations).pvalue > 0.01
    assert sum(counts) == SAMPLES


@cases(WHOLE | CONTINUOUS, FACTORS)
def test_demand_is_the_quantile_of_its_uniform_number(law: Law, expected: Any, factor: float) -> None:
    uniform = np.random.default_rng(3).random(2_000)
    np.testing.assert_allclose(law.quantile(uniform, factor), expected.ppf(uniform), rtol=1e-9, atol=1e-9)


@cases(WHOLE | FINITE, FACTORS)
def test_probabilities_sum_to_one_and_are_those_of_the_law(law: Law, expected: Any, factor: float) -> None:
    pmf = law.pmf(factor)
    assert (pmf >= 0).all()
    assert pmf.sum() == pytest.approx(1.0, abs=1e-14)
    np.testing.assert_allclose(pmf, expected.pmf(np.arange(len(pmf))), rtol=1e-9, atol=1e-14)


@cases(ALL, FACTORS)
def test_demand_is_monotone_in_its_uniform_number_finite_and_never_negative(
    law: Law, expected: Any, factor: float
) -> None:
    del expected
    uniform = np.sort(np.append(np.random.default_rng(4).random(10_000), [0.0, LAST]))
    demand = law.quantile(uniform, factor)
    assert (np.diff(demand) >= 0).all()
    assert (demand >= 0).all()
    assert np.isfinite(demand).all()


@pytest.mark.parametrize("high", [2, 3, 6, 9, 10, 48, 49, 99, 1_000, 12_345])
def test_the_largest_uniform_number_gives_the_largest_value(high: int) -> None:
    last = np.array([LAST])
    assert DiscreteUniform(low=1, high=high).quantile(last)[0] == high
    assert Empirical(values=tuple(range(1, high + 1))).quantile(last)[0] == high


@pytest.mark.parametrize(
    ("law", "expected"),
    [
        (Poisson(mean=5, seasonal=(0.5, 1, 1.5, 0)), [2.5, 5, 7.5, 0]),
        (Geometric(mean=5, seasonal=(0.5, 1, 1.5)), [2.5, 5, 7.5]),
        (NegativeBinomial(mean=5, sd=4, seasonal=(0.5, 2)), [2.5, 10]),
        (DiscreteUniform(low=2, high=9, seasonal=(1, 2)), [5.5, 11]),
        (Uniform(low=2, high=9, seasonal=(0.5, 2)), [2.75, 11]),
        (Normal(mean=5, sd=1, seasonal=(0.5, 2)), [2.5000007, 10.0000030]),
        (Gamma(mean=5, sd=2, seasonal=(0.5, 2)), [2.5, 10]),
        (Empirical(values=(4, 1, 7, 4), seasonal=(0.5, 2)), [2, 8]),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Law) else "",
)
def test_the_mean_of_every_phase_follows_the_seasonal_profile(law: Law, expected: list[float]) -> None:
    season = len(expected)
    demand = law.sample(np.random.default_rng(5).random((20_000, 2 * season)))
    for period in range(2 * season):
        assert near_mean(demand[:, period], expected[period % season]), period
    assert law.mean_demand == pytest.approx(np.mean(expected), rel=1e-6)
    assert not law.stationary


def test_negative_binomial_demand_keeps_its_number_of_successes_over_the_season() -> None:
    law = NegativeBinomial(mean=5, sd=4, seasonal=(0.4, 1, 3))
    assert law.successes == pytest.approx(25 / 11)
    for factor in law.seasonal:
        mean, sd = law.moments(factor)
        assert mean**2 / (sd**2 - mean) == pytest.approx(law.successes)
    demand = law.sample(np.random.default_rng(6).random((100_000, 3)))
    for phase, factor in enumerate(law.seasonal):
        assert near_sd(demand[:, phase], (5 * factor + (5 * factor) ** 2 * 11 / 25) ** 0.5)


@pytest.mark.parametrize("law", [Gamma(mean=5, sd=2, seasonal=(0.4, 1, 3)), Normal(mean=9, sd=2, seasonal=(0.4, 1, 3))])
def test_gamma_and_normal_demand_keep_their_coefficient_of_variation_over_the_season(law: Law) -> None:
    mean, sd = law.moments()
    demand = law.sample(np.random.default_rng(7).random((100_000, 3)))
    for phase, factor in enumerate(law.seasonal):
        assert near_mean(demand[:, phase], factor * mean)
        assert near_sd(demand[:, phase], factor * sd)


def test_sampling_may_start_in_any_phase_of_the_season() -> None:
    uniform = np.random.default_rng(8).random((50, 12))
    for law in (
        Poisson(mean=5, seasonal=(0.5, 1, 2)),
        Deterministic(values=(1, 2, 3, 4, 5, 6), seasonal=(1, 2, 3, 4, 5)),
    ):
        np.testing.assert_array_equal(law.sample(uniform[:, 4:], start=4), law.sample(uniform)[:, 4:])


def test_a_profile_of_equal_factors_is_stationary() -> None:
    assert Poisson(mean=5, seasonal=(2, 2)).stationary
    assert Poisson(mean=5, seasonal=(2, 2)).mean_demand == 10
    assert Poisson(mean=5).stationary


def test_a_deterministic_path_is_followed_and_its_last_value_stays() -> None:
    law = as_law({"law": "deterministic", "values": [4, 4, 8, 2]})
    demand = law.sample(np.random.default_rng(0).random((3, 7)))
    np.testing.assert_array_equal(demand, np.tile([4, 4, 8, 2, 2, 2, 2], (3, 1)))
    assert law.moments() == (2, 0)
    assert not law.stationary
    seasonal = Deterministic(values=(10, 20), seasonal=(1, 0.5))
    np.testing.assert_array_equal(seasonal.sample(np.zeros((1, 5))), [[10, 10, 20, 10, 20]])
    assert as_law({"law": "deterministic", "values": 3}) == Deterministic(values=(3,))


def test_blocks_are_runs_of_consecutive_periods_of_the_history() -> None:
    history = np.arange(20.0)
    law = Empirical(values=tuple(history), block=4)
    demand = law.sample(np.random.default_rng(9).random((5_000, 12)))
    runs = demand.reshape(-1, 4)
    np.testing.assert_array_equal(runs, (runs[:, :1] + np.arange(4)) % 20)
    assert stats.chisquare(np.bincount(runs[:, 0].astype(np.int64), minlength=20)).pvalue > 0.01
    assert not law.independent
    assert Empirical(values=tuple(history)).independent


def test_every_period_of_a_block_bootstrap_has_the_law_of_the_history() -> None:
    law = Empirical(values=(3, 0, 0, 9, 5, 5, 1), block=3)
    demand = law.sample(np.random.default_rng(10).random((50_000, 8)))
    mean, sd = law.moments()
    for period in range(8):
        assert near_mean(demand[:, period], mean), period
        assert near_sd(demand[:, period], sd), period


def test_longer_blocks_keep_the_autocorrelation_of_the_history() -> None:
    noise = np.random.default_rng(11).normal(size=400)
    history = [20.0]
    for shock in noise:
        history.append(max(0.0, 20 + 0.8 * (history[-1] - 20) + shock))

    def correlation(block: int) -> float:
        demand = Empirical(values=tuple(history), block=block).sample(np.random.default_rng(12).random((400, 200)))
        return float(np.corrcoef(demand[:, :-1].ravel(), demand[:, 1:].ravel())[0, 1])

    own = float(np.corrcoef(history[:-1], history[1:])[0, 1])
    assert abs(correlation(1)) < 0.02
    # Of every 10 pairs of neighbours, 9 lie inside a block and keep the correlation.
    assert correlation(10) == pytest.approx(0.9 * own, abs=0.05)


def test_whole_laws_are_those_whose_demand_is_always_whole() -> None:
    whole = [*(law for law, _ in (WHOLE | FINITE).values()), Poisson(mean=1.5, seasonal=(0.3,))]
    broken = [
        *(law for law, _ in CONTINUOUS.values()),
        DiscreteUniform(low=1, high=4, seasonal=(0.5,)),
        Empirical(values=(1, 2.5)),
        Empirical(values=(1, 2), seasonal=(1, 0.5)),
        Deterministic(values=(4, 4.2, 4)),
    ]
    assert all(law.whole for law in whole)
    assert not any(law.whole for law in broken)


def test_a_law_is_made_from_its_name_a_mapping_or_itself() -> None:
    assert as_law("poisson", 5) == Poisson(mean=5)
    assert as_law("geometric", 2.5) == Geometric(mean=2.5)
    assert as_law({"law": "poisson", "mean": 3}, 5) == Poisson(mean=3)
    assert as_law({"law": "negative_binomial", "sd": 4}, 5) == NegativeBinomial(mean=5, sd=4)
    assert as_law({"law": "uniform", "low": 1, "high": 2}, 5) == Uniform(low=1, high=2)
    law = Gamma(mean=5, sd=2)
    assert as_law(law, 9) is law


@pytest.mark.parametrize("law", [law for law, _ in ALL.values()])
def test_a_law_survives_being_written_as_plain_data(law: Law) -> None:
    seasonal = law.model_copy(update={"seasonal": (1.0, 2.0)})
    for one in (law, seasonal):
        assert as_law(one.model_dump(exclude_defaults=True)) == one


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ("poison", "unknown demand law 'poison'; did you mean 'poisson'?"),
        ("poisson", "demand poisson: mean: is required"),
        ({"law": "poisson", "mean": -1}, "demand poisson: mean: must be greater than 0 (got -1)"),
        ({"law": "poisson", "mean": float("nan")}, "demand poisson: mean: must be finite (got nan)"),
        ({"law": "poisson", "mean": "five"}, "demand poisson: mean: must be a number (got 'five')"),
        (
            {"law": "poisson", "maen": 5},
            "demand poisson: mean: is required; maen: unknown key; did you mean 'mean'?",
        ),
        (
            {"law": "poisson", "mean": 5, "seasonal": [1, -1]},
            "demand poisson: seasonal.1: must be at least 0 (got -1)",
        ),
        (
            {"law": "negative_binomial", "mean": 5, "sd": 2},
            "demand negative_binomial: sd must exceed sqrt(mean) = 2.23607 (got 2); at equality use poisson",
        ),
        (
            {"law": "discrete_uniform", "low": 4, "high": 2},
            "demand discrete_uniform: high must be at least low = 4 (got 2)",
        ),
        (
            {"law": "discrete_uniform", "low": 1.5, "high": 2},
            "demand discrete_uniform: low: must be a whole number (got 1.5)",
        ),
        ({"law": "uniform", "low": 4, "high": 2}, "demand uniform: high must be at least low = 4 (got 2)"),
        ({"law": "gamma", "mean": 5, "sd": 0}, "demand gamma: sd: must be greater than 0 (got 0)"),
        (
            {"law": "normal", "mean": 0, "sd": -1},
            "demand normal: mean: must be greater than 0 (got 0); sd: must be greater than 0 (got -1)",
        ),
        (
            {"law": "deterministic", "values": []},
            "demand deterministic: values: must have at least 1 item (got [])",
        ),
        (
            {"law": "empirical", "values": [1, 2], "block": 3},
            "demand empirical: block must be at most the length of the history, 2 (got 3)",
        ),
    ],
)
def test_a_broken_law_is_refused_with_what_must_hold(broken: Any, message: str) -> None:
    with pytest.raises(DemandError) as error:
        as_law(broken)
    assert str(error.value) == message


def test_a_law_without_whole_values_has_no_probability_mass_function() -> None:
    with pytest.raises(DemandError, match="has no probability mass function: its values are not whole"):
        Gamma(mean=5, sd=2).pmf()
    with pytest.raises(
        DemandError, match="Empirical demand has values that are not whole: it has no probability mass function"
    ):
        Empirical(values=(1, 2.5)).pmf()


def test_a_table_that_would_not_fit_in_memory_is_refused() -> None:
    with pytest.raises(DemandError, match=r"needs a table of more than 10,000,000 values; use gamma demand"):
        Geometric(mean=1e9).quantile(np.array([0.5]))
