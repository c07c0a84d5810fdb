"""Families of parametric rules as grids of numbers: what a search over policies moves in.

A rule has a *point* and a *span* on every link: s and Q = S - s for (s, S), r and Q for (r, nQ), and S with a span of 0
for base stock. Point and span are what a search needs (the span sets how often is ordered, the point how well is
served, and any pair with a span of at least 0 is a rule); people and configs name the rule's own numbers, Min and
Max. The point of an echelon is counted without those of the links below, so that it does not move with them.
Numbers are whole multiples of a unit, which is 1 on a network of whole units.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from echelon.baselines.requirements import require, require_choice
from echelon.baselines.search import lead_time_moments
from echelon.envs.arrays import network_arrays
from echelon.envs.batched import cascade_sum, gather_sum
from echelon.envs.codec import Codec
from echelon.envs.errors import MethodError, nearest
from echelon.envs.network import Link, Network
from echelon.envs.policy import OrderUpTo, Position, order_up_to, reorder_lots
from echelon.envs.problem import Problem

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Rule = Literal["min_max", "base_stock", "reorder_lots"]
Bounds = Mapping[str, Sequence[float]] | Sequence[Sequence[float]]
Values = Mapping[str, float] | Sequence[float]

NUMBERS: Mapping[str, tuple[str, ...]] = {
    "min_max": ("Min", "Max"),
    "base_stock": ("Level",),
    "reorder_lots": ("Reorder", "Lot"),
}
"""What the numbers of a rule are called."""
PARTS = 256
"""Units, on a network whose units are not whole, in the demand that a level covers."""
WIDEST = 8.0
"""Bounds that are not given lie so many covered demands and economic lots away."""


@dataclass(frozen=True, eq=False)
class RuleSpace:
    """The rules of one family on a network. Parameters are arrays [2, E]: points, then spans."""

    network: Network
    rule: Rule
    position: Position
    review_period: int
    unit: Floats
    """[E] what parameters are multiples of."""
    lowest: Floats
    """[P, E] of the rule's own numbers, P for each link."""
    highest: Floats
    """[P, E]"""
    given: NDArray[np.bool_]
    """[P, E] whether the bounds were asked for; the others lie where nothing sensible is."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the rule's own numbers, link by link: "Min dc", "Max dc"."""
        return tuple(f"{number} {place}" for place in places(self.network) for number in NUMBERS[self.rule])

    @property
    def least_span(self) -> Floats:
        """[E]"""
        return self.unit if self.rule == "reorder_lots" else np.zeros_like(self.unit)

    def numbers(self, parameters: Floats) -> Floats:
        """[P, E] the rule's own numbers. Points of echelons contain those of the links below."""
        points, spans = parameters
        if self.position == "echelon":
            points = cascade_sum(points[None], network_arrays(self.network))[0]
        if self.rule == "base_stock":
            return np.array([points])
        return np.array([points, spans if self.rule == "reorder_lots" else points + spans])

    def parameters(self, numbers: Floats) -> Floats:
        """[2, E] of the rule's own numbers [P, E]."""
        points, last = numbers[0], numbers[-1]
        spans = {"base_stock": 0 * last, "reorder_lots": last, "min_max": last - points}[self.rule]
        if self.position == "echelon":
            arrays = network_arrays(self.network)
            points = points - gather_sum(points[None], arrays.out_pools)[0, arrays.target] * arrays.quantity
        return np.array([points, spans])

    def clip(self, parameters: Floats, links: Ints | None = None) -> Floats:
        """[2, e] the nearest parameters of the grid within the bounds; tops that are too high go down.

        Those of some links, which must contain all links below them, or of all.
        """
        if links is not None:
            whole = np.zeros((2, len(self.unit)))
            whole[:, links] = parameters
            return self.clip(whole)[:, links]
        numbers = self.numbers(self.unit * np.rint(parameters / self.unit))
        low, high = self.lowest, self.highest
        if self.rule == "min_max":
            points = np.clip(numbers[0], low[0], np.minimum(high[0], high[1]))
            tops = np.clip(points + np.maximum(numbers[1] - numbers[0], 0.0), np.maximum(low[1], points), high[1])
            return self.parameters(np.array([points, tops]))
        least = low if self.rule == "base_stock" else np.maximum(low, [np.full_like(self.unit, -np.inf), self.unit])
        return self.parameters(np.clip(numbers, least, high))

    def policy(self, parameters: Floats) -> OrderUpTo:
        """The rule with these parameters."""
        points, *last = (row.tolist() for row in self.numbers(parameters))
        position, review = self.position, self.review_period
        if self.rule == "reorder_lots":
            return reorder_lots(self.network, points, last[0], position=position, review_period=review)
        tops = last[0] if last else points
        return order_up_to(self.network, tops, reorder=points, position=position, review_period=review)

    def named(self, parameters: Floats) -> dict[str, float]:
        """The rule's own numbers by their labels."""
        return dict(zip(self.labels, self.numbers(parameters).T.ravel().tolist(), strict=True))

    def encode(self, values: Values, *, key: str = "start") -> Floats:
        """[2, E] of the rule's own numbers, given by label or in the order of the labels. Raises `MethodError`."""
        numbers = _in_order(self.labels, values, key)
        for label, value in zip(self.labels, numbers, strict=True):
            _require_number(self.network, f"{key}: {label}", value)
        parameters = self.parameters(_table(numbers, len(self.network.links)))
        for e, place in enumerate(places(self.network)):
            if self.rule == "min_max" and parameters[1, e] < 0:
                low, top = (values[e] for values in _table(numbers, len(self.network.links)))
                raise MethodError(f"{key}: Max {place} must be at least Min, got {top:g} below {low:g}")
            if self.rule == "reorder_lots" and parameters[1, e] <= 0:
                raise MethodError(f"{key}: Lot {place} must be greater than 0, got {parameters[1, e]:g}")
        return parameters

    def at_bound(self, parameters: Floats, link: int) -> str:
        """The label and value of a number of the link that cannot grow, or nothing."""
        numbers = self.numbers(parameters)
        for row, name in enumerate(NUMBERS[self.rule]):
            if self.given[row, link] and numbers[row, link] >= self.highest[row, link]:
                return f"{name} {places(self.network)[link]} is at its upper bound {self.highest[row, link]:g}"
        return ""


def rule_space(
    problem: Problem,
    *,
    rule: Rule = "min_max",
    position: Position = "installation",
    review_period: int = 1,
    bounds: Bounds | None = None,
) -> RuleSpace:
    """The rules of a family on a problem's network.

    `bounds` has a lowest and a highest value for each of the rule's own numbers, by label or in the order of the
    labels; numbers left out are free. Raises `MethodError`.
    """
    network = problem.network
    require_choice("rule", rule, get_args(Rule))
    require_choice("position", position, get_args(Position))
    if isinstance(review_period, bool) or not isinstance(review_period, int) or review_period < 1:
        raise MethodError(f"review_period must be a whole number of at least 1, got {review_period!r}")
    require("simulation_optimization", {"a network without lateral links": any(x.lateral for x in network.links)})
    lowest, highest = _widest(problem, rule)
    if position == "echelon":
        arrays = network_arrays(network)
        lowest, highest = cascade_sum(lowest, arrays), cascade_sum(highest, arrays)
    unit = np.ones(len(network.links)) if network.whole_units else np.maximum(highest[-1], 1e-6) / (WIDEST * PARTS)
    space = RuleSpace(
        network, rule, position, review_period, unit, lowest, highest, np.zeros(lowest.shape, dtype=np.bool_)
    )
    return space if bounds is None else _bounded(space, bounds)


def places(network: Network) -> tuple[str, ...]:
    """[E] what the numbers of a link are about: its target, or the link itself where it is one of several."""
    targets = [link.target for link in network.links]
    return tuple(_place(link, targets.count(link.target)) for link in network.links)


def _place(link: Link, sources: int) -> str:
    return link.target if sources == 1 else link.label


def _widest(problem: Problem, rule: Rule) -> tuple[Floats, Floats]:
    """Bounds beyond which no sensible parameter lies, of either number of each link."""
    codec = Codec(problem.network)
    mean, spread = lead_time_moments(problem)
    lot = np.maximum(codec.economic_lot, codec.need)
    high = np.ceil(WIDEST * (mean + 4 * spread + 2 * lot)) + 1
    low = -np.ceil(2 * lot + mean)
    if rule == "base_stock":
        return np.array([low]), np.array([high])
    return np.array([low, low if rule == "min_max" else 0 * low]), np.array([high, high])


def _bounded(space: RuleSpace, bounds: Bounds) -> RuleSpace:
    """The space within given bounds."""
    low, high = (values.T.ravel().tolist() for values in (space.lowest, space.highest))
    given = [False] * len(low)
    for position, (label, pair) in enumerate(zip(space.labels, _pairs(space.labels, bounds), strict=True)):
        if pair is None:
            continue
        if isinstance(pair, str) or not isinstance(pair, Sequence) or len(pair) != 2:
            raise MethodError(f"bounds: {label} must have a lowest and a highest value, got {pair!r}")
        for value in pair:
            _require_number(space.network, f"bounds: {label}", value)
        if pair[0] > pair[1]:
            raise MethodError(f"bounds: {label} must not cross, got lowest {pair[0]:g} above highest {pair[1]:g}")
        low[position], high[position], given[position] = float(pair[0]), float(pair[1]), True
    links = len(space.network.links)
    lowest, highest = _table(low, links), _table(high, links)
    if space.rule == "min_max":
        for place, least, most in zip(places(space.network), lowest[0], highest[1], strict=True):
            if least > most:
                raise MethodError(f"bounds: Max {place} must reach up to Min {place}, got {most:g} below {least:g}")
    if space.rule == "reorder_lots" and (highest[1] < space.unit).any():
        raise MethodError(f"bounds: Lot must be allowed to be {space.unit.min():g} or more, got {highest[1].min():g}")
    return replace(space, lowest=lowest, highest=highest, given=_table(given, links) > 0)


def _pairs(labels: tuple[str, ...], bounds: Bounds) -> list[Any]:
    """The bounds in the order of the labels, None where there are none."""
    if isinstance(bounds, Mapping):
        _require_known(labels, bounds, "bounds")
        return [bounds.get(label) for label in labels]
    return _in_order(labels, bounds, "bounds")


def _in_order(labels: tuple[str, ...], values: Any, key: str) -> list[Any]:
    """One value for each label."""
    if isinstance(values, Mapping):
        _require_known(labels, values, key)
        missing = [label for label in labels if label not in values]
        if missing:
            raise MethodError(f"{key} must have a value for every number, none for {missing[0]!r}")
        return [values[label] for label in labels]
    if isinstance(values, str) or not isinstance(values, Sequence | np.ndarray) or len(values) != len(labels):
        count = len(values) if isinstance(values, Sequence | np.ndarray) and not isinstance(values, str) else values
        raise MethodError(f"{key} must have {len(labels)} values, one for each of {', '.join(labels)} (got {count})")
    return list(values)


def _require_known(labels: tuple[str, ...], values: Mapping[str, Any], key: str) -> None:
    for label in values:
        if label not in labels:
            raise MethodError(f"{key}: the rule has no number {label!r}{nearest(label, labels)}")


def _require_number(network: Network, where: str, value: Any) -> None:
    number = isinstance(value, int | float | np.number) and not isinstance(value, bool) and np.isfinite(value)
    if not number or (network.whole_units and value != np.floor(value)):
        kind = "a whole number" if network.whole_units else "a finite number"
        raise MethodError(f"{where} must be {kind}, got {value!r}")


def _table(values: Sequence[float], links: int) -> Floats:
    """[P, E] of values link by link."""
    return np.asarray(values, dtype=np.float64).reshape(links, -1).T.copy()
