"""What a picture of robots shows: puppets of them, a floor and a camera, whoever draws it.

In a film the camera follows the trunk over the floor without turning or bobbing, so that the tiles
passing beneath (0.5 m each) show the speed and the legs show the gait. A group of robots stands
where their poses put them. Floor fills the whole picture.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import mujoco
import numpy as np
from jaxtyping import Float

from bodyplan.rendering.camera import Camera
from bodyplan.rendering.visual_geoms import add_visual_geoms, extent
from bodyplan.robots.robot import Robot

TILE = 0.5
"""Edge of a floor tile, m."""
LAMP = (-1.2, -2.0, 5.0)
"""From the point looked at to the lamp, in radii of the scene."""
FLOOR_GROUP = 5
"""Geom group of the floor; the robots' shapes are in group 0."""
FLOOR, FLOOR_DARK = (0.925, 0.92, 0.905), (0.865, 0.86, 0.845)

STEADY = Camera()
"""The camera of films."""
_MARGIN = 1.12
"""What the picture of one robot has room for, over what the robot fills as it stands."""
_SHADOW = 4096  # pixels; film takes half of it, since software renderers take seconds for all
_CALM = 25  # frames over which the camera's path is averaged


@dataclass(frozen=True, eq=False)
class Scene:
    """Puppets in T poses with a camera to see them by."""

    puppet: mujoco.MjModel
    """One mocap body for each body of each robot."""
    positions: Float[np.ndarray, "T B 3"]
    rotations: Float[np.ndarray, "T B 4"]
    look_at: Float[np.ndarray, "T 3"]
    distance: float
    """Metres from the camera to the point it looks at."""
    radius: float
    """Metres from that point within which the robots lie."""
    camera: Camera = STEADY


def compose(robot: Robot, poses: Float[np.ndarray, "T nq"], aspect: float = 4.0 / 3.0) -> Scene:
    """Set one robot's puppet up in every pose and plan the camera's path along them.

    Args:
        robot: whom to show.
        poses: positions of all its joints, the free one first.
        aspect: width of the picture over its height.
    """
    size, camera = extent(robot), STEADY
    middle = np.array([0.0, 0.0, size.height / 2.0])
    flat = [_calm(poses[:, axis]) for axis in (0, 1)]
    path = np.column_stack([*flat, np.full(len(poses), middle[2])])
    distance = _MARGIN * camera.distance(size.corners - middle, aspect)
    spec = _stage(camera, size.radius, _SHADOW // 2)
    _add_lamp(add_visual_geoms(spec, robot)[robot.model.body(robot.trunk).id - 1], size.radius)
    positions, rotations = _places(robot, poses)
    return Scene(spec.compile(), positions, rotations, path, distance, size.radius, camera)


def gather(
    robots: Sequence[Robot],
    poses: Sequence[Float[np.ndarray, "_"]],
    camera: Camera,
    look_at: Float[np.ndarray, "3"],
    distance: float,
) -> Scene:
    """Set several robots up on one floor, each in one pose, which says where it stands.

    Args:
        robots: whom to show; one may be there twice.
        poses: of each robot, positions of all its joints, the free one first.
        camera: its directions.
        look_at: the point in the middle of the picture, m.
        distance: from the camera to that point, m.
    """
    places = [_places(robot, pose[None]) for robot, pose in zip(robots, poses, strict=True)]
    positions, rotations = (np.concatenate(parts, axis=1) for parts in zip(*places, strict=True))
    radius = float(np.linalg.norm(positions - look_at, axis=2).max())
    spec = _stage(camera, radius, _SHADOW)
    _add_lamp(spec.worldbody.add_body(mocap=True, pos=look_at), radius)
    for robot in robots:
        add_visual_geoms(spec, robot)
    still = np.broadcast_to(look_at, (1, 1, 3)), np.array([[[1.0, 0.0, 0.0, 0.0]]])
    return Scene(
        spec.compile(),
        np.concatenate([still[0], positions], axis=1),
        np.concatenate([still[1], rotations], axis=1),
        look_at[None],
        distance,
        radius,
        camera,
    )


def _places(
    robot: Robot, poses: Float[np.ndarray, "T nq"]
) -> tuple[Float[np.ndarray, "T B 3"], Float[np.ndarray, "T B 4"]]:
    """Position and attitude of every body in every pose."""
    model, data = robot.model, mujoco.MjData(robot.model)
    positions, rotations = [], []
    for pose in poses:
        data.qpos[:] = pose
        mujoco.mj_kinematics(model, data)
        positions.append(data.xpos[1:].copy())
        rotations.append(data.xquat[1:].copy())
    return np.array(positions), np.array(rotations)


def _stage(camera: Camera, radius: float, shadow: int) -> mujoco.MjSpec:
    """A tiled floor in even light, without a lamp; `shadow` is the edge of MuJoCo's shadow map."""
    spec = mujoco.MjSpec()
    spec.visual.global_.fovy = camera.field_of_view
    spec.stat.extent = 2.0 * radius
    spec.visual.map.shadowclip = 2.0  # extents around the lamp's aim in which shadows are drawn
    spec.visual.quality.shadowsize = shadow
    spec.visual.headlight.ambient[:], spec.visual.headlight.diffuse[:] = 0.5, 0.2
    spec.visual.headlight.specular[:] = 0.0
    spec.add_texture(
        name="tiles",
        type=mujoco.mjtTexture.mjTEXTURE_2D,
        builtin=mujoco.mjtBuiltin.mjBUILTIN_CHECKER,
        rgb1=FLOOR_DARK,  # in this order, both renderers have the same tiles dark
        rgb2=FLOOR,
        width=128,
        height=128,
    )
    # The texture is two tiles wide, and an infinite plane repeats it every two metres.
    tiles = spec.add_material(name="tiles", texrepeat=[1.0 / TILE, 1.0 / TILE], texuniform=True)
    tiles.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = "tiles"
    spec.worldbody.add_geom(
        type=mujoco.mjtGeom.mjGEOM_PLANE, size=[0.0, 0.0, 0.1], material="tiles", group=FLOOR_GROUP
    )
    return spec


def _add_lamp(body: mujoco.MjsBody, radius: float) -> None:
    lamp = np.array(LAMP)
    body.add_light(
        mode=mujoco.mjtCamLight.mjCAMLIGHT_TRACK,
        type=mujoco.mjtLightType.mjLIGHT_DIRECTIONAL,
        pos=radius * lamp,
        dir=-lamp,
        diffuse=[0.5, 0.5, 0.5],
        specular=[0.1, 0.1, 0.1],
        castshadow=True,
    )


def _calm(values: Float[np.ndarray, "T"]) -> Float[np.ndarray, "T"]:
    """Moving average that keeps the ends in place by mirroring the path at them."""
    half = min(_CALM // 2, len(values) - 1)
    before, after = 2 * values[0] - values[half:0:-1], 2 * values[-1] - values[-2 : -half - 2 : -1]
    padded = np.concatenate([before, values, after])
    return np.convolve(padded, np.full(2 * half + 1, 1.0 / (2 * half + 1)), mode="valid")
