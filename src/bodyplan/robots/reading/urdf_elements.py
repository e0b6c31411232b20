"""URDF elements: what MuJoCo needs to read a URDF as ROS would."""

import re
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

from bodyplan.errors import BodyplanError
from bodyplan.robots.notes import Note, changed, dropped
from bodyplan.robots.reading.asset_files import Assets, find_assets, urdf_references
from bodyplan.robots.reading.robot_folder import RobotFolder
from bodyplan.robots.reading.urdf_inertias import mend_inertias
from bodyplan.robots.reading.xml_elements import Element
from bodyplan.robots.validation.problem import name_list

BODY_TAGS = ("link", "joint", "material", "mujoco")
"""Elements of a URDF that say something of the body; others are Gazebo's and ROS's."""
_XACRO = re.compile(r"\$\{|\$\(")


def is_urdf(root: Element) -> bool:
    """Whether a model is a URDF."""
    return root.tag == "robot"


def refuse_xacro(path: Path, root: Element) -> None:
    """Refuse a URDF that xacro must expand first.

    Raises:
        BodyplanError: there are xacro's elements, or values that it computes.
    """
    for element in root.walk():
        values = " ".join(element.attributes.values())
        if element.tag.startswith("xacro:") or _XACRO.search(values):
            raise BodyplanError(
                f"{element.place}: this is written in xacro; expand it first: xacro {path} > "
                "robot.urdf"
            )


def keep_body(root: Element) -> None:
    """Remove from a URDF what says nothing of the body: elements of Gazebo and of ROS."""
    root.children = [own for own in root.children if own.tag in BODY_TAGS]


def prepare_urdf(path: Path, root: Element, folder: RobotFolder) -> Assets:
    """Give a URDF what MuJoCo needs: possible inertias, the real paths of meshes, its settings.

    Args:
        path: of the URDF.
        root: its root element, which is changed.
        folder: the robot's.

    Raises:
        BodyplanError: no link can touch anything, or inertias are negative.
    """
    links = [own for own in root.children if own.tag == "link"]
    if not any(own.first("collision") for own in links):
        raise BodyplanError(
            f"{path}: no link has a <collision>, so that the robot cannot touch the floor; copy "
            "<visual> to <collision>, at least in the feet, or give --visual-collisions to adapt"
        )
    settings = _settings(root)
    meshdir = settings.pop("meshdir", "")
    notes = _drop_visuals(links, settings.get("discardvisual") == "false", meshdir, folder)
    solid = [own for link in links for own in link.all("collision")]
    assets = find_assets(path, urdf_references([*solid, *_visuals(links)], meshdir, folder), folder)
    assets.notes += [*notes, *mend_inertias(root)]
    settings |= {"strippath": "false", "fusestatic": "false"}
    extension = root.first("mujoco") or Element("mujoco", {})
    extension.children.insert(0, Element("compiler", settings))
    root.children = [extension, *(own for own in root.children if own.tag != "mujoco")]
    return assets


def copy_visuals(root: Element) -> list[Note]:
    """Let visual shapes touch things on links that have no collision shape."""
    copied = []
    for link in [own for own in root.children if own.tag == "link"]:
        visuals = _visuals([link])
        if visuals and link.first("collision") is None:
            link.children += [replace(deepcopy(own), tag="collision") for own in visuals]
            copied.append(link.attributes.get("name", ""))
    text = f"visual shapes are collision shapes too: {name_list(copied)}"
    return [changed(text)] if copied else []


def velocity_limits(root: Element) -> dict[str, float]:
    """Velocity limits of a URDF's joints, rad/s; an MJCF has none."""
    limits = {}
    for joint in root.children if is_urdf(root) else ():
        limit = joint.first("limit") if joint.tag == "joint" else None
        if limit and limit.number("velocity") > 0.0:
            limits[joint.attributes.get("name", "")] = limit.number("velocity")
    return limits


def _settings(root: Element) -> dict[str, str]:
    """The compiler's settings in MuJoCo's extension of a URDF; they are taken out of it."""
    settings: dict[str, str] = {}
    for extension in [own for own in root.children if own.tag == "mujoco"]:
        for compiler in extension.all("compiler"):
            settings |= compiler.attributes
        extension.children = [own for own in extension.children if own.tag != "compiler"]
    return settings


def _visuals(links: list[Element]) -> list[Element]:
    return [own for link in links for own in link.children if own.tag == "visual"]


def _drop_visuals(
    links: list[Element], keep: bool, meshdir: str, folder: RobotFolder
) -> list[Note]:
    """Remove visual shapes, all of them or those whose meshes cannot be read."""
    lost = []
    for link in links:
        for visual in _visuals([link]):
            references = urdf_references([deepcopy(visual)], meshdir, folder)
            found = find_assets(Path(), references, folder) if keep else None
            if found is None or found.problems:
                link.children.remove(visual)
                lost.append(link.attributes.get("name", ""))
    if not lost:
        return []
    why = "whose meshes cannot be read" if keep else "which touch nothing"
    return [dropped(f"visual shapes of {name_list(dict.fromkeys(lost))}, {why}")]
