"""Scenarios from histories: what resampling keeps of three years of daily demand, and lead times from orders."""

from __future__ import annotations

import csv
from datetime import date, timedelta
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import special

from echelon.envs.codec import Codec
from echelon.envs.demand import Empirical
from echelon.envs.errors import DemandError, NetworkError
from echelon.envs.history import BLOCKS, DemandHistory, history_network, load_history
from echelon.envs.history_lead_times import LeadTimeHistory, load_lead_times
from echelon.envs.network import Network
from echelon.envs.policy import order_up_to
from echelon.envs.problem import Problem
from echelon.envs.scenarios import sample
from echelon.envs.simulate import simulate
from echelon.envs.supply import LeadTime

Floats = NDArray[np.float64]
PLACES = ("Lyon", "Turin", "Rotterdam", "Porto")
DAYS = 1_095
WEEK = np.array([1.0, 0.9, 0.9, 1.1, 1.4, 0.6, 0.3])
START = date(2022, 1, 1)


@cache
def panel() -> DemandHistory:
    """Three years of intermittent daily demand at four places, with weekdays, memory and correlation.

    A latent AR(1) process, part of it common to all places, says how much is sold; below a threshold nothing is.
    """
    rng = np.random.default_rng(5)
    shocks = 0.6**0.5 * rng.normal(size=(DAYS, 1)) + 0.4**0.5 * rng.normal(size=(DAYS, 4))
    latent = shocks.copy()
    for t in range(1, DAYS):
        latent[t] = 0.7 * latent[t - 1] + (1 - 0.7**2) ** 0.5 * shocks[t]
    chance = np.array([0.3, 0.5, 0.7, 0.85])
    size = special.ndtr(latent) - (1 - chance)
    weekday = WEEK[(np.arange(DAYS) + START.weekday()) % 7]
    units = np.ceil(np.maximum(size, 0) / chance * np.array([30, 20, 15, 25]) * weekday[:, None])
    starts = tuple(START + timedelta(days=t) for t in range(DAYS))
    return DemandHistory("D", starts, {("valve", place): tuple(units[:, i]) for i, place in enumerate(PLACES)})


def build(history: DemandHistory, **options: object) -> Network:
    settings = {"lead_time": 2, "holding_cost": 1.0, "stockout_cost": 9.0} | options
    return history_network(history, **settings)  # type: ignore[arg-type]


@cache
def resampled() -> Floats:
    """[B, T, C] years of demand drawn from the panel."""
    network = build(panel(), method="bootstrap", align=7, joint=True)
    return sample(network, periods=364, replications=1_000, seed=1).demand


def observed() -> Floats:
    """[T, C] the part of the panel that is drawn from: whole weeks."""
    return np.array(list(panel().series.values())).T[DAYS % 7 :]


def lagged(demand: Floats) -> Floats:
    """[C] lag-1 autocorrelation of [..., T, C], about the mean of all."""
    x = demand - demand.reshape(-1, demand.shape[-1]).mean(axis=0)
    pairs = (x[..., 1:, :] * x[..., :-1, :]).reshape(-1, x.shape[-1]).mean(axis=0)
    return np.asarray(pairs / x.reshape(-1, x.shape[-1]).var(axis=0))


def crossed(demand: Floats) -> Floats:
    """[6] correlation between places in the same period."""
    return np.asarray(np.corrcoef(demand.reshape(-1, demand.shape[-1]).T))[np.triu_indices(4, 1)]


def test_the_panel_is_a_hard_one() -> None:
    assert ((lagged(observed()) > 0.3) & (lagged(observed()) < 0.7)).all()
    assert (crossed(observed()) > 0.3).all()
    assert ((observed() == 0).mean(axis=0) > 0.1).all()


def test_blocks_keep_the_autocorrelation_at_lag_1_to_within_a_tenth() -> None:
    np.testing.assert_allclose(lagged(resampled()), lagged(observed()), rtol=0.1)


def test_without_blocks_the_autocorrelation_is_lost() -> None:
    demand = sample(build(panel()), periods=364, replications=200, seed=1).demand
    assert (np.abs(lagged(demand)) < 0.02).all()
    assert (np.abs(crossed(demand)) < 0.02).all()


def test_blocks_keep_mean_spread_and_the_share_of_zeros() -> None:
    drawn = resampled().reshape(-1, 4)
    np.testing.assert_allclose(drawn.mean(axis=0), observed().mean(axis=0), rtol=0.02)
    np.testing.assert_allclose(drawn.std(axis=0), observed().std(axis=0), rtol=0.02)
    np.testing.assert_allclose((drawn == 0).mean(axis=0), (observed() == 0).mean(axis=0), atol=0.02)


def test_joint_draws_keep_the_correlation_between_places_and_others_have_none() -> None:
    np.testing.assert_allclose(crossed(resampled()), crossed(observed()), rtol=0.1)
    network = build(panel(), method="bootstrap", align=7)
    # what is left is the week, which all places share
    apart = crossed(sample(network, periods=364, replications=200, seed=1).demand)
    assert (apart < 0.5 * crossed(observed())).all()


def test_aligned_draws_keep_the_weekdays() -> None:
    by_weekday = resampled().reshape(-1, 7, 4).mean(axis=0)
    np.testing.assert_allclose(by_weekday, observed().reshape(-1, 7, 4).mean(axis=0), rtol=0.03)
    assert (by_weekday.max(axis=0) > 3 * by_weekday.min(axis=0)).all()


def test_the_autocovariance_that_stays_is_one_less_lag_by_block() -> None:
    """The formula of `BLOCKS`, on a series without weekdays, at lags from 1 to 20."""
    rng = np.random.default_rng(1)
    x = np.zeros(1_092)
    for t in range(1, len(x)):
        x[t] = 0.95 * x[t - 1] + rng.normal()
    x -= x.min()
    y = Empirical(values=tuple(x), block=28).sample(rng.random((4_000, 280))) - x.mean()
    for lag in (1, 5, 20):
        kept = (y[:, lag:] * y[:, :-lag]).mean()
        whole = float(np.mean((x - x.mean()) * (np.roll(x, -lag) - x.mean())))
        # 280 periods are 10 whole blocks, of whose pairs at this lag some do not start within them
        share = 10 * (28 - lag) / (280 - lag)
        assert kept == pytest.approx(share * whole, rel=0.05)
    assert min(1 - 1 / block for block in BLOCKS.values()) > 0.9


def test_three_years_of_daily_rows_become_a_network_that_can_be_simulated(tmp_path: Path) -> None:
    path = tmp_path / "daily.csv"
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["date", "item", "location", "quantity"])
        for (item, place), units in panel().series.items():
            writer.writerows((day, item, place, unit) for day, unit in zip(panel().starts, units, strict=True))
    history = load_history(path, period="D")
    assert history == panel()
    network = build(
        history,
        method="bootstrap",
        align=7,
        joint=True,
        warehouse_lead_time=6,
        holding_cost={"warehouse": 0.03, **dict.fromkeys(PLACES, 0.05), "Turin": 0.06},
        fixed_cost={"warehouse": 60.0, **dict.fromkeys(PLACES, 12.0)},
        stockout_rule="backorder",
        least_periods=DAYS,
    )
    assert network.description == "Demand of 1092 days from 2022-01-04."
    assert [link.fixed_cost for link in network.links] == [60, 12, 12, 12, 12]
    assert [node.holding_cost for node in network.nodes] == [0.03, 0.05, 0.06, 0.05, 0.05]
    assert {law.joint for law in network.laws if isinstance(law, Empirical)} == {"valve"}
    problem = Problem("year", network, periods=425, warm_up=60)
    rule = order_up_to(network, np.ceil(3 * Codec(network).need).tolist())
    outcome = simulate(problem, rule, sample(network, periods=425, replications=5, seed=0), check=True)
    assert (outcome.cost > 0).all()


def test_a_cost_of_one_number_holds_at_all_places_and_half_of_it_at_the_warehouse() -> None:
    network = build(panel(), warehouse_lead_time=6, fixed_cost=10.0)
    assert [node.holding_cost for node in network.nodes] == [0.5, 1, 1, 1, 1]
    assert {link.fixed_cost for link in network.links} == {10}
    assert {node.holding_cost for node in build(panel()).nodes} == {1}


ORDERS = """\
item,location,source,ordered,received,buyer
valve,Lyon,warehouse,2024-01-01,2024-01-03,A
valve,Lyon,warehouse,2024-01-08,2024-01-10,A
valve,Lyon,warehouse,2024-01-15,2024-01-16,B
valve,Lyon,warehouse,2024-01-22,2024-01-28,B
valve,Lyon,outside,2024-01-02,2024-01-30,B
valve,Lyon,warehouse,2024-01-31,,B
valve,Turin,warehouse,2024-01-01,2024-01-02,A
valve,warehouse,outside,2024-01-05,2024-01-11,A
valve,warehouse,outside,2024-01-31,2024-02-05,A
"""


def orders(tmp_path: Path, text: str = ORDERS, period: str = "D") -> LeadTimeHistory:
    path = tmp_path / "orders.csv"
    path.write_text(text, encoding="utf-8")
    return load_lead_times(path, period=period)  # type: ignore[arg-type]


def test_lead_times_are_periods_from_order_to_receipt(tmp_path: Path) -> None:
    assert orders(tmp_path).series == {
        ("valve", "Lyon", "warehouse"): (2, 2, 1, 6),
        ("valve", "Lyon", "outside"): (28,),
        ("valve", "Turin", "warehouse"): (1,),
        ("valve", "warehouse", "outside"): (6, 5),
    }
    assert orders(tmp_path, period="W").series["valve", "Lyon", "outside"] == (4,)
    assert orders(tmp_path, period="M").series["valve", "warehouse", "outside"] == (0, 1)


def test_lead_times_may_be_given_as_numbers_and_without_a_source(tmp_path: Path) -> None:
    read = orders(tmp_path, "item,location,lead_time\nvalve,Lyon,3\nvalve,Lyon,0\nvalve,Lyon,3\n")
    assert read.series == {("valve", "Lyon", ""): (3, 0, 3)}
    assert read.law("valve", "Lyon", "outside") == LeadTime(values=(0, 3), probabilities=(1 / 3, 2 / 3))
    assert read.law("valve", "Turin", "outside") is None


def test_the_links_of_a_network_have_the_lead_times_of_their_orders(tmp_path: Path) -> None:
    network = build(panel(), warehouse_lead_time=9, lead_time=3, lead_times=orders(tmp_path))
    assert [link.lead_time for link in network.links] == [
        LeadTime(values=(5, 6), probabilities=(0.5, 0.5)),
        LeadTime(values=(1, 2, 6), probabilities=(0.25, 0.5, 0.25)),
        1,
        3,
        3,
    ]
    direct = build(panel(), lead_time=3, lead_times=orders(tmp_path))
    assert [link.lead_time for link in direct.links] == [28, 3, 3, 3]


def test_simulated_lead_times_have_the_mean_and_the_spread_of_the_history() -> None:
    rng = np.random.default_rng(3)
    times = tuple(int(time) for time in 2 + rng.negative_binomial(2, 0.4, 400))
    law = LeadTimeHistory("D", {("valve", "Lyon", "outside"): times}).law("valve", "Lyon", "outside")
    assert isinstance(law, LeadTime)
    assert law.mean == pytest.approx(np.mean(times), rel=1e-12)
    assert law.variance == pytest.approx(np.var(times), rel=1e-12)
    history = LeadTimeHistory("D", {("valve", place, "outside"): times for place in PLACES})
    network = build(panel(), lead_times=history)
    scenarios = sample(network, periods=364, replications=200, seed=4)
    assert scenarios.lead_time is not None
    assert scenarios.lead_time.mean() == pytest.approx(np.mean(times), rel=0.005)
    assert scenarios.lead_time.std() == pytest.approx(np.std(times), rel=0.01)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "orders.csv:1: the header must have the column 'item' once (got nothing)"),
        ("item,location,ordered,received\n", "orders.csv: the history must have at least one row below its header"),
        (
            "item,location,ordered,received\nvalve,Lyon,2024-01-05,2024-01-04\n",
            "orders.csv:2: received: must not be before ordered, 2024-01-05 (got '2024-01-04')",
        ),
        (
            "item,location,ordered,received\nvalve,Lyon,2024-01-05,soon\n",
            "orders.csv:2: received: must be an ISO date such as 2024-03-31, or empty (got 'soon')",
        ),
        (
            "item,location,lead_time\nvalve,Lyon,-1\n",
            "orders.csv:2: lead_time: must be a whole number of periods of at least 0 (got '-1')",
        ),
        (
            "item,location,source,lead_time\nvalve,Lyon,,1\n",
            "orders.csv:2: source: must not be empty (got '')",
        ),
        (
            "item,location,ordered,received\nvalve,Lyon,2024-01-05,\n",
            "orders.csv: the history must have at least one order that was received",
        ),
    ],
)
def test_a_file_that_is_no_history_of_lead_times_is_refused(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(DemandError) as error:
        orders(tmp_path, text)
    assert str(error.value).replace(f"{tmp_path}/", "").startswith(message)


def cut(history: DemandHistory, days: int) -> DemandHistory:
    return DemandHistory("D", history.starts[:days], {key: units[:days] for key, units in history.series.items()})


@pytest.mark.parametrize(
    ("days", "options", "message"),
    [
        (1, {}, "the history must have at least 2 days (got 1, from 2022-01-01)"),
        (1_000, {"least_periods": DAYS}, "the history must have at least 1095 days (got 1000, from 2022-01-01)"),
        (
            55,
            {"method": "bootstrap"},
            "a bootstrap in blocks of 28 days needs a history of at least 56 (got 55, from 2022-01-01)",
        ),
        (60, {"holding_cost": {"Lyons": 1.0}}, "holding_cost must have a value for 'Lyon'; did you mean 'Lyons'?"),
        (5, {"align": 7}, "the history must have at least 7 days (got 5, from 2022-01-01)"),
        (
            60,
            {"lead_times": LeadTimeHistory("W", {})},
            "lead_times must be in days as the demand is (got weeks)",
        ),
        (
            60,
            {"lead_times": LeadTimeHistory("D", {("valve", "Lyon", "warehouse"): (3,)})},
            "lead_times must know a link of the network (known: valve@Lyon from warehouse)",
        ),
        (
            60,
            {"warehouse_lead_time": 3, "holding_cost": dict.fromkeys(PLACES, 1.0)},
            "holding_cost must have a value for 'warehouse'; known: Lyon, Porto, Rotterdam, Turin",
        ),
    ],
)
def test_a_history_that_cannot_be_used_says_what_it_needs(days: int, options: dict[str, object], message: str) -> None:
    with pytest.raises(DemandError) as error:
        build(cut(panel(), days), **options)
    assert str(error.value) == message


def test_a_place_without_any_demand_is_named() -> None:
    series = {("valve", "Lyon"): (0.0,) * 90, ("valve", "Turin"): (1.0,) * 90, ("hose", "Lyon"): (0.0,) * 90}
    with pytest.raises(DemandError) as error:
        build(DemandHistory("D", panel().starts[:90], series))
    message = "the history must have a period with demand at each place (got none at valve@Lyon, hose@Lyon)"
    assert str(error.value) == message
    assert len(build(DemandHistory("D", panel().starts[:90], series), location="Turin").nodes) == 1


def test_a_location_must_not_have_the_name_of_the_warehouse() -> None:
    history = DemandHistory("D", panel().starts[:90], {("valve", "warehouse"): (1.0,) * 90})
    assert build(history).nodes[0].name == "valve@warehouse"
    with pytest.raises(DemandError, match=r"must not be called 'warehouse' beside a warehouse \(got valve@warehouse\)"):
        build(history, warehouse_lead_time=3)


def test_a_phase_that_cannot_be_is_refused() -> None:
    with pytest.raises(NetworkError, match=r"align: must be at least 1 \(got 0\)"):
        build(panel(), align=0)
