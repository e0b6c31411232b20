"""The files of an adapted robot: its MJCF, with paths to meshes that are in the robot's folder."""

import shutil
from pathlib import Path
from xml.sax.saxutils import escape

import mujoco

from bodyplan.robots import loader
from bodyplan.robots.notes import Note, changed
from bodyplan.storage import atomic_write

QUOTES = {'"': "&quot;", "'": "&apos;"}


def write_robot_files(spec: mujoco.MjSpec, out: Path, toml: str) -> list[Note]:
    """Write an MJCF and the TOML beside it, and copy meshes that are elsewhere into its folder.

    Paths of meshes are relative, so that the folder can be moved.

    Args:
        spec: the model, with the real paths of its meshes.
        out: path of the MJCF.
        toml: text of the TOML.
    """
    text = spec.copy().to_xml()
    folder = out.with_name(f"{out.stem}_meshes")
    copied: dict[Path, str] = {}
    for path in _asset_files(spec):
        inside = path.is_relative_to(out.parent.resolve()) and str(path) not in spec.assets
        if inside:
            new = path.relative_to(out.parent.resolve()).as_posix()
        else:
            new = f"{folder.name}/{_unused(path, copied)}"
            copied[path] = new
        text = text.replace(f'"{_quoted(str(path))}"', f'"{_quoted(new)}"')
    for path, new in copied.items():
        with atomic_write(out.parent / new) as partial:
            if str(path) in spec.assets:
                partial.write_bytes(spec.assets[str(path)])
            else:
                shutil.copyfile(path, partial)
    loader.write_files(out, text, toml)
    return [changed(f"meshes copied to {folder}: {len(copied)}")] if copied else []


def _asset_files(spec: mujoco.MjSpec) -> list[Path]:
    """The real paths of the files that a model uses, each once."""
    names = [own.file for own in (*spec.meshes, *spec.hfields, *spec.skins, *spec.textures)]
    names += [name for own in spec.textures for name in own.cubefiles]
    return [Path(name) for name in dict.fromkeys(names) if name]


def _unused(path: Path, copied: dict[Path, str]) -> str:
    """A file name that no other copied file has."""
    taken = {name.rpartition("/")[2] for name in copied.values()}
    names = (f"{path.stem}_{number}{path.suffix}" for number in range(2, len(taken) + 3))
    return path.name if path.name not in taken else next(own for own in names if own not in taken)


def _quoted(text: str) -> str:
    return escape(text, QUOTES)
