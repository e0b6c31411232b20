"""The kinematic tree of a model: its free bodies, actuated joints, limbs and the extents of geoms.

It is read from any compiled MJCF, without a TOML. Validation and inference both build on it.
"""

from collections.abc import Sequence
from typing import NamedTuple

import mujoco
import numpy as np
from jaxtyping import Float

from bodyplan.robots.contact_sensors import FLOOR

ANY_ANGLE = (-np.pi, np.pi)
"""rad: stands for the range of a joint without one."""


class Limb(NamedTuple):
    """A chain of actuated joints from the trunk to an end, below which no joint is actuated."""

    joints: tuple[int, ...]
    """Ids of its actuated joints, from the trunk outwards."""
    geoms: tuple[int, ...]
    """Ids of the geoms beyond its last joint that can touch the floor."""


def free_bodies(model: mujoco.MjModel) -> list[int]:
    """Ids of the bodies with a free joint, in the model's order."""
    free = model.jnt_type == mujoco.mjtJoint.mjJNT_FREE.value
    return [int(body) for body in model.jnt_bodyid[free]]


def root_bodies(model: mujoco.MjModel) -> list[int]:
    """Ids of the bodies that have none but the world above them."""
    return [int(body) for body in np.flatnonzero(model.body_parentid == 0) if body]


def robot_root(model: mujoco.MjModel) -> int:
    """The root body of the robot: of the tree with most motors, then joints, then mass.

    Args:
        model: a model with bodies.
    """
    driven = [joint for i in range(model.nu) for joint in driven_joints(model, i)]

    def weight(root: int) -> tuple[bool, int, int, float]:
        trees = model.body_rootid[model.jnt_bodyid]
        motors = sum(int(trees[joint]) == root for joint in driven)
        real = bool(model.body_mocapid[root] < 0)
        return real, motors, int((trees == root).sum()), float(model.body_subtreemass[root])

    return max(root_bodies(model), key=weight)


def driven_joint(model: mujoco.MjModel, actuator: int) -> int:
    """Id of the joint that an actuator drives; -1 where it drives no single joint."""
    on_joint = model.actuator_trntype[actuator] == mujoco.mjtTrn.mjTRN_JOINT.value
    return int(model.actuator_trnid[actuator, 0]) if on_joint else -1


def driven_joints(model: mujoco.MjModel, actuator: int) -> list[int]:
    """Ids of the joints that an actuator drives, by itself or through a fixed tendon."""
    kinds = mujoco.mjtTrn
    kind, target = int(model.actuator_trntype[actuator]), int(model.actuator_trnid[actuator, 0])
    if kind in (kinds.mjTRN_JOINT.value, kinds.mjTRN_JOINTINPARENT.value):
        return [target]
    if kind != kinds.mjTRN_TENDON.value:
        return []
    first, count = int(model.tendon_adr[target]), int(model.tendon_num[target])
    steps = range(first, first + count)
    joint = mujoco.mjtWrap.mjWRAP_JOINT.value
    return [int(model.wrap_objid[step]) for step in steps if model.wrap_type[step] == joint]


def torque_limit(model: mujoco.MjModel, actuator: int) -> float:
    """The largest torque in both directions that a motor on a joint can give, N m."""
    limits = [float(model.actuator_ctrlrange[actuator, 1])]
    if model.actuator_forcelimited[actuator]:
        limits.append(float(np.abs(model.actuator_forcerange[actuator]).min()))
    joint = driven_joint(model, actuator)
    if joint >= 0 and model.jnt_actfrclimited[joint]:
        limits.append(float(np.abs(model.jnt_actfrcrange[joint]).min()))
    return min(limits)


def following_joints(model: mujoco.MjModel) -> dict[int, tuple[int, int]]:
    """Equalities that make a joint follow another (URDF's mimic): by id, the two joints."""
    coupled = (model.eq_type == mujoco.mjtEq.mjEQ_JOINT.value) & (model.eq_obj2id >= 0)
    active = np.flatnonzero(coupled & model.eq_active0.astype(bool))
    return {int(i): (int(model.eq_obj1id[i]), int(model.eq_obj2id[i])) for i in active}


def actuated_hinges(model: mujoco.MjModel) -> list[int]:
    """Ids of the hinge joints with an actuator of any kind, in the model's order."""
    driven = {driven_joint(model, i) for i in range(model.nu)}
    hinges = np.flatnonzero(model.jnt_type == mujoco.mjtJoint.mjJNT_HINGE.value)
    return [int(joint) for joint in hinges if joint in driven]


def joint_ranges(model: mujoco.MjModel, joints: Sequence[int]) -> Float[np.ndarray, "J 2"]:
    """Ranges of joints, rad; a full turn for a joint without limits."""
    limited = model.jnt_limited[joints].astype(bool)
    return np.where(limited[:, None], model.jnt_range[joints], ANY_ANGLE)


def joint_chain(model: mujoco.MjModel, body: int) -> list[int]:
    """Ids of all joints between the root and a body, the body's own included, from the root."""
    joints: list[int] = []
    while body:
        first = int(model.body_jntadr[body])
        joints = [*range(first, first + int(model.body_jntnum[body])), *joints]
        body = int(model.body_parentid[body])
    return joints


def find_limbs(model: mujoco.MjModel, driven: Sequence[int]) -> list[Limb]:
    """The limbs that end in geoms which can touch the floor, in the model's order.

    Args:
        model: the compiled model.
        driven: ids of the actuated joints.
    """
    chains = [
        [j for j in joint_chain(model, int(model.jnt_bodyid[joint])) if j in driven and j <= joint]
        for joint in driven
    ]
    inner = {joint for chain in chains for joint in chain[:-1]}
    ends = {chain[-1]: chain for chain in chains if chain[-1] not in inner}
    carried: dict[int, list[int]] = {end: [] for end in ends}
    for geom in range(model.ngeom):
        above = [j for j in joint_chain(model, int(model.geom_bodyid[geom])) if j in driven]
        if above and above[-1] in carried and can_touch_floor(model, geom):
            carried[above[-1]].append(geom)
    return [Limb(tuple(ends[end]), tuple(geoms)) for end, geoms in carried.items() if geoms]


def is_level_floor(model: mujoco.MjModel, geom: int) -> bool:
    """Whether a geom of the world is a level plane at height zero."""
    plane = model.geom_type[geom] == mujoco.mjtGeom.mjGEOM_PLANE.value
    level = float(np.square(model.geom_quat[geom, 1:3]).sum()) < 1e-9
    return bool(plane and level and abs(model.geom_pos[geom, 2]) < 1e-6)


def find_floor(model: mujoco.MjModel) -> int:
    """Id of the geom called floor, else of the first level plane; -1 where there is neither."""
    named = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_GEOM, FLOOR)
    world = map(int, np.flatnonzero(model.geom_bodyid == 0))
    level = [geom for geom in world if is_level_floor(model, geom)]
    return int(named) if named >= 0 else (level or [-1])[0]


def can_touch_floor(model: mujoco.MjModel, geom: int) -> bool:
    """Whether a geom collides with the floor, the model's own or the one that will be added."""
    floor = find_floor(model)
    kind, affinity = 1, 1
    if floor >= 0:
        kind, affinity = model.geom_contype[floor], model.geom_conaffinity[floor]
    if model.geom_contype[geom] & affinity or kind & model.geom_conaffinity[geom]:
        return True
    pairs = zip(model.pair_geom1, model.pair_geom2, strict=True)
    return floor >= 0 and any({int(a), int(b)} == {geom, floor} for a, b in pairs)


def robot_geoms(model: mujoco.MjModel) -> list[int]:
    """Ids of the geoms on moving bodies."""
    return [geom for geom in range(model.ngeom) if model.body_weldid[model.geom_bodyid[geom]]]


def geom_bounds(
    model: mujoco.MjModel, data: mujoco.MjData, geoms: Sequence[int]
) -> tuple[Float[np.ndarray, "G 3"], Float[np.ndarray, "G 3"]]:
    """Lowest and highest corner of the box around each geom, along the world's axes (m)."""
    corners = []
    for geom in geoms:
        centre, axes = data.geom_xpos[geom], data.geom_xmat[geom].reshape(3, 3)
        corners.append(
            [centre - geom_extent(model, geom, -axes), centre + geom_extent(model, geom, axes)]
        )
    low, high = np.array(corners).reshape(-1, 2, 3).transpose(1, 0, 2)
    return low, high


def geom_extent(
    model: mujoco.MjModel, geom: int, directions: Float[np.ndarray, "... 3"]
) -> Float[np.ndarray, "..."]:
    """How far a geom extends from its centre in unit directions of its own frame (m)."""
    kinds, kind, size = mujoco.mjtGeom, model.geom_type[geom], model.geom_size[geom]
    along = np.abs(directions[..., 2])
    if kind == kinds.mjGEOM_MESH.value:
        mesh = model.geom_dataid[geom]
        first = model.mesh_vertadr[mesh]
        points = model.mesh_vert[first : first + model.mesh_vertnum[mesh]]
        extent = (directions @ points.T).max(axis=-1)
    elif kind == kinds.mjGEOM_SPHERE.value:
        extent = np.full(along.shape, size[0])
    elif kind == kinds.mjGEOM_CAPSULE.value:
        extent = size[0] + size[1] * along
    elif kind == kinds.mjGEOM_CYLINDER.value:
        extent = size[0] * np.sqrt(np.maximum(1.0 - along**2, 0.0)) + size[1] * along
    elif kind == kinds.mjGEOM_ELLIPSOID.value:
        extent = np.sqrt(directions**2 @ size**2)
    else:
        extent = np.abs(directions) @ size
    return np.asarray(extent)
