"""Checkpoints: nothing is lost by a crash, nothing broken is taken for sound, and nothing that came with one runs."""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import pickle
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("torch")
pytest.importorskip("stable_baselines3")

import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as tensor_bytes
from stable_baselines3 import A2C, DQN, PPO, SAC, TD3
from stable_baselines3.common.base_class import BaseAlgorithm

from echelon.agents import checkpoint
from echelon.agents.actor import ACTORS, actor_class
from echelon.agents.algorithms import ALGORITHMS
from echelon.agents.checkpoint import CheckpointWarning, load_state, save_state, write_checkpoint
from echelon.agents.foreign import load_sb3_zip
from echelon.agents.learned import LearnedPolicy, training_record
from echelon.agents.sb3_actor import Sb3Actor
from echelon.agents.support import support_of
from echelon.envs.catalogue import lost_sales, one_warehouse
from echelon.envs.codec import Codec
from echelon.envs.errors import ConfigError, MethodError
from echelon.envs.gym_env import NetworkEnv
from echelon.envs.problem import Problem
from echelon.envs.scenarios import sample
from echelon.envs.simulate import simulate

SHOP = lost_sales(lead_time=2, periods=120, warm_up=20)
TREE = one_warehouse(periods=60, warm_up=20)


def untrained(problem: Problem = SHOP, seed: int = 0, width: int = 8) -> LearnedPolicy:
    """A policy of PPO before any training."""
    torch.manual_seed(seed)
    codec = Codec(problem.network)
    kind = ALGORITHMS["ppo"].policy_aliases["MlpPolicy"]
    network = kind(codec.observation_space, codec.action_space, lambda _: 0.0, net_arch=[width, width])
    with torch.no_grad():
        for value in network.parameters():
            value.add_(torch.randn(value.shape), alpha=0.5)
    record = training_record(seed=seed, steps=0, settings={"learning_rate": 1e-3})
    return LearnedPolicy(Sb3Actor(codec, network, "ppo"), "ppo", training=record)


def same_weights(one: LearnedPolicy, other: LearnedPolicy) -> bool:
    theirs = other.actor.state_dict()
    return all(torch.equal(value, theirs[name]) for name, value in one.actor.state_dict().items())


def ordered(policy: LearnedPolicy, problem: Problem = SHOP) -> NDArray[np.float64]:
    """Orders [B, T, E] on ten scenarios."""
    scenarios = sample(problem.network, periods=problem.periods, replications=10, seed=0)
    trace = simulate(problem, policy, scenarios, trace=True).trace
    assert trace is not None
    return np.asarray(trace.ordered)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint with a support; tests work on copies."""
    folder = tmp_path_factory.mktemp("checkpoint") / "ppo"
    policy = untrained()
    policy.with_support(support_of(policy.actor, SHOP, states=2_000)).save(folder)
    return folder


def weights_file(folder: Path) -> Path:
    (found,) = folder.glob("policy-*.safetensors")
    return found


def sealed(folder: Path, description: dict[str, Any]) -> None:
    """Write a description with a checksum that fits, as a forger would."""
    description.pop("sha256", None)
    text = json.dumps(description, sort_keys=True, separators=(",", ":"))
    description["sha256"] = hashlib.sha256(text.encode()).hexdigest()
    (folder / "policy.json").write_text(json.dumps(description), encoding="utf-8")


def described(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    """A forged description."""

    def edit(folder: Path) -> None:
        description = json.loads((folder / "policy.json").read_text(encoding="utf-8"))
        change(description)
        sealed(folder, description)

    return edit


def weighted(change: Callable[[dict[str, torch.Tensor]], Any]) -> Callable[[Path], None]:
    """Forged weights, with a description that fits."""

    def edit(folder: Path) -> None:
        tensors = load_tensors(weights_file(folder).read_bytes())
        change(tensors)
        forged(folder, tensor_bytes(tensors))

    return edit


def forged(folder: Path, content: bytes) -> None:
    checksum = hashlib.sha256(content).hexdigest()
    weights_file(folder).unlink()
    (folder / f"policy-{checksum[:16]}.safetensors").write_bytes(content)
    described(lambda d: d.update(weights_sha256=checksum))(folder)


def written(pattern: str, change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    """An edit of the bytes of a file."""

    def edit(folder: Path) -> None:
        (file,) = folder.glob(pattern)
        file.write_bytes(change(file.read_bytes()))

    return edit


def linked(pattern: str) -> Callable[[Path], None]:
    """A file moved out of the folder, with a link to it in its place."""

    def edit(folder: Path) -> None:
        (file,) = folder.glob(pattern)
        (folder / "elsewhere").mkdir()
        os.symlink(shutil.move(file, folder / "elsewhere" / file.name), file)

    return edit


def piped(folder: Path) -> None:
    (folder / "policy.json").unlink()
    os.mkfifo(folder / "policy.json")


class Marker:
    """Leaves a file behind if anybody unpickles it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (open, (str(self.path), "w"))


def pickled(folder: Path) -> None:
    forged(folder, pickle.dumps(Marker(folder / "marker")))


def cast(name: str, kind: torch.dtype) -> Callable[[Path], None]:
    return weighted(lambda tensors: tensors.update({name: tensors[name].to(kind)}))


WEIGHTS, DATA = "policy-*.safetensors", "policy.json"
BROKEN: dict[str, tuple[Callable[[Path], None], str]] = {
    "no weights": (lambda folder: weights_file(folder).unlink(), "there is no such file"),
    "no description": (lambda folder: (folder / DATA).unlink(), r"policy\.json: there is no such file"),
    "half of the weights": (written(WEIGHTS, lambda c: c[: len(c) // 2]), "checksum differs"),
    "an empty file of weights": (written(WEIGHTS, lambda _: b""), "checksum differs"),
    "half of the description": (written(DATA, lambda c: c[:40]), "must be complete and sound JSON"),
    "a description that is not text": (written(DATA, lambda c: b"\xff\xfe" + c), "must be complete and sound JSON"),
    "a description that is a list": (written(DATA, lambda _: b"[1]"), r"must hold a mapping \(got \[1\]\)"),
    "a description of 64 MiB": (written(DATA, lambda c: c + b" " * 2**26), "at most 67,108,864 bytes"),
    "a deep description": (written(DATA, lambda _: b"[" * 10**7), "nested too deep"),
    "a number that is none": (written(DATA, lambda c: c.replace(b"120", b"NaN", 1) + b"NaN"), "sound JSON"),
    "a link for weights": (linked(WEIGHTS), "must not be a link"),
    "a link for a description": (linked(DATA), "must not be a link"),
    "a pipe for a description": (piped, "must be a plain file"),
    "a changed digit": (written(DATA, lambda c: c.replace(b'"mean": 5.0', b'"mean": 6.0')), "checksum differs"),
    "another schema": (described(lambda d: d.update(schema=3)), r"schema must be 1 or 2 \(got 3\)"),
    "no schema": (described(lambda d: d.pop("schema")), r"schema must be 1 or 2 \(got None\)"),
    "a checksum that is a path": (described(lambda d: d.update(weights_sha256="../../x")), "64 hexadecimal digits"),
    "pickled weights": (pickled, "must be complete and sound safetensors"),
    "an unknown kind": (described(lambda d: d.update(kind="os:system")), "unknown kind of actor 'os:system'"),
    "no kind": (described(lambda d: d.pop("kind")), "must be complete and sound: KeyError"),
    "another kind": (described(lambda d: d.update(kind=["sb3"])), "unknown kind of actor"),
    "an unknown algorithm": (described(lambda d: d["record"].update(algorithm="reinforce")), "unknown algorithm"),
    "another algorithm": (described(lambda d: d["record"].update(algorithm="sac")), "policy.json: "),
    "an unknown activation": (described(lambda d: d["record"]["architecture"].update(activation_fn="x")), "'x'"),
    "no record": (described(lambda d: d.pop("record")), "KeyError"),
    "a record of a list": (described(lambda d: d.update(record=[1, 2])), "must be complete and sound"),
    "another architecture": (described(lambda d: d["record"]["architecture"].update(net_arch=[4, 4])), "size mismatch"),
    "a vast architecture": (
        described(lambda d: d["record"]["architecture"].update(net_arch=[30_000, 30_000])),
        r"net_arch must have the sizes of the weights \(got \[30000, 30000\]\)",
    ),
    "an endless architecture": (
        described(lambda d: d["record"]["architecture"].update(net_arch=[1] * 10_000)),
        "no more layers than there are weights",
    ),
    "an architecture of words": (described(lambda d: d["record"]["architecture"].update(net_arch="big")), "sound"),
    "an unknown decision": (described(lambda d: d["record"].update(decision="level")), "decision must be"),
    "another kind of action": (described(lambda d: d["record"].update(action="discrete")), "policy.json: "),
    "a broken network": (described(lambda d: d["network"].update(nodes=[])), r"policy\.json: nodes"),
    "another network": (described(lambda d: d["network"]["links"][0].update(lead_time=7)), "size mismatch"),
    "a training of a list": (described(lambda d: d.update(training=[1])), "must be complete and sound"),
    "a support too short": (described(lambda d: d["support"].update(low=[0.0])), "support: low, high, lower and upper"),
    "a support of words": (described(lambda d: d["support"].update(low="abc")), "must be complete and sound"),
    "a tensor too few": (weighted(lambda tensors: tensors.pop("log_std")), "log_std"),
    "a tensor too many": (weighted(lambda tensors: tensors.update(extra=torch.ones(2))), "extra"),
    "a tensor of another shape": (weighted(lambda tensors: tensors.update(log_std=torch.ones(2))), "log_std"),
    "a tensor of doubles": (cast("log_std", torch.float64), r"log_std must be float32 \[1\] \(got float64 \[1\]\)"),
    "a tensor of integers": (cast("log_std", torch.int64), r"log_std must be float32 \[1\] \(got int64 \[1\]\)"),
    "weights not numbers": (weighted(lambda tensors: tensors["action_net.bias"].fill_(math.nan)), "must be finite"),
    "endless weights": (weighted(lambda tensors: tensors["action_net.bias"].fill_(math.inf)), "must be finite"),
}


@pytest.mark.parametrize("defect", BROKEN)
def test_a_broken_checkpoint_is_refused_with_its_file_and_its_defect_named(
    defect: str, saved: Path, tmp_path: Path
) -> None:
    shutil.copytree(saved, tmp_path / "copy")
    spoil, message = BROKEN[defect]
    spoil(tmp_path / "copy")
    with pytest.raises(ConfigError, match=message) as caught:
        LearnedPolicy.load(tmp_path / "copy")
    assert str(caught.value).startswith(f"{tmp_path / 'copy'}{os.sep}policy")
    assert len(str(caught.value)) < 1_000
    assert not (tmp_path / "copy" / "marker").exists()


def test_weights_that_are_too_large_are_not_read(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "TENSOR_BYTES", 100)
    with pytest.raises(ConfigError, match=r"policy-.*\.safetensors: a file must have at most 100 bytes \(got "):
        LearnedPolicy.load(saved)


@pytest.mark.parametrize("pattern", [WEIGHTS, DATA])
def test_no_flipped_bit_goes_unnoticed(pattern: str, saved: Path, tmp_path: Path) -> None:
    """Whitespace between values of the description is the only place where a byte may change."""
    shutil.copytree(saved, tmp_path / "copy")
    (file,) = (tmp_path / "copy").glob(pattern)
    content = file.read_bytes()
    rng = np.random.default_rng(1)
    for place in rng.choice(len(content), 150):
        if content[place] in b" \n":
            continue
        flipped = bytearray(content)
        flipped[place] ^= 1 << int(rng.integers(8))
        file.write_bytes(bytes(flipped))
        with pytest.raises(ConfigError):
            LearnedPolicy.load(tmp_path / "copy")
    file.write_bytes(content)
    LearnedPolicy.load(tmp_path / "copy")


@pytest.mark.parametrize("problem", [SHOP, TREE])
def test_a_policy_survives_the_checkpoint_bit_for_bit(problem: Problem, tmp_path: Path) -> None:
    policy = untrained(problem)
    policy = policy.with_support(support_of(policy.actor, problem, states=20_000))
    policy.save(tmp_path)
    loaded = LearnedPolicy.load(tmp_path)
    assert (ordered(loaded, problem) == ordered(policy, problem)).all()
    assert same_weights(loaded, policy)
    assert (loaded.method, loaded.training) == (policy.method, policy.training)
    assert loaded.network == problem.network
    assert loaded.support is not None
    assert policy.support is not None
    assert loaded.support.record() == policy.support.record()
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    loaded.save(tmp_path)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_a_checkpoint_tells_how_it_was_trained_and_holds_nothing_that_runs(saved: Path) -> None:
    assert sorted(file.name for file in saved.iterdir()) == [weights_file(saved).name, "policy.json"]
    description = json.loads((saved / "policy.json").read_text(encoding="utf-8"))
    keys = ["schema", "kind", "method", "network", "record", "support", "training", "weights_sha256", "sha256"]
    assert [*description] == keys
    training = description["training"]
    assert {"seed", "steps", "settings", "versions", "threads", "processor"} == {*training}
    assert training["versions"]["torch"] == torch.__version__
    content = b"".join(file.read_bytes() for file in saved.iterdir())
    assert b"pickle" not in content
    assert b"PK\x03\x04" not in content


def test_a_checkpoint_of_schema_1_is_still_read(saved: Path, tmp_path: Path) -> None:
    policy = LearnedPolicy.load(saved)
    content = weights_file(saved).read_bytes()
    description = {
        "schema": 1,
        **{key: policy.actor.record()[key] for key in ("algorithm", "decision", "action", "architecture")},
        "network": policy.network.model_dump(mode="json", exclude_defaults=True),
        "weights_sha256": hashlib.sha256(content).hexdigest(),
    }
    (tmp_path / "policy.json").write_text(json.dumps(description), encoding="utf-8")
    (tmp_path / "policy.safetensors").write_bytes(content)
    loaded = LearnedPolicy.load(tmp_path)
    assert (ordered(loaded) == ordered(policy)).all()
    loaded.save(tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == [weights_file(saved).name, "policy.json"]
    assert (ordered(LearnedPolicy.load(tmp_path)) == ordered(policy)).all()


def test_a_crash_at_any_moment_leaves_the_old_policy_or_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every call that changes the disk is made to fail in turn, with nothing cleaned up behind it."""
    old, new = untrained(seed=1), untrained(seed=2)
    found = {"old": 0, "new": 0}
    for last in range(100):
        folder = tmp_path / f"{last}"
        old.save(folder)
        with monkeypatch.context() as patch:
            if not crashes_after(last, patch, lambda folder=folder: new.save(folder)):  # type: ignore[misc]
                break
        loaded = LearnedPolicy.load(folder)
        which = "old" if same_weights(loaded, old) else "new"
        assert which == "old" or same_weights(loaded, new)
        found[which] += 1
        new.save(folder)
        assert len([*folder.iterdir()]) == 2
    assert min(found.values()) > 0
    assert last > 10


class Crash(BaseException):
    """The power goes."""


def crashes_after(last: int, patch: pytest.MonkeyPatch, write: Callable[[], None]) -> bool:
    """Whether the writing did not get to its end with so many calls to the disk."""
    calls = 0

    def spend(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls > last:
                raise Crash
            return real(*arguments, **options)

        return call

    for name in ("replace", "fsync", "open"):
        patch.setattr(os, name, spend(getattr(os, name)))
    patch.setattr(Path, "unlink", spend(Path.unlink))
    try:
        write()
    except Crash:
        return True
    return False


def test_the_state_of_a_training_is_kept_twice(tmp_path: Path) -> None:
    assert load_state(tmp_path) is None
    for step in range(4):
        save_state(tmp_path, {"w": torch.full((2,), float(step))}, {"step": step, "curve": [0.1, None]})
        found = load_state(tmp_path)
        assert found is not None
        assert found[0]["w"].tolist() == [step, step]
        assert found[1] == {"step": step, "curve": [0.1, None]}
    assert len([*tmp_path.iterdir()]) == 4


@pytest.mark.parametrize(
    "spoil",
    [
        lambda folder: (folder / "state.json").write_bytes((folder / "state.json").read_bytes()[:-9]),
        lambda folder: last_weights(folder).write_bytes(b"x" + last_weights(folder).read_bytes()[1:]),
        lambda folder: last_weights(folder).unlink(),
    ],
)
def test_a_broken_state_falls_back_to_the_one_before_it_with_a_warning(
    spoil: Callable[[Path], Any], tmp_path: Path
) -> None:
    for step in range(3):
        save_state(tmp_path, {"w": torch.full((2,), float(step))}, {"step": step})
    spoil(tmp_path)
    with pytest.warns(CheckpointWarning, match="the state before it is used"):
        found = load_state(tmp_path)
    assert found is not None
    assert found[1] == {"step": 1}
    assert found[0]["w"].tolist() == [1, 1]
    (tmp_path / "state.previous.json").write_text("{}")
    with pytest.raises(ConfigError, match=r"(?s)state.*\n.*state\.previous\.json: schema must be"):
        load_state(tmp_path)


def last_weights(folder: Path) -> Path:
    checksum = json.loads((folder / "state.json").read_text())["weights_sha256"]
    return folder / f"state-{checksum[:16]}.safetensors"


def test_a_crash_at_any_moment_leaves_a_state_to_go_on_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for last in range(100):
        folder = tmp_path / f"{last}"
        for step in (0, 1):
            save_state(folder, {"w": torch.full((2,), float(step))}, {"step": step})
        with monkeypatch.context() as patch:
            crashed = crashes_after(last, patch, lambda f=folder: save_state(f, {"w": torch.ones(3)}, {"step": 2}))  # type: ignore[misc]
        found = load_state(folder)
        assert found is not None
        assert found[1]["step"] in (1, 2)
        if not crashed:
            break
    assert found is not None
    assert found[1]["step"] == 2


def test_what_is_not_plain_data_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    for value in (math.nan, object(), {1, 2}):
        with pytest.raises(MethodError, match="a checkpoint holds plain and finite data only"):
            write_checkpoint(tmp_path / "new", "policy", tensors={}, data={"value": value})
    assert not (tmp_path / "new").exists()


def test_a_full_disk_loses_nothing_and_is_named(saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(saved, tmp_path / "copy")
    before = sorted(file.name for file in (tmp_path / "copy").iterdir())

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ConfigError, match=r"copy: the checkpoint cannot be written: No space left on device"):
        untrained(seed=5).save(tmp_path / "copy")
    assert sorted(file.name for file in (tmp_path / "copy").iterdir()) == before
    assert same_weights(LearnedPolicy.load(tmp_path / "copy"), LearnedPolicy.load(saved))


def test_tensors_that_share_memory_or_lie_crosswise_are_written_as_they_look(tmp_path: Path) -> None:
    base = torch.arange(6.0).reshape(2, 3)
    save_state(
        tmp_path, {"a": base, "b": base.T, "c": base[:, 1], "bytes": torch.tensor([1, 2], dtype=torch.uint8)}, {}
    )
    found = load_state(tmp_path)
    assert found is not None
    assert torch.equal(found[0]["b"], base.T)
    assert torch.equal(found[0]["c"], base[:, 1])
    assert found[0]["bytes"].dtype == torch.uint8


def test_kinds_of_actors_are_imported_only_by_their_names() -> None:
    assert actor_class("sb3") is Sb3Actor
    assert {"sb3", "pathwise", "controlled", "generalist"} <= {*ACTORS}
    for kind in ("os", "", None, 3):
        with pytest.raises(ConfigError, match="unknown kind of actor"):
            actor_class(kind)


FOREIGN: dict[str, tuple[type[BaseAlgorithm], dict[str, Any], dict[str, Any]]] = {
    "ppo": (PPO, {}, {}),
    "ppo of two towers": (PPO, {"policy_kwargs": {"net_arch": {"pi": [7], "vf": [9, 5]}}}, {}),
    "a2c": (A2C, {"policy_kwargs": {"activation_fn": torch.nn.ReLU}}, {"activation": "ReLU"}),
    "sac": (SAC, {"policy_kwargs": {"n_critics": 3, "net_arch": {"pi": [6], "qf": [4, 8]}}}, {"activation": "ReLU"}),
    "td3": (TD3, {"policy_kwargs": {"net_arch": [6, 5]}}, {"activation": "ReLU"}),
    "dqn": (DQN, {"policy_kwargs": {"net_arch": [6, 5]}}, {"activation": "ReLU", "action": "discrete"}),
    "ppo of levels": (PPO, {}, {"decision": "levels"}),
    "ppo of choices": (PPO, {}, {"action": "discrete", "decision": "levels"}),
}


def foreign_zip(case: str, path: Path, problem: Problem = SHOP) -> BaseAlgorithm:
    kind: Any
    kind, options, said = FOREIGN[case]
    choices = {"decision": said.get("decision", "orders"), "action": said.get("action", "continuous")}
    replay = {} if kind in (PPO, A2C) else {"buffer_size": 10}
    model = kind("MlpPolicy", NetworkEnv(problem, **choices), seed=1, device="cpu", **replay, **options)
    model.save(path)
    return model  # type: ignore[no-any-return]


@pytest.mark.parametrize("case", FOREIGN)
def test_a_policy_that_stable_baselines3_saved_orders_what_its_model_predicts(case: str, tmp_path: Path) -> None:
    problem = TREE if "levels" in case or "choices" in case else SHOP
    model = foreign_zip(case, tmp_path / "model.zip", problem)
    policy = load_sb3_zip(tmp_path / "model.zip", problem, algorithm=case.split()[0], **FOREIGN[case][2])
    actor = policy.actor
    assert isinstance(actor, Sb3Actor)

    def predicted(state: Any) -> NDArray[np.float64]:
        action, _ = model.predict(actor.observe(state), deterministic=True)
        return actor.codec.orders(action, state)

    scenarios = sample(problem.network, periods=problem.periods, replications=5, seed=0)
    assert simulate(problem, policy, scenarios).cost.tolist() == simulate(problem, predicted, scenarios).cost.tolist()
    assert policy.training["seed"] == 1
    policy.save(tmp_path / "saved")
    assert (ordered(LearnedPolicy.load(tmp_path / "saved"), problem) == ordered(policy, problem)).all()


def rezipped(source: Path, target: Path, **changed: bytes) -> None:
    """A copy of a zip with some files replaced or added."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            if name not in changed:
                new.writestr(name, old.read(name))
        for name, content in changed.items():
            new.writestr(name, content)


def torch_bytes(value: Any) -> bytes:
    stream = io.BytesIO()
    torch.save(value, stream)
    return stream.getvalue()


def bomb(size: int) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(size >> 20):
            archive.writestr(f"{number}", bytes(2**20))
    return stream.getvalue()


EVIL: dict[str, tuple[dict[str, bytes], str]] = {
    "a name that climbs": ({"../../evil.py": b"x"}, r"no file in it may lead out of it \(got '../../evil.py'\)"),
    "an absolute name": ({"/etc/evil": b"x"}, "no file in it may lead out of it"),
    "a name of Windows": ({"C:\\evil": b"x"}, "no file in it may lead out of it"),
    "weights of text": ({"policy.pth": b"hello"}, r"policy\.pth: must be a zip file"),
    "a list of tensors": ({"policy.pth": torch_bytes([torch.ones(2)])}, "must hold tensors by name"),
    "words": ({"policy.pth": torch_bytes({"a": "b"})}, "must hold tensors by name"),
    "doubles": ({"policy.pth": torch_bytes({"a": torch.ones(2, dtype=torch.float64)})}, r"float32 \(got torch.float64"),
    "no numbers": ({"policy.pth": torch_bytes({"a": torch.full((2,), math.nan)})}, "must have finite numbers"),
    "other weights": ({"policy.pth": torch_bytes({"a": torch.ones(2)})}, "it has no action_net.weight"),
    "a head of one row": ({"policy.pth": torch_bytes({"action_net.weight": torch.ones(2)})}, "must be a matrix"),
}


@pytest.fixture(scope="module")
def good_zip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("foreign") / "model.zip"
    foreign_zip("ppo", path)
    return path


@pytest.mark.parametrize("defect", EVIL)
def test_a_zip_that_is_not_a_sound_policy_is_refused(defect: str, good_zip: Path, tmp_path: Path) -> None:
    changed, message = EVIL[defect]
    rezipped(good_zip, tmp_path / "evil.zip", **changed)
    with pytest.raises(ConfigError, match=message) as caught:
        load_sb3_zip(tmp_path / "evil.zip", SHOP, algorithm="ppo")
    assert str(caught.value).startswith(str(tmp_path / "evil.zip"))


def test_nothing_in_a_zip_is_unpickled(good_zip: Path, tmp_path: Path) -> None:
    """Neither as weights nor in the JSON nor beside them; the marker would be there if anything had run."""
    import base64

    marker = Marker(tmp_path / "marker")
    pickle.loads(pickle.dumps(marker)).close()
    assert (tmp_path / "marker").exists()  # the pickle does harm where it is read
    (tmp_path / "marker").unlink()
    evil = pickle.dumps(marker)
    spoiled = {":type:": "<class 'dict'>", ":serialized:": base64.b64encode(evil).decode()}
    data = json.dumps({"policy_class": spoiled, "policy_kwargs": spoiled, "seed": 7}).encode()
    others = {"policy.optimizer.pth": torch_bytes(marker), "pytorch_variables.pth": torch_bytes(marker)}
    rezipped(good_zip, tmp_path / "beside.zip", data=data, **others)
    policy = load_sb3_zip(tmp_path / "beside.zip", SHOP, algorithm="ppo")
    assert policy.training["seed"] == 7
    assert (ordered(policy) == ordered(load_sb3_zip(good_zip, SHOP, algorithm="ppo"))).all()
    for weights in (torch_bytes(marker), torch_bytes({"a": marker}), evil):
        rezipped(good_zip, tmp_path / "evil.zip", **{"policy.pth": weights})
        with pytest.raises(ConfigError, match=r"policy\.pth"):
            load_sb3_zip(tmp_path / "evil.zip", SHOP, algorithm="ppo")
    assert not (tmp_path / "marker").exists()


def test_a_zip_that_unpacks_to_too_much_is_refused(
    good_zip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("echelon.agents.foreign.TENSOR_BYTES", 2**22)
    rezipped(good_zip, tmp_path / "outer.zip", extra=bytes(2**23))
    with pytest.raises(ConfigError, match="must unpack to at most 4,194,304 bytes"):
        load_sb3_zip(tmp_path / "outer.zip", SHOP, algorithm="ppo")
    rezipped(good_zip, tmp_path / "inner.zip", **{"policy.pth": bomb(2**23)})
    with pytest.raises(ConfigError, match=r"policy\.pth: its files must unpack to at most"):
        load_sb3_zip(tmp_path / "inner.zip", SHOP, algorithm="ppo")
    (tmp_path / "half.zip").write_bytes(good_zip.read_bytes()[:1_000])
    with pytest.raises(ConfigError, match="must be a zip file that Stable-Baselines3 has saved"):
        load_sb3_zip(tmp_path / "half.zip", SHOP, algorithm="ppo")


def test_a_foreign_policy_of_other_sizes_is_refused_in_words(good_zip: Path) -> None:
    longer = lost_sales(lead_time=3)
    words = r"must take the 4 observations of 'lost_sales': net stock at 'store', arriving in 1 period on .*\(got 3\)"
    with pytest.raises(ConfigError, match=words):
        load_sb3_zip(good_zip, longer, algorithm="ppo")
    with pytest.raises(ConfigError, match=r"must give \d+ outputs for the discrete orders of 1 links \(got 1\)"):
        load_sb3_zip(good_zip, SHOP, algorithm="ppo", action="discrete")
    with pytest.raises(ConfigError, match=r"unknown algorithm 'pp0'; did you mean 'ppo'\?"):
        load_sb3_zip(good_zip, SHOP, algorithm="pp0")
    with pytest.raises(ConfigError, match="unknown activation 'tanh'; did you mean 'Tanh'"):
        load_sb3_zip(good_zip, SHOP, algorithm="ppo", activation="tanh")
    with pytest.raises(ConfigError, match=r"it has no actor\.mu\.weight"):
        load_sb3_zip(good_zip, SHOP, algorithm="sac")
    with pytest.raises(ConfigError, match="there is no such file"):
        load_sb3_zip(good_zip.with_name("none.zip"), SHOP, algorithm="ppo")
