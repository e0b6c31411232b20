"""Pictures of a robot without a graphics library: rays cast by MuJoCo, shaded by NumPy.

MuJoCo's collision code can tell where a ray meets a shape, and how the surface lies there, on
every machine that can simulate. One bundle of rays from the camera gives the robot, one from the
lamp gives its shadow on the floor, and the floor itself is arithmetic.
"""

import os
from concurrent.futures import ThreadPoolExecutor

import mujoco
import numpy as np
from jaxtyping import Float, Float32, Int, UInt8
from scipy.ndimage import maximum_filter, minimum_filter

from bodyplan.robots.scene import (
    FIELD_OF_VIEW,
    FLOOR,
    FLOOR_DARK,
    FLOOR_GROUP,
    LAMP,
    TILE,
    Scene,
    camera_axes,
)

_FINE = 2  # rays per pixel edge
_AMBIENT, _SHADOW = 0.5, 0.74
_FADE = 4.0  # camera distances at which the tiles have lost 63 % of their contrast

Window = tuple[slice, slice]


def draw(
    scene: Scene, size: tuple[int, int], threads: int | None = None
) -> UInt8[np.ndarray, "T height width 3"]:
    """Draw every pose of the scene at `size` = (width, height) pixels."""
    painter = _Painter(scene, size)
    with ThreadPoolExecutor(threads or os.cpu_count()) as pool:
        return np.stack(list(pool.map(painter.frame, range(len(scene.look_at)))))


class _Painter:
    """What is the same in every frame: rays and where they meet the floor, seen from the camera."""

    def __init__(self, scene: Scene, size: tuple[int, int]) -> None:
        self.scene = scene
        self.width, self.height = (_FINE * edge for edge in size)
        self.right, self.up, self.forward = camera_axes()
        self.focal = 0.5 * self.height / np.tan(np.radians(FIELD_OF_VIEW) / 2.0)
        across = (np.arange(self.width) - (self.width - 1) / 2.0) / self.focal
        upward = ((self.height - 1) / 2.0 - np.arange(self.height)) / self.focal
        rays = self.forward + across[:, None] * self.right + upward[:, None, None] * self.up
        self.rays = rays / np.linalg.norm(rays, axis=2, keepdims=True)
        self.behind = -scene.distance * self.forward  # from the point looked at to the camera
        self.shapes = np.flatnonzero(scene.puppet.geom_group != FLOOR_GROUP)
        self.reach = scene.puppet.geom_rbound[self.shapes]
        self.lamp = scene.radius * np.array(LAMP)
        self.floor_range = -(scene.look_at[0, 2] + self.behind[2]) / self.rays[..., 2]
        self.floor_offset = (self.rays[..., :2] * self.floor_range[..., None]).astype(np.float32)
        # Distant tiles fade into one tone before they get smaller than a pixel.
        fade = np.exp(-((self.floor_range / (_FADE * scene.distance)) ** 2))
        self.half_contrast = (0.5 * fade).astype(np.float32)

    def frame(self, index: int) -> UInt8[np.ndarray, "height width 3"]:
        """One picture; safe to call from several threads."""
        scene, look_at = self.scene, self.scene.look_at[index]
        data = mujoco.MjData(scene.puppet)
        data.mocap_pos[:], data.mocap_quat[:] = scene.positions[index], scene.rotations[index]
        mujoco.mj_kinematics(scene.puppet, data)
        picture = self._floor(look_at)
        self._shadow(picture, data, look_at)
        self._robot(picture, data, look_at)
        corners = [picture[i::_FINE, j::_FINE] for i in range(_FINE) for j in range(_FINE)]
        return np.clip(sum(corners) * (255.0 / _FINE**2), 0.0, 255.0).astype(np.uint8)

    def _floor(self, look_at: Float[np.ndarray, "3"]) -> Float32[np.ndarray, "h w 3"]:
        start = (look_at[:2] + self.behind[:2]).astype(np.float32)
        tiles = np.floor((self.floor_offset + start) * np.float32(1.0 / TILE)).astype(np.int32)
        odd = ((tiles[..., 0] ^ tiles[..., 1]) & 1).astype(bool)
        share = 0.5 + np.where(odd, self.half_contrast, -self.half_contrast)
        light, dark = np.array(FLOOR, np.float32), np.array(FLOOR_DARK, np.float32)
        return light + share[..., None] * (dark - light)

    def _shadow(
        self,
        picture: Float32[np.ndarray, "h w 3"],
        data: mujoco.MjData,
        look_at: Float[np.ndarray, "3"],
    ) -> None:
        lamp = look_at + self.lamp
        centres, reach = data.geom_xpos[self.shapes], self.reach
        stretch = (lamp[2] / np.maximum(lamp[2] - centres[:, 2], 0.1 * lamp[2]))[:, None]
        spots = lamp + stretch * (centres - lamp)
        window = self._window(spots, 1.5 * stretch[:, 0] * reach, look_at)
        offset = self.floor_offset[window][::_FINE, ::_FINE]
        ground = np.pad(offset + (look_at + self.behind)[:2], ((0, 0), (0, 0), (0, 1)))
        shape, _, _ = self._cast(data, lamp, (ground - lamp).reshape(-1, 3))
        shade = np.where(shape.reshape(offset.shape[:2]) >= 0, np.float32(_SHADOW), 1.0)
        fine = _soften(shade).astype(np.float32).repeat(_FINE, 0).repeat(_FINE, 1)
        part = picture[window]
        part *= fine[: part.shape[0], : part.shape[1], None]

    def _robot(
        self,
        picture: Float32[np.ndarray, "h w 3"],
        data: mujoco.MjData,
        look_at: Float[np.ndarray, "3"],
    ) -> None:
        window = self._window(data.geom_xpos[self.shapes], self.reach, look_at)
        part, rays, floor = picture[window], self.rays[window], self.floor_range[window]
        eye, every = look_at + self.behind, np.s_[::_FINE, ::_FINE]
        shape, colour = self._see(data, eye, rays[every], floor[every])
        # One ray serves a whole pixel but on outlines, where each corner gets its own.
        outline = maximum_filter(shape, 3) != minimum_filter(shape, 3)
        inside = (shape >= 0) & ~outline
        rows, columns = np.nonzero(outline)
        for corner in [np.s_[i::_FINE, j::_FINE] for i in range(_FINE) for j in range(_FINE)]:
            pixels = part[corner]
            pixels[inside] = colour[inside]
            edge, tone = self._see(data, eye, rays[corner][outline], floor[corner][outline])
            pixels[rows[edge >= 0], columns[edge >= 0]] = tone[edge >= 0]

    def _see(
        self,
        data: mujoco.MjData,
        eye: Float[np.ndarray, "3"],
        rays: Float[np.ndarray, "*shape 3"],
        floor_range: Float[np.ndarray, "*shape"],
    ) -> tuple[Int[np.ndarray, "*shape"], Float[np.ndarray, "*shape 3"]]:
        """Shape each ray meets above the floor (-1 for none), and its colour in lamplight."""
        shape, distance, normal = self._cast(data, eye, rays.reshape(-1, 3))
        # Contacts are soft: what has sunk into the floor stays hidden by it.
        shape[distance > floor_range.ravel() + 1e-3] = -1
        facing = normal @ (self.lamp / np.linalg.norm(self.lamp))
        # Half-Lambert: surfaces turned away from the lamp keep some form instead of going flat.
        light = _AMBIENT + (1.1 - _AMBIENT) * (0.5 + 0.5 * facing) ** 1.5
        colour = self.scene.puppet.geom_rgba[shape, :3] * light[:, None]
        return shape.reshape(floor_range.shape), colour.reshape(rays.shape)

    def _window(
        self,
        centres: Float[np.ndarray, "n 3"],
        reach: Float[np.ndarray, "n"],
        look_at: Float[np.ndarray, "3"],
    ) -> Window:
        """Rows and columns outside which none of the spheres is seen."""
        away = centres - look_at - self.behind
        depth = np.maximum(away @ self.forward, 0.1 * self.scene.distance)
        spread = self.focal * reach / depth
        across = self.width / 2.0 + self.focal * (away @ self.right) / depth
        down = self.height / 2.0 - self.focal * (away @ self.up) / depth
        return _span(down, spread, self.height), _span(across, spread, self.width)

    def _cast(
        self, data: mujoco.MjData, origin: Float[np.ndarray, "3"], rays: Float[np.ndarray, "n 3"]
    ) -> tuple[Int[np.ndarray, "n"], Float[np.ndarray, "n"], Float[np.ndarray, "n 3"]]:
        """Shape met (-1 for none), distance in lengths of the ray, and surface normal there."""
        count = len(rays)
        shape, distance = np.full(count, -1, np.int32), np.zeros(count)
        normal = np.zeros(3 * count)
        groups = np.arange(6, dtype=np.uint8) != FLOOR_GROUP
        if count:
            mujoco.mj_multiRay(
                self.scene.puppet,
                data,
                origin,
                np.ascontiguousarray(rays, np.float64).ravel(),
                groups.astype(np.uint8),
                True,
                -1,
                shape,
                distance,
                normal,
                count,
                1e6,
            )
        return shape, distance, normal.reshape(-1, 3)


def _span(middle: Float[np.ndarray, "n"], spread: Float[np.ndarray, "n"], edge: int) -> slice:
    """Whole pixels that cover all intervals, as far as they lie in the picture."""
    first = int(np.clip(np.min(middle - spread), 0, edge)) // _FINE * _FINE
    last = int(np.ceil(np.clip(np.max(middle + spread), first, edge) / _FINE)) * _FINE
    return slice(first, last)


def _soften(shade: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
    """Mean over 3 x 3 neighbours."""
    padded = np.pad(shade, 1, mode="edge")
    rows = padded[:-2] + padded[1:-1] + padded[2:]
    return (rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]) / 9.0
