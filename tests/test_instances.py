"""Published instances: they can be built, run by the same name everywhere, and say what is known of their best cost."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from echelon.baselines import make_plan
from echelon.envs.catalogue import PROBLEMS, make_problem
from echelon.envs.errors import ConfigError
from echelon.envs.gym_env import make_env
from echelon.envs.instances import INSTANCES
from echelon.experiments.cli import app
from echelon.experiments.config import ProblemConfig

# Instances without a reference: their publication gives costs in a convention that cannot be reproduced.
WITHOUT_REFERENCE = {name for name in INSTANCES if name.startswith("kaynov2024/")}


@pytest.mark.parametrize("name", INSTANCES)
def test_an_instance_has_its_reference_and_its_citation(name: str) -> None:
    problem, instance = make_problem(name), INSTANCES[name]
    assert problem.citation == instance.citation
    assert (problem.reference is None) == (name in WITHOUT_REFERENCE)
    assert problem.parameters == dict(instance.parameters)


def test_the_whole_of_every_published_bed_is_there() -> None:
    beds = {name.split("/")[0] for name in INSTANCES}
    counts = {bed: sum(name.startswith(f"{bed}/") for name in INSTANCES) for bed in beds}
    assert counts["gijsbrechts2022"] == 8
    assert counts["de_moor2022"] == 32
    assert counts["zheng_federgruen1991"] == 24
    for demand in ("poisson", "geometric"):
        bed = {f"zipkin2008/{demand}-L{lead}-p{p}" for lead in range(1, 7) for p in (4, 9, 19, 39)}
        assert bed <= INSTANCES.keys()


def test_the_horizon_of_an_instance_may_change_and_nothing_else_without_losing_the_reference() -> None:
    name = "zipkin2008/poisson-L2-p9"
    assert make_problem(name, periods=50, warm_up=5).reference == make_problem(name).reference
    assert make_problem(name, stockout_cost=10.0).reference is None
    assert make_problem(name, stockout_cost=4.0).reference == make_problem("zipkin2008/poisson-L2-p4").reference


def test_the_optimum_of_the_beer_game_is_that_of_its_own_weeks() -> None:
    assert make_problem("sterman1989/beer-game").reference is not None
    assert make_problem("sterman1989/beer-game", periods=100).reference is None


def test_an_unknown_instance_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ConfigError, match="did you mean 'zipkin2008/poisson-L4-p"):
        make_problem("zipkin2008/poisson-L4-p5")
    with pytest.raises(ConfigError, match="lead_times: unknown key; did you mean 'lead_time'"):
        make_problem("zipkin2008/poisson-L4-p4", lead_times=3)


def test_an_instance_is_an_environment_and_a_problem_of_a_config() -> None:
    environment = make_env("zipkin2008/poisson-L4-p4")
    assert environment.problem.network == make_problem("zipkin2008/poisson-L4-p4").network
    section = {"id": "zipkin2008/poisson-L2-p9", "policies": {"level": {"baseline": "base_stock"}}}
    assert ProblemConfig.model_validate(section).problem.network.links[0].lead_time == 2


def test_the_list_as_json_holds_every_problem_and_instance_with_its_reference() -> None:
    ended = CliRunner().invoke(app, ["problems", "--json"])
    records = {record["id"]: record for record in json.loads(ended.output)}
    assert list(records) == [*PROBLEMS, *INSTANCES]
    zipkin = records["zipkin2008/poisson-L4-p4"]
    assert zipkin["problem"] == "echelon/LostSales-v0"
    assert zipkin["parameters"] == {"lead_time": 4, "stockout_cost": 4.0, "demand": "poisson"}
    assert zipkin["reference"]["kind"] == "optimal"
    assert zipkin["reference"]["value"] == pytest.approx(4.7285, abs=1e-4)
    assert records["kaynov2024/instance-1"]["published"]["cost per period, PPO"] == 16.372


def test_the_list_as_text_ends_with_the_instances() -> None:
    lines = CliRunner().invoke(app, ["problems"]).output.splitlines()
    assert [line.split()[0] for line in lines[-len(INSTANCES) :]] == list(INSTANCES)


def is_quick(name: str) -> bool:
    """Whether the optimum takes a second or less to compute."""
    parameters = INSTANCES[name].parameters
    many_states = name.startswith("de_moor2022/") and parameters["shelf_life"] + parameters["lead_time"] > 5
    return name not in WITHOUT_REFERENCE and not many_states and parameters.get("lead_time", 0) not in (5, 6, 7, 8)


@pytest.mark.parametrize("name", [*filter(is_quick, INSTANCES)])
def test_the_reference_of_an_instance_is_what_an_exact_method_computes(name: str) -> None:
    problem = make_problem(name)
    assert problem.reference is not None
    plan = make_plan("optimal", problem)
    assert plan.optimal
    assert plan.model_cost == pytest.approx(problem.reference.value, abs=1.1e-5)
