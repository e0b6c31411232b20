"""Gymnasium's ids of the walking task, registered by names alone.

Nothing heavy is imported for them: not Gymnasium (where it is not yet imported, the ids are
registered as soon as it is), no robot is read, and no package that offers a robot is imported.
"""

import re
import sys
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

NAMESPACE = "bodyplan"
GENERIC_ID = f"{NAMESPACE}/Walk-v0"
"""Takes the robot as an argument."""
VELOCITY_COMMANDS = {"Forward": "forward", "Backward": "backward", "Command": "random"}
"""What an id's last word says of the command."""


def environment_id(robot: str, word: str) -> str:
    """A robot's id under one of `VELOCITY_COMMANDS`: `bodyplan/UnitreeGo1-Forward-v0`."""
    parts = re.findall(r"[A-Za-z0-9]+", robot)  # an id has no room for other characters
    return f"{NAMESPACE}/{''.join(part[0].upper() + part[1:] for part in parts)}-{word}-v0"


def register() -> None:
    """Register the ids now where Gymnasium is imported already, else when it will be."""
    if "gymnasium" in sys.modules:
        _register_all()
    elif not any(isinstance(finder, _Watch) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Watch())


def _register_all() -> None:
    from gymnasium.envs import registration

    for own, arguments in _environments():
        if own in registration.registry:
            continue  # the package was imported anew
        registration.register(
            own,
            entry_point="bodyplan.envs.gymnasium_env:WalkingEnv",
            vector_entry_point="bodyplan.envs.gymnasium_env:WalkingVectorEnv",
            # No max_episode_steps: the environments themselves truncate at their `horizon`, and
            # a TimeLimit wrapper would count the same steps once more.
            kwargs=arguments,
        )


def _environments() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every id with the arguments it stands for."""
    from bodyplan.robots import registry

    # Packaged robots come first, so that no other package's name can take an id of theirs.
    for robot in dict.fromkeys((*registry.packaged_robots(), *registry.list_robots())):
        for word, command in VELOCITY_COMMANDS.items():
            yield environment_id(robot, word), {"robot": robot, "command": command}
    yield GENERIC_ID, {}


class _Watch:
    """A finder on `sys.meta_path` that registers the ids once Gymnasium has been imported.

    Importing it here would make every `import bodyplan` wait for NumPy. Gymnasium has no place
    where packages could announce themselves (it gave up its entry points with version 1.0), and
    sorted import statements put bodyplan first.
    """

    def find_spec(
        self, name: str, path: Any, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != "gymnasium":
            return None
        others = [finder for finder in sys.meta_path if finder is not self]
        found = (finder.find_spec(name, path, target) for finder in others)
        spec = next((spec for spec in found if spec), None)
        if spec and spec.loader:
            self._follow(spec.loader)
        return spec

    def _follow(self, loader: Any) -> None:
        execute = loader.exec_module

        def execute_and_register(module: ModuleType) -> None:
            loader.exec_module = execute
            execute(module)
            sys.meta_path.remove(self)
            _register_all()

        loader.exec_module = execute_and_register
