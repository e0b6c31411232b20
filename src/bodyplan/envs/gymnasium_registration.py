"""Registration of the Gymnasium ids, from the robots' names alone.

Nothing heavy is imported for it, not even `re` or `typing`. No robot is read, and no package that
offers a robot is imported. Where Gymnasium is not imported yet, the ids are registered as soon as
it is.
"""

import sys
from importlib.machinery import ModuleSpec
from types import ModuleType

NAMESPACE = "bodyplan"
GENERIC_ID = f"{NAMESPACE}/Walk-v0"
"""The id that takes the robot as an argument."""
VELOCITY_COMMANDS = {"Forward": "forward", "Backward": "backward", "Command": "random"}
"""The command that the last word of an id stands for."""


def environment_id(robot: str, word: str) -> str:
    """A robot's id under one of `VELOCITY_COMMANDS`: `bodyplan/UnitreeGo1-Forward-v0`."""
    import re

    parts = re.findall(r"[A-Za-z0-9]+", robot)  # Gymnasium allows no other characters
    return f"{NAMESPACE}/{''.join(part[0].upper() + part[1:] for part in parts)}-{word}-v0"


def register() -> None:
    """Register the ids now if Gymnasium is imported already, otherwise once it is."""
    if "gymnasium" in sys.modules:
        _register_all()
    elif not any(isinstance(finder, _ImportHook) for finder in sys.meta_path):
        sys.meta_path.insert(0, _ImportHook())


def _register_all() -> None:
    from gymnasium.envs import registration

    for name, arguments in _environments():
        if name in registration.registry:
            continue  # this package was imported twice
        registration.register(
            name,
            entry_point="bodyplan.envs.gymnasium:WalkingEnv",
            vector_entry_point="bodyplan.envs.gymnasium:WalkingVectorEnv",
            # No max_episode_steps, because the environments truncate at their `horizon`. A
            # TimeLimit wrapper would count the same steps again. Exported Minari datasets hold
            # these entry points, so they must not change.
            kwargs=arguments,
        )


def _environments() -> list[tuple[str, dict[str, str]]]:
    """Every id with its arguments."""
    from bodyplan.robots import registry

    # Packaged robots come first, so that a robot of another package cannot take their ids.
    robots = dict.fromkeys((*registry.packaged_robots(), *registry.list_robots()))
    ids = [
        (environment_id(robot, word), {"robot": robot, "command": command})
        for robot in robots
        for word, command in VELOCITY_COMMANDS.items()
    ]
    return [*ids, (GENERIC_ID, {})]


class _ImportHook:
    """A finder on `sys.meta_path` that registers the ids once Gymnasium has been imported.

    Gymnasium dropped its entry points in version 1.0, and sorted import statements put bodyplan
    first. Importing Gymnasium here would make every `import bodyplan` wait for NumPy.
    """

    def __init__(self) -> None:
        self._searching = False

    def find_spec(
        self, name: str, path: object, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != "gymnasium" or self._searching:
            return None
        from importlib.util import find_spec

        # Ask the other finders. One of them may be the hook of another copy of this package.
        self._searching = True
        try:
            spec = find_spec(name)
        finally:
            self._searching = False
        if spec:
            self._wrap(spec)
        return spec

    def _wrap(self, spec: ModuleSpec) -> None:
        loader = spec.loader
        if loader is None:
            return
        execute = loader.exec_module

        def execute_and_register(module: ModuleType) -> None:
            loader.exec_module = execute  # type: ignore[method-assign]
            execute(module)
            sys.meta_path.remove(self)
            _register_all()

        loader.exec_module = execute_and_register  # type: ignore[method-assign]
