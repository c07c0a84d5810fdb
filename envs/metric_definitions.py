"""What every metric means and how it is measured; `metrics` is the way to ask for them.

Sources: Silver, Pyke & Thomas (2017), Inventory and Production Management in Supply Chains, 4th ed.;
Axsäter (2015), Inventory Control, 3rd ed.; Chen, Drezner, Ryan & Simchi-Levi (2000), Quantifying the
bullwhip effect in a simple supply chain, Management Science 46(3), 436-443.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from echelon.envs.arrays import Array, NetworkArrays, network_arrays
from echelon.envs.batched import gather_sum, sum_columns
from echelon.envs.network import Network
from echelon.envs.simulate import Outcome
from echelon.envs.state import COST_AXES, Ledger

Floats = NDArray[np.float64]
Axis = Literal["N", "E", "C"]
Found = tuple[Floats, Floats]
"""By place [B, K], and of the network [B]; not a number where there is nothing to divide by."""

ROUNDING = 1e-9
"""Units, relative to what is moved, up to which a difference is an error of rounding."""
MONEY, TURNS, SHARE = "money per period", "per period", "share"


def unit_values(network: Network) -> Floats:
    """[N] what was paid for the parts of one unit of each node's item, in money.

    That is the sum over its components of their quantity times the unit cost of the link that brings
    one plus the value of a unit at its source, along the cheapest of alternative sources. Value added
    at the nodes is no cost of the model and does not count.
    """
    arrays = network_arrays(network)
    values = np.zeros(len(network.nodes) + 1)
    for node in arrays.upstream_first:
        for first in _real(arrays.in_pools[node], arrays):
            links = _real(arrays.pool_links[first], arrays)
            values[node] += arrays.quantity[first] * (arrays.unit_cost[links] + values[arrays.source[links]]).min()
    return values[:-1]


def _real(links: Array, arrays: NetworkArrays) -> Array:
    """A row of a table over links without its padding."""
    return links[links < len(arrays.source)]


@dataclass(frozen=True, eq=False)
class Run:
    """An outcome with what several metrics need of it."""

    outcome: Outcome
    periods_per_year: float

    @cached_property
    def arrays(self) -> NetworkArrays:
        return network_arrays(self.outcome.problem.network)

    @cached_property
    def mean(self) -> dict[str, Floats]:
        """Every quantity of the ledger as a mean over the counted periods."""
        problem = self.outcome.problem
        scale = problem.weights.sum() if problem.discount < 1 else 1.0
        return {name: total / scale for name, total in self.outcome.per_period.items()}

    @cached_property
    def unit_values(self) -> Floats:
        return unit_values(self.outcome.problem.network)

    @cached_property
    def counted(self) -> slice:
        """The periods with a weight; they are next to one another."""
        periods = np.flatnonzero(self.outcome.problem.weights)
        return slice(int(periods[0]), int(periods[-1]) + 1)

    @cached_property
    def weights(self) -> Floats:
        """[T'] the weights of the counted periods, 1 in total."""
        weights = self.outcome.problem.weights[self.counted]
        return np.asarray(weights / weights.sum())

    @property
    def trace(self) -> Ledger:
        assert self.outcome.trace is not None
        return self.outcome.trace

    def over_time(self, values: Array) -> Floats:
        """[B, K] means of values [B, T', K] of the counted periods."""
        return np.asarray(np.einsum("t,btk->bk", self.weights, values))

    def outflow(self, delivered: Array, shipped: Array) -> Floats:
        """[..., N] units that left the stock of each node for customers and on links."""
        sent = _at_nodes(shipped, self.arrays.out_links) + _at_nodes(shipped, self.arrays.lateral_out)
        return self.of_outlets(delivered) + sent

    def of_outlets(self, values: Array) -> Floats:
        """[..., N] values [..., C] at their nodes, 0 at nodes without customers."""
        return _at_nodes(values, self.arrays.outlet_column[:, None])

    def inbound(self, values: Array) -> Floats:
        """[..., N] sums over the links into each node."""
        return _at_nodes(values, self.arrays.in_links) + _at_nodes(values, self.arrays.lateral_in)

    @cached_property
    def arrives(self) -> NDArray[np.bool_]:
        """[B, T', N] whether units entered the stock of a node in a counted period.

        Stock at the end of a period is what was left of the period before, plus what entered, less what left.
        """
        trace = self.trace
        start = [node.initial_on_hand for node in self.outcome.problem.network.nodes]
        left = trace.on_hand - trace.scrapped
        before = np.concatenate((np.broadcast_to(start, left[:, :1].shape), left[:, :-1]), axis=1)
        outflow = self.outflow(trace.delivered, trace.shipped)
        entered = trace.on_hand - before + outflow
        return np.asarray(entered > ROUNDING * (1 + before + outflow))[:, self.counted]


def _at_nodes(values: Array, table: Array) -> Floats:
    """[..., N] sums of values [..., K] over the columns that a table [N, M] names for each node."""
    flat = gather_sum(values.reshape(-1, values.shape[-1]), table)
    return np.asarray(flat.reshape(*values.shape[:-1], -1))


def _ratio(part: Array, whole: Array, nothing: float = math.nan) -> Floats:
    """part / whole, and `nothing` where the whole is 0."""
    return np.asarray(np.divide(part, whole, out=np.full(np.shape(part), nothing), where=whole > 0))


def _rate(part: Array, whole: Array, nothing: float) -> Found:
    """Ratios by place [B, K], and the ratio of the sums over places."""
    return _ratio(part, whole, nothing), _ratio(sum_columns(part), sum_columns(whole), nothing)


def _summed(values: Array) -> Found:
    return np.asarray(values), sum_columns(values)


Rule = Callable[[Run], Found]


@dataclass(frozen=True)
class Definition:
    """What a metric means, and how it is measured."""

    meaning: str
    axis: Axis
    unit: str
    needs_trace: bool
    of: Rule


METRICS: dict[str, Definition] = {}
"""Every metric by its name."""


def _defines(name: str, axis: Axis, unit: str, *, needs_trace: bool = False) -> Callable[[Rule], Rule]:
    """Enter a function among the metrics; its docstring is the meaning of the metric."""

    def enter(rule: Rule) -> Rule:
        METRICS[name] = Definition(" ".join((rule.__doc__ or "").split()), axis, unit, needs_trace, rule)
        return rule

    return enter


@_defines("cost", "N", MONEY)
def _cost(run: Run) -> Found:
    """The objective of the problem, all kinds of cost together. Of a node: its own costs, those of its customers,
    and those of the links into it; the nodes sum to the network."""
    total: Floats = np.zeros_like(run.mean["on_hand"])
    for kind, axis in COST_AXES.items():
        part = run.outcome.costs[kind]
        if axis == "E":
            part = run.inbound(part)
        elif axis == "C":
            part = run.of_outlets(part)
        total = total + part
    return total, run.outcome.cost


def _cost_of(kind: str, run: Run) -> Found:
    return _summed(run.outcome.costs[kind])


for _kind, _axis in COST_AXES.items():
    _words = _kind.replace("_", " ")
    METRICS[f"cost.{_kind}"] = Definition(
        f"The part of the objective that is {_words} cost{', below 0' if _kind == 'revenue' else ''}.",
        _axis,
        MONEY,
        False,
        partial(_cost_of, _kind),
    )


@_defines("alpha", "C", SHARE)
def _alpha(run: Run) -> Found:
    """Share of periods without a stockout: no customer waits at the end, and no sale was lost. Network: share of
    outlet-periods."""
    met = np.clip(1.0 - run.mean["stockout"], 0.0, 1.0)
    return _rate(met, np.ones_like(met), 1.0)


@_defines("cycle_service_level", "C", SHARE, needs_trace=True)
def _cycle_service_level(run: Run) -> Found:
    """Share of replenishment cycles without a stockout: P1 of Silver, Pyke & Thomas (ch. 6), S1 of Axsäter (ch. 5).
    A cycle begins in a period in which units enter the outlet's stock and ends before the next such period; those cut
    by an end of the counted periods do not count. Without any whole cycle all counted periods are one."""
    short = run.trace.stockout[:, run.counted] > 0
    cycles, failed = replenishment_cycles(run.arrives[:, :, run.arrays.outlet], short)
    return _rate(cycles - failed, cycles, 1.0)


def replenishment_cycles(arrives: NDArray[np.bool_], short: NDArray[np.bool_]) -> Found:
    """[B, K] replenishment cycles, and those of them with a stockout, of the counted periods [B, T', K].

    A cycle begins in a period in which units enter the stock and ends before the next such period. Without any
    whole cycle all periods are one.
    """
    began = _last_before(arrives)
    ends = arrives & (began > 0)
    cycles = ends.sum(axis=1)
    failed = (ends & (_last_before(short) >= began)).sum(axis=1)
    failed = np.where(cycles == 0, short.any(axis=1), failed)
    return np.maximum(cycles, 1).astype(np.float64), failed.astype(np.float64)


def _last_before(event: Array) -> Array:
    """[B, T', K] the number, from 1, of the last period before each one in which the event was; 0 if none."""
    number = np.arange(1, event.shape[1] + 1)[:, None]
    last = np.maximum.accumulate(np.where(event, number, 0), axis=1)
    return np.concatenate((np.zeros_like(last[:, :1]), last[:, :-1]), axis=1)


@_defines("fill_rate", "C", SHARE)
def _fill_rate(run: Run) -> Found:
    """Beta: share of demand that is met at once from stock; 1 without demand. P2 of Silver, Pyke & Thomas (ch. 6),
    S2 of Axsäter (ch. 5)."""
    return _rate(run.mean["sold"], run.mean["demand"], 1.0)


@_defines("ready_rate", "C", SHARE, needs_trace=True)
def _ready_rate(run: Run) -> Found:
    """Share of periods that end with stock on hand: P3 of Silver, Pyke & Thomas (ch. 6), S3 of Axsäter (ch. 5).
    Network: share of outlet-periods."""
    ready = run.over_time(run.trace.on_hand[:, run.counted, run.arrays.outlet] > ROUNDING)
    return _rate(ready, np.ones_like(ready), 1.0)


@_defines("perfect_order_rate", "C", SHARE, needs_trace=True)
def _perfect_order_rate(run: Run) -> Found:
    """Share of the periods with demand in which all of it is met at once; 1 without demand. All that customers ask
    of an outlet in a period is one order. It is perfect if complete and on time: orders have no papers and units no
    damage in this model."""
    demand, sold = run.trace.demand[:, run.counted], run.trace.sold[:, run.counted]
    perfect = (demand > 0) & (demand - sold <= ROUNDING * demand)
    return _rate(run.over_time(perfect), run.over_time(demand > 0), 1.0)


@_defines("lost_fraction", "C", SHARE)
def _lost_fraction(run: Run) -> Found:
    """Share of demand that is lost; 0 without demand."""
    return _rate(run.mean["lost"], run.mean["demand"], 0.0)


@_defines("backorders", "C", "units")
def _backorders(run: Run) -> Found:
    """Mean units for which customers wait."""
    return _summed(run.mean["backorders"])


@_defines("on_hand", "N", "units")
def _on_hand(run: Run) -> Found:
    """Mean stock on hand."""
    return _summed(run.mean["on_hand"])


@_defines("in_process", "N", "units")
def _in_process(run: Run) -> Found:
    """Mean units in process."""
    return _summed(run.mean["in_process"])


@_defines("in_transit", "E", "units")
def _in_transit(run: Run) -> Found:
    """Mean units in transit, and of those that wait at the target for other components; alternative sources of a
    component show the latter on the first of their links."""
    return _summed(run.mean["in_transit"])


@_defines("stock", "N", "units")
def _stock(run: Run) -> Found:
    """Mean units held: on hand, in process and in transit to the node; the sum of cycle, safety and pipeline stock."""
    return _summed(run.mean["on_hand"] + _pipeline_stock(run)[0])


@_defines("cycle_stock", "N", "units", needs_trace=True)
def _cycle_stock(run: Run) -> Found:
    """Mean stock on hand above the safety stock: what comes in batches and is used up before the next one. With
    steady demand d and batches Q it is (Q - d) / 2, half a batch less what the first period takes of it; a node that
    is replenished in every period has none."""
    return _summed(run.mean["on_hand"] - _safety_stock(run)[0])


@_defines("safety_stock", "N", "units", needs_trace=True)
def _safety_stock(run: Run) -> Found:
    """Mean stock on hand just before units enter it, at most the mean stock on hand, and equal to that where no units
    enter. Silver, Pyke & Thomas (ch. 6) take the net stock there; stock on hand makes the parts sum to what is held."""
    left = (run.trace.on_hand - run.trace.scrapped)[:, run.counted][:, :-1]
    weight = run.weights[:-1, None] * run.arrives[:, 1:]
    low = _ratio((weight * left).sum(axis=1), weight.sum(axis=1), math.inf)
    return _summed(np.minimum(low, run.mean["on_hand"]))


@_defines("pipeline_stock", "N", "units")
def _pipeline_stock(run: Run) -> Found:
    """Mean units in process, in transit to the node, and waiting there for other components."""
    return _summed(run.mean["in_process"] + run.inbound(run.mean["in_transit"]))


@_defines("days_of_supply", "N", "periods")
def _days_of_supply(run: Run) -> Found:
    """Mean stock on hand over the mean units that leave it in a period for customers and other nodes. Network: all
    stock on hand over what customers get."""
    mean = run.mean
    of_node = _ratio(mean["on_hand"], run.outflow(mean["delivered"], mean["shipped"]))
    return of_node, _ratio(sum_columns(mean["on_hand"]), sum_columns(mean["delivered"]))


@_defines("inventory_turns", "N", TURNS)
def _inventory_turns(run: Run) -> Found:
    """Value of the units that leave a node over its working capital. Network: of the units that customers get."""
    mean, (capital, all_capital) = run.mean, _working_capital(run)
    values = run.unit_values * run.periods_per_year
    sales = sum_columns(mean["delivered"] * values[run.arrays.outlet])
    return _ratio(run.outflow(mean["delivered"], mean["shipped"]) * values, capital), _ratio(sales, all_capital)


@_defines("working_capital", "N", "money")
def _working_capital(run: Run) -> Found:
    """Mean money tied up in the units on hand, in process, and in transit to the node, each valued at what was paid
    for its parts (`unit_values`)."""
    arrays, mean, values = run.arrays, run.mean, run.unit_values
    paid = np.append(values, 0.0)[arrays.source] + arrays.unit_cost * ~arrays.is_lateral
    return _summed((mean["on_hand"] + mean["in_process"]) * values + run.inbound(mean["in_transit"] * paid))


@_defines("scrapped", "N", "units per period")
def _scrapped(run: Run) -> Found:
    """Mean units that expire."""
    return _summed(run.mean["scrapped"])


@_defines("defective", "E", "units per period")
def _defective(run: Run) -> Found:
    """Mean units that arrive unusable."""
    return _summed(run.mean["defective"])


@_defines("order_variance_ratio", "N", "ratio", needs_trace=True)
def _order_variance_ratio(run: Run) -> Found:
    """Bullwhip: variance over time of a node's orders, in units of its item, over that of the customers' demand that
    passes through it (Chen et al. 2000). Orders with alternative sources of a component are one; a node with several
    components has the mean of their ratios. Network: orders with outside sources over the demand for them. Season and
    trend of the demand are part of its variance."""
    arrays, ordered = run.arrays, run.trace.ordered[:, run.counted]
    at_node, on_link = _demand_below(run)
    flat = gather_sum(ordered.reshape(-1, ordered.shape[2]), arrays.pool_links)
    of_pool = _variance(run, flat.reshape(ordered.shape) / arrays.quantity)
    pools = (arrays.in_pools < ordered.shape[2]).sum(axis=1)
    by_node = _ratio(_at_nodes(of_pool, arrays.in_pools), pools * _variance(run, at_node))
    bought, needed = (sum_columns(flow[:, :, arrays.from_outside])[:, :, None] for flow in (ordered, on_link))
    return by_node, _ratio(_variance(run, bought), _variance(run, needed))[:, 0]


def _demand_below(run: Run) -> tuple[Floats, Floats]:
    """Customers' demand as units of each node's item [B, T', N] and of each link's component [B, T', E].

    It takes every path from the outlets up, `quantity` units of a component for each unit, and is split
    between alternative sources in the proportion of what was ordered from them in the counted periods.
    """
    arrays, ordered = run.arrays, run.mean["ordered"]
    pool = gather_sum(ordered, arrays.pool_links)
    share = np.where(pool > 0, _ratio(ordered, pool, 0.0), 1.0 / arrays.pool_size)
    at_node = run.of_outlets(run.trace.demand[:, run.counted])
    on_link = np.zeros((*at_node.shape[:2], len(arrays.source)))
    for e in arrays.downstream_first[~arrays.is_lateral[arrays.downstream_first]]:
        on_link[:, :, e] = share[:, None, e] * arrays.quantity[e] * at_node[:, :, arrays.target[e]]
        if not arrays.from_outside[e]:
            at_node[:, :, arrays.source[e]] += on_link[:, :, e]
    return at_node, on_link


def _variance(run: Run, values: Array) -> Floats:
    """[B, K] variance over the counted periods of values [B, T', K]; exactly 0 where only rounding varies."""
    variance = run.over_time((values - run.over_time(values)[:, None]) ** 2)
    steady = np.ptp(values, axis=1) <= ROUNDING * np.abs(values).max(axis=1)
    return np.where(steady, 0.0, variance)
