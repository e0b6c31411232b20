"""Read a model: an MJCF or a URDF becomes a MuJoCo spec, and notes say what was changed for that.

Nothing is given to MuJoCo before it was checked: the text, the files that it names, the sizes that
it asks for, and its figures. docs/security.md says what is promised.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import mujoco

from bodyplan.errors import BodyplanError
from bodyplan.robots.notes import Note
from bodyplan.robots.reading.asset_files import find_assets, mjcf_references
from bodyplan.robots.reading.decoration import drop_decoration
from bodyplan.robots.reading.figure_checks import require_figures
from bodyplan.robots.reading.included_files import read_model_elements
from bodyplan.robots.reading.robot_folder import RobotFolder
from bodyplan.robots.reading.size_limits import require_limits
from bodyplan.robots.reading.trial_compile import is_risky, try_compile
from bodyplan.robots.reading.urdf_elements import (
    copy_visuals,
    is_urdf,
    keep_body,
    prepare_urdf,
    refuse_xacro,
    velocity_limits,
)
from bodyplan.robots.reading.xml_elements import Element, to_text
from bodyplan.robots.validation.problem import FaultyFilesError, name_list, only_errors

SUFFIXES = (".xml", ".urdf", ".mjcf", ".xacro")
_AS_ONE_FILE = (
    "save the model as one file first, if you trust its author: in Python, "
    "spec = mujoco.MjSpec.from_file(...), spec.compile(), spec.to_xml()"
)
REFUSED = {
    "plugin": "an engine plugin, which is code; remove it, and drive joints with <motor>",
    "attach": f"<attach>, which reads further models; {_AS_ONE_FILE}",
    "model": f"<model file=...>, which reads further models; {_AS_ONE_FILE}",
}
"""Elements that would read further models or load code, with the fix."""


class ModelSource(NamedTuple):
    """A model before it is compiled."""

    spec: mujoco.MjSpec
    is_urdf: bool
    velocity_limits: dict[str, float]
    """Of joints where they are known, rad/s."""
    notes: list[Note]
    """What was changed to read it."""


def read_model(
    path: Path, allow_paths: Sequence[Path] = (), visual_collisions: bool = False
) -> ModelSource:
    """A model, before it is compiled.

    Args:
        path: of an MJCF or a URDF.
        allow_paths: folders besides its own whose files it may name.
        visual_collisions: whether visual shapes touch things on a URDF's links that have no
            collision shape.

    Raises:
        BodyplanError: the file does not exist, is neither MJCF nor URDF, or is unsafe to read;
            `FaultyFilesError` where there may be several problems.
    """
    folder = RobotFolder.around(path, allow_paths)
    root = _checked_elements(path, folder)
    limits = velocity_limits(root)
    if is_urdf(root):
        notes = copy_visuals(root) if visual_collisions else []
        assets = prepare_urdf(path, root, folder)
    else:
        notes = drop_decoration(root)
        assets = find_assets(path, mjcf_references(root, folder), folder)
    if only_errors(assets.problems):
        raise FaultyFilesError(path, assets.problems)
    spec = _parse(path, root, assets.contents)
    return ModelSource(spec, is_urdf(root), limits, [*notes, *assets.notes])


def _checked_elements(path: Path, folder: RobotFolder) -> Element:
    """The elements of a model, which ask for nothing that is refused."""
    if not path.exists():
        raise BodyplanError(f"{path} does not exist; correct the path")
    if not path.is_file():
        raise BodyplanError(f"{path} is no file; give the path of an MJCF (.xml) or a URDF")
    if path.suffix.lower() not in SUFFIXES:
        raise BodyplanError(f"{path} must end in .xml, .mjcf or .urdf, an MJCF or a URDF")
    root = read_model_elements(path, folder)
    if is_urdf(root):
        refuse_xacro(path, root)
        keep_body(root)
    for element in root.all(*REFUSED):
        raise BodyplanError(f"{element.place}: the model uses {REFUSED[element.tag]}")
    require_figures(root)
    require_limits(path, root)
    return root


def _parse(path: Path, root: Element, assets: dict[str, bytes]) -> mujoco.MjSpec:
    """What MuJoCo makes of elements that were checked."""
    text = to_text(root)
    if is_risky(root):
        try_compile(path, text, assets)
    try:
        spec = mujoco.MjSpec.from_string(text, assets=assets)
    except (ValueError, UnicodeError) as error:
        raise compile_error(path, error) from error
    _require_pairs(path, spec)
    return spec


def compile_error(path: Path, error: Exception) -> BodyplanError:
    """What MuJoCo says of a model that it cannot compile, in one line."""
    return BodyplanError(f"MuJoCo cannot compile {path}: {' '.join(str(error).split())}")


def _require_pairs(path: Path, spec: mujoco.MjSpec) -> None:
    """Refuse contact pairs with geoms of another file; MuJoCo may drop them in silence."""
    known = {geom.name for geom in spec.geoms}
    named = {name for pair in spec.pairs for name in (pair.geomname1, pair.geomname2)}
    absent = sorted(named - known)
    if absent:
        raise BodyplanError(
            f"{path}: contact pairs name {name_list(absent)}, which this file does not contain; "
            "give the scene file that includes both, or remove these pairs"
        )
