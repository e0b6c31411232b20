"""Evaluate a policy: every robot walks whole episodes in the reference physics.

Penalties are at full strength, and actions are the policy's mean actions. Robots start from random
states by default, so that the episodes of a robot differ. From the `nominal` state, as in the test
mode of the original task, all episodes of a robot are the same.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bodyplan.datasets.dataset import card_with_whole_episodes
from bodyplan.datasets.score_scale import score_scale
from bodyplan.datasets.whole_episodes import WHOLE
from bodyplan.envs.disturbances import NO_DISTURBANCES, Disturbances
from bodyplan.envs.environment import Environment
from bodyplan.envs.walking_task import Command, parse_command
from bodyplan.errors import BodyplanError
from bodyplan.evaluation.evaluation import MEAN_SCORES, Evaluation, EvaluationConfig
from bodyplan.evaluation.rollout import CrossEmbodimentPolicy, one_blas_thread, rollout, score
from bodyplan.evaluation.trained_policy import TrainedPolicy, is_trained, trained_policy
from bodyplan.learn.run import Run
from bodyplan.machine import available_cores
from bodyplan.progress import OnProgress, no_progress
from bodyplan.robots.fingerprint import fingerprint
from bodyplan.robots.registry import models_of
from bodyplan.robots.robot import Robot

if TYPE_CHECKING:
    from bodyplan.learn.config import TrainConfig

_EPISODES_AT_ONCE = 8
"""Of a robot, from which its physics outweighs Python, whose lock threads would wait for."""


def evaluate(
    policy: CrossEmbodimentPolicy | Run | str | Path,
    robots: Robot | str | Path | Sequence[Robot | str | Path] | None = None,
    command: str | Command | None = None,
    *,
    episodes: int = 32,
    seed: int = 0,
    initial_state: str = "random",
    threads: int | None = None,
    disturbances: Disturbances = NO_DISTURBANCES,
    best: bool = False,
    at: int | None = None,
    progress: OnProgress | None = None,
) -> Evaluation:
    """Evaluate a policy on each robot.

    Args:
        policy: a run, a policy, or the folder of either; or any object with the method `act` of
            `CrossEmbodimentPolicy`. Of a run that is not finished, its last checkpoint.
        robots: robots, packaged names or paths of MJCFs; by default those of the training.
        command: `forward`, `backward`, "vx,vy,wz" or three numbers (m/s, m/s, rad/s); by default
            that of the training, and `forward` for an object of your own.
        episodes: episodes of each robot.
        seed: seed of the initial states and disturbances.
        initial_state: `random` or `nominal`.
        threads: threads of the simulation, all cores by default; results do not depend on it.
        disturbances: what disturbs the robots; nothing by default.
        best: evaluate the policy that did best during the training of a run, not the last one.
        at: evaluate the run's checkpoint after this many updates.
        progress: called as robots finish.

    Returns:
        The scores by robot. Nothing is written; see `Evaluation.save`.

    Raises:
        BodyplanError: there is no such policy, a robot or the command is unknown, or an argument
            is outside its range.
    """
    trained = trained_policy(policy, best, at)
    sources = trained.robots if robots is None else robots
    if isinstance(sources, Robot | str | Path):
        sources = (sources,)
    chosen = [_load(source, trained.models) for source in sources]
    if not chosen:
        raise BodyplanError("there is no robot to evaluate the policy on; give robots")
    asked = trained.command if command is None else command
    if asked is None:
        raise BodyplanError("the policy does not name the command of its training; give --command")
    config = EvaluationConfig(episodes, seed, initial_state, threads, disturbances)
    evaluation = evaluate_policy(trained.policy, chosen, asked, config, trained.data_card, progress)
    asked_about = {
        "policy": trained.chosen,
        "own_robots": robots is None or _are_own(chosen, trained),
        "own_command": trained.command is None
        or evaluation.command == parse_command(trained.command),
    }
    return Evaluation(evaluation.document | asked_about)


def evaluate_policy(
    policy: CrossEmbodimentPolicy,
    robots: Sequence[Robot],
    command: str | Sequence[float] = "forward",
    config: EvaluationConfig | None = None,
    data_card: Mapping[str, Any] | None = None,
    progress: OnProgress | None = None,
) -> Evaluation:
    """Evaluate an object with the method `act`; `evaluate` also takes runs and folders.

    Trained policies act on several robots at once, one for each core, where there are 8 episodes
    of each or more. An object of yours may remember what it did, so it acts on one after another.

    Args:
        policy: acts on any robot.
        robots: the robots.
        command: as for `evaluate`.
        config: how to evaluate; the defaults of `EvaluationConfig` if not given.
        data_card: card of the dataset the policy was trained on; `data_return` is from there.
        progress: called as robots finish.

    Raises:
        BodyplanError: the command is unknown.
    """
    config, report = config or EvaluationConfig(), progress or no_progress
    wanted = parse_command(command)
    scores: dict[str, dict[str, Any]] = {}
    cores = available_cores() if config.threads is None else config.threads
    at_once = is_trained(policy) and config.episodes >= _EPISODES_AT_ONCE
    workers = max(1, min(cores, len(robots))) if at_once else 1
    score_robot = partial(
        _robot_scores,
        policy,
        command=wanted,
        config=replace(config, threads=cores // workers),
        data_card=data_card or {},
    )
    with one_blas_thread(), ThreadPoolExecutor(workers) as pool:
        results = pool.map(score_robot, robots)
        for done, robot in enumerate(robots):
            report("evaluating", done, len(robots), robot.name)
            scores[robot.name] = next(results)
    report("evaluating", len(robots), len(robots))
    return Evaluation(
        {
            "command": list(wanted),
            "episodes": config.episodes,
            "seed": config.seed,
            "initial_state": config.initial_state,
            "conditions": asdict(config.disturbances),
            "policy": None,
            "own_robots": True,
            "own_command": True,
            "updates": policy.card.get("update") if is_trained(policy) else None,
            "robots": scores,
            "mean": _mean_scores(list(scores.values())),
        }
    )


def evaluation_callback(
    config: "TrainConfig", episodes: int = 8, data_card: Mapping[str, Any] | None = None
) -> Callable[[int, CrossEmbodimentPolicy], dict[str, dict[str, Any]]]:
    """The callback that evaluates a policy every `config.evaluate_every` updates of its training.

    Args:
        config: the training, whose data, robots and seed the evaluations have too.
        episodes: episodes of each robot.
        data_card: card of the dataset; read from `config.data` by default.

    Returns:
        A function of the number of updates and the policy, which returns each robot's scores.
    """
    evaluation = EvaluationConfig(episodes, config.seed)

    @cache
    def read_card() -> Mapping[str, Any]:
        return card_with_whole_episodes(Path(config.data)) if data_card is None else data_card

    def on_interval(update: int, policy: CrossEmbodimentPolicy) -> dict[str, dict[str, Any]]:
        card = read_card()
        names = config.robots or tuple(card["robots"])
        models = models_of(card, config.data)
        robots = [Robot.load(name, models) for name in names]
        return evaluate_policy(policy, robots, card["command"], evaluation, card).scores

    return on_interval


def _are_own(robots: Sequence[Robot], trained: TrainedPolicy) -> bool:
    """Whether these are the robots of the training, all of them and unchanged."""
    if {robot.name for robot in robots} != set(map(str, trained.robots)):
        return False
    own = [Robot.load(robot.name, trained.models) for robot in robots]
    return list(map(fingerprint, robots)) == list(map(fingerprint, own))


def _load(source: Robot | str | Path, models: Mapping[str, str]) -> Robot:
    return source if isinstance(source, Robot) else Robot.load(source, models)


def _robot_scores(
    policy: CrossEmbodimentPolicy,
    robot: Robot,
    command: Command,
    config: EvaluationConfig,
    data_card: Mapping[str, Any],
) -> dict[str, Any]:
    """The episodes of one robot, beside the returns of its data and its expert."""
    environment = Environment(
        robot,
        command,
        config.episodes,
        initial_state=config.initial_state,
        seed=config.seed,
        threads=config.threads,
        disturbances=config.disturbances,
    )
    outcome = rollout(environment, lambda seen: policy.act(seen, environment.descriptor))
    scores = score(outcome)
    scale = score_scale(robot, command, config.initial_state, config.threads)
    recorded = data_card.get("robots", {}).get(robot.name, {}).get(WHOLE, {})
    return {
        **scores,
        "normalised_return": scale.normalise(scores["return_mean"]),
        "floor_return": scale.floor,
        "expert_return": scale.expert,
        "ceiling_return": scale.ceiling,
        "reference": scale.reference,
        "data_return": recorded.get("return_mean"),
        "data_episodes": recorded.get("episodes"),
        "data_best_return": recorded.get("best_return_mean"),
    }


def _mean_scores(scores: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Means over robots, each counting once; None where a robot lacks that score."""
    columns = {name: [own[name] for own in scores] for name in MEAN_SCORES}
    means = {
        name: None if None in values else np.mean(values, axis=0).tolist()
        for name, values in columns.items()
    }
    errors = columns["return_se"]  # of robots whose episodes are independent
    if None not in errors:
        means["return_se"] = float(np.linalg.norm(errors) / len(errors))
    return means
