"""What numbers are divided by before a network sees them: rewards per robot, observations for all.

Observations leave the environment scaled by constants large enough for any robot, so a walking
robot's joint positions and velocities vary by about a tenth. Standardising them makes networks
learn several times faster. One mean and one spread for each kind of number, over all robots, keep
what differs between bodies; scales of each robot's own would hide it, and leave none for a new one.
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
_LEAST_SPREAD = 1e-3
"""Keeps numbers that hardly vary from being blown up."""


class ObservationScale(NamedTuple):
    """Affine scale of each kind of number in an observation, the same for all robots."""

    mean: Observation
    """Of joints `[3]`, feet `[2]` and general `[13]`."""
    spread: Observation
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
        spreads = [
            np.sqrt(np.maximum(square - mean**2, 0.0)) + _LEAST_SPREAD
            for mean, square in zip(means, squares, strict=True)
        ]
        return cls(
            Observation(*(mean.astype(np.float32) for mean in means)),
            Observation(*(spread.astype(np.float32) for spread in spreads)),
        )

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> "ObservationScale":
        """Reads what `to_json` wrote."""
        parts = [
            Observation(*(np.array(document[kind][part], np.float32) for part in document[kind]))
            for kind in cls._fields
        ]
        return cls(*parts)

    def to_json(self) -> dict[str, dict[str, list[float]]]:
        """As lists of numbers, exact to the bit."""
        return {
            kind: {part: np.asarray(values).tolist() for part, values in scale._asdict().items()}
            for kind, scale in self._asdict().items()
        }

    def __call__(self, observation: Observation) -> Observation:
        """Observations with every kind of number about zero and of spread one."""
        parts = zip(observation, self.mean, self.spread, strict=True)
        return Observation(*((values - mean) / spread for values, mean, spread in parts))


def reward_factor(robot: str, episodes: Episodes, scaling: RewardScaling) -> float:
    """What a robot's rewards are multiplied by.

    Args:
        robot: its name, for messages.
        episodes: its data.
        scaling: `none` keeps rewards as they are, as the paper does; `per_robot` gives episode
            returns a range of 1000, as is usual for IQL on locomotion (Kostrikov et al. 2021,
            arXiv 2110.06169, appendix).

    Raises:
        BodyplanError: all episodes have the same return, which leaves no range.
    """
    if scaling == "none":
        return 1.0
    returns = float(np.ptp(episodes.returns))
    if returns <= 0.0:
        raise BodyplanError(
            f"all episodes of {robot} have the same return, so reward_scale per_robot has no "
            "scale; use reward_scale none."
        )
    return RETURN_RANGE / returns


def _moments(
    frames: Float[np.ndarray, "... kinds"],
) -> tuple[Float[np.ndarray, "kinds"], Float[np.ndarray, "kinds"]]:
    """Mean and mean square of each kind of number."""
    flat = np.asarray(frames, np.float64).reshape(-1, frames.shape[-1])
    return flat.mean(axis=0), np.square(flat).mean(axis=0)
