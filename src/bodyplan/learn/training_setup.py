"""What a configuration comes to on given data: robots, groups, learner, and the run's identity."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import jax

from bodyplan.datasets.dataset import Dataset
from bodyplan.datasets.format import CARD
from bodyplan.errors import BodyplanError
from bodyplan.grouping.robot_groups import (
    GroupSource,
    RobotGroups,
    embodiment_groups,
    heuristic_groups,
    random_groups,
    read_groups,
)
from bodyplan.learn.checkpoint import checkpoints, restore_part
from bodyplan.learn.config import TrainConfig, require_sensible
from bodyplan.learn.data.batch_source import Dispatch, Resident, Streamed
from bodyplan.learn.data.device_batches import DeviceData
from bodyplan.learn.data.host_batches import HostData
from bodyplan.learn.data.normalisation import ObservationScale, ObservationScaling
from bodyplan.learn.data.training_data import TrainingData
from bodyplan.learn.distributed import replicate
from bodyplan.learn.learner import Learner, LearnerState
from bodyplan.learn.networks.architectures import Sizes, sizes_of
from bodyplan.learn.networks.urma import NetworkSizes
from bodyplan.learn.run import CHECKPOINTS, Run
from bodyplan.robots.robot import Robot
from bodyplan.storage import sha256

_NETWORKS = ("actor.policy.", "critic.")
_FRESH = "optimiser"
"""Moments and step counts begin anew with the data; so do learning rates that fall."""


@dataclass(frozen=True, eq=False)
class TrainingSetup:
    """All that is decided before the first update."""

    config: TrainConfig
    dataset: Dataset
    """With the robots chosen of it."""
    learner: Learner
    sizes: Sizes
    groups: RobotGroups

    @classmethod
    def of(cls, config: TrainConfig) -> "TrainingSetup":
        """Decide.

        Raises:
            BodyplanError: a setting or the dataset does not fit.
        """
        devices = config.devices or len(jax.devices())
        if devices > len(jax.devices()):
            raise BodyplanError(
                f"devices is {devices}; there are {len(jax.devices())} on this machine"
            )
        require_sensible(config, devices)
        dataset = Dataset.open(config.data)
        strangers = sorted(set(config.robots) - set(dataset.robots))
        if strangers:
            raise BodyplanError(
                f"{config.data} holds no robot {strangers[0]}; "
                f"choose from {', '.join(dataset.robots)}"
            )
        dataset = replace(dataset, robots=config.robots or dataset.robots)
        groups = _group_source(config, dataset.robots, dataset.card.get("models"))(0)
        learner = Learner(
            algorithm=config.chosen_algorithm,
            combiner=config.chosen_combiner,
            groups=tuple(tuple(map(dataset.robots.index, group)) for group in groups),
            batch_size=config.batch_size,
            weights=_weights(config.weights, dataset.robots),
            actor_steps=config.actor_steps_per_iteration,
            group_critic=config.group_critic,
            order_seed=config.seed,
            devices=devices,
        )
        return cls(config, dataset, learner, _sizes(config, dataset), groups)

    def identity(self, **more: Any) -> dict[str, Any]:
        """What must be the same for a run to be continued, or to be taken for finished."""
        return {
            **self.config.to_json(),
            "robots": list(self.dataset.robots),
            "groups": [list(group) for group in self.groups],
            "dataset_card_sha256": sha256(self.config.data / CARD),
            **more,
        }

    @cached_property
    def data(self) -> TrainingData:
        """The data, found sound.

        Raises:
            BodyplanError: they are not, or the run to begin with is not finished.
        """
        scale: ObservationScaling | ObservationScale | None = self.config.observation_scale
        if self.config.begin_with is not None:
            scale = Run(self.config.begin_with).policy.observation_scale
        return TrainingData.of(self.dataset, self.config.reward_scale, scale)

    def dispatch(self) -> Dispatch:
        """Where intervals' data come from."""
        if self.config.data_on == "host":
            return Streamed(self.learner, HostData(self.data))
        return Resident(self.learner, replicate(DeviceData.of(self.data), self.learner.devices))

    def first_state(self, seed: int) -> LearnerState:
        """Before the first update.

        Raises:
            BodyplanError: the run to begin with is of other networks or another algorithm.
        """
        state = self.learner.init(seed, self.sizes)
        if self.config.begin_with is None:
            return state
        return _taught(state, self.config.begin_with, self.config.algorithm)


def _taught(state: LearnerState, begin_with: Path, algorithm: str) -> LearnerState:
    """The state with a finished run's networks."""
    run = Run(begin_with)
    if run.config["algorithm"] != algorithm:
        raise BodyplanError(
            f"{begin_with} was trained by {run.config['algorithm']} and has no critics for "
            f"{algorithm}; give algorithm {run.config['algorithm']}"
        )
    saved = checkpoints(begin_with / CHECKPOINTS)
    if not saved:
        raise BodyplanError(f"{begin_with} has no checkpoint; train it, or copy checkpoints/ too")
    return restore_part(
        saved[-1][1], state, lambda name: name.startswith(_NETWORKS) and _FRESH not in name
    )


def _sizes(config: TrainConfig, dataset: Dataset) -> Sizes:
    builds = []
    for robot in dataset.robots:
        episodes = dataset.episodes[robot]
        builds.append((episodes.joints.shape[1], episodes.feet.shape[1]))
    sizes = sizes_of(config.network, builds)
    if isinstance(sizes, NetworkSizes):
        return replace(sizes, actions=config.q_actions)
    if config.q_actions != "slots":
        raise BodyplanError("a flat network has no joints of its own; give q_actions slots")
    return sizes


def _group_source(
    config: TrainConfig, robots: Sequence[str], models: Mapping[str, str] | None
) -> GroupSource:
    """Who says which robots step together; all of today's sources say the same at any time."""

    def groups(update: int) -> RobotGroups:
        if config.combine != "grouped":
            return RobotGroups([robots])
        if isinstance(config.groups, Path):
            return read_groups(config.groups, robots)
        bodies = [Robot.load(robot, models) for robot in robots]
        if config.group_by == "heuristic":
            return heuristic_groups(bodies)
        alike = embodiment_groups(bodies, config.groups)
        if config.group_by == "random":
            return random_groups(robots, [len(group) for group in alike], config.seed)
        return alike

    return groups


def _weights(given: Mapping[str, float] | None, robots: Sequence[str]) -> tuple[float, ...] | None:
    """Of each robot, one on average."""
    if not given:
        return None
    for name, weight in given.items():
        if name not in robots:
            raise BodyplanError(f"weights names {name}; choose from {', '.join(robots)}")
        if not 0.0 < weight < float("inf"):
            raise BodyplanError(f"weights gives {name} {weight}; give a number above 0")
    each = [given.get(name, 1.0) for name in robots]
    return tuple(weight * len(each) / sum(each) for weight in each)
