"""What a robot's data are called in Minari: their id, their environment, their description."""

import re
from collections.abc import Mapping
from copy import deepcopy
from typing import TYPE_CHECKING, Any

from bodyplan.datasets.episodes import Episodes
from bodyplan.envs import registration
from bodyplan.envs.walking import Command, command_name, parse_command
from bodyplan.errors import BodyplanError
from bodyplan.robots.robot import Robot

if TYPE_CHECKING:
    from gymnasium.envs.registration import EnvSpec

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
    return "/".join((registration.NAMESPACE, *plain)) + f"-v{version}"


def environment_spec(robot: str, episodes: Episodes, card: Mapping[str, Any]) -> "EnvSpec | None":
    """The registered environment of a robot and command; None for a robot that has none.

    Raises:
        BodyplanError: a robot of this name is installed, but has another body.
    """
    import gymnasium

    registration.register()
    words = {command: word for word, command in registration.COMMANDS.items()}
    command = _command_name(episodes, card)
    own = registration.environment_id(robot, words.get(command, words[CHANGING]))
    spec = gymnasium.registry.get(own)
    if spec is None or spec.kwargs["robot"] != robot:
        return None
    _require_body(robot, episodes)
    if command not in words:
        spec = deepcopy(spec)
        spec.kwargs["command"] = list(_command(episodes, card))
    return spec


def describe(robot: str, episodes: Episodes, card: Mapping[str, Any]) -> str:
    """What the numbers of an observation are, for readers that do not know bodyplan."""
    joints, feet = episodes.joints.shape[1], episodes.feet.shape[1]
    general = 3 * joints + 2 * feet
    return (
        f"Logged walking of {robot}, recipe {card.get('recipe')}, command "
        f"{_command_name(episodes, card)}. An observation is {general + 13} float32: for each of "
        f"{joints} joints position from nominal / 4.6 rad, velocity / 35 rad/s and last action / "
        f"10; from {3 * joints} for each of {feet} feet contact (1 or -1) and time since the last "
        f"contact / 2.5 s - 1; from {general} the trunk's linear velocity / 10 m/s, angular "
        "velocity / 50 rad/s, the command, gravity as a unit vector (3 each) and the height. An "
        "action is one number a joint: target = nominal + action_scale * action. descriptors.npz "
        "beside this file tells of the body; where there are several, infos/descriptor_ids says "
        "which one a frame is of."
    )


def _command(episodes: Episodes, card: Mapping[str, Any]) -> Command:
    given = card.get("command")
    return parse_command(episodes.general[0, 6:9].tolist() if given is None else given)


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
