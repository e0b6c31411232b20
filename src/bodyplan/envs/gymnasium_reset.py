"""Gymnasium's reset: seeds, masks and commands that it takes, and random numbers for each robot."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from bodyplan.envs.walking_task import parse_command
from bodyplan.errors import BodyplanError


class PerRobotGenerator(np.random.Generator):
    """Random numbers for robots that start an episode together, each from its own generator.

    The rows of a uniform draw belong to the robots. So a robot's first state and command do not
    depend on which other robots start. All other draws come from one shared generator.
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


def read_reset_mask(mask: Any, num_envs: int) -> Bool[np.ndarray, "N"]:
    """The option `reset_mask` of N robots; all robots by default.

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
    """The seeds of N robots: counted up from one seed, or as given.

    Raises:
        BodyplanError: there are more or fewer seeds than robots.
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


def read_options(options: Any) -> dict[str, Any]:
    """Gymnasium's options of a reset; none by default.

    Raises:
        BodyplanError: they are no dictionary.
    """
    if not isinstance(options, dict | None):
        raise BodyplanError(f"options is {options!r}; give a dictionary, or None")
    return options or {}


def read_commands(options: dict[str, Any], num_envs: int) -> Float[np.ndarray, "N 3"] | None:
    """The option `command` of N robots: vx, vy (m/s) and yaw rate (rad/s); None by default.

    Raises:
        BodyplanError: an option has another name, is no command, or there are too many or too few.
    """
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
    return np.array([parse_command(without_arrays(row)) for row in rows])


def without_arrays(command: Any) -> Any:
    """A command as text or a list of numbers, which `parse_command` reads."""
    return command if isinstance(command, str) else np.ravel(command).tolist()
