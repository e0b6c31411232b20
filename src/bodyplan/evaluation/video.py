"""Videos of robots walking under a policy, as animated WebP."""

import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
from jaxtyping import Float, UInt8

from bodyplan.envs.environment import Environment
from bodyplan.envs.walking_task import Command
from bodyplan.evaluation.rollout import ActFunction, CrossEmbodimentPolicy, one_blas_thread
from bodyplan.machine import available_cores
from bodyplan.progress import OnProgress, no_progress
from bodyplan.rendering.camera import RGBFrames
from bodyplan.rendering.picture_mark import mark_exif
from bodyplan.rendering.renderer import FRAME_SIZE, graphics_library, render_poses, render_scenes
from bodyplan.rendering.scene import robot_scene
from bodyplan.robots.robot import Robot
from bodyplan.robots.task_config import CONTROL_STEP

STEPS_PER_FRAME = 3
"""Control steps from one frame to the next: 17 frames a second."""
VIDEO_SECONDS = 4.0
WEBP_QUALITY = 60
"""From 0 to 100."""

_ROBOTS_PER_PROCESS = 4  # more would save little, and progress would be seen later
_NO_KEY_FRAMES = 2**20


def robot_videos(
    policy: CrossEmbodimentPolicy,
    robots: Sequence[Robot],
    command: str | Command = "forward",
    progress: OnProgress | None = None,
    seconds: float = VIDEO_SECONDS,
) -> dict[str, bytes]:
    """Render one video of each robot under a policy, from the nominal state.

    Args:
        policy: acts on any robot.
        robots: the robots.
        command: `forward`, `backward`, "vx,vy,wz" or three numbers (m/s, m/s, rad/s).
        progress: called as videos are finished.
        seconds: length of each video.

    Returns:
        An animated WebP for each robot's name.

    Raises:
        BodyplanError: the command is unknown.
    """
    report, steps = progress or no_progress, round(seconds / CONTROL_STEP)
    workers = max(1, min(available_cores(), len(robots)))
    batch = max(1, min(_ROBOTS_PER_PROCESS, -(-len(robots) // workers)))
    videos: dict[str, bytes] = {}
    with one_blas_thread(), ThreadPoolExecutor(workers) as pool:
        pool.submit(graphics_library)  # it is looked for while the first robots walk
        batches = [robots[start : start + batch] for start in range(0, len(robots), batch)]
        films = []
        for own in batches:
            poses = [_walk(policy, robot, command, steps) for robot in own]
            films.append(pool.submit(_films, own, poses))
        for own, film in zip(batches, films, strict=True):
            report("rendering videos", len(videos), len(robots), own[0].name)
            videos |= film.result()
    report("rendering videos", len(robots), len(robots))
    return videos


def _walk(
    policy: CrossEmbodimentPolicy, robot: Robot, command: str | Command, steps: int
) -> Float[np.ndarray, "T nq"]:
    act = partial(policy.act, descriptor=robot.descriptor)
    return record_poses(Environment(robot, command, threads=1), act, steps)


def _films(robots: Sequence[Robot], poses: Sequence[Float[np.ndarray, "T _"]]) -> dict[str, bytes]:
    """The films of some robots, rendered by one process."""
    aspect = FRAME_SIZE[0] / FRAME_SIZE[1]
    scenes = [robot_scene(*pair, aspect) for pair in zip(robots, poses, strict=True)]
    images = render_scenes(scenes)
    return {robot.name: encode_webp(frames) for robot, frames in zip(robots, images, strict=True)}


def render_video(
    environment: Environment,
    policy: ActFunction,
    seconds: float = VIDEO_SECONDS,
    size: tuple[int, int] = FRAME_SIZE,
    renderer: str = "auto",
) -> bytes:
    """Reset an environment and render a video of its first robot, as WebP bytes.

    Args:
        environment: stepped under the policy.
        policy: maps an observation of all N robots to their actions [N, J].
        seconds: length of the video.
        size: width and height in pixels.
        renderer: `mujoco`, `drawn`, or `auto` for the first of them that works here.

    Raises:
        BodyplanError: `renderer` is unknown, or is `mujoco` and no graphics library works.
    """
    poses = record_poses(environment, policy, round(seconds / CONTROL_STEP))
    return encode_webp(render_poses(environment.robot, poses, size, renderer))


def record_poses(
    environment: Environment, policy: ActFunction, steps: int
) -> Float[np.ndarray, "T nq"]:
    """Reset an environment; return the first robot's qpos at the start and at every frame.

    A robot that has fallen keeps its last pose until the end.
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


def tile_videos(
    videos: Sequence[Sequence[RGBFrames | None]],
) -> UInt8[np.ndarray, "T rows columns 3"]:
    """Join the frames of several videos of one size in rows; None leaves a white gap."""
    shape = next(video.shape for row in videos for video in row if video is not None)
    gap = np.full(shape, 255, np.uint8)
    rows = [np.concatenate([gap if v is None else v for v in row], axis=2) for row in videos]
    return np.concatenate(rows, axis=1)


def encode_webp(frames: RGBFrames, quality: int = WEBP_QUALITY) -> bytes:
    """Encode frames as an animated WebP that loops at real speed."""
    from PIL import Image

    first, *rest = (Image.fromarray(frame) for frame in frames)
    target = io.BytesIO()
    first.save(
        target,
        format="WEBP",
        save_all=True,
        append_images=rest,
        duration=round(1000.0 * STEPS_PER_FRAME * CONTROL_STEP),
        loop=0,
        quality=quality,
        method=2,
        exif=mark_exif(),
        kmin=_NO_KEY_FRAMES - 1,  # a film is played from its start
        kmax=_NO_KEY_FRAMES,
    )
    return target.getvalue()


def first_frame(video: bytes) -> bytes:
    """The first image of an animated WebP, as a WebP that does not move."""
    from PIL import Image

    target = io.BytesIO()
    with Image.open(io.BytesIO(video)) as film:
        film.convert("RGB").save(target, format="WEBP", quality=WEBP_QUALITY)
    return target.getvalue()
