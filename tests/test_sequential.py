"""Simulating until the interval is narrow enough: it is, it still covers, and it does not simulate much more."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from echelon.envs.catalogue import lost_sales
from echelon.envs.policy import order_up_to
from echelon.envs.scenarios import sample
from echelon.envs.simulate import simulate_cost
from echelon.experiments.evaluate import estimate
from echelon.experiments.sequential import FEWEST_FIRST, is_precise, until_precise

Floats = NDArray[np.float64]

REPEATS = 4_000
"""Of coverage: a standard error of 0.34 %."""


class Source:
    """Values that are given out by their numbers; remembers the ranges it was asked for."""

    def __init__(self, values: Floats) -> None:
        self.values = values
        self.asked: list[range] = []

    def __call__(self, replications: range) -> Floats:
        self.asked.append(replications)
        return self.values[replications.start : replications.stop]


def normal(seed: int, count: int = 100_000, mean: float = 10.0, sd: float = 3.0) -> Source:
    return Source(np.random.default_rng(seed).normal(mean, sd, size=count))


@pytest.mark.parametrize("mean", [10.0, -10.0])
@pytest.mark.parametrize("precision", [5.0, 1.0, 0.5])
def test_the_half_width_is_at_most_the_precision_and_no_look_before_was_enough(mean: float, precision: float) -> None:
    source = normal(1, mean=mean)
    values = until_precise(source, first=100, precision=precision, most=100_000)
    low, high = stats.t.interval(0.95, len(values) - 1, loc=values.mean(), scale=stats.sem(values))
    assert (high - low) / 2 <= precision / 100 * abs(values.mean())
    assert np.array_equal(values, source.values[: len(values)])
    assert [k for part in source.asked for k in part] == list(range(len(values)))
    for part in source.asked[1:]:
        before = estimate(source.values[: part.start])
        assert before.half_width > precision / 100 * abs(before.mean)


@pytest.mark.parametrize("seed", range(20))
def test_it_simulates_little_more_than_is_needed_in_few_looks(seed: int) -> None:
    source = normal(seed, count=20_000)
    values = until_precise(source, first=500, precision=1.0, most=20_000)
    needed = (1.96 * 3 / 0.1) ** 2
    assert 0.9 * needed < len(values) < 1.35 * needed
    assert len(source.asked) <= 3


def test_a_first_batch_that_is_precise_is_the_sample() -> None:
    source = normal(0)
    assert len(until_precise(source, first=2_000, precision=5.0, most=2_000)) == 2_000
    assert source.asked == [range(2_000)]


def test_it_ends_at_most_precise_or_not() -> None:
    source = normal(0)
    values = until_precise(source, first=100, precision=0.01, most=1_234)
    assert len(values) == 1_234
    assert not is_precise(values, precision=0.01)
    assert is_precise(values, precision=5.0)
    assert not is_precise(values, precision=1.7, confidence=0.99)
    assert is_precise(values, precision=1.7, confidence=0.9)


def test_a_mean_of_0_is_never_precise_and_the_sample_grows_ten_fold() -> None:
    values = np.tile([-1.0, 1.0], 50_000)
    source = Source(values)
    assert len(until_precise(source, first=100, precision=1.0, most=50_000)) == 50_000
    assert source.asked == [range(100), range(100, 1_000), range(1_000, 10_000), range(10_000, 50_000)]


@pytest.mark.parametrize("value", [0.0, 7.5])
def test_values_that_do_not_vary_are_precise_at_once(value: float) -> None:
    assert len(until_precise(Source(np.full(500, value)), first=100, precision=0.1, most=500)) == 100


def test_a_higher_confidence_takes_more_replications() -> None:
    sizes = [
        len(until_precise(normal(2), first=100, precision=1.0, most=100_000, confidence=confidence))
        for confidence in (0.8, 0.95, 0.99)
    ]
    assert sizes == sorted(set(sizes))


def coverage(draw: Callable[[np.random.Generator, int], Floats], *, needed: float, sd: float) -> float:
    """The share of sequential samples of mean 1 whose interval holds it; `needed` replications would be enough."""
    precision = 100 * 1.96 * sd / math.sqrt(needed)
    most = int(8 * needed) + 8 * FEWEST_FIRST
    rng, held = np.random.default_rng(31), 0
    for _ in range(REPEATS):
        source = Source(draw(rng, most))
        found = estimate(until_precise(source, first=FEWEST_FIRST, precision=precision, most=most))
        held += abs(found.mean - 1) <= found.half_width
    return held / REPEATS


@pytest.mark.parametrize("needed", [100, 130, 400])
def test_95_percent_intervals_of_sequential_samples_hold_the_mean_in_93_to_97_percent(needed: int) -> None:
    """Worst where the first batch is just about enough, so that its standard deviation decides."""
    assert 0.93 <= coverage(lambda rng, n: rng.normal(1, 0.3, size=n), needed=needed, sd=0.3) <= 0.97


def test_so_do_those_of_a_skewed_law() -> None:
    assert 0.93 <= coverage(lambda rng, n: rng.exponential(size=n), needed=400, sd=1.0) <= 0.97


def test_one_by_one_from_a_small_first_batch_intervals_hold_the_mean_in_under_90_percent() -> None:
    """The rule of Chow and Robbins as it stands, from 10 observations of a skewed law: what the design avoids."""
    rng, held = np.random.default_rng(2), 0
    counts = np.arange(10, 201)
    for _ in range(2_000):
        values = rng.exponential(size=200)
        means = np.cumsum(values)[9:] / counts
        squares = np.cumsum(values**2)[9:] / counts - means**2
        wide = stats.norm.ppf(0.975) * np.sqrt(squares / (counts - 1))
        stop = int(np.argmax(wide <= 0.4 * means))
        held += abs(means[stop] - 1) <= wide[stop]
    assert held / 2_000 < 0.9


def test_a_simulation_is_run_until_it_is_precise() -> None:
    problem = lost_sales(lead_time=4, stockout_cost=4.0)
    policy = order_up_to(problem.network, [25])

    def costs(replications: range) -> Floats:
        scenarios = sample(problem.network, periods=problem.periods, replications=replications, seed=3)
        return simulate_cost(problem, policy, scenarios)

    values = until_precise(costs, first=100, precision=0.3, most=10_000)
    assert 100 < len(values) < 10_000
    assert is_precise(values, precision=0.3)
    assert np.array_equal(values, costs(range(len(values))))


run = partial(until_precise, normal(0), first=100, precision=1.0, most=1_000)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (partial(run, first=99), r"first must be at least 100 replications, .* \(got 99\)"),
        (partial(run, most=99), r"most must be at least first = 100 \(got 99\)"),
        (partial(run, precision=0.0), r"precision must be a percentage above 0 \(got 0\.0\)"),
        (partial(run, precision=-1.0), r"precision must be a percentage above 0 \(got -1\.0\)"),
        (partial(run, precision=math.nan), r"precision must be a percentage above 0 \(got nan\)"),
        (partial(run, precision=math.inf), r"precision must be a percentage above 0 \(got inf\)"),
        (partial(run, confidence=95), r"confidence must be between 0 and 1 \(got 95\)"),
        (
            partial(until_precise, lambda _: np.ones(3), first=100, precision=1.0, most=100),
            r"simulate_more must give one finite value for each of 100 replications \(got shape \(3,\)\)",
        ),
        (
            partial(until_precise, lambda r: np.full(len(r), math.nan), first=100, precision=1.0, most=100),
            "simulate_more must give one finite value",
        ),
    ],
)
def test_bad_input_is_refused(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
