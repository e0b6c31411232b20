"""A short film of a robot walking under a policy, as an animated WebP.

MuJoCo's own renderer draws it where a graphics library works (EGL, OSMesa or GLFW, tried once in
that order in a process apart); everywhere else the ray-cast drawing of `drawing.py` does. Both show
the same scene, and neither can fail the caller for want of graphics.
"""

import io
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
from jaxtyping import Float, UInt8

from bodyplan.envs.environment import Environment
from bodyplan.envs.walking import Observation
from bodyplan.errors import BodyplanError
from bodyplan.evaluate.drawing import draw
from bodyplan.evaluate.scene import AZIMUTH, ELEVATION, Scene, compose
from bodyplan.robots.robot import Robot

RENDERERS = ("auto", "mujoco", "drawn")
SIZE = (320, 240)
"""Width and height of a picture in pixels."""
STEPS_PER_FRAME = 2
"""Control steps of 20 ms from one picture to the next: 25 pictures a second."""

_PROGRAM = Path(__file__).with_name("offscreen.py")
_GRAPHICS = ("egl", "osmesa", "glfw")
_PROBE_SECONDS, _RENDER_SECONDS = 20.0, 120.0
_MILLISECONDS_PER_STEP = 20

Policy = Callable[[Observation], Any]


def animate(
    environment: Environment,
    policy: Policy,
    seconds: float = 4.0,
    size: tuple[int, int] = SIZE,
    renderer: str = "auto",
) -> bytes:
    """Film the first robot of an environment from a fresh start, as WebP bytes.

    Args:
        environment: is reset, and stepped under the policy.
        policy: maps an observation of all N robots to their actions [N, J].
        seconds: length of the film.
        size: width and height in pixels.
        renderer: `mujoco`, `drawn`, or `auto` for the first of them that works here.

    Raises:
        BodyplanError: `renderer` is unknown, or is `mujoco` and no graphics library works.
    """
    poses = record(environment, policy, round(1000.0 * seconds / _MILLISECONDS_PER_STEP))
    return encode(render(environment.robot, poses, size, renderer))


def record(environment: Environment, policy: Policy, steps: int) -> Float[np.ndarray, "T nq"]:
    """Positions of the first robot at the start and after every second control step.

    Once the robot has fallen it stays as it fell until the end.
    """
    environment.reset()
    poses = [environment.qpos[0].copy()]
    for step in range(1, steps + 1):
        result = environment.step(np.asarray(policy(environment.observation)))
        if step % STEPS_PER_FRAME == 0:
            poses.append(environment.qpos[0].copy())
        if result.terminated[0] or result.truncated[0]:
            break
    missing = 1 + steps // STEPS_PER_FRAME - len(poses)
    return np.array(poses + missing * [environment.qpos[0].copy()])


def render(
    robot: Robot,
    poses: Float[np.ndarray, "T nq"],
    size: tuple[int, int] = SIZE,
    renderer: str = "auto",
) -> UInt8[np.ndarray, "T height width 3"]:
    """Pictures of a robot in the given poses.

    Raises:
        BodyplanError: as `animate`.
    """
    if renderer not in RENDERERS:
        raise BodyplanError(
            f"renderer '{renderer}' is unknown; choose one of {', '.join(RENDERERS)}"
        )
    scene = compose(robot, np.asarray(poses, float))
    graphics = None if renderer == "drawn" else graphics_library()
    pictures = render_apart(scene, size, graphics, _RENDER_SECONDS) if graphics else None
    if pictures is not None:
        return pictures
    if renderer == "mujoco":
        raise BodyplanError(
            "MuJoCo finds no working graphics library; install libegl1 or libosmesa6, "
            "or choose the renderer 'drawn'"
        )
    return draw(scene, size)


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
        np.savez(folder / "job.npz", angles=(AZIMUTH, ELEVATION), size=size, **arrays)
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


def encode(pictures: UInt8[np.ndarray, "T height width 3"], quality: int = 60) -> bytes:
    """An endless animated WebP at real speed."""
    from PIL import Image

    first, *rest = (Image.fromarray(picture) for picture in pictures)
    target = io.BytesIO()
    first.save(
        target,
        format="WEBP",
        save_all=True,
        append_images=rest,
        duration=STEPS_PER_FRAME * _MILLISECONDS_PER_STEP,
        loop=0,
        quality=quality,
        method=3,
    )
    return target.getvalue()


def _probe_scene() -> Scene:
    """The smallest scene that shows whether rendering works."""
    spec = mujoco.MjSpec()
    spec.worldbody.add_body(mocap=True).add_geom(
        type=mujoco.mjtGeom.mjGEOM_SPHERE, size=[0.1, 0.0, 0.0]
    )
    at_origin = np.zeros((1, 1, 3))
    upright = np.array([[[1.0, 0.0, 0.0, 0.0]]])
    return Scene(spec.compile(), at_origin, upright, np.zeros((1, 3)), 1.0, 0.1)
