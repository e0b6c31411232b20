"""Metadata of exported Minari datasets: ids, descriptions, and a record to restore the same bytes.

    <root>/bodyplan/<robot>/<recipe>-<command>-v0/data/
        metadata.json       Minari's metadata, and under "bodyplan" our record
        main_data.hdf5      the episodes; where a robot's body changes, infos/descriptor_ids has the
                            descriptor set of each frame
        descriptors.npz     the descriptor sets, as in a dataset of this package

Each robot of a dataset becomes one Minari dataset. Its observations are the vectors of the robot's
registered environment (`flatten_observation`). The record has the card of a dataset with this robot
alone, and checksums.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from importlib.metadata import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from bodyplan import __version__
from bodyplan.datasets.episodes import Episodes
from bodyplan.datasets.format import DatasetCard
from bodyplan.datasets.score_scale import score_scale
from bodyplan.envs import gymnasium_registration
from bodyplan.envs.environment import RANDOM_COMMAND
from bodyplan.envs.walking_task import Command, command_name, parse_command
from bodyplan.errors import BodyplanError
from bodyplan.records import read_record
from bodyplan.robots.feature_sizes import (
    COMMAND_COLUMNS,
    JOINT_OBSERVATION_SIZE,
    flat_observation_size,
    local_observation_size,
)
from bodyplan.robots.robot import Robot

if TYPE_CHECKING:
    from gymnasium.envs.registration import EnvSpec

RECORD_FORMAT = 1
METADATA_FILE = "metadata.json"
EPISODES_FILE = "main_data.hdf5"
RECORD_KEY = "bodyplan"
"""The key of our record in Minari's metadata."""
MINARI_STEP_ARRAYS = {
    "actions": "actions",
    "rewards": "rewards",
    "terminated": "terminations",
    "truncated": "truncations",
}
"""Names of a step's arrays in this package, and in Minari."""

_OPTIONAL_ROBOT_KEYS = ("models",)
"""Keys of a card with an entry for some of the robots."""
_ROBOT_KEYS = ("robots", "snapshots", "replay", *_OPTIONAL_ROBOT_KEYS)
"""Keys of a card that may have an entry for each robot."""


class MinariRecord(TypedDict):
    """Our record in Minari's metadata."""

    sha256: str
    format: int
    robot: str
    card: DatasetCard
    files: dict[str, str]
    """SHA-256 of each file."""


def minari_record(robot: str, card: Mapping[str, Any]) -> dict[str, Any]:
    """The record of one robot: format, name, and the card without the other robots."""
    own_card = dict(card)
    for key in _ROBOT_KEYS:
        if robot in own_card.get(key, ()):
            own_card[key] = {robot: own_card[key][robot]}
        elif key in _OPTIONAL_ROBOT_KEYS:
            own_card.pop(key, None)
    return {"format": RECORD_FORMAT, "robot": robot, "card": own_card}


def record_checksum(record: Mapping[str, Any]) -> str:
    """SHA-256 of a record; the same before and after the record was written as JSON."""
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()


def merged_card(records: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Merges the cards of several records into that of one dataset, robots in the same order.

    Args:
        records: by Minari id.

    Raises:
        BodyplanError: there is no record, a robot comes twice, or the cards differ in what they say
            of all robots.
    """
    robots = [record["robot"] for record in records.values()]
    if not robots or len(set(robots)) < len(robots):
        raise BodyplanError(
            f"name at least one Minari dataset and none of the same robot twice; {list(records)} "
            f"are of the robots {robots}."
        )
    first, *others = records
    expected = _common_entries(records[first])
    for other in others:
        found = _common_entries(records[other])
        for key in {**expected, **found}:
            if expected.get(key) != found.get(key):
                raise BodyplanError(
                    f"{other} has {_entry_text(found, key)}, {first} has "
                    f"{_entry_text(expected, key)}; import them into two datasets."
                )
    cards = [record["card"] for record in records.values()]
    merged = {
        key: {robot: entry for card in cards for robot, entry in card.get(key, {}).items()}
        for key in dict.fromkeys(key for record in records.values() for key in _own_keys(record))
    }
    longest: dict[str, Any] = max(cards, key=lambda card: len(card))
    return {**longest, **merged}  # the longest card has all keys, in their order


def require_free_id(folder: Path, minari_id: str, record: Mapping[str, Any]) -> None:
    """Checks that an id has no data yet, or the data of a record.

    Raises:
        BodyplanError: it has other data.
    """
    if not folder.exists():
        return
    path = folder / "data" / METADATA_FILE
    found = read_record(path, dict).get(RECORD_KEY) if path.is_file() else None
    if not isinstance(found, dict) or any(found.get(key) != record[key] for key in record):
        raise BodyplanError(
            f"{folder} contains other data; remove it (`minari delete {minari_id}`) or give "
            "another version (--version) or folder (--minari-root)."
        )


def minari_root(root: str | Path | None) -> Path:
    """Minari's folder of datasets, by default the one that Minari itself uses.

    The path is absolute, because Minari resolves relative names of files in another way.
    """
    if root is not None:
        return Path(root).absolute()
    from minari.storage import get_dataset_path

    return get_dataset_path().absolute()


def installed_ids(home: Path) -> list[str]:
    """Ids of all Minari datasets in a folder, in alphabetical order."""
    files = home.glob(f"**/data/{METADATA_FILE}")
    return sorted(file.parent.parent.relative_to(home).as_posix() for file in files)


def _own_keys(record: Mapping[str, Any]) -> list[str]:
    """Keys of the record's card that have an entry for its robot and no other."""
    card = record["card"]
    return [key for key in _ROBOT_KEYS if list(card.get(key, ())) == [record["robot"]]]


def _common_entries(record: Mapping[str, Any]) -> dict[str, Any]:
    """The card's entries for all robots: without its checksum and the entries of one robot."""
    entries = {**record["card"], **dict.fromkeys(_own_keys(record), "one for each robot")}
    excluded = ("seal", *_OPTIONAL_ROBOT_KEYS)
    return {key: value for key, value in entries.items() if key not in excluded}


def _entry_text(card: Mapping[str, Any], key: str) -> str:
    return f"{key} {json.dumps(card[key])}" if key in card else f"no {key}"


def minari_id(robot: str, episodes: Episodes, card: Mapping[str, Any], version: int = 0) -> str:
    """The Minari id `bodyplan/<robot>/<recipe>-<command>-v<version>`.

    Minari's ids may have letters, digits, `_` and `-`. In the numbers of a command `p` therefore
    stands for the point, `m` for minus and `_` for the comma (0.5,0,-0.2 becomes `0p5_0_m0p2`). Any
    other character becomes `_`.
    """
    command = _command_name(episodes, card)
    if command[0] in "-0123456789":
        command = command.translate(str.maketrans("-.,", "mp_", "+"))
    parts = (robot, f"{card.get('recipe', 'data')}-{command}")
    plain = (re.sub(r"[^A-Za-z0-9_-]", "_", part) for part in parts)
    return "/".join((gymnasium_registration.NAMESPACE, *plain)) + f"-v{version}"


def environment_spec(robot: str, episodes: Episodes, card: Mapping[str, Any]) -> "EnvSpec | None":
    """The registered Gymnasium environment of a robot and command; None if there is none.

    Raises:
        BodyplanError: the installed robot of this name has other numbers of joints or feet.
    """
    import gymnasium

    gymnasium_registration.register()
    words = {command: word for word, command in gymnasium_registration.VELOCITY_COMMANDS.items()}
    command = _command_name(episodes, card)
    name = gymnasium_registration.environment_id(robot, words.get(command, words[RANDOM_COMMAND]))
    spec = gymnasium.registry.get(name)
    if spec is None or spec.kwargs["robot"] != robot:
        return None
    _check_body(robot, episodes)
    if command not in words:
        spec = deepcopy(spec)
        spec.kwargs["command"] = list(_command(episodes, card))
    return spec


def minari_description(robot: str, episodes: Episodes, card: Mapping[str, Any]) -> str:
    """Explains the numbers of observations and actions to readers who do not know bodyplan."""
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
        "action is one number a joint: target = nominal + action_scale * action. The file "
        "descriptors.npz describes the body; infos/descriptor_ids has the row of each frame if "
        "there are several."
    )


def reference_scores(
    robot: str, episodes: Episodes, card: Mapping[str, Any], models: Mapping[str, str]
) -> dict[str, float]:
    """What `minari.get_normalized_score` needs: the returns that score 0 and 1.

    They are those of `bodyplan evaluate`: standing still, and the expert or the tracking ceiling.

    Args:
        robot: name of the robot.
        episodes: its data.
        card: the dataset's.
        models: paths of the user's own robots by name.

    Returns:
        `ref_min_score` and `ref_max_score`. Empty where the robot cannot be loaded, where the
        command changes, or where nothing is clearly better than standing still.
    """
    if _command_name(episodes, card) == RANDOM_COMMAND:
        return {}
    try:
        body = Robot.load(robot, models)
    except BodyplanError:
        return {}
    if (body.num_joints, body.num_feet) != (episodes.joints.shape[1], episodes.feet.shape[1]):
        return {}
    scale = score_scale(body, _command(episodes, card))
    top = scale.top
    return {} if top is None else {"ref_min_score": scale.floor, "ref_max_score": top}


def origin(
    card: Mapping[str, Any], author: Sequence[str], code_permalink: str | None
) -> dict[str, Any]:
    """Who made the data, by which algorithm and code, as Minari's metadata have it.

    Args:
        card: the dataset's.
        author: names; by default bodyplan where it built the data, nobody where it imported them.
        code_permalink: link to the code; by default that of the installed package.
    """
    built = "source" not in card
    names = set(author) or ({"bodyplan"} if built else set())
    found: dict[str, Any] = {"author": names} if names else {}
    if built:
        found["algorithm_name"] = f"PPO ({card['recipe']})" if card.get("recipe") else "PPO"
    link = code_permalink or (_package_link() if built else None)
    return found | ({"code_permalink": link} if link else {})


def _package_link() -> str:
    """The first link in the package's metadata; its name and version where there is none."""
    for entry in metadata("bodyplan").get_all("Project-URL") or ():
        return entry.partition(", ")[2]
    return f"bodyplan {__version__}"


def _command(episodes: Episodes, card: Mapping[str, Any]) -> Command:
    given = card.get("command")
    return parse_command(episodes.general[0, COMMAND_COLUMNS].tolist() if given is None else given)


def _command_name(episodes: Episodes, card: Mapping[str, Any]) -> str:
    if card.get("conditions", {}).get("commands"):
        return RANDOM_COMMAND
    return command_name(_command(episodes, card))


def _check_body(robot: str, episodes: Episodes) -> None:
    body = Robot.load(robot)
    expected = (body.num_joints, body.num_feet)
    found = (episodes.joints.shape[1], episodes.feet.shape[1])
    if found != expected:
        raise BodyplanError(
            f"the data of {robot} have (joints, feet) {found}, but the installed robot of that "
            f"name has {expected}; rename the data's robot in card.json and its folder."
        )
