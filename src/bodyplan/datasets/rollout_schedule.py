"""The schedule of a recording: which snapshot acts in which environment at which step."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Int

from bodyplan.datasets.recipes import RecipeSegment
from bodyplan.envs.walking_task import HORIZON
from bodyplan.errors import BodyplanError


@dataclass(frozen=True)
class RecordingSizes:
    """Sizes that divide a recording into parts and rollouts. They decide the recorded bytes."""

    part_steps: int = 256_000
    """Steps of a part, which is saved as soon as it is finished; the last part may be shorter."""
    rollout_steps: int = HORIZON
    """Steps of each environment in a part. The default is the horizon, so that a robot that does
    not fall completes an episode."""
    max_envs: int = 256
    """Most environments that are simulated side by side."""
    restart_steps: int | None = None
    """Steps after which every second environment starts anew, for data with more starts. A robot
    that does not fall starts only once in a horizon otherwise, while one that falls starts often.
    None: environments start anew after the horizon only."""

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if value is not None and value < 1:
                raise BodyplanError(f"{name} {value} must be at least 1.")

    def card(self) -> dict[str, Any]:
        """The card's entry for these sizes; the default sizes have none."""
        if self == DEFAULT_SIZES:
            return {}
        known = {name: value for name, value in asdict(self).items() if value is not None}
        return {"recording_sizes": known}


DEFAULT_SIZES = RecordingSizes()


@dataclass(frozen=True, eq=False)
class RolloutSchedule:
    """N consecutive steps of a recording, divided among B environments.

    The rows of the recording are the steps of the first environment, then those of the second, and
    so on.
    """

    lengths: Int[np.ndarray, "B"]
    """Steps of each environment. They differ by one at most, and longer ones come first."""
    offsets: Int[np.ndarray, "B"]
    """First row of each environment."""
    snapshot: Int[np.ndarray, "N"]
    """The snapshot that acts in each row."""
    cut: Bool[np.ndarray, "N"]
    """Whether an episode must end after a row, because its segment or its environment ends."""


def schedule_rollouts(
    segments: Sequence[RecipeSegment], start: int, stop: int, sizes: RecordingSizes
) -> RolloutSchedule:
    """Divides the steps from `start` to `stop` of a recording among environments."""
    steps = stop - start
    count = min(sizes.max_envs, -(-steps // sizes.rollout_steps))
    lengths = steps // count + (np.arange(count) < steps % count)
    segment_ends = np.cumsum([segment.steps for segment in segments])
    index = np.searchsorted(segment_ends, np.arange(start, stop), side="right")
    cut = np.diff(index, append=index[-1]) != 0
    offsets = np.cumsum(lengths) - lengths
    cut[offsets + lengths - 1] = True
    if sizes.restart_steps is not None:
        for offset, length in zip(offsets[1::2], lengths[1::2], strict=True):
            cut[offset : offset + length][sizes.restart_steps - 1 :: sizes.restart_steps] = True
    snapshot = np.array([segment.snapshot for segment in segments])[index]
    return RolloutSchedule(lengths, offsets, snapshot, cut)
