"""A comparison of arms: means over seeds, differences and sentences, as JSON, CSV or a data frame.

An arm is a set of runs that differ only in their seeds. `compare` makes a comparison from runs.
"""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bodyplan.dataframes import dataframe
from bodyplan.evaluation.comparison_sentences import SCORE_NAMES
from bodyplan.notebook_html import html_table
from bodyplan.storage import atomic_write, write_json

if TYPE_CHECKING:
    import pandas

MEAN = "mean"
"""The key of the mean over robots, beside the robots' names."""
Bounds = tuple[float, float]


@dataclass(frozen=True)
class SeedScores:
    """A score of an arm on a robot, or its mean over robots, of every seed."""

    seeds: tuple[float, ...]
    """The score of each seed, in the order of `Arm.seeds`."""
    mean: float
    se: float | None
    """Standard error of the mean over seeds; None for a single seed."""
    iqm: float
    """Interquartile mean over seeds; of `mean`, over seeds and robots."""
    iqm_interval: Bounds | None
    """95 % stratified bootstrap interval; None for a single seed."""


@dataclass(frozen=True)
class Difference:
    """What an arm scores more than the baseline, on a robot or over robots."""

    mean: float
    interval: Bounds | None
    """95 % confidence interval, by Student's t over pairs of equal seeds, else by Welch's."""
    p: float | None
    """Two-sided, of no difference."""
    p_holm: float | None
    """Of a robot: after Holm's correction over the robots."""
    probability: float
    """That a seed of the arm scores more than one of the baseline."""
    probability_interval: Bounds | None
    """95 % stratified bootstrap interval."""


@dataclass(frozen=True)
class Arm:
    """Runs that differ only in their seeds."""

    name: str
    settings: Mapping[str, Any]
    """The values of the settings that arms are told apart by."""
    seeds: tuple[int, ...]
    runs: tuple[str, ...]
    """Folders of the runs."""
    scores: Mapping[str, Mapping[str, SeedScores]]
    """By `return` or `normalised`, then by robot or `mean`; without `normalised` where a robot has
    none."""
    best: Mapping[str, bool]
    """By robot or `mean`: whether no arm has a higher mean, or its difference from the highest has
    an interval with zero. False for all arms where no two of them can be told apart."""
    facts: Mapping[str, Mapping[str, float | None]]
    """By robot: means over seeds of what else evaluations say, such as `fall_share`."""


@dataclass(frozen=True)
class ArmDifference:
    """An arm against the baseline."""

    arm: str
    baseline: str
    pairs: int | None
    """Pairs of equal seeds; None where seeds are not paired."""
    differences: Mapping[str, Difference]
    """By robot or `mean`."""
    better: tuple[str, ...]
    """Robots on which the arm is better for certain: `p_holm` is below 0.05."""
    worse: tuple[str, ...]
    sentence: str

    def verdict(self, place: str) -> str:
        """What is certain on a robot, or for `mean`: `better`, `worse` or nothing."""
        if place != MEAN:
            return "better" * (place in self.better) + "worse" * (place in self.worse)
        low, high = self.differences[MEAN].interval or (0.0, 0.0)
        return "better" * (low > 0.0) + "worse" * (high < 0.0)


@dataclass(frozen=True, repr=False)
class Comparison:
    """A comparison of arms: `bodyplan.compare(["runs/grouped", "runs/pooled"])`."""

    score: str
    """What is compared: `return`, or `normalised` with 0 for standing still and 1 for the
    reference."""
    by: tuple[str, ...]
    """The settings that arms are told apart by."""
    robots: tuple[str, ...]
    arms: tuple[Arm, ...]
    baseline: str
    """The arm that others are compared with."""
    differences: tuple[ArmDifference, ...]
    """Of each arm but the baseline."""
    question: Mapping[str, Any]
    """How all runs were evaluated: command, episodes and so on."""
    notes: tuple[str, ...]
    """What a reader must know beside the numbers, in sentences."""
    samples: int
    """Bootstrap samples of each interval."""
    provenance: Mapping[str, tuple[str, ...]]
    """Versions, machines and data of the runs; several values where runs differ."""

    @property
    def places(self) -> tuple[str, ...]:
        """The robots, and `mean` where there are several."""
        return (*self.robots, MEAN) if len(self.robots) > 1 else self.robots

    @property
    def sentences(self) -> tuple[str, ...]:
        """What the differences allow to say."""
        if len(self.arms) == 1:
            return (f"There is one arm, {self.arms[0].name}; there is nothing to compare it with.",)
        return tuple(own.sentence for own in self.differences)

    def to_json(self) -> dict[str, Any]:
        """All numbers, as plain dictionaries and lists."""
        return {**asdict(self), "score_name": SCORE_NAMES[self.score], "sentences": self.sentences}

    def save(self, path: str | Path) -> None:
        """Write it as JSON.

        Raises:
            BodyplanError: the disk is full, or the place cannot be written to.
        """
        write_json(path, self.to_json())

    def rows(self) -> list[dict[str, Any]]:
        """A row for each arm and robot, and for each arm over robots, with all numbers."""
        return [
            _row(self, arm, robot, self._difference(arm.name))
            for arm in self.arms
            for robot in (*self.robots, MEAN)
        ]

    def to_dataframe(self) -> "pandas.DataFrame":
        """A pandas data frame of the rows, by arm and robot.

        Raises:
            BodyplanError: pandas is not installed.
        """
        return dataframe(self.rows()).set_index(["arm", "robot"])

    def to_csv(self, path: str | Path) -> None:
        """Write the rows as CSV; what is unknown is empty.

        Raises:
            BodyplanError: the disk is full, or the place cannot be written to.
        """
        rows, text = self.rows(), io.StringIO()
        writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        with atomic_write(path) as temporary:
            temporary.write_text(text.getvalue(), encoding="utf-8")

    def _difference(self, arm: str) -> ArmDifference | None:
        return next((own for own in self.differences if own.arm == arm), None)

    def __repr__(self) -> str:
        return f"Comparison({' '.join(self.sentences)})"

    def _repr_html_(self) -> str:
        columns = ["arm", "robot", f"{self.score}_mean", f"{self.score}_se", "difference"]
        columns += ["difference_low", "difference_high"]
        rows = [
            {name: "" if row[name] is None else row[name] for name in columns}
            for row in self.rows()
        ]
        return html_table(" ".join(self.sentences), rows, columns)


def _row(
    comparison: Comparison, arm: Arm, robot: str, against: ArmDifference | None
) -> dict[str, Any]:
    settings = {name: _plain(value) for name, value in arm.settings.items()}
    row: dict[str, Any] = {"arm": arm.name, **settings, "robot": robot}
    row["seeds"] = _joined(arm.seeds)
    for score in SCORE_NAMES:
        row |= _columns_of_scores(score, arm.scores[score][robot] if score in arm.scores else None)
    row |= {
        "compared": comparison.score,
        "baseline": against.baseline if against else None,
        "pairs": against.pairs if against else None,
    }
    row |= _columns_of_difference(against.differences[robot] if against else None)
    return row | dict(arm.facts[robot])


def _columns_of_scores(score: str, scores: SeedScores | None) -> dict[str, Any]:
    low, high = (scores and scores.iqm_interval) or (None, None)
    return {
        f"{score}_mean": scores and scores.mean,
        f"{score}_se": scores and scores.se,
        f"{score}_iqm": scores and scores.iqm,
        f"{score}_iqm_low": low,
        f"{score}_iqm_high": high,
        f"{score}_of_seeds": scores and _joined(scores.seeds),
    }


def _columns_of_difference(difference: Difference | None) -> dict[str, Any]:
    low, high = (difference and difference.interval) or (None, None)
    least, most = (difference and difference.probability_interval) or (None, None)
    return {
        "difference": difference and difference.mean,
        "difference_low": low,
        "difference_high": high,
        "p": difference and difference.p,
        "p_holm": difference and difference.p_holm,
        "probability": difference and difference.probability,
        "probability_low": least,
        "probability_high": most,
    }


def _plain(value: Any) -> Any:
    """A setting in one cell of a CSV."""
    return json.dumps(value) if isinstance(value, list | dict) else value


def _joined(values: Sequence[float]) -> str:
    """Values in one cell of a CSV."""
    return " ".join(str(value) for value in values)
