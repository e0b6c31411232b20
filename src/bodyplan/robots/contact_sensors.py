"""Contact sensors that are added to a model: feet against the floor, listed geoms against anything.

The task asks both at each control step. MuJoCo's contact sensors answer with the state, without a
Python loop. They count the matching entries of the contact list. Pairs within the margin are in
that list, as the task's contacts are.
"""

from collections.abc import Sequence

import mujoco

FLOOR = "floor"
CONTACT_VALUES = (
    *("contype", "conaffinity", "condim", "priority", "friction", "solmix", "solref", "solimp"),
    *("margin", "gap", "group", "rgba", "material", "pos", "quat", "fluid_ellipsoid"),
)
"""Attributes of a geom that a model's defaults may set and that the floor has of its own."""


def add_contact_sensors(
    spec: mujoco.MjSpec, floor_geoms: Sequence[str], contact_geoms: Sequence[str]
) -> None:
    """Add contact sensors to a model, in the order of the sensor data.

    A floor is added where the model has no geom of that name.

    Args:
        spec: the model, which is changed.
        floor_geoms: one sensor for each of these geoms, against the floor; they come first.
        contact_geoms: one sensor for each of these geoms, against anything.
    """
    if not any(geom.name == FLOOR for geom in spec.geoms):
        _add_floor(spec)
    for geom in floor_geoms:
        _add(spec, f"floor {geom}", geom, FLOOR)
    for geom in contact_geoms:
        _add(spec, f"any {geom}", geom, "")


def _add_floor(spec: mujoco.MjSpec) -> None:
    """Add a plane with MuJoCo's own values, whatever the model's defaults for geoms are."""
    floor = spec.worldbody.add_geom(
        name=FLOOR, type=mujoco.mjtGeom.mjGEOM_PLANE, size=[100.0, 100.0, 0.125]
    )
    own = mujoco.MjSpec().default.geom
    for name in CONTACT_VALUES:
        setattr(floor, name, getattr(own, name))


def _add(spec: mujoco.MjSpec, name: str, geom: str, other: str) -> None:
    sensor = spec.add_sensor(
        name=name,
        type=mujoco.mjtSensor.mjSENS_CONTACT,
        objtype=mujoco.mjtObj.mjOBJ_GEOM,
        objname=geom,
    )
    sensor.intprm[0] = 1 << mujoco.mjtConDataField.mjCONDATA_FOUND.value
    sensor.intprm[2] = 1  # one slot: `found` is the number of matches in any case
    if other:
        sensor.reftype = mujoco.mjtObj.mjOBJ_GEOM
        sensor.refname = other
