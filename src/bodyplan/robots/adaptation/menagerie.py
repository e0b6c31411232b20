"""MuJoCo Menagerie: models by name, through its own package."""

from importlib import import_module
from pathlib import Path
from typing import Any

from bodyplan.errors import BodyplanError

MENAGERIE = "menagerie:"


def find_model_file(source: str) -> Path:
    """The path of a model: `source` itself, or the file of `menagerie:<name>` or of
    `menagerie:<name>/<model>`.

    Raises:
        BodyplanError: the package of MuJoCo Menagerie is missing, has no such model, or cannot
            download it.
    """
    _, is_menagerie, name = source.partition(MENAGERIE)
    if not is_menagerie:
        return Path(source)
    try:
        menagerie: Any = import_module("mujoco_menagerie")
    except ImportError as error:
        raise BodyplanError(
            f"{source} needs the package mujoco-menagerie; pip install 'bodyplan[robots]'"
        ) from error
    robot, _, model = name.partition("/")
    try:
        found = menagerie.get(robot)
        return Path(found.xml(model or found.default_model))
    except (menagerie.MenagerieError, OSError) as error:
        raise BodyplanError(
            f"{source} is not to be had ({str(error).rstrip('.')}); check the name and the network"
        ) from error
