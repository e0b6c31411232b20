"""Episode boundaries in logs: where episodes end, and which rows become frames and steps.

An episode of L steps has L + 1 frames. A log may lack the frame after an episode's last step. After
a fall the last frame is then repeated, because no value is bootstrapped from it. Any other episode
loses its last step, and the frame of that step becomes the final one.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Int

FinalFrameSource = Literal["rows", "next", "none"]
"""Where the log has the final frames of episodes: among its rows, in arrays of next values, or
nowhere."""


@dataclass(frozen=True, eq=False)
class EpisodeEnds:
    """Where and how E episodes end among N steps."""

    stops: Int[np.ndarray, "E"]
    """The step after each episode's last; the last number is N."""
    fell: Bool[np.ndarray, "E"]


@dataclass(frozen=True, eq=False)
class FrameRows:
    """The rows of a log that become frames and steps of a dataset."""

    rows: Int[np.ndarray, "frames"]
    """Row of each frame; rows of the arrays of next values count on after those of the log."""
    first: Bool[np.ndarray, "frames"]
    """Whether each frame is the first of its episode."""
    steps: Int[np.ndarray, "N"]
    """Row of each step."""
    terminated: Bool[np.ndarray, "N"]
    truncated: Bool[np.ndarray, "N"]
    dropped_steps: int
    """Number of steps that were dropped because they have no next frame."""

    @property
    def episode_ends(self) -> Int[np.ndarray, "E"]:
        """The step after each episode's last."""
        return np.flatnonzero(self.terminated | self.truncated) + 1


def frame_rows(ends: EpisodeEnds, source: FinalFrameSource) -> FrameRows:
    """Chooses the rows of a log that become frames and steps."""
    count, last = int(ends.stops[-1]), ends.stops - 1
    kept = np.ones(count, bool)
    if source == "rows":
        rows = np.arange(count + len(ends.stops))
    elif source == "next":
        rows = np.insert(np.arange(count), ends.stops, count + last)
    else:
        kept[last[~ends.fell]] = False
        lengths = np.diff(ends.stops, prepend=0)
        times = np.ones(count, np.int64)
        times[last[ends.fell]] = 2  # a fall repeats its last frame
        times[last[~ends.fell & (lengths == 1)]] = 0  # no step is left of the episode
        rows = np.repeat(np.arange(count), times)
    steps = np.flatnonzero(kept)
    episode = np.searchsorted(ends.stops, steps, side="right")
    final = np.append(episode[1:] != episode[:-1], True) if len(steps) else np.zeros(0, bool)
    terminated = final & ends.fell[episode]
    first = np.zeros(len(rows), bool)
    stops = np.flatnonzero(final) + 1
    first[:1] = True
    first[stops[:-1] + np.arange(1, len(stops))] = True
    return FrameRows(rows, first, steps, terminated, final & ~terminated, count - len(steps))
