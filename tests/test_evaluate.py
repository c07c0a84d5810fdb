"""The statistics of a comparison: intervals that cover, differences that are paired, verdicts that do not cry wolf."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from echelon.envs.catalogue import lost_sales
from echelon.envs.policy import order_up_to
from echelon.envs.problem import Reference
from echelon.envs.scenarios import sample
from echelon.envs.simulate import simulate
from echelon.experiments.evaluate import Estimate, _holm, compare, estimate, gap

Floats = NDArray[np.float64]

OPTIMUM = Reference(4.0, "optimal", "a paper")


@pytest.mark.parametrize("replications", [2, 3, 10, 2_000])
@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.999])
def test_the_interval_is_students(replications: int, confidence: float) -> None:
    values = np.random.default_rng(replications).gamma(2.0, 3.0, replications)
    found = estimate(values, confidence=confidence)
    low, high = stats.t.interval(confidence, replications - 1, loc=values.mean(), scale=stats.sem(values))
    assert found.mean - found.half_width == pytest.approx(low, rel=1e-12, abs=1e-12)
    assert found.mean + found.half_width == pytest.approx(high, rel=1e-12, abs=1e-12)
    assert (found.confidence, found.replications) == (confidence, replications)


def test_an_interval_scales_and_shifts_with_its_values() -> None:
    values = np.random.default_rng(0).normal(size=40)
    plain, moved = estimate(values), estimate(3 + 10 * values)
    assert moved.mean == pytest.approx(3 + 10 * plain.mean)
    assert moved.half_width == pytest.approx(10 * plain.half_width)
    assert estimate(list(values)) == plain


def test_values_that_do_not_vary_have_no_half_width() -> None:
    assert estimate([7.0] * 5) == Estimate(7.0, 0.0, 0.95, 5)


@pytest.mark.parametrize(
    ("law", "replications", "truth"), [("normal", 5, 0.0), ("normal", 100, 0.0), ("exponential", 100, 1.0)]
)
def test_95_percent_intervals_hold_the_truth_in_93_to_97_percent_of_repeats(
    law: str, replications: int, truth: float
) -> None:
    draw = getattr(np.random.default_rng(20_240), law)
    found = [estimate(values) for values in draw(size=(4_000, replications))]
    covered = np.mean([abs(interval.mean - truth) <= interval.half_width for interval in found])
    assert 0.93 <= covered <= 0.97


@pytest.mark.parametrize(
    ("values", "confidence", "message"),
    [
        ([1.0], 0.95, r"at least 2 finite replications \(got shape \(1,\)\)"),
        ([], 0.95, r"at least 2 finite replications \(got shape \(0,\)\)"),
        ([[1.0, 2.0]], 0.95, r"at least 2 finite replications \(got shape \(1, 2\)\)"),
        ([1.0, math.nan], 0.95, "at least 2 finite replications"),
        ([1.0, math.inf], 0.95, "at least 2 finite replications"),
        ([1.0, 2.0], 0.0, r"confidence must be between 0 and 1 \(got 0\.0\)"),
        ([1.0, 2.0], 1.0, r"confidence must be between 0 and 1 \(got 1\.0\)"),
        ([1.0, 2.0], 95.0, r"confidence must be between 0 and 1 \(got 95\.0\)"),
        ([1.0, 2.0], math.nan, r"confidence must be between 0 and 1 \(got nan\)"),
    ],
)
def test_what_has_no_interval_is_refused(values: list[float], confidence: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        estimate(values, confidence=confidence)


def test_a_gap_is_in_percent_of_the_reference() -> None:
    found = gap(Estimate(5.0, 0.2, 0.95, 10), OPTIMUM)
    assert found is not None
    assert found.percent == pytest.approx(25.0)
    assert found.half_width == pytest.approx(5.0)
    below = gap(Estimate(3.0, 0.2, 0.95, 10), OPTIMUM)
    assert below is not None
    assert below.percent == pytest.approx(-25.0)


def test_a_gap_to_a_negative_reference_is_positive_above_it() -> None:
    found = gap(Estimate(-3.0, 0.2, 0.95, 10), Reference(-4.0, "optimal", "a paper"))
    assert found is not None
    assert found.percent == pytest.approx(25.0)
    assert found.half_width == pytest.approx(5.0)


def test_a_reference_with_a_half_width_widens_the_gap_by_the_delta_method() -> None:
    """C / R = 5 / 4: sqrt(0.2^2 + (1.25 * 0.3)^2) = 0.425, of 4."""
    cost = Estimate(5.0, 0.2, 0.95, 10)
    found = gap(cost, OPTIMUM, reference_half_width=0.3)
    assert found is not None
    assert found.percent == pytest.approx(25.0)
    assert found.half_width == pytest.approx(10.625)
    assert gap(cost, OPTIMUM, reference_half_width=0.0) == gap(cost, OPTIMUM)


@pytest.mark.parametrize("half_width", [-0.1, 0.81, math.nan, math.inf])
def test_a_reference_that_is_hardly_known_has_no_gap(half_width: float) -> None:
    message = rf"reference_half_width must be from 0 to 20% of the reference, 4 \(got {half_width:g}\)"
    with pytest.raises(ValueError, match=message):
        gap(Estimate(5.0, 0.2, 0.95, 10), OPTIMUM, reference_half_width=half_width)


def test_95_percent_intervals_of_gaps_to_an_estimated_reference_hold_the_true_gap() -> None:
    """Both are estimated; taking the reference for exact would hold the gap far too seldom."""
    rng, held, naive = np.random.default_rng(12), 0, 0
    for _ in range(4_000):
        cost, bound = estimate(rng.normal(125, 30, size=60)), estimate(rng.gamma(16, 100 / 16, size=50))
        reference = Reference(bound.mean, "lower_bound", "a simulation")
        found, narrow = gap(cost, reference, reference_half_width=bound.half_width), gap(cost, reference)
        assert found is not None
        assert narrow is not None
        held += abs(found.percent - 25) <= found.half_width
        naive += abs(narrow.percent - 25) <= narrow.half_width
    assert 0.93 <= held / 4_000 <= 0.97
    assert naive / 4_000 < 0.85


def test_95_percent_intervals_of_gaps_without_the_luck_of_the_scenarios_hold_the_true_gap_and_are_narrow() -> None:
    """An optimal policy of exact cost 4 met the same scenarios: what it cost more or less than 4 is chance."""
    rng, held, ratios = np.random.default_rng(13), 0, []
    for _ in range(4_000):
        shared = rng.gamma(4.0, 1.0, size=80)
        cost = 0.5 + 1.05 * shared + rng.exponential(0.3, size=80)
        luck = shared - 4.0
        plain, found = gap(estimate(cost), OPTIMUM), gap(estimate(cost - luck), OPTIMUM)
        assert plain is not None
        assert found is not None
        held += abs(found.percent - 25.0) <= found.half_width  # 0.5 + 1.05 * 4 + 0.3 = 5
        ratios.append(found.half_width / plain.half_width)
    assert 0.93 <= held / 4_000 <= 0.97
    assert max(ratios) < 0.5


@pytest.mark.parametrize("shift", [0.1, 0.0, 1.0])
def test_95_percent_intervals_of_paired_differences_hold_the_true_difference(shift: float) -> None:
    rng, held = np.random.default_rng(14), 0
    for _ in range(4_000):
        shared = rng.gamma(2.0, 5.0, size=40)
        costs = {"a": shared + rng.normal(size=40), "b": shared + shift + rng.normal(size=40)}
        (name, found), *_ = ((n, d.estimate) for n, d in compare(costs).items() if d.verdict != "best")
        truth = shift if name == "b" else -shift
        held += abs(found.mean - truth) <= found.half_width
    assert 0.93 <= held / 4_000 <= 0.97


def test_there_is_no_gap_without_a_reference_or_to_0() -> None:
    cost = Estimate(5.0, 0.2, 0.95, 10)
    assert gap(cost, None) is None
    assert gap(cost, Reference(0.0, "optimal", "a paper")) is None


def test_differences_are_taken_replication_by_replication_to_the_cheapest_policy() -> None:
    rng = np.random.default_rng(5)
    shared = rng.normal(scale=50.0, size=30)
    costs = {"dear": shared + 2 + rng.normal(scale=0.1, size=30), "cheap": shared, "same": shared + 0.0}
    found = compare(costs)
    assert list(found) == ["dear", "cheap", "same"]
    assert [difference.verdict for difference in found.values()] == ["worse", "best", "not distinguishable"]
    own = estimate(costs["dear"] - costs["cheap"], confidence=found["dear"].estimate.confidence)
    assert found["dear"].estimate == own
    assert own.half_width < 0.1 < estimate(costs["dear"]).half_width
    assert found["cheap"].estimate.mean == found["cheap"].estimate.half_width == 0
    assert found["same"].estimate.mean == found["same"].estimate.half_width == 0


def test_a_policy_that_always_costs_the_same_more_is_worse() -> None:
    base = np.arange(10.0)
    found = compare({"a": base, "b": base + 0.5})
    assert (found["b"].verdict, found["b"].estimate.mean, found["b"].estimate.half_width) == ("worse", 0.5, 0.0)


def test_costs_that_differ_by_rounding_alone_are_not_distinguished() -> None:
    base = np.full(10, 24.96)
    found = compare({"a": base, "b": np.nextafter(base, np.inf)})
    assert found["b"].verdict == "not distinguishable"


def test_a_single_policy_is_the_best() -> None:
    (found,) = compare({"only": np.arange(4.0)}).values()
    assert (found.verdict, found.estimate.mean, found.estimate.replications) == ("best", 0.0, 4)


def test_the_first_of_equal_policies_is_the_best() -> None:
    costs = np.arange(4.0)
    assert [found.verdict for found in compare({"a": costs, "b": costs}).values()] == ["best", "not distinguishable"]


def test_two_policies_are_compared_by_the_paired_t_test() -> None:
    rng = np.random.default_rng(1)
    verdicts = set()
    for shift in np.linspace(0, 1, 21):
        costs = {"a": rng.normal(size=12), "b": rng.normal(shift, size=12)}
        cheap, dear = sorted(costs, key=lambda name: costs[name].mean())
        p_value = stats.ttest_rel(costs[dear], costs[cheap]).pvalue
        found = compare(costs)
        verdicts.add(found[dear].verdict)
        assert found[dear].verdict == ("worse" if p_value <= 0.05 else "not distinguishable")
        assert (found[dear].estimate.mean > found[dear].estimate.half_width) == (p_value <= 0.05)
    assert verdicts == {"worse", "not distinguishable"}


@pytest.mark.parametrize(
    ("p_values", "rejected"),
    [
        # Sorted: 0.005 <= 0.05 / 4 and 0.01 <= 0.05 / 3, but 0.03 > 0.05 / 2, and so 0.04 <= 0.05 comes too late.
        ({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005}, {"a", "d"}),
        # 0.012 <= 0.05 / 4, 0.016 <= 0.05 / 3, 0.024 <= 0.05 / 2 and 0.049 <= 0.05; Bonferroni rejects only the first.
        ({"a": 0.049, "b": 0.024, "c": 0.016, "d": 0.012}, {"a", "b", "c", "d"}),
        # The smallest one fails, and so nothing is rejected.
        ({"a": 0.02, "b": 0.021, "c": 0.022}, set()),
        ({"a": 0.05}, {"a"}),
        ({}, set()),
    ],
)
def test_holms_procedure_on_examples_worked_by_hand(p_values: dict[str, float], rejected: set[str]) -> None:
    pairs = {(name, name): p for name, p in p_values.items()}
    assert _holm(pairs, 0.05) == {(name, name) for name in rejected}


def test_holms_procedure_is_the_closed_test_of_bonferroni() -> None:
    """A hypothesis falls if every set of hypotheses that holds it has a p-value of at most level / size."""
    rng = np.random.default_rng(11)
    for _ in range(300):
        p_values = {name: float(p) for name, p in zip("abcde", rng.beta(0.3, 6, size=5), strict=True)}
        sets = [s for size in range(1, 6) for s in itertools.combinations(p_values, size)]
        kept = [s for s in sets if min(p_values[name] for name in s) > 0.05 / len(s)]
        fallen = {(name, name) for name in p_values if not any(name in s for s in kept)}
        assert _holm({(name, name): p for name, p in p_values.items()}, 0.05) == fallen


@pytest.mark.parametrize("policies", [2, 4, 8])
def test_at_most_5_percent_of_comparisons_of_equal_policies_call_any_worse(policies: int) -> None:
    """The best is picked by the same data: the correction must bear that too."""
    repeats, replications = 4_000, 50
    rng = np.random.default_rng(77)
    wrong = missed = 0
    for _ in range(repeats):
        costs = rng.normal(size=(policies, replications))
        found = compare({str(policy): row for policy, row in enumerate(costs)}).values()
        wrong += any(difference.verdict == "worse" for difference in found)
        missed += any(abs(difference.estimate.mean) > difference.estimate.half_width for difference in found)
    noise = 3 * math.sqrt(0.05 * 0.95 / repeats)
    assert wrong / repeats <= 0.05 + noise
    assert missed / repeats <= 0.05 + noise


def test_policies_that_are_worse_are_found() -> None:
    rng = np.random.default_rng(8)
    costs = {name: shift + rng.normal(size=400) for name, shift in {"a": 0.0, "b": 0.4, "c": 0.5, "d": 0.6}.items()}
    assert [found.verdict for found in compare(costs).values()] == ["best", "worse", "worse", "worse"]


def test_common_scenarios_make_the_interval_of_a_difference_3_times_narrower() -> None:
    problem = lost_sales(lead_time=4, stockout_cost=4.0)

    def cost(level: float, *, seed: int) -> Floats:
        scenarios = sample(problem.network, periods=problem.periods, replications=400, seed=seed)
        return simulate(problem, order_up_to(problem.network, [level]), scenarios).cost

    lower, higher = cost(25, seed=0), cost(26, seed=0)
    paired = estimate(higher - lower)
    unpaired = math.hypot(estimate(lower).half_width, estimate(cost(26, seed=1)).half_width)
    assert paired.half_width < unpaired / 3
    found = compare({"25": lower, "26": higher})
    dear = max(found, key=lambda name: found[name].estimate.mean)
    assert abs(found[dear].estimate.mean) == abs(paired.mean)
    assert found[dear].verdict == "worse"
