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
import re
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bodyplan.datasets.episodes import Episodes
from bodyplan.envs import gymnasium_registration
from bodyplan.envs.walking_task import Command, command_name, parse_command
from bodyplan.errors import BodyplanError
from bodyplan.robots.feature_sizes import (
    COMMAND_COLUMNS,
    JOINT_OBSERVATION_SIZE,
    flat_observation_size,
    local_observation_size,
)
from bodyplan.robots.robot import Robot
from bodyplan.storage import read_json

if TYPE_CHECKING:
    from gymnasium.envs.registration import EnvSpec

RECORD_FORMAT = 1
METADATA = "metadata.json"
EPISODES = "main_data.hdf5"
KEY = "bodyplan"
"""Of the record in Minari's metadata."""
MINARI_STEP_ARRAYS = {
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


def minari_record(robot: str, card: Mapping[str, Any]) -> dict[str, Any]:
    """What tells whose data they are: the format, the robot, and its part of the card."""
    own = dict(card)
    for key in _BY_ROBOT:
        if robot in own.get(key, ()):
            own[key] = {robot: own[key][robot]}
        elif key in _OF_SOME:
            own.pop(key, None)
    return {"format": RECORD_FORMAT, "robot": robot, "card": own}


def digest(told: Mapping[str, Any]) -> str:
    """SHA-256 of a record, which is the same before and after it was written as JSON."""
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def merged_card(records: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
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


def installed_ids(home: Path) -> list[str]:
    """Ids of all Minari datasets in a folder, in alphabetical order."""
    files = home.glob(f"**/data/{METADATA}")
    return sorted(file.parent.parent.relative_to(home).as_posix() for file in files)


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


CHANGING = "random"
"""The command of data whose robots were told something else now and then."""


def minari_id(robot: str, episodes: Episodes, card: Mapping[str, Any], version: int = 0) -> str:
    """`bodyplan/<robot>/<recipe>-<command>-v<version>`.

    Minari's ids have room for letters, digits, `_` and `-`. The numbers of a command are therefore
    spelled with `p` for the point, `m` for minus and `_` between them (0.5,0,-0.2: `0p5_0_m0p2`),
    and any other character becomes `_`.
    """
    command = _command_name(episodes, card)
    if command[0] in "-0123456789":
        command = command.translate(str.maketrans("-.,", "mp_", "+"))
    parts = (robot, f"{card.get('recipe', 'data')}-{command}")
    plain = (re.sub(r"[^A-Za-z0-9_-]", "_", part) for part in parts)
    return "/".join((gymnasium_registration.NAMESPACE, *plain)) + f"-v{version}"


def environment_spec(robot: str, episodes: Episodes, card: Mapping[str, Any]) -> "EnvSpec | None":
    """The registered environment of a robot and command; None for a robot that has none.

    Raises:
        BodyplanError: a robot of this name is installed, but has another body.
    """
    import gymnasium

    gymnasium_registration.register()
    words = {command: word for word, command in gymnasium_registration.VELOCITY_COMMANDS.items()}
    command = _command_name(episodes, card)
    own = gymnasium_registration.environment_id(robot, words.get(command, words[CHANGING]))
    spec = gymnasium.registry.get(own)
    if spec is None or spec.kwargs["robot"] != robot:
        return None
    _require_body(robot, episodes)
    if command not in words:
        spec = deepcopy(spec)
        spec.kwargs["command"] = list(_command(episodes, card))
    return spec


def minari_description(robot: str, episodes: Episodes, card: Mapping[str, Any]) -> str:
    """What the numbers of an observation are, for readers that do not know bodyplan."""
    joints, feet = episodes.joints.shape[1], episodes.feet.shape[1]
    first_foot, general = JOINT_OBSERVATION_SIZE * joints, local_observation_size(joints, feet)
    size = flat_observation_size(joints, feet)
    return (
        f"Logged walking of {robot}, recipe {card.get('recipe')}, command "
        f"{_command_name(episodes, card)}. An observation is {size} float32: for each of "
        f"{joints} joints position from nominal / 4.6 rad, velocity / 35 rad/s and last action / "
        f"10; from {first_foot} for each of {feet} feet contact (1 or -1) and time since the last "
        f"contact / 2.5 s - 1; from {general} the trunk's linear velocity / 10 m/s, angular "
        "velocity / 50 rad/s, the command, gravity as a unit vector (3 each) and the height. An "
        "action is one number a joint: target = nominal + action_scale * action. descriptors.npz "
        "beside this file tells of the body; where there are several, infos/descriptor_ids says "
        "which one a frame is of."
    )


def _command(episodes: Episodes, card: Mapping[str, Any]) -> Command:
    given = card.get("command")
    return parse_command(episodes.general[0, COMMAND_COLUMNS].tolist() if given is None else given)


def _command_name(episodes: Episodes, card: Mapping[str, Any]) -> str:
    if card.get("conditions", {}).get("commands"):
        return CHANGING
    return command_name(_command(episodes, card))


def _require_body(robot: str, episodes: Episodes) -> None:
    body = Robot.load(robot)
    expected = (body.num_joints, body.num_feet)
    found = (episodes.joints.shape[1], episodes.feet.shape[1])
    if found != expected:
        raise BodyplanError(
            f"the data of {robot} have (joints, feet) {found}, the robot of that name "
            f"{expected}; name the data's robot otherwise, in card.json and as a folder."
        )
