"""Whether a problem is one: a sound network, randomness that can be repeated, and a reference that can be true."""

from __future__ import annotations

import tempfile
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from echelon._conformance import ConformanceError, close, told
from echelon._conformance_policy import random_orders
from echelon.baselines.base_stock import base_stock
from echelon.baselines.reference import reference_of
from echelon.envs.errors import EchelonError
from echelon.envs.network import Network
from echelon.envs.problem import Problem, Reference
from echelon.envs.scenarios import Scenarios, sample
from echelon.envs.simulate import Backend, Outcome, simulate, simulate_stream

Floats = NDArray[np.float64]

REPLICATIONS = 6
ROUNDING = 1e-9
"""Share by which two sums of the same numbers may differ."""
RARE = 4.0
"""Standard errors beyond which a cost is below its reference: one in 30,000 by chance."""


def check_problem(
    problem: Problem, *, seed: int = 0, periods: int = 60, replications: int = 200, tolerance: float = 1e-3
) -> None:
    """Raise `ConformanceError` unless a problem is sound and its reference can be true.

    The network must be valid and come back equal from its file. Scenarios must be the same for the same seed,
    whatever the batch and the horizon, and differ between seeds; demand is finite, at least 0, and whole on a network
    of whole units. With random orders every unit of `periods` periods must be accounted for, costs must be those of
    the network's own prices times the quantities moved, and both backends must agree.

    A reference must be finite and have a source. A base-stock policy that is tuned on the problem must not cost less
    than it, in `replications` replications and beyond chance. Where an exact method or a proven bound is at hand in a
    second or two, an `optimal` reference must be that optimum, and no reference may be below what is proven.
    `tolerance` is the share by which published figures are rounded.
    """
    _check_network(problem)
    _check_scenarios(problem, seed, periods)
    _check_accounts(problem, seed, min(periods, problem.periods))
    if problem.reference is not None:
        _check_reference(problem, problem.reference, tolerance)
        _check_that_no_policy_beats_it(problem, problem.reference, seed, replications, tolerance)


def _check_network(problem: Problem) -> None:
    network = problem.network
    try:
        if Network.from_dict(network.model_dump(warnings=False)) != network:
            raise ValueError("another network than the one that was given")
    except (EchelonError, ValueError) as error:
        raise ConformanceError(
            "the network must be valid",
            got=told(error),
            mend="build it with Network.from_dict or Network(...); model_copy(update=...) does not validate",
        ) from error
    try:
        with tempfile.TemporaryDirectory() as folder:
            network.to_yaml(Path(folder) / "network.yaml")
            again = Network.from_yaml(Path(folder) / "network.yaml")
        if again != network:
            raise ValueError("another network came back")
    except Exception as error:
        raise ConformanceError(
            "the network must come back equal from the file that it writes",
            got=told(error),
            mend="use the demand laws of docs/networks.md: a class of your own has no name in a file",
        ) from error


def _check_scenarios(problem: Problem, seed: int, periods: int) -> None:
    def drawn(replications: int | range, *, seed: int = seed, periods: int = periods) -> Scenarios:
        return sample(problem.network, periods=periods, replications=replications, seed=seed)

    whole = drawn(REPLICATIONS)
    first = max(1, periods // 2)
    for what, one, other in (
        ("when they are drawn again", whole, drawn(REPLICATIONS)),
        ("in a batch of their own", whole[2:4], drawn(range(2, 4))),
        ("over a shorter horizon", _cut(whole, first), drawn(REPLICATIONS, periods=first)),
    ):
        if not _equal(one, other):
            raise ConformanceError(
                f"scenarios of one seed must be the same {what}",
                got="other numbers",
                mend="draw from the uniform numbers that `sample` hands over, never from a generator of your own",
            )
    if not _equal(whole[:1], whole[1:2]) and _equal(whole, drawn(REPLICATIONS, seed=seed + 1)):
        raise ConformanceError(
            "scenarios of two seeds must differ", got="the same numbers", mend="use the streams of the seed"
        )
    demand = whole.demand
    good = np.isfinite(demand) & (demand >= 0)
    if problem.network.whole_units:
        good &= demand == np.floor(demand)
    if not good.all():
        b, t, c = (int(i) for i in np.argwhere(~good)[0])
        raise ConformanceError(
            "demand must be finite, at least 0, and whole on a network of whole units",
            got=f"{demand[b, t, c]:g} at {problem.network.outlets[c].name!r} in period {t}",
            mend="set units: continuous on the network, or round the demand",
        )


def _arrays(scenarios: Scenarios) -> dict[str, np.ndarray]:
    found = {field.name: getattr(scenarios, field.name) for field in fields(Scenarios)}
    return {name: array for name, array in found.items() if array is not None}


def _cut(scenarios: Scenarios, periods: int) -> Scenarios:
    return Scenarios(**{name: array[:, :periods] for name, array in _arrays(scenarios).items()})


def _equal(one: Scenarios, other: Scenarios) -> bool:
    others = _arrays(other)
    return all(np.array_equal(array, others[name]) for name, array in _arrays(one).items())


def _check_accounts(problem: Problem, seed: int, periods: int) -> None:
    """Random orders on both backends: conservation, the sum of the ledger, and agreement."""
    short = replace(problem, periods=periods, warm_up=0, reference=None)
    scenarios = sample(problem.network, periods=periods, replications=REPLICATIONS, seed=seed)
    rng = np.random.default_rng(seed)
    orders = [random_orders(problem, rng, REPLICATIONS) for _ in range(periods)]

    def run(backend: Backend) -> Outcome:
        try:
            return simulate(
                short, lambda state: orders[state.period], scenarios, backend=backend, trace=True, check=True
            )
        except EchelonError as error:
            raise ConformanceError(
                "every unit of every period must be accounted for",
                got=told(error),
                mend="stock moves in envs/dynamics.py alone; a network that is built by hand must be valid",
            ) from error

    outcome, other = run("compiled"), run("specification")
    charged = _charged(short, outcome)
    if not (np.isfinite(outcome.cost).all() and close(charged, outcome.cost, ROUNDING).all()):
        raise ConformanceError(
            "the cost must be the sum over all kinds of a quantity times its price on the network",
            got=f"a cost of {outcome.cost[0]:g}, and quantities that cost {charged[0]:g}",
            mend="keep prices finite, and derive nothing from a network before it is complete",
        )
    if not close(outcome.cost, other.cost, ROUNDING).all():
        raise ConformanceError(
            "the compiled backend and the specification must charge the same",
            got=f"{outcome.cost[0]:g} and {other.cost[0]:g}",
            mend="this is a defect of Echelon: please report the network",
        )


def _charged(problem: Problem, outcome: Outcome) -> Floats:
    """[B] the objective, from the quantities of the trace and the prices as the network states them."""
    network, trace = problem.network, outcome.trace
    assert trace is not None
    nodes, links, outlets = network.nodes, network.links, network.outlets
    per_period = (
        trace.on_hand @ [node.holding_cost for node in nodes]
        + trace.in_process @ [node.processing_holding_cost for node in nodes]
        + trace.scrapped @ [node.scrap_cost for node in nodes]
        + trace.in_transit @ [link.transit_holding_cost for link in links]
        + trace.shipped @ [link.unit_cost for link in links]
        + (trace.ordered > 0) @ [link.fixed_cost for link in links]
        + (trace.backorders + trace.lost) @ [node.stockout_cost for node in outlets]
        - trace.delivered @ [node.price for node in outlets]
    )
    return np.asarray(per_period @ problem.weights)


def _check_reference(problem: Problem, reference: Reference, tolerance: float) -> None:
    if not np.isfinite(reference.value) or not reference.source.strip():
        raise ConformanceError(
            "a reference must be a finite cost with its source",
            got=f"{reference.value} from {reference.source!r}",
            mend="name the paper, the table and the row; without a figure leave the reference out",
        )
    known = reference_of(replace(problem, reference=None))
    if known is None:
        return
    slack = tolerance * max(abs(known.value), abs(reference.value))
    if known.kind == "optimal" and reference.kind != "best_known" and reference.value > known.value + slack:
        raise ConformanceError(
            f"a reference of kind {reference.kind} must not exceed the optimum",
            got=f"{reference.value:g}, and an exact method finds {known.value:g} ({known.source})",
            mend="compare the sequence of events, the costs and the horizon with those of the source",
        )
    if reference.kind != "lower_bound" and reference.value < known.value - slack:
        raise ConformanceError(
            f"a reference of kind {reference.kind} must not be below what is proven",
            got=f"{reference.value:g}, and the {known.kind.replace('_', ' ')} is {known.value:g} ({known.source})",
            mend="compare the sequence of events, the costs and the horizon with those of the source",
        )


def _check_that_no_policy_beats_it(
    problem: Problem, reference: Reference, seed: int, replications: int, tolerance: float
) -> None:
    policy = base_stock(problem, seed=seed).policy
    cost = simulate_stream(problem, policy, replications=replications, seed=seed).cost
    mean, error = float(cost.mean()), float(cost.std(ddof=1) / np.sqrt(len(cost)))
    if mean + RARE * error < reference.value - tolerance * abs(reference.value):
        raise ConformanceError(
            f"a reference of kind {reference.kind} must not be beaten by tuned base stock",
            got=f"{mean:g} ± {RARE * error:.2g}, below the reference {reference.value:g}",
            mend="compare costs, warm-up and sequence of events with the source; if it is only the best policy "
            "that was known, state the better figure",
        )
