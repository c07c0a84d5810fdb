"""YAML in and out: what a reader of a broken file is told, and that nothing is lost on the way."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from echelon.envs.defects import Defects
from echelon.envs.demand import Deterministic, Empirical, Gamma, Law, NegativeBinomial, Normal, Poisson
from echelon.envs.errors import ConfigError
from echelon.envs.network import Link, Network, Node
from echelon.envs.yaml_io import apply_overrides, describe, dump_yaml, load_model, load_yaml, validate_document

STORE = """\
name: shop
nodes:
  - name: store
    holding_cost: 1
    stockout_cost: 9
    demand: {law: poisson, mean: 5}
links:
  - {target: store, lead_time: 2}
"""


def problems(tmp_path: Path, text: str) -> list[str]:
    """What the reader of a network file is told, with the folder left out."""
    path = tmp_path / "net.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        Network.from_yaml(path)
    assert str(caught.value) == "\n".join(caught.value.problems)
    return [problem.replace(f"{path}", "net.yaml") for problem in caught.value.problems]


BROKEN = {
    "a negative cost": (
        STORE.replace("holding_cost: 1", "holding_cost: -1"),
        ["net.yaml:4: nodes.0.holding_cost: must be at least 0 (got -1)"],
    ),
    "a misspelt key": (
        STORE.replace("holding_cost", "holding_cst"),
        ["net.yaml:4: nodes.0.holding_cst: unknown key; did you mean 'holding_cost'?"],
    ),
    "a key of nowhere": (
        STORE + "zzz: 1\n",
        ["net.yaml:9: zzz: unknown key; known: demand_correlation, description, links, name, nodes, resources, units"],
    ),
    "a misspelt key of a demand law": (
        STORE.replace("mean: 5", "maen: 5"),
        [
            "net.yaml:6: nodes.0.demand.mean: is required",
            "net.yaml:6: nodes.0.demand.maen: unknown key; did you mean 'mean'?",
        ],
    ),
    "a misspelt demand law": (
        STORE.replace("poisson", "poison"),
        [
            "net.yaml:6: nodes.0.demand.law: must be one of poisson, geometric, negative_binomial, discrete_uniform, "
            "discrete, uniform, normal, gamma, deterministic, empirical, compound, intermittent, ar1, "
            "markov_modulated (got 'poison'); did you mean 'poisson'?"
        ],
    ),
    "a demand without its law": (
        STORE.replace("law: poisson, ", ""),
        [
            "net.yaml:6: nodes.0.demand.law: is required; known: poisson, geometric, negative_binomial, "
            "discrete_uniform, discrete, uniform, normal, gamma, deterministic, empirical, compound, intermittent, "
            "ar1, markov_modulated"
        ],
    ),
    "a demand that is a name": (
        STORE.replace("{law: poisson, mean: 5}", "poisson"),
        ["net.yaml:6: nodes.0.demand: must be a mapping of keys to values (got 'poisson')"],
    ),
    "a rule of a demand law": (
        STORE.replace("law: poisson, mean: 5", "law: negative_binomial, mean: 9, sd: 3"),
        ["net.yaml:6: nodes.0.demand: sd must exceed sqrt(mean) = 3 (got 3); at equality use poisson"],
    ),
    "a lead time that is not whole": (
        STORE.replace("lead_time: 2", "lead_time: 1.5"),
        ["net.yaml:8: links.0.lead_time: must be a whole number (got 1.5)"],
    ),
    "an infinite cost": (
        STORE.replace("holding_cost: 1", "holding_cost: .inf"),
        ["net.yaml:4: nodes.0.holding_cost: must be finite (got inf)"],
    ),
    "words for a number": (
        STORE.replace("holding_cost: 1", "holding_cost: a lot"),
        ["net.yaml:4: nodes.0.holding_cost: must be a number (got 'a lot')"],
    ),
    "a misspelt choice": (
        STORE.replace("stockout_cost: 9", "stockout_rule: lost_sale"),
        [
            "net.yaml:5: nodes.0.stockout_rule: must be a number, or must be 'backorder' or 'lost_sales'; "
            "did you mean 'lost_sales'? "
            "(got 'lost_sale')"
        ],
    ),
    "a number for a name": (
        STORE.replace("name: shop", "name: 7"),
        ["net.yaml:1: name: must be text: put it in quotes (got 7)"],
    ),
    "an empty name": (
        STORE.replace("name: shop", "name: ''"),
        ["net.yaml:1: name: must have at least 1 character (got '')"],
    ),
    "no list": (
        STORE.replace("  - {target: store, lead_time: 2}", "  target: store"),
        ["net.yaml:7: links: must be a list (got {'target': 'store'})"],
    ),
    "an empty list": (
        "nodes: []\nlinks: []\n",
        [
            "net.yaml:1: nodes: must have at least 1 item (got [])",
            "net.yaml:2: links: must have at least 1 item (got [])",
        ],
    ),
    "a missing key": (
        "name: shop\n",
        ["net.yaml:1: nodes: is required", "net.yaml:1: links: is required"],
    ),
    "three defects at once, in the order of the file": (
        STORE.replace("holding_cost: 1", "holding_cost: -1")
        .replace("mean: 5", "mean: 0")
        .replace("time: 2", "time: -2"),
        [
            "net.yaml:4: nodes.0.holding_cost: must be at least 0 (got -1)",
            "net.yaml:6: nodes.0.demand.mean: must be greater than 0 (got 0)",
            "net.yaml:8: links.0.lead_time: must be at least 0 (got -2)",
        ],
    ),
    "a key given twice": (
        STORE.replace("stockout_cost: 9", "holding_cost: 9"),
        ["net.yaml:5: nodes.0.holding_cost: the key is given twice, first on line 4"],
    ),
    "a tag": (
        STORE.replace("name: shop", "name: !python/object:os.system shop"),
        ["net.yaml:1: name: tags are not supported (got !python/object:os.system)"],
    ),
    "a key that is a list": (
        STORE + "? [a, b]\n: 1\n",
        ["net.yaml:9: a key must be a single name or number"],
    ),
    "a bracket left open": (
        STORE.replace("lead_time: 2}", "lead_time: 2"),
        ["net.yaml:9: not valid YAML: expected ',' or '}', but got '<stream end>'"],
    ),
    "a tab for indentation": (
        "name: shop\nnodes:\n\t- name: store\n",
        ["net.yaml:3: not valid YAML: found character '\\t' that cannot start any token"],
    ),
    "two documents": (
        STORE + "---\n" + STORE,
        ["net.yaml:9: not valid YAML: but found another document"],
    ),
    "an undefined alias": (
        STORE.replace("mean: 5", "mean: *five"),
        ["net.yaml:6: not valid YAML: found undefined alias 'five'"],
    ),
    "an empty file": ("", ["net.yaml:1: the file is empty; it must hold a mapping of keys to values"]),
    "only a comment": ("# todo\n", ["net.yaml:1: the file is empty; it must hold a mapping of keys to values"]),
    "a list at the top": (
        "\n- 1\n- 2\n",
        ["net.yaml:2: the top level must be a mapping of keys to values (got [1, 2])"],
    ),
    "an alias of itself": (
        "name: &a [*a]\n",
        ["net.yaml:1: name" + ".0" * 100 + ": nested too deep; at most 100 levels are allowed"],
    ),
    "brackets without end": ("name: " + "[" * 2000, ["net.yaml:1: nested too deep; at most 100 levels are allowed"]),
}


@pytest.mark.parametrize("defect", BROKEN)
def test_a_broken_file_is_told_by_line_key_and_rule(defect: str, tmp_path: Path) -> None:
    text, expected = BROKEN[defect]
    assert problems(tmp_path, text) == expected


def test_aliases_may_repeat_a_value_but_not_explode(tmp_path: Path) -> None:
    shared = STORE.replace("holding_cost: 1", "holding_cost: &one 1").replace("stockout_cost: 9", "stockout_cost: *one")
    (tmp_path / "shared.yaml").write_text(shared, encoding="utf-8")
    assert Network.from_yaml(tmp_path / "shared.yaml").nodes[0].stockout_cost == 1
    laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9)
    )
    (problem,) = problems(tmp_path, laughs)
    assert problem.endswith("aliases repeat too much")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    path = tmp_path / "none.yaml"
    with pytest.raises(ConfigError, match=r"none\.yaml: there is no such file$"):
        load_yaml(path)
    with pytest.raises(ConfigError, match="the file cannot be read: Is a directory"):
        load_yaml(tmp_path)
    path.write_bytes(b"name: shop\nnodes: \xff\n")
    with pytest.raises(ConfigError, match=r"none\.yaml:2: the file must be text in UTF-8$"):
        load_yaml(path)
    with pytest.raises(ConfigError, match=r"none\.yaml: a file must have at most 10 bytes \(got 20\)$"):
        load_yaml(path, max_bytes=10)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3e-4", 3e-4),
        ("1e3", 1000.0),
        ("-2E+3", -2000.0),
        (".5", 0.5),
        ("0.5", 0.5),
        ("-.inf", -math.inf),
        ("7", 7),
        ("0o17", 15),
        ("0x1F", 31),
        ("017", 17),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("no", "no"),
        ("on", "on"),
        ("yes", "yes"),
        ("1:30", "1:30"),
        ("2024-01-01", "2024-01-01"),
        ("=", "="),
        ("'5'", "5"),
        ("!!str 5", "5"),
    ],
)
def test_scalars_follow_yaml_1_2(text: str, value: object, tmp_path: Path) -> None:
    path = tmp_path / "one.yaml"
    path.write_text(f"key: {text}\n", encoding="utf-8")
    read = load_yaml(path).data["key"]
    assert read == value
    assert type(read) is type(value)


class _Adam(BaseModel):
    model_config = ConfigDict(extra="forbid")
    rate: Annotated[float, Field(gt=0, lt=1)] = 1e-3


class _Training(BaseModel):
    model_config = ConfigDict(extra="forbid")
    seeds: int | list[int] = 0
    optimizer: _Adam = _Adam()
    budgets: dict[str, Annotated[int, Field(le=10)]] = {}
    pair: tuple[int, Literal["a", "b"]] = (0, "a")
    law: Deterministic | Poisson | None = None
    episodes: list[int] = []

    @model_validator(mode="after")
    def _ascending(self) -> _Training:
        found = [
            (("episodes", at), f"must exceed {a} (got {b})")
            for at, (a, b) in enumerate(zip(self.episodes, self.episodes[1:], strict=False), start=1)
            if b <= a
        ]
        if found:
            raise Defects(found)
        return self


class _Experiment(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str = "x"
    training: _Training = _Training()


EXPERIMENT = """\
name: x
training:
  seeds: 3
  optimizer:
    rate: 0.1
  episodes: [1, 2, 3]
"""


def overridden(tmp_path: Path, *overrides: str) -> _Experiment:
    path = tmp_path / "x.yaml"
    path.write_text(EXPERIMENT, encoding="utf-8")
    return validate_document(apply_overrides(load_yaml(path), overrides), _Experiment)


def override_problems(tmp_path: Path, *overrides: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        overridden(tmp_path, *overrides)
    return [problem.replace(f"{tmp_path}/", "") for problem in caught.value.problems]


def test_overrides_replace_and_add_values_that_are_read_as_yaml(tmp_path: Path) -> None:
    experiment = overridden(
        tmp_path,
        "training.optimizer.rate=3e-4",
        "training.seeds=[1, 2]",
        "training.budgets.ppo=7",
        "training.episodes.2=5",
        "name=a=b",
    )
    assert experiment.training.optimizer.rate == 3e-4
    assert experiment.training.seeds == [1, 2]
    assert experiment.training.budgets == {"ppo": 7}
    assert experiment.training.episodes == [1, 2, 5]
    assert experiment.name == "a=b"


def test_overrides_leave_the_document_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(EXPERIMENT, encoding="utf-8")
    document = load_yaml(path)
    apply_overrides(document, ["training.episodes.0=9", "training.zoo.lion=1"])
    assert document == load_yaml(path)


def test_every_malformed_override_is_named(tmp_path: Path) -> None:
    form = "must have the form key.sub_key=value"
    assert override_problems(
        tmp_path, "name", "=3", "a..b=1", "name.x=3", "training.episodes.3=1", "training.episodes.x=1", "name=[1"
    ) == [
        f"--set name: {form}",
        f"--set =3: {form}",
        f"--set a..b=1: {form}",
        "--set name.x=3: name is 'x', which has no key 'x'",
        "--set training.episodes.3=1: training.episodes has 3 items, counted from 0 (got '3')",
        "--set training.episodes.x=1: training.episodes has 3 items, counted from 0 (got 'x')",
        "--set name=[1: not valid YAML: expected ',' or ']', but got '<stream end>'",
    ]


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("training.optimizer.rate=0", "--set: training.optimizer.rate: must be greater than 0 (got 0)"),
        ("training.optimizer.rate=1", "--set: training.optimizer.rate: must be less than 1 (got 1)"),
        ("training.optimizer.lr=1", "--set: training.optimizer.lr: unknown key; known: rate"),
        ("trainig.seeds=1", "--set: trainig: unknown key; did you mean 'training'?"),
        ("training.budgets={ppo: 11}", "--set: training.budgets.ppo: must be at most 10 (got 11)"),
        ("training.seeds=x", "--set: training.seeds: must be a whole number, or must be a list (got 'x')"),
        ("training.pair=[1, c]", "--set: training.pair.1: must be 'a' or 'b' (got 'c')"),
        ("training.pair=[1]", "--set: training.pair.1: is required"),
        ("training.episodes.1=1", "--set: training.episodes.1: must exceed 1 (got 1)"),
        ("training.episodes.2=0", "--set: training.episodes.2: must exceed 2 (got 0)"),
        ("training.episodes.0=2", "x.yaml:6: training.episodes.1: must exceed 2 (got 2)"),
    ],
)
def test_a_defect_is_reported_at_the_override_that_caused_it(override: str, expected: str, tmp_path: Path) -> None:
    assert override_problems(tmp_path, override) == [expected]


def test_the_labels_that_pydantic_gives_to_union_members_do_not_show(tmp_path: Path) -> None:
    assert override_problems(tmp_path, "training.law={law: poisson, mean: -1}") == [
        "--set: training.law.law: must be 'deterministic' (got 'poisson')",
        "--set: training.law.values: is required",
        "--set: training.law.mean: unknown key; known: growth, law, promotions, seasonal, trend, values, "
        "or must be greater than 0 (got -1)",
    ]


def test_describe_is_one_line_for_one_defect() -> None:
    with pytest.raises(ValidationError) as caught:
        Network.model_validate(
            {"nodes": [{"name": "a"}, {"name": "b", "holding_cost": -1}], "links": [{"target": "a"}]}
        )
    lines = [describe(defect, Network) for defect in caught.value.errors()]
    assert "nodes.1.holding_cost: must be at least 0 (got -1)" in lines


def test_long_values_are_cut() -> None:
    with pytest.raises(ValidationError) as caught:
        _Adam.model_validate({"rate": "x" * 1000})
    (line,) = [describe(defect, _Adam) for defect in caught.value.errors()]
    assert line == f"rate: must be a number (got '{'x' * 56}...)"


costs = st.floats(0, 1e308)
quantities = st.floats(1e-9, 1e9)
seasons = st.lists(st.floats(0, 1e9), max_size=3).map(tuple)
series = st.lists(st.floats(0, 1e9), min_size=1, max_size=40).map(tuple)
laws: st.SearchStrategy[Law] = st.one_of(
    st.builds(Poisson, mean=quantities, seasonal=seasons),
    st.builds(NegativeBinomial, mean=st.floats(0.1, 9), sd=st.floats(4, 9)),
    st.builds(Normal, mean=quantities, sd=quantities),
    st.builds(Gamma, mean=quantities, sd=quantities, seasonal=seasons),
    st.builds(Deterministic, values=series),
    st.builds(Empirical, values=series),
)


@st.composite
def networks(draw: st.DrawFn) -> Network:
    """A serial line with outlets anywhere, and any text for names."""
    names = draw(
        st.lists(st.text(min_size=1).filter(lambda name: name != "outside"), min_size=1, max_size=4, unique=True)
    )
    last = names[-1]
    nodes = [
        draw(
            st.builds(
                Node,
                name=st.just(name),
                demand=laws if name == last else st.none() | laws,
                holding_cost=costs,
                stockout_cost=costs,
                stockout_rule=st.sampled_from(["backorder", "lost_sales"]),
                priority=st.integers(0, 2**70),
            )
        )
        for name in names
    ]
    links = [
        draw(
            st.builds(
                Link,
                source=st.just(source),
                target=st.just(target),
                lead_time=st.integers(0, 30),
                unit_cost=costs,
                unfilled=st.sampled_from(["backorder", "drop"]),
            )
        )
        for source, target in zip(["outside", *names], names, strict=False)
    ]
    return Network(name=draw(st.text(min_size=1)), nodes=tuple(nodes), links=tuple(links), description=draw(st.text()))


@settings(deadline=None)
@given(network=networks())
def test_a_network_is_read_back_as_it_was_written(network: Network, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "round_trip.yaml"
    network.to_yaml(path)
    assert Network.from_yaml(path) == network


@settings(deadline=None)
@given(data=st.dictionaries(st.text(), st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
), min_size=1))  # fmt: skip
def test_plain_data_are_read_back_to_the_last_bit(
    data: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "plain.yaml"
    dump_yaml(data, path)
    assert repr(load_yaml(path).data) == repr(data)


def test_files_are_written_in_blocks_with_lists_of_numbers_on_one_line(tmp_path: Path) -> None:
    path = tmp_path / "out.yaml"
    shared = {"b": 0.1 + 0.2}
    dump_yaml({"z": [1, 2.5], "a": [{"x": (1, 2)}, "no"], "s": shared, "t": shared, "e": []}, path)
    assert path.read_text(encoding="utf-8") == (
        "z: [1, 2.5]\na:\n- x: [1, 2]\n- no\ns:\n  b: 0.30000000000000004\nt:\n  b: 0.30000000000000004\ne: []\n"
    )


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "out.yaml"
    dump_yaml({"a": 1}, path)
    with pytest.raises(Exception, match="cannot represent an object"):
        dump_yaml({"a": 2, "b": object()}, path)
    assert [file.name for file in tmp_path.iterdir()] == ["out.yaml"]
    assert path.read_text(encoding="utf-8") == "a: 1\n"


def test_a_model_is_read_in_one_go(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(EXPERIMENT, encoding="utf-8")
    assert load_model(path, _Experiment).training.optimizer.rate == 0.1
