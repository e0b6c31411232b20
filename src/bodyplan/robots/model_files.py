"""Models on disk: MJCF and URDF, where their meshes are, and MJCF written for another place."""

import os
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import mujoco

from bodyplan.errors import BodyplanError
from bodyplan.robots import loader
from bodyplan.robots.validation.problem import Problem

MENAGERIE = "menagerie:"
UP = 4
"""Folders above a URDF in which the packages that it names are looked for."""


def find_model_file(source: str) -> Path:
    """The file of a model: a path, or `menagerie:<name>` or `menagerie:<name>/<model>`.

    Raises:
        BodyplanError: MuJoCo Menagerie's package is missing, knows no such model, or cannot
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
        raise BodyplanError(f"{source}: {error}") from error


def read_model(path: Path) -> mujoco.MjSpec:
    """A model, before it is compiled.

    Raises:
        BodyplanError: no such file, or neither MJCF nor URDF.
    """
    if not path.is_file():
        raise BodyplanError(f"{path}: there is no such file; give the path of an MJCF (.xml)")
    try:
        spec = mujoco.MjSpec.from_file(str(path))
    except (ValueError, UnicodeError) as error:
        raise loader.compile_error(path, ValueError(str(error))) from error
    if is_urdf(path):
        spec.compiler.fusestatic = False  # the first link is a body, not a part of the world
        for mesh in spec.meshes:
            mesh.file = str(_found(path, mesh.file))
    return spec


def is_urdf(path: Path) -> bool:
    """Whether a file that MuJoCo has read is a URDF."""
    return ET.parse(path).getroot().tag == "robot"


def velocity_limits(path: Path) -> dict[str, float]:
    """What a URDF says of its joints' velocities, rad/s; an MJCF says nothing."""
    if not is_urdf(path):
        return {}
    limits = {}
    for joint in ET.parse(path).getroot().iter("joint"):
        limit = joint.find("limit")
        if limit is not None and float(limit.get("velocity", 0.0)) > 0.0:
            limits[joint.get("name", "")] = float(limit.get("velocity", 0.0))
    return limits


def missing_files(path: Path, spec: mujoco.MjSpec) -> Iterator[Problem]:
    """Meshes, height fields and textures that are not where a model says."""
    assets = [("mesh", spec.meshdir, own.file) for own in spec.meshes]
    assets += [("height field", spec.meshdir, own.file) for own in spec.hfields]
    assets += [("texture", spec.texturedir, own.file) for own in spec.textures]
    wanted = {path.parent / folder / name: word for word, folder, name in assets if name}
    for place, word in wanted.items():
        if not place.is_file():
            fix = "put it there, or correct file= or <compiler meshdir=...>"
            yield Problem("error", str(path), f"the {word} {place} is missing", fix)


def mjcf_text(spec: mujoco.MjSpec, source: Path, out: Path) -> str:
    """A model as MJCF to be written to `out`, which finds the meshes where they are.

    By a relative path if they are in the folder of `out` or below, so that the folder can be moved;
    else by an absolute one.
    """
    home, new = source.parent.resolve(), out.parent.resolve()
    own = spec.copy()
    shaped = [*spec.meshes, *spec.hfields, *spec.skins]
    for key, assets in (("meshdir", shaped), ("texturedir", spec.textures)):
        folder = (home / getattr(spec, key)).resolve()
        if not any(asset.file for asset in assets):
            continue
        inside = folder.is_relative_to(new)
        setattr(own, key, os.path.relpath(folder, new) if inside else str(folder))
    own.compile()
    return own.to_xml()


def _found(urdf: Path, name: str) -> Path:
    """The file that a URDF means: `package://` paths are looked for in the folders above."""
    _, packaged, rest = name.partition("package://")
    if not packaged:
        return Path(name)
    below = Path(rest), Path(*Path(rest).parts[1:])
    folders = urdf.resolve().parents[:UP]
    places = (folder / part for folder in folders for part in below)
    return next((place for place in places if place.is_file()), urdf.parent.resolve() / below[1])
