"""Where a log's episodes end, and which of its rows are the frames of a dataset.

An episode of L steps has L + 1 frames. A log that says nothing of what followed the last step lacks
the last frame: a fall then repeats the one it has, for nothing is bootstrapped from it; any other
episode gives up its last step, whose frame becomes the closing one.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Int

EndRule = Literal["rows", "next", "none"]
"""Where closing frames are: among the rows, in arrays of their own, or nowhere."""


@dataclass(frozen=True, eq=False)
class EpisodeEnds:
    """Where E episodes end among N steps, and how."""

    stops: Int[np.ndarray, "E"]
    """Exclusive; the last one is N."""
    fell: Bool[np.ndarray, "E"]


@dataclass(frozen=True, eq=False)
class FrameRows:
    """What a dataset takes of a log."""

    rows: Int[np.ndarray, "frames"]
    """Of each frame, among the log's rows with the rows of its `next` arrays behind them."""
    first: Bool[np.ndarray, "frames"]
    """Whether it begins an episode."""
    steps: Int[np.ndarray, "N"]
    """Rows of the steps kept."""
    terminated: Bool[np.ndarray, "N"]
    truncated: Bool[np.ndarray, "N"]
    given_up: int
    """Steps without a closing frame."""

    @property
    def episode_ends(self) -> Int[np.ndarray, "E"]:
        return np.flatnonzero(self.terminated | self.truncated) + 1


def frame_rows(ends: EpisodeEnds, closing: EndRule) -> FrameRows:
    """The frames and steps that a dataset takes of a log."""
    count, last = int(ends.stops[-1]), ends.stops - 1
    kept = np.ones(count, bool)
    if closing == "rows":
        rows = np.arange(count + len(ends.stops))
    elif closing == "next":
        rows = np.insert(np.arange(count), ends.stops, count + last)
    else:
        kept[last[~ends.fell]] = False
        lengths = np.diff(ends.stops, prepend=0)
        times = np.ones(count, np.int64)
        times[last[ends.fell]] = 2
        times[last[~ends.fell & (lengths == 1)]] = 0
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
