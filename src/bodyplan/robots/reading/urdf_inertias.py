"""Inertias of a URDF: impossible ones become possible, and every change is told.

Exporters write zero inertias, links without mass, and moments that no body can have. ROS does not
mind; MuJoCo refuses the whole robot for one of them.
"""

from collections.abc import Iterator
from math import pi

import numpy as np
from jaxtyping import Float

from bodyplan.errors import BodyplanError
from bodyplan.robots.notes import Note, changed, guessed
from bodyplan.robots.reading.xml_elements import Element
from bodyplan.robots.validation.problem import name_list

DENSITY = 1000.0
"""kg / m^3: MuJoCo's, where only a shape is given."""
LIGHT_LINK = 1e-3
"""Share of the robot's mass that a link without mass or shape gets."""
LEAST_MOMENT = 1e-12
"""kg m^2: below this a moment of inertia counts as zero."""
FLATTEST = 1e-3
"""Least second moment of mass, as a share of the largest, where it would be negative."""
MOMENTS = ("ixx", "iyy", "izz")


def mend_inertias(root: Element) -> list[Note]:
    """Replace impossible inertias of links.

    Args:
        root: of the URDF, which is changed.

    Raises:
        BodyplanError: links have negative moments of inertia.
    """
    links = [own for own in root.children if own.tag == "link"]
    _refuse_negative(links)
    total = sum(map(_mass, links))
    light = _massless(root, links)
    for link in light:
        mass = LIGHT_LINK * total if total else LIGHT_LINK
        inertia = Element("inertia", _attributes(np.eye(3) * _sphere_moment(mass)))
        link.children = [own for own in link.children if own.tag != "inertial"]
        link.children.append(
            Element("inertial", {}, [Element("mass", {"value": f"{mass:.6g}"}), inertia])
        )
    zero, balanced = [], []
    for link in links:
        inertial = link.first("inertial")
        if inertial is None or not _mass(link):
            continue
        tensor = _tensor(inertial)
        if np.linalg.eigvalsh(tensor).max() < LEAST_MOMENT:
            zero.append(link)
            _set_solid(link, inertial)
        elif (mended := _possible(tensor)) is not None:
            balanced.append(link)
            _set_tensor(inertial, mended)
    notes = list(_notes(light, zero, balanced))
    massless = [own for own in links if not _mass(own)]
    for link in massless:  # else MuJoCo would read the zeros
        link.children = [own for own in link.children if own.tag != "inertial"]
    shaped = [own for own in massless if own.first("collision")]
    if shaped:
        text = f"masses of {_links(shaped)}: {DENSITY:g} kg/m^3 times the volume of their shapes"
        notes.append(guessed(text))
    return notes


def _notes(light: list[Element], zero: list[Element], balanced: list[Element]) -> Iterator[Note]:
    if light:
        share = f"{LIGHT_LINK:.1%}".replace(".0", "")
        yield changed(f"masses of {_links(light)} were zero and are now {share} of the robot's")
    if zero:
        yield changed(f"inertias of {_links(zero)} were zero and are now those of a solid body")
    if balanced:
        yield changed(
            f"inertias of {_links(balanced)} are balanced: one moment was larger than the sum of "
            "the others"
        )


def _refuse_negative(links: list[Element]) -> None:
    wrong = []
    for link in links:
        inertial = link.first("inertial")
        if inertial is not None and (np.diag(_tensor(inertial)) < 0.0).any():
            wrong.append(link)
    if wrong:
        raise BodyplanError(
            f"{wrong[0].file}: the <inertia> of {_links(wrong)} has a negative ixx, iyy or izz; "
            "export the inertias again, or write those of the links' shapes"
        )


def _massless(root: Element, links: list[Element]) -> list[Element]:
    """Links that move, but have neither mass nor shape, themselves or by what is fixed to them."""
    joints = [own for own in root.children if own.tag == "joint"]
    fixed = [own for own in joints if own.attributes.get("type") == "fixed"]
    carried: dict[str, list[str]] = {}
    for joint in fixed:
        parent, child = joint.first("parent"), joint.first("child")
        if parent is not None and child is not None:
            below = carried.setdefault(parent.attributes.get("link", ""), [])
            below.append(child.attributes.get("link", ""))
    by_name = {own.attributes.get("name", ""): own for own in links}
    ends = {name for names in carried.values() for name in names}
    moving = [own for own in links if own.attributes.get("name", "") not in ends | {"world"}]
    return [own for own in moving if not _is_heavy(own, carried, by_name)]


def _is_heavy(link: Element, carried: dict[str, list[str]], links: dict[str, Element]) -> bool:
    """Whether a link, or one that is fixed to it, has mass or a shape that gives it some."""
    waiting, seen = [link.attributes.get("name", "")], set()
    while waiting:
        name = waiting.pop()
        if name in seen or name not in links:
            continue
        seen.add(name)
        own = links[name]
        if _mass(own) or (own.first("collision") and own.first("inertial") is None):
            return True
        waiting += carried.get(name, [])
    return False


def _mass(link: Element) -> float:
    inertial = link.first("inertial")
    mass = inertial.first("mass") if inertial else None
    return mass.number("value") if mass else 0.0


def _tensor(inertial: Element) -> Float[np.ndarray, "3 3"]:
    own = inertial.first("inertia")
    keys = (*MOMENTS, "ixy", "ixz", "iyz")
    xx, yy, zz, xy, xz, yz = (own.number(key) if own else 0.0 for key in keys)
    return np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])


def _possible(tensor: Float[np.ndarray, "3 3"]) -> Float[np.ndarray, "3 3"] | None:
    """The nearest inertia that a body can have; None where the given one is one.

    A body's second moments of mass along its principal axes, s_i = tr(I) / 2 - I_i, are not
    negative. A negative one becomes almost zero, which flattens the body.
    """
    moments, axes = np.linalg.eigh(tensor)
    seconds = moments.sum() / 2.0 - moments
    least = FLATTEST * seconds.max()
    if seconds.min() >= 0.0 and moments.min() > LEAST_MOMENT:
        return None
    seconds = np.maximum(seconds, least)
    return np.asarray(axes @ np.diag(seconds.sum() - seconds) @ axes.T)


def _set_solid(link: Element, inertial: Element) -> None:
    """The inertia of a solid body of the link's mass: its first shape, or a sphere."""
    mass = _mass(link)
    collision = link.first("collision")
    geometry = collision.first("geometry") if collision else None
    shape = geometry.children[0] if geometry and geometry.children else None
    moments = _moments(shape, mass) if shape else None
    if moments is None or collision is None:
        _set_tensor(inertial, np.eye(3) * _sphere_moment(mass))
        return
    place, turned = inertial.first("origin"), collision.first("origin")
    if place is None:
        place = Element("origin", {"xyz": "0 0 0"})
        inertial.children.insert(0, place)
    place.attributes["rpy"] = turned.attributes.get("rpy", "0 0 0") if turned else "0 0 0"
    _set_tensor(inertial, np.diag(moments))


def _moments(shape: Element, mass: float) -> list[float] | None:
    """Moments of inertia of a solid shape about its own axes; None for a mesh."""
    if shape.tag == "box":
        try:
            x, y, z = (float(word) ** 2 for word in shape.attributes["size"].split())
        except (KeyError, ValueError):  # MuJoCo names that fault
            return None
        return [mass * (y + z) / 12.0, mass * (x + z) / 12.0, mass * (x + y) / 12.0]
    radius, length = shape.number("radius"), shape.number("length")
    if shape.tag == "sphere":
        return [0.4 * mass * radius**2] * 3
    if shape.tag in ("cylinder", "capsule"):
        across = mass * (3.0 * radius**2 + length**2) / 12.0
        return [across, across, 0.5 * mass * radius**2]
    return None


def _sphere_moment(mass: float) -> float:
    """Moment of inertia of a solid sphere of the usual density, kg m^2."""
    radius = (3.0 * mass / (4.0 * pi * DENSITY)) ** (1.0 / 3.0)
    return float(max(0.4 * mass * radius**2, 10.0 * LEAST_MOMENT))


def _set_tensor(inertial: Element, tensor: Float[np.ndarray, "3 3"]) -> None:
    inertial.children = [own for own in inertial.children if own.tag != "inertia"]
    inertial.children.append(Element("inertia", _attributes(tensor)))


def _attributes(tensor: Float[np.ndarray, "3 3"]) -> dict[str, str]:
    places = {"ixx": (0, 0), "iyy": (1, 1), "izz": (2, 2), "ixy": (0, 1), "ixz": (0, 2)}
    return {key: f"{tensor[place]:.9g}" for key, place in (places | {"iyz": (1, 2)}).items()}


def _links(links: list[Element]) -> str:
    names = [own.attributes.get("name", "") for own in links]
    return f"link{'s' * (len(names) > 1)} {name_list(names, most=len(names))}"
