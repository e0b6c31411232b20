"""The commands a course trains under: one, or all between forward and backward."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from bodyplan.envs.walking_task import Command, command_name, parse_command

BOTH = "both"
"""The name of a course whose one policy serves forward and backward."""
REDRAWN = 0.005
"""Probability per control step of another command within an episode."""


@dataclass(frozen=True)
class Commands:
    """What a course's robots are told to do."""

    graded: tuple[Command, ...]
    """The commands its policy is for."""

    @classmethod
    def parse(cls, command: str) -> "Commands":
        """Read `both`, `forward`, `backward` or vx,vy,wz.

        Raises:
            BodyplanError: anything else.
        """
        names = ("forward", "backward") if command == BOTH else (command,)
        return cls(tuple(parse_command(name) for name in names))

    @property
    def name(self) -> str:
        """As `parse` reads it, spelled in one way."""
        return BOTH if self.varied else command_name(self.graded[0])

    @property
    def varied(self) -> bool:
        """Whether the robots are told different things."""
        return len(self.graded) > 1

    def draw(
        self, rng: np.random.Generator, count: int, exact: float
    ) -> Float[np.ndarray, "count 3"]:
        """Commands for episodes that begin.

        Args:
            rng: decides.
            count: how many.
            exact: share of them at exactly 1 m/s, whichever way.
        """
        if not self.varied:
            return np.tile(self.graded[0], (count, 1))
        speed = rng.uniform(-1.0, 1.0, count)
        full = rng.random(count) < exact
        commands = np.zeros((count, 3))
        commands[:, 0] = np.where(full, np.copysign(1.0, speed), speed)
        return commands

    def redraw(
        self,
        rng: np.random.Generator,
        present: Float[np.ndarray, "N 3"],
        exact: float,
    ) -> None:
        """Change a few robots' commands within their episodes, in place."""
        if not self.varied:
            return
        changed = rng.random(len(present)) < REDRAWN
        present[changed] = self.draw(rng, int(changed.sum()), exact)
