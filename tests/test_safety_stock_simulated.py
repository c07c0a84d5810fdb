"""What safety stock delivers in a simulation of single periods: no formula of the package is used in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from echelon.baselines.safety_stock import assp, service_of

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]


@dataclass
class Found:
    alpha: float
    """Share of replenishments that arrive before a shortage."""
    beta: float
    """Share of the demand that is served at once."""


def simulate(
    *,
    orders: Callable[[int, Floats], Floats],
    demand: Callable[[], Floats],
    lead_time: Callable[[], Whole],
    start: float,
    periods: int,
    warm_up: int,
    copies: int,
    longest: int,
) -> Found:
    """Step by step: orders of position [copies] at the start of a period arrive after `lead_time`, before demand."""
    net, position = np.full(copies, start), np.full(copies, start)
    due, orders_due = np.zeros((longest + 1, copies)), np.zeros((longest + 1, copies), dtype=np.int64)
    rows = np.arange(copies)
    served = asked = 0.0
    good = arrived = 0
    for t in range(periods):
        quantity = orders(t, position)
        at = (t + lead_time()) % (longest + 1)
        due[at, rows] += quantity
        orders_due[at, rows] += quantity > 0
        position = position + quantity
        now = t % (longest + 1)
        if t >= warm_up:
            comes = orders_due[now] > 0
            arrived += int(comes.sum())
            good += int((comes & (net >= 0)).sum())
        net = net + due[now]
        due[now], orders_due[now] = 0, 0
        wanted = demand()
        short_before, net, position = np.maximum(-net, 0), net - wanted, position - wanted
        if t >= warm_up:
            asked += float(wanted.sum())
            served += float((wanted - (np.maximum(-net, 0) - short_before)).sum())
    return Found(good / arrived, served / asked)


def cycle(
    level: float, *, mean: float, sd: float, lead: int, review: int, noise: tuple[int, float] | None = None
) -> Found:
    """Order up to a level every `review` periods, normal demand; lead times spread as a binomial around their mean."""
    rng = np.random.default_rng(11)
    copies = 4_000

    def lead_time() -> Whole:
        spread = 0 if noise is None else rng.binomial(*noise, copies) - round(noise[0] * noise[1])
        return np.full(copies, lead, dtype=np.int64) + spread

    return simulate(
        orders=lambda t, position: level - position if t % review == 0 else np.zeros(copies),
        demand=lambda: rng.normal(mean, sd, copies),
        lead_time=lead_time,
        start=level,
        periods=400,
        warm_up=60,
        copies=copies,
        longest=lead + (noise[0] if noise else 0),
    )


def lots(reorder: float, lot: float, *, shape: float, scale: float, lead: int, periods: int) -> Found:
    """Lots of fixed size whenever the position is at or below the reorder point at the start of a period."""
    rng = np.random.default_rng(12)
    copies = 3_000
    return simulate(
        orders=lambda _, position: lot * np.where(position <= reorder, np.floor((reorder - position) / lot) + 1, 0.0),
        demand=lambda: rng.gamma(shape, scale, copies),
        lead_time=lambda: np.full(copies, lead, dtype=np.int64),
        start=reorder + lot / 2,
        periods=periods,
        warm_up=periods // 8,
        copies=copies,
        longest=lead,
    )


@pytest.mark.parametrize("target", [0.95, 0.99])
def test_a_reorder_cycle_delivers_its_alpha_and_its_beta(target: float) -> None:
    fields: dict[str, Any] = {"demand_mean": 100, "demand_sd": 30, "lead_time": 5, "review_period": 5}
    alpha = cycle(1000 + float(assp("AT", **fields, service_level=target)), mean=100, sd=30, lead=5, review=5).alpha
    beta = cycle(1000 + float(assp("BT", **fields, service_level=target)), mean=100, sd=30, lead=5, review=5).beta
    assert alpha == pytest.approx(target, abs=0.003)
    assert beta == pytest.approx(target, abs=0.003)


def test_lead_times_that_vary_are_covered() -> None:
    """Lead time 10 with standard deviation 1; no order overtakes another, since the cycle is 10."""
    fields: dict[str, Any] = {
        "demand_mean": 100,
        "demand_sd": 60,
        "lead_time": 10,
        "lead_time_sd": 1,
        "review_period": 10,
    }
    for target in (0.9, 0.97):
        alpha = 2000 + float(assp("AT", **fields, service_level=target))
        beta = 2000 + float(assp("BT", **fields, service_level=target, floor=False))
        found = cycle(alpha, mean=100, sd=60, lead=10, review=10, noise=(4, 0.5))
        assert found.alpha == pytest.approx(target, abs=0.003)
        found = cycle(beta, mean=100, sd=60, lead=10, review=10, noise=(4, 0.5))
        assert found.beta == pytest.approx(target, abs=0.003)


def test_a_small_lot_against_a_large_sigma_needs_both_loss_terms() -> None:
    """Review every period with a lead time that varies little but a demand that varies a lot."""
    fields: dict[str, Any] = {"demand_mean": 100, "demand_sd": 90, "lead_time": 12, "review_period": 1}
    two = float(assp("BT", **fields, service_level=0.9))
    one = float(assp("BT", **fields, service_level=0.9, loss="one_term"))
    assert cycle(1300 + two, mean=100, sd=90, lead=12, review=1).beta == pytest.approx(0.9, abs=0.003)
    assert cycle(1300 + one, mean=100, sd=90, lead=12, review=1).beta > 0.93


def test_without_floor_and_with_it_the_delivered_service_is_the_stated_one() -> None:
    fields: dict[str, Any] = {"demand_mean": 100, "demand_sd": 20, "lead_time": 10, "review_period": 10}
    assert assp("BT", **fields, service_level=0.7) == 0
    assert cycle(2000, mean=100, sd=20, lead=10, review=10).beta == pytest.approx(
        float(service_of("BT", 0, **fields)), abs=0.003
    )


@pytest.mark.parametrize("target", [0.9, 0.98])
def test_a_reorder_point_looked_at_once_a_period_delivers_its_targets_with_undershoot(target: float) -> None:
    """Gamma demand of mean 4 and variance 8 in a period; the exposure's demand is close to gamma."""
    fields: dict[str, Any] = {
        "demand_mean": 4,
        "demand_sd": 8**0.5,
        "lead_time": 9,
        "order_quantity": 60,
        "undershoot": 1,
    }
    for method in ("AS", "BS"):
        reorder = 36 + float(assp(method, **fields, service_level=target, demand="gamma", floor=False))
        found = lots(reorder, 60, shape=2, scale=2, lead=9, periods=800)
        assert (found.alpha if method == "AS" else found.beta) == pytest.approx(target, abs=0.003)
    without = 36 + float(
        assp("BS", **{**fields, "undershoot": None}, service_level=target, demand="gamma", floor=False)
    )
    assert lots(without, 60, shape=2, scale=2, lead=9, periods=800).beta < target - 0.005


@pytest.mark.parametrize("target", [0.9, 0.98])
def test_a_reorder_point_under_demand_in_small_steps_needs_no_undershoot(target: float) -> None:
    """120 steps of exponential demand a lead time: the undershoot, 1 unit, is a tenth of the standard deviation."""
    fields: dict[str, Any] = {"demand_mean": 1, "demand_sd": 1, "lead_time": 120, "order_quantity": 150}
    for method in ("AS", "BS"):
        reorder = 121 + float(assp(method, **fields, service_level=target, floor=False))
        found = lots(reorder, 150, shape=1, scale=1, lead=120, periods=4_000)
        assert (found.alpha if method == "AS" else found.beta) == pytest.approx(target, abs=0.006)
