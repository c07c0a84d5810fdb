"""The exact optimum of lost sales, the exact cost of policies, and the heuristics.

Reference figures: the test bed of P. Zipkin, Old and new methods for lost-sales inventory systems,
Operations Research 56(5), 2008 (mean demand 5, holding cost 1), recomputed by an independent relative value
iteration on a box of states; heuristics by exact evaluation of each policy, base-stock levels by 30 million
simulated periods (standard error at most 0.02 %). Brute force here shares no code with the package.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from echelon.baselines.lost_sales import LostSalesTable, lost_sales_optimal, lost_sales_optimum, table_size
from echelon.baselines.lost_sales_levels import (
    CappedBaseStock,
    constant_order,
    constant_order_cost,
    least_whole,
    lost_sales_base_stock,
    lost_sales_capped_base_stock,
)
from echelon.baselines.lost_sales_policies import (
    Myopic,
    ProjectedLevel,
    VectorBaseStock,
    myopic_lost_sales,
    projected_inventory_level,
    vector_base_stock,
)
from echelon.baselines.lost_sales_policy_cost import lost_sales_policy_cost, rule_cost
from echelon.baselines.lost_sales_system import LostSalesPolicy, LostSalesSystem, Rule, distinct
from echelon.envs.catalogue import make_problem
from echelon.envs.demand import (
    Deterministic,
    DiscreteUniform,
    Empirical,
    Geometric,
    Law,
    NegativeBinomial,
    Normal,
    Poisson,
)
from echelon.envs.dynamics import initial_state
from echelon.envs.errors import MethodError
from echelon.envs.network import Network
from echelon.envs.policy import order_up_to
from echelon.envs.problem import Problem
from echelon.envs.scenarios import sample
from echelon.envs.simulate import simulate

Floats = NDArray[np.float64]

# Demand, lead time, stockout cost, optimal average cost.
OPTIMA: list[tuple[str, int, int, float]] = [
    ("poisson", 1, 4, 4.04071), ("poisson", 1, 9, 5.43822), ("poisson", 1, 19, 6.67575), ("poisson", 1, 39, 7.83594),
    ("poisson", 2, 4, 4.39529), ("poisson", 2, 9, 6.09364), ("poisson", 2, 19, 7.66442), ("poisson", 2, 39, 9.10638),
    ("poisson", 3, 4, 4.59872), ("poisson", 3, 9, 6.53137), ("poisson", 3, 19, 8.36251), ("poisson", 3, 39, 10.03847),
    ("poisson", 4, 4, 4.72852), ("poisson", 4, 9, 6.83595), ("poisson", 4, 19, 8.88718), ("poisson", 4, 39, 10.79441),
    ("poisson", 5, 4, 4.81390), ("poisson", 5, 9, 7.05802),
    ("geometric", 1, 4, 9.8175), ("geometric", 1, 19, 19.2179), ("geometric", 1, 39, 23.8657),
    ("geometric", 2, 9, 15.5029), ("geometric", 2, 19, 20.8906),
    ("geometric", 3, 4, 10.4667), ("geometric", 3, 9, 16.1367), ("geometric", 3, 39, 27.9635),
]  # fmt: skip

# Lead time, stockout cost; base-stock level and cost; capped level, cap and cost; projected level and cost;
# costs of myopic-1, myopic-2 and the standard vector base-stock policy. Poisson demand.
HEURISTICS: list[tuple[int, int, int, float, int, int, float, float, float, float, float, float]] = [
    (1, 4, 12, 4.1628, 12, 6, 4.0654, 7.25, 4.0665, 4.1113, 4.0407, 4.3055),
    (1, 9, 13, 5.5474, 14, 6, 5.4812, 9.25, 5.4580, 5.4472, 5.4384, 5.5137),
    (1, 19, 15, 6.7271, 15, 8, 6.6878, 10.25, 6.6805, 6.6881, 6.6757, 6.7069),
    (1, 39, 16, 7.8614, 16, 9, 7.8425, 11.25, 7.8388, 7.8845, 7.8360, 7.9657),
    (2, 4, 16, 4.6384, 17, 5, 4.4057, 7.50, 4.4065, 4.5581, 4.4059, 4.8041),
    (2, 9, 19, 6.3159, 19, 6, 6.1191, 9.25, 6.1219, 6.2231, 6.1037, 6.4525),
    (2, 19, 21, 7.8411, 21, 7, 7.7209, 11.25, 7.7275, 7.7732, 7.6686, 8.0802),
    (2, 39, 22, 9.1884, 22, 8, 9.1326, 12.25, 9.1312, 9.1573, 9.1177, 9.2908),
    (3, 4, 20, 4.9750, 21, 5, 4.6308, 7.25, 4.6198, 4.8435, 4.6357, 5.5140),
    (3, 9, 23, 6.8636, 24, 6, 6.6164, 9.50, 6.5838, 6.7983, 6.5718, 7.3119),
    (3, 19, 26, 8.6030, 26, 6, 8.4010, 11.25, 8.4128, 8.5632, 8.3962, 9.0941),
    (3, 39, 28, 10.2165, 28, 7, 10.0853, 13.25, 10.1122, 10.1728, 10.0726, 10.3941),
    (4, 4, 25, 5.1977, 26, 5, 4.7979, 7.25, 4.7489, 5.0628, 4.8171, 5.8341),
    (4, 9, 28, 7.2708, 29, 5, 6.9123, 9.50, 6.9014, 7.1991, 6.9196, 8.1562),
    (4, 19, 31, 9.2309, 31, 6, 8.9544, 11.50, 8.9833, 9.1810, 8.9601, 9.5687),
    (4, 39, 33, 11.0607, 34, 6, 10.8926, 13.25, 10.9010, 11.0432, 10.8398, 11.3819),
]
SLOW = 4
"""Lead time at which myopic-2 takes a second or two: one row is enough."""

# Demand, lead time, stockout cost; best base-stock level and cost; best capped level, cap and cost.
LEVELS: list[tuple[str, int, int, int, float, int, int, float]] = [
    ("poisson", 2, 19, 21, 7.8420, 21, 7, 7.7209),
    ("poisson", 4, 4, 25, 5.1977, 26, 5, 4.7979),
    ("geometric", 1, 4, 12, 10.0418, 13, 5, 9.8712),
    ("geometric", 1, 19, 22, 19.4026, 22, 13, 19.3124),
    ("geometric", 2, 9, 22, 15.9882, 23, 6, 15.6410),
    ("geometric", 2, 19, 28, 21.3081, 28, 9, 21.0665),
]


def law(name: str) -> Law:
    return Poisson(mean=5) if name == "poisson" else Geometric(mean=5)


@cache
def system(lead_time: int, stockout_cost: float) -> LostSalesSystem:
    return LostSalesSystem(Poisson(mean=5), lead_time, 1, stockout_cost)


@cache
def problem(lead_time: int, stockout_cost: float, demand: str = "poisson") -> Problem:
    return make_problem("echelon/LostSales-v0", lead_time=lead_time, stockout_cost=stockout_cost, demand=demand)


class Box:
    """Brute force: all states of a box, all orders up to a limit, every demand on its own."""

    def __init__(self, pmf: Floats, lead_time: int, most: int, biggest: int) -> None:
        later = max(lead_time - 1, 0)
        self.states = list(product(range(most + 1), *[range(biggest + 1)] * later))
        number = {state: i for i, state in enumerate(self.states)}
        self.pmf, self.orders = pmf, range(biggest + 1)
        self.stock = np.array([[x + (z if lead_time == 0 else 0) for z in self.orders] for x, *_ in self.states])
        self.next = np.array(
            [
                [
                    [number[self._after(list(state), z, d, lead_time, most)] for d in range(len(pmf))]
                    for z in self.orders
                ]
                for state in self.states
            ]
        )

    @staticmethod
    def _after(state: list[int], order: int, demand: int, lead_time: int, most: int) -> tuple[int, ...]:
        if lead_time == 0:
            return (max(min(state[0] + order, most) - demand, 0),)
        coming = [*state[1:], order]
        return (min(max(state[0] - demand, 0) + coming[0], most), *coming[1:])

    def costs(self, h: float, p: float, c: float) -> Floats:
        """[S, Z] h, p and c charged one by one, as they are."""
        left = self.stock[:, :, None] - np.arange(len(self.pmf))
        paid = h * np.maximum(left, 0) + p * np.maximum(-left, 0)
        return np.asarray(paid @ self.pmf + c * np.array(self.orders))

    def optimum(self, h: float, p: float, c: float = 0.0) -> float:
        costs, values = self.costs(h, p, c), np.zeros(len(self.states))
        for _ in range(3_000):
            new = (costs + values[self.next] @ self.pmf).min(1)
            change = new - values
            values = new - new[0]
            if np.ptp(change) < 1e-9:
                return float(change.mean())
        raise AssertionError("brute force did not settle")

    def policy_cost(self, order_of: Any, h: float, p: float, c: float = 0.0) -> float:
        """By the stationary law of the chain, as a system of linear equations."""
        count = len(self.states)
        orders = np.array([order_of(*state) for state in self.states])
        chain = np.zeros((count, count))
        for d, chance in enumerate(self.pmf):
            np.add.at(chain, (np.arange(count), self.next[np.arange(count), orders, d]), chance)
        equations = np.vstack([chain.T - np.eye(count), np.ones(count)])
        stationary = np.linalg.lstsq(equations, np.append(np.zeros(count), 1.0))[0]
        return float(stationary @ self.costs(h, p, c)[np.arange(count), orders])


def poisson(mean: float, length: int = 16) -> Floats:
    pmf = stats.poisson(mean).pmf(np.arange(length))
    return np.asarray(pmf / pmf.sum())


@pytest.mark.parametrize(("demand", "lead_time", "stockout_cost", "cost"), OPTIMA)
def test_the_optimum_is_the_published_one(demand: str, lead_time: int, stockout_cost: int, cost: float) -> None:
    best = lost_sales_optimum(demand=law(demand), lead_time=lead_time, holding_cost=1, stockout_cost=stockout_cost)
    assert 0 <= best.high - best.low <= 1e-5
    assert best.cost == pytest.approx(cost, abs=2e-5 if demand == "poisson" else 6e-5)


@pytest.mark.parametrize(
    ("demand", "pmf", "lead_time", "most", "biggest", "p", "c"),
    [
        (Poisson(mean=1.5), poisson(1.5), 0, 12, 12, 7.0, 0.0),
        (Poisson(mean=1.5), poisson(1.5), 1, 14, 9, 4.0, 0.0),
        (Poisson(mean=1.5), poisson(1.5), 2, 16, 8, 12.0, 3.0),
        (Poisson(mean=0.9), poisson(0.9), 3, 10, 5, 9.0, 0.0),
        (Poisson(mean=0.9), poisson(0.9), 3, 10, 5, 6.0, 5.5),
        (DiscreteUniform(low=1, high=3), np.array([0, 1, 1, 1]) / 3, 2, 12, 6, 6.0, 1.0),
        (Empirical(values=(0, 0, 0, 4)), np.array([3, 0, 0, 0, 1]) / 4, 2, 14, 8, 8.0, 0.0),
        (Poisson(mean=1.5), poisson(1.5), 2, 12, 4, 3.0, 3.5),
    ],
)
def test_the_optimum_is_that_of_brute_force_on_a_wide_box(
    demand: Law, pmf: Floats, lead_time: int, most: int, biggest: int, p: float, c: float
) -> None:
    brute = Box(pmf, lead_time, most, biggest).optimum(0.7, p, c)
    best = lost_sales_optimum(
        demand=demand, lead_time=lead_time, holding_cost=0.7, stockout_cost=p, purchase_cost=c, tolerance=1e-8
    )
    assert best.cost == pytest.approx(brute, abs=1e-6)


@settings(max_examples=12)
@given(
    weights=st.lists(st.integers(0, 5), min_size=2, max_size=5).filter(lambda w: sum(x > 0 for x in w) > 1),
    p=st.floats(0.2, 30),
    lead_time=st.integers(1, 2),
)
def test_no_order_beyond_the_limits_ever_pays(weights: list[int], p: float, lead_time: int) -> None:
    values = [float(d) for d, count in enumerate(weights) for _ in range(count)]
    pmf = np.array(weights) / sum(weights)
    best = lost_sales_optimum(
        demand=Empirical(values=tuple(values)), lead_time=lead_time, holding_cost=1, stockout_cost=p, tolerance=1e-7
    )
    brute = Box(pmf, lead_time, 4 * (lead_time + 1) + 2, 6).optimum(1, p)
    assert best.cost == pytest.approx(brute, abs=1e-5)


def test_a_purchase_cost_is_a_constant_and_a_lower_stockout_cost() -> None:
    bought = lost_sales_optimum(
        demand=Poisson(mean=5), lead_time=3, holding_cost=1, stockout_cost=14, purchase_cost=5, tolerance=1e-7
    )
    free = lost_sales_optimum(demand=Poisson(mean=5), lead_time=3, holding_cost=1, stockout_cost=9, tolerance=1e-7)
    assert bought.cost == pytest.approx(free.cost + 25, abs=1e-6)
    assert bought.table.orders.tolist() == free.table.orders.tolist()


def test_nothing_is_bought_where_a_lost_sale_costs_no_more_than_a_sale() -> None:
    for lead_time in (0, 3):
        best = lost_sales_optimum(
            demand=DiscreteUniform(low=2, high=6), lead_time=lead_time, holding_cost=1, stockout_cost=3, purchase_cost=3
        )
        assert best.cost == pytest.approx(3 * 4)
        assert not best.table.orders.any()


@settings(max_examples=15)
@given(p=st.floats(0.5, 60), h=st.floats(0.2, 5), mean=st.floats(0.5, 4), lead_time=st.integers(0, 3))
def test_the_optimum_scales_with_the_costs_grows_with_p_and_with_the_lead_time(
    p: float, h: float, mean: float, lead_time: int
) -> None:
    def cost(times: float = 1.0, more: float = 0.0, longer: int = 0) -> float:
        return lost_sales_optimum(
            demand=Poisson(mean=mean),
            lead_time=lead_time + longer,
            holding_cost=times * h,
            stockout_cost=times * (p + more),
            tolerance=times * 1e-7,
        ).cost

    assert cost(times=8.0) == pytest.approx(8 * cost(), rel=1e-6)
    assert cost() <= cost(more=1.0) + 1e-6 <= cost() + mean + 2e-6
    assert cost() <= cost(longer=1) + 1e-6


def test_one_unit_more_anywhere_lowers_the_order_by_at_most_one() -> None:
    table = lost_sales_optimum(demand=Poisson(mean=5), lead_time=3, holding_cost=1, stockout_cost=9).table
    states = np.array([s for s in product(range(20), range(8), range(8)) if sum(s[1:]) <= 13 and sum(s) <= 24])
    orders = table(states[:, 0], states[:, 1:])
    drops = [orders - table((states + one)[:, 0], (states + one)[:, 1:]) for one in np.eye(3, dtype=np.int64)]
    assert set(np.concatenate(drops)) == {0, 1}
    assert (drops[0] <= drops[1]).all()
    assert (drops[1] <= drops[2]).all(), "orders feel most what came last (Zipkin 2008)"


def test_beyond_its_limits_the_table_orders_nothing() -> None:
    table = lost_sales_optimum(demand=Poisson(mean=5), lead_time=3, holding_cost=1, stockout_cost=9).table
    assert table.limits.tolist() == [26, 20, 14, 8]
    on_hand = np.array([0, 500, 0, 0, 27])
    pipeline = np.array([[0, 0], [0, 0], [0, 9], [8, 7], [0, 0]])
    assert table(on_hand, pipeline).tolist() == [7, 0, 0, 0, 0]


@pytest.mark.parametrize("row", HEURISTICS, ids=lambda row: f"L{row[0]}-p{row[1]}")
def test_every_heuristic_costs_what_exact_evaluation_gave(row: tuple[Any, ...]) -> None:
    lead_time, p, level, base, capped_level, cap, capped, projected, arrival, one, two, vector = row
    location = system(lead_time, p)
    exact: list[tuple[Rule, float]] = [
        (CappedBaseStock(capped_level, cap), capped),
        (ProjectedLevel(location, projected), arrival),
        (Myopic(location, 1), one),
        (VectorBaseStock(location), vector),
    ]
    if lead_time < SLOW or p == 4:
        exact.append((Myopic(location, 2), two))
    for rule, cost in exact:
        assert rule_cost(location, rule, tolerance=1e-5).cost == pytest.approx(cost, abs=6.5e-5), rule
    assert rule_cost(location, CappedBaseStock(level, level), tolerance=1e-5).cost == pytest.approx(base, rel=6e-4)


@pytest.mark.parametrize("row", LEVELS, ids=lambda row: "-".join(map(str, row[:3])))
def test_the_best_levels_are_found_on_the_chain(row: tuple[Any, ...]) -> None:
    demand, lead_time, p, level, base, capped_level, cap, capped = row
    plan = lost_sales_base_stock(problem(lead_time, p, demand))
    assert plan.parameters == {"levels": [level]}
    assert plan.model_cost == pytest.approx(base, rel=1e-4)
    plan = lost_sales_capped_base_stock(problem(lead_time, p, demand))
    assert plan.parameters == {"levels": [capped_level], "caps": [cap]}
    assert plan.model_cost == pytest.approx(capped, rel=2e-5)


@pytest.mark.parametrize(("lead_time", "p", "level"), [(1, 4, 7.25), (2, 9, 9.25), (3, 9, 9.5)])
def test_the_best_projected_level_is_found(lead_time: int, p: int, level: float) -> None:
    assert projected_inventory_level(problem(lead_time, p)).parameters == {"level": level}


def test_a_projected_level_of_a_long_lead_time_is_tuned_by_simulation() -> None:
    row = replace(problem(6, 4), periods=60, warm_up=20)
    plan = projected_inventory_level(row, scenarios=sample(row.network, periods=row.periods, replications=50, seed=3))
    assert plan.model_cost is None
    assert 6 <= plan.parameters["level"] <= 9
    assert lost_sales_policy_cost(row, plan.policy).cost == pytest.approx(4.8725, rel=0.03)


def test_the_cost_of_any_policy_is_that_of_its_stationary_law() -> None:
    """Lead time 2, with a purchase cost; rules that are no base-stock policies, given as policies."""
    row = location(lead_time=2, demand=Poisson(mean=1.5), stockout_cost=9.0, unit_cost=2.0)
    box = Box(poisson(1.5), 2, 20, 8)
    brute = box.policy_cost(lambda x, q: min(8, 7 - x - q) if x + q <= 3 else 0, 1, 9, 2)
    lots = order_up_to(row.network, [7], reorder=[3])
    assert lost_sales_policy_cost(row, lots, tolerance=1e-9).cost == pytest.approx(brute, abs=1e-7)
    brute = box.policy_cost(lambda x, _: int(x < 3) * 2, 1, 9, 2)
    blind = LostSalesPolicy(lambda on_hand, _: 2 * (on_hand < 3).astype(np.int64), 2)
    assert lost_sales_policy_cost(row, blind, tolerance=1e-9).cost == pytest.approx(brute, abs=1e-7)


def test_the_optimal_table_costs_the_optimum() -> None:
    for lead_time, demand in ((0, "poisson"), (1, "geometric"), (4, "poisson")):
        plan = lost_sales_optimal(problem(lead_time, 9, demand))
        cost = lost_sales_policy_cost(problem(lead_time, 9, demand), plan.policy)
        assert plan.optimal
        assert cost.high >= plan.parameters["low"]
        assert cost.low <= plan.parameters["high"] + 1e-5


@pytest.mark.parametrize("lead_time", [0, 1, 3])
def test_no_heuristic_beats_the_optimum(lead_time: int) -> None:
    row = problem(lead_time, 9)
    least = lost_sales_optimal(row).parameters["low"]
    plans = [
        vector_base_stock(row),
        myopic_lost_sales(row, horizon=1),
        myopic_lost_sales(row),
        projected_inventory_level(row),
        lost_sales_base_stock(row),
        lost_sales_capped_base_stock(row),
        constant_order(row),
    ]
    for plan in plans:
        assert not plan.optimal
        assert plan.model_cost is not None
        assert plan.model_cost >= least - 1e-6
    if lead_time == 0:
        assert [plan.model_cost for plan in plans[:-1]] == pytest.approx([least] * 6)


@pytest.mark.parametrize("quantity", [0, 3, 4])
def test_a_constant_order_costs_what_spitzers_identity_gives(quantity: int) -> None:
    """``E[W] = sum_k E[(k r - D_k)+] / k`` over totals D_k of k periods."""
    d = np.arange(1_500)
    mean = sum(float(stats.poisson(5 * k).pmf(d) @ np.maximum(k * quantity - d, 0)) / k for k in range(1, 250))
    assert constant_order_cost(system(1, 9), quantity) == pytest.approx(mean + 9 * (5 - quantity), abs=1e-8)


def test_the_best_constant_order_does_not_depend_on_the_lead_time() -> None:
    plans = [constant_order(problem(lead_time, 4)) for lead_time in (0, 2, 12)]
    assert [plan.model_cost for plan in plans] == pytest.approx([5.27479] * 3, abs=1e-5)
    assert plans[0].parameters == {"quantity": 4}


def location(*, lead_time: int, demand: Law, stockout_cost: float, **link: float) -> Problem:
    node = {"name": "store", "holding_cost": 1.0, "stockout_cost": stockout_cost, "stockout_rule": "lost_sales"}
    node |= {"demand": demand, "initial_on_hand": 4.0, "price": link.pop("price", 0.0)}
    lane = {"target": "store", "lead_time": lead_time, "initial_in_transit": 2.0, **link}
    return Problem("location", Network.from_dict({"nodes": [node], "links": [lane]}), periods=600, warm_up=100)


def test_the_simulated_costs_are_the_model_costs() -> None:
    """Ten million periods and more; purchases, holding in transit and revenue included."""
    paid = location(
        lead_time=2, demand=Poisson(mean=5), stockout_cost=8.0, unit_cost=3.0, transit_holding_cost=0.5, price=2.0
    )
    scenarios = sample(paid.network, periods=600, replications=17_000, seed=11)
    free = location(lead_time=2, demand=Poisson(mean=5), stockout_cost=8.0)
    optimal, projected, constant = lost_sales_optimal(paid), projected_inventory_level(free), constant_order(paid)
    for row, plan in ((paid, optimal), (free, projected), (paid, constant)):
        costs = simulate(row, plan.policy, scenarios).cost
        error = costs.std(ddof=1) / len(costs) ** 0.5
        assert plan.model_cost is not None
        assert error < 3e-3 * plan.model_cost
        assert abs(costs.mean() - plan.model_cost) < 3 * error


def test_a_policy_is_asked_in_full_units_and_orders_nothing_above_its_initial_stock() -> None:
    row = problem(2, 9)
    state = replace(initial_state(row.network, 3), on_hand=np.array([[5.0], [5.9], [1e9]]))
    for plan in (lost_sales_optimal(row), projected_inventory_level(row, level=9), myopic_lost_sales(row)):
        orders = plan.policy(state)
        assert orders.shape == (3, 1)
        assert orders[0] == orders[1] > 0 == orders[2]


def test_a_location_with_too_many_states_has_heuristics_without_model_cost() -> None:
    busy = make_problem("echelon/LostSales-v0", lead_time=3, stockout_cost=9, demand_mean=60)
    assert vector_base_stock(busy).model_cost is None
    assert myopic_lost_sales(busy, horizon=1).model_cost is None
    assert constant_order(busy).model_cost is not None


def test_rows_that_differ_are_found_however_wide_they_are() -> None:
    rows = np.random.default_rng(0).integers(0, 3, (200, 2))
    for wide in (rows, np.column_stack([rows] * 9) * 10**6):
        found, which = distinct(wide)
        assert len(found) == 9
        assert (found[which] == wide).all()


def test_the_size_of_the_table_is_known_before_it_is_built() -> None:
    for lead_time in (1, 2, 4):
        limits = system(lead_time, 19).limits
        best = lost_sales_optimum(demand=Poisson(mean=5), lead_time=lead_time, holding_cost=1, stockout_cost=19)
        assert table_size(limits) == (best.states, len(best.table.start) - 1)
        assert isinstance(best.table, LostSalesTable)


def test_a_table_that_is_too_large_says_what_would_fit() -> None:
    with pytest.raises(MethodError, match="the longest lead time that fits is 7, here it is 20"):
        lost_sales_optimum(demand=Poisson(mean=5), lead_time=20, holding_cost=1, stockout_cost=39)
    with pytest.raises(MethodError, match=r"for 26,582 states.*the longest lead time that fits is 2, here it is 4"):
        lost_sales_optimal(problem(4, 39), memory_limit=30_000)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"holding_cost": 0.0}, "holding_cost must be a finite number greater than 0, got 0"),
        ({"stockout_cost": -1.0}, "stockout_cost must be a finite number of at least 0, got -1"),
        ({"purchase_cost": np.nan}, "purchase_cost must be a finite number, got nan"),
        ({"lead_time": -1}, "lead_time must be a whole number of at least 0 periods, got -1"),
        ({"lead_time": 1.5}, "lead_time must be a whole number of at least 0 periods, got 1.5"),
        ({"tolerance": 0.0}, "tolerance must be a finite number greater than 0, got 0"),
        ({"demand": Normal(mean=9, sd=1)}, "demand must come in whole units, got Normal demand"),
        ({"demand": Deterministic(values=(3,))}, "demand must vary, got 3 in every period: order just that"),
    ],
)
def test_parameters_without_a_solution_are_refused(change: dict[str, Any], message: str) -> None:
    sound: dict[str, Any] = {"demand": Poisson(mean=5), "lead_time": 1, "holding_cost": 1.0, "stockout_cost": 4.0}
    with pytest.raises(MethodError) as caught:
        lost_sales_optimum(**(sound | change))
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("plan", "name"),
    [
        (lost_sales_optimal, "lost_sales_optimal"),
        (vector_base_stock, "vector_base_stock"),
        (myopic_lost_sales, "myopic_lost_sales"),
        (projected_inventory_level, "projected_inventory_level"),
        (constant_order, "constant_order"),
        (lost_sales_base_stock, "lost_sales_base_stock"),
        (lost_sales_capped_base_stock, "lost_sales_capped_base_stock"),
    ],
)
def test_plans_refuse_networks_beyond_the_model(plan: Any, name: str) -> None:
    row = problem(2, 9)
    refused = {
        "a single location (got 4 nodes)": make_problem("echelon/Serial-v0"),
        "an average-cost objective (discount 1)": replace(row, discount=0.9, warm_up=0),
        "customers who do not wait (stockout_rule lost_sales)": changed(row, node={"stockout_rule": "backorder"}),
        "a positive holding cost": changed(row, node={"holding_cost": 0.0}),
        "no fixed cost per order": changed(row, link={"fixed_cost": 2.0}),
        "a network without max_order of link 'outside -> store'": changed(row, link={"max_order": 9.0}),
        "whole units": replace(row, network=row.network.model_copy(update={"units": "continuous"})),
    }
    for rule, broken in refused.items():
        with pytest.raises(MethodError) as caught:
            plan(broken)
        assert str(caught.value) == f"{name} needs {rule}"


def changed(row: Problem, *, node: dict[str, Any] | None = None, link: dict[str, Any] | None = None) -> Problem:
    nodes = (row.network.nodes[0].model_copy(update=node or {}),)
    links = (row.network.links[0].model_copy(update=link or {}),)
    return replace(row, network=row.network.model_copy(update={"nodes": nodes, "links": links}))


def test_options_are_checked() -> None:
    row = problem(1, 4)
    with pytest.raises(MethodError, match="horizon must be 1 or 2, got 3"):
        myopic_lost_sales(row, horizon=3)
    with pytest.raises(MethodError, match="level must be a finite number of at least 0, got -1"):
        projected_inventory_level(row, level=-1)
    with pytest.raises(MethodError, match="whole number of at least 0 and below the mean demand 5, got 5"):
        constant_order(row, quantity=5)
    with pytest.raises(MethodError, match="lost_sales_policy_cost needs a policy that orders nothing beyond some st"):
        lost_sales_policy_cost(row, constant_order(row).policy)
    with pytest.raises(MethodError, match="give a larger one"):
        lost_sales_policy_cost(problem(3, 9), order_up_to(row.network, [60]), memory_limit=1e5)


def test_a_search_over_whole_numbers_ends_at_the_least_of_a_convex_cost() -> None:
    assert least_whole(lambda n: (n - 7) ** 2, 30) == 7
    assert least_whole(lambda n: n**2, 3) == 0


@pytest.mark.parametrize(
    ("demand", "lead_time", "stockout_cost"), [(Poisson(mean=5), 3, 0.05), (NegativeBinomial(mean=4, sd=2.5), 2, 0.05)]
)
def test_a_low_stockout_cost_settles_although_the_best_orders_take_turns(
    demand: Law, lead_time: int, stockout_cost: float
) -> None:
    best = lost_sales_optimum(demand=demand, lead_time=lead_time, holding_cost=1, stockout_cost=stockout_cost)
    assert best.high - best.low <= 1e-5
    never_ordering = stockout_cost * demand.mean_demand
    assert 0.5 * never_ordering < best.cost < never_ordering


def test_the_best_cap_is_found_where_it_lies_far_below_the_mean_demand() -> None:
    for mean, lead_time, stockout_cost, cost in (
        (3.0, 2, 0.1, 0.26320),
        (3.0, 1, 0.2, 0.46315),
        (8.0, 2, 0.05, 0.26783),
    ):
        problem = make_problem(
            "echelon/LostSales-v0", lead_time=lead_time, stockout_cost=stockout_cost, demand_mean=mean
        )
        assert lost_sales_capped_base_stock(problem).model_cost == pytest.approx(cost, abs=5e-6)


def test_demand_by_the_hundred_thousand_is_refused_at_once() -> None:
    with pytest.raises(MethodError, match="the longest lead time that fits is 1, here it is 2"):
        lost_sales_optimum(demand=Poisson(mean=1e5), lead_time=2, holding_cost=1, stockout_cost=9)
