"""Configuration of an expert's training run."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from bodyplan.bounds import (
    AboveZero,
    CountFromOne,
    CountFromZero,
    FromZero,
    Seed,
    Share,
    Threads,
    require_bounds,
)
from bodyplan.envs.disturbances import NO_DISTURBANCES, Disturbances
from bodyplan.experts.command_sampling import CommandSampler
from bodyplan.experts.ppo import PPOConfig
from bodyplan.robots.task_config import ExpertSettings

ASSISTED_PPO = PPOConfig(
    rollout_steps=20,
    discount=0.97,
    target_kl=0.02,
    learning_rate=3e-4,
    std_learning_rate=3e-4,
)
"""Hyperparameters for robots with assistance: with gamma 0.97 they learn three times as fast."""


@dataclass(frozen=True)
class ExpertConfig:
    """One expert's training run."""

    robot: str
    """Packaged name, or path of an MJCF."""
    command: str = "forward"
    """forward, backward, vx,vy,wz, or both: one policy for forward and backward."""
    steps: CountFromOne | None = None
    """Training steps: control steps of all simulated robots together; by default the robot's."""
    episode_steps: CountFromOne | None = None
    """Control steps after which an episode ends; by default the robot's."""
    snapshots: CountFromOne = 16
    """Policy snapshots to keep, at equal distances of training steps."""
    seed: Seed = 0
    """Seed of everything random."""
    physics: Literal["fast", "reference"] = "fast"
    """Physics of training. Grading, and the last part of a training with assistance, use the
    reference physics."""
    ramp_steps: CountFromZero = 2_000_000
    """Training steps over which penalties rise to full and wide tracking fades."""
    initial_penalty_scale: FromZero = 0.1
    """Factor on the penalties at the start of the ramp."""
    initial_wide_share: Share = 0.5
    """Share of wide-temperature tracking in the reward at the start of the ramp."""
    final_std_ratio: AboveZero = 0.2
    """Upper limit of the actions' standard deviation at the end, as a share of the initial one."""
    checkpoint_every: CountFromOne = 40
    """Iterations between checkpoints."""
    threads: Threads | None = None
    """Threads of the physics, by default all cores. Results do not depend on it."""
    disturbances: Disturbances = NO_DISTURBANCES
    """Disturbances during training."""
    log_replay: CountFromZero = 0
    """Number of simulated robots whose every step is logged."""
    ppo: PPOConfig | None = None
    """Hyperparameters; by default those of the robot's kind of curriculum."""

    def __post_init__(self) -> None:
        require_bounds(self)


FILE_KEYS = {
    "initial_penalty_scale": "first_penalties",
    "initial_wide_share": "guide",
    "final_std_ratio": "final_std",
    "disturbances": "conditions",
    "gae_lambda": "trace",
    "clip_ratio": "clip",
    "std_learning_rate": "spread_learning_rate",
    "hidden_size": "hidden",
}
"""Fields that checkpoints and snapshots store under an older name, so that old files still open."""


def default_ppo(settings: ExpertSettings) -> PPOConfig:
    """PPO's hyperparameters for a robot."""
    return ASSISTED_PPO if settings.assisted else PPOConfig()


def stored_settings(config: ExpertConfig) -> dict[str, Any]:
    """The settings that the result depends on, as checkpoints and snapshots store them."""
    settings = asdict(config)
    del settings["threads"], settings["checkpoint_every"]
    settings["command"] = CommandSampler.parse(config.command).name
    if config.ppo is not None:
        settings["ppo"] = _with_file_keys(asdict(config.ppo))
    return _with_file_keys(settings)


def _with_file_keys(settings: dict[str, Any]) -> dict[str, Any]:
    return {FILE_KEYS.get(name, name): value for name, value in settings.items()}
