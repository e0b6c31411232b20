"""What robots gain by learning together: each alone, all together, and one joining the others late.

The paper's Table 2 and Figure 1 (Abe et al., arXiv 2602.18025): the return of a robot's own policy,
that of the one policy of all robots, and, where robots are left out, that of a policy pre-trained
without the robot and fine-tuned on its data, beside one from scratch with as many updates.

    <out>/together/seed0            all robots
    <out>/alone/<robot>/seed0       one robot, as many updates with as many of its transitions
    <out>/without/<robot>/seed0     all but one
    <out>/finetuned/<robot>/seed0   and then that one
    <out>/scratch/<robot>/seed0     that one alone, as long as the fine-tuning
    <out>/transfer.json             what came of it

Every run is continued where it was interrupted, and taken as it is where it is finished.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from bodyplan.datasets.dataset import Dataset
from bodyplan.envs.walking_task import Command
from bodyplan.errors import BodyplanError
from bodyplan.evaluation.confidence_intervals import estimate
from bodyplan.evaluation.evaluate import Trial, evaluate
from bodyplan.learn.config import TrainConfig
from bodyplan.learn.finetune import finetuning, lasting
from bodyplan.learn.run import Run
from bodyplan.learn.train import train_seeds
from bodyplan.progress import OnProgress, no_progress
from bodyplan.robots.robot import Robot
from bodyplan.storage import read_json, write_json

CURVE_POINTS = 5
"""Evaluations on the way of a fine-tuning."""


@dataclass(frozen=True)
class TransferPlan:
    """What is trained and how it is compared."""

    training: TrainConfig
    """Of all robots together; its `out` takes everything."""
    seeds: int = 3
    """Of every run, from the training's own on."""
    leave_out: tuple[str, ...] = ()
    """Robots to join late, each after a pre-training without it."""
    finetune_updates: int = 2000
    """Of fine-tuning, and of the run from scratch beside it."""
    trial: Trial = field(default_factory=Trial)
    """How every policy is evaluated."""


def transfer(plan: TransferPlan, progress: OnProgress | None = None) -> dict[str, Any]:
    """Train what is left to be trained, evaluate it, and write transfer.json.

    Args:
        plan: what to do.
        progress: called as the work goes on.

    Raises:
        BodyplanError: there are fewer than two robots, one to be left out is not among them, or a
            setting does not fit.
        TrainingDiverged: a loss or a parameter of some run is no longer finite.
    """
    config = plan.training
    dataset = Dataset.open(config.data)
    robots = config.robots or dataset.robots
    strangers = sorted(set(plan.leave_out) - set(robots))
    if strangers:
        raise BodyplanError(f"{strangers[0]} cannot be left out; choose from {', '.join(robots)}")
    if len(robots) < 2:
        raise BodyplanError("transfer takes two robots or more; name them, or give other data")
    bench = _Bench(plan, dataset.card, progress or no_progress)
    together = bench.trained("together", replace(config, robots=robots))
    rows: dict[str, dict[str, Any]] = {}
    for robot in robots:
        alone = bench.trained(f"alone/{robot}", _alone(config, robot))
        rows[robot] = _row(
            together=bench.returns(together, robot), alone=bench.returns(alone, robot)
        )
        rows[robot]["data_return"] = dataset.card["robots"][robot].get("return_mean")
    for robot in plan.leave_out:
        rows[robot] |= _late(bench, robot, tuple(name for name in robots if name != robot))
    answer = {
        "algorithm": config.algorithm,
        "combine": config.combine,
        "updates": config.updates,
        "finetune_updates": plan.finetune_updates if plan.leave_out else None,
        "seeds": plan.seeds,
        "episodes": plan.trial.episodes,
        "robots": rows,
        "mean": _over_robots(list(rows.values())),
    }
    write_json(config.out / "transfer.json", answer)
    return answer


@dataclass(frozen=True, eq=False)
class _Bench:
    """Where runs are trained and tried."""

    plan: TransferPlan
    card: Mapping[str, Any]
    """Of the dataset."""
    progress: OnProgress

    @property
    def command(self) -> Command:
        """What the robots of the data were asked to do."""
        vx, vy, wz = self.card["command"]
        return (vx, vy, wz)

    def _loaded(self, names: Sequence[str]) -> list[Robot]:
        return [Robot.load(name, self.card.get("models")) for name in names]

    def trained(
        self, name: str, config: TrainConfig, begin_with: Sequence[Run] = ()
    ) -> tuple[Run, ...]:
        """All seeds of one run; those that begin with another run's networks one by one."""
        home = self.plan.training.out / name
        config = replace(config, out=home)

        def log(update: int, line: Mapping[str, Any]) -> None:
            self.progress(name, update, config.updates, f"{line['updates_per_s']:.1f} updates/s")

        def on_interval(update: int, policy: Any) -> Mapping[str, Any]:
            trial = replace(self.plan.trial, episodes=min(8, self.plan.trial.episodes))
            return evaluate(policy, self._loaded(config.robots), self.command, trial)["robots"]

        if not begin_with:
            return train_seeds(config, self.plan.seeds, log, on_interval)
        runs: list[Run] = []
        for place, taught in enumerate(begin_with):
            own = replace(config, begin_with=taught.path, seed=config.seed + place)
            runs += train_seeds(own, 1, log, on_interval)
        return tuple(runs)

    def returns(self, runs: Sequence[Run], robot: str) -> list[float]:
        """A robot's mean return under each seed's policy; evaluates those not evaluated yet."""
        found = []
        for run in runs:
            path = run.path / "evaluation.json"
            if not self._evaluated(path, robot):
                outcome = evaluate(
                    run.policy,
                    self._loaded(run.config["robots"]),
                    self.command,
                    self.plan.trial,
                    self.card,
                    self.progress,
                )
                write_json(path, outcome)
            found.append(float(read_json(path)["robots"][robot]["return_mean"]))
        return found

    def _evaluated(self, path: Path, robot: str) -> bool:
        """Whether there is an evaluation that had this robot on this very trial."""
        if not path.is_file():
            return False
        then, asked = read_json(path), asdict(self.plan.trial)
        del asked["threads"]  # no outcome depends on them
        asked["conditions"] = asked.pop("disturbances")  # as evaluation.json calls them
        return robot in then["robots"] and all(then.get(name) == asked[name] for name in asked)


def _late(bench: _Bench, robot: str, others: tuple[str, ...]) -> dict[str, Any]:
    """Pre-training on the others, fine-tuning on one; and the same updates from scratch."""
    plan, config = bench.plan, bench.plan.training
    taught = bench.trained(f"without/{robot}", _without(config, others))
    late = finetuning(taught[0], (robot,), config.data, config.out)
    late = lasting(late, plan.finetune_updates)
    late = replace(late, evaluate_every=_point(late), begin_with=None)
    finetuned = bench.trained(f"finetuned/{robot}", late, begin_with=taught)
    # The scale of observations that pre-training knew of goes with the networks; from scratch it
    # is the robot's own.
    scratch = bench.trained(f"scratch/{robot}", late)
    fine, raw = bench.returns(finetuned, robot), bench.returns(scratch, robot)
    return {
        "finetuned": estimate(fine),
        "scratch": estimate(raw),
        "head_start": estimate([f - r for f, r in zip(fine, raw, strict=True)]),
        "finetuned_curve": _curve(finetuned, robot),
        "scratch_curve": _curve(scratch, robot),
    }


def _point(config: TrainConfig) -> int:
    """Updates between evaluations on the way: whole intervals."""
    intervals = config.updates // config.log_every
    return max(1, intervals // CURVE_POINTS) * config.log_every


def _without(config: TrainConfig, others: tuple[str, ...]) -> TrainConfig:
    """The same training of fewer robots, in fewer groups where there were as many as robots."""
    groups = config.groups
    most = groups if isinstance(groups, Path) else min(groups, len(others))
    return replace(config, robots=others, groups=most)


def _alone(config: TrainConfig, robot: str) -> TrainConfig:
    """The same training of one robot; where groups took steps of their own, now one does."""
    config = lasting(config, config.updates)
    return replace(config, robots=(robot,), combine="pooled", weights=None, conflicts_every=0)


def _row(together: Sequence[float], alone: Sequence[float]) -> dict[str, Any]:
    gains = [t - a for t, a in zip(together, alone, strict=True)]
    return {
        "alone": estimate(alone),
        "together": estimate(together),
        "gain": estimate(gains),
    }


def _over_robots(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Means over robots of every estimate that all of them have, seed by seed."""
    names = [
        name
        for name in ("alone", "together", "gain", "finetuned", "scratch", "head_start")
        if all(name in row for row in rows)
    ]
    return {
        name: estimate(
            [
                sum(values) / len(values)
                for values in zip(*(row[name]["seeds"] for row in rows), strict=True)
            ]
        )
        for name in names
    }


def _curve(runs: Sequence[Run], robot: str) -> list[list[float]]:
    """Mean return over seeds, evaluation by evaluation on the way."""
    points: dict[int, list[float]] = {}
    for run in runs:
        for line in run.metrics:
            if "evaluation" in line:
                value = line["evaluation"][robot]["return_mean"]
                points.setdefault(line["update"], []).append(value)
    return [[update, sum(found) / len(found)] for update, found in sorted(points.items())]
