"""Documents that stand for several runs: what they expand to, and what their readers are told."""

from __future__ import annotations

import re
import time
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from echelon.envs.catalogue import make_problem
from echelon.envs.errors import ConfigError
from echelon.envs.simulate import simulate_stream
from echelon.envs.yaml_io import dump_yaml
from echelon.experiments.config import Config, load_config
from echelon.experiments.dry_run import dry_run, planned_memory, print_dry_run
from echelon.experiments.grid import Grid, load_grid
from echelon.experiments.labels import labels_of

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


def grid(folder: Path, text: str, *overrides: str) -> Grid:
    path = folder / "exp.yaml"
    path.write_text(text, encoding="utf-8")
    return load_grid(path, overrides)


def told(folder: Path, text: str, *overrides: str) -> list[str]:
    """What the reader of a document is told, with the folder left out."""
    with pytest.raises(ConfigError) as caught:
        grid(folder, text, *overrides)
    return [problem.replace(f"{folder}/", "") for problem in caught.value.problems]


def one(folder: Path, text: str, *overrides: str) -> Config:
    (member,) = grid(folder, text, *overrides).members
    return member.config


class TestSeedsAndSweeps:
    def test_a_document_without_either_is_one_run_without_a_label(self, tmp_path: Path) -> None:
        found = grid(tmp_path, SHOP)
        (member,) = found.members
        assert (found.name, member.label, dict(member.values), found.cells) == ("tiny", "", {}, 2)
        assert member.config == load_config(tmp_path / "exp.yaml")

    def test_each_seed_is_a_run(self, tmp_path: Path) -> None:
        found = grid(tmp_path, SHOP + "seed: 9\nseeds: [3, 0]\n")
        assert [member.label for member in found.members] == ["seed=3", "seed=0"]
        assert [member.config.seed for member in found.members] == [3, 0]
        assert found.cells == 4

    def test_a_sweep_is_every_combination_and_the_seeds_run_fastest(self, tmp_path: Path) -> None:
        sweep = "sweep: {problems.shop.parameters.lead_time: [2, 4], replications: [30, 50]}\nseeds: [0, 1]\n"
        found = grid(tmp_path, SHOP + sweep)
        assert [member.label for member in found.members] == [
            f"lead_time={lead_time},replications={replications},seed={seed}"
            for lead_time in (2, 4)
            for replications in (30, 50)
            for seed in (0, 1)
        ]
        last = found.members[-1]
        assert last.values == {"problems.shop.parameters.lead_time": 4, "replications": 50, "seed": 1}
        assert last.config.problems["shop"].parameters == {"lead_time": 4}
        assert (last.config.replications, last.config.seed) == (50, 1)

    def test_a_run_of_a_grid_is_the_run_of_a_document_with_its_values(self, tmp_path: Path) -> None:
        swept = grid(tmp_path, SHOP + "sweep: {problems.shop.policies.learner.steps: [100, 200]}\nseeds: [5]\n")
        alone = one(tmp_path, SHOP.replace("4000", "200") + "seed: 5\n")
        assert swept.members[1].config == alone

    def test_policies_and_whole_sections_can_be_swept(self, tmp_path: Path) -> None:
        sweep = "sweep: {problems.shop.policies.learner: [{agent: a2c}, {baseline: min_max}]}\n"
        found = grid(tmp_path, SHOP + sweep)
        assert [member.label for member in found.members] == ["learner=no1", "learner=no2"]
        assert found.members[1].config.problems["shop"].policies["learner"].baseline == "min_max"

    def test_overrides_come_before_the_expansion(self, tmp_path: Path) -> None:
        found = grid(
            tmp_path,
            SHOP + "sweep: {replications: [30, 50]}\n",
            "seeds=[1, 2]",
            "sweep.replications=[40]",
            "sweep.problems.shop.parameters.lead_time=[0, 1]",
            "policies.rule={baseline: min_max}",
        )
        assert [member.label for member in found.members] == [
            f"replications=40,lead_time={lead_time},seed={seed}" for lead_time in (0, 1) for seed in (1, 2)
        ]
        assert all("rule" in member.config.problems["shop"].policies for member in found.members)

    def test_the_written_document_gives_the_same_grid_again(self, tmp_path: Path) -> None:
        (tmp_path / "base.yaml").write_text(SHOP, encoding="utf-8")
        text = "extends: base.yaml\nseeds: [0, 1]\nsweep: {problems.shop.parameters.lead_time: [2, 4]}\n"
        found = grid(tmp_path, text, "policies.rule={baseline: min_max}")
        dump_yaml(dict(found.document), tmp_path / "grid.yaml")
        assert load_grid(tmp_path / "grid.yaml") == found

    def test_a_run_alone_is_asked_for_where_there_are_several(self, tmp_path: Path) -> None:
        grid(tmp_path, SHOP + "seeds: [0, 1]\n")
        with pytest.raises(ConfigError, match=r"must stand for one run; by its seeds or sweep it stands for 2$"):
            load_config(tmp_path / "exp.yaml")
        assert load_config(tmp_path / "exp.yaml", ["seeds=[1]"]).seed == 1

    def test_every_defect_of_every_run_is_told_once(self, tmp_path: Path) -> None:
        sweep = "sweep:\n  problems.shop.parameters.lead_time: [-1, 1, -2]\n  replications: [20, 30]\n"
        assert told(tmp_path, SHOP + sweep) == [
            "exp.yaml:6: problems.shop.parameters: links.0.lead_time: must be at least 0 (got -1)",
            "exp.yaml:6: problems.shop.parameters: links.0.lead_time: must be at least 0 (got -2)",
        ]

    def test_1_000_cells_are_read_in_a_second_or_two(self, tmp_path: Path) -> None:
        sweep = f"seeds: {list(range(25))}\nsweep: {{problems.shop.parameters.stockout_cost: {list(range(1, 21))}}}\n"
        started = time.process_time()
        found = grid(tmp_path, SHOP + sweep)
        assert (found.cells, len({member.label for member in found.members})) == (1_000, 500)
        assert time.process_time() - started < 3


class TestLabels:
    def test_a_key_is_as_short_as_it_can_be(self) -> None:
        keys = ["problems.a.parameters.lead_time", "problems.b.parameters.lead_time", "replications"]
        (label,) = labels_of([dict.fromkeys(keys, 2)])
        assert label == "a.lead_time=2,b.lead_time=2,replications=2"

    @settings(max_examples=200, deadline=None)
    @given(
        values=st.lists(
            st.text(max_size=300)
            | st.integers()
            | st.floats(allow_nan=False)
            | st.none()
            | st.booleans()
            | st.lists(st.integers(), max_size=2),
            min_size=1,
            max_size=8,
            unique_by=repr,
        )
    )
    def test_labels_are_safe_and_differ_on_any_file_system(self, values: list[Any]) -> None:
        labels = labels_of([{"problems.lost sales/../x.parameters.demand": value} for value in values])
        assert len({label.casefold() for label in labels}) == len(values)
        for label in labels:
            assert re.fullmatch(r"[A-Za-z0-9_+-][A-Za-z0-9._+,=-]{0,99}", label)
            assert not label.endswith(".")


class TestEach:
    TEXT = """\
name: beds
problems:
  "{demand} L{lead_time} p{stockout_cost:g}":
    id: zipkin2008/{demand}-L{lead_time}-p{stockout_cost}
    each: {demand: [poisson, geometric], lead_time: [1, 2], stockout_cost: [4], periods: [500]}
    parameters: {warm_up: 100}
    policies: {base: {baseline: base_stock}}
"""

    def test_it_stands_for_every_combination(self, tmp_path: Path) -> None:
        config = one(tmp_path, self.TEXT)
        assert list(config.problems) == ["poisson L1 p4", "poisson L2 p4", "geometric L1 p4", "geometric L2 p4"]
        last = config.problems["geometric L2 p4"]
        assert (last.id, last.parameters) == ("zipkin2008/geometric-L2-p4", {"warm_up": 100, "periods": 500})
        assert last.problem.network == make_problem("zipkin2008/geometric-L2-p4").network

    def test_the_resolved_config_reads_itself(self, tmp_path: Path) -> None:
        config = one(tmp_path, self.TEXT)
        dump_yaml(config.model_dump(mode="json"), tmp_path / "config.yaml")
        assert load_config(tmp_path / "config.yaml") == config
        assert Config.model_validate(config.model_dump(mode="json")) == config

    def test_numbers_with_a_point_and_mappings_have_names_for_folders(self, tmp_path: Path) -> None:
        text = self.TEXT.replace("p{stockout_cost:g}", "p{stockout_cost} {periods}").replace("[500]", "[500, 501]")
        text = text.replace("zipkin2008/{demand}-L{lead_time}-p{stockout_cost}", "echelon/LostSales-v0")
        text = text.replace("[4]", "[0.5]").replace("[poisson, geometric]", "[{law: poisson, mean: 3}]")
        names = list(one(tmp_path, text).problems)
        assert names == [f"1 L{lead_time} p0p5 {periods}" for lead_time in (1, 2) for periods in (500, 501)]

    @pytest.mark.parametrize(
        ("old", "new", "message"),
        [
            (
                "L{lead_time} p{stockout_cost:g}",
                "L1",
                "exp.yaml:3: problems.{demand} L1: its name must tell the problems of 'each' apart by their "
                "keys {demand}, {lead_time}, {stockout_cost}, {periods} (got 'poisson L1' twice)",
            ),
            (
                "L{lead_time} p",
                "L{leadtime} p",
                "exp.yaml:3: problems.{demand} L{leadtime} p{stockout_cost:g}: {leadtime} is no key of 'each'; "
                "did you mean 'lead_time'?",
            ),
            (
                ":g}",
                ":>9999999999}",
                "exp.yaml:3: problems.{demand} L{lead_time} p{stockout_cost:>9999999999}: {stockout_cost} may have a "
                "format of numbers only, such as {stockout_cost:g} (got '>9999999999')",
            ),
            (
                "{demand} L",
                "{demand.__class__} L",
                "exp.yaml:3: problems.{demand.__class__} L{lead_time} p{stockout_cost:g}: {demand.__class__} is no "
                "key of 'each'; known: demand, lead_time, periods, stockout_cost",
            ),
            (
                "{demand} L",
                "{demand!r} L",
                "exp.yaml:3: problems.{demand!r} L{lead_time} p{stockout_cost:g}: {demand} may have a format of "
                "numbers only, such as {demand:g} (got '')",
            ),
            (
                "{demand} L",
                "{demand L",
                "exp.yaml:3: problems.{demand L{lead_time} p{stockout_cost:g}: unexpected '{' in field name",
            ),
            (
                "warm_up: 100",
                "periods: 100",
                "exp.yaml:6: problems.{demand} L{lead_time} p{stockout_cost:g}.parameters.periods: is given by 'each' "
                "too",
            ),
            (
                "lead_time: [1, 2]",
                "lead_time: []",
                "exp.yaml:5: problems.{demand} L{lead_time} p{stockout_cost:g}.each.lead_time: must have at least 1 "
                "item (got [])",
            ),
            (
                "lead_time: [1, 2]",
                "lead_time: [1, 60]",
                "exp.yaml:4: problems.poisson L60 p4.id: unknown problem (got 'zipkin2008/poisson-L60-p4'); "
                "did you mean 'zipkin2008/poisson-L6-p4'?",
            ),
            (
                "periods: [500]",
                "periods: [50]",
                "exp.yaml:6: problems.poisson L1 p4.parameters: warm_up must be at least 0 and below periods = 50 "
                "(got 100)",
            ),
            (
                "periods: [500]",
                "period: [500]",
                "exp.yaml:5: problems.poisson L1 p4.parameters.period: unknown key; did you mean 'periods'?",
            ),
            (
                "[poisson, geometric]",
                "[../poisson]",
                "exp.yaml:3: problems.../poisson L1 p4: must match the pattern ^[A-Za-z0-9][A-Za-z0-9 _()+-]*$ "
                "(got '../poisson L1 p4')",
            ),
        ],
    )
    def test_what_is_wrong_is_told_where_it_was_written(self, old: str, new: str, message: str, tmp_path: Path) -> None:
        assert old in self.TEXT
        assert told(tmp_path, self.TEXT.replace(old, new, 1))[0] == message


class TestPoliciesOfAll:
    TEXT = """\
name: shared
policies:
  base: {baseline: base_stock}
  exact: {baseline: clark_scarf}
problems:
  shop:
    id: echelon/LostSales-v0
  line:
    id: echelon/Serial-v0
    policies:
      base: {baseline: base_stock, options: {levels: [9, 9, 9, 9]}}
"""

    def test_a_policy_that_cannot_suit_a_problem_is_an_error(self, tmp_path: Path) -> None:
        assert told(tmp_path, self.TEXT) == [
            "exp.yaml:4: problems.shop.policies.exact.baseline: clark_scarf needs backorders at every outlet"
        ]

    def test_it_is_left_out_and_told_where_the_document_says_so(self, tmp_path: Path) -> None:
        config = one(tmp_path, self.TEXT, "policies.exact.where_it_applies=true")
        shop, line = config.problems["shop"], config.problems["line"]
        assert (list(shop.policies), list(line.policies)) == (["base"], ["base", "exact"])
        assert shop.left_out == {"exact": "clark_scarf needs backorders at every outlet"}
        assert line.left_out == {}
        assert "left_out" not in config.model_dump()["problems"]["line"]
        dump_yaml(config.model_dump(mode="json"), tmp_path / "config.yaml")
        assert load_config(tmp_path / "config.yaml") == config

    def test_a_problems_own_policy_comes_instead(self, tmp_path: Path) -> None:
        config = one(tmp_path, self.TEXT, "policies.exact.where_it_applies=true")
        assert config.problems["line"].policies["base"].options == {"levels": [9, 9, 9, 9]}
        assert config.problems["shop"].policies["base"].options == {}

    def test_a_learner_that_starts_from_an_exact_method_needs_what_it_needs(self, tmp_path: Path) -> None:
        text = self.TEXT.replace("{baseline: clark_scarf}", "{agent: ppo, start: clark_scarf}")
        assert told(tmp_path, text) == [
            "exp.yaml:4: problems.shop.policies.exact.start: clark_scarf needs backorders at every outlet"
        ]

    def test_a_problem_without_any_policy_left_is_an_error(self, tmp_path: Path) -> None:
        text = self.TEXT.replace("  base: {baseline: base_stock}\n", "", 1)
        assert told(tmp_path, text, "policies.exact.where_it_applies=true") == [
            "exp.yaml:5: problems.shop: no policy applies: exact: clark_scarf needs backorders at every outlet"
        ]

    def test_a_defect_of_a_policy_of_all_is_told_once(self, tmp_path: Path) -> None:
        assert told(tmp_path, self.TEXT.replace("base_stock}", "base_stok}", 1)) == [
            "exp.yaml:3: policies.base.baseline: unknown baseline (got 'base_stok'); did you mean 'base_stock'?"
        ]

    def test_exact_methods_are_tried_once_for_each_problem(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from echelon.experiments import suitability

        tried: list[str] = []

        monkeypatch.setattr(suitability, "make_plan", lambda name, _: tried.append(name))
        text = self.TEXT.replace("  shop:\n    id: echelon/LostSales-v0\n", "")
        grid(tmp_path, text + "seeds: [0, 1]\nsweep: {replications: [30, 40, 50]}\n")
        assert tried == ["clark_scarf"]


class TestExtends:
    def test_mappings_are_joined_and_the_later_wins(self, tmp_path: Path) -> None:
        (tmp_path / "base.yaml").write_text(SHOP, encoding="utf-8")
        (tmp_path / "more.yaml").write_text("replications: 30\nseed: 4\n", encoding="utf-8")
        config = one(
            tmp_path,
            "extends: [base.yaml, more.yaml]\nseed: 5\n"
            "problems: {shop: {parameters: {stockout_cost: 9}, policies: {learner: {steps: 9}}}}\n",
        )
        assert (config.name, config.replications, config.seed) == ("tiny", 30, 5)
        assert config.problems["shop"].parameters == {"lead_time": 1, "stockout_cost": 9}
        assert config.problems["shop"].policies["learner"].steps == 9

    def test_null_removes_a_key(self, tmp_path: Path) -> None:
        (tmp_path / "base.yaml").write_text(SHOP, encoding="utf-8")
        config = one(
            tmp_path, "extends: base.yaml\nreplications: null\nproblems: {shop: {policies: {learner: null}}}\n"
        )
        assert list(config.problems["shop"].policies) == ["base"]
        assert config.replications == 2_000

    def test_files_are_found_from_the_file_that_names_them(self, tmp_path: Path) -> None:
        (tmp_path / "a" / "b").mkdir(parents=True)
        (tmp_path / "a" / "base.yaml").write_text(SHOP, encoding="utf-8")
        (tmp_path / "a" / "b" / "mid.yaml").write_text("extends: ../base.yaml\nseed: 3\n", encoding="utf-8")
        assert one(tmp_path, "extends: a/b/mid.yaml\n").seed == 3
        assert one(tmp_path, f"extends: {tmp_path}/a/base.yaml\n").name == "tiny"

    def test_a_shipped_config_is_found_by_its_name(self, tmp_path: Path) -> None:
        config = one(tmp_path, "extends: quickstart.yaml\nname: mine\nproblems: {serial: null}\n")
        assert (config.name, list(config.problems)) == ("mine", ["lost sales"])

    def test_an_override_may_say_what_is_extended(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "here").mkdir()
        (tmp_path / "here" / "base.yaml").write_text(SHOP, encoding="utf-8")
        monkeypatch.chdir(tmp_path / "here")
        assert one(tmp_path, "seed: 3\n", "extends=base.yaml").name == "tiny"

    def test_a_defect_is_told_with_the_file_that_it_stands_in(self, tmp_path: Path) -> None:
        (tmp_path / "base.yaml").write_text(SHOP.replace("4000", "0"), encoding="utf-8")
        assert told(tmp_path, "extends: base.yaml\nseed: -1\n") == [
            "exp.yaml:2: seed: must be at least 0 (got -1)",
            "base.yaml:9: problems.shop.policies.learner.steps: must be at least 1 (got 0)",
        ]

    def test_a_cycle_is_told_with_its_chain(self, tmp_path: Path) -> None:
        (tmp_path / "b.yaml").write_text("extends: c.yaml\n", encoding="utf-8")
        (tmp_path / "c.yaml").write_text("extends: [exp.yaml]\n", encoding="utf-8")
        assert told(tmp_path, "extends: b.yaml\n") == [
            "c.yaml:1: extends.0: must not lead back to itself (got exp.yaml -> b.yaml -> c.yaml -> exp.yaml)"
        ]
        assert told(tmp_path, "extends: exp.yaml\n") == [
            "exp.yaml:1: extends: must not lead back to itself (got exp.yaml -> exp.yaml)"
        ]

    def test_levels_and_files_are_limited(self, tmp_path: Path) -> None:
        for level in range(12):
            (tmp_path / f"l{level}.yaml").write_text(f"extends: l{level + 1}.yaml\n", encoding="utf-8")
        limit = "at most 10 levels and 100 files are allowed"
        assert told(tmp_path, "extends: l0.yaml\n") == [f"l9.yaml:1: extends: {limit}"]
        for level in range(3):
            wide = ", ".join([f"w{level + 1}.yaml"] * 50)
            (tmp_path / f"w{level}.yaml").write_text(f"extends: [{wide}]\n", encoding="utf-8")
        (tmp_path / "w3.yaml").write_text(SHOP, encoding="utf-8")
        (message,) = told(tmp_path, "extends: w0.yaml\n")
        assert message.endswith(limit)


class TestDryRun:
    TEXT = SHOP.replace(
        "      learner:", "      exact: {baseline: clark_scarf, where_it_applies: true}\n      learner:"
    )

    def test_its_sizes_are_sums(self, tmp_path: Path) -> None:
        found = dry_run(grid(tmp_path, self.TEXT + "seeds: [0, 1, 2]\n"))
        assert (found.cells, len(found.runs)) == (6, 3)
        assert found.node_periods == 6 * 20 * 1_100 * 1
        assert found.training == {"periods of ppo": 12_000}
        assert found.memory == planned_memory(make_problem("echelon/LostSales-v0", lead_time=1), 20)

    def test_it_prints_what_would_run(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        print_dry_run(grid(tmp_path, self.TEXT + "seeds: [0, 1, 2]\n", "replications=100", "precision=0.5"))
        printed = capsys.readouterr().out
        for line in (
            "tiny: 3 runs, 6 cells",
            "  seed=2",
            "  base: base_stock, 3 cells",
            "  learner: ppo, 4,000 periods, 3 cells",
            "  exact of shop: clark_scarf needs backorders at every outlet",
            "evaluation: at least 660,000 node-periods",
            "training: 12,000 periods of ppo",
        ):
            assert f"{line}\n" in printed
        assert re.search(r"shop +3 +2 +1 +1 +1,100 +≥ 100 ", printed)

    def test_long_lists_are_cut_and_counted(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        print_dry_run(grid(tmp_path, SHOP + f"seeds: {list(range(50))}\n"))
        printed = capsys.readouterr().out
        assert "  seed=19\n  ... and 30 more\n" in printed

    @pytest.mark.parametrize("problem_id", ["echelon/Serial-v0", "echelon/OneWarehouse-v0"])
    def test_the_planned_memory_is_that_of_the_evaluation(self, problem_id: str) -> None:
        problem = make_problem(problem_id, periods=200, warm_up=0)
        links = len(problem.network.links)

        def policy(state: Any) -> Any:
            return np.full((state.batch, links), 5.0)

        simulate_stream(problem, policy, replications=2, seed=0)
        tracemalloc.start()
        simulate_stream(problem, policy, replications=4_000, seed=0)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert 0.5 < planned_memory(problem, 4_000) / peak < 1.5


def test_a_grid_that_is_too_large_is_refused_with_its_size(tmp_path: Path) -> None:
    values = f"replications: {list(range(2, 302))}, problems.shop.parameters.lead_time: {list(range(300))}"
    sweep = f"sweep: {{{values}}}\n"
    assert told(tmp_path, SHOP + sweep) == [
        "exp.yaml:1: the config must have at most 100,000 cells, one for each policy and problem of each run "
        "(got 180,000 cells in 90,000 runs)"
    ]
    keys = ", ".join(f"{key}: {list(range(10))}" for key in "abcdefgh")
    each = f'{{id: "{{a}}", each: {{{keys}}}, policies: {{base: {{baseline: base_stock}}}}}}'
    assert "(got 100,000,000 cells in 1 runs)" in told(tmp_path, f"name: x\nproblems: {{shop: {each}}}\n")[0]


PAGE = (Path(__file__).parents[1] / "docs" / "configs.md").read_text(encoding="utf-8")
SHOWN = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("text", SHOWN, ids=[re.search("name.*|extends.*", text)[0] for text in SHOWN])  # type: ignore[index]
def test_every_config_that_the_page_shows_is_whole(text: str, tmp_path: Path) -> None:
    assert grid(tmp_path, text).cells > 0


def test_the_page_counts_right(tmp_path: Path) -> None:
    beds, sweep = (next(text for text in SHOWN if f"{key}:" in text) for key in ("each", "sweep"))
    names = list(one(tmp_path, beds).problems)
    assert [sum(name.startswith("Zipkin") is old for name in names) for old in (False, True)] == [8, 4]
    labels = [member.label for member in grid(tmp_path, sweep).members]
    assert (len(labels), labels[0]) == (12, "lead_time=2,gamma=0.98,seed=0")
