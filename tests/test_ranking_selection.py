"""Ranking and selection: the probability of correct selection, and the replications that it takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import sqrt

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import integrate, optimize, stats

from echelon.baselines.ranking_selection import (
    Selection,
    difference_variances,
    kn_eta,
    select_best,
    simulated_costs,
)
from echelon.envs.demand import Poisson
from echelon.envs.errors import MethodError
from echelon.envs.network import Network
from echelon.envs.policy import order_up_to
from echelon.envs.problem import Problem

Floats = NDArray[np.float64]
Noise = Callable[[np.random.Generator, int, int], Floats]
MACROS = 1_000
LEAST = 0.95 - 3 * sqrt(0.05 * 0.95 / MACROS)


def independent(random: np.random.Generator, contenders: int, size: int) -> Floats:
    return random.normal(size=(contenders, size))


def common(random: np.random.Generator, contenders: int, size: int) -> Floats:
    """Correlation 0.9 between any two contenders."""
    return random.normal(size=(contenders, size)) + 3 * random.normal(size=size)


def unequal(random: np.random.Generator, contenders: int, size: int) -> Floats:
    return np.linspace(0.3, 1.5, contenders)[:, None] * random.normal(size=(contenders, size))


def skewed(random: np.random.Generator, contenders: int, size: int) -> Floats:
    return random.exponential(size=(contenders, size))


def study(means: Sequence[float], noise: Noise, *, macros: int = MACROS, **arguments: float) -> list[Selection]:
    """The selections of many repeats; contender 0 must be that of the least mean."""
    random = np.random.default_rng(len(means))

    def select() -> Selection:
        order = random.permutation(len(means))
        values = np.asarray(means)[order]

        def costs(contenders: Sequence[int], replications: range) -> Floats:
            drawn = noise(random, len(means), len(replications))
            return np.asarray((values[:, None] + drawn)[contenders])

        chosen = select_best(costs, len(means), **arguments)  # type: ignore[arg-type]
        best_of_means.append(bool(order[chosen.best] == 0))
        return chosen

    best_of_means.clear()
    return [select() for _ in range(macros)]


best_of_means: list[bool] = []
"""Of the last study, whether each selection was correct."""


@pytest.mark.parametrize(
    ("contenders", "batch", "noise"),
    [
        *((2, 1, noise) for noise in (independent, common, skewed)),
        *((5, 5, noise) for noise in (independent, common, unequal, skewed)),
        (5, 1, common),
        (10, 10, common),
    ],
)
def test_the_best_is_chosen_with_the_stated_probability_when_all_others_are_just_worse(
    contenders: int, batch: int, noise: Noise
) -> None:
    chosen = study([0.0] + [0.7] * (contenders - 1), noise, delta=0.7, first_stage=10, batch=batch)
    assert np.mean(best_of_means) >= LEAST
    assert all(one.complete and one.zone == 0.7 for one in chosen)


@pytest.mark.parametrize("most", [12, 40])
@pytest.mark.parametrize("gap", [0.3, 0.8])
def test_when_the_replications_run_out_the_zone_that_is_claimed_holds(most: int, gap: float) -> None:
    chosen = study([0.0] + [gap] * 4, common, delta=0.1, first_stage=10, batch=4, max_replications=most)
    wrong = [gap >= one.zone and not right for one, right in zip(chosen, best_of_means, strict=True)]
    assert np.mean(wrong) <= 1 - LEAST
    for one in chosen:
        assert one.replications.max() == most or one.complete
        assert one.zone > 0.1 or one.complete


def test_the_claimed_zone_shrinks_with_the_root_of_the_replications() -> None:
    zones = [
        np.mean([one.zone for one in study([0.0] * 3, independent, macros=50, delta=1e-3, max_replications=most)])
        for most in (100, 400)
    ]
    assert zones[0] / zones[1] == pytest.approx(2, rel=0.1)


@pytest.mark.parametrize(("contenders", "first_stage"), [(2, 10), (10, 10), (10, 24), (100, 30)])
def test_eta_solves_its_defining_equation(contenders: int, first_stage: int) -> None:
    """A wrong exit has a chance of at most E[exp(-eta chi^2)] / 2, integrated and solved without the closed form."""
    law = stats.chi2(first_stage - 1)

    def excess(eta: float) -> float:
        error = integrate.quad(lambda x: 0.5 * np.exp(-eta * x) * law.pdf(x), 0, np.inf, epsabs=1e-13)[0]
        return float(error - 0.05 / (contenders - 1))

    eta = optimize.brentq(excess, 1e-6, 5, xtol=1e-12)
    assert kn_eta(contenders, first_stage, 0.05) == pytest.approx(eta, rel=1e-6)


def test_eta_by_hand() -> None:
    # k = 10, n0 = 10: 2 * 0.05 / 9 = 1 / 90, and 90^(2/9) = exp(0.99996) = 2.71816.
    assert kn_eta(10, 10, 0.05) == pytest.approx((2.71816 - 1) / 2, abs=5e-5)
    # k = 2, n0 = 3, alpha = 1/8: (1/4)^(-1) = 4.
    assert kn_eta(2, 3, 0.125) == 1.5


def test_two_contenders_follow_the_triangle_by_hand() -> None:
    """k = 2, n0 = 3, alpha = 1/8: h^2 = 6; first differences 0, 1, 2 have S^2 = 1; delta = 1: width 3 - r / 2."""
    differences = np.array([0.0, 1.0, 2.0, -1.0, -2.0, 1.0, -0.6, 9.0])

    def costs(contenders: Sequence[int], replications: range) -> Floats:
        return np.array([np.zeros(len(replications)), differences[replications.start : replications.stop]])[contenders]

    chosen = select_best(costs, 2, delta=1, confidence=0.875, first_stage=3, batch=1, max_replications=100)
    # Sums 3, 2, 0, 1, 0.4 against widths 1.5 from r = 3: out at once. With a zone of 0.5: 6 - r / 4.
    assert (chosen.best, chosen.replications.tolist()) == (0, [3, 3])
    chosen = select_best(costs, 2, delta=0.5, confidence=0.875, first_stage=3, batch=1, max_replications=7)
    assert (chosen.best, chosen.survivors, chosen.replications.tolist()) == (0, (0, 1), [7, 7])
    assert chosen.zone == pytest.approx(sqrt(6 / 7))
    chosen = select_best(costs, 2, delta=0.5, confidence=0.875, first_stage=3, batch=1, max_replications=8)
    assert (chosen.best, chosen.complete, chosen.replications.tolist()) == (0, True, [8, 8])


def kn_written_out(costs: Floats, delta: float, first_stage: int, error: float, batch: int) -> tuple[int, int]:
    """KN on rows of costs with plain loops: the contender that is left and the replications that it took."""
    k = len(costs)
    eta = 0.5 * ((2 * error / (k - 1)) ** (-2 / (first_stage - 1)) - 1)
    left, r = list(range(k)), first_stage
    while True:
        keep = []
        for i in left:
            stays = True
            for other in left:
                s2 = np.var(costs[i, :first_stage] - costs[other, :first_stage], ddof=1)
                width = max(0.0, delta / (2 * r) * (2 * eta * (first_stage - 1) * s2 / delta**2 - r))
                stays = stays and bool(costs[i, :r].mean() <= costs[other, :r].mean() + width)
            keep += [i] if stays else []
        left = keep
        if len(left) == 1:
            return left[0], r
        r += batch


@pytest.mark.parametrize("seed", range(8))
def test_each_step_is_that_of_the_procedure_written_out(seed: int) -> None:
    random = np.random.default_rng(seed)
    contenders, batch, delta = int(random.integers(2, 7)), int(random.integers(1, 5)), float(random.uniform(0.2, 1))
    table = random.normal(size=(contenders, 1)) * 0.4 + common(random, contenders, 2_000)
    chosen = select_best(
        lambda who, r: table[who, r.start : r.stop], contenders, delta=delta, first_stage=8, batch=batch
    )
    expected = kn_written_out(table, delta, 8, 0.05, batch)
    assert (chosen.best, chosen.replications.max()) == expected


def test_spread_out_means_take_fewer_replications_than_two_stages() -> None:
    means = [0.3 * i for i in range(10)]
    chosen = study(means, independent, macros=200, delta=0.3, first_stage=10, batch=5)
    spent = np.mean([one.replications.sum() for one in chosen])
    assert np.mean(best_of_means) >= LEAST
    # Bonferroni (Clark and Yang): all contenders get (t S / delta)^2 for the largest S^2 of the differences.
    random = np.random.default_rng(0)
    t = stats.t.ppf(1 - 0.05 / 9, 9)
    bonferroni = [10 * (t / 0.3) ** 2 * difference_variances(random.normal(size=(10, 10))).max() for _ in range(200)]
    assert spent < 0.4 * np.mean(bonferroni)
    # Rinott: N_i = (h S_i / delta)^2 with the h below.
    assert spent < 0.4 * 10 * (rinott(10, 10) / 0.3) ** 2


def rinott(contenders: int, first_stage: int) -> float:
    """Rinott's h for 95 %, from its double integral over two chi-squared variables."""
    law = stats.chi2(first_stage - 1)
    x = law.ppf((np.arange(800) + 0.5) / 800)
    spread = np.sqrt((first_stage - 1) * (1 / x[:, None] + 1 / x))

    def missing(h: float) -> float:
        return float((stats.norm.cdf(h / spread).mean(axis=0) ** (contenders - 1)).mean() - 0.95)

    return float(optimize.brentq(missing, 0.1, 20))


def test_a_single_contender_is_the_best() -> None:
    chosen = select_best(lambda _, r: np.ones((1, len(r))), 1, delta=1)
    assert (chosen.best, chosen.survivors, chosen.replications.tolist(), chosen.zone) == (0, (0,), [30], 1)
    assert chosen.half_widths.tolist() == [0]


def test_of_equal_contenders_the_first_is_kept_after_the_first_stage() -> None:
    random = np.random.default_rng(0)

    def costs(contenders: Sequence[int], replications: range) -> Floats:
        return np.tile(random.normal(size=len(replications)), (len(contenders), 1))

    chosen = select_best(costs, 4, delta=0.1)
    assert (chosen.best, chosen.complete, chosen.replications.tolist()) == (0, True, [30] * 4)
    assert chosen.differences.tolist() == chosen.half_widths.tolist() == [0] * 4


def test_ties_in_the_mean_are_decided() -> None:
    chosen = study([0.0] * 4, independent, macros=50, delta=0.5)
    assert all(one.complete for one in chosen)


def test_a_constant_difference_is_decided_by_the_first_stage() -> None:
    random = np.random.default_rng(0)

    def costs(contenders: Sequence[int], replications: range) -> Floats:
        return np.asarray(np.array([1e-3, 0.0, 2e-3])[contenders][:, None] + random.integers(9, size=len(replications)))

    chosen = select_best(costs, 3, delta=1)
    assert (chosen.best, chosen.complete, chosen.replications.max()) == (1, True, 30)
    assert chosen.differences == pytest.approx([1e-3, 0, 2e-3])


def test_a_relative_zone_is_a_share_of_the_least_mean() -> None:
    chosen = study([100.0, 103.0, 110.0], independent, macros=20, delta=0.01, relative=True)
    for one in chosen:
        assert one.zone == pytest.approx(0.01 * one.means[one.best], rel=0.01)
        assert one.differences[one.best] == one.half_widths[one.best] == 0
        others = np.delete(np.arange(3), one.best)
        assert (one.half_widths[others] > 0).all()
    assert all(best_of_means)


def test_only_those_left_are_simulated_and_on_consecutive_replications() -> None:
    random, asked = np.random.default_rng(1), []

    def costs(contenders: Sequence[int], replications: range) -> Floats:
        asked.append((list(contenders), replications))
        noise = random.normal(size=(len(contenders), len(replications)))
        return np.asarray(np.array([0.0, 0.4, 30.0])[contenders][:, None] + noise)

    chosen = select_best(costs, 3, delta=0.2, first_stage=20, batch=25)
    assert asked[0] == ([0, 1, 2], range(20))
    assert all(who == [0, 1] for who, _ in asked[1:])
    assert [r.start for _, r in asked[1:]] == [r.stop for _, r in asked[:-1]]
    assert chosen.replications.tolist() == [asked[-1][1].stop, asked[-1][1].stop, 20]


def test_a_selection_reads_as_sentences() -> None:
    offsets = np.array([[1.0], [0.0], [4.0]])
    chosen = select_best(lambda i, r: np.tile(offsets, len(r))[i] + np.arange(len(r)), 3, delta=0.5)
    assert str(chosen).splitlines() == [
        "contender 1 is the best (95 % if it is better by 0.5)",
        "contender 1: +0 +- 0 on 30 replications",
        "contender 0: +1 +- 0 on 30 replications",
        "contender 2: +4 +- 0 on 30 replications",
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"contenders": 0}, "contenders must be at least 1, got 0"),
        ({"delta": 0.0}, "delta must be a finite number greater than 0, got 0"),
        ({"confidence": 0.5}, "confidence must be above 0.5 and below 1, got 0.5"),
        ({"first_stage": 1}, "first_stage must be at least 2 and batch at least 1, got 1 and 10"),
        ({"max_replications": 20}, "max_replications must be at least first_stage = 30, got 20"),
        ({"relative": True}, "delta cannot be relative to a least mean of 0: give it in units of cost"),
    ],
)
def test_bad_input_is_named(change: dict[str, float], message: str) -> None:
    arguments: dict[str, float] = {"contenders": 2, "delta": 1.0, **change}
    with pytest.raises(MethodError) as error:
        select_best(lambda i, r: np.zeros((len(i), len(r))), **arguments)  # type: ignore[arg-type]
    assert str(error.value) == message


def test_costs_that_are_not_finite_or_of_the_wrong_shape_are_named() -> None:
    with pytest.raises(MethodError, match=r"costs must give finite numbers of shape \(2, 30\), got shape \(3, 30\)"):
        select_best(lambda _, r: np.zeros((3, len(r))), 2, delta=1)
    with pytest.raises(MethodError, match="costs must give finite numbers"):
        select_best(lambda _, r: np.full((2, len(r)), np.nan), 2, delta=1)


def test_the_best_base_stock_level_is_selected_among_its_neighbours() -> None:
    network = Network.from_dict(
        {
            "nodes": [{"name": "store", "demand": Poisson(mean=5), "holding_cost": 1.0, "stockout_cost": 9.0}],
            "links": [{"target": "store", "lead_time": 2}],
        }
    )
    problem = Problem("store", network, periods=400, warm_up=20)
    levels = range(15, 27)
    policies = [order_up_to(network, [level]) for level in levels]
    chosen = select_best(simulated_costs(problem, policies, seed=1), len(levels), delta=0.005, relative=True)
    best = int(stats.poisson.ppf(0.9, 15))
    assert levels[chosen.best] == best
    assert chosen.replications[[0, -1]].tolist() == [30, 30]
