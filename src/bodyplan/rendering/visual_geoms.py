"""Visual geoms of a robot: what an image shows of it, on mocap bodies that can be put anywhere.

Every visible geom of the robot is copied in plain colours. Many models have geoms only where they
collide. Thin bones show the rest: from each body to the next, around closed loops, and from a body
to its geoms that would float. A foot of a few small points gets a sole that spans them.
"""

from collections.abc import Iterator
from itertools import combinations
from typing import NamedTuple

import mujoco
import numpy as np
from jaxtyping import Float, Int

from bodyplan.robots.kinematic_tree import geom_bounds
from bodyplan.robots.robot import Robot

Colour = tuple[float, float, float]


class BodyColours(NamedTuple):
    """One colour for each part of a robot; limbs alternate along the chain."""

    trunk: Colour = (0.20, 0.27, 0.35)
    limbs: tuple[Colour, Colour] = ((0.47, 0.56, 0.65), (0.65, 0.72, 0.78))
    feet: Colour = (0.84, 0.37, 0.0)


ROBOT_COLOURS = {
    "quadruped": BodyColours((0.12, 0.29, 0.46), ((0.36, 0.53, 0.69), (0.60, 0.72, 0.82))),
    "biped": BodyColours((0.09, 0.36, 0.36), ((0.33, 0.58, 0.57), (0.58, 0.75, 0.73))),
    "hexapod": BodyColours((0.36, 0.22, 0.42), ((0.56, 0.45, 0.64), (0.74, 0.66, 0.80))),
}
"""By kind of robot."""
_BONE_RADIUS = 0.02  # in radii of the robot
_SOLE_THICKNESS = 0.012  # in heights of the robot
_SOLE_HEIGHT = 0.05  # in heights of the robot: geoms below it can be points of a sole


class RobotExtent(NamedTuple):
    """Size of a robot in its nominal pose."""

    corners: Float[np.ndarray, "n 3"]
    """Of boxes around its geoms, m; the origin is the point of the floor under the trunk."""
    lowest_foot: float
    """Height of the lowest point of its feet, m."""
    height: float
    """Of its highest geom, m."""
    radius: float
    """About the point at half its height, m."""


def robot_extent(robot: Robot) -> RobotExtent:
    """Measure a robot in its nominal pose."""
    model, data = robot.model, _standing(robot)
    geoms = visible_geoms(model)
    if geoms:
        low, high = geom_bounds(model, data, geoms)
    else:
        low = high = data.xpos[1:]
    soles = [model.geom(geom).id for foot in robot.feet for geom in foot.geoms]
    floor = geom_bounds(model, data, soles)[0][:, 2].min() if soles else low[:, 2].min()
    origin = np.array([*robot.nominal_qpos[:2], 0.0])
    corners = _corners(low, high)
    height = max(float(high[:, 2].max()), 1e-3)
    middle = np.array([*origin[:2], height / 2.0])
    radius = float(np.linalg.norm(corners - middle, axis=1).max())
    return RobotExtent(corners - origin, float(floor), height, max(radius, 1e-3))


def visible_geoms(model: mujoco.MjModel) -> list[int]:
    """Ids of the geoms to show: groups 0 to 2, as in MuJoCo; all where these groups are empty."""
    own = [geom for geom in range(model.ngeom) if model.geom_bodyid[geom] > 0]
    return [geom for geom in own if model.geom_group[geom] < 3] or own


def add_visual_geoms(spec: mujoco.MjSpec, robot: Robot) -> list[mujoco.MjsBody]:
    """Add one mocap body with visual geoms for each body of the robot, in its order."""
    return _VisualGeoms(spec, robot).add()


class _VisualGeoms:
    """Adds the visual geoms of one robot to a specification."""

    def __init__(self, spec: mujoco.MjSpec, robot: Robot) -> None:
        self.spec, self.robot, self.model = spec, robot, robot.model
        self.extent = robot_extent(robot)
        self.bone_radius = _BONE_RADIUS * self.extent.radius
        colours = ROBOT_COLOURS.get(robot.kind, BodyColours())
        self.colours, self.feet_colour = _body_colours(robot, colours), colours.feet
        self.bodies = [spec.worldbody.add_body(mocap=True) for _ in range(1, self.model.nbody)]

    def add(self) -> list[mujoco.MjsBody]:
        self._add_copies()
        self._add_soles()
        self._add_bones()
        self._add_loops()
        self._add_connections()
        return self.bodies

    def _add_copies(self) -> None:
        model, feet = self.model, {geom for foot in self.robot.feet for geom in foot.geoms}
        for geom in visible_geoms(model):
            body = int(model.geom_bodyid[geom])
            foot = model.geom(geom).name in feet
            colour = self.feet_colour if foot else self.colours[body]
            self._add_copy(geom, self.bodies[body - 1], colour)

    def _add_copy(self, geom: int, target: mujoco.MjsBody, colour: Colour) -> None:
        model, kind = self.model, mujoco.mjtGeom(self.model.geom_type[geom])
        place = {"pos": model.geom_pos[geom], "quat": model.geom_quat[geom], "rgba": [*colour, 1.0]}
        if kind != mujoco.mjtGeom.mjGEOM_MESH:
            target.add_geom(type=kind, size=model.geom_size[geom], **place)
            return
        mesh = model.mesh(int(model.geom_dataid[geom]))
        points = slice(int(mesh.vertadr[0]), int(mesh.vertadr[0] + mesh.vertnum[0]))
        faces = slice(int(mesh.faceadr[0]), int(mesh.faceadr[0] + mesh.facenum[0]))
        copy = self.spec.add_mesh(
            name=f"mesh{len(self.spec.meshes)}",
            uservert=model.mesh_vert[points].ravel(),
            userface=model.mesh_face[faces].ravel(),
        )
        target.add_geom(type=kind, meshname=copy.name, **place)

    def _add_soles(self) -> None:
        """A plate under each foot of three or more small geoms, which alone would hardly show."""
        model, data = self.model, _standing(self.robot)
        for foot in self.robot.feet:
            geoms = [model.geom(geom).id for geom in foot.geoms]
            low, high = geom_bounds(model, data, geoms)
            flat = high[:, 2] < low[:, 2].min() + _SOLE_HEIGHT * self.extent.height
            bodies = {int(model.geom_bodyid[geom]) for geom in geoms}
            if flat.sum() < 3 or len(bodies) > 1:
                continue
            low, high, body = low[flat], high[flat], bodies.pop()
            high[:, 2] = np.maximum(
                high[:, 2], low[:, 2].min() + _SOLE_THICKNESS * self.extent.height
            )
            rotation = data.xmat[body].reshape(3, 3)
            self._add_sole(body, (_corners(low, high) - data.xpos[body]) @ rotation)

    def _add_sole(self, body: int, points: Float[np.ndarray, "n 3"]) -> None:
        plate = self.spec.add_mesh(name=f"mesh{len(self.spec.meshes)}", uservert=points.ravel())
        self.bodies[body - 1].add_geom(
            type=mujoco.mjtGeom.mjGEOM_MESH, meshname=plate.name, rgba=[*self.feet_colour, 1.0]
        )

    def _add_bones(self) -> None:
        """Bones from each body to its children."""
        for body in range(1, self.model.nbody):
            parent = int(self.model.body_parentid[body])
            if parent:
                self._add_bone(parent, np.zeros(3), self.model.body_pos[body])

    def _add_loops(self) -> None:
        """Bones to the points at which closed kinematic loops are connected."""
        model = self.model
        for index in np.flatnonzero(model.eq_type == mujoco.mjtEq.mjEQ_CONNECT):
            if model.eq_objtype[index] != mujoco.mjtObj.mjOBJ_BODY:
                continue
            ends = (int(model.eq_obj1id[index]), int(model.eq_obj2id[index]))
            for body, pin in zip(ends, model.eq_data[index, :6].reshape(2, 3), strict=True):
                if body:
                    self._add_bone(body, np.zeros(3), pin)

    def _add_connections(self) -> None:
        """Bones from each body's joint to those of its geoms that would float."""
        for body in range(2, self.model.nbody):
            # The parent's bone ends here, in the parent's colour; this sphere lies just below it.
            self.bodies[body - 1].add_geom(
                type=mujoco.mjtGeom.mjGEOM_SPHERE,
                size=[0.9 * self.bone_radius, 0.0, 0.0],
                rgba=[*self.colours[body], 1.0],
            )
        model = self.spec.compile()
        data = mujoco.MjData(model)
        mujoco.mj_kinematics(model, data)
        ids = [body.id for body in self.bodies]  # MuJoCo resets them when a geom is added
        for body, own in enumerate(ids, start=1):
            geoms = np.flatnonzero(model.geom_bodyid == own)
            for start, end in _gaps(model, data, geoms, 0.5 * self.bone_radius):
                self._add_bone(body, start, end)

    def _add_bone(
        self, body: int, start: Float[np.ndarray, "3"], end: Float[np.ndarray, "3"]
    ) -> None:
        if np.linalg.norm(end - start) < 1e-6:
            return
        self.bodies[body - 1].add_geom(
            type=mujoco.mjtGeom.mjGEOM_CAPSULE,
            fromto=[*start, *end],
            size=[self.bone_radius, 0.0, 0.0],
            rgba=[*self.colours[body], 1.0],
        )


def _gaps(
    model: mujoco.MjModel, data: mujoco.MjData, geoms: Int[np.ndarray, "n"], touching: float
) -> list[Float[np.ndarray, "2 3"]]:
    """Shortest segments that connect all geoms (a minimum spanning tree), each above `touching`."""
    if len(geoms) < 2:
        return []
    sizes, segments = {}, {}
    for pair in combinations(map(int, geoms), 2):
        segment = np.zeros(6)
        sizes[pair] = mujoco.mj_geomDistance(model, data, *pair, 1e3, segment)
        segments[pair] = segment.reshape(2, 3)
    joined, gaps = {int(geoms[-1])}, []
    while len(joined) < len(geoms):
        nearest = min((pair for pair in sizes if len(joined & {*pair}) == 1), key=sizes.__getitem__)
        joined |= {*nearest}
        if sizes[nearest] > touching:
            gaps.append(segments[nearest])
    return gaps


def _standing(robot: Robot) -> mujoco.MjData:
    data = mujoco.MjData(robot.model)
    data.qpos[:] = robot.nominal_qpos
    mujoco.mj_kinematics(robot.model, data)
    return data


def _corners(
    low: Float[np.ndarray, "n 3"], high: Float[np.ndarray, "n 3"]
) -> Float[np.ndarray, "_ 3"]:
    """The eight corners of each box."""
    return np.concatenate([np.where(choice, high, low) for choice in np.ndindex(2, 2, 2)])


def _body_colours(robot: Robot, colours: BodyColours) -> list[Colour]:
    """One colour for each body: the trunk's for the core, two alternating ones for limbs.

    The core is the trunk and every body that carries two or more limbs.
    """
    parents, driven = robot.model.body_parentid, {*robot.joint_bodies}
    depth, ends = [0] * robot.model.nbody, [0] * robot.model.nbody
    inner = {body for child in driven for body in _ancestors(parents, child)}
    for end in driven - inner:
        for body in _ancestors(parents, end):
            ends[body] += 1
    trunk = robot.model.body(robot.trunk).id
    is_core = [body == trunk or count > 1 for body, count in enumerate(ends)]
    for body in range(1, robot.model.nbody):
        depth[body] = 0 if is_core[body] else depth[parents[body]] + 1
    return [
        colours.trunk if core else colours.limbs[depth[body] % 2]
        for body, core in enumerate(is_core)
    ]


def _ancestors(parents: Int[np.ndarray, "B"], body: int) -> Iterator[int]:
    """Ancestors of a body, the world last."""
    while body:
        body = int(parents[body])
        yield body
