"""Which rule each item-location should follow: chosen by demand class, and by cost on scenarios held out.

Companies sort items by how they sell and give each sort its rule (Syntetos, Boylan and Croston, On the
categorization of demand patterns, *Journal of the Operational Research Society* 56, 2005). Here the class only
says which rules an item is offered. Every one of them is tuned, on the scenarios of the stream "tuning"; the
choice falls on those of "selection", which no parameter was fitted to; and what is reported is measured on those
of "certification", which had no part in the choice. All candidates of an item meet the same scenarios, so
differences are paired.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from scipy.special import stdtr, stdtrit

from echelon.baselines.plan import Plan
from echelon.baselines.policy_selection_items import (
    CLASSES,
    DemandClass,
    Floats,
    Item,
    items_of,
    require_item_locations,
    with_units,
)
from echelon.baselines.policy_selection_rules import LEVELS, OFFERED, RULE_NAMES, RULES, Parameters, Rule, levels_of
from echelon.baselines.policy_selection_search import Panel, policy_of, stream_costs, tune_items
from echelon.baselines.requirements import require_at_least_zero, require_choice
from echelon.baselines.search import tuning_scenarios
from echelon.envs.errors import MethodError
from echelon.envs.policy import OrderUpTo
from echelon.envs.problem import Problem
from echelon.envs.scenarios import Scenarios

if TYPE_CHECKING:
    import pandas as pd

Candidates = Sequence[str] | Mapping[DemandClass, Sequence[str]]

INDIFFERENCE = 1e-3
"""Share of the cost that a rule with more parameters must save to be chosen over a simpler one."""
WITHIN = 0.02
"""Share of a rival's cost by which the chosen rule may be dearer, in the statement of confidence."""
LEVEL = 0.95
"""Confidence of the intervals."""
CITATION = (
    "A. A. Syntetos, J. E. Boylan and J. D. Croston, On the categorization of demand patterns, "
    "Journal of the Operational Research Society 56(5), 2005"
)


@dataclass(frozen=True)
class ItemPolicy:
    """The rule of one item-location, and what it was chosen from. Costs are per period (discounted: in total)."""

    item: str
    pattern: DemandClass
    adi: float
    cv2: float
    rule: str
    parameters: Mapping[str, float]
    """Those of `reorder`, `up_to`, `cap` and `lot` that define the rule, units; a constant order is a cap."""
    cost: float
    """On the scenarios of the certification."""
    half_width: float
    """Half width of the 95 % confidence interval of the cost."""
    confidence: float
    """A lower bound of the probability that no candidate is cheaper by more than `within` of its own cost."""
    costs: Mapping[str, float]
    """Cost of every candidate with its best parameters, on the same scenarios."""

    @property
    def margin(self) -> float:
        """Money by which the cheapest of the other candidates is dearer than the chosen rule; 0 without others."""
        others = [cost for rule, cost in self.costs.items() if rule != self.rule]
        return min(others) - self.cost if others else 0.0


@dataclass(frozen=True, eq=False)
class PolicySelection:
    """The rules of all items of a problem, as one policy."""

    items: tuple[ItemPolicy, ...]
    """In the order of the nodes."""
    policy: OrderUpTo

    @property
    def cost(self) -> float:
        """Of all items together."""
        return sum(item.cost for item in self.items)

    def table(self) -> pd.DataFrame:
        """One row for each item; parameters and costs of rules that it does not have are missing (NA)."""
        import pandas as pd

        rows = []
        for item in self.items:
            row = asdict(item) | {"margin": item.margin}
            parameters, costs = row.pop("parameters"), row.pop("costs")
            rows.append(row | parameters | {f"cost_{rule}": cost for rule, cost in costs.items()})
        table = pd.DataFrame(rows)
        return table.astype(dict.fromkeys(table.select_dtypes("number"), "Float64"))


def policy_selection(
    problem: Problem,
    *,
    seed: int = 0,
    scenarios: Scenarios | None = None,
    candidates: Candidates | None = None,
    judged_on: Problem | None = None,
    within: float = WITHIN,
    indifference: float = INDIFFERENCE,
) -> PolicySelection:
    """Tune the rules that each item is offered, and choose one of them.

    `candidates` names the rules for all items, or for the classes of demand; left out, those of `OFFERED`. A rule
    is skipped where it makes no sense: a constant order and a cap without lost sales, where a base-stock level is
    better or as good; (s, S) and lots without a cost or a least size of an order, where they are base stock. Of
    rules whose costs differ by less than the share `indifference`, the simplest is chosen.

    `scenarios` are those of the tuning. Where demand is a history, all three streams resample it, and the
    intervals say nothing of how well the history foretells; for that, choose on the first part of it and judge
    on the last: ``first, last = split_history(problem)``, ``policy_selection(first, judged_on=last)``. An item that
    never sells gets a base-stock level of 0. Raises `MethodError` unless the nodes are independent item-locations.
    """
    require_item_locations(problem, "policy_selection")
    require_at_least_zero("within", within)
    require_at_least_zero("indifference", indifference)
    table = _offers(candidates)
    _require_same_places(problem, judged_on or problem)
    problem, judge = with_units(problem), with_units(judged_on or problem)
    tuning = scenarios or tuning_scenarios(problem, seed=seed)
    items = items_of(problem, tuning)
    offered = [_applicable(item, table[item.pattern]) for item in items]
    tuned = tune_items(Panel(problem, tuning), items, offered)
    count = max(tuning.replications, 2)
    held_out = stream_costs(problem, tuned, seed=seed, stream="selection", replications=count)
    chosen = [_cheapest(costs, indifference) for costs in held_out]
    certified = stream_costs(judge, tuned, seed=seed, stream="certification", replications=2 * count)
    rows = tuple(
        _item_policy(item, found, rule, costs, within)
        for item, found, rule, costs in zip(items, tuned, chosen, certified, strict=True)
    )
    policy = policy_of(problem, [levels_of(rule, found[rule]) for rule, found in zip(chosen, tuned, strict=True)])
    return PolicySelection(rows, policy)


def policy_selection_plan(
    problem: Problem, *, seed: int = 0, scenarios: Scenarios | None = None, candidates: Candidates | None = None
) -> Plan:
    """The policy of `policy_selection`, with each item's class, rule and parameters in the order of the nodes."""
    best = policy_selection(problem, seed=seed, scenarios=scenarios, candidates=candidates)
    parameters = {
        "rules": [item.rule for item in best.items],
        "patterns": [item.pattern for item in best.items],
        "levels": [dict(item.parameters) for item in best.items],
    }
    return Plan(best.policy, parameters, citation=CITATION)


def _offers(candidates: Candidates | None) -> Mapping[DemandClass, Sequence[str]]:
    """The names of the rules by class; raises `MethodError` for names that are none, and where there are none."""
    if candidates is None:
        return OFFERED
    if isinstance(candidates, str):
        raise MethodError(f"candidates must be a list of rules, got {candidates!r}")
    if not isinstance(candidates, Mapping):
        candidates = dict.fromkeys(CLASSES, tuple(candidates))
    for pattern, names in candidates.items():
        require_choice("candidates", pattern, CLASSES)
        if not names:
            raise MethodError(f"candidates must name at least one rule for {pattern} demand, got {names!r}")
        for name in names:
            require_choice("candidates", name, RULE_NAMES)
    return {**OFFERED, **candidates}


def _applicable(item: Item, names: Sequence[str]) -> list[Rule]:
    rules = [rule for rule in RULES if rule.name in names and rule.applies(item)]
    if not rules:
        raise MethodError(
            f"candidates must name a rule that applies to {item.name}, got {', '.join(names)}: it has "
            f"{'lost sales' if item.loses else 'backorders'} and {'a' if item.batched else 'no'} cost or least size "
            "of an order"
        )
    return rules


def _require_same_places(problem: Problem, judge: Problem) -> None:
    ours, theirs = ([node.name for node in one.network.nodes] for one in (problem, judge))
    if ours != theirs or problem.network.links != judge.network.links:
        raise MethodError("judged_on must have the nodes and links of the problem, in the same order")


def _cheapest(costs: Mapping[str, Floats], indifference: float) -> str:
    """The simplest of the rules whose mean cost is as good as the least; rules come with the simplest first."""
    means = {rule: float(values.mean()) for rule, values in costs.items()}
    least = min(means.values())
    return next(rule for rule, mean in means.items() if mean <= least + indifference * abs(least))


def _item_policy(
    item: Item, found: Mapping[str, Parameters], rule: str, costs: Mapping[str, Floats], within: float
) -> ItemPolicy:
    levels, shown = dict(zip(LEVELS, levels_of(rule, found[rule]), strict=True)), RULES[RULE_NAMES.index(rule)].shown
    own = costs[rule]
    error = own.std(ddof=1) / len(own) ** 0.5
    return ItemPolicy(
        item=item.name,
        pattern=item.pattern,
        adi=item.adi,
        cv2=item.cv2,
        rule=rule,
        parameters={name: levels[name] for name in shown},
        cost=float(own.mean()),
        half_width=float(stdtrit(len(own) - 1, (1 + LEVEL) / 2) * error),
        confidence=_confidence(own, [values for name, values in costs.items() if name != rule], within),
        costs={name: float(values.mean()) for name, values in costs.items()},
    )


def _confidence(own: Floats, others: Sequence[Floats], within: float) -> float:
    """One minus the sum over the rivals of the chance, by Student's t, that the rival is cheaper by more.

    The sum bounds the chance that any of them is (Bonferroni). The paired differences are of fresh scenarios, to
    which the choice owes nothing.
    """
    doubt = 0.0
    for other in others:
        excess = own - other - within * abs(other.mean())
        error = float(excess.std(ddof=1)) / len(own) ** 0.5
        mean = float(excess.mean())
        doubt += float(stdtr(len(own) - 1, mean / error)) if error > 0 else float(mean > 0)
    return max(0.0, 1.0 - doubt)
