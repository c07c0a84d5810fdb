"""A panel of item-locations: CPU seconds of the selection of their policies, and how good it is in hindsight.

    python benchmarks/policy_selection.py [--items N] [--json]

The panel has equally many items of the four demand classes; backorders and lost sales, lead times from 0 to 8 days,
fixed costs of 0 and more, daily review. Hindsight is the best of all rules that apply to an item, whatever its class:
each is tuned from a grid of starts, on more scenarios and of another seed than the selection had. Both are then priced
on scenarios that neither has seen. Where customers wait, the exact cost of what was selected is also held against the
optimum over all policies.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from echelon.baselines.min_max_exact import min_max_cost, optimal_min_max
from echelon.baselines.policy_selection import ItemPolicy, policy_selection
from echelon.baselines.policy_selection_items import CLASSES, DemandClass, Item, items_of
from echelon.baselines.policy_selection_rules import RULES, Found, Parameters, Rule
from echelon.baselines.policy_selection_search import Panel, policy_of, tune_items
from echelon.baselines.reorder_lots_exact import reorder_lots_cost
from echelon.baselines.reorder_model import SingleLocation
from echelon.envs.metrics import measure
from echelon.envs.network import Network
from echelon.envs.policy import OrderUpTo
from echelon.envs.problem import Problem
from echelon.envs.scenarios import sample
from echelon.envs.simulate import simulate

Floats = NDArray[np.float64]

TUNING, JUDGING, PART = 32, 96, 16
"""Replications on which hindsight is tuned, on which both are judged, and that are simulated together."""
GRID = ((0.0, -1.0, 1.0), (1.0, 0.5, 2.0))
"""Starts of the hindsight: the first parameter moved by so many steps, the second times this."""
CLOSE = 0.02
"""Share of the cost in hindsight by which a selected rule may be dearer."""


def demand_of(pattern: DemandClass, rng: np.random.Generator) -> dict[str, Any]:
    """A demand law that is clearly of a class."""
    if pattern == "smooth":
        return {"law": "poisson", "mean": float(rng.uniform(3, 20))}
    if pattern == "intermittent":
        size = {"law": "poisson", "mean": float(rng.uniform(0.2, 4))}
        return {"law": "intermittent", "interval": float(rng.uniform(1.6, 8)), "size": size, "shift": 1}
    mean, intervals = float(rng.uniform(4, 12)), (1.0, 1.2) if pattern == "erratic" else (1.6, 8)
    size = {"law": "negative_binomial", "mean": mean, "sd": float(rng.uniform(1.1, 1.5)) * mean}
    return {"law": "intermittent", "interval": float(rng.uniform(*intervals)), "size": size, "shift": 1}


def panel(items: int, *, seed: int = 0) -> tuple[Problem, tuple[DemandClass, ...]]:
    """Items with the classes that they were drawn from; stock and pipelines start with a day's mean demand."""
    rng = np.random.default_rng(seed)
    patterns = tuple(CLASSES[n % 4] for n in range(items))
    nodes: list[dict[str, Any]] = []
    links: list[dict[str, Any]] = []
    for n, pattern in enumerate(patterns):
        lost = bool(rng.random() < 0.5)
        costs = {"holding_cost": 1.0, "stockout_cost": float(rng.choice([4, 9, 19])) * (1 + 3 * lost)}
        rule = "lost_sales" if lost else "backorder"
        nodes.append({"name": f"item {n}", "demand": demand_of(pattern, rng), "stockout_rule": rule, **costs})
        fixed_cost = float(rng.choice([0, 0, 10, 40]))
        links.append({"target": f"item {n}", "lead_time": int(rng.integers(0, 9)), "fixed_cost": fixed_cost})
    network = Network.from_dict({"name": "panel", "nodes": nodes, "links": links}).with_running_stock()
    return Problem("panel", network), patterns


def hard(rule: Rule) -> Rule:
    """The rule with a grid of starts around each of its own."""

    def starts(item: Item, found: Found) -> list[Parameters]:
        first, own = rule.steps(item), rule.starts(item, found)
        if not first:
            return own
        return [
            (start[0] + move * first[0], *(x * factor for x in start[1:]))
            for start in own
            for move, factor in product(*GRID)
        ]

    return replace(rule, starts=starts)


def hindsight(problem: Problem, *, seed: int) -> list[OrderUpTo]:
    """One policy for each rule, tuned hard; items that a rule does not apply to have their base-stock level."""
    network = problem.network
    scenarios = sample(network, periods=problem.periods, replications=TUNING, seed=seed, stream="hindsight")
    items = items_of(problem, scenarios)
    rules = [[hard(rule) for rule in RULES if rule.applies(item)] for item in items]
    found = tune_items(Panel(problem, scenarios), items, rules)
    base = next(rule for rule in RULES if rule.name == "base_stock")
    return [
        policy_of(
            problem, [(rule if rule.name in x else base).levels(x.get(rule.name, x["base_stock"])) for x in found]
        )
        for rule in RULES
    ]


def judged(problem: Problem, policies: list[OrderUpTo], *, seed: int) -> Floats:
    """[P, N] the mean cost of each item under each policy."""
    total = np.zeros((len(policies), len(problem.network.nodes)))
    for first in range(0, JUDGING, PART):
        part = range(first, first + PART)
        scenarios = sample(problem.network, periods=problem.periods, replications=part, seed=seed, stream="judging")
        for policy, row in zip(policies, total, strict=True):
            row += measure(simulate(problem, policy, scenarios), ["cost"])["cost"].values.sum(axis=0) / JUDGING
    return total


def above_optimum(problem: Problem, items: Sequence[ItemPolicy]) -> Floats:
    """By what share the exact cost of each selected rule exceeds that of the best of all policies, with backorders.

    The models are those of `min_max_exact` and `reorder_lots_exact`, which share nothing with the simulation.
    """
    found = []
    for item, node, link in zip(items, problem.network.nodes, problem.network.links, strict=True):
        if node.demand is None or node.stockout_rule != "backorder":
            continue
        system = SingleLocation(
            demand=node.demand,
            holding_cost=node.holding_cost,
            stockout_cost=node.stockout_cost,
            fixed_cost=link.fixed_cost,
            lead_time=link.mean_lead_time,
        )
        levels = item.parameters
        if "lot" in levels:
            cost = reorder_lots_cost(levels["reorder"], levels["lot"], **system)
        else:
            cost = min_max_cost(levels.get("reorder", levels["up_to"]), levels["up_to"], **system)
        found.append(cost / optimal_min_max(**system).cost - 1)
    return np.array(found)


def figures(items: int, *, seed: int = 0) -> dict[str, Any]:
    """Every figure by its key."""
    policy_selection(panel(8)[0])  # compiles
    problem, patterns = panel(items, seed=seed)
    started = time.process_time()
    best = policy_selection(problem, seed=seed)
    selected = time.process_time()
    rivals = hindsight(problem, seed=seed + 1)
    costs = judged(problem, [best.policy, *rivals], seed=seed + 2)
    regret = costs[0] / costs[1:].min(axis=0) - 1
    one_rule = dict(zip((rule.name for rule in RULES), costs[1:].sum(axis=1) / costs[0].sum() - 1, strict=True))
    excess = above_optimum(problem, best.items)
    right = [item.pattern == pattern for item, pattern in zip(best.items, patterns, strict=True)]
    return {
        "machine": platform.machine(),
        "policy_selection_items": items,
        "policy_selection_cpu_seconds": selected - started,
        "policy_selection_share_within_2_percent": float((regret <= CLOSE).mean()),
        "policy_selection_mean_regret_percent": 100 * float(regret.mean()),
        "policy_selection_largest_regret_percent": 100 * float(regret.max()),
        "policy_selection_regret_of_total_cost_percent": 100 * float(costs[0].sum() / costs[1:].min(axis=0).sum() - 1),
        "policy_selection_share_within_by_class": {
            pattern: float((regret[[p == pattern for p in patterns]] <= CLOSE).mean()) for pattern in CLASSES[:4]
        },
        "policy_selection_one_tuned_rule_for_all_percent_dearer": {
            name: 100 * float(share) for name, share in one_rule.items() if name in ("one_for_one", "base_stock")
        },
        "policy_selection_backordered_items": len(excess),
        "policy_selection_share_within_2_percent_of_the_optimum": float((excess <= CLOSE).mean()),
        "policy_selection_mean_percent_above_the_optimum": 100 * float(excess.mean()),
        "policy_selection_largest_percent_above_the_optimum": 100 * float(excess.max()),
        "policy_selection_classes_right": float(np.mean(right)),
        "policy_selection_rules": dict(Counter(item.rule for item in best.items)),
        "hindsight_cpu_seconds": time.process_time() - selected,
    }


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=1_000)
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    found = figures(arguments.items)
    if arguments.json:
        print(json.dumps(found, indent=1))
        return
    for name, value in found.items():
        print(f"{name:60} {value}")


if __name__ == "__main__":
    main()
