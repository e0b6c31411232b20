"""What one robot's episodes hold, in numbers: returns, falls, and how good the steps are.

Episodes are also cut where a segment or a slot of the recording ends, and the return of such a
piece tells its length more than how well the robot walked. Quality is therefore judged by **full
returns**: a fall is worth what it earned, for nothing would have followed; an episode cut short is
worth what it would have earned at its own pace until the horizon; a whole one is worth its return.

Each episode weighs as much as it has steps. Learners draw steps, and a phase of many short falls
would otherwise hide one of few long walks.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from bodyplan.datasets.dataset import Dataset
from bodyplan.datasets.episodes import Episodes
from bodyplan.datasets.policy_snapshots import Snapshots, snapshot_path
from bodyplan.envs.walking_task import HORIZON, parse_command

QUANTILES = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)
QUALITY_BOUNDS = (0.25, 0.5, 0.75)
"""Shares of the reference return that part poor steps from good ones."""
BINS = 24
"""Bars of a histogram of returns; the reference is the right edge of the twentieth."""
_UP_TO_REFERENCE = 20
_BEST = 0.1  # of the steps, where no expert is known


@dataclass(frozen=True)
class ReferenceReturn:
    """The return by which a robot's episodes are judged."""

    value: float
    source: str
    """`expert`: mean action of the packaged run's last snapshot; `best tenth`: mean full return of
    the best tenth of the steps at hand, where there is no packaged expert."""


@dataclass(frozen=True)
class ReturnHistogram:
    """Shares of steps by the full return of their episodes."""

    edges: tuple[float, ...]
    """One more than there are bars; what lies beyond the last is counted in the last bar."""
    steps: tuple[int, ...]


@dataclass(frozen=True)
class RobotStatistics:
    """What a dataset holds of one robot."""

    robot: str
    steps: int
    episodes: int
    bodies: int
    """Descriptor sets."""
    return_mean: float
    """Over episodes as they are, cut or not."""
    return_quantiles: dict[str, float]
    """Likewise; 0 is the lowest and 1 the highest."""
    length_mean: float
    falls: int
    full_return_mean: float
    """Over steps, of the full returns of their episodes."""
    reference: ReferenceReturn
    histogram: ReturnHistogram
    quality: tuple[float, ...]
    """Shares of steps in episodes whose full return is < 25 %, < 50 %, < 75 % and >= 75 % of the
    reference."""
    phases: dict[str, float]
    """Shares of steps by phase of the training run; empty where the card has no segments."""
    bytes: int
    """On disk, all files."""

    @property
    def bytes_per_step(self) -> float:
        """On disk."""
        return self.bytes / self.steps


def robot_statistics(dataset: Dataset, name: str) -> RobotStatistics:
    """Everything about one robot of a dataset.

    Raises:
        BodyplanError: the packaged expert's file is damaged.
    """
    episodes = dataset.episodes[name]
    full, lengths, returns = full_returns(episodes), episodes.lengths, episodes.returns
    judge = reference_return(name, dataset.card["command"], full, lengths)
    folder = dataset.path / name
    quantiles = np.quantile(returns, QUANTILES).tolist()
    return RobotStatistics(
        robot=name,
        steps=episodes.num_steps,
        episodes=episodes.num_episodes,
        bodies=episodes.num_descriptors,
        return_mean=float(returns.mean()),
        return_quantiles=dict(zip(map(str, QUANTILES), quantiles, strict=True)),
        length_mean=float(lengths.mean()),
        falls=int(np.count_nonzero(episodes.terminated)),
        full_return_mean=float(np.average(full, weights=lengths)),
        reference=judge,
        histogram=return_histogram(full, lengths, judge.value),
        quality=quality_shares(full, lengths, judge.value),
        phases=phase_shares(dataset.card["robots"][name]),
        bytes=sum(path.stat().st_size for path in folder.iterdir()),
    )


def full_returns(episodes: Episodes) -> Float[np.ndarray, "E"]:
    """The return of each episode, had it not been cut short of the horizon."""
    fell = episodes.terminated[episodes.episode_ends - 1]
    missing = np.where(fell, 1.0, np.maximum(HORIZON / episodes.lengths, 1.0))
    return episodes.returns * missing


def reference_return(
    robot: str, command: Any, full: Float[np.ndarray, "E"], lengths: Int[np.ndarray, "E"]
) -> ReferenceReturn:
    """The packaged expert's return, or that of the best tenth of the steps without an expert.

    Raises:
        BodyplanError: the expert's file is damaged.
    """
    asked = parse_command(command)
    if snapshot_path(robot, asked).is_file():
        expert = Snapshots.load(robot, asked).card["expert"]
        return ReferenceReturn(float(expert["return_mean"]), "expert")
    order = np.argsort(-full)
    after = np.cumsum(lengths[order])
    wanted = _BEST * after[-1]
    taken = np.minimum(lengths[order], np.maximum(wanted - (after - lengths[order]), 0.0))
    return ReferenceReturn(float(np.average(full[order], weights=taken)), "best tenth")


def return_histogram(
    full: Float[np.ndarray, "E"], lengths: Int[np.ndarray, "E"], value: float
) -> ReturnHistogram:
    """Counts steps by full return, in equal bars from zero to a fifth beyond the reference."""
    end = (value or 1.0) * BINS / _UP_TO_REFERENCE
    edges = np.linspace(0.0, end, BINS + 1)
    counts, _ = np.histogram(np.clip(full, 0.0, end), edges, weights=lengths)
    return ReturnHistogram(tuple(edges.tolist()), tuple(counts.astype(int).tolist()))


def quality_shares(
    full: Float[np.ndarray, "E"], lengths: Int[np.ndarray, "E"], value: float
) -> tuple[float, ...]:
    """Shares of steps between the bounds of `QUALITY_BOUNDS`, from poor to good."""
    place = np.searchsorted(np.array(QUALITY_BOUNDS) * value, full, side="right")
    steps = np.bincount(place, weights=lengths, minlength=len(QUALITY_BOUNDS) + 1)
    return tuple((steps / steps.sum()).tolist())


def phase_shares(entry: dict[str, Any]) -> dict[str, float]:
    """Shares of steps by phase, from a robot's entry in the card."""
    counts: dict[str, int] = {}
    for segment in entry.get("segments", ()):
        counts[segment["phase"]] = counts.get(segment["phase"], 0) + segment["steps"]
    total = sum(counts.values())
    return {phase: count / total for phase, count in counts.items()}
