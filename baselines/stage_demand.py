"""The demand that passes through every stage of a guaranteed-service network, and the bound on it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from echelon.baselines._stage_kernels import pool_over_paths
from echelon.baselines.stage_network import StageNetwork
from echelon.envs.errors import MethodError

Floats = NDArray[np.float64]


def mean_flow(network: StageNetwork, own: Floats) -> Floats:
    """[N] or [N, K] what each stage delivers in all, where `own` of the same shape goes to its customers, in units."""
    flow = np.array(own, dtype=np.float64)
    rows: Any = flow.tolist() if flow.ndim == 1 else flow
    for j in reversed(network.order):
        for i, units in zip(network.suppliers[j], network.stages[j].suppliers.values(), strict=True):
            rows[i] += rows[j] * units
    return np.asarray(rows)


def pooled(network: StageNetwork, own: Floats) -> Floats:
    """[N] ``(sum_d (n_d x_d)^p)^(1/p)`` for `own` x [N], with n_d the units of the stage in one of d over all paths."""
    first = np.cumsum([0] + [len(above) for above in network.suppliers])
    supplier = np.array([i for above in network.suppliers for i in above], dtype=np.int64)
    units = np.array([units for stage in network.stages for units in stage.suppliers.values()], dtype=np.float64)
    demand, stages = np.flatnonzero(own), len(network.stages)
    total, paths = np.zeros(stages), np.zeros(stages)
    waiting, found = np.zeros(stages, dtype=np.int64), np.zeros(stages, dtype=np.int64)
    pool_over_paths(first, supplier, units, demand, own[demand], network.pooling, paths, waiting, found, total)
    return np.asarray(total ** (1 / network.pooling))


def demand_bounds(network: StageNetwork) -> Floats:
    """[N] z sigma, so that demand over tau periods is bounded by mu tau + z sigma sqrt(tau).

    A `demand_bound` holds for its stage alone. Raises `MethodError` where a stage would need what one in place of
    a service level leaves open.
    """
    own = np.array([(stage.z or 0.0) * stage.demand_sd for stage in network.stages])
    given = [stage.demand_bound for stage in network.stages]
    bought = {supplier for stage in network.stages for supplier in stage.suppliers}
    sells = [stage.has_customers or stage.name not in bought for stage in network.stages]
    untold = [
        float(own and stage.z is None and bool(stage.demand_bound))
        for own, stage in zip(sells, network.stages, strict=True)
    ]
    for stage, flow in zip(network.stages, mean_flow(network, np.array(untold)), strict=True):
        if flow > 0 and stage.demand_bound is None:
            raise MethodError(f"{stage.name} needs a demand_bound, as stages that it supplies have no service_level")
    bounds = pooled(network, own) if own.any() else own
    return np.array([bound if of is None else of for bound, of in zip(bounds, given, strict=True)])


def demand_means(network: StageNetwork) -> Floats:
    """[N] mu, the mean demand that passes through each stage, units per period."""
    return mean_flow(network, np.array([stage.demand_mean for stage in network.stages]))


def safety_factors(network: StageNetwork) -> Floats:
    """[N] the safety factors z of the customers whose demand passes through each stage, weighted by its mean.

    Raises `MethodError` where a random stage time needs one that a demand_bound in its place leaves open.
    """
    own = np.array([stage.demand_mean for stage in network.stages])
    known = np.array([0.0 if stage.z is None else stage.z for stage in network.stages])
    means, weighted = mean_flow(network, own), mean_flow(network, known * own)
    open_ = mean_flow(network, np.array([stage.demand_mean * (stage.z is None) for stage in network.stages]))
    for stage, units in zip(network.stages, open_, strict=True):
        if units > 0 and len(stage.times) > 1:
            raise MethodError(f"{stage.name} needs customers with a service_level, for the spread of its stage_time")
    return np.asarray(weighted / np.where(means > 0, means, 1.0))
