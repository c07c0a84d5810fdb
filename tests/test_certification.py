"""Certificates: how often they are wrong, when they are given, and what they say."""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from echelon.baselines.certification import (
    ServiceSample,
    attempt_error,
    certify,
    certify_sample,
    simulated_service,
)
from echelon.baselines.min_max_service import min_max_service
from echelon.baselines.service_floors import ServiceFloor
from echelon.envs.demand import NegativeBinomial
from echelon.envs.errors import MethodError
from echelon.envs.network import Network
from echelon.envs.policy import order_up_to
from echelon.envs.problem import Problem

Floats = NDArray[np.float64]
Noise = Callable[[np.random.Generator, tuple[int, ...]], Floats]
REPEATS = 2_000
ALLOWED = 0.05 + 3 * sqrt(0.05 * 0.95 / REPEATS)


def normal(random: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    return random.normal(size=shape)


def bad_years(random: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    """Of mean 0 and variance 1, with a long tail of bad years: skewness -2."""
    return 1 - random.exponential(size=shape)


def good_years(random: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    return random.exponential(size=shape) - 1


def ties(random: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    """A fifth of the years are bad and all of these alike."""
    return np.where(random.random(shape) < 0.2, -2.0, 0.5)


def floors(count: int, level: float = 0.95) -> list[ServiceFloor]:
    return [ServiceFloor(f"store_{i}", level) for i in range(count)]


def years(
    random: np.random.Generator,
    size: int,
    *,
    above: Floats,
    noise: Noise = normal,
    correlation: float = 0.0,
    level: float = 0.95,
) -> ServiceSample:
    """Years in which some 1,000 units are asked for and each floor is exceeded by `above` units in the mean."""
    own, common = noise(random, (size, len(above))), noise(random, (size, 1))
    whole = 1000.0 + 30 * random.normal(size=(size, len(above)))
    shaped = sqrt(1 - correlation) * own + sqrt(correlation) * common
    return ServiceSample(level * whole + above + 10 * shaped, whole)


@pytest.mark.parametrize("noise", [normal, bad_years, good_years, ties])
@pytest.mark.parametrize(("size", "below"), [(200, 0.0), (200, 0.2), (1_000, 0.0)])
def test_a_floor_that_is_just_reached_or_just_missed_is_rarely_certified(noise: Noise, size: int, below: float) -> None:
    random, wanted, above = np.random.default_rng(size), floors(1), np.array([-below])
    wrong = sum(certify_sample(wanted, years(random, size, above=above, noise=noise)).met for _ in range(REPEATS))
    assert wrong / REPEATS <= ALLOWED


def test_in_small_samples_the_term_for_skewness_takes_most_of_what_bad_years_add_to_the_error() -> None:
    random = np.random.default_rng(2)
    samples = [years(random, 50, above=np.zeros(1), noise=bad_years) for _ in range(REPEATS)]
    margins = np.array([(drawn.good - 0.95 * drawn.whole)[:, 0] for drawn in samples])
    plain = margins.mean(axis=1) >= stats.t.ppf(0.95, 49) * margins.std(axis=1, ddof=1) / sqrt(50)
    corrected = np.array([certify_sample(floors(1), drawn).met for drawn in samples])
    assert plain.mean() > 0.075
    assert corrected.mean() < 0.05 + 0.6 * (plain.mean() - 0.05)


@pytest.mark.parametrize(("count", "correlation"), [(2, 0.0), (5, 0.8)])
def test_several_floors_take_the_error_of_one(count: int, correlation: float) -> None:
    random = np.random.default_rng(count)
    one_broken = np.append(0.0, np.full(count - 1, 10.0))
    for above, least in ((np.zeros(count), 0.0), (one_broken, 0.05 - 3 * sqrt(0.05 * 0.95 / REPEATS))):
        wrong = sum(
            certify_sample(floors(count), years(random, 200, above=above, correlation=correlation)).met
            for _ in range(REPEATS)
        )
        # With the others far above their floors the test has size 5 %: Bonferroni would give 5 % / count.
        assert least <= wrong / REPEATS <= ALLOWED


def test_attempts_and_looks_share_the_error() -> None:
    random, wanted = np.random.default_rng(4), floors(2)

    def draw(replications: range) -> ServiceSample:
        return years(random, len(replications), above=np.zeros(2), noise=bad_years, correlation=0.9)

    def wrong(shared: bool) -> float:
        """How often one of three repairs is certified, none of which reaches more than the floors."""
        attempts = range(3) if shared else [None] * 3
        found = [
            any(certify(wanted, draw, sizes=(100, 300), attempt=attempt).met for attempt in attempts)
            for _ in range(REPEATS if shared else 200)
        ]
        return float(np.mean(found))

    assert wrong(True) <= ALLOWED
    assert wrong(False) > ALLOWED


def test_a_service_of_three_standard_errors_above_the_floor_is_mostly_certified() -> None:
    random = np.random.default_rng(5)
    three = 3 * 10 / sqrt(400)
    met = [certify_sample(floors(1), years(random, 400, above=np.array([three]))).met for _ in range(500)]
    assert np.mean(met) == pytest.approx(stats.norm.cdf(3 - 1.645), abs=0.04)
    five = [
        certify_sample(floors(5), years(random, 400, above=np.full(5, 1.5 * three), noise=bad_years)).met
        for _ in range(500)
    ]
    assert np.mean(five) > 0.9


@pytest.mark.parametrize("noise", [normal, bad_years, good_years])
def test_the_interval_of_the_service_is_that_of_the_bootstrap(noise: Noise) -> None:
    drawn = years(np.random.default_rng(6), 600, above=np.array([3.0]), noise=noise)
    result = certify_sample(floors(1), drawn).floors[0]

    def share(good: Floats, whole: Floats, axis: int) -> Floats:
        return np.asarray(good.sum(axis=axis) / whole.sum(axis=axis))

    both = stats.bootstrap(
        (drawn.good[:, 0], drawn.whole[:, 0]),
        share,
        paired=True,
        vectorized=True,
        confidence_level=0.9,
        n_resamples=9_999,
        random_state=np.random.default_rng(0),
    ).confidence_interval
    width = result.service - result.at_least
    assert result.service == pytest.approx(drawn.good.sum() / drawn.whole.sum(), rel=1e-12)
    assert result.at_least == pytest.approx(both.low, abs=0.1 * width)
    assert result.at_most == pytest.approx(both.high, abs=0.1 * width)


def test_the_bounds_are_the_levels_at_which_the_test_turns() -> None:
    random = np.random.default_rng(7)
    whole = random.uniform(500, 1500, size=(80, 1))
    # Years with much demand are served badly.
    drawn = ServiceSample(whole * (1.05 - 1e-4 * whole) + 5 * random.normal(size=(80, 1)), whole)

    def bound(end: str) -> float:
        """The term for skewness depends on the level a little: a fixed point."""
        level = 0.95
        for _ in range(20):
            level = getattr(certify_sample(floors(1, level), drawn).floors[0], end)
        return level

    low, high = bound("at_least"), bound("at_most")
    assert 0.01 < high - low < 0.02
    verdicts = [
        certify_sample(floors(1, level), drawn).floors[0].verdict
        for level in (low - 1e-9, low + 1e-9, high - 1e-9, high + 1e-9)
    ]
    assert verdicts == ["met", "undecided", "undecided", "missed"]


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), min_size=2, max_size=12),
    level=st.sampled_from([0.5, 0.9, 0.99]),
)
def test_service_margin_and_verdict_never_contradict_one_another(rows: list[tuple[int, int]], level: float) -> None:
    short, filled = np.array(rows, dtype=np.float64).T
    drawn = ServiceSample(filled[:, None], (filled + short)[:, None])
    result = certify_sample(floors(1, level), drawn).floors[0]
    assert 0 <= result.at_least <= result.service + 1e-12
    assert result.service <= result.at_most + 1e-12
    assert result.at_most <= 1
    assert result.margin_at_least <= result.margin <= result.margin_at_most
    assert np.isfinite([result.margin_at_least, result.margin_at_most]).all()
    if result.verdict == "met":
        assert result.at_least >= level
    elif result.verdict == "missed":
        assert result.at_most <= level
    else:
        assert result.at_least <= level <= result.at_most


@pytest.mark.parametrize(("filled", "verdict"), [(95.0, "met"), (95.1, "met"), (94.9, "missed")])
def test_a_constant_margin_is_met_if_it_is_not_negative(filled: float, verdict: str) -> None:
    drawn = ServiceSample(np.full((5, 1), filled), np.full((5, 1), 100.0))
    result = certify_sample(floors(1), drawn).floors[0]
    assert result.verdict == verdict
    assert result.at_least == pytest.approx(filled / 100, rel=1e-12)
    assert result.at_most == pytest.approx(filled / 100, rel=1e-12)
    # 0.95 * 0.7 is below 0.665 by rounding, which must not matter.
    tiny = ServiceSample(np.full((5, 1), 0.95 * 0.7 * (1 - 1e-16)), np.full((5, 1), 0.7))
    assert certify_sample(floors(1), tiny).met


def test_a_floor_of_a_node_that_nobody_asks_is_met() -> None:
    certificate = certify_sample(floors(1), ServiceSample(np.zeros((5, 1)), np.zeros((5, 1))))
    assert certificate.met
    assert certificate.floors[0].service == certificate.floors[0].at_least == 1


def test_without_floors_nothing_is_simulated() -> None:
    def draw(_: range) -> ServiceSample:
        raise AssertionError

    assert certify([], draw).met
    assert certify([], draw).replications == 0


def test_the_sample_grows_only_while_a_floor_is_undecided() -> None:
    def looks(above: float) -> list[range]:
        random, asked = np.random.default_rng(8), []

        def draw(replications: range) -> ServiceSample:
            asked.append(replications)
            return years(random, len(replications), above=np.array([above, 50.0]))

        certify(floors(2), draw, sizes=(100, 250, 400))
        return asked

    assert looks(10.0) == looks(-10.0) == [range(100)]
    assert looks(0.0) == [range(100), range(100, 250), range(250, 400)]


def test_a_certificate_reads_as_sentences() -> None:
    rows = np.array([[0.96, 0.93, 0.951], [0.97, 0.94, 0.949], [0.965, 0.935, 0.949]])
    certificate = certify_sample(floors(3), ServiceSample(1000 * rows, np.full((3, 3), 1000.0)))
    assert str(certificate).splitlines() == [
        "2 of 3 floors are not shown (3 fresh replications)",
        "fill_rate of store_0 >= 0.95: 0.9650, at least 0.9565 with 95 % confidence: met",
        "fill_rate of store_1 >= 0.95: 0.9350, at most 0.9435 with 95 % confidence: missed, short by 0.0150",
        "fill_rate of store_2 >= 0.95: 0.9497, between 0.9477 and 0.9525 with 95 % confidence: undecided, "
        "short by 0.0003",
    ]
    assert [result.floor.node for result in certificate.open] == ["store_1", "store_2"]
    assert certificate.open[0].shortfall == pytest.approx(0.015)
    assert not certificate.met
    assert certificate.decided


def test_the_attempts_spend_less_than_the_error_together() -> None:
    assert attempt_error(0.05, 0) == 0.025
    assert sum(attempt_error(0.05, attempt) for attempt in range(50)) <= 0.05
    drawn = years(np.random.default_rng(9), 100, above=np.array([5.0]))
    bounds = [certify(floors(1), lambda _: drawn, sizes=(100,), attempt=k).floors[0].at_least for k in (None, 0, 1, 5)]
    assert bounds == sorted(bounds, reverse=True)
    assert bounds[0] == certify_sample(floors(1), drawn).floors[0].at_least
    assert certify(floors(1), lambda _: drawn, sizes=(100, 200), attempt=1).error == pytest.approx(0.05 / 4 / 2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sizes": (1, 100)}, "sizes must grow from at least 2 replications, got (1, 100)"),
        ({"sizes": (100, 100)}, "sizes must grow from at least 2 replications, got (100, 100)"),
        ({"sizes": ()}, "sizes must grow from at least 2 replications, got ()"),
        ({"confidence": 1.0}, "confidence must be above 0.5 and below 1, got 1"),
        ({"attempt": -1}, "attempt must be at least 0, got -1"),
    ],
)
def test_bad_input_is_named(change: dict[str, object], message: str) -> None:
    with pytest.raises(MethodError) as error:
        certify(floors(1), lambda r: ServiceSample(*np.ones((2, len(r), 1))), **change)  # type: ignore[arg-type]
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("shape", "value", "message"),
    [
        ((1, 1), 1.0, "a certificate needs at least 2 replications, got 1"),
        ((4, 2), 1.0, "good and whole must have a column for each of 1 floors, got shapes (4, 2) and (4, 2)"),
        ((4, 1), np.nan, "good and whole must be finite, and whole at least 0"),
        ((4, 1), -1.0, "good and whole must be finite, and whole at least 0"),
    ],
)
def test_a_bad_sample_is_named(shape: tuple[int, int], value: float, message: str) -> None:
    with pytest.raises(MethodError) as error:
        certify_sample(floors(1), ServiceSample(np.full(shape, value), np.full(shape, value)))
    assert str(error.value) == message


def test_certificates_agree_with_the_exact_service_of_a_min_max_policy() -> None:
    law = NegativeBinomial(mean=4, sd=4)
    network = Network.from_dict(
        {
            "nodes": [{"name": "store", "demand": law, "holding_cost": 1.0}],
            "links": [{"target": "store", "lead_time": 2, "fixed_cost": 20.0}],
        }
    )
    problem = Problem("store", network, periods=465, warm_up=100)
    exact = min_max_service(18, 38, demand=law, lead_time=2)
    policy = order_up_to(network, [38], reorder=[18])

    def verdict(above: float) -> str:
        wanted = [
            ServiceFloor("store", exact.fill_rate + above),
            ServiceFloor("store", exact.alpha + above, "period_service"),
        ]
        draw = simulated_service(problem, policy, wanted, seed=1, stream="certification-0")
        certificate = certify(wanted, draw, sizes=(200, 500), attempt=0)
        for result, truth in zip(certificate.floors, (exact.fill_rate, exact.alpha), strict=True):
            assert result.at_least < truth < result.at_most
            assert result.at_most - result.at_least < 0.015
        return "met" if certificate.met else certificate.open[0].verdict

    assert [verdict(above) for above in (-0.02, 0.0, 0.02)] == ["met", "undecided", "missed"]
