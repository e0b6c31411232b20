"""Images of a robot in given poses, on any machine.

MuJoCo's own renderer makes them where a graphics library works. EGL, OSMesa and GLFW are tried
once, in this order, in a separate process. Everywhere else, the ray-cast renderer of
`ray_casting.py` makes them. Both show the same scene.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import mujoco
import numpy as np
from jaxtyping import Float

from bodyplan.errors import BodyplanError
from bodyplan.rendering.camera import RGBFrames
from bodyplan.rendering.ray_casting import ray_cast
from bodyplan.rendering.scene import Scene, robot_scene
from bodyplan.robots.robot import Robot

RENDERERS = ("auto", "mujoco", "drawn")
FRAME_SIZE = (320, 240)
"""Default width and height of a video frame in pixels."""

_WORKER = Path(__file__).with_name("offscreen_worker.py")
_GRAPHICS_LIBRARIES = ("egl", "osmesa", "glfw")
_PROBE_SECONDS, _RENDER_SECONDS = 20.0, 120.0
_SOFTWARE_THREADS = "0"  # Mesa renders no faster with more, but uses twice the CPU time


def render_poses(
    robot: Robot,
    poses: Float[np.ndarray, "T nq"],
    size: tuple[int, int] = FRAME_SIZE,
    renderer: str = "auto",
) -> RGBFrames:
    """Images of a robot in T poses; the camera follows it.

    Args:
        robot: the robot to show.
        poses: positions of all its joints, the free joint first.
        size: width and height in pixels.
        renderer: `mujoco`, `drawn` (ray casting), or `auto` for the first that works here.

    Raises:
        BodyplanError: as `render_scene`.
    """
    scene = robot_scene(robot, np.asarray(poses, float), size[0] / size[1])
    return render_scene(scene, size, renderer)


def render_scene(
    scene: Scene, size: tuple[int, int] = FRAME_SIZE, renderer: str = "auto"
) -> RGBFrames:
    """Images of a scene in all its poses; arguments and errors are those of `render_scenes`."""
    return render_scenes([scene], size, renderer)[0]


def render_scenes(
    scenes: Sequence[Scene], size: tuple[int, int] = FRAME_SIZE, renderer: str = "auto"
) -> list[RGBFrames]:
    """Images of several scenes in all their poses, by one process; callable from several threads.

    Args:
        scenes: robots, floor and camera of each.
        size: width and height in pixels.
        renderer: `mujoco`, `drawn` (ray casting), or `auto` for the first that works here.

    Raises:
        BodyplanError: `renderer` is unknown, or it is `mujoco` and no graphics library works.
    """
    if renderer not in RENDERERS:
        raise BodyplanError(
            f"renderer '{renderer}' is unknown; choose one of {', '.join(RENDERERS)}"
        )
    graphics = None if renderer == "drawn" else graphics_library()
    images = render_offscreen(scenes, size, graphics) if graphics else None
    if images is not None:
        return images
    if renderer == "mujoco":
        raise BodyplanError(
            "MuJoCo finds no working graphics library; install libegl1 or libosmesa6, "
            "or choose the renderer 'drawn'"
        )
    return [ray_cast(scene, size) for scene in scenes]


@lru_cache(maxsize=1)
def graphics_library() -> str | None:
    """Name of the first graphics library with which MuJoCo can render here; None if there is none.

    The libraries are tried once; later calls return the first answer.
    """
    screen = bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    windows = screen or sys.platform in ("darwin", "win32")
    for name in _GRAPHICS_LIBRARIES if windows else _GRAPHICS_LIBRARIES[:-1]:
        if render_offscreen([_probe_scene()], (16, 16), name, _PROBE_SECONDS) is not None:
            return name
    return None


def render_offscreen(
    scenes: Sequence[Scene],
    size: tuple[int, int],
    graphics: str,
    seconds: float = _RENDER_SECONDS,
    program: Path = _WORKER,
) -> list[RGBFrames] | None:
    """MuJoCo's images of scenes, made in another process; None where that fails or hangs.

    Args:
        scenes: robots, floor and camera of each.
        size: width and height in pixels.
        graphics: the graphics library, as MUJOCO_GL names it.
        seconds: time for each scene; after that of all of them the process is stopped.
        program: the script that renders.
    """
    with tempfile.TemporaryDirectory(prefix="bodyplan-") as name:
        folder = Path(name)
        jobs = [f"scene{index}" for index in range(len(scenes))]
        for job, scene in zip(jobs, scenes, strict=True):
            mujoco.mj_saveModel(scene.model, str(folder / f"{job}.mjb"))
            arrays = {
                key: getattr(scene, key)
                for key in ("positions", "rotations", "look_at", "distance")
            }
            np.savez(folder / f"{job}.npz", angles=scene.camera[:2], size=size, **arrays)
        # -P keeps this folder's modules from hiding the standard library's.
        command = [sys.executable, "-P", str(program), *jobs]
        environment = {"LP_NUM_THREADS": _SOFTWARE_THREADS} | os.environ
        environment |= {"MUJOCO_GL": graphics, "PYOPENGL_PLATFORM": graphics}
        if graphics == "glfw":
            environment.pop("PYOPENGL_PLATFORM")
        try:
            subprocess.run(
                command,
                cwd=folder,
                env=environment,
                capture_output=True,
                timeout=seconds * len(scenes),
                check=True,
            )
            return [np.load(folder / f"{job}.npy") for job in jobs]
        except (subprocess.SubprocessError, OSError, ValueError):
            return None


def _probe_scene() -> Scene:
    """The smallest scene that shows whether rendering works."""
    spec = mujoco.MjSpec()
    spec.worldbody.add_body(mocap=True).add_geom(
        type=mujoco.mjtGeom.mjGEOM_SPHERE, size=[0.1, 0.0, 0.0]
    )
    at_origin = np.zeros((1, 1, 3))
    upright = np.array([[[1.0, 0.0, 0.0, 0.0]]])
    return Scene(spec.compile(), at_origin, upright, np.zeros((1, 3)), 1.0, 0.1)
