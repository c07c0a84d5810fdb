"""A trained Stable-Baselines3 network as a `Policy`, and its checkpoint.

A checkpoint is a folder with the weights as safetensors and all else as JSON. Nothing is pickled, so
loading a checkpoint executes nothing that came with it.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from stable_baselines3.common.policies import BasePolicy

from echelon.agents.algorithms import ALGORITHMS
from echelon.envs.codec import Codec
from echelon.envs.errors import ConfigError, MethodError
from echelon.envs.network import Network
from echelon.envs.state import State

SCHEMA = 1
"""Version of the checkpoint's layout."""
WEIGHTS, DESCRIPTION = "policy.safetensors", "policy.json"

ACTIVATIONS: dict[str, type[torch.nn.Module]] = {
    kind.__name__: kind for kind in (torch.nn.SiLU, torch.nn.Tanh, torch.nn.ReLU, torch.nn.ELU, torch.nn.GELU)
}
"""The activation functions that a checkpoint can name."""
_NOT_SHAPE = frozenset(
    {
        "observation_space",
        "action_space",
        "lr_schedule",
        "optimizer_class",
        "optimizer_kwargs",
        "features_extractor_class",
        "features_extractor_kwargs",
    }
)
"""Arguments of a policy that come from the codec, or matter only while it is trained."""


@dataclass(frozen=True, eq=False)
class LearnedPolicy:
    """A trained network that orders without exploring. It fits the network that it was trained on."""

    codec: Codec
    actor: BasePolicy
    algorithm: str

    def __call__(self, state: State) -> NDArray[np.float64]:
        """Orders [B, E]."""
        self.actor.set_training_mode(False)
        with torch.no_grad():
            observation = torch.as_tensor(self.codec.observe(state))
            action = self.actor._predict(observation, deterministic=True).cpu().numpy()
        return self.codec.orders(action, state)

    def save(self, folder: str | Path) -> None:
        """Write the checkpoint into a folder, which is made if need be."""
        target = Path(folder)
        target.mkdir(parents=True, exist_ok=True)
        description = {
            "schema": SCHEMA,
            "algorithm": self.algorithm,
            "decision": self.codec.decision,
            "action": self.codec.action,
            "architecture": architecture_of(self.actor),
            "network": self.codec.network.model_dump(mode="json", exclude_defaults=True),
        }
        weights = {name: value.contiguous() for name, value in self.actor.state_dict().items()}
        save_file(weights, target / (WEIGHTS + ".part"))
        description["weights_sha256"] = _checksum(target / (WEIGHTS + ".part"))
        (target / (DESCRIPTION + ".part")).write_text(json.dumps(description, indent=2) + "\n")
        for name in (WEIGHTS, DESCRIPTION):
            os.replace(target / (name + ".part"), target / name)

    @classmethod
    def load(cls, folder: str | Path) -> LearnedPolicy:
        """Read a checkpoint. Raises `ConfigError` if it is missing, broken or of another schema."""
        try:
            return cls._read(Path(folder))
        except ConfigError:
            raise
        except (OSError, SafetensorError, LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:
            raise ConfigError([f"{folder}: the checkpoint must be complete and sound: {error}"]) from error

    @classmethod
    def _read(cls, folder: Path) -> LearnedPolicy:
        description = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
        if description.get("schema") != SCHEMA:
            found = description.get("schema")
            raise ConfigError([f"{folder / DESCRIPTION}: schema must be {SCHEMA} (got {found!r})"])
        codec = Codec(Network.from_dict(description["network"]), description["decision"], description["action"])
        kind = ALGORITHMS[description["algorithm"]].policy_aliases["MlpPolicy"]
        architecture = dict(description["architecture"])
        architecture["activation_fn"] = ACTIVATIONS[architecture["activation_fn"]]
        actor = kind(codec.observation_space, codec.action_space, lambda _: 0.0, **architecture)
        if _checksum(folder / WEIGHTS) != description["weights_sha256"]:
            raise ConfigError([f"{folder / WEIGHTS}: the weights must be those that {DESCRIPTION} was written with"])
        weights = load_file(folder / WEIGHTS)
        if not all(bool(torch.isfinite(value).all()) for value in weights.values()):
            raise ConfigError([f"{folder / WEIGHTS}: all weights must be finite"])
        actor.load_state_dict(weights)
        return cls(codec, actor, description["algorithm"])


def _checksum(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def architecture_of(actor: BasePolicy) -> dict[str, Any]:
    """The arguments that shape the network, as plain data. Raises `MethodError` if they are not."""
    arguments = dict(actor._get_constructor_parameters())
    activation = arguments.pop("activation_fn", torch.nn.Tanh)
    if activation.__name__ not in ACTIVATIONS:
        raise MethodError(f"activation_fn must be one of {', '.join(ACTIVATIONS)} (got {activation.__name__})")
    plain = {name: value for name, value in arguments.items() if name not in _NOT_SHAPE}
    try:
        json.dumps(plain)
    except TypeError as error:
        raise MethodError(f"policy_kwargs must be plain data, so that a checkpoint can hold them: {error}") from error
    return {**plain, "activation_fn": activation.__name__}
