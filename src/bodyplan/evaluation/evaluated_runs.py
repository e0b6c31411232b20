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
from bodyplan.learn.run import Run
from bodyplan.learn.same_settings import result_settings

EVALUATION = "evaluation.json"
_FACTS = (
    *("fall_share", "length_mean", "velocity_error"),
    *("data_return", "floor_return", "expert_return", "ceiling_return"),
)
_KEYS = {"return": "return_mean", "normalised": "normalised_return"}


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
        try:
            finite = [np.isfinite(scores["return_mean"]) for scores in evaluation.scores.values()]
            if not finite or not all(finite) or not own.question():
                raise ValueError("a return is missing")
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise BodyplanError(
                f"{path} is damaged ({error!r}); run `bodyplan evaluate {run.path}` again"
            ) from error
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


def common_robots(evaluated: Sequence[EvaluatedRun]) -> tuple[str, ...]:
    """The robots that all runs were evaluated on, in the order of the first.

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
    return robots


def scores_by_name(
    evaluated: Sequence[EvaluatedRun], robots: Sequence[str], score: str
) -> dict[str, Float[np.ndarray, "runs R"]]:
    """Returns, and normalised returns where all are known, of every run and robot.

    Raises:
        BodyplanError: normalised returns are what is asked for, and one is not known.
    """
    found = {}
    for name, key in _KEYS.items():
        lacking = _lacking(evaluated, robots, key) if name == "normalised" else None
        if lacking is None:
            rows = [[own.evaluation[robot][key] for robot in robots] for own in evaluated]
            found[name] = np.array(rows, float)
        elif name == score:
            raise BodyplanError(lacking)
    return found


def _lacking(evaluated: Sequence[EvaluatedRun], robots: Sequence[str], key: str) -> str | None:
    """Why returns cannot be normalised alike; None where they can."""
    first = evaluated[0]
    for own in evaluated:
        again = f"run `bodyplan evaluate {own.run.path}` again, or compare returns"
        for robot in robots:
            scores = own.evaluation[robot]
            if scores.get("floor_return") is None:
                return f"{own.run.path / EVALUATION} has no floor_return of {robot}; {again}"
            if scores.get(key) is None:
                return (
                    f"{robot} has no {key} in {own.run.path / EVALUATION}, because there is "
                    "nothing to measure it by; compare returns"
                )
            if scores.get("reference") != first.evaluation[robot].get("reference"):
                return (
                    f"{robot} is measured by another reference in {own.run.path} than in "
                    f"{first.run.path}; {again}"
                )
    return None


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
