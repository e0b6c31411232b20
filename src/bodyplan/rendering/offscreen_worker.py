"""MuJoCo's offscreen renderer as a program of its own: poses in, images out.

`python offscreen_worker.py job.npz images.npy` renders the model `scene.mjb` beside the job.
MuJoCo chooses its graphics library from MUJOCO_GL when it is first imported. A broken library can
end or hang the process, but here it cannot harm the caller. The program therefore imports nothing
of the package. `bodyplan.rendering.renderer` runs it.
"""

import sys
from pathlib import Path

import mujoco
import numpy as np


def render_job(job_path: str, images_path: str) -> None:
    """Render every pose of a job (arrays of `Scene`, camera angles, image size) to uint8 images."""
    with np.load(job_path) as archive:
        job = dict(archive)
    model = mujoco.MjModel.from_binary_path(str(Path(job_path).with_name("scene.mjb")))
    data = mujoco.MjData(model)
    camera = mujoco.MjvCamera()
    camera.distance = float(job["distance"])
    camera.azimuth, camera.elevation = map(float, job["angles"])
    options = mujoco.MjvOption()
    options.geomgroup[:] = 1
    width, height = map(int, job["size"])
    model.vis.global_.offwidth, model.vis.global_.offheight = width, height
    images = np.zeros((len(job["look_at"]), height, width, 3), np.uint8)
    with mujoco.Renderer(model, height, width) as renderer:
        for index, look_at in enumerate(job["look_at"]):
            data.mocap_pos[:], data.mocap_quat[:] = job["positions"][index], job["rotations"][index]
            camera.lookat[:] = look_at
            mujoco.mj_forward(model, data)
            renderer.update_scene(data, camera, options)
            renderer.render(out=images[index])
    np.save(images_path, images)


if __name__ == "__main__":
    render_job(*sys.argv[1:])
