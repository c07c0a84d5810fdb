"""Broken and hostile configs: each is refused at once, in plain words, and nothing in it is carried out.

The words are in golden/hostile_configs.json. Other broken configs are in test_config.py and test_grid.py.
"""

from __future__ import annotations

import copy
import json
import math
import sys
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from echelon.envs.errors import ConfigError
from echelon.envs.yaml_io import dump_yaml
from echelon.experiments.cli import main
from echelon.experiments.grid import load_grid

GOLDEN: dict[str, list[str]] = json.loads(
    (Path(__file__).parent / "golden" / "hostile_configs.json").read_text(encoding="utf-8")
)
SHOP = """\
name: tiny
replications: 20
problems:
  shop:
    id: echelon/LostSales-v0
    parameters: {lead_time: 1}
    policies:
      base: {baseline: base_stock}
      learner: {agent: ppo, steps: 4000}
"""


def edit(*pairs: tuple[str, str]) -> str:
    """The config with each first text replaced by the second; every first one must be there."""
    text = SHOP
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    return text


LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9)
)
MAPPED_LAUGHS = "a0: &a0 {a: x, b: x, c: x, d: x, e: x, f: x, g: x, h: x}\n" + "".join(
    f"a{n}: &a{n} {{{', '.join(f'{c}: *a{n - 1}' for c in 'abcdefgh')}}}\n" for n in range(1, 10)
)

HOSTILE: dict[str, str] = {
    "a tag that runs code": edit(("tiny", "!!python/object/apply:os.system ['touch marker']")),
    "a tag that makes a name": edit(("tiny", "!!python/name:os.system x")),
    "a tag that imports": edit(("id: echelon/LostSales-v0", "id: !!python/module:antigravity x")),
    "a tag of one's own": edit(("{lead_time: 1}", "!problem {lead_time: 1}")),
    "a tag on a key": edit(("replications:", "!!python/object:os.system replications:")),
    "a set": edit(("{lead_time: 1}", "!!set {lead_time}")),
    "binary data": edit(("tiny", "!!binary aGVsbG8=")),
    "a billion laughs": LAUGHS,
    "a billion laughs in mappings": MAPPED_LAUGHS,
    "a quadratic blow-up": "a: &a " + "x" * 50000 + "\nb: [" + ", ".join(["*a"] * 2000) + "]\n",
    "an alias of nothing": edit(("tiny", "*tiny")),
    "10,000 brackets": "name: " + "[" * 10000 + "]" * 10000 + "\n",
    "10,000 braces": "name: " + "{a: " * 10000 + "}" * 10000 + "\n",
    "10,000 dashes": "- " * 10000 + "x\n",
    "10,000 question marks": "? " * 10000 + "x\n",
    "10,000 brackets over lines": "name:\n" + " [\n" * 10000,
    "brackets with commas": "name: " + "[a, " * 10000,
    "10 MB": SHOP + "#" * 10_000_000,
    "a key given twice": edit(("replications: 20", "replications: 20\nreplications: 30")),
    "a merge key": edit(("{lead_time: 1}", "{lead_time: 1, <<: {lead_time: 2}}")),
    "NaN for a parameter": edit(("lead_time: 1", "stockout_cost: .nan")),
    "infinity for a parameter": edit(("lead_time: 1", "stockout_cost: .inf")),
    "NaN for a whole number": edit(("20", ".nan")),
    "NaN in settings": edit(("steps: 4000", "settings: {learning_rate: .nan}")),
    "NaN deep in options": edit(("base_stock}", "base_stock, options: {levels: [.nan]}}")),
    "infinite precision": SHOP + "precision: .inf\n",
    "no precision": SHOP + "precision: 0\n",
    "a truth value for precision": SHOP + "precision: true\n",
    "precision from 20 replications": SHOP + "precision: 1\n",
    "fewer replications at most than at first": SHOP.replace("20", "200") + "precision: 1\nmost_replications: 10\n",
    "more replications at first than at most": SHOP.replace("20", "2000000") + "precision: 1\n",
    "too many replications": edit(("20", "1000000000000")),
    "a number of 5,000 digits": edit(("20", "9" * 5000)),
    "a hexadecimal number of 10,000 digits": edit(("20", "0x" + "f" * 10000)),
    "a huge parameter": edit(("lead_time: 1", "stockout_cost: " + "9" * 400)),
    "a huge number of steps": edit(("4000", "9" * 30)),
    "a list for a key": edit(("replications:", "? [a, b]\n:")),
    "a number for a key": edit(("replications:", "7:")),
    "null for a key": edit(("replications:", "~:")),
    "an empty file": "",
    "only a comment": "# nothing\n",
    "a list": "- a\n- b\n",
    "a word": "hello\n",
    "two documents": SHOP + "---\n" + SHOP,
    "a null character": edit(("tiny", "ti\0ny")),
    "an escape sequence as it is": edit(("tiny", "ti\x1b[31mny")),
    "an escape sequence in a name": edit(("tiny", '"ti\\e[31mny"')),
    "an escape sequence in a key": edit(("replications", '"\\e[2Jreplications"')),
    "a line break in a key": edit(("replications", '"a\\nexp.yaml:1: all is well"')),
    "half a character": edit(("tiny", '"\\ud800"')),
    "the right-to-left override": edit(("tiny", '"tiny\\u202Egpj"')),
    "a script for a name": edit(("tiny", "<script>alert(1)</script>")),
    "a script for a problem": edit(("  shop:", '  "<img src=x onerror=alert(1)>":')),
    "a script for a policy": edit(("base:", '"\'><svg/onload=alert(1)>":')),
    "a script for a shared policy": SHOP + 'policies: {"<b>": {baseline: base_stock}}\n',
    "policies that differ by their case": edit(("learner:", "Base:")),
    "a shared policy that differs by its case": SHOP + "policies: {Base: {baseline: base_stock}}\n",
    "a path for a name": edit(("tiny", "../../etc/cron.d/tiny")),
    "an absolute path for a name": edit(("tiny", "/etc/passwd")),
    "a Windows path for a problem": edit(("  shop:", '  "..\\\\shop":')),
    "a tab": edit(("  shop:", "\tshop:")),
    "a folder to extend": "extends: .\n",
    "a number to extend": "extends: 7\n",
    "nothing to extend": "extends: []\n",
    "no seeds": SHOP + "seeds: []\n",
    "one seed, no list": SHOP + "seeds: 3\n",
    "a seed given twice": SHOP + "seeds: [1, 2, 1]\n",
    "a negative seed": SHOP + "seeds: [-1]\n",
    "a sweep of nothing": SHOP + "sweep: {replications: []}\n",
    "a sweep that is a list": SHOP + "sweep: [replications]\n",
    "a sweep of one value": SHOP + "sweep: {replications: 30}\n",
    "a sweep of an unknown key": SHOP + "sweep: {replication: [30]}\n",
    "a sweep of an unknown parameter": SHOP + "sweep: {problems.shop.parameters.leadtime: [1]}\n",
    "a sweep of an unknown problem": SHOP + "sweep: {problems.shp.parameters.lead_time: [1]}\n",
    "a sweep of an unknown policy": SHOP + "sweep: {problems.shop.policies.lerner.steps: [1]}\n",
    "a sweep into a number": SHOP + "sweep: {replications.x: [1]}\n",
    "a sweep with an empty name": SHOP + "sweep: {problems..id: [1]}\n",
    "a sweep of a sweep": SHOP + "sweep: {sweep: [{}]}\n",
    "a sweep of seeds beside seeds": SHOP + "seeds: [1]\nsweep: {seed: [2]}\n",
    "a sweep with a value twice": SHOP + "sweep: {replications: [30, 40, 30]}\n",
    "a sweep of a key and a part of it": SHOP + "sweep: {problems.shop.parameters: [{lead_time: 2}], "
    "problems.shop.parameters.lead_time: [3]}\n",
    "a sweep to what is refused": SHOP + "sweep: {problems.shop.policies.learner.steps: [10, 0]}\n",
    "a service level in percent": edit(("base_stock}", "service_min_max, options: {service_level: 95}}")),
    "options out of their ranges": edit(
        (
            "base_stock}",
            "simulation_optimization, options: {service_level: {store: -0.1}, review_period: 0, budget: 0}}",
        )
    ),
    "a start that does not exist": edit(("steps: 4000", "start: base_stok")),
    "options of a start that do not exist": edit(("steps: 4000", "start: base_stock, start_options: {level: 3}")),
    "a start that does not apply": edit(("steps: 4000", "start: clark_scarf")),
    "a word for where it applies": edit(("base_stock}", "base_stock, where_it_applies: sometimes}")),
}


def told(folder: Path, text: str | bytes) -> list[str]:
    """What the reader of a config is told, with the folder left out."""
    path = folder / "exp.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8"))
    with pytest.raises(ConfigError) as caught:
        load_grid(path)
    return [problem.replace(f"{folder}/", "") for problem in caught.value.problems]


def test_every_hostile_config_has_its_golden_words() -> None:
    assert HOSTILE.keys() == GOLDEN.keys()
    assert len(HOSTILE) >= 40


@pytest.mark.parametrize("case", HOSTILE)
def test_it_is_refused_in_plain_words_and_nothing_is_carried_out(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = told(tmp_path, HOSTILE[case])
    assert found == GOLDEN[case]
    assert all(problem.isprintable() for problem in found)
    assert [file.name for file in tmp_path.iterdir()] == ["exp.yaml"]


GREEDY = [
    *(case for case in HOSTILE if any(word in case for word in ("laughs", "10,000", "blow-up", "10 MB", "commas"))),
]


@pytest.mark.parametrize("case", GREEDY)
def test_what_is_too_large_is_refused_in_a_second(case: str, tmp_path: Path) -> None:
    started = time.process_time()
    told(tmp_path, HOSTILE[case])
    assert time.process_time() - started < 1


@pytest.mark.parametrize("case", ["a billion laughs", "a quadratic blow-up", "10,000 dashes", "10 MB"])
def test_what_is_too_large_is_refused_in_little_memory(case: str, tmp_path: Path) -> None:
    text = HOSTILE[case]
    (tmp_path / "exp.yaml").write_text(text, encoding="utf-8")
    tracemalloc.start()
    with pytest.raises(ConfigError):
        load_grid(tmp_path / "exp.yaml")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 64 * 2**20


def test_an_alias_of_itself_is_too_deep(tmp_path: Path) -> None:
    (problem,) = told(tmp_path, edit(("{lead_time: 1}", "&p {lead_time: *p}")))
    assert problem.endswith(": nested too deep; at most 100 levels are allowed")


@pytest.mark.parametrize("name", ["../nowhere.yaml", "\0", "a" * 5_000, "a\nb.yaml"])
def test_what_cannot_be_extended_is_told_on_one_line(name: str, tmp_path: Path) -> None:
    (problem,) = told(tmp_path, f"extends: {json.dumps(name)}\n")
    assert problem.startswith("exp.yaml:1: extends: ")
    assert len(problem) < 2_100
    assert problem.isprintable()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (SHOP.encode("utf-16"), "exp.yaml:1: the file must be text in UTF-8"),
        (SHOP.replace("tiny", "tin\xef").encode("latin-1"), "exp.yaml:1: the file must be text in UTF-8"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "exp.yaml:1: the file must be text in UTF-8"),
        (bytes(100), "exp.yaml:1: not valid YAML: the character U+0000 is not allowed"),
        (b"PK\x03\x04" + bytes(100), "exp.yaml:1: not valid YAML: the character U+0003 is not allowed"),
    ],
)
def test_what_is_no_text_is_refused(content: bytes, words: str, tmp_path: Path) -> None:
    assert told(tmp_path, content) == [words]


@pytest.mark.parametrize("content", [SHOP.encode("utf-8-sig"), SHOP.replace("\n", "\r\n").encode()])
def test_a_byte_order_mark_and_the_line_ends_of_windows_do_no_harm(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "plain.yaml").write_text(SHOP, encoding="utf-8")
    (tmp_path / "exp.yaml").write_bytes(content)
    assert load_grid(tmp_path / "exp.yaml").members == load_grid(tmp_path / "plain.yaml").members


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="a file without end, which not every system has")
def test_a_file_without_end_is_read_no_further_than_a_config_may_go() -> None:
    with pytest.raises(ConfigError, match="a file must have at most"):
        load_grid("/dev/zero")


def test_the_command_line_tells_it_without_a_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "exp.yaml").write_text(HOSTILE["10,000 brackets"], encoding="utf-8")
    monkeypatch.setattr(sys, "argv", ["echelon", "run", "exp.yaml", "--out", "run"])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 2
    assert capsys.readouterr().err == GOLDEN["10,000 brackets"][0] + "\n"
    assert not (tmp_path / "run").exists()


WHOLE: dict[str, Any] = {
    "name": "whole",
    "seed": 1,
    "seeds": [0, 1],
    "replications": 200,
    "precision": 1.5,
    "confidence": 0.9,
    "sweep": {"problems.line.parameters.demand_mean": [4, 5], "replications": [100, 200]},
    "policies": {"exact": {"baseline": "clark_scarf", "where_it_applies": True}, "b": {"baseline": "base_stock"}},
    "problems": {
        "{demand} L{lead_time}": {
            "id": "zipkin2008/{demand}-L{lead_time}-p4",
            "each": {"demand": ["poisson"], "lead_time": [1, 2], "periods": [200]},
            "parameters": {"warm_up": 100},
            "policies": {"b": {"baseline": "base_stock", "options": {"levels": [9]}}},
        },
        "line": {
            "id": "echelon/LostSales-v0",
            "parameters": {"demand_mean": 4.0},
            "policies": {"PPO": {"agent": "ppo", "settings": {"gamma": 0.9}, "start": "base_stock"}},
        },
    },
}
ODD = [
    None,
    7,
    -1,
    1.5,
    math.nan,
    math.inf,
    "",
    "x",
    "../x",
    "{demand}",
    "{",
    "<b>",
    [],
    {},
    [1],
    {"a": 1},
    True,
    10**30,
]


def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every part of a value but the whole."""
    for key, item in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield (*path, key)
        yield from paths(item, (*path, key))


def refusals(file: Path) -> list[str]:
    """What the reader of a config is told, if anything; any other error than that of a config is a failure."""
    try:
        load_grid(file)
    except ConfigError as error:
        return list(error.problems)
    return []


def test_the_document_that_is_to_be_broken_is_whole(tmp_path: Path) -> None:
    dump_yaml(WHOLE, tmp_path / "exp.yaml")
    assert len(load_grid(tmp_path / "exp.yaml").members) == 8


@settings(max_examples=120, deadline=None)
@given(path=st.sampled_from([*paths(WHOLE)]), value=st.sampled_from(ODD))
def test_any_odd_value_anywhere_is_read_or_refused(
    path: tuple[Any, ...], value: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    data = copy.deepcopy(WHOLE)
    inside = data
    for key in path[:-1]:
        inside = inside[key]
    inside[path[-1]] = value
    file = tmp_path_factory.getbasetemp() / "odd.yaml"
    dump_yaml(data, file)
    assert all(problem.isprintable() for problem in refusals(file))


@settings(max_examples=150, deadline=None)
@given(
    at=st.integers(0, len(SHOP) - 1), cut=st.integers(0, 12), text=st.text(max_size=8) | st.sampled_from("&*!{[|>'%@`")
)
def test_any_odd_text_anywhere_is_read_or_refused(
    at: int, cut: int, text: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.getbasetemp() / "odd.yaml"
    file.write_bytes((SHOP[:at] + text + SHOP[at + cut :]).encode("utf-8", errors="surrogatepass"))
    assert all(problem.isprintable() for problem in refusals(file))
