"""The perfect-information programme of a network: the least cost at which one scenario, known in advance, can be met.

Its constraints follow the sequence of events of `envs/dynamics.py`, and every path that the engine can take
satisfies them, so its optimum is never above what any policy costs on the scenario. Exact are: arrivals, lead times,
yields, processing, order delays, bills of material, capacities, disruptions, shelf lives, alternative and
lateral sources, stockout rules, largest orders. Relaxed, that is left to the programme's free choice, are: who gets
what in a shortage, whether what could be made, shipped or sold at once is, the rounding to whole units, and
which units leave first. A fixed cost is charged as if every order were the largest; without a largest order it
is left out, as are lots and smallest orders. With `exact` orders are whole, in lots and paid for one by one.

Names: on_hand I(n, t) at the end of the period, shipped x(e, t), made m(n, t), ordered o(e, t).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from echelon.baselines.linear_program import Program, Series, known, total
from echelon.envs.arrays import NetworkArrays, network_arrays
from echelon.envs.network import Network
from echelon.envs.scenarios import Scenarios

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Path:
    """What happens in the periods of one scenario; all that a clairvoyant knows."""

    demand: Floats
    """[T, C]"""
    lead_time: NDArray[np.int64]
    """[T, E] of what is shipped in the period."""
    yield_due: Floats
    """[T, E] usable share of what arrives at the start of the period."""
    yield_at_once: Floats
    """[T, E] usable share of what is shipped in the period and arrives at once."""
    round_due: Floats
    """[T, E] number that rounds what arrives at the start of the period."""
    round_at_once: Floats
    """[T, E]"""
    round_waiting: Floats
    """[T, C]"""
    node_up: Floats
    """[T, N] 1.0 where the node is up in the period."""
    link_up: Floats
    """[T, E]"""


class OutletCost(Protocol):
    """Charges an outlet's holding and stockout cost, and the revenue of its lost sales, in its own way."""

    def __call__(self, program: Program, on_hand: Series, backorders: Series, lost: Series, demand: Floats) -> None:
        """Add the cost of the outlet's end-of-period quantities to the programme; its demand is [T]."""


@dataclass(frozen=True, eq=False)
class Clairvoyant:
    """The programme with the series that a planner reads from its solution."""

    program: Program
    shipped: list[Series]
    """Per link."""
    ordered: list[Series | None]
    """Per link; None where orders have no bound and no cost, so that any that allow the shipments will do."""
    on_hand: list[Series]
    """Per node, at the end of the period, before what has expired is scrapped."""


def path_of(network: Network, scenarios: Scenarios, replication: int, first: int, until: int) -> Path:
    """The periods from `first` to before `until` of one replication."""
    arrays = network_arrays(network)
    links, nodes = len(network.links), len(network.nodes)

    def now(array: NDArray[np.float64] | None, otherwise: Floats) -> Floats:
        if array is None:
            return np.repeat(otherwise[None], until - first, axis=0)
        return np.asarray(array[replication, first:until], dtype=np.float64)

    def before(array: NDArray[np.float64] | None, otherwise: Floats) -> Floats:
        """As drawn in the period before, in period 0 as it is by default."""
        if array is None:
            return np.repeat(otherwise[None], until - first, axis=0)
        start = otherwise[None] if first == 0 else array[replication, first - 1 : first]
        return np.concatenate((start, array[replication, first : until - 1]))

    ones, zeros = np.ones(links), np.zeros(links)
    return Path(
        demand=now(scenarios.demand, zeros),
        lead_time=now(scenarios.lead_time, arrays.shortest.astype(np.float64)).astype(np.int64),
        yield_due=before(scenarios.yields, ones),
        yield_at_once=now(scenarios.yields, ones),
        round_due=before(scenarios.yield_chance, zeros),
        round_at_once=now(scenarios.yield_chance, zeros),
        round_waiting=now(scenarios.wait_chance, np.zeros(len(network.outlets))),
        node_up=before(scenarios.node_up, np.ones(nodes)),
        link_up=before(scenarios.link_up, ones),
    )


def clairvoyant(
    network: Network,
    path: Path,
    weights: Floats,
    *,
    outlet_costs: Mapping[int, OutletCost] | None = None,
    given_start: bool = True,
    exact: bool = False,
) -> Clairvoyant:
    """The programme of a path whose period t costs `weights[t]` times its money.

    It starts from the network's initial stock, or, unless `given_start`, from whatever state it likes. `outlet_costs`
    replaces the holding and stockout cost of some outlets, by their position among the outlets.
    """
    model = _Model(network, network_arrays(network), path, weights, given_start, exact, Program(len(weights)))
    shipped = [model.shipments(e) for e in range(len(network.links))]
    ordered = [model.orders(e, shipped[e]) for e in range(len(network.links))]
    usable = [model.usable(e, shipped[e]) for e in range(len(network.links))]
    made = [model.made(n, usable) for n in range(len(network.nodes))]
    on_hand = [model.stock(n, shipped, usable, made[n], outlet_costs or {}) for n in range(len(network.nodes))]
    model.share_resources(made, on_hand)
    return Clairvoyant(model.program, shipped, ordered, on_hand)


@dataclass(frozen=True, eq=False)
class _Model:
    """The parts of the programme, one method each; they add to `program` as they go."""

    network: Network
    arrays: NetworkArrays
    path: Path
    weights: Floats
    given_start: bool
    exact: bool
    program: Program

    @property
    def periods(self) -> int:
        return len(self.weights)

    def weight_of(self, start: NDArray[np.int64], end: NDArray[np.int64]) -> Floats:
        """The weights of the periods from `start` to before `end`, added up."""
        until = np.append(0.0, np.cumsum(self.weights))
        return np.asarray(until[np.minimum(end, self.periods)] - until[np.minimum(start, self.periods)])

    def at_start(self, quantity: float) -> Series:
        """A stock of the period before the first, as a term of the first: given, or free."""
        if not self.given_start:
            return self.program.variables(until=1)
        return known(np.append(quantity, np.zeros(self.periods - 1)), self.periods)

    def shipments(self, e: int) -> Series:
        """x(e, t), within capacity, while link and source are up and the source has heard of an order."""
        arrays, path = self.arrays, self.path
        upper = np.full(self.periods, arrays.link_capacity[e])
        source = arrays.source[e]
        up = path.link_up[:, e] * (1.0 if arrays.from_outside[e] else path.node_up[:, source])
        upper = np.where(up > 0, upper, 0.0)
        heard = int(arrays.order_delay[e]) if self.given_start else 0
        shipped = self.program.variables(upper, first=heard, integer=self.exact and arrays.whole_units)
        now = np.arange(self.periods)
        on_the_way = self.weight_of(now, now + path.lead_time[:, e])
        self.program.charge(shipped, arrays.unit_cost[e] * self.weights + arrays.transit_holding_cost[e] * on_the_way)
        return shipped

    def orders(self, e: int, shipped: Series) -> Series | None:
        """o(e, t) where it is bounded or costs; what was asked and not shipped stays owed, or is dropped."""
        arrays, program = self.arrays, self.program
        most, fixed = arrays.max_order[e], arrays.fixed_cost[e]
        if self.exact and (fixed or arrays.min_order[e] or arrays.lot_size[e]):
            ordered = self._counted_orders(e)
        elif np.isfinite(most):
            ordered = program.variables(most, integer=self.exact and arrays.whole_units)
            program.charge(ordered, fixed / most * self.weights)
        else:
            return None
        asked = ordered.arriving(arrays.order_delay[e])
        if not self.given_start:
            asked += program.variables(most, until=int(arrays.order_delay[e]))
        limited = np.isfinite(arrays.link_capacity[e]) or self.network.links[e].disruption is not None
        if arrays.from_outside[e] and not limited:
            program.require(asked - shipped, 0.0, 0.0)
        elif arrays.keeps_backlog[e]:
            owed = program.variables()
            before = owed.arriving(1) + self.at_start(0.0)
            program.require(owed - before - asked + shipped, 0.0, 0.0)
        else:
            program.require(asked - shipped, 0.0)
        return ordered

    def _counted_orders(self, e: int) -> Series:
        """Orders in lots, none or at least the smallest, each of which costs."""
        arrays, program = self.arrays, self.program
        lot, least = arrays.lot_size[e], arrays.min_order[e]
        most = min(arrays.max_order[e], _requirement(self.network, self.path, e) + least + lot)
        counted = np.floor(most / lot + 1e-9) if lot else most
        ordered: Series = program.variables(counted, integer=bool(lot) or arrays.whole_units)
        ordered = ordered * float(lot or 1.0)
        placed = program.variables(1.0, integer=True)
        program.charge(placed, arrays.fixed_cost[e] * self.weights)
        program.require(placed * most - ordered, 0.0)
        if least:
            program.require(ordered - placed * least, 0.0)
        return ordered

    def usable(self, e: int, shipped: Series) -> Series:
        """What arrives usable on a link in each period, at its start or at once."""
        path, lead = self.path, self.path.lead_time[:, e]
        due = (shipped * (lead > 0)).arriving(lead) + self._under_way(e)
        at_once = shipped * (lead == 0)
        usable = self._sorted_out(due, path.yield_due[:, e], path.round_due[:, e])
        return usable + self._sorted_out(at_once, path.yield_at_once[:, e], path.round_at_once[:, e])

    def _under_way(self, e: int) -> Series:
        """What was shipped before the first period, when it arrives."""
        arrays, program = self.arrays, self.program
        now = np.arange(self.periods)
        if self.given_start:
            due = known(self.network.links[e].initial_in_transit * (now < arrays.shortest[e]), self.periods)
        else:  # what arrives at the very start is part of the free stock
            due = program.variables(first=1, until=int(arrays.longest[e]))
        program.charge(due, arrays.transit_holding_cost[e] * self.weight_of(0 * now, now))
        return due

    def _sorted_out(self, arrived: Series, rate: Floats, chance: Floats) -> Series:
        """The usable part: a share of what arrives, or that rounded: floor(share + chance), at most all of it."""
        nothing = not (len(arrived.rows) or arrived.constant.any())
        if nothing or (rate == 1).all():
            return arrived
        if not self.arrays.whole_units:
            return arrived * rate
        usable, some = self.program.variables(), rate < 1
        self.program.require(arrived - usable, 0.0, np.where(some, np.inf, 0.0))
        self.program.require(usable - arrived * rate, np.where(some, chance - 1, 0.0), np.where(some, chance, 0.0))
        return usable

    def made(self, n: int, usable: list[Series]) -> Series:
        """m(n, t): all that arrives, or, where something limits or must match it, what components allow."""
        arrays, program = self.arrays, self.program
        pools = [e for e in arrays.in_pools[n] if e < len(usable)]
        into = {e: total([usable[k] for k in arrays.pool_links[e] if k < len(usable)], self.periods) for e in pools}
        quantity = arrays.quantity[pools]
        if len(pools) == 1 and not arrays.limited[n] and (quantity[0] == 1 or not arrays.whole_units):
            return into[pools[0]] * float(1 / quantity[0])
        made = program.variables(np.where(self.path.node_up[:, n] > 0, arrays.node_capacity[n], 0.0))
        for e, q in zip(pools, quantity, strict=True):
            waiting = program.variables()
            before = waiting.arriving(1) + self.at_start(0.0)
            program.require(waiting - before - into[e] + made * q, 0.0, 0.0)
            program.charge(waiting, arrays.transit_holding_cost[e] * self.weights)
        return made

    def stock(
        self, n: int, shipped: list[Series], usable: list[Series], made: Series, outlet_costs: Mapping[int, OutletCost]
    ) -> Series:
        """I(n, t) at the end of the period, from the balance of what enters and what leaves."""
        arrays, program = self.arrays, self.program
        on_hand = program.variables()
        entered = self._entered(n, made)
        scrapped = self._scrapped(n, on_hand, entered)
        moved_in = [usable[e] for e in arrays.lateral_in[n] if e < len(usable)]
        sent = [shipped[e] for e in (*arrays.out_links[n], *arrays.lateral_out[n]) if e < len(shipped)]
        left = total([*sent, self._delivered(n, on_hand, outlet_costs)], self.periods)
        before = (on_hand - scrapped).arriving(1) + self.at_start(self.network.nodes[n].initial_on_hand)
        enters = total([before, entered, *moved_in], self.periods)
        program.require(on_hand - enters + left, 0.0, 0.0)
        if int(arrays.outlet_column[n]) not in outlet_costs:
            program.charge(on_hand, arrays.holding_cost[n] * self.weights)
        return on_hand

    def _entered(self, n: int, made: Series) -> Series:
        """What enters the stock of a node in each period; while it is in process it is held."""
        arrays, time = self.arrays, int(self.arrays.processing_time[n])
        now = np.arange(self.periods)
        self.program.charge(made, arrays.processing_holding_cost[n] * self.weight_of(now, now + time))
        finished = made.arriving(time)
        if self.given_start:
            return finished
        return finished + self.program.variables(first=1, until=time + 1)  # made before, or from what arrives first

    def _scrapped(self, n: int, on_hand: Series, entered: Series) -> Series:
        """What expires at the end of a period: some of what entered a life ago, and all of it that is left."""
        arrays, program = self.arrays, self.program
        life = int(arrays.shelf_life[n])
        if not life:
            return known(0.0, self.periods)
        start = self.at_start(self.network.nodes[n].initial_on_hand)
        dying = (entered + start).arriving(life - 1)
        scrapped = program.variables(first=life - 1 if self.given_start else 0)
        old = np.arange(self.periods) >= life - 1
        program.require(dying - scrapped, np.where(old, 0.0, -np.inf))
        young = (entered + start).of_last(life) - dying
        program.require(young - on_hand + scrapped, np.where(old, 0.0, -np.inf))
        program.charge(scrapped, arrays.scrap_cost[n] * self.weights)
        return scrapped

    def _delivered(self, n: int, on_hand: Series, outlet_costs: Mapping[int, OutletCost]) -> Series:
        """What customers get in each period; what is short waits or is lost, and costs."""
        arrays, program = self.arrays, self.program
        c = int(arrays.outlet_column[n])
        if c == len(arrays.outlet):
            return known(0.0, self.periods)
        demand, nothing = known(self.path.demand[:, c], self.periods), known(0.0, self.periods)
        is_open = self.path.node_up[:, n] > 0
        if arrays.waits[c] == 0:
            lost = program.variables(self.path.demand[:, c], lower=np.where(is_open, 0.0, self.path.demand[:, c]))
            delivered, backorders = demand - lost, nothing
            rate, sold = arrays.stockout_cost[c] + arrays.price[c], demand  # a lost sale costs its revenue as well
        else:
            delivered, backorders, lost = self._with_waiting(c, demand, is_open)
            rate, sold = arrays.stockout_cost[c], delivered
        program.charge(sold, -arrays.price[c] * self.weights)
        if c in outlet_costs:
            outlet_costs[c](program, on_hand, backorders, lost, self.path.demand[:, c])
        else:
            program.charge(backorders + lost, rate * self.weights)
        return delivered

    def _with_waiting(self, c: int, demand: Series, is_open: NDArray[np.bool_]) -> tuple[Series, Series, Series]:
        """What is delivered, the backorders and the lost sales where some or all of the customers wait."""
        program, share = self.program, self.arrays.waits[c]
        backorders = program.variables()
        before = backorders.arriving(1) + self.at_start(0.0)
        if share == 1:
            delivered = program.variables(np.where(is_open, np.inf, 0.0))
            program.require(backorders - before + delivered - demand, 0.0, 0.0)
            return delivered, backorders, known(0.0, self.periods)
        sold = program.variables(np.where(is_open, demand.constant, 0.0))
        served = program.variables(np.where(is_open, np.inf, 0.0))
        short = demand - sold
        waiting = short * share
        if self.arrays.whole_units:
            waiting, chance = program.variables(demand.constant), self.path.round_waiting[:, c]
            program.require(waiting - short * share, chance - 1, chance)
            program.require(short - waiting, 0.0)
        program.require(backorders - before + served - waiting, 0.0, 0.0)
        program.require(before - served, 0.0)
        return sold + served, backorders, short - waiting

    def share_resources(self, made: list[Series], on_hand: list[Series]) -> None:
        """Production: what all members make in a period. Storage: what they hold and process at its end."""
        arrays = self.arrays
        for r, capacity in enumerate(arrays.resource_capacity):
            members = np.flatnonzero(arrays.member[r])
            used = [made[n] for n in members]
            if arrays.is_storage[r]:
                used = [on_hand[n] + made[n].of_last(int(arrays.processing_time[n])) for n in members]
            self.program.require(total(used, self.periods), -np.inf, capacity)


def _requirement(network: Network, path: Path, link: int) -> float:
    """Units that could be of use on a link over the whole path: what all its customers ask for."""
    arrays = network_arrays(network)
    need = np.zeros(len(network.nodes) + 1)
    need[arrays.outlet] = path.demand.sum(axis=0)
    for e in arrays.downstream_first:
        if not arrays.is_lateral[e]:
            need[arrays.source[e]] += need[arrays.target[e]] * arrays.quantity[e]
    return float(need[arrays.target[link]] * arrays.quantity[link])
