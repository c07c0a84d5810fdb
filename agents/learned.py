"""A trained Stable-Baselines3 network as a `Policy`, and its checkpoint.

A checkpoint is a folder with the weights as safetensors and all else as JSON. Nothing is pickled, so
loading a checkpoint executes nothing that came with it.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from stable_baselines3.common.policies import BasePolicy

from echelon.agents.algorithms import ALGORITHMS
from echelon.envs.codec import Codec
from echelon.envs.dynamics import State
from echelon.envs.errors import ConfigError
from echelon.envs.network import Network

SCHEMA = 1
"""Version of the checkpoint's layout."""
WEIGHTS, DESCRIPTION = "policy.safetensors", "policy.json"

_ACTIVATIONS: dict[str, type[torch.nn.Module]] = {
    kind.__name__: kind for kind in (torch.nn.SiLU, torch.nn.Tanh, torch.nn.ReLU, torch.nn.ELU, torch.nn.GELU)
}


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
            "architecture": _architecture(self.actor),
            "network": self.codec.network.model_dump(mode="json", exclude_defaults=True),
        }
        weights = {name: value.contiguous() for name, value in self.actor.state_dict().items()}
        save_file(weights, target / (WEIGHTS + ".part"))
        (target / (DESCRIPTION + ".part")).write_text(json.dumps(description, indent=2) + "\n")
        for name in (WEIGHTS, DESCRIPTION):
            os.replace(target / (name + ".part"), target / name)

    @classmethod
    def load(cls, folder: str | Path) -> LearnedPolicy:
        """Read a checkpoint. Raises `ConfigError` if it is missing, broken or of another schema."""
        description = _read_description(Path(folder) / DESCRIPTION)
        codec = Codec(Network.from_dict(description["network"]), description["decision"], description["action"])
        kind = ALGORITHMS[description["algorithm"]].policy_aliases["MlpPolicy"]
        actor = kind(
            codec.observation_space,
            codec.action_space,
            lambda _: 0.0,
            **_policy_arguments(description["architecture"]),
        )
        actor.load_state_dict(load_file(Path(folder) / WEIGHTS))
        return cls(codec, actor, description["algorithm"])


def _read_description(path: Path) -> dict[str, Any]:
    try:
        description: dict[str, Any] = json.loads(path.read_text())
    except (OSError, json.JSONDecodeError) as error:
        raise ConfigError([f"{path}: a checkpoint must have a readable description ({error})"]) from error
    if description.get("schema") != SCHEMA:
        raise ConfigError([f"{path}: schema must be {SCHEMA} (got {description.get('schema')!r})"])
    return description


def _architecture(actor: BasePolicy) -> dict[str, Any]:
    """The arguments that shape the network, as plain data."""
    arguments = actor._get_constructor_parameters()
    activation = arguments.get("activation_fn", torch.nn.Tanh)
    return {"net_arch": arguments.get("net_arch"), "activation": activation.__name__}


def _policy_arguments(architecture: dict[str, Any]) -> dict[str, Any]:
    name = architecture["activation"]
    if name not in _ACTIVATIONS:
        raise ConfigError([f"activation must be one of {', '.join(_ACTIVATIONS)} (got {name!r})"])
    return {"net_arch": architecture["net_arch"], "activation_fn": _ACTIVATIONS[name]}
