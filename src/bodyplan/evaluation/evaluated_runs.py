"""Runs with their evaluations, and what these have in common: the question, robots, scores."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from bodyplan.envs.disturbances import NO_DISTURBANCES
from bodyplan.envs.walking_task import command_name, parse_command
from bodyplan.errors import BodyplanError
from bodyplan.evaluation.comparison import MEAN
from bodyplan.evaluation.evaluation import Evaluation
from bodyplan.learn.config import PROVENANCE
from bodyplan.learn.run import Run
from bodyplan.learn.same_settings import result_settings

EVALUATION = "evaluation.json"
_DATA = "dataset_card_sha256"
_FACTS = (
    *("fall_share", "length_mean", "velocity_error"),
    *("data_return", "floor_return", "expert_return", "ceiling_return"),
)


@dataclass(frozen=True)
class EvaluatedRun:
    """A run and its evaluation."""

    run: Run
    evaluation: Evaluation

    @classmethod
    def read(cls, run: Run, name: str = EVALUATION) -> "EvaluatedRun":
        """Read both.

        Args:
            run: the run.
            name: name of the file in its folder that has the evaluation.

        Raises:
            BodyplanError: one of them is missing or damaged, or the run was trained further since.
        """
        run.config  # noqa: B018 (a folder that is no run is refused first)
        path = run.path / name
        if not path.is_file():
            raise BodyplanError(
                f"{run.path} has no {name}; run `bodyplan evaluate {run.path}` first"
            )
        evaluation = Evaluation.load(path)
        own = cls(run, evaluation)
        if not evaluation.scores:
            raise BodyplanError(f"{path} has no robots; run `bodyplan evaluate {run.path}` again")
        done, wanted = evaluation.document.get("updates"), run.config.get("updates")
        if own.question()["policy"] == "last" and run.has_policy and done not in (None, wanted):
            raise BodyplanError(
                f"{path} is of the policy after {done} updates, and {run.path} has {wanted} now; "
                f"run `bodyplan evaluate {run.path}` again"
            )
        return own

    def question(self) -> dict[str, Any]:
        """How it was evaluated; older files lack some of it."""
        document = self.evaluation.document
        return {
            "command": command_name(parse_command(document["command"])),
            "episodes": document["episodes"],
            "initial_state": document.get("initial_state", "random"),
            "conditions": document.get("conditions") or asdict(NO_DISTURBANCES),
            "policy": document.get("policy") or "last",
        }

    def settings(self, also: Sequence[str] = ()) -> dict[str, Any]:
        """The settings that decide the result; the updates are those of the evaluated policy."""
        settings = result_settings(self.run, also)
        done = self.evaluation.document.get("updates")
        if done is not None and self.question()["policy"] != "best":
            settings["updates"] = done
        return settings


def common_question(evaluated: Sequence[EvaluatedRun]) -> dict[str, Any]:
    """How all runs were evaluated.

    Raises:
        BodyplanError: they were not evaluated alike.
    """
    first, *others = evaluated
    question = first.question()
    for own in others:
        for name, value in own.question().items():
            if value == question[name]:
                continue
            values = "" if name == "conditions" else f" ({question[name]} and {value})"
            raise BodyplanError(
                f"{first.run.path} and {own.run.path} were evaluated with different {name}"
                f"{values}; run `bodyplan evaluate` on all with the same options"
            )
    return question


def common_robots(evaluated: Sequence[EvaluatedRun], score: str) -> tuple[str, ...]:
    """The robots on which all runs have the score, in the order of the first.

    Args:
        evaluated: the runs.
        score: `return`, or `normalised`, which robots without a reference do not have.

    Raises:
        BodyplanError: there is none.
    """
    robots = tuple(
        robot
        for robot in evaluated[0].evaluation
        if all(robot in own.evaluation for own in evaluated)
    )
    if not robots:
        raise BodyplanError(
            "no robot is in the evaluations of all runs; run `bodyplan evaluate --robots` with "
            "the same robots"
        )
    if score != "normalised":
        return robots
    _require_one_scale(evaluated, robots)
    known = tuple(robot for robot in robots if _has_reference(evaluated, robot))
    if not known:
        raise BodyplanError(
            f"no normalised return of {', '.join(robots)} is known, because there is no reference "
            "to measure it by; compare returns"
        )
    return known


def scores_by_name(
    evaluated: Sequence[EvaluatedRun], robots: Sequence[str]
) -> dict[str, Float[np.ndarray, "runs R"]]:
    """Returns of every run and robot; normalised ones too, where all are known."""
    found = {"return": "return_mean"}
    if all(_has_reference(evaluated, robot) for robot in robots):
        found["normalised"] = "normalised_return"
    return {
        name: np.array([[own.evaluation[robot][key] for robot in robots] for own in evaluated])
        for name, key in found.items()
    }


def _has_reference(evaluated: Sequence[EvaluatedRun], robot: str) -> bool:
    """Whether all runs have a normalised return of a robot, above a floor."""
    scores = [own.evaluation[robot] for own in evaluated]
    keys = ("normalised_return", "floor_return")
    return all(own.get(key) is not None for own in scores for key in keys)


def _require_one_scale(evaluated: Sequence[EvaluatedRun], robots: Sequence[str]) -> None:
    """Refuse normalised returns that do not have the same floor and reference."""
    first = evaluated[0]
    for own in evaluated:
        for robot in robots:
            scores, wanted = own.evaluation[robot], first.evaluation[robot]
            again = f"run `bodyplan evaluate {own.run.path}` again, or compare returns"
            if scores.get("floor_return") is None:
                raise BodyplanError(
                    f"the evaluation of {own.run.path} has no floor_return of {robot}; {again}"
                )
            if scores.get("reference") != wanted.get("reference") or not all(
                _is_close(scores.get(key), wanted.get(key))
                for key in ("floor_return", f"{wanted.get('reference')}_return")
            ):
                raise BodyplanError(
                    f"{robot} is measured by another floor or reference in {own.run.path} than "
                    f"in {first.run.path}; {again}"
                )


def _is_close(value: float | None, other: float | None) -> bool:
    if value is None or other is None:
        return value is other
    return bool(np.isclose(value, other, rtol=1e-6, atol=0.0))


def origins(evaluated: Sequence[EvaluatedRun]) -> dict[str, tuple[str, ...]]:
    """What runs were begun with: all different values of each entry of their provenance.

    `date` is the first and the last one; `dataset_card_sha256` is of the data.
    """
    found: dict[str, set[str]] = {}
    for own in evaluated:
        data = {_DATA: own.run.config.get(_DATA)}
        for name, value in ((own.run.config.get(PROVENANCE) or {}) | data).items():
            if value is not None:
                found.setdefault(name, set()).add(str(value))
    values = {name: tuple(sorted(own)) for name, own in found.items()}
    if len(values.get("date", ())) > 2:
        values["date"] = (values["date"][0], values["date"][-1])
    return values


def mean_facts(
    evaluations: Sequence[Evaluation], robots: Sequence[str]
) -> dict[str, dict[str, float | None]]:
    """Means over seeds of what evaluations say besides, by robot and over robots."""

    def mean(values: Sequence[Any]) -> float | None:
        return None if not values or None in values else float(np.mean(values))

    facts = {
        robot: {name: mean([own[robot].get(name) for own in evaluations]) for name in _FACTS}
        for robot in robots
    }
    over = {name: mean([facts[robot][name] for robot in robots]) for name in _FACTS}
    return {**facts, MEAN: over}
