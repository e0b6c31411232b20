"""Statistics of one robot's episodes: returns, falls, and the quality of the steps.

Recording also truncates episodes before the horizon. The return of such an episode depends more on
its length than on how well the robot walked. Quality is therefore measured by **full returns**. The
full return of a fall is its return, because nothing would have followed. An episode that was cut
short counts as if it had gone on to the horizon with the same mean reward.

Each episode is weighted by its number of steps, because learners sample steps. Otherwise many short
falls would outweigh a few long walks.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from bodyplan.datasets.dataset import Dataset
from bodyplan.datasets.episodes import Episodes
from bodyplan.datasets.policy_snapshots import Snapshots, snapshot_path
from bodyplan.envs.standing_return import packaged_floor
from bodyplan.envs.walking_task import HORIZON, parse_command

QUANTILES = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)
QUALITY_BOUNDS = (0.25, 0.5, 0.75)
"""Shares of the way from standing still to the reference that divide the steps into four
classes of quality."""
BINS = 24
"""Number of bins in a histogram of returns."""
_BINS_TO_REFERENCE = 20  # the reference return is the right edge of the twentieth bin
_BEST_SHARE = 0.1  # of the steps, whose return is the reference where there is no expert


@dataclass(frozen=True)
class ReferenceReturn:
    """The return that counts as 100 % in the quality of a robot's steps, and that of 0 %."""

    value: float
    source: str
    """`expert`: the mean action of the packaged run's last snapshot. `best tenth`: the mean full
    return of the best tenth of the steps, where there is no packaged expert."""
    floor: float = 0.0
    """Return of a packaged robot that stands still, which counts as 0 %."""


@dataclass(frozen=True)
class ReturnHistogram:
    """Numbers of steps by the full return of their episodes."""

    edges: tuple[float, ...]
    """Edges of the bins, one more than bins. The last bin also counts what lies beyond it."""
    steps: tuple[int, ...]


@dataclass(frozen=True)
class RobotStatistics:
    """Statistics of one robot's episodes in a dataset."""

    robot: str
    steps: int
    episodes: int
    bodies: int
    """Number of descriptor sets."""
    return_mean: float
    """Mean of the recorded returns over episodes, whether they were cut short or not."""
    return_quantiles: dict[str, float]
    """Quantiles of the recorded returns; 0 is the lowest and 1 the highest."""
    length_mean: float
    falls: int
    full_return_mean: float
    """Mean over steps of the full returns of their episodes."""
    reference: ReferenceReturn
    histogram: ReturnHistogram
    quality: tuple[float, ...]
    """Shares of steps whose episode has a full return of < 25 %, < 50 %, < 75 % and >= 75 % of the
    way from standing still to the reference."""
    phases: dict[str, float]
    """Shares of steps by phase of the training run; empty if the card has no segments."""
    bytes: int
    """Size of all files on disk."""

    @property
    def bytes_per_step(self) -> float:
        """Size on disk of one step."""
        return self.bytes / self.steps


def robot_statistics(dataset: Dataset, name: str) -> RobotStatistics:
    """Statistics of one robot of a dataset.

    Raises:
        BodyplanError: the packaged expert's file is damaged.
    """
    episodes = dataset.episodes[name]
    full, lengths, returns = full_returns(episodes), episodes.lengths, episodes.returns
    reference = reference_return(name, dataset.card["command"], full, lengths)
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
        reference=reference,
        histogram=return_histogram(full, lengths, reference.value),
        quality=quality_shares(full, lengths, reference.value, reference.floor),
        phases=phase_shares(dataset.card["robots"][name]),
        bytes=sum(path.stat().st_size for path in folder.iterdir()),
    )


def full_returns(episodes: Episodes) -> Float[np.ndarray, "E"]:
    """The return of each episode, extrapolated to the horizon if it was cut short before."""
    fell = episodes.terminated[episodes.episode_ends - 1]
    factor = np.where(fell, 1.0, np.maximum(HORIZON / episodes.lengths, 1.0))
    return episodes.returns * factor


def reference_return(
    robot: str, command: Any, full: Float[np.ndarray, "E"], lengths: Int[np.ndarray, "E"]
) -> ReferenceReturn:
    """The packaged expert's return; without an expert, that of the best tenth of the steps.

    Raises:
        BodyplanError: the expert's file is damaged.
    """
    parsed = parse_command(command)
    if snapshot_path(robot, parsed).is_file():
        expert = Snapshots.load(robot, parsed).card["expert"]
        floor = packaged_floor(robot, parsed)
        return ReferenceReturn(
            float(expert["return_mean"]), "expert", floor.return_mean if floor else 0.0
        )
    order = np.argsort(-full)
    total = np.cumsum(lengths[order])
    wanted = _BEST_SHARE * total[-1]
    taken = np.minimum(lengths[order], np.maximum(wanted - (total - lengths[order]), 0.0))
    return ReferenceReturn(float(np.average(full[order], weights=taken)), "best tenth")


def return_histogram(
    full: Float[np.ndarray, "E"], lengths: Int[np.ndarray, "E"], value: float
) -> ReturnHistogram:
    """Counts steps by full return, in equal bins from zero to 1.2 times the reference."""
    end = (value or 1.0) * BINS / _BINS_TO_REFERENCE
    edges = np.linspace(0.0, end, BINS + 1)
    counts, _ = np.histogram(np.clip(full, 0.0, end), edges, weights=lengths)
    return ReturnHistogram(tuple(edges.tolist()), tuple(counts.astype(int).tolist()))


def quality_shares(
    full: Float[np.ndarray, "E"], lengths: Int[np.ndarray, "E"], value: float, floor: float = 0.0
) -> tuple[float, ...]:
    """Shares of steps in the classes that `QUALITY_BOUNDS` divide, from poor to good."""
    bounds = floor + np.array(QUALITY_BOUNDS) * (value - floor)
    index = np.searchsorted(bounds, full, side="right")
    steps = np.bincount(index, weights=lengths, minlength=len(QUALITY_BOUNDS) + 1)
    return tuple((steps / steps.sum()).tolist())


def phase_shares(entry: dict[str, Any]) -> dict[str, float]:
    """Shares of steps by phase, from a robot's entry in the card."""
    counts: dict[str, int] = {}
    for segment in entry.get("segments", ()):
        counts[segment["phase"]] = counts.get(segment["phase"], 0) + segment["steps"]
    total = sum(counts.values())
    return {phase: count / total for phase, count in counts.items()}
