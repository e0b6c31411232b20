"""An evaluation: its settings, and its scores by robot as a mapping, a table or a JSON file."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NotRequired, TypedDict

from bodyplan.bounds import CountFromOne, Seed, Threads, require_bounds
from bodyplan.dataframes import dataframe
from bodyplan.envs.disturbances import NO_DISTURBANCES, Conditions, Disturbances
from bodyplan.envs.walking_task import Command, command_name, parse_command
from bodyplan.notebook_html import html_table
from bodyplan.records import Count, Size, Triple, read_record
from bodyplan.storage import write_json

if TYPE_CHECKING:
    import pandas

SCORE_COLUMNS = (
    "return_mean",
    "return_se",
    "floor_return",
    "expert_return",
    "normalised_return",
    "data_return",
    "data_best_return",
    "fall_share",
    "length_mean",
    "velocity_error",
)
"""The scores of a robot that tables show, in their order."""
MEAN_SCORES = (*SCORE_COLUMNS, "ceiling_return", "velocity")
"""The scores that have a mean over robots."""
_LONGEST_LIST = 80  # characters of robots' names in the name of a file


class Scores(TypedDict):
    """The scores of a robot, see `Evaluation`; older files lack some."""

    return_mean: float
    return_se: NotRequired[float | None]
    returns: NotRequired[list[float]]
    fall_share: NotRequired[float]
    length_mean: NotRequired[float]
    velocity: NotRequired[tuple[float, float]]
    velocity_error: NotRequired[float]
    normalised_return: NotRequired[float | None]
    floor_return: NotRequired[float | None]
    expert_return: NotRequired[float | None]
    ceiling_return: NotRequired[float | None]
    reference: NotRequired[str | None]
    data_return: NotRequired[float | None]
    data_episodes: NotRequired[Count | None]
    data_best_return: NotRequired[float | None]


class EvaluationRecord(TypedDict):
    """The content of evaluation.json; older files lack some of it."""

    command: str | Triple
    episodes: Size
    robots: dict[str, Scores]
    mean: NotRequired[dict[str, float | list[float] | None]]
    seed: NotRequired[int]
    initial_state: NotRequired[Literal["random", "nominal"]]
    conditions: NotRequired[Conditions | None]
    policy: NotRequired[str | None]
    own_robots: NotRequired[bool]
    own_command: NotRequired[bool]
    updates: NotRequired[Count | None]


@dataclass(frozen=True)
class EvaluationConfig:
    """How a policy is evaluated."""

    episodes: CountFromOne = 32
    """Episodes of each robot."""
    seed: Seed = 0
    """Seed of the initial states and disturbances."""
    initial_state: str = "random"
    """State in which episodes start: random or nominal."""
    threads: Threads | None = None
    """Threads of the simulation, all cores by default; results do not depend on it."""
    disturbances: Disturbances = NO_DISTURBANCES
    """What disturbs the robots."""

    def __post_init__(self) -> None:
        require_bounds(self)

    def question(self) -> dict[str, Any]:
        """What decides the result, by the names of evaluation.json."""
        question = asdict(self)
        del question["threads"]
        return question | {"conditions": question.pop("disturbances")}


@dataclass(frozen=True, repr=False)
class Evaluation(Mapping[str, Mapping[str, Any]]):
    """Scores of a policy on several robots; `evaluation["hexapod"]["return_mean"]` is one.

    For each robot:

    - `return_mean`, `return_se`: mean return of its episodes and the standard error of that mean,
      which is None for a single episode; `returns` has each episode's return.
    - `fall_share`: share of the episodes that end in a fall, from 0 to 1.
    - `length_mean`: control steps of an episode.
    - `velocity`: mean (vx, vy) over all steps, in the trunk's frame, m/s.
    - `velocity_error`: mean distance between wanted and actual (vx, vy), m/s.
    - `floor_return`: return of standing still.
    - `expert_return`: return of the packaged expert; None where there is none.
    - `ceiling_return`: return of perfect tracking without penalties, which no robot reaches.
    - `normalised_return`: 0 for the floor, 1 for the `reference`, which is the `expert`, or the
      `ceiling` where there is none. None where nothing is clearly better than standing still.
    - `data_return`, `data_episodes`: mean return and number of the whole episodes in the data that
      the policy was trained on; None if unknown.
    - `data_best_return`: the same of the late phase, in which the best policies of the data acted.
    """

    document: dict[str, Any]
    """The content of evaluation.json."""

    @classmethod
    def load(cls, path: str | Path) -> "Evaluation":
        """Read an `evaluation.json`.

        Raises:
            BodyplanError: the file is missing or damaged.
        """
        return cls(read_record(path, EvaluationRecord, "evaluate the run again"))

    def save(self, path: str | Path) -> None:
        """Write it as JSON.

        Raises:
            BodyplanError: the disk is full, or the place cannot be written to.
        """
        write_json(Path(path), self.document)

    def answers(self, asked: EvaluationConfig, updates: int) -> bool:
        """Whether it is of a run's last policy, after so many updates, and was made as is asked.

        Older files do not say which policy, or after how many updates; then it is that one.
        """
        document = self.document
        return (
            all(document.get(name) == value for name, value in asked.question().items())
            and document.get("policy") in (None, "last")
            and document.get("updates") in (None, updates)
        )

    @property
    def scores(self) -> dict[str, dict[str, Any]]:
        """The scores of each robot."""
        return self.document["robots"]

    @property
    def mean(self) -> dict[str, float | None]:
        """Means over robots, each robot counting once; None where a robot lacks that score."""
        return self.document.get("mean", {})

    @property
    def episodes(self) -> int:
        """Episodes of each robot."""
        return self.document["episodes"]

    @property
    def command(self) -> Command:
        """Wanted vx, vy (m/s) and yaw rate (rad/s)."""
        return parse_command(self.document["command"])

    def __getitem__(self, robot: str) -> dict[str, Any]:
        return self.scores[robot]

    def __iter__(self) -> Iterator[str]:
        return iter(self.scores)

    def __len__(self) -> int:
        return len(self.scores)

    @property
    def policy(self) -> str | None:
        """Which policy of a run: `last`, `best` or `at <updates>`; None for a policy alone."""
        return self.document.get("policy")

    @property
    def file_name(self) -> str:
        """The file that answers this question in the folder of its run.

        `evaluation.json` is the plain one: the last policy on the robots and the command of its
        training, from random states and without disturbances. What differs is in the name.
        Episodes and seed are not, so that a better answer takes the place of an earlier one.
        """
        document = self.document
        parts = [] if self.policy in (None, "last") else [self.policy.replace(" ", "_")]
        if not document.get("own_robots", True):
            parts += ["on", _short_list(list(self))]
        if not document.get("own_command", True):
            parts.append(command_name(self.command))
        start = document.get("initial_state", "random")
        if start != "random":
            parts.append(start)
        for name, value in (
            Disturbances(**(document.get("conditions") or {})).card().get("conditions", {}).items()
        ):
            parts.append(name if value is True else f"{name}{value:g}")
        return "_".join(["evaluation", *parts]) + ".json"

    def rows(self) -> list[dict[str, Any]]:
        """One row for each robot, with the columns `robot` and `SCORE_COLUMNS`."""
        return [
            {"robot": robot, **{name: own.get(name) for name in SCORE_COLUMNS}}
            for robot, own in self.scores.items()
        ]

    def to_dataframe(self) -> "pandas.DataFrame":
        """A pandas data frame with one row for each robot.

        Raises:
            BodyplanError: pandas is not installed.
        """
        return dataframe(self.rows(), index="robot")

    def __repr__(self) -> str:
        return f"Evaluation({self._headline()})"

    def _repr_html_(self) -> str:
        means = {"robot": "mean", **{name: self.mean.get(name) for name in SCORE_COLUMNS}}
        rows = [
            {name: "" if value is None else value for name, value in row.items()}
            for row in [*self.rows(), means]
        ]
        return html_table(self._headline(), rows, ["robot", *SCORE_COLUMNS])

    def _headline(self) -> str:
        robots = f"{len(self)} robot{'' if len(self) == 1 else 's'}"
        episodes = f"{self.episodes} episode{'' if self.episodes == 1 else 's'} each"
        value = self.mean.get("return_mean")
        mean = "" if value is None else f", mean return {value:.1f}"
        return f"{robots}, {episodes}, {command_name(self.command)}{mean}"


def _short_list(names: Sequence[str]) -> str:
    """Names joined for the name of a file; of many, their number and a checksum."""
    joined = "+".join(sorted(names))
    if len(joined) <= _LONGEST_LIST:
        return joined
    return f"{len(names)}-robots-{hashlib.sha256(joined.encode()).hexdigest()[:8]}"
