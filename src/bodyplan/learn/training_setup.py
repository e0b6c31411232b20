"""The setup of a training run: robots, groups, learner, data and initial state from its config."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import jax
import numpy as np

from bodyplan.datasets.dataset import Dataset
from bodyplan.datasets.format import CARD
from bodyplan.errors import BodyplanError
from bodyplan.grouping.robot_groups import (
    RobotGroups,
    group_robots,
    listed_groups,
    read_groups,
)
from bodyplan.learn.checkpoint import restore_checkpoint, restore_part
from bodyplan.learn.checkpoint_files import checkpoints
from bodyplan.learn.config import GROUPS_FROM, TrainConfig, check_config
from bodyplan.learn.critic_check import CriticCheck
from bodyplan.learn.data.batch_loader import BatchLoader
from bodyplan.learn.data.builds import Stratum, build_order, builds_of, strata_of
from bodyplan.learn.data.normalisation import ObservationScale, ObservationScaling
from bodyplan.learn.data.training_data import TrainingData
from bodyplan.learn.data.transitions import FileData, MemoryData, body_size
from bodyplan.learn.device_memory import require_room
from bodyplan.learn.distributed import device_count, replicate
from bodyplan.learn.learner import Learner, LearnerState, Numbers, numbers_of
from bodyplan.learn.networks.architectures import Sizes, sizes_of
from bodyplan.learn.networks.urma import NetworkSizes
from bodyplan.learn.parallel_seeds import stack_seeds
from bodyplan.learn.policy import Policy
from bodyplan.learn.registry import ALGORITHMS, COMBINERS
from bodyplan.learn.run import CHECKPOINTS, Run
from bodyplan.machine import cache_folder
from bodyplan.robots.robot import Robot
from bodyplan.storage import sha256

_NETWORKS = ("actor.policy.", "critic.")
_FRESH = "optimiser"
"""Moments and step counts start anew with other data, and so do learning rates that decay."""


@dataclass(frozen=True, eq=False)
class TrainingSetup:
    """All that is decided before the first update."""

    config: TrainConfig
    dataset: Dataset
    """With the chosen robots only."""
    learner: Learner
    sizes: Sizes
    groups: RobotGroups
    weights: tuple[float, ...] | None
    """Of each robot, one on average; None where all weigh the same."""

    @classmethod
    def of(cls, config: TrainConfig) -> "TrainingSetup":
        """Set up a run.

        Raises:
            BodyplanError: a setting or the dataset does not fit.
        """
        present = device_count()
        devices = config.devices or present
        if devices > present:
            raise BodyplanError(
                f"devices is {devices}; there are {present}, so give {present} or fewer"
            )
        check_config(config, devices)
        dataset = Dataset.open(config.data)
        unknown = sorted(set(config.robots) - set(dataset.robots))
        if unknown:
            raise BodyplanError(
                f"{config.data} holds no robot {unknown[0]}; "
                f"choose from {', '.join(dataset.robots)}"
            )
        dataset = replace(dataset, robots=config.robots or dataset.robots)
        groups = _groups(config, dataset.robots, dataset.models)
        dataset, groups = _in_build_order(dataset, groups)
        strata = _strata(config, dataset, groups)
        places = [dataset.robots[own.start] for own in strata for _ in range(own.drawn)]
        members = places or dataset.robots
        learner = Learner(
            algorithm=ALGORITHMS.make(config.algorithm),
            combiner=COMBINERS.make(config.combine),
            groups=tuple(
                tuple(at for at, robot in enumerate(members) if robot in group) for group in groups
            ),
            batch_size=config.batch_size,
            actor_steps=config.actor_steps_per_iteration,
            group_critic=config.group_critic,
            order_seed=config.seed,
            devices=devices,
            strata=strata,
        )
        sizes, weights = _sizes(config, dataset), _weights(config.weights, dataset.robots)
        return cls(config, dataset, learner, sizes, groups, weights)

    def seed(self) -> "SeedSetup":
        """The one seed of a run in the folder `out`."""
        return self._seed(self.config)

    def seeds(self, count: int) -> list["SeedSetup"]:
        """Seeds that train side by side, from `config.seed` on, in `out`'s `seed<k>`.

        Raises:
            BodyplanError: there are none.
        """
        if count < 1:
            raise BodyplanError(f"seeds is {count}; give 1 or more")
        configs = seed_configs(self.config, count)
        together = [config.seed for config in configs]
        return [self._seed(config, together=together) for config in configs]

    def together(self, configs: Sequence[TrainConfig]) -> list["SeedSetup"]:
        """Runs that train side by side. They differ in seeds, folders, and hyperparameters that are
        numbers.

        Raises:
            BodyplanError: they differ in something else, or share a folder.
        """
        folders = [str(config.out) for config in configs]
        if len(set(folders)) < len(folders):
            raise BodyplanError("runs that train side by side need an `out` each")
        first = _without_numbers(self.config)
        for config in configs:
            for name, value in _without_numbers(config).items():
                if value != first[name]:
                    raise BodyplanError(
                        f"runs that train side by side differ in {name} ({value} and "
                        f"{first[name]}); only seed, out and numbers of methods may differ"
                    )
        if draws_groups(self.config) and len({config.seed for config in configs}) > 1:
            raise BodyplanError(
                "random groups follow from the seed, so that runs of several seeds cannot train "
                "side by side; give groups as lists, or train one run after another"
            )
        names = [Path(folder).name for folder in folders]
        return [self._seed(config, together=names) for config in configs]

    def _seed(self, config: TrainConfig, **more: Any) -> "SeedSetup":
        learner = replace(
            self.learner,
            algorithm=ALGORITHMS.make(config.algorithm),
            combiner=COMBINERS.make(config.combine),
        )
        # What must be the same for a run to be continued, or to count as finished.
        identity = {
            **config.to_json(),
            "out": str(config.out),
            "robots": list(self.dataset.robots),
            "groups": [list(group) for group in self.groups],
            GROUPS_FROM: _groups_from(config),
            "dataset_card_sha256": sha256(self.dataset.path / CARD),
            **more,
        }
        return SeedSetup(self, Path(config.out), config.seed, learner, identity)

    @cached_property
    def data(self) -> TrainingData:
        """The data, checked, with their scales.

        Raises:
            BodyplanError: they are damaged, or the run to start from is not finished.
        """
        scale: ObservationScaling | ObservationScale | None = self.config.observation_scale
        if self.config.init_from is not None:
            scale = Run(self.config.init_from).policy.observation_scale
        config = self.config
        if config.verify and (faults := self.dataset.checksum_faults()):
            raise BodyplanError(faults[0])
        return TrainingData.of(self.dataset, config.reward_scale, scale, config.held_out)

    def loader(self) -> BatchLoader:
        """Reads batches from memory, or from disk as they are needed."""
        learner = self.learner
        if self.config.data_on == "device":
            require_room(self.data)
        return BatchLoader.of(
            self.data,
            learner.batch_size,
            learner.algorithm.actor_every,
            learner.devices,
            self.weights,
            FileData if self.config.data_on == "host" else MemoryData,
        )

    def critic_check(self, loader: BatchLoader) -> CriticCheck:
        """Compares values and weights with what is known of the data."""
        return CriticCheck(self.data, loader, self.dataset.card["robots"])

    def numbers(self, seeds: Sequence["SeedSetup"]) -> Numbers:
        """The learner's numbers; of those in which seeds differ, each seed's.

        The order of groups is the first seed's.
        """
        first, *others = [seed.learner.numbers for seed in seeds]

        def together(*values: np.ndarray) -> np.ndarray:
            return values[0] if len(set(map(float, values))) == 1 else np.stack(values)

        return jax.tree.map(together, first, *others)

    def restore(self, seeds: Sequence["SeedSetup"]) -> LearnerState:
        """The state of all seeds at their latest common checkpoint, else before the first update.

        Raises:
            BodyplanError: a checkpoint is damaged, or the run to start from does not fit.
        """
        states = [self.initial_state(seed.number) for seed in seeds]
        saved = [dict(checkpoints(seed.folder / CHECKPOINTS)) for seed in seeds]
        common = set.intersection(*(set(own) for own in saved))
        if common:
            paths = [own[max(common)] for own in saved]
            states = [
                restore_checkpoint(path, own) for path, own in zip(paths, states, strict=True)
            ]
        return replicate(stack_seeds(states), self.learner.devices)

    def initial_state(self, seed: int) -> LearnerState:
        """The state before the first update.

        Raises:
            BodyplanError: the run to start from is of other networks or another algorithm.
        """
        state = self.learner.init(seed, self.sizes)
        if self.config.init_from is None:
            return state
        return _with_networks_of(Run(self.config.init_from), state, self.config.algorithm_name)


@dataclass(frozen=True, eq=False)
class SeedSetup:
    """One run among those that train at once."""

    setup: TrainingSetup
    folder: Path
    number: int
    learner: Learner
    """With this run's hyperparameters."""
    identity: Mapping[str, Any]

    def policy(self, state: LearnerState, provenance: Mapping[str, Any]) -> Policy:
        """The policy that acts with this state's networks.

        Args:
            state: of this run alone.
            provenance: for its card.
        """
        setup, card = self.setup, self.setup.dataset.card
        return Policy.of(
            state.actor.policy,
            self.learner.algorithm,
            setup.sizes,
            setup.data.observation_scale,
            update=int(state.update),
            seed=self.number,
            robots=list(setup.dataset.robots),
            combine=setup.config.combiner_name,
            groups=self.identity["groups"],
            command=card.get("command"),
            models=setup.dataset.models,
            recipe=card.get("recipe"),
            dataset_card_sha256=self.identity["dataset_card_sha256"],
            provenance=dict(provenance),
        )


def seed_configs(config: TrainConfig, count: int) -> list[TrainConfig]:
    """The configurations of several seeds, from `config.seed` on, in `out`'s `seed<k>`."""
    return [
        replace(config, seed=seed, out=Path(config.out) / f"seed{seed}")
        for seed in range(config.seed, config.seed + count)
    ]


def draws_groups(config: TrainConfig) -> bool:
    """Whether each seed has groups of its own."""
    by_number = isinstance(config.groups, int)
    return config.combiner_name == "grouped" and config.group_by == "random" and by_number


def _without_numbers(config: TrainConfig) -> dict[str, Any]:
    """All settings but those in which runs that train side by side may differ."""
    algorithm, combiner = ALGORITHMS.make(config.algorithm), COMBINERS.make(config.combine)
    settings = {one.name: getattr(config, one.name) for one in fields(config)}
    no_numbers: dict[str, Any] = dict.fromkeys(numbers_of(algorithm))
    settings["algorithm"] = replace(algorithm, **no_numbers)
    settings["combine"] = replace(combiner, **dict.fromkeys(numbers_of(combiner)))
    return {name: value for name, value in settings.items() if name not in ("seed", "out")}


def _with_networks_of(run: Run, state: LearnerState, algorithm: str) -> LearnerState:
    """The state with a finished run's networks."""
    if run.config["algorithm"] != algorithm:
        raise BodyplanError(
            f"{run.path} was trained by {run.config['algorithm']} and has no critics for "
            f"{algorithm}; give algorithm {run.config['algorithm']}"
        )
    saved = checkpoints(run.path / CHECKPOINTS)
    if not saved:
        raise BodyplanError(f"{run.path} has no checkpoint; train it, or copy checkpoints/ too")
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


def _groups(
    config: TrainConfig, robots: Sequence[str], models: Mapping[str, str] | None
) -> RobotGroups:
    """The groups of robots that step together; all robots where the combiner has no groups."""
    if config.combiner_name != "grouped":
        return RobotGroups([robots])
    if isinstance(config.groups, str | Path):
        return read_groups(config.groups, robots)
    if not isinstance(config.groups, int):
        return listed_groups(config.groups, robots)
    # Sorted, so that random groups do not depend on the order in which robots are given.
    bodies = [Robot.load(robot, models) for robot in sorted(robots)]
    cache = cache_folder("distances")  # spares the next run the solver's import, too
    return group_robots(bodies, config.groups, config.group_by, seed=config.seed, cache=cache)


def _groups_from(config: TrainConfig) -> int | str | None:
    """How groups were asked for, where not by their names."""
    if isinstance(config.groups, Path):
        return str(config.groups)
    return config.groups if isinstance(config.groups, int | str) else None


def _strata(config: TrainConfig, dataset: Dataset, groups: RobotGroups) -> tuple[Stratum, ...]:
    """How many robots of each build and group an update has; nothing where it has all."""
    if not config.robots_per_update:
        return ()
    if config.combiner_name == "selective":
        raise BodyplanError("combine selective needs all robots; give robots_per_update 0")
    builds = builds_of([body_size(dataset.episodes[name]) for name in dataset.robots])
    places = [[dataset.robots.index(robot) for robot in group] for group in groups]
    try:
        return strata_of(builds, places, config.robots_per_update)
    except ValueError as error:
        raise BodyplanError(
            f"robots_per_update is {config.robots_per_update}; {error} so that each build of "
            "each group has a robot, or 0 for all"
        ) from error


def _in_build_order(dataset: Dataset, groups: RobotGroups) -> tuple[Dataset, RobotGroups]:
    """Robots of one build beside each other, and in it those of one group."""
    names = dataset.robots
    sizes = [body_size(dataset.episodes[name]) for name in names]
    places = [[names.index(robot) for robot in group] for group in groups]
    order, places = build_order(sizes, names, places)
    dataset = replace(dataset, robots=tuple(names[place] for place in order))
    named = [[names[place] for place in order if place in group] for group in places]
    return dataset, RobotGroups(named, groups.robots, groups.distances)


def _weights(given: Mapping[str, float] | None, robots: Sequence[str]) -> tuple[float, ...] | None:
    """Each robot's weight, one on average."""
    if not given:
        return None
    for name, weight in given.items():
        if name not in robots:
            raise BodyplanError(f"weights names {name}; choose from {', '.join(robots)}")
        if not 0.0 < weight < float("inf"):
            raise BodyplanError(f"weights gives {name} {weight}; give a number above 0")
    each = [given.get(name, 1.0) for name in robots]
    return tuple(weight * len(each) / sum(each) for weight in each)
