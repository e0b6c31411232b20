"""Normalisation of the data: a scale of rewards per robot, one of observations for all robots.

Observations leave the environment scaled by constants large enough for any robot, so a walking
robot's joint positions and velocities vary by about a tenth. Standardising them makes networks
learn several times faster. One mean and one standard deviation for each kind of number, over all
robots, keep what differs between bodies. A scale per robot would hide it, and a new robot has none.
"""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float

from bodyplan.datasets.episodes import Episodes
from bodyplan.envs.walking_task import Observation
from bodyplan.errors import BodyplanError

RewardScaling = Literal["none", "per_robot"]
ObservationScaling = Literal["none", "shared"]
RETURN_RANGE = 1000.0
LEAST_RANGE = 1e-3
"""Of the largest return; what differs by less is rounding or chance, not a scale."""
_LEAST_STD = 1e-3
"""Added to every standard deviation, so that numbers that hardly vary do not become large."""


class ObservationScale(NamedTuple):
    """Affine scale of each kind of number in an observation, the same for all robots."""

    mean: Observation
    """Of joints `[3]`, feet `[2]` and general `[13]`."""
    std: Observation
    """Standard deviations, same shapes."""

    @classmethod
    def of(cls, robots: Sequence[Episodes]) -> "ObservationScale":
        """The scale of these robots' data, in which each robot counts once."""
        moments = [
            [_moments(getattr(episodes, part)) for episodes in robots]
            for part in Observation._fields
        ]
        means = [np.mean([mean for mean, _ in part], axis=0) for part in moments]
        squares = [np.mean([square for _, square in part], axis=0) for part in moments]
        stds = [
            np.sqrt(np.maximum(square - mean**2, 0.0)) + _LEAST_STD
            for mean, square in zip(means, squares, strict=True)
        ]
        return cls(
            Observation(*(mean.astype(np.float32) for mean in means)),
            Observation(*(std.astype(np.float32) for std in stds)),
        )

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> "ObservationScale":
        """Read what `to_json` wrote, also by versions that called `std` `spread`."""
        mean, std = document["mean"], document.get("std") or document["spread"]
        return cls(*(_observation_from_json(part) for part in (mean, std)))

    def to_json(self) -> dict[str, dict[str, list[float]]]:
        """As lists of numbers, exact to the bit."""
        return {
            name: {part: np.asarray(values).tolist() for part, values in scale._asdict().items()}
            for name, scale in self._asdict().items()
        }

    def __call__(self, observation: Observation) -> Observation:
        """Observations with every kind of number about zero, with standard deviation one."""
        parts = zip(observation, self.mean, self.std, strict=True)
        return Observation(*((values - mean) / std for values, mean, std in parts))


def reward_factor(robot: str, episodes: Episodes, scaling: RewardScaling) -> float:
    """What a robot's rewards are multiplied by.

    Args:
        robot: its name, for messages.
        episodes: its data.
        scaling: `none` keeps rewards as they are, as the paper does; `per_robot` gives episode
            returns a range of 1000, as is usual for IQL on locomotion (Kostrikov et al. 2021,
            arXiv 2110.06169, appendix).

    Raises:
        BodyplanError: all episodes have nearly the same return, which leaves no range.
    """
    if scaling == "none":
        return 1.0
    returns = episodes.returns
    spread = float(np.ptp(returns))
    if spread <= LEAST_RANGE * float(np.abs(returns).max()):
        raise BodyplanError(
            f"all episodes of {robot} have nearly the same return ({returns.min():.6g} to "
            f"{returns.max():.6g}), so reward_scale per_robot has no scale; use reward_scale none."
        )
    return RETURN_RANGE / spread


def _observation_from_json(parts: dict[str, list[float]]) -> Observation:
    return Observation(*(np.array(parts[name], np.float32) for name in Observation._fields))


def _moments(
    frames: Float[np.ndarray, "... kinds"],
) -> tuple[Float[np.ndarray, "kinds"], Float[np.ndarray, "kinds"]]:
    """Mean and mean square of each kind of number."""
    flat = np.asarray(frames, np.float64).reshape(-1, frames.shape[-1])
    return flat.mean(axis=0), np.square(flat).mean(axis=0)
