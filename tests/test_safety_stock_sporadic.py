"""Safety stock for sporadic demand, against sums over the law, and undershoot."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy import integrate, optimize, stats

from echelon.baselines.safety_stock import assp, service_of
from echelon.baselines.safety_stock_exposure import undershoot_moments

FIELDS: dict[str, Any] = {"demand_mean": 0.8, "demand_sd": 1.7, "lead_time": 4, "lead_time_sd": 1.0, "review_period": 3}
BEFORE = 4 * 1.7**2 + 0.8**2
MOMENTS = {"AS": (3.2, BEFORE), "AT": (5.6, BEFORE + 3 * 1.7**2)}
K = np.arange(2_000)


def negative_binomial(mean: float, variance: float) -> np.ndarray:
    return stats.nbinom.pmf(K, mean**2 / (variance - mean), mean / variance)


@pytest.mark.parametrize("level", [0.2, 0.8, 0.95, 0.999])
@pytest.mark.parametrize("method", ["AS", "AT"])
def test_alpha_stock_is_the_quantile_of_the_law(method: str, level: float) -> None:
    mean, variance = MOMENTS[method]
    gamma = stats.gamma(mean**2 / variance, scale=variance / mean).ppf(level)
    whole = int(np.argmax(np.cumsum(negative_binomial(mean, variance)) >= level))
    for demand, quantile in (("gamma", gamma), ("negative_binomial", whole)):
        stock = assp(method, **FIELDS, service_level=level, demand=demand, floor=False)
        assert stock == pytest.approx(quantile - mean, abs=1e-9)
        assert assp(method, **FIELDS, service_level=level, demand=demand) == max(stock, 0)


@pytest.mark.parametrize("level", [0.4, 0.8, 0.95, 0.999])
@pytest.mark.parametrize("method", ["BS", "BT"])
def test_beta_stock_is_the_least_that_keeps_the_target(method: str, level: float) -> None:
    def late(s: float) -> float:
        """Units late in a cycle of 2.4 by sums over the negative binomial."""

        def loss(at: float, mean: float, variance: float) -> float:
            return float(np.maximum(K - at, 0.0) @ negative_binomial(mean, variance))

        if method == "BS":
            return loss(s, *MOMENTS["AS"]) - loss(s + 2.4, *MOMENTS["AS"])
        return loss(s, *MOMENTS["AT"]) - loss(s, *MOMENTS["AS"])

    mean = MOMENTS["A" + method[1]][0]
    level_found = mean + float(assp(method, **FIELDS, service_level=level, demand="negative_binomial", floor=False))
    assert level_found == pytest.approx(round(level_found), abs=1e-9)
    s = round(level_found)
    assert late(s) <= (1 - level) * 2.4 < late(s - 1)
    assert service_of(method, s - mean, **FIELDS, demand="negative_binomial") == pytest.approx(1 - late(s) / 2.4)


@pytest.mark.parametrize("level", [0.8, 0.99])
def test_gamma_beta_stock_solves_the_equation_by_integrals(level: float) -> None:
    def loss(s: float, mean: float, variance: float) -> float:
        law = stats.gamma(mean**2 / variance, scale=variance / mean)
        return float(integrate.quad(law.sf, s, np.inf, epsabs=1e-12)[0])

    def short(s: float) -> float:
        return loss(s, *MOMENTS["AT"]) - loss(s, *MOMENTS["AS"]) - (1 - level) * 2.4

    s = optimize.brentq(short, 0.1, 60)
    assert assp("BT", **FIELDS, service_level=level, demand="gamma") == pytest.approx(s - 5.6, abs=1e-6)


def test_a_lumpy_law_needs_more_stock_than_the_normal_one_for_a_high_target() -> None:
    for method in ("AS", "AT", "BS", "BT"):
        gamma = assp(method, **FIELDS, service_level=0.99, demand="gamma")
        assert gamma > assp(method, **FIELDS, service_level=0.99)


def test_the_laws_meet_where_the_exposure_is_long() -> None:
    fields: dict[str, Any] = {
        "demand_mean": 100,
        "demand_sd": 30,
        "lead_time": 4_000,
        "review_period": 100,
        "service_level": 0.95,
    }
    normal = assp("BT", **fields)
    assert assp("BT", **fields, demand="gamma") == pytest.approx(normal, rel=0.02)
    assert assp("BT", **fields, demand="negative_binomial") == pytest.approx(normal, rel=0.02)


def test_the_undershoot_of_steady_demand_is_uniform() -> None:
    mean, variance = undershoot_moments(np.array([6.0, 0.0]), np.zeros(2), np.zeros(2))
    np.testing.assert_allclose(mean, [3, 0])
    np.testing.assert_allclose(variance, [36 / 12, 0])


def test_the_undershoot_of_exponential_demand_is_exponential() -> None:
    """The gamma law of shape 1 has no memory."""
    mean, variance = undershoot_moments(np.array([5.0]), np.array([25.0]), np.array([2 * 125.0]))
    np.testing.assert_allclose([mean[0], variance[0]], [5, 25])


def test_undershoot_adds_its_mean_and_its_variance_to_the_reorder_point() -> None:
    fields: dict[str, Any] = {"demand_mean": 20, "demand_sd": 6, "lead_time": 4, "service_level": 0.95}
    mean = (400 + 36) / 40
    second = (20**3 + 3 * 20 * 36) / 60
    sd = math.sqrt(4 * 36 + second - mean**2)
    assert assp("AS", **fields, undershoot=1) == pytest.approx(mean + stats.norm.ppf(0.95) * sd)
    still = assp("AS", **{**fields, "demand_sd": 0}, undershoot=1)
    assert still == pytest.approx(10 + stats.norm.ppf(0.95) * math.sqrt(400 / 12))
