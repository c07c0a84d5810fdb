"""The codec: states to observation vectors, action vectors to orders, costs to rewards.

It is the only place where the layout of vectors is known. All scales are constants of the network,
so nothing has to be learned, saved or restored with a policy.

* **Observation**, float32 [B, D], in periods of mean demand: the net stock of every node (on hand
  less customers' backorders), the slots of every pipeline, nearest arrival first, what every internal
  link owes, the components that wait at every plant, and for demand that changes over time the phase
  of the season. Values are clipped to +-`OBSERVATION_BOUND`.
* **Action**, one number per link. `decision="orders"`: the order itself, from 0 to `order_limit`; a
  continuous action is in [-1, 1], where 0 is the mean demand, with straight lines to either end.
  `decision="levels"`: an echelon base-stock level in `level_range`, up to which is ordered; a
  continuous action in [-1, 1] is mapped linearly. Discrete actions count whole units, in steps if the
  range is long. Continuous actions beyond [-1, 1] count as the nearer end.
* **Reward**: minus the cost of the period divided by `cost_scale`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from echelon.envs.arrays import NetworkArrays, network_arrays
from echelon.envs.dynamics import State, cascade_sum
from echelon.envs.network import Network

Floats = NDArray[np.float64]
Decision = Literal["orders", "levels"]
ActionKind = Literal["continuous", "discrete"]

OBSERVATION_BOUND = 1_000.0
DISCRETE_CHOICES = 64
"""Most choices that a discrete action offers per link; a longer range is counted in equal steps."""


@dataclass(frozen=True)
class Codec:
    """Observations, actions and rewards of a network."""

    network: Network
    decision: Decision = "orders"
    action: ActionKind = "continuous"

    def __post_init__(self) -> None:
        if self.decision not in ("orders", "levels"):
            raise ValueError(f"decision must be 'orders' or 'levels' (got {self.decision!r})")
        if self.action not in ("continuous", "discrete"):
            raise ValueError(f"action must be 'continuous' or 'discrete' (got {self.action!r})")

    @cached_property
    def arrays(self) -> NetworkArrays:
        """The network's tables."""
        return network_arrays(self.network)

    @cached_property
    def _paths(self) -> Floats:
        """[C, E] number of paths from each link to each outlet: units of it in one unit of the outlet's item."""
        ends = (self.arrays.target == self.arrays.outlet[:, None]).astype(np.float64)
        return np.asarray(cascade_sum(ends, self.arrays))

    @cached_property
    def mean(self) -> Floats:
        """[E] mean demand per period that each link must carry."""
        return np.array([law.mean_demand for law in self.network.laws]) @ self._paths

    @cached_property
    def sd(self) -> Floats:
        """[E] standard deviation of the demand per period that each link must carry."""
        variance = np.array([law.sd_demand**2 for law in self.network.laws])
        return np.asarray(np.sqrt(variance @ self._paths**2))

    @cached_property
    def economic_lot(self) -> Floats:
        """[E] the economic order quantity sqrt(2 K D / h) (Harris 1913), 0 without a fixed cost."""
        holding = np.maximum(self.arrays.holding_cost[self.arrays.target], 1e-3)
        return np.asarray(np.sqrt(2 * self.arrays.fixed_cost * self.mean / holding))

    @cached_property
    def order_limit(self) -> Floats:
        """[E] the largest order: the mean plus four standard deviations of a period's demand, at least twice
        the mean, and at least twice the economic lot."""
        return self._up(np.maximum.reduce([self.mean + 4 * self.sd, 2 * self.mean, 2 * self.economic_lot]))

    @cached_property
    def level_range(self) -> tuple[Floats, Floats]:
        """[E] the lowest and the highest echelon level.

        They lie four standard deviations of echelon lead-time demand, and one period's mean demand,
        below and above a level with a safety stock of one standard deviation; with a fixed cost the
        highest lies two economic lots higher.
        """
        spread = self.sd * np.sqrt(self.echelon_cover)
        centre, span = self.mean * self.echelon_cover + spread, 4 * spread + self.mean
        lowest = np.maximum(centre - span, 0.0)
        return np.floor(lowest) if self.arrays.whole_units else lowest, self._up(centre + span + 2 * self.economic_lot)

    def _up(self, quantity: Floats) -> Floats:
        """Rounded up to whole units, where units are whole."""
        return np.ceil(quantity) if self.arrays.whole_units else quantity

    @cached_property
    def _units(self) -> tuple[Floats, Floats]:
        """[N] and [E] the quantities that observations are counted in: mean demand, or a hundredth of the largest."""
        per_link = np.maximum(self.mean, 0.01 * max(float(self.mean.max()), 1e-6))
        per_node = np.zeros(len(self.network.nodes))
        per_node[self.arrays.target] = per_link
        return per_node, per_link

    @cached_property
    def echelon_cover(self) -> Floats:
        """[E] periods from an order until the end of the period in which customers can be served from it."""
        lead_time, arrays = self.arrays.lead_time.astype(np.float64), self.arrays
        below = np.zeros(len(lead_time))
        for e in arrays.downstream_first:
            following = [f for f in arrays.out_links[arrays.target[e]] if f < len(below)]
            below[e] = lead_time[e] + max((below[f] for f in following), default=0.0)
        return below + 1

    @cached_property
    def cost_scale(self) -> float:
        """Money: what it costs to be short of, or to hold, one period's demand at the dearest outlet rates."""
        arrays = self.arrays
        rates = np.maximum(arrays.holding_cost[arrays.outlet], 0.1 * arrays.stockout_cost)
        scale = float((rates * [law.mean_demand for law in self.network.laws]).sum())
        return scale if scale > 0 else 1.0

    @cached_property
    def _seasonal(self) -> int:
        """Periods after which all seasons begin anew, 0 for demand without a season."""
        lengths = [len(law.seasonal) for law in self.network.laws if len(set(law.seasonal)) > 1]
        return math.lcm(*lengths) if lengths else 0

    @cached_property
    def _slots(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Links and slots of the pipelines that are observed."""
        links, slots = np.nonzero(np.arange(self.arrays.slots) < self.arrays.lead_time[:, None])
        return links, slots

    @cached_property
    def _internal(self) -> NDArray[np.intp]:
        return np.flatnonzero(~self.arrays.from_outside)

    @cached_property
    def _of_plants(self) -> NDArray[np.intp]:
        """Links into nodes with several components."""
        plants = (self.arrays.in_links < len(self.arrays.target)).sum(axis=1) > 1
        return np.flatnonzero(plants[self.arrays.target])

    @cached_property
    def observation_space(self) -> spaces.Box:
        """Box [D]."""
        size = len(self.network.nodes) + len(self._slots[0]) + len(self._internal) + len(self._of_plants)
        size += 2 if self._seasonal else 0
        return spaces.Box(-OBSERVATION_BOUND, OBSERVATION_BOUND, (size,), np.float32)

    @cached_property
    def action_space(self) -> spaces.Space[Any]:
        """Box [E] in [-1, 1]; Discrete for one link, MultiDiscrete [E] for several."""
        if self.action == "continuous":
            return spaces.Box(-1.0, 1.0, (len(self.network.links),), np.float32)
        choices = self._choices
        return spaces.Discrete(int(choices[0])) if len(choices) == 1 else spaces.MultiDiscrete(choices)

    @cached_property
    def _range(self) -> tuple[Floats, Floats]:
        """[E] the lowest and the highest quantity that an action can name."""
        return (np.zeros_like(self.order_limit), self.order_limit) if self.decision == "orders" else self.level_range

    @cached_property
    def _stride(self) -> Floats:
        """[E] units between two choices of a discrete action."""
        low, high = self._range
        if self.arrays.whole_units:
            return np.ceil((high - low + 1) / DISCRETE_CHOICES)
        return np.asarray(np.maximum(high - low, 1e-9) / (DISCRETE_CHOICES - 1))

    @cached_property
    def _choices(self) -> NDArray[np.int64]:
        low, high = self._range
        return np.asarray(np.floor((high - low) / self._stride + 1e-9) + 1, dtype=np.int64)

    def observe(self, state: State) -> NDArray[np.float32]:
        """Observations [B, D] of a NumPy state."""
        net = state.on_hand.copy()
        net[:, self.arrays.outlet] -= state.backorders
        per_node, per_link = self._units
        links, slots = self._slots
        parts = [
            net / per_node,
            state.pipeline[:, links, slots] / per_link[links],
            state.owed[:, self._internal] / per_link[self._internal],
            state.components[:, self._of_plants] / per_link[self._of_plants],
        ]
        if self._seasonal:
            angle = 2 * np.pi * (state.period % self._seasonal) / self._seasonal
            parts.append(np.tile([np.sin(angle), np.cos(angle)], (state.batch, 1)))
        flat = np.concatenate(parts, axis=1)
        return np.asarray(np.clip(flat, -OBSERVATION_BOUND, OBSERVATION_BOUND), dtype=np.float32)

    def orders(self, action: Any, state: State) -> Floats:
        """Orders [B, E] of actions [B, E], or [B] for a single discrete choice."""
        quantity = self._quantity(self._checked(action, state))
        if self.decision == "levels":
            quantity = np.maximum(quantity - state.echelon_inventory_position, 0.0)
        return np.rint(quantity) if self.arrays.whole_units else quantity

    def _checked(self, action: Any, state: State) -> Floats:
        """The actions as numbers [B, E]; raises `ValueError` for what is not in the action space."""
        array = np.asarray(action, dtype=np.float64)
        shape = (state.batch, len(self.network.links))
        if array.size != shape[0] * shape[1]:
            raise ValueError(f"actions must have shape {shape}, one number per copy and link (got {array.shape})")
        array = array.reshape(shape)
        if np.isnan(array).any():
            raise ValueError(f"actions must not be NaN (got {action!r} in period {state.period})")
        if (
            self.action == "discrete"
            and not ((array >= 0) & (array < self._choices) & (array == np.floor(array))).all()
        ):
            raise ValueError(
                f"discrete actions must be whole numbers from 0 and below {self._choices.tolist()} (got {action!r})"
            )
        return array

    def _quantity(self, action: Floats) -> Floats:
        low, high = self._range
        if self.action == "discrete":
            return low + action * self._stride
        share = np.clip(action, -1.0, 1.0)
        if self.decision == "levels":
            return low + (high - low) * (share + 1) / 2
        return self.mean + share * np.where(share > 0, high - self.mean, self.mean)

    def reward(self, cost: Floats) -> Floats:
        """Rewards [B] of the costs of a period [B]."""
        return -cost / self.cost_scale
