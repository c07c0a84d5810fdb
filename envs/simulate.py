"""Running a policy on scenarios."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from echelon.envs import dynamics
from echelon.envs.arrays import network_arrays
from echelon.envs.audit import audit
from echelon.envs.batched import sum_columns
from echelon.envs.dynamics import initial_state
from echelon.envs.errors import PolicyError, ScenarioError
from echelon.envs.finite import counted_from, require_finite
from echelon.envs.policy import OrderUpTo, Policy
from echelon.envs.problem import Problem
from echelon.envs.scenarios import Scenarios, sample
from echelon.envs.state import LEDGER_AXES, Draw, Ledger, State, costs_of

Floats = NDArray[np.float64]
Backend = Literal["compiled", "specification"]

PART_BYTES = 256e6
"""Memory for the scenarios of the replications that are simulated together."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a policy cost and achieved, per replication.

    `per_period` holds every quantity of the ledger as a weighted mean over the counted periods (weighted
    sum, if the problem discounts): arrays [B, N], [B, E] or [B, C].
    """

    problem: Problem
    per_period: dict[str, Floats]
    trace: Ledger | None = None
    """Every quantity of the ledger for every period, with axes [B, T, ...]."""

    @cached_property
    def costs(self) -> dict[str, Floats]:
        """The objective by kind of cost: arrays [B, N], [B, E] or [B, C]."""
        return costs_of(self.per_period, network_arrays(self.problem.network))

    @cached_property
    def cost(self) -> Floats:
        """[B] the objective of the problem."""
        return np.asarray(np.sum([sum_columns(part) for part in self.costs.values()], axis=0))

    @cached_property
    def fill_rate(self) -> Floats:
        """[B] beta service: the fraction of demand met at once from stock."""
        return _ratio(sum_columns(self.per_period["sold"]), sum_columns(self.per_period["demand"]))

    @cached_property
    def alpha(self) -> Floats:
        """[B] alpha service (event-oriented): the fraction of outlet-periods without a shortage."""
        weight = self.problem.weights.sum() * self.per_period["stockout"].shape[1]
        return np.asarray(1.0 - sum_columns(self.per_period["stockout"]) / weight)


def _ratio(part: Floats, whole: Floats) -> Floats:
    """part / whole, 1 where there is no demand to miss."""
    return np.divide(part, whole, out=np.ones_like(part), where=whole > 0)


def simulate(
    problem: Problem,
    policy: Policy,
    scenarios: Scenarios,
    *,
    backend: Backend = "compiled",
    trace: bool = False,
    check: bool = False,
    threads: int = 1,
) -> Outcome:
    """Run a policy on a problem for all periods of the scenarios, from the network's initial stock.

    The scenarios must have `problem.periods` periods. The compiled backend and the specification give
    the same outcome; a parametric rule is run in one compiled loop unless the trace is asked for.
    Raises `PolicyError` for orders that are not finite, negative, not whole on a network of whole
    units, or of the wrong shape, and where what they lead to is not finite.
    """
    check_fit(problem, policy, scenarios)
    if backend == "compiled" and isinstance(policy, OrderUpTo) and not (trace or check):
        from echelon.envs import _kernel

        start = initial_state(problem.network, 1)
        totals = _kernel.rollout(start, policy, scenarios, weights=problem.weights, threads=threads)
        return require_finite(Outcome(problem, totals), policy, scenarios)
    state = initial_state(problem.network, scenarios.replications)
    outcome = _run(problem, policy, scenarios, step=stepper(backend), state=state, trace=trace, check=check)
    return require_finite(outcome, policy, scenarios)


def simulate_cost(problem: Problem, policy: Policy, scenarios: Scenarios, *, threads: int = 1) -> Floats:
    """[B] the cost of each replication, `simulate(...).cost`, as fast as it can be had.

    Parametric rules on serial systems and distribution trees without further features run in a loop that
    keeps nothing but the cost; searches that evaluate thousands of candidates live off it. It agrees with
    `simulate` up to the last digits of the sum, and raises what `simulate` raises.
    """
    if isinstance(policy, OrderUpTo):
        from echelon.envs import _fused

        check_fit(problem, policy, scenarios)
        if _fused.can_fuse(problem.network, policy):
            demand, weights = scenarios.packed_demand, problem.weights
            cost = _fused.rollout_cost(problem.network, policy, demand, weights, threads=threads)
            if np.isfinite(cost).all():
                return cost
    return simulate(problem, policy, scenarios, threads=threads).cost


def simulate_stream(
    problem: Problem,
    policy: Policy,
    *,
    replications: int | range,
    seed: int,
    stream: str = "evaluation",
    threads: int = 1,
) -> Outcome:
    """Run a policy on the replications of a named stream, in parts of at most `PART_BYTES` of scenarios.

    It gives what `simulate` gives on all of the scenarios at once, and the same scenarios to every
    policy that is called with the same seed and stream. A range stands for those replications of the stream.
    """
    wanted = range(replications) if isinstance(replications, int) else replications
    size = max(1, int(PART_BYTES / scenario_bytes(problem)))
    totals: dict[str, Floats] = {}
    scenarios: Scenarios | None = None
    for first in range(wanted.start, wanted.stop, size):
        part = range(first, min(first + size, wanted.stop))
        scenarios = sample(
            problem.network, periods=problem.periods, replications=part, seed=seed, stream=stream, into=scenarios
        )
        with counted_from(part.start):
            outcome = simulate(problem, policy, scenarios, threads=threads)
        for name, values in outcome.per_period.items():
            whole = totals.setdefault(name, np.empty((len(wanted), values.shape[1])))
            whole[part.start - wanted.start : part.stop - wanted.start] = values
    return Outcome(problem, totals)


def check_fit(problem: Problem, policy: Policy, scenarios: Scenarios) -> None:
    """Raise `ScenarioError` or `PolicyError` if scenarios or a parametric policy were made for another network."""
    arrays, network = network_arrays(problem.network), problem.network
    if scenarios.periods != problem.periods:
        raise ScenarioError(
            f"scenarios must have problem.periods = {problem.periods} periods (got {scenarios.periods})"
        )
    nodes, links, outlets = len(network.nodes), len(network.links), len(network.outlets)
    whole, fails = network.whole_units, [any(x.disruption for x in part) for part in (network.nodes, network.links)]
    needed = {
        "demand": (True, outlets, "outlets"),
        "lead_time": (bool((arrays.shortest < arrays.longest).any()), links, "links"),
        "yields": (arrays.yields, links, "links"),
        "yield_chance": (arrays.yields and whole, links, "links"),
        "wait_chance": (arrays.partial and whole, outlets, "outlets"),
        "node_up": (fails[0], nodes, "nodes"),
        "link_up": (fails[1], links, "links"),
    }
    for name, (wanted, count, places) in needed.items():
        drawn = getattr(scenarios, name)
        if wanted and drawn is None:
            raise ScenarioError(f"scenarios must have {name} for {count} {places} (got none)")
        if drawn is not None and drawn.shape != (scenarios.replications, scenarios.periods, count):
            raise ScenarioError(f"scenarios must have {name} for {count} {places} (got shape {drawn.shape})")
    low, high = scenarios.demand_range
    if not (low >= 0 and np.isfinite(high)):
        raise ScenarioError(f"demand must be finite and at least 0 (got {low if not low >= 0 else high})")
    times = scenarios.lead_time
    if times is not None and ((times < arrays.shortest) | (times > arrays.longest)).any():
        raise ScenarioError("lead times must be those of the network's links")
    if isinstance(policy, OrderUpTo) and len(policy.up_to) != links:
        raise PolicyError(f"the policy has levels for {len(policy.up_to)} links, the network has {links}")


def scenario_bytes(problem: Problem) -> int:
    """Memory for the scenarios of one replication."""
    one = sample(problem.network, periods=1, replications=1, seed=0)
    drawn = (getattr(one, field.name) for field in fields(one))
    return problem.periods * sum(int(array.nbytes) for array in drawn if array is not None)


def stepper(backend: Backend) -> Callable[[State, Floats, Draw], tuple[State, Ledger]]:
    """The `step` function of a backend."""
    if backend == "specification":
        return dynamics.step
    if backend == "compiled":
        from echelon.envs import _kernel

        return _kernel.step
    raise ValueError(f"backend must be 'compiled' or 'specification' (got {backend!r})")


def _run(
    problem: Problem,
    policy: Policy,
    scenarios: Scenarios,
    *,
    step: Callable[..., Any],
    state: State,
    trace: bool,
    check: bool,
) -> Outcome:
    totals: dict[str, Floats] = {}
    entries: list[Ledger] = []
    weights = problem.weights
    equal = len(set(weights[weights != 0])) == 1  # then sums of whole quantities are exact
    for t, weight in enumerate(weights):
        orders = checked_orders(policy(state), state)
        before = state
        state, ledger = step(state, orders, scenarios.draw(t))
        if check:
            audit(before, ledger, state)
        for name in LEDGER_AXES if weight else ():
            totals[name] = totals.get(name, 0.0) + getattr(ledger, name) * (1.0 if equal else weight)
        if trace:
            entries.append(ledger)
    if equal:
        totals = {name: total * weights[-1] for name, total in totals.items()}
    return Outcome(problem, totals, _stack(entries) if trace else None)


def _stack(entries: list[Ledger]) -> Ledger:
    return Ledger(
        arrays=entries[0].arrays,
        **{name: np.stack([getattr(entry, name) for entry in entries], axis=1) for name in LEDGER_AXES},
    )


def checked_orders(orders: Any, state: State) -> Floats:
    """The orders as an array [B, E]; raises `PolicyError` if the network cannot take them."""
    array = np.asarray(orders, dtype=np.float64)
    links = state.network.links
    if array.shape != (state.batch, len(links)):
        raise PolicyError(
            f"orders must have shape {(state.batch, len(links))}, replications by links (got {array.shape})"
        )
    good = np.isfinite(array) & (array >= 0)
    rule = "finite and at least 0"
    if state.arrays.whole_units:
        good &= array == np.floor(array)
        rule += " and a whole number of units"
    if not good.all():
        replication, link = np.argwhere(~good)[0]
        raise PolicyError(
            f"orders must be {rule}, got {array[replication, link]} on link {links[link].label} "
            f"in period {state.period}, replication {replication}"
        )
    return array
