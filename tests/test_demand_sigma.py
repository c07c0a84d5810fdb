"""Sigma from histories of any length: recovery of known values, shrinkage, and where each figure is from."""

from __future__ import annotations

import math
from math import inf

import numpy as np
import pandas as pd
import pytest
from scipy.special import digamma, polygamma

from echelon.baselines.demand_sigma import demand_sd, demand_sigma
from echelon.baselines.forecast_errors import Estimator, forecast_errors
from echelon.baselines.shrinkage import (
    VariancePrior,
    inverse_trigamma,
    random_effects,
    shrunk_variances,
    variance_prior,
)
from echelon.envs.errors import ConfigError, MethodError

ALL: tuple[Estimator, ...] = ("mad", "rmse", "sd")


def panel(
    *, series: int, periods: int, scatter: float = 0.0, seed: int = 0, cv: float = 0.1
) -> tuple[pd.DataFrame, pd.DataFrame, np.ndarray]:
    """Plans and demands of series of very different sizes, and the true sigma of each, cv exp(scatter Z) its mean."""
    rng = np.random.default_rng(seed)
    mean = 100 * np.exp(rng.normal(0, 1.5, series))
    sigma = mean * np.minimum(cv * np.exp(scatter * rng.normal(size=series)), 0.25)
    demand = mean[:, None] + sigma[:, None] * rng.normal(size=(series, periods))
    names = [f"i{i:05d}" for i in range(series)]
    keys = {
        "item": np.repeat(names, periods), "location": "shop", "period": np.tile(np.arange(periods), series)
    }  # fmt: skip
    planned = pd.DataFrame({**keys, "quantity": np.repeat(mean, periods)})
    return planned, pd.DataFrame({**keys, "quantity": np.maximum(demand.ravel(), 0)}), sigma


def errors_of(**columns: list[float]) -> pd.DataFrame:
    """A table in the form of `forecast_errors` with the columns given, and a level of 1 unless told."""
    rows = len(next(iter(columns.values())))
    names = {"item": [f"i{i}" for i in range(rows)], "location": ["shop"] * rows}
    level = dict.fromkeys(("mean_planned", "mean_realised"), [1.0] * rows)
    return pd.DataFrame({**names, **level, **columns})


@pytest.mark.parametrize("estimator", ALL)
def test_a_known_sigma_is_recovered_from_52_periods_on_average_and_as_sharply_as_can_be(estimator: Estimator) -> None:
    planned, realised, sigma = panel(series=2000, periods=52)
    found = demand_sigma(forecast_errors(planned, realised), estimator=estimator, shrink=0)["sigma"] / sigma
    assert found.mean() == pytest.approx(1, abs=0.01)
    spread = {"mad": math.sqrt((math.pi / 2 - 1) / 52), "rmse": 1 / math.sqrt(104), "sd": 1 / math.sqrt(102)}
    assert found.std() == pytest.approx(spread[estimator], rel=0.05)


@pytest.mark.parametrize("estimator", ALL)
def test_the_sigma_of_every_one_of_like_items_is_recovered_within_5_percent_from_52_periods(
    estimator: Estimator,
) -> None:
    planned, realised, sigma = panel(series=500, periods=52, seed=1)
    found = demand_sigma(forecast_errors(planned, realised), estimator=estimator)["sigma"] / sigma
    assert (found - 1).abs().max() < 0.05


@pytest.mark.parametrize(("periods", "scatter"), [(1, 0.0), (1, 0.5), (2, 0.2), (4, 0.5), (52, 0.2), (52, 0.5)])
def test_shrinking_never_loses_and_gains_most_for_short_histories(periods: int, scatter: float) -> None:
    planned, realised, sigma = panel(series=800, periods=periods, scatter=scatter, seed=2, cv=0.05)
    errors = forecast_errors(planned, realised, estimator="rmse")
    own, shrunk = (
        np.sqrt(np.mean(np.log(demand_sigma(errors, estimator="rmse", shrink=shrink)["sigma"] / sigma) ** 2))
        for shrink in (0, "estimate")
    )
    assert shrunk < own * (1.01 if periods == 52 else 0.8)


def test_without_shrinkage_sigma_is_the_estimate_itself() -> None:
    errors = errors_of(count=[52, 1], mad=[0.2, 0.5], rmse=[0.3, 0.5])
    own = demand_sigma(errors, shrink=0)
    assert own["sigma"].tolist() == [pytest.approx(0.2 * math.sqrt(math.pi / 2)), pytest.approx(0.5 * 1.25331413)]
    assert own["sigma_source"].tolist() == ["own history"] * 2
    assert demand_sigma(errors, estimator="rmse", shrink=0)["sigma"].tolist() == [0.3, 0.5]


def test_the_weight_is_n_over_n_plus_n0_and_the_rest_is_the_pools() -> None:
    errors = errors_of(count=[4, 40, 0], rmse=[0.1, 0.3, 0.0], mean_planned=[10, 1, 5], mean_realised=[10, 1, 0])
    table = demand_sigma(errors, estimator="rmse", shrink=6)
    assert table["weight"].tolist() == [0.4, pytest.approx(40 / 46), 0]
    prior = variance_prior(np.array([0.01**2, 0.3**2]), np.array([4.0, 40.0]))
    assert prior is not None
    scale = prior.variance / 3 * math.exp(digamma(3))
    first = (0.4 * 0.01**2 + 0.6 * scale) * 5 / math.exp(digamma(5))
    assert table["sigma"].iloc[0] == pytest.approx(10 * math.sqrt(first))
    assert table["sigma"].iloc[2] == pytest.approx(5 * math.sqrt(prior.variance))
    assert table["sigma_source"].tolist() == ["shrunk", "shrunk", "pooled"]


def test_each_category_lends_to_its_own() -> None:
    calm, calm_demand, calm_sigma = panel(series=200, periods=4, cv=0.05, seed=3)
    wild, wild_demand, wild_sigma = panel(series=200, periods=4, cv=0.24, seed=4)
    wild, wild_demand = (table.assign(item="w" + table["item"]) for table in (wild, wild_demand))
    errors = forecast_errors(pd.concat([calm, wild]), pd.concat([calm_demand, wild_demand]), estimator="rmse")
    errors = errors.assign(category=errors["item"].str[0])
    found = demand_sigma(errors, estimator="rmse", pool=["category"])["sigma"].to_numpy()
    assert np.abs(found / np.concatenate([calm_sigma, wild_sigma]) - 1).max() < 0.3
    alone = demand_sigma(errors[errors["category"] == "w"], estimator="rmse")["sigma"].to_numpy()
    assert alone == pytest.approx(found[200:], rel=1e-12)


def test_each_source_is_named() -> None:
    errors = errors_of(
        count=[5, 0, 0, 0, 9], mad=[0.2, 0, 0, 0, 0], mean_planned=[1, 1, 2, 0, 3], mean_realised=[1, 0, 0, 0, 3]
    ).assign(category=["a", "a", "b", "a", "c"])
    table = demand_sigma(errors, pool=["category"])
    assert table["sigma_source"].tolist() == ["own history", "pooled", "all series", "no demand", "own history"]
    sigma = 0.2 * math.sqrt(math.pi / 2)
    unbiased = sigma / math.sqrt(1 + (math.pi / 2 - 1) / 5)
    assert table["sigma"].tolist() == [pytest.approx(sigma), pytest.approx(unbiased), pytest.approx(2 * unbiased), 0, 0]
    nothing = demand_sigma(errors.iloc[1:3], default=0.6)
    assert nothing["sigma_source"].tolist() == ["default"] * 2
    assert nothing["sigma"].tolist() == [0.6, 1.2]


def test_a_perfect_record_is_shrunk_towards_the_pool_but_not_beyond_it() -> None:
    table = demand_sigma(errors_of(count=[5, 5, 5, 5], rmse=[0, 0.1, 0.3, 0.9]), estimator="rmse")
    assert 0 < table["sigma"].iloc[0] < table["sigma"].iloc[1] < 0.3


def test_the_sd_of_a_period_grows_with_its_forecast_and_covers_the_horizon() -> None:
    planned, realised, _ = panel(series=2, periods=52, seed=5)
    ahead = planned[planned["period"] < 3].assign(period=lambda rows: rows["period"] + 52)
    ahead = ahead.assign(quantity=ahead["quantity"] * (ahead["period"] - 51))
    sigmas = demand_sigma(forecast_errors(pd.concat([planned, ahead]), realised), shrink=0)
    table = demand_sd(sigmas, pd.concat([planned, ahead]))
    assert len(table) == 2 * 55
    for item, own in table.groupby("item"):
        base = sigmas["sigma"][sigmas["item"] == item].to_numpy()
        assert own.sort_values("period")["sd"].iloc[-4:].to_numpy() == pytest.approx(base * np.array([1, 1, 2, 3]))


def test_a_series_that_was_never_planned_above_zero_keeps_its_sigma_in_every_period() -> None:
    keys = {"item": "soap", "location": "shop", "period": [0, 1, 2]}
    planned, realised = (pd.DataFrame({**keys, "quantity": units}) for units in ([0.0, 0, 0], [3.0, 5, 4]))
    table = demand_sd(demand_sigma(forecast_errors(planned, realised)), planned.assign(quantity=[0.0, 1, 2]))
    assert table["sd"].tolist() == [pytest.approx(4 * math.sqrt(math.pi / 2))] * 3


def test_a_planned_series_without_a_sigma_is_named() -> None:
    planned, realised, _ = panel(series=1, periods=4)
    sigmas = demand_sigma(forecast_errors(planned, realised))
    with pytest.raises(ConfigError, match=r"^sigmas: must have a row for item tea, location shop$"):
        demand_sd(sigmas, planned.assign(item="tea"))


def test_options_that_cannot_be_and_columns_that_are_not_there_are_refused() -> None:
    errors = errors_of(count=[5], mad=[0.2])
    with pytest.raises(MethodError, match="shrink must be a finite number of at least 0, got -1"):
        demand_sigma(errors, shrink=-1)
    with pytest.raises(MethodError, match="default must be a finite number of at least 0, got inf"):
        demand_sigma(errors, default=inf)
    with pytest.raises(ConfigError) as caught:
        demand_sigma(errors, estimator="rmse", pool=["categroy"])
    assert [problem.split(";")[0] for problem in caught.value.problems] == [
        "errors, column rmse: is required",
        "errors, column categroy: is required",
    ]


def test_the_prior_of_inverse_chi_square_variances_is_recovered() -> None:
    rng = np.random.default_rng(6)
    truth = 10 * 4 / rng.chisquare(10, 50_000)
    degrees = rng.integers(1, 30, 50_000).astype(np.float64)
    prior = variance_prior(truth * rng.chisquare(degrees) / degrees, degrees)
    assert prior is not None
    assert prior.degrees == pytest.approx(10, rel=0.05)
    assert prior.variance == pytest.approx(4 * 5 / math.exp(digamma(5)), rel=0.01)


def test_equal_variances_are_pooled_and_one_alone_stays() -> None:
    # They scatter less than chance would have it.
    prior = variance_prior(np.array([1.0, 1.1, 0.9]), np.array([50.0, 50.0, 100.0]))
    assert prior is not None
    assert prior.variance == pytest.approx(0.975)
    assert prior.degrees == inf
    alone = variance_prior(np.array([3.0, 0.0]), np.array([5.0, 9.0]))
    assert alone is not None
    assert alone.variance == pytest.approx(3)
    assert alone.degrees == 0
    assert variance_prior(np.array([0.0, 2.0]), np.array([4.0, 0.0])) is None


def test_a_sample_without_a_prior_stays_and_one_without_data_is_the_prior() -> None:
    variances, weight = shrunk_variances(np.array([2.0, 0.0]), np.array([3.0, 0.0]), VariancePrior(7.0, 0.0))
    assert (variances.tolist(), weight.tolist()) == ([2, 7], [1, 0])
    variances, weight = shrunk_variances(np.array([2.0, 9.0]), np.array([0.0, 1e12]), VariancePrior(7.0, 5.0))
    assert variances == pytest.approx([7, 9])
    assert weight == pytest.approx([0, 1])


def test_the_moment_estimator_of_random_effects_is_that_of_dersimonian_and_laird() -> None:
    z, v = np.array([0.1, 0.9, 0.4]), np.array([0.01, 0.04, 0.02])
    w = [100, 25, 50]
    mean = (100 * 0.1 + 25 * 0.9 + 50 * 0.4) / 175
    q = sum(a * (b - mean) ** 2 for a, b in zip(w, z, strict=True))
    tau2 = (q - 2) / (175 - (100**2 + 25**2 + 50**2) / 175)
    location, found = random_effects(z, v)
    assert found == pytest.approx(tau2)
    u = [1 / (x + tau2) for x in v]
    assert location == pytest.approx(sum(a * b for a, b in zip(u, z, strict=True)) / sum(u))


@pytest.mark.parametrize("y", [1e-8, 1e-3, 0.5, math.pi**2 / 6, 20.0, 1e6])
def test_the_inverse_of_the_trigamma_function_inverts_it(y: float) -> None:
    assert float(polygamma(1, inverse_trigamma(y))) == pytest.approx(y, rel=1e-10)
    assert inverse_trigamma(math.pi**2 / 6) == pytest.approx(1)
