"""Evaluation while Stable-Baselines3 trains: the cost on common scenarios, with its interval and its gap.

It works on any model whose environment is a `NativeVecEnv`, wrapped or not, and whose algorithm is in `ALGORITHMS`:

    model = PPO("MlpPolicy", NativeVecEnv(NetworkVectorEnv(problem, 128)))
    validation = Validation(problem, every=100_000)
    model.learn(1_000_000, callback=[BatchedBootstrap(), validation])
    policy = validation.best_policy()
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.policies import BasePolicy
from torch import Tensor

from echelon.agents.algorithms import name_of
from echelon.agents.learned import LearnedPolicy
from echelon.agents.sb3_actor import Sb3Actor
from echelon.agents.sb3_callbacks import WeightAverage, copy_of
from echelon.agents.training import half_width
from echelon.envs.codec import Codec
from echelon.envs.errors import MethodError
from echelon.envs.problem import Problem, Reference
from echelon.envs.scenarios import sample
from echelon.envs.simulate import simulate

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Kept:
    """The policy that cost least so far."""

    cost: Floats
    """[B] its cost on each validation scenario."""
    weights: dict[str, Tensor]


class Validation(BaseCallback):
    """Measures the policy on validation scenarios, always the same ones, and keeps the one that costs least.

    Every `every` steps (and `at_start`) the deterministic policy is simulated; with a `WeightAverage`, the averaged
    one. The cost
    has Student's 95 % interval over the replications, and, where the problem has a reference, a gap to it.
    TensorBoard shows `validation/cost`, `validation/half_width`, `validation/gap_percent` and `validation/service`
    (fill rate). With a `patience`, training stops when so many evaluations in a row have not improved on the best
    one by more than the interval of the paired difference.
    """

    def __init__(
        self,
        problem: Problem,
        *,
        every: float,
        seed: int = 0,
        replications: int = 200,
        reference: Reference | None = None,
        patience: int | None = None,
        average: WeightAverage | None = None,
        at_start: bool = False,
        on_progress: Callable[[int, float], None] | None = None,
        on_evaluation: Callable[[int, float], bool] | None = None,
    ) -> None:
        super().__init__()
        if every <= 0:
            raise MethodError(f"every must be above 0 steps (got {every})")
        if patience is not None and patience < 1:
            raise MethodError(f"patience must be at least 1 evaluation (got {patience})")
        self.problem, self.every = problem, every
        self.due = 0.0 if at_start else every
        self.reference = reference or problem.reference
        self.patience, self.average = patience, average
        self.on_progress, self.on_evaluation = on_progress, on_evaluation
        self.scenarios = sample(
            problem.network, periods=problem.periods, replications=replications, seed=seed, stream="validation"
        )
        self.curve: list[dict[str, float]] = []
        self.best: Kept | None = None
        self.stale = 0
        self.stopped = False
        self.seconds = 0.0
        """CPU seconds of the evaluations themselves."""
        self.started = time.process_time()

    def _init_callback(self) -> None:
        self.codec: Codec = self.training_env.get_attr("codec", 0)[0]
        self.started = time.process_time()

    def _on_step(self) -> bool:
        rewards = np.atleast_1d(self.locals.get("rewards", 0.0))
        if not math.isfinite(float(np.sum(rewards))):
            copy = int(np.argmin(np.isfinite(rewards)))
            raise MethodError(
                f"a reward is not finite after {self.num_timesteps} steps (got {rewards[copy]} in environment {copy})"
            )
        if self.on_progress is not None:
            self.on_progress(self.num_timesteps, self.curve[-1]["cost"] if self.curve else math.nan)
        return not self.stopped

    def _on_rollout_start(self) -> None:
        if self.num_timesteps >= self.due:
            self.due += self.every
            self.evaluate()

    @property
    def spent(self) -> float:
        """CPU seconds since the training began, without the evaluations."""
        return time.process_time() - self.started - self.seconds

    def evaluate(self) -> float:
        """Simulate the current policy on the validation scenarios, and add a point to the curve; returns the cost."""
        begin = time.process_time()
        outcome = simulate(self.problem, self.current_policy(), self.scenarios)
        mean, width = float(outcome.cost.mean()), half_width(outcome.cost)
        self._keep(outcome.cost)
        self.seconds += time.process_time() - begin
        steps = self.model.num_timesteps
        self.curve.append({"steps": float(steps), "seconds": self.spent, "cost": mean, "half_width": width})
        self._log(mean, width, float(outcome.fill_rate.mean()))
        self.stopped |= self.patience is not None and self.stale >= self.patience
        if self.on_evaluation is not None:
            self.stopped |= not self.on_evaluation(steps, mean)
        return mean

    def _keep(self, cost: Floats) -> None:
        """Keep the policy if it costs least so far; it is better if it is so beyond the paired interval."""
        better = self.best is None or (self.best.cost - cost).mean() > half_width(self.best.cost - cost)
        self.stale = 0 if better else self.stale + 1
        if self.best is None or cost.mean() < self.best.cost.mean():
            self.best = Kept(cost, {name: value.clone() for name, value in self._network.state_dict().items()})

    def _log(self, mean: float, width: float, service: float) -> None:
        self.logger.record("validation/cost", mean)
        self.logger.record("validation/half_width", width)
        self.logger.record("validation/service", service)
        if self.reference is not None and self.reference.value > 0:
            self.logger.record("validation/gap_percent", 100 * (mean / self.reference.value - 1))
        self.logger.dump(self.num_timesteps)

    @property
    def _network(self) -> BasePolicy:
        return self.model.policy if self.average is None else self.average.policy

    def current_policy(self) -> LearnedPolicy:
        """The policy as it is trained now."""
        name = name_of(self.model)
        return LearnedPolicy(Sb3Actor(self.codec, self._network, name), name)

    def best_policy(self) -> LearnedPolicy:
        """The policy of the evaluation that cost least; the last one is evaluated if none was."""
        if self.best is None:
            self.evaluate()
        assert self.best is not None
        name, network = name_of(self.model), copy_of(self._network)
        network.load_state_dict(self.best.weights)
        return LearnedPolicy(Sb3Actor(self.codec, network, name), name)
