"""Other simulators on the four-stage serial system, for `engine.py`.

It runs under an interpreter that has them (`pip install stockpyl gym-invmgmt`). For every name on its
standard input it answers with the CPU seconds per node-period, or with null if the package is missing.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

STAGES = 4
MEAN_DEMAND = 5
LEVELS = [11, 11, 11, 17]
PERIODS = {"stockpyl": 500, "gym-invmgmt": 1_000}

SERIAL_NETWORK = """
nodes:
  - {id: 0}
  - {id: 1, I0: 10, h: 4}
  - {id: 2, I0: 10, h: 3}
  - {id: 3, I0: 10, h: 2}
  - {id: 4, I0: 10, h: 1}
  - {id: 5}
edges:
  - {from: 1, to: 0, p: 10, b: 40, demand_dist: poisson, dist_param: {mu: 5}}
  - {from: 2, to: 1, L: 1, p: 0, g: 3}
  - {from: 3, to: 2, L: 1, p: 0, g: 2}
  - {from: 4, to: 3, L: 1, p: 0, g: 1}
  - {from: 5, to: 4, L: 1, p: 0, g: 0}
"""
"""The same system for gym-invmgmt: customers, four stages, and the outside source."""


def stockpyl() -> Callable[[], Any]:
    """A base-stock simulation of stockpyl."""
    from stockpyl.sim import simulation  # type: ignore[import-not-found]
    from stockpyl.supply_chain_network import serial_system  # type: ignore[import-not-found]

    network = serial_system(
        num_nodes=STAGES,
        node_order_in_system=[1, 2, 3, 4],
        local_holding_cost=[1, 2, 3, 4],
        stockout_cost=[0, 0, 0, 40],
        demand_type="P",
        mean=MEAN_DEMAND,
        shipment_lead_time=[1] * STAGES,
        policy_type="BS",
        base_stock_level=LEVELS,
    )
    return lambda: simulation(network, PERIODS["stockpyl"], rand_seed=1, progress_bar=False, consistency_checks=None)


def gym_invmgmt() -> Callable[[], Any]:
    """An episode of gym-invmgmt, ordering the mean demand: the environment alone, without a policy's time."""
    import numpy as np
    from gym_invmgmt import make_custom_env  # type: ignore[import-not-found]

    demand = {"type": "stationary", "base_mu": MEAN_DEMAND, "use_goodwill": False}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "serial.yaml"
        path.write_text(SERIAL_NETWORK)
        env = make_custom_env(str(path), demand_config=demand, num_periods=PERIODS["gym-invmgmt"])
    action = np.full(env.action_space.shape, float(MEAN_DEMAND))

    def episode() -> None:
        env.reset(seed=1)
        for _ in range(PERIODS["gym-invmgmt"]):
            env.step(action)

    return episode


@cache
def work(name: str) -> Callable[[], Any] | None:
    """What is timed, or None if the package is missing."""
    try:
        run = {"stockpyl": stockpyl, "gym-invmgmt": gym_invmgmt}[name]()
    except ImportError:
        return None
    run()
    return run


def seconds_per_node_period(name: str) -> float | None:
    """CPU time of one run."""
    run = work(name)
    if run is None:
        return None
    started = time.process_time()
    run()
    return (time.process_time() - started) / (STAGES * PERIODS[name])


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(seconds_per_node_period(line.strip())), flush=True)
