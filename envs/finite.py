"""Numbers that are not finite: a run stops with the first of them, and says what it is of, where and when.

To look at every period would slow every run, so only the sums of a run are looked at. Where one is not finite, that
replication is run once more, alone and period by period, to find when it began.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from echelon.envs.arrays import network_arrays
from echelon.envs.batched import sum_columns
from echelon.envs.dynamics import initial_state, step
from echelon.envs.errors import PolicyError
from echelon.envs.network import Network
from echelon.envs.state import COST_AXES, LEDGER_AXES, costs_of

if TYPE_CHECKING:
    from echelon.envs.policy import Policy
    from echelon.envs.problem import Problem
    from echelon.envs.scenarios import Scenarios
    from echelon.envs.simulate import Outcome

Floats = NDArray[np.float64]
Quantities = Mapping[str, Floats]


def require_finite(outcome: Outcome, policy: Policy, scenarios: Scenarios) -> Outcome:
    """The outcome, if its numbers are finite.

    Else raises `PolicyError` that names the quantity or the cost that was the first not to be, its node or link, the
    period and the replication. The period is missing if the policy, asked about this replication alone, answers
    differently.
    """
    with np.errstate(all="ignore"):
        sums = outcome.per_period.values()
        if all(np.isfinite(values).all() for values in sums) and np.isfinite(outcome.cost).all():
            return outcome
        found = _first_broken(outcome.problem.network, outcome.per_period)
        assert found is not None
        replication, told = found
        begun = _beginning(outcome.problem, policy, scenarios[replication : replication + 1])
    period, told = (f"period {begun[0]}, ", begun[1]) if begun else ("", told)
    raise PolicyError(
        f"what a policy leads to must be finite, got {told} in {period}replication {replication}; "
        "its orders may be too large"
    )


@contextmanager
def counted_from(first: int) -> Iterator[None]:
    """Within a part of the replications: errors say from which one on they count them."""
    try:
        yield
    except PolicyError as error:
        if first == 0:
            raise
        raise PolicyError(f"{error} (counted from replication {first})") from error


def _beginning(problem: Problem, policy: Policy, scenario: Scenarios) -> tuple[int, str] | None:
    """The first period after which a number of a single replication, or its sum so far, is not finite."""
    weights, network = problem.weights, problem.network
    equal = len(set(weights[weights != 0])) == 1  # then the sums are weighted at the end
    scale = weights[-1] if equal else 1.0
    state = initial_state(network, 1)
    sums: dict[str, Any] = dict.fromkeys(LEDGER_AXES, 0.0)
    for t, weight in enumerate(weights):
        try:
            orders = np.asarray(policy(state), dtype=np.float64)
            state, ledger = step(state, orders, scenario.draw(t))
        except Exception:  # a policy that fails on a batch of one must not hide what was found
            return None
        moved = {name: getattr(ledger, name) for name in LEDGER_AXES}
        found = _first_broken(network, moved)
        if weight:
            sums = {name: sums[name] + moved[name] * (1.0 if equal else weight) for name in LEDGER_AXES}
            found = found or _first_broken(network, {name: values * scale for name, values in sums.items()})
        if found:
            return t, found[1]
    return None


def _first_broken(network: Network, quantities: Quantities) -> tuple[int, str] | None:
    """Replication and description of the first quantity, or else the first cost, that is not finite."""
    for name, axis, values in _numbers(network, quantities):
        broken = ~np.isfinite(values)
        if broken.any():
            replication, place = np.argwhere(broken)[0]
            return int(replication), f"{values[replication, place]} for {name}{_where(network, axis, place)}"
    return None


def _numbers(network: Network, quantities: Quantities) -> Iterator[tuple[str, str, Floats]]:
    """Name, letter of the last axis and values [B, ...] of every quantity, every kind of cost, and the whole cost."""
    for name, axis in LEDGER_AXES.items():
        yield name, axis, quantities[name]
    costs = costs_of(quantities, network_arrays(network))
    for kind, axis in COST_AXES.items():
        yield f"the cost {kind!r}", axis, costs[kind]
    yield "the whole cost", "", np.sum([sum_columns(part) for part in costs.values()], axis=0)[:, None]


def _where(network: Network, axis: str, place: int) -> str:
    if not axis:
        return ""
    if axis == "E":
        return f" at {network.links[place].label!r}"
    return f" at {(network.nodes if axis == 'N' else network.outlets)[place].name!r}"
