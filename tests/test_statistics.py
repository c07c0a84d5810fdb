"""Bootstrap statistics: intervals that hold the truth as often as they say, figures equal to independent ones."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from itertools import product
from typing import Any, get_args

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import integrate, optimize, stats

from echelon.experiments.resampling import Over, drawn_counts, resampled_weights, tail_of, unseen
from echelon.experiments.statistics import (
    Interval,
    Method,
    bootstrap_interval,
    interquartile_mean,
    iqm_interval,
    performance_profile,
    probability_of_improvement,
    warm_up_mser,
)

Floats = NDArray[np.float64]
Draw = Callable[[np.random.Generator], Floats]

REPEATS = 2_000
"""Of coverage: a standard error of 0.5 %, so that an interval of 90 % fails and one of 95 % does not."""


def share_held(interval: Callable[[np.random.Generator], Interval], truth: float, repeats: int = REPEATS) -> float:
    rng = np.random.default_rng(20_250)
    found = [interval(rng) for _ in range(repeats)]
    return float(np.mean([x.low <= truth + 1e-12 and truth - 1e-12 <= x.high for x in found]))


LAWS: dict[str, tuple[Callable[[np.random.Generator, int], Floats], dict[str, float]]] = {
    "normal": (lambda rng, n: rng.normal(size=n), {"mean": 0.0, "median": 0.0}),
    "exponential": (lambda rng, n: rng.exponential(size=n), {"mean": 1.0, "median": math.log(2)}),
}
"""Samplers with the true figures."""
FIGURES: dict[str, Callable[..., Any]] = {"mean": np.mean, "median": np.median}


@pytest.mark.parametrize(
    ("law", "statistic", "method", "count"),
    [
        ("normal", "mean", "BCa", 20),
        ("normal", "mean", "percentile", 20),
        ("exponential", "mean", "BCa", 40),
        ("exponential", "median", "BCa", 30),
    ],
)
def test_95_percent_bootstrap_intervals_hold_the_truth_in_93_to_97_percent_of_repeats(
    law: str, statistic: str, method: Method, count: int
) -> None:
    draw, truths = LAWS[law]
    figure, truth = FIGURES[statistic], truths[statistic]

    def interval(rng: np.random.Generator) -> Interval:
        return bootstrap_interval(draw(rng, count), statistic=figure, method=method, resamples=499)

    assert 0.93 <= share_held(interval, truth) <= 0.97


def test_the_textbook_interval_of_5_values_holds_the_mean_in_under_87_percent_and_is_refused() -> None:
    values = np.random.default_rng(4).normal(size=(4_000, 5))
    found = stats.bootstrap((values,), np.mean, axis=-1, method="percentile", n_resamples=999, rng=1, batch=200)
    held = (found.confidence_interval.low <= 0) & (found.confidence_interval.high >= 0)
    assert 0.80 < held.mean() < 0.87
    with pytest.raises(ValueError, match=r"at least 20 finite values \(got shape \(5,\)\); `estimate` gives"):
        bootstrap_interval(values[0])


def test_the_interval_of_a_mean_is_close_to_students() -> None:
    values = np.random.default_rng(1).normal(10, 3, size=25)
    found = bootstrap_interval(values, method="percentile", resamples=200_000)
    low, high = stats.t.interval(0.95, 24, loc=values.mean(), scale=stats.sem(values))
    assert found.value == pytest.approx(values.mean())
    assert (found.high - found.low) / (high - low) == pytest.approx(1, abs=0.03)
    textbook = stats.bootstrap([values], np.mean, method="percentile", rng=1).confidence_interval
    assert (textbook.high - textbook.low) / (high - low) < 0.96


@pytest.mark.parametrize("method", ["BCa", "percentile"])
def test_with_many_values_the_interval_is_scipys(method: Method) -> None:
    values = np.random.default_rng(2).exponential(size=4_000)
    found = bootstrap_interval(values, method=method, resamples=2_000, seed=5)
    other = stats.bootstrap((values,), np.mean, method=method, n_resamples=2_000, rng=6, batch=200).confidence_interval
    assert found.method == f"{method} bootstrap"
    assert found.high - found.low == pytest.approx(other.high - other.low, rel=0.08)
    assert (found.low + found.high) / 2 == pytest.approx((other.low + other.high) / 2, abs=0.004)


def test_the_tail_of_few_values_makes_the_normal_quantile_students() -> None:
    for count in (5, 20, 1_000):
        tail = tail_of(0.9, shrinkage=1 - 1 / count, freedom=count - 1, resamples=10**9)
        wide = -stats.norm.ppf(tail) * math.sqrt((count - 1) / count)
        assert wide == pytest.approx(stats.t.ppf(0.95, count - 1), rel=1e-9)


def test_values_that_do_not_vary_have_an_interval_without_width() -> None:
    assert bootstrap_interval([3.0] * 20) == Interval(3.0, 3.0, 3.0, 0.95, "BCa bootstrap")
    assert (iqm_interval(np.full((5, 3), 0.5)).low, iqm_interval(np.full((5, 3), 0.5)).high) == (0.5, 0.5)


def test_a_statistic_that_no_single_value_changes_has_no_bca_interval() -> None:
    mostly_0 = np.array([0.0] * 25 + [1.0] * 5)
    with pytest.raises(ValueError, match=r"the BCa bootstrap finds no interval of a statistic of 0 \(got nan to nan\)"):
        bootstrap_interval(mostly_0, statistic=np.median, resamples=999)
    assert bootstrap_interval(mostly_0, statistic=np.median, method="percentile", resamples=999).low == 0


SCORES = np.random.default_rng(7).gamma(2.0, 3.0, size=(6, 11))


@pytest.mark.parametrize("over", ["runs", "instances"])
def test_results_depend_on_the_seed_alone(over: Over) -> None:
    once = [iqm_interval(SCORES, over=over, seed=3), probability_of_improvement(SCORES, SCORES + 1, over=over, seed=3)]
    again = [iqm_interval(SCORES, over=over, seed=3), probability_of_improvement(SCORES, SCORES + 1, over=over, seed=3)]
    other = [iqm_interval(SCORES, over=over, seed=4), probability_of_improvement(SCORES, SCORES + 1, over=over, seed=4)]
    assert once == again
    assert [x.value for x in once] == [x.value for x in other]
    assert once[0].low != other[0].low
    assert bootstrap_interval(SCORES.ravel(), seed=1) == bootstrap_interval(SCORES.ravel(), seed=1)


def test_counts_are_those_of_drawing_with_replacement() -> None:
    counts = drawn_counts(np.random.default_rng(0), 40_000, strata=2, size=3)
    assert (counts.sum(axis=2) == 3).all()
    assert counts.mean(axis=0) == pytest.approx(np.ones((2, 3)), abs=0.02)
    assert counts.var(axis=0) == pytest.approx(np.full((2, 3), 3 * (1 / 3) * (2 / 3)), abs=0.02)
    assert np.cov(counts[:, 0, 0], counts[:, 1, 0])[0, 1] == pytest.approx(0, abs=0.02)


def test_over_runs_each_instance_keeps_its_weight_and_over_instances_its_runs_stay_together() -> None:
    shape = {"runs": 4, "instances": 3, "resamples": 50}
    (by_run,) = resampled_weights(np.random.default_rng(0), "runs", **shape)
    (by_instance,) = resampled_weights(np.random.default_rng(0), "instances", **shape)
    assert (by_run.reshape(50, 3, 4).sum(axis=2) == 4).all()
    assert (by_run.reshape(50, 3, 4).std(axis=2) > 0).any()
    assert (by_instance.reshape(50, 3, 4).std(axis=2) == 0).all()
    assert (by_instance.reshape(50, 3, 4)[:, :, 0].sum(axis=1) == 3).all()


@pytest.mark.parametrize("shape", [(1,), (3,), (4,), (5, 1), (6, 7), (10, 8)])
def test_the_interquartile_mean_is_the_trimmed_mean(shape: tuple[int, ...]) -> None:
    scores = np.random.default_rng(len(shape)).normal(size=shape)
    assert interquartile_mean(scores) == pytest.approx(stats.trim_mean(scores, 0.25, axis=None))


def enumerated_tail(values: list[float], chance: float) -> float:
    """The quantile of equally likely values."""
    return sorted(values)[math.ceil(chance * len(values)) - 1]


def test_the_interval_of_the_interquartile_mean_is_that_of_all_resamples() -> None:
    """5 runs of one instance: all 3,125 resamples by hand."""
    scores = np.array([1.0, 2.0, 4.0, 7.0, 30.0])
    all_of_them = [stats.trim_mean(drawn, 0.25) for drawn in product(scores, repeat=5)]
    found = iqm_interval(scores[:, None], confidence=0.8, resamples=100_000)
    tail = stats.norm.cdf(-math.sqrt(5 / 4) * stats.t.ppf(0.9, 4))
    assert found.value == pytest.approx(13 / 3)
    assert found.low == pytest.approx(enumerated_tail(all_of_them, tail))
    assert found.high == pytest.approx(enumerated_tail(all_of_them, 1 - tail))


def test_improvement_by_pairs_and_the_interval_of_all_resamples() -> None:
    a, b = np.array([1.0, 2.0, 4.0, 4.0, 9.0]), np.array([2.0, 3.0, 4.0, 8.0, 9.0])
    pairs = np.array([[1.0 if x < y else 0.5 if x == y else 0.0 for y in b] for x in a])
    found = probability_of_improvement(a[:, None], b[:, None], confidence=0.8, resamples=200_000)
    assert found.value == pytest.approx(pairs.mean())
    assert found.value == pytest.approx(stats.mannwhitneyu(b, a).statistic / 25)
    draws = np.array(list(product(range(5), repeat=5)))
    counts = np.stack([np.bincount(draw, minlength=5) for draw in draws])
    every = np.sort((counts @ pairs @ counts.T).ravel() / 25)
    tail = stats.norm.cdf(-stats.t.ppf(0.9, 8))
    assert found.low == pytest.approx(every[int(tail * len(every))], abs=0.02)
    assert found.high == pytest.approx(every[int((1 - tail) * len(every))], abs=0.02)


def test_improvement_is_the_mean_over_instances_and_that_of_b_the_rest() -> None:
    rng = np.random.default_rng(3)
    a, b = rng.integers(0, 6, size=(7, 12)).astype(float), rng.integers(0, 6, size=(5, 12)).astype(float)
    ours, theirs = probability_of_improvement(a, b), probability_of_improvement(b, a)
    expected = np.mean([stats.mannwhitneyu(y, x).statistic / 35 for x, y in zip(a.T, b.T, strict=True)])
    assert ours.value == pytest.approx(expected)
    assert ours.value + theirs.value == pytest.approx(1)
    assert ours.low + theirs.high == pytest.approx(1, abs=0.02)
    assert probability_of_improvement(a, a).value == 0.5


def test_where_a_always_wins_the_end_is_clopper_and_pearsons() -> None:
    always = probability_of_improvement(np.zeros((5, 4)), np.ones((6, 4)))
    never = probability_of_improvement(np.ones((5, 4)), np.zeros((6, 4)))
    exact = stats.binomtest(20, 20).proportion_ci(0.95, "exact")
    assert (always.value, always.high, never.value, never.low) == (1, 1, 0, 0)
    assert always.low == pytest.approx(exact.low)
    assert never.high == pytest.approx(1 - exact.low)
    assert unseen(0.95, 20) == pytest.approx(1 - exact.low)


def test_a_profile_counts_and_its_band_of_one_instance_is_the_binomials() -> None:
    """Drawing 40 runs again makes the share below a threshold binomial."""
    scores = np.arange(40.0)[:, None]
    found = performance_profile(scores, [-1.0, 9.5, 19.0, 100.0], resamples=50_000)
    tail = stats.norm.cdf(-math.sqrt(40 / 39) * stats.t.ppf(0.975, 39))
    assert found.share.tolist() == [0, 0.25, 0.5, 1]
    for k, share in ((1, 0.25), (2, 0.5)):
        assert 40 * found.low[k] == pytest.approx(stats.binom.ppf(tail, 40, share))
        assert 40 * found.high[k] == pytest.approx(stats.binom.ppf(1 - tail, 40, share))
    assert (found.low[0], found.high[3]) == (0, 1)
    assert found.high[0] == pytest.approx(stats.binomtest(0, 40).proportion_ci(0.95, "exact").high)
    assert found.low[3] == pytest.approx(1 - found.high[0])


def test_profiles_rise_and_lie_in_their_bands() -> None:
    for over in get_args(Over):
        found = performance_profile(SCORES, np.linspace(0, 30, 40), over=over)
        for line in (found.share, found.low, found.high):
            assert (np.diff(line) >= 0).all()
        assert (found.low <= found.share).all()
        assert (found.share <= found.high).all()
        assert (found.low >= 0).all()
        assert (found.high <= 1).all()


SHIFTS = 0.7 * np.arange(8)
"""Means of 8 instances."""


def middle_mean(cdf: Callable[[float], float], low: float, high: float) -> float:
    """The mean of the middle half of a law."""
    first, third = (optimize.brentq(lambda x, p=p: cdf(x) - p, low, high) for p in (0.25, 0.75))
    area, _ = integrate.quad(cdf, first, third)
    return float((0.75 * third - 0.25 * first - area) / 0.5)


@pytest.mark.parametrize(("law", "runs"), [("norm", 5), ("expon", 10)])
def test_95_percent_intervals_over_runs_hold_the_interquartile_mean_in_93_to_97_percent(law: str, runs: int) -> None:
    one = getattr(stats, law)
    truth = middle_mean(lambda x: float(np.mean(one.cdf(x - SHIFTS))), -10, 30)
    sample = {"norm": np.random.Generator.standard_normal, "expon": np.random.Generator.standard_exponential}[law]

    def interval(rng: np.random.Generator) -> Interval:
        return iqm_interval(SHIFTS + sample(rng, size=(runs, 8)), resamples=499)

    assert 0.93 <= share_held(interval, truth) <= 0.97


@pytest.mark.parametrize(("runs", "instances"), [(1, 30), (5, 12)])
def test_95_percent_intervals_over_instances_hold_that_of_the_population(runs: int, instances: int) -> None:
    spread = math.hypot(2, 1)  # of the means of instances, and of runs
    truth = middle_mean(lambda x: float(stats.norm.cdf(x, 3, spread)), -20, 20)

    def interval(rng: np.random.Generator) -> Interval:
        scores = rng.normal(3, 2, size=instances) + rng.normal(size=(runs, instances))
        return iqm_interval(scores, over="instances", resamples=499)

    assert truth == pytest.approx(3)
    assert 0.93 <= share_held(interval, truth) <= 0.97


@pytest.mark.parametrize(
    ("runs", "instances", "shift", "over"),
    [
        (5, 10, 0.0, "runs"),
        (8, 4, 1.0, "runs"),
        (1, 50, 0.7, "instances"),
    ],
)
def test_95_percent_intervals_hold_the_probability_of_improvement(
    runs: int, instances: int, shift: float, over: Over
) -> None:
    fixed = shift + 0.3 * (np.arange(instances) - (instances - 1) / 2)
    truth = {
        "runs": float(stats.norm.cdf(fixed / math.sqrt(2)).mean()),
        "instances": float(stats.norm.cdf(shift / math.sqrt(2 + 0.5**2))),
    }[over]

    def interval(rng: np.random.Generator) -> Interval:
        means = fixed if over == "runs" else rng.normal(shift, 0.5, size=instances)
        a, b = rng.normal(size=(2, runs, instances))
        return probability_of_improvement(a, b + means, over=over, resamples=499)

    assert 0.93 <= share_held(interval, truth) <= 0.97


@pytest.mark.parametrize("over", ["runs", "instances"])
def test_95_percent_bands_of_a_profile_hold_each_share_in_93_to_97_percent(over: Over) -> None:
    """At thresholds with some 10 scores or more on either side; towards the ends the bands are wider than needed."""
    runs, instances = {"runs": (15, 8), "instances": (2, 60)}[over]
    thresholds = np.array([-1.0, -0.5, 0.0, 0.5, 1.0])
    fixed = 0.3 * (np.arange(instances) - (instances - 1) / 2)
    spread = math.hypot(1, 0.5)
    truth = {
        "runs": stats.norm.cdf(thresholds[:, None] - fixed).mean(axis=1),
        "instances": stats.norm.cdf(thresholds / spread),
    }[over]
    rng, held = np.random.default_rng(8), np.zeros(5)
    for _ in range(REPEATS):
        means = fixed if over == "runs" else rng.normal(0, 0.5, size=instances)
        found = performance_profile(means + rng.normal(size=(runs, instances)), thresholds, over=over, resamples=499)
        held += (found.low - 1e-12 <= truth) & (truth <= found.high + 1e-12)
    assert ((held / REPEATS >= 0.93) & (held / REPEATS <= 0.97)).all(), held / REPEATS


def test_5_runs_without_the_correction_would_hold_the_interquartile_mean_too_seldom() -> None:
    """The plain percentile interval of Agarwal et al.: what the correction is for."""
    truth = middle_mean(lambda x: float(np.mean(stats.norm.cdf(x - SHIFTS))), -10, 30)
    rng, held = np.random.default_rng(9), 0
    for _ in range(REPEATS):
        scores = SHIFTS + rng.normal(size=(5, 8))
        drawn = np.take_along_axis(scores[None], rng.integers(5, size=(400, 5, 8)), axis=1).reshape(400, 40)
        low, high = np.quantile(np.sort(drawn)[:, 10:30].mean(axis=1), [0.025, 0.975])
        held += low <= truth <= high
    assert held / REPEATS < 0.93


few_runs = np.ones((3, 12))
interval_of: Any = bootstrap_interval
iqm_of: Any = iqm_interval
"""Without types, for what they forbid."""
nan_scores = np.where(np.eye(6) > 0, math.nan, 1.0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (partial(interval_of, [[1.0] * 20]), r"at least 20 finite values \(got shape \(1, 20\)\)"),
        (partial(interval_of, [math.nan] * 20), "at least 20 finite values"),
        (
            partial(interval_of, SCORES.ravel(), method="basic"),
            r"method must be 'BCa' or 'percentile' \(got 'basic'\)",
        ),
        (partial(interval_of, np.ones(10_001)), r"method 'BCa' takes at most 10,000 values \(got 10,001\)"),
        (partial(interval_of, SCORES.ravel(), confidence=95), r"confidence must be between 0 and 1 \(got 95\)"),
        (partial(interval_of, SCORES.ravel(), resamples=99), r"resamples must be at least \d+ .* \(got 99\)"),
        (partial(iqm_of, [1.0, 2.0]), r"scores must have the shape \[runs, instances\].*\(got \(2,\)\)"),
        (partial(iqm_of, nan_scores), r"scores must be finite \(got nan\)"),
        (partial(iqm_of, few_runs), r"over runs needs at least 5 runs \(got 3 runs of 12 instances\)"),
        (
            partial(iqm_of, SCORES[:1, :9]),
            r"over instances needs at least 10 instances \(got 1 run of 9 instances\)",
        ),
        (partial(iqm_of, SCORES, over="seeds"), r"over must be 'runs' or 'instances' \(got 'seeds'\)"),
        (partial(iqm_of, SCORES, confidence=0), r"confidence must be between 0 and 1 \(got 0\)"),
        (partial(iqm_of, SCORES, confidence=math.nan), r"confidence must be between 0 and 1 \(got nan\)"),
        (partial(iqm_of, SCORES, resamples=0), r"resamples must be at least \d+ .* \(got 0\)"),
        (partial(interquartile_mean, []), r"scores must be finite numbers, at least one \(got 0\)"),
        (partial(interquartile_mean, [math.inf]), "scores must be finite numbers"),
        (
            partial(performance_profile, SCORES, []),
            r"thresholds must be finite and increasing, at least one \(got \[\]\)",
        ),
        (partial(performance_profile, SCORES, [1.0, 1.0]), "thresholds must be finite and increasing"),
        (partial(performance_profile, SCORES, [math.nan]), "thresholds must be finite and increasing"),
        (partial(probability_of_improvement, SCORES, SCORES[:, :3]), r"the same instances \(got 11 and 3\)"),
        (partial(probability_of_improvement, SCORES, nan_scores), r"b must be finite \(got nan\)"),
        (partial(probability_of_improvement, SCORES, SCORES[:4]), r"at least 5 runs \(got 4 runs of 11 instances\)"),
        (partial(warm_up_mser, np.ones(49)), r"series must have at least 50 periods \(got 49\)"),
        (partial(warm_up_mser, np.ones((2, 3, 60))), r"series must be finite numbers of shape \[T\] or \[B, T\]"),
        (partial(warm_up_mser, [math.nan] * 60), "series must be finite numbers"),
    ],
)
def test_bad_input_is_refused(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def brute_force_mser(series: Floats) -> tuple[int, float]:
    """The batches that are left out, and the least value, from the definition."""
    batches = [float(np.mean(series[5 * k : 5 * k + 5])) for k in range(len(series) // 5)]
    found = {}
    for cut in range(len(batches) - 4):
        rest = batches[cut:]
        mean = math.fsum(rest) / len(rest)
        found[cut] = math.fsum((y - mean) ** 2 for y in rest) / len(rest) ** 2
    cut = min(found, key=found.__getitem__)
    return cut, found[cut]


def autoregressive(rng: np.random.Generator, periods: int, correlation: float = 0.6) -> Floats:
    noise = rng.normal(size=periods)
    for t in range(1, periods):
        noise[t] += correlation * noise[t - 1]
    return noise


@pytest.mark.parametrize("seed", range(12))
def test_mser_is_the_least_of_all_truncations(seed: int) -> None:
    rng = np.random.default_rng(seed)
    periods = int(rng.integers(50, 400))
    series = 1e3 + autoregressive(rng, periods) + rng.uniform(0, 60) * np.exp(-np.arange(periods) / rng.uniform(2, 80))
    cut, least = brute_force_mser(series)
    found = warm_up_mser(series)
    assert found.error == pytest.approx(math.sqrt(least), rel=1e-9)
    assert found.periods == (5 * cut if cut <= periods // 5 / 2 else None)
    assert bool(found.warning) == (found.periods is None)


@pytest.mark.parametrize("transient", [0, 40, 75])
def test_mser_finds_the_end_of_a_step_exactly(transient: int) -> None:
    series = np.where(np.arange(200) < transient, 1e9 / 3, 0.1)
    assert warm_up_mser(series).periods == transient
    assert warm_up_mser(series).error == 0


def test_mser_leaves_out_most_of_the_bias_of_a_decaying_start() -> None:
    """The start's bias is 50 exp(-t / 20): at period 80 it is below the noise of one series, at 120 of 25."""
    rng = np.random.default_rng(5)
    bias = 50 * np.exp(-np.arange(1_000) / 20)
    alone, many = [], []
    for _ in range(40):
        series = bias + np.stack([autoregressive(rng, 1_000) for _ in range(25)])
        alone.append(warm_up_mser(series[0]).periods)
        many.append(warm_up_mser(series).periods)
    single, averaged = ([p for p in found if p is not None] for found in (alone, many))
    assert len(single) >= 36
    assert len(averaged) >= 36
    assert all(50 <= p <= 150 for p in single)
    assert all(80 <= p <= 200 for p in averaged)
    assert np.median(averaged) > np.median(single)


def test_replications_are_averaged() -> None:
    series = np.random.default_rng(1).normal(size=(6, 203)) + 9 * np.exp(-np.arange(203) / 9)
    assert warm_up_mser(series) == warm_up_mser(series.mean(axis=0)) == warm_up_mser(series[:, :200])


def test_a_series_that_never_settles_has_no_warm_up() -> None:
    found = warm_up_mser(np.arange(300.0) ** 2)
    assert found.periods is None
    assert found.warning.startswith("MSER-5 would leave out 2")
    assert found.warning.endswith("of 300 periods, more than half: simulate more periods")
