"""The format of a dataset on disk: the names of its files and arrays, and its card.

A dataset is a folder of plain arrays, which are mapped into memory, and one JSON card:

    card.json                    recipe, command, seed, versions, robots, SHA-256 of every array
    provenance.json              where and when it was made; nothing depends on it
    <robot>/joints.npy           [N+E, J, 3] float32, frames of E episodes with N steps in all
            feet.npy             [N+E, F, 2]
            general.npy          [N+E, 13]
            actions.npy          [N, J]
            rewards.npy          [N]
            terminated.npy       [N] bool, truncated.npy likewise
            episode_ends.npy     [E] int64, the step after the last of each episode
            descriptors.npz      K sets: joints [K, J, 23], feet [K, F, 10], context [K, 7]
            descriptor_ids.npy   [N+E] int32, the descriptor set of each frame; only where K > 1

An episode of L steps has L + 1 frames. The last frame is what the robot observed at the end, before
any reset. So the next observation of a step is the next frame, and every observation is stored
once. Descriptor sets are stored once too: a robot whose body never changes has one.

`terminated` and `truncated` differ. A terminated episode ended in a fall and has no future value. A
truncated episode was cut short, so values are bootstrapped through its end.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, NotRequired, TypedDict

import mujoco
import numpy as np
from msgspec import Meta

from bodyplan import __version__
from bodyplan.envs.disturbances import Conditions
from bodyplan.provenance import PROVENANCE_FILE, provenance
from bodyplan.records import Count, Size, Triple, read_record
from bodyplan.robots.registry import recorded_models
from bodyplan.storage import write_json

DATASET_FORMAT = 1
CARD = "card.json"
DESCRIPTORS = "descriptors.npz"
DESCRIPTOR_IDS = "descriptor_ids"
FRAME_ARRAYS = ("joints", "feet", "general")
STEP_ARRAYS = ("actions", "rewards", "terminated", "truncated")
ARRAYS = (*FRAME_ARRAYS, *STEP_ARRAYS, "episode_ends")
"""Arrays of every robot. `DESCRIPTOR_IDS` is added where the robot's body changes."""

REBUILD_HINT = "rebuild the dataset or restore the file"
"""The fix that error messages about damaged files give."""


class ArrayEntry(TypedDict):
    """A file of a robot, as the card lists it."""

    shape: list[Count] | dict[str, list[Count]]
    """Of `DESCRIPTORS`, of each array in it."""
    dtype: str
    sha256: str


class Segment(TypedDict):
    """Steps that one policy of an expert's run acted in."""

    steps: Count
    phase: str


class WholeEpisodes(TypedDict):
    """The whole episodes of one robot, see `whole_episodes`."""

    episodes: Count
    falls: Count
    return_mean: float | None
    """None where there is none, or none in some phase."""
    best_episodes: Count
    """Those of the late phase, in which the best policies acted."""
    best_return_mean: float | None
    """None where there is none, or where the card does not know phases."""


class RobotEntry(TypedDict):
    """What the card says of a robot."""

    steps: Size
    episodes: Size
    return_mean: float
    length_mean: float
    arrays: dict[str, ArrayEntry]
    segments: NotRequired[list[Segment]]
    whole_episodes: NotRequired[WholeEpisodes]
    episode_end_steps: NotRequired[list[Count]]
    """Of a replay log: the training step at which each episode ended."""


class DatasetCard(TypedDict):
    """The card; more may stand in it."""

    robots: Annotated[dict[str, RobotEntry], Meta(min_length=1)]
    command: Triple
    recipe: NotRequired[str]
    steps: NotRequired[int | None]
    seed: NotRequired[int | None]
    physics: NotRequired[str]
    initial_state: NotRequired[str]
    conditions: NotRequired[Conditions]
    models: NotRequired[dict[str, str]]
    versions: NotRequired[dict[str, str]]
    snapshots: NotRequired[dict[str, str]]
    replay: NotRequired[dict[str, str]]
    recording_sizes: NotRequired[dict[str, int]]
    seal: NotRequired[str]


def read_card(folder: Path) -> dict[str, Any]:
    """The card of a dataset, a `DatasetCard`.

    Raises:
        BodyplanError: it is missing or damaged, or of another format.
    """
    return read_record(folder / CARD, DatasetCard, REBUILD_HINT, DATASET_FORMAT)


def versions() -> dict[str, str]:
    """Versions of the packages that decide the bytes of simulated data."""
    return {"bodyplan": __version__, "mujoco": mujoco.__version__, "numpy": np.__version__}


def card_checksum(card: Mapping[str, Any]) -> str:
    """SHA-256 of a card's content without its `seal` entry, which stores this checksum."""
    content = {key: value for key, value in card.items() if key != "seal"}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def write_card(
    folder: Path, metadata: Mapping[str, Any], robots: Mapping[str, Mapping[str, Any]]
) -> None:
    """Writes the card of a dataset, and its provenance beside it.

    Args:
        folder: the dataset's folder, or a temporary one beside it.
        metadata: recipe, command, seed and anything else that holds for all robots; `models` with
            any paths, which become relative to the folder.
        robots: each robot's entry, as `Episodes.write` returns it.

    Raises:
        BodyplanError: the disk is full, or the folder cannot be written to.
    """
    card = {"format": DATASET_FORMAT, **metadata, "versions": versions(), "robots": dict(robots)}
    if "models" in card:
        card["models"] = recorded_models(card["models"], folder)
    write_json(folder / PROVENANCE_FILE, provenance())
    write_json(folder / CARD, {**card, "seal": card_checksum(card)})
