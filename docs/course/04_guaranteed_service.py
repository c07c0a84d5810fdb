# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 4. Guaranteed service: where to put the safety stock
#
# **The question.** A bulldozer has 22 stages between raw steel and the customer. At which of them should safety stock
# lie? Clark and Scarf cannot help: this is no chain. The model that companies use makes one bold assumption, and then
# solves networks of thousands of stages in seconds.
#
# **You will learn**
#
# - service times, and the net replenishment time that stock must cover;
# - that a chain has an optimum at its extreme points, and a tree a quick dynamic programme;
# - what the **bound on demand** means, and what it does not;
# - to check the placement by simulation, against the true optimum.
#
# **You need** notebooks 1 and 3. About 75 minutes.

# %%
from itertools import product

import matplotlib.pyplot as plt
import numpy as np

from echelon.baselines import STAGE_EXAMPLES, StageNetwork, make_plan, stage_table, time_sensitivity, what_if
from echelon.baselines.guaranteed_service import cost_of_service_times, guaranteed_service
from echelon.baselines.service_analysis import service_time_sensitivity
from echelon.envs import make_problem, sample, simulate
from echelon.experiments.evaluate import estimate
from echelon.experiments.palette import GRID, POLICY_COLOURS

plt.rcParams |= {
    "figure.figsize": (8, 4),
    "figure.constrained_layout.use": True,
    "axes.prop_cycle": plt.cycler(color=POLICY_COLOURS),
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": GRID,
    "legend.frameon": False,
}

# %% [markdown]
# ## 1. The bold assumption
#
# A stage makes its item in $T$ periods once its components are there. It **quotes** a service time $S$ to its
# customers: what is ordered in period $t$ is delivered by $t + S$, *always*. It waits $SI$ for its own suppliers, who
# make the same kind of promise. So an order is needed after $S$ periods but replaced only after $SI + T$. Its stock
# must cover the demand of the **net replenishment time**
#
# $$\tau = SI + T - S \ge 0.$$
#
# "Always" cannot hold for unbounded demand. So demand is assumed to be **bounded**: over any $\tau$ periods it is at
# most
#
# $$D(\tau) = \mu\tau + z\sigma\sqrt{\tau}.$$
#
# Base stock is $D(\tau)$, safety stock $z\sigma\sqrt\tau$. What exceeds the bound is met by other means (overtime,
# express freight), whose cost is not in the model (Simpson 1958; Graves and Willems 2000).
#
# **Predict first.** With $z = 1.645$, in which share of windows of $\tau$ periods is normal demand above the bound?
# And in which share of *paths* of 30 periods that start now is the bound broken at least once, at any $\tau$ from 1 to
# 30?

# %%
rng = np.random.default_rng(5)
mu, sigma, z = 10.0, 3.0, 1.645
paths = rng.normal(mu, sigma, size=(20_000, 30)).cumsum(axis=1)
tau = np.arange(1, 31)
bound = mu * tau + z * sigma * np.sqrt(tau)
per_window = (paths > bound).mean(axis=0)
per_path = (paths > bound).any(axis=1).mean()
print(f"a window: {per_window.mean():.3f}; a path of 30 periods, ever: {per_path:.2f}")

figure, axis = plt.subplots()
axis.plot(tau, (paths[:60] - mu * tau).T, color="C7", linewidth=0.5, alpha=0.6)
axis.plot(tau, bound - mu * tau, color="C1", linewidth=2.5, label=r"bound $z\sigma\sqrt{\tau}$")
axis.axhline(0, color="black", linewidth=1)
axis.set(
    xlabel=r"window $\tau$, periods", ylabel="demand above its mean, units", title="60 windows of demand and the bound"
)
axis.legend(loc="upper left")
plt.show()
assert abs(per_window - 0.05).max() < 0.006
assert 0.15 < per_path < 0.35

# %% [markdown]
# 5 % of the windows of *each* length break it, and more than 15 % of the paths break it somewhere. Keep this in mind:
# **$z$ is not a fill rate**, and "guaranteed" is meant within the bound.
#
# ## 2. Four stages by brute force
#
# Snyder and Shen (2019), Example 6.5: stage 1 supplies 3, and 3 supplies 2 and 4. The cost is
# $\sum_j h_j z\sigma_j\sqrt{\tau_j}$, and the sum is **concave** in the service times: a square root for each stage.
#
# **Predict first.** A concave function on a polytope: where are its minima? What does that mean for a stage: half a
# stock, or all or nothing?

# %%
tree = STAGE_EXAMPLES["snyder_shen/example-6.5"]()
best = guaranteed_service(tree)
print(
    stage_table(best)[
        ["stage", "inbound_service_time", "outbound_service_time", "net_replenishment_time", "cost"]
    ].to_string()
)

times, holding = np.array([2, 1, 1, 1]), np.array([1, 3, 2, 3])
sigmas = np.array([np.sqrt(2), 1, np.sqrt(2), 1])  # stages 1 and 3 see two independent customers


def tree_cost(s1: int, s2: int, s3: int, s4: int) -> float:
    """Cost of outbound service times, infinite where a net replenishment time is negative."""
    inbound = np.array([1, s3, s1, s3])
    net = inbound + times - np.array([s1, s2, s3, s4])
    return float(holding @ (sigmas * np.sqrt(net))) if (net >= 0).all() else np.inf


quotes = list(product(range(4), [0], range(5), range(2)))  # stage 2 promises 0 periods, stage 4 at most 1
costs = [tree_cost(*quote) for quote in quotes]
print(f"best of {np.isfinite(costs).sum()} choices: {quotes[int(np.argmin(costs))]} at {min(costs):.4f}")
assert abs(min(costs) - best.cost) < 1e-9
assert round(best.cost, 3) == 8.278
assert tuple(best.outbound) == quotes[int(np.argmin(costs))] == (0, 0, 0, 1)

# %% [markdown]
# The least cost is 8.278. Extreme points are enough: in a chain without promises in the middle a stage either quotes 0
# and holds all it can need, or quotes $SI + T$ and holds nothing (Simpson 1958). Stock **decouples**: a few stages
# hold it, and the stretches between them run to order.
#
# For $N$ stages brute force needs a product over all quotes. On a **tree** a dynamic programme goes from the leaves
# inwards and solves it in no time (Graves and Willems 2000); Echelon solves any network by leaf elimination and a
# linear programme.
#
# ## 3. The bulldozer
#
# **Predict first.** Look at the table of the dearest stages. Holding cost grows towards the customer, who wants the
# bulldozer at once. Do you put stock at every stage, only at the end, or where? And what does the optimum save against
# each?

# %%
bulldozer = STAGE_EXAMPLES["bulldozer"]()
optimum = guaranteed_service(bulldozer)
everywhere = cost_of_service_times(bulldozer, {stage.name: 0 for stage in bulldozer.stages}).cost
forbidden = {stage.name: False for stage in bulldozer.stages if stage.name != "Final_Assembly"}
only_at_the_end = what_if(bulldozer, holds_stock=forbidden)
end = optimum.cost + only_at_the_end.extra_cost

figure, axis = plt.subplots(figsize=(8, 2.6))
bars = axis.barh(
    ["only at the end", "everywhere", "optimum"], [end, everywhere, optimum.cost], color=["C1", "C2", "C0"]
)
axis.bar_label(bars, fmt="{:,.0f}", padding=4)
axis.ticklabel_format(axis="x", style="plain")
axis.set(
    xlabel="holding cost of safety stock, per year",
    xlim=(0, 1_000_000),
    title="Where the bulldozer's safety stock lies",
)
axis.grid(visible=False, axis="y")
plt.show()
assert (round(optimum.cost), round(everywhere), round(end)) == (632_775, 842_092, 775_080)
assert optimum.gap < 1e-9
print("stock is held at", ", ".join(optimum.placement))

# %% [markdown]
# The optimum costs 632,775 a year (632,720 in Graves and Willems 2003, rounded), with a proof. Stock everywhere costs
# 842,092, only at the end 775,080. Six of 22 stages hold stock: cheap long-lead parts such as fans and pins, and the
# final assembly. The whole middle runs to order.

# %%
rows = stage_table(optimum).sort_values("holding_cost")
figure, axis = plt.subplots(figsize=(8, 5.2))
held = (rows["safety_stock"] > 0).to_numpy()
names = rows["stage"].str.replace("_", " ").to_numpy()
axis.barh(names, rows["net_replenishment_time"], color=np.where(held, "C1", "C0"))
axis.set(
    xlabel=r"net replenishment time $\tau$, days (0: makes to order)",
    title="The bulldozer, cheap items below, dear items above",
)
axis.grid(visible=False, axis="y")
plt.show()
assert held.sum() == len(optimum.placement) == 6

# %% [markdown]
# ## 4. Does the promise hold? Ask the simulator
#
# A serial system of four stages in which the last step adds most of the value. The plan places stock by the model and
# becomes installation base-stock levels in the simulator. **There, demand beyond the bound is backordered**, and
# nobody takes extraordinary measures.
#
# **Predict first.** The model is told a service level of 95 %. Which share of periods will really be without a
# stockout: less, equal, more?

# %%
problem = make_problem("echelon/Serial-v0", holding_cost=[0.1, 0.2, 0.3, 4.0])
scenarios = sample(problem.network, periods=problem.periods, replications=150, seed=1)
placed = make_plan("guaranteed_service", problem, service_level=0.95)
outcome = simulate(problem, placed.policy, scenarios)
print("placement", placed.parameters["placement"], "levels", placed.parameters["levels"])
print(f"periods without a stockout {outcome.alpha.mean():.3f}, fill rate {outcome.fill_rate.mean():.3f}")
assert placed.parameters["placement"] == ["stage_3", "stage_4"]
assert (round(outcome.alpha.mean(), 2), round(outcome.fill_rate.mean(), 2)) == (0.97, 0.99)

# %% [markdown]
# More: 0.97 of the periods, and 0.99 of the demand. The model sizes stage 4 for the worst case of stage 3, which is
# rarely there; levels are rounded up too.
#
# And what does it cost, against the true optimum? Here we know it: Clark and Scarf. We let the service level run,
# since nobody knows which one is right.

# %%
truth = make_plan("clark_scarf", problem)
optimal_cost = simulate(problem, truth.policy, scenarios).cost
targets = (0.70, 0.80, 0.85, 0.90, 0.925, 0.95, 0.975, 0.99)
above = {}
for target in targets:
    plan = make_plan("guaranteed_service", problem, service_level=target)
    cost = simulate(problem, plan.policy, scenarios).cost
    above[target] = estimate(100 * (cost - optimal_cost) / truth.model_cost)

figure, axis = plt.subplots()
means, widths = [above[t].mean for t in targets], [above[t].half_width for t in targets]
axis.errorbar(targets, means, widths, fmt="o-", capsize=3)
axis.axhline(0, color="C1", linestyle="--", label="Clark and Scarf: the optimum")
axis.set(
    xlabel="service level given to the model",
    ylabel="cost above the optimum, %",
    title="A good placement, if $z$ is tuned",
)
axis.legend()
plt.show()
least = min(targets, key=lambda target: above[target].mean)
print(
    f"best at {least}: {above[least].mean:.1f} % above the optimum;"
    f" at 0.95: {above[0.95].mean:.1f} %; at 0.99: {above[0.99].mean:.1f} %"
)
assert 0.5 < above[least].mean < 3
assert above[0.95].mean - above[0.95].half_width > 5
assert above[least].mean - above[least].half_width > 0  # even at the best level tried

# %% [markdown]
# With a well chosen $z$ the model's policy is within 3 % of the true optimum, with 95 % taken for granted more than 5
# % above. So use the model for the **placement**, where it is strong, and tune the levels by simulation
# (`make_plan("guaranteed_service", problem)` does so if no level is given).
#
# It can never be optimal: it wants every stage independent of the others, and the optimum lets stages be late and
# share the risk.
#
# **When it fails.** Lots and fixed costs, capacities, lost sales and autocorrelated demand are not in it. What the
# "other means" beyond the bound cost is not either: if express freight is dear, $z$ must be large.
#
# ## Exercises
#
# ### Exercise 1
# The tree `snyder_shen/figure-6.14` promises its customer 2 periods. What would promises of 5, 8 and 12 be worth? Use
# `service_time_sensitivity`. A customer who pays 1 less per period of waiting comes along: which promise do you
# choose?
#
# ### Exercise 2
# You may shorten one stage time of the bulldozer by a day. Which one, and what is it worth per year? Is it the longest
# one?
#
# ### Exercise 3
# Risk pooling. A warehouse ($T$ = 9, $h$ = 1) supplies 4 shops ($T$ = 1, $h$ = 1.2 each, $\sigma$ = 10 each,
# independent). Build the network with `StageNetwork.from_dict` and solve it. Then set `pooling` to 1, where the bounds
# of the shops add up. How do placement and cost change?
#
# ### Exercise 4
# Simpson's theorem: for the ten stages in a row of `snyder_shen/problem-6.8` try all $2^9$ all-or-nothing plans and
# compare with the solver.
#
# ## Sources
#
# - K. F. Simpson, In-process inventories, Operations Research 6(6), 1958.
# - S. C. Graves and S. P. Willems, Optimizing strategic safety stock placement in supply chains, M&SOM 2(1), 2000.
# - S. C. Graves and S. P. Willems, Supply chain design: safety stock placement and supply chain configuration,
#   Handbooks in OR & MS 11, 2003.
# - S. Humair and S. P. Willems, Optimizing strategic safety stock placement in general acyclic networks, Operations
#   Research 59(3), 2011.
# - L. V. Snyder and Z.-J. M. Shen, *Fundamentals of Supply Chain Theory*, 2nd ed., Wiley 2019, chapter 6.
# - In this project: [guaranteed service](../theory/guaranteed_service.md).
#
# ## Solutions
#
# ### Solution 1

# %%
figure_6_14 = STAGE_EXAMPLES["snyder_shen/figure-6.14"]()
waits = (2, 5, 8, 12)
promises = service_time_sensitivity(figure_6_14, {"10": list(waits)})
price = {wait: point.solution.cost for wait, point in zip(waits, promises, strict=True)}
print({wait: round(cost, 2) for wait, cost in price.items()})
assert [round(cost, 4) for cost in price.values()] == [18.8240, 12.4687, 3.2579, 0.2326]
assert min(price, key=lambda wait: price[wait] + wait) == 8

# %% [markdown]
# Of stock and rebate together 8 periods are cheapest. The curve falls in steps: a longer promise pays where it lets a
# dear stage run to order.
#
# ### Solution 2

# %%
days = sorted(time_sensitivity(bulldozer, change=-1), key=lambda row: -row.marginal_cost)
print(f"{days[0].stage}: {days[0].marginal_cost:,.0f} a year")
longest = max(bulldozer.stages, key=lambda stage: stage.stage_time)
assert (days[0].stage, round(days[0].marginal_cost)) == ("Final_Assembly", 10_309)
assert longest.name == "Pin_Assembly" != days[0].stage

# %% [markdown]
# The final assembly, worth 10,309 a year: the dear end of the critical path. The longest stage is the pin assembly;
# its pins are so cheap that a day less hardly matters.
#
# ### Solution 3


# %%
def warehouse_and_shops(pooling: float) -> StageNetwork:
    """Four independent shops behind one warehouse."""
    shop = {"stage_time": 1, "holding_cost": 1.2, "suppliers": ["warehouse"], "demand_mean": 50.0, "demand_sd": 10.0}
    shops = [{"name": f"shop {i}", **shop, "service_level": 0.95} for i in range(4)]
    warehouse = {"name": "warehouse", "stage_time": 9, "holding_cost": 1.0}
    return StageNetwork.from_dict({"pooling": pooling, "stages": [warehouse, *shops]})


pooled, added = (guaranteed_service(warehouse_and_shops(pooling)) for pooling in (2.0, 1.0))
print(f"independent: {pooled.cost:.0f}, {pooled.placement}")
print(f"bounds add up: {added.cost:.0f}, {added.placement}")
assert "warehouse" in pooled.placement
assert "warehouse" not in added.placement
assert added.cost > pooled.cost

# %% [markdown]
# With independent shops the warehouse needs $\sqrt{4}$ = 2 times the stock of one shop and not 4 times: pooling makes
# stock there worth its while. If the bounds add up there is nothing to pool, and it is cheaper to have the warehouse
# run to order.
#
# ### Solution 4

# %%
row = STAGE_EXAMPLES["snyder_shen/problem-6.8"]()
upstream = list(row.stages)[::-1]  # 10 first, 1 last
sigma_row = next(stage.demand_sd * stage.safety_factor for stage in row.stages if stage.demand_sd)


def row_cost(holds: tuple[bool, ...]) -> float:
    """All or nothing at the nine stages above the last one, which promises 3 periods."""
    wait, total = upstream[0].inbound_service_time, 0.0
    for stage, held in zip(upstream, (*holds, True), strict=True):
        ready = wait + stage.stage_time
        quote = min(3, ready) if stage is upstream[-1] else 0 if held else ready
        total += stage.holding_cost * sigma_row * np.sqrt(ready - quote)
        wait = quote
    return float(total)


extreme = min(map(row_cost, product((False, True), repeat=9)))
print(f"best all-or-nothing plan {extreme:.3f}, solver {guaranteed_service(row).cost:.3f}")
assert abs(extreme - guaranteed_service(row).cost) < 1e-6
