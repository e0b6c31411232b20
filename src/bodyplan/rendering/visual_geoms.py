"""The puppet of a robot: what a picture shows of it, on bodies that can be put anywhere.

A puppet has every visible shape of the robot in plain colours. Many models have shapes only where
they collide, and say the rest by joints; the puppet says it by thin bones: from each body to the
next, around closed loops, and from a body to those of its shapes that would float. A foot that
stands on a few small points gets the sole which they span.
"""

from collections.abc import Iterator
from itertools import combinations
from typing import NamedTuple

import mujoco
import numpy as np
from jaxtyping import Float, Int

from bodyplan.robots.kinematic_tree import bounds
from bodyplan.robots.robot import Robot

Colour = tuple[float, float, float]


class Colours(NamedTuple):
    """One colour for each part of a body; limbs alternate along the chain."""

    trunk: Colour = (0.20, 0.27, 0.35)
    limbs: tuple[Colour, Colour] = ((0.47, 0.56, 0.65), (0.65, 0.72, 0.78))
    feet: Colour = (0.84, 0.37, 0.0)


COLOURS = {
    "quadruped": Colours((0.12, 0.29, 0.46), ((0.36, 0.53, 0.69), (0.60, 0.72, 0.82))),
    "biped": Colours((0.09, 0.36, 0.36), ((0.33, 0.58, 0.57), (0.58, 0.75, 0.73))),
    "hexapod": Colours((0.36, 0.22, 0.42), ((0.56, 0.45, 0.64), (0.74, 0.66, 0.80))),
}
"""By a robot's kind, so that kinds are told apart at a glance."""
BONE = 0.02
"""Radius of a bone in radii of the robot."""
SOLE_THICKNESS = 0.012
"""Thickness of a sole in heights of the robot."""
_FLAT = 0.05  # shapes that lie below this share of the height can be points of a sole


class Extent(NamedTuple):
    """How large a robot is as it stands."""

    corners: Float[np.ndarray, "n 3"]
    """Of the boxes around its shapes, the floor point under the trunk being the origin (m)."""
    low: float
    """m: of its feet."""
    height: float
    """m: of its highest shape."""
    radius: float
    """m: about the point at half its height."""


def extent(robot: Robot) -> Extent:
    """Measure a robot in its nominal pose."""
    model, data = robot.model, _standing(robot)
    shapes = visible(model)
    if shapes:
        low, high = bounds(model, data, shapes)
    else:
        low = high = data.xpos[1:]
    soles = [model.geom(geom).id for foot in robot.feet for geom in foot.geoms]
    floor = bounds(model, data, soles)[0][:, 2].min() if soles else low[:, 2].min()
    origin = np.array([*robot.nominal_qpos[:2], 0.0])
    corners = _corners(low, high)
    height = max(float(high[:, 2].max()), 1e-3)
    middle = np.array([*origin[:2], height / 2.0])
    radius = float(np.linalg.norm(corners - middle, axis=1).max())
    return Extent(corners - origin, float(floor), height, max(radius, 1e-3))


def visible(model: mujoco.MjModel) -> list[int]:
    """Geoms of the robot to show: groups 0 to 2, as MuJoCo does, unless there are none."""
    own = [geom for geom in range(model.ngeom) if model.geom_bodyid[geom] > 0]
    return [geom for geom in own if model.geom_group[geom] < 3] or own


def add_visual_geoms(spec: mujoco.MjSpec, robot: Robot) -> list[mujoco.MjsBody]:
    """Add one mocap body for each body of the robot, in its order, with what they show."""
    return _Maker(spec, robot).make()


class _Maker:
    """Builds one puppet."""

    def __init__(self, spec: mujoco.MjSpec, robot: Robot) -> None:
        self.spec, self.robot, self.model = spec, robot, robot.model
        self.extent = extent(robot)
        self.thickness = BONE * self.extent.radius
        colours = COLOURS.get(robot.kind, Colours())
        self.colours, self.feet_colour = _body_colours(robot, colours), colours.feet
        self.bodies = [spec.worldbody.add_body(mocap=True) for _ in range(1, self.model.nbody)]

    def make(self) -> list[mujoco.MjsBody]:
        self._shapes()
        self._soles()
        self._bones()
        self._loops()
        self._joins()
        return self.bodies

    def _shapes(self) -> None:
        model, feet = self.model, {geom for foot in self.robot.feet for geom in foot.geoms}
        for geom in visible(model):
            body = int(model.geom_bodyid[geom])
            foot = model.geom(geom).name in feet
            self._copy(
                geom, self.bodies[body - 1], self.feet_colour if foot else self.colours[body]
            )

    def _copy(self, geom: int, puppet: mujoco.MjsBody, colour: Colour) -> None:
        model, kind = self.model, mujoco.mjtGeom(self.model.geom_type[geom])
        place = {"pos": model.geom_pos[geom], "quat": model.geom_quat[geom], "rgba": [*colour, 1.0]}
        if kind != mujoco.mjtGeom.mjGEOM_MESH:
            puppet.add_geom(type=kind, size=model.geom_size[geom], **place)
            return
        mesh = model.mesh(int(model.geom_dataid[geom]))
        points = slice(int(mesh.vertadr[0]), int(mesh.vertadr[0] + mesh.vertnum[0]))
        faces = slice(int(mesh.faceadr[0]), int(mesh.faceadr[0] + mesh.facenum[0]))
        copy = self.spec.add_mesh(
            name=f"mesh{len(self.spec.meshes)}",
            uservert=model.mesh_vert[points].ravel(),
            userface=model.mesh_face[faces].ravel(),
        )
        puppet.add_geom(type=kind, meshname=copy.name, **place)

    def _soles(self) -> None:
        """A plate under each foot of three small shapes or more, which hardly show themselves."""
        model, data = self.model, _standing(self.robot)
        for foot in self.robot.feet:
            geoms = [model.geom(geom).id for geom in foot.geoms]
            low, high = bounds(model, data, geoms)
            flat = high[:, 2] < low[:, 2].min() + _FLAT * self.extent.height
            bodies = {int(model.geom_bodyid[geom]) for geom in geoms}
            if flat.sum() < 3 or len(bodies) > 1:
                continue
            low, high, body = low[flat], high[flat], bodies.pop()
            high[:, 2] = np.maximum(
                high[:, 2], low[:, 2].min() + SOLE_THICKNESS * self.extent.height
            )
            turn = data.xmat[body].reshape(3, 3)
            self._plate(body, (_corners(low, high) - data.xpos[body]) @ turn)

    def _plate(self, body: int, points: Float[np.ndarray, "n 3"]) -> None:
        plate = self.spec.add_mesh(name=f"mesh{len(self.spec.meshes)}", uservert=points.ravel())
        self.bodies[body - 1].add_geom(
            type=mujoco.mjtGeom.mjGEOM_MESH, meshname=plate.name, rgba=[*self.feet_colour, 1.0]
        )

    def _bones(self) -> None:
        for body in range(1, self.model.nbody):
            parent = int(self.model.body_parentid[body])
            if parent:
                self._bone(parent, np.zeros(3), self.model.body_pos[body])

    def _loops(self) -> None:
        """Bones to the points at which closed loops are pinned together."""
        model = self.model
        for index in np.flatnonzero(model.eq_type == mujoco.mjtEq.mjEQ_CONNECT):
            if model.eq_objtype[index] != mujoco.mjtObj.mjOBJ_BODY:
                continue
            ends = (int(model.eq_obj1id[index]), int(model.eq_obj2id[index]))
            for body, pin in zip(ends, model.eq_data[index, :6].reshape(2, 3), strict=True):
                if body:
                    self._bone(body, np.zeros(3), pin)

    def _joins(self) -> None:
        """Bones from each body's joint to its shapes that nothing connects to it."""
        for body in range(2, self.model.nbody):
            # The parent's bone ends here, in the parent's colour; this lies just below it.
            self.bodies[body - 1].add_geom(
                type=mujoco.mjtGeom.mjGEOM_SPHERE,
                size=[0.9 * self.thickness, 0.0, 0.0],
                rgba=[*self.colours[body], 1.0],
            )
        model = self.spec.compile()
        data = mujoco.MjData(model)
        mujoco.mj_kinematics(model, data)
        ids = [puppet.id for puppet in self.bodies]  # forgotten at the first addition
        for body, own in enumerate(ids, start=1):
            geoms = np.flatnonzero(model.geom_bodyid == own)
            for start, end in _gaps(model, data, geoms, 0.5 * self.thickness):
                self._bone(body, start, end)

    def _bone(self, body: int, start: Float[np.ndarray, "3"], end: Float[np.ndarray, "3"]) -> None:
        if np.linalg.norm(end - start) < 1e-6:
            return
        self.bodies[body - 1].add_geom(
            type=mujoco.mjtGeom.mjGEOM_CAPSULE,
            fromto=[*start, *end],
            size=[self.thickness, 0.0, 0.0],
            rgba=[*self.colours[body], 1.0],
        )


def _gaps(
    model: mujoco.MjModel, data: mujoco.MjData, geoms: Int[np.ndarray, "n"], touching: float
) -> list[Float[np.ndarray, "2 3"]]:
    """The fewest and shortest segments that join shapes to one piece; none up to `touching` (m)."""
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
    """Of boxes, eight each."""
    return np.concatenate([np.where(choice, high, low) for choice in np.ndindex(2, 2, 2)])


def _body_colours(robot: Robot, colours: Colours) -> list[Colour]:
    """The trunk with what carries two limbs or more of its own, and limbs in two tones in turn."""
    parents, driven = robot.model.body_parentid, {*robot.joint_bodies}
    depth, ends = [0] * robot.model.nbody, [0] * robot.model.nbody
    inner = {body for own in driven for body in _above(parents, own)}
    for end in driven - inner:
        for body in _above(parents, end):
            ends[body] += 1
    trunk = robot.model.body(robot.trunk).id
    core = [body == trunk or count > 1 for body, count in enumerate(ends)]
    for body in range(1, robot.model.nbody):
        depth[body] = 0 if core[body] else depth[parents[body]] + 1
    return [colours.trunk if own else colours.limbs[depth[b] % 2] for b, own in enumerate(core)]


def _above(parents: Int[np.ndarray, "B"], body: int) -> Iterator[int]:
    """The bodies that carry a body."""
    while body:
        body = int(parents[body])
        yield body
