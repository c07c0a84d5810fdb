"""Learned policies. Needs the extra `learn`."""

from __future__ import annotations

from echelon.envs.errors import MissingExtraError

try:
    import safetensors as safetensors
    import stable_baselines3 as stable_baselines3
    import torch as torch
except ImportError as error:
    raise MissingExtraError(
        f"learned policies need the extra 'learn' ({error.name} is not installed): "
        "pip install 'echelon[learn]' -c constraints.txt"
    ) from error

from echelon.agents.algorithms import ALGORITHMS as ALGORITHMS
from echelon.agents.learned import LearnedPolicy as LearnedPolicy
from echelon.agents.sb3 import Training as Training
from echelon.agents.sb3 import train as train
from echelon.agents.sb3 import unknown_settings as unknown_settings
from echelon.agents.vec_env import NativeVecEnv as NativeVecEnv
