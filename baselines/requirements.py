"""What a method assumes of a problem, and the error that names the rule a problem breaks."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from echelon.envs.demand import Normal
from echelon.envs.errors import MethodError, nearest
from echelon.envs.network_rules import beyond_classic
from echelon.envs.problem import Problem

LEAST_NORMAL_RATIO = 4.0
"""Mean over standard deviation from which the truncation of normal demand at 0 does not matter (P < 4e-5)."""


def require(method: str, broken: Mapping[str, bool]) -> None:
    """Raise `MethodError` "METHOD needs RULE" for the first rule that is broken."""
    for rule, is_broken in broken.items():
        if is_broken:
            raise MethodError(f"{method} needs {rule}")


def require_classic(problem: Problem, method: str, *, allowed: Collection[str] = ()) -> None:
    """Raise `MethodError` if the network has a feature beyond the classic model, see `beyond_classic`.

    `allowed` names the fields that the method takes into account, such as "max_order".
    """
    beyond = [found for found in beyond_classic(problem.network) if found.split(" ", 1)[0] not in allowed]
    require(method, {f"a network without {found}": True for found in beyond[:1]})


def require_average_cost(problem: Problem, method: str) -> None:
    """Raise `MethodError` if the objective is discounted."""
    require(method, {"an average-cost objective (discount 1)": problem.discount < 1})


def require_single_location(problem: Problem, method: str, *, links: int = 1) -> None:
    """Raise `MethodError` unless the network is one node with one link into it, or as many as `links`."""
    nodes, sources = len(problem.network.nodes), len(problem.network.links)
    require(
        method,
        {
            f"a single location (got {nodes} nodes)": nodes > 1,
            f"a single supply link (got {sources})": sources > links,
        },
    )


def require_plain_normal(problem: Problem, method: str) -> None:
    """Raise `MethodError` if normal demand is so variable that its truncation at 0 matters."""
    wild = any(isinstance(law, Normal) and law.mean < LEAST_NORMAL_RATIO * law.sd for law in problem.network.laws)
    require(method, {"normal demand that is hardly ever negative": wild})


def require_steady_demand(problem: Problem, method: str) -> None:
    """Raise `MethodError` unless the periods of every demand are independent and have one law."""
    laws = problem.network.laws
    require(
        method,
        {
            "demand with the same law in every period": any(not law.stationary for law in laws),
            "demand that is independent from period to period": any(not law.independent for law in laws),
        },
    )


def require_average_backorder_cost(
    problem: Problem, method: str, *, fixed_cost: bool = False, allowed: Collection[str] = ()
) -> None:
    """Raise `MethodError` unless backorder theory holds: average cost, backorders, plain demand, a classic network.

    Fixed costs per order are refused unless the method takes them into account (`fixed_cost`), and so are
    the features of a network beyond the classic model but those `allowed`.
    """
    network = problem.network
    require_average_cost(problem, method)
    require(
        method,
        {
            "backorders at every outlet": any(outlet.stockout_rule != "backorder" for outlet in network.outlets),
            "no fixed cost per order": not fixed_cost and any(link.fixed_cost for link in network.links),
            "unfilled internal orders to wait": any(link.unfilled != "backorder" for link in network.links),
        },
    )
    require_plain_normal(problem, method)
    require_classic(problem, method, allowed=allowed)


def require_positive(key: str, value: float) -> None:
    """Raise `MethodError` unless the number is finite and greater than 0."""
    if not 0 < value < float("inf"):
        raise MethodError(f"{key} must be a finite number greater than 0, got {value:g}")


def require_at_least_zero(key: str, value: float) -> None:
    """Raise `MethodError` unless the number is finite and at least 0."""
    if not 0 <= value < float("inf"):
        raise MethodError(f"{key} must be a finite number of at least 0, got {value:g}")


def require_choice(key: str, value: str, choices: tuple[str, ...]) -> None:
    """Raise `MethodError` unless the value is one of the choices."""
    if value not in choices:
        raise MethodError(f"{key} must be {' or '.join(choices)}, got {value!r}{nearest(value, choices)}")


def require_memory(method: str, states: int, bytes_per_state: int, limit: float, *, advice: str) -> None:
    """Raise `MethodError` if a table of states needs more than `limit` bytes; `advice` says what would fit."""
    needed = states * bytes_per_state
    if needed > limit:
        raise MethodError(
            f"{method} needs {needed / 2**30:.3g} GiB for {states:,} states, the limit is {limit / 2**30:.3g} GiB "
            f"(memory_limit, in bytes): {advice}"
        )
