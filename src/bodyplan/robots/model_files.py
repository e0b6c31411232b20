"""Model files: MJCF and URDF on disk, their meshes, and MJCF text for another folder."""

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
_SUFFIXES = (".xml", ".urdf", ".mjcf")
PARENT_FOLDERS = 4
"""Folders above a URDF in which its `package://` paths are looked for."""


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


def read_model(path: Path) -> mujoco.MjSpec:
    """A model, before it is compiled.

    Raises:
        BodyplanError: the file does not exist, or is neither MJCF nor URDF.
    """
    if not path.is_file():
        raise BodyplanError(f"{path} is no file; give the path of an MJCF (.xml) or a URDF")
    if path.suffix.lower() not in _SUFFIXES:
        raise BodyplanError(f"{path} must end in {' or '.join(_SUFFIXES)}, an MJCF or a URDF")
    try:
        spec = mujoco.MjSpec.from_file(str(path))
    except (ValueError, UnicodeError) as error:
        raise loader.compile_error(path, ValueError(str(error))) from error
    if is_urdf(path):
        spec.compiler.fusestatic = False  # the first link is a body, not a part of the world
        for mesh in spec.meshes:
            mesh.file = str(_find_mesh(path, mesh.file))
    return spec


def is_urdf(path: Path) -> bool:
    """Whether a file that MuJoCo has read is a URDF."""
    return ET.parse(path).getroot().tag == "robot"


def velocity_limits(path: Path) -> dict[str, float]:
    """Velocity limits of a URDF's joints, rad/s; an MJCF has none."""
    if not is_urdf(path):
        return {}
    limits = {}
    for joint in ET.parse(path).getroot().iter("joint"):
        limit = joint.find("limit")
        if limit is not None and float(limit.get("velocity", 0.0)) > 0.0:
            limits[joint.get("name", "")] = float(limit.get("velocity", 0.0))
    return limits


def missing_files(path: Path, spec: mujoco.MjSpec) -> Iterator[Problem]:
    """A problem for each mesh, height field and texture that is not at the model's path."""
    assets = [("mesh", spec.meshdir, own.file) for own in spec.meshes]
    assets += [("height field", spec.meshdir, own.file) for own in spec.hfields]
    assets += [("texture", spec.texturedir, own.file) for own in spec.textures]
    wanted = {path.parent / folder / name: word for word, folder, name in assets if name}
    for place, word in wanted.items():
        if not place.is_file():
            fix = "put it there, or correct file= or <compiler meshdir=...>"
            yield Problem("error", str(path), f"the {word} {place} is missing", fix)


def mjcf_text(spec: mujoco.MjSpec, source: Path, out: Path) -> str:
    """The text of a model as MJCF at `out`, with paths to the meshes where they are.

    Paths are relative if the meshes are in the folder of `out` or below, so that the folder can be
    moved; else they are absolute.

    Args:
        spec: the model.
        source: path that it was read from.
        out: path that the text is for.
    """
    home, new = source.parent.resolve(), out.parent.resolve()
    own = spec.copy()
    meshes = [*spec.meshes, *spec.hfields, *spec.skins]
    for key, assets in (("meshdir", meshes), ("texturedir", spec.textures)):
        folder = (home / getattr(spec, key)).resolve()
        if not any(asset.file for asset in assets):
            continue
        inside = folder.is_relative_to(new)
        setattr(own, key, os.path.relpath(folder, new) if inside else str(folder))
    own.compile()
    return own.to_xml()


def _find_mesh(urdf: Path, name: str) -> Path:
    """The file of a path in a URDF; `package://` paths are looked for in the folders above it."""
    _, packaged, rest = name.partition("package://")
    if not packaged:
        return Path(name)
    below = Path(rest), Path(*Path(rest).parts[1:])
    folders = urdf.resolve().parents[:PARENT_FOLDERS]
    places = (folder / part for folder in folders for part in below)
    return next((place for place in places if place.is_file()), urdf.parent.resolve() / below[1])
