"""What every figure shows, in words: an alternative text with its data, and a caption that says what to look for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from echelon.experiments.findings import KIND_NAMES, plain, reference_name, with_half_width
from echelon.experiments.frames import cost_end, difference_end, training_range
from echelon.experiments.run_folder import PolicyResult, Result
from echelon.experiments.sample_path import LONGEST, ending, path_nodes


@dataclass(frozen=True)
class Words:
    """The words that go with one figure."""

    heading: str
    caption: str
    alternative: str


def words(result: Result, figure: str) -> Words:
    """The words for the figure of that name, as `plots.figures` names them."""
    return _WRITERS[figure](result)


def path_words(result: Result, policy: PolicyResult) -> Words:
    """The words for the sample path of a policy."""
    traces = path_nodes(result, policy)
    periods = traces[0].period
    outlets = [ending(trace) for trace in policy.trace if any(trace.demand)]
    short = sum(any(units) for units in zip(*(trace.backorders for trace in outlets), strict=True))
    waited = f" Customers were waiting at the end of {short} of them." if short else ""
    drawn = f" {len(traces)} of {len(policy.trace)} nodes are drawn, the most upstream and the most downstream."
    partly = drawn if len(traces) < len(policy.trace) else ""
    cut = f"the last {LONGEST} periods" if len(periods) == LONGEST else f"{len(periods)} periods"
    below = ", backorders (below 0)" if any(any(trace.backorders) for trace in traces) else ""
    means = ", ".join(f"{trace.node} {plain(sum(trace.on_hand) / len(periods), 1)}" for trace in traces)
    return Words(
        f"A sample path of {policy.name}",
        f"Stock (shaded){below}, orders (strokes) and customers' demand (dots) over {cut} "
        f"of one scenario.{waited}{partly} Every policy meets the same demand and is drawn to the same scale.",
        f"Stock, orders and demand of {policy.name} from period {periods[0]} to {periods[-1]}. "
        f"Mean stock on hand: {means} units.",
    )


def _cost(result: Result) -> Words:
    target = f" The dashed line is {reference_name(result)}." if result.reference is not None else ""
    means = "; ".join(f"{p.name} {with_half_width(p.mean, p.half_width)}" for p in result.policies)
    return Words(
        "Mean cost",
        f"Further left is cheaper.{target} Bars are {_level(result)} confidence intervals over "
        f"{result.replications:,} replications; a bar may hide behind its marker.{_off_the_scale(cost_end(result))}",
        f"Dot plot of mean cost: {means}.{target}",
    )


def _differences(result: Result) -> Words:
    others = [policy for policy in result.policies if policy is not result.best and policy.difference is not None]
    amounts = "; ".join(
        f"{policy.name} {with_half_width(policy.difference or 0.0, policy.difference_half_width)}, {policy.verdict}"
        for policy in others
    )
    return Words(
        "Paired differences",
        f"Cost above that of {result.best.name} on the same scenarios. Hollow: could not be told from it. "
        f"The bars hold together at {_level(result)} (Bonferroni).{_off_the_scale(difference_end(result))}",
        f"Paired differences of mean cost to {result.best.name}: {amounts}.",
    )


def _breakdown(result: Result) -> Words:
    largest = "; ".join(
        f"{policy.name} {KIND_NAMES[kind]}, {100 * policy.costs[kind] / sum(policy.costs.values()):.0f} %"
        for policy in result.policies
        if sum(policy.costs.values()) > 0
        for kind in [max(policy.costs, key=lambda kind: policy.costs[kind])]
    )
    return Words(
        "What the cost consists of",
        "Where a policy pays: too much stock shows as holding, too little as stockout. Shares are of its own cost.",
        f"Stacked bars of cost by kind. The largest part: {largest}.",
    )


def _training(result: Result) -> Words:
    lowest = []
    for policy in result.policies:
        if policy.training:
            cost, steps = min(zip(policy.training.cost, policy.training.steps, strict=True))
            total = plain(policy.training.steps[-1], 0)
            lowest.append(f"{policy.name} {_short(cost)} after {plain(steps, 0)} of {total} steps")
    highest = max(cost for policy in result.policies if policy.training for cost in policy.training.cost)
    top = training_range(result)[1]
    above = f" The first costs, up to {_short(highest)}, are above the frame." if highest > top else ""
    return Words(
        "Learning",
        f"Cost on the validation scenarios, with {_level(result)} bands. Lowest: {'; '.join(lowest)}. "
        f"The straight lines come from the evaluation and the reference.{above}",
        f"Training curves. Lowest validation cost: {'; '.join(lowest)}.",
    )


def _off_the_scale(end: float | None) -> str:
    return "" if end is None else " An arrow at the edge stands for a policy beyond the scale."


def _short(cost: float) -> str:
    return with_half_width(cost, None)


def _level(result: Result) -> str:
    return f"{100 * result.confidence:g} %"


_WRITERS: dict[str, Callable[[Result], Words]] = {
    "cost": _cost,
    "differences": _differences,
    "breakdown": _breakdown,
    "training": _training,
}
