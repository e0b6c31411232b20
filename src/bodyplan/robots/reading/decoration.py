"""Decoration: materials, cameras and lights that refer to nothing, for which MuJoCo refuses all."""

from bodyplan.robots.notes import Note, dropped
from bodyplan.robots.reading.xml_elements import Element
from bodyplan.robots.validation.problem import name_list


def drop_decoration(root: Element) -> list[Note]:
    """Take unknown materials off shapes, and remove cameras and lights without their target.

    Args:
        root: of an MJCF, which is changed.
    """
    elements = list(root.walk())
    materials = {own.attributes.get("name") for own in elements if own.tag == "material"}
    bodies = {own.attributes.get("name") for own in elements if own.tag == "body"}
    replicated = bool(root.all("replicate"))  # names of copies get numbers
    unknown, aimless = [], []
    for element in elements:
        material = element.attributes.get("material")
        if material is not None and material not in materials:
            unknown.append(element.attributes.pop("material"))
        for child in list(element.children):
            target = child.attributes.get("target")
            aims = child.tag in ("camera", "light") and target is not None
            if aims and target not in bodies and not replicated:
                element.children.remove(child)
                aimless.append(child.attributes.get("name", child.tag))
    notes = []
    if unknown:
        notes.append(
            dropped(f"materials that are not defined: {name_list(dict.fromkeys(unknown))}")
        )
    if aimless:
        notes.append(dropped(f"cameras and lights without their target: {name_list(aimless)}"))
    return notes
