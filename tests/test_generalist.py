"""One policy for many problems: union of problems, zero-shot use, checkpoints, refusals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from echelon.agents.actors import PathwiseActor
from echelon.agents.architectures import Architecture
from echelon.agents.generalist import GeneralistActor, train_generalist
from echelon.agents.generalist_union import cost_level, union
from echelon.agents.learned import LearnedPolicy
from echelon.agents.support import OutsideTrainingWarning
from echelon.agents.training import Training
from echelon.baselines.lost_sales_levels import lost_sales_base_stock
from echelon.baselines.lost_sales_policy_cost import lost_sales_policy_cost
from echelon.envs.catalogue import make_problem
from echelon.envs.dynamics import initial_state
from echelon.envs.errors import ConfigError, MethodError
from echelon.envs.policy import order_up_to
from echelon.envs.problem import Problem
from echelon.envs.simulate import simulate_stream

NORMAL = {"law": "normal", "mean": 10.0, "sd": 2.0}
TRAINED = 100
"""Updates of a training of a few seconds."""
BODIES: tuple[Any, ...] = ("shared", "graph")


def lost_sales(lead_time: int, stockout_cost: float, mean: float, **rest: Any) -> Problem:
    return make_problem(
        "echelon/LostSales-v0",
        lead_time=lead_time,
        stockout_cost=stockout_cost,
        demand={"law": "poisson", "mean": mean},
        periods=300,
        **rest,
    )


@pytest.fixture(scope="module")
def trained() -> Training:
    """A generalist of a few seconds, trained on lead times 1, 3 and 4."""
    problems = [
        lost_sales(lead_time, cost, mean)
        for lead_time in (1, 3, 4)
        for cost, mean in ((4.0, 4.0), (4.0, 8.0), (15.0, 4.0), (15.0, 8.0))
    ]
    settings = {"body": "shared", "hidden": (24, 24), "batch": (24, 24), "unroll": 12, "tail": 7}
    return train_generalist(problems, steps=TRAINED, settings=settings, evaluations=1)


def test_unseen_instances_cost_less_than_under_the_best_base_stock_level(trained: Training) -> None:
    for lead_time, cost, mean in ((2, 9.0, 6.0), (2, 6.0, 5.0)):
        problem = lost_sales(lead_time, cost, mean)
        policy = trained.policy.for_network(problem.network)
        best = lost_sales_base_stock(problem).model_cost
        assert best is not None
        assert lost_sales_policy_cost(problem, policy.actor.orders, tolerance=1e-3).high < best


def test_a_network_outside_of_the_training_is_told(trained: Training) -> None:
    with pytest.warns(OutsideTrainingWarning, match="lead_time of a link: trained on 1 to 4, used on 7"):
        trained.policy.for_network(lost_sales(7, 9.0, 5.0).network)
    assert trained.policy.differences(lost_sales(2, 9.0, 5.0).network) == ()


def test_a_checkpoint_orders_the_same_also_on_other_networks(trained: Training, tmp_path: Path) -> None:
    trained.policy.save(tmp_path)
    loaded = LearnedPolicy.load(tmp_path)
    network = lost_sales(2, 9.0, 5.0).network
    state = initial_state(network, 3)
    np.testing.assert_array_equal(loaded.for_network(network)(state), trained.policy.for_network(network)(state))
    assert loaded.actor.kind == "generalist"


def test_the_same_seed_trains_the_same_policy_and_a_break_changes_nothing(tmp_path: Path) -> None:
    problems = [lost_sales(1, 4.0, 5.0), make_problem("echelon/OneWarehouse-v0", retailers=2, periods=300)]

    def weights(**rest: Any) -> dict[str, torch.Tensor]:
        settings = {"hidden": (8, 8), "batch": (16, 16), "unroll": 6, "tail": 4}
        training = train_generalist(
            problems, steps=6, settings=settings, evaluations=2, validation_replications=2, **rest
        )
        return training.policy.actor.state_dict()

    class Broken(Exception):
        pass

    def break_off(update: int, _: float) -> None:
        if update == 4:
            raise Broken

    with pytest.raises(Broken):
        weights(checkpoint=tmp_path, on_progress=break_off)
    one, other = weights(), weights(checkpoint=tmp_path)
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_the_cost_of_a_union_is_the_sum_of_relative_costs() -> None:
    problems = [lost_sales(2, 4.0, 5.0, warm_up=50), make_problem("echelon/OneWarehouse-v0", periods=300, warm_up=50)]
    levels = [[15.0], [40.0, 12.0, 12.0, 12.0]]
    together = union(problems)
    apart = [
        simulate_stream(p, order_up_to(p.network, x, position="echelon"), replications=2_000, seed=0).cost
        / cost_level(p)
        for p, x in zip(problems, levels, strict=True)
    ]
    whole = simulate_stream(
        together,
        order_up_to(together.network, [*levels[0], *levels[1]], position="echelon"),
        replications=2_000,
        seed=1,
    ).cost
    error = np.sqrt(sum(costs.var() for costs in [*apart, whole]) / 2_000)
    assert abs(whole.mean() - sum(costs.mean() for costs in apart)) < 3 * error
    assert error < 0.003 * whole.mean()


@pytest.mark.parametrize("body", BODIES)
def test_parts_of_a_union_are_ordered_for_as_alone(body: Any) -> None:
    problems = [lost_sales(2, 4.0, 5.0), make_problem("echelon/OneWarehouse-v0", retailers=2, periods=300)]
    together = union(problems)
    actor = GeneralistActor(together.network, "levels", Architecture(body, (8, 8)))
    alone = [GeneralistActor.restored(p.network, actor.record(), actor.state_dict()) for p in problems]
    orders = actor.orders(initial_state(together.network, 2))
    np.testing.assert_array_equal(
        orders, np.concatenate([part.orders(initial_state(part.network, 2)) for part in alone], 1)
    )


def test_an_untrained_generalist_orders_up_to_a_newsvendors_levels() -> None:
    problem = make_problem("echelon/SingleLocation-v0", fixed_cost=0.0, lead_time=2, stockout_cost=19.0)
    actor = GeneralistActor(problem.network, "levels", Architecture("graph", (8, 8)))
    with torch.no_grad():
        [*actor.body.parameters()][-2].zero_()
    level = order_up_to(problem.network, np.rint(actor.centre.numpy()))
    state = initial_state(problem.network, 1)
    assert abs(actor.orders(state) - level(state)).max() <= 1


def test_a_generalist_needs_weights_that_links_share() -> None:
    with pytest.raises(MethodError, match=r"a generalist needs a body whose weights links share.*got 'mlp'"):
        train_generalist([lost_sales(1, 4.0, 5.0)], steps=1, settings={"body": "mlp"})


def test_weights_of_a_network_of_one_shape_do_not_fit_another() -> None:
    actor = PathwiseActor(lost_sales(1, 4.0, 5.0).network, "orders", Architecture())
    with pytest.raises(ConfigError, match="does not fit"):
        LearnedPolicy(actor, "pathwise").for_network(lost_sales(2, 4.0, 5.0).network)


@pytest.mark.parametrize(
    ("problems", "message"),
    [
        ([], "a generalist needs at least one problem to train on"),
        (
            [lost_sales(1, 4.0, 5.0), make_problem("echelon/SingleLocation-v0", fixed_cost=0.0, demand=NORMAL)],
            r"must have the same units \(got whole, continuous\)",
        ),
        (
            [lost_sales(1, 4.0, 5.0), lost_sales(1, 4.0, 5.0, warm_up=0)],
            r"must have the same horizon, where there is no warm-up \(got 0, 300\)",
        ),
        ([make_problem("echelon/SingleLocation-v0")], "pathwise gradients need costs without steps"),
    ],
)
def test_problems_that_do_not_go_together_are_refused(problems: list[Problem], message: str) -> None:
    with pytest.raises(MethodError, match=message):
        train_generalist(problems, steps=1)
