"""The 38 real supply chains of Willems (2008) as stages of the guaranteed-service model.

The data leave open what they mean for that model; the two readings that are in use are here side by side.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from scipy.special import ndtri

from echelon.baselines.stage_network import StageNetwork
from echelon.envs.errors import NetworkError
from echelon.envs.willems import CHAINS, CITATION, WillemsStage, cumulative_costs, read_chain

Convention = Literal["canonical", "moncayo"]


def load_willems_stages(
    folder: str | Path,
    chain: int,
    *,
    convention: Convention = "canonical",
    holding_rate: float = 0.2,
    random_times: bool = False,
    verify: bool = True,
) -> StageNetwork:
    """Chain 1, ..., 38 of the data set, from `stages.csv` and `arcs.csv` in `folder`.

    A stage holds at `holding_rate` times its cumulative cost, in the time that the rate is meant for; the published
    benchmark has 0.2, and neither the best service times nor shares of the cost depend on it. One unit of each input
    makes one unit of a stage, and no service time exceeds the maximum that the data give. The conventions differ in
    the rest:

    * `canonical`: every stage with customers has its own service level, standard deviations are pooled over
      all paths to the customers, costs accumulate from the suppliers on, and stage times are rounded up. With
      `random_times` a stage whose time has a discrete distribution takes a random time, each one rounded up;
      a standard deviation alone is not used.
    * `moncayo`, as in the published benchmark of Moncayo-Martinez (Data in Brief): one service level for all,
      the highest of the chain; stage times as they are, service times whole. From the stage of the greatest
      relDepth on, each adds its cumulative cost to that of all that it supplies; from the least relDepth on,
      each adds their variances of demand to its own; stages of one depth in the order of the table. z sigma is
      the stage's `demand_bound`. So a customer who is reached on two paths counts as two independent ones, and in
      the three chains with arcs within one depth (19, 23 and 24) some costs and variances are passed on only in part.

    Raises `NetworkError` if an argument is not as above, if the files are missing or, unless `verify` is false, are
    not the known ones.
    """
    if isinstance(chain, bool) or not isinstance(chain, int | np.integer):
        raise NetworkError(f"chain must be a whole number from {CHAINS[0]} to {CHAINS[-1]} (got {chain!r})")
    if convention not in ("canonical", "moncayo"):
        raise NetworkError(f"convention must be 'canonical' or 'moncayo' (got {convention!r})")
    if random_times and convention != "canonical":
        raise NetworkError("random_times needs the convention 'canonical'; the other one has fixed stage times")
    if not (holding_rate >= 0 and math.isfinite(holding_rate)):
        raise NetworkError(f"holding_rate must be at least 0 and finite (got {holding_rate!r})")
    stages = read_chain(folder, int(chain), verify=verify)
    if convention == "canonical":
        fields, costs = _canonical(stages, random_times), cumulative_costs(stages)
    else:
        fields, costs = _moncayo(stages), _costs_by_depth(stages)
    suppliers = {source for stage in stages.values() for source in stage.inputs}
    return StageNetwork.from_dict(
        {
            "name": f"willems_{chain:02d}",
            "description": f"Chain {chain} of {CITATION}, as the convention {convention!r} reads it.",
            "stages": [
                {
                    "name": stage.name,
                    "suppliers": list(stage.inputs),
                    "holding_cost": holding_rate * costs[stage.name],
                    **_promise(stage, wanted=stage.name in suppliers),
                    **fields[stage.name],
                }
                for stage in stages.values()
            ],
        }
    )


def _promise(stage: WillemsStage, *, wanted: bool) -> dict[str, Any]:
    """What customers ask of a stage; a bound of 0 where nobody wants anything, as at some stages of chain 33."""
    promise: dict[str, Any] = {}
    if stage.mean is not None:
        promise |= {"demand_mean": stage.mean, "demand_sd": stage.sd}
    if stage.max_service_time is not None:
        promise["service_time"] = int(stage.max_service_time)
    if not (stage.mean or stage.sd or wanted):
        promise["demand_bound"] = 0.0
    return promise


def _canonical(stages: Mapping[str, WillemsStage], random_times: bool) -> dict[str, dict[str, Any]]:
    return {
        name: {
            "stage_time": _rounded_up(stage, random_times),
            "service_level": stage.service_level if stage.mean or stage.sd else None,
        }
        for name, stage in stages.items()
    }


def _rounded_up(stage: WillemsStage, random_times: bool) -> float | dict[float, float]:
    if not (random_times and stage.times):
        return float(math.ceil(stage.time))
    times: dict[float, float] = {}
    for time, probability in stage.times.items():
        times[float(math.ceil(time))] = times.get(float(math.ceil(time)), 0.0) + probability
    return times if len(times) > 1 else next(iter(times))


def _moncayo(stages: Mapping[str, WillemsStage]) -> dict[str, dict[str, Any]]:
    depth, supplied = _depths(stages), _supplied(stages)
    variances = {name: stage.sd**2 for name, stage in stages.items()}
    for source in sorted(stages, key=lambda name: depth[name]):
        variances[source] += sum(variances[target] for target in supplied[source])
    levels = [stage.service_level for stage in stages.values() if stage.mean is not None]
    z = float(ndtri(max(levels, default=0.5)))
    return {
        name: {
            "stage_time": stage.time,
            "demand_bound": z * math.sqrt(variances[name]),
        }
        for name, stage in stages.items()
    }


def _costs_by_depth(stages: Mapping[str, WillemsStage]) -> dict[str, float]:
    """What a unit has cost by the end of each stage, as the convention `moncayo` adds it up."""
    depth, supplied = _depths(stages), _supplied(stages)
    costs = {name: stage.cost for name, stage in stages.items()}
    for source in sorted(stages, key=lambda name: -depth[name]):
        for target in supplied[source]:
            costs[target] += costs[source]
    return costs


def _supplied(stages: Mapping[str, WillemsStage]) -> dict[str, list[str]]:
    """Whom each stage supplies."""
    supplied: dict[str, list[str]] = {name: [] for name in stages}
    for stage in stages.values():
        for source in stage.inputs:
            supplied[source].append(stage.name)
    return supplied


def _depths(stages: Mapping[str, WillemsStage]) -> dict[str, float]:
    depths = {name: stage.rel_depth for name, stage in stages.items() if stage.rel_depth is not None}
    for name in stages:
        if name not in depths:
            raise NetworkError(
                f"stages.csv: the convention 'moncayo' needs the relDepth of every stage (none for {name})"
            )
    return depths
