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
# # 3. Clark, Scarf and the beer game
#
# **The question.** Four companies stand in a row: factory, distributor, wholesaler, retailer. Each sees only what its
# own customer orders. Why do their stocks swing so wildly, and what would the best policy be?
#
# **You will learn**
#
# - how sensible people make a crisis out of one small change of demand (Sterman 1989);
# - how to **measure the bullwhip**, and one formula for it that is exact;
# - the **echelon**, and how Clark and Scarf (1960) cut a chain into newsvendors;
# - that the optimum needs no central computer, only the right levels.
#
# **You need** notebook 1. About 90 minutes; it is best after a class has played the game (`echelon web` has one).

# %%
from dataclasses import dataclass, field

import matplotlib.pyplot as plt
import numpy as np
from scipy.stats import poisson

from echelon.baselines import clark_scarf, make_plan
from echelon.baselines.lead_time_demand import lead_time_demand
from echelon.baselines.serial import local_base_stock, serial_cost, shang_song
from echelon.envs import State, make_problem, measure, order_up_to, sample, simulate
from echelon.envs.demand import Poisson
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

STAGES = ("factory", "distributor", "wholesaler", "retailer")

# %% [markdown]
# ## 1. The beer game
#
# Customers buy 4 cases of beer a week for four weeks, then 8 cases a week for ever. That is all that happens. Orders
# take a week in the mail, beer two weeks on the road. Every stage starts in equilibrium. A case on the shelf costs 0.5
# a week, a case that the customers wait for costs 1.
#
# Sterman (1989) fitted how people play. A player forecasts by exponential smoothing, and closes a part of the gap to
# the stock that he wants:
#
# $$O_t = \max\{0,\ \hat L_t + \alpha_S\,(S' - S_t - \beta\,SL_t)\}, \qquad
# \hat L_t = \theta\,L_{t-1} + (1 - \theta)\,\hat L_{t-1},$$
#
# with $L$ the orders that he receives, $S_t$ his stock less his backlog, $SL_t$ his *supply line*, that is what he has
# ordered and not yet got. The mean fitted values are $\theta$ = 0.36, $\alpha_S$ = 0.26, $\beta$ = 0.34 and $S'$ = 17.
# A rational $\beta$ would be 1: a case on order is as good as a case on the shelf. People count about a third of it.
#
# In Echelon such a player is a policy with a memory.


# %%
@dataclass
class Player:
    """The rule of Sterman (1989) at every stage at once; orders [B, E] in whole cases."""

    theta: float = 0.36
    alpha: float = 0.26
    beta: float = 0.34
    wanted: float = 17.0
    _memory: dict[str, np.ndarray] = field(default_factory=dict)

    def __call__(self, state: State) -> np.ndarray:
        position = state.inventory_position
        if state.period == 0:
            self._memory = {"forecast": np.full_like(position, 4.0), "after": position + 4.0}
        received = self._memory["after"] - position  # what the position has lost since the last order
        forecast = self.theta * received + (1 - self.theta) * self._memory["forecast"]
        gap = self.wanted - state.inventory_level - self.beta * state.on_order
        orders = np.maximum(np.round(forecast + self.alpha * gap), 0.0)
        self._memory = {"forecast": forecast, "after": position + orders}
        return orders


# %% [markdown]
# **Predict first.** Demand has doubled, once, from 4 to 8. What will be the largest order that the factory gets to
# see: 8, 12, 20, or more? And in which week, if the step comes in week 5?

# %%
game = make_problem("echelon/BeerGame-v0")
weeks = sample(game.network, periods=game.periods, replications=1, seed=0)
played = simulate(game, Player(), weeks, trace=True)
orders = played.trace.ordered[0]
stock = played.trace.on_hand[0]

figure, (above, below) = plt.subplots(2, 1, figsize=(8, 6.5), sharex=True)
for i, name in reversed(list(enumerate(STAGES))):
    above.plot(range(1, 51), orders[:, i], color=f"C{i}", label=name)
    below.plot(range(1, 51), stock[:, i], color=f"C{i}")
above.plot(range(1, 51), weeks.demand[0, :, 0], color="black", linestyle="--", label="customers")
above.set(ylabel="orders, cases a week", title="One step of demand")
below.set(ylabel="stock on hand, cases", xlabel="week")
above.legend(ncols=2)
plt.show()

peaks = {name: int(orders[:, i].max()) for i, name in enumerate(STAGES)}
print("largest orders:", peaks, "- factory's in week", 1 + int(orders[:, 0].argmax()))
assert peaks == {"factory": 19, "distributor": 17, "wholesaler": 13, "retailer": 10}
assert 1 + int(orders[:, 0].argmax()) == 15

# %% [markdown]
# The customers' step of 4 becomes orders of 10, 13, 17 and 19, further and further from the customer and later and
# later: the factory's peak comes in week 15, ten weeks after the step. Nobody made a mistake that he could see.
#
# **What is it worth?** Somebody who knew the demand could schedule everything. That is a linear programme, and its
# optimum bounds every policy from below.

# %%
benchmark = make_plan("open_loop", game).model_cost
ratio = float(played.cost[0]) / benchmark
print(f"players pay {played.cost[0]:.2f} a week, with foresight {benchmark:.2f}: {ratio:.1f} times as much")
assert (round(float(played.cost[0]), 2), round(benchmark, 2), round(ratio, 1)) == (20.87, 2.48, 8.4)

# %% [markdown]
# 20.87 against 2.48 a week: 8.4 times. In Sterman's experiments the teams' mean cost was about ten times that of his
# benchmark. (Here only the retailer's backlog costs money; on the board every stage's does.)
#
# **Predict first.** Let the players count all of their supply line ($\beta = 1$), or nothing of it ($\beta = 0$). What
# happens to the largest order of the factory?

# %%
ratios = {}
for beta in (0.0, 0.34, 1.0):
    run = simulate(game, Player(beta=beta), weeks, trace=True)
    ratios[beta] = measure(run, ["order_variance_ratio"])["order_variance_ratio"].values[0]
    largest = run.trace.ordered[0, :, 0].max()
    print(f"beta = {beta:.2f}: bullwhip by stage {ratios[beta].round(1)}, largest order {largest:.0f}")

places = np.arange(4)
figure, axis = plt.subplots()
for shift, (beta, values) in zip((-0.27, 0, 0.27), ratios.items(), strict=True):
    axis.bar(places + shift, values[::-1], 0.25, label=rf"$\beta$ = {beta:g}")
axis.axhline(1, color="black", linewidth=1)
axis.set_xticks(places, STAGES[::-1])
axis.set(ylabel="variance of orders / of demand", title="The bullwhip: forgetting what is on order")
axis.legend()
plt.show()
assert all((values[:-1] > values[1:]).all() for values in ratios.values())  # it grows upstream, always
assert ratios[0.0][0] > ratios[0.34][0] > ratios[1.0][0]
assert (round(ratios[0.0][0]), round(ratios[0.34][0]), round(ratios[1.0][0])) == (37, 19, 5)

# %% [markdown]
# The factory's orders vary 37 times as much as demand, 19 times, or 5 times. Who forgets the supply line orders the
# same beer again every week until it arrives.
#
# ## 2. A bullwhip without any human
#
# The **bullwhip** of a stage is the variance of its orders over the variance of demand. It does not need panic: Chen,
# Drezner, Ryan and Simchi-Levi (2000) show that a *correct* base-stock policy with an estimated mean has it. Let the
# level be $(L + 1)\,\hat\mu_t$ plus a constant, with $\hat\mu_t$ the mean of the last $n$ demands. The order is the
# last demand plus the change of the level,
#
# $$O_t = D_{t-1} + \tfrac{L+1}{n}\,(D_{t-1} - D_{t-1-n}), \qquad
# \frac{\operatorname{Var} O}{\operatorname{Var} D} = 1 + \frac{2(L+1)}{n} + \frac{2(L+1)^2}{n^2}.$$
#
# (The paper's $L$ is our $L + 1$.) **Predict first.** With $L$ = 2 and forecasts from 5 periods: is the ratio 1.2, 2
# or 3? And with a known mean?


# %%
@dataclass
class MovingAverage:
    """Base stock at one location, with the mean of the last `n` demands for the mean."""

    n: int
    cover: int
    _history: list[np.ndarray] = field(default_factory=list)
    _after: np.ndarray | None = None

    def __call__(self, state: State) -> np.ndarray:
        position = state.inventory_position
        if state.period == 0 or self._after is None:
            self._history = [np.full_like(position, 100.0)] * self.n
        else:
            self._history = [*self._history[1:], self._after - position]
        level = self.cover * np.mean(self._history, axis=0) + 40.0
        orders = np.maximum(level - position, 0.0)
        self._after = position + orders
        return orders


shop = make_problem(
    "echelon/SingleLocation-v0", lead_time=2, fixed_cost=0.0, demand={"law": "normal", "mean": 100.0, "sd": 10.0}
)
demand = sample(shop.network, periods=shop.periods, replications=20, seed=4)
spans = (3, 5, 10, 20)
found = {}
for n in spans:
    run = simulate(shop, MovingAverage(n, cover=3), demand, trace=True)
    found[n] = estimate(measure(run, ["order_variance_ratio"])["order_variance_ratio"].values[:, 0])
    formula = 1 + 2 * 3 / n + 2 * 9 / n**2
    print(f"n = {n:2}: simulated {found[n].mean:.2f} ± {found[n].half_width:.2f}, formula {formula:.2f}")
    assert abs(found[n].mean - formula) < 0.02 * formula
assert round(1 + 2 * 3 / 5 + 2 * 9 / 25, 2) == 2.92
known = simulate(shop, order_up_to(shop.network, [340.0]), demand, trace=True)
assert abs(measure(known, ["order_variance_ratio"])["order_variance_ratio"].values.mean() - 1) < 0.01

# %% [markdown]
# About 3 (2.92), and 1 with a known mean: a base-stock policy with fixed levels passes demand on unchanged. **Updating
# forecasts too fast** is a cause of the bullwhip; order batching, price promotions and shortage gaming are others
# (Lee, Padmanabhan and Whang 1997).
#
# ## 3. Echelons
#
# Now the real question: what is the *best* policy of a chain? Number the stages from the customers upwards. Local
# stock of stage $j$ is a bad thing to look at: what matters is whether the system has enough *from here down*. The
# **echelon** of stage $j$ is everything at stages $1..j$ and on the way between them, less the customers' backorders.
# A unit that moves down from $j+1$ to $j$ gains value; its *added* holding cost is the echelon holding cost $h_j$.
#
# Charge $h_j$ on the whole echelon of each $j$, and the cost of the chain becomes a sum of one term for each stage.
# Stage 1 is a newsvendor. If stage 2 could always deliver, stage 1 would order up to its $S_1$. When stage 2 cannot,
# stage 1 gets less, and *that loss is charged to stage 2*, as a penalty that depends on the echelon position of 2
# alone. So stage 2 is a newsvendor too, with another cost, and so on:
#
# $$C_0(x) = \Bigl(p + \sum_i h_i\Bigr)\,x^-, \qquad
# C_j(y) = \mathbb{E}\Bigl[h_j\,(y - D_j) + C_{j-1}\bigl(\min(S_{j-1},\, y - D_j)\bigr)\Bigr], \qquad
# S_j = \arg\min C_j.$$
#
# $D_j$ is the demand over the lead time of stage $j$ (and one period more at stage 1 under periodic review). Order
# each echelon up to $S_j$: that is optimal among **all** policies, and costs $C_N(S_N)$ (Clark and Scarf 1960;
# Federgruen and Zipkin 1984 for the average cost). An $N$-dimensional dynamic programme has become $N$ one-dimensional
# ones. In code:


# %%
def decomposed(h: list[float], p: float, means: list[float]) -> tuple[list[int], float, list[np.ndarray], np.ndarray]:
    """Clark and Scarf's recursion for Poisson demand, stage 1 first: levels, cost, the curves and their grid."""
    x = np.arange(-200, 121)
    below = (p + sum(h)) * np.maximum(-x, 0.0)
    levels: list[int] = []
    curves = []
    for h_j, mean in zip(h, means, strict=True):
        pmf = poisson.pmf(np.arange(100), mean)
        now = h_j * x + below
        after = np.concatenate([np.full(99, now[0]), now])  # far below the grid nobody ever is
        curve = np.convolve(after, pmf, mode="valid")  # [y] E now(y - D)
        levels.append(int(x[curve.argmin()]))
        curves.append(curve)
        below = curve[np.minimum(x, levels[-1]) - x[0]]
    return levels, float(curves[-1].min()), curves, x


levels, cost, curves, grid = decomposed(h=[0.25] * 4, p=9, means=[4.0] * 4)
print(f"levels {levels}, cost {cost:.3f}")
assert levels == [8, 13, 18, 22]
assert round(cost, 3) == 12.688

# %% [markdown]
# These are the printed levels and the printed cost, 12.688, of Shang and Song (2003), Table 1, row 1: four stages,
# Poisson demand with a mean of 16 over the whole lead time.
#
# **Predict first.** Look at the four minima in the next figure. Why does the curve of stage 4 lie above that of stage
# 1, and where in the figure is the cost of the whole chain?

# %%
figure, axis = plt.subplots()
for j, (curve, level) in enumerate(zip(curves, levels, strict=True), start=1):
    axis.plot(grid, curve, label=f"$C_{j}$, $S_{j}$ = {level}")
    axis.plot(level, curve[level - grid[0]], "o", color=f"C{j - 1}")
axis.set(xlim=(0, 40), ylim=(0, 40), xlabel="echelon position $y$", ylabel="cost", title="One chain, four newsvendors")
axis.legend()
plt.show()

# %% [markdown]
# $C_j$ holds the costs of all stages below $j$ too, so each curve lies above the one before; the minimum of the last
# one is the cost of the chain.
#
# ## 4. The optimum against everybody for himself
#
# The problem `echelon/Serial-v0` has four stages with local holding costs 1, 2, 3, 4 (so every $h_j$ = 1), lead times
# of 1, $p$ = 40 and Poisson demand with mean 5. The simulator must confirm the theory to within 3 standard errors.

# %%
problem = make_problem("echelon/Serial-v0")
scenarios = sample(problem.network, periods=problem.periods, replications=300, seed=1)
best = make_plan("clark_scarf", problem)
mine, _, _, _ = decomposed(h=[1.0] * 4, p=40, means=[10.0, 5.0, 5.0, 5.0])
assert mine == best.parameters["levels"][::-1] == [17, 22, 28, 33]

optimum = simulate(problem, best.policy, scenarios, trace=True)
error = optimum.cost.std(ddof=1) / np.sqrt(300)
print(f"model {best.model_cost:.3f}, simulated {optimum.cost.mean():.3f} with standard error {error:.3f}")
assert round(best.model_cost, 3) == 65.228
assert abs(optimum.cost.mean() - best.model_cost) < 3 * error

# %% [markdown]
# The optimum is 65.228 a period, of which 30 is stock on the road that nobody can avoid.
#
# **Predict first.** In a decentralised chain everybody runs a good newsvendor for himself: he covers the demand of his
# own lead time with 95 % (the retailer: lead time plus one period). That sounds prudent. How much dearer is it: 2 %,
# 10 %, 20 %? And who is to blame: bad information, or bad targets?

# %%
ratio = 0.95
own = [lead_time_demand(Poisson(mean=5), periods).quantile(ratio) for periods in (1, 1, 1, 2)]
alone = simulate(problem, order_up_to(problem.network, own), scenarios)
extra = estimate(100 * (alone.cost - optimum.cost) / best.model_cost)
print(f"local levels {own}: {extra.mean:.1f} % ± {extra.half_width:.1f} above the optimum")
print(f"fill rate at the customers: {alone.fill_rate.mean():.3f} against {optimum.fill_rate.mean():.3f}")
assert own == [9, 9, 9, 15]
assert extra.mean - extra.half_width > 20
assert (round(alone.fill_rate.mean(), 3), round(optimum.fill_rate.mean(), 3)) == (0.978, 0.962)

# %% [markdown]
# More than 20 %, although every stage does what its textbook says; the customers get a fill rate of 0.978 for it, more
# than the 0.962 that is worth its price. It is not for lack of information:

# %%
local = local_base_stock(mine)  # stage 1 first
same = simulate(problem, order_up_to(problem.network, local[::-1]), scenarios)
print(f"Clark and Scarf's levels as local levels, customers last: {local[::-1]}")
assert local[::-1] == (5.0, 6.0, 5.0, 17.0)
assert np.allclose(same.cost, optimum.cost, rtol=1e-12)

figure, axis = plt.subplots(figsize=(8, 3.5))
upstream = np.arange(4)
axis.bar(upstream - 0.2, own, 0.38, label="everybody for himself, 95 %")
axis.bar(upstream + 0.2, local[::-1], 0.38, label="the optimum, as local levels")
axis.set_xticks(upstream, ["stage 4", "stage 3", "stage 2", "stage 1 (customers)"])
axis.set(ylabel="local base-stock level", title="The optimum trusts the end of the chain, and starves the middle")
axis.legend()
plt.show()

# %% [markdown]
# With the local levels 5, 6, 5 and 17 every stage looks at its own stock and orders alone, and the chain costs
# **exactly** the same as with central control, replication by replication (a theorem of Axsäter and Rosling 1993). The
# fault of the decentralised chain is its *targets*: internal stages with 95 % are far too good. The optimum has them
# short quite often, since nobody outside is hurt by it.
#
# ## 5. A heuristic that fits on a napkin
#
# Shang and Song (2003): the optimal $S_j$ lies between two newsvendor levels of the demand over the lead times of
# stages $1..j$; take the average. On our problem:

# %%
chain = {"echelon_holding_cost": [1.0] * 4, "lead_time": [1] * 4, "stockout_cost": 40, "demand": Poisson(mean=5)}
napkin, exact = shang_song(**chain), clark_scarf(**chain)
print(
    f"napkin {napkin.echelon_base_stock}, optimum {exact.echelon_base_stock}; loss {napkin.cost / exact.cost - 1:.2%}"
)
assert abs(serial_cost(exact.echelon_base_stock, **chain) - exact.cost) < 1e-3  # priced by another recursion
assert napkin.cost / exact.cost < 1.01

# %% [markdown]
# Less than 1 % is lost.
#
# **When it fails.** Clark and Scarf need backorders, independent demand with one law, fixed lead times, no capacity,
# and a fixed cost at the very top at most. Distribution trees break it (who gets the stock?), and then it is a bound
# and a good heuristic.
#
# ## Exercises
#
# ### Exercise 1
# In the beer game, set $S'$ = 28 for all players, so that each has a target for his supply line too, with $\beta = 1$.
# How do the cost and the bullwhip change? Which of the two would a manager see?
#
# ### Exercise 2
# Find the best common service level for the decentralised chain (try 50 % to 95 %). How much of the loss is left, and
# what does that say about "everybody gets the same target"?
#
# ### Exercise 3
# Change one holding cost: let stages 4 to 2 cost 1, 1.1, 1.2 and stage 1 cost 4. Where does the optimum keep its stock
# now? Explain by the echelon holding costs.
#
# ### Exercise 4
# The formula of section 2 grows without bound in $(L+1)/n$. Compute the bullwhip of *two* stages in a row that both
# use it, if the second takes the orders of the first for its demand. (Simulate $O_t$ with NumPy.) Is it the product of
# the two ratios?
#
# ## Sources
#
# - A. J. Clark and H. Scarf, Optimal policies for a multi-echelon inventory problem, Management Science 6(4), 1960.
# - A. Federgruen and P. Zipkin, Computational issues in an infinite-horizon, multiechelon inventory model, Operations
#   Research 32(4), 1984.
# - J. D. Sterman, Modeling managerial behavior, Management Science 35(3), 1989.
# - S. Axsäter and K. Rosling, Installation vs. echelon stock policies for multilevel inventory control, Management
#   Science 39(10), 1993.
# - H. L. Lee, V. Padmanabhan and S. Whang, Information distortion in a supply chain: the bullwhip effect, Management
#   Science 43(4), 1997.
# - F. Chen, Z. Drezner, J. K. Ryan and D. Simchi-Levi, Quantifying the bullwhip effect in a simple supply chain,
#   Management Science 46(3), 2000.
# - K. H. Shang and J.-S. Song, Newsvendor bounds and heuristic for optimal policies in serial supply chains,
#   Management Science 49(5), 2003.
# - In this project: [serial and assembly systems](../theory/serial_and_assembly.md).
#
# ## Solutions
#
# ### Solution 1

# %%
calm = simulate(game, Player(beta=1.0, wanted=28.0), weeks, trace=True)
whip = measure(calm, ["order_variance_ratio"])["order_variance_ratio"].values[0]
print(f"cost {calm.cost[0]:.2f} instead of {played.cost[0]:.2f}, bullwhip {whip.round(2)}")
assert (whip < 1).all()
assert calm.cost[0] > played.cost[0]

# %% [markdown]
# The bullwhip is gone, and the cost is *higher*: with twice the stock nobody ever runs short, and everybody pays for
# it every week. The manager sees the cost. Bullwhip is a symptom and not the objective; a policy that never reacts has
# none.
#
# ### Solution 2

# %%
mean_cost = {}
for ratio in (0.5, 0.6, 0.7, 0.8, 0.9, 0.95):
    common = [lead_time_demand(Poisson(mean=5), periods).quantile(ratio) for periods in (1, 1, 1, 2)]
    mean_cost[ratio] = simulate(problem, order_up_to(problem.network, common), scenarios).cost.mean()
    print(f"{ratio:.0%}: levels {common}, {mean_cost[ratio] / best.model_cost - 1:+.1%}")
best_common = min(mean_cost, key=mean_cost.get)
assert best_common == 0.8
assert mean_cost[best_common] < mean_cost[0.95]
assert mean_cost[best_common] > 1.10 * best.model_cost

# %% [markdown]
# The best common target, 80 %, repairs half of it and leaves more than 10 %: the last stage wants a high target and
# the others a low one.
#
# ### Solution 3
# Echelon costs are differences: 1, 0.1 and 0.1 for stages 4, 3 and 2, and 2.8 for stage 1. Moving units down to stage
# 2 is nearly free; from there to stage 1 it is dear.

# %%
local_cost = [1.0, 1.1, 1.2, 4.0]  # from stage 4 to stage 1
echelon_cost = np.diff([0.0, *local_cost])[::-1]
assert np.allclose(echelon_cost, [2.8, 0.1, 0.1, 1.0])
dear = clark_scarf(
    echelon_holding_cost=echelon_cost.tolist(), lead_time=[1] * 4, stockout_cost=40, demand=Poisson(mean=5)
)
levels_now = local_base_stock(dear.echelon_base_stock)
print(f"local levels, customers first: {levels_now} instead of {local}")
assert levels_now[1] > local[1]  # stage 2 holds more

# %% [markdown]
# ### Solution 4

# %%
rng = np.random.default_rng(0)
first = rng.normal(100, 10, size=200_000)


def passed_on(asked: np.ndarray, n: int = 5, cover: int = 3) -> np.ndarray:
    """The orders of a stage with a moving average of `n` periods that is asked for `asked`."""
    return asked[n:] + cover / n * (asked[n:] - asked[:-n])


second = passed_on(first)
third = passed_on(second)
one_stage, two_stages = second.var() / first.var(), third.var() / first.var()
print(f"one stage {one_stage:.2f}, two stages {two_stages:.2f}, the product would be {one_stage**2:.2f}")
assert abs(one_stage - 2.92) < 0.05
assert two_stages > one_stage**2

# %% [markdown]
# It is more than the product: the orders of the first stage are negatively correlated at lag $n$, and the moving
# average of the second amplifies just that.
