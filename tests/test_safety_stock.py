"""Safety stock by service level: published rows, exact equations, laws, bad input."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, optimize, stats

from echelon.baselines._safety_stock import shortage
from echelon.baselines.safety_stock import EXTENDED, METHODS, assp, service_of
from echelon.envs.errors import MethodError

# Textbook forms computed independently of this package; the vendor publishes no numbers. Columns: D, sd, L, sd_L, R,
# Q, service level; AS, AT, BS, BS one term, BT, BT one term.
ROWS = [
    (100, 30, 5, 0, 5, 500, 0.95, 110.3401, 156.0445, 3.6008, 3.6008, 29.2679, 29.2679),
    (100, 30, 5, 0, 5, 500, 0.999, 207.2991, 293.1652, 137.4018, 137.4018, 206.1816, 206.1816),
    (100, 30, 5, 2, 5, 500, 0.95, 346.9823, 364.1039, 170.2554, 170.4581, 184.7044, 184.8676),
    (10, 5, 20, 4, 1, 10, 0.9, 58.7281, 59.0766, 53.8445, 74.5412, 55.2502, 75.0982),
    (100, 0, 5, 0, 5, 500, 0.95, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
    (100, 0, 5, 2, 5, 500, 0.95, 328.9707, 328.9707, 155.4166, 155.5437, 155.4166, 155.5437),
    (100, 20, 10, 0, 10, 1000, 0.7, 33.166, 46.9038, 0.0, 0.0, 0.0, 0.0),
]
COLUMNS = (("AS", "two_term"), ("AT", "two_term"), ("BS", "two_term"), ("BS", "one_term"), ("BT", "two_term"))
ONE = {"demand_mean": 100, "demand_sd": 30, "lead_time": 5, "review_period": 5, "order_quantity": 500}
GOOD: dict[str, Any] = {**ONE, "service_level": 0.95}

positive = st.floats(0.01, 1e3)
levels = st.floats(0.01, 0.9999)


@pytest.mark.parametrize("column", range(6))
def test_the_reference_rows_come_out_to_four_digits(column: int) -> None:
    rows = np.array(ROWS)
    method, loss = (*COLUMNS, ("BT", "one_term"))[column]
    stock = assp(
        method,
        demand_mean=rows[:, 0],
        demand_sd=rows[:, 1],
        lead_time=rows[:, 2],
        lead_time_sd=rows[:, 3],
        review_period=rows[:, 4],
        order_quantity=rows[:, 5],
        service_level=rows[:, 6],
        loss=loss,
    )
    np.testing.assert_allclose(stock, rows[:, 7 + column], rtol=0, atol=1e-4)


def test_a_high_fill_rate_in_a_reorder_cycle_that_the_reference_simulated() -> None:
    """Row 7 of the reference: without safety stock, 0.96409 of the demand was on time."""
    given: dict[str, Any] = {"demand_mean": 100, "demand_sd": 20, "lead_time": 10, "review_period": 10}
    assert service_of("BT", 0, **given) == pytest.approx(0.96409, abs=3e-4)


def late(method: str, stock: float, *, D: float, sd: float, L: float, sd_L: float, R: float) -> float:
    """Units late in a cycle of D R units, by integrals of the tail of scipy's normal law."""

    def loss(level: float, mean: float, spread: float) -> float:
        if spread == 0:
            return max(mean - level, 0.0)
        law = stats.norm(mean, spread)
        return float(integrate.quad(law.sf, level, mean + 40 * spread, epsabs=1e-13, epsrel=1e-12, limit=500)[0])

    before = math.sqrt(L * sd**2 + (D * sd_L) ** 2)
    if method == "BS":
        return loss(D * L + stock, D * L, before) - loss(D * L + stock + D * R, D * L, before)
    level = D * (L + R) + stock
    return loss(level, D * (L + R), math.sqrt(before**2 + R * sd**2)) - loss(level, D * L, before)


@pytest.mark.parametrize("method", ["BS", "BT"])
@pytest.mark.parametrize("beta", [0.6, 0.95, 0.9999])
@pytest.mark.parametrize(
    "row",
    [(10.0, 5.0, 20.0, 4.0, 1.0), (1.0, 3.0, 0.0, 0.0, 2.0), (3.0, 9.0, 7.0, 0.0, 0.5), (50.0, 4.0, 2.5, 0.3, 9.0)],
)
def test_the_beta_equation_holds_against_numerical_integrals(
    method: str, beta: float, row: tuple[float, float, float, float, float]
) -> None:
    D, sd, L, sd_L, R = row
    L = max(L, 1.0) if method == "BS" else L
    stock = float(
        assp(
            method,
            demand_mean=D,
            demand_sd=sd,
            lead_time=L,
            lead_time_sd=sd_L,
            review_period=R,
            service_level=beta,
            floor=False,
        )
    )
    found = optimize.brentq(
        lambda s: late(method, s, D=D, sd=sd, L=L, sd_L=sd_L, R=R) - (1 - beta) * D * R, stock - 1, stock + 1, xtol=1e-9
    )
    assert stock == pytest.approx(found, abs=1e-6)


def test_the_compiled_loss_is_the_normal_loss_to_rounding() -> None:
    x = np.linspace(-37, 37, 20_001)
    tail, loss = np.empty_like(x), np.empty_like(x)
    shortage(x, np.full_like(x, 1e100), np.ones_like(x), tail, loss)
    np.testing.assert_allclose(tail, stats.norm.sf(x), rtol=3e-13)
    near = abs(x) < 6
    exact = stats.norm.pdf(x) - x * stats.norm.sf(x)
    np.testing.assert_allclose(loss[near], exact[near], rtol=2e-11)  # the difference above loses digits, not the loop
    np.testing.assert_allclose(np.gradient(loss, x)[1:-1], -tail[1:-1], atol=1e-5)


@settings(max_examples=60)
@given(
    st.sampled_from(EXTENDED),
    positive,
    st.floats(0.001, 1e3),
    st.floats(0, 60),
    st.floats(0, 10),
    st.floats(0.1, 60),
    levels,
)
def test_a_stock_without_floor_delivers_its_target_exactly(
    method: str, mean: float, sd: float, lead: float, lead_sd: float, cycle: float, level: float
) -> None:
    given: dict[str, Any] = {
        "demand_mean": mean,
        "demand_sd": sd,
        "lead_time": lead + 0.1,
        "lead_time_sd": lead_sd,
        "review_period": cycle,
    }
    stock = assp(method, **given, service_level=level, floor=False)
    assert service_of(method, stock, **given) == pytest.approx(level, abs=1e-8)
    floored = assp(method, **given, service_level=level)
    assert floored == max(stock, 0.0) or floored == pytest.approx(stock, rel=1e-9)
    assert service_of(method, floored, **given) >= level - 1e-8


@settings(max_examples=40)
@given(st.sampled_from(EXTENDED), st.sampled_from(["normal", "gamma", "negative_binomial"]), levels, st.data())
def test_more_service_and_more_error_never_need_less_stock(
    method: str, demand: str, level: float, data: st.DataObject
) -> None:
    sd = data.draw(st.floats(10.1, 60))
    more = data.draw(st.floats(1.01, 2))
    base = assp(method, **{**GOOD, "demand_sd": sd, "service_level": level}, demand=demand)
    higher = assp(method, **{**GOOD, "demand_sd": sd, "service_level": 1 - (1 - level) / more}, demand=demand)
    assert higher >= base - 1e-9
    if demand == "normal" and level > 0.5:
        assert assp(method, **{**GOOD, "demand_sd": sd * more, "service_level": level}) >= base - 1e-9


@pytest.mark.parametrize("method", ["AS", "AT"])
def test_stock_is_proportional_to_the_demand_error_where_the_lead_time_is_certain(method: str) -> None:
    sd = np.array([0.1, 0.2, 0.4, 0.8]) * 30
    stock = assp(method, **{**GOOD, "demand_sd": sd})
    np.testing.assert_array_equal(stock / stock[0], [1, 2, 4, 8])
    np.testing.assert_allclose(assp(method, **{**GOOD, "demand_sd": 1.1 * sd}), 1.1 * stock, rtol=1e-15)


def test_stock_by_beta_is_proportional_where_demand_and_its_error_grow_together() -> None:
    for method in ("BS", "BT"):
        more: dict[str, Any] = {**GOOD, "demand_mean": 700, "demand_sd": 210, "order_quantity": 3500}
        assert assp(method, **more) == pytest.approx(7 * assp(method, **GOOD), rel=1e-12)


def test_one_loss_term_overstates_the_stock_where_the_lot_is_small() -> None:
    given: dict[str, Any] = {"demand_mean": 10, "demand_sd": 5, "lead_time": 20, "lead_time_sd": 4, "review_period": 1}
    two = assp("BT", **given, service_level=0.9)
    assert assp("BT", **given, service_level=0.9, loss="one_term") / two == pytest.approx(1.36, abs=0.002)


def test_fields_broadcast_and_numbers_give_a_number() -> None:
    demand, lead = np.array([[10.0], [20.0], [30.0]]), np.array([2, 4])
    grid = assp("BT", demand_mean=demand, demand_sd=0.3 * demand, lead_time=lead, review_period=5, service_level=0.95)
    assert grid.shape == (3, 2)
    one = assp("BT", demand_mean=20, demand_sd=6.0, lead_time=4, review_period=5, service_level=0.95)
    assert isinstance(one, float)
    assert grid[1, 1] == one
    empty = assp("AS", demand_mean=[], demand_sd=[], lead_time=5, service_level=0.9)
    assert empty.shape == (0,)


@pytest.mark.parametrize("method", EXTENDED)
def test_the_bits_depend_on_neither_chunks_nor_threads_nor_neighbours(method: str) -> None:
    rng = np.random.default_rng(3)
    n = 5_003
    fields: dict[str, Any] = {
        "demand_mean": rng.gamma(0.5, 30, n),
        "demand_sd": rng.gamma(2, 10, n),
        "lead_time": rng.uniform(0, 20, n),
        "lead_time_sd": rng.uniform(0, 5, n),
        "review_period": rng.uniform(0.2, 9, n),
        "service_level": rng.choice([0.3, 0.9, 0.95, 0.9999], n),
    }
    whole = assp(method, **fields)
    for chunk, threads in ((1, 1), (7, 3), (128, 2), (1_000, 5), (10**6, 2)):
        assert assp(method, **fields, chunk=chunk, threads=threads).tobytes() == whole.tobytes()
    order = rng.permutation(n)
    shuffled = assp(method, **{key: values[order] for key, values in fields.items()})
    assert shuffled.tobytes() == whole[order].tobytes()
    assert np.isfinite(whole).all()
    assert (whole >= 0).all()


def test_many_different_service_levels_give_what_each_gives_alone() -> None:
    level = np.linspace(0.5, 0.999, 400)
    stock = assp("AS", **{**GOOD, "service_level": level})
    assert stock.tolist() == [assp("AS", **{**GOOD, "service_level": p}) for p in level]


@pytest.mark.parametrize("method", EXTENDED)
@pytest.mark.parametrize("demand", ["normal", "gamma", "negative_binomial"])
def test_no_demand_or_no_variance_needs_no_stock(method: str, demand: str) -> None:
    for still in ({"demand_sd": 0}, {"demand_mean": 0}, {"demand_mean": 0, "demand_sd": 0}):
        fields: dict[str, Any] = {**GOOD, **still}
        assert assp(method, **fields, demand=demand) == 0
        del fields["service_level"]
        assert service_of(method, 0, **fields, demand=demand) == 1


def test_without_a_lead_time_only_the_cycle_needs_stock() -> None:
    fields: dict[str, Any] = {**GOOD, "lead_time": 0}
    assert assp("AS", **fields) == assp("BS", **fields) == 0
    assert assp("AT", **fields) == pytest.approx(stats.norm.ppf(0.95) * 30 * math.sqrt(5))
    assert assp("BT", **{**fields, "service_level": 0.999}) > 0


def test_without_a_lot_the_target_days_give_it() -> None:
    fields: dict[str, Any] = {**GOOD, "order_quantity": None, "review_period": 7}
    assert assp("BS", **fields) == assp("BS", **{**GOOD, "order_quantity": 700})


def test_extreme_fields_give_finite_stock() -> None:
    mean, sd, cycle, level = np.meshgrid(
        [1e-9, 1.0, 1e9, 1e50], [0.0, 1e-180, 1e-9, 1.0, 1e9, 1e50], [1e-9, 1.0, 1e9], [1e-12, 0.5, 1 - 1e-15]
    )
    for method in EXTENDED:
        for floor in (True, False):
            fields: dict[str, Any] = {"demand_mean": mean, "demand_sd": sd, "lead_time": 3.0, "review_period": cycle}
            stock = assp(method, **fields, service_level=level, floor=floor)
            assert np.isfinite(stock).all()
            service = service_of(method, stock, **fields)
            assert ((service >= 0) & (service <= 1)).all()


def test_the_standard_methods_take_units_days_or_the_larger() -> None:
    fields: dict[str, Any] = {"safety_stock": [50, 200], "safety_days": 3, "demand_mean": 40}
    assert [assp(method, **fields).tolist() for method in ("SB", "MB")] == [[50, 200]] * 2
    assert [assp(method, safety_days=3, demand_mean=40) for method in ("SZ", "MZ")] == [120] * 2
    assert [assp(method, **fields).tolist() for method in ("SM", "MM")] == [[120, 200]] * 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"service_level": 1}, "service_level must be above 0 and below 1, got 1"),
        ({"service_level": 1.2}, "service_level must be above 0 and below 1, got 1.2"),
        ({"service_level": 0}, "service_level must be above 0 and below 1, got 0"),
        (
            {"service_level": [0.9, 1.0, 0.95, 2.0]},
            r"service_level must be above 0 and below 1, got 1 at position 1 \(2 of 4 values break this\)",
        ),
        (
            {"demand_sd": [[1.0, 2.0], [3.0, -1.0]]},
            r"demand_sd must be at least 0 and at most 1e\+50, got -1 at position \(1, 1\) \(1 of 4",
        ),
        ({"demand_mean": math.nan}, r"demand_mean must be at least 0 and at most 1e\+50, got nan"),
        ({"lead_time": math.inf}, "lead_time must be at least 0 .* got inf"),
        ({"lead_time_sd": -0.1}, "lead_time_sd must be at least 0 .* got -0.1"),
        ({"review_period": 0}, "review_period must be above 0 .* got 0"),
        ({"review_period": None}, "BT needs review_period"),
        ({"demand_mean": None}, "BT needs demand_mean"),
        ({"service_level": None}, "BT needs service_level"),
        ({"demand_mean": "many"}, "demand_mean must be numbers, got many"),
        ({"demand_mean": [1, None]}, "demand_mean must be at least 0 .* got nan at position 1"),
        ({"demand_mean": [1, "many", None]}, "demand_mean must be numbers: could not convert string to float: 'many'"),
        (
            {"demand_mean": [1, 2], "lead_time": [1, 2, 3]},
            "the fields must have shapes that broadcast, got .*lead_time",
        ),
        ({"loss": "three_term"}, "loss must be two_term or one_term, got 'three_term'"),
        ({"demand": "lognormal"}, "demand must be normal or gamma or negative_binomial, got 'lognormal'"),
        ({"undershoot": 1}, "undershoot is for the reorder points AS and BS, got method 'BT'"),
        ({"chunk": 0}, "chunk must be at least 1, got 0"),
        ({"threads": 0}, "threads must be at least 1, got 0"),
    ],
)
def test_bad_fields_are_refused_with_their_place(change: dict[str, Any], message: str) -> None:
    with pytest.raises(MethodError, match=message):
        assp("BT", **{**GOOD, **change})


def test_an_unknown_method_and_what_others_lack_are_named() -> None:
    with pytest.raises(MethodError, match=r"method must be AS or .* got 'XX'"):
        assp("XX", **GOOD)
    with pytest.raises(MethodError, match="BS needs order_quantity or review_period"):
        assp("BS", **{**GOOD, "order_quantity": None, "review_period": None})
    with pytest.raises(MethodError, match=r"order_quantity must be above 0 .* got 0"):
        assp("BS", **{**GOOD, "order_quantity": 0})
    with pytest.raises(MethodError, match="SZ needs safety_days"):
        assp("SZ", demand_mean=3)
    with pytest.raises(
        MethodError, match=r"negative_binomial needs demand .* variance above its mean, got variance 500"
    ):
        assp("BT", **{**GOOD, "demand_sd": math.sqrt(50)}, demand="negative_binomial")
    assert len(METHODS) == 10
