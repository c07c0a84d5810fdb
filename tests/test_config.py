"""Experiment configs: what the reader of a broken one is told, by file, line, key and rule, all of it at once."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from echelon.envs.catalogue import make_problem
from echelon.envs.errors import ConfigError
from echelon.envs.yaml_io import load_yaml
from echelon.experiments.cli import main
from echelon.experiments.config import Config, find_config, load_config

CONFIGS = Path(__file__).parents[1] / "configs"
SHOP = """\
name: tiny
seed: 1
replications: 20
problems:
  shop:
    id: echelon/LostSales-v0
    parameters: {lead_time: 1}
    policies:
      base: {baseline: base_stock}
      learner: {agent: ppo, steps: 4000}
"""
NAME = "must match the pattern ^[A-Za-z0-9][A-Za-z0-9 _()+-]*$"


def write(folder: Path, text: str) -> Path:
    path = folder / "exp.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def load(folder: Path, text: str = SHOP, *overrides: str) -> Config:
    return load_config(write(folder, text), overrides)


def problems(folder: Path, text: str = SHOP, *overrides: str) -> list[str]:
    """What the reader of a config is told, with the folder left out."""
    with pytest.raises(ConfigError) as caught:
        load(folder, text, *overrides)
    assert str(caught.value) == "\n".join(caught.value.problems)
    return [problem.replace(f"{folder}/", "") for problem in caught.value.problems]


def edit(*pairs: tuple[str, str]) -> str:
    """The config with each first text replaced by the second; every first one must be there."""
    text = SHOP
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    return text


BROKEN: dict[str, tuple[str, list[str]]] = {
    "a misspelt key at the top": (
        edit(("replications", "replication")),
        ["exp.yaml:3: replication: unknown key; did you mean 'replications'?"],
    ),
    "a key of nowhere": (
        SHOP + "zzz: 3\n",
        [
            "exp.yaml:11: zzz: unknown key; known: confidence, extends, most_replications, name, policies, precision, "
            "problems, replications, seed, seeds, sweep"
        ],
    ),
    "a misspelt key of a problem": (
        edit(("parameters:", "paramters:")),
        ["exp.yaml:7: problems.shop.paramters: unknown key; did you mean 'parameters'?"],
    ),
    "a misspelt key of a policy": (
        edit(("steps:", "step:")),
        ["exp.yaml:10: problems.shop.policies.learner.step: unknown key; did you mean 'steps'?"],
    ),
    "a misspelt parameter": (
        edit(("lead_time:", "leadtime:")),
        ["exp.yaml:7: problems.shop.parameters.leadtime: unknown key; did you mean 'lead_time'?"],
    ),
    "a misspelt option of a baseline": (
        edit(("base_stock}", "base_stock, options: {level: [12]}}")),
        ["exp.yaml:9: problems.shop.policies.base.options.level: unknown key; did you mean 'levels'?"],
    ),
    "an option that is not the user's to set": (
        edit(("base_stock}", "base_stock, options: {scenarios: 3}}")),
        ["exp.yaml:9: problems.shop.policies.base.options.scenarios: unknown key; known: levels"],
    ),
    "an unknown problem": (
        edit(("LostSales", "LostSale")),
        [
            "exp.yaml:6: problems.shop.id: unknown problem (got 'echelon/LostSale-v0'); "
            "did you mean 'echelon/LostSales-v0'?"
        ],
    ),
    "an unknown baseline": (
        edit(("base_stock", "base_stok")),
        [
            "exp.yaml:9: problems.shop.policies.base.baseline: unknown baseline (got 'base_stok'); "
            "did you mean 'base_stock'?"
        ],
    ),
    "an unknown agent": (
        edit(("ppo", "pp0")),
        [
            "exp.yaml:10: problems.shop.policies.learner.agent: must be 'pathwise', 'controlled', 'ppo', 'a2c', "
            "'trpo', 'sac', 'td3', 'tqc', 'dqn' or 'qrdqn'; did you mean 'ppo'? (got 'pp0')"
        ],
    ),
    "a baseline and an agent": (
        edit(("agent: ppo", "agent: ppo, baseline: base_stock")),
        ["exp.yaml:10: problems.shop.policies.learner: must have exactly one of the keys 'baseline' and 'agent'"],
    ),
    "neither baseline nor agent": (
        edit(("agent: ppo, ", "")),
        ["exp.yaml:10: problems.shop.policies.learner: must have exactly one of the keys 'baseline' and 'agent'"],
    ),
    "a baseline that does not apply": (
        edit(("baseline: base_stock", "baseline: clark_scarf")),
        ["exp.yaml:9: problems.shop.policies.base.baseline: clark_scarf needs backorders at every outlet"],
    ),
    "words for a whole number": (
        edit(("20", "many")),
        ["exp.yaml:3: replications: must be a whole number (got 'many')"],
    ),
    "a fraction for a whole number": (
        edit(("20", "20.5")),
        ["exp.yaml:3: replications: must be a whole number (got 20.5)"],
    ),
    "a single replication": (edit(("20", "1")), ["exp.yaml:3: replications: must be at least 2 (got 1)"]),
    "a negative seed": (edit(("seed: 1", "seed: -1")), ["exp.yaml:2: seed: must be at least 0 (got -1)"]),
    "a word that YAML 1.1 took for false": (
        edit(("seed: 1", "seed: no")),
        ["exp.yaml:2: seed: must be a whole number (got 'no')"],
    ),
    "a truth value for a number": (
        edit(("seed: 1", "seed: true")),
        ["exp.yaml:2: seed: must be a whole number (got True)"],
    ),
    "a number beyond all bounds": (
        edit(("seed: 1", "seed: 1e400")),
        ["exp.yaml:2: seed: must be a whole number (got inf)"],
    ),
    "confidence in percent": (SHOP + "confidence: 95\n", ["exp.yaml:11: confidence: must be less than 1 (got 95)"]),
    "confidence that is not a number": (
        SHOP + "confidence: .nan\n",
        ["exp.yaml:11: confidence: must be less than 1 (got nan)"],
    ),
    "no steps": (
        edit(("4000", "0")),
        ["exp.yaml:10: problems.shop.policies.learner.steps: must be at least 1 (got 0)"],
    ),
    "no copies": (
        edit(("4000", "4000, copies: 0")),
        ["exp.yaml:10: problems.shop.policies.learner.copies: must be at least 1 (got 0)"],
    ),
    "a misspelt decision": (
        edit(("4000", "4000, decision: level")),
        [
            "exp.yaml:10: problems.shop.policies.learner.decision: must be 'orders' or 'levels'; "
            "did you mean 'levels'? (got 'level')"
        ],
    ),
    "settings that are a list": (
        edit(("4000", "4000, settings: [1]")),
        ["exp.yaml:10: problems.shop.policies.learner.settings: must be a mapping of keys to values (got [1])"],
    ),
    "a path for a name": (edit(("name: tiny", "name: a/b")), [f"exp.yaml:1: name: {NAME} (got 'a/b')"]),
    "the folder above for a name": (edit(("name: tiny", "name: ..")), [f"exp.yaml:1: name: {NAME} (got '..')"]),
    "a number for a name": (
        edit(("name: tiny", "name: 7")),
        ["exp.yaml:1: name: must be text: put it in quotes (got 7)"],
    ),
    "a name of 61 characters": (
        edit(("name: tiny", f"name: {'a' * 61}")),
        [f"exp.yaml:1: name: must have at most 60 characters (got '{'a' * 56}...)"],
    ),
    "a path for a problem": (
        edit(("  shop:", "  ../shop:")),
        [f"exp.yaml:5: problems.../shop: {NAME} (got '../shop')"],
    ),
    "a path for a policy": (
        edit(("learner:", "a/../b:")),
        [f"exp.yaml:10: problems.shop.policies.a/../b: {NAME} (got 'a/../b')"],
    ),
    "no name for a policy": (
        edit(("learner:", "'':")),
        ["exp.yaml:10: problems.shop.policies.: must have at least 1 character (got '')"],
    ),
    "no name": (edit(("name: tiny\n", "")), ["exp.yaml:1: name: is required"]),
    "no problems": ("name: tiny\n", ["exp.yaml:1: problems: is required"]),
    "no id": (edit(("    id: echelon/LostSales-v0\n", "")), ["exp.yaml:5: problems.shop.id: is required"]),
    "a list of policies": (
        SHOP.partition("    policies")[0] + "    policies: [base_stock]\n",
        ["exp.yaml:8: problems.shop.policies: must be a mapping of keys to values (got ['base_stock'])"],
    ),
    "no policies": (
        SHOP.partition("    policies")[0] + "    policies: {}\n",
        ["exp.yaml:8: problems.shop.policies: must have at least 1 item (got {})"],
    ),
    "a name for a policy's mapping": (
        edit(("{baseline: base_stock}", "base_stock")),
        ["exp.yaml:9: problems.shop.policies.base: must be a mapping of keys to values (got 'base_stock')"],
    ),
    "a key given twice": (
        edit(("seed: 1", "seed: 1\nseed: 2")),
        ["exp.yaml:3: seed: the key is given twice, first on line 2"],
    ),
    "a policy given twice": (
        edit(("learner:", "base:")),
        ["exp.yaml:10: problems.shop.policies.base: the key is given twice, first on line 9"],
    ),
    "a tab for indentation": (
        edit(("  shop:", "\tshop:")),
        ["exp.yaml:5: not valid YAML: found character '\\t' that cannot start any token"],
    ),
    "an empty file": ("", ["exp.yaml:1: the file is empty; it must hold a mapping of keys to values"]),
    "a negative lead time": (
        edit(("lead_time: 1", "lead_time: -1")),
        ["exp.yaml:7: problems.shop.parameters: links.0.lead_time: must be at least 0 (got -1)"],
    ),
    "a parameter that is not a number": (
        edit(("lead_time: 1", "holding_cost: .nan")),
        ["exp.yaml:7: problems.shop.parameters: nodes.0.holding_cost: must be finite (got nan)"],
    ),
    "a misspelt demand law": (
        edit(("lead_time: 1", "demand: poison")),
        ["exp.yaml:7: problems.shop.parameters: unknown demand law 'poison'; did you mean 'poisson'?"],
    ),
    "a warm-up that outlasts the periods": (
        edit(("lead_time: 1", "periods: 50, warm_up: 100")),
        ["exp.yaml:7: problems.shop.parameters: warm_up must be at least 0 and below periods = 50 (got 100)"],
    ),
    "a network file that is not there": (
        edit(("LostSales", "Network"), ("lead_time: 1", "path: nowhere.yaml")),
        ["exp.yaml:7: problems.shop.parameters: nowhere.yaml: there is no such file"],
    ),
    "an agent that takes one decision on a network of many": (
        edit(("LostSales", "Serial"), ("agent: ppo", "agent: dqn")),
        [
            "exp.yaml:10: problems.shop.policies.learner.agent: dqn takes one decision a period; "
            "this network has 4 links"
        ],
    ),
    "defects at every level, in the order of the file": (
        edit(("seed: 1", "seed: -1"), ("20", "1"), ("base_stock", "base_stok"), ("4000", "0, copies: 0")),
        [
            "exp.yaml:2: seed: must be at least 0 (got -1)",
            "exp.yaml:3: replications: must be at least 2 (got 1)",
            "exp.yaml:9: problems.shop.policies.base.baseline: unknown baseline (got 'base_stok'); "
            "did you mean 'base_stock'?",
            "exp.yaml:10: problems.shop.policies.learner.steps: must be at least 1 (got 0)",
            "exp.yaml:10: problems.shop.policies.learner.copies: must be at least 1 (got 0)",
        ],
    ),
    "a problem and its policies, both broken": (
        edit(("LostSales", "LostSale"), ("base_stock", "base_stok")),
        [
            "exp.yaml:6: problems.shop.id: unknown problem (got 'echelon/LostSale-v0'); "
            "did you mean 'echelon/LostSales-v0'?",
            "exp.yaml:9: problems.shop.policies.base.baseline: unknown baseline (got 'base_stok'); "
            "did you mean 'base_stock'?",
        ],
    ),
    "a parameter and a policy, both broken": (
        edit(("lead_time: 1", "lead_tme: 1"), ("4000", "0")),
        [
            "exp.yaml:7: problems.shop.parameters.lead_tme: unknown key; did you mean 'lead_time'?",
            "exp.yaml:10: problems.shop.policies.learner.steps: must be at least 1 (got 0)",
        ],
    ),
    "two broken parameters": (
        edit(("lead_time: 1", "lead_time: -1, stockout_cost: -4")),
        [
            "exp.yaml:7: problems.shop.parameters: nodes.0.stockout_cost: must be at least 0 (got -4)",
            "exp.yaml:7: problems.shop.parameters: links.0.lead_time: must be at least 0 (got -1)",
        ],
    ),
}


@pytest.mark.parametrize("defect", BROKEN)
def test_a_broken_config_is_told_by_line_key_and_rule(defect: str, tmp_path: Path) -> None:
    text, expected = BROKEN[defect]
    assert problems(tmp_path, text) == expected


@pytest.mark.parametrize(
    ("identity", "parameter", "words"),
    [
        ("LostSales", "periods: lots", ["periods", "whole number", "'lots'"]),
        ("LostSales", "periods: 1100.5", ["periods", "whole number", "1100.5"]),
        ("LostSales", "demand: 3", ["demand", "must be", "3"]),
        ("LostSales", "demand: [1]", ["demand", "must be", "[1]"]),
        ("Serial", "holding_cost: 3", ["holding_cost", "must be", "3"]),
        ("OneWarehouse", "retailers: two", ["retailers", "whole number", "'two'"]),
        ("Network", "path: 3", ["path", "must be", "3"]),
    ],
)
def test_a_parameter_of_the_wrong_kind_is_told_in_plain_words(
    identity: str, parameter: str, words: list[str], tmp_path: Path
) -> None:
    (problem,) = problems(tmp_path, edit(("LostSales", identity), ("lead_time: 1", parameter)))
    assert problem.startswith("exp.yaml:7: problems.shop.parameters")
    assert all(word in problem for word in words), problem


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("4000", "4000, options: {n_steps: 16}", "learner.options"),
        ("base_stock}", "base_stock, settings: {n_steps: 16}}", "base.settings"),
        ("base_stock}", "base_stock, copies: 16}", "base.copies"),
    ],
)
def test_a_key_that_would_be_ignored_is_refused(old: str, new: str, key: str, tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, edit((old, new)))
    assert f"problems.shop.policies.{key}" in problem


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("seed", "--set seed: must have the form key.sub_key=value"),
        ("=3", "--set =3: must have the form key.sub_key=value"),
        ("problems..id=x", "--set problems..id=x: must have the form key.sub_key=value"),
        ("seed=no", "--set: seed: must be a whole number (got 'no')"),
        ("seed=-1", "--set: seed: must be at least 0 (got -1)"),
        ("sead=3", "--set: sead: unknown key; did you mean 'seed'?"),
        ("name=", "--set: name: must be text (got None)"),
        ("name=../x", f"--set: name: {NAME} (got '../x')"),
        ("name.x=3", "--set name.x=3: name is 'tiny', which has no key 'x'"),
        ("name=[1", "--set name=[1: not valid YAML: expected ',' or ']', but got '<stream end>'"),
        (
            "problems.shop.policies.base=null",
            "--set: problems.shop.policies.base: must be a mapping of keys to values (got None)",
        ),
        (
            "problems.shop.parameters.lead_tme=2",
            "--set: problems.shop.parameters.lead_tme: unknown key; did you mean 'lead_time'?",
        ),
        (
            "problems.shop.policies.learner.steps=0",
            "--set: problems.shop.policies.learner.steps: must be at least 1 (got 0)",
        ),
        (
            "problems.shp.policies.base.baseline=base_stock",
            "--set: problems.shp.id: is required",
        ),
    ],
)
def test_an_override_is_checked_like_the_file(override: str, expected: str, tmp_path: Path) -> None:
    assert problems(tmp_path, SHOP, override) == [expected]


def test_every_broken_override_is_told_of(tmp_path: Path) -> None:
    assert problems(tmp_path, SHOP, "seed", "replications=2", "name.x=1") == [
        "--set seed: must have the form key.sub_key=value",
        "--set name.x=1: name is 'tiny', which has no key 'x'",
    ]


def test_overrides_replace_and_add_values(tmp_path: Path) -> None:
    found = load(
        tmp_path,
        SHOP,
        "replications=50",
        "name=no",
        "problems.shop.parameters.stockout_cost=9",
        "problems.shop.policies.learner.settings.learning_rate=3e-4",
        "problems.shop.policies.rule={baseline: min_max}",
    )
    shop = found.problems["shop"]
    assert (found.replications, found.name, found.seed) == (50, "no", 1)
    assert shop.parameters == {"lead_time": 1, "stockout_cost": 9}
    assert shop.policies["learner"].settings == {"learning_rate": 3e-4}
    assert list(shop.policies) == ["base", "learner", "rule"]
    assert shop.problem.network.outlets[0].stockout_cost == 9


def test_3e_4_is_a_number_and_no_is_a_word(tmp_path: Path) -> None:
    found = load(tmp_path, edit(("4000", "4000, settings: {learning_rate: 3e-4}"), ("name: tiny", "name: no")))
    rate = found.problems["shop"].policies["learner"].settings["learning_rate"]
    assert (type(rate), rate, found.name) == (float, 3e-4, "no")


def test_what_a_config_leaves_out_has_its_default(tmp_path: Path) -> None:
    found = load(tmp_path, edit(("seed: 1\nreplications: 20\n", ""), (", steps: 4000", "")))
    assert (found.seed, found.replications, found.confidence) == (0, 2_000, 0.95)
    assert found.problems["shop"].policies["learner"].steps is None


def test_a_config_is_frozen(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="frozen"):
        load(tmp_path).seed = 3


def test_the_problem_is_that_of_the_catalogue(tmp_path: Path) -> None:
    section = load(tmp_path).problems["shop"]
    assert section.problem.network == make_problem("echelon/LostSales-v0", lead_time=1).network
    assert section.problem is section.problem


def test_the_quickstart_is_found_by_its_name_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("quickstart.yaml", "configs/quickstart.yaml"):
        assert load_config(name) == load_config(CONFIGS / "quickstart.yaml")
    assert {policy for shop in load_config("quickstart.yaml").problems.values() for policy in shop.policies}
    shutil.copy(write(tmp_path, SHOP), "quickstart.yaml")
    assert load_config("quickstart.yaml").name == "tiny"


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("quikstart.yaml", "quikstart.yaml: the config must exist; did you mean 'quickstart.yaml'?"),
        ("elsewhere/quickstart.yaml", "elsewhere/quickstart.yaml: the config must exist"),
    ],
)
def test_a_config_that_is_not_there_is_named(
    path: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as caught:
        find_config(Path(path))
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("config", sorted(file.name for file in CONFIGS.glob("*.yaml")))
def test_every_shipped_config_loads(config: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for section in load_yaml(CONFIGS / config).data["problems"].values():
        path = section.get("parameters", {}).get("path")
        if path is not None and not Path(path).exists():
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            make_problem("echelon/Network-v0").network.to_yaml(path)
    loaded = load_config(config)
    assert all(section.problem.network.nodes for section in loaded.problems.values())


def test_the_command_line_ends_with_2_and_every_defect(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, edit(("seed: 1", "seed: -1"), ("steps:", "step:")))
    monkeypatch.setattr(sys, "argv", ["echelon", "run", "exp.yaml", "--out", "run"])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.splitlines() == [
        "exp.yaml:2: seed: must be at least 0 (got -1)",
        "exp.yaml:10: problems.shop.policies.learner.step: unknown key; did you mean 'steps'?",
    ]
    assert [file.name for file in tmp_path.iterdir()] == ["exp.yaml"]
