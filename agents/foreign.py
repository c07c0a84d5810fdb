"""Policies that Stable-Baselines3 has saved itself with `model.save(...)`, read weights only.

Such a zip holds the weights as a file of PyTorch and everything else as JSON in which many values are pickles in
base64. Only the weights are used, by PyTorch's reader that makes nothing but tensors of them, and a few plain
numbers of the JSON; no pickle in it is ever touched. The sizes of the layers follow from the weights; what cannot
be told from them, the activation function and the meaning of observations and actions, is given by the caller.
"""

from __future__ import annotations

import io
import json
import pickle
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, NoReturn

import torch
from torch import Tensor

from echelon.agents.checkpoint import TENSOR_BYTES, read_bytes
from echelon.agents.columns import column_names
from echelon.agents.learned import BROKEN, LearnedPolicy, told
from echelon.agents.sb3_actor import ACTIVATIONS, Sb3Actor
from echelon.envs.codec import ActionKind, Codec, Decision
from echelon.envs.errors import ConfigError, nearest
from echelon.envs.problem import Problem

WEIGHTS, DATA = "policy.pth", "data"
MOST_FILES = 1_000
DATA_BYTES = 2**26
STACKS: dict[str, tuple[str, str, str | None]] = {
    "ppo": ("mlp_extractor.policy_net", "mlp_extractor.value_net", "action_net"),
    "a2c": ("mlp_extractor.policy_net", "mlp_extractor.value_net", "action_net"),
    "sac": ("actor.latent_pi", "critic.qf0", "actor.mu"),
    "td3": ("actor.mu", "critic.qf0", None),
    "dqn": ("q_net.q_net", "", None),
}
"""For each algorithm the names of its layers: those of the actor, of a critic, and the head; None, where the head is
the last layer of the actor."""


def load_sb3_zip(
    path: str | Path,
    problem: Problem,
    *,
    algorithm: str,
    decision: Decision = "orders",
    action: ActionKind = "continuous",
    activation: str = "Tanh",
) -> LearnedPolicy:
    """The policy in a zip of Stable-Baselines3, for a problem whose observations and actions it was trained on.

    `decision` and `action` are those of the environment, `activation` the name of the function between the layers:
    Tanh is the default of PPO and A2C, ReLU that of the others. Raises `ConfigError` that says what does not fit.
    """
    for name, value, known in (("algorithm", algorithm, STACKS), ("activation", activation, ACTIVATIONS)):
        if value not in known:
            raise ConfigError([f"unknown {name} {value!r}{nearest(value, known)}"])
    file = Path(path)
    codec = Codec(problem.network, decision, action)
    with _opened(read_bytes(file, TENSOR_BYTES), file) as archive:
        weights = _weights(archive, file)
        data = _plain_data(archive)
    architecture = _architecture(weights, algorithm, file)
    _require_sizes(weights, algorithm, codec, file)
    record = {
        "algorithm": algorithm,
        "decision": decision,
        "action": action,
        "architecture": {"net_arch": architecture, "activation_fn": activation, **_critics(weights, algorithm)},
    }
    try:
        actor = Sb3Actor.restored(problem.network, record, weights)
    except BROKEN as error:
        _refuse(file, f"the weights are not those of an MlpPolicy of {algorithm}: {told(error)}")
    return LearnedPolicy(actor, algorithm, training={**data, "source": file.name})


def _refuse(path: Path, rule: str) -> NoReturn:
    raise ConfigError([f"{path}: {rule}"])


def _opened(content: bytes, path: Path) -> zipfile.ZipFile:
    """The archive in a file. Refuses names that lead elsewhere and contents that unpack to more than they may."""
    try:
        archive = zipfile.ZipFile(io.BytesIO(content))
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        _refuse(path, f"must be a zip file that Stable-Baselines3 has saved: {told(error)}")
    entries = archive.infolist()
    for entry in entries:
        name = PurePosixPath(entry.filename.replace("\\", "/"))
        if name.is_absolute() or ".." in name.parts or re.match("[A-Za-z]:", entry.filename):
            _refuse(path, f"no file in it may lead out of it (got {entry.filename[:80]!r})")
    if len(entries) > MOST_FILES:
        _refuse(path, f"it must hold at most {MOST_FILES:,} files (got {len(entries):,})")
    if sum(entry.file_size for entry in entries) > TENSOR_BYTES:
        _refuse(path, f"its files must unpack to at most {TENSOR_BYTES:,} bytes")
    return archive


def _unpacked(archive: zipfile.ZipFile, name: str, most: int, path: Path) -> bytes:
    try:
        with archive.open(name) as stream:
            content = stream.read(most + 1)
    except KeyError:
        _refuse(path, f"it must hold a file {name!r}, as Stable-Baselines3 saves it")
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError, OSError, ValueError) as error:
        _refuse(path, f"the file {name!r} in it must be complete and sound: {error}")
    if len(content) > most:
        _refuse(path, f"the file {name!r} in it must have at most {most:,} bytes")
    return content


def _weights(archive: zipfile.ZipFile, path: Path) -> dict[str, Tensor]:
    """The tensors of the policy, finite ones. Whatever else the file holds is refused, not run."""
    content = _unpacked(archive, WEIGHTS, TENSOR_BYTES, path)
    _opened(content, path / WEIGHTS).close()
    try:
        found: Any = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, EOFError, OSError, *BROKEN) as error:
        _refuse(path, f"{WEIGHTS} must hold tensors and nothing else ({type(error).__name__})")
    if not isinstance(found, Mapping) or not all(isinstance(value, Tensor) for value in found.values()):
        _refuse(path, f"{WEIGHTS} must hold tensors by name")
    weights = {str(name): value for name, value in found.items()}
    for name, value in weights.items():
        if value.dtype != torch.float32 or value.layout != torch.strided or not bool(value.isfinite().all()):
            _refuse(path, f"{WEIGHTS}: {name} must have finite numbers in float32 (got {value.dtype})")
    return weights


def _plain_data(archive: zipfile.ZipFile) -> dict[str, Any]:
    """The numbers of the JSON at its top, none if it cannot be read: they are told, and nothing depends on them."""
    try:
        data = json.loads(_unpacked(archive, DATA, DATA_BYTES, Path(DATA)), parse_constant=str)
    except (ConfigError, ValueError, RecursionError):
        return {}
    if not isinstance(data, dict):
        return {}
    plain = {str(key): value for key, value in data.items() if isinstance(value, int | float | str)}
    known = {"seed": plain.pop("seed", None), "steps": plain.pop("num_timesteps", None)}
    return {**known, "settings": {key: value for key, value in plain.items() if not key.startswith("_")}}


def _layers(weights: Mapping[str, Tensor], stack: str, path: Path) -> list[tuple[int, int]]:
    """The numbers of inputs and outputs of every linear layer with this name, in order."""
    pattern = re.compile(rf"{re.escape(stack)}\.(\d+)\.weight")
    found = sorted((int(match[1]), value) for name, value in weights.items() if (match := pattern.fullmatch(name)))
    if any(value.ndim != 2 for _, value in found):
        _refuse(path, f"{WEIGHTS}: the layers {stack} must be matrices")
    return [(value.shape[1], value.shape[0]) for _, value in found]


def _architecture(weights: Mapping[str, Tensor], algorithm: str, path: Path) -> Any:
    """The `net_arch` that makes layers of the sizes of the weights."""
    actor, critic, head = STACKS[algorithm]
    if head is not None and f"{head}.weight" not in weights:
        _refuse(path, f"{WEIGHTS} is not that of an MlpPolicy of {algorithm}: it has no {head}.weight")
    own = [outputs for _, outputs in _layers(weights, actor, path)]
    if head is None and not own:
        _refuse(path, f"{WEIGHTS} is not that of an MlpPolicy of {algorithm}: it has no layers {actor}")
    if head is None:
        own = own[:-1]
    if not critic:
        return own
    value = [outputs for _, outputs in _layers(weights, critic, path)]
    return {"pi": own, "vf": value} if algorithm in ("ppo", "a2c") else {"pi": own, "qf": value[:-1]}


def _critics(weights: Mapping[str, Tensor], algorithm: str) -> dict[str, int]:
    if algorithm not in ("sac", "td3"):
        return {}
    return {"n_critics": len({name.split(".")[1] for name in weights if re.match(r"critic\.qf\d+\.", name)})}


def _require_sizes(weights: Mapping[str, Tensor], algorithm: str, codec: Codec, path: Path) -> None:
    """Refuse a network that takes other observations or gives other actions than the codec's."""
    actor, _, head = STACKS[algorithm]
    layers = _layers(weights, actor, path)
    if head is not None:
        matrix = weights[f"{head}.weight"]
        if matrix.ndim != 2:
            _refuse(path, f"{WEIGHTS}: {head}.weight must be a matrix")
        layers.append((matrix.shape[1], matrix.shape[0]))
    taken, given = layers[0][0], layers[-1][1]
    columns = column_names(codec)
    if taken != len(columns):
        seen = ", ".join(columns[:5]) + (", ..." if len(columns) > 5 else "")
        name = codec.network.name
        _refuse(path, f"its network must take the {len(columns)} observations of {name!r}: {seen} (got {taken})")
    space = codec.action_space
    wanted = int(getattr(space, "n", 0)) or int(sum(getattr(space, "nvec", ()))) or len(codec.network.links)
    if given != wanted:
        must = f"{wanted} outputs for the {codec.action} {codec.decision} of {len(codec.network.links)} links"
        _refuse(path, f"its network must give {must} (got {given})")
