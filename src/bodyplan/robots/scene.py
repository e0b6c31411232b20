"""What a picture of a walking robot shows: a puppet of it, a floor and a camera, whoever draws it.

The puppet has every visible shape of the robot in plain colours, and a thin bone from each body to
the next, so that a model whose shapes serve only collision still looks like one body. The camera
follows the trunk over the floor without turning or bobbing, so that the tiles passing beneath
(0.5 m each) show the speed and the legs show the gait. Floor fills the whole picture.
"""

from dataclasses import dataclass

import mujoco
import numpy as np
from jaxtyping import Float

from bodyplan.robots.robot import Robot

TILE = 0.5
"""Edge of a floor tile, m."""
AZIMUTH, ELEVATION, FIELD_OF_VIEW = 125.0, -24.0, 40.0
"""Degrees, in MuJoCo's convention; the field of view is vertical and excludes the horizon."""
LAMP = (-1.2, -2.0, 5.0)
"""From the point looked at to the lamp, in radii of the robot."""
FLOOR_GROUP = 5
"""Geom group of the puppet's floor; the robot's shapes are in group 0."""
FLOOR, FLOOR_DARK = (0.925, 0.92, 0.905), (0.865, 0.86, 0.845)

_TRUNK, _LIMBS, _FEET = (
    (0.20, 0.27, 0.35),
    ((0.47, 0.56, 0.65), (0.65, 0.72, 0.78)),
    (0.84, 0.37, 0.0),
)
_BONE = 0.02  # radius in radii of the robot
_FILL = 2.6  # camera distance in radii of the robot
_CALM = 25  # frames over which the camera's path is averaged


@dataclass(frozen=True, eq=False)
class Scene:
    """A puppet in T poses with a camera to see it by."""

    puppet: mujoco.MjModel
    """One mocap body for each body of the robot."""
    positions: Float[np.ndarray, "T B 3"]
    rotations: Float[np.ndarray, "T B 4"]
    look_at: Float[np.ndarray, "T 3"]
    distance: float
    """Metres from the camera to the point it looks at."""
    radius: float
    """Metres from that point within which the robot lies."""


def compose(robot: Robot, poses: Float[np.ndarray, "T nq"]) -> Scene:
    """Set the puppet up in every pose and plan the camera's path along them."""
    model, data = robot.model, mujoco.MjData(robot.model)
    positions, rotations = np.zeros((len(poses), model.nbody - 1, 3)), []
    for index, pose in enumerate(poses):
        data.qpos[:] = pose
        mujoco.mj_kinematics(model, data)
        positions[index] = data.xpos[1:]
        rotations.append(data.xquat[1:].copy())
    height, radius = _extent(robot)
    path = np.column_stack([_calm(poses[:, 0]), _calm(poses[:, 1]), np.full(len(poses), height)])
    puppet = _puppet(robot, radius)
    return Scene(puppet, positions, np.array(rotations), path, _FILL * radius, radius)


def camera_axes() -> tuple[Float[np.ndarray, "3"], Float[np.ndarray, "3"], Float[np.ndarray, "3"]]:
    """Unit vectors right, up and forward of the camera."""
    azimuth, elevation = np.radians([AZIMUTH, ELEVATION])
    flat = np.array([np.cos(azimuth), np.sin(azimuth), 0.0])
    forward = np.cos(elevation) * flat + np.array([0.0, 0.0, np.sin(elevation)])
    right = np.array([flat[1], -flat[0], 0.0])
    return right, np.cross(right, forward), forward


def _shapes(model: mujoco.MjModel) -> list[int]:
    """Geoms of the robot to show: groups 0 to 2, as MuJoCo does, unless there are none."""
    own = [geom for geom in range(model.ngeom) if model.geom_bodyid[geom] > 0]
    return [geom for geom in own if model.geom_group[geom] < 3] or own


def _extent(robot: Robot) -> tuple[float, float]:
    """Middle height of the robot when it stands, and its radius about that point (m)."""
    model, data = robot.model, mujoco.MjData(robot.model)
    data.qpos[:] = robot.nominal_qpos
    mujoco.mj_kinematics(model, data)
    shapes = _shapes(model)
    centres = data.geom_xpos[shapes] if shapes else data.xpos[1:]
    reach = model.geom_rbound[shapes] if shapes else np.zeros(len(centres))
    height = max(centres[:, 2].max() / 2.0, 1e-3)
    middle = np.array([*robot.nominal_qpos[:2], height])
    return float(height), float((np.linalg.norm(centres - middle, axis=1) + reach).max())


def _puppet(robot: Robot, radius: float) -> mujoco.MjModel:
    """The robot's shapes and bones on mocap bodies, with a tiled floor and a lamp that follows."""
    model, spec = robot.model, mujoco.MjSpec()
    spec.visual.global_.fovy = FIELD_OF_VIEW
    spec.stat.extent = 2.0 * radius  # how far around the lamp's aim shadows are drawn
    spec.visual.quality.shadowsize = 1024  # the default takes software renderers seconds
    spec.visual.headlight.ambient[:], spec.visual.headlight.diffuse[:] = 0.5, 0.2
    spec.visual.headlight.specular[:] = 0.0
    _add_floor(spec)
    colours, feet = _body_colours(robot), {geom for foot in robot.feet for geom in foot.geoms}
    puppets = [spec.worldbody.add_body(mocap=True) for _ in range(1, model.nbody)]
    _add_lamp(puppets[model.body(robot.trunk).id - 1], radius)
    for geom in _shapes(model):
        body = int(model.geom_bodyid[geom])
        colour = _FEET if model.geom(geom).name in feet else colours[body]
        _copy_shape(spec, puppets[body - 1], model, geom, colour)
    for body in range(1, model.nbody):
        parent = int(model.body_parentid[body])
        if parent and np.linalg.norm(model.body_pos[body]) > 1e-6:
            puppets[parent - 1].add_geom(
                type=mujoco.mjtGeom.mjGEOM_CAPSULE,
                fromto=[0.0, 0.0, 0.0, *model.body_pos[body]],
                size=[_BONE * radius, 0.0, 0.0],
                rgba=[*colours[parent], 1.0],
            )
    return spec.compile()


def _add_floor(spec: mujoco.MjSpec) -> None:
    spec.add_texture(
        name="tiles",
        type=mujoco.mjtTexture.mjTEXTURE_2D,
        builtin=mujoco.mjtBuiltin.mjBUILTIN_CHECKER,
        rgb1=FLOOR,
        rgb2=FLOOR_DARK,
        width=128,
        height=128,
    )
    # The texture is two tiles wide, and an infinite plane repeats it once a metre.
    tiles = spec.add_material(name="tiles", texrepeat=[0.5 / TILE, 0.5 / TILE], texuniform=True)
    tiles.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = "tiles"
    spec.worldbody.add_geom(
        type=mujoco.mjtGeom.mjGEOM_PLANE, size=[0.0, 0.0, 0.1], material="tiles", group=FLOOR_GROUP
    )


def _add_lamp(trunk: mujoco.MjsBody, radius: float) -> None:
    lamp = np.array(LAMP)
    trunk.add_light(
        mode=mujoco.mjtCamLight.mjCAMLIGHT_TRACK,
        type=mujoco.mjtLightType.mjLIGHT_DIRECTIONAL,
        pos=radius * lamp,
        dir=-lamp,
        diffuse=[0.5, 0.5, 0.5],
        specular=[0.1, 0.1, 0.1],
        castshadow=True,
    )


def _copy_shape(
    spec: mujoco.MjSpec,
    puppet: mujoco.MjsBody,
    model: mujoco.MjModel,
    geom: int,
    colour: tuple[float, ...],
) -> None:
    kind = mujoco.mjtGeom(model.geom_type[geom])
    place = {"pos": model.geom_pos[geom], "quat": model.geom_quat[geom], "rgba": [*colour, 1.0]}
    if kind != mujoco.mjtGeom.mjGEOM_MESH:
        puppet.add_geom(type=kind, size=model.geom_size[geom], **place)
        return
    mesh = model.mesh(int(model.geom_dataid[geom]))
    points = slice(int(mesh.vertadr[0]), int(mesh.vertadr[0] + mesh.vertnum[0]))
    faces = slice(int(mesh.faceadr[0]), int(mesh.faceadr[0] + mesh.facenum[0]))
    name = f"mesh{geom}"
    spec.add_mesh(
        name=name,
        uservert=model.mesh_vert[points].ravel(),
        userface=model.mesh_face[faces].ravel(),
    )
    puppet.add_geom(type=kind, meshname=name, **place)


def _body_colours(robot: Robot) -> list[tuple[float, ...]]:
    """Dark trunk, limbs in two tones that alternate along the chain."""
    model, trunk = robot.model, robot.model.body(robot.trunk).id
    depth = [0] * model.nbody
    for body in range(1, model.nbody):
        depth[body] = 0 if body == trunk else depth[model.body_parentid[body]] + 1
    return [_TRUNK if body == trunk else _LIMBS[depth[body] % 2] for body in range(model.nbody)]


def _calm(values: Float[np.ndarray, "T"]) -> Float[np.ndarray, "T"]:
    """Moving average that keeps the ends in place by mirroring the path at them."""
    half = min(_CALM // 2, len(values) - 1)
    before, after = 2 * values[0] - values[half:0:-1], 2 * values[-1] - values[-2 : -half - 2 : -1]
    padded = np.concatenate([before, values, after])
    return np.convolve(padded, np.full(2 * half + 1, 1.0 / (2 * half + 1)), mode="valid")
