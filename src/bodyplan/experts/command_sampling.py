"""Command sampling: the velocity commands that an expert trains under."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from bodyplan.envs.walking_task import Command, command_name, parse_command

BOTH = "both"
"""Name of the training in which one policy learns forward and backward."""


@dataclass(frozen=True)
class CommandSampler:
    """Gives each simulated robot its command: always the same, or a random speed."""

    graded: tuple[Command, ...]
    """The commands the policy is graded under: one, or forward and backward."""
    resample_probability: float = 0.005
    """Probability per control step of a new command within an episode."""

    @classmethod
    def parse(cls, command: str) -> "CommandSampler":
        """Read `both`, `forward`, `backward` or vx,vy,wz.

        Raises:
            BodyplanError: anything else.
        """
        names = ("forward", "backward") if command == BOTH else (command,)
        return cls(tuple(parse_command(name) for name in names))

    @property
    def name(self) -> str:
        """The command as `parse` reads it, in its normal spelling."""
        return BOTH if self.is_random else command_name(self.graded[0])

    @property
    def is_random(self) -> bool:
        """Whether robots get different commands."""
        return len(self.graded) > 1

    def sample(
        self, rng: np.random.Generator, count: int, full_speed_share: float
    ) -> Float[np.ndarray, "count 3"]:
        """Commands of episodes that start: vx, vy (m/s) and yaw rate (rad/s).

        Random commands have a vx that is uniform from -1 to 1 m/s.

        Args:
            rng: source of randomness.
            count: number of commands.
            full_speed_share: probability of exactly 1 m/s, forward or backward.
        """
        if not self.is_random:
            return np.tile(self.graded[0], (count, 1))
        speed = rng.uniform(-1.0, 1.0, count)
        at_full_speed = rng.random(count) < full_speed_share
        commands = np.zeros((count, 3))
        commands[:, 0] = np.where(at_full_speed, np.copysign(1.0, speed), speed)
        return commands

    def resample(
        self,
        rng: np.random.Generator,
        commands: Float[np.ndarray, "N 3"],
        full_speed_share: float,
    ) -> None:
        """Change a few robots' commands within their episodes, in place."""
        if not self.is_random:
            return
        changed = rng.random(len(commands)) < self.resample_probability
        commands[changed] = self.sample(rng, int(changed.sum()), full_speed_share)
