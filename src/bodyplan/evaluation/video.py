"""A short film of a robot walking under a policy, as an animated WebP.

Recording poses, rendering them (`rendering/renderer.py`) and encoding the film are apart.
"""

import io
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from bodyplan.envs.environment import Environment
from bodyplan.envs.walking_task import Observation
from bodyplan.rendering.camera import RGBFrames
from bodyplan.rendering.renderer import FRAME_SIZE, render_poses

STEPS_PER_FRAME = 2
"""Control steps of 20 ms from one picture to the next: 25 pictures a second."""

_MILLISECONDS_PER_STEP = 20

RecordedPolicy = Callable[[Observation], Any]


def animate(
    environment: Environment,
    policy: RecordedPolicy,
    seconds: float = 4.0,
    size: tuple[int, int] = FRAME_SIZE,
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
    poses = record_video(environment, policy, round(1000.0 * seconds / _MILLISECONDS_PER_STEP))
    return encode(render_poses(environment.robot, poses, size, renderer))


def side_by_side(
    films: Sequence[Sequence[RGBFrames | None]],
) -> UInt8[np.ndarray, "T rows columns 3"]:
    """Films of one size, in rows, as one; None leaves a white gap."""
    shape = next(film.shape for row in films for film in row if film is not None)
    gap = np.full(shape, 255, np.uint8)
    rows = [np.concatenate([gap if f is None else f for f in row], axis=2) for row in films]
    return np.concatenate(rows, axis=1)


def record_video(
    environment: Environment, policy: RecordedPolicy, steps: int
) -> Float[np.ndarray, "T nq"]:
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


def encode(pictures: RGBFrames, quality: int = 60) -> bytes:
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
