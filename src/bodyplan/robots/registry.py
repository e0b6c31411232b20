"""The registry of robots: packaged ones, those that installed packages offer, and any file.

A package offers a robot through the entry point group `bodyplan.robots`. The entry point has the
robot's name and points to the path of an MJCF, or to a function that returns one. A TOML of the
same name lies beside the MJCF. Datasets and policies record the paths of the user's own robots in
their cards (`models`), relative to the card's folder. `find_model` takes that record, so that those
robots have names too.
"""

import os
import sys
from collections.abc import Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from bodyplan.errors import BodyplanError
from bodyplan.robots.validation.problem import did_you_mean

MODELS = Path(__file__).parent / "models"
GROUP = "bodyplan.robots"


def packaged_robots() -> tuple[str, ...]:
    """Names of the robots that come with bodyplan."""
    return tuple(sorted(path.stem for path in MODELS.glob("*.toml")))


def list_robots() -> tuple[str, ...]:
    """Names that `Robot.load` knows: of the packaged robots and of those other packages offer."""
    return tuple(sorted({*packaged_robots(), *_offered()}))


def model_paths(
    sources: Mapping[str, Any], models: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The paths of all MJCFs whose names the registry does not know, absolute.

    Args:
        sources: for each robot's name, what it was loaded from.
        models: paths of robots that are known by name only there, as in `find_model`.
    """
    return {
        name: str(find_model(source, models).resolve())
        for name, source in sources.items()
        if name not in list_robots() and isinstance(source, str | Path)
    }


def recorded_models(models: Mapping[str, str], folder: str | Path) -> dict[str, str]:
    """The record `models` of a card in `folder`: the paths of MJCFs from there."""
    start = Path(folder).resolve()
    return {name: _relative(Path(path).resolve(), start) for name, path in models.items()}


def models_of(card: Mapping[str, Any], folder: str | Path) -> dict[str, str]:
    """The absolute paths of the user's own robots, from the card in `folder`.

    Cards of older versions have absolute paths, which stay as they are.
    """
    start = Path(folder).resolve()
    return {name: str((start / path).resolve()) for name, path in card.get("models", {}).items()}


def find_model(source: str | Path, models: Mapping[str, str] | None = None) -> Path:
    """The path of a robot's MJCF.

    Args:
        source: a robot's name, or the path of an MJCF.
        models: paths of the user's own robots by name, from the card of a dataset or policy. The
            names of packaged and offered robots come first.

    Raises:
        BodyplanError: no robot has this name, or the package that offers it gives no path.
    """
    if not isinstance(source, str | Path):
        raise BodyplanError(f"robot is {source!r}; give a robot's name, or the path of its MJCF")
    if str(source) in packaged_robots():
        return MODELS / f"{source}.xml"
    if str(source) in _offered():
        return _follow(_offered()[str(source)])
    if models and str(source) in models:
        return Path(models[str(source)])
    mjcf = Path(source)
    if mjcf.suffix == ".urdf":
        raise BodyplanError(
            f"{mjcf} is a URDF; let `bodyplan robots adapt {mjcf} --out {mjcf.stem}.xml` make an "
            "MJCF of it"
        )
    if mjcf.suffix != ".xml":
        asked = did_you_mean(str(source), list_robots())
        raise BodyplanError(
            f"no robot is called '{source}'; {f'{asked} ' if asked else ''}"
            f"choose one of {', '.join(list_robots())} or give the path of an MJCF (.xml)"
        )
    return mjcf


def _relative(path: Path, start: Path) -> str:
    try:
        return Path(os.path.relpath(path, start)).as_posix()
    except ValueError:  # on another drive of Windows
        return str(path)


def _offered() -> dict[str, EntryPoint]:
    return _offered_on(tuple(sys.path))


@cache
def _offered_on(path: tuple[str, ...]) -> dict[str, EntryPoint]:
    """The offers of packages on the import path, which is the key of the cache."""
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
