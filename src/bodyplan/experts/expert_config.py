"""What an expert's training run is asked for, and what it depends on."""

from dataclasses import asdict, dataclass
from typing import Any

from bodyplan.envs.disturbances import NO_DISTURBANCES, Disturbances
from bodyplan.experts.command_sampling import Commands
from bodyplan.experts.ppo import PPOConfig
from bodyplan.robots.task_config import ExpertSettings

ASSISTED = PPOConfig(
    rollout_steps=20,
    discount=0.97,
    target_kl=0.02,
    learning_rate=3e-4,
    spread_learning_rate=3e-4,
)
"""PPO for robots that must be held first: three times as fast as with the usual foresight."""


@dataclass(frozen=True)
class ExpertConfig:
    """One expert's training run."""

    robot: str
    """Packaged name, or path of an MJCF."""
    command: str = "forward"
    """forward, backward, vx,vy,wz, or both: one policy for forward and backward."""
    steps: int | None = None
    """Control steps, all simulated robots together; as the robot needs where not given."""
    episode_steps: int | None = None
    """Control steps after which a robot starts anew; as the robot needs where not given."""
    snapshots: int = 16
    """Policies kept, at equal distances of training steps."""
    seed: int = 0
    """Decides everything."""
    physics: str = "fast"
    """Physics of training; grading, and the end of a training that began with help, are always in
    reference physics."""
    ramp_steps: int = 2_000_000
    """Steps over which penalties rise to full and the guide fades."""
    first_penalties: float = 0.1
    """Share of the penalties at the start of the ramp."""
    guide: float = 0.5
    """Share of wide-temperature tracking in the reward at the start of the ramp."""
    final_std: float = 0.2
    """Bound on the actions' spread at the end, as a share of the first."""
    checkpoint_every: int = 40
    """Iterations between checkpoints."""
    threads: int | None = None
    """Native threads of the physics (all cores by default); the result does not depend on it."""
    disturbances: Disturbances = NO_DISTURBANCES
    """What disturbs the robots in training."""
    log_replay: int = 0
    """Robots, of those simulated side by side, whose every step is kept."""
    ppo: PPOConfig | None = None
    """Hyperparameters; as the robot needs where not given."""


def hyperparameters(config: ExpertConfig, wants: ExpertSettings) -> PPOConfig:
    """PPO's, as asked for or as the robot needs."""
    return config.ppo or (ASSISTED if wants.assisted else PPOConfig())


def comparable_settings(config: ExpertConfig) -> dict[str, Any]:
    """The settings that the result depends on."""
    settings = asdict(config)
    del settings["threads"], settings["checkpoint_every"]
    settings["command"] = Commands.parse(config.command).name
    # Files of runs call the disturbances "conditions".
    return {"conditions" if k == "disturbances" else k: v for k, v in settings.items()}
