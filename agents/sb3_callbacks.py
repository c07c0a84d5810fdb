"""Callbacks that help the algorithms of Stable-Baselines3 along: bootstrap, exploration, averaged weights."""

from __future__ import annotations

import numpy as np
import torch
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.policies import BasePolicy


class BatchedBootstrap(BaseCallback):
    """Adds the value of the last state to the reward of episodes that time cut off, in one call of the critic.

    The on-policy algorithms of Stable-Baselines3 do so one copy at a time. All copies of a `NativeVecEnv` end
    together, so this asks the critic once for all of them, before the algorithm looks, and clears the flag
    that it would look for. Not for off-policy algorithms, which keep the flag in their replay buffer.
    """

    def _on_step(self) -> bool:
        if not self.locals["dones"].any():
            return True
        infos = self.locals["infos"]
        cut = [k for k, info in enumerate(infos) if info.get("TimeLimit.truncated") and "terminal_observation" in info]
        if cut:
            last = np.stack([infos[k]["terminal_observation"] for k in cut])
            with torch.no_grad():
                value = self.model.policy.predict_values(torch.as_tensor(last, device=self.model.device))  # type: ignore[operator]
            gamma: float = self.model.gamma  # type: ignore[attr-defined]
            self.locals["rewards"][cut] += gamma * value.cpu().numpy().ravel()
            for k in cut:
                infos[k]["TimeLimit.truncated"] = False
        return True


class Exploration(BaseCallback):
    """Lets the exploration of a Gaussian policy narrow evenly, instead of as the algorithm learns it.

    Left alone it narrows early to less than a unit, where whole orders no longer show which way is better. The
    logarithm of the standard deviation falls by `fall` over the training, from where it is at its start.
    """

    def __init__(self, fall: float = 1.0) -> None:
        super().__init__()
        self.fall = fall

    def _init_callback(self) -> None:
        parameter = getattr(self.model.policy, "log_std", None)
        self.first = None if parameter is None else parameter.detach().clone()

    def _on_step(self) -> bool:
        return True

    def _on_rollout_start(self) -> None:
        if self.first is not None:
            passed = 1 - self.model._current_progress_remaining
            with torch.no_grad():
                self.model.policy.log_std.copy_(self.first - self.fall * passed)  # type: ignore[operator]


class WeightAverage(BaseCallback):
    """Keeps an exponential average of the weights over the rollouts, which is steadier than the last ones.

    The first rollouts weigh less than `decay` says, so that the average does not remember the untrained network.
    """

    def __init__(self, decay: float = 0.95) -> None:
        super().__init__()
        self.decay = decay
        self.rollouts = 0
        self.policy: BasePolicy

    def _init_callback(self) -> None:
        self.policy = copy_of(self.model.policy)

    def _on_step(self) -> bool:
        return True

    def _on_rollout_start(self) -> None:
        self.rollouts += 1
        share = 1 - min(self.decay, self.rollouts / (self.rollouts + 9))
        average = self.policy.state_dict()
        with torch.no_grad():
            for name, value in self.model.policy.state_dict().items():
                average[name].lerp_(value, share)


def copy_of(policy: BasePolicy) -> BasePolicy:
    """A policy with the same weights that shares nothing with it."""
    with torch.random.fork_rng(devices=[]):
        twin = type(policy)(**policy._get_constructor_parameters())
    twin.load_state_dict(policy.state_dict())
    return twin
