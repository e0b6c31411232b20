"""The one training loop: any algorithm, any combiner, any robots.

A run is a folder. The same command again continues it: from its latest checkpoint to the very bytes
an undisturbed run would have ended with (on CPU), or, where it is finished, at once to its result.

    config.json      settings, robots, groups and the data's checksum: the run's identity
    metrics.jsonl    a line for each interval, and for each evaluation on the way
    checkpoints/     <update>.safetensors, all that training needs to go on
    policy/          what it has learned, for acting
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np

from bodyplan.datasets.episodes import Dataset
from bodyplan.datasets.layout import CARD
from bodyplan.datasets.mixture import Mixture
from bodyplan.datasets.prepared import Prepared
from bodyplan.datasets.scaling import ObservationScaling, RewardScaling
from bodyplan.datasets.stream import Stream
from bodyplan.errors import BodyplanError
from bodyplan.learn.algorithms import ALGORITHMS
from bodyplan.learn.algorithms.awac import AWAC
from bodyplan.learn.algorithms.bc import BC
from bodyplan.learn.algorithms.iql import IQL
from bodyplan.learn.algorithms.td3_bc import TD3BC
from bodyplan.learn.checkpoint import checkpoints, restore_checkpoint, save_checkpoint
from bodyplan.learn.combiners import COMBINERS
from bodyplan.learn.dispatch import Dispatch, Resident, Streamed
from bodyplan.learn.grouping import embodiment_groups, read_groups
from bodyplan.learn.learner import Learner, LearnerState, Report
from bodyplan.learn.metrics import append, named, rewind
from bodyplan.learn.networks.urma import PRESETS
from bodyplan.learn.policy import FOLDER, ReleasedPolicy
from bodyplan.learn.run import CHECKPOINTS, METRICS, Run, claim
from bodyplan.robots.catalogue import introduce
from bodyplan.storage import sha256

Names = tuple[tuple[str, ...], ...]
Log = Callable[[int, Mapping[str, Any]], None]
"""Called after each interval with the updates done and the line of metrics.jsonl."""
OnInterval = Callable[[int, ReleasedPolicy], Mapping[str, Any] | None]
"""Called every `evaluate_every` updates with the policy; what it returns goes to metrics.jsonl."""


class TrainingDiverged(Exception):  # noqa: N818 (says what happened, not that it is an error)
    """A loss or a parameter became infinite or NaN; the last good checkpoint is kept."""


@dataclass(frozen=True)
class TrainConfig:
    """What to train on, how, and where to."""

    data: Path
    """Folder of the dataset."""
    out: Path
    """Folder of the run; an interrupted run of the same settings there is continued."""
    algorithm: Literal["bc", "td3_bc", "awac", "iql"] = "iql"
    """What to learn from the data."""
    combine: Literal["pooled", "grouped"] = "pooled"
    """How robots share the actor: one step on their mean, or a step for each group of them."""
    groups: int | Path = 4
    """With `grouped`: a number of groups of like bodies, or a JSON file with lists of names."""
    robots: tuple[str, ...] = ()
    """Robots of the dataset to train on; all of them where none is named."""
    weights: dict[str, float] | None = None
    """Weights of robots' losses, as in `--weights hexapod 2`; 1 for those not named."""
    network: Literal["paper", "small", "tiny"] = "paper"
    """Size of the networks: the paper's, one for CPUs, one for trials of the machinery."""
    batch_size: int = 1024
    """Transitions of each robot in one update."""
    updates: int = 100_000
    """Updates of the critics."""
    reward_scale: RewardScaling = "none"
    """`per_robot` gives each robot's episode returns a range of 1000, as usual on D4RL."""
    observation_scale: ObservationScaling = "none"
    """`shared` standardises each kind of number (a joint's position, say) over all robots."""
    data_on: Literal["device", "host"] = "device"
    """`host` reads batches from disk as they are needed, for data the device cannot hold."""
    seed: int = 0
    """Decides initial weights, batches and the order of groups."""
    log_every: int = 100
    """Updates in one interval, which is one dispatch of the compiled program."""
    checkpoint_every: int = 1000
    """Updates between checkpoints; a multiple of log_every."""
    evaluate_every: int = 0
    """Updates between evaluations on the way, a multiple of log_every; 0 for none."""
    bc: BC = field(default_factory=BC)
    """Hyperparameters of BC."""
    td3_bc: TD3BC = field(default_factory=TD3BC)
    """Hyperparameters of TD3+BC."""
    awac: AWAC = field(default_factory=AWAC)
    """Hyperparameters of AWAC."""
    iql: IQL = field(default_factory=IQL)
    """Hyperparameters of IQL."""


def train(
    config: TrainConfig, log: Log | None = None, on_interval: OnInterval | None = None
) -> Run:
    """Train, or go on training, and release the policy.

    Raises:
        BodyplanError: settings, data or the run's folder do not fit or are damaged.
        TrainingDiverged: a loss or a parameter is no longer finite.
    """
    dataset, learner, identity = _plan(config)
    claim(config.out, identity)
    found = checkpoints(config.out / CHECKPOINTS)
    finished = found and found[-1][0] == config.updates
    if finished and (config.out / FOLDER / "card.json").is_file():
        return Run(config.out)
    data = Prepared.of(dataset, config.reward_scale, config.observation_scale)
    state = learner.init(config.seed, PRESETS[config.network])
    if found:
        state = restore_checkpoint(found[-1][1], state)

    def release(state: LearnerState) -> ReleasedPolicy:
        return ReleasedPolicy.of(
            state.actor.policy,
            learner.algorithm,
            PRESETS[config.network],
            data.observation_scale,
            update=int(state.update),
            robots=list(dataset.robots),
            combine=config.combine,
            groups=identity["groups"],
            command=dataset.card.get("command"),
            models=dataset.card.get("models", {}),
            recipe=dataset.card.get("recipe"),
            dataset_card_sha256=identity["dataset_card_sha256"],
        )

    def evaluate(state: LearnerState) -> Mapping[str, Any] | None:
        return on_interval(int(state.update), release(state)) if on_interval else None

    dispatch = (
        Streamed(learner, Stream(data))
        if config.data_on == "host"
        else Resident(learner, Mixture.of(data))
    )
    state = _loop(config, dispatch, state, dataset.robots, log, evaluate)
    release(state).save(config.out / FOLDER)
    return Run(config.out)


def _loop(
    config: TrainConfig,
    dispatch: Dispatch,
    state: LearnerState,
    robots: tuple[str, ...],
    log: Log | None,
    evaluate: Callable[[LearnerState], Mapping[str, Any] | None],
) -> LearnerState:
    """Interval after interval, until all updates are done."""
    update = int(state.update)
    told = config.out / METRICS
    wall = rewind(told, update)
    while update < config.updates:
        length = min(config.log_every, config.updates - update)
        started = time.perf_counter()
        dispatch.prepare(state, length)
        compiled = time.perf_counter()
        state, report = dispatch.advance(state, length)
        report = jax.device_get(report)
        ended = time.perf_counter()
        _require_finite(report, robots, update, length, config.out)
        update, wall = update + length, wall + ended - started
        line = {
            "update": update,
            "wall_s": round(wall, 3),
            "updates_per_s": round(length / (ended - compiled), 3),
            **named(report.metrics, robots),
        }
        append(told, line)
        if log is not None:
            log(update, line)
        if config.evaluate_every and update % config.evaluate_every == 0:
            evaluation = evaluate(state)
            if evaluation is not None:
                append(told, {"update": update, "evaluation": evaluation})
        # Last, so that a run killed at any moment repeats what the checkpoint does not know of.
        if update % config.checkpoint_every == 0 or update == config.updates:
            _require_sound(state, config.out)
            save_checkpoint(config.out / CHECKPOINTS, update, state)
    return state


def _plan(config: TrainConfig) -> tuple[Dataset, Learner, dict[str, Any]]:
    """The data, the learner, and the identity of their run.

    Raises:
        BodyplanError: a setting or the dataset does not fit.
    """
    dataset = Dataset.open(config.data)
    introduce(dataset.card.get("models", {}))
    strangers = sorted(set(config.robots) - set(dataset.robots))
    if strangers:
        raise BodyplanError(
            f"{config.data} holds no robot {strangers[0]}; choose from {', '.join(dataset.robots)}"
        )
    dataset = replace(dataset, robots=config.robots or dataset.robots)
    algorithm = _chosen(config, "algorithm", ALGORITHMS)
    _require_intervals(config, algorithm.actor_every)
    groups = _groups(config, dataset.robots)
    learner = Learner(
        algorithm=algorithm,
        combiner=_chosen(config, "combine", COMBINERS),
        groups=tuple(tuple(map(dataset.robots.index, group)) for group in groups),
        batch_size=config.batch_size,
        weights=_weights(config.weights, dataset.robots),
    )
    if config.network not in PRESETS:
        raise BodyplanError(
            f"no network is called {config.network}; choose one of {', '.join(PRESETS)}"
        )
    identity = {
        **asdict(config),
        "robots": list(dataset.robots),
        "groups": [list(group) for group in groups],
        "dataset_card_sha256": sha256(config.data / CARD),
    }
    return dataset, learner, identity


def _chosen(config: TrainConfig, setting: str, registry: Mapping[str, type]) -> Any:
    """The configured algorithm or combiner; its own field in `config`, where it has one."""
    name = getattr(config, setting)
    if name not in registry:
        raise BodyplanError(f"no {setting} is called {name}; choose one of {', '.join(registry)}")
    return getattr(config, name, None) or registry[name]()


def _groups(config: TrainConfig, robots: tuple[str, ...]) -> Names:
    if config.combine != "grouped":
        return (robots,)
    if isinstance(config.groups, int):
        return embodiment_groups(robots, config.groups)
    return read_groups(config.groups, robots)


def _weights(
    given: Mapping[str, float] | None, robots: tuple[str, ...]
) -> tuple[float, ...] | None:
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


def _require_intervals(config: TrainConfig, actor_every: int) -> None:
    for name in ("batch_size", "updates", "log_every", "checkpoint_every"):
        if getattr(config, name) < 1:
            raise BodyplanError(f"{name} is {getattr(config, name)}; give 1 or more")
    for name, value, unit, divisor in (
        ("checkpoint_every", config.checkpoint_every, "log_every", config.log_every),
        ("evaluate_every", config.evaluate_every, "log_every", config.log_every),
        ("log_every", config.log_every, "the actor's period", actor_every),
        ("updates", config.updates, "the actor's period", actor_every),
    ):
        if value % divisor:
            raise BodyplanError(f"{name} is {value}; give a multiple of {unit} ({divisor})")


def _require_finite(
    report: Report, robots: tuple[str, ...], update: int, length: int, folder: Path
) -> None:
    """Stop before numbers that are no numbers reach a checkpoint.

    Raises:
        TrainingDiverged: naming the robots and the update.
    """
    if report.finite.all():
        return
    turns, robots_hit = np.nonzero(~report.finite)
    names = ", ".join(robots[robot] for robot in robots_hit[turns == turns[0]])
    at = update + (turns[0] + 1) * length // len(report.finite)
    raise TrainingDiverged(
        f"the losses of {names} stopped being finite at update {at}; {_advice(folder)}"
    )


def _require_sound(state: LearnerState, folder: Path) -> None:
    """The same for parameters: the last update's losses say nothing of its gradients."""
    if not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(state)):
        raise TrainingDiverged(
            f"parameters stopped being finite by update {int(state.update)}; {_advice(folder)}"
        )


def _advice(folder: Path) -> str:
    return (
        "look at the data with `bodyplan data verify` and try a lower learning rate; "
        f"{folder / CHECKPOINTS} keeps the last good checkpoint"
    )
