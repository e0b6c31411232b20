"""Which robots there are: the packaged ones, those that installed packages offer, and any file.

A package offers a robot through the entry point group `bodyplan.robots`; the entry point's name is
the robot's, and what it points to is the path of an MJCF (with a TOML of one name beside it), or a
function that returns one. A dataset or a run tells where the robots of one's own are that it is of
(`register_models`), so that they too go by their names.
"""

import os
from collections.abc import Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from bodyplan.errors import BodyplanError
from bodyplan.robots.validation.problem import did_you_mean

MODELS = Path(__file__).parent / "models"
GROUP = "bodyplan.robots"
_INTRODUCED: dict[str, Path] = {}


def packaged_robots() -> tuple[str, ...]:
    """Names of the robots that come with bodyplan."""
    return tuple(sorted(path.stem for path in MODELS.glob("*.toml")))


def robot_names() -> tuple[str, ...]:
    """Names of all robots that can be loaded by name."""
    return tuple(sorted({*packaged_robots(), *_offered()}))


def register_models(models: Mapping[str, str]) -> None:
    """Lets robots of one's own go by name in this process; `model_paths` has the path of each MJCF.

    A name that everybody knows keeps its meaning.
    """
    _INTRODUCED.update(
        {name: Path(path) for name, path in models.items() if name not in robot_names()}
    )


def model_paths(sources: Mapping[str, Any]) -> dict[str, str]:
    """What `register_models` will need: the path of each MJCF, by robot."""
    return {
        name: str(find_model(source).resolve())
        for name, source in sources.items()
        if name not in robot_names() and isinstance(source, str | Path)
    }


def find_model(source: str | Path) -> Path:
    """The MJCF of a robot given by name or path.

    Raises:
        BodyplanError: nothing is called so, or a package's offer leads to no path.
    """
    if str(source) in packaged_robots():
        return MODELS / f"{source}.xml"
    if str(source) in _offered():
        return _follow(_offered()[str(source)])
    if str(source) in _INTRODUCED:
        return _INTRODUCED[str(source)]
    mjcf = Path(source)
    if mjcf.suffix == ".urdf":
        raise BodyplanError(
            f"{mjcf} is a URDF; let `bodyplan robots adapt {mjcf} --out {mjcf.stem}.xml` make an "
            "MJCF of it"
        )
    if mjcf.suffix != ".xml":
        asked = did_you_mean(str(source), robot_names())
        raise BodyplanError(
            f"no robot is called '{source}'; {f'{asked} ' if asked else ''}"
            f"choose one of {', '.join(robot_names())} or give the path of an MJCF (.xml)"
        )
    return mjcf


@cache
def _offered() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP)}


def _follow(point: EntryPoint) -> Path:
    package = point.dist.name if point.dist else "a package"
    offer = f"the robot '{point.name}' is offered by {package} as {point.value}"
    try:
        target = point.load()
        path = Path(os.fspath(target() if callable(target) else target))
    except Exception as error:  # whatever another package's code raises
        raise BodyplanError(
            f"{offer}, which gives no path of an MJCF ({type(error).__name__}: {error}); update or "
            "remove that package"
        ) from error
    if not path.is_file():
        raise BodyplanError(f"{offer}, but there is no {path}; update or remove that package")
    return path
