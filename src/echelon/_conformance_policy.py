"""Whether a policy is one: a pure function of the state whose orders the network can take."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from echelon._conformance import ConformanceError, close, told
from echelon.envs._kernel import step
from echelon.envs.codec import Codec
from echelon.envs.dynamics import accepted_orders, initial_state
from echelon.envs.policy import Policy
from echelon.envs.problem import Problem
from echelon.envs.scenarios import sample
from echelon.envs.state import STOCKS, State

Floats = NDArray[np.float64]

BATCH = 7
"""Replications of the states that a policy is tried on; it is tried on parts of one and two of them as well."""
MOST = 2.0**53
"""The largest order: beyond it a float no longer tells one unit more from one less."""
PURE = "a policy must be a function of the state alone"


@dataclass(frozen=True)
class _Trial:
    policy: Policy
    tolerance: float
    strict: bool


def check_policy(
    policy: Policy, problem: Problem, *, seed: int = 0, periods: int = 30, tolerance: float = 0.0, strict: bool = False
) -> None:
    """Raise `ConformanceError` unless a policy keeps the rules that every comparison relies on.

    It is run from the initial state, and called in states of a run with random orders and in the last period of the
    problem, in batches of 1, 2 and 7. Orders must be numbers [B, E], finite, at least 0, and whole on a network of
    whole units. The same state must get the same orders: when it is asked again, later or in another order of
    states; in whatever row and batch it stands, bit for bit; and whatever demand will come (a policy does not look
    ahead). The state must come back unchanged, and what was returned must not change afterwards. The engine rounds
    orders to the links' `min_order`, `lot_size` and `max_order`; with `strict` they must keep to these by themselves.

    `tolerance` is the share by which a row may differ between batches: 0 for formulas; matrix products of a
    learned network may need 1e-6 where orders are not rounded. `seed` and `periods` are those of the runs.
    """
    trial = _Trial(policy, tolerance, strict)
    known: list[tuple[State, Floats]] = []
    for state in _states(trial, problem, seed, min(periods, problem.periods)):
        known.append((state, _check_state(trial, state)))
    for state, orders in reversed(known):
        if not np.array_equal(_orders(trial, state), orders):
            raise ConformanceError(
                f"{PURE}: the state of period {state.period} must get the same orders when it is met again",
                got="other orders, once states of other periods had been seen",
                mend="keep nothing from one call to the next; all that a policy may know is in the state",
            )


def _states(trial: _Trial, problem: Problem, seed: int, periods: int) -> Iterator[State]:
    """States [BATCH] of a run of the policy, of a run with random orders, and at the end of the horizon."""
    shown = {0, 1, 3, 7, 15, periods - 1}
    scenarios = sample(problem.network, periods=periods, replications=BATCH, seed=seed)
    rng = np.random.default_rng(seed)
    for own in (True, False):
        state = initial_state(problem.network, BATCH)
        for t in range(periods):
            if t in shown and (own or t):
                yield state
            orders = _orders(trial, state) if own else random_orders(problem, rng)
            state, _ = step(state, orders, scenarios.draw(t))
        yield replace(state, period=problem.periods - 1)


def random_orders(problem: Problem, rng: np.random.Generator, batch: int = BATCH) -> Floats:
    """Orders [batch, E] up to the largest of the environment's, a third of them 0."""
    orders = rng.random((batch, len(problem.network.links))) * Codec(problem.network).order_limit
    orders *= rng.random(orders.shape) > 1 / 3
    return np.rint(orders) if problem.network.whole_units else orders


def _check_state(trial: _Trial, state: State) -> Floats:
    """The orders of a state, after all that can be checked on it."""
    before = _copy(state)
    raw = _call(trial.policy, state)
    orders = _valid(trial, raw, state)
    _must_be_unchanged(before, state)
    if not np.array_equal(_orders(trial, state), orders):
        raise ConformanceError(
            f"{PURE}: the same state must get the same orders twice",
            got=f"other orders in the second of two calls in period {state.period}",
            mend="draw no random numbers, and keep no counters, in a policy",
        )
    _check_common_past(trial, state)
    _check_parts(trial, state, orders)
    if not np.array_equal(np.asarray(raw), orders):
        raise ConformanceError(
            "the orders that were returned must not change afterwards",
            got="an array that a later call wrote into",
            mend="return a new array from every call, not a buffer or a part of the state",
        )
    return orders


def _check_common_past(trial: _Trial, state: State) -> None:
    """Rows with one past and as many futures: equal orders, or the policy looks ahead or at the row's place."""
    for row in (0, BATCH - 1):
        orders = _orders(trial, rows_of(state, [row] * BATCH))
        if not close(orders, orders[:1], trial.tolerance).all():
            raise ConformanceError(
                "scenarios that share the past must get the same orders: a policy must not look ahead",
                got=f"different orders for {BATCH} copies of one state in period {state.period}",
                mend="use the state alone; not the place of a row in the batch, and nothing sampled from scenarios",
            )


def _check_parts(trial: _Trial, state: State, orders: Floats) -> None:
    """Batches of one and two must get what their rows got in the whole batch."""
    parts = [[row] for row in range(BATCH)] + [[row, row - 1] for row in range(1, BATCH, 2)]
    for rows in parts:
        if not close(_orders(trial, rows_of(state, rows)), orders[rows], trial.tolerance).all():
            raise ConformanceError(
                f"a batch of {len(rows)} must get the orders that its rows get in a batch of {BATCH}",
                got=f"different orders for row {rows[0]} in period {state.period}",
                mend="let no row depend on the others: reduce over links or nodes, never over the first axis. "
                "If only the last digits of a matrix product differ, pass tolerance=1e-6",
            )


def rows_of(state: State, rows: Sequence[int]) -> State:
    """Some of the replications of a state, as a state."""
    parts: dict[str, Any] = {name: getattr(state, name)[list(rows)] for name in STOCKS}
    return replace(state, **parts)


def _orders(trial: _Trial, state: State) -> Floats:
    return _valid(trial, _call(trial.policy, state), state)


def _call(policy: Policy, state: State) -> Any:
    try:
        with warnings.catch_warnings():  # a learned policy may say that random orders led out of its training
            warnings.simplefilter("ignore")
            return policy(state)
    except Exception as error:
        raise ConformanceError(
            "a policy must return orders for every state",
            got=f"{told(error)} in period {state.period}, with a batch of {state.batch}",
            mend="see the traceback above; `state.batch` is B, and every array of a state has B rows",
        ) from error


def _valid(trial: _Trial, raw: Any, state: State) -> Floats:
    """The orders as numbers [B, E] of their own, if the network can take them."""
    links = state.network.links
    shape = (state.batch, len(links))
    if getattr(raw, "shape", None) != shape:
        raise ConformanceError(
            f"orders must be an array of shape {shape}: replications by links",
            got=f"{type(raw).__name__} of shape {tuple(getattr(raw, 'shape', ()))} in period {state.period}",
            mend="return one row a replication and one column a link, such as np.full((state.batch, links), 4.0)",
        )
    array = np.asarray(raw)
    if array.dtype.kind not in "fiu":
        raise ConformanceError(
            "orders must be real numbers, float64 if in doubt",
            got=f"dtype {array.dtype}",
            mend="return orders.astype(np.float64)",
        )
    orders = array.astype(np.float64)
    for rule, good, mend in _rules(trial, state, orders):
        if not good.all():
            row, e = (int(i) for i in np.argwhere(~good)[0])
            place = f"link {links[e].label}, period {state.period}, row {row} of {state.batch}"
            raise ConformanceError(f"orders must be {rule}", got=f"{orders[row, e]:g} on {place}", mend=mend)
    return orders


def _rules(trial: _Trial, state: State, orders: Floats) -> Iterator[tuple[str, NDArray[np.bool_], str]]:
    yield "finite", np.isfinite(orders), "look for a division by zero, or an infinite level"
    yield "at least 0", orders >= 0, "cut orders with np.maximum(orders, 0.0)"
    yield "small enough for every unit to count (2^53)", orders <= MOST, "order quantities of the size of the demand"
    if state.arrays.whole_units:
        yield "whole on a network of whole units", orders == np.floor(orders), "round orders with np.rint(orders)"
    if trial.strict:
        rule = "within min_order, lot_size and max_order of their link"
        yield rule, close(orders, accepted_orders(state.arrays, orders), 1e-9), "order what accepted_orders makes of it"


def _copy(state: State) -> dict[str, np.ndarray]:
    """All that a policy could write into."""
    tables = {field.name: getattr(state.arrays, field.name) for field in fields(state.arrays)}
    held = {**{name: getattr(state, name) for name in STOCKS}, **{f"arrays.{name}": x for name, x in tables.items()}}
    return {name: array.copy() for name, array in held.items() if isinstance(array, np.ndarray)}


def _must_be_unchanged(before: dict[str, np.ndarray], state: State) -> None:
    for name, array in _copy(state).items():
        if not np.array_equal(before[name], array):
            raise ConformanceError(
                "a policy must not change the state that it is given",
                got=f"state.{name} changed in period {state.period}",
                mend="work on a copy, and write `x = x + y` instead of `x += y` for arrays of the state",
            )
