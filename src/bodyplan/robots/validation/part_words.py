"""Words for the parts of a model, named or not."""

from collections.abc import Sequence

import mujoco

from bodyplan.robots.validation.problem import name_list


def body_name(model: mujoco.MjModel, body: int) -> str:
    """A body's name, or its number."""
    return model.body(body).name or f"body {body}"


def joint_name(model: mujoco.MjModel, joint: int) -> str:
    """A joint's name, or that of its body."""
    return model.joint(joint).name or body_name(model, int(model.jnt_bodyid[joint]))


def actuator_name(model: mujoco.MjModel, actuator: int) -> str:
    """An actuator's name, or its number."""
    return model.actuator(actuator).name or f"number {actuator + 1}"


def geom_words(model: mujoco.MjModel, geom: int) -> str:
    """A geom's name in quotes, or words that name its body."""
    name = model.geom(geom).name
    return f"'{name}'" if name else f"a geom of '{body_name(model, int(model.geom_bodyid[geom]))}'"


def joint_words(names: Sequence[str]) -> str:
    """Joints by their names, and how many have none."""
    named = [name for name in names if name]
    unnamed = len(names) - len(named)
    words = [name_list(named)] if named else []
    words += [f"{unnamed} unnamed joint{'s' * (unnamed > 1)}"] if unnamed else []
    return " and ".join(words)
