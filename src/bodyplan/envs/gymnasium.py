"""Gymnasium environments of the walking task: one robot, or many that are stepped together.

They add spaces, Gymnasium's seeds and automatic resets, and rendering to `Environment`. Robot i of
a vector environment with seed s has the same episodes as a single environment with seed s + i.
Their ids are in `gymnasium_registration.py`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from jaxtyping import Bool
from numpy.typing import ArrayLike

from bodyplan.envs import gymnasium_spaces
from bodyplan.envs.environment import RANDOM_COMMAND, Environment, StepResult, action_numbers
from bodyplan.envs.gymnasium_reset import (
    PerRobotGenerator,
    read_commands,
    read_options,
    read_reset_mask,
    read_seeds,
    without_arrays,
)
from bodyplan.envs.walking_task import HORIZON, parse_command
from bodyplan.errors import BodyplanError
from bodyplan.rendering.camera import RGBImage
from bodyplan.robots.robot import Robot
from bodyplan.robots.task_config import CONTROL_STEP

RENDER_MODES = ("rgb_array",)
RENDER_SIZE = (320, 240)
"""Width and height of a rendered image in pixels."""

_METADATA: dict[str, Any] = {
    "render_modes": list(RENDER_MODES),
    "render_fps": round(1.0 / CONTROL_STEP),
}


class WalkingEnv(gymnasium.Env[Any, ArrayLike]):
    """One robot: `robot` describes it, and `environment` simulates it."""

    metadata = _METADATA

    def __init__(
        self,
        robot: Robot | str | Path,
        command: str | ArrayLike = "forward",
        *,
        observation: str = "flat",
        initial_state: str = "random",
        threads: int | None = 1,
        render_mode: str | None = None,
        render_size: Sequence[int] = RENDER_SIZE,
        **settings: Any,
    ) -> None:
        """Create the environment; `reset` starts an episode.

        Args:
            robot: a `Robot`, a name or the path of an MJCF.
            command: `forward`, `backward`, "vx,vy,wz", the three numbers, or `random`.
            observation: the layout of observations: `flat`, `dict` or `paper`.
            initial_state: `nominal` or `random`.
            threads: native threads.
            render_mode: `rgb_array`, or None without rendering.
            render_size: width and height of a rendered image in pixels.
            settings: other arguments of `Environment`, as `physics`, `horizon` and `disturbances`.

        Raises:
            BodyplanError: an argument has an unknown or impossible value.
        """
        settings |= {"initial_state": initial_state, "threads": threads}
        self._batch = _Batch(robot, command, 1, observation, render_mode, render_size, settings)
        self.environment = self._batch.environment
        self.robot = self.environment.robot
        self.render_mode = render_mode
        self.observation_space = gymnasium_spaces.observation_space(observation, self.robot)
        self.action_space = gymnasium_spaces.action_space(self.robot.num_joints)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Start an episode, under `options["command"]` where that is given.

        Raises:
            BodyplanError: an option has another name, or is no command; or it is closed.
        """
        self._batch.require_open()
        super().reset(seed=seed)
        self._batch.reset(np.ones(1, bool), self.np_random, read_options(options))
        return gymnasium_spaces.robot_row(self._batch.observation(), 0), {}

    def step(self, action: ArrayLike) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """One control step of 20 ms.

        Raises:
            BodyplanError: the action has another shape, or is not finite; or it is closed.
        """
        self._batch.require_open()
        row, expected = action_numbers(self.robot, action), self.action_space.shape
        if row.shape != expected:
            raise BodyplanError(
                f"the action for {self.robot.name} has shape {row.shape}; give {expected}, "
                f"one number for each joint ({', '.join(self.robot.joints)})"
            )
        step = self.environment.step(row[None])
        return (
            gymnasium_spaces.robot_row(self._batch.observation(), 0),
            float(step.reward[0]),
            bool(step.terminated[0]),
            bool(step.truncated[0]),
            {"velocity": step.velocity[0]},
        )

    def render(self) -> RGBImage | None:
        """An image of the present pose, or None without a `render_mode`."""
        return None if self.render_mode is None else self._batch.render(0)

    def close(self) -> None:
        """End its use; a second time does nothing."""
        self._batch.closed = True


class WalkingVectorEnv(VectorEnv[Any, ArrayLike, np.ndarray]):
    """N copies of one robot: `robot` describes them, and `environment` simulates them."""

    def __init__(
        self,
        robot: Robot | str | Path,
        command: str | ArrayLike = "forward",
        num_envs: int = 1,
        *,
        autoreset_mode: str | AutoresetMode = AutoresetMode.NEXT_STEP,
        observation: str = "flat",
        initial_state: str = "random",
        horizon: int = HORIZON,
        max_episode_steps: int | None = None,
        render_mode: str | None = None,
        render_size: Sequence[int] = RENDER_SIZE,
        **settings: Any,
    ) -> None:
        """Create the environment; `reset` starts the episodes.

        Args:
            robot: as for `WalkingEnv`.
            command: as for `WalkingEnv`.
            num_envs: N.
            autoreset_mode: when a robot whose episode has ended starts the next one.
            observation: as for `WalkingEnv`.
            initial_state: as for `WalkingEnv`.
            horizon: control steps until an episode is truncated.
            max_episode_steps: Gymnasium's name for `horizon`; it takes precedence.
            render_mode: as for `WalkingEnv`.
            render_size: as for `WalkingEnv`.
            settings: other arguments of `Environment`, as `physics`, `threads` and `disturbances`.

        Raises:
            BodyplanError: an argument has an unknown or impossible value.
        """
        settings |= {"initial_state": initial_state, "horizon": max_episode_steps or horizon}
        self._batch = _Batch(
            robot, command, num_envs, observation, render_mode, render_size, settings
        )
        self.environment = self._batch.environment
        self.robot = self.environment.robot
        self.num_envs = num_envs
        self.render_mode = render_mode
        self._mode = _autoreset_mode(autoreset_mode)
        self.metadata = _METADATA | {"autoreset_mode": self._mode}
        self.single_observation_space = gymnasium_spaces.observation_space(observation, self.robot)
        self.single_action_space = gymnasium_spaces.action_space(self.robot.num_joints)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._generators = [seeding.np_random()[0] for _ in range(num_envs)]
        self._ended = np.zeros(num_envs, bool)

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[Any, dict[str, Any]]:
        """Start episodes.

        Args:
            seed: of robot 0, and the others count up from it; or one seed for each robot.
            options: `command`, one for all robots or one for each; `reset_mask`, which robots
                to reset.

        Raises:
            BodyplanError: an option has another name or an impossible value.
        """
        self._batch.require_open()
        options = dict(read_options(options))
        mask = read_reset_mask(options.pop("reset_mask", None), self.num_envs)
        seeds = read_seeds(seed, self.num_envs)
        super().reset(seed=seeds[0])
        for index in np.flatnonzero(mask):
            if seeds[index] is not None:
                self._generators[index] = seeding.np_random(seeds[index])[0]
        self._reset(mask, options)
        self._ended &= ~mask
        return self._batch.observation(), {}

    def step(
        self, actions: ArrayLike
    ) -> tuple[Any, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """One control step of 20 ms for all.

        Raises:
            BodyplanError: the actions have another shape, or are not finite; or robots without
                automatic resets have ended and were not reset.
        """
        self._batch.require_open()
        if self._mode is AutoresetMode.DISABLED and self._ended.any():
            raise BodyplanError(
                f"the episodes of robots {np.flatnonzero(self._ended).tolist()} have ended; reset "
                "them with options={'reset_mask': terminations | truncations}"
            )
        step = self.environment.step(actions)
        # With NEXT_STEP, robots that ended in the last step are reset in this one.
        idle = self._ended & (self._mode is AutoresetMode.NEXT_STEP)
        reward = np.where(idle, 0.0, step.reward).astype(np.float64)
        terminated, truncated = step.terminated & ~idle, step.truncated & ~idle
        self._ended = terminated | truncated
        same_step = self._mode is AutoresetMode.SAME_STEP
        infos = self._final_info(step, self._ended) if same_step else {}
        reset = self._ended if same_step else idle
        self._reset(reset, {})
        infos |= _info(step, ~reset)
        return self._batch.observation(), reward, terminated, truncated, infos

    def render(self) -> tuple[RGBImage, ...] | None:
        """An image of each robot, or None without a `render_mode`."""
        if self.render_mode is None:
            return None
        return tuple(self._batch.render(index) for index in range(self.num_envs))

    def close_extras(self, **kwargs: Any) -> None:
        """End its use, for Gymnasium's `close`."""
        self._batch.closed = True

    def _reset(self, mask: Bool[np.ndarray, "N"], options: dict[str, Any]) -> None:
        if mask.any():
            own = [self._generators[index] for index in np.flatnonzero(mask)]
            self._batch.reset(mask, PerRobotGenerator(own, self.np_random), options)
            self.environment.rng = self.np_random  # steps draw for all robots at once

    def _final_info(self, step: StepResult, ended: Bool[np.ndarray, "N"]) -> dict[str, Any]:
        """The last observations of the episodes that ended, in Gymnasium's form."""
        if not ended.any():
            return {}
        observations, last = self._batch.observation(), np.full(self.num_envs, None, object)
        for index in np.flatnonzero(ended).tolist():
            last[index] = gymnasium_spaces.robot_row(observations, index)
        infos = {"final_obs": last, "final_info": _info(step, ended)}
        return infos | {f"_{name}": ended.copy() for name in infos}


class _Batch:
    """What both environments share: simulation, layout of observations, reset and rendering."""

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
        if render_mode not in (None, *RENDER_MODES):
            raise BodyplanError(f"render_mode '{render_mode}' is unknown; give rgb_array or None")
        robot = robot if isinstance(robot, Robot) else Robot.load(robot)
        parsed = without_arrays(command)
        if parsed != RANDOM_COMMAND:
            parsed = parse_command(parsed)
        self.environment = Environment(robot, parsed, num_envs, **settings)
        self._layout = layout
        self._width, self._height = render_size
        self.closed = False

    def require_open(self) -> None:
        """Refuses to go on after `close`.

        Raises:
            BodyplanError: it is closed.
        """
        if self.closed:
            raise BodyplanError("this environment is closed; make another one to go on")

    def reset(
        self, mask: Bool[np.ndarray, "N"], rng: np.random.Generator, options: dict[str, Any]
    ) -> None:
        """Start a new episode for the robots of `mask`, with random numbers from `rng`."""
        environment = self.environment
        commands = read_commands(options, environment.num_envs)
        environment.rng = rng
        environment.reset(mask, commands)

    def observation(self) -> gymnasium_spaces.ObservationArrays:
        """The present observations, as arrays that the caller may change."""
        environment = self.environment
        # Only the paper's layout needs descriptors, and those of randomised robots take time.
        described = environment if self._layout == "paper" else environment.robot
        return gymnasium_spaces.apply_layout(
            self._layout, described.descriptor, environment.observation
        )

    def render(self, index: int) -> RGBImage:
        """One robot in its present pose; the camera follows the trunk."""
        from bodyplan.rendering.renderer import render_poses

        self.require_open()
        pose = self.environment.qpos[index : index + 1]
        # MuJoCo's own renderer runs in a separate process, which is too slow for single images.
        return render_poses(self.environment.robot, pose, (self._width, self._height), "drawn")[0]


def _info(step: StepResult, mask: Bool[np.ndarray, "N"]) -> dict[str, Any]:
    """Gymnasium's form: an array of all robots, and a mask of the valid rows."""
    if not mask.any():
        return {}
    return {"velocity": np.where(mask[:, None], step.velocity, 0.0), "_velocity": mask.copy()}


def _autoreset_mode(mode: str | AutoresetMode) -> AutoresetMode:
    try:
        return AutoresetMode(mode)
    except ValueError as error:
        known = [mode.value for mode in AutoresetMode]
        raise BodyplanError(f"autoreset_mode '{mode}' is unknown; choose one of {known}") from error
