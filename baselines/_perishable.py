"""Compiled sweeps over all states of a store of perishable stock.

A state is what the store has and what is coming, by remaining life: digit i of its number, to the base
`size` = largest order + 1, counts the units that can be used in i + 1 periods; a unit that arrives in j
periods has j periods more. The first digit is the most significant. An order is one digit more at the
end; after a period the first digit is dropped, so that the state that follows has as many digits again,
and the states that follow the orders 0, 1, 2, ... lie side by side.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from echelon.envs._compiled import compiled


class Tables(NamedTuple):
    """What the sweeps know of a store."""

    size: int
    """Orders are 0, ..., size - 1."""
    life: int
    """Periods that a unit can be sold, from its arrival."""
    lead_time: int
    fifo: bool
    weights: Any
    """[life + lead_time] the weight of each digit of a state with its order."""
    chance: Any
    """[K] the discounted probability of k units of demand."""
    at_least: Any
    """[K] the discounted probability of k units or more."""
    stock_cost: Any
    """[I] expected holding and stockout cost of a period that begins with i units in stock."""
    scrap_cost: Any
    """[I] scrap_cost * E[(i - demand)+]"""
    order_cost: Any
    """[size]"""


@compiled
def improve(tables, values, new, policy, following, totals):  # type: ignore[no-untyped-def]
    """One step of value iteration; returns the least and the greatest change of value."""
    low, high = np.inf, -np.inf
    for state in range(len(values)):
        first = state * tables.size
        if tables.lead_time > 0:
            cost = look_ahead(tables, values, first, following, totals)
        else:
            cost = 0.0
            for order in range(tables.size):
                totals[order] = tables.order_cost[order] + expected(tables, values, first + order, following)
        best = 0
        for order in range(1, tables.size):
            if totals[order] < totals[best]:
                best = order
        change = cost + totals[best] - values[state]
        new[state], policy[state] = values[state] + change, best
        low, high = min(low, change), max(high, change)
    return low, high


@compiled
def evaluate(tables, values, new, policy, following):  # type: ignore[no-untyped-def]
    """The same for the orders of `policy`."""
    low, high = np.inf, -np.inf
    for state in range(len(values)):
        order = policy[state]
        decided = state * tables.size + order
        change = tables.order_cost[order] + expected(tables, values, decided, following) - values[state]
        new[state] = values[state] + change
        low, high = min(low, change), max(high, change)
    return low, high


@compiled
def look_ahead(tables, values, first, following, totals):  # type: ignore[no-untyped-def]
    """Cost of the period but for the order; `totals` [size] is what the order costs, now and later.

    Only where orders arrive after the period: what is sold in it then does not depend on them.
    """
    cost, outcomes, in_stock = sell(tables, first, following)
    for order in range(tables.size):
        totals[order] = tables.order_cost[order]
    for k in range(outcomes):
        probability = tables.at_least[k] if k == in_stock else tables.chance[k]
        successor = following[k]
        for order in range(tables.size):
            totals[order] += probability * values[successor + order]
    return cost


@compiled
def expected(tables, values, decided, following):  # type: ignore[no-untyped-def]
    """Cost of the period but for the order, and expected value after it, from a state with its order."""
    total, outcomes, in_stock = sell(tables, decided, following)
    for k in range(outcomes):
        probability = tables.at_least[k] if k == in_stock else tables.chance[k]
        total += probability * values[following[k]]
    return total


@compiled
def sell(tables, decided, following):  # type: ignore[no-untyped-def]
    """What a demand of k units leaves, `following[k]`, for all k below the number of outcomes that is returned.

    Also returns the expected holding, stockout and scrap cost, and the units in stock: the last outcome
    is the demand of that many units or more, unless no demand is as large.
    """
    life, weights, largest = tables.life, tables.weights, len(tables.chance)
    successor = decided % weights[0]
    following[0] = successor
    in_stock = 0
    for i in range(life):
        digit = i if tables.fifo else life - 1 - i
        units = decided // weights[digit] % tables.size
        step = weights[digit] if digit > 0 else 0
        for k in range(in_stock + 1, min(in_stock + units, largest - 1) + 1):
            successor -= step
            following[k] = successor
        in_stock += units
    oldest = decided // weights[0]
    scrap = (
        tables.scrap_cost[oldest] if tables.fifo else tables.scrap_cost[in_stock] - tables.scrap_cost[in_stock - oldest]
    )
    return tables.stock_cost[in_stock] + scrap, min(in_stock + 1, largest), in_stock
