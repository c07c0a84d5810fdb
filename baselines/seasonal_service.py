"""Guaranteed service under demand that changes with the calendar: constant service times, base stocks that follow.

Service times are promises between firms or departments, so they stay the same all year; only the base
stocks follow the demand (the constant-service-time policy of Graves and Willems 2008). What stage j
orders at the end of period t is ready for shipment by t + SI_j + T_j, and what its customers order by
t + tau_j is due by then, tau_j = SI_j + T_j - S_j. So its base stock at t must bound the demand of the
periods t+1 .. t+tau_j:

    B_j(t) = sum of mu_j(u) + SS_j(t)    over u = t+1 .. t+tau_j,
    SS_j(t) = (sum_d (n_jd z_d sqrt(sum_u sigma_d(u)^2))^p)^(1/p),

with n_jd units of the stage in one unit of the demand d, and p the network's `pooling`. The stock left at
the end of t + SI_j + T_j is B_j(t) less the demand of these periods, at least 0 if that keeps its bound and
SS_j(t) in the mean. Over a cycle of P periods its cost depends on tau_j alone,
``c_j(tau) = h_j (1/P) sum_t SS_j(t)``, so that the method for steady demand finds the best service times.

Planned changes of base stocks are no surprise to the suppliers, so they need no safety stock. Stage j orders
in period t the demand of t and, fixed beforehand,

    A_j(t) = B_j(t) - B_j(t-1) + sum of n_k A_k(t + tau_j) over its customers k, which put n_k units into one,

so that what a customer will want more, or less, tau_j periods later is on its way in time. Where base
stocks fall an order can be negative: stock goes back to the supplier, at no cost. Without returns orders
must wait until demand has used the stock up. Where every stage supplies one other or its customers, service
times are kept all the same, with more stock; a stage that supplies several may have promised to one what
another was to send back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from echelon.baselines.guaranteed_service import GuaranteedService, guaranteed_service, longest_waits
from echelon.baselines.per_period import PerPeriod, values_by_period
from echelon.baselines.stage_costs import StageCost, whole_time
from echelon.baselines.stage_demand import mean_flow
from echelon.baselines.stage_network import StageNetwork
from echelon.envs.errors import MethodError, nearest

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class SeasonalDemand:
    """The demand of a stage's own customers in each period of a cycle, independent from period to period."""

    mean: PerPeriod
    """[P] units, or one number for all periods"""
    sd: PerPeriod
    """[P] units, or one number for all periods"""


@dataclass(frozen=True, eq=False)
class SeasonalGuaranteedService:
    """Constant service times with the stocks of each stage [N] in each period [P] of the cycle, units."""

    service: GuaranteedService
    """The service times and their cost per period; its stocks are averages over the cycle."""
    demand_mean: Floats
    """[N, P] the mean demand that passes through the stage."""
    safety_stock: Floats
    """[N, P] SS, what is left in the mean of the stock that is ordered in the period."""
    base_stock: Floats
    """[N, P] B, the bound on the demand of the tau periods that follow."""
    order_change: Floats
    """[N, P] A, what is ordered in the period besides its demand; adds up to 0."""

    @property
    def mean_orders(self) -> Floats:
        """[N, P] what is ordered in the mean; negative where stock must go back to the supplier."""
        return self.demand_mean + self.order_change


def seasonal_service(
    network: StageNetwork,
    demand: Mapping[str, SeasonalDemand],
    *,
    outbound: Mapping[str, int] | None = None,
) -> SeasonalGuaranteedService:
    """The constant service times of least holding cost of safety stock over a cycle, with a proof (see the module).

    `demand` takes the place of the steady demand of the stages it names; the others keep theirs. `outbound`
    fixes some service times. A product's life, which begins and ends, is a cycle that closes with as many
    periods without demand as the longest net replenishment time. Time between whole periods counts as a share of
    the next period. Periods, stages or networks without variance have no safety stock and cost nothing.
    Raises `MethodError`.

    >>> shop = {"name": "shop", "stage_time": 1, "holding_cost": 1, "demand_mean": 10, "safety_factor": 2}
    >>> network = StageNetwork.from_dict({"stages": [shop]})
    >>> best = seasonal_service(network, {"shop": SeasonalDemand(mean=[5, 15], sd=[1, 3])})
    >>> best.base_stock, best.service.cost
    (array([[21.,  7.]]), 4.0)
    """
    mean, sd = _by_period(network, demand)
    means = mean_flow(network, mean)
    _require_seasonal_model(network, means.sum(axis=1) + mean_flow(network, sd).sum(axis=1))
    windows = _windows(network, sd)
    waits, _ = longest_waits(network)
    costs = {
        stage.name: _holding(windows, j, stage.holding_cost, int(wait), whole_time(stage), stage.mean_time)
        for j, (stage, wait) in enumerate(zip(network.stages, waits, strict=True))
    }
    best = guaranteed_service(network, stage_costs=costs, outbound=outbound)
    net = best.net_replenishment_time[:, None]
    safety = np.array([windows.safety_stock(j, tau)[0] for j, tau in enumerate(net)])
    base = safety + np.array([over_windows(rates, tau)[0] for rates, tau in zip(means, net, strict=True)])
    on_average = replace(
        best,
        safety_stock=safety.mean(axis=1),
        base_stock=base.mean(axis=1),
        pipeline_stock=means.mean(axis=1) * [stage.mean_time for stage in network.stages],
    )
    return SeasonalGuaranteedService(on_average, means, safety, base, _order_changes(network, base, net))


def over_windows(rates: Floats, lengths: Floats) -> Floats:
    """[..., K, P] the sum of the rates of the periods t+1 .. t+length for each t, by `lengths` [K].

    `rates` [..., P] repeat for ever. The last period counts by its share if a length is not whole.
    """
    periods, whole = rates.shape[-1], np.floor(lengths).astype(np.int64)
    following = np.take(rates, np.arange(1, periods + int(whole.max()) + 1), axis=-1, mode="wrap")
    total = np.concatenate([np.zeros_like(rates[..., :1]), np.cumsum(following, axis=-1)], axis=-1)
    end = whole[:, None] + np.arange(periods)
    share = (lengths - whole)[:, None] * following[..., end]
    return np.asarray(total[..., end] - total[..., None, :periods] + share)


@dataclass(frozen=True, eq=False)
class _Windows:
    """What bounds the demand of D customers over any window of periods."""

    units: Floats
    """[N, D] units of each stage in one of each demand."""
    variance: Floats
    """[D, P] (z sigma)^2"""
    pooling: float

    def safety_stock(self, j: int, lengths: Floats) -> Floats:
        """[K, P] at stage j, by the net replenishment time (`lengths` [K])."""
        own = np.flatnonzero(self.units[j])
        spread = np.sqrt(over_windows(self.variance[own], lengths)) ** self.pooling
        return np.asarray(np.tensordot(self.units[j, own] ** self.pooling, spread, axes=1) ** (1 / self.pooling))


def _windows(network: StageNetwork, sd: Floats) -> _Windows:
    factors = np.array([np.nan if stage.z is None else stage.z for stage in network.stages])
    customers = np.flatnonzero(np.isfinite(factors))
    units = mean_flow(network, np.eye(len(network.stages))[:, customers])
    return _Windows(units, (factors[customers, None] * sd[customers]) ** 2, network.pooling)


def _holding(windows: _Windows, j: int, holding_cost: float, wait: int, whole: int, time: float) -> StageCost:
    """The mean holding cost of stage j per period, by its service times."""
    steps = np.arange(wait + whole + 1.0)
    by_step = holding_cost * windows.safety_stock(j, steps + (time - whole)).mean(axis=1)
    return lambda si, s: by_step[np.maximum(si + whole - s, 0).astype(np.int64)]


def _order_changes(network: StageNetwork, base: Floats, net: Floats) -> Floats:
    passed, changes = np.zeros_like(base), np.empty_like(base)
    for j in reversed(network.order):
        position = base[j] + over_windows(passed[j], net[j])[0]
        changes[j] = passed[j] + position - np.roll(position, 1)
        for i, units in zip(network.suppliers[j], network.stages[j].suppliers.values(), strict=True):
            passed[i] += units * changes[j]
    return changes


def _require_seasonal_model(network: StageNetwork, passing: Floats) -> None:
    """`passing` [N] is above 0 where demand passes through a stage."""
    for stage, passes in zip(network.stages, passing, strict=True):
        if len(stage.times) > 1:
            raise MethodError(f"seasonal_service needs stage times that are fixed, got several for {stage.name}")
        if stage.demand_bound is not None and passes > 0:
            raise MethodError(
                "seasonal_service needs bounds that follow from the demand of each period, "
                f"got a demand_bound for {stage.name}"
            )


def _by_period(network: StageNetwork, demand: Mapping[str, SeasonalDemand]) -> tuple[Floats, Floats]:
    """[N, P] the mean and the standard deviation of the demand of each stage's own customers."""
    periods = max([1, *(np.size(values) for of in demand.values() for values in (of.mean, of.sd))])
    mean = np.repeat([[stage.demand_mean] for stage in network.stages], periods, axis=1)
    sd = np.repeat([[stage.demand_sd] for stage in network.stages], periods, axis=1)
    for name, of in demand.items():
        if name not in network.index:
            raise MethodError(f"demand: there is no stage {name!r}{nearest(name, network.index)}")
        j = network.index[name]
        if network.stages[j].z is None:
            raise MethodError(f"demand: {name} must be a stage with customers, which have a service_level")
        mean[j] = values_by_period(f"demand: mean of {name}", of.mean, periods)
        sd[j] = values_by_period(f"demand: sd of {name}", of.sd, periods)
    return mean, sd
