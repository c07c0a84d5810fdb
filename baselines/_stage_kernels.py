"""The compiled loops of the guaranteed-service model."""

from __future__ import annotations

import numpy as np

from echelon.envs._compiled import compiled


@compiled
def pool_over_paths(first, supplier, units, demand, bound, power, paths, waiting, found, pooled):  # type: ignore[no-untyped-def] # pragma: no cover
    """Add (n_d b_d)^p to `pooled` [N] at every stage upstream of each demand d, where n_d counts units over all paths.

    `first` [N+1], `supplier` and `units` are the suppliers of each stage in rows; `demand` [D] and `bound`
    [D] the stages with customers and b_d. `paths`, `waiting` and `found` [N] are scratch, the first two zeros
    at the start and at the end.
    """
    for d in range(demand.size):
        for counting in (True, False):  # first the arcs out of each stage upstream, then the paths over them
            count = 1
            found[0] = demand[d]
            paths[demand[d]] = 1.0
            k = 0
            while k < count:
                j = found[k]
                for e in range(first[j], first[j + 1]):
                    i = supplier[e]
                    if counting:
                        waiting[i] += 1
                        ready = waiting[i] == 1
                    else:
                        waiting[i] -= 1
                        paths[i] += paths[j] * units[e]
                        ready = waiting[i] == 0
                    if ready:
                        found[count] = i
                        count += 1
                if not counting:
                    pooled[j] += (paths[j] * bound[d]) ** power
                    paths[j] = 0.0
                k += 1


@compiled
def _convolve_any(cost, value, least, choice):  # type: ignore[no-untyped-def] # pragma: no cover
    """``least[u] = min over v <= u of value[v] + cost[u - v]``, with the v that attains it in `choice`, or -1."""
    for u in range(least.size):
        best, at = np.inf, -1
        for v in range(min(u + 1, value.size)):
            total = value[v] + cost[u - v]
            if total < best:
                best, at = total, v
        least[u], choice[u] = best, at


@compiled
def _overtakes(cost, value, young, old, lowest, highest):  # type: ignore[no-untyped-def] # pragma: no cover
    """The first u in [lowest, highest] at which `young` costs more than `old`; highest + 1 if there is none."""
    highest += 1
    while lowest < highest:
        u = (lowest + highest) // 2
        if value[young] + cost[u - young] > value[old] + cost[u - old]:
            highest = u
        else:
            lowest = u + 1
    return lowest


@compiled
def _convolve_concave(cost, value, least, choice, stack, until):  # type: ignore[no-untyped-def] # pragma: no cover
    """`_convolve_any` for a concave `cost`, in O(n log n) steps.

    All candidates v follow the same curve, each from its own start u = v, and it is steepest at the
    start. So of two candidates the younger one costs ever more than the older one, and once it has
    been overtaken it stays so. `stack` holds the candidates that may still be best, the youngest and
    present best on top, and `until` the u at which each is overtaken by the one below.
    """
    top = -1
    last = least.size - 1
    for u in range(least.size):
        while top > 0 and until[top] <= u:
            top -= 1
        enters = u < value.size and value[u] < np.inf
        if enters and (top < 0 or value[u] + cost[0] < value[stack[top]] + cost[u - stack[top]]):
            while top >= 0:
                end = _overtakes(cost, value, u, stack[top], u, last)
                if top == 0 or end < until[top]:
                    break
                top -= 1
            top += 1
            stack[top] = u
            until[top] = end if top > 0 else last + 1
        if top < 0:
            least[u], choice[u] = np.inf, -1
        else:
            least[u], choice[u] = value[stack[top]] + cost[u - stack[top]], stack[top]


@compiled
def offer(cost, concave, inbound, outbound, price, quote, wait, scratch, stacks):  # type: ignore[no-untyped-def] # pragma: no cover
    """What a stage costs if its outbound service time is at most s, and all stages that hang on it with it.

    `cost` [M+1] by net replenishment time, `inbound` and `outbound` are the costs of those stages by the
    inbound and outbound service time of this one. For each s: the least cost `price`, the outbound
    service time `quote` that attains it, and the best inbound service time `wait` for an outbound one
    of s. `scratch` [2, M+1] and `stacks` [3, M+1] are scratch.
    """
    most, longest = inbound.size - 1, cost.size - 1
    value, least = scratch[0, : most + 1], scratch[1, : longest + 1]
    choice = stacks[0, : longest + 1]
    for v in range(most + 1):
        value[v] = inbound[most - v]
    if concave:
        _convolve_concave(cost, value, least, choice, stacks[1], stacks[2])
    else:
        _convolve_any(cost, value, least, choice)
    best, at = np.inf, -1
    for s in range(longest + 1):
        wait[s] = most - choice[longest - s] if choice[longest - s] >= 0 else -1
        total = least[longest - s] + outbound[s]
        if total < best:
            best, at = total, s
        price[s], quote[s] = best, at


@compiled
def need(cost, concave, inbound, outbound, price, bear, quote, scratch, stacks):  # type: ignore[no-untyped-def] # pragma: no cover
    """The mirror image of `offer`: the least cost if the inbound service time is at least s.

    For each s: that `price`, the inbound service time `bear` that attains it, and the best outbound
    service time `quote` for an inbound one of s.
    """
    most, longest = inbound.size - 1, cost.size - 1
    time = longest - most
    least, choice = scratch[1, : longest + 1], stacks[0, : longest + 1]
    if concave:
        _convolve_concave(cost, outbound, least, choice, stacks[1], stacks[2])
    else:
        _convolve_any(cost, outbound, least, choice)
    best, at = np.inf, -1
    for s in range(most, -1, -1):
        quote[s] = choice[s + time]
        total = least[s + time] + inbound[s]
        if total < best:
            best, at = total, s
        price[s], bear[s] = best, at
