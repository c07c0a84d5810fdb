"""What every figure shows, in words: an alternative text with its data, and a caption that says what to look for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from echelon.experiments.by_node import Group, bullwhip, bullwhip_end, drawn_policies, stock
from echelon.experiments.findings import KIND_NAMES, in_percent, plain, reference_name, replications, with_half_width
from echelon.experiments.frames import cost_end, difference_end, training_range
from echelon.experiments.frontier import spent_end, undominated, with_service
from echelon.experiments.observe import ECHELON, PLANE
from echelon.experiments.observed import Cell
from echelon.experiments.policy_map import Drawn, by_position, planes, usual
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


def plane_words(result: Result, link: str) -> Words:
    """The words for the maps of orders on a link by stock and what is on order."""
    drawn = planes(result)[link]
    means = "; ".join(f"{policy.name} {_usual_order(maps.cells)}" for policy, maps in drawn)
    return Words(
        f"Orders on {link} by stock and pipeline",
        "Dark is a large order. Only states that the policy met on the evaluation scenarios are coloured; nothing else "
        "is held fixed: in which periods the units on order arrive, and all else that the policy may look at, is "
        f"averaged over.{_left_out(result, drawn)}",
        f"Heat maps of the mean order on {link} by stock and units on order. Mean order: {means} units.",
    )


def _cost(result: Result) -> Words:
    target = f" The dashed line is {reference_name(result)}." if result.reference is not None else ""
    means = "; ".join(f"{p.name} {with_half_width(p.mean, p.half_width)}" for p in result.policies)
    return Words(
        "Mean cost",
        f"Further left is cheaper.{target} Bars are {_level(result)} confidence intervals over "
        f"{replications(result)}; a bar may hide behind its marker.{_off_the_scale(cost_end(result))}",
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
        f"{policy.name} {KIND_NAMES[kind]}, {100 * policy.costs[kind] / paid:.0f} %"
        for policy in result.policies
        if (paid := sum(cost for cost in policy.costs.values() if cost > 0)) > 0
        for kind in [max(policy.costs, key=lambda kind: policy.costs[kind])]
    )
    return Words(
        "What the cost consists of",
        "Where a policy pays: too much stock shows as holding, too little as stockout. Shares are of its own costs.",
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
    above = f" Costs above the frame are not shown, up to {_short(highest)}." if highest > top else ""
    return Words(
        "Learning",
        f"Cost on the validation scenarios, with {_level(result)} bands. Lowest: {'; '.join(lowest)}. "
        f"The straight lines come from the evaluation and the reference.{above}",
        f"Training curves. Lowest validation cost: {'; '.join(lowest)}.",
    )


def _frontier(result: Result) -> Words:
    points = "; ".join(
        f"{p.name} fill rate {in_percent(p.served)}, cost {with_half_width(p.spent.mean, p.spent.half_width)}"
        for p in with_service(result)
        if p.served and p.spent
    )
    best = ", ".join(policy.name for policy in undominated(result))
    return Words(
        "What service costs",
        "Further down is cheaper, further right serves better. Costs are those of stock and orders: what the model "
        f"charges for stockouts is left out. On the dotted steps, for no other policy serves more for less: {best}. "
        f"Bars are {_level(result)} intervals both ways.{_off_the_scale(spent_end(result))}",
        f"Scatter plot of cost but for stockouts against fill rate: {points}.",
    )


def _orders(result: Result) -> Words:
    maps = by_position(result)
    first = next(iter(maps.values()))
    echelon = first[0][1].view == ECHELON
    position = "stock at the node and below it" if echelon else "stock"
    whole = sum(view.view != PLANE for view in first[0][0].maps)
    partly = f" {len(maps)} of {whole} links are drawn." if len(maps) < whole else ""
    means = "; ".join(f"{policy.name} {_usual_order(usual(found).cells)}" for policy, found in first)
    return Words(
        "Orders by inventory position",
        f"What is ordered at a position ({position}, less backorders, plus what is on order): the mean as a line, 80 % "
        "of the orders shaded, larger marks where a policy is more often. Nothing is held fixed: how the position is "
        f"made up is averaged over the states that the policy met. A base stock falls by one unit per unit.{partly}"
        f"{_left_out(result, first)}",
        f"Lines of the mean order by inventory position. Mean order on {next(iter(maps))}: {means} units.",
    )


def _stock(result: Result) -> Words:
    groups = stock(result)
    return Words(
        "Where stock stands",
        "Mean stock on hand at the end of a period, with intervals over the scenarios that were watched. Further right "
        f"is more stock, and where a unit is held decides what holding it costs.{_only(result)}",
        f"Dot plot of mean stock on hand. {_in_words(groups)}.",
    )


def _bullwhip(result: Result) -> Words:
    return Words(
        "Bullwhip",
        "Variance of what a node orders over the variance of the customers' demand that it serves, over periods and "
        "scenarios. Right of the line at 1, orders vary more than demand; left of it, the policy smooths."
        f"{_off_the_scale(bullwhip_end(result))}{_only(result)}",
        f"Dot plot of the bullwhip. {_in_words(bullwhip(result))}.",
    )


def in_words(group: Group) -> str:
    """What is said of every policy at a node."""
    return ", ".join(f"{name} {with_half_width(*value)}" for name, value in group.values.items())


def _in_words(groups: list[Group]) -> str:
    return "; ".join(f"{group.name}: {in_words(group)}" for group in groups)


def _only(result: Result) -> str:
    known = sum(bool(policy.flows) for policy in result.policies)
    drawn = len(drawn_policies(result))
    return f" {drawn} of {known} policies are drawn." if drawn < known else ""


def _left_out(result: Result, drawn: list[Drawn]) -> str:
    known = sum(bool(policy.maps) for policy in result.policies)
    return f" {len(drawn)} of {known} policies are drawn." if len(drawn) < known else ""


def _usual_order(cells: Sequence[Cell]) -> str:
    visits = sum(cell.visits for cell in cells)
    return plain(sum(cell.order * cell.visits for cell in cells) / visits, 2)


def _off_the_scale(end: float | None) -> str:
    return "" if end is None else " An arrow at the edge stands for a policy beyond the scale."


def _short(cost: float) -> str:
    return with_half_width(cost, None)


def _level(result: Result) -> str:
    return f"{100 * result.confidence:g} %"


_WRITERS: dict[str, Callable[[Result], Words]] = {
    "cost": _cost,
    "differences": _differences,
    "frontier": _frontier,
    "breakdown": _breakdown,
    "training": _training,
    "orders": _orders,
    "stock": _stock,
    "bullwhip": _bullwhip,
}
