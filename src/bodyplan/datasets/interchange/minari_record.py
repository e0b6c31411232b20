"""What lies in Minari for each robot, and the record of it that leads back to the same bytes.

    <root>/bodyplan/<robot>/<recipe>-<command>-v0/data/
        metadata.json       Minari's own, and under "bodyplan" the card and checksums
        main_data.hdf5      episodes as Minari keeps them; where a robot's body changes, infos say
                            in `descriptor_ids` which descriptor set each frame is of
        descriptors.npz     the descriptor sets, as in a bodyplan dataset

Observations are the vectors of the robot's registered environment (`layouts.flatten`). The card
is that of the dataset as if it had no other robot.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bodyplan.errors import BodyplanError
from bodyplan.storage import read_json

FORMAT = 1
METADATA = "metadata.json"
EPISODES = "main_data.hdf5"
KEY = "bodyplan"
"""Of the record in Minari's metadata."""
STEPS = {
    "actions": "actions",
    "rewards": "rewards",
    "terminated": "terminations",
    "truncated": "truncations",
}
"""bodyplan's names of what a step has, and Minari's."""

_OF_SOME = ("models",)
"""Fields of a card with an entry for some robots."""
_BY_ROBOT = ("robots", "snapshots", "replay", *_OF_SOME)
"""Fields of a card that may have an entry for each robot."""


def record(robot: str, card: Mapping[str, Any]) -> dict[str, Any]:
    """What tells whose data they are: the format, the robot, and its part of the card."""
    own = dict(card)
    for key in _BY_ROBOT:
        if robot in own.get(key, ()):
            own[key] = {robot: own[key][robot]}
        elif key in _OF_SOME:
            own.pop(key, None)
    return {"format": FORMAT, "robot": robot, "card": own}


def digest(told: Mapping[str, Any]) -> str:
    """SHA-256 of a record, which is the same before and after it was written as JSON."""
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def joint_card(records: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The card of several records' data, in their order.

    Args:
        records: by Minari id.

    Raises:
        BodyplanError: nothing is given, a robot comes twice, or what the cards say of all robots
            differs.
    """
    robots = [told["robot"] for told in records.values()]
    if not robots or len(set(robots)) < len(robots):
        raise BodyplanError(
            f"name at least one Minari dataset and none of the same robot twice; {list(records)} "
            f"are of the robots {robots}."
        )
    first, *others = records
    common = _common(records[first])
    for other in others:
        theirs = _common(records[other])
        for key in {**common, **theirs}:
            if common.get(key) != theirs.get(key):
                raise BodyplanError(
                    f"{other} has {_said(theirs, key)}, {first} has {_said(common, key)}; import "
                    "them into two datasets."
                )
    cards = [told["card"] for told in records.values()]
    joined = {
        key: {robot: entry for card in cards for robot, entry in card.get(key, {}).items()}
        for key in dict.fromkeys(key for told in records.values() for key in _own(told))
    }
    longest: dict[str, Any] = max(cards, key=lambda card: len(card))
    return {**longest, **joined}  # it has all fields, in their order


def require_free(folder: Path, minari_id: str, told: Mapping[str, Any]) -> None:
    """Checks that an id has no data, or those that a record tells of.

    Raises:
        BodyplanError: it has others.
    """
    if not folder.exists():
        return
    path = folder / "data" / METADATA
    there = read_json(path).get(KEY) if path.is_file() else None
    if not isinstance(there, dict) or any(there.get(key) != told[key] for key in told):
        raise BodyplanError(
            f"{folder} holds other data; remove it (`minari delete {minari_id}`) or give another "
            "version (--version) or folder (--minari-root)."
        )


def find_root(root: str | Path | None) -> Path:
    """Minari's folder of datasets: the given one, else the one that Minari itself would use.

    From the root of the file system on, as Minari takes names of files to be relative to others.
    """
    if root is not None:
        return Path(root).absolute()
    from minari.storage import get_dataset_path

    return get_dataset_path().absolute()


def _own(told: Mapping[str, Any]) -> list[str]:
    """Fields of the record's card that hold an entry of its robot and nothing else."""
    card = told["card"]
    return [key for key in _BY_ROBOT if list(card.get(key, ())) == [told["robot"]]]


def _common(told: Mapping[str, Any]) -> dict[str, Any]:
    """The card without its seal and the robot's own entries, of which only the names are left."""
    common = {**told["card"], **dict.fromkeys(_own(told), "one for each robot")}
    return {key: value for key, value in common.items() if key not in ("seal", *_OF_SOME)}


def _said(card: Mapping[str, Any], key: str) -> str:
    return f"{key} {json.dumps(card[key])}" if key in card else f"no {key}"
