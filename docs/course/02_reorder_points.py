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
# # 2. Reorder points: (s, S)
#
# **The question.** If every order costs a fixed amount $K$ (the truck, the set-up, the paperwork), it pays to order
# seldom and much. When, and how much?
#
# **You will learn**
#
# - the economic order quantity, and why nobody gets hurt by a wrong one;
# - the (s, S) policy, and how to compute its exact cost by **renewal-reward** in a dozen lines;
# - why (s, S) is optimal: you will solve the dynamic programme over *all* policies and look at the answer;
# - what lots, rules of thumb and tuning by simulation lose against the optimum.
#
# **You need** notebook 1 and the idea of dynamic programming. About 75 minutes.

# %%
from functools import partial

import matplotlib.pyplot as plt
import numpy as np
from scipy.stats import poisson

from echelon.baselines import make_plan
from echelon.baselines.eoq import eoq
from echelon.baselines.lead_time_demand import lead_time_demand
from echelon.baselines.min_max_exact import min_max_cost, optimal_min_max
from echelon.baselines.min_max_service import optimal_service_min_max
from echelon.baselines.wagner_whitin import wagner_whitin
from echelon.envs import make_problem, order_up_to, sample, simulate
from echelon.envs.demand import Poisson
from echelon.experiments.evaluate import compare, estimate
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
# ## 1. Known demand: the economic order quantity
#
# A shop sells $d$ = 21 units a period at a constant rate, pays $K$ = 64 per order and $h$ = 1 per unit and period.
# Orders of $Q$ come $d/Q$ times a period and leave $Q/2$ on the shelf on average (Harris 1913):
#
# $$g(Q) = \frac{K d}{Q} + \frac{h Q}{2}, \qquad Q^* = \sqrt{\frac{2 K d}{h}}, \qquad g(Q^*) = \sqrt{2 K d h}.$$
#
# **Predict first.** A manager orders *half* of $Q^*$ by mistake. Is the cost 100 %, 50 % or 25 % too high?

# %%
price = partial(eoq, fixed_cost=64, holding_cost=1, demand_rate=21)
best_lot = price().order_quantity
too_small = price(order_quantity=best_lot / 2).cost / price().cost
print(f"Q* = {best_lot:.1f}; half of it costs {too_small - 1:.0%} more")
assert round(best_lot, 1) == 51.8
assert round(too_small, 2) == 1.25

lots = np.linspace(15, 130, 116)
figure, axis = plt.subplots()
axis.plot(lots, [price(order_quantity=q).cost for q in lots], label="total $g(Q)$")
axis.plot(lots, 64 * 21 / lots, "--", label="ordering $K d / Q$")
axis.plot(lots, lots / 2, ":", label="holding $h Q / 2$")
axis.plot(best_lot, price().cost, "o", color="C1", label=f"$Q^*$ = {best_lot:.1f}")
axis.set(xlabel="lot $Q$", ylabel="cost per period", ylim=(0, 110), title="The economic order quantity")
axis.legend()
plt.show()

# %% [markdown]
# Only 25 %: with $Q = \varepsilon Q^*$ the cost is $\tfrac12(\varepsilon + 1/\varepsilon)$ times the optimum, here
# 1.25. $Q^*$ is 51.8, and 26 or 104 cost the same. So round lots to pallets without remorse.
#
# ## 2. Random demand: at or below s, order up to S
#
# Now demand is Poisson with mean 21, reviewed every period, and customers wait at $b$ = 9 per unit and period. An
# **(s, S) policy** orders up to $S$ when the inventory position is at or below $s$, and else nothing. Practice calls
# it Min/Max. Look at it first.

# %%
K, h, b, MEAN = 64.0, 1.0, 9.0, 21
problem = make_problem("echelon/SingleLocation-v0", demand_mean=MEAN, fixed_cost=K, holding_cost=h, stockout_cost=b)
path = make_problem("echelon/SingleLocation-v0", demand_mean=MEAN, periods=30, warm_up=0)
one = sample(path.network, periods=30, replications=1, seed=3)
trace = simulate(path, order_up_to(path.network, [65], reorder=[15]), one, trace=True).trace
net_stock = (trace.on_hand - trace.backorders)[0, :, 0]

figure, axis = plt.subplots()
axis.bar(range(30), trace.ordered[0, :, 0], color="C4", alpha=0.4, label="order")
axis.step(range(30), net_stock, where="mid", label="stock at the end of the period")
axis.axhline(15, color="C1", linestyle="--", label="s = 15")
axis.axhline(65, color="C2", linestyle="--", label="S = 65")
axis.axhline(0, color="black", linewidth=1)
axis.set(
    xlabel="period",
    ylabel="units",
    title="An (s, S) policy at work: orders are seldom, and not of one size",
    ylim=(-15, 95),
)
axis.legend(ncols=4, loc="upper center")
plt.show()
sizes = trace.ordered[trace.ordered > 0]
assert sizes.min() >= 50
assert sizes.max() > sizes.min()

# %% [markdown]
# Orders differ in size, since demand jumps over $s$ (the **undershoot**). They are never smaller than $S - s$ = 50.
#
# ## 3. The exact cost, by renewal-reward
#
# Let $G(y)$ be the expected holding and stockout cost of a period whose inventory position after the review is $y$
# (with a lead time: of the period in which the stock of that position is put to the test, notebook 1):
#
# $$G(y) = h\,\mathbb{E}[(y - D_{L+1})^+] + b\,\mathbb{E}[(D_{L+1} - y)^+].$$
#
# An order brings the position to $S$, and a **cycle** begins. Let $m(j)$ be the expected number of periods that the
# cycle spends at position $S - j$. The first period is at $S$; the position falls by $k$ with probability
# $p_k = P(D = k)$:
#
# $$m(0) = \frac{1}{1 - p_0}, \qquad m(j) = \frac{1}{1 - p_0}\sum_{k=1}^{j} p_k\,m(j - k).$$
#
# The cycle ends when the position reaches $s$, that is when $j \ge S - s$. By the renewal-reward theorem the long-run
# cost per period is the expected cost of a cycle over its expected length:
#
# $$c(s, S) = \frac{K + \sum_{j=0}^{S-s-1} m(j)\,G(S - j)}{\sum_{j=0}^{S-s-1} m(j)}.$$
#
# This is all that there is to the (s, S) cost, and it fits in a dozen lines.

# %%
LAW = Poisson(mean=MEAN)
TOTAL = lead_time_demand(LAW, 1)  # L = 0: one period is covered


def period_cost(y: int) -> float:
    """G(y)."""
    return h * TOTAL.excess(y) + b * TOTAL.shortage(y)


def renewal_density(length: int) -> np.ndarray:
    """m(0), ..., m(length - 1)."""
    p = poisson.pmf(np.arange(length), MEAN)
    m = np.zeros(length)
    m[0] = 1 / (1 - p[0])
    for j in range(1, length):
        m[j] = p[1 : j + 1] @ m[j - 1 :: -1] / (1 - p[0])
    return m


def renewal_reward(s: int, S: int) -> float:
    """c(s, S)."""
    m = renewal_density(S - s)
    return (K + m @ [period_cost(S - j) for j in range(S - s)]) / m.sum()


print(f"c(15, 65) = {renewal_reward(15, 65):.3f}")
assert round(renewal_reward(15, 65), 3) == 50.406

# %% [markdown]
# 50.406 is the printed optimal cost of Zheng and Federgruen (1991) for this instance, and (15, 65) their optimal
# policy. The package has the same formula as `min_max_cost`; two programs that were written separately and agree are
# evidence.
#
# **Predict first.** Draw the curve of $G$ on paper. Where on that curve do you expect $s$, $S$ and the minimum of $G$?

# %%
best = optimal_min_max(demand=LAW, holding_cost=h, stockout_cost=b, fixed_cost=K)
assert (best.reorder, best.up_to) == (15, 65)
for pair in ((15, 65), (10, 60), (20, 80)):
    exact = min_max_cost(*pair, demand=LAW, holding_cost=h, stockout_cost=b, fixed_cost=K)
    assert abs(exact - renewal_reward(*pair)) < 1e-9

ys = np.arange(5, 100)
g = np.array([period_cost(int(y)) for y in ys])
figure, axis = plt.subplots()
axis.plot(ys, g, label="$G(y)$: holding and stockout cost")
axis.axhline(best.cost, color="C1", linestyle="--", label=f"$c^*$ = {best.cost:.1f}")
for y, name in ((best.reorder, "s"), (int(ys[g.argmin()]), "argmin G"), (best.up_to, "S")):
    axis.plot(y, period_cost(y), "o", color="C2")
    axis.annotate(f"{name} = {y}", (y, period_cost(y)), (8, 8), textcoords="offset points")
axis.set(xlabel="position after the review $y$", ylabel="cost per period", ylim=(0, 120), title="Where s and S lie")
axis.legend()
plt.show()

assert period_cost(15) >= best.cost >= period_cost(16)  # Zheng and Federgruen's condition for s
assert int(ys[g.argmin()]) == 27

# %% [markdown]
# $s$ is where $G$ falls below $c^*$: **wait while the running cost of a period is less than the average cost of the
# best life, order as soon as it is not**. So $s$ = 15 stands left of the minimum 27 of $G$, and $S$ = 65 far to the
# right. That is Zheng and Federgruen's condition $G(s) \ge c^* \ge G(s + 1)$, and the heart of their algorithm.
#
# The cost is flat around the optimum, but not equally in all directions. **Predict first**: is it worse to have $s$
# wrong by 10, or the span $S - s$?

# %%
ss, spans = np.arange(5, 31), np.arange(20, 91, 2)
G = np.array([period_cost(y) for y in range(200)])
M = renewal_density(100)
surface = np.array([[(K + M[:n] @ G[s + n : s : -1]) / M[:n].sum() for s in ss] for n in spans])
assert abs(surface[15, 10] - renewal_reward(15, 65)) < 1e-9

figure, axis = plt.subplots(figsize=(8, 4.5))
lines = axis.contour(ss, spans, 100 * (surface / best.cost - 1), levels=[1, 2, 5, 10, 20, 50], cmap="viridis")
axis.clabel(lines, fmt="%g %%")
axis.plot(best.reorder, best.up_to - best.reorder, "*", color="C1", markersize=14, label="optimum (15, 65)")
axis.set(xlabel="reorder point s", ylabel="span S - s", title="Cost above the optimum")
axis.legend(loc="upper right")
plt.show()
assert min(min(surface[:, 0]), min(surface[:, 20])) > 1.05 * best.cost  # s = 5 and s = 25
assert surface[7, 10] < surface[11, 10] > surface[15, 10]  # s = 15 with spans of 34, 42 and 50

# %% [markdown]
# A wrong span is forgiven, a wrong $s$ is not: with $s$ = 5 or 25 every span costs more than 5 % too much. And there
# are *two* valleys: a span of 50 covers about two and a half periods of demand, one of 34 about one and a half, and 42
# is worse than both. The cost of (s, S) is **not convex** in $S$, which is why a search by descent can end in the
# wrong valley, and why Zheng and Federgruen's algorithm, which cannot, was news in 1991.

# %% [markdown]
# ## 4. Is there anything better than (s, S)?
#
# Scarf (1960) proved for a finite horizon that there is not. The tool is **K-convexity**: $f$ is $K$-convex if
#
# $$K + f(y + a) \ge f(y) + \frac{a}{b}\,\bigl(f(y) - f(y - b)\bigr) \qquad \text{for all } a \ge 0,\ b > 0,$$
#
# that is, $f$ may have several dips, but none so deep that a fixed cost of $K$ would tempt you twice. Dynamic
# programming keeps the property, and the minimum over $y \ge x$ of $K\,1[y > x] + f(y)$ is then reached by an (s, S)
# rule. Iglehart (1963), Veinott and Wagner (1965) and Zheng (1991) carry it over to the average cost.
#
# Do not believe it: solve the problem over **all** policies, with no structure assumed, by value iteration. In state
# $x$ (the position before the order) choose any $y \ge x$:
#
# $$V_{n+1}(x) = \min_{y \ge x}\ K\,1[y > x] + G(y) + \mathbb{E}\,V_n(y - D).$$
#
# **Predict first.** Sketch the optimal $y$ against $x$.

# %%
low, high = -80, 120
states = np.arange(low, high + 1)
pmf = poisson.pmf(np.arange(70), MEAN)
stage = np.array([period_cost(int(y)) for y in states])
reach = np.maximum(states[:, None] - np.arange(70)[None, :], low) - low  # from y by demand k; cut off at `low`

value = np.zeros(len(states))
for _ in range(2000):
    q = stage + value[reach] @ pmf  # [y] the cost from position y on, without the fixed cost
    cheapest_above = np.minimum.accumulate(q[::-1])[::-1]  # [x] min of q over y >= x
    improved = np.minimum(q, K + cheapest_above)
    change = improved - value
    value = improved - improved[-1]
    if np.ptp(change) < 1e-9:
        break
average = change.mean()
print(f"optimal average cost over all policies: {average:.6f}; best (s, S): {best.cost:.6f}")
assert abs(average - best.cost) < 1e-6

orders = K + cheapest_above < q  # [x] whether to order
up_to = np.array([states[i + q[i:].argmin()] if order else states[i] for i, order in enumerate(orders)])
figure, axis = plt.subplots()
axis.step(states, up_to, where="mid", label="optimal position after the review")
axis.plot(states, states, ":", color="C7", label="no order")
axis.set(xlabel="position before the review $x$", ylabel="position after it", xlim=(-40, 90), ylim=(-40, 90))
axis.set_title("The best of all policies is an (s, S) policy")
axis.legend()
plt.show()
assert states[orders].max() == 15
assert set(up_to[orders]) == {65}

# %% [markdown]
# The best of all policies orders at 15 or below, and always up to 65. Nothing told the programme to.
#
# ## 5. What simpler rules lose
#
# | rule | idea |
# |---|---|
# | `eoq` | the lot of known demand, no safety stock |
# | `power_approximation` | a fitted formula of mean and variance (Ehrhardt and Mosier 1984) |
# | `optimal_reorder_lots` | the best (r, nQ): orders in lots of one size |
# | tuned (s, S) | a search by simulation, as one must where there is no theory |
# | `optimal_min_max` | the optimum |
#
# **Predict first.** How many percent will each of them lose? Rank them before you run.

# %%
scenarios = sample(problem.network, periods=problem.periods, replications=200, seed=1)
plans = {name: make_plan(name, problem) for name in ("eoq", "power_approximation", "optimal_reorder_lots")}
plans["optimum"] = make_plan("optimal_min_max", problem)
policies = {name: plan.policy for name, plan in plans.items()}

# Tuning: a coarse search over s and S - s on a stream of its own, and 4 short replications.
tuning = sample(problem.network, periods=problem.periods, replications=4, seed=1, stream="tuning")
grid = [(s, s + span) for s in range(7, 31, 3) for span in range(30, 81, 10)]
tuned = min(
    grid, key=lambda r: simulate(problem, order_up_to(problem.network, r[1:], reorder=r[:1]), tuning).cost.mean()
)
policies["tuned (s, S)"] = order_up_to(problem.network, tuned[1:], reorder=tuned[:1])
print("tuned:", tuned)

costs = {name: simulate(problem, policy, scenarios).cost for name, policy in policies.items()}
loss = {name: estimate(100 * (cost - costs["optimum"]) / best.cost) for name, cost in costs.items()}
for name, found in sorted(loss.items(), key=lambda item: item[1].mean):
    print(f"{name:22} {costs[name].mean():6.2f}   {found.mean:+.2f} % ± {found.half_width:.2f} of the optimum")

error = costs["optimum"].std(ddof=1) / np.sqrt(200)
assert abs(costs["optimum"].mean() - best.cost) < 3 * error

# %%
ranked = sorted((name for name in loss if name != "optimum"), key=lambda name: loss[name].mean)
figure, axis = plt.subplots(figsize=(8, 3))
axis.barh(ranked, [loss[name].mean for name in ranked], xerr=[loss[name].half_width for name in ranked], capsize=4)
axis.set(xlabel="cost above the optimum, % (95 % interval of the paired difference)", title="What simpler rules lose")
axis.grid(visible=False, axis="y")
plt.show()

differences = compare(costs)
assert differences["optimum"].verdict == "best"
assert all(differences[name].verdict == "worse" for name in ("eoq", "optimal_reorder_lots"))
exact_loss = {
    name: 100 * (plans[name].model_cost / best.cost - 1) for name in ("power_approximation", "optimal_reorder_lots")
}
assert {name: round(percent, 1) for name, percent in exact_loss.items()} == {
    "power_approximation": 0.3,
    "optimal_reorder_lots": 1.2,
}

# %% [markdown]
# Lots of one size lose 1.2 %, the fitted formula 0.3 %; both are exact figures, and the simulation agrees. On this
# instance even the EOQ is close: shortages are cheap here beside a truck, so safety stock hardly matters. Do not trust
# that: exercise 1 has an instance where it is a disaster.
#
# The tuned rule was found with 4 replications on a stream named `tuning`, and judged on fresh ones. A search picks
# what *looked* best, so its own figure is too good (the winner's curse; notebook 6). Judge on demand that the search
# has not seen.
#
# ## 6. Demand that is known but changes: lot sizing
#
# If the forecast is certain but lumpy, (s, S) is the wrong tool. Between two periods in which the stock is empty one
# order is enough, so the best plan is a shortest path over the periods in which to order (Wagner and Whitin 1958).
#
# **Predict first.** Demand is 90, 120, 80, 70; an order costs 500; a unit costs 2 a period. In which periods do you
# order?

# %%
plan = wagner_whitin(demand=[90, 120, 80, 70], fixed_cost=500, holding_cost=2)
print("orders", plan.order_quantities, "cost", plan.cost)
assert plan.order_quantities == (210, 0, 150, 0)
assert plan.cost == 1380

# %% [markdown]
# In periods 1 and 3, at 1,380 (Snyder and Shen 2019, Example 3.9).
#
# **When it fails.** (s, S) is optimal for a single location, backorders, independent demand and linear costs. With
# lost sales and a lead time, with a capacity, or with a minimum order it is not; in a chain of stages with fixed costs
# everywhere nobody knows the optimum.
#
# ## Exercises
#
# ### Exercise 1
# Give the problem of section 2 a lead time of 4, first with $b$ = 9 and then with $b$ = 99. Compare the `eoq` plan
# with the optimum by simulation. Why does the rule fail in the second case?
#
# ### Exercise 2
# Verify the whole column of Zheng and Federgruen's Table: for means 10, 15, 25, 35, 50 and 70 the optimal pairs are
# (6, 40), (10, 49), (19, 56), (28, 77), (42, 108) and (62, 81). Plot $S - s$ against the mean together with the EOQ.
# What happens between 50 and 70?
#
# ### Exercise 3
# Nobody knows $b$, but the fill rate must be 98 %. Find the cheapest (s, S) policy with `optimal_service_min_max` for
# mean 21 and $L = 2$. Which $b$ would have led to about the same reorder point?
#
# ### Exercise 4
# Write a solver for Wagner and Whitin's problem: the shortest path in ten lines. Check it with section 6.
#
# ## Sources
#
# - F. W. Harris, How many parts to make at once, Factory 10(2), 1913.
# - H. M. Wagner and T. M. Whitin, Dynamic version of the economic lot size model, Management Science 5(1), 1958.
# - H. Scarf, The optimality of (S, s) policies in the dynamic inventory problem, in: Mathematical Methods in the
#   Social Sciences 1959, Stanford University Press, 1960.
# - D. L. Iglehart, in: Multistage Inventory Models and Techniques, Stanford University Press, 1963; A. F. Veinott and
#   H. M. Wagner, Computing optimal (s, S) inventory policies, Management Science 11(5), 1965.
# - R. Ehrhardt and C. Mosier, A revision of the power approximation, Management Science 30(5), 1984.
# - Y.-S. Zheng and A. Federgruen, Finding optimal (s, S) policies is about as simple as evaluating a single policy,
#   Operations Research 39(4), 1991; Y.-S. Zheng, A simple proof, Journal of Applied Probability 28(4), 1991.
# - L. V. Snyder and Z.-J. M. Shen, *Fundamentals of Supply Chain Theory*, 2nd ed., Wiley 2019.
# - In this project: [reorder policies](../theory/reorder_policies.md), [a single location](../theory/single_node.md).
#
# ## Solutions
#
# ### Solution 1
# The reorder point of the EOQ plan covers the *mean* demand of the exposure and no more. Where a shortage is dear, the
# missing safety stock is what counts, and it grows with the lead time.

# %%
extra = {}
for stockout_cost in (9.0, 99.0):
    far = make_problem("echelon/SingleLocation-v0", demand_mean=MEAN, lead_time=4, stockout_cost=stockout_cost)
    demand = sample(far.network, periods=far.periods, replications=100, seed=2)
    paid = {name: simulate(far, make_plan(name, far).policy, demand).cost for name in ("eoq", "optimal_min_max")}
    extra[stockout_cost] = estimate(100 * (paid["eoq"] - paid["optimal_min_max"]) / paid["optimal_min_max"].mean())
    print(f"b = {stockout_cost:.0f}: the eoq plan costs {extra[stockout_cost].mean:.0f} % more")
assert extra[9.0].mean < 5
assert extra[99.0].mean - extra[99.0].half_width > 30

# %% [markdown]
# ### Solution 2

# %%
published = {10: (6, 40), 15: (10, 49), 25: (19, 56), 35: (28, 77), 50: (42, 108), 70: (62, 81)}
for mean, pair in published.items():
    found = optimal_min_max(demand=Poisson(mean=mean), holding_cost=1, stockout_cost=9, fixed_cost=64)
    assert (found.reorder, found.up_to) == pair
means = np.arange(10, 76)
found = [optimal_min_max(demand=Poisson(mean=int(m)), holding_cost=1, stockout_cost=9, fixed_cost=64) for m in means]

figure, axis = plt.subplots()
axis.plot(means, [policy.up_to - policy.reorder for policy in found], ".", label="S - s of the optimum")
axis.plot(means, np.sqrt(2 * 64 * means), label="economic order quantity")
axis.set(xlabel="mean demand of a period", ylabel="units", ylim=0, title="Lots cover a whole number of periods")
axis.legend()
plt.show()

# %% [markdown]
# The span jumps twice: from a mean of 22 to 23, and from 61 to 62. Up to 22 a cycle lasts three or four periods, then
# two, and from 62 on one: there an order is placed in nearly every period, and the policy is almost a base-stock
# policy. The EOQ knows of no periods and sees none of this.

# %%
span = {int(m): policy.up_to - policy.reorder for m, policy in zip(means, found, strict=True)}
assert [m for m in span if m + 1 in span and span[m + 1] < span[m] - 10] == [22, 61]

# %% [markdown]
# ### Solution 3

# %%
asked = optimal_service_min_max(demand=LAW, holding_cost=1, fixed_cost=64, service_level=0.98, lead_time=2)
print(f"(s, S) = ({asked.reorder}, {asked.up_to}), fill rate {asked.service.fill_rate:.4f}")
assert asked.service.fill_rate >= 0.98
implied = min(
    range(2, 100),
    key=lambda cost: abs(
        optimal_min_max(demand=LAW, holding_cost=1, stockout_cost=cost, fixed_cost=64, lead_time=2).reorder
        - asked.reorder
    ),
)
print(f"the reorder point is that of a stockout cost of about {implied}")
assert 5 < implied < 40

# %% [markdown]
# ### Solution 4


# %%
def shortest_path(demand: list[int], fixed_cost: float, holding_cost: float) -> float:
    """The least cost of Wagner and Whitin's problem: an arc from t to u is one order in t for t, ..., u - 1."""
    cost = [0.0] + [np.inf] * len(demand)
    for t in range(len(demand)):
        for u in range(t + 1, len(demand) + 1):
            held = sum((k - t) * demand[k] for k in range(t, u))
            cost[u] = min(cost[u], cost[t] + fixed_cost + holding_cost * held)
    return cost[-1]


assert shortest_path([90, 120, 80, 70], 500, 2) == 1380
