"""The beer game without a browser: a person is a policy, and the reveal tells the engine's own numbers."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from echelon.baselines.open_loop import open_loop_optimum
from echelon.envs.catalogue import make_problem
from echelon.envs.demand import Poisson
from echelon.envs.errors import ConfigError
from echelon.envs.policy import OrderUpTo
from echelon.envs.scenarios import sample
from echelon.envs.simulate import simulate
from echelon.experiments.web_beer_game import RULES, STAGES, Person, Setup, as_csv, course, played, read_query
from echelon.experiments.web_beer_reveal import bullwhip, hindsight_cost, load_trained, reveal
from echelon.experiments.web_beer_rules import Sterman, central_base_stock

SETUPS = [Setup(stage=stage, demand=demand, seed=7) for stage in STAGES for demand in ("step", "random")]
ORDERS = tuple(int(x) for x in np.random.default_rng(3).integers(0, 20, 36))


@pytest.mark.parametrize("setup", SETUPS, ids=lambda setup: f"{setup.stage}-{setup.demand}")
@pytest.mark.parametrize("partner", RULES)
def test_a_played_game_costs_what_the_engine_charges_for_the_same_orders(setup: Setup, partner: str) -> None:
    setup = replace(setup, partner=partner)
    person = Person(ORDERS, setup.link, setup.rule(partner))
    outcome = simulate(setup.problem, person, setup.scenarios, backend="specification", trace=True, check=True)
    game = played(setup, ORDERS)
    assert outcome.trace is not None
    assert game.cost == pytest.approx(36 * float(outcome.cost[0]), rel=1e-12)
    assert game.holding.sum() == pytest.approx(36 * float(outcome.costs["holding"].sum()), rel=1e-12)
    np.testing.assert_array_equal(game.ordered, outcome.trace.ordered[0])
    np.testing.assert_array_equal(game.ordered[:, setup.link], ORDERS)
    stock = outcome.trace.on_hand[0, :, -1] - outcome.trace.backorders[0, :, 0]
    np.testing.assert_array_equal(game.net_stock[:, -1], stock)
    np.testing.assert_array_equal(game.incoming[:, -1], outcome.trace.demand[0, :, 0])


def test_a_week_on_the_desk_is_a_week_on_the_board() -> None:
    """An order is in the mail for a week and on the way for two: what is asked is what the next stage wrote before."""
    game = played(Setup(stage="wholesaler", demand="random"), ORDERS)
    np.testing.assert_array_equal(game.incoming[1:, :3], game.ordered[:-1, 1:])
    np.testing.assert_array_equal(game.incoming[0, :3], np.zeros(3))
    np.testing.assert_array_equal(game.received[0], np.full(4, 4.0))
    np.testing.assert_array_equal(game.received[2:, 0], game.ordered[:-2, 0])
    start = 12.0 + np.cumsum(game.received - game.incoming, axis=0)
    np.testing.assert_array_equal(game.net_stock, start)


def test_a_game_goes_on_as_it_began() -> None:
    setup = Setup(stage="distributor", partner="sterman", demand="random")
    whole, part = played(setup, ORDERS), played(setup, ORDERS[:10])
    np.testing.assert_array_equal(whole.ordered[:10], part.ordered)
    assert part.cost == pytest.approx(float((whole.holding + whole.stockout)[:10].sum()))
    np.testing.assert_array_equal(part.arrived, whole.received[10])


def test_a_class_with_one_seed_has_one_demand_and_with_two_seeds_has_two() -> None:
    demands = [
        played(Setup(stage=s, demand="random", seed=k), ORDERS).incoming[:, -1]
        for s, k in (("retailer", 5), ("factory", 5), ("retailer", 6))
    ]
    np.testing.assert_array_equal(demands[0], demands[1])
    assert (demands[0] != demands[2]).any()


@pytest.mark.parametrize("costs", ["board", "rising"])
def test_clark_and_scarf_with_orders_in_the_mail_is_the_best_of_all_echelon_levels(costs: str) -> None:
    """No level can be moved by two cases without paying more, on common random numbers."""
    rising = {"holding_cost": [0.2, 0.3, 0.4, 0.5]} if costs == "rising" else {}
    problem = make_problem(
        "echelon/BeerGame-v0", periods=2_000, warm_up=100, demand={"law": "poisson", "mean": 8}, **rising
    )
    best = central_base_stock(problem.network, Poisson(mean=8))
    scenarios = sample(problem.network, periods=2_000, replications=150, seed=3)
    base = simulate(problem, best, scenarios).cost
    links = range(4) if costs == "rising" else range(1)  # with equal costs the levels downstream are not unique
    for link in links:
        for by in (-3.0, 3.0):
            levels = best.up_to + by * (np.arange(4) == link if costs == "rising" else 1.0)
            moved: OrderUpTo = replace(best, up_to=levels, reorder=levels)
            difference = simulate(problem, moved, scenarios).cost - base
            assert difference.mean() > 3 * difference.std(ddof=1) / math.sqrt(len(base)), (link, by)


def test_with_equal_costs_the_chain_is_a_newsvendor_of_nine_weeks() -> None:
    """All 8 weeks of transport and one of review, critical ratio 1 / 1.5: 76 cases, at 4.668 a week."""
    problem = make_problem("echelon/BeerGame-v0", periods=3_000, warm_up=200, demand={"law": "poisson", "mean": 8})
    best = central_base_stock(problem.network, Poisson(mean=8))
    assert best.up_to.tolist() == [76.0] * 4
    cost = simulate(problem, best, sample(problem.network, periods=3_000, replications=300, seed=1)).cost
    error = float(cost.std(ddof=1)) / math.sqrt(300)
    assert abs(float(cost.mean()) - 4.668088) < 3 * error
    assert error < 0.003 * 4.668


def test_sterman_rule_orders_by_the_formula_of_the_paper() -> None:
    """Week 1: net stock 16 (4 have come in), 4 on the way; week 2 is worked out by hand from week 1."""
    setup = Setup(demand="step")
    game = course(setup.problem, Sterman(), setup.scenarios, 2)
    first = round(4 + 0.26 * (17 - 16 - 0.34 * 4))
    assert game.ordered[0].tolist() == [first] * 4 == [4.0] * 4
    # Upstream nothing was asked, and 4 came in; the retailer sold 4. All have ordered 4 and 4 were on the way.
    upstream = round(0.64 * 4 + 0.26 * (17 - 20 - 0.34 * 4))
    retailer = round(4 + 0.26 * (17 - 16 - 0.34 * 4))
    assert game.ordered[1].tolist() == [upstream, upstream, upstream, retailer] == [1.0, 1.0, 1.0, 4.0]


def test_sterman_rule_begins_anew_with_every_game() -> None:
    setup, rule = Setup(demand="random"), Sterman()
    first = course(setup.problem, rule, setup.scenarios).ordered
    np.testing.assert_array_equal(first, course(setup.problem, rule, setup.scenarios).ordered)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_hindsight_is_the_optimum_of_the_known_demand(seed: int) -> None:
    """Against the whole-number programme and the engine that carries it out, for 16 weeks of the drawn demand."""
    setup = Setup(demand="random", weeks=16, seed=seed)
    values = tuple(setup.scenarios.demand[0, :, 0])
    known = make_problem("echelon/BeerGame-v0", periods=16, demand={"law": "deterministic", "values": values})
    best = open_loop_optimum(known).model_cost
    assert best is not None
    assert hindsight_cost(setup) == pytest.approx(16 * best, rel=1e-9)


def test_hindsight_finds_the_published_optimum_of_the_classic_game() -> None:
    """`sterman1989/beer-game`: 2.48 a week over 50 weeks."""
    assert hindsight_cost(Setup(weeks=50)) == pytest.approx(2.48 * 50, rel=1e-9)


@pytest.mark.parametrize("setup", SETUPS[::3], ids=lambda setup: f"{setup.stage}-{setup.demand}")
def test_no_line_of_the_reveal_is_below_hindsight(setup: Setup) -> None:
    outcome = reveal(setup, ORDERS)
    assert outcome.scores[0].name == "You"
    assert outcome.person.course.cost == pytest.approx(played(setup, ORDERS).cost)
    assert outcome.optimum == next(s.course.cost for s in outcome.scores if s.name.startswith("Optimal"))
    for score in outcome.scores:
        assert score.course.cost >= outcome.hindsight - 1e-9
        assert score.above == pytest.approx(100 * (score.course.cost / outcome.optimum - 1))
        np.testing.assert_array_equal(score.course.incoming[:, -1], outcome.person.course.incoming[:, -1])


def test_the_bullwhip_is_the_variance_of_orders_over_that_of_demand() -> None:
    game = played(Setup(stage="retailer"), ORDERS)
    demand = np.array([4.0] * 4 + [8.0] * 32)
    assert bullwhip(game)[3] == pytest.approx(np.var(ORDERS) / np.var(demand))
    constant = replace(game, incoming=np.full((36, 4), 8.0))
    assert bullwhip(constant) == (None,) * 4


def test_people_amplify_demand_from_stage_to_stage_and_pay_for_it() -> None:
    """What the game is for: Sterman's rule has a bullwhip that grows upwards and costs many times the optimum."""
    outcome = reveal(Setup(), ORDERS)
    people = next(score for score in outcome.scores if "Sterman" in score.name)
    whip = [value or 0.0 for value in people.bullwhip]
    assert whip == sorted(whip, reverse=True)
    assert people.course.cost > 5 * outcome.optimum


@pytest.mark.parametrize("setup", SETUPS, ids=lambda setup: f"{setup.stage}-{setup.demand}")
def test_an_address_holds_the_whole_game(setup: Setup) -> None:
    pairs = dict(pair.split("=") for pair in setup.query(ORDERS).split("&"))
    assert read_query(pairs) == (setup, ORDERS)


def test_an_empty_address_is_the_classic_game() -> None:
    assert read_query({}) == (Setup(), ())


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"stage": "brewer"}, "stage must be one of factory, distributor, wholesaler, retailer (got 'brewer')"),
        ({"partner": "<img src=x>"}, "partner must be one of base_stock, clark_scarf, sterman (got '<img src=x>')"),
        ({"weeks": "3"}, "weeks must be a whole number from 4 to 104 (got 3)"),
        ({"weeks": "1e9"}, "weeks must be whole numbers (got '1e9')"),
        ({"seed": "-1"}, "seed must be whole numbers (got '-1')"),
        ({"seed": "99999999999"}, "seed must be whole numbers (got '99999999999')"),
        ({"orders": "4.4.x"}, "orders must be whole numbers (got 'x')"),
        ({"orders": "10000"}, "an order must be from 0 to 9,999 cases (got 10000)"),
        ({"weeks": "4", "orders": "1.1.1.1.1"}, "orders must be at most one a week, 4 (got 5)"),
    ],
)
def test_a_broken_address_is_told_apart(query: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_query(query)
    assert str(caught.value).startswith(message)


def test_the_table_of_a_game_has_a_row_for_every_policy_week_and_stage() -> None:
    setup = Setup(weeks=12)
    outcome = reveal(setup, ORDERS[:12])
    rows = list(csv.DictReader(io.StringIO(as_csv(outcome.courses()))))
    assert len(rows) == len(outcome.scores) * 12 * 4
    mine = [row for row in rows if row["policy"] == "You" and row["stage"] == "retailer"]
    assert [int(row["ordered"]) for row in mine] == list(ORDERS[:12])
    assert sum(float(row["chain_cost"]) for row in mine) == pytest.approx(outcome.person.course.cost)


def test_a_folder_without_a_policy_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--policy: must be the folder of a trained policy"):
        load_trained([tmp_path / "absent"])


def test_a_trained_policy_joins_the_reveal_and_pays_what_the_engine_charges(tmp_path: Path) -> None:
    from echelon.agents import train_pathwise

    problem = make_problem("echelon/BeerGame-v0", periods=20, demand={"law": "poisson", "mean": 8})
    settings = {"batch": (16, 16), "hidden": (4,), "unroll": 8}
    training = train_pathwise(problem, steps=3, settings=settings, evaluations=1, validation_replications=10)
    training.policy.save(tmp_path / "mine")
    policies = load_trained([tmp_path / "mine"])
    setup = Setup(demand="random", weeks=12)
    score = reveal(setup, ORDERS[:12], policies).scores[-1]
    assert score.name == "Trained: mine"
    cost = simulate(setup.problem, training.policy, setup.scenarios).cost
    assert score.course.cost == pytest.approx(12 * float(cost[0]))


def test_a_policy_of_another_problem_cannot_play(tmp_path: Path) -> None:
    from echelon.agents import train_pathwise

    settings = {"batch": (16, 16), "hidden": (4,), "unroll": 8}
    problem = make_problem("echelon/LostSales-v0")
    training = train_pathwise(problem, steps=2, settings=settings, evaluations=1, validation_replications=10)
    training.policy.save(tmp_path / "other")
    with pytest.raises(ConfigError, match="other must be trained on echelon/BeerGame-v0"):
        load_trained([tmp_path / "other"])
