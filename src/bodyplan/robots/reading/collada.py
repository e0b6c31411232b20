"""Collada: the triangles of a .dae file, which ROS reads and MuJoCo does not, as a binary STL.

Positions, transforms of nodes and the unit are read. The up axis is not, as in ROS. Materials,
normals, skins and animations are left out.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from bodyplan.robots.reading.xml_elements import Element, read_elements

MAX_VALUES = 10_000_000
"""Numbers in one array."""
FACES = ("triangles", "polylist", "polygons")
"""Elements that hold faces."""


def collada_triangles(path: Path, content: bytes) -> Float[np.ndarray, "F 3 3"]:
    """The corners of all triangles of a scene, m; none where the file has none.

    Args:
        path: of the file, for messages.
        content: its bytes.

    Raises:
        BodyplanError: the file is no safe XML.
        ValueError, IndexError, KeyError: it does not fit together.
    """
    root = read_elements(path, content, keep_text=True)
    named = {f"#{own.attributes['id']}": own for own in root.walk() if "id" in own.attributes}
    unit = root.all("unit")
    scale = float(unit[0].attributes.get("meter", 1.0)) if unit else 1.0
    parts = [
        _geometry(named[place], named) @ turn[:3, :3].T + turn[:3, 3]
        for scene in root.all("visual_scene")[:1]
        for node in scene.children
        for place, turn in _placed(node, np.eye(4))
    ]
    return scale * np.concatenate([np.zeros((0, 3, 3)), *parts])


def _placed(
    node: Element, above: Float[np.ndarray, "4 4"]
) -> Iterator[tuple[str, Float[np.ndarray, "4 4"]]]:
    """The geometries at a node and below it, with their transforms."""
    if node.tag != "node":
        return
    turn = above
    for child in node.children:
        turn = turn @ _transform(child)
        if child.tag == "instance_geometry":
            yield child.attributes["url"], turn
        yield from _placed(child, turn)


def _transform(element: Element) -> Float[np.ndarray, "4 4"]:
    own = np.eye(4)
    if element.tag == "matrix":
        return _numbers(element).reshape(4, 4)
    if element.tag == "translate":
        own[:3, 3] = _numbers(element)
    elif element.tag == "scale":
        own[:3, :3] = np.diag(_numbers(element))
    elif element.tag == "rotate":
        from scipy.spatial.transform import Rotation

        *axis, angle = _numbers(element)
        own[:3, :3] = Rotation.from_rotvec(np.radians(angle) * np.array(axis)).as_matrix()
    return own


def _geometry(geometry: Element, named: dict[str, Element]) -> Float[np.ndarray, "F 3 3"]:
    """The triangles of a geometry in its own frame and unit."""
    parts = [np.zeros((0, 3, 3))]
    for faces in geometry.all(*FACES):
        inputs = [own for own in faces.children if own.tag == "input"]
        offsets = [int(own.attributes.get("offset", 0)) for own in inputs]
        (vertex,) = [own for own in inputs if own.attributes["semantic"] == "VERTEX"]
        points = _points(named[vertex.attributes["source"]], named)
        stride, offset = max(offsets) + 1, int(vertex.attributes.get("offset", 0))
        for corners in _polygons(faces, stride):
            parts.append(points[_fans(corners, stride, offset)])
    return np.concatenate(parts)


def _polygons(faces: Element, stride: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The indices of the faces' corners, and how many corners each face has."""
    counts = [own for own in faces.children if own.tag == "vcount"]
    for own in [child for child in faces.children if child.tag == "p"]:
        index = _numbers(own).astype(int)
        if faces.tag == "triangles":
            yield index, np.full(len(index) // (3 * stride), 3)
        elif counts:
            yield index, _numbers(counts[0]).astype(int)
        else:
            yield index, np.array([len(index) // stride])


def _fans(
    corners: tuple[np.ndarray, np.ndarray], stride: int, offset: int
) -> Int[np.ndarray, "F 3"]:
    """The corners of triangles: each polygon is a fan around its first corner."""
    index, counts = corners
    vertex = index[offset::stride]
    first = np.concatenate([[0], np.cumsum(counts)[:-1]]).astype(int)
    start = np.repeat(first, np.maximum(counts - 2, 0))
    inner = np.concatenate([np.arange(1, count - 1) for count in counts] or [np.zeros(0)])
    return vertex[np.stack([start, start + inner, start + inner + 1], axis=-1).astype(int)]


def _points(vertices: Element, named: dict[str, Element]) -> Float[np.ndarray, "P 3"]:
    source = next(own for own in vertices.children if own.attributes["semantic"] == "POSITION")
    (values,) = named[source.attributes["source"]].all("float_array")
    return _numbers(values).reshape(-1, 3)


def _numbers(element: Element) -> Float[np.ndarray, "N"]:
    words = element.text.split(maxsplit=MAX_VALUES)
    if len(words) > MAX_VALUES:
        raise ValueError(f"{element.place}: more than {MAX_VALUES:,} numbers")
    return np.array(words, float)
