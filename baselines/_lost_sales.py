"""The compiled sweeps over the states of one location with lost sales.

The layout of the table of states is told in `lost_sales`: the states of one pipeline lie side by side
in the order of their stock on hand, and pipelines are numbered by their digits.
"""

from __future__ import annotations

from typing import Any

from echelon.envs._compiled import compiled, inlined, vectorised


@compiled
def lay_out(limits: Any, digits: int, start: Any) -> None:
    """Fill `start` with where the states of each pipeline begin; a pipeline beyond the limits has none.

    The last digit of a pipeline is the order that arrives last. Entry k of `limits` bounds the units
    that arrive in k periods or later, the order of this period included.
    """
    base = limits[digits + 1] + 1
    size = 0
    for pipeline in range(len(start) - 1):
        start[pipeline] = size
        rest, units, fits = pipeline, 0, True
        for k in range(digits, 0, -1):
            units += rest % base
            rest //= base
            fits = fits and units <= limits[k + 1]
        if fits:
            size += limits[0] - units + 1
    start[len(start) - 1] = size


@vectorised
def expect(row: Any, pmf: Any, above: Any, expected: Any) -> None:
    """Fill `expected` [m] with E[row(max(x - D, 0))] for x = 0, 1, ..., m - 1, where row has m values or more.

    `above[x]` is the probability of a demand of x or more.
    """
    for x in range(len(expected)):
        expected[x] = above[x] * row[0]
    for d in range(min(len(pmf), len(expected) - 1)):
        chance = pmf[d]
        for x in range(d + 1, len(expected)):
            expected[x] += chance * row[x - d]


@vectorised
def keep_least(expected: Any, order: int, least: Any, orders: Any) -> None:
    """Where `expected` is below `least`, put it in its place and the order beside it."""
    for x in range(len(expected)):
        better = expected[x] < least[x]
        least[x] = expected[x] if better else least[x]
        orders[x] = order if better else orders[x]


@compiled
def improve(
    values: Any, start: Any, limits: Any, heads: int, pmf: Any, above: Any, cost: Any,
    new: Any, policy: Any, expected: Any, least: Any, orders: Any,
) -> tuple[float, float]:  # fmt: skip
    """One sweep over all states that minimises over the order; fills `new` and `policy`, returns the span.

    `heads` is the number of pipelines that differ in all but their first digit; `cost[x]` is the cost of
    a period that begins with x on hand. The last three arrays are working memory, [limits[0] + 1].
    """
    lowest, highest = float("inf"), float("-inf")
    base = limits[len(limits) - 1] + 1
    for pipeline in range(len(start) - 1):
        first, count = start[pipeline], start[pipeline + 1] - start[pipeline]
        if count == 0:
            continue
        units = limits[0] + 1 - count
        for x in range(count):
            least[x] = float("inf")
        for order in range(min(base, limits[1] - units + 1, count)):
            arriving, following = divmod(pipeline * base + order, heads)
            at = start[following]
            if start[following + 1] == at:
                break
            many = count - order
            expect(values[at + arriving : at + arriving + many], pmf, above, expected[:many])
            keep_least(expected[:many], order, least[:many], orders[:many])
        for x in range(count):
            value = cost[x] + least[x]
            new[first + x] = value
            policy[first + x] = orders[x]
            change = value - values[first + x]
            lowest, highest = min(lowest, change), max(highest, change)
    return lowest, highest


@inlined
def expected_after(values: Any, at: int, x: int, pmf: Any, above: Any) -> Any:
    """E[values(at + max(x - D, 0))], in four sums that the processor can add at the same time."""
    a, b, c, e = above[x] * values[at], 0.0, 0.0, 0.0
    terms = min(len(pmf), x)
    top = at + x
    for d in range(0, terms - 3, 4):
        a += pmf[d] * values[top - d]
        b += pmf[d + 1] * values[top - d - 1]
        c += pmf[d + 2] * values[top - d - 2]
        e += pmf[d + 3] * values[top - d - 3]
    for d in range(terms - terms % 4, terms):
        a += pmf[d] * values[top - d]
    return (a + b) + (c + e)


@compiled
def follow(values: Any, target: Any, on_hand: Any, pmf: Any, above: Any, cost: Any, new: Any) -> tuple[float, float]:
    """One sweep over the states of the chain of a policy; fills `new`, returns the span.

    From state i the next states are `target[i]`, ..., `target[i] + on_hand[i]`, by the units that demand
    leaves; `cost[i]` is the cost of the period.
    """
    lowest, highest = float("inf"), float("-inf")
    for i in range(len(values)):
        value = cost[i] + expected_after(values, target[i], on_hand[i], pmf, above)
        new[i] = value
        change = value - values[i]
        lowest, highest = min(lowest, change), max(highest, change)
    return lowest, highest
