"""MuJoCo's offscreen renderer as a program of its own: poses in, images out.

`python offscreen_worker.py scene0 scene1` renders the models `scene0.mjb` and `scene1.mjb` in the
poses of `scene0.npz` and `scene1.npz` to `scene0.npy` and `scene1.npy`. MuJoCo chooses its graphics
library from MUJOCO_GL when it is first imported. A broken library can end or hang the process, but
here it cannot harm the caller. The program therefore imports nothing of the package.
`bodyplan.rendering.renderer` runs it.
"""

import sys

import mujoco
import numpy as np

_SUPERSAMPLING = 2  # rendered pixels per pixel edge; cheaper in software than multisampling
_SMALL = 300  # pixels; the height up to which nobody sees how coarse a sphere or a shadow is
_COARSE_SLICES, _COARSE_STACKS, _COARSE_SHADOWS = 10, 6, 768


def render_job(name: str) -> None:
    """Render every pose of a job (arrays of `Scene`, camera angles, image size) to uint8 images."""
    with np.load(f"{name}.npz") as archive:
        job = dict(archive)
    model = mujoco.MjModel.from_binary_path(f"{name}.mjb")
    data = mujoco.MjData(model)
    camera = mujoco.MjvCamera()
    camera.distance = float(job["distance"])
    camera.azimuth, camera.elevation = map(float, job["angles"])
    options = mujoco.MjvOption()
    options.geomgroup[:] = 1
    width, height = map(int, job["size"])
    _set_quality(model, width, height)
    poses = list(zip(job["positions"], job["rotations"], job["look_at"], strict=True))
    images = np.zeros((len(poses), height, width, 3), np.uint8)
    large = np.zeros((_SUPERSAMPLING * height, _SUPERSAMPLING * width, 3), np.uint8)
    with mujoco.Renderer(model, *large.shape[:2]) as renderer:
        for index, pose in enumerate(poses):
            if index and all(map(np.array_equal, pose, poses[index - 1])):
                images[index] = images[index - 1]  # the robot lies still
                continue
            data.mocap_pos[:], data.mocap_quat[:], camera.lookat[:] = pose
            mujoco.mj_kinematics(model, data)
            mujoco.mj_camlight(model, data)
            renderer.update_scene(data, camera, options)
            images[index] = _shrunk(renderer.render(out=large))
    np.save(f"{name}.npy", images)


def _set_quality(model: mujoco.MjModel, width: int, height: int) -> None:
    quality, screen = model.vis.quality, model.vis.global_
    screen.offwidth, screen.offheight = _SUPERSAMPLING * width, _SUPERSAMPLING * height
    quality.offsamples = 0
    if height <= _SMALL:
        quality.numslices, quality.numstacks, quality.numquads = _COARSE_SLICES, _COARSE_STACKS, 1
        quality.shadowsize = min(quality.shadowsize, _COARSE_SHADOWS)


def _shrunk(image: np.ndarray) -> np.ndarray:
    """The mean of each pixel's subpixels."""
    wide = image.astype(np.uint16)
    rows = wide[::2] + wide[1::2]
    return ((rows[:, ::2] + rows[:, 1::2] + 2) // 4).astype(np.uint8)


if __name__ == "__main__":
    for job_name in sys.argv[1:]:
        render_job(job_name)
