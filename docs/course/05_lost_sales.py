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
# # 5. Lost sales, and why they are hard
#
# **The question.** Change one word of notebook 1: a customer who finds nothing does not wait, but leaves. What is the
# best policy now? After sixty years nobody has a formula.
#
# **You will learn**
#
# - why an order-up-to policy is not optimal any more, and what the optimum sees that it does not;
# - how the state space grows, and how bounds of Morton (1969) cut it down;
# - the heuristics of the literature, with their exact gaps on a published test bed;
# - two limits in which simple policies become optimal: dear shortages, and long lead times.
#
# **You need** notebook 1 and dynamic programming. About 75 minutes. This problem is *the* test bed of reinforcement
# learning in inventory; notebook 6 goes on with it.

# %%
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
from scipy.stats import poisson

from echelon.baselines import make_plan, newsvendor_relaxation
from echelon.baselines.lost_sales import lost_sales_optimum
from echelon.baselines.lost_sales_policy_cost import lost_sales_policy_cost
from echelon.baselines.lost_sales_system import LostSalesSystem
from echelon.baselines.newsvendor import newsvendor
from echelon.envs import make_problem, order_up_to, sample, simulate, simulate_cost
from echelon.envs.demand import Poisson
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
# ## 1. One word
#
# Demand is Poisson with mean 5, $h$ = 1, a lost sale costs $p$ = 4, and an order takes $L$ = 4 periods. This is an
# instance of the test bed of Zipkin (2008). In period $t$ with stock $x$ after the arrivals, and orders
# $q_1, \dots, q_{L-1}$ on their way:
#
# $$\text{cost } h\,(x - D)^+ + p\,(D - x)^+, \qquad x' = (x - D)^+ + q_1.$$
#
# The only news is the $(\cdot)^+$ in the second formula.
#
# **Predict first.** Take the base-stock level of notebook 1, which is optimal if customers wait. Is it too high or too
# low here? How far above the optimum is the *best* base-stock policy: 1 %, 5 %, 10 %?

# %%
problem = make_problem("echelon/LostSales-v0", lead_time=4, stockout_cost=4.0)
best = make_plan("lost_sales_optimal", problem)
order_up = make_plan("lost_sales_base_stock", problem)
waiting = newsvendor(demand=Poisson(mean=5), holding_cost=1, stockout_cost=4, lead_time=4).level
naive = lost_sales_policy_cost(problem, order_up_to(problem.network, [waiting])).cost
gap = 100 * (order_up.model_cost / best.model_cost - 1)

print(f"optimum {best.model_cost:.4f}")
print(f"best base stock: S = {order_up.parameters['levels'][0]:.0f}, cost {order_up.model_cost:.4f}, gap {gap:.1f} %")
print(f"the level for customers who wait: S = {waiting:.0f}, cost {naive:.4f}")
assert round(best.model_cost, 4) == 4.7285
assert (order_up.parameters["levels"], round(order_up.model_cost, 4), round(gap, 1)) == ([25.0], 5.1978, 9.9)
assert waiting > 25

# %% [markdown]
# The best level is 25, its cost 5.1978, and the optimum 4.7285: a gap of 9.9 %. These are exact figures, from the
# Markov chain of each policy and not from a simulation. The level for customers who wait is too high: a lost sale
# takes demand away, so less stock is needed.
#
# But where does the gap come from? With backorders the stock at $t + L$ is $S$ minus demand; *when* units are ordered
# does not matter. With lost sales it does: a unit that is here today may catch a customer who is gone tomorrow.
#
# ## 2. What the optimum sees
#
# With $L = 2$ the state is $(x, q_1)$, and we can draw the optimal order. Base stock knows $x + q_1$ only: its order
# is constant along the diagonals.
#
# **Predict first.** Fix $x + q_1 = 8$. Does the optimum order more if all 8 are on the shelf, or if 7 of them are on
# their way?

# %%
two = lost_sales_optimum(demand=Poisson(mean=5), lead_time=2, holding_cost=1, stockout_cost=4)
x, q = np.meshgrid(np.arange(16), np.arange(8))
table = two.table(x.ravel(), q.ravel()[:, None]).reshape(x.shape)
level = int(
    make_plan("lost_sales_base_stock", make_problem("echelon/LostSales-v0", lead_time=2)).parameters["levels"][0]
)
simple = np.maximum(level - x - q, 0)

figure, axes = plt.subplots(1, 2, figsize=(9, 3.8), sharey=True)
for axis, orders, name in zip(axes, (table, simple), ("the optimum", f"best base stock, S = {level}"), strict=True):
    image = axis.imshow(orders, origin="lower", vmin=0, vmax=level, cmap="viridis", aspect="auto")
    for (row, column), value in np.ndenumerate(orders):
        axis.text(
            column, row, int(value), ha="center", va="center", color="white" if value < 10 else "black", fontsize=8
        )
    axis.set(xlabel="stock on hand $x$", title=name)
    axis.grid(visible=False)
axes[0].set_ylabel("order on its way $q_1$")
figure.colorbar(image, ax=axes, label="order")
plt.show()

along = {int(a): int(two.table(np.array([a]), np.array([[8 - a]]))[0]) for a in (8, 5, 3, 1)}
print("orders at x + q = 8, by stock on hand:", along)
assert along == {8: 6, 5: 6, 3: 5, 1: 4}
assert table.max() == 6
assert simple.max() == level == 16

# %% [markdown]
# It orders 6 with all on the shelf and 4 with 7 of 8 on their way: **a unit that comes late counts more** than one on
# the shelf, since it will surely still be there when the order of today arrives. (Zipkin 2008b proves this order of
# sensitivities, by L-natural convexity.) And the optimum never orders more than 6, while base stock reacts to an empty
# system with 16. Each lost sale is a signal to base stock to order *less* next time, which is odd: it follows the
# sales, and the optimum smooths them.
#
# ## 3. Solve it yourself, and hit the wall
#
# For $L = 1$ the state is $x$ alone (the order arrives before the next review), and value iteration is short.

# %%
h, p, mean = 1.0, 4.0, 5
size = 30
pmf = poisson.pmf(np.arange(60), mean)
stock = np.arange(size)
left = np.maximum(stock[:, None] - np.arange(60)[None, :], 0)  # [x, d] what is left of x
stage = (h * left + p * np.maximum(np.arange(60)[None, :] - stock[:, None], 0)) @ pmf

value = np.zeros(2 * size)  # V(x) for x up to 2 size, so that x' = left + z needs no case
for _ in range(500):
    following = np.array([value[left + z] @ pmf for z in range(size)])  # [z, x] E V(left + z)
    improved = stage + following.min(axis=0)
    change = improved - value[:size]
    relative = improved - improved[0]
    value = np.concatenate([relative, relative[-1] + 100 * np.arange(1, size + 1)])  # nobody wants to be beyond `size`
    if np.ptp(change[:20]) < 1e-9:
        break
print(f"optimal cost for L = 1: {change[:20].mean():.5f}, after the order policy {following.argmin(axis=0)[:14]}")
assert round(change[:20].mean(), 5) == 4.04071

# %% [markdown]
# 4.04071 is the optimum of the literature for this instance. Every period of lead time adds a dimension to the state.
# Is that the wall?
#
# **Predict first.** How many states does $L$ = 4 need, and by which factor does each period of lead time multiply
# them?
#
# Morton (1969, 1971) gives bounds that an optimal policy never exceeds: of the units that arrive in $k$ periods or
# later, it never holds more than
#
# $$s_k = \min\{s : P(D_{[k, L]} \le s) \ge p / (p + h)\},$$
#
# the newsvendor quantile of the demand from the $k$-th period from now to the $L$-th. Only states within all these
# bounds matter.

# %%
counts, boxes = {}, {}
for lead_time in range(1, 6):
    solved = lost_sales_optimum(demand=Poisson(mean=5), lead_time=lead_time, holding_cost=1, stockout_cost=4)
    limits = LostSalesSystem(Poisson(mean=5), lead_time, 1.0, 4.0, 0.0).limits
    counts[lead_time] = solved.states
    boxes[lead_time] = (int(limits[0]) + 1) ** lead_time
    print(
        f"L = {lead_time}: {solved.states:6,} states within the bounds, {boxes[lead_time]:10,} without,"
        f" optimum {solved.cost:.4f}"
    )

figure, axis = plt.subplots()
axis.semilogy(list(boxes), list(boxes.values()), "s--", label="all $x, q_1, ..., q_{L-1}$ up to $s_0$")
axis.semilogy(list(counts), list(counts.values()), "o-", label="states within Morton's bounds")
axis.set(
    xlabel="lead time $L$",
    ylabel="states",
    xticks=list(counts),
    title="The curse of dimensionality, and how far bounds help",
)
axis.legend()
plt.show()
assert list(counts.values()) == [14, 124, 1_141, 9_809, 88_313]
assert all(8 < counts[n + 1] / counts[n] < 10 for n in range(1, 5))

# %% [markdown]
# 9,809 states, and a factor of 8 to 10 for each period. $L$ = 5 takes a moment, $L$ = 8 needs tens of millions of
# states, $L$ = 15 nobody can solve. That is the wall, and why people turned to heuristics first, and to learning
# later.
#
# ## 4. The heuristics, exactly
#
# | rule | order | source |
# |---|---|---|
# | base stock | $(S - v_0)^+$, $v_0$ all in the system | Janakiraman and Roundy 2004: convex in $S$ |
# | vector base stock | $\min_k (s_k - v_k)^+$: Morton's bounds, used as a policy | Morton 1971 |
# | myopic 1 | least expected cost of the period in which the order arrives | Morton 1971 |
# | myopic 2 | the same for two periods | Zipkin 2008a |
# | projected inventory level | raises the *expected* stock at arrival to $U$ | van Jaarsveld and Arts 2024 |
# | capped base stock | $\min\{r, (S - v_0)^+\}$ | Johansen and Thorstenson 2008, Xin 2021 |
# | constant order | always $r$, blind | Xin and Goldberg 2016 |
#
# **Predict first.** One rule looks at nothing at all. Where does it rank?

# %%
rules = {
    "base stock": ("lost_sales_base_stock", {}),
    "vector base stock": ("vector_base_stock", {}),
    "myopic 1": ("myopic_lost_sales", {"horizon": 1}),
    "myopic 2": ("myopic_lost_sales", {"horizon": 2}),
    "projected level": ("projected_inventory_level", {}),
    "capped base stock": ("lost_sales_capped_base_stock", {}),
    "constant order": ("constant_order", {}),
}
plans = {name: make_plan(method, problem, **options) for name, (method, options) in rules.items()}
costs = {name: round(plan.model_cost, 4) for name, plan in plans.items()}
gaps = {name: 100 * (plan.model_cost / best.model_cost - 1) for name, plan in plans.items()}
ranked = sorted(gaps, key=gaps.get, reverse=True)

figure, axis = plt.subplots(figsize=(8, 3.6))
bars = axis.barh(ranked, [gaps[name] for name in ranked])
axis.bar_label(bars, fmt="%.1f %%", padding=4)
axis.set(xlabel="exact cost above the optimum, %", xlim=(0, 28), title="Poisson demand, $L$ = 4, $p$ = 4")
axis.grid(visible=False, axis="y")
plt.show()

assert costs == {
    "base stock": 5.1978,
    "vector base stock": 5.8341,
    "myopic 1": 5.0628,
    "myopic 2": 4.8171,
    "projected level": 4.7489,
    "capped base stock": 4.7978,
    "constant order": 5.2748,
}
assert (round(gaps["constant order"], 1), round(gaps["capped base stock"], 1), round(gaps["projected level"], 1)) == (
    11.6,
    1.5,
    0.4,
)

# %% [markdown]
# The blind rule loses 11.6 %, hardly more than the best base-stock policy, which sees everything. One number more, a
# **cap** on the order, brings base stock from 9.9 to 1.5 %; projecting the stock brings it to 0.4 %. The lesson for
# your own research: *a good baseline is one idea away from a bad one.*
#
# How do we know that the "optimum" is one? Two checks that share no code with it: a simulation, and a lower bound that
# no policy can beat.

# %%
scenarios = sample(problem.network, periods=problem.periods, replications=150, seed=1)
outcome = simulate(problem, best.policy, scenarios).cost
error = outcome.std(ddof=1) / np.sqrt(len(outcome))
bound = newsvendor_relaxation(problem).value
print(f"exact {best.model_cost:.4f}, simulated {outcome.mean():.4f} ± {error:.4f}; lower bound {bound:.3f}")
assert abs(outcome.mean() - best.model_cost) < 3 * error
assert bound < best.model_cost
assert round(bound, 2) == 3.57
assert round(100 * bound / best.model_cost) == 76

# %% [markdown]
# The bound is 3.57, 76 % of the optimum: proven, and not tight. Where no optimum can be computed that is all one has,
# so a gap "to the bound" of 30 % may be a perfect policy.
#
# ## 5. Two limits
#
# **Predict first.** Let $p$ grow: does base stock get better or worse? Let $L$ grow: does the constant order get
# better or worse?

# %%
prices = (1.0, 4.0, 9.0, 19.0, 39.0, 99.0)
by_price = {}
for price in prices:
    instance = make_problem("echelon/LostSales-v0", lead_time=2, stockout_cost=price)
    optimum, base = (make_plan(name, instance).model_cost for name in ("lost_sales_optimal", "lost_sales_base_stock"))
    by_price[price] = 100 * (base / optimum - 1)

constant = plans["constant order"].model_cost
by_lead_time = {}
for lead_time in (1, 2, 3, 4, 5, 6, 7, 8):
    instance = make_problem("echelon/LostSales-v0", lead_time=lead_time)
    if lead_time <= 4:
        base = make_plan("lost_sales_base_stock", instance).model_cost
    else:  # the chain is too large: tune on one stream, judge on another
        tuning, fresh = (
            sample(instance.network, periods=1_100, replications=100, seed=2, stream=s)
            for s in ("tuning", "evaluation")
        )
        levels = range(5 * lead_time, 5 * lead_time + 8)
        level = min(levels, key=lambda s: simulate_cost(instance, order_up_to(instance.network, [s]), tuning).mean())
        base = simulate_cost(instance, order_up_to(instance.network, [level]), fresh).mean()
    optimum = instance.reference.value
    by_lead_time[lead_time] = (100 * (base / optimum - 1), 100 * (constant / optimum - 1))

figure, (left_axis, right_axis) = plt.subplots(1, 2, figsize=(9, 3.8))
left_axis.semilogx(prices, list(by_price.values()), "o-")
left_axis.set(xlabel="cost of a lost sale $p$ ($L$ = 2)", ylabel="above the optimum, %", ylim=0, title="Dear shortages")
left_axis.set_xticks(prices, [f"{price:g}" for price in prices])
for column, name in enumerate(("base stock", "constant order")):
    right_axis.plot(list(by_lead_time), [pair[column] for pair in by_lead_time.values()], "o-", label=name)
right_axis.set(xlabel="lead time $L$ ($p$ = 4)", ylim=0, title="Long lead times")
right_axis.legend()
plt.show()

assert by_price[99.0] < 0.6 < by_price[1.0]
assert all(by_price[a] > by_price[b] for a, b in pairwise(prices))
assert by_lead_time[1][1] > 25
assert by_lead_time[8][1] < 8
assert min(n for n, (base, blind) in by_lead_time.items() if blind < base) == 5

# %% [markdown]
# - **Dear shortages**: stockouts become rare, lost sales and backorders look alike, and base stock is optimal in the
#   limit (Huh et al. 2009). At $p$ = 99 it is within 0.6 %.
# - **Long lead times**: what is ordered now arrives so far away that the state tells nothing about it, and the
#   constant order is optimal in the limit, its gap shrinking exponentially (Xin and Goldberg 2016). Its cost does not
#   depend on $L$ at all. From $L$ = 5 on it beats the best base-stock policy.
#
# Between the two limits nothing simple is right, and there a learned policy can earn its keep: notebook 6.
#
# **When it fails.** All of this is one location with whole units. With two products that share a truck, or a retailer
# network, no optimum is known and the bounds are loose.
#
# ## Exercises
#
# ### Exercise 1
# Solve $L$ = 2, $p$ = 9 with *geometric* demand of mean 5. Compare the optimum with the best base-stock and capped
# base-stock policies. Published values: 15.5029, 15.9882 and 15.641.
#
# ### Exercise 2
# For $L$ = 2 and $p$ = 4 draw the cost of capped base-stock policies over $(S, r)$ with `lost_sales_policy_cost`.
# Where is the optimum, and in which direction is the valley flat?
#
# ### Exercise 3
# Compute the cost of the constant order $r$ = 4 yourself: the stock at the end of a period follows
# $W' = (W + 4 - D)^+$. Find its stationary law by iteration and check 5.2748.
#
# ### Exercise 4
# Why can the constant order not be 5, the mean demand? Simulate it for 1,100 and for 11,000 periods and explain.
#
# ## Sources
#
# - T. E. Morton, Bounds on the solution of the lagged optimal inventory equation, SIAM Review 11(4), 1969; The
#   near-myopic nature of the lagged-proportional-cost inventory problem with lost sales, Operations Research 19(7),
#   1971.
# - G. Janakiraman and R. O. Roundy, Lost-sales problems with stochastic lead times, Operations Research 52(5), 2004.
# - P. Zipkin, Old and new methods for lost-sales inventory systems, Operations Research 56(5), 2008 (2008a); On the
#   structure of lost-sales inventory models, Operations Research 56(4), 2008 (2008b).
# - S. G. Johansen and A. Thorstenson, Pure and restricted base-stock policies for the lost-sales inventory system,
#   2008.
# - W. T. Huh, G. Janakiraman, J. A. Muckstadt and P. Rusmevichientong, Asymptotic optimality of order-up-to policies
#   in lost sales inventory systems, Management Science 55(3), 2009.
# - L. Xin and D. A. Goldberg, Optimality gap of constant-order policies decays exponentially in the lead time for lost
#   sales models, Operations Research 64(6), 2016; L. Xin, Understanding the performance of capped base-stock policies,
#   Operations Research 69(1), 2021.
# - W. van Jaarsveld and J. Arts, Projected inventory-level policies for lost sales inventory systems, Operations
#   Research 72(5), 2024.
# - In this project: [lost sales](../theory/lost_sales.md), [lower bounds](../theory/bounds.md).
#
# ## Solutions
#
# ### Solution 1

# %%
lumpy = make_problem("echelon/LostSales-v0", lead_time=2, stockout_cost=9.0, demand="geometric")
methods = ("lost_sales_optimal", "lost_sales_base_stock", "lost_sales_capped_base_stock")
found = [make_plan(method, lumpy).model_cost for method in methods]
print([round(cost, 4) for cost in found])
assert np.allclose(found, [15.5029, 15.9882, 15.641], rtol=0, atol=6e-5)

# %% [markdown]
# ### Solution 2

# %%
small = make_problem("echelon/LostSales-v0", lead_time=2)
S, caps = np.arange(12, 23), np.arange(3, 11)
cost = np.array(
    [[lost_sales_policy_cost(small, order_up_to(small.network, [s], cap=[r])).cost for s in S] for r in caps]
)
row, column = np.unravel_index(cost.argmin(), cost.shape)
figure, axis = plt.subplots()
lines = axis.contour(S, caps, 100 * (cost / two.cost - 1), levels=[0.5, 1, 2, 4, 6, 10, 20], cmap="viridis")
axis.clabel(lines, fmt="%g %%")
axis.plot(S[column], caps[row], "*", color="C1", markersize=14, label=f"best: S = {S[column]}, r = {caps[row]}")
axis.set(xlabel="order-up-to level $S$", ylabel="largest order $r$", title="Capped base stock: cost above the optimum")
axis.legend()
plt.show()
assert (S[column], caps[row], round(cost.min(), 4)) == (17, 5, 4.4057)
assert cost[row, column + 3] < cost[row + 3, column + 3]  # too high a level is forgiven if the cap is right

# %% [markdown]
# With the right cap of 5 the level may be too high by some units; the policy is then close to a constant order that
# stops when there is too much.
#
# ### Solution 3

# %%
law = np.zeros(200)
law[0] = 1.0
step = np.zeros((200, 200))  # [w, w'] chances
for w in range(200):
    after = np.maximum(w + 4 - np.arange(60), 0)
    np.add.at(step[w], np.minimum(after, 199), pmf)
for _ in range(3000):
    law = law @ step
print(f"{law @ np.arange(200) + 4.0 * (5 - 4):.4f}")
assert round(law @ np.arange(200) + 4.0 * (5 - 4), 4) == 5.2748  # h E[W] + p (E[D] - r)

# %% [markdown]
# ### Solution 4

# %%
drift = {}
for periods in (1_100, 11_000):
    long = make_problem("echelon/LostSales-v0", periods=periods, warm_up=100)
    demand = sample(long.network, periods=periods, replications=50, seed=3)
    drift[periods] = simulate_cost(long, order_up_to(long.network, [10**6], cap=[5]), demand).mean()
print({periods: round(float(cost), 1) for periods, cost in drift.items()})
assert drift[11_000] > 2 * drift[1_100]

# %% [markdown]
# The stock is then a random walk that is held up at 0 and has no drift: it has no stationary law, and its mean grows
# like the square root of time. A mean cost over a horizon would be a number without a meaning; more periods give more.
