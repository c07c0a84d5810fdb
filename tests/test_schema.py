"""The JSON Schema of a config: a valid schema that takes every good config and refuses what an editor can see."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from echelon.baselines import BASELINES
from echelon.envs.catalogue import PROBLEMS
from echelon.envs.errors import ConfigError
from echelon.envs.instances import INSTANCES
from echelon.envs.yaml_io import load_yaml
from echelon.experiments.cli import main
from echelon.experiments.config import Config, PolicyConfig, ProblemConfig
from echelon.experiments.document import ConfigDocument, ProblemDocument
from echelon.experiments.grid import load_grid
from echelon.experiments.schema import config_schema

CONFIGS = Path(__file__).parents[1] / "configs"
SCHEMA = config_schema()
VALIDATOR = Draft202012Validator(SCHEMA)

SHOP: dict[str, Any] = {
    "name": "tiny",
    "problems": {
        "shop": {
            "id": "echelon/LostSales-v0",
            "parameters": {"lead_time": 1},
            "policies": {"base": {"baseline": "base_stock"}, "learner": {"agent": "ppo", "steps": 4000}},
        }
    },
}


def changed(path: str, value: Any) -> dict[str, Any]:
    """The config with one value replaced, added, or, if it is `...`, removed."""
    data: dict[str, Any] = json.loads(json.dumps(SHOP))
    inside = data
    *above, last = path.split(".")
    for key in above:
        inside = inside[key]
    if value is ...:
        del inside[last]
    else:
        inside[last] = value
    return data


def test_it_is_a_schema_of_the_draft_that_it_names() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def test_a_document_has_every_key_of_a_run() -> None:
    assert Config.model_fields.keys() <= ConfigDocument.model_fields.keys()
    assert ProblemConfig.model_fields.keys() <= ProblemDocument.model_fields.keys()


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.name)
def test_every_shipped_config_is_valid(path: Path) -> None:
    assert [error.message for error in VALIDATOR.iter_errors(load_yaml(path).data)] == []


def test_every_name_is_known_with_what_it_is_for() -> None:
    policy = SCHEMA["$defs"]["PolicyConfig"]["properties"]
    names, _ = SCHEMA["$defs"]["ProblemDocument"]["properties"]["id"]["anyOf"]
    assert policy["baseline"]["enum"] == policy["start"]["enum"] == list(BASELINES)
    assert names["enum"] == [*PROBLEMS, *INSTANCES]
    for known in (policy["baseline"], names):
        assert len(known["enumDescriptions"]) == len(known["enum"])
        assert all(known["enumDescriptions"])


@pytest.mark.parametrize("model", [ConfigDocument, ProblemDocument, PolicyConfig])
def test_every_key_says_what_it_is_for(model: Any) -> None:
    assert all(field.description for field in model.model_fields.values())


GOOD = [
    ("seeds", [0, 1]),
    ("sweep", {"problems.shop.parameters.lead_time": [1, 2]}),
    ("extends", "quickstart.yaml"),
    ("policies", {"exact": {"baseline": "clark_scarf", "where_it_applies": True}}),
    ("precision", 0.1),
    ("problems.shop.policies.learner", {"agent": "ppo", "start": "base_stock", "start_options": {"levels": [9]}}),
    ("problems.L{lead_time}", {"id": "zipkin2008/poisson-L{lead_time}-p4", "each": {"lead_time": [1]}}),
    ("problems.shop.parameters.demand", {"law": "poisson", "mean": 3}),
]


@pytest.mark.parametrize(("path", "value"), GOOD, ids=[path for path, _ in GOOD])
def test_the_keys_of_a_document_are_valid(path: str, value: Any) -> None:
    assert [error.message for error in VALIDATOR.iter_errors(changed(path, value))] == []


BROKEN = [
    ("name", "../x"),
    ("name", "<script>"),
    ("name", ...),
    ("problems", ...),
    ("problems", {}),
    ("problems.shop", None),
    ("problems.a/b", {"id": "echelon/Serial-v0"}),
    ("replication", 20),
    ("replications", 1),
    ("replications", "many"),
    ("confidence", 95),
    ("precision", 0),
    ("seed", -1),
    ("seeds", []),
    ("seeds", 3),
    ("sweep", {"replications": 30}),
    ("sweep", {"replications": []}),
    ("extends", 7),
    ("policies", {"a/b": {"baseline": "base_stock"}}),
    ("problems.shop.id", "echelon/LostSale-v0"),
    ("problems.shop.id", ...),
    ("problems.shop.paramters", {}),
    ("problems.shop.each", {"lead_time": []}),
    ("problems.shop.parameters.leadtime", 1),
    ("problems.shop.parameters.lead_time", "one"),
    ("problems.shop.policies.base", None),
    ("problems.shop.policies.base", "base_stock"),
    ("problems.shop.policies.base.baseline", "base_stok"),
    ("problems.shop.policies.base.options", {"level": [3]}),
    ("problems.shop.policies.base.options", {"levels": 3}),
    ("problems.shop.policies.base.agent", "ppo"),
    ("problems.shop.policies.learner.agent", "pp0"),
    ("problems.shop.policies.learner.agent", ...),
    ("problems.shop.policies.learner.steps", 0),
    ("problems.shop.policies.learner.step", 10),
    ("problems.shop.policies.learner.start", "base_stok"),
    ("problems.shop.policies.learner.decision", "level"),
    ("problems.shop.policies.learner.where_it_applies", "sometimes"),
]


@pytest.mark.parametrize(("path", "value"), BROKEN, ids=[f"{path}={value}" for path, value in BROKEN])
def test_what_a_schema_can_see_is_refused_by_it_and_by_the_reader(path: str, value: Any, tmp_path: Path) -> None:
    data = changed(path, value)
    assert not VALIDATOR.is_valid(data)
    (tmp_path / "exp.yaml").write_text(json.dumps(data), encoding="utf-8")
    with pytest.raises(ConfigError):
        load_grid(tmp_path / "exp.yaml")


def test_a_config_that_extends_another_may_leave_out_and_remove() -> None:
    partial = {"extends": "quickstart.yaml", "problems": {"serial": None, "lost sales": {"policies": {"PPO": None}}}}
    assert VALIDATOR.is_valid(partial)
    assert VALIDATOR.is_valid(
        {"extends": "quickstart.yaml", "problems": {"serial": {"policies": {"PPO": {"steps": 9}}}}}
    )
    del partial["extends"]
    assert not VALIDATOR.is_valid(partial)


def test_the_command_prints_it_or_writes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments in ([], ["--out", str(tmp_path / "schema.json")]):
        monkeypatch.setattr(sys, "argv", ["echelon", "schema", *arguments])
        with pytest.raises(SystemExit) as caught:
            main()
        assert not caught.value.code
    assert json.loads(capsys.readouterr().out) == SCHEMA
    assert json.loads((tmp_path / "schema.json").read_text(encoding="utf-8")) == SCHEMA
