"""Contact sensors: what touches what, read with the state and without a Python loop.

The task needs two kinds of answers each control step: does a foot touch the floor, and does a
listed geom touch anything at all. MuJoCo's contact sensors count the matching entries of the
contact list, pairs within the margin included, which is the task's meaning of contact.
"""

from collections.abc import Sequence

import mujoco

FLOOR = "floor"


def add_contact_sensors(
    spec: mujoco.MjSpec, floor_geoms: Sequence[str], contact_geoms: Sequence[str]
) -> None:
    """Add one sensor for each geom of `floor_geoms` against the floor, then one for each of
    `contact_geoms` against anything; the sensor data holds them in that order.

    A floor is added where the model has no geom of that name.
    """
    if not any(geom.name == FLOOR for geom in spec.geoms):
        spec.worldbody.add_geom(
            name=FLOOR, type=mujoco.mjtGeom.mjGEOM_PLANE, size=[100.0, 100.0, 0.125]
        )
    for geom in floor_geoms:
        _add(spec, f"floor {geom}", geom, FLOOR)
    for geom in contact_geoms:
        _add(spec, f"any {geom}", geom, "")


def _add(spec: mujoco.MjSpec, name: str, geom: str, other: str) -> None:
    sensor = spec.add_sensor(
        name=name,
        type=mujoco.mjtSensor.mjSENS_CONTACT,
        objtype=mujoco.mjtObj.mjOBJ_GEOM,
        objname=geom,
    )
    sensor.intprm[0] = 1 << mujoco.mjtConDataField.mjCONDATA_FOUND.value
    sensor.intprm[2] = 1  # one slot: `found` is the number of matches whatever the slots
    if other:
        sensor.reftype = mujoco.mjtObj.mjOBJ_GEOM
        sensor.refname = other
