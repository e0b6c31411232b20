"""The walking task as Gymnasium's environments: one robot, or many stepped at once.

`registration.py` gives them their ids. Both are thin: to `Environment` they add spaces, Gymnasium's
seeds and automatic resets, and pictures. Robot i of a vector environment seeded with s lives
through the same episodes as a single environment seeded with s + i.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import gymnasium
import numpy as np
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from jaxtyping import Bool
from numpy.typing import ArrayLike

from bodyplan.envs import gymnasium_spaces
from bodyplan.envs.environment import StepResult
from bodyplan.envs.gymnasium_batch import (
    RENDER_MODES,
    GymnasiumBatch,
    PerRobotGenerator,
    read_mask,
    read_seeds,
)
from bodyplan.envs.walking_task import HORIZON
from bodyplan.errors import BodyplanError
from bodyplan.rendering.camera import RGBImage
from bodyplan.robots.robot import Robot
from bodyplan.robots.task_config import CONTROL_STEP

RENDER_SIZE = (320, 240)
"""Width and height of a picture in pixels."""

_METADATA: dict[str, Any] = {
    "render_modes": list(RENDER_MODES),
    "render_fps": round(1.0 / CONTROL_STEP),
}


class WalkingEnv(gymnasium.Env[Any, ArrayLike]):
    """One robot.

    `robot` is its body, `environment` the simulation behind it.
    """

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
        """Set up; `reset` begins.

        Args:
            robot: a `Robot`, a name or the path of an MJCF.
            command: `forward`, `backward`, "vx,vy,wz", the three numbers, or `random`.
            observation: `flat`, `dict` or `paper`.
            initial_state: `nominal` or `random`.
            threads: native threads.
            render_mode: `rgb_array` for pictures.
            render_size: their width and height in pixels.
            settings: other arguments of `Environment`, as `physics`, `horizon` and `disturbances`.

        Raises:
            BodyplanError: an argument names nothing.
        """
        settings |= {"initial_state": initial_state, "threads": threads}
        self._walkers = GymnasiumBatch(
            robot, command, 1, observation, render_mode, render_size, settings
        )
        self.environment = self._walkers.environment
        self.robot = self.environment.robot
        self.render_mode = render_mode
        self.observation_space = gymnasium_spaces.observation_space(observation, self.robot)
        self.action_space = gymnasium_spaces.action_space(self.robot.num_joints)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Begin an episode, under `options["command"]` where that is given.

        Raises:
            BodyplanError: an option of another name, or no command.
        """
        super().reset(seed=seed)
        self._walkers.begin(np.ones(1, bool), self.np_random, options or {})
        return gymnasium_spaces.row(self._walkers.observation(), 0), {}

    def step(self, action: ArrayLike) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """One control step of 20 ms.

        Raises:
            BodyplanError: the action has another shape, or is not finite.
        """
        step = self.environment.step(cast("ArrayLike", [action]))
        return (
            gymnasium_spaces.row(self._walkers.observation(), 0),
            float(step.reward[0]),
            bool(step.terminated[0]),
            bool(step.truncated[0]),
            {"velocity": step.velocity[0]},
        )

    def render(self) -> RGBImage | None:
        """A picture of the present pose where `render_mode` asks for one."""
        return None if self.render_mode is None else self._walkers.picture(0)


class WalkingVectorEnv(VectorEnv[Any, ArrayLike, np.ndarray]):
    """N copies of one robot, stepped together on MuJoCo's native threads.

    `robot` is their body, `environment` the simulation behind them.
    """

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
        """Set up; `reset` begins.

        Args:
            robot: as for `WalkingEnv`.
            command: as for `WalkingEnv`.
            num_envs: N.
            autoreset_mode: when robots whose episode has ended begin the next one.
            observation: as for `WalkingEnv`.
            initial_state: as for `WalkingEnv`.
            horizon: control steps until an episode is truncated.
            max_episode_steps: Gymnasium's name for `horizon`; it counts where both are given.
            render_mode: as for `WalkingEnv`.
            render_size: as for `WalkingEnv`.
            settings: other arguments of `Environment`, as `physics`, `threads` and `disturbances`.

        Raises:
            BodyplanError: an argument names nothing.
        """
        settings |= {"initial_state": initial_state, "horizon": max_episode_steps or horizon}
        self._walkers = GymnasiumBatch(
            robot, command, num_envs, observation, render_mode, render_size, settings
        )
        self.environment = self._walkers.environment
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
        """Begin episodes.

        Args:
            seed: that of robot 0, from which the others' count up; or one for each.
            options: `command`, one for all or one for each; `reset_mask`, the robots that begin.

        Raises:
            BodyplanError: an option of another name, or one that does not fit.
        """
        options = dict(options or {})
        mask = read_mask(options.pop("reset_mask", None), self.num_envs)
        seeds = read_seeds(seed, self.num_envs)
        super().reset(seed=seeds[0])
        for index in np.flatnonzero(mask):
            if seeds[index] is not None:
                self._generators[index] = seeding.np_random(seeds[index])[0]
        self._begin(mask, options)
        self._ended &= ~mask
        return self._walkers.observation(), {}

    def step(
        self, actions: ArrayLike
    ) -> tuple[Any, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """One control step of 20 ms for all.

        Raises:
            BodyplanError: the actions have another shape, or are not finite; or without automatic
                resets, robots have ended and were not reset.
        """
        if self._mode is AutoresetMode.DISABLED and self._ended.any():
            raise BodyplanError(
                f"the episodes of robots {np.flatnonzero(self._ended).tolist()} have ended; reset "
                "them with options={'reset_mask': terminations | truncations}"
            )
        step = self.environment.step(actions)
        # With NEXT_STEP, robots that ended in the last step begin in this one, whatever the action.
        idle = self._ended & (self._mode is AutoresetMode.NEXT_STEP)
        reward = np.where(idle, 0.0, step.reward).astype(np.float64)
        terminated, truncated = step.terminated & ~idle, step.truncated & ~idle
        self._ended = terminated | truncated
        same_step = self._mode is AutoresetMode.SAME_STEP
        infos = self._final(step, self._ended) if same_step else {}
        begun = self._ended if same_step else idle
        self._begin(begun, {})
        infos |= _info(step, ~begun)
        return self._walkers.observation(), reward, terminated, truncated, infos

    def render(self) -> tuple[RGBImage, ...] | None:
        """Pictures of all robots where `render_mode` asks for them."""
        if self.render_mode is None:
            return None
        return tuple(self._walkers.picture(index) for index in range(self.num_envs))

    def _begin(self, mask: Bool[np.ndarray, "N"], options: dict[str, Any]) -> None:
        if mask.any():
            own = [self._generators[index] for index in np.flatnonzero(mask)]
            self._walkers.begin(mask, PerRobotGenerator(own, self.np_random), options)
            self.environment.rng = self.np_random  # what steps draw, they draw for all at once

    def _final(self, step: StepResult, ended: Bool[np.ndarray, "N"]) -> dict[str, Any]:
        """What was last seen of the episodes that ended, in Gymnasium's form."""
        if not ended.any():
            return {}
        arranged, last = self._walkers.observation(), np.full(self.num_envs, None, object)
        for index in np.flatnonzero(ended).tolist():
            last[index] = gymnasium_spaces.row(arranged, index)
        infos = {"final_obs": last, "final_info": _info(step, ended)}
        return infos | {f"_{name}": ended.copy() for name in infos}


def _info(step: StepResult, mask: Bool[np.ndarray, "N"]) -> dict[str, Any]:
    """Gymnasium's form: an array of all robots, and which of its rows are meant."""
    if not mask.any():
        return {}
    return {"velocity": np.where(mask[:, None], step.velocity, 0.0), "_velocity": mask.copy()}


def _autoreset_mode(mode: str | AutoresetMode) -> AutoresetMode:
    try:
        return AutoresetMode(mode)
    except ValueError as error:
        known = [mode.value for mode in AutoresetMode]
        raise BodyplanError(f"autoreset_mode '{mode}' is unknown; choose one of {known}") from error
