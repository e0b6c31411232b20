"""Transfer between robots: each trained alone, all trained together, and fine-tuned on a new one.

The experiments of Table 2 and Figure 1 of the paper (Abe et al., arXiv 2602.18025). For every
robot they compare its own policy with the one policy of all robots. For robots that are left out
they also compare fine-tuning, after pre-training on the others, with training from scratch.

    <out>/together/seed0            all robots
    <out>/alone/<robot>/seed0       one robot, with as many updates and as many of its transitions
    <out>/without/<robot>/seed0     all robots but one
    <out>/finetuned/<robot>/seed0   then fine-tuned on that one
    <out>/scratch/<robot>/seed0     that one from scratch, with as many updates as the fine-tuning
    <out>/transfer.json             the results

Interrupted runs continue, and finished runs are used as they are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bodyplan.bounds import CountFromOne, require_bounds
from bodyplan.datasets.dataset import Dataset
from bodyplan.datasets.format import CARD
from bodyplan.errors import BodyplanError
from bodyplan.evaluation.evaluate import evaluate_policy
from bodyplan.evaluation.evaluation import Evaluation, EvaluationConfig
from bodyplan.evaluation.significance import seed_mean
from bodyplan.experiments.pretraining import train_seeds
from bodyplan.learn.config import TrainConfig
from bodyplan.learn.finetune import finetune_config, with_updates
from bodyplan.learn.run import Run
from bodyplan.locking import writer_lock
from bodyplan.progress import OnProgress, no_progress
from bodyplan.robots.registry import models_of
from bodyplan.robots.robot import Robot
from bodyplan.storage import sha256, write_json

CURVE_POINTS = 5
"""Evaluations during a fine-tuning."""
CURVE_EPISODES = 8
"""Most episodes of each robot in an evaluation during training."""


@dataclass(frozen=True)
class TransferConfig:
    """What is trained, and how it is evaluated."""

    training: TrainConfig
    """Training of all robots together; all runs are in its folder `out`."""
    seeds: CountFromOne = 3
    """Seeds of every run, from the seed of `training` on."""
    leave_out: tuple[str, ...] = ()
    """Robots to fine-tune on, each after a pre-training without it."""
    finetune_updates: CountFromOne = 2000
    """Updates of fine-tuning, and of the run from scratch that it is compared with."""
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    """How every policy is evaluated."""

    def __post_init__(self) -> None:
        require_bounds(self)


def measure_transfer(config: TransferConfig, progress: OnProgress | None = None) -> dict[str, Any]:
    """Train and evaluate what is missing, and write transfer.json.

    Args:
        config: what to train and how to evaluate it.
        progress: called as the work goes on.

    Returns:
        The content of transfer.json.

    Raises:
        BodyplanError: there are fewer than two robots, a robot to leave out is not among them, or
            a setting of the training is wrong.
        TrainingDiverged: a loss or a parameter of a run is not finite.
    """
    with writer_lock(Path(config.training.out) / "transfer.json"):
        return _transfer(config, progress)


def _transfer(config: TransferConfig, progress: OnProgress | None) -> dict[str, Any]:
    """`transfer`, which alone writes into the folder."""
    training = config.training
    dataset = Dataset.open(training.data)
    robots = training.robots or dataset.robots
    unknown = sorted(set(config.leave_out) - set(robots))
    if unknown:
        raise BodyplanError(f"cannot leave out {unknown[0]}; choose from {', '.join(robots)}")
    if len(robots) < 2:
        raise BodyplanError("transfer needs two robots or more; give more robots or other data")
    experiment = _Experiment(config, dataset.card, progress or no_progress)
    together = experiment.train("together", replace(training, robots=robots))
    rows: dict[str, dict[str, Any]] = {}
    for robot in robots:
        alone = experiment.train(f"alone/{robot}", alone_config(training, robot))
        rows[robot] = _compare(
            together=experiment.returns(together, robot), alone=experiment.returns(alone, robot)
        )
        rows[robot]["data_return"] = dataset.whole_episodes(robot)["return_mean"]
    for robot in config.leave_out:
        others = tuple(name for name in robots if name != robot)
        rows[robot] |= _finetune(experiment, robot, others)
    results = {
        "algorithm": training.algorithm_name,
        "combine": training.combiner_name,
        "dataset_card_sha256": sha256(dataset.path / CARD),
        "updates": training.updates,
        "finetune_updates": config.finetune_updates if config.leave_out else None,
        "seeds": config.seeds,
        "episodes": config.evaluation.episodes,
        "robots": rows,
        "mean": _mean_over_robots(list(rows.values())),
    }
    write_json(Path(training.out) / "transfer.json", results)
    return results


def without_config(training: TrainConfig, others: tuple[str, ...]) -> TrainConfig:
    """The same training on fewer robots, and with no more groups than robots."""
    groups = training.groups
    count = min(groups, len(others)) if isinstance(groups, int) else groups
    return replace(training, robots=others, groups=count)


def alone_config(training: TrainConfig, robot: str) -> TrainConfig:
    """The same training on one robot, whose actor is updated once per critic update."""
    return replace(
        training,
        robots=(robot,),
        combine="pooled",
        robots_per_update=0,
        weights=None,
        conflicts_every=0,
    )


@dataclass(frozen=True, eq=False)
class _Experiment:
    """Trains and evaluates the runs of one experiment."""

    config: TransferConfig
    data_card: Mapping[str, Any]
    progress: OnProgress

    def train(
        self, name: str, training: TrainConfig, pretrained: Sequence[Run] = ()
    ) -> tuple[Run, ...]:
        """Train all seeds of one run; with pre-trained runs, one seed from each of them."""
        training = replace(training, out=Path(self.config.training.out) / name)

        def log(update: int, line: Mapping[str, Any]) -> None:
            speed = f"{line['updates_per_s']:.1f} updates/s"
            self.progress(name, update, training.updates, speed)

        def on_interval(update: int, policy: Any) -> Mapping[str, Any]:
            evaluation = self.config.evaluation
            fewer = replace(evaluation, episodes=min(CURVE_EPISODES, evaluation.episodes))
            robots, command = self._load(training.robots), self.data_card["command"]
            return evaluate_policy(policy, robots, command, fewer).scores

        if not pretrained:
            return train_seeds(training, self.config.seeds, log, on_interval)
        runs: list[Run] = []
        for index, run in enumerate(pretrained):
            one_seed = replace(training, init_from=run.path, seed=training.seed + index)
            runs += train_seeds(one_seed, 1, log, on_interval)
        return tuple(runs)

    def returns(self, runs: Sequence[Run], robot: str) -> list[float]:
        """A robot's mean return under the policy of each seed; evaluated now if it is missing."""
        returns = []
        for run in runs:
            path = run.path / "evaluation.json"
            if not self._is_evaluated(path, robot, run.config["updates"]):
                evaluate_policy(
                    run.policy,
                    self._load(run.config["robots"]),
                    self.data_card["command"],
                    self.config.evaluation,
                    self.data_card,
                    self.progress,
                ).save(path)
            returns.append(float(Evaluation.load(path)[robot]["return_mean"]))
        return returns

    def _is_evaluated(self, path: Path, robot: str, updates: int) -> bool:
        """Whether a file has an evaluation of this robot after these updates, made alike."""
        if not path.is_file():
            return False
        evaluation = Evaluation.load(path)
        return robot in evaluation and evaluation.answers(self.config.evaluation, updates)

    def _load(self, names: Sequence[str]) -> list[Robot]:
        models = models_of(self.data_card, self.config.training.data)
        return [Robot.load(name, models) for name in names]


def _finetune(experiment: _Experiment, robot: str, others: tuple[str, ...]) -> dict[str, Any]:
    """Pre-train on the others and fine-tune on one robot; train as long from scratch."""
    config, training = experiment.config, experiment.config.training
    pretrained = experiment.train(f"without/{robot}", without_config(training, others))
    late = finetune_config(pretrained[0], (robot,), training.data, training.out)
    late = with_updates(late, config.finetune_updates)
    late = replace(late, evaluate_every=_evaluation_interval(late), init_from=None)
    # Fine-tuning keeps the observation scale of the pre-training; from scratch it is the robot's.
    finetuned = experiment.train(f"finetuned/{robot}", late, pretrained)
    scratch = experiment.train(f"scratch/{robot}", late)
    with_pretraining = experiment.returns(finetuned, robot)
    without = experiment.returns(scratch, robot)
    gains = [a - b for a, b in zip(with_pretraining, without, strict=True)]
    return {
        "finetuned": seed_mean(with_pretraining),
        "scratch": seed_mean(without),
        "head_start": seed_mean(gains),
        "finetuned_curve": _learning_curve(finetuned, robot),
        "scratch_curve": _learning_curve(scratch, robot),
    }


def _evaluation_interval(training: TrainConfig) -> int:
    """Updates between two of the `CURVE_POINTS` evaluations, in whole intervals of the log."""
    intervals = training.updates // training.log_every
    return max(1, intervals // CURVE_POINTS) * training.log_every


def _compare(together: Sequence[float], alone: Sequence[float]) -> dict[str, Any]:
    gains = [t - a for t, a in zip(together, alone, strict=True)]
    return {
        "alone": seed_mean(alone),
        "together": seed_mean(together),
        "gain": seed_mean(gains),
    }


def _mean_over_robots(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Means over robots, seed by seed, of each value that all robots have."""
    names = [
        name
        for name in ("alone", "together", "gain", "finetuned", "scratch", "head_start")
        if all(name in row for row in rows)
    ]
    return {
        name: seed_mean(
            [
                sum(values) / len(values)
                for values in zip(*(row[name]["seeds"] for row in rows), strict=True)
            ]
        )
        for name in names
    }


def _learning_curve(runs: Sequence[Run], robot: str) -> list[list[float]]:
    """Pairs of the number of updates and the mean return over seeds in that evaluation."""
    points: dict[int, list[float]] = {}
    for run in runs:
        for line in run.metrics:
            if "evaluation" in line:
                value = line["evaluation"][robot]["return_mean"]
                points.setdefault(line["update"], []).append(value)
    return [[update, sum(found) / len(found)] for update, found in sorted(points.items())]
