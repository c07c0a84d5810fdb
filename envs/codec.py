"""The codec: states to observation vectors, action vectors to orders, costs to rewards.

It is the only place where the layout of vectors is known. All scales are constants of the network,
so nothing has to be learned, saved or restored with a policy.

* **Observation**, float32 [B, D], in periods of mean demand: the net stock of every node (on hand
  less customers' backorders), the slots of every pipeline, nearest arrival first, what every link
  owes that can be short, and the components that wait at every plant; then, where the network has
  them, the requests under way, the slots of processing, perishable stock by age, and what is up (1)
  or down (0); and for demand with a calendar its phase. Values are clipped to +-`OBSERVATION_BOUND`.
* **Action**, one number per link. `decision="orders"`: the order itself, from 0 to `order_limit`; a
  continuous action is in [-1, 1], where 0 is the mean demand, with straight lines to either end.
  `decision="levels"`: an echelon base-stock level in `level_range`, up to which is ordered; a
  continuous action in [-1, 1] is mapped linearly. Discrete actions count whole units, in steps if the
  range is long, and equal parts of the range where units are continuous. Continuous actions beyond
  [-1, 1] count as the nearer end.
* **Reward**: minus the cost of the period divided by `cost_scale`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from echelon.envs import _coding
from echelon.envs._layout import (
    M_AGES,
    M_BACKORDERS,
    M_COMPONENTS,
    M_IN_PROCESS,
    M_LINK_UP,
    M_NODE_UP,
    M_ON_HAND,
    M_OWED,
    M_PIPELINE,
    M_REQUESTS,
    PLAIN,
    memory_of,
    tables_of,
)
from echelon.envs.arrays import NetworkArrays, network_arrays
from echelon.envs.batched import cascade_sum, gather_sum
from echelon.envs.network import Network
from echelon.envs.state import State

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
    def _needs(self) -> Floats:
        """[C, E] units that all sources of a link's component bring, together, for one unit of the outlet's item."""
        arrays = self.arrays
        ends = (arrays.target == arrays.outlet[:, None]).astype(np.float64)
        needs = ends * arrays.quantity
        for _ in range(1, arrays.height):
            below = gather_sum(needs / arrays.pool_size, arrays.out_links)
            needs = (ends + below[:, arrays.target]) * arrays.quantity
        return np.asarray(needs)

    @cached_property
    def need(self) -> Floats:
        """[E] mean units per period that all sources of the link's component bring, together."""
        return np.array([law.mean_demand for law in self.network.laws]) @ self._needs

    @cached_property
    def mean(self) -> Floats:
        """[E] mean units per period that each link must carry; alternative sources have equal shares, laterals none."""
        return np.asarray(self.need / self.arrays.pool_size * ~self.arrays.is_lateral)

    @cached_property
    def sd(self) -> Floats:
        """[E] standard deviation of a period's need; for all sources of the component together."""
        variance = np.array([law.sd_demand**2 for law in self.network.laws])
        return np.asarray(np.sqrt(variance @ self._needs**2))

    @cached_property
    def economic_lot(self) -> Floats:
        """[E] the economic order quantity sqrt(2 K D / h) (Harris 1913), 0 without a fixed cost."""
        holding = np.maximum(self.arrays.holding_cost[self.arrays.target], 1e-3)
        return np.asarray(np.sqrt(2 * self.arrays.fixed_cost * self.need / holding))

    @cached_property
    def order_limit(self) -> Floats:
        """[E] the largest order: the mean plus four standard deviations of a period's demand, at least twice
        the mean, and at least twice the economic lot; never above the largest order that the link takes."""
        limit = np.maximum.reduce([self.need + 4 * self.sd, 2 * self.need, 2 * self.economic_lot, self.arrays.lot_size])
        return np.minimum(self._up(limit), self.arrays.max_order)

    @cached_property
    def level_range(self) -> tuple[Floats, Floats]:
        """[E] the lowest and the highest echelon level.

        They lie four standard deviations of echelon lead-time demand, and one period's mean demand,
        below and above a level with a safety stock of one standard deviation; with a fixed cost the
        highest lies two economic lots higher.
        """
        arrays = self.arrays
        own = arrays.lead_time + arrays.order_delay + arrays.processing_time[arrays.target]
        own = own + np.isin(arrays.target, arrays.outlet)
        covered = cascade_sum(np.stack([self.need * own, self.sd**2 * own]), arrays)
        spread = np.sqrt(covered[1])
        centre, span = covered[0] + spread, 4 * spread + self.need
        lowest = np.maximum(centre - span, 0.0)
        return np.floor(lowest) if self.arrays.whole_units else lowest, self._up(centre + span + 2 * self.economic_lot)

    def _up(self, quantity: Floats) -> Floats:
        """Rounded up to whole units, where units are whole."""
        return np.ceil(quantity) if self.arrays.whole_units else quantity

    @cached_property
    def _units(self) -> tuple[Floats, Floats]:
        """[N] and [E] the quantities that observations are counted in: mean demand, or a hundredth of the largest."""
        per_link = np.maximum(self.need, 0.01 * max(float(self.need.max()), 1e-6))
        per_node = np.zeros(len(self.network.nodes))
        per_node[self.arrays.target] = per_link / self.arrays.quantity
        return per_node, per_link

    @cached_property
    def echelon_cover(self) -> Floats:
        """[E] periods from an order until the end of the period in which customers can be served from it."""
        arrays = self.arrays
        own = arrays.lead_time + arrays.order_delay + arrays.processing_time[arrays.target]
        below = np.zeros(len(own))
        for e in arrays.downstream_first:
            following = [f for f in arrays.out_links[arrays.target[e]] if f < len(below)]
            below[e] = own[e] + max((below[f] for f in following), default=0.0)
        return below + 1

    @cached_property
    def cost_scale(self) -> float:
        """Money: what it costs to hold a period's demand at the outlets, or a tenth of what being short of it costs."""
        arrays = self.arrays
        rates = np.maximum(arrays.holding_cost[arrays.outlet], 0.1 * arrays.stockout_cost)
        scale = float((rates * [law.mean_demand for law in self.network.laws]).sum())
        return scale if scale > 0 else 1.0

    @cached_property
    def cycle(self) -> int:
        """Periods after which the calendar of all demand begins anew, 1 for demand without a calendar."""
        return math.lcm(*(law.cycle for law in self.network.laws))

    @cached_property
    def sights(self) -> tuple[NDArray[np.int64], NDArray[np.int64], Floats]:
        """[D] the rows of the memory that are observed, those to take off them (-1 for none), and the units."""
        per_node, _ = self._units
        nodes, outlets = range(len(per_node)), self.arrays.outlet_column
        at = tables_of(self.arrays).at
        sights = [
            (
                at[M_ON_HAND] + n,
                at[M_BACKORDERS] + outlets[n] if outlets[n] < len(self.arrays.outlet) else -1,
                per_node[n],
            )
            for n in nodes
        ]
        for first, stride, held, unit in self._slots(at):
            counted = held.astype(np.int64)
            sights += [
                (first + stride * int(i) + k, -1, unit[i]) for i in np.flatnonzero(counted) for k in range(counted[i])
            ]
        rows, less, units = zip(*sights, strict=True)
        return np.array(rows, dtype=np.int64), np.array(less, dtype=np.int64), np.array(units, dtype=np.float64)

    def _slots(self, at: NDArray[np.int64]) -> list[tuple[int, int, NDArray[Any], Floats]]:
        """What is observed beside net stock: first row, rows per link or node, how many of them, and the unit."""
        arrays, network = self.arrays, self.network
        per_node, per_link = self._units
        plain = tables_of(arrays).node[PLAIN].astype(bool)
        may_owe = ~arrays.from_outside | np.isfinite(arrays.link_capacity)
        may_owe |= np.array([x.disruption is not None for x in network.links])
        waits = (arrays.is_first > 0) & ~plain[arrays.target]
        nodes_fail = np.array([x.disruption is not None for x in network.nodes])
        links_fail = np.array([x.disruption is not None for x in network.links])
        return [
            (at[M_PIPELINE], arrays.slots, arrays.longest, per_link),
            (at[M_OWED], 1, may_owe & ~arrays.is_lateral, per_link),
            (at[M_COMPONENTS], 1, waits, per_link),
            (at[M_REQUESTS], arrays.delays, arrays.order_delay, per_link),
            (at[M_IN_PROCESS], arrays.process_slots, arrays.processing_time, per_node),
            (at[M_AGES], arrays.ages, arrays.shelf_life, per_node),
            (at[M_NODE_UP], 1, nodes_fail, np.ones_like(per_node)),
            (at[M_LINK_UP], 1, links_fail, np.ones_like(per_link)),
        ]

    @cached_property
    def observation_space(self) -> spaces.Box:
        """Box [D]."""
        size = len(self.sights[0]) + (2 if self.cycle > 1 else 0)
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

    def columns_of_nodes(self) -> list[NDArray[np.int64]]:
        """For each node the columns of the observation that concern it: its stock, the links into it, what it owes
        and whether the links out of it are up, and the phase of the calendar."""
        arrays, at = self.arrays, tables_of(self.arrays).at
        rows = self.sights[0]
        concerned = [set(range(len(rows), self.observation_space.shape[0])) for _ in self.network.nodes]
        by_node = ((M_ON_HAND, 1), (M_IN_PROCESS, arrays.process_slots), (M_AGES, arrays.ages), (M_NODE_UP, 1))
        by_link = (
            (M_PIPELINE, arrays.slots),
            (M_REQUESTS, arrays.delays),
            (M_COMPONENTS, 1),
            (M_OWED, 1),
            (M_LINK_UP, 1),
        )
        for d, row in enumerate(rows):
            for place, stride in by_node:
                n = (row - at[place]) // max(stride, 1)
                if at[place] <= row and n < len(concerned) and stride:
                    concerned[n].add(d)
            for place, stride in by_link:
                e = (row - at[place]) // max(stride, 1)
                if at[place] <= row and e < len(arrays.target) and stride:
                    concerned[arrays.target[e]].add(d)
                    if place in (M_OWED, M_LINK_UP) and not arrays.from_outside[e]:
                        concerned[arrays.source[e]].add(d)
        return [np.array(sorted(columns)) for columns in concerned]

    def observe(self, state: State) -> NDArray[np.float32]:
        """Observations [B, D] of a NumPy state."""
        return self.observe_memory(memory_of(state), state.period)

    def observe_memory(self, memory: Floats, period: int) -> NDArray[np.float32]:
        """Observations [B, D] of the stocks in a memory."""
        rows, less, units = self.sights
        width = len(rows) + (2 if self.cycle > 1 else 0)
        observation = np.empty((memory.shape[1], width), dtype=np.float32)
        _coding.observe(memory, rows, less, units, OBSERVATION_BOUND, observation)
        if self.cycle > 1:
            angle = 2 * np.pi * (period % self.cycle) / self.cycle
            observation[:, -2:] = np.sin(angle), np.cos(angle)
        return observation

    def orders(self, action: Any, state: State) -> Floats:
        """Orders [B, E] of actions [B, E], or [B] for a single discrete choice."""
        quantity = self.quantities(action, state.batch, state.period)
        return np.ascontiguousarray(self.as_orders(quantity, lambda: state).T)

    def quantities(self, action: Any, batch: int, period: int) -> Floats:
        """[E, B] the orders or levels that actions name; raises `ValueError` for what is not in the action space."""
        array = np.asarray(action, dtype=np.float64)
        shape = (batch, len(self.network.links))
        if array.size != shape[0] * shape[1]:
            raise ValueError(f"actions must have shape {shape}, one number per copy and link (got {array.shape})")
        array = np.ascontiguousarray(array.reshape(shape))
        quantity = np.empty((shape[1], shape[0]))
        if self.action == "discrete":
            sound = _coding.choices(array, *self._discrete, self._rounds, quantity)
        else:
            sound = _coding.quantities(array, *self._line, self._rounds, quantity)
        if not sound:
            self._refuse(action, period)
        return quantity

    def as_orders(self, quantity: Floats, state: Callable[[], State]) -> Floats:
        """[E, B] orders of the orders or levels that actions name; the state is asked for only where it matters."""
        if self.decision == "orders":
            return quantity
        orders = np.maximum(quantity - state().echelon_inventory_position.T, 0.0)
        return np.asarray(np.rint(orders) if self.arrays.whole_units else orders)

    @cached_property
    def _rounds(self) -> bool:
        return self.arrays.whole_units and self.decision == "orders"

    @cached_property
    def _line(self) -> tuple[Floats, Floats, Floats]:
        """[E] what the actions -1, 0 and 1 name."""
        low, high = self._range
        middle = self.mean if self.decision == "orders" else (low + high) / 2
        return low, np.minimum(middle, high), high

    @cached_property
    def _discrete(self) -> tuple[Floats, Floats, Floats]:
        return self._range[0], self._stride, self._choices.astype(np.float64)

    def _refuse(self, action: Any, period: int) -> None:
        missing = np.isnan(np.asarray(action, dtype=np.float64).reshape(-1, len(self.network.links)))
        if missing.any():
            copy, link = np.argwhere(missing)[0]
            raise ValueError(
                f"actions must not be NaN (got nan on link {self.network.links[link].label} "
                f"in period {period}, environment {copy})"
            )
        raise ValueError(
            f"discrete actions must be whole numbers from 0 and below {self._choices.tolist()} (got {action!r})"
        )

    def reward(self, cost: Floats) -> Floats:
        """Rewards [B] of the costs of a period [B]."""
        return -cost / self.cost_scale
