"""Pictures of a robot in given poses, on any machine.

MuJoCo's own renderer draws them where a graphics library works (EGL, OSMesa or GLFW, tried once in
that order in a process apart); everywhere else the ray-cast drawing of `drawing.py` does. Both show
the same scene, and neither can fail the caller for want of graphics.
"""

import os
import subprocess
import sys
import tempfile
from functools import lru_cache
from pathlib import Path

import mujoco
import numpy as np
from jaxtyping import Float, UInt8

from bodyplan.errors import BodyplanError
from bodyplan.rendering.ray_casting import ray_cast
from bodyplan.rendering.scene import Scene, compose
from bodyplan.robots.robot import Robot

RENDERERS = ("auto", "mujoco", "drawn")
SIZE = (320, 240)
"""Width and height of a picture in pixels."""

_PROGRAM = Path(__file__).with_name("offscreen_worker.py")
_GRAPHICS = ("egl", "osmesa", "glfw")
_PROBE_SECONDS, _RENDER_SECONDS = 20.0, 120.0


def render(
    robot: Robot,
    poses: Float[np.ndarray, "T nq"],
    size: tuple[int, int] = SIZE,
    renderer: str = "auto",
) -> UInt8[np.ndarray, "T height width 3"]:
    """Pictures of a robot in the given poses.

    Raises:
        BodyplanError: as `render_scene`.
    """
    return render_scene(compose(robot, np.asarray(poses, float), size[0] / size[1]), size, renderer)


def render_scene(
    scene: Scene, size: tuple[int, int] = SIZE, renderer: str = "auto"
) -> UInt8[np.ndarray, "T height width 3"]:
    """Pictures of a scene in all its poses.

    Args:
        scene: robots, floor and camera.
        size: width and height in pixels.
        renderer: `mujoco`, `drawn`, or `auto` for the first of them that works here.

    Raises:
        BodyplanError: `renderer` is unknown, or is `mujoco` and no graphics library works.
    """
    if renderer not in RENDERERS:
        raise BodyplanError(
            f"renderer '{renderer}' is unknown; choose one of {', '.join(RENDERERS)}"
        )
    graphics = None if renderer == "drawn" else graphics_library()
    pictures = render_apart(scene, size, graphics, _RENDER_SECONDS) if graphics else None
    if pictures is not None:
        return pictures
    if renderer == "mujoco":
        raise BodyplanError(
            "MuJoCo finds no working graphics library; install libegl1 or libosmesa6, "
            "or choose the renderer 'drawn'"
        )
    return ray_cast(scene, size)


@lru_cache(maxsize=1)
def graphics_library() -> str | None:
    """Name of the first graphics library with which MuJoCo can render here; asked only once."""
    screen = bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    windows = screen or sys.platform in ("darwin", "win32")
    for name in _GRAPHICS if windows else _GRAPHICS[:-1]:
        if render_apart(_probe_scene(), (16, 16), name, _PROBE_SECONDS) is not None:
            return name
    return None


def render_apart(
    scene: Scene, size: tuple[int, int], graphics: str, seconds: float
) -> UInt8[np.ndarray, "T height width 3"] | None:
    """MuJoCo's rendering of a scene, made in another process; None where that fails or hangs."""
    with tempfile.TemporaryDirectory(prefix="bodyplan-") as name:
        folder = Path(name)
        mujoco.mj_saveModel(scene.puppet, str(folder / "puppet.mjb"))
        arrays = {
            key: getattr(scene, key) for key in ("positions", "rotations", "look_at", "distance")
        }
        np.savez(folder / "job.npz", angles=scene.camera[:2], size=size, **arrays)
        # -P keeps this folder's modules from hiding the standard library's.
        command = [sys.executable, "-P", str(_PROGRAM), "job.npz", "pictures.npy"]
        settings = os.environ | {"MUJOCO_GL": graphics, "PYOPENGL_PLATFORM": graphics}
        if graphics == "glfw":
            settings.pop("PYOPENGL_PLATFORM")
        try:
            subprocess.run(
                command,
                cwd=folder,
                env=settings,
                capture_output=True,
                timeout=seconds,
                check=True,
            )
            return np.load(folder / "pictures.npy")
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
