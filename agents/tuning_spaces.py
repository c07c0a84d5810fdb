"""Which settings of an algorithm are worth a search, and between which bounds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from echelon.agents.algorithms import DEFAULTS
from echelon.envs.errors import MethodError


@dataclass(frozen=True)
class Span:
    """A number between bounds; by its logarithm, if that is how it matters."""

    low: float
    high: float
    log: bool = True

    def draw(self, trial: Any, name: str) -> float:
        """A value for a trial of Optuna."""
        return float(trial.suggest_float(name, self.low, self.high, log=self.log))


@dataclass(frozen=True)
class Choice:
    """One of a few values."""

    values: tuple[float, ...]

    def draw(self, trial: Any, name: str) -> float:
        """A value for a trial of Optuna."""
        value: float = trial.suggest_categorical(name, self.values)
        return value


Space = Mapping[str, Span | Choice]
WIDTH = "width"
"""The parameter that is the number of units of both hidden layers, and no setting by itself."""

_WIDTH: Space = {WIDTH: Choice((32, 64, 128))}
_REPLAY: Space = {
    **_WIDTH,
    "learning_rate": Span(1e-4, 4e-3),
    "batch_size": Choice((256, 512, 1_024)),
    "gradient_steps": Choice((1, 2, 4, 8)),
}
_SOFT: Space = {**_REPLAY, "tau": Span(1e-3, 5e-2)}
_VALUES: Space = {
    **_REPLAY,
    "target_update_interval": Choice((500, 2_000, 8_000)),
    "exploration_fraction": Span(0.1, 0.6, log=False),
}
_ROLLOUT: Space = {**_WIDTH, "learning_rate": Span(2e-4, 4e-3), "n_steps": Choice((16, 32, 64))}

SPACES: dict[str, Space] = {
    "ppo": {
        **_ROLLOUT,
        "batch_size": Choice((512, 1_024, 2_048)),
        "n_epochs": Choice((2, 3, 5, 8)),
        "clip_range": Span(0.1, 0.4, log=False),
        "gae_lambda": Choice((0.8, 0.9, 0.95, 0.98)),
    },
    "a2c": {
        **_ROLLOUT,
        "gae_lambda": Choice((0.8, 0.9, 0.95, 1.0)),
        "vf_coef": Span(0.1, 1.0, log=False),
    },
    "trpo": {
        **_ROLLOUT,
        "target_kl": Span(3e-3, 1e-1),
        "n_critic_updates": Choice((5, 10, 20)),
        "gae_lambda": Choice((0.8, 0.9, 0.95, 0.98)),
    },
    "sac": _SOFT,
    "tqc": _SOFT,
    "td3": {**_SOFT, "action_noise": Span(0.03, 0.3)},
    "dqn": _VALUES,
    "qrdqn": _VALUES,
}
"""By algorithm; the discount is left as `horizon_settings` says, since a shorter horizon only looks better."""


def space_of(algorithm: str, fixed: Mapping[str, Any]) -> Space:
    """The search space of an algorithm without what is fixed. Raises `MethodError` if nothing is left to search."""
    if algorithm not in SPACES:
        raise MethodError(f"only {', '.join(SPACES)} can be tuned (got {algorithm!r})")
    taken = {*fixed, *({WIDTH} if "policy_kwargs" in fixed else ())}
    space = {name: part for name, part in SPACES[algorithm].items() if name not in taken}
    if not space:
        raise MethodError(f"settings must leave something of {', '.join(SPACES[algorithm])} to tune")
    return space


def settings_of(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that the parameters of a trial stand for."""
    settings = {name: value for name, value in parameters.items() if name != WIDTH}
    if WIDTH in parameters:
        settings["policy_kwargs"] = {"net_arch": [parameters[WIDTH]] * 2}
    return settings


def default_parameters(algorithm: str, space: Space) -> dict[str, Any]:
    """The defaults as far as they lie in a space."""
    known = {WIDTH: 64, **DEFAULTS[algorithm].settings}
    return {name: known[name] for name, part in space.items() if name in known and _holds(part, known[name])}


def _holds(part: Span | Choice, value: float) -> bool:
    return value in part.values if isinstance(part, Choice) else part.low <= value <= part.high
