"""Learned policies. Needs the extra `learn`."""

from __future__ import annotations

from echelon.envs.errors import MissingExtraError

try:
    import safetensors as safetensors
    import sb3_contrib as sb3_contrib
    import stable_baselines3 as stable_baselines3
    import torch as torch
except ImportError as error:
    raise MissingExtraError(
        f"learned policies need the extra 'learn' ({str(error.name).partition('.')[0]} is not installed): "
        "pip install 'echelon[learn]' -c constraints.txt"
    ) from error

from echelon.agents.algorithms import ALGORITHMS as ALGORITHMS
from echelon.agents.callbacks import Validation as Validation
from echelon.agents.checkpoint import CheckpointWarning as CheckpointWarning
from echelon.agents.checkpoint import load_state as load_state
from echelon.agents.checkpoint import save_state as save_state
from echelon.agents.controlled import ControlledSettings as ControlledSettings
from echelon.agents.controlled import train_controlled as train_controlled
from echelon.agents.drift import DriftMonitor as DriftMonitor
from echelon.agents.drift import demand_monitor as demand_monitor
from echelon.agents.foreign import load_sb3_zip as load_sb3_zip
from echelon.agents.generalist import train_generalist as train_generalist
from echelon.agents.learned import LearnedPolicy as LearnedPolicy
from echelon.agents.learned import training_record as training_record
from echelon.agents.methods import METHODS as METHODS
from echelon.agents.methods import train as train
from echelon.agents.methods import unsuited as unsuited
from echelon.agents.pathwise import train_pathwise as train_pathwise
from echelon.agents.pathwise_settings import PathwiseSettings as PathwiseSettings
from echelon.agents.sb3 import train_sb3 as train_sb3
from echelon.agents.sb3_callbacks import BatchedBootstrap as BatchedBootstrap
from echelon.agents.sb3_callbacks import Exploration as Exploration
from echelon.agents.sb3_callbacks import WeightAverage as WeightAverage
from echelon.agents.support import OutsideTrainingWarning as OutsideTrainingWarning
from echelon.agents.support import Support as Support
from echelon.agents.support import support_of as support_of
from echelon.agents.training import Training as Training
from echelon.agents.tuning import Target as Target
from echelon.agents.tuning import tune as tune
from echelon.agents.vec_env import NativeVecEnv as NativeVecEnv
from echelon.agents.warm_start import Student as Student
from echelon.agents.warm_start import clone as clone
