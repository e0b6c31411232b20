"""The scene of an image: visual geoms of robots, a tiled floor, a light and a camera.

In a video, the camera follows the trunk over the floor. It does not rotate or bob, so the passing
tiles (0.5 m each) show the speed and the legs show the gait. In a lineup, each robot stands where
its pose puts it. The floor fills the whole image.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import mujoco
import numpy as np
from jaxtyping import Float

from bodyplan.rendering.camera import Camera
from bodyplan.rendering.visual_geoms import add_visual_geoms, robot_extent
from bodyplan.robots.robot import Robot

TILE = 0.5
"""Edge of a floor tile, m."""
LIGHT_OFFSET = (-1.2, -2.0, 5.0)
"""From the point looked at to the light, in radii of the scene."""
FLOOR_GROUP = 5
"""Geom group of the floor; the robots' geoms are in group 0."""
FLOOR_COLOUR, FLOOR_DARK_COLOUR = (0.925, 0.92, 0.905), (0.865, 0.86, 0.845)

VIDEO_CAMERA = Camera()
_MARGIN = 1.12  # size of the image over that of the standing robot
_SHADOW_MAP = 4096  # pixels; videos take half of it, because software renderers are slow
_SMOOTHING_FRAMES = 17  # frames (a second of a video) over which the camera's path is averaged


@dataclass(frozen=True, eq=False)
class Scene:
    """Robots in T poses, with a camera that follows them."""

    model: mujoco.MjModel
    """Visual geoms of the robots, on one mocap body for each body of each robot."""
    positions: Float[np.ndarray, "T B 3"]
    """Of the mocap bodies, m."""
    rotations: Float[np.ndarray, "T B 4"]
    """Of the mocap bodies, quaternions (w, x, y, z)."""
    look_at: Float[np.ndarray, "T 3"]
    """The point in the middle of each image, m."""
    distance: float
    """From the camera to that point, m."""
    radius: float
    """Of a sphere about that point which contains the robots, m."""
    camera: Camera = VIDEO_CAMERA


def robot_scene(robot: Robot, poses: Float[np.ndarray, "T nq"], aspect: float = 4 / 3) -> Scene:
    """The scene of one robot in T poses, with a camera that follows it.

    Args:
        robot: the robot to show.
        poses: positions of all its joints, the free joint first.
        aspect: width of the image over its height.
    """
    extent, camera = robot_extent(robot), VIDEO_CAMERA
    middle = np.array([0.0, 0.0, extent.height / 2.0])
    path = [_smoothed(poses[:, axis]) for axis in (0, 1)]
    look_at = np.column_stack([*path, np.full(len(poses), middle[2])])
    distance = _MARGIN * camera.distance(extent.corners - middle, aspect)
    spec = _floor_spec(camera, extent.radius, _SHADOW_MAP // 2)
    bodies = add_visual_geoms(spec, robot)
    _add_light(bodies[robot.model.body(robot.trunk).id - 1], extent.radius)
    positions, rotations = _body_poses(robot, poses)
    return Scene(spec.compile(), positions, rotations, look_at, distance, extent.radius, camera)


def lineup_scene(
    robots: Sequence[Robot],
    poses: Sequence[Float[np.ndarray, "_"]],
    camera: Camera,
    look_at: Float[np.ndarray, "3"],
    distance: float,
) -> Scene:
    """The scene of several robots on one floor, each in one pose.

    Args:
        robots: the robots to show; one may appear twice.
        poses: of each robot, positions of all its joints, the free joint first.
        camera: its directions.
        look_at: the point in the middle of the image, m.
        distance: from the camera to that point, m.
    """
    parts = [_body_poses(robot, pose[None]) for robot, pose in zip(robots, poses, strict=True)]
    positions, rotations = (np.concatenate(part, axis=1) for part in zip(*parts, strict=True))
    radius = float(np.linalg.norm(positions - look_at, axis=2).max())
    spec = _floor_spec(camera, radius, _SHADOW_MAP)
    _add_light(spec.worldbody.add_body(mocap=True, pos=look_at), radius)
    for robot in robots:
        add_visual_geoms(spec, robot)
    # The body that carries the light comes first and stays at the point looked at.
    light = np.broadcast_to(look_at, (1, 1, 3)), np.array([[[1.0, 0.0, 0.0, 0.0]]])
    return Scene(
        spec.compile(),
        np.concatenate([light[0], positions], axis=1),
        np.concatenate([light[1], rotations], axis=1),
        look_at[None],
        distance,
        radius,
        camera,
    )


def _body_poses(
    robot: Robot, poses: Float[np.ndarray, "T nq"]
) -> tuple[Float[np.ndarray, "T B 3"], Float[np.ndarray, "T B 4"]]:
    """Position and rotation of every body in every pose."""
    model, data = robot.model, mujoco.MjData(robot.model)
    positions, rotations = [], []
    for pose in poses:
        data.qpos[:] = pose
        mujoco.mj_kinematics(model, data)
        positions.append(data.xpos[1:].copy())
        rotations.append(data.xquat[1:].copy())
    return np.array(positions), np.array(rotations)


def _floor_spec(camera: Camera, radius: float, shadow_map: int) -> mujoco.MjSpec:
    """A tiled floor in ambient light; `shadow_map` is the size of MuJoCo's shadow map in pixels."""
    spec = mujoco.MjSpec()
    spec.visual.global_.fovy = camera.field_of_view
    spec.stat.extent = 2.0 * radius
    spec.visual.map.shadowclip = 2.0  # extents around the light's target in which shadows are drawn
    spec.visual.quality.shadowsize = shadow_map
    spec.visual.headlight.ambient[:], spec.visual.headlight.diffuse[:] = 0.5, 0.2
    spec.visual.headlight.specular[:] = 0.0
    spec.add_texture(
        name="tiles",
        type=mujoco.mjtTexture.mjTEXTURE_2D,
        builtin=mujoco.mjtBuiltin.mjBUILTIN_CHECKER,
        rgb1=FLOOR_DARK_COLOUR,  # in this order, both renderers have the same tiles dark
        rgb2=FLOOR_COLOUR,
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


def _add_light(body: mujoco.MjsBody, radius: float) -> None:
    offset = np.array(LIGHT_OFFSET)
    body.add_light(
        mode=mujoco.mjtCamLight.mjCAMLIGHT_TRACK,
        type=mujoco.mjtLightType.mjLIGHT_DIRECTIONAL,
        pos=radius * offset,
        dir=-offset,
        diffuse=[0.5, 0.5, 0.5],
        specular=[0.1, 0.1, 0.1],
        castshadow=True,
    )


def _smoothed(values: Float[np.ndarray, "T"]) -> Float[np.ndarray, "T"]:
    """Moving average; the path is mirrored at its ends, so that they stay in place."""
    half = min(_SMOOTHING_FRAMES // 2, len(values) - 1)
    before, after = 2 * values[0] - values[half:0:-1], 2 * values[-1] - values[-2 : -half - 2 : -1]
    padded = np.concatenate([before, values, after])
    return np.convolve(padded, np.full(2 * half + 1, 1.0 / (2 * half + 1)), mode="valid")
