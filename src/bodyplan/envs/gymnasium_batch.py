"""What Gymnasium's environments ask of N robots beyond `Environment`: layouts, options, pictures,
and random numbers that are each robot's own.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import ArrayLike

from bodyplan.envs import gymnasium_spaces, walking_task
from bodyplan.envs.environment import RANDOM_COMMAND, Environment
from bodyplan.errors import BodyplanError
from bodyplan.rendering.camera import RGBImage
from bodyplan.robots.robot import Robot

RENDER_MODES = ("rgb_array",)


class GymnasiumBatch:
    """N robots, how they are seen, and how their episodes begin."""

    def __init__(
        self,
        robot: Robot | str | Path,
        command: str | ArrayLike,
        num_envs: int,
        layout: str,
        render_mode: str | None,
        render_size: Sequence[int],
        settings: dict[str, Any],
    ) -> None:
        """Set up; `settings` are the other arguments of `Environment`.

        Raises:
            BodyplanError: an argument names nothing.
        """
        if render_mode not in (None, *RENDER_MODES):
            raise BodyplanError(f"render_mode '{render_mode}' is unknown; give rgb_array or None")
        robot = robot if isinstance(robot, Robot) else Robot.load(robot)
        wanted = _plain(command)
        if wanted != RANDOM_COMMAND:
            wanted = walking_task.parse_command(wanted)
        self.environment = Environment(robot, wanted, num_envs, **settings)
        self._layout = layout
        self._width, self._height = render_size

    def begin(
        self, mask: Bool[np.ndarray, "N"], rng: np.random.Generator, options: dict[str, Any]
    ) -> None:
        """Start a new episode for the robots of `mask`, with draws from `rng`.

        Raises:
            BodyplanError: an option has another name than `command`, or is no command.
        """
        environment = self.environment
        commands = _read_commands(options, environment.num_envs)
        environment.rng = rng
        environment.reset(mask, commands)

    def observation(self) -> gymnasium_spaces.ObservationArrays:
        """What the robots sense now, as arrays that are the caller's."""
        environment = self.environment
        # Only the paper's layout describes bodies, and to describe specimens takes time.
        described = environment if self._layout == "paper" else environment.robot
        return gymnasium_spaces.apply_layout(
            self._layout, described.descriptor, environment.observation
        )

    def picture(self, index: int) -> RGBImage:
        """One robot in its present pose, with the camera above the same point of it as ever."""
        from bodyplan.rendering.renderer import render_poses

        pose = self.environment.qpos[index : index + 1]
        # MuJoCo's own renderer runs in a process apart, which is too slow for single pictures.
        return render_poses(self.environment.robot, pose, (self._width, self._height), "drawn")[0]


class PerRobotGenerator(np.random.Generator):
    """Random numbers for robots that begin an episode together, each with a generator of its own.

    Rows of a uniform draw are the robots': their first states and commands do not depend on who
    else begins. All other draws come from one generator for all.
    """

    def __init__(self, own: Sequence[np.random.Generator], shared: np.random.Generator) -> None:
        super().__init__(shared.bit_generator)
        self._own = own

    def uniform(self, low: Any = 0.0, high: Any = 1.0, size: Any = None) -> Any:
        if np.ndim(size) != 1 or size[0] != len(self._own):
            return super().uniform(low, high, size)
        lows, highs = np.broadcast_to(low, size), np.broadcast_to(high, size)
        rows = zip(self._own, lows, highs, strict=True)
        return np.stack([own.uniform(*limits) for own, *limits in rows])


def read_mask(mask: Any, num_envs: int) -> Bool[np.ndarray, "N"]:
    """The option `reset_mask`: all robots where not given.

    Raises:
        BodyplanError: it is not one boolean for each robot.
    """
    if mask is None:
        return np.ones(num_envs, bool)
    mask = np.asarray(mask)
    if mask.dtype != np.bool_ or mask.shape != (num_envs,):
        raise BodyplanError(
            f"reset_mask has type {mask.dtype} and shape {mask.shape}; "
            f"give one boolean for each of the {num_envs} robots"
        )
    return mask


def read_seeds(seed: int | Sequence[int | None] | None, num_envs: int) -> list[int | None]:
    """Seeds of N robots: counted up from one, or as they are given.

    Raises:
        BodyplanError: there are more or fewer than robots.
    """
    if seed is None:
        return [None] * num_envs
    if isinstance(seed, int):
        return [seed + index for index in range(num_envs)]
    if len(seed) != num_envs:
        raise BodyplanError(
            f"{len(seed)} seeds were given; give one, or one for each of the {num_envs} robots"
        )
    return list(seed)


def _read_commands(options: dict[str, Any], num_envs: int) -> Float[np.ndarray, "N 3"] | None:
    unknown = sorted(options.keys() - {"command"})
    if unknown:
        raise BodyplanError(f"reset knows no option '{unknown[0]}'; give command or nothing")
    given = options.get("command")
    if given is None:
        return None
    rows = given if np.ndim(given) == 2 else [given] * num_envs
    if len(rows) != num_envs:
        raise BodyplanError(
            f"{len(rows)} commands were given; give one, or one for each of the {num_envs} robots"
        )
    return np.array([walking_task.parse_command(_plain(row)) for row in rows])


def _plain(command: Any) -> Any:
    """A command without arrays, as JSON and `parse_command` know it."""
    return command if isinstance(command, str) else np.ravel(command).tolist()
