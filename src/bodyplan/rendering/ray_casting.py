"""Pictures of robots without a graphics library: rays cast by MuJoCo, shaded by NumPy.

MuJoCo's collision code can tell where a ray meets a shape, and how the surface lies there, on
every machine that can simulate. One bundle of rays from the camera gives the robots, one from the
lamp gives their shadows, and the floor itself is arithmetic.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import product

import mujoco
import numpy as np
from jaxtyping import Bool, Float, Float32, Int, UInt8
from scipy.ndimage import maximum_filter, minimum_filter, uniform_filter

from bodyplan.rendering.scene import FLOOR, FLOOR_DARK, FLOOR_GROUP, LAMP, TILE, Scene

_FINE = 2  # rays per pixel edge
_STRIP = 256  # rows of pixels drawn at once, which bounds the memory that a large picture takes
_AMBIENT, _SHADOW = 0.5, 0.74
_SHADED = 0.1  # cosine to the lamp below which nothing is seen to be in shadow
_FORM = 0.35  # share of its form that a surface keeps in shadow
_EDGE = 0.03  # tones by which neighbours differ across an edge
_FADE = 4.0  # camera distances at which the tiles have lost 63 % of their contrast

_CORNERS = [np.s_[i::_FINE, j::_FINE] for i in range(_FINE) for j in range(_FINE)]


def ray_cast(
    scene: Scene, size: tuple[int, int], threads: int | None = None
) -> UInt8[np.ndarray, "T height width 3"]:
    """Draw every pose of the scene at `size` = (width, height) pixels."""
    workers = threads or os.cpu_count() or 1

    @lru_cache(maxsize=workers)
    def painter(top: int) -> _Painter:
        return _Painter(scene, size, top)

    def strip(job: tuple[int, int]) -> UInt8[np.ndarray, "rows width 3"]:
        top, index = job
        return painter(top).frame(index)

    tops, frames = range(0, size[1], _STRIP), range(len(scene.look_at))
    with ThreadPoolExecutor(workers) as pool:
        strips = list(pool.map(strip, product(tops, frames)))
    count = len(frames)
    return np.stack([np.concatenate(strips[index::count]) for index in frames])


class _Painter:
    """What is the same in every frame: rays and where they meet the floor, seen from the camera.

    Rows and columns are counted finely, `_FINE` to a pixel, within the strip that begins at `top`.
    """

    def __init__(self, scene: Scene, size: tuple[int, int], top: int) -> None:
        self.scene, camera = scene, scene.camera
        rows = min(_STRIP, size[1] - top)
        self.width, self.height = _FINE * size[0], _FINE * rows
        self.middle = (self.width / 2.0, _FINE * (size[1] / 2.0 - top))
        self.right, self.up, self.forward = camera.axes()
        self.focal = camera.focal(_FINE * size[1])
        across = (np.arange(self.width) + 0.5 - self.middle[0]) / self.focal
        upward = (self.middle[1] - 0.5 - np.arange(self.height)) / self.focal
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

    def frame(self, index: int) -> UInt8[np.ndarray, "rows width 3"]:
        """One picture's strip; safe to call from several threads."""
        scene, look_at = self.scene, self.scene.look_at[index]
        data = mujoco.MjData(scene.puppet)
        data.mocap_pos[:], data.mocap_quat[:] = scene.positions[index], scene.rotations[index]
        mujoco.mj_kinematics(scene.puppet, data)
        picture = self._floor(look_at)
        self._shadow(picture, data, look_at)
        self._robots(picture, data, look_at)
        pixels = sum(picture[corner] for corner in _CORNERS) * (255.0 / _FINE**2)
        return np.clip(pixels, 0.0, 255.0).astype(np.uint8)

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
        centres = data.geom_xpos[self.shapes]
        stretch = (lamp[2] / np.maximum(lamp[2] - centres[:, 2], 0.1 * lamp[2]))[:, None]
        spots = lamp + stretch * (centres - lamp)
        near = self._near(spots, 1.5 * stretch[:, 0] * self.reach, look_at)
        offset = self.floor_offset[::_FINE, ::_FINE][near]
        ground = np.pad(offset + (look_at + self.behind)[:2], ((0, 0), (0, 1)))
        shape, _, _ = self._cast(data, lamp, ground - lamp)
        shade = np.ones(near.shape, np.float32)
        shade[near] = np.where(shape >= 0, _SHADOW, 1.0)
        shade = uniform_filter(shade, 3, mode="nearest")
        for corner in _CORNERS:
            picture[corner] *= shade[..., None]

    def _robots(
        self,
        picture: Float32[np.ndarray, "h w 3"],
        data: mujoco.MjData,
        look_at: Float[np.ndarray, "3"],
    ) -> None:
        near = self._near(data.geom_xpos[self.shapes], self.reach, look_at)
        shape, tone = np.full(near.shape, -1, np.int32), np.zeros((*near.shape, 3))
        shape[near], tone[near] = self._see(data, look_at, _CORNERS[0], near)
        # One ray serves a whole pixel but on edges, where each corner gets its own.
        edge = _differs(shape, 0) | _differs(tone.mean(axis=2), _EDGE)
        inside = (shape >= 0) & ~edge
        rows, columns = np.nonzero(edge)
        for corner in _CORNERS:
            pixels = picture[corner]
            pixels[inside] = tone[inside]
            seen, colour = self._see(data, look_at, corner, edge)
            pixels[rows[seen >= 0], columns[seen >= 0]] = colour[seen >= 0]

    def _see(
        self,
        data: mujoco.MjData,
        look_at: Float[np.ndarray, "3"],
        corner: tuple[slice, slice],
        pixels: Bool[np.ndarray, "h w"],
    ) -> tuple[Int[np.ndarray, "n"], Float[np.ndarray, "n 3"]]:
        """Shape seen above the floor in a corner of pixels (-1 for none), and its colour."""
        eye, lamp, rays = look_at + self.behind, look_at + self.lamp, self.rays[corner][pixels]
        shape, distance, normal = self._cast(data, eye, rays)
        # Contacts are soft: what has sunk into the floor stays hidden by it.
        shape[distance > self.floor_range[corner][pixels] + 1e-3] = -1
        facing = normal @ (self.lamp / np.linalg.norm(self.lamp))
        lit = np.flatnonzero((shape >= 0) & (facing > _SHADED))
        hidden = lit[self._hidden(data, lamp, eye + rays[lit] * distance[lit, None])]
        facing[hidden] = _SHADED + _FORM * (facing[hidden] - _SHADED)
        # Half-Lambert: surfaces turned away from the lamp keep some form instead of going flat.
        light = _AMBIENT + (1.1 - _AMBIENT) * (0.5 + 0.5 * facing) ** 1.5
        return shape, self.scene.puppet.geom_rgba[shape, :3] * light[:, None]

    def _hidden(
        self, data: mujoco.MjData, lamp: Float[np.ndarray, "3"], points: Float[np.ndarray, "n 3"]
    ) -> Bool[np.ndarray, "n"]:
        """Whether a shape stands between the lamp and points on surfaces."""
        shape, distance, _ = self._cast(data, lamp, points - lamp)
        return (shape >= 0) & (distance < 1.0 - 2e-3)

    def _near(
        self,
        centres: Float[np.ndarray, "n 3"],
        reach: Float[np.ndarray, "n"],
        look_at: Float[np.ndarray, "3"],
    ) -> Bool[np.ndarray, "h w"]:
        """Pixels at which one of the spheres can be seen, and some around them."""
        away = centres - look_at - self.behind
        depth = np.maximum(away @ self.forward, 0.1 * self.scene.distance)
        spread = 1.1 * self.focal * reach / depth + _FINE
        across = self.middle[0] + self.focal * (away @ self.right) / depth
        down = self.middle[1] - self.focal * (away @ self.up) / depth
        near = np.zeros((self.height // _FINE, self.width // _FINE), bool)
        edges = np.array([down - spread, down + spread, across - spread, across + spread]) / _FINE
        for top, bottom, left, right in np.maximum(np.rint(edges.T), 0).astype(int):
            near[top : bottom + 1, left : right + 1] = True
        return near

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


def _differs(
    values: Float[np.ndarray, "h w"] | Int[np.ndarray, "h w"], by: float
) -> Bool[np.ndarray, "h w"]:
    """Whether neighbours of a pixel differ by more."""
    return maximum_filter(values, 3) - minimum_filter(values, 3) > by
