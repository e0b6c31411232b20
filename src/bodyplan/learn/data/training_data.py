"""Logged data made ready for learning: found sound, with the scales that are to be applied."""

from dataclasses import dataclass
from zlib import crc32

import numpy as np
from jaxtyping import Bool

from bodyplan.datasets.dataset import Dataset
from bodyplan.datasets.episodes import Episodes
from bodyplan.datasets.verification import non_finite_faults
from bodyplan.errors import BodyplanError
from bodyplan.learn.data.normalisation import (
    ObservationScale,
    ObservationScaling,
    RewardScaling,
    reward_factor,
)
from bodyplan.robots.descriptors import RobotDescriptor


@dataclass(frozen=True, eq=False)
class TrainingData:
    """R robots' episodes, still on disk, and what becomes of their numbers."""

    robots: tuple[str, ...]
    episodes: tuple[Episodes, ...]
    descriptors: tuple[RobotDescriptor, ...]
    """Of each robot the one set, or all of them on a leading axis."""
    reward_scales: tuple[float, ...]
    """Factor on each robot's rewards."""
    observation_scale: ObservationScale | None
    """Scale of all observations; a policy trained on them needs it to act."""
    held_out: tuple[Bool[np.ndarray, "N"], ...] | None = None
    """The steps of each robot that training never samples; None where it samples all."""

    @classmethod
    def of(
        cls,
        dataset: Dataset,
        reward_scale: RewardScaling = "none",
        observation_scale: ObservationScaling | ObservationScale | None = "none",
        held_out: float = 0.0,
    ) -> "TrainingData":
        """Reads a dataset once.

        Args:
            dataset: an open dataset.
            reward_scale: `none` or `per_robot`, see `reward_factor`.
            observation_scale: `none` keeps the environment's scaling, as the paper does; `shared`
                standardises each kind of number over all robots. Or a scale to use, such as the one
                that a policy was trained with; None for its having none.
            held_out: share of each robot's episodes that training never samples. Which ones they
                are follows from the robot's name and the number of its episodes.

        Raises:
            BodyplanError: an array holds NaN or infinity, the returns leave no scale, or a robot
                has too few episodes to hold out.
        """
        for name in dataset.robots:
            for fault in non_finite_faults(dataset.path / name, dataset.episodes[name]):
                raise BodyplanError(fault)
        episodes = tuple(dataset.episodes[name] for name in dataset.robots)
        factors = [
            reward_factor(name, own, reward_scale)
            for name, own in zip(dataset.robots, episodes, strict=True)
        ]
        if observation_scale == "shared":
            observation_scale = ObservationScale.of(episodes)
        return cls(
            robots=dataset.robots,
            episodes=episodes,
            descriptors=tuple(map(_described, episodes)),
            reward_scales=tuple(factors),
            observation_scale=(
                observation_scale if isinstance(observation_scale, ObservationScale) else None
            ),
            held_out=tuple(
                _held_out(name, own, held_out)
                for name, own in zip(dataset.robots, episodes, strict=True)
            )
            if held_out
            else None,
        )


def _held_out(robot: str, episodes: Episodes, share: float) -> Bool[np.ndarray, "N"]:
    """The steps of some whole episodes, one at least."""
    count = max(1, round(share * len(episodes)))
    if count >= len(episodes):
        raise BodyplanError(
            f"{robot} has {len(episodes)} episodes, which leaves none to train on with held_out "
            f"{share:g}; give held_out 0 or longer data"
        )
    rng = np.random.default_rng(crc32(robot.encode()))
    chosen = np.zeros(len(episodes), bool)
    chosen[rng.choice(len(episodes), count, replace=False)] = True
    return np.repeat(chosen, episodes.lengths)


def _described(episodes: Episodes) -> RobotDescriptor:
    return episodes.descriptors if episodes.num_descriptors > 1 else episodes.descriptor
